//! `databricks-kong test`: policy tests in YAML.

use crate::coverage::Coverage;
use crate::decide::{Decision, Question, Undecided, decide};
use crate::junit;
use crate::output::{Exit, Failure, Format, Style, fail, print};
use crate::shown::{as_json, for_people};
use crate::test_file::{File, files};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Which tests are run.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Test files, or directories whose files named `*-tests.yaml` or `*-tests.yml` are run
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only tests whose name holds this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The form of the output
    #[arg(id = "format", long, value_enum, default_value = "human")]
    pub(crate) format: Format,
    /// Also says which rules no test exercises
    #[arg(long)]
    coverage: bool,
}

/// How one test ended.
pub(crate) struct Outcome {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) name: String,
    /// What was expected and what was, by key; empty if the test passed.
    differences: Vec<(&'static str, String, String)>,
    question: Question,
    decision: Decision,
}

pub(crate) fn run(arguments: &Arguments, style: Style) -> Exit {
    let files = match files(&arguments.paths) {
        Ok(files) if files.is_empty() => return fail("no test files are there; their names end in `-tests.yaml`"),
        Ok(files) => files,
        Err(message) => return fail(&message),
    };
    let mut outcomes = Vec::new();
    let mut coverage = Coverage::default();
    for file in files {
        match run_file(&file, arguments.only.as_deref(), &mut coverage) {
            Ok(of_file) => outcomes.extend(of_file),
            Err(failure) => return failure.say(),
        }
    }
    if outcomes.is_empty() {
        return fail("no test has such a name");
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    let coverage = arguments.coverage.then_some(coverage);
    match arguments.format {
        Format::Json => print(&format!("{:#}\n", summary(&outcomes, coverage.as_ref()))),
        Format::Junit => print(&junit::report(&outcomes)),
        Format::Human => {
            for of_file in outcomes.chunk_by(|one, next| one.file == next.file) {
                print(&format!("{}\n", of_file.first().map_or("", |outcome| &outcome.file)));
                of_file.iter().for_each(|outcome| print(&outcome.for_people(style)));
            }
            print(&format!("{} passed, {failed} failed\n", outcomes.len().saturating_sub(failed)));
            print(&coverage.map(|coverage| coverage.human()).unwrap_or_default());
        }
    }
    if failed == 0 { Exit::Fine } else { Exit::Failure }
}

fn run_file(path: &Path, only: Option<&str>, coverage: &mut Coverage) -> Result<Vec<Outcome>, Failure> {
    let file = File::read(path)?;
    let mut outcomes = Vec::new();
    for (pointer, case) in &file.cases {
        if only.is_some_and(|part| !case.name.contains(part)) {
            continue;
        }
        let question = file.question(pointer, case)?;
        let shown = file.path();
        let decision = decide(&file.policy.config, &question).map_err(|why| match why {
            Undecided::Config(errors) => {
                let errors = errors.iter().map(|error| format!("\n  {error}")).collect::<String>();
                Failure::invalid(format!("{shown}: the configuration is invalid:{errors}"))
            }
            Undecided::Guard => format!("{shown}: the entry is a guard").into(),
            Undecided::Question(message) => {
                Failure::invalid(format!("{shown}:{}: `{}`: {message}", file.line(pointer), case.name))
            }
        })?;
        file.check_expected(pointer, case)?;
        coverage.add(shown, &file.policy, &decision);
        outcomes.push(Outcome {
            file: shown.to_owned(),
            line: file.line(pointer),
            name: case.name.clone(),
            differences: case.expect.differences(&decision),
            question,
            decision,
        });
    }
    Ok(outcomes)
}

impl Outcome {
    pub(crate) const fn passed(&self) -> bool {
        self.differences.is_empty()
    }

    /// Each difference on a line.
    pub(crate) fn differences(&self) -> Vec<String> {
        let line = |(key, expected, actual): &(&str, String, String)| {
            format!("{key}: expected `{expected}`, but it is `{actual}`")
        };
        self.differences.iter().map(line).collect()
    }

    /// What the gateway does, step by step.
    pub(crate) fn steps(&self, style: Style) -> String {
        for_people(&self.question, &self.decision, style)
    }

    fn for_people(&self, style: Style) -> String {
        if self.passed() {
            return format!("  {} {}\n", style.good("pass"), self.name);
        }
        let mut text = format!("  {} {}\n", style.bad("FAIL"), style.bold(&self.name));
        for difference in self.differences() {
            text.push_str(&format!("    {difference}\n"));
        }
        for line in self.steps(style).lines() {
            text.push_str(&format!("    {line}\n"));
        }
        text
    }
}

fn summary(outcomes: &[Outcome], coverage: Option<&Coverage>) -> Value {
    let tests = outcomes.iter().map(|outcome| {
        let differences = outcome
            .differences
            .iter()
            .map(|(key, expected, actual)| json!({"key": key, "expected": expected, "actual": actual}));
        json!({
            "file": outcome.file,
            "line": outcome.line,
            "name": outcome.name,
            "passed": outcome.passed(),
            "differences": differences.collect::<Vec<_>>(),
            "decision": (!outcome.passed()).then(|| as_json(&outcome.decision)),
        })
    });
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    let mut summary = json!({
        "passed": outcomes.len().saturating_sub(failed), "failed": failed, "tests": tests.collect::<Vec<_>>(),
    });
    if let (Some(coverage), Some(members)) = (coverage, summary.as_object_mut()) {
        members.insert("coverage".to_owned(), coverage.json());
    }
    summary
}
