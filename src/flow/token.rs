//! The part of a request's way that waits for its Databricks token.

use super::callout::{Callout, CalloutFault, CalloutResult};
use super::refusal::Refusal;
use super::{Asker, Env, Flow, Metric, Outcome, State, Step};
use crate::audit::TokenUse;
use crate::base::UnixTime;
use crate::exchange::{ExchangeFault, Lookup, Pending, WorkspaceToken};
use std::time::Duration;

/// An answer of the token endpoint is short; a longer one is none.
const LONGEST_REPLY: usize = 64 * 1024;
/// What a caller is told to wait where nothing better is known.
const RETRY: Duration = Duration::from_secs(1);

/// A request that waits for its Databricks token.
#[derive(Debug)]
pub(super) struct AwaitToken {
    asker: Asker,
    pending: Pending,
    /// The token that serves if there is no new one.
    old: Option<WorkspaceToken>,
    asked_at: UnixTime,
    tries_left: u32,
}

impl Flow {
    pub(super) fn begin_exchange(
        &mut self,
        asker: Asker,
        pending: Pending,
        env: &mut Env<'_>,
    ) -> Result<Step, Refusal> {
        let old = match env.memory.tokens.lookup(pending.key(), env.now, pending.not_after()) {
            Lookup::Hit(token) => {
                self.use_token(TokenUse::Hit, env);
                return self.go_on_with(token, pending, asker, env);
            }
            Lookup::Renew(token) => Some(token),
            Lookup::Miss => {
                self.use_token(TokenUse::Miss, env);
                None
            }
            Lookup::Backoff(until) => return Err(Refusal::ExchangeUnavailable { retry_after: until.since(env.now) }),
        };
        let tries_left = env.config.callouts.attempts;
        Ok(self.ask(AwaitToken { asker, pending, old, asked_at: env.now, tries_left }, env))
    }

    fn ask(&mut self, waiting: AwaitToken, env: &Env<'_>) -> Step {
        let callout = Callout::token_request(&env.config.workspace.token_endpoint, waiting.pending.form(), env.config);
        let tries_left = waiting.tries_left.saturating_sub(1);
        self.state = State::Token(Box::new(AwaitToken { tries_left, asked_at: env.now, ..waiting }));
        Step::Call(callout)
    }

    pub(super) fn on_token(&mut self, mut waiting: AwaitToken, result: CalloutResult, env: &mut Env<'_>) -> Outcome {
        let id = waiting.asker.request.id.clone();
        let fault = match read(&waiting, result) {
            Ok(token) => {
                env.memory.tokens.store(&token, env.now, env.config.limits.cached_tokens);
                env.count(Metric::ExchangeOk);
                if waiting.old.is_some() {
                    self.use_token(TokenUse::Renewed, env);
                }
                let AwaitToken { asker, pending, .. } = waiting;
                return self.go_on_with(token, pending, asker, env).map_err(|refusal| (refusal, id));
            }
            Err(fault) => fault,
        };
        env.count(fault.metric());
        env.log.push(format!("no databricks token for role `{}`: {fault}", waiting.pending.permit().role()));
        if let Failure::Answer(ExchangeFault::Throttled { retry_after }) = &fault {
            env.memory.tokens.back_off(waiting.pending.key(), env.now.plus(*retry_after), env.now);
        } else if fault.may_pass() && waiting.tries_left > 0 {
            // one that has ended meanwhile is sent nowhere
            let permit = waiting.pending.permit();
            return match super::still_valid(permit.caller(), permit.provider(), env) {
                Ok(()) => Ok(self.ask(waiting, env)),
                Err(refusal) => Err((refusal, id)),
            };
        }
        match waiting.old.take() {
            Some(old) if old.lives_at(env.now) => {
                self.use_token(TokenUse::Hit, env);
                self.go_on_with(old, waiting.pending, waiting.asker, env).map_err(|refusal| (refusal, id))
            }
            _ => Err((fault.refusal(), id)),
        }
    }

    fn use_token(&mut self, how: TokenUse, env: &mut Env<'_>) {
        self.audit.token_use(how);
        env.count(match how {
            TokenUse::Hit => Metric::TokenCacheHit,
            TokenUse::Miss => Metric::TokenCacheMiss,
            TokenUse::Renewed => Metric::TokenCacheRenewed,
        });
    }

    fn go_on_with(
        &mut self,
        token: WorkspaceToken,
        pending: Pending,
        asker: Asker,
        env: &mut Env<'_>,
    ) -> Result<Step, Refusal> {
        // the caller's own token may have ended while the token endpoint was asked
        super::still_valid(pending.permit().caller(), pending.permit().provider(), env)?;
        let granted =
            pending.accept(token).map_err(|_| Refusal::Internal("a token was obtained for another caller"))?;
        Ok(self.granted(granted, asker, env))
    }
}

fn read(waiting: &AwaitToken, result: CalloutResult) -> Result<WorkspaceToken, Failure> {
    let reply = result.map_err(Failure::Callout)?;
    if reply.body.len() > LONGEST_REPLY {
        return Err(Failure::Answer(ExchangeFault::Unusable));
    }
    let retry_after = reply.retry_after.as_deref();
    waiting.pending.read_reply(reply.status, retry_after, &reply.body, waiting.asked_at).map_err(Failure::Answer)
}

/// Why the token endpoint gave no token.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Callout(CalloutFault),
    #[error("{0}")]
    Answer(ExchangeFault),
}

impl Failure {
    /// Whether the next try may end otherwise.
    const fn may_pass(&self) -> bool {
        matches!(self, Self::Callout(_) | Self::Answer(ExchangeFault::Failed { .. } | ExchangeFault::Unusable))
    }

    const fn metric(&self) -> Metric {
        match self {
            Self::Answer(ExchangeFault::Refused { .. }) => Metric::ExchangeRefused,
            Self::Answer(_) | Self::Callout(_) => Metric::ExchangeFailed,
        }
    }

    fn refusal(self) -> Refusal {
        match self {
            Self::Answer(ExchangeFault::Refused { code }) => Refusal::ExchangeRefused { code },
            Self::Answer(ExchangeFault::Throttled { retry_after }) => Refusal::ExchangeUnavailable { retry_after },
            Self::Answer(_) | Self::Callout(_) => Refusal::ExchangeUnavailable { retry_after: RETRY },
        }
    }
}
