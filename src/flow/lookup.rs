//! Which job does a run belong to? The workspace is asked, for rules with `lookup`.

use super::callout::{Answer, Callout, CalloutFault, CalloutReply, Purpose};
use super::decide::{Asker, Decide};
use super::exchange::Exchange;
use super::fetch::Fault;
use super::refusal::Refusal;
use super::stage::{Context, Next, Stage};
use crate::base::{Bounded, Budget, Fingerprint, UnixTime, parse_object_strict, read_member};
use crate::config::Endpoint;
use crate::exchange::{RunLookup, read_retry_after, refuses_token};
use crate::policy::Permit;
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;

const DEEPEST_REPLY: usize = 64;
/// A run's job never changes.
const FOR_EVER: Duration = Duration::from_secs(30 * 24 * 3600);
const ROOM: Budget = Budget { entries: 10_000, bytes: 1024 * 1024 };
const RETRY: Duration = Duration::from_secs(1);

/// The jobs of runs that were looked up.
#[derive(Debug)]
pub(super) struct RunJobs(Bounded<Fingerprint, Rc<str>>);

impl Default for RunJobs {
    fn default() -> Self {
        Self(Bounded::new(ROOM))
    }
}

impl RunJobs {
    fn keep(&mut self, run: Fingerprint, job: Rc<str>, now: UnixTime) {
        let bytes = job.len();
        self.0.insert(run, job, now.plus(FOR_EVER), bytes, now);
    }
}

/// Jobs are kept by run, workspace and role: what one role was shown is no news for another.
fn key(permit: &Permit, workspace: &str) -> Fingerprint {
    Fingerprint::builder("run-job")
        .field(workspace.as_bytes())
        .field(permit.role().as_bytes())
        .field(permit.run_to_look_up().unwrap_or_default().as_bytes())
        .finish()
}

/// A request whose run's job a rule needs, with the permit to ask for it.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) asker: Asker,
    pub(super) permit: Permit,
}

/// The same, with the credential to ask.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) asker: Asker,
    pub(super) lookup: RunLookup,
}

/// A request that waits to hear which job its run belongs to.
#[derive(Debug)]
pub(super) struct AwaitJob(Question);

impl Lookup {
    /// Decides with what is known of the run, or asks for it.
    pub(super) fn step(self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { asker, permit } = self;
        let key = key(&permit, &cx.env.config.workspace.identity);
        match cx.env.memory.runs.0.get(&key, cx.env.now.wall).cloned() {
            Some(job) => Decide::with_runs_job(asker, Some(job)).step(cx),
            None => Exchange { asker, permit }.step(cx),
        }
    }
}

impl Question {
    pub(super) fn step(self, cx: &mut Context<'_, '_>) -> Next {
        let config = cx.env.config;
        let upstream = config.workspace.token_endpoint.upstream.clone();
        let workspace = Endpoint { url: config.workspace.url.clone(), upstream };
        let mut callout = Callout::run_lookup(&self.lookup, &self.asker.routed.id, &workspace, config.callouts);
        let id = config.workspace.id.iter();
        callout.headers.extend(id.map(|id| ("x-databricks-org-id", crate::base::Secret::new(id.clone()))));
        Next::ask(callout, Stage::AwaitJob(Box::new(AwaitJob(self))))
    }
}

impl AwaitJob {
    pub(super) fn step(self, answer: Answer, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self(Question { asker, lookup }) = self;
        let reply = Purpose::Lookup.bounded(answer.result).map_err(Fault::Callout);
        let job = match reply.and_then(|reply| read(&reply).map_err(Fault::Reply)) {
            Ok(job) => job,
            Err(fault) => return Err(give_up(&lookup, fault, cx)),
        };
        if let Some(job) = &job {
            let key = key(lookup.permit(), &cx.env.config.workspace.identity);
            cx.env.memory.runs.keep(key, Rc::clone(job), cx.env.now.wall);
        }
        // the caller's own token may have ended meanwhile
        asker.still_valid(cx.env)?;
        Decide::with_runs_job(asker, job).step(cx)
    }
}

/// Why the workspace did not say which job a run belongs to.
#[derive(Debug, thiserror::Error)]
enum NoJob {
    #[error("the workspace refused the token")]
    Unauthenticated,
    #[error("the workspace answered {status}")]
    Status { status: u16, retry_after: Duration },
    #[error("the workspace's answer cannot be used")]
    Unusable,
}

fn give_up(lookup: &RunLookup, fault: Fault<NoJob>, cx: &mut Context<'_, '_>) -> Refusal {
    if let (Fault::Reply(NoJob::Unauthenticated), Some(token)) = (&fault, lookup.token()) {
        cx.env.memory.tokens.forget(token);
    }
    cx.env.log.push(format!("no job of a run for role `{}`: {fault}", lookup.permit().role()));
    match fault {
        Fault::Callout(CalloutFault::TooLong) => Refusal::LookupTooLong,
        Fault::Reply(NoJob::Status { retry_after, .. }) => Refusal::LookupUnavailable { retry_after },
        Fault::Callout(_) | Fault::Reply(_) => Refusal::LookupUnavailable { retry_after: RETRY },
    }
}

/// The job; `None` if the workspace knows no such run, or none that the caller may see.
fn read(reply: &CalloutReply) -> Result<Option<Rc<str>>, NoJob> {
    match reply.status {
        200 => {
            let job: Option<Value> = read_member(&reply.body, "job_id").map_err(|_| NoJob::Unusable)?;
            // one-time runs have none, or 0
            Ok(job.and_then(|job| job.as_u64()).filter(|job| *job > 0).map(|job| job.to_string().into()))
        }
        401 => Err(NoJob::Unauthenticated),
        403 if refuses_token(403, message(&reply.body).as_deref()) => Err(NoJob::Unauthenticated),
        400 | 403 | 404 => Ok(None),
        status => Err(NoJob::Status { status, retry_after: read_retry_after(reply.header("retry-after")) }),
    }
}

/// What a refusal of the workspace's says.
fn message(body: &[u8]) -> Option<String> {
    Some(parse_object_strict(body, DEEPEST_REPLY).ok()?.get("message")?.as_str()?.to_owned())
}
