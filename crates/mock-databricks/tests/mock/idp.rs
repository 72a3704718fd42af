//! An identity provider: keys, discovery, and tokens with whatever claims a test wants.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use jwt_simple::prelude::{ECDSAP256KeyPairLike, ES256KeyPair, JWTClaims, RS256KeyPair, RSAKeyPairLike, UnixTimeStamp};
use serde_json::{Map, Value, json};

pub(crate) struct Idp {
    pub(crate) issuer: String,
    key: ES256KeyPair,
    published: Arc<Mutex<Vec<Value>>>,
}

#[derive(Clone)]
struct Site {
    issuer: String,
    published: Arc<Mutex<Vec<Value>>>,
}

impl Idp {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = ES256KeyPair::generate().with_key_id("idp-1");
        let published = Arc::new(Mutex::new(vec![public(&key, "idp-1")]));
        let site = Site { issuer: issuer.clone(), published: Arc::clone(&published) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .with_state(site);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { issuer, key, published }
    }

    /// The claims of a token that every policy of the bench accepts.
    pub(crate) fn claims(&self) -> Value {
        let now = now();
        json!({ "iss": self.issuer, "aud": "databricks", "sub": "alice@example.com", "iat": now, "exp": now + 600 })
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.key.sign(typed(claims)).unwrap()
    }

    /// Takes a new key into use, with the old one gone from the published set.
    pub(crate) fn rotate(&mut self) {
        self.key = ES256KeyPair::generate().with_key_id("idp-2");
        *self.published.lock().unwrap() = vec![public(&self.key, "idp-2")];
    }

    /// Signs with RSA; the key (the mock's own signing key, to save generating one) is published too.
    pub(crate) fn sign_rs256(&self, claims: &Value) -> String {
        let key = RS256KeyPair::from_der(include_bytes!("../../src/signing_key.der")).unwrap().with_key_id("rsa-1");
        let public = key.public_key().with_key_id("rsa-1").to_jwk();
        self.published.lock().unwrap().push(serde_json::from_str(&public).unwrap());
        key.sign(typed(claims)).unwrap()
    }

    /// Signs with a key that is not published but has the published key's id.
    pub(crate) fn forge(&self, claims: &Value) -> String {
        ES256KeyPair::generate().with_key_id("idp-1").sign(typed(claims)).unwrap()
    }

    pub(crate) fn jwks(&self) -> Value {
        json!({ "keys": *self.published.lock().unwrap() })
    }
}

pub(crate) fn now() -> u64 {
    UnixTimeStamp::from(jwt_simple::prelude::Clock::now_since_epoch()).as_secs()
}

fn typed(claims: &Value) -> JWTClaims<Map<String, Value>> {
    serde_json::from_value(claims.clone()).unwrap()
}

fn public(key: &ES256KeyPair, id: &str) -> Value {
    serde_json::from_str(&key.public_key().with_key_id(id).to_jwk()).unwrap()
}

async fn discovery(State(site): State<Site>) -> Json<Value> {
    Json(json!({ "issuer": site.issuer, "jwks_uri": format!("{}/keys", site.issuer) }))
}

async fn keys(State(site): State<Site>) -> Json<Value> {
    Json(json!({ "keys": *site.published.lock().unwrap() }))
}
