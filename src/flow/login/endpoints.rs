//! Where people sign in at a provider: what its discovery document says, kept and refreshed, and when its token endpoint may be asked.

use super::super::callout::{Answer, Callout, CalloutReply, Purpose};
use super::super::fetch::{Fault, Fetch, Fetched, Need as Wanted};
use super::super::source::{Begin, Held, Need, Source, lease};
use super::super::{Env, Metric};
use crate::base::{DigestMap, Fingerprint, Now, Uptime, Url, parse_object_strict};
use crate::config::{Endpoint, Login, Provider};
use std::rc::Rc;
use std::time::Duration;

/// Endpoints hardly ever move, and a provider that is down can sign nobody in.
const FRESHNESS: Duration = Duration::from_secs(3600);
const MAX_STALE: Duration = Duration::from_secs(86_400);
/// The last tenth of their freshness.
const LEAD: u32 = 10;
const DISCOVERY_DEPTH: usize = 16;
/// Anybody may ask for tokens, and each such request becomes one to the provider: so many at once from one worker, and as many again
/// within each minute.
const BURST: u64 = 300;
const MINUTE: u64 = 60_000;

/// What is known of all providers that sign people in.
#[derive(Debug, Default)]
pub(in crate::flow) struct Logins(DigestMap<Fingerprint, State>);

#[derive(Debug, Default)]
struct State {
    endpoints: Source<Endpoints>,
    gate: Gate,
}

/// A provider's endpoints.
#[derive(Debug)]
pub(super) struct Endpoints {
    pub(super) authorization: Url,
    pub(super) token: Url,
}

/// When a token endpoint may be asked.
#[derive(Debug, Default)]
struct Gate {
    /// It has asked to be left alone until then.
    shut_until: Uptime,
    /// What was taken out of the minute's requests and has not come back, in parts of a request: as many to one as a minute has milliseconds.
    taken: u64,
    at: Uptime,
}

impl Gate {
    /// Lets one request through, or says after what time it will.
    fn pass(&mut self, now: Uptime) -> Result<(), Duration> {
        let pause = self.shut_until.since(now);
        if !pause.is_zero() {
            return Err(pause);
        }
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let taken = self.taken.saturating_sub(passed.saturating_mul(BURST)).saturating_add(MINUTE);
        let lacking = taken.saturating_sub(BURST.saturating_mul(MINUTE));
        if lacking > 0 {
            return Err(Duration::from_millis(lacking.div_ceil(BURST)));
        }
        (self.taken, self.at) = (taken, now);
        Ok(())
    }
}

impl Logins {
    pub(super) fn held(&self, login: &Login, now: Now) -> Held<Endpoints> {
        let state = self.0.get(&login.endpoints_id);
        state.map_or(Held::None, |state| state.endpoints.held(LEAD, MAX_STALE, now))
    }

    /// What to tell those who cannot be served: when the next try may be made.
    pub(super) fn retry_after(&self, login: &Login, now: Now) -> Duration {
        let state = self.0.get(&login.endpoints_id);
        state.map_or(Duration::from_secs(1), |state| state.endpoints.retry_after(now))
    }

    /// Whether the token endpoint may be asked now, or after what time.
    pub(super) fn pass(&mut self, login: &Login, now: Now) -> Result<(), Duration> {
        self.state(login).gate.pass(now.uptime)
    }

    /// The token endpoint has asked to be left alone.
    pub(super) fn shut(&mut self, login: &Login, pause: Duration, now: Now) {
        self.state(login).gate.shut_until = now.uptime.plus(pause);
    }

    fn state(&mut self, login: &Login) -> &mut State {
        self.0.entry(login.endpoints_id).or_default()
    }
}

/// One reading of a discovery document, with its tries.
#[derive(Debug)]
pub(super) struct EndpointsFetch(Fetch<Discovery>);

/// What follows an answer.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
pub(super) enum EndpointsStep {
    /// Send this.
    Ask(EndpointsFetch, Callout),
    /// The reading ended, well or not.
    Done,
}

impl EndpointsFetch {
    /// Begins a reading, if it is time, or, where requests can wait for others, goes along with one that is under way.
    pub(super) fn begin(
        provider: &Rc<Provider>,
        login: &Rc<Login>,
        need: Need,
        env: &mut Env<'_>,
    ) -> Result<(Self, Callout), Begin> {
        let lease = lease(env.config.callouts, 1);
        env.memory.logins.state(login).endpoints.begin_or_join(need, lease, env.can, env.now)?;
        let discovery = Discovery { provider: Rc::clone(provider), login: Rc::clone(login) };
        let (fetch, callout) = Fetch::begin(discovery, env);
        Ok((Self(fetch), callout))
    }

    pub(super) fn on(self, answer: Answer, env: &mut Env<'_>) -> EndpointsStep {
        match self.0.on(answer, env) {
            Fetched::Again(fetch, callout) => EndpointsStep::Ask(Self(fetch), callout),
            Fetched::Done(need, Ok(endpoints)) => {
                env.memory.logins.state(&need.login).endpoints.succeeded(endpoints, FRESHNESS, env.now);
                EndpointsStep::Done
            }
            Fetched::Done(need, Err(_)) => {
                env.memory.logins.state(&need.login).endpoints.failed(env.now);
                EndpointsStep::Done
            }
        }
    }
}

/// The discovery document of a provider, for its endpoints.
#[derive(Debug)]
struct Discovery {
    provider: Rc<Provider>,
    login: Rc<Login>,
}

/// Why a reply names no endpoints.
#[derive(Debug, thiserror::Error)]
enum NoEndpoints {
    #[error("status {0}")]
    Status(u16),
    #[error("{0}")]
    Answer(String),
}

impl Wanted for Discovery {
    const PURPOSE: Purpose = Purpose::Discovery;
    type Answer = Endpoints;
    type Fault = NoEndpoints;

    fn callout(&self, env: &Env<'_>) -> Callout {
        Callout::get(Self::PURPOSE, &self.login.discovery, env.config.callouts)
    }

    /// OpenID Connect Discovery 1.0, 4.3: the document's `issuer` must be the one that was asked for (RFC 9207: or a person could sign in
    /// at one provider, and the code be shown to another).
    fn read(&self, reply: &CalloutReply, _: Now) -> Result<Endpoints, NoEndpoints> {
        if reply.status != 200 {
            return Err(NoEndpoints::Status(reply.status));
        }
        let document = parse_object_strict(&reply.body, DISCOVERY_DEPTH)
            .map_err(|fault| NoEndpoints::Answer(format!("the discovery document is {fault}")))?;
        let text = |key: &str| document.get(key).and_then(serde_json::Value::as_str);
        if text("issuer") != Some(&self.provider.expectations.issuer) {
            return Err(NoEndpoints::Answer("the discovery document is of another issuer".to_owned()));
        }
        let endpoint = |key: &str| {
            let wrong = |why: String| NoEndpoints::Answer(format!("`{key}` {why}"));
            let url = Url::parse(text(key).ok_or_else(|| wrong("is missing".to_owned()))?);
            let url = url.map_err(|fault| wrong(fault.to_string()))?;
            if url.may_be_called(self.provider.allow_http) {
                Ok(url)
            } else {
                Err(wrong("must begin with https://".to_owned()))
            }
        };
        Ok(Endpoints { authorization: endpoint("authorization_endpoint")?, token: endpoint("token_endpoint")? })
    }

    fn may_pass(_: &NoEndpoints) -> bool {
        true
    }

    fn count(outcome: Result<(), &Fault<NoEndpoints>>, last: bool) -> Option<Metric> {
        if outcome.is_err() && last { Some(Metric::LoginFailed) } else { None }
    }

    fn describe(&self) -> String {
        format!(
            "identity provider `{}` does not say at {} where to sign in",
            self.provider.name, self.login.discovery.url
        )
    }
}

impl Endpoints {
    /// The token endpoint, at the cluster of the provider.
    pub(super) fn token_endpoint(&self, login: &Login) -> Endpoint {
        Endpoint { url: self.token.clone(), upstream: login.discovery.upstream.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Uptime {
        Uptime::from_millis(millis)
    }

    #[test]
    fn a_worker_asks_for_so_many_tokens_at_once_and_as_many_again_in_a_minute() {
        let mut gate = Gate::default();
        for _ in 0..BURST {
            assert_eq!(gate.pass(at(5_000_000)), Ok(()));
        }
        assert_eq!(gate.pass(at(5_000_000)), Err(Duration::from_millis(200)));
        assert_eq!(gate.pass(at(5_000_199)), Err(Duration::from_millis(1)));
        assert_eq!(gate.pass(at(5_000_200)), Ok(()));
        assert_eq!(gate.pass(at(5_000_200)), Err(Duration::from_millis(200)));
        // and no more than that come back, however long nobody asks
        let later = (0..).take_while(|_| gate.pass(at(9_000_000)).is_ok()).count();
        assert_eq!(u64::try_from(later), Ok(BURST));
    }

    #[test]
    fn a_token_endpoint_that_asks_to_be_left_alone_is() {
        let mut gate = Gate { shut_until: at(7_000), ..Gate::default() };
        assert_eq!(gate.pass(at(4_000)), Err(Duration::from_secs(3)));
        assert_eq!(gate.pass(at(7_000)), Ok(()));
    }
}
