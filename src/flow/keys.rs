//! The identity providers' keys: what is known, when it is to be fetched, and the way of one fetch.

use super::callout::{Answer, Callout, CalloutReply, Purpose};
use super::fetch::{Fault, Fetch, Fetched, Need as Wanted};
use super::source::{Begin, Held, Need, Source, lease};
use super::{Env, Metric};
use crate::base::{DigestMap, Fingerprint, Now, Url, parse_object_strict};
use crate::config::{Endpoint, KeySource, Provider};
use crate::jwt::{KeySet, ParsedKeys};
use std::rc::Rc;
use std::time::Duration;

/// How long a reply's keys are fresh if it does not say, and the bounds of what it may say.
const DEFAULT_FRESHNESS: u64 = 600;
const FRESHNESS: std::ops::RangeInclusive<u64> = 60..=86_400;
/// Timers refresh keys in the last fifth of their freshness, requests in the last tenth: not every host has timers for it.
const TIMER_LEAD: u32 = 5;
const REQUEST_LEAD: u32 = 10;
const DISCOVERY_DEPTH: usize = 16;

/// The keys of all providers, by where they come from. Configurations that name the same source share them.
#[derive(Debug, Default)]
pub(super) struct Keys(DigestMap<Fingerprint, State>);

#[derive(Debug, Default)]
struct State {
    keys: Source<KeySet>,
    /// What discovery said, until a fetch from there fails.
    jwks_url: Option<Url>,
}

impl Keys {
    /// The keys that a request may use.
    pub(super) fn held(&self, provider: &Provider, now: Now) -> Held<KeySet> {
        let state = self.0.get(&provider.keys_id);
        state.map_or(Held::None, |state| state.keys.held(REQUEST_LEAD, provider.keys_max_stale, now))
    }

    /// Whether keys should be fetched ahead of need: there are none, or their freshness ends soon.
    pub(super) fn is_due(&self, provider: &Provider, now: Now) -> bool {
        let state = self.0.get(&provider.keys_id);
        !matches!(state.map(|state| state.keys.held(TIMER_LEAD, Duration::ZERO, now)), Some(Held::Fresh(_)))
    }

    /// What to tell callers who cannot be served: when the next try may be made.
    pub(super) fn retry_after(&self, provider: &Provider, now: Now) -> Duration {
        self.0.get(&provider.keys_id).map_or(Duration::from_secs(1), |state| state.keys.retry_after(now))
    }

    fn state(&mut self, provider: &Provider) -> &mut State {
        self.0.entry(provider.keys_id).or_default()
    }
}

/// One fetch of a provider's keys: discovery, if it is needed, then the keys, each with its tries.
#[derive(Debug)]
pub(super) enum KeyFetch {
    Discovery(Fetch<Discovery>),
    Jwks(Fetch<Jwks>),
}

/// What follows an answer.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
pub(super) enum KeyStep {
    /// Send this.
    Ask(KeyFetch, Callout),
    /// The fetch ended; whether the provider's keys are those of now.
    Done(bool),
}

impl KeyFetch {
    /// Begins a fetch, if it is time, or, where requests can wait for others, goes along with one that is under way.
    pub(super) fn begin(provider: &Rc<Provider>, need: Need, env: &mut Env<'_>) -> Result<(Self, Callout), Begin> {
        // a discovery document, and then keys
        let lease = lease(env.config.callouts, 2);
        let state = env.memory.keys.state(provider);
        state.keys.begin_or_join(need, lease, env.can, env.now)?;
        let provider = Rc::clone(provider);
        Ok(match (&provider.keys, &state.jwks_url) {
            (KeySource::Jwks(endpoint), _) => Self::jwks(endpoint.clone(), provider, env),
            (KeySource::Discovery(endpoint), Some(url)) => {
                Self::jwks(Endpoint { url: url.clone(), upstream: endpoint.upstream.clone() }, provider, env)
            }
            (KeySource::Discovery(_), None) => {
                let (fetch, callout) = Fetch::begin(Discovery { provider }, env);
                (Self::Discovery(fetch), callout)
            }
        })
    }

    fn jwks(endpoint: Endpoint, provider: Rc<Provider>, env: &Env<'_>) -> (Self, Callout) {
        let (fetch, callout) = Fetch::begin(Jwks { provider, endpoint }, env);
        (Self::Jwks(fetch), callout)
    }

    pub(super) fn provider(&self) -> &Rc<Provider> {
        match self {
            Self::Discovery(fetch) => &fetch.need().provider,
            Self::Jwks(fetch) => &fetch.need().provider,
        }
    }

    /// Takes an answer.
    pub(super) fn on(self, answer: Answer, env: &mut Env<'_>) -> KeyStep {
        match self {
            Self::Discovery(fetch) => match fetch.on(answer, env) {
                Fetched::Again(fetch, callout) => KeyStep::Ask(Self::Discovery(fetch), callout),
                Fetched::Done(need, Ok(endpoint)) => {
                    env.memory.keys.state(&need.provider).jwks_url = Some(endpoint.url.clone());
                    let (fetch, callout) = Self::jwks(endpoint, need.provider, env);
                    KeyStep::Ask(fetch, callout)
                }
                Fetched::Done(need, Err(_)) => failed(&need.provider, env),
            },
            Self::Jwks(fetch) => match fetch.on(answer, env) {
                Fetched::Again(fetch, callout) => KeyStep::Ask(Self::Jwks(fetch), callout),
                Fetched::Done(need, Ok(reply)) => need.keep(reply, env),
                Fetched::Done(need, Err(_)) => failed(&need.provider, env),
            },
        }
    }
}

fn failed(provider: &Provider, env: &mut Env<'_>) -> KeyStep {
    let state = env.memory.keys.state(provider);
    state.keys.failed(env.now);
    state.jwks_url = None;
    KeyStep::Done(false)
}

/// The discovery document of a provider.
#[derive(Debug)]
pub(super) struct Discovery {
    provider: Rc<Provider>,
}

/// The key set of a provider.
#[derive(Debug)]
pub(super) struct Jwks {
    provider: Rc<Provider>,
    endpoint: Endpoint,
}

/// Key sets of a reply, and for how long they are fresh.
pub(super) struct FreshKeys {
    parsed: ParsedKeys,
    freshness: Duration,
}

/// Why a reply has no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoKeys {
    #[error("status {0}")]
    Status(u16),
    #[error("{0}")]
    Answer(String),
}

fn body(reply: &CalloutReply) -> Result<&[u8], NoKeys> {
    if reply.status == 200 { Ok(&reply.body) } else { Err(NoKeys::Status(reply.status)) }
}

const fn failure(outcome: Result<(), &Fault<NoKeys>>, last: bool) -> Option<Metric> {
    if outcome.is_err() && last { Some(Metric::KeysFetchFailed) } else { None }
}

impl Wanted for Discovery {
    const PURPOSE: Purpose = Purpose::Discovery;
    type Answer = Endpoint;
    type Fault = NoKeys;

    fn callout(&self, env: &Env<'_>) -> Callout {
        let (KeySource::Discovery(endpoint) | KeySource::Jwks(endpoint)) = &self.provider.keys;
        Callout::get(Self::PURPOSE, endpoint, env.config.callouts)
    }

    /// OpenID Connect Discovery 1.0, 4.3: the document's `issuer` must be the one that was asked for.
    fn read(&self, reply: &CalloutReply, _: Now) -> Result<Endpoint, NoKeys> {
        let wrong = |text: &str| NoKeys::Answer(text.to_owned());
        let document = parse_object_strict(body(reply)?, DISCOVERY_DEPTH)
            .map_err(|fault| NoKeys::Answer(format!("the discovery document is {fault}")))?;
        let text = |key: &str| document.get(key).and_then(serde_json::Value::as_str);
        if text("issuer") != Some(&self.provider.expectations.issuer) {
            return Err(wrong("the discovery document is of another issuer"));
        }
        let url = text("jwks_uri").ok_or_else(|| wrong("the discovery document has no `jwks_uri`"))?;
        let url = Url::parse(url).map_err(|fault| NoKeys::Answer(format!("`jwks_uri` {fault}")))?;
        if !url.may_be_called(self.provider.allow_http) {
            return Err(wrong("`jwks_uri` must begin with https://"));
        }
        let (KeySource::Discovery(endpoint) | KeySource::Jwks(endpoint)) = &self.provider.keys;
        Ok(Endpoint { url, upstream: endpoint.upstream.clone() })
    }

    fn may_pass(_: &NoKeys) -> bool {
        true
    }

    fn count(outcome: Result<(), &Fault<NoKeys>>, last: bool) -> Option<Metric> {
        failure(outcome, last)
    }

    fn describe(&self) -> String {
        let (KeySource::Discovery(endpoint) | KeySource::Jwks(endpoint)) = &self.provider.keys;
        format!("no keys of identity provider `{}` from {}", self.provider.name, endpoint.url)
    }
}

impl Wanted for Jwks {
    const PURPOSE: Purpose = Purpose::Keys;
    type Answer = FreshKeys;
    type Fault = NoKeys;

    fn callout(&self, env: &Env<'_>) -> Callout {
        Callout::get(Self::PURPOSE, &self.endpoint, env.config.callouts)
    }

    fn read(&self, reply: &CalloutReply, _: Now) -> Result<FreshKeys, NoKeys> {
        let parsed = KeySet::parse(body(reply)?).map_err(|error| NoKeys::Answer(error.to_string()))?;
        Ok(FreshKeys { parsed, freshness: freshness(reply.header("cache-control")) })
    }

    fn may_pass(_: &NoKeys) -> bool {
        true
    }

    fn count(outcome: Result<(), &Fault<NoKeys>>, last: bool) -> Option<Metric> {
        if outcome.is_ok() { Some(Metric::KeysFetchOk) } else { failure(outcome, last) }
    }

    fn describe(&self) -> String {
        format!("no keys of identity provider `{}` from {}", self.provider.name, self.endpoint.url)
    }
}

impl Jwks {
    fn keep(&self, reply: FreshKeys, env: &mut Env<'_>) -> KeyStep {
        for skipped in &reply.parsed.skipped {
            let name = &self.provider.name;
            env.log.push(format!("key {} of `{name}` is not used: {}", skipped.index, skipped.reason));
        }
        env.memory.keys.state(&self.provider).keys.succeeded(reply.parsed.keys, reply.freshness, env.now);
        KeyStep::Done(true)
    }
}

/// How long a reply's keys are fresh: its `max-age` within bounds (RFC 9111 section 5.2.2.1).
fn freshness(cache_control: Option<&str>) -> Duration {
    let directives = cache_control.unwrap_or_default().split(',').map(str::trim);
    let max_age = directives.filter_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
    });
    let seconds = max_age.min().unwrap_or(DEFAULT_FRESHNESS);
    Duration::from_secs(seconds.clamp(*FRESHNESS.start(), *FRESHNESS.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_is_max_age_within_bounds() {
        for (header, seconds) in [
            (None, 600),
            (Some("public, max-age=3600, must-revalidate"), 3600),
            (Some("Max-Age=\"120\""), 120),
            (Some("max-age=1"), 60),
            (Some("max-age=99999999"), 86_400),
            (Some("s-maxage=7"), 600),
            (Some("no-store"), 600),
            (Some("max-age=-1"), 600),
            (Some("max-age=300, max-age=90"), 90),
        ] {
            assert_eq!(freshness(header), Duration::from_secs(seconds), "{header:?}");
        }
    }
}
