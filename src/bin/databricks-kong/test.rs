//! `databricks-kong test`: policy tests in YAML.

use crate::decide::{Decision, Question, Undecided, decide};
use crate::explain::{as_json, for_people, now, point_in_time};
use crate::identity::Identity;
use crate::output::{Exit, Format, Style, fail, print};
use crate::source::Source;
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names of test files in a directory end in one of these.
const ENDINGS: [&str; 4] = ["-tests.yaml", "-tests.yml", "_tests.yaml", "_tests.yml"];

/// Which tests are run.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Test files, or directories whose files named `*-tests.yaml` are run
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only tests whose name holds this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// A test file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// A path beside the test file, or the configuration itself.
    config: Value,
    /// A part of the name of the entry that is meant.
    entry: Option<String>,
    /// When the requests are sent, if a test does not say.
    now: Option<String>,
    tests: Vec<Case>,
}

/// One test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    provider: Option<String>,
    /// The caller; without claims no token is sent.
    claims: Option<Map<String, Value>>,
    request: Request,
    /// The job that the workspace names when the gateway looks up the request's run.
    job_of_run: Option<u64>,
    now: Option<String>,
    expect: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Request {
    /// `GET /api/2.2/jobs/list`
    Line(String),
    Full(FullRequest),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FullRequest {
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
struct Expected {
    decision: String,
    status: Option<u16>,
    reason: Option<String>,
    role: Option<String>,
    rule: Option<String>,
    operation: Option<String>,
    credential: Option<String>,
    scope: Option<String>,
}

/// How one test ended.
struct Outcome {
    file: String,
    name: String,
    /// What was expected and what was, by key; empty if the test passed.
    differences: Vec<(&'static str, String, String)>,
    question: Option<Question>,
    decision: Option<Decision>,
}

pub(crate) fn run(arguments: &Arguments, format: Format, style: Style) -> Exit {
    let files = match files(&arguments.paths) {
        Ok(files) if files.is_empty() => return fail("no test files are there; their names end in `-tests.yaml`"),
        Ok(files) => files,
        Err(message) => return fail(&message),
    };
    let mut outcomes = Vec::new();
    for file in files {
        match run_file(&file, arguments.only.as_deref()) {
            Ok(of_file) => outcomes.extend(of_file),
            Err((exit, message)) => {
                eprintln!("databricks-kong: {message}");
                return exit;
            }
        }
    }
    if outcomes.is_empty() {
        return fail("no test is meant by that");
    }
    match format {
        Format::Json => print(&format!("{:#}\n", summary(&outcomes))),
        Format::Human => {
            for of_file in outcomes.chunk_by(|one, next| one.file == next.file) {
                print(&format!("{}\n", of_file.first().map_or("", |outcome| &outcome.file)));
                of_file.iter().for_each(|outcome| print(&outcome.for_people(style)));
            }
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    if format == Format::Human {
        print(&format!("{} passed, {failed} failed\n", outcomes.len().saturating_sub(failed)));
    }
    if failed == 0 { Exit::Fine } else { Exit::Failure }
}

fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
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

fn run_file(path: &Path, only: Option<&str>) -> Result<Vec<Outcome>, (Exit, String)> {
    let failure = |message: String| (Exit::Failure, message);
    let source = Source::read(path).map_err(failure)?;
    let shown = source.path.clone();
    let file: File = serde_json::from_value(source.document.value.clone())
        .map_err(|error| (Exit::Failure, format!("{shown}: is not a test file: {error}")))?;
    let config = config(&file, path).map_err(failure)?;
    let mut outcomes = Vec::new();
    for case in &file.tests {
        if only.is_some_and(|part| !case.name.contains(part)) {
            continue;
        }
        let question = case.question(file.now.as_deref()).map_err(|message| failure(format!("{shown}: {message}")))?;
        match decide(&config, &question) {
            Ok(decision) => {
                let differences = case.expect.differences(&decision);
                let (question, decision) = (Some(question), Some(decision));
                outcomes.push(Outcome {
                    file: shown.clone(),
                    name: case.name.clone(),
                    differences,
                    question,
                    decision,
                });
            }
            Err(Undecided::Config(errors)) => {
                let errors = errors.iter().map(|error| format!("\n  {error}")).collect::<String>();
                return Err((Exit::Invalid, format!("{shown}: the configuration is invalid:{errors}")));
            }
            Err(Undecided::Guard) => return Err(failure(format!("{shown}: the entry is a guard"))),
            Err(Undecided::Question(message)) => {
                return Err(failure(format!("{shown}: `{}`: {message}", case.name)));
            }
        }
    }
    Ok(outcomes)
}

fn config(file: &File, path: &Path) -> Result<Value, String> {
    let Value::String(name) = &file.config else { return Ok(file.config.clone()) };
    let beside = path.parent().unwrap_or(Path::new("")).join(name);
    let source = Source::read(&beside)?;
    let entry = source.entry(file.entry.as_deref())?;
    Ok(source.config(&entry).clone())
}

impl Case {
    fn question(&self, file_now: Option<&str>) -> Result<Question, String> {
        let request = match &self.request {
            Request::Full(request) => (request.method.clone(), request.path.clone()),
            Request::Line(line) => {
                let parts = line.split_once(' ').map(|(method, path)| (method.to_owned(), path.to_owned()));
                parts.ok_or_else(|| format!("`{line}` is not of the form `METHOD /path`"))?
            }
        };
        let (headers, body) = match &self.request {
            Request::Full(request) => (request.headers.clone().into_iter().collect(), request.body.clone()),
            Request::Line(_) => (Vec::new(), None),
        };
        let identity = match &self.claims {
            Some(claims) => Identity::Claims { provider: self.provider.clone(), claims: claims.clone() },
            None => Identity::Nobody,
        };
        let body = body.map(|body| match body {
            Value::String(text) => text,
            other => other.to_string(),
        });
        let now = match self.now.as_deref().or(file_now) {
            Some(text) => point_in_time(text)?,
            None => now(),
        };
        let (method, path) = request;
        Ok(Question { identity, method, path, headers, body, job_of_run: self.job_of_run, now })
    }
}

impl Expected {
    fn differences(&self, decision: &Decision) -> Vec<(&'static str, String, String)> {
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

impl Outcome {
    const fn passed(&self) -> bool {
        self.differences.is_empty()
    }

    fn for_people(&self, style: Style) -> String {
        if self.passed() {
            return format!("  {} {}\n", style.good("pass"), self.name);
        }
        let mut text = format!("  {} {}\n", style.bad("FAIL"), style.bold(&self.name));
        for (key, expected, actual) in &self.differences {
            text.push_str(&format!("    {key}: expected `{expected}`, but it is `{actual}`\n"));
        }
        if let (Some(question), Some(decision)) = (&self.question, &self.decision) {
            for line in for_people(question, decision, style).lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
        text
    }
}

fn summary(outcomes: &[Outcome]) -> Value {
    let tests = outcomes.iter().map(|outcome| {
        let differences = outcome
            .differences
            .iter()
            .map(|(key, expected, actual)| json!({"key": key, "expected": expected, "actual": actual}));
        json!({
            "file": outcome.file,
            "name": outcome.name,
            "passed": outcome.passed(),
            "differences": differences.collect::<Vec<_>>(),
            "decision": outcome.decision.as_ref().filter(|_| !outcome.passed()).map(as_json),
        })
    });
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    json!({"passed": outcomes.len().saturating_sub(failed), "failed": failed, "tests": tests.collect::<Vec<_>>()})
}
