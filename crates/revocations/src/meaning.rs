//! What events ask for: from a verified token to cuts.

use crate::config::{CutOff, Source};
use crate::entry::Kind;
use crate::ledger::{Cut, Effect};
use crate::subject::{About, Format, Rules, about, is_value};
use databricks_kong::base::UnixTime;
use databricks_kong::jwt::SecurityEvent;
use serde_json::{Map, Value};
use std::time::Duration;

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: [&str; 2] =
    ["https://schemas.openid.net/secevent/ssf/event-type/", "https://schemas.openid.net/secevent/sse/event-type/"];
/// Back-Channel Logout 1.0, 2.4.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The last second of the year 9999: what is later is no time in seconds.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// What a kind of event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// Sign in again: tokens issued before are cut off. Whether it is about a session, if it names one.
    SignInAgain { of_session: bool },
    /// The account is disabled.
    Off,
    /// The account is deleted.
    Gone,
    /// The account is enabled.
    On,
    /// Nothing that a gateway would have to know.
    Nothing,
}

impl Asks {
    /// Whether it is about somebody whom entries can name.
    fn can_be_done_to(self, about: &About) -> bool {
        match self {
            Self::SignInAgain { of_session: true } => !about.is_nobody(),
            Self::SignInAgain { of_session: false } => !about.users.is_empty() || !about.tokens.is_empty(),
            Self::Off | Self::Gone | Self::On => !about.users.is_empty(),
            Self::Nothing => true,
        }
    }
}

/// Event types by which people lose access or get it back; every other is `Nothing`.
fn asks(uri: &str) -> (Asks, &str) {
    if let Some(name) = uri.strip_prefix(CAEP) {
        let asks = match name {
            "session-revoked" => Asks::SignInAgain { of_session: true },
            "credential-change" | "token-claims-change" => Asks::SignInAgain { of_session: false },
            _ => Asks::Nothing,
        };
        return (asks, name);
    }
    if let Some(name) = uri.strip_prefix(RISC) {
        let asks = match name {
            "sessions-revoked" | "account-credential-change-required" | "credential-compromise" => {
                Asks::SignInAgain { of_session: false }
            }
            "account-disabled" => Asks::Off,
            "account-purged" => Asks::Gone,
            "account-enabled" => Asks::On,
            _ => Asks::Nothing,
        };
        return (asks, name);
    }
    match SSF.iter().find_map(|base| uri.strip_prefix(base)) {
        Some(name) => (Asks::Nothing, name),
        None => (Asks::Nothing, "other"),
    }
}

/// What the events of one token come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// What they ask for.
    pub cuts: Vec<Cut>,
    /// The events' names, for logs and metrics: known words, or `other`.
    pub names: Vec<&'static str>,
}

/// Why an event cannot be acted on, though it is genuine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is about nobody that the provider's tokens could name.
    #[error("the subject has no identifier that this source takes: it has {has}, taken are {takes}")]
    Subject {
        /// The formats that are there.
        has: String,
        /// Those that are taken.
        takes: String,
    },
    /// A logout token without the event that makes it one.
    #[error("`events` lacks the member of a logout token")]
    NoLogout,
    /// A logout token has neither `sub` nor `sid`, or one that is no short text.
    #[error("a logout token needs `sub` or `sid`, each a text")]
    NoSubject,
}

/// What a security event token of `source` comes to, received at `now`.
///
/// # Errors
/// [`Unusable`], if one of its events asks for something that cannot be done: then nothing of it must be acknowledged.
pub fn of_events(event: &SecurityEvent, source: &Source, now: UnixTime) -> Result<Meaning, Unusable> {
    let mut meaning = Meaning::default();
    for (uri, body) in event.events() {
        let (asks, name) = asks(uri);
        meaning.names.push(known_name(name));
        if asks == Asks::Nothing {
            continue;
        }
        let about = subject(event, body, source);
        if !asks.can_be_done_to(&about) {
            return Err(nobody(&about, source));
        }
        let happened = happened(event, body, now.plus(source.provider.clock_skew));
        meaning.cuts.extend(cuts(asks, &about, happened, now, source, name));
    }
    Ok(meaning)
}

/// What a logout token comes to.
///
/// # Errors
/// [`Unusable`]: refuse the token.
pub fn of_logout(event: &SecurityEvent, source: &Source, now: UnixTime) -> Result<Meaning, Unusable> {
    if !event.events().any(|(uri, _)| uri == LOGOUT) {
        return Err(Unusable::NoLogout);
    }
    let claim = |name: &str| match event.claim(name) {
        None => Ok(None),
        Some(Value::String(text)) if is_value(text) => Ok(Some(text.clone())),
        Some(_) => Err(Unusable::NoSubject),
    };
    let (sub, sid) = (claim("sub")?, claim("sid")?);
    if sub.is_none() && sid.is_none() {
        return Err(Unusable::NoSubject);
    }
    let takes_sub = source.formats.contains(&Format::IssSub);
    let mut about = About::default();
    about.users.extend(sub.filter(|_| takes_sub));
    about.sessions.extend(sid);
    about.formats.insert("sub".to_owned());
    if about.is_nobody() {
        return Err(nobody(&about, source));
    }
    let asks = Asks::SignInAgain { of_session: true };
    let happened = event.issued_at();
    let cuts = cuts(asks, &about, happened, now, source, "backchannel-logout");
    Ok(Meaning { cuts, names: vec!["backchannel-logout"] })
}

fn nobody(about: &About, source: &Source) -> Unusable {
    let has: Vec<_> = about.formats.iter().map(|format| format!("`{format}`")).collect();
    let takes: Vec<_> = source.formats.iter().map(|format| format!("`{}`", format.word())).collect();
    let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
    Unusable::Subject { has, takes: takes.join(", ") }
}

fn subject(event: &SecurityEvent, body: &Map<String, Value>, source: &Source) -> About {
    let rules = Rules { formats: &source.formats, issuers: [&source.provider.issuer, &source.expect.issuer] };
    // Shared Signals 1.0 has the subject in the token; its drafts, and RISC before them, in the event
    let found = [event.claim("sub_id"), body.get("subject"), body.get("sub_id")];
    let subject = found.into_iter().flatten().find_map(Value::as_object);
    subject.map_or_else(About::default, |subject| about(subject, rules))
}

/// When it happened: as the event says, else the token; never later than `latest`, so that a clock that is wrong elsewhere does not keep
/// people out after they signed in again.
fn happened(event: &SecurityEvent, body: &Map<String, Value>, latest: UnixTime) -> UnixTime {
    let read = |value: Option<&Value>| {
        let seconds = value?.as_f64().filter(|seconds| (0.0..=LAST_SECOND).contains(seconds))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
        Some(UnixTime::from_millis((seconds * 1000.0) as u64))
    };
    let said = read(body.get("event_timestamp")).or_else(|| read(event.claim("toe")));
    said.filter(|time| *time <= latest).unwrap_or_else(|| event.issued_at()).min(latest)
}

fn cuts(asks: Asks, about: &About, happened: UnixTime, now: UnixTime, source: &Source, name: &str) -> Vec<Cut> {
    let end = |from: UnixTime| from.plus(source.provider.retention).as_secs().saturating_add(1);
    let (effect, until) = match asks {
        Asks::Nothing => return Vec::new(),
        Asks::Off => (Effect::AccountOff, None),
        // nobody gets a token for an account that is gone, and its name may become another's
        Asks::Gone => (Effect::AccountOff, Some(end(now))),
        // older events that come later must not undo it; still older ones are refused
        Asks::On => (Effect::AccountOn, Some(now.plus(source.expect.max_age).plus(DAY).as_secs())),
        // no token that it would cut off can be alive
        Asks::SignInAgain { .. } if end(happened) <= now.as_secs() => return Vec::new(),
        // `iat` is in whole seconds: a token of the second of the event may have been issued before it
        Asks::SignInAgain { .. } => (Effect::Before(happened.as_secs().saturating_add(1)), Some(end(happened))),
    };
    let cut = |kind, value: &String, effect| {
        let (value, why) = (value.clone(), name.to_owned());
        Cut { kind, value, effect, why, happened, until }
    };
    let is_of_session = asks == Asks::SignInAgain { of_session: true };
    let sessions = about.sessions.iter().filter(|_| is_of_session);
    let named: Vec<_> = sessions.map(|session| cut(Kind::Session, session, Effect::All)).collect();
    let is_enough = source.cut_off == CutOff::Session && !named.is_empty();
    let tokens = about.tokens.iter().map(|token| cut(Kind::Token, token, Effect::All));
    let users = about.users.iter().filter(|_| !is_enough).map(|user| cut(Kind::Subject, user, effect));
    tokens.chain(users).chain(named.iter().cloned()).collect()
}

/// Clocks differ, and an event may be accepted at the last moment.
const DAY: Duration = Duration::from_secs(86_400);

/// Names that may become values of a metric's label: what a sender makes up must not.
fn known_name(name: &str) -> &'static str {
    const KNOWN: [&str; 20] = [
        "session-revoked",
        "credential-change",
        "token-claims-change",
        "assurance-level-change",
        "device-compliance-change",
        "session-established",
        "session-presented",
        "risk-level-change",
        "sessions-revoked",
        "account-credential-change-required",
        "credential-compromise",
        "account-disabled",
        "account-purged",
        "account-enabled",
        "identifier-changed",
        "identifier-recycled",
        "recovery-activated",
        "recovery-information-changed",
        "verification",
        "stream-updated",
    ];
    KNOWN.into_iter().find(|known| *known == name).unwrap_or("other")
}

/// How long after an event its token is still accepted by default: as long as senders keep what they could not deliver.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(7 * 86_400);
