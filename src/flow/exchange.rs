//! With which credential? The permit's is found, or asked for at the token endpoint.

use super::callout::{Answer, Callout, CalloutReply, Purpose};
use super::decide::Asker;
use super::fetch::{Fault, Fetch, Fetched, Need};
use super::lookup::Question;
use super::refusal::Refusal;
use super::revocation;
use super::stage::{Context, Next, Stage};
use super::{Env, Metric};
use crate::audit::TokenUse;
use crate::base::{Fingerprint, Now};
use crate::config::Config;
use crate::exchange::{self, ColdLease, Errand, ExchangeFault, Granted, Lookup, Pending, WorkspaceToken};
use crate::policy::Permit;
use std::time::Duration;

/// What a caller is told to wait where nothing better is known.
const RETRY: Duration = Duration::from_secs(1);

/// A permit without its credential.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) asker: Asker,
    pub(super) permit: Permit,
}

/// A request that waits for its Databricks token.
#[derive(Debug)]
pub(super) struct AwaitToken {
    asker: Asker,
    /// The token that serves if there is no new one.
    old: Option<WorkspaceToken>,
    lease: Option<ColdLease>,
    fetch: Fetch<Pending>,
}

/// A token that ends sooner than this is not sent on while another can be had.
const ON_THE_WAY: Duration = Duration::from_secs(2);

impl Exchange {
    #[inline(never)]
    pub(super) fn step(self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { asker, permit } = self;
        let errand = Errand {
            workspace: &cx.env.config.workspace.identity,
            request: asker.routed.id.shared(),
            shared: &asker.routed.shared,
        };
        let pending = match exchange::Exchange::start(permit, &errand, &mut cx.env.memory.signing_keys)? {
            exchange::Exchange::Direct(granted) => return asker.granted(granted, cx),
            exchange::Exchange::Needed(pending) => pending,
        };
        let old = match asker.look_up(&pending, cx.env) {
            Lookup::Hit(token) => {
                cx.token_use(TokenUse::Hit);
                return asker.go_on_with(token, pending, cx);
            }
            // nobody waits for what a timer can do, while the token lasts until the request is at the workspace
            Lookup::Renew(token) if cx.env.can.timers && token.lives_at(cx.env.now.wall.plus(ON_THE_WAY)) => {
                cx.env.memory.renewals.push(&pending, cx.env.config);
                cx.token_use(TokenUse::Hit);
                return asker.go_on_with(token, pending, cx);
            }
            Lookup::Renew(token) => Some(token),
            Lookup::Miss => {
                cx.token_use(TokenUse::Miss);
                None
            }
            Lookup::Backoff(retry_after) => return Err(Refusal::ExchangeUnavailable { retry_after }),
        };
        let lease = if old.is_none() { begin_cold(&pending, cx.env)? } else { None };
        let (fetch, callout) = Fetch::begin(pending, cx.env);
        Ok(AwaitToken { asker, old, lease, fetch }.wait(callout))
    }
}

/// Takes a place among those who ask for a token that nobody has. None is needed where requests wait for each other: they all ask with one
/// callout.
fn begin_cold(pending: &Pending, env: &mut Env<'_>) -> Result<Option<ColdLease>, Refusal> {
    if env.can.waits_for_others {
        return Ok(None);
    }
    let lease = env.memory.tokens.begin_cold(pending.key(), env.config.callouts.total(), env.now);
    lease.map(Some).ok_or(Refusal::ExchangeUnavailable { retry_after: RETRY })
}

fn end_cold(lease: Option<ColdLease>, env: &mut Env<'_>) {
    if let Some(lease) = lease {
        env.memory.tokens.end_cold(lease, env.now);
    }
}

impl AwaitToken {
    fn wait(self, callout: Callout) -> Next {
        Next::ask(callout, Stage::AwaitToken(Box::new(self)))
    }

    /// Takes an answer that only later requests have something of. Nobody waits for another try.
    pub(super) fn hear(self, answer: Answer, env: &mut Env<'_>) {
        end_cold(self.lease, env);
        match self.fetch.on(answer, env) {
            Fetched::Done(_, Ok(token)) => keep(&token, env),
            Fetched::Done(pending, Err(fault)) => back_off(&fault, &pending, env),
            Fetched::Again(..) => {}
        }
    }

    pub(super) fn step(self, answer: Answer, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { asker, old, lease, fetch } = self;
        let (shared, kept) = (answer.shared, answer.when_kept().is_some());
        // one that has ended meanwhile is sent nowhere
        let ended = asker.still_valid(cx.env);
        let (pending, outcome) = match fetch.on(answer, cx.env) {
            Fetched::Done(pending, outcome) => (pending, outcome),
            Fetched::Again(fetch, callout) => {
                if let Err(refusal) = ended {
                    end_cold(lease, cx.env);
                    return Err(refusal);
                }
                return Ok(Self { asker, old, lease, fetch }.wait(callout));
            }
        };
        end_cold(lease, cx.env);
        match (outcome, ended) {
            (Err(_), Err(refusal)) if kept => Err(refusal),
            (Ok(token), _) if kept && cx.env.memory.tokens.is_good(&token, cx.env.now) => {
                keep(&token, cx.env);
                asker.go_on_with(token, pending, cx)
            }
            // What another worker kept is of no use. One try: each answer that is no token might be kept, and would be asked for again for ever.
            (_, Ok(())) if kept => {
                let (fetch, callout) = Fetch::once(pending, cx.env);
                Ok(Self { asker, old, lease: None, fetch }.wait(callout))
            }
            // good for one use, which is that of the request that asked
            (Ok(token), Ok(())) if shared && !token.lives_at(cx.env.now.wall) => {
                let (fetch, callout) = Fetch::begin(pending, cx.env);
                Ok(Self { asker, old, lease: None, fetch }.wait(Callout { share: None, ..callout }))
            }
            (Ok(token), _) => {
                // whoever asked has kept it, and knows when it was asked for
                if !shared {
                    keep(&token, cx.env);
                }
                if old.is_some() {
                    cx.token_use(TokenUse::Renewed);
                }
                asker.go_on_with(token, pending, cx)
            }
            (Err(fault), _) => asker.go_on_without(fault, old, pending, cx),
        }
    }
}

/// A token that is asked for ahead of need.
#[derive(Debug)]
pub(super) struct AheadOfNeed(Fetch<Pending>);

impl AheadOfNeed {
    pub(super) fn begin(pending: Pending, env: &Env<'_>) -> (Self, Callout) {
        let (fetch, callout) = Fetch::once(pending, env);
        (Self(fetch), callout)
    }

    /// Takes the answer; what to send, if that was of no use.
    pub(super) fn on(self, answer: Answer, env: &mut Env<'_>) -> Option<(Self, Callout)> {
        let kept = answer.when_kept().is_some();
        match self.0.on(answer, env) {
            // what another worker kept may be what this one has
            Fetched::Done(pending, outcome)
                if kept && !outcome.as_ref().is_ok_and(|token| env.memory.tokens.is_fresh(token, env.now)) =>
            {
                Some(Self::begin(pending, env))
            }
            Fetched::Done(pending, Ok(token)) => {
                if env.memory.tokens.holds(pending.key(), env.now) {
                    env.count(Metric::TokenCacheRenewed);
                }
                keep(&token, env);
                // one for a single use, or that was almost over when it came, would be asked for again at once, and again
                if !env.memory.tokens.is_fresh(&token, env.now) {
                    env.memory.tokens.failed_ahead(pending.key(), env.now);
                }
                None
            }
            Fetched::Done(pending, Err(fault)) => {
                back_off(&fault, &pending, env);
                env.memory.tokens.failed_ahead(pending.key(), env.now);
                None
            }
            Fetched::Again(..) => None,
        }
    }
}

/// Tokens that end soon, which timers are to renew: requests go on with the old ones.
#[derive(Debug, Default)]
pub(super) struct Renewals(Vec<(Fingerprint, Pending)>);

/// Past this many, requests that come later ask for theirs again.
const MOST_RENEWALS: usize = 256;

impl Renewals {
    fn push(&mut self, pending: &Pending, config: &Config) {
        if self.0.len() < MOST_RENEWALS {
            self.0.push((config.digest, pending.again_ahead()));
        }
    }

    /// Takes one out that belongs to `config`.
    pub(super) fn take(&mut self, config: &Config) -> Option<Pending> {
        let place = self.0.iter().position(|(digest, _)| *digest == config.digest)?;
        Some(self.0.remove(place).1)
    }

    /// Forgets those of configurations that are gone.
    pub(super) fn keep_only(&mut self, is_in_use: impl Fn(Fingerprint) -> bool) {
        self.0.retain(|(digest, _)| is_in_use(*digest));
    }
}

fn keep(token: &WorkspaceToken, env: &mut Env<'_>) {
    if env.config.limits.cached_tokens > 0 {
        env.memory.tokens.store(token, env.now);
    }
}

/// Leaves the token endpoint alone for as long as it asks for.
fn back_off(fault: &Fault<ExchangeFault>, pending: &Pending, env: &mut Env<'_>) {
    if let Fault::Reply(ExchangeFault::Throttled { retry_after }) = fault {
        env.memory.tokens.back_off(pending.key(), *retry_after, env.now);
    }
}

impl Asker {
    /// The kept token, unless what it was obtained with was cut off since.
    fn look_up(&self, pending: &Pending, env: &mut Env<'_>) -> Lookup {
        let (key, now, longest) = (pending.key(), env.now, pending.not_after());
        match env.memory.tokens.lookup(key, now, longest) {
            Lookup::Hit(token) | Lookup::Renew(token) if self.is_cut_off(&token, env) => {
                env.memory.tokens.forget(&token);
                env.memory.tokens.lookup(key, now, longest)
            }
            found => found,
        }
    }

    fn is_cut_off(&self, token: &WorkspaceToken, env: &Env<'_>) -> bool {
        let check = |marks| revocation::check_marks(&self.provider, marks, env);
        token.obtained_with().is_some_and(|marks| check(marks).is_err())
    }

    fn go_on_without(
        self,
        fault: Fault<ExchangeFault>,
        old: Option<WorkspaceToken>,
        pending: Pending,
        cx: &mut Context<'_, '_>,
    ) -> Result<Next, Refusal> {
        back_off(&fault, &pending, cx.env);
        match old.filter(|old| old.lives_at(cx.env.now.wall) && !self.is_cut_off(old, cx.env)) {
            Some(old) => {
                cx.token_use(TokenUse::Hit);
                self.go_on_with(old, pending, cx)
            }
            None => Err(refusal(fault)),
        }
    }

    fn go_on_with(self, token: WorkspaceToken, pending: Pending, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        self.still_valid(cx.env)?;
        let granted =
            pending.accept(token).map_err(|_| Refusal::Internal("a token was obtained for another caller"))?;
        self.granted(granted, cx)
    }

    fn granted(self, granted: Granted, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        match granted {
            Granted::Request(authorized) => {
                self.still_permitted(authorized.permit(), cx.audit.has_waited(), cx.env)?;
                Ok(Next::Forward(authorized, self.routed))
            }
            Granted::LookUp(lookup) => Ok(Question { asker: self, lookup }.step(cx)),
        }
    }
}

impl Context<'_, '_> {
    fn token_use(&mut self, how: TokenUse) {
        self.audit.token_use(how);
        self.env.count(match how {
            TokenUse::Hit => Metric::TokenCacheHit,
            TokenUse::Miss => Metric::TokenCacheMiss,
            TokenUse::Renewed => Metric::TokenCacheRenewed,
        });
    }
}

impl Need for Pending {
    const PURPOSE: Purpose = Purpose::Token;
    type Answer = WorkspaceToken;
    type Fault = ExchangeFault;

    fn callout(&self, env: &Env<'_>) -> Callout {
        Callout::token(self, &env.config.workspace.token_endpoint, env.config.callouts, env.now.wall)
    }

    fn read(&self, reply: &CalloutReply, asked_at: Now) -> Result<WorkspaceToken, ExchangeFault> {
        self.read_reply(reply.status, reply.header("retry-after"), &reply.body, asked_at.wall)
    }

    fn may_pass(fault: &ExchangeFault) -> bool {
        matches!(fault, ExchangeFault::Failed { .. } | ExchangeFault::Unusable)
    }

    fn count(outcome: Result<(), &Fault<ExchangeFault>>, _: bool) -> Option<Metric> {
        Some(match outcome {
            Ok(()) => Metric::ExchangeOk,
            Err(Fault::Reply(ExchangeFault::Refused { .. })) => Metric::ExchangeRefused,
            Err(_) => Metric::ExchangeFailed,
        })
    }

    fn describe(&self) -> String {
        format!("no databricks token for role `{}`", self.role())
    }
}

fn refusal(fault: Fault<ExchangeFault>) -> Refusal {
    match fault {
        Fault::Reply(ExchangeFault::Refused { code }) => Refusal::ExchangeRefused { code },
        Fault::Reply(ExchangeFault::Throttled { retry_after }) => Refusal::ExchangeUnavailable { retry_after },
        Fault::Reply(_) | Fault::Callout(_) => Refusal::ExchangeUnavailable { retry_after: RETRY },
    }
}
