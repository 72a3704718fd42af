//! What a token says it is for.
//!
//! A provider signs more than access tokens with the same keys, and often for the same audience: ID tokens, which are for the client to
//! read; refresh tokens, which outlive what they renew; logout and other security event tokens, which tell of something. The header's
//! `typ` tells them apart where a provider sets it (see [`UnverifiedToken`](super::UnverifiedToken)), and their claims where it does not.

use super::TokenError;
use super::verify::Signed;
use serde_json::Value;

/// Claims in which providers say what a token is: Keycloak, Amazon Cognito, several libraries, `ForgeRock`.
const CLAIMS: [&str; 4] = ["typ", "token_use", "token_type", "tokenName"];
/// What they say of an access token, in any case.
const ACCESS: [&str; 7] = [
    "Bearer",
    "DPoP",
    "access",
    "access_token",
    "at+jwt",
    "application/at+jwt",
    "urn:ietf:params:oauth:token-type:access_token",
];
/// What says nothing.
const ANY: [&str; 2] = ["JWT", "urn:ietf:params:oauth:token-type:jwt"];
/// Claims that only other kinds have: security events and logout tokens (RFC 8417), answers to introspection (RFC 9701).
const FOREIGN: [&str; 2] = ["events", "token_introspection"];

/// Whether a claim says that it is an access token.
pub(super) fn is_said_to_be_for_access(signed: Signed<'_>) -> bool {
    let is_access = |kind: &str| ACCESS.iter().any(|known| known.eq_ignore_ascii_case(kind));
    CLAIMS.iter().any(|claim| signed.get(claim).and_then(Value::as_str).is_some_and(is_access))
}

/// Refuses what says of itself that it is no access token.
///
/// An ID token of a sign-in has the sign-in's `nonce` (OpenID Connect Core 2), so one with a `nonce` must call itself an access token, in
/// the header (`typed_for_access`) or in a claim. An ID token without it, such as machines get, says nothing of itself, and passes where
/// its audience is configured.
///
/// # Errors
///
/// [`TokenError::TokenUseNotAllowed`]; also if a claim that says so is of a kind that cannot be told.
pub(super) fn check(signed: Signed<'_>, typed_for_access: bool) -> Result<(), TokenError> {
    let is = |kind: &str, known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(kind));
    let mut for_access = typed_for_access;
    for claim in CLAIMS {
        match signed.get(claim) {
            None => {}
            Some(Value::String(kind)) if is(kind, &ACCESS) => for_access = true,
            Some(Value::String(kind)) if is(kind, &ANY) => {}
            Some(_) => return Err(TokenError::TokenUseNotAllowed),
        }
    }
    let is_foreign = FOREIGN.iter().any(|claim| signed.get(claim).is_some());
    let is_of_sign_in = signed.get("nonce").is_some() && !for_access;
    if is_foreign || is_of_sign_in { Err(TokenError::TokenUseNotAllowed) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, claims, expectations, sign, sign_texts};
    use super::CLAIMS;
    use serde_json::{Value, json};

    const NO_ACCESS_TOKEN: &str = "token_use_not_allowed";

    /// Of acceptable claims and this one more.
    fn decide_typed(header_typ: &str, name: &str, value: &Value) -> &'static str {
        let header = json!({"alg": "EdDSA", "kid": "k1", "typ": header_typ});
        let mut claims = claims(json!({}));
        claims[name] = value.clone();
        check(&sign_texts(&header.to_string(), &claims.to_string()), &expectations())
            .map_or_else(|error| error.code(), |_| "accepted")
    }

    fn decide(name: &str, value: &Value) -> &'static str {
        decide_typed("JWT", name, value)
    }

    fn decide_all(changes: Value) -> &'static str {
        check(&sign(&claims(changes)), &expectations()).map_or_else(|error| error.code(), |_| "accepted")
    }

    #[test]
    fn what_tells_of_something_is_no_access_token() {
        let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        let revoked =
            json!({"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {"event_timestamp": 1}});
        for events in [logout, revoked, json!({}), json!(null), json!([]), json!("x")] {
            assert_eq!(decide("events", &events), NO_ACCESS_TOKEN, "{events}");
        }
        assert_eq!(decide_typed("at+jwt", "events", &json!({})), NO_ACCESS_TOKEN);
        assert_eq!(decide_all(json!({"events": {}, "typ": "Bearer", "token_use": "access"})), NO_ACCESS_TOKEN);
        assert_eq!(decide("token_introspection", &json!({"active": true})), NO_ACCESS_TOKEN);
    }

    #[test]
    fn a_token_that_calls_itself_something_else_is_refused() {
        let kinds =
            ["ID", "id", "Refresh", "Offline", "Logout", "refresh_token", "id_token", "RegistrationAccessToken", ""];
        for claim in CLAIMS {
            for kind in kinds.map(|kind| json!(kind)).into_iter().chain([json!(null), json!(1), json!(["Bearer"])]) {
                assert_eq!(decide(claim, &kind), NO_ACCESS_TOKEN, "{claim} {kind}");
            }
            for kind in ["Bearer", "bearer", "DPoP", "access", "access_token", "at+jwt", "JWT"] {
                assert_eq!(decide(claim, &json!(kind)), "accepted", "{claim} {kind}");
            }
        }
        assert_eq!(decide_all(json!({"typ": "Bearer", "token_use": "id"})), NO_ACCESS_TOKEN);
    }

    #[test]
    fn an_id_token_of_a_sign_in_is_refused_unless_the_nonce_is_in_an_access_token() {
        for nonce in [json!("n-0S6_WzA2Mj"), json!(null)] {
            assert_eq!(decide("nonce", &nonce), NO_ACCESS_TOKEN);
            assert_eq!(decide_typed("at+jwt", "nonce", &nonce), "accepted");
            assert_eq!(decide_typed("application/at+JWT", "nonce", &nonce), "accepted");
        }
        assert_eq!(decide_all(json!({"nonce": "n", "typ": "JWT"})), NO_ACCESS_TOKEN);
        // old versions of Keycloak copied it into access tokens
        assert_eq!(decide_all(json!({"nonce": "n", "typ": "Bearer"})), "accepted");
        assert_eq!(decide_all(json!({"nonce": "n", "token_use": "access"})), "accepted");
        // what a machine gets that nobody signed in for: Google's service accounts
        assert_eq!(decide_all(json!({"at_hash": "x", "azp": "1234.apps.googleusercontent.com"})), "accepted");
    }

    #[test]
    fn a_token_of_another_kind_is_called_so_whatever_its_times_are() {
        assert_eq!(decide_all(json!({"typ": "ID", "exp": 1})), NO_ACCESS_TOKEN);
        assert_eq!(decide_all(json!({"events": {}, "exp": null})), NO_ACCESS_TOKEN);
    }
}
