//! The part of a request's way that waits to hear which job a run belongs to, for rules with `lookup`.

use super::callout::{Callout, CalloutFault, CalloutResult};
use super::refusal::Refusal;
use super::{Asker, Env, Flow, Outcome, State, Step};
use crate::base::{Fingerprint, parse_object_strict};
use crate::exchange::{RunLookup, read_retry_after, refuses_token};
use crate::policy::Permit;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// A run with many tasks is described at length; a longer answer is none.
const LONGEST_REPLY: usize = 1024 * 1024;
const DEEPEST_REPLY: usize = 64;
/// A run's job never changes, so what is kept is bounded by number only.
const MOST_RUNS: usize = 10_000;
const RETRY: Duration = Duration::from_secs(1);

/// The jobs of runs that were looked up. May vanish at any time.
#[derive(Debug, Default)]
pub struct RunJobs {
    jobs: BTreeMap<Fingerprint, Rc<str>>,
    /// The same runs, the one that was kept first in front.
    order: VecDeque<Fingerprint>,
}

impl RunJobs {
    fn get(&self, run: Fingerprint) -> Option<Rc<str>> {
        self.jobs.get(&run).cloned()
    }

    fn keep(&mut self, run: Fingerprint, job: Rc<str>) {
        if self.jobs.insert(run, job).is_some() {
            return;
        }
        self.order.push_back(run);
        if self.order.len() > MOST_RUNS
            && let Some(oldest) = self.order.pop_front()
        {
            self.jobs.remove(&oldest);
        }
    }
}

/// Jobs are kept by run, workspace and role: what one role was shown is no news for another.
fn key(permit: &Permit, env: &Env<'_>) -> Fingerprint {
    Fingerprint::builder("run-job")
        .field(env.config.workspace.identity.as_bytes())
        .field(permit.role().as_bytes())
        .field(permit.run_to_look_up().unwrap_or_default().as_bytes())
        .finish()
}

/// A request that waits to hear which job its run belongs to.
#[derive(Debug)]
pub(super) struct AwaitJob {
    asker: Asker,
    lookup: RunLookup,
}

impl Flow {
    /// Decides with what is known of the run, or asks for it with `permit`, which is for that alone.
    pub(super) fn begin_lookup(&mut self, permit: Permit, asker: Asker, env: &mut Env<'_>) -> Result<Step, Refusal> {
        if asker.runs_job.is_some() {
            return Err(Refusal::Internal("a run was looked up twice"));
        }
        match env.memory.runs.get(key(&permit, env)) {
            Some(job) => self.decide(Asker { runs_job: Some(Some(job)), ..asker }, env),
            None => self.exchange(permit, asker, env),
        }
    }

    /// Asks the workspace.
    pub(super) fn look_up(&mut self, lookup: RunLookup, asker: Asker, env: &Env<'_>) -> Step {
        let callout = Callout::run_lookup(&lookup, &asker.request.id, env.config);
        self.state = State::Lookup(Box::new(AwaitJob { asker, lookup }));
        Step::Call(callout)
    }

    pub(super) fn on_lookup(&mut self, waiting: AwaitJob, result: CalloutResult, env: &mut Env<'_>) -> Outcome {
        let AwaitJob { asker, lookup } = waiting;
        let id = asker.request.id.clone();
        let job = match read(result) {
            Ok(job) => job,
            Err(fault) => {
                if let (Fault::Unauthenticated, Some(token)) = (&fault, lookup.token()) {
                    env.memory.tokens.forget(token);
                }
                env.log.push(format!("no job of a run for role `{}`: {fault}", lookup.permit().role()));
                return Err((Refusal::LookupUnavailable { retry_after: fault.retry_after() }, id));
            }
        };
        if let Some(job) = &job {
            env.memory.runs.keep(key(lookup.permit(), env), Rc::clone(job));
        }
        // the caller's own token may have ended meanwhile
        super::still_valid(&asker.caller, &asker.provider, env)
            .and_then(|()| self.decide(Asker { runs_job: Some(job), ..asker }, env))
            .map_err(|refusal| (refusal, id))
    }
}

/// Why the workspace did not say which job a run belongs to.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Callout(CalloutFault),
    #[error("the workspace refused the token")]
    Unauthenticated,
    #[error("the workspace answered {status}")]
    Status { status: u16, retry_after: Duration },
    #[error("the workspace's answer cannot be used")]
    Unusable,
}

impl Fault {
    fn retry_after(&self) -> Duration {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => RETRY,
        }
    }
}

/// What a refusal of the workspace's says.
fn message(body: &[u8]) -> Option<String> {
    Some(parse_object_strict(body, DEEPEST_REPLY).ok()?.get("message")?.as_str()?.to_owned())
}

/// The job; `None` if the workspace knows no such run, or none that the caller may see.
fn read(result: CalloutResult) -> Result<Option<Rc<str>>, Fault> {
    let reply = result.map_err(Fault::Callout)?;
    match reply.status {
        200 if reply.body.len() <= LONGEST_REPLY => {
            let run = parse_object_strict(&reply.body, DEEPEST_REPLY).map_err(|_| Fault::Unusable)?;
            // one-time runs have none, or 0
            Ok(run.get("job_id").and_then(Value::as_u64).filter(|job| *job > 0).map(|job| job.to_string().into()))
        }
        200 => Err(Fault::Unusable),
        401 => Err(Fault::Unauthenticated),
        403 if refuses_token(403, message(&reply.body).as_deref()) => Err(Fault::Unauthenticated),
        400 | 403 | 404 => Ok(None),
        status => Err(Fault::Status { status, retry_after: read_retry_after(reply.retry_after.as_deref()) }),
    }
}
