//! Tokens that tell of something: logout tokens (OpenID Connect Back-Channel Logout 1.0) and security event tokens (RFC 8417).
//!
//! They are signed with the keys that sign access tokens, and the same code checks signature, issuer and audience. What comes out is a
//! proof of another type, so that neither can be taken for the other.

use super::caller::{optional_text, time};
use super::claims::ClaimPath;
use super::compact::is_typed_as;
use super::verify::{Signed, check_audience, check_issuer, check_signature};
use super::{Algorithm, KeySet, TokenError, UnverifiedToken};
use crate::base::UnixTime;
use serde_json::{Map, Value};
use std::fmt;
use std::time::Duration;

/// The kinds of tokens that tell of something, which their headers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A logout token: `typ` is `logout+jwt`, `JWT`, or absent.
    Logout,
    /// A security event token: `typ` is `secevent+jwt`, `JWT`, or absent.
    SecurityEvent,
}

impl EventKind {
    const fn typ(self) -> &'static str {
        match self {
            Self::Logout => "logout+jwt",
            Self::SecurityEvent => "secevent+jwt",
        }
    }
}

/// A token of that kind whose signature was not checked; see [`UnverifiedToken`].
#[derive(Debug)]
pub struct UnverifiedEvent(UnverifiedToken);

impl UnverifiedEvent {
    /// Reads a token of `kind` as [`UnverifiedToken::parse`] reads an access token.
    ///
    /// # Errors
    ///
    /// As there; [`TokenError::TypeNotAllowed`] for a header whose `typ` is of another kind.
    pub fn parse(bytes: &[u8], max_bytes: usize, kind: EventKind) -> Result<Self, TokenError> {
        UnverifiedToken::parse_typed(bytes, max_bytes, |header| is_typed_as(header, kind.typ())).map(Self)
    }

    /// `iss`, for choosing the keys and rules to [`verify_event`] against; compared again there.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer()
    }
}

/// What the events of one sender must satisfy.
#[derive(Clone, Debug)]
pub struct EventExpectations {
    /// `iss`, byte for byte.
    pub issuer: String,
    /// `aud` must have one of these. With none, every token is refused.
    pub audiences: Vec<String>,
    /// The signature algorithms that are allowed.
    pub algorithms: Vec<Algorithm>,
    /// How far the issuer's clock may be off.
    pub clock_skew: Duration,
    /// How long after `iat` a token is still accepted.
    pub max_age: Duration,
}

/// Events whose token's signature, issuer, audience and age were checked.
///
/// Only [`verify_event`] makes one. It says what happened and gives nobody access: there is no way from it to a [`Caller`](super::Caller).
#[derive(Clone)]
pub struct SecurityEvent {
    id: String,
    issued_at: UnixTime,
    claims: Map<String, Value>,
    events: Map<String, Value>,
}

impl SecurityEvent {
    /// `jti`: whoever acts on events acts on each id of an issuer once.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `iat`.
    #[must_use]
    pub const fn issued_at(&self) -> UnixTime {
        self.issued_at
    }

    /// Any claim.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// The events, by the URIs of their types; at least one, each an object.
    pub fn events(&self) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
        self.events.iter().filter_map(|(uri, event)| Some((uri.as_str(), event.as_object()?)))
    }
}

impl fmt::Debug for SecurityEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityEvent").finish_non_exhaustive()
    }
}

/// Checks that a sender vouches for these events, and that they are of now.
///
/// In the order of [`verify`](super::verify): algorithm, key, signature; then `iss`, `aud`, `events` (an object of objects, not empty), no
/// `nonce`, `jti`, `iat` neither in the future nor older than allowed, `exp` and `nbf` where they are there.
///
/// # Errors
///
/// [`TokenError`]. If [`TokenError::keys_may_be_stale`], fetch the keys and verify the same token once more; otherwise refuse it.
pub fn verify_event(
    token: &UnverifiedEvent,
    keys: &KeySet,
    expect: &EventExpectations,
    now: UnixTime,
) -> Result<SecurityEvent, TokenError> {
    let signed = check_signature(&token.0, keys, &expect.algorithms)?;
    check_issuer(signed, &expect.issuer)?;
    check_audience(signed, &expect.audiences)?;
    let events = events(signed)?;
    let issued_at = check_times(signed, expect, now)?;
    Ok(SecurityEvent { id: id(signed)?, issued_at, claims: signed.claims().clone(), events })
}

/// An ID token of a sign-in has a `nonce`, and what tells of something must not (Back-Channel Logout 1.0, 2.4).
fn events(signed: Signed<'_>) -> Result<Map<String, Value>, TokenError> {
    if signed.get("nonce").is_some() {
        return Err(TokenError::TokenUseNotAllowed);
    }
    match signed.get("events") {
        Some(Value::Object(events)) if !events.is_empty() && events.values().all(Value::is_object) => {
            Ok(events.clone())
        }
        Some(_) => Err(TokenError::ClaimType("events".to_owned())),
        None => Err(TokenError::ClaimMissing("events".to_owned())),
    }
}

fn id(signed: Signed<'_>) -> Result<String, TokenError> {
    let id = optional_text(signed.claims(), &ClaimPath::name("jti"))?;
    id.ok_or_else(|| TokenError::ClaimMissing("jti".to_owned()))
}

fn check_times(signed: Signed<'_>, expect: &EventExpectations, now: UnixTime) -> Result<UnixTime, TokenError> {
    let claims = signed.claims();
    let issued_at = time(claims, "iat")?.ok_or_else(|| TokenError::ClaimMissing("iat".to_owned()))?;
    let ends = [Some(issued_at.plus(expect.max_age)), time(claims, "exp")?];
    if ends.into_iter().flatten().any(|end| now >= end.plus(expect.clock_skew)) {
        return Err(TokenError::Expired);
    }
    let starts = [Some(issued_at), time(claims, "nbf")?];
    if starts.into_iter().flatten().any(|start| start > now.plus(expect.clock_skew)) {
        return Err(TokenError::NotYetValid);
    }
    Ok(issued_at)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NOW, claims, expectations, keys, sign, sign_texts};
    use super::*;
    use serde_json::json;

    const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

    fn expect() -> EventExpectations {
        let tokens = expectations();
        EventExpectations {
            issuer: tokens.issuer.to_string(),
            audiences: tokens.audiences,
            algorithms: tokens.algorithms,
            clock_skew: tokens.clock_skew,
            max_age: Duration::from_secs(600),
        }
    }

    fn event(changes: Value) -> Value {
        let mut event =
            claims(json!({"jti": "e1", "exp": null, "nbf": null, "events": {REVOKED: {"event_timestamp": 1}}}));
        for (name, value) in changes.as_object().unwrap() {
            event[name] = value.clone();
        }
        event.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        event
    }

    fn check(token: &str, kind: EventKind) -> Result<SecurityEvent, TokenError> {
        verify_event(&UnverifiedEvent::parse(token.as_bytes(), 16384, kind)?, &keys(), &expect(), NOW)
    }

    fn decide(changes: Value) -> String {
        match check(&sign(&event(changes)), EventKind::SecurityEvent) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => [error.code(), error.claim().unwrap_or_default()].join(" ").trim_end().to_owned(),
        }
    }

    #[test]
    fn a_good_event_says_what_happened() {
        let event = check(&sign(&event(json!({}))), EventKind::SecurityEvent).unwrap();
        assert_eq!((event.id(), event.issued_at().as_secs()), ("e1", 1_799_999_990));
        let events: Vec<_> = event.events().collect();
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].0, &events[0].1["event_timestamp"]), (REVOKED, &json!(1)));
        assert_eq!(event.claim("iss"), Some(&json!("https://idp.example")));
        assert_eq!(format!("{event:?}"), "SecurityEvent { .. }");
    }

    #[test]
    fn each_rule_has_its_code() {
        let now = NOW.as_secs();
        for (changes, code) in [
            (json!({"iss": "https://other.example"}), "issuer_mismatch"),
            (json!({"iss": null}), "claim_missing iss"),
            (json!({"aud": "other"}), "audience_mismatch"),
            (json!({"aud": null}), "claim_missing aud"),
            (json!({"aud": ["other", "databricks"]}), "accepted"),
            (json!({"nonce": "n"}), "token_use_not_allowed"),
            (json!({"jti": null}), "claim_missing jti"),
            (json!({"jti": ""}), "claim_type jti"),
            (json!({"jti": 7}), "claim_type jti"),
            (json!({"iat": null}), "claim_missing iat"),
            (json!({"iat": "now"}), "claim_type iat"),
            (json!({"iat": now + 30}), "accepted"),
            (json!({"iat": now + 31}), "not_yet_valid"),
            (json!({"iat": now - 629}), "accepted"),
            (json!({"iat": now - 630}), "expired"),
            (json!({"exp": now - 29}), "accepted"),
            (json!({"exp": now - 30}), "expired"),
            (json!({"exp": true}), "claim_type exp"),
            (json!({"nbf": now + 31}), "not_yet_valid"),
        ] {
            assert_eq!(decide(changes.clone()), code, "{changes}");
        }
        for events in [json!({}), json!([]), json!("x"), json!(1), json!({REVOKED: 1}), json!({REVOKED: null})] {
            assert_eq!(decide(json!({"events": events})), "claim_type events", "{events}");
        }
        assert_eq!(decide(json!({"events": null})), "claim_missing events");
    }

    #[test]
    fn an_access_token_tells_of_nothing() {
        let error = check(&sign(&claims(json!({"jti": "t1"}))), EventKind::SecurityEvent).unwrap_err();
        assert_eq!(error, TokenError::ClaimMissing("events".to_owned()));
    }

    #[test]
    fn the_type_of_the_header_tells_the_kinds_apart() {
        for (typ, logout, security_event) in [
            (json!("logout+jwt"), true, false),
            (json!("application/logout+JWT"), true, false),
            (json!("secevent+jwt"), false, true),
            (json!("Application/secevent+jwt"), false, true),
            (json!("JWT"), true, true),
            (json!("at+jwt"), false, false),
            (json!("application/at+jwt"), false, false),
            (json!("application/JWT"), false, false),
            (json!(""), false, false),
            (json!(null), false, false),
            (json!(["JWT"]), false, false),
        ] {
            let header = json!({"alg": "EdDSA", "kid": "k1", "typ": typ});
            let token = sign_texts(&header.to_string(), &event(json!({})).to_string());
            for (kind, expected) in [(EventKind::Logout, logout), (EventKind::SecurityEvent, security_event)] {
                let refused = check(&token, kind).err();
                assert_eq!(refused, (!expected).then_some(TokenError::TypeNotAllowed), "{typ} {kind:?}");
            }
        }
        let token = sign_texts(r#"{"alg":"EdDSA","kid":"k1"}"#, &event(json!({})).to_string());
        assert!(check(&token, EventKind::Logout).is_ok());
    }

    #[test]
    fn the_signature_comes_before_every_claim() {
        let token = sign(&event(json!({"iss": "https://other.example"})));
        let (signed, _) = token.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{}", super::super::testing::b64([0; 64]));
        assert_eq!(check(&forged, EventKind::SecurityEvent).unwrap_err(), TokenError::SignatureInvalid);
        let none = sign_texts(r#"{"alg":"none"}"#, &event(json!({})).to_string());
        assert_eq!(check(&none, EventKind::SecurityEvent).unwrap_err(), TokenError::AlgorithmNotAllowed);
    }
}
