//! A token as it arrived: decoded, its signature not yet checked.

use super::{Algorithm, TokenError};
use crate::base::{JsonFault, Secret, parse_object_strict};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::fmt;

/// Longest header, before decoding. It holds `alg`, `typ`, `kid` and perhaps a certificate's hash; only an attack needs more.
const HEADER_BYTES: usize = 2048;
/// Deepest nesting in header and claims.
const JSON_DEPTH: usize = 32;
/// Longest `kid`, in bytes.
const KEY_ID_BYTES: usize = 256;

/// A token whose signature was not checked: whoever sent it may have written all of it.
///
/// Only what is needed to choose a provider and a key can be read, and is still only a claim. The rest becomes readable by
/// [`verify`](super::verify).
pub struct UnverifiedToken {
    raw: Secret<String>,
    signing_input_bytes: usize,
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Map<String, Value>,
    signature: Vec<u8>,
}

impl UnverifiedToken {
    /// Reads a JWS in compact form (RFC 7515 7.1) with a JSON object as payload (RFC 7519).
    ///
    /// `max_bytes` bounds the whole token and is checked before anything else. Base64url is read strictly: no padding, no white
    /// space, no stray bits, so that one token has one spelling. `jku`, `jwk`, `x5u`, `x5c` and unknown members of the header are
    /// ignored: keys come from the provider alone (RFC 8725 3.10).
    ///
    /// # Errors
    ///
    /// [`TokenError::TooLarge`], [`TokenError::Malformed`], [`TokenError::AlgorithmNotAllowed`], [`TokenError::CriticalHeader`] or
    /// [`TokenError::TypeNotAllowed`]. Refuse the caller; no key could change it.
    pub fn parse(bytes: &[u8], max_bytes: usize) -> Result<Self, TokenError> {
        if bytes.len() > max_bytes {
            return Err(TokenError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TokenError::Malformed("not text"))?;
        let (signing_input, signature) = text.rsplit_once('.').ok_or(NOT_THREE_PARTS)?;
        let (header, payload) = signing_input.split_once('.').ok_or(NOT_THREE_PARTS)?;
        if payload.contains('.') {
            return Err(NOT_THREE_PARTS);
        }
        if header.len() > HEADER_BYTES {
            return Err(TokenError::Malformed("the header is too long"));
        }
        let header = object(header, "the header is not base64url", "the header is not a JSON object")?;
        refuse_extensions(&header)?;
        let algorithm = algorithm(&header)?;
        refuse_other_types(&header)?;
        let key_id = key_id(&header)?;
        let claims = object(payload, "the payload is not base64url", "the payload is not a JSON object")?;
        let signature = decode(signature, "the signature is not base64url")?;
        let signing_input_bytes = signing_input.len();
        Ok(Self { raw: Secret::new(text.to_owned()), signing_input_bytes, algorithm, key_id, claims, signature })
    }

    /// `iss`, for choosing the provider whose keys and rules to [`verify`](super::verify) against; compared again there.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// `kid`, for choosing the key. Anyone may have written it: never show it, never build a path or an address from it.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// `alg`. Which algorithms are acceptable is the provider's configuration, never the token's word.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The token's text, to look up or to hand to an introspection endpoint.
    #[must_use]
    pub const fn token(&self) -> &Secret<String> {
        &self.raw
    }

    /// What the signature is over (RFC 7515 5.2, step 8).
    pub(super) fn signing_input(&self) -> &[u8] {
        self.raw.expose().as_bytes().get(..self.signing_input_bytes).unwrap_or_default()
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The unchecked claims: for `verify` alone.
    pub(super) const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

impl fmt::Debug for UnverifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

const NOT_THREE_PARTS: TokenError = TokenError::Malformed("not three parts");

/// Strict base64url (RFC 7515 2): no padding, no other characters, unused bits zero.
pub(super) fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn decode(part: &str, fault: &'static str) -> Result<Vec<u8>, TokenError> {
    base64url(part).ok_or(TokenError::Malformed(fault))
}

fn object(part: &str, not_base64url: &'static str, not_json: &'static str) -> Result<Map<String, Value>, TokenError> {
    parse_object_strict(&decode(part, not_base64url)?, JSON_DEPTH).map_err(|fault| {
        TokenError::Malformed(match fault {
            JsonFault::DuplicateKey => "a member is there twice",
            JsonFault::TooDeep => "nested too deeply",
            JsonFault::Syntax | JsonFault::NotAnObject => not_json,
        })
    })
}

/// `crit` lists extensions that must be understood (RFC 7515 4.1.11); none is. `b64: false` changes what is signed (RFC 7797), and must
/// not be honoured nor overlooked where `crit` was left out.
fn refuse_extensions(header: &Map<String, Value>) -> Result<(), TokenError> {
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(TokenError::CriticalHeader);
    }
    Ok(())
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, TokenError> {
    let name = header.get("alg").and_then(Value::as_str).ok_or(TokenError::Malformed("the header has no algorithm"))?;
    Algorithm::from_name(name).ok_or(TokenError::AlgorithmNotAllowed)
}

/// Explicit typing (RFC 8725 3.11): a logout token, a security event or a proof of possession must not pass as an access token.
fn refuse_other_types(header: &Map<String, Value>) -> Result<(), TokenError> {
    const ALLOWED: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];
    let allowed = match header.get("typ") {
        None => true,
        Some(Value::String(typ)) => ALLOWED.iter().any(|allowed| allowed.eq_ignore_ascii_case(typ)),
        Some(_) => false,
    };
    if allowed { Ok(()) } else { Err(TokenError::TypeNotAllowed) }
}

fn key_id(header: &Map<String, Value>) -> Result<Option<String>, TokenError> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if kid.len() <= KEY_ID_BYTES => Ok(Some(kid.clone())),
        Some(_) => Err(TokenError::Malformed("the header's key id is not a short string")),
    }
}
