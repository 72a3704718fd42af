//! One rule of a role or an agent: which requests it means.

use super::action::{Action, Lack};
use super::sql::{self, SqlClasses};
use super::{Glob, OwnPattern, Scope};
use crate::databricks::sql::Unparsed;
use crate::databricks::{Catalogue, Features, Operation};
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
    pub resources: Vec<(String, Vec<Glob>)>,
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Miss<'r> {
    /// It names other operations or paths.
    #[error("it does not name this operation")]
    Operation,
    /// It is about resources of a type that the request carries no id of.
    #[error("the request carries no `{kind}`")]
    NoResource {
        /// The type.
        kind: &'r str,
    },
    /// It is about other resources of this type.
    #[error("it does not name the request's `{kind}`")]
    Resource {
        /// The type.
        kind: &'r str,
    },
    /// It is about SQL statements, and the request carries none that is read.
    #[error("the request carries no sql text")]
    NoSql,
    /// The SQL text was not understood.
    #[error("the sql text cannot be told: {0}")]
    Unparsed(Unparsed),
    /// It is about statements of other classes.
    #[error("it does not name the class of every statement")]
    SqlClass,
    /// It does not permit something in the body.
    #[error("it does not permit `{0}` in the body")]
    Feature(&'static str),
}

impl Rule {
    /// Whether an allow rule lets the request pass.
    pub(super) fn allows(&self, action: &Action<'_>) -> Result<Result<(), Miss<'_>>, Lack> {
        let names_it = match action.operation() {
            Some(operation) => {
                self.operations.contains(operation) || (!operation.is_sensitive() && self.has_path(action))
            }
            None => self.has_path(action),
        };
        if !names_it {
            return Ok(Err(Miss::Operation));
        }
        for (kind, globs) in &self.resources {
            let kind = kind.as_str();
            if let Some(scan) = if kind == "table" { action.sql()? } else { None } {
                if let Err(unparsed) = scan.parsed {
                    return Ok(Err(Miss::Unparsed(unparsed)));
                }
                if !sql::is_within(scan, globs) {
                    return Ok(Err(Miss::Resource { kind }));
                }
                continue;
            }
            let ids = self.ids(kind, action)?;
            if ids.is_empty() {
                return Ok(Err(Miss::NoResource { kind }));
            }
            if !ids.iter().all(|id| globs.iter().any(|glob| glob.matches(id))) {
                return Ok(Err(Miss::Resource { kind }));
            }
        }
        if let Some(classes) = self.sql {
            match action.sql()? {
                None => return Ok(Err(Miss::NoSql)),
                Some(scan) => {
                    if let Err(unparsed) = scan.parsed {
                        return Ok(Err(Miss::Unparsed(unparsed)));
                    }
                    if !classes.hold_all(scan) {
                        return Ok(Err(Miss::SqlClass));
                    }
                }
            }
        }
        Ok(match action.features()?.first_beyond(self.permit) {
            None => Ok(()),
            Some(feature) => Err(Miss::Feature(feature)),
        })
    }

    /// Whether a deny rule refuses the request.
    ///
    /// What cannot be told counts as meant: SQL that is not understood may touch any table, and the job of a run that the workspace does
    /// not show may be any.
    pub(super) fn denies(&self, action: &Action<'_>) -> Result<Result<(), Miss<'_>>, Lack> {
        let names_it = action.operation().is_some_and(|operation| self.operations.contains(operation));
        if !names_it && !self.has_path(action) {
            return Ok(Err(Miss::Operation));
        }
        for (kind, globs) in &self.resources {
            let kind = kind.as_str();
            let scan = if kind == "table" { action.sql()? } else { None };
            let meant = match scan {
                Some(scan) => sql::may_touch(scan, globs),
                None if self.looks_up(kind, action)? => {
                    action.runs_job()?.is_none_or(|job| globs.iter().any(|glob| glob.matches(job)))
                }
                None => action.ids(kind)?.any(|id| globs.iter().any(|glob| glob.matches(id))),
            };
            if !meant {
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

    fn ids<'s>(&self, kind: &str, action: &'s Action<'_>) -> Result<Vec<&'s str>, Lack> {
        if self.looks_up(kind, action)? {
            return Ok(action.runs_job()?.into_iter().collect());
        }
        Ok(action.ids(kind)?.collect())
    }

    /// Whether the ids of that type are those of the request's run, which must be asked for.
    fn looks_up(&self, kind: &str, action: &Action<'_>) -> Result<bool, Lack> {
        Ok(self.lookup && kind == "job" && action.ids("job")?.next().is_none() && action.ids("run")?.next().is_some())
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
        let glob = Glob::new(pattern.to_owned());
        let is_name = !pattern.contains('*');
        let meant = |operation: &Operation| {
            (is_name || sensitive || !operation.is_sensitive()) && operation.names().any(|name| glob.matches(name))
        };
        let mut count = 0_usize;
        for operation in Catalogue::operations().filter(meant) {
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
