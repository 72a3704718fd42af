//! May it? Policy is asked; first without the body and the job of a run, and again with them if a rule needs them.

use super::exchange::Exchange;
use super::lookup::Lookup;
use super::memory::Generation;
use super::quota;
use super::refusal::Refusal;
use super::request::Routed;
use super::revocation;
use super::stage::{Context, Next, Stage};
use super::{Env, ReadBody};
use crate::audit::Draft;
use crate::base::parse_object_strict;
use crate::config::{Config, Provider};
use crate::databricks::read_form_data;
use crate::exchange::is_same_credential;
use crate::jwt::Caller;
use crate::policy::{Action, Ask, Body, Outcome, Permit, RunsJob, authorize};
use serde_json::{Map, Value};
use std::rc::Rc;

/// A body is this deep at most.
const BODY_DEPTH: usize = 32;

/// A verified caller who wants to go on.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) routed: Box<Routed>,
    pub(super) caller: Rc<Caller>,
    pub(super) provider: Rc<Provider>,
    body: HeldBody,
    /// The job of the request's run, once the workspace was asked; `None` in it if it knows of none.
    runs_job: Option<Option<Rc<str>>>,
    /// The worker's configurations when the caller began to wait.
    since: Generation,
}

/// What is known of a body.
#[derive(Debug)]
enum HeldBody {
    Unread,
    Absent,
    Json(Map<String, Value>),
}

/// A caller who waits for a decision.
#[derive(Debug)]
pub(super) struct Decide(Asker);

/// A caller whose request's body a rule needs.
#[derive(Debug)]
pub(super) struct AwaitBody(Asker);

impl Decide {
    pub(super) const fn new(routed: Box<Routed>, caller: Rc<Caller>, provider: Rc<Provider>, env: &Env<'_>) -> Self {
        let since = env.memory.generation();
        Self(Asker { routed, caller, provider, body: HeldBody::Unread, runs_job: None, since })
    }

    /// The same question, with what the workspace says of its run's job.
    pub(super) fn with_runs_job(asker: Asker, job: Option<Rc<str>>) -> Self {
        Self(Asker { runs_job: Some(job), ..asker })
    }

    #[inline(never)]
    pub(super) fn step(self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self(mut asker) = self;
        match asker.answer(cx.env.config, Some(cx.audit), cx.env) {
            Outcome::Permit(permit) => {
                cx.audit.permitted(&permit, &cx.env.config.audit);
                if let Some(denial) = permit.would_deny() {
                    cx.env.log.push(format!("would deny {}: {denial}", asker.routed.id));
                }
                quota::count_role(&permit, cx.env)?;
                Exchange { asker, permit: *permit }.step(cx)
            }
            Outcome::Denied(denial) => Err(denial.into()),
            Outcome::NeedsBody if !matches!(asker.body, HeldBody::Unread) => {
                Err(Refusal::Internal("a body was needed twice"))
            }
            Outcome::NeedsBody if !asker.routed.has_body => {
                // hosts may not know of a body before it comes
                asker.routed.bodiless = true;
                Self(Asker { body: HeldBody::Absent, ..asker }).step(cx)
            }
            Outcome::NeedsBody => Ok(Next::AwaitBody(Stage::AwaitBody(Box::new(AwaitBody(asker))))),
            Outcome::NeedsJob(_) if asker.runs_job.is_some() => Err(Refusal::Internal("a run was looked up twice")),
            Outcome::NeedsJob(permit) => Lookup { asker, permit: *permit }.step(cx),
            Outcome::Ambiguous(fault) => Err(Refusal::Ambiguous(fault.to_string())),
        }
    }
}

impl AwaitBody {
    pub(super) fn step(self, body: ReadBody, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self(asker) = self;
        let body = HeldBody::Json(read_json(&asker.routed, body)?);
        // the client may have taken its time
        asker.still_valid(cx.env)?;
        Decide(Asker { body, ..asker }).step(cx)
    }
}

impl Asker {
    /// What policy says, or what it lacks.
    fn answer(&self, config: &Config, audit: Option<&mut Draft>, env: &Env<'_>) -> Outcome {
        let routed = &self.routed;
        let body = match &self.body {
            HeldBody::Unread => Body::Unread,
            HeldBody::Absent => Body::Absent,
            HeldBody::Json(body) => Body::Json(body),
        };
        let runs_job = match &self.runs_job {
            None => RunsJob::Unasked,
            Some(None) => RunsJob::Unknown,
            Some(Some(job)) => RunsJob::Is(job),
        };
        let headers = &routed.seen.resource_headers;
        let action = Action::of(routed.operation, &routed.method, &routed.target, headers, body);
        let action = action.with_runs_job(runs_job);
        let requested_role = routed.seen.requested_role.as_deref();
        let (caller, provider) = (&self.caller, &self.provider.name);
        let ask = Ask { caller, provider, requested_role, action: &action, now: env.now.wall };
        let answer = authorize(&config.policy, &ask);
        if let (Outcome::Permit(_) | Outcome::Denied(_), Some(audit)) = (&answer, audit) {
            audit.touches(action.known_resources(), action.known_sql(), &config.audit);
        }
        answer
    }

    /// Whether the caller's own token is still good: it may have ended, or been cut off, while others were asked.
    pub(super) fn still_valid(&self, env: &Env<'_>) -> Result<(), Refusal> {
        self.caller.still_valid(env.now.wall, self.provider.expectations.clock_skew)?;
        revocation::check(&self.provider, &self.caller, env)
    }

    fn is_same_credential(&self, one: &Permit, other: &Permit, config: &Config) -> bool {
        is_same_credential(one, other, &config.workspace.identity, &self.routed.shared)
    }

    /// Whether `permit` is still what policy says. The request may have waited, and meanwhile a grant may have ended, or another
    /// configuration may have taken the place of the one that decided: then both must agree.
    pub(super) fn still_permitted(&self, permit: &Permit, waited: bool, env: &Env<'_>) -> Result<(), Refusal> {
        let is_replaced = env.memory.generation() != self.since;
        if !waited && !is_replaced {
            return Ok(());
        }
        let successor = is_replaced.then(|| env.memory.successor(env.config)).flatten();
        for config in std::iter::once(env.config).chain(successor.as_ref()) {
            match self.answer(config, None, env) {
                Outcome::Permit(again) if again.is_like(permit) && self.is_same_credential(&again, permit, config) => {}
                Outcome::Denied(denial) => return Err(denial.into()),
                _ => return Err(Refusal::Superseded),
            }
        }
        Ok(())
    }
}

/// The body that a decision needs: one JSON object that all readers read alike, or a form where the operation takes one. An empty one is an
/// object without members.
fn read_json(routed: &Routed, body: ReadBody) -> Result<Map<String, Value>, Refusal> {
    if let (ReadBody::Whole(bytes), Some(content_type)) = (&body, routed.form_type()) {
        return read_form_data(content_type, bytes).map_err(|fault| Refusal::Ambiguous(fault.to_string()));
    }
    match body {
        ReadBody::Whole(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(Map::new()),
        ReadBody::Whole(bytes) if !routed.has_plain_body(&bytes) => Err(Refusal::BodyUnreadable),
        ReadBody::Whole(bytes) => parse_object_strict(&bytes, BODY_DEPTH).map_err(|_| Refusal::BodyUnreadable),
        ReadBody::TooLong => Err(Refusal::BodyTooLarge),
        ReadBody::Unreadable => Err(Refusal::BodyUnreadable),
    }
}
