//! What an introspection endpoint says of a token (RFC 7662), judged as a token's claims are.

use super::caller::{CONFIRMATION, Caller, Lifetime};
use super::claims::{ClaimPath, Expectations};
use super::verify::{Signed, check_audience, check_issuer, check_length, check_required};
use super::{BearerToken, TokenError, token_use};
use crate::base::{JsonFault, UnixTime, parse_object_strict};
use serde_json::{Map, Value};
use std::rc::Rc;

/// Deepest nesting of an answer.
const JSON_DEPTH: usize = 32;

/// What a provider says of a token.
#[derive(Debug)]
pub enum Introspected {
    /// It is not to be accepted: ended, revoked, or none of this provider's.
    Inactive,
    /// It is in force.
    Active(ActiveToken),
}

/// What a provider says of a token that is in force. Only [`Introspected::parse`] makes one.
pub struct ActiveToken {
    claims: Map<String, Value>,
    /// The same, as they were written.
    text: String,
}

/// Why an answer says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntrospectionFault {
    /// Not a JSON object that all readers read alike.
    #[error("the answer is {0}")]
    Json(#[from] JsonFault),
    /// `active` is missing, or is neither `true` nor `false`.
    #[error("`active` of the answer is neither true nor false")]
    Active,
}

impl Introspected {
    /// Reads the body of an answer with status 200.
    ///
    /// # Errors
    ///
    /// [`IntrospectionFault`]: nothing is known of the token. Refuse, and let the caller come back.
    pub fn parse(bytes: &[u8]) -> Result<Self, IntrospectionFault> {
        let answer = parse_object_strict(bytes, JSON_DEPTH)?;
        match answer.get("active") {
            Some(Value::Bool(true)) => Ok(Self::Active(ActiveToken::new(answer, bytes)?)),
            Some(Value::Bool(false)) => Ok(Self::Inactive),
            _ => Err(IntrospectionFault::Active),
        }
    }
}

impl std::fmt::Debug for ActiveToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActiveToken").finish_non_exhaustive()
    }
}

impl ActiveToken {
    fn new(claims: Map<String, Value>, bytes: &[u8]) -> Result<Self, IntrospectionFault> {
        // it was read as text
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| JsonFault::Syntax)?;
        Ok(Self { claims, text })
    }

    pub(super) const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The caller whose token this is, by this answer alone: the token itself says nothing.
    ///
    /// Everything that a JWT must say the answer must say, but `iss`: the endpoint that was asked, with a secret of its own, is the
    /// provider's. Without `aud` the token may be for another service, and without a word for what it is (`token_type`, `typ`,
    /// `token_use`) it may be a refresh token; then it is refused.
    ///
    /// # Errors
    ///
    /// [`TokenError`], as of [`verify`](super::verify); refuse the caller.
    pub fn caller(&self, token: &BearerToken, expect: &Expectations, now: UnixTime) -> Result<Caller, TokenError> {
        let signed = Signed::answered(self);
        check_stated_issuer(signed, &expect.issuer)?;
        check_audience(signed, &expect.audiences)?;
        token_use::check(signed, false)?;
        if !token_use::is_said_to_be_for_access(signed) {
            return Err(TokenError::ClaimMissing("token_type".to_owned()));
        }
        let lifetime = Lifetime::of(signed)?;
        lifetime.check(now, expect.clock_skew)?;
        check_length(lifetime, expect)?;
        check_required(signed, expect)?;
        Caller::new(signed, token, lifetime, expect)
    }

    /// Whether nothing that the answer says speaks against a caller whose JWT was verified: the caller, bound to the key that the answer
    /// names if the token names none (RFC 8705 section 3.2), and until when that is so at most.
    ///
    /// # Errors
    ///
    /// [`TokenError`], as of [`verify`](super::verify); refuse the caller.
    pub fn confirms(
        &self,
        caller: &Rc<Caller>,
        expect: &Expectations,
        now: UnixTime,
    ) -> Result<(Rc<Caller>, UnixTime), TokenError> {
        let signed = Signed::answered(self);
        check_stated_issuer(signed, &expect.issuer)?;
        if signed.get("aud").is_some() {
            check_audience(signed, &expect.audiences)?;
        }
        token_use::check(signed, true)?;
        let lifetime = Lifetime::within(signed, caller.expires_at())?;
        lifetime.check(now, expect.clock_skew)?;
        Ok((self.bind(caller)?, lifetime.expires_at))
    }

    fn bind(&self, caller: &Rc<Caller>) -> Result<Rc<Caller>, TokenError> {
        match (self.claims.get(CONFIRMATION), caller.claim(&ClaimPath::name(CONFIRMATION))) {
            (None, _) => Ok(Rc::clone(caller)),
            (Some(answered), None) => Ok(Rc::new(caller.bound_to(answered.clone()))),
            (Some(answered), Some(signed)) if answered == signed => Ok(Rc::clone(caller)),
            // which of the two keys it is bound to nobody can say
            (Some(_), Some(_)) => Err(TokenError::ClaimType(CONFIRMATION.to_owned())),
        }
    }
}

fn check_stated_issuer(signed: Signed<'_>, issuer: &str) -> Result<(), TokenError> {
    if signed.get("iss").is_some() { check_issuer(signed, issuer) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NOW, caller, expectations};
    use super::*;
    use crate::base::Secret;
    use serde_json::json;

    fn answer(changes: &Value) -> ActiveToken {
        let mut answer = json!({
            "active": true, "iss": "https://idp.example", "aud": "databricks", "sub": "anna", "client_id": "cli",
            "token_type": "Bearer", "iat": 1_799_999_990, "exp": 1_800_000_600, "groups": ["eng"],
        });
        for (name, value) in changes.as_object().unwrap() {
            answer[name] = value.clone();
        }
        answer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        match Introspected::parse(answer.to_string().as_bytes()).unwrap() {
            Introspected::Active(active) => active,
            Introspected::Inactive => panic!("{answer}"),
        }
    }

    fn code<T>(result: Result<T, TokenError>) -> &'static str {
        result.map_or_else(|error| error.code(), |_| "accepted")
    }

    /// What is said of an opaque token, and of a JWT that was verified, by an answer with these changes.
    fn judged(changes: Value) -> (&'static str, &'static str) {
        let (answer, expect) = (answer(&changes), expectations());
        let opaque = answer.caller(&BearerToken::new(Secret::new("opaque".to_owned())), &expect, NOW);
        (code(opaque), code(answer.confirms(&Rc::new(caller(json!({}))), &expect, NOW)))
    }

    #[test]
    fn the_callers_attributes_are_those_of_the_answer() {
        let opaque = BearerToken::new(Secret::new("opaque".to_owned()));
        let caller = answer(&json!({"jti": "t1", "sid": "s1"})).caller(&opaque, &expectations(), NOW).unwrap();
        assert_eq!((caller.subject(), caller.client(), caller.issuer()), ("anna", Some("cli"), "https://idp.example"));
        assert_eq!((caller.jwt_id(), caller.session_id()), (Some("t1"), Some("s1")));
        assert_eq!(
            (caller.token().expose().as_str(), caller.expires_at()),
            ("opaque", UnixTime::from_secs(1_800_000_600))
        );
    }

    #[test]
    fn only_a_plain_yes_is_one() {
        for (text, expected) in [
            (r#"{"active":false}"#, Ok(())),
            (r#"{"active":false,"sub":"anna"}"#, Ok(())),
            (r#"{"active":"true"}"#, Err(IntrospectionFault::Active)),
            (r#"{"active":1}"#, Err(IntrospectionFault::Active)),
            (r#"{"active":null}"#, Err(IntrospectionFault::Active)),
            ("{}", Err(IntrospectionFault::Active)),
            (r#"{"Active":true}"#, Err(IntrospectionFault::Active)),
            (r#"{"active":false,"active":true}"#, Err(IntrospectionFault::Json(JsonFault::DuplicateKey))),
            ("[]", Err(IntrospectionFault::Json(JsonFault::NotAnObject))),
            ("", Err(IntrospectionFault::Json(JsonFault::Syntax))),
        ] {
            let inactive = Introspected::parse(text.as_bytes()).map(|said| match said {
                Introspected::Inactive => {}
                Introspected::Active(_) => panic!("{text}"),
            });
            assert_eq!(inactive, expected, "{text}");
        }
    }

    #[test]
    fn an_answer_is_judged_as_a_token_is() {
        for (changes, opaque, jwt) in [
            (json!({}), "accepted", "accepted"),
            (json!({"iss": "https://other.example"}), "issuer_mismatch", "issuer_mismatch"),
            (json!({"iss": 1}), "claim_type", "claim_type"),
            (json!({"aud": "other"}), "audience_mismatch", "audience_mismatch"),
            (json!({"aud": ["other", "databricks"]}), "accepted", "accepted"),
            (json!({"exp": 1_799_999_000}), "expired", "expired"),
            (json!({"exp": "1800000600"}), "claim_type", "claim_type"),
            (json!({"nbf": 1_800_000_100}), "not_yet_valid", "not_yet_valid"),
            (json!({"token_type": "refresh_token"}), "token_use_not_allowed", "token_use_not_allowed"),
            (json!({"typ": "Refresh"}), "token_use_not_allowed", "token_use_not_allowed"),
            (json!({"token_use": "refresh_token"}), "token_use_not_allowed", "token_use_not_allowed"),
            (json!({"events": {}}), "token_use_not_allowed", "token_use_not_allowed"),
            (json!({"token_type": "DPoP"}), "accepted", "accepted"),
            // what a JWT says for itself
            (json!({"iss": null}), "accepted", "accepted"),
            (json!({"aud": null}), "claim_missing", "accepted"),
            (json!({"exp": null}), "claim_missing", "accepted"),
            (json!({"token_type": null}), "claim_missing", "accepted"),
            (json!({"token_type": null, "token_use": "access_token"}), "accepted", "accepted"),
            (json!({"token_type": null, "typ": "JWT"}), "claim_missing", "accepted"),
            (json!({"sub": null}), "claim_missing", "accepted"),
            (json!({"sub": 7}), "claim_type", "accepted"),
        ] {
            assert_eq!(judged(changes.clone()), (opaque, jwt), "{changes}");
        }
    }

    #[test]
    fn what_the_configuration_asks_for_is_asked_of_an_opaque_token_too() {
        let opaque = BearerToken::new(Secret::new("opaque".to_owned()));
        let mut expect = expectations();
        expect.max_lifetime = Some(std::time::Duration::from_secs(60));
        assert_eq!(code(answer(&json!({})).caller(&opaque, &expect, NOW)), "lifetime_too_long");
        expect.max_lifetime = None;
        expect.required = vec![(super::super::ClaimPath::name("tier"), vec![json!("gold")])];
        assert_eq!(code(answer(&json!({})).caller(&opaque, &expect, NOW)), "claim_required");
        assert_eq!(code(answer(&json!({"tier": "gold"})).caller(&opaque, &expect, NOW)), "accepted");
    }

    #[test]
    fn what_an_answer_confirms_ends_with_the_token_or_earlier() {
        let signed = Rc::new(caller(json!({})));
        let until = |changes| answer(&changes).confirms(&signed, &expectations(), NOW).unwrap().1.as_secs();
        assert_eq!(until(json!({"exp": null})), 1_800_000_600);
        assert_eq!(until(json!({"exp": 1_800_000_010})), 1_800_000_010);
        assert_eq!(until(json!({"exp": 1_900_000_000})), 1_800_000_600);
    }

    #[test]
    fn a_token_is_bound_to_the_key_that_only_the_answer_names_and_to_no_second_one() {
        let binding = |signed: Value, answered: Value| {
            let signed = Rc::new(caller(json!({ "cnf": signed })));
            let confirmed = answer(&json!({ "cnf": answered })).confirms(&signed, &expectations(), NOW);
            confirmed.map(|(caller, _)| caller.claim(&ClaimPath::name("cnf")).cloned()).map_err(|error| error.code())
        };
        let (one, two) = (json!({"x5t#S256": "one"}), json!({"x5t#S256": "two"}));
        assert_eq!(binding(Value::Null, one.clone()), Ok(Some(one.clone())));
        assert_eq!(binding(one.clone(), one.clone()), Ok(Some(one.clone())));
        assert_eq!(binding(one.clone(), Value::Null), Ok(Some(one.clone())));
        assert_eq!(binding(Value::Null, Value::Null), Ok(None));
        assert_eq!(binding(one, two), Err("claim_type"));
    }
}
