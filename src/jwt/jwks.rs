//! The keys that a provider publishes.

use super::{Algorithm, PublicKey};
use crate::base::{parse_object_strict, read_member};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Longest reply that is read. Providers' key sets have a few kilobytes; each x5c certificate adds two.
const BODY_BYTES: usize = 256 * 1024;
/// Keys beyond these are not looked at.
const MAX_KEYS: usize = 100;
/// A JWK is flat but for lists (`x5c`, `key_ops`, `oth`).
const KEY_DEPTH: usize = 8;
/// Keys tried for one token. More than one fits only where `kid` is missing or repeated; each try costs a worker's
/// time.
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
    /// Not a JSON object with the members that its `kty` needs, each a string in base64url where that is due, none
    /// twice.
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
        // Entries stay text until each is read by itself, so that one with a member twice, or nested a thousandfold, harms no other.
        let texts: Vec<&RawValue> = read_member(bytes, "keys").ok().flatten().ok_or(JwksError::Malformed)?;
        let mut keys = Vec::new();
        let mut skipped = Vec::new();
        for (index, text) in texts.iter().enumerate().take(MAX_KEYS) {
            match entry(text.get()) {
                Ok(entry) => keys.push(entry),
                Err(reason) => skipped.push(SkippedKey { index, reason }),
            }
        }
        if texts.len() > MAX_KEYS {
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
    /// With a `kid`: the keys of that id; if there is none, those without id, since some providers leave it out of the
    /// set. Without: every key. In each case only those that fit the algorithm, in the provider's order, and no more
    /// than 8: a token that only a ninth key verifies is refused.
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

#[cfg(test)]
mod tests {
    use super::super::testing::jwk;
    use super::*;
    use serde_json::json;

    /// `jwk` with `changes` put over it; a change to null takes the member away.
    fn changed(mut jwk: Value, changes: Value) -> Value {
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        jwk
    }

    fn parse(keys: &[Value]) -> Result<ParsedKeys, JwksError> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    /// Why this key is skipped beside a good one, which must go on to be used.
    fn skipped(bad: Value) -> SkipReason {
        let parsed = parse(&[bad.clone(), jwk()]).unwrap();
        assert_eq!(parsed.keys.len(), 1, "{bad}");
        assert_eq!(parsed.skipped.len(), 1, "{bad}");
        assert_eq!(parsed.skipped[0].index, 0);
        parsed.skipped[0].reason
    }

    fn rsa() -> Value {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/jwt_rsa.json")).unwrap();
        json!({"kty": "RSA", "kid": "r1", "n": vectors["second spelling"]["n"], "e": "AQAB"})
    }

    /// RFC 7515 A.3.
    fn p256() -> Value {
        json!({"kty": "EC", "crv": "P-256", "kid": "e1",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    }

    #[test]
    fn the_sets_that_providers_serve_are_read() {
        let minimal = changed(rsa(), json!({"kid": null}));
        let full = changed(
            rsa(),
            json!({"alg": "RS256", "use": "sig", "key_ops": ["verify"], "x5c": ["MIIC"], "x5t": "a", "x5t#S256": "b",
            "issuer": "https://login.microsoftonline.com/t/v2.0", "cloud_instance_name": "x", "ext": true, "nbf": 1}),
        );
        let absent = changed(rsa(), json!({"kid": "r2"}));
        let parsed = parse(&[minimal, full, absent, p256(), jwk()]).unwrap();
        assert_eq!((parsed.keys.len(), parsed.skipped), (5, Vec::new()));
        let with_nulls = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":null,"use":null,"kid":null,"d":null}]}"#;
        assert_eq!(KeySet::parse(with_nulls.as_bytes()).unwrap().keys.len(), 1);
    }

    #[test]
    fn other_members_beside_the_keys_are_ignored() {
        let body = json!({"keys": [jwk()], "cache": {"keys": [1]}, "next": null});
        assert_eq!(KeySet::parse(body.to_string().as_bytes()).unwrap().keys.len(), 1);
    }

    #[test]
    fn a_key_that_cannot_be_used_is_skipped_and_harms_no_other() {
        use SkipReason as Why;
        for bad in [json!(null), json!(1), json!("key"), json!([]), json!({}), json!({"kty": 1}), json!({"kty": null})]
        {
            assert_eq!(skipped(bad), Why::Malformed);
        }
        assert_eq!(skipped(json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"})), Why::Symmetric);
        assert_eq!(skipped(json!({"kty": "oct", "kid": "a"})), Why::Symmetric);
        assert_eq!(skipped(json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "a"})), Why::KeyTypeUnsupported);
        assert_eq!(skipped(json!({"kty": "rsa"})), Why::KeyTypeUnsupported);
        assert_eq!(skipped(changed(p256(), json!({"crv": "P-521"}))), Why::CurveUnsupported);
        assert_eq!(skipped(changed(p256(), json!({"crv": "secp256k1"}))), Why::CurveUnsupported);
        assert_eq!(skipped(changed(jwk(), json!({"crv": "Ed448"}))), Why::CurveUnsupported);
        assert_eq!(skipped(changed(jwk(), json!({"crv": "X25519"}))), Why::CurveUnsupported);
        assert_eq!(skipped(changed(p256(), json!({"crv": null}))), Why::Malformed);
        assert_eq!(skipped(changed(rsa(), json!({"kid": 7}))), Why::KeyId);
        assert_eq!(skipped(changed(rsa(), json!({"n": null}))), Why::Malformed);
        assert_eq!(skipped(changed(rsa(), json!({"n": 5}))), Why::Malformed);
        assert_eq!(skipped(changed(rsa(), json!({"e": "AQ=="}))), Why::Malformed);
        assert_eq!(skipped(changed(rsa(), json!({"e": "A+/B"}))), Why::Malformed);
        assert_eq!(skipped(changed(rsa(), json!({"e": "Aw"}))), Why::RsaExponent);
        assert_eq!(skipped(changed(rsa(), json!({"n": "AQAB"}))), Why::RsaModulus);
    }

    #[test]
    fn a_key_for_another_use_is_skipped() {
        use SkipReason as Why;
        assert_eq!(skipped(changed(rsa(), json!({"use": "enc"}))), Why::NotForSignatures);
        assert_eq!(skipped(changed(rsa(), json!({"use": "SIG"}))), Why::NotForSignatures);
        assert_eq!(skipped(changed(rsa(), json!({"use": ["sig"]}))), Why::NotForSignatures);
        assert_eq!(skipped(changed(rsa(), json!({"key_ops": ["sign"]}))), Why::NotForSignatures);
        assert_eq!(skipped(changed(rsa(), json!({"key_ops": []}))), Why::NotForSignatures);
        assert_eq!(skipped(changed(rsa(), json!({"key_ops": "verify"}))), Why::NotForSignatures);
        assert_eq!(skipped(changed(rsa(), json!({"alg": "RSA-OAEP-256", "use": "enc"}))), Why::NotForSignatures);
        assert_eq!(skipped(changed(rsa(), json!({"alg": "RSA-OAEP-256"}))), Why::AlgorithmUnsupported);
        assert_eq!(skipped(changed(rsa(), json!({"alg": "HS256"}))), Why::AlgorithmUnsupported);
        assert_eq!(skipped(changed(rsa(), json!({"alg": "none"}))), Why::AlgorithmUnsupported);
        assert_eq!(skipped(changed(rsa(), json!({"alg": 1}))), Why::AlgorithmUnsupported);
        assert_eq!(skipped(changed(rsa(), json!({"alg": "ES256"}))), Why::AlgorithmMismatch);
        assert_eq!(skipped(changed(p256(), json!({"alg": "ES384"}))), Why::AlgorithmMismatch);
        assert_eq!(skipped(changed(jwk(), json!({"alg": "RS256"}))), Why::AlgorithmMismatch);
    }

    #[test]
    fn a_key_whose_private_half_is_published_is_skipped() {
        for (key, name) in
            [(rsa(), "d"), (rsa(), "p"), (rsa(), "qi"), (rsa(), "oth"), (p256(), "d"), (jwk(), "d"), (rsa(), "k")]
        {
            assert_eq!(skipped(changed(key, json!({name: "AQAB"}))), SkipReason::PrivateKey, "{name}");
        }
    }

    #[test]
    fn points_that_can_be_no_key_are_skipped() {
        let zeros = |bytes: usize| json!(super::super::testing::b64(vec![0; bytes]));
        for changes in [
            json!({"x": zeros(32)}),
            json!({"x": zeros(32), "y": zeros(32)}),
            json!({"y": p256()["x"]}),
            json!({"x": zeros(0)}),
            json!({"x": zeros(31)}),
            json!({"x": zeros(33)}),
            json!({"crv": "P-384"}),
            json!({"x": super::super::testing::b64([0xff; 32])}),
        ] {
            assert_eq!(skipped(changed(p256(), changes.clone())), SkipReason::PointInvalid, "{changes}");
        }
        let one = [vec![1], vec![0; 31]].concat();
        let off_the_curve = [vec![2], vec![0; 31]].concat();
        // 2^255 - 1, which is 18 for the arithmetic, and 18 is on the curve
        let not_canonical = [vec![0xff; 31], vec![0x7f]].concat();
        for x in [vec![], vec![0; 31], vec![0; 32], vec![0; 33], one, off_the_curve, not_canonical] {
            let x = super::super::testing::b64(x);
            assert_eq!(skipped(changed(jwk(), json!({"x": x}))), SkipReason::PointInvalid, "{x}");
        }
    }

    #[test]
    fn a_member_twice_or_deep_nesting_spoils_only_its_own_key() {
        let deep = format!("{{\"kty\":\"RSA\",\"oth\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
        let twice = r#"{"kty":"RSA","kty":"EC"}"#;
        let body = format!(r#"{{"keys":[{twice},{deep},{}]}}"#, jwk());
        let parsed = KeySet::parse(body.as_bytes()).unwrap();
        assert_eq!(parsed.keys.len(), 1);
        let reasons: Vec<SkipReason> = parsed.skipped.iter().map(|key| key.reason).collect();
        assert_eq!(reasons, [SkipReason::Malformed; 2]);
    }

    #[test]
    fn what_is_no_key_set_is_an_error() {
        for body in [
            "",
            "{}",
            "[]",
            "null",
            "<html>",
            "{\"keys\":{}}",
            "{\"keys\":null}",
            "{\"keys\":[}",
            "{\"keys\":[]}x",
            "{\"keys\":[],\"keys\":[]}",
            "[[]]",
            "[[{\"kty\":\"RSA\"}]]",
        ] {
            assert_eq!(KeySet::parse(body.as_bytes()).unwrap_err(), JwksError::Malformed, "{body}");
        }
        let deep = format!("{{\"a\":{}", "[".repeat(200_000));
        assert_eq!(KeySet::parse(deep.as_bytes()).unwrap_err(), JwksError::Malformed);
    }

    #[test]
    fn no_usable_key_is_an_error_that_says_why() {
        assert_eq!(parse(&[]).unwrap_err(), JwksError::NoUsableKey(Vec::new()));
        let error = parse(&[json!({"kty": "oct"}), json!({})]).unwrap_err();
        let symmetric = SkippedKey { index: 0, reason: SkipReason::Symmetric };
        assert_eq!(
            error,
            JwksError::NoUsableKey(vec![symmetric, SkippedKey { index: 1, reason: SkipReason::Malformed }])
        );
    }

    #[test]
    fn a_reply_may_have_256_kib() {
        let mut body = json!({"keys": [jwk()]}).to_string().into_bytes();
        body.resize(256 * 1024, b' ');
        assert!(KeySet::parse(&body).is_ok());
        body.push(b' ');
        assert_eq!(KeySet::parse(&body).unwrap_err(), JwksError::TooLarge);
    }

    #[test]
    fn a_hundred_keys_are_looked_at_and_the_rest_is_reported_once() {
        let parsed = parse(&vec![jwk(); 100]).unwrap();
        assert_eq!((parsed.keys.len(), parsed.skipped.len()), (100, 0));
        let parsed = parse(&vec![jwk(); 200]).unwrap();
        assert_eq!(parsed.keys.len(), 100);
        assert_eq!(parsed.skipped, [SkippedKey { index: 100, reason: SkipReason::TooMany }]);
        assert!(matches!(parse(&[vec![json!(1); 100], vec![jwk()]].concat()), Err(JwksError::NoUsableKey(_))));
    }

    /// How many keys are tried, and whether they were found by id.
    fn tried(keys: &[Value], key_id: Option<&str>, algorithm: Algorithm) -> (usize, bool) {
        let keys = parse(keys).unwrap().keys;
        let candidates = keys.candidates(key_id, algorithm);
        (candidates.keys.len(), candidates.named)
    }

    #[test]
    fn a_key_id_chooses_among_the_keys_that_fit() {
        let keys = [rsa(), changed(rsa(), json!({"kid": "r2"})), p256(), changed(p256(), json!({"kid": "r1"}))];
        assert_eq!(tried(&keys, Some("r1"), Algorithm::RS256), (1, true));
        assert_eq!(tried(&keys, Some("r1"), Algorithm::ES256), (1, true), "one id, two types");
        assert_eq!(tried(&keys, Some("r2"), Algorithm::ES256), (0, false));
        assert_eq!(tried(&keys, Some("R1"), Algorithm::RS256), (0, false));
        assert_eq!(tried(&keys, Some(""), Algorithm::RS256), (0, false));
    }

    #[test]
    fn one_id_with_two_algorithms_is_told_apart_by_algorithm() {
        let keys = [changed(rsa(), json!({"alg": "RS256"})), changed(rsa(), json!({"alg": "PS256"}))];
        assert_eq!(tried(&keys, Some("r1"), Algorithm::PS256), (1, true));
        assert_eq!(tried(&keys, Some("r1"), Algorithm::RS512), (0, false));
    }

    #[test]
    fn keys_without_id_serve_tokens_whose_id_is_not_there() {
        let nameless = changed(rsa(), json!({"kid": null}));
        assert_eq!(tried(&[nameless.clone(), nameless.clone()], Some("r1"), Algorithm::RS256), (2, false));
        assert_eq!(tried(&[nameless.clone(), rsa()], Some("r1"), Algorithm::RS256), (1, true));
        assert_eq!(
            tried(&[nameless, p256()], Some("e1"), Algorithm::RS256),
            (1, false),
            "the key of that id does not fit"
        );
    }

    #[test]
    fn a_token_without_id_tries_what_fits_and_at_most_eight() {
        assert_eq!(tried(&[rsa(), p256(), jwk()], None, Algorithm::RS256), (1, false));
        assert_eq!(tried(&[rsa(), rsa(), rsa()], None, Algorithm::PS512), (3, false));
        assert_eq!(tried(&vec![rsa(); 20], None, Algorithm::RS256), (8, false));
        assert_eq!(tried(&vec![rsa(); 20], Some("r1"), Algorithm::RS256), (8, true));
    }
}
