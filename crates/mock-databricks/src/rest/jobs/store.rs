//! Jobs that callers created, beside those of the state. Each belongs to the principal that created it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use crate::clock;
use crate::minting::Holder;
use crate::refusal::Refusal;
use crate::rest::params;

const FIRST_ID: u64 = 7001;

#[derive(Clone)]
pub(crate) struct Job {
    pub(super) owner: Holder,
    pub(super) settings: Map<String, Value>,
    created_ms: u64,
}

impl Job {
    pub(super) fn shown(&self, id: &str) -> Value {
        json!({
            "job_id": params::number(id),
            "creator_user_name": self.owner.name,
            "run_as_user_name": self.owner.name,
            "settings": self.settings,
            "created_time": self.created_ms,
        })
    }
}

#[derive(Default)]
pub(crate) struct JobStore(Mutex<(BTreeMap<String, Job>, u64)>);

impl JobStore {
    pub(super) fn create(&self, owner: &Holder, settings: Map<String, Value>) -> String {
        let mut jobs = self.jobs();
        let id = FIRST_ID.saturating_add(jobs.1).to_string();
        jobs.1 = jobs.1.saturating_add(1);
        jobs.0.insert(id.clone(), Job { owner: owner.clone(), settings, created_ms: clock::now_ms() });
        id
    }

    /// The job, if it was created here at all; refused if it is someone else's.
    pub(super) fn get(&self, id: &str, caller: &Holder) -> Result<Option<Job>, Refusal> {
        match self.jobs().0.get(id) {
            Some(job) if !job.owner.same_principal(caller) => {
                let name = &caller.name;
                Err(Refusal::permission_denied(format!("{name} does not have permission on jobs: {id}.")))
            }
            job => Ok(job.cloned()),
        }
    }

    pub(super) fn change(
        &self,
        id: &str,
        caller: &Holder,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<(), Refusal> {
        self.get(id, caller)?.ok_or_else(|| absent(id))?;
        if let Some(job) = self.jobs().0.get_mut(id) {
            change(&mut job.settings);
        }
        Ok(())
    }

    pub(super) fn delete(&self, id: &str, caller: &Holder) -> Result<(), Refusal> {
        self.get(id, caller)?.ok_or_else(|| absent(id))?;
        self.jobs().0.remove(id);
        Ok(())
    }

    pub(super) fn of(&self, owner: &Holder) -> Vec<(String, Job)> {
        let jobs = self.jobs();
        let own = jobs.0.iter().filter(|(_, job)| job.owner.same_principal(owner));
        own.map(|(id, job)| (id.clone(), job.clone())).collect()
    }

    pub(crate) fn forget(&self) {
        *self.jobs() = (BTreeMap::new(), 0);
    }

    fn jobs(&self) -> MutexGuard<'_, (BTreeMap<String, Job>, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn absent(id: &str) -> Refusal {
    Refusal::absent(format!("Job {id} does not exist."))
}
