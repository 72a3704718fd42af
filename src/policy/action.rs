//! What a request asks for, found out piece by piece: most rules need only the operation, and bodies are read only for those that need
//! more.

use crate::databricks::sql::Scan;
use crate::databricks::{
    Carried, Catalogue, Features, IdFault, Kind, Operation, Resource, Target, Within, carried, has_statement, has_twin,
    reaches_by_body, scan_body, stands_in_body,
};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

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
    carried: OnceCell<Result<Carried, IdFault>>,
    sql: OnceCell<Result<Scan, IdFault>>,
    near: OnceCell<Option<Operation>>,
    rests_on_body: Cell<bool>,
    /// The kind that was last asked for, and whether an id that tells of it may stand in the body: rules often ask for one kind in a row.
    last_kind: Cell<Option<(&'static str, bool)>>,
}

impl<'a> Action<'a> {
    /// The action of a request. `headers` are those that may name resources, their names in lower case.
    #[must_use]
    pub fn new(method: &'a str, target: &'a Target<'a>, headers: &'a [(String, String)], body: Body<'a>) -> Self {
        Self::of(Catalogue::find(method, target.path()), method, target, headers, body)
    }

    /// As [`Self::new`], where the operation was found before.
    #[must_use]
    pub fn of(
        operation: Option<Operation>,
        method: &'a str,
        target: &'a Target<'a>,
        headers: &'a [(String, String)],
        body: Body<'a>,
    ) -> Self {
        let (carried, sql, near) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        let (runs_job, rests_on_body, last_kind) = (RunsJob::Unasked, Cell::new(false), Cell::new(None));
        Self { method, target, headers, operation, body, runs_job, carried, sql, near, rests_on_body, last_kind }
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

    /// The known operation that some server could take an unknown request for: its path in another case, with or without `/preview`, or
    /// of another version.
    pub(super) fn near(&self) -> Option<Operation> {
        let find = || Catalogue::near(self.method, self.path()).filter(|_| self.operation.is_none());
        *self.near.get_or_init(find)
    }

    /// Why a request that the catalogue does not know is sensitive all the same, if it is.
    pub(super) fn sensitivity_of_unknown(&self) -> Option<&'static str> {
        if self.operation.is_some() {
            return None;
        }
        let near = self.near().and_then(Operation::sensitivity);
        near.or_else(|| Catalogue::sensitivity_of_path(self.method, self.path()))
    }

    /// Why no rule can be about the request, whatever it says.
    pub(super) fn fault(&self) -> Option<IdFault> {
        let path = self.path();
        (self.operation.is_none() && path.len() > 1 && path.ends_with('/') && !self.is_oauth())
            .then_some(IdFault::TrailingSlash)
    }

    pub(super) const fn method(&self) -> &'a str {
        self.method
    }

    pub(super) fn path(&self) -> &'a str {
        self.target.path()
    }

    /// Whether the request is for the workspace's own OAuth endpoints.
    pub(super) fn is_oauth(&self) -> bool {
        const OIDC: &str = "/oidc";
        let path = self.path();
        let begins = path.get(..OIDC.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(OIDC));
        begins && path.get(OIDC.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// All ids that can be told by now, for a record of the request.
    #[must_use]
    pub fn known_resources(&self) -> &[Resource] {
        self.carried().map_or(&[], |carried| carried.resources.as_slice())
    }

    /// What the request's SQL text does, if it has one and it was read, for a record of the request.
    #[must_use]
    pub fn known_sql(&self) -> Option<&Scan> {
        self.sql().ok().flatten()
    }

    fn carried(&self) -> Result<&Carried, IdFault> {
        let found = self.carried.get_or_init(|| {
            let body = if let Body::Json(body) = self.body { Some(body) } else { None };
            let read = |operation| carried(operation, self.target, self.headers, body);
            self.operation.map_or(Ok(Carried::default()), read)
        });
        found.as_ref().map_err(IdFault::clone)
    }

    /// What each id that the request carries says about resources of that type, after the type that it is meant as: the resource, or `None`
    /// if it does not tell which.
    pub(super) fn ids(&self, kind: &str) -> Result<impl Iterator<Item = (&'static str, Option<Cow<'_, str>>)>, Lack> {
        if self.may_stand_in_body(kind) {
            self.need_body()?;
        }
        let found = self.carried().map_err(Lack::Clarity)?;
        Ok(found.resources.iter().filter_map(move |resource| match resource.within(kind) {
            Within::No => None,
            Within::Is(id) => Some((resource.meant_as(), Some(id))),
            Within::Unknown => Some((resource.meant_as(), None)),
        }))
    }

    /// Whether the request may act on resources of that type that it does not name: those whose ids begin as `begins` accepts, or which it
    /// calls by something else.
    pub(super) fn reaches(&self, kind: &str, begins: &dyn Fn(&str) -> bool) -> Result<bool, Lack> {
        let Some(operation) = self.operation else { return Ok(false) };
        if reaches_by_body(operation, kind) {
            self.need_body()?;
        }
        let resources = &self.carried().map_err(Lack::Clarity)?.resources;
        let is_named = resources.iter().any(|resource| resource.kind == kind && !resource.id.is_empty());
        let acts_below = operation.acts_below();
        let is_reached = |resource: &Resource| {
            let around = || resource.around(kind).filter(|_| acts_below || resource.is_folder());
            // a pattern of files: `/a/**`
            let pattern = || match resource.within(kind) {
                Within::Is(id) => id.split_once('*').map(|(begin, _)| begin.to_owned()),
                _ => None,
            };
            around().or_else(pattern).is_some_and(|begin| begins(&begin))
        };
        Ok(operation.acts_on_unnamed(kind, is_named) || resources.iter().any(is_reached))
    }

    fn may_stand_in_body(&self, kind: &str) -> bool {
        if let Some((_, answer)) = self.last_kind.get().filter(|(last, _)| *last == kind) {
            return answer;
        }
        let answer = self.operation.is_some_and(|operation| stands_in_body(operation, kind));
        self.last_kind.set(Kind::named(kind).map(|kind| (kind.name, answer)));
        answer
    }

    /// A rule rests on the body.
    fn need_body(&self) -> Result<(), Lack> {
        self.rests_on_body.set(true);
        if matches!(self.body, Body::Unread) { Err(Lack::Body) } else { Ok(()) }
    }

    /// Whether what was decided so far rests on the body.
    pub(super) fn rests_on_body(&self) -> bool {
        self.rests_on_body.get()
    }

    /// Forgets a rule that means other requests: what it rested on does not matter.
    pub(super) fn rests_on_body_as(&self, before: bool) {
        self.rests_on_body.set(before);
    }

    /// Refuses a body with a member that nobody knows, if the decision rests on the body.
    pub(super) fn refuse_unknown_members(&self) -> Result<(), Lack> {
        match (&self.carried().map_err(Lack::Clarity)?.unknown, self.rests_on_body()) {
            (Some(pointer), true) => Err(Lack::Clarity(IdFault::Unknown { pointer: pointer.clone() })),
            _ => Ok(()),
        }
    }

    fn refuse_twins(&self) -> Result<(), Lack> {
        let has_twin = self.operation.is_some_and(|operation| has_twin(operation, self.target));
        if has_twin { Err(Lack::Clarity(IdFault::Twice)) } else { Ok(()) }
    }

    /// The job of the request's run; `None` if there is none to be found.
    pub(super) fn runs_job(&self) -> Result<Option<&str>, Lack> {
        let mut runs = self.ids("run")?.filter_map(|(_, run)| run);
        let (Some(run), None) = (runs.next(), runs.next()) else { return Ok(None) };
        match self.runs_job {
            RunsJob::Unasked => Err(Lack::JobOf(run.into_owned())),
            RunsJob::Unknown => Ok(None),
            RunsJob::Is(job) => Ok(Some(job)),
        }
    }

    /// What the request's SQL text does; `None` if it has none.
    pub(super) fn sql(&self) -> Result<Option<&Scan>, Lack> {
        let Some(operation) = self.operation.filter(|operation| has_statement(*operation)) else { return Ok(None) };
        self.refuse_twins()?;
        self.need_body()?;
        let body = if let Body::Json(body) = self.body { Some(body) } else { None };
        let scan = self.sql.get_or_init(|| scan_body(operation, body)).as_ref();
        scan.map(Some).map_err(|fault| Lack::Clarity(fault.clone()))
    }

    /// What in the body changes whom or what the request runs as.
    pub(super) fn features(&self) -> Result<Features, Lack> {
        if !self.operation.is_some_and(Features::can_be_in) {
            return Ok(Features::default());
        }
        self.refuse_twins()?;
        self.need_body()?;
        self.carried().map(|carried| carried.features).map_err(Lack::Clarity)
    }
}
