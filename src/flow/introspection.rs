//! What introspection endpoints said of tokens (RFC 7662), for how long that counts, and the question itself.

use super::callout::{Answer, Callout, CalloutReply, Purpose};
use super::fetch::{Fault, Fetch, Fetched, Need};
use super::{Env, Metric};
use crate::base::{Bounded, Budget, Fingerprint, Now, Secret, UnixTime, Uptime};
use crate::config::{Introspection, Provider};
use crate::exchange::{SecretUnavailable, SharedSecrets, client_secret_basic, resolve};
use crate::jwt::{Caller, Introspected, IntrospectionFault, TokenDigest, TokenError, Vouched};
use std::rc::Rc;
use std::time::Duration;

/// A token that was refused is not asked about again for this long at most. So short, only to go on to the next provider where a host can
/// ask only one in a request, and to spare the provider a client that does not stop.
const REFUSED: Duration = Duration::from_secs(10);
/// They come from anybody, so they have little room, and none of that of the others.
const REFUSALS: Budget = Budget { entries: 1024, bytes: usize::MAX };

/// A token and the provider that was asked.
type Name = (TokenDigest, Fingerprint);

/// What was said of tokens, by the clock that never goes back.
#[derive(Debug)]
pub(super) struct Introspections {
    active: Bounded<Name, Heard, Uptime>,
    refused: Bounded<Name, Heard, Uptime>,
}

/// What is known of a token.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    /// It is this caller's, and in force.
    Active(Vouched),
    /// It is not (`None`); or it is, and not for this gateway.
    Refused(Option<TokenError>),
    /// The provider has to be asked.
    Nothing,
}

impl Introspections {
    pub(super) const fn new(budget: Budget) -> Self {
        Self { active: Bounded::new(budget), refused: Bounded::new(REFUSALS) }
    }

    pub(super) fn set_budget(&mut self, budget: Budget) {
        self.active.set_budget(budget);
    }

    pub(super) fn heard(&self, token: TokenDigest, provider: &Provider, now: Now) -> Heard {
        let name = name(token, provider);
        let heard = self.active.get(&name, now.uptime).or_else(|| self.refused.get(&name, now.uptime));
        heard.cloned().unwrap_or(Heard::Nothing)
    }

    /// Keeps that the token was in force when its provider was asked, for as long as is configured, and not past its end.
    pub(super) fn keep(&mut self, caller: &Caller, provider: &Provider, ends: UnixTime, (asked_at, now): (Now, Now)) {
        let cache = provider.introspection.as_ref().map_or(Duration::ZERO, |introspection| introspection.cache);
        let until = asked_at.uptime.plus(cache.min(ends.since(asked_at.wall)));
        if now.uptime < until {
            let vouched = caller.vouched();
            let bytes = vouched.bytes().saturating_add(PLACE);
            let name = name(caller.token_digest(), provider);
            self.active.insert(name, Heard::Active(vouched), until, bytes, now.uptime);
        }
    }

    pub(super) fn refuse(&mut self, token: TokenDigest, provider: &Provider, why: Option<TokenError>, now: Now) {
        self.active.remove(&name(token, provider));
        let until = now.uptime.plus(REFUSED);
        self.refused.insert(name(token, provider), Heard::Refused(why), until, 0, now.uptime);
    }
}

/// What an entry takes up beside what is known of the caller.
const PLACE: usize = 512;

const fn name(token: TokenDigest, provider: &Provider) -> Name {
    (token, provider.id)
}

/// A question for a token, with its tries.
#[derive(Debug)]
pub(super) struct Inquiry(Fetch<Question>);

/// What a provider said of a token.
pub(super) struct Said {
    pub(super) what: Introspected,
    pub(super) asked_at: Now,
    /// Whether another request asked.
    pub(super) shared: bool,
}

/// What follows an answer.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
pub(super) enum InquiryStep {
    /// Send this.
    Ask(Inquiry, Callout),
    /// The provider said something; nothing if it cannot be asked.
    Done(Option<Said>),
}

impl Inquiry {
    /// Begins with the first try; `once` if that is to be the only one.
    pub(super) fn begin(
        token: &Secret<String>,
        provider: &Provider,
        introspection: &Rc<Introspection>,
        (shared, once): (&SharedSecrets, bool),
        env: &Env<'_>,
    ) -> Result<(Self, Callout), SecretUnavailable> {
        let secret = resolve(&introspection.client_secret, shared)?;
        let authorization = client_secret_basic(&introspection.client_id, &secret);
        let (token, provider) = (token.clone(), Rc::clone(&provider.name));
        let question = Question { token, provider, introspection: Rc::clone(introspection), authorization };
        let (fetch, callout) = if once { Fetch::once(question, env) } else { Fetch::begin(question, env) };
        Ok((Self(fetch), callout))
    }

    pub(super) fn on(self, answer: Answer, env: &mut Env<'_>) -> InquiryStep {
        let shared = answer.shared;
        match self.0.on(answer, env) {
            Fetched::Again(fetch, callout) => InquiryStep::Ask(Self(fetch), callout),
            Fetched::Done(_, Ok((what, asked_at))) => {
                if !shared {
                    env.count(match what {
                        Introspected::Active(_) => Metric::IntrospectionActive,
                        Introspected::Inactive => Metric::IntrospectionInactive,
                    });
                }
                InquiryStep::Done(Some(Said { what, asked_at, shared }))
            }
            Fetched::Done(_, Err(_)) => InquiryStep::Done(None),
        }
    }
}

/// Whether a token is in force.
#[derive(Debug)]
struct Question {
    token: Secret<String>,
    provider: Rc<str>,
    introspection: Rc<Introspection>,
    authorization: Secret<String>,
}

/// Why a reply says nothing of the token.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("status {0}")]
    Status(u16),
    #[error("{0}")]
    Fault(#[from] IntrospectionFault),
}

impl Need for Question {
    const PURPOSE: Purpose = Purpose::Introspection;
    type Answer = (Introspected, Now);
    type Fault = NoAnswer;

    fn callout(&self, env: &Env<'_>) -> Callout {
        Callout::introspection(&self.introspection.endpoint, &self.token, &self.authorization, env.config.callouts)
    }

    fn read(&self, reply: &CalloutReply, asked_at: Now) -> Result<Self::Answer, NoAnswer> {
        if reply.status != 200 {
            return Err(NoAnswer::Status(reply.status));
        }
        Ok((Introspected::parse(&reply.body)?, asked_at))
    }

    fn may_pass(_: &NoAnswer) -> bool {
        true
    }

    fn count(outcome: Result<(), &Fault<NoAnswer>>, last: bool) -> Option<Metric> {
        if outcome.is_err() && last { Some(Metric::IntrospectionFailed) } else { None }
    }

    fn describe(&self) -> String {
        format!("no introspection of identity provider `{}` at {}", self.provider, self.introspection.endpoint.url)
    }
}
