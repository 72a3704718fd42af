//! The one way from a token to a caller, and the checks of signature, issuer and audience that every kind of token passes.

use super::caller::{Caller, Lifetime};
use super::claims::Expectations;
use super::{ActiveToken, Algorithm, KeySet, TokenError, UnverifiedToken, token_use};
use crate::base::UnixTime;
use serde_json::{Map, Value};

/// Checks that a provider vouches for the token, here and now, and says who the caller is.
///
/// In this order: `alg` is allowed; a key is known; the signature holds; and only then the claims: `iss`, `aud`, what
/// the token says it is for, the types of `exp`, `nbf` and `iat`, their values, the lifetime, the required claims,
/// subject, groups, client and actor.
///
/// `now` must be the present; nothing is remembered from one call to the next.
///
/// # Errors
///
/// [`TokenError`]. If [`TokenError::keys_may_be_stale`], fetch the keys and verify the same token once more; otherwise
/// refuse.
pub fn verify(
    token: &UnverifiedToken,
    keys: &KeySet,
    expect: &Expectations,
    now: UnixTime,
) -> Result<Caller, TokenError> {
    let signed = check_signature(token, keys, &expect.algorithms)?;
    check_issuer(signed, &expect.issuer)?;
    check_audience(signed, &expect.audiences)?;
    token_use::check(signed, token.is_typed())?;
    let lifetime = Lifetime::of(signed)?;
    lifetime.check(now, expect.clock_skew)?;
    check_length(lifetime, expect)?;
    check_required(signed, expect)?;
    Caller::new(signed, token.token(), lifetime, expect)
}

/// Claims that a provider vouches for: their signature was checked, or it said them itself. Only [`check_signature`] and
/// [`Signed::answered`] make one, and whatever looks at claims takes one, so that no rule can come to run before.
#[derive(Clone, Copy)]
pub(super) struct Signed<'t> {
    claims: &'t Map<String, Value>,
    /// The same, as they were written.
    text: &'t str,
}

impl<'t> Signed<'t> {
    /// What an introspection endpoint said of a token that is in force.
    pub(super) fn answered(answer: &'t ActiveToken) -> Self {
        Self { claims: answer.claims(), text: answer.text() }
    }

    pub(super) const fn claims(self) -> &'t Map<String, Value> {
        self.claims
    }

    pub(super) const fn text(self) -> &'t str {
        self.text
    }

    pub(super) fn get(self, name: &str) -> Option<&'t Value> {
        self.claims.get(name)
    }
}

pub(super) fn check_signature<'t>(
    token: &'t UnverifiedToken,
    keys: &KeySet,
    allowed: &[Algorithm],
) -> Result<Signed<'t>, TokenError> {
    let algorithm = token.algorithm();
    if !allowed.contains(&algorithm) {
        return Err(TokenError::AlgorithmNotAllowed);
    }
    let candidates = keys.candidates(token.key_id(), algorithm);
    if candidates.keys.is_empty() {
        return Err(TokenError::UnknownKey);
    }
    let verifies =
        candidates.keys.iter().any(|key| key.verify(algorithm, token.signing_input(), token.signature()).is_ok());
    match (verifies, candidates.named) {
        (true, _) => Ok(Signed { claims: token.claims(), text: token.payload() }),
        (false, true) => Err(TokenError::SignatureInvalid),
        (false, false) => Err(TokenError::NoKeyVerifies),
    }
}

pub(super) fn check_issuer(signed: Signed<'_>, issuer: &str) -> Result<(), TokenError> {
    match signed.get("iss") {
        Some(Value::String(iss)) if iss == issuer => Ok(()),
        Some(Value::String(_)) => Err(TokenError::IssuerMismatch),
        Some(_) => Err(TokenError::ClaimType("iss".to_owned())),
        None => Err(TokenError::ClaimMissing("iss".to_owned())),
    }
}

pub(super) fn check_audience(signed: Signed<'_>, audiences: &[String]) -> Result<(), TokenError> {
    let wrong_type = || TokenError::ClaimType("aud".to_owned());
    let matches = match signed.get("aud") {
        None => return Err(TokenError::ClaimMissing("aud".to_owned())),
        Some(Value::String(aud)) => audiences.contains(aud),
        Some(Value::Array(list)) => {
            let list: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            list.ok_or_else(wrong_type)?.iter().any(|aud| audiences.iter().any(|audience| audience == aud))
        }
        Some(_) => return Err(wrong_type()),
    };
    if matches { Ok(()) } else { Err(TokenError::AudienceMismatch) }
}

pub(super) fn check_length(lifetime: Lifetime, expect: &Expectations) -> Result<(), TokenError> {
    let Some(longest) = expect.max_lifetime else { return Ok(()) };
    let issued_at = lifetime.issued_at.ok_or_else(|| TokenError::ClaimMissing("iat".to_owned()))?;
    if lifetime.expires_at.since(issued_at) > longest { Err(TokenError::LifetimeTooLong) } else { Ok(()) }
}

pub(super) fn check_required(signed: Signed<'_>, expect: &Expectations) -> Result<(), TokenError> {
    let unmet = expect
        .required
        .iter()
        .find(|(path, listed)| !path.find(signed.claims()).is_some_and(|claim| satisfies(claim, listed)));
    match unmet {
        Some((path, _)) => Err(TokenError::ClaimRequired(path.to_string())),
        None => Ok(()),
    }
}

/// See [`Expectations::required`].
fn satisfies(claim: &Value, listed: &[Value]) -> bool {
    let has_listed = |element: &Value| !element.is_array() && !element.is_object() && listed.contains(element);
    listed.contains(claim) || claim.as_array().is_some_and(|list| list.iter().any(has_listed))
}

#[cfg(test)]
mod tests {
    use super::super::ClaimPath;
    use super::super::testing::{NOW, check, claims, expectations, jwk, key_set, keys, sign, sign_texts};
    use super::*;
    use crate::base::Reason;
    use serde_json::json;
    use std::time::Duration;

    /// The error code for claims with these changes, or "accepted".
    fn decide_with(changes: Value, expect: &Expectations) -> &'static str {
        check(&sign(&claims(changes)), expect).map_or_else(|error| error.code(), |_| "accepted")
    }

    fn decide(changes: Value) -> &'static str {
        decide_with(changes, &expectations())
    }

    #[test]
    fn a_good_token_is_accepted() {
        assert_eq!(decide(json!({})), "accepted");
    }

    #[test]
    fn only_allowed_algorithms_are_accepted_however_good_the_signature() {
        let mut expect = expectations();
        expect.algorithms = vec![Algorithm::RS256, Algorithm::ES256];
        assert_eq!(decide_with(json!({}), &expect), "alg_not_allowed");
        expect.algorithms = Vec::new();
        assert_eq!(decide_with(json!({}), &expect), "alg_not_allowed");
    }

    fn verify_with(keys: &[Value], header: &str) -> Result<Caller, TokenError> {
        let token = sign_texts(header, &claims(json!({})).to_string());
        verify(&UnverifiedToken::parse(token.as_bytes(), 16384).unwrap(), &key_set(keys), &expectations(), NOW)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut jwk = jwk();
        jwk[name] = value;
        jwk
    }

    /// Another key: RFC 8037 A.2.
    fn other(kid: &str) -> Value {
        with("kid", json!(kid))
            .as_object()
            .map(|jwk| {
                let mut jwk = jwk.clone();
                jwk.insert("x".to_owned(), json!("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
                Value::Object(jwk)
            })
            .unwrap()
    }

    #[test]
    fn an_unknown_key_is_told_apart_from_a_bad_signature() {
        let header = r#"{"alg":"EdDSA","kid":"k1"}"#;
        assert!(verify_with(&[other("k0"), jwk()], header).is_ok());
        let unknown = verify_with(&[other("k0")], header).unwrap_err();
        assert_eq!((unknown.code(), unknown.keys_may_be_stale()), ("key_unknown", true));
        let invalid = verify_with(&[other("k1")], header).unwrap_err();
        assert_eq!((invalid.code(), invalid.keys_may_be_stale()), ("signature_invalid", false));
        let nameless = verify_with(&[other("k0")], r#"{"alg":"EdDSA"}"#).unwrap_err();
        assert_eq!((nameless.code(), nameless.keys_may_be_stale()), ("signature_invalid", true));
    }

    #[test]
    fn each_key_that_may_have_signed_is_tried() {
        assert!(verify_with(&[other("k1"), jwk()], r#"{"alg":"EdDSA","kid":"k1"}"#).is_ok());
        assert!(verify_with(&[other("k0"), jwk()], r#"{"alg":"EdDSA"}"#).is_ok());
        assert!(verify_with(&[other("k0"), with("kid", Value::Null)], r#"{"alg":"EdDSA","kid":"k9"}"#).is_ok());
        let eight = [vec![other("k1"); 8], vec![jwk()]].concat();
        assert_eq!(verify_with(&eight, r#"{"alg":"EdDSA","kid":"k1"}"#).unwrap_err().code(), "signature_invalid");
    }

    #[test]
    fn a_token_can_be_verified_again_with_newer_keys() {
        let token = sign(&claims(json!({})));
        let token = UnverifiedToken::parse(token.as_bytes(), 16384).unwrap();
        let error = verify(&token, &key_set(&[other("k0")]), &expectations(), NOW).unwrap_err();
        assert!(error.keys_may_be_stale());
        assert!(verify(&token, &keys(), &expectations(), NOW).is_ok());
    }

    #[test]
    fn claims_are_not_looked_at_before_the_signature_holds() {
        let token = sign(&claims(json!({"exp": 1, "iss": "x"})));
        let (signing_input, _) = token.rsplit_once('.').unwrap();
        let damaged = format!("{signing_input}.AAAA");
        assert_eq!(check(&damaged, &expectations()).unwrap_err().code(), "signature_invalid");
    }

    #[test]
    fn the_issuer_is_equal_byte_for_byte() {
        for issuer in [
            "https://idp.example/",
            "https://IDP.example",
            "http://idp.example",
            "https://idp.example ",
            "",
            "https://idp.example\u{0}",
        ] {
            assert_eq!(decide(json!({"iss": issuer})), "issuer_mismatch", "{issuer}");
        }
        assert_eq!(decide(json!({"iss": ["https://idp.example"]})), "claim_type");
        assert_eq!(decide(json!({"iss": null})), "claim_missing");
    }

    #[test]
    fn one_audience_must_be_ours() {
        let mut expect = expectations();
        expect.audiences = vec!["databricks".to_owned(), "api://kong".to_owned()];
        for audience in
            [json!("databricks"), json!("api://kong"), json!(["other", "databricks"]), json!(["api://kong"])]
        {
            assert_eq!(decide_with(json!({"aud": audience}), &expect), "accepted", "{audience}");
        }
        for audience in [
            json!("other"),
            json!(""),
            json!("databricks "),
            json!("databricks api://kong"),
            json!([]),
            json!(["data", "bricks"]),
        ] {
            assert_eq!(decide_with(json!({"aud": audience}), &expect), "audience_mismatch", "{audience}");
        }
        for audience in
            [json!(1), json!({"databricks": 1}), json!(["databricks", 1]), json!([["databricks"]]), json!(true)]
        {
            assert_eq!(decide_with(json!({"aud": audience}), &expect), "claim_type", "{audience}");
        }
        assert_eq!(decide_with(json!({"aud": null}), &expect), "claim_missing");
        expect.audiences = Vec::new();
        assert_eq!(decide_with(json!({}), &expect), "audience_mismatch", "no audience configured accepts none");
    }

    #[test]
    fn the_lifetime_has_its_limits_where_they_are_configured() {
        let mut expect = expectations();
        expect.max_lifetime = Some(Duration::from_secs(600));
        let iat = NOW.as_secs();
        assert_eq!(decide_with(json!({"iat": iat, "exp": iat + 600}), &expect), "accepted");
        assert_eq!(decide_with(json!({"iat": iat, "exp": iat + 601}), &expect), "lifetime_too_long");
        let error = check(&sign(&claims(json!({"iat": null}))), &expect).unwrap_err();
        assert_eq!((error.code(), error.claim()), ("claim_missing", Some("iat")));
        assert_eq!(decide(json!({"iat": null, "exp": iat + 999_999})), "accepted", "without a limit any will do");
    }

    fn require(path: &str, listed: Value) -> Expectations {
        let mut expect = expectations();
        expect.required = vec![(ClaimPath::parse(path).unwrap(), listed.as_array().unwrap().clone())];
        expect
    }

    #[test]
    fn a_required_claim_has_one_of_the_listed_values() {
        let verified = require("email_verified", json!([true]));
        assert_eq!(decide_with(json!({"email_verified": true}), &verified), "accepted");
        for value in [json!(false), json!("true"), json!(1), json!({"a": true})] {
            assert_eq!(decide_with(json!({"email_verified": value}), &verified), "claim_required", "{value}");
        }
        let error = check(&sign(&claims(json!({}))), &verified).unwrap_err();
        assert_eq!(
            (error.code(), error.claim(), error.reason()),
            ("claim_required", Some("email_verified"), Reason::TokenInvalid)
        );
        let tenants = require("/ns/tid", json!(["t1", "t2"]));
        assert_eq!(decide_with(json!({"ns": {"tid": "t2"}}), &tenants), "accepted");
        assert_eq!(decide_with(json!({"ns": {"tid": "t3"}}), &tenants), "claim_required");
        assert_eq!(
            decide_with(json!({"x": "y"}), &require("x", json!([]))),
            "claim_required",
            "nothing listed accepts nothing"
        );
    }

    #[test]
    fn a_list_satisfies_by_an_element_or_as_a_whole() {
        let factors = require("amr", json!(["mfa", "hwk"]));
        assert_eq!(decide_with(json!({"amr": ["pwd", "mfa"]}), &factors), "accepted");
        assert_eq!(decide_with(json!({"amr": ["pwd"]}), &factors), "claim_required");
        assert_eq!(decide_with(json!({"amr": []}), &factors), "claim_required");
        assert_eq!(decide_with(json!({"amr": [["mfa"]]}), &factors), "claim_required");
        let whole = require("amr", json!([["pwd", "mfa"]]));
        assert_eq!(decide_with(json!({"amr": ["pwd", "mfa"]}), &whole), "accepted");
        assert_eq!(decide_with(json!({"amr": ["mfa", "pwd"]}), &whole), "claim_required");
        assert_eq!(decide_with(json!({"amr": [["pwd", "mfa"]]}), &whole), "claim_required");
    }

    #[test]
    fn every_required_claim_must_hold() {
        let mut expect = require("a", json!([1]));
        expect.required.extend(require("b", json!([2])).required);
        assert_eq!(decide_with(json!({"a": 1, "b": 2}), &expect), "accepted");
        assert_eq!(decide_with(json!({"a": 1}), &expect), "claim_required");
        assert_eq!(decide_with(json!({"b": 2}), &expect), "claim_required");
    }
}
