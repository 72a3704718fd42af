//! What the tests share: keys, tokens, configurations, clients.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use host::{CalloutEnd, HttpRequest};
use jwt_simple::prelude::{Claims, Ed25519KeyPair, EdDSAKeyPairLike, JWTClaims};
use serde_json::{Value, json};
use std::sync::LazyLock;

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const WORKSPACE: &str = "https://adb.example.net";
pub(crate) const WORKSPACE_ID: &str = "7405619408829168";

/// A key pair of an identity provider. EdDSA, since that is checked fastest.
pub(crate) struct Key {
    pub(crate) jwk: Value,
    pair: Ed25519KeyPair,
}

/// The key that the provider has unless a story says otherwise.
pub(crate) static KEY: LazyLock<Key> = LazyLock::new(|| Key::new("one"));
/// A key that it gets later.
pub(crate) static NEW: LazyLock<Key> = LazyLock::new(|| Key::new("two"));

impl Key {
    pub(crate) fn new(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().with_key_id(kid);
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().to_bytes());
        Self { jwk: json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x}), pair }
    }

    /// A token of `subject`, an engineer, good for an hour; `changes` replace claims, null takes one away.
    pub(crate) fn token(&self, subject: &str, changes: &Value) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": "databricks", "sub": subject, "groups": ["eng"], "iat": NOW, "exp": NOW + 3600,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let mut bare: JWTClaims<Value> =
            Claims::with_custom_claims(claims, jwt_simple::prelude::Duration::from_secs(1));
        (bare.issued_at, bare.expires_at, bare.invalid_before) = (None, None, None);
        self.pair.sign(bare).unwrap()
    }
}

/// A configuration; `changes` replace its parts.
pub(crate) fn config(changes: &Value) -> Value {
    let mut config = json!({
        "workspace": {"url": WORKSPACE, "id": WORKSPACE_ID, "public_url": "https://gw.example.com"},
        "identity_providers": [idp()],
        "roles": [role(&json!({"type": "user_federation"}))],
    });
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

/// The identity provider.
pub(crate) fn idp() -> Value {
    json!({"name": "idp", "issuer": ISSUER, "audiences": ["databricks"], "algorithms": ["EdDSA"]})
}

/// The role of engineers, with this credential.
pub(crate) fn role(credential: &Value) -> Value {
    json!({"name": "engineer", "match": {"groups": ["eng"]}, "credential": credential})
}

pub(crate) fn with_credential(credential: &Value) -> Value {
    config(&json!({"roles": [role(credential)]}))
}

/// The role of engineers, with these rules.
pub(crate) fn with_rules(rules: &Value) -> Value {
    let mut role = role(&json!({"type": "user_federation", "scope": "minimal"}));
    for (name, value) in rules.as_object().unwrap() {
        role[name] = value.clone();
    }
    config(&json!({"roles": [role]}))
}

pub(crate) fn service_principal() -> Value {
    json!({"type": "service_principal_secret", "client_id": "app", "client_secret": "canary-secret"})
}

pub(crate) fn ok(body: &Value) -> CalloutEnd {
    CalloutEnd::reply(200, body.to_string())
}

/// The same reply with a header.
pub(crate) fn with_header(mut end: CalloutEnd, name: &str, value: &str) -> CalloutEnd {
    if let CalloutEnd::Reply { headers, .. } = &mut end {
        headers.push((name.to_owned(), value.to_owned()));
    }
    end
}

pub(crate) fn discovery() -> CalloutEnd {
    ok(&json!({
        "issuer": ISSUER, "jwks_uri": "https://idp.example/keys", "authorization_endpoint": "https://idp.example/auth",
        "token_endpoint": SIGN_IN,
    }))
}

pub(crate) fn keys(keys: &[&Key]) -> CalloutEnd {
    let keys: Vec<_> = keys.iter().map(|key| &key.jwk).collect();
    ok(&json!({ "keys": keys }))
}

/// Where the provider gives tokens to those who sign in.
pub(crate) const SIGN_IN: &str = "https://idp.example/token";

/// A Databricks token that lives for `expires_in` seconds.
pub(crate) fn minted(token: &str, expires_in: u64) -> CalloutEnd {
    ok(&json!({"access_token": token, "token_type": "Bearer", "expires_in": expires_in}))
}

pub(crate) fn client(method: &str, target: &str, headers: &[(&str, &str)]) -> HttpRequest {
    let own = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let headers = [("host".to_owned(), "gw.example.com".to_owned())].into_iter().chain(own).collect();
    HttpRequest { method: method.to_owned(), target: target.to_owned(), headers, ..HttpRequest::default() }
}

pub(crate) fn get(token: &str) -> HttpRequest {
    get_at("/api/2.1/jobs/list", token)
}

pub(crate) fn get_at(target: &str, token: &str) -> HttpRequest {
    client("GET", target, &[("Authorization", &format!("Bearer {token}")), ("User-Agent", "curl/8")])
}

pub(crate) fn post(target: &str, token: &str, body: &Value) -> HttpRequest {
    let body = Some(body.to_string().into_bytes());
    let mut request = HttpRequest { method: "POST".to_owned(), body, ..get_at(target, token) };
    request.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    request
}
