//! Assertions that the gateway signs itself, always with ES256 (RFC 7518 3.4).
//!
//! Nonces are made from key and message (RFC 6979): of two signatures with one nonce anybody computes the key, and what a host gives a filter
//! for random numbers cannot be checked. RSA keys are refused: the RSA code that a filter could sign with does not take the same time for
//! every key.

use crate::base::der::{BIT_STRING, Der, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use crate::base::{Secret, from_pem};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::elliptic_curve::zeroize::Zeroizing;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fmt;

/// `id-ecPublicKey`, 1.2.840.10045.2.1, as DER writes it.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// `secp256r1`, 1.2.840.10045.3.1.7.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// `rsaEncryption` and `id-RSASSA-PSS`, 1.2.840.113549.1.1.1 and 10.
const RSA: [&[u8]; 2] =
    [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1], &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10]];

/// A private key on P-256. Nothing prints it.
#[derive(Clone)]
pub struct SigningKey {
    key: p256::ecdsa::SigningKey,
    x: String,
    y: String,
    thumbprint: String,
}

/// Why a text is no key to sign with. Messages hold nothing of the text; they follow the words "the key".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// Not PEM at all.
    #[error("is no PEM text: it must begin with `-----BEGIN PRIVATE KEY-----`")]
    NotPem,
    /// PEM of something else: a certificate, a public key, a key of OpenSSL's older forms.
    #[error("is PEM, but no PKCS#8 private key; `openssl pkcs8 -topk8 -nocrypt` makes one of older forms")]
    NotPkcs8,
    /// PKCS#8 under a password.
    #[error("is encrypted; the gateway needs it without a password, from a vault or the environment")]
    Encrypted,
    /// An RSA key.
    #[error(
        "is an RSA key, and there is no RSA signature in a wasm filter that takes the same time for every key; \
         use one on P-256: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    )]
    Rsa,
    /// On another curve, or of another kind.
    #[error("is not on the curve P-256, which ES256 needs")]
    NotP256,
    /// Broken.
    #[error("cannot be read: its contents are broken")]
    Malformed,
}

impl SigningKey {
    /// Reads a key: PEM, PKCS#8 (RFC 5958, RFC 7468), on P-256.
    ///
    /// # Errors
    /// [`SigningKeyError`], for whoever wrote the configuration or keeps the vault.
    pub fn from_pem(pem: &Secret<String>) -> Result<Self, SigningKeyError> {
        match label(pem.expose()) {
            None => return Err(SigningKeyError::NotPem),
            Some("PRIVATE KEY") => {}
            Some("ENCRYPTED PRIVATE KEY") => return Err(SigningKeyError::Encrypted),
            Some(_) => return Err(SigningKeyError::NotPkcs8),
        }
        let (_, document) = from_pem(pem.expose().trim()).ok_or(SigningKeyError::Malformed)?;
        let document = Zeroizing::new(document);
        let info = KeyInfo::read(&document).ok_or(SigningKeyError::Malformed)?;
        if RSA.contains(&info.algorithm) {
            return Err(SigningKeyError::Rsa);
        }
        if info.algorithm != EC || info.parameters.only(OBJECT_IDENTIFIER) != Some(P256) {
            return Err(SigningKeyError::NotP256);
        }
        let key = ec_key(info.key).ok_or(SigningKeyError::Malformed)?;
        Self::new(key.into()).ok_or(SigningKeyError::Malformed)
    }

    fn new(key: p256::ecdsa::SigningKey) -> Option<Self> {
        let point = key.verifying_key().to_sec1_point(false);
        let (x, y) = (URL_SAFE_NO_PAD.encode(point.x()?), URL_SAFE_NO_PAD.encode(point.y()?));
        let required = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(required));
        Some(Self { key, x, y, thumbprint })
    }

    /// What names the key where nobody gave it a name: the JWK thumbprint of its public half (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The public half, for a key set (RFC 7517).
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        json!({
            "kty": "EC", "crv": "P-256", "x": self.x, "y": self.y, "use": "sig", "alg": "ES256", "kid": self.thumbprint,
        })
    }

    /// A compact JWS over `claims`, whose header names the key `kid`. The same claims always give the same bytes.
    ///
    /// `None` if the signature failed, which it does for one in 2^128 messages: send nothing in its place.
    #[must_use]
    pub fn sign(&self, kid: &str, claims: &Map<String, Value>) -> Option<Secret<String>> {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": kid}).to_string();
        let claims = serde_json::to_string(claims).ok()?;
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature: p256::ecdsa::Signature = self.key.try_sign(token.as_bytes()).ok()?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        Some(Secret::new(token))
    }
}

/// What a PEM text says that it holds (RFC 7468 section 2).
fn label(pem: &str) -> Option<&str> {
    let (_, begun) = pem.split_once("-----BEGIN ")?;
    begun.split_once("-----").map(|(label, _)| label)
}

/// What PKCS#8 says of a private key, and the key as its algorithm writes it.
struct KeyInfo<'a> {
    algorithm: &'a [u8],
    parameters: Der<'a>,
    key: &'a [u8],
}

impl<'a> KeyInfo<'a> {
    /// Reads `OneAsymmetricKey` (RFC 5958 section 2). The second version has a public key beside the private one, the first has not.
    fn read(document: &'a [u8]) -> Option<Self> {
        let mut info = Der::new(Der::new(document).only(SEQUENCE)?);
        let version = info.read(INTEGER)?;
        let mut parameters = Der::new(info.read(SEQUENCE)?);
        let algorithm = parameters.read(OBJECT_IDENTIFIER)?;
        let key = info.read(OCTET_STRING)?;
        let _attributes = info.read_optional(0xa0)?;
        let has_public_key = info.read_optional(0x81)?.is_some();
        let is_known = info.is_empty() && version == [u8::from(has_public_key)];
        is_known.then_some(Self { algorithm, parameters, key })
    }
}

/// Reads `ECPrivateKey` (RFC 5915 section 3) on P-256. A curve and a public key that stand in it must be those of the key.
fn ec_key(text: &[u8]) -> Option<p256::SecretKey> {
    let mut parts = Der::new(Der::new(text).only(SEQUENCE)?);
    let version = parts.read(INTEGER)?;
    let key = p256::SecretKey::from_slice(parts.read(OCTET_STRING)?).ok()?;
    let curve = parts.read_optional(0xa0)?.map(|curve| Der::new(curve).only(OBJECT_IDENTIFIER));
    let public = parts.read_optional(0xa1)?.map(|public| Der::new(public).only(BIT_STRING)?.strip_prefix(&[0]));
    let is_own = |point: &[u8]| {
        let is_compressed = point.len() < 65;
        key.public_key().to_sec1_point(is_compressed).as_bytes() == point
    };
    let is_whole = version == [1]
        && parts.is_empty()
        && curve.is_none_or(|curve| curve == Some(P256))
        && public.is_none_or(|point| point.is_some_and(is_own));
    is_whole.then_some(key)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "hexadecimal digits are ASCII, and a test may fail loudly"
)]
pub(crate) mod tests {
    use super::super::{Algorithm, KeySet, PublicKey, UnverifiedToken};
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use p256::pkcs8::EncodePrivateKey as _;

    /// The key of RFC 6979, A.2.5.
    const SCALAR: &str = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// The key of RFC 6979, A.2.5, as PEM.
    pub(crate) fn pem() -> Secret<String> {
        let key = p256::SecretKey::from_slice(&bytes(SCALAR)).unwrap();
        Secret::new(key.to_pkcs8_pem(p256::pkcs8::LineEnding::LF).unwrap().to_string())
    }

    fn key() -> SigningKey {
        SigningKey::from_pem(&pem()).unwrap()
    }

    fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap();
        let head = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [&head, bytes].concat()
    }

    /// PKCS#8 around `contents`, with these bytes of DER as algorithm.
    fn pkcs8(algorithm: &[u8], contents: &[u8]) -> Vec<u8> {
        let info = [&[2, 1, 0], &tagged(SEQUENCE, algorithm)[..], &tagged(OCTET_STRING, contents)].concat();
        tagged(SEQUENCE, &info)
    }

    fn armoured(label: &str, der: &[u8]) -> String {
        let lines: Vec<_> = STANDARD.encode(der).as_bytes().chunks(64).map(|line| line.to_vec()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", String::from_utf8(lines.join(&b'\n')).unwrap())
    }

    fn fault(pem: &str) -> SigningKeyError {
        SigningKey::from_pem(&Secret::new(pem.to_owned())).unwrap_err()
    }

    #[test]
    fn signatures_are_those_of_rfc_6979() {
        for (message, r, s) in [
            (
                "sample",
                "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
                "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
            ),
            (
                "test",
                "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
                "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
            ),
        ] {
            let signature: p256::ecdsa::Signature = key().key.try_sign(message.as_bytes()).unwrap();
            assert_eq!(signature.to_bytes().to_vec(), bytes(&[r, s].concat()), "{message}");
        }
    }

    #[test]
    fn what_is_signed_is_verified_by_the_published_key_and_is_always_the_same() {
        let key = key();
        let claims = json!({"iss": "https://gw.example.com", "sub": "role:é\"", "exp": 1_800_000_300});
        let token = key.sign("k-1", claims.as_object().unwrap()).unwrap();
        assert_eq!(token.expose(), key.sign("k-1", claims.as_object().unwrap()).unwrap().expose());
        let parsed = UnverifiedToken::parse(token.expose().as_bytes(), 4096).unwrap();
        assert_eq!((parsed.key_id(), parsed.algorithm()), (Some("k-1"), Algorithm::ES256));
        let set = json!({"keys": [key.public_jwk()]}).to_string();
        let set = KeySet::parse(set.as_bytes()).unwrap();
        assert!(set.skipped.is_empty());
        let [public]: [&PublicKey; 1] =
            set.keys.candidates(Some(key.thumbprint()), Algorithm::ES256).keys.try_into().unwrap();
        assert!(public.verify(Algorithm::ES256, parsed.signing_input(), parsed.signature()).is_ok());
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        // computed with Python's cryptography and hashlib
        assert_eq!(key().thumbprint(), "DOvxvJiAdIqVWIkFt5hDtCunXLF0BV4-JGv4f-ALSm0");
        assert_eq!(key().public_jwk()["kid"], "DOvxvJiAdIqVWIkFt5hDtCunXLF0BV4-JGv4f-ALSm0");
        assert!(key().public_jwk().get("d").is_none());
    }

    #[test]
    fn a_key_that_cannot_be_used_is_refused_with_the_reason() {
        let rsa = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
        let ed25519 = [6, 3, 0x2b, 0x65, 0x70];
        let ec = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
        let p256 = [&ec[..], &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]].concat();
        let p384 = [&ec[..], &[6, 5, 0x2b, 0x81, 4, 0, 0x22]].concat();
        let private = |algorithm: &[u8]| armoured("PRIVATE KEY", &pkcs8(algorithm, &[0; 8]));
        for (pem, expected) in [
            (String::new(), SigningKeyError::NotPem),
            ("s3cret".to_owned(), SigningKeyError::NotPem),
            (pem().expose().replace("-----END PRIVATE KEY-----", ""), SigningKeyError::Malformed),
            (armoured("RSA PRIVATE KEY", &[0; 8]), SigningKeyError::NotPkcs8),
            (armoured("EC PRIVATE KEY", &[0; 8]), SigningKeyError::NotPkcs8),
            (armoured("PUBLIC KEY", &[0; 8]), SigningKeyError::NotPkcs8),
            (armoured("CERTIFICATE", &[0; 8]), SigningKeyError::NotPkcs8),
            (armoured("ENCRYPTED PRIVATE KEY", &[0; 8]), SigningKeyError::Encrypted),
            (private(&rsa), SigningKeyError::Rsa),
            (private(&ed25519), SigningKeyError::NotP256),
            (private(&p384), SigningKeyError::NotP256),
            (private(&p256), SigningKeyError::Malformed),
            (armoured("PRIVATE KEY", &[0; 8]), SigningKeyError::Malformed),
        ] {
            assert_eq!(fault(&pem), expected, "{pem}");
            let message = expected.to_string();
            assert!(message.starts_with("is ") || message.starts_with("cannot "), "{message}");
        }
    }

    #[test]
    fn a_key_of_zero_or_beyond_the_order_is_none() {
        let wrapped = |scalar: &[u8]| {
            let sec1 = [&[0x30, 0x25, 2, 1, 1, 4, 0x20], scalar].concat();
            let ec = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
            armoured("PRIVATE KEY", &pkcs8(&ec, &sec1))
        };
        assert!(SigningKey::from_pem(&Secret::new(wrapped(&bytes(SCALAR)))).is_ok());
        for scalar in [[0; 32], [0xff; 32]] {
            assert_eq!(fault(&wrapped(&scalar)), SigningKeyError::Malformed);
        }
    }

    /// The key of [`pem`], as DER.
    fn document() -> Vec<u8> {
        from_pem(pem().expose()).unwrap().1
    }

    fn read(der: &[u8]) -> Option<SigningKey> {
        SigningKey::from_pem(&Secret::new(armoured("PRIVATE KEY", der))).ok()
    }

    #[test]
    fn nothing_is_taken_for_a_key_that_the_library_of_the_curve_takes_for_none() {
        use p256::pkcs8::DecodePrivateKey as _;
        assert!(read(&document()).is_some());
        for at in 0..document().len() {
            for change in [1, 2, 0x20, 0x80, 0xff] {
                let mut changed = document();
                changed[at] ^= change;
                let expected = p256::SecretKey::from_pkcs8_der(&changed).ok();
                let found = read(&changed).map(|found| found.key.to_bytes());
                assert_eq!(found, expected.map(|key| key.to_bytes()), "byte {at} ^ {change:#x}");
            }
            assert!(read(&document()[..at]).is_none());
        }
        assert!(read(&[document(), vec![0]].concat()).is_none());
    }

    #[test]
    fn a_key_may_say_its_curve_and_its_public_half_but_no_others() {
        let ec = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        let with = |rest: &[u8]| {
            let parts = [&[2, 1, 1], &tagged(OCTET_STRING, &bytes(SCALAR))[..], rest].concat();
            read(&pkcs8(&ec, &tagged(SEQUENCE, &parts))).is_some()
        };
        let point = |compressed| key().key.verifying_key().to_sec1_point(compressed).as_bytes().to_vec();
        let public = |point: Vec<u8>| tagged(0xa1, &tagged(BIT_STRING, &[&[0], &point[..]].concat()));
        let other = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        let other = other.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        let curve = |curve: &[u8]| tagged(0xa0, &tagged(OBJECT_IDENTIFIER, curve));
        for (rest, is_good) in [
            (vec![], true),
            (curve(P256), true),
            (public(point(false)), true),
            (public(point(true)), true),
            ([curve(P256), public(point(false))].concat(), true),
            (curve(&P256[..7]), false),
            (public(other), false),
            (public(vec![]), false),
            ([public(point(false)), curve(P256)].concat(), false),
            (vec![5, 0], false),
        ] {
            assert_eq!(with(&rest), is_good, "{rest:02x?}");
        }
    }

    #[test]
    fn debug_shows_what_is_public_only() {
        let text = format!("{:?} {:#?}", key(), Some(key()));
        assert!(text.contains(key().thumbprint()) && !text.to_uppercase().contains(&SCALAR[..8]), "{text}");
    }
}
