//! All that the two ports share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::faults::Faults;
use crate::jwks::IssuerKeys;
use crate::minting::{Mint, Place};
use crate::recording::Recorder;
use crate::rest::experiments::Tracking;
use crate::rest::jobs::JobStore;
use crate::rest::policies::PolicyStore;
use crate::rest::sql::SqlStore;
use crate::rest::tree::Tree;
use crate::state::{User, Workspace};
use crate::stream::Gate;

pub(crate) struct World {
    /// Where the workspace's port listens.
    pub(crate) url: String,
    pub(crate) tokens: Mint,
    pub(crate) requests: Recorder,
    pub(crate) faults: Faults,
    pub(crate) keys: IssuerKeys,
    pub(crate) sql: SqlStore,
    /// How many runs of jobs were started.
    pub(crate) runs: AtomicU64,
    /// Jobs that callers created.
    pub(crate) jobs: JobStore,
    /// Policies of clusters that callers made.
    pub(crate) policies: PolicyStore,
    /// Notebooks and workspace files.
    pub(crate) tree: Tree,
    /// Files in volumes.
    pub(crate) volumes: Tree,
    /// Whether answers in pieces wait for a test.
    pub(crate) gate: Gate,
    /// Experiments and their runs.
    pub(crate) tracking: Tracking,
    workspace: Mutex<Arc<Workspace>>,
}

impl World {
    pub(crate) fn new(workspace: Workspace, url: String) -> Result<Self, String> {
        Ok(Self {
            url,
            tokens: Mint::new()?,
            requests: Recorder::default(),
            faults: Faults::default(),
            keys: IssuerKeys::new()?,
            sql: SqlStore::default(),
            runs: AtomicU64::new(0),
            jobs: JobStore::default(),
            policies: PolicyStore::default(),
            tree: Tree::new(&["/Users", "/Shared", "/Repos"]),
            volumes: Tree::new(&["/Volumes"]),
            gate: Gate::default(),
            tracking: Tracking::default(),
            workspace: Mutex::new(Arc::new(workspace)),
        })
    }

    /// The state as it is now; a request sees one state from its beginning to its end.
    pub(crate) fn workspace(&self) -> Arc<Workspace> {
        Arc::clone(&self.workspace.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins anew with another state.
    pub(crate) fn replace(&self, workspace: Workspace) {
        *self.workspace.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(workspace);
        self.tokens.forget();
        self.requests.forget();
        self.faults.clear();
        self.keys.forget();
        self.sql.forget();
        self.runs.store(0, Ordering::Relaxed);
        self.jobs.forget();
        self.tree.forget();
        self.volumes.forget();
        self.gate.hold(false);
        self.tracking.forget();
        self.policies.forget();
    }

    /// Changes top-level keys of the state and keeps everything else, but for fetched keys.
    pub(crate) fn patch(&self, patch: Value) -> Result<(), String> {
        let mut workspace = self.workspace.lock().unwrap_or_else(PoisonError::into_inner);
        *workspace = Arc::new(workspace.merged(patch)?);
        drop(workspace);
        self.keys.forget();
        Ok(())
    }

    /// Adds users, or changes them; as [`Self::patch`], but whatever their number it costs no more than they do.
    pub(crate) fn add_users(&self, users: BTreeMap<String, User>) {
        let mut workspace = self.workspace.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut workspace).users.extend(users);
        drop(workspace);
        self.keys.forget();
    }
}

impl Workspace {
    pub(crate) fn place(&self) -> Place<'_> {
        Place { host: &self.host, workspace_id: &self.workspace_id }
    }
}
