//! The one way from a token to a caller.

use super::caller::{Caller, Lifetime};
use super::claims::Expectations;
use super::{Algorithm, KeySet, TokenError, UnverifiedToken};
use crate::base::UnixTime;
use serde_json::{Map, Value};

/// Checks that a provider vouches for the token, here and now, and says who the caller is.
///
/// In this order: `alg` is allowed; a key is known; the signature holds; and only then the claims: `iss`, `aud`, the types of `exp`,
/// `nbf` and `iat`, their values, the lifetime, Keycloak's `typ`, the required claims, subject, groups, client and actor.
///
/// `now` must be the present; nothing is remembered from one call to the next.
///
/// # Errors
///
/// [`TokenError`]. If [`TokenError::keys_may_be_stale`], fetch the keys and verify the same token once more; otherwise refuse.
pub fn verify(
    token: &UnverifiedToken,
    keys: &KeySet,
    expect: &Expectations,
    now: UnixTime,
) -> Result<Caller, TokenError> {
    let signed = check_signature(token, keys, &expect.algorithms)?;
    check_issuer(signed, &expect.issuer)?;
    check_audience(signed, &expect.audiences)?;
    let lifetime = Lifetime::of(signed)?;
    lifetime.check(now, expect.clock_skew)?;
    check_length(lifetime, expect)?;
    check_use(signed)?;
    check_required(signed, expect)?;
    Caller::new(signed, token.token(), lifetime, expect)
}

/// Claims whose signature was checked. Only [`check_signature`] makes one, and whatever looks at claims takes one, so that no rule can
/// come to run before the signature's.
#[derive(Clone, Copy)]
pub(super) struct Signed<'t>(&'t Map<String, Value>);

impl<'t> Signed<'t> {
    pub(super) const fn claims(self) -> &'t Map<String, Value> {
        self.0
    }

    fn get(self, name: &str) -> Option<&'t Value> {
        self.0.get(name)
    }
}

fn check_signature<'t>(
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
        (true, _) => Ok(Signed(token.claims())),
        (false, true) => Err(TokenError::SignatureInvalid),
        (false, false) => Err(TokenError::NoKeyVerifies),
    }
}

fn check_issuer(signed: Signed<'_>, issuer: &str) -> Result<(), TokenError> {
    match signed.get("iss") {
        Some(Value::String(iss)) if iss == issuer => Ok(()),
        Some(Value::String(_)) => Err(TokenError::IssuerMismatch),
        Some(_) => Err(TokenError::ClaimType("iss".to_owned())),
        None => Err(TokenError::ClaimMissing("iss".to_owned())),
    }
}

fn check_audience(signed: Signed<'_>, audiences: &[String]) -> Result<(), TokenError> {
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

fn check_length(lifetime: Lifetime, expect: &Expectations) -> Result<(), TokenError> {
    let Some(longest) = expect.max_lifetime else { return Ok(()) };
    let issued_at = lifetime.issued_at.ok_or_else(|| TokenError::ClaimMissing("iat".to_owned()))?;
    if lifetime.expires_at.since(issued_at) > longest { Err(TokenError::LifetimeTooLong) } else { Ok(()) }
}

/// Keycloak signs all its tokens with the same keys and tells them apart by this claim: an ID token is for the client to read, a refresh
/// token for Keycloak alone, and both outlive or outreach an access token.
fn check_use(signed: Signed<'_>) -> Result<(), TokenError> {
    const NOT_FOR_ACCESS: [&str; 4] = ["ID", "Refresh", "Offline", "Logout"];
    match signed.get("typ").and_then(Value::as_str) {
        Some(typ) if NOT_FOR_ACCESS.iter().any(|other| other.eq_ignore_ascii_case(typ)) => {
            Err(TokenError::TokenUseNotAllowed)
        }
        _ => Ok(()),
    }
}

fn check_required(signed: Signed<'_>, expect: &Expectations) -> Result<(), TokenError> {
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
