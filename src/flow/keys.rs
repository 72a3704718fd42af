//! The identity providers' keys: what is known, when it is to be fetched, and the way of one fetch.

use super::callout::{Callout, CalloutFault, CalloutResult};
use super::{Env, Metric};
use crate::base::{Fingerprint, UnixTime, Url, parse_object_strict};
use crate::config::{CalloutLimits, Config, Endpoint, KeySource, Provider};
use crate::jwt::KeySet;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// How long a reply's keys are fresh if it does not say, and the bounds of what it may say.
const DEFAULT_FRESHNESS: u64 = 600;
const FRESHNESS: std::ops::RangeInclusive<u64> = 60..=86_400;
/// Ticks refresh keys in the last fifth of their freshness, requests in the last tenth: not every host has ticks for it.
const TICK_LEAD: u32 = 5;
const REQUEST_LEAD: u32 = 10;
/// An unknown key id makes the gateway ask the provider at most this often, whoever sends it.
const UNKNOWN_KEY_COOL_DOWN: Duration = Duration::from_secs(30);
/// After a failure the provider is left alone for this long.
const FAILURE_COOL_DOWN: Duration = Duration::from_secs(5);
/// Requests whose key is unknown may join a fetch that is under way, since no host lets them wait for it; but not all of them.
const MOST_JOINED: u32 = 64;
const LONGEST_DISCOVERY: usize = 128 * 1024;
const DISCOVERY_DEPTH: usize = 16;

/// Why keys are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// None are known.
    Cold,
    /// Those that are known should be refreshed.
    Stale,
    /// The token's is not among them.
    UnknownKey,
}

/// What is known of a provider's keys.
#[derive(Debug)]
pub(super) enum Access {
    /// Use these.
    Fresh(Rc<KeySet>),
    /// Refresh these, since their freshness ends soon or has ended; use them if that fails.
    Stale(Rc<KeySet>),
    /// There are none, or they are too old.
    None,
}

/// Whether keys may be fetched.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
#[derive(Debug)]
pub(super) enum Begin {
    /// Send this.
    Fetch(KeyFetch, Callout),
    /// Not now: the provider failed a moment ago, or (`None`) was asked a moment ago.
    NotNow {
        /// When it may be tried again.
        retry_after: Option<Duration>,
    },
}

/// The keys of all providers, by where they come from. Configurations that name the same source share them.
#[derive(Debug, Default)]
pub struct KeyStore(BTreeMap<Fingerprint, Record>);

#[derive(Debug, Default)]
struct Record {
    known: Option<Known>,
    /// What discovery said, until a fetch from there fails.
    jwks_url: Option<Url>,
    failed_at: Option<UnixTime>,
    unknown_key_at: Option<UnixTime>,
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct Known {
    keys: Rc<KeySet>,
    fetched_at: UnixTime,
    fresh_until: UnixTime,
}

/// Fetches that have not come back. If their answers get lost, the lease ends all the same.
#[derive(Debug)]
struct UnderWay {
    fetches: u32,
    /// How many were begun since there were none.
    begun: u32,
    lease_until: UnixTime,
}

impl KeyStore {
    pub(super) fn access(&self, provider: &Provider, now: UnixTime) -> Access {
        let Some(known) = self.record(provider).and_then(|record| record.known.as_ref()) else { return Access::None };
        if now < known.fresh_until.minus(lead(known, REQUEST_LEAD)) {
            Access::Fresh(Rc::clone(&known.keys))
        } else if now < known.fresh_until.plus(provider.keys_max_stale) {
            Access::Stale(Rc::clone(&known.keys))
        } else {
            Access::None
        }
    }

    /// Starts a fetch, if it is time.
    pub(super) fn begin(&mut self, provider: &Rc<Provider>, need: Need, now: UnixTime, config: &Config) -> Begin {
        let record = self.0.entry(source(provider)).or_default();
        if let Some(left) = left(record.failed_at, FAILURE_COOL_DOWN, now) {
            return Begin::NotNow { retry_after: Some(left) };
        }
        let (fetches, begun, lease_until) = match &record.under_way {
            Some(under_way) if now < under_way.lease_until => {
                (under_way.fetches, under_way.begun, under_way.lease_until)
            }
            _ => (0, 0, now.plus(lease(config.callouts))),
        };
        match need {
            Need::Cold => {}
            Need::Stale if fetches > 0 => return Begin::NotNow { retry_after: None },
            Need::Stale => {}
            Need::UnknownKey if begun >= MOST_JOINED => {
                return Begin::NotNow { retry_after: Some(Duration::from_secs(1)) };
            }
            Need::UnknownKey if fetches == 0 => {
                if left(record.unknown_key_at, UNKNOWN_KEY_COOL_DOWN, now).is_some() {
                    return Begin::NotNow { retry_after: None };
                }
                record.unknown_key_at = Some(now);
            }
            Need::UnknownKey => {}
        }
        record.under_way =
            Some(UnderWay { fetches: fetches.saturating_add(1), begun: begun.saturating_add(1), lease_until });
        let (stage, endpoint) = match (&provider.keys, &record.jwks_url) {
            (KeySource::Jwks(endpoint), _) => (Stage::Jwks, endpoint.clone()),
            (KeySource::Discovery(endpoint), Some(url)) => {
                (Stage::Jwks, Endpoint { url: url.clone(), upstream: endpoint.upstream.clone() })
            }
            (KeySource::Discovery(endpoint), None) => (Stage::Discovery, endpoint.clone()),
        };
        let fetch = KeyFetch { provider: Rc::clone(provider), stage, endpoint, tries_left: config.callouts.attempts };
        let (fetch, callout) = fetch.send(config);
        Begin::Fetch(fetch, callout)
    }

    /// Whether keys should be fetched ahead of need: there are none, or their freshness ends soon.
    pub(super) fn is_due(&self, provider: &Provider, now: UnixTime) -> bool {
        let Some(known) = self.record(provider).and_then(|record| record.known.as_ref()) else { return true };
        now >= known.fresh_until.minus(lead(known, TICK_LEAD))
    }

    /// What to tell callers who cannot be served: when the next try may be made.
    pub(super) fn retry_after(&self, provider: &Provider, now: UnixTime) -> Duration {
        let failed_at = self.record(provider).and_then(|record| record.failed_at);
        left(failed_at, FAILURE_COOL_DOWN, now).unwrap_or(Duration::from_secs(1))
    }

    fn record(&self, provider: &Provider) -> Option<&Record> {
        self.0.get(&source(provider))
    }

    fn succeeded(&mut self, provider: &Provider, keys: KeySet, freshness: Duration, now: UnixTime) {
        let record = self.0.entry(source(provider)).or_default();
        record.known = Some(Known { keys: Rc::new(keys), fetched_at: now, fresh_until: now.plus(freshness) });
        record.failed_at = None;
        record.returned();
    }

    fn failed(&mut self, provider: &Provider, now: UnixTime) {
        let record = self.0.entry(source(provider)).or_default();
        record.failed_at = Some(now);
        record.jwks_url = None;
        record.returned();
    }

    fn discovered(&mut self, provider: &Provider, jwks_url: Url) {
        self.0.entry(source(provider)).or_default().jwks_url = Some(jwks_url);
    }
}

impl Record {
    fn returned(&mut self) {
        self.under_way = self.under_way.take().and_then(|fetch| {
            let fetches = fetch.fetches.checked_sub(1).filter(|fetches| *fetches > 0)?;
            Some(UnderWay { fetches, ..fetch })
        });
    }
}

/// The last part of the keys' freshness: one of `parts`.
fn lead(known: &Known, parts: u32) -> Duration {
    known.fresh_until.since(known.fetched_at).checked_div(parts).unwrap_or_default()
}

/// What is left of `cool_down` since `then`.
fn left(then: Option<UnixTime>, cool_down: Duration, now: UnixTime) -> Option<Duration> {
    cool_down.checked_sub(now.since(then?)).filter(|left| !left.is_zero())
}

/// By when every try of a fetch has surely ended: hosts bound each step of a try, not the try.
fn lease(limits: CalloutLimits) -> Duration {
    limits.timeout.saturating_mul(limits.attempts.saturating_mul(4))
}

fn source(provider: &Provider) -> Fingerprint {
    let (kind, endpoint) = match &provider.keys {
        KeySource::Jwks(endpoint) => ("jwks", endpoint),
        KeySource::Discovery(endpoint) => ("discovery", endpoint),
    };
    Fingerprint::builder("keys")
        .field(kind.as_bytes())
        .field(provider.expectations.issuer.as_bytes())
        .field(endpoint.url.to_string().as_bytes())
        .field(endpoint.upstream.as_deref().unwrap_or_default().as_bytes())
        .field(&[u8::from(provider.allow_http)])
        .finish()
}

/// One fetch of a provider's keys: discovery, if it is needed, then the keys, each with its tries.
#[derive(Debug)]
pub(super) struct KeyFetch {
    provider: Rc<Provider>,
    stage: Stage,
    endpoint: Endpoint,
    tries_left: u32,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Discovery,
    Jwks,
}

/// What follows an answer.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
#[derive(Debug)]
pub(super) enum FetchStep {
    /// Send this.
    Call(KeyFetch, Callout),
    /// The fetch ended; whether there are new keys.
    Done(bool),
}

#[derive(Debug, thiserror::Error)]
enum FetchFault {
    #[error("{0}")]
    Callout(CalloutFault),
    #[error("status {0}")]
    Status(u16),
    #[error("{0}")]
    Answer(String),
}

impl KeyFetch {
    pub(super) const fn provider(&self) -> &Rc<Provider> {
        &self.provider
    }

    fn send(self, config: &Config) -> (Self, Callout) {
        let Endpoint { url, upstream } = self.endpoint.clone();
        let tries_left = self.tries_left.saturating_sub(1);
        (Self { tries_left, ..self }, Callout::get(url, upstream, config))
    }

    pub(super) fn on_reply(self, result: CalloutResult, env: &mut Env<'_>) -> FetchStep {
        let fault = match self.read(result, env) {
            Ok(step) => {
                if matches!(step, FetchStep::Done(true)) {
                    env.count(Metric::KeysFetchOk);
                }
                return step;
            }
            Err(fault) => fault,
        };
        let Self { provider, endpoint, .. } = &self;
        env.log.push(format!("no keys of identity provider `{}` from {}: {fault}", provider.name, endpoint.url));
        if self.tries_left > 0 {
            let (fetch, callout) = self.send(env.config);
            return FetchStep::Call(fetch, callout);
        }
        env.count(Metric::KeysFetchFailed);
        env.memory.keys.failed(&self.provider, env.now);
        FetchStep::Done(false)
    }

    fn read(&self, result: CalloutResult, env: &mut Env<'_>) -> Result<FetchStep, FetchFault> {
        let reply = result.map_err(FetchFault::Callout)?;
        if reply.status != 200 {
            return Err(FetchFault::Status(reply.status));
        }
        match self.stage {
            Stage::Discovery => {
                let url = self.read_discovery(&reply.body)?;
                env.memory.keys.discovered(&self.provider, url.clone());
                let endpoint = Endpoint { url, upstream: self.endpoint.upstream.clone() };
                let tries_left = env.config.callouts.attempts;
                let next = Self { provider: Rc::clone(&self.provider), stage: Stage::Jwks, endpoint, tries_left };
                let (fetch, callout) = next.send(env.config);
                Ok(FetchStep::Call(fetch, callout))
            }
            Stage::Jwks => {
                let parsed = KeySet::parse(&reply.body).map_err(|error| FetchFault::Answer(error.to_string()))?;
                for skipped in &parsed.skipped {
                    let name = &self.provider.name;
                    env.log.push(format!("key {} of `{name}` is not used: {}", skipped.index, skipped.reason));
                }
                let freshness = freshness(reply.cache_control.as_deref());
                env.memory.keys.succeeded(&self.provider, parsed.keys, freshness, env.now);
                Ok(FetchStep::Done(true))
            }
        }
    }

    /// OpenID Connect Discovery 1.0, 4.3: the document's `issuer` must be the one that was asked for.
    fn read_discovery(&self, body: &[u8]) -> Result<Url, FetchFault> {
        let wrong = |text: &str| FetchFault::Answer(text.to_owned());
        if body.len() > LONGEST_DISCOVERY {
            return Err(wrong("the discovery document is too long"));
        }
        let document = parse_object_strict(body, DISCOVERY_DEPTH)
            .map_err(|fault| FetchFault::Answer(format!("the discovery document is {fault}")))?;
        let text = |key: &str| document.get(key).and_then(serde_json::Value::as_str);
        if text("issuer") != Some(&self.provider.expectations.issuer) {
            return Err(wrong("the discovery document is of another issuer"));
        }
        let url = text("jwks_uri").ok_or_else(|| wrong("the discovery document has no `jwks_uri`"))?;
        let url = Url::parse(url).map_err(|fault| FetchFault::Answer(format!("`jwks_uri` {fault}")))?;
        if url.may_be_called(self.provider.allow_http) {
            Ok(url)
        } else {
            Err(wrong("`jwks_uri` must begin with https://"))
        }
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

    #[test]
    fn a_cool_down_counts_from_its_beginning() {
        let at = UnixTime::from_secs;
        let cool_down = Duration::from_secs(5);
        assert_eq!(left(None, cool_down, at(10)), None);
        assert_eq!(left(Some(at(10)), cool_down, at(11)), Some(Duration::from_secs(4)));
        assert_eq!(left(Some(at(10)), cool_down, at(15)), None);
    }
}
