//! The keys that a provider publishes.

use super::{Algorithm, PublicKey};
use crate::base::parse_object_strict;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Longest reply that is read. Providers' key sets have a few kilobytes; each x5c certificate adds two.
const BODY_BYTES: usize = 256 * 1024;
/// Keys beyond these are not looked at.
const MAX_KEYS: usize = 100;
/// A JWK is flat but for lists (`x5c`, `key_ops`, `oth`).
const KEY_DEPTH: usize = 8;
/// Keys tried for one token. More than one fits only where `kid` is missing or repeated; each try costs a worker's time.
const MAX_TRIES: usize = 8;

/// A provider's usable keys. Made by [`KeySet::parse`]; never empty.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    key_id: Option<String>,
    key: PublicKey,
}

/// What a reply held.
#[derive(Clone, Debug)]
pub struct ParsedKeys {
    /// The keys that can verify tokens.
    pub keys: KeySet,
    /// The entries that cannot, for the log.
    pub skipped: Vec<SkippedKey>,
}

/// An entry of a key set that is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in `keys`, from 0.
    pub index: usize,
    /// Why.
    pub reason: SkipReason,
}

/// Why one key of a set is not used. The other keys are not affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// Not a JSON object with the members that its `kty` needs, each a string in base64url where that is due, none twice.
    #[error("malformed")]
    Malformed,
    /// `kid` is not a string.
    #[error("the key id is not a string")]
    KeyId,
    /// `kty` is none of RSA, EC, OKP.
    #[error("the key type is not supported")]
    KeyTypeUnsupported,
    /// `oct`: a shared secret. Never used.
    #[error("a symmetric key")]
    Symmetric,
    /// The private half is published too, so a signature proves nothing.
    #[error("the private key is published with it")]
    PrivateKey,
    /// `crv` is none of P-256, P-384, Ed25519.
    #[error("the curve is not supported")]
    CurveUnsupported,
    /// `use` or `key_ops` say that it is for something else.
    #[error("not for verifying signatures")]
    NotForSignatures,
    /// `alg` is no algorithm that this crate verifies.
    #[error("the algorithm is not supported")]
    AlgorithmUnsupported,
    /// `alg` cannot belong to this type of key.
    #[error("the algorithm does not fit the key")]
    AlgorithmMismatch,
    /// The RSA modulus is even, or not of 2048 to 4096 bits.
    #[error("the modulus is not an odd number of 2048 to 4096 bits")]
    RsaModulus,
    /// The RSA exponent is even, below 65537 or of more than 32 bits.
    #[error("the exponent is not an odd number from 65537 to 4294967295")]
    RsaExponent,
    /// The coordinates have the wrong length, are not on the curve, or the point is of small order.
    #[error("not a point that can be a key")]
    PointInvalid,
    /// This entry and all after it are beyond the number that is looked at.
    #[error("too many keys")]
    TooMany,
}

/// Why a reply gave no keys. Keep the old keys and try again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Longer than 256 KiB.
    #[error("the key set is too long")]
    TooLarge,
    /// Not a JSON object with a list `keys`.
    #[error("not a key set: no JSON object with a list `keys`")]
    Malformed,
    /// Every key was skipped, or there was none.
    #[error("the key set has no usable key")]
    NoUsableKey(Vec<SkippedKey>),
}

/// Entries stay text until each is read by itself, so that one with a member twice, or nested a thousandfold, harms no other.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// Reads a JWK set (RFC 7517 5). Whatever cannot be used is skipped and reported; the rest is used.
    ///
    /// # Errors
    ///
    /// [`JwksError`], if nothing can be used. A reply without keys counts as a failed refresh.
    pub fn parse(bytes: &[u8]) -> Result<ParsedKeys, JwksError> {
        if bytes.len() > BODY_BYTES {
            return Err(JwksError::TooLarge);
        }
        let body: Body<'_> = serde_json::from_slice(bytes).map_err(|_| JwksError::Malformed)?;
        let mut keys = Vec::new();
        let mut skipped = Vec::new();
        for (index, text) in body.keys.iter().enumerate().take(MAX_KEYS) {
            match entry(text.get()) {
                Ok(entry) => keys.push(entry),
                Err(reason) => skipped.push(SkippedKey { index, reason }),
            }
        }
        if body.keys.len() > MAX_KEYS {
            skipped.push(SkippedKey { index: MAX_KEYS, reason: SkipReason::TooMany });
        }
        if keys.is_empty() {
            return Err(JwksError::NoUsableKey(skipped));
        }
        Ok(ParsedKeys { keys: Self { keys }, skipped })
    }

    /// How many usable keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Always false; a set without keys is not made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys to try for a token.
    ///
    /// With a `kid`: the keys of that id; if there is none, those without id, since some providers leave it out of the set. Without:
    /// every key. In each case only those that fit the algorithm, in the provider's order, and no more than 8: a token that only a
    /// ninth key verifies is refused.
    pub(super) fn candidates(&self, key_id: Option<&str>, algorithm: Algorithm) -> Candidates<'_> {
        let fitting = |wanted: &dyn Fn(&Entry) -> bool| -> Vec<&PublicKey> {
            let entries = self.keys.iter().filter(|entry| wanted(entry) && entry.key.fits(algorithm));
            entries.take(MAX_TRIES).map(|entry| &entry.key).collect()
        };
        let Some(key_id) = key_id else { return Candidates { keys: fitting(&|_| true), named: false } };
        let keys = fitting(&|entry| entry.key_id.as_deref() == Some(key_id));
        if keys.is_empty() {
            return Candidates { keys: fitting(&|entry| entry.key_id.is_none()), named: false };
        }
        Candidates { keys, named: true }
    }
}

/// Keys to try for one token.
pub(super) struct Candidates<'k> {
    pub(super) keys: Vec<&'k PublicKey>,
    /// Whether they were found by the token's `kid`.
    pub(super) named: bool,
}

fn entry(text: &str) -> Result<Entry, SkipReason> {
    let mut jwk = parse_object_strict(text.as_bytes(), KEY_DEPTH).map_err(|_| SkipReason::Malformed)?;
    // some serializers write what is absent as null
    jwk.retain(|_, value| !value.is_null());
    Ok(Entry { key_id: key_id(&jwk)?, key: PublicKey::from_jwk(&jwk)? })
}

fn key_id(jwk: &Map<String, Value>) -> Result<Option<String>, SkipReason> {
    match jwk.get("kid") {
        None => Ok(None),
        Some(Value::String(key_id)) => Ok(Some(key_id.clone())),
        Some(_) => Err(SkipReason::KeyId),
    }
}
