//! What a request asks for, found out piece by piece: most rules need only the operation, and bodies are read only for those that need
//! more.

use crate::databricks::sql::Scan;
use crate::databricks::{
    Catalogue, Features, IdFault, Operation, Resource, Target, has_statement, has_twin, resources, scan_body,
    stands_in_body,
};
use serde_json::{Map, Value};
use std::cell::OnceCell;

/// What is known of a request's body.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// It was not read. A rule that needs it stops the decision.
    Unread,
    /// There is none.
    Absent,
    /// It is this.
    Json(&'a Map<String, Value>),
}

/// What is known of the job that the request's run belongs to, which the request itself does not say.
#[derive(Clone, Copy, Debug)]
pub enum RunsJob<'a> {
    /// Nobody asked. A rule with `lookup` stops the decision.
    Unasked,
    /// The workspace was asked and knows of none that the caller may see.
    Unknown,
    /// It is this one.
    Is(&'a str),
}

/// What a decision lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The body.
    Body,
    /// The job of this run.
    JobOf(String),
    /// A single meaning of the request.
    Clarity(IdFault),
}

/// A request, as far as policy is concerned.
#[derive(Debug)]
pub struct Action<'a> {
    method: &'a str,
    target: &'a Target<'a>,
    headers: &'a [(String, String)],
    operation: Option<Operation>,
    body: Body<'a>,
    runs_job: RunsJob<'a>,
    resources: OnceCell<Result<Vec<Resource>, IdFault>>,
    features: OnceCell<Features>,
    sql: OnceCell<Result<Scan, IdFault>>,
}

impl<'a> Action<'a> {
    /// The action of a request. `headers` are those that may name resources, their names in lower case.
    #[must_use]
    pub fn new(method: &'a str, target: &'a Target<'a>, headers: &'a [(String, String)], body: Body<'a>) -> Self {
        let operation = Catalogue::find(method, target.path());
        let (resources, features, sql) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        let runs_job = RunsJob::Unasked;
        Self { method, target, headers, operation, body, runs_job, resources, features, sql }
    }

    /// The same action, with what is known of its run's job.
    #[must_use]
    pub fn with_runs_job(self, runs_job: RunsJob<'a>) -> Self {
        Self { runs_job, ..self }
    }

    /// The operation; `None` if the catalogue does not know it.
    #[must_use]
    pub const fn operation(&self) -> Option<Operation> {
        self.operation
    }

    pub(super) const fn method(&self) -> &'a str {
        self.method
    }

    pub(super) fn path(&self) -> &'a str {
        self.target.path()
    }

    /// Whether the request is for the workspace's own OAuth endpoints.
    pub(super) fn is_oauth(&self) -> bool {
        let path = self.path().to_ascii_lowercase();
        path == "/oidc" || path.starts_with("/oidc/")
    }

    /// All ids that can be told by now, for a record of the request.
    #[must_use]
    pub fn known_resources(&self) -> &[Resource] {
        self.resources().map_or(&[], Vec::as_slice)
    }

    /// What the request's SQL text does, if it has one and it was read, for a record of the request.
    #[must_use]
    pub fn known_sql(&self) -> Option<&Scan> {
        self.sql().ok().flatten()
    }

    fn resources(&self) -> Result<&Vec<Resource>, IdFault> {
        let found = self.resources.get_or_init(|| {
            let body = if let Body::Json(body) = self.body { Some(body) } else { None };
            self.operation.map_or(Ok(Vec::new()), |operation| resources(operation, self.target, self.headers, body))
        });
        found.as_ref().map_err(|fault| *fault)
    }

    /// The ids of that type.
    pub(super) fn ids(&self, kind: &str) -> Result<impl Iterator<Item = &str>, Lack> {
        if let Some(operation) = self.operation
            && matches!(self.body, Body::Unread)
            && stands_in_body(operation, kind)
        {
            return Err(Lack::Body);
        }
        let found = self.resources().map_err(Lack::Clarity)?;
        Ok(found.iter().filter(move |resource| resource.kind == kind).map(|resource| resource.id.as_str()))
    }

    fn refuse_twins(&self) -> Result<(), Lack> {
        let has_twin = self.operation.is_some_and(|operation| has_twin(operation, self.target));
        if has_twin { Err(Lack::Clarity(IdFault::Twice)) } else { Ok(()) }
    }

    /// The job of the request's run; `None` if there is none to be found.
    pub(super) fn runs_job(&self) -> Result<Option<&str>, Lack> {
        let mut runs = self.ids("run")?;
        let (Some(run), None) = (runs.next(), runs.next()) else { return Ok(None) };
        match self.runs_job {
            RunsJob::Unasked => Err(Lack::JobOf(run.to_owned())),
            RunsJob::Unknown => Ok(None),
            RunsJob::Is(job) => Ok(Some(job)),
        }
    }

    /// What the request's SQL text does; `None` if it has none.
    pub(super) fn sql(&self) -> Result<Option<&Scan>, Lack> {
        if !self.operation.is_some_and(has_statement) {
            return Ok(None);
        }
        self.refuse_twins()?;
        let body = match self.body {
            Body::Unread => return Err(Lack::Body),
            Body::Absent => None,
            Body::Json(body) => Some(body),
        };
        let scan = self.sql.get_or_init(|| scan_body(body)).as_ref();
        scan.map(Some).map_err(|fault| Lack::Clarity(*fault))
    }

    /// What in the body changes whom or what the request runs as.
    pub(super) fn features(&self) -> Result<Features, Lack> {
        let Some(operation) = self.operation.filter(|operation| Features::can_be_in(*operation)) else {
            return Ok(Features::default());
        };
        self.refuse_twins()?;
        match self.body {
            Body::Unread => Err(Lack::Body),
            Body::Absent => Ok(Features::default()),
            Body::Json(body) => Ok(*self.features.get_or_init(|| Features::of(operation, body))),
        }
    }
}
