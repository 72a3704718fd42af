//! Who sent a request, as far as a provider vouches for it.

use super::claims::{ClaimPath, Expectations};
use super::verify::Signed;
use super::{TokenError, groups};
use crate::base::{Secret, UnixTime};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};
use std::time::Duration;

/// A caller whose token's signature, issuer, audience and lifetime were checked, and whose required claims are as required.
///
/// Only [`verify`](super::verify) makes one, so code that is handed a `Caller` need not ask whether these checks were made. They held
/// at that time; ask [`Caller::still_valid`] before using one that was kept.
#[derive(Clone)]
pub struct Caller {
    token: Secret<String>,
    token_id: String,
    claims: Map<String, Value>,
    lifetime: Lifetime,
    issuer: String,
    subject: String,
    groups: Groups,
    client: Option<String>,
    actor: Option<String>,
}

/// The groups that a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// These and no others; none, if the claim is not there.
    Listed(Vec<String>),
    /// Entra ID left them out because there are too many. Unlike an empty list this says nothing: refuse whatever depends on groups.
    Overage,
}

impl Caller {
    pub(super) fn new(
        signed: Signed<'_>,
        token: &Secret<String>,
        lifetime: Lifetime,
        expect: &Expectations,
    ) -> Result<Self, TokenError> {
        let claims = signed.claims();
        for name in ["sub", "jti", "sid"] {
            // revocation compares these: a number would never be found in the feed
            optional_text(claims, &ClaimPath::name(name))?;
        }
        Ok(Self {
            token: token.clone(),
            token_id: token_id(token.expose()),
            lifetime,
            issuer: expect.issuer.clone(),
            subject: subject(claims, &expect.subject)?,
            groups: groups::read(claims, &expect.groups)?,
            client: client(claims, expect.client.as_ref())?,
            actor: actor(claims)?,
            claims: claims.clone(),
        })
    }

    /// `iss`, equal to the configured issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Who the caller is, from the configured claim; never empty. Unique within the issuer at most.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `sub`, which may differ from [`Caller::subject`].
    #[must_use]
    pub fn raw_subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// The caller's groups.
    #[must_use]
    pub const fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The application that the caller uses.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// Who acts for the caller: `sub` of the outermost `act` (RFC 8693 4.1), which is the current actor; those inside it are history.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    /// Any claim.
    #[must_use]
    pub fn claim(&self, path: &ClaimPath) -> Option<&Value> {
        path.find(&self.claims)
    }

    /// `exp`: from then on the token is not accepted, clock skew aside.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.lifetime.expires_at
    }

    /// `nbf`.
    #[must_use]
    pub const fn not_before(&self) -> Option<UnixTime> {
        self.lifetime.not_before
    }

    /// `iat`.
    #[must_use]
    pub const fn issued_at(&self) -> Option<UnixTime> {
        self.lifetime.issued_at
    }

    /// The first 16 hex digits of the token's SHA-256: enough to find a token again in logs, nothing to use it with. Not a cache key:
    /// 64 bits can be made to collide.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// `jti`.
    #[must_use]
    pub fn jwt_id(&self) -> Option<&str> {
        self.text("jti")
    }

    /// `sid`, the session at the provider.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.text("sid")
    }

    /// The token itself, to exchange it.
    #[must_use]
    pub const fn token(&self) -> &Secret<String> {
        &self.token
    }

    /// Whether the times of the token hold at `now` too; `skew` as it was for [`verify`](super::verify).
    ///
    /// # Errors
    ///
    /// [`TokenError::Expired`] or [`TokenError::NotYetValid`] (clocks do go backwards): drop what was kept, and refuse.
    pub fn still_valid(&self, now: UnixTime, skew: Duration) -> Result<(), TokenError> {
        self.lifetime.check(now, skew)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("token_id", &self.token_id).finish_non_exhaustive()
    }
}

/// `exp`, `nbf` and `iat` (RFC 7519 4.1).
#[derive(Clone, Copy)]
pub(super) struct Lifetime {
    pub(super) expires_at: UnixTime,
    pub(super) not_before: Option<UnixTime>,
    pub(super) issued_at: Option<UnixTime>,
}

impl Lifetime {
    pub(super) fn of(signed: Signed<'_>) -> Result<Self, TokenError> {
        let claims = signed.claims();
        Ok(Self {
            expires_at: time(claims, "exp")?.ok_or_else(|| TokenError::ClaimMissing("exp".to_owned()))?,
            not_before: time(claims, "nbf")?,
            issued_at: time(claims, "iat")?,
        })
    }

    /// At `exp` itself the token has expired; at `nbf` itself it is valid. A token from the future (`iat`) is one of a clock that is
    /// wrong, or of someone who prepares tokens.
    pub(super) fn check(self, now: UnixTime, skew: Duration) -> Result<(), TokenError> {
        if now >= self.expires_at.plus(skew) {
            return Err(TokenError::Expired);
        }
        if [self.not_before, self.issued_at].into_iter().flatten().any(|start| start > now.plus(skew)) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

/// The end of the year 9999. Times after it are errors, most often milliseconds, and would make a token valid for ever.
const LAST_SECOND: u64 = 253_402_300_799;

/// `NumericDate` (RFC 7519 2): a JSON number of seconds, perhaps with a fraction. A check that skips what it cannot read lets tokens in
/// (CVE-2026-25537), so any other type is refused.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<UnixTime>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let millis = match value {
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(secs), _) if secs <= LAST_SECOND => Some(secs.saturating_mul(1000)),
            (None, Some(secs)) if (0.0..=LAST_SECOND as f64).contains(&secs) => Some((secs * 1000.0) as u64),
            _ => None,
        },
        _ => None,
    };
    millis.map(|millis| Some(UnixTime::from_millis(millis))).ok_or_else(|| TokenError::ClaimType(name.to_owned()))
}

fn subject(claims: &Map<String, Value>, path: &ClaimPath) -> Result<String, TokenError> {
    optional_text(claims, path)?.ok_or_else(|| TokenError::ClaimMissing(path.to_string()))
}

/// Tells agents from people, so a claim that is there but unreadable must not pass for one that is not there.
fn client(claims: &Map<String, Value>, path: Option<&ClaimPath>) -> Result<Option<String>, TokenError> {
    if let Some(path) = path {
        return optional_text(claims, path);
    }
    let names = ["azp", "client_id", "cid", "appid"];
    let present = names.into_iter().find(|name| claims.contains_key(*name));
    present.map_or(Ok(None), |name| optional_text(claims, &ClaimPath::name(name)))
}

fn actor(claims: &Map<String, Value>) -> Result<Option<String>, TokenError> {
    match claims.get("act") {
        None => Ok(None),
        Some(Value::Object(act)) => match optional_text(act, &ClaimPath::name("sub")) {
            Ok(Some(actor)) => Ok(Some(actor)),
            _ => Err(TokenError::ClaimType("act".to_owned())),
        },
        Some(_) => Err(TokenError::ClaimType("act".to_owned())),
    }
}

/// A string that is not empty, or nothing.
fn optional_text(claims: &Map<String, Value>, path: &ClaimPath) -> Result<Option<String>, TokenError> {
    match path.find(claims) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(TokenError::ClaimType(path.to_string())),
    }
}

fn token_id(token: &str) -> String {
    Sha256::digest(token).iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        // writing to a `String` cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}
