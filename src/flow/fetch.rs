//! One need of another server's answer, with its tries: what the host forbids, size, time, log line and counter in one place.

use super::callout::{Answer, Callout, CalloutFault, CalloutReply, CalloutResult, Purpose};
use super::capabilities::{Follow, Line};
use super::{Env, Metric};
use crate::base::{Now, Uptime};
use std::fmt;

/// What is wanted of another server.
pub(super) trait Need: Sized {
    /// What it is for.
    const PURPOSE: Purpose;
    /// What its answer comes to.
    type Answer;
    /// Why it comes to nothing.
    type Fault: fmt::Display;

    /// The request that asks for it.
    fn callout(&self, env: &Env<'_>) -> Callout;

    /// What a reply means.
    fn read(&self, reply: &CalloutReply, asked_at: Now) -> Result<Self::Answer, Self::Fault>;

    /// Whether the next try may end otherwise.
    fn may_pass(fault: &Self::Fault) -> bool;

    /// What to count for a try that ended so; `last` if no other follows.
    fn count(outcome: Result<(), &Fault<Self::Fault>>, last: bool) -> Option<Metric>;

    /// What there is none of, for the log.
    fn describe(&self) -> String;
}

/// Why a try came to nothing.
#[derive(Debug)]
pub(super) enum Fault<F> {
    /// There was no whole reply.
    Callout(CalloutFault),
    /// The reply is none that can be used.
    Reply(F),
}

impl<F: fmt::Display> fmt::Display for Fault<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Callout(fault) => fault.fmt(f),
            Self::Reply(fault) => fault.fmt(f),
        }
    }
}

/// A need whose callout is under way.
#[derive(Debug)]
pub(super) struct Fetch<N> {
    need: N,
    had_body: bool,
    tries_left: u32,
    asked_at: Now,
    /// By when the answer must be there, all tries together: hosts bound each step of a try, not the try.
    deadline: Uptime,
}

/// What an answer led to.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
pub(super) enum Fetched<N: Need> {
    /// Nothing yet: send this.
    Again(Fetch<N>, Callout),
    /// An answer, or none.
    Done(N, Result<N::Answer, Fault<N::Fault>>),
}

impl<N: Need> Fetch<N> {
    /// Begins with the first try.
    pub(super) fn begin(need: N, env: &Env<'_>) -> (Self, Callout) {
        let limits = env.config.callouts;
        let deadline = env.now.uptime.plus(limits.total());
        Self { need, had_body: false, tries_left: limits.attempts, asked_at: env.now, deadline }.ask(env)
    }

    /// As [`Fetch::begin`], with one try and no other.
    pub(super) fn once(need: N, env: &Env<'_>) -> (Self, Callout) {
        let (fetch, callout) = Self::begin(need, env);
        (Self { tries_left: 0, ..fetch }, callout)
    }

    fn ask(self, env: &Env<'_>) -> (Self, Callout) {
        let callout = self.need.callout(env);
        let (tries_left, had_body) = (self.tries_left.saturating_sub(1), callout.has_body());
        (Self { tries_left, had_body, asked_at: env.now, ..self }, callout)
    }

    /// What is wanted.
    pub(super) const fn need(&self) -> &N {
        &self.need
    }

    /// Takes the answer to the last try. `keep_on` may forbid another one.
    pub(super) fn on(self, answer: Answer, env: &mut Env<'_>) -> Fetched<N> {
        let (kept, Answer { result, shared, .. }) = (answer.when_kept(), answer);
        let failed = result.is_err();
        let asked_at = kept.map_or(self.asked_at, |wall| Now { wall, ..self.asked_at });
        let outcome = self.read(result, asked_at, env.now);
        // nor is what another worker kept a try
        let again =
            kept.is_none() && outcome.as_ref().err().is_some_and(|fault| self.may_ask_again(fault, failed, env));
        if let Err(fault) = &outcome {
            env.log.push(format!("{}: {fault}", self.need.describe()));
        }
        if !shared {
            env.counts.extend(N::count(outcome.as_ref().map(|_| ()), !again));
        }
        if again {
            let (fetch, callout) = self.ask(env);
            return Fetched::Again(fetch, callout);
        }
        Fetched::Done(self.need, outcome)
    }

    fn read(&self, result: CalloutResult, asked_at: Now, now: Now) -> Result<N::Answer, Fault<N::Fault>> {
        let reply = N::PURPOSE.bounded(result).map_err(Fault::Callout)?;
        if now.uptime > self.deadline {
            return Err(Fault::Callout(CalloutFault::TimedOut));
        }
        self.need.read(&reply, asked_at).map_err(Fault::Reply)
    }

    fn may_ask_again(&self, fault: &Fault<N::Fault>, failed: bool, env: &Env<'_>) -> bool {
        let may_pass = match fault {
            // the same question has the same answer
            Fault::Callout(CalloutFault::TooLong) => false,
            Fault::Callout(_) => true,
            Fault::Reply(fault) => N::may_pass(fault),
        };
        let allowed = Line::after(self.had_body, failed).follow(self.had_body, env.can) != Follow::Never;
        may_pass && allowed && self.tries_left > 0 && env.now.uptime < self.deadline
    }
}
