//! Public keys and what they verify.

use super::compact::base64url;
use super::ecdsa::{P256Key, P384Key};
use super::eddsa::Ed25519Key;
use super::rsa::RsaKey;
use super::{Algorithm, SkipReason};
use serde_json::{Map, Value};
use std::fmt;

/// One public key of a provider, parsed, checked and made ready, so that a request pays only for the verification.
///
/// A key is bound to the algorithms that its type allows, and to one of them if the provider said which (RFC 8725 3.1,
/// 3.2): a token cannot choose another use for it.
#[derive(Clone)]
pub struct PublicKey {
    /// From the JWK's `alg`.
    only: Option<Algorithm>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Rsa(Box<RsaKey>),
    P256(Box<P256Key>),
    P384(Box<P384Key>),
    Ed25519(Box<Ed25519Key>),
}

/// Why a signature was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key is not for this algorithm; nothing was computed.
    #[error("the key is not for this algorithm")]
    WrongAlgorithm,
    /// The signature has the wrong form, or this key did not make it.
    #[error("the signature is invalid")]
    Invalid,
}

impl PublicKey {
    /// Reads one JSON Web Key (RFC 7517 4, RFC 7518 6, RFC 8037 2).
    ///
    /// A key that also has private members is not used: what is published for all to read no longer proves who signed.
    ///
    /// # Errors
    ///
    /// [`SkipReason`]: go on without this key.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, SkipReason> {
        let key_type = jwk.get("kty").and_then(Value::as_str).ok_or(SkipReason::Malformed)?;
        if key_type == "oct" {
            return Err(SkipReason::Symmetric);
        }
        refuse_other_uses(jwk)?;
        let kind = match key_type {
            "RSA" => Kind::Rsa(Box::new(RsaKey::new(&member(jwk, "n")?, &member(jwk, "e")?)?)),
            "EC" => match curve(jwk)? {
                "P-256" => Kind::P256(Box::new(P256Key::new(&member(jwk, "x")?, &member(jwk, "y")?)?)),
                "P-384" => Kind::P384(Box::new(P384Key::new(&member(jwk, "x")?, &member(jwk, "y")?)?)),
                _ => return Err(SkipReason::CurveUnsupported),
            },
            "OKP" => match curve(jwk)? {
                "Ed25519" => Kind::Ed25519(Box::new(Ed25519Key::new(&member(jwk, "x")?)?)),
                _ => return Err(SkipReason::CurveUnsupported),
            },
            _ => return Err(SkipReason::KeyTypeUnsupported),
        };
        let mut key = Self { only: None, kind };
        key.only = key.named_algorithm(jwk)?;
        Ok(key)
    }

    /// Whether the key may verify signatures of `algorithm`.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.only.is_none_or(|only| only == algorithm) && self.kind.fits(algorithm)
    }

    /// Checks that the owner of this key signed `signing_input`.
    ///
    /// # Errors
    ///
    /// [`SignatureError`]; refuse, or try another key.
    pub fn verify(&self, algorithm: Algorithm, signing_input: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if !self.fits(algorithm) {
            return Err(SignatureError::WrongAlgorithm);
        }
        let valid = match &self.kind {
            Kind::Rsa(key) => key.verify(algorithm, signing_input, signature),
            Kind::P256(key) => key.verify(signing_input, signature),
            Kind::P384(key) => key.verify(signing_input, signature),
            Kind::Ed25519(key) => key.verify(signing_input, signature),
        };
        if valid { Ok(()) } else { Err(SignatureError::Invalid) }
    }

    /// `alg`, which must be one that the key's type can have.
    fn named_algorithm(&self, jwk: &Map<String, Value>) -> Result<Option<Algorithm>, SkipReason> {
        let Some(value) = jwk.get("alg") else { return Ok(None) };
        let algorithm = value.as_str().and_then(Algorithm::from_name).ok_or(SkipReason::AlgorithmUnsupported)?;
        if self.kind.fits(algorithm) { Ok(Some(algorithm)) } else { Err(SkipReason::AlgorithmMismatch) }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Rsa(_) => "RSA",
            Kind::P256(_) => "P-256",
            Kind::P384(_) => "P-384",
            Kind::Ed25519(_) => "Ed25519",
        };
        f.debug_struct("PublicKey").field("kind", &kind).field("only", &self.only).finish()
    }
}

impl Kind {
    const fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Rsa(_) => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Self::P256(_) => matches!(algorithm, ES256),
            Self::P384(_) => matches!(algorithm, ES384),
            Self::Ed25519(_) => matches!(algorithm, EdDSA),
        }
    }
}

/// A key for encryption or signing only must not verify (RFC 7517 4.2, 4.3); nor may one whose private half is
/// published with it.
fn refuse_other_uses(jwk: &Map<String, Value>) -> Result<(), SkipReason> {
    const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    if PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
        return Err(SkipReason::PrivateKey);
    }
    if jwk.get("use").is_some_and(|usage| usage.as_str() != Some("sig")) {
        return Err(SkipReason::NotForSignatures);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|name| name.as_str() == Some("verify")) => Ok(()),
        Some(_) => Err(SkipReason::NotForSignatures),
    }
}

fn curve(jwk: &Map<String, Value>) -> Result<&str, SkipReason> {
    jwk.get("crv").and_then(Value::as_str).ok_or(SkipReason::Malformed)
}

fn member(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, SkipReason> {
    jwk.get(name).and_then(Value::as_str).and_then(base64url).ok_or(SkipReason::Malformed)
}

#[cfg(test)]
mod tests {
    use super::super::testing::jwk;
    use super::*;
    use serde_json::json;

    fn rsa(changes: Value) -> Result<PublicKey, SkipReason> {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/jwt_rsa.json")).unwrap();
        let mut jwk = json!({"kty": "RSA", "n": vectors["second spelling"]["n"], "e": "AQAB"});
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        PublicKey::from_jwk(jwk.as_object().unwrap())
    }

    fn fitting(key: &PublicKey) -> Vec<&'static str> {
        Algorithm::ALL.into_iter().filter(|algorithm| key.fits(*algorithm)).map(Algorithm::name).collect()
    }

    #[test]
    fn an_rsa_key_fits_all_of_rsa_or_the_one_it_names() {
        assert_eq!(fitting(&rsa(json!({})).unwrap()), ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]);
        assert_eq!(fitting(&rsa(json!({"alg": "PS384"})).unwrap()), ["PS384"]);
    }

    #[test]
    fn a_curve_fits_one_algorithm() {
        assert_eq!(fitting(&PublicKey::from_jwk(jwk().as_object().unwrap()).unwrap()), ["EdDSA"]);
    }

    #[test]
    fn a_key_computes_nothing_for_an_algorithm_that_it_does_not_fit() {
        let key = rsa(json!({"alg": "RS256"})).unwrap();
        assert_eq!(key.verify(Algorithm::RS512, b"", b""), Err(SignatureError::WrongAlgorithm));
        assert_eq!(key.verify(Algorithm::EdDSA, b"", b""), Err(SignatureError::WrongAlgorithm));
        assert_eq!(key.verify(Algorithm::RS256, b"", b""), Err(SignatureError::Invalid));
    }

    #[test]
    fn debug_names_the_kind_only() {
        let key = rsa(json!({"alg": "RS256"})).unwrap();
        assert_eq!(format!("{key:?}"), "PublicKey { kind: \"RSA\", only: Some(RS256) }");
    }
}
