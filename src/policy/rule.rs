//! One rule of a role or an agent: which requests it means.

use super::action::{Action, Lack};
use super::own::Patterns;
use super::sql::{self, SqlClasses};
use super::{Glob, OwnPattern, Scope};
use crate::databricks::sql::{Scan, Unparsed};
use crate::databricks::{Catalogue, Features, Operation};
use crate::jwt::Caller;
use std::rc::Rc;

/// Which requests a rule means. It is for allowing or for denying, which differ in what a wildcard covers and in whether all or any of
/// a request's resources must match.
#[derive(Clone, Debug)]
pub struct Rule {
    /// JSON pointer to the rule in the configuration, for refusals and audit.
    pub pointer: Rc<str>,
    /// The operations meant.
    pub operations: OperationSet,
    /// Requests meant by method and path.
    pub paths: Vec<PathPattern>,
    /// Resource types with the patterns of ids that a request must carry.
    pub resources: Vec<(&'static str, Vec<Glob>)>,
    /// Further patterns of those types, in which values of the caller stand.
    pub own: Vec<OwnPattern>,
    /// Whether the job of a request's run is looked up, where the request names a run and no job.
    pub lookup: bool,
    /// The classes of SQL statements meant.
    pub sql: Option<SqlClasses>,
    /// Body features that the rule lets pass.
    pub permit: Features,
    /// The OAuth scope to ask for, where the credential asks for the least.
    pub scope: Option<Scope>,
}

/// Why a rule does not mean a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Miss {
    /// It names other operations or paths.
    #[error("it does not name this operation")]
    Operation,
    /// It is about resources of a type that the request carries no id of.
    #[error("the request carries no `{kind}`")]
    NoResource {
        /// The type.
        kind: &'static str,
    },
    /// It is about other resources of this type.
    #[error("it does not name the request's `{kind}`")]
    Resource {
        /// The type.
        kind: &'static str,
    },
    /// The request names something of which it does not say in which resource of this type it stands.
    #[error("the request's `{by}` does not tell of which `{kind}` it is")]
    Hidden {
        /// The type.
        kind: &'static str,
        /// The type of the id.
        by: &'static str,
    },
    /// It is about SQL statements, and the request carries none that is read.
    #[error("the request carries no sql text")]
    NoSql,
    /// The SQL text was not understood.
    #[error("the sql text is not understood: {0}")]
    Unparsed(Unparsed),
    /// It is about statements of other classes.
    #[error("it does not name the class of every statement")]
    SqlClass,
    /// It does not permit something in the body.
    #[error("it does not permit `{0}` in the body")]
    Feature(&'static str),
}

impl Rule {
    /// Whether an allow rule lets the request of `caller` pass.
    pub(super) fn allows(&self, action: &Action<'_>, caller: &Caller) -> Result<Result<(), Miss>, Lack> {
        let before = action.rests_on_body();
        let outcome = self.allows_all(action, caller)?;
        if outcome.is_err() {
            action.rests_on_body_as(before);
        } else if !self.permit.have_unknown_fields() {
            action.refuse_unknown_members()?;
        }
        Ok(outcome)
    }

    fn allows_all(&self, action: &Action<'_>, caller: &Caller) -> Result<Result<(), Miss>, Lack> {
        if !self.names_for_allowing(action) {
            return Ok(Err(Miss::Operation));
        }
        for (kind, globs) in &self.resources {
            if let Err(miss) = self.allows_resources(kind, &self.patterns(kind, globs, caller), action)? {
                return Ok(Err(miss));
            }
        }
        if let Err(miss) = self.allows_sql(action)? {
            return Ok(Err(miss));
        }
        Ok(match action.features()?.first_beyond(self.permit) {
            None => Ok(()),
            Some(feature) => Err(Miss::Feature(feature)),
        })
    }

    /// Of what the rule permits, what an action that it allows needs.
    pub(super) fn lets_pass(&self, action: &Action<'_>) -> Features {
        if self.permit == Features::default() {
            return self.permit;
        }
        let features = action.features().unwrap_or_default().shared_with(self.permit);
        let needs_unknown = self.permit.have_unknown_fields() && action.refuse_unknown_members().is_err();
        if needs_unknown { features.and_unknown_fields() } else { features }
    }

    /// Paths are for what the catalogue does not know, and for what it knows to be harmless. What looks like something sensitive must be
    /// named letter by letter, and what some server could take for a sensitive operation is not meant at all.
    fn names_for_allowing(&self, action: &Action<'_>) -> bool {
        match action.operation() {
            Some(operation) => {
                self.operations.contains(operation) || (self.has_path(action) && !operation.is_sensitive())
            }
            None if action.near().is_some_and(Operation::is_sensitive) => false,
            None if action.sensitivity_of_unknown().is_some() => {
                self.paths.iter().any(|pattern| pattern.is_exact() && pattern.matches(action.method(), action.path()))
            }
            None => self.has_path(action),
        }
    }

    fn allows_resources(
        &self,
        kind: &'static str,
        patterns: &Patterns<'_>,
        action: &Action<'_>,
    ) -> Result<Result<(), Miss>, Lack> {
        let scan = if sql::tells_of(kind) { action.sql()? } else { None };
        if let Some(scan) = scan {
            if let Err(unparsed) = scan.parsed {
                return Ok(Err(Miss::Unparsed(unparsed)));
            }
            if !sql::is_within(scan, kind, patterns) {
                return Ok(Err(Miss::Resource { kind }));
            }
        }
        let (mut count, mut all_match) = (0_usize, true);
        let (mut hidden, mut asks) = (None, false);
        for (by, id) in action.ids(kind)? {
            match id {
                // the rule holds it to providers of models, which it is
                Some(_) if by == "model_provider" && by != kind && self.names(by) => {}
                Some(id) => {
                    count = count.saturating_add(1);
                    all_match &= patterns.match_id(&id);
                }
                None if by == kind => all_match = false,
                None if self.looks_up(kind, by) => asks = true,
                // the rule means it by the id that it has
                None if self.names(by) => {}
                None => hidden = Some(by),
            }
        }
        if asks && all_match && hidden.is_none() {
            match action.runs_job()? {
                Some(job) => (count, all_match) = (1, patterns.match_id(job)),
                None => hidden = Some("run"),
            }
        }
        Ok(match (count, scan, hidden) {
            _ if !all_match => Err(Miss::Resource { kind }),
            (_, _, Some(by)) => Err(Miss::Hidden { kind, by }),
            (0, None, None) => Err(Miss::NoResource { kind }),
            _ => Ok(()),
        })
    }

    /// Whether the rule is about resources of this type.
    fn names(&self, kind: &str) -> bool {
        self.resources.iter().any(|(named, _)| *named == kind)
    }

    fn allows_sql(&self, action: &Action<'_>) -> Result<Result<(), Miss>, Lack> {
        let Some(classes) = self.sql else { return Ok(Ok(())) };
        Ok(match action.sql()? {
            None => Err(Miss::NoSql),
            Some(Scan { parsed: Err(unparsed), .. }) => Err(Miss::Unparsed(*unparsed)),
            Some(scan) if !classes.hold_all(scan) => Err(Miss::SqlClass),
            Some(_) => Ok(()),
        })
    }

    /// Whether a deny rule refuses the request of `caller`.
    ///
    /// What cannot be told counts as meant: SQL that is not understood may touch any table, an id that hides a name may be of any, and the
    /// job of a run that the workspace does not show may be any.
    pub(super) fn denies(&self, action: &Action<'_>, caller: &Caller) -> Result<Result<(), Miss>, Lack> {
        let named =
            action.operation().or_else(|| action.near()).is_some_and(|operation| self.operations.contains(operation));
        if !named && !self.paths.iter().any(|pattern| pattern.may_match(action.method(), action.path())) {
            return Ok(Err(Miss::Operation));
        }
        for (kind, globs) in &self.resources {
            if !self.denies_resources(kind, &self.patterns(kind, globs, caller), action)? {
                return Ok(Err(Miss::Resource { kind }));
            }
        }
        if let Some(classes) = self.sql {
            match action.sql()? {
                None => return Ok(Err(Miss::NoSql)),
                Some(scan) if !classes.may_hold_one(scan) => return Ok(Err(Miss::SqlClass)),
                Some(_) => {}
            }
        }
        Ok(Ok(()))
    }

    fn denies_resources(&self, kind: &str, patterns: &Patterns<'_>, action: &Action<'_>) -> Result<bool, Lack> {
        // where a request only looks like an operation, its ids cannot be told
        if action.near().is_some_and(|near| near.may_concern(kind)) {
            return Ok(true);
        }
        let scan = if sql::tells_denial_of(kind) { action.sql()? } else { None };
        if scan.is_some_and(|scan| sql::may_touch(scan, kind, patterns)) {
            return Ok(true);
        }
        let mut asks = false;
        for (by, id) in action.ids(kind)? {
            let is_meant = match id {
                Some(id) => patterns.match_id(&id),
                None if self.looks_up(kind, by) => {
                    asks = true;
                    false
                }
                None => true,
            };
            if is_meant {
                return Ok(true);
            }
        }
        if asks && action.runs_job()?.is_none_or(|job| patterns.match_id(job)) {
            return Ok(true);
        }
        action.reaches(kind, &|begin| patterns.match_some_within(begin))
    }

    /// Whether ids of the type `by` are asked for what they do not tell of `kind`: whose job a run is.
    fn looks_up(&self, kind: &str, by: &str) -> bool {
        self.lookup && kind == "job" && by == "run"
    }

    fn has_path(&self, action: &Action<'_>) -> bool {
        self.paths.iter().any(|pattern| pattern.matches(action.method(), action.path()))
    }
}

/// A set of operations, looked up in constant time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationSet(Vec<u64>);

impl Default for OperationSet {
    fn default() -> Self {
        Self(vec![0; Catalogue::len().div_ceil(64)])
    }
}

impl OperationSet {
    /// Adds the operations that `pattern` means; how many that are. With `sensitive`, a wildcard covers sensitive operations too; a full
    /// name always does.
    pub fn add(&mut self, pattern: &str, sensitive: bool) -> usize {
        // most are full names, which are looked up: a configuration of many roles is read at every reload
        if !pattern.contains('*') {
            return self.add_all(Catalogue::named(pattern));
        }
        let glob = Glob::new(pattern.to_owned());
        let meant = |operation: &Operation| {
            (sensitive || !operation.is_sensitive()) && operation.names().any(|name| glob.matches(name))
        };
        self.add_all(Catalogue::operations().filter(meant))
    }

    /// Adds all of another set.
    pub fn join(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    fn add_all(&mut self, operations: impl Iterator<Item = Operation>) -> usize {
        let mut count = 0_usize;
        for operation in operations {
            count = count.saturating_add(1);
            if let Some((word, bit)) = Self::place(operation)
                && let Some(word) = self.0.get_mut(word)
            {
                *word |= bit;
            }
        }
        count
    }

    /// Whether `operation` is in the set.
    #[must_use]
    pub fn contains(&self, operation: Operation) -> bool {
        Self::place(operation).and_then(|(word, bit)| Some(self.0.get(word)? & bit != 0)).unwrap_or(false)
    }

    fn place(operation: Operation) -> Option<(usize, u64)> {
        let index = operation.index();
        let bit = u32::try_from(index.checked_rem(64)?).ok()?;
        Some((index.checked_div(64)?, 1_u64.checked_shl(bit)?))
    }
}

/// `METHOD /a/*/b/**`: a method or `*`, and a path in which `*` is one segment and `**`, at the end only, any number of further ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    method: Option<String>,
    segments: Vec<Option<String>>,
    open: bool,
}

impl PathPattern {
    /// Reads a pattern; `None` if it is not of that form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (method, path) = text.split_once(' ')?;
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        if !is_method && method != "*" {
            return None;
        }
        let path = path.strip_prefix('/')?;
        let (path, open) = match path.strip_suffix("**") {
            Some("") => ("", true),
            Some(path) => (path.strip_suffix('/')?, true),
            None => (path, false),
        };
        let plain = |segment: &str| !segment.contains(['*', '?', '#', ' ']) && (!segment.is_empty() || !open);
        let segments: Vec<_> = if path.is_empty() && open { Vec::new() } else { path.split('/').collect() };
        if !segments.iter().all(|segment| *segment == "*" || plain(segment)) {
            return None;
        }
        let segments = segments.into_iter().map(|segment| (segment != "*").then(|| segment.to_owned())).collect();
        Some(Self { method: is_method.then(|| method.to_owned()), segments, open })
    }

    /// Whether it names one path, letter by letter.
    fn is_exact(&self) -> bool {
        self.method.is_some() && !self.open && self.segments.iter().all(Option::is_some)
    }

    /// Whether some server could take a request for one that matches: without case, with a slash at its end, with or without `/preview`.
    fn may_match(&self, method: &str, path: &str) -> bool {
        let path = path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path).to_ascii_lowercase();
        let lower = |segment: &Option<String>| segment.as_ref().map(|segment| segment.to_ascii_lowercase());
        let pattern = Self { segments: self.segments.iter().map(lower).collect(), ..self.clone() };
        let without = |path: &str| path.replacen("/preview/", "/", 1);
        let plain = Self {
            segments: pattern.segments.iter().filter(|one| one.as_deref() != Some("preview")).cloned().collect(),
            ..pattern.clone()
        };
        pattern.matches(method, &path) || plain.matches(method, &without(&path))
    }

    /// Whether a request's method and canonical path match.
    #[must_use]
    pub fn matches(&self, method: &str, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else { return false };
        if self.method.as_ref().is_some_and(|known| known != method) {
            return false;
        }
        let mut segments = path.split('/');
        let one = |expected: &Option<String>| match (segments.next(), expected) {
            (None, _) => false,
            (Some(segment), None) => !segment.is_empty(),
            (Some(segment), Some(expected)) => segment == expected,
        };
        self.segments.iter().all(one) && (self.open || segments.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_pattern_takes_one_segment_for_a_star_and_the_rest_for_two() {
        for (pattern, method, path, matches) in [
            ("GET /api/2.0/x", "GET", "/api/2.0/x", true),
            ("GET /api/2.0/x", "POST", "/api/2.0/x", false),
            ("GET /api/2.0/x", "GET", "/api/2.0/x/", false),
            ("* /api/2.0/x", "DELETE", "/api/2.0/x", true),
            ("GET /a/*/b", "GET", "/a/x/b", true),
            ("GET /a/*/b", "GET", "/a/x/y/b", false),
            ("GET /a/*/b", "GET", "/a//b", false),
            ("GET /a/**", "GET", "/a", true),
            ("GET /a/**", "GET", "/a/b/c", true),
            ("GET /a/**", "GET", "/ab", false),
            ("GET /**", "GET", "/", true),
            ("GET /**", "GET", "/anything/at/all", true),
            ("GET /a/*/**", "GET", "/a", false),
            ("GET /", "GET", "/", true),
        ] {
            assert_eq!(PathPattern::parse(pattern).unwrap().matches(method, path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_no_path_pattern_is_refused() {
        for text in
            ["", "/a", "get /a", "GET a", "GET  /a", "GET /a/**/b", "GET /a**", "GET /a*", "GET /a?b", "GET /a//**"]
        {
            assert_eq!(PathPattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_wildcard_never_covers_a_sensitive_operation_unless_it_denies() {
        let sensitive = || Catalogue::operations().filter(|operation| operation.is_sensitive());
        assert!(sensitive().count() > 100);
        for pattern in ["*", "*.*", "tokens.*", "*create"] {
            let mut set = OperationSet::default();
            set.add(pattern, false);
            assert!(sensitive().all(|operation| !set.contains(operation)), "{pattern}");
        }
        let mut set = OperationSet::default();
        assert!(set.add("*", true) >= Catalogue::len());
        assert!(sensitive().all(|operation| set.contains(operation)));
    }

    #[test]
    fn a_full_name_covers_exactly_its_operation() {
        let mut set = OperationSet::default();
        assert!(set.add("tokens.create", false) > 0);
        let covered: Vec<_> = Catalogue::operations().filter(|operation| set.contains(*operation)).collect();
        assert!(covered.iter().all(|operation| operation.names().any(|name| name == "tokens.create")), "{covered:?}");
        assert_eq!(OperationSet::default().add("no.such", false), 0);
    }
}
