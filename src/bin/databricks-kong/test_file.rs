//! Policy tests as they are written: YAML files with callers, requests and what is expected.

use crate::decide::{Decision, Question};
use crate::document::line_and_column;
use crate::explain::{now, point_in_time};
use crate::hints;
use crate::identity::Identity;
use crate::nearest::nearest;
use crate::output::Failure;
use crate::source::Source;
use databricks_kong::base::{Reason, UnixTime};
use databricks_kong::databricks::Catalogue;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Names of test files in a directory end in one of these.
const ENDINGS: [&str; 4] = ["-tests.yaml", "-tests.yml", "_tests.yaml", "_tests.yml"];

/// A test file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    /// A path beside the test file, or the configuration itself.
    config: Value,
    /// A part of the name of the entry that is meant.
    entry: Option<String>,
    /// When the requests are sent, if a test does not say.
    now: Option<String>,
    tests: Vec<Value>,
}

/// One test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    provider: Option<String>,
    /// The caller; without claims no token is sent.
    claims: Option<Map<String, Value>>,
    /// `GET /api/2.2/jobs/list`, or [`Request`].
    request: Value,
    /// The job that the workspace names when the gateway looks up the request's run.
    job_of_run: Option<u64>,
    now: Option<String>,
    pub(crate) expect: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Text as it is, anything else as JSON.
    body: Option<Value>,
}

/// What must be; what is not mentioned may be anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    decision: String,
    status: Option<u16>,
    reason: Option<String>,
    role: Option<String>,
    rule: Option<String>,
    operation: Option<String>,
    credential: Option<String>,
    scope: Option<String>,
}

/// A test file that was read, with its tests.
#[derive(Debug)]
pub(crate) struct File {
    source: Source,
    /// Where the configuration comes from.
    pub(crate) policy: Policy,
    now: Option<UnixTime>,
    /// Each test with the pointer to it.
    pub(crate) cases: Vec<(String, Case)>,
}

/// The configuration that a file tests.
#[derive(Debug)]
pub(crate) struct Policy {
    /// The file that it stands in, and where; nothing if it stands in the test file.
    pub(crate) from: Option<(Source, String)>,
    pub(crate) config: Value,
}

/// All test files below these paths; a file that is named is one, whatever its name.
///
/// # Errors
/// A directory that cannot be read.
pub(crate) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            within(path, &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn within(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("`{}` cannot be read: {error}", directory.display());
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(unreadable)?;
    paths.sort();
    for path in paths {
        let is_link = path.symlink_metadata().is_ok_and(|data| data.is_symlink());
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && !is_link {
            within(&path, found)?;
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    Ok(())
}

impl File {
    /// Reads a test file and the configuration that it names.
    ///
    /// # Errors
    /// What is wrong, with path and line.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let source = Source::read(path)?;
        let raw: Raw = typed(&source, "", &source.document.value)?;
        let now = raw.now.as_deref().map(point_in_time).transpose();
        let now = now.map_err(|message| Failure::invalid(source.at("/now", &message)))?;
        let policy = Policy::read(&raw, &source, path)?;
        let mut cases = Vec::new();
        for (index, value) in raw.tests.iter().enumerate() {
            let pointer = format!("/tests/{index}");
            let case = typed(&source, &pointer, value)?;
            cases.push((pointer, case));
        }
        Ok(Self { source, policy, now, cases })
    }

    /// The path, as it was given.
    pub(crate) fn path(&self) -> &str {
        &self.source.path
    }

    /// The line of a place.
    pub(crate) fn line(&self, pointer: &str) -> usize {
        line_and_column(&self.source.text, self.source.document.place(pointer).start).0
    }

    /// What a test asks.
    ///
    /// # Errors
    /// What is wrong with it, with path and line.
    pub(crate) fn question(&self, pointer: &str, case: &Case) -> Result<Question, Failure> {
        let at = |key: &str, message: String| Failure::invalid(self.source.at(&format!("{pointer}/{key}"), &message));
        let request = match &case.request {
            Value::String(line) => {
                let parts = line.split_once(' ');
                let (method, path) =
                    parts.ok_or_else(|| at("request", format!("`{line}` is not of the form `METHOD /path`")))?;
                Request { method: method.to_owned(), path: path.to_owned(), headers: BTreeMap::new(), body: None }
            }
            object => typed(&self.source, &format!("{pointer}/request"), object)?,
        };
        let identity = match &case.claims {
            Some(claims) => {
                Identity::Claims { provider: case.provider.clone(), claims: claims.clone(), is_whole: false }
            }
            None => Identity::Nobody,
        };
        let body = request.body.map(|body| match body {
            Value::String(text) => text,
            other => other.to_string(),
        });
        let now = match &case.now {
            Some(text) => point_in_time(text).map_err(|message| at("now", message))?,
            None => self.now.unwrap_or_else(now),
        };
        if let Some(name) = case.provider.as_deref().filter(|name| !self.policy.has("identity_providers", name)) {
            let known = self.policy.names("identity_providers");
            let message = format!("`{name}` is no identity provider of the configuration; it has {known}");
            return Err(at("provider", message));
        }
        Ok(Question {
            identity,
            method: request.method,
            path: request.path,
            headers: request.headers.into_iter().collect(),
            body,
            job_of_run: case.job_of_run,
            now,
        })
    }
}

impl File {
    /// Looks whether anything could ever be as a test expects it; a slip of the hand would be a test that fails for ever, or of a denial
    /// that passes for another reason.
    ///
    /// # Errors
    /// What cannot be, with path and line.
    pub(crate) fn check_expected(&self, pointer: &str, case: &Case) -> Result<(), Failure> {
        match case.expect.impossible(&self.policy) {
            Some((key, message)) => Err(Failure::invalid(self.source.at(&format!("{pointer}/expect/{key}"), &message))),
            None => Ok(()),
        }
    }
}

impl Policy {
    /// The configuration, also where it is JSON in a string.
    fn config(&self) -> Cow<'_, Value> {
        match &self.config {
            Value::String(text) => Cow::Owned(serde_json::from_str(text).unwrap_or_default()),
            value => Cow::Borrowed(value),
        }
    }

    /// Whether a list has an entry of this name.
    fn has(&self, list: &str, name: &str) -> bool {
        let config = self.config();
        let mut entries = config.get(list).and_then(Value::as_array).into_iter().flatten();
        entries.any(|entry| entry.get("name").and_then(Value::as_str) == Some(name))
    }

    /// The types of credentials that roles have.
    fn credentials(&self) -> Vec<String> {
        let config = self.config();
        let roles = config.get("roles").and_then(Value::as_array).into_iter().flatten();
        let kinds: BTreeSet<_> =
            roles.filter_map(|role| role.pointer("/credential/type")?.as_str()).map(str::to_owned).collect();
        kinds.into_iter().collect()
    }

    /// The names that a list has.
    fn names(&self, list: &str) -> String {
        let config = self.config();
        let entries = config.get(list).and_then(Value::as_array).into_iter().flatten();
        let names: Vec<_> = entries.filter_map(|entry| entry.get("name")?.as_str()).map(str::to_owned).collect();
        names.join(", ")
    }

    fn read(raw: &Raw, test: &Source, path: &Path) -> Result<Self, Failure> {
        let Value::String(name) = &raw.config else { return Ok(Self { from: None, config: raw.config.clone() }) };
        let beside = path.parent().unwrap_or(Path::new("")).join(name);
        let source = Source::read(&beside)?;
        let named = |failure: Failure| match &raw.entry {
            Some(_) => Failure::invalid(test.at("/entry", &failure.message)),
            None => failure,
        };
        let entry = source.entry(raw.entry.as_deref()).map_err(named)?;
        let config = source.config(&entry).clone();
        Ok(Self { from: Some((source, entry.config)), config })
    }
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// A value of the file as what it must be.
fn typed<T: DeserializeOwned>(source: &Source, pointer: &str, value: &Value) -> Result<T, Failure> {
    serde_json::from_value(value.clone()).map_err(|error| {
        let message = error.to_string();
        // the member that is not known is the best place
        let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        let member = unknown.and_then(|name| pointer_to(value, name)).unwrap_or_default();
        Failure::invalid(source.at(&format!("{pointer}{member}"), &message))
    })
}

/// Where a member of this name stands, seen from the value.
fn pointer_to(value: &Value, name: &str) -> Option<String> {
    let members = value.as_object()?;
    if members.contains_key(name) {
        return Some(format!("/{name}"));
    }
    members.iter().find_map(|(key, inner)| Some(format!("/{key}{}", pointer_to(inner, name)?)))
}

impl Expected {
    /// What can never be, with the key that says so.
    fn impossible(&self, policy: &Policy) -> Option<(&'static str, String)> {
        let decision = self.decision.as_str();
        let reason = self.reason.as_deref().map(|name| (name, Reason::ALL.iter().find(|reason| reason.name() == name)));
        if !["allow", "deny", "would_deny"].contains(&decision) {
            return Some(("decision", format!("`{decision}` is none of `allow`, `deny`, `would_deny`")));
        }
        if let Some((name, None)) = reason {
            let near = nearest(name, Reason::ALL.iter().map(|reason| reason.name()));
            return Some(("reason", format!("`{name}` is no reason of the gateway's{}", did_you_mean(near))));
        }
        if reason.is_some() && decision == "allow" {
            return Some(("reason", "a request that is allowed has no reason: take it out".to_owned()));
        }
        let of_reason = reason.and_then(|(_, reason)| reason);
        if let Some(status) = self.status {
            let can_be = match (decision, of_reason) {
                ("deny", Some(reason)) => reason.status() == status,
                ("deny", None) => Reason::ALL.iter().any(|reason| reason.status() == status),
                // what the gateway answers itself
                ("allow", _) => matches!(status, 200 | 302),
                _ => false,
            };
            if !can_be {
                let what = of_reason.map_or_else(|| format!("`{decision}`"), |reason| format!("`{}`", reason.name()));
                return Some(("status", format!("{status} is never the status of {what}")));
            }
        }
        if let Some(role) = self.role.as_deref().filter(|role| !policy.has("roles", role)) {
            let message = format!("`{role}` is no role of the configuration; it has {}", policy.names("roles"));
            return Some(("role", message));
        }
        if let Some(rule) = self.rule.as_deref().filter(|rule| policy.config().pointer(rule).is_none()) {
            return Some((
                "rule",
                format!("the configuration has nothing at `{rule}`: it is a JSON pointer to a rule"),
            ));
        }
        if let Some(name) = self.operation.as_deref().filter(|name| Catalogue::named(name).next().is_none()) {
            let near = hints::operation(name).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Some(("operation", format!("`{name}` is no operation that the gateway knows{near}")));
        }
        let types = || policy.credentials();
        if let Some(kind) = self.credential.as_deref().filter(|kind| !types().iter().any(|known| known == kind)) {
            let known = types().join(", ");
            return Some(("credential", format!("no role has a credential of type `{kind}`; there are {known}")));
        }
        None
    }

    /// What was expected and what is, by key, where they differ.
    pub(crate) fn differences(&self, decision: &Decision) -> Vec<(&'static str, String, String)> {
        let text = |value: &Option<String>| value.clone();
        let seen = [
            ("decision", Some(self.decision.clone()), Some(decision.decision.to_owned())),
            ("status", self.status.map(|status| status.to_string()), decision.status.map(|status| status.to_string())),
            ("reason", text(&self.reason), decision.reason.map(|reason| reason.to_string())),
            ("role", text(&self.role), text(&decision.role)),
            ("rule", text(&self.rule), text(&decision.rule)),
            ("operation", text(&self.operation), decision.operation.map(|operation| operation.name().to_owned())),
            ("credential", text(&self.credential), decision.credential.map(str::to_owned)),
            ("scope", text(&self.scope), text(&decision.scope)),
        ];
        let seen = seen.into_iter().filter_map(|(key, expected, actual)| {
            let (expected, actual) = (expected?, actual.unwrap_or_else(|| "nothing".to_owned()));
            (expected != actual).then_some((key, expected, actual))
        });
        seen.collect()
    }
}
