//! An identity provider that is also a transmitter: keys, discovery, tokens of any shape, an endpoint to poll.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jwt_simple::prelude::{ECDSAP256KeyPairLike, ES256KeyPair, HeaderOptions, JWTClaims, RS256KeyPair, RSAKeyPairLike};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
pub(crate) const CREDENTIAL_CHANGE: &str = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
pub(crate) const CLAIMS_CHANGE: &str = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
pub(crate) const DISABLED: &str = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
pub(crate) const ENABLED: &str = "https://schemas.openid.net/secevent/risc/event-type/account-enabled";
pub(crate) const PURGED: &str = "https://schemas.openid.net/secevent/risc/event-type/account-purged";
pub(crate) const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
pub(crate) const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What the issuer has and was told.
#[derive(Default)]
pub(crate) struct Site {
    pub(crate) issuer: String,
    pub(crate) keys: Mutex<Vec<Value>>,
    pub(crate) key_fetches: AtomicU64,
    pub(crate) keys_fail: Mutex<bool>,
    /// Events that wait to be polled, by `jti`.
    pub(crate) waiting: Mutex<BTreeMap<String, String>>,
    /// The bodies of polls.
    pub(crate) polls: Mutex<Vec<Value>>,
    /// The `Authorization` that polls must have.
    pub(crate) poll_secret: Mutex<Option<String>>,
}

pub(crate) struct Issuer {
    pub(crate) site: Arc<Site>,
    key: ES256KeyPair,
}

static COUNT: AtomicU64 = AtomicU64::new(0);

pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn now() -> u64 {
    revocations::clock::now().wall.as_secs()
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let key = ES256KeyPair::generate().with_key_id("k1");
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let site = Arc::new(Site { issuer, keys: Mutex::new(vec![public(&key)]), ..Site::default() });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/.well-known/ssf-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/poll", post(poll))
            .route("/token", post(token))
            .with_state(Arc::clone(&site));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { site, key }
    }

    pub(crate) fn url(&self) -> &str {
        &self.site.issuer
    }

    /// A new key, the old one gone.
    pub(crate) fn rotate(&mut self) {
        self.key = ES256KeyPair::generate().with_key_id("k2");
        *self.site.keys.lock().unwrap() = vec![public(&self.key)];
    }

    /// The claims of a good security event token with one event about a subject.
    pub(crate) fn event(&self, uri: &str, subject: Value) -> Value {
        json!({
            "iss": self.url(), "aud": "revocations", "iat": now(), "jti": unique("e"), "sub_id": subject,
            "events": {uri: {"event_timestamp": now()}},
        })
    }

    /// The claims of a good logout token.
    pub(crate) fn logout(&self, sub: &str) -> Value {
        json!({
            "iss": self.url(), "aud": "client-1", "iat": now(), "exp": now() + 120, "jti": unique("l"), "sub": sub,
            "events": {LOGOUT: {}},
        })
    }

    pub(crate) fn iss_sub(&self, sub: &str) -> Value {
        json!({"format": "iss_sub", "iss": self.url(), "sub": sub})
    }

    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        let options = HeaderOptions { signature_type: Some(typ.to_owned()), ..HeaderOptions::default() };
        self.key.sign_with_options(bare(claims), &options).unwrap()
    }

    pub(crate) fn sign_event(&self, claims: &Value) -> String {
        self.sign("secevent+jwt", claims)
    }

    /// By RSA, with a key that is then published too.
    pub(crate) fn sign_rs256(&self, typ: &str, claims: &Value) -> String {
        let der = include_bytes!("../../../mock-databricks/src/signing_key.der");
        let key = RS256KeyPair::from_der(der).unwrap().with_key_id("r1");
        let public = key.public_key().with_key_id("r1").to_jwk();
        self.site.keys.lock().unwrap().push(serde_json::from_str(&public).unwrap());
        let options = HeaderOptions { signature_type: Some(typ.to_owned()), ..HeaderOptions::default() };
        key.sign_with_options(bare(claims), &options).unwrap()
    }
}

fn public(key: &ES256KeyPair) -> Value {
    let id = key.key_id().clone().unwrap();
    serde_json::from_str(&key.public_key().with_key_id(&id).to_jwk()).unwrap()
}

/// `jwt-simple` adds no claims of its own to these.
fn bare(claims: &Value) -> JWTClaims<Map<String, Value>> {
    JWTClaims {
        issued_at: None,
        expires_at: None,
        invalid_before: None,
        issuer: None,
        subject: None,
        audiences: None,
        jwt_id: None,
        nonce: None,
        custom: claims.as_object().unwrap().clone(),
    }
}

async fn discovery(State(site): State<Arc<Site>>) -> Json<Value> {
    Json(json!({"issuer": site.issuer, "jwks_uri": format!("{}/keys", site.issuer)}))
}

async fn keys(State(site): State<Arc<Site>>) -> Response {
    site.key_fetches.fetch_add(1, Ordering::Relaxed);
    if *site.keys_fail.lock().unwrap() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    Json(json!({"keys": *site.keys.lock().unwrap()})).into_response()
}

/// RFC 8936: what is acknowledged, or called wrong, does not come again.
async fn poll(State(site): State<Arc<Site>>, headers: HeaderMap, Json(asked): Json<Value>) -> Response {
    let wanted = site.poll_secret.lock().unwrap().clone();
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
    if wanted.is_some() && shown != wanted {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut waiting = site.waiting.lock().unwrap();
    for id in asked["ack"].as_array().unwrap() {
        waiting.remove(id.as_str().unwrap());
    }
    for id in asked["setErrs"].as_object().unwrap().keys() {
        waiting.remove(id);
    }
    site.polls.lock().unwrap().push(asked);
    let first: BTreeMap<_, _> = waiting.iter().take(2).collect();
    Json(json!({"sets": first, "moreAvailable": waiting.len() > 2})).into_response()
}

async fn token(body: String) -> Response {
    if body.contains("grant_type=client_credentials") && body.contains("client_secret=s%26cret") {
        return Json(json!({"access_token": "poll-token", "expires_in": 60})).into_response();
    }
    (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_client"}))).into_response()
}
