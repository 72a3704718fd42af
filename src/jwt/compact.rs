//! A token as it arrived: decoded, its signature not yet checked.

use super::{Algorithm, BearerToken, TokenError};
use crate::base::{JsonFault, Secret, parse_object_strict};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::fmt;

/// Longest header, before decoding. It holds `alg`, `typ`, `kid` and perhaps a certificate's hash; only an attack needs
/// more.
const HEADER_BYTES: usize = 2048;
/// Deepest nesting in header and claims.
pub(super) const JSON_DEPTH: usize = 32;
/// Longest `kid`, in bytes.
const KEY_ID_BYTES: usize = 256;

/// A token whose signature was not checked: whoever sent it may have written all of it.
///
/// Only what is needed to choose a provider and a key can be read, and is still only a claim. The rest becomes readable
/// by [`verify`](super::verify).
pub struct UnverifiedToken {
    raw: BearerToken,
    parts: Parts,
}

/// What was read of it.
struct Parts {
    signing_input_bytes: usize,
    algorithm: Algorithm,
    key_id: Option<String>,
    typed: bool,
    claims: Map<String, Value>,
    /// The same, as they were written.
    payload: String,
    signature: Vec<u8>,
}

/// Whether a token is none of three parts, as a JWT is: nothing can be read from it, and only its provider knows whose it is.
#[must_use]
pub fn is_opaque(token: &str) -> bool {
    token.split('.').count() != 3
}

impl UnverifiedToken {
    /// Reads a JWS in compact form (RFC 7515 7.1) with a JSON object as payload (RFC 7519).
    ///
    /// `max_bytes` bounds the whole token and is checked before anything else. Base64url is read strictly: no padding,
    /// no white space, no stray bits, so that one token has one spelling. `jku`, `jwk`, `x5u`, `x5c` and unknown
    /// members of the header are ignored: keys come from the provider alone (RFC 8725 3.10).
    ///
    /// # Errors
    ///
    /// [`TokenError::TooLarge`], [`TokenError::Malformed`], [`TokenError::AlgorithmNotAllowed`],
    /// [`TokenError::CriticalHeader`] or [`TokenError::TypeNotAllowed`]. Refuse the caller; no key could change it.
    pub fn parse(bytes: &[u8], max_bytes: usize) -> Result<Self, TokenError> {
        Self::parse_typed(bytes, max_bytes, is_typed_for_access)
    }

    /// As [`UnverifiedToken::parse`], of a token that is at hand, without a copy of it.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn read(token: BearerToken, max_bytes: usize) -> Result<Self, TokenError> {
        let parts = Parts::read(token.text().expose().as_bytes(), max_bytes, is_typed_for_access)?;
        Ok(Self { raw: token, parts })
    }

    /// As [`UnverifiedToken::parse`], for tokens whose header has a `typ` that `is_typed` knows: it says whether the type is the one that
    /// is meant, rather than none in particular, or refuses the token.
    pub(super) fn parse_typed(
        bytes: &[u8],
        max_bytes: usize,
        is_typed: impl FnOnce(&Map<String, Value>) -> Result<bool, TokenError>,
    ) -> Result<Self, TokenError> {
        let parts = Parts::read(bytes, max_bytes, is_typed)?;
        // it was read as text
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| TokenError::Malformed("not text"))?;
        Ok(Self { raw: BearerToken::new(Secret::new(text)), parts })
    }

    /// `iss`, for choosing the provider whose keys and rules to [`verify`](super::verify) against; compared again
    /// there.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.parts.claims.get("iss")?.as_str()
    }

    /// `kid`, for choosing the key. Anyone may have written it: never show it, never build a path or an address from
    /// it.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.parts.key_id.as_deref()
    }

    /// `alg`. Which algorithms are acceptable is the provider's configuration, never the token's word.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.parts.algorithm
    }

    /// Whether the header's `typ` names the kind of token that was parsed for: an access token (RFC 9068 2.1), unless said otherwise.
    pub(super) const fn is_typed(&self) -> bool {
        self.parts.typed
    }

    /// The token's text, to look up or to hand to an introspection endpoint.
    #[must_use]
    pub const fn token(&self) -> &BearerToken {
        &self.raw
    }

    /// What the signature is over (RFC 7515 5.2, step 8).
    pub(super) fn signing_input(&self) -> &[u8] {
        self.raw.text().expose().as_bytes().get(..self.parts.signing_input_bytes).unwrap_or_default()
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.parts.signature
    }

    /// The unchecked claims: for `verify` alone.
    pub(super) const fn claims(&self) -> &Map<String, Value> {
        &self.parts.claims
    }

    /// The same, as they were written.
    pub(super) fn payload(&self) -> &str {
        &self.parts.payload
    }
}

impl Parts {
    #[inline(never)]
    fn read(
        bytes: &[u8],
        max_bytes: usize,
        is_typed: impl FnOnce(&Map<String, Value>) -> Result<bool, TokenError>,
    ) -> Result<Self, TokenError> {
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
        let typed = is_typed(&header)?;
        let key_id = key_id(&header)?;
        let payload = decode(payload, "the payload is not base64url")?;
        let claims = read_object(&payload, "the payload is not a JSON object")?;
        let payload =
            String::from_utf8(payload).map_err(|_| TokenError::Malformed("the payload is not a JSON object"))?;
        let signature = decode(signature, "the signature is not base64url")?;
        let signing_input_bytes = signing_input.len();
        Ok(Self { signing_input_bytes, algorithm, key_id, typed, claims, payload, signature })
    }
}

impl fmt::Debug for UnverifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken").field("algorithm", &self.parts.algorithm).finish_non_exhaustive()
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
    read_object(&decode(part, not_base64url)?, not_json)
}

fn read_object(bytes: &[u8], not_json: &'static str) -> Result<Map<String, Value>, TokenError> {
    parse_object_strict(bytes, JSON_DEPTH).map_err(|fault| {
        TokenError::Malformed(match fault {
            JsonFault::DuplicateKey => "a member is there twice",
            JsonFault::TooDeep => "nested too deeply",
            JsonFault::Syntax | JsonFault::NotAnObject => not_json,
        })
    })
}

/// `crit` lists extensions that must be understood (RFC 7515 4.1.11); none is. `b64: false` changes what is signed (RFC
/// 7797), and must not be honoured nor overlooked where `crit` was left out.
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

/// Explicit typing (RFC 8725 3.11): a logout token, a security event or a proof of possession must not pass as an
/// access token. No type, or that of any JWT, says nothing; whatever else is not an access token's (RFC 9068 2.1) is refused.
fn is_typed_for_access(header: &Map<String, Value>) -> Result<bool, TokenError> {
    is_typed_as(header, "at+jwt")
}

/// Whether the header's `typ` is `kind`, as it stands or with `application/` before it; false if there is none, or that of any JWT.
pub(super) fn is_typed_as(header: &Map<String, Value>, kind: &str) -> Result<bool, TokenError> {
    let Some(typ) = header.get("typ") else { return Ok(false) };
    let typ = typ.as_str().ok_or(TokenError::TypeNotAllowed)?;
    let bare = typ.get(..APPLICATION.len()).filter(|start| start.eq_ignore_ascii_case(APPLICATION));
    let short = bare.and_then(|start| typ.get(start.len()..)).unwrap_or(typ);
    let is_kind = short.eq_ignore_ascii_case(kind);
    if is_kind || typ.eq_ignore_ascii_case("JWT") { Ok(is_kind) } else { Err(TokenError::TypeNotAllowed) }
}

/// What media types that may be left out of `typ` begin with (RFC 7515 4.1.9).
const APPLICATION: &str = "application/";

fn key_id(header: &Map<String, Value>) -> Result<Option<String>, TokenError> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if kid.len() <= KEY_ID_BYTES => Ok(Some(kid.clone())),
        Some(_) => Err(TokenError::Malformed("the header's key id is not a short string")),
    }
}

#[cfg(test)]
#[allow(clippy::string_slice, reason = "base64url is ASCII")]
mod tests {
    use super::super::testing::{b64, claims, sign, sign_texts};
    use super::*;
    use serde_json::json;

    fn parse(token: &str) -> Result<UnverifiedToken, TokenError> {
        UnverifiedToken::parse(token.as_bytes(), 16384)
    }

    /// The error code for a token with this header, or "accepted".
    fn header(text: &str) -> &'static str {
        parse(&sign_texts(text, "{}")).map_or_else(|error| error.code(), |_| "accepted")
    }

    #[test]
    fn a_token_shows_issuer_key_and_algorithm_and_nothing_else() {
        let token = sign(&claims(json!({"secret": "canary"})));
        let parsed = parse(&token).unwrap();
        assert_eq!(parsed.issuer(), Some("https://idp.example"));
        assert_eq!((parsed.key_id(), parsed.algorithm()), (Some("k1"), Algorithm::EdDSA));
        assert_eq!(parsed.token().text().expose(), &token);
        assert_eq!(format!("{parsed:?}"), "UnverifiedToken { algorithm: EdDSA, .. }");
    }

    #[test]
    fn an_issuer_that_is_no_string_is_no_issuer() {
        assert_eq!(parse(&sign(&json!({"iss": ["https://idp.example"]}))).unwrap().issuer(), None);
        assert_eq!(parse(&sign(&json!({}))).unwrap().issuer(), None);
    }

    #[test]
    fn the_limit_is_on_the_whole_token_and_inclusive() {
        let token = sign(&claims(json!({})));
        assert!(UnverifiedToken::parse(token.as_bytes(), token.len()).is_ok());
        let error = UnverifiedToken::parse(token.as_bytes(), token.len() - 1).unwrap_err();
        assert_eq!(error.code(), "too_large");
        assert_eq!(UnverifiedToken::parse(&[b'!'; 100], 99).unwrap_err(), TokenError::TooLarge);
    }

    #[test]
    fn the_header_has_a_limit_of_its_own() {
        let of = |bytes: usize| {
            let empty = r#"{"alg":"EdDSA","x":""}"#.len();
            header(&format!(r#"{{"alg":"EdDSA","x":"{}"}}"#, "a".repeat(bytes - empty)))
        };
        // 1536 bytes are 2048 characters of base64url
        assert_eq!((of(1536), of(1537)), ("accepted", "malformed"));
    }

    #[test]
    fn only_three_parts_are_a_token() {
        let token = sign(&claims(json!({})));
        let parts: Vec<&str> = token.split('.').collect();
        for text in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            parts[0].to_owned(),
            parts[..2].join("."),
            format!("{token}."),
            format!(".{token}"),
            format!("{token}.{}", parts[2]),
            format!("{token}.{}.{}", parts[0], parts[1]),
            format!("Bearer {token}"),
            format!("{}..{}", parts[0], parts[2]),
            format!(".{}.{}", parts[1], parts[2]),
        ] {
            assert_eq!(parse(&text).unwrap_err().code(), "malformed", "{text}");
        }
        for text in
            [&token[..10], &parts[..2].join("."), &format!("{token}."), &format!("{token}.{}.{}", parts[0], parts[1])]
        {
            assert_eq!(parse(text).unwrap_err(), NOT_THREE_PARTS, "{text}");
        }
    }

    #[test]
    fn base64url_has_one_spelling() {
        let token = sign(&claims(json!({})));
        let (signing_input, signature) = token.rsplit_once('.').unwrap();
        // 64 bytes leave four unused bits in the last character
        let stray = {
            let last = signature.chars().last().unwrap();
            let next = char::from(u8::try_from(last).unwrap() + 1);
            format!("{}{next}", &signature[..signature.len() - 1])
        };
        for signature in [
            format!("{signature}=="),
            format!("{signature}="),
            format!("{signature} "),
            format!(" {signature}"),
            format!("{signature}\n"),
            format!("{}\r\n{}", &signature[..40], &signature[40..]),
            format!("{}+{}", &signature[..40], &signature[41..]),
            format!("{}/{}", &signature[..40], &signature[41..]),
            format!("{}\u{e9}{}", &signature[..40], &signature[41..]),
            signature[..85].to_owned(),
            stray,
        ] {
            let error = parse(&format!("{signing_input}.{signature}")).unwrap_err();
            assert_eq!(error, TokenError::Malformed("the signature is not base64url"), "{signature}");
        }
        assert!(parse(&format!(" {token}")).is_err() && parse(&token.replacen('.', "=.", 1)).is_err());
        assert_eq!(UnverifiedToken::parse(b"\xff.e30.e30", 100).unwrap_err().code(), "malformed");
    }

    #[test]
    fn header_and_payload_are_json_objects_without_a_key_twice() {
        for text in [
            "",
            "[]",
            "null",
            "\"x\"",
            "{",
            "{}}",
            r#"{"alg":"EdDSA","alg":"EdDSA"}"#,
            r#"{"alg":"EdDSA","\u0061lg":"none"}"#,
        ] {
            assert_eq!(header(text), "malformed", "{text}");
        }
        for text in ["", "[]", "1", "{}x", r#"{"sub":"a","sub":"b"}"#, r#"{"a":{"b":1,"b":1}}"#] {
            assert_eq!(parse(&sign_texts(r#"{"alg":"EdDSA"}"#, text)).unwrap_err().code(), "malformed", "{text}");
        }
    }

    #[test]
    fn nesting_ends_at_32_levels() {
        let nested = |levels: usize| {
            let text = format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
            parse(&sign_texts(r#"{"alg":"EdDSA"}"#, &text))
        };
        assert!(nested(32).is_ok());
        assert_eq!(nested(33).unwrap_err(), TokenError::Malformed("nested too deeply"));
        assert_eq!(nested(6000).unwrap_err(), TokenError::Malformed("nested too deeply"));
    }

    #[test]
    fn an_algorithm_is_a_string_and_one_that_we_know() {
        for text in ["{}", r#"{"alg":null}"#, r#"{"alg":["EdDSA"]}"#, r#"{"alg":{"EdDSA":1}}"#, r#"{"alg":1}"#] {
            assert_eq!(header(text), "malformed", "{text}");
        }
        for name in
            ["none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "eddsa", "EdDSA ", "", "ES512", "RSA1_5"]
        {
            assert_eq!(header(&format!(r#"{{"alg":"{name}"}}"#)), "alg_not_allowed", "{name}");
        }
        for algorithm in Algorithm::ALL {
            assert_eq!(header(&format!(r#"{{"alg":"{algorithm}"}}"#)), "accepted");
        }
    }

    #[test]
    fn extensions_are_refused_whatever_they_are() {
        for member in [
            r#""crit":["exp"]"#,
            r#""crit":[]"#,
            r#""crit":null"#,
            r#""crit":["b64"],"b64":false"#,
            r#""b64":false"#,
            r#""b64":true"#,
        ] {
            assert_eq!(header(&format!(r#"{{"alg":"EdDSA",{member}}}"#)), "critical_header", "{member}");
        }
    }

    #[test]
    fn the_type_is_absent_or_an_access_tokens() {
        for typ in ["JWT", "jwt", "Jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert_eq!(header(&format!(r#"{{"alg":"EdDSA","typ":"{typ}"}}"#)), "accepted", "{typ}");
        }
        for typ in [
            r#""logout+jwt""#,
            r#""secevent+jwt""#,
            r#""dpop+jwt""#,
            r#""JOSE""#,
            r#""id_token""#,
            r#""""#,
            r#""JWT ""#,
            "null",
            "1",
            r#"["JWT"]"#,
        ] {
            assert_eq!(header(&format!(r#"{{"alg":"EdDSA","typ":{typ}}}"#)), "type_not_allowed", "{typ}");
        }
    }

    #[test]
    fn a_key_id_is_a_short_string() {
        let of_length = |length: usize| header(&format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, "k".repeat(length)));
        assert_eq!((of_length(0), of_length(256), of_length(257)), ("accepted", "accepted", "malformed"));
        for kid in ["null", "1", r#"["k1"]"#, r#"{"k1":1}"#] {
            assert_eq!(header(&format!(r#"{{"alg":"EdDSA","kid":{kid}}}"#)), "malformed", "{kid}");
        }
        for kid in ["../../../dev/null", "' OR 1=1 --", "\\u0000", "|/usr/bin/id", "https://evil.example/keys"] {
            assert_eq!(header(&format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#)), "accepted", "opaque: {kid}");
        }
    }

    #[test]
    fn keys_and_addresses_of_keys_in_the_header_are_ignored() {
        let members =
            r#""jwk":{"kty":"oct"},"jku":"https://evil.example","x5u":"https://evil.example","x5c":["MII"],"x5t":"a""#;
        assert_eq!(header(&format!(r#"{{"alg":"EdDSA",{members}}}"#)), "accepted");
    }

    #[test]
    fn the_signature_is_over_the_first_two_parts_as_they_arrived() {
        let token = sign(&claims(json!({})));
        let parsed = parse(&token).unwrap();
        assert_eq!(parsed.signing_input(), token.rsplit_once('.').unwrap().0.as_bytes());
        assert_eq!(b64(parsed.signature()), token.rsplit_once('.').unwrap().1);
    }
}
