//! What a request asks for, found out piece by piece: most rules need only the operation, and bodies are read only for those that need
//! more.

use crate::databricks::{Catalogue, Features, IdFault, Operation, Resource, Target, resources, stands_in_body};
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

/// Why a decision cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The body is needed; decide again with it.
    NeedsBody,
    /// The request could be read in two ways; refuse it.
    Ambiguous(IdFault),
}

/// A request, as far as policy is concerned.
#[derive(Debug)]
pub struct Action<'a> {
    method: &'a str,
    target: &'a Target<'a>,
    headers: &'a [(String, String)],
    operation: Option<Operation>,
    body: Body<'a>,
    resources: OnceCell<Result<Vec<Resource>, IdFault>>,
    features: OnceCell<Features>,
}

impl<'a> Action<'a> {
    /// The action of a request. `headers` are those that may name resources, their names in lower case.
    #[must_use]
    pub fn new(method: &'a str, target: &'a Target<'a>, headers: &'a [(String, String)], body: Body<'a>) -> Self {
        let operation = Catalogue::find(method, target.path());
        Self { method, target, headers, operation, body, resources: OnceCell::new(), features: OnceCell::new() }
    }

    /// The operation; `None` if the catalogue does not know it.
    #[must_use]
    pub const fn operation(&self) -> Option<Operation> {
        self.operation
    }

    pub(super) const fn method(&self) -> &'a str {
        self.method
    }

    pub(super) const fn path(&self) -> &'a str {
        self.target.path()
    }

    /// The ids of that type.
    pub(super) fn ids(&self, kind: &str) -> Result<impl Iterator<Item = &str>, Stop> {
        if let Some(operation) = self.operation
            && matches!(self.body, Body::Unread)
            && stands_in_body(operation, kind)
        {
            return Err(Stop::NeedsBody);
        }
        let found = self.resources.get_or_init(|| {
            let body = if let Body::Json(body) = self.body { Some(body) } else { None };
            self.operation.map_or(Ok(Vec::new()), |operation| resources(operation, self.target, self.headers, body))
        });
        let found = found.as_ref().map_err(|fault| Stop::Ambiguous(*fault))?;
        Ok(found.iter().filter(move |resource| resource.kind == kind).map(|resource| resource.id.as_str()))
    }

    /// What in the body changes whom or what the request runs as.
    pub(super) fn features(&self) -> Result<Features, Stop> {
        let Some(operation) = self.operation.filter(|operation| Features::can_be_in(*operation)) else {
            return Ok(Features::default());
        };
        match self.body {
            Body::Unread => Err(Stop::NeedsBody),
            Body::Absent => Ok(Features::default()),
            Body::Json(body) => Ok(*self.features.get_or_init(|| Features::of(operation, body))),
        }
    }
}
