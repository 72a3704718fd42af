//! Verified callers and configurations, made as a running gateway makes them.

use databricks_kong::base::UnixTime;
use databricks_kong::config::{Config, Settings};
use databricks_kong::jwt::{Caller, KeySet, UnverifiedToken, verify};
use jwt_simple::prelude::{Claims, ECDSAP256KeyPairLike, ECDSAP256PublicKeyLike, ES256KeyPair};
use serde_json::{Value, json};
use std::rc::Rc;

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const ISSUER: &str = "https://idp.example";

/// The configuration of these roles and agents.
pub(crate) fn config(mode: &str, roles: &Value, agents: &Value) -> Rc<Config> {
    let config = json!({
        "mode": mode,
        "workspace": {"url": "https://adb.example.net", "id": "1"},
        "identity_providers": [{"name": "idp", "issuer": ISSUER, "audiences": ["databricks"]}],
        "roles": roles,
        "agents": agents,
    });
    match Settings::parse(config.to_string().as_bytes(), &|_| None) {
        Ok(Settings::Enforce(config)) => config,
        other => panic!("{other:?}\n{config:#}"),
    }
}

/// Verified callers with these groups and clients.
pub(crate) fn callers<'a>(kinds: impl IntoIterator<Item = (Vec<String>, Option<&'a str>)>) -> Vec<Rc<Caller>> {
    let issuer = Issuer::new();
    let caller = |(groups, client): (Vec<String>, Option<&str>)| {
        let mut claims = json!({ "groups": groups });
        if let Some(client) = client {
            claims["azp"] = json!(client);
        }
        issuer.vouch_for(&claims)
    };
    kinds.into_iter().map(caller).collect()
}

/// A verified caller with these claims over the usual ones.
#[allow(dead_code, reason = "benches/decide.rs shares this file and has no use for it")]
pub(crate) fn verified(claims: &Value) -> Rc<Caller> {
    Issuer::new().vouch_for(claims)
}

/// The provider of [`config`], with a key of its own.
struct Issuer {
    key: ES256KeyPair,
    keys: KeySet,
    config: Rc<Config>,
}

impl Issuer {
    fn new() -> Self {
        let key = ES256KeyPair::generate();
        let point = key.public_key().public_key().to_bytes_uncompressed();
        let b64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
        let (x, y) = point[1..].split_at(32);
        let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)}]});
        let keys = KeySet::parse(jwks.to_string().as_bytes()).unwrap().keys;
        let any = json!([{"name": "r", "match": {"groups": ["g"]}, "credential": {"type": "passthrough"}}]);
        Self { key, keys, config: config("enforce", &any, &json!([])) }
    }

    fn vouch_for(&self, changes: &Value) -> Rc<Caller> {
        let mut claims = json!({"sub": "anna", "iss": ISSUER, "aud": "databricks", "exp": 1_800_003_600});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let mut signed = Claims::with_custom_claims(claims, jwt_simple::prelude::Duration::from_secs(1));
        (signed.issued_at, signed.expires_at, signed.invalid_before) = (None, None, None);
        let token = self.key.sign(signed).unwrap();
        let token = UnverifiedToken::parse(token.as_bytes(), 16_384).unwrap();
        Rc::new(verify(&token, &self.keys, &self.config.providers[0].expectations, NOW).unwrap())
    }
}
