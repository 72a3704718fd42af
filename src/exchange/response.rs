//! What an answer of the token endpoint means.

use crate::base::{Fingerprint, Secret, UnixTime, parse_object_strict};
use crate::revocation::Marks;
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;

/// No token that is believed lives longer than a week.
const LONGEST_LIFE: u64 = 7 * 24 * 3600;
/// Longer texts are not tokens, and would not fit into a header.
const LONGEST_TOKEN: usize = 16 * 1024;
/// How long to wait where the token endpoint throttles and does not say how long.
const DEFAULT_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: u64 = 300;
/// `expires_in` and `exp` are whole seconds, so a token may end up to one before its `expires_in` has passed.
const ROUNDING: Duration = Duration::from_secs(1);
const JSON_DEPTH: usize = 8;
/// What Databricks says, with 403, of a token that it does not take, or takes no longer.
const INVALID_TOKEN: &str = "Invalid access token";

/// A Databricks token, bound to the purpose that it was obtained for.
#[derive(Clone, Debug)]
pub struct WorkspaceToken {
    secret: Rc<Secret<String>>,
    key: Fingerprint,
    keep_until: Option<UnixTime>,
    asked_at: UnixTime,
    /// What tells the answer that it came in from others.
    share: Fingerprint,
    /// The marks of the caller's own token that it was obtained with.
    obtained_with: Option<Rc<Marks>>,
}

impl WorkspaceToken {
    pub(super) fn secret(&self) -> &Secret<String> {
        &self.secret
    }

    pub(super) const fn key(&self) -> Fingerprint {
        self.key
    }

    /// When the token ends; `None` if it may be used just once.
    pub(super) const fn keep_until(&self) -> Option<UnixTime> {
        self.keep_until
    }

    /// Whether the token may still be used at `now`.
    #[must_use]
    pub fn lives_at(&self, now: UnixTime) -> bool {
        self.keep_until.is_some_and(|until| now < until)
    }

    /// The marks of the caller's own token that it was obtained with: if that is cut off, so is this. `None` if it was obtained with the
    /// gateway's own credential.
    #[must_use]
    pub fn obtained_with(&self) -> Option<&Marks> {
        self.obtained_with.as_deref()
    }

    pub(super) fn by(self, obtained_with: Option<Marks>) -> Self {
        Self { obtained_with: obtained_with.map(Rc::new), ..self }
    }

    /// Who asked for the same may have got it, too; see [`super::Pending::share`].
    #[must_use]
    pub const fn share(&self) -> Fingerprint {
        self.share
    }

    pub(super) const fn asked_at(&self) -> UnixTime {
        self.asked_at
    }

    pub(super) fn is(&self, other: &Secret<String>) -> bool {
        self.secret.expose() == other.expose()
    }

    #[cfg(test)]
    pub(super) fn for_test(key: Fingerprint, text: &str, asked_at: UnixTime, keep_until: Option<UnixTime>) -> Self {
        let secret = Rc::new(Secret::new(text.to_owned()));
        Self { secret, key, keep_until, asked_at, share: key, obtained_with: None }
    }
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeFault {
    /// Databricks does not give this caller a token; asking again will not help.
    #[error("databricks refused the exchange{}", code.as_ref().map_or_else(String::new, |code| format!(": `{code}`")))]
    Refused {
        /// The OAuth `error` code, if it is one.
        code: Option<String>,
    },
    /// The token endpoint asks to be left alone for a while.
    #[error("the token endpoint is throttling")]
    Throttled {
        /// For how long.
        retry_after: Duration,
    },
    /// The token endpoint failed; asking again may help.
    #[error("the token endpoint answered with status {status}")]
    Failed {
        /// The HTTP status.
        status: u16,
    },
    /// An answer that is no usable token.
    #[error("the token endpoint answered what cannot be used")]
    Unusable,
}

pub(super) fn read(
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
    (key, share): (Fingerprint, Fingerprint),
    asked_at: UnixTime,
    not_after: UnixTime,
) -> Result<WorkspaceToken, ExchangeFault> {
    match status {
        200 => read_token(body, (key, share), asked_at, not_after).ok_or(ExchangeFault::Unusable),
        400 | 401 | 403 => Err(read_refusal(body, status)),
        // without `Retry-After` a 503 is as good as no answer, and what Envoy makes of none
        503 if retry_after.is_none() => Err(ExchangeFault::Failed { status }),
        429 | 503 => Err(ExchangeFault::Throttled { retry_after: read_retry_after(retry_after) }),
        status => Err(ExchangeFault::Failed { status }),
    }
}

fn read_token(
    body: &[u8],
    (key, share): (Fingerprint, Fingerprint),
    asked_at: UnixTime,
    not_after: UnixTime,
) -> Option<WorkspaceToken> {
    let (token, life) = offered(body)?;
    let keep_until = life.map(|life| asked_at.plus(life.saturating_sub(ROUNDING)).min(not_after));
    Some(WorkspaceToken { secret: Rc::new(token), key, keep_until, asked_at, share, obtained_with: None })
}

/// The token that an answer offers, if it can be used, and how long it lives.
fn offered(body: &[u8]) -> Option<(Secret<String>, Option<Duration>)> {
    let object = parse_object_strict(body, JSON_DEPTH).ok()?;
    let token = object.get("access_token")?.as_str()?;
    let sendable = (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    let bearer = match object.get("token_type") {
        None => true,
        Some(kind) => kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")),
    };
    (sendable && bearer).then(|| (Secret::new(token.to_owned()), object.get("expires_in").and_then(read_life)))
}

/// How long the token of an answer lives; nothing if there is none that can be used, or one for one use.
#[cfg(feature = "native")]
#[must_use]
pub fn life_of_answer(body: &[u8]) -> Option<Duration> {
    offered(body)?.1
}

/// `expires_in`: a number, or a string with one, as some servers write it. What is not believable keeps nothing.
fn read_life(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    (1..=LONGEST_LIFE).contains(&seconds).then(|| Duration::from_secs(seconds))
}

fn read_refusal(body: &[u8], status: u16) -> ExchangeFault {
    let Ok(object) = parse_object_strict(body, JSON_DEPTH) else {
        return ExchangeFault::Failed { status };
    };
    let code = ["error", "error_code"].iter().find_map(|key| object.get(*key)?.as_str());
    match code {
        Some("temporarily_unavailable" | "server_error") => ExchangeFault::Failed { status },
        code => ExchangeFault::Refused { code: code.filter(|code| is_error_code(code)).map(str::to_owned) },
    }
}

/// Only what is surely a code is shown to the caller, not any text that a server puts in its place.
fn is_error_code(text: &str) -> bool {
    let in_code = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(in_code)
}

/// Whether an answer of the workspace means that it does not take the token that it was sent: 401, or 403 with `reason`
/// (`x-databricks-reason-phrase`, or the body's `message`) `Invalid access token.`, which is what a bad or an ended token gets.
#[must_use]
pub fn refuses_token(status: u16, reason: Option<&str>) -> bool {
    match status {
        401 => true,
        403 => reason.is_some_and(|reason| reason.trim_end_matches('.').eq_ignore_ascii_case(INVALID_TOKEN)),
        _ => false,
    }
}

/// How long a `Retry-After` in seconds asks to wait, within reason; a short while without one.
#[must_use]
pub fn read_retry_after(value: Option<&str>) -> Duration {
    let seconds = value.and_then(|value| value.trim().parse::<u64>().ok());
    seconds.map_or(DEFAULT_RETRY, |seconds| Duration::from_secs(seconds.clamp(1, LONGEST_RETRY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: UnixTime = UnixTime::from_secs(1_000);

    fn answer(status: u16, body: &str) -> Result<WorkspaceToken, ExchangeFault> {
        let key = Fingerprint::builder("test").finish();
        read(status, None, body.as_bytes(), (key, key), ASKED, UnixTime::from_secs(2_000))
    }

    #[test]
    fn a_token_is_kept_for_its_own_life_and_not_past_the_callers() {
        for (life, until) in [("3600", 2_000), ("100", 1_099), ("\"100\"", 1_099), ("2", 1_001), ("1", 1_000)] {
            let body = format!(r#"{{"access_token":"t","token_type":"Bearer","expires_in":{life}}}"#);
            let token = answer(200, &body).unwrap();
            assert_eq!(token.keep_until(), Some(UnixTime::from_secs(until)), "{life}");
            let lives = |second| token.lives_at(UnixTime::from_secs(second));
            assert_eq!([until - 1, until].map(lives), [true, false], "{life}");
        }
    }

    #[test]
    fn a_token_without_a_believable_life_is_not_kept() {
        for life in
            ["0", "-1", "1.5", "1e300", "604801", "18446744073709551616", "\"\"", "\"abc\"", "null", "true", "[]"]
        {
            let body = format!(r#"{{"access_token":"t","token_type":"Bearer","expires_in":{life}}}"#);
            let token = answer(200, &body).unwrap();
            assert_eq!((token.keep_until(), token.secret().expose().as_str()), (None, "t"), "{life}");
        }
        assert_eq!(answer(200, r#"{"access_token":"t"}"#).unwrap().keep_until(), None);
    }

    #[test]
    fn a_token_is_refused_by_a_401_and_by_a_403_that_says_so() {
        let said = Some("Invalid access token.");
        for (status, reason) in [(401, None), (401, Some("x")), (403, said), (403, Some("invalid access token"))] {
            assert!(refuses_token(status, reason), "{status} {reason:?}");
        }
        for (status, reason) in
            [(403, None), (403, Some("Invalid access token scope.")), (403, Some("")), (500, said), (200, said)]
        {
            assert!(!refuses_token(status, reason), "{status} {reason:?}");
        }
    }

    #[test]
    fn answers_without_a_usable_token_are_refused() {
        for body in [
            "",
            "null",
            "[]",
            "<html>",
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":7}"#,
            r#"{"access_token":"a b"}"#,
            r#"{"access_token":"a\r\nX-Evil: 1"}"#,
            r#"{"access_token":"é"}"#,
            r#"{"access_token":"t","token_type":"mac"}"#,
            r#"{"access_token":"t","token_type":7}"#,
            r#"{"access_token":"t","access_token":"u"}"#,
            r#"{"access_token":"t"} x"#,
        ] {
            assert_eq!(answer(200, body).err(), Some(ExchangeFault::Unusable), "{body}");
        }
        let long = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(LONGEST_TOKEN + 1));
        assert_eq!(answer(200, &long).err(), Some(ExchangeFault::Unusable));
    }

    #[test]
    fn a_refusal_carries_the_error_code_and_nothing_else() {
        let refused = |code: Option<&str>| Some(ExchangeFault::Refused { code: code.map(str::to_owned) });
        for status in [400, 401, 403] {
            let body = r#"{"error":"invalid_grant","error_description":"secret thing"}"#;
            assert_eq!(answer(status, body).err(), refused(Some("invalid_grant")));
        }
        assert_eq!(answer(403, r#"{"error_code":403,"message":"x"}"#).err(), refused(None));
        assert_eq!(answer(400, r#"{"error":"a b <script>"}"#).err(), refused(None));
        assert!(
            !answer(400, r#"{"error":"x","error_description":"secret"}"#).unwrap_err().to_string().contains("secret")
        );
    }

    #[test]
    fn failures_are_told_from_refusals() {
        for (status, body) in
            [(500, "{}"), (502, "x"), (404, "{}"), (302, ""), (201, "{}"), (503, "x"), (400, "<html>")]
        {
            assert_eq!(answer(status, body).err(), Some(ExchangeFault::Failed { status }), "{status} {body}");
        }
        let temporary = r#"{"error":"temporarily_unavailable"}"#;
        assert_eq!(answer(400, temporary).err(), Some(ExchangeFault::Failed { status: 400 }));
    }

    #[test]
    fn throttling_lasts_as_long_as_the_server_says_within_reason() {
        let key = Fingerprint::builder("test").finish();
        let wait = |value| match read(429, value, b"", (key, key), ASKED, UnixTime::MAX) {
            Err(ExchangeFault::Throttled { retry_after }) => retry_after.as_secs(),
            other => panic!("{other:?}"),
        };
        let waits = [Some("7"), None, Some("0"), Some("99999"), Some("Wed, 21 Oct 2026 07:28:00 GMT")].map(wait);
        assert_eq!(waits, [7, 1, 1, 300, 1]);
    }
}
