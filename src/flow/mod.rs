//! What happens to one request, as a state machine without host, clock and I/O: an [`Event`] goes in, a [`Step`] comes out.
//!
//! ```text
//! Receive ─► Verify ─► Introspect ─► Revocation ─► Admit ─► Decide ⇄ Lookup ─► Exchange ─► forward
//!    │        │  │           │            │                  │        │          │
//!    │        │ AwaitKeys AwaitIntro-  AwaitFeed         AwaitBody  AwaitJob  AwaitToken    the stages that wait for an event
//!    │        │           spection
//!    │        └─ Opaque, AwaitOpaque ─► Revocation
//!    └─ own endpoints: documents; AwaitForm ─► Verify ─► … ─► Revocation ─► echo
//!                      sign-in: see login/mod.rs
//! ```
//!
//! Every stage is a value in a file of its own (`stage.rs` lists those that are kept). It owns what it needs, is used up by its step, and hands on a proof:
//! a `Routed` request, a verified `Caller`, a `Permit`, an `Authorized`. While a step runs, `Done` stands in its place, so that whatever
//! goes wrong meets `Done`, which answers nothing but a refusal.

mod admit;
mod basis;
mod callout;
mod capabilities;
mod certificate;
mod decide;
mod edits;
mod exchange;
mod feed;
mod fetch;
mod identity;
mod introspect;
mod introspection;
mod keys;
mod login;
mod lookup;
mod memory;
mod metric;
mod own_endpoints;
mod prefetch;
mod quota;
mod receive;
mod refusal;
mod request;
mod request_id;
mod revocation;
mod source;
mod stage;
mod verdicts;
mod verify;

pub use basis::Basis;
#[cfg(feature = "native")]
pub use callout::WANTED_HEADERS;
pub use callout::{Answer, Callout, CalloutFault, CalloutReply, CalloutResult, Purpose};
pub use capabilities::{Capabilities, Follow};
pub use certificate::{CertificateDigest, Shown};
pub use edits::Edits;
pub use memory::Memory;
pub use metric::Metric;
pub use prefetch::Prefetch;
pub use refusal::{
    Reply, changed_after_decision, guard_refused, internal_error, invalid_configuration, missing_body, unannounced_body,
};
pub use request::{HeaderProblem, Inspected, Request, inspect_all_headers, inspect_headers};
pub use request_id::RequestId;

use crate::audit::{Decision, Draft, Record};
use crate::base::{Fingerprint, Now, Reason, UnixTime};
use crate::config::{Config, Limits};
use crate::databricks::Operation;
use crate::exchange::{Authorized, WorkspaceToken, refuses_token};
use capabilities::Line;
use refusal::Refusal;
use request::Routed;
use stage::{Context, Input, Next, Spaced, Stage};
use std::rc::Rc;

/// What a step may look at besides its event.
#[derive(Debug)]
pub struct Env<'a> {
    /// The configuration of the entry.
    pub config: &'a Rc<Config>,
    /// What is remembered between requests.
    pub memory: &'a mut Memory,
    /// The time.
    pub now: Now,
    /// What the host can do.
    pub can: Capabilities,
    /// What an operator should read.
    pub log: &'a mut Vec<String>,
    /// What is counted.
    pub counts: &'a mut Vec<Metric>,
}

impl Env<'_> {
    fn count(&mut self, metric: Metric) {
        self.counts.push(metric);
    }
}

/// Something that happened to a request.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
#[derive(Debug)]
pub enum Event {
    /// Its headers arrived.
    Request(Request),
    /// Its whole body arrived.
    Body(ReadBody),
    /// The answer to the callout that the last step asked for.
    Callout(Answer),
}

/// A request's body, as the host gives it.
#[derive(Clone, PartialEq, Eq)]
pub enum ReadBody {
    /// All of it.
    Whole(Vec<u8>),
    /// It is longer than the limit.
    TooLong,
    /// The host does not have it at hand.
    Unreadable,
}

impl std::fmt::Debug for ReadBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // bodies hold tokens and data
        f.write_str(match self {
            Self::Whole(_) => "Whole",
            Self::TooLong => "TooLong",
            Self::Unreadable => "Unreadable",
        })
    }
}

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Send this, and hold the request until the answer is there.
    Call(Callout),
    /// Hold the request until its whole body is there.
    AwaitBody,
    /// Make these edits and let the request go on.
    Forward(Edits),
    /// Answer the request; it goes no further.
    Reply(Reply),
}

/// The way of one request.
#[derive(Debug, Default)]
pub struct Flow {
    id: Option<RequestId>,
    stage: Stage,
    line: Line,
    /// Whether refusals have OAuth's form, because the client asked an endpoint that speaks it.
    speaks_oauth: bool,
    /// The token that was sent on, so that it can be forgotten if the workspace refuses it.
    sent: Option<WorkspaceToken>,
    /// What the request asks of the workspace, once it arrived and if the catalogue knows it.
    operation: Option<Operation>,
    /// What is recorded of the request.
    audit: Draft,
}

impl Flow {
    /// Handles one event.
    pub fn on(&mut self, event: Event, env: &mut Env<'_>) -> Step {
        let input = self.take(event, env);
        let outcome = self.run(input, env);
        let step = outcome.unwrap_or_else(|refusal| Step::Reply(self.refuse(refusal, env)));
        self.write_down(&step, env);
        step
    }

    /// Notes what arrived.
    fn take(&mut self, event: Event, env: &Env<'_>) -> Input {
        match event {
            Event::Request(request) => {
                self.id.get_or_insert_with(|| request.id.clone());
                Input::Request(request)
            }
            Event::Body(body) => Input::Body(body),
            Event::Callout(answer) => {
                self.audit.answered(env.now.wall);
                self.line = self.line.answered(answer.result.is_err());
                Input::Answer(answer)
            }
        }
    }

    /// Steps from stage to stage until one wants to wait or the request has ended.
    fn run(&mut self, mut input: Input, env: &mut Env<'_>) -> Result<Step, Refusal> {
        let mut stage = std::mem::replace(&mut self.stage, Stage::Done);
        loop {
            let Self { audit, speaks_oauth, operation, .. } = self;
            match stage.step(input, &mut Context { env, audit, speaks_oauth, operation })? {
                Next::Go(next) => (stage, input) = (next, Input::Begin),
                Next::Ask(callout, waiting) => match self.ask(*callout, waiting, env) {
                    Ok(callout) => return Ok(Step::Call(callout)),
                    Err((waiting, fault)) => (stage, input) = (waiting, Input::Answer(Answer::own(Err(fault)))),
                },
                Next::AwaitBody(waiting) => {
                    self.stage = waiting;
                    return Ok(Step::AwaitBody);
                }
                Next::Forward(authorized, routed) => return self.forward(authorized, &routed, env),
                Next::Reply(reply) => return Ok(Step::Reply(reply)),
            }
        }
    }

    /// The callout to send now so that `waiting` gets its answer, if the host can send any.
    fn ask(&mut self, callout: Callout, waiting: Stage, env: &Env<'_>) -> Result<Callout, (Stage, CalloutFault)> {
        let (callout, waiting) = match self.line.follow(callout.has_body(), env.can) {
            Follow::Freely => (callout, waiting),
            Follow::Spaced => {
                let spacer = Callout::spacer_before(&callout);
                (spacer, Stage::Spaced(Box::new(Spaced { callout, waiting })))
            }
            Follow::Never => {
                return Err((waiting, CalloutFault::Failed("the host can send no other now".to_owned())));
            }
        };
        self.line = Line::sent(callout.has_body());
        self.stage = waiting;
        Ok(callout)
    }

    fn forward(&mut self, authorized: Authorized, routed: &Routed, env: &mut Env<'_>) -> Result<Step, Refusal> {
        let assertion = identity::assert(&authorized, routed, env)?;
        self.sent = authorized.token().cloned();
        Ok(Step::Forward(Edits::new(authorized, assertion, routed, env.config)))
    }

    fn refuse(&mut self, refusal: Refusal, env: &mut Env<'_>) -> Reply {
        match &refusal {
            Refusal::Denied(denial) => self.audit.denied(denial, &env.config.audit),
            Refusal::Token(error) if error.reason() == Reason::TokenInvalid => self.audit.invalid(error.code()),
            _ => {}
        }
        let id = self.id.clone().unwrap_or_else(RequestId::unknown);
        let reply = refusal.reply(&id, env);
        if self.speaks_oauth { own_endpoints::refused_exchange(reply) } else { reply }
    }

    fn write_down(&mut self, step: &Step, env: &mut Env<'_>) {
        match step {
            Step::Call(_) => self.audit.called(env.now.wall),
            Step::AwaitBody => {}
            Step::Forward(_) => {
                self.audit.forward(env.now.wall);
                let decision = self.record().map(|record| record.decision);
                let observed = decision == Some(Decision::WouldDeny);
                env.count(if observed { Metric::RequestsWouldDeny } else { Metric::RequestsAllowed });
            }
            Step::Reply(reply) => match reply.reason {
                Some(reason) => {
                    self.audit.refuse(reason, env.now.wall);
                    env.counts.extend(Metric::of_refusal(reason));
                }
                // public documents are no event
                None if self.record().is_none() => {}
                None => env.count(Metric::RequestsAllowed),
            },
        }
    }

    /// Hears the answer to the last callout although the request is gone, for the sake of others: keys, feeds of revoked identities
    /// and where people sign in are everybody's, and a token is whoever's comes next. What to send now, if anything.
    pub fn hear_for_others(&mut self, answer: Answer, env: &mut Env<'_>) -> Option<Callout> {
        let (waiting, callout) = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::AwaitKeys(stage) => stage.hear(answer, env)?,
            Stage::AwaitFeed(stage) => stage.hear(answer, env)?,
            Stage::AwaitEndpoints(stage) => stage.hear(answer, env)?,
            Stage::AwaitToken(stage) => {
                stage.hear(answer, env);
                return None;
            }
            _ => return None,
        };
        self.stage = waiting;
        Some(callout)
    }

    /// What is recorded of the request, once it was decided; nothing for public documents.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.audit.record()
    }

    /// The request is refused after all, by whoever runs this.
    pub fn abandon(&mut self, reason: Reason, now: UnixTime) {
        self.stage = Stage::Done;
        self.audit.refuse(reason, now);
    }

    /// Whether the next event must be the body.
    #[must_use]
    pub const fn awaits_body(&self) -> bool {
        matches!(self.stage, Stage::AwaitForm(_) | Stage::AwaitBody(_))
    }

    /// The longest body that is looked at.
    #[must_use]
    pub fn body_limit(&self, limits: &Limits) -> usize {
        limits.body_of(self.operation)
    }

    /// Whether the workspace's answer matters.
    #[must_use]
    pub const fn awaits_response(&self) -> bool {
        self.sent.is_some()
    }

    /// Hears the workspace's answer: its status, and its `x-databricks-reason-phrase`. A Databricks token that was refused is not used
    /// again. What tells its answer from others (`Callout::share`), if this is the first that is heard of it.
    pub fn on_response(&mut self, status: u16, reason: Option<&str>, memory: &mut Memory) -> Option<Fingerprint> {
        let token = self.sent.take().filter(|_| refuses_token(status, reason))?;
        memory.tokens.forget(&token).then(|| token.share())
    }
}
