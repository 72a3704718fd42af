//! Tokens and callers for tests, signed for real: a test cannot make a [`Caller`] that `verify` would not.

use super::{Algorithm, Caller, ClaimPath, Expectations, KeySet, TokenError, UnverifiedToken, verify};
use crate::base::UnixTime;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use std::time::Duration;

/// When [`caller`] and [`check`] verify.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
/// The issuer of [`claims`].
pub(crate) const ISSUER: &str = "https://idp.example";

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public key that fits [`sign`], with `kid` "k1".
pub(crate) fn jwk() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "alg": "EdDSA", "use": "sig", "x": b64(signing_key().verifying_key())})
}

/// A key set of that one key.
pub(crate) fn keys() -> KeySet {
    key_set(&[jwk()])
}

pub(crate) fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap().keys
}

/// A token with exactly this text as header and as payload.
pub(crate) fn sign_texts(header: &str, payload: &str) -> String {
    let signing_input = format!("{}.{}", b64(header), b64(payload));
    let signature = signing_key().sign(signing_input.as_bytes());
    format!("{signing_input}.{}", b64(signature.to_bytes()))
}

/// A token with these claims.
pub(crate) fn sign(claims: &Value) -> String {
    sign_texts(r#"{"alg":"EdDSA","typ":"JWT","kid":"k1"}"#, &claims.to_string())
}

/// Acceptable claims, with `changes` put over them; a change to null takes the claim away.
pub(crate) fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": "databricks", "sub": "anna", "iat": 1_799_999_990, "nbf": 1_799_999_990, "exp": 1_800_000_600,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// What [`claims`] without changes satisfy.
pub(crate) fn expectations() -> Expectations {
    Expectations {
        issuer: ISSUER.into(),
        audiences: vec!["databricks".to_owned()],
        algorithms: vec![Algorithm::EdDSA],
        clock_skew: Duration::from_secs(30),
        max_lifetime: None,
        subject: ClaimPath::name("sub"),
        groups: ClaimPath::name("groups"),
        groups_separator: None,
        client: None,
        required: Vec::new(),
    }
}

/// Parses and verifies `token` at [`NOW`].
pub(crate) fn check(token: &str, expect: &Expectations) -> Result<Caller, TokenError> {
    verify(&UnverifiedToken::parse(token.as_bytes(), 16384)?, &keys(), expect, NOW)
}

/// The caller of [`claims`] with these changes.
pub(crate) fn caller(changes: Value) -> Caller {
    check(&sign(&claims(changes)), &expectations()).unwrap()
}

/// A key to sign with.
pub(crate) fn signing_key_pem() -> crate::base::Secret<String> {
    super::signing::tests::pem()
}
