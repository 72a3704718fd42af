//! The command line tool as its users run it: what it prints, and its exit codes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test fails loudly"
)]

mod capacity;
mod check;
mod doctor;
mod examples;
mod explain;
mod feeds;
mod findings;
mod init;
mod learn;
mod policy_tests;
mod revocations;
mod server;

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run of the tool gave.
struct Ran {
    exit: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// All of it, for a snapshot.
    fn shown(&self) -> String {
        let stderr = if self.stderr.is_empty() { String::new() } else { format!("--- stderr\n{}", self.stderr) };
        format!("{}{stderr}--- exit {}\n", self.stdout, self.exit)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).expect(&self.stdout)
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_databricks-kong"));
    // help is as wide as the terminal, and colours depend on it
    // a proxy of the developer's is no part of a test
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("NO_COLOR").env("COLUMNS", "110").args(arguments);
    command
}

fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, "")
}

fn run_with(arguments: &[&str], stdin: &str) -> Ran {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool is built");
    // a program that refuses its arguments may have ended before
    let written = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
    assert!(!written.is_err_and(|fault| fault.kind() != ErrorKind::BrokenPipe), "it fits into the pipe");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran { exit: output.status.code().expect("an exit code"), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A file that this test run alone has.
fn temporary(name: &str, text: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the directory is there");
    path.display().to_string()
}

#[test]
fn operations_are_listed_as_a_table() {
    insta::assert_snapshot!(run(&["operations", "jobs.run*"]).shown());
    insta::assert_snapshot!(run(&["operations", "jobs", "--sensitive"]).shown());
}

#[test]
fn operations_are_found_by_scope_resource_and_sensitivity() {
    let found = run(&["operations", "--resource", "warehouse", "--scope", "sql", "--format", "json"]);
    let found = found.json();
    let all = found.as_array().unwrap();
    assert!(all.len() > 5, "{found}");
    for operation in all {
        assert_eq!(operation["scope"], "sql");
        // a data source is a warehouse by another id
        let kinds = operation["resources"].as_array().unwrap();
        assert!(kinds.contains(&"warehouse".into()) || kinds.contains(&"data_source".into()), "{operation}");
    }
    let tables = run(&["operations", "--resource", "table", "--format", "json"]).json();
    let has_statement = |one: &serde_json::Value| one["name"] == "statement_execution.execute_statement";
    assert!(tables.as_array().unwrap().iter().any(has_statement), "its text names tables");
    assert!(run(&["operations", "--resource", "tables"]).stderr.contains("did you mean `table`?"));
    assert!(run(&["operations", "--scope", "jobz"]).stderr.contains("did you mean `jobs`?"));
    assert!(run(&["operations", "--client", "sdk-pyton"]).stderr.contains("did you mean `sdk-python`?"));
    let by_request = run(&["operations", "GET", "/api/2.2/jobs/get?job_id=1", "--format", "json"]).json();
    assert_eq!(by_request[0]["name"], "jobs.get");
    let sensitive = run(&["operations", "--sensitive", "--format", "json"]).json();
    let sensitive = sensitive.as_array().unwrap();
    assert!(sensitive.iter().all(|operation| operation["sensitive"].is_string()));
    assert!(sensitive.iter().any(|operation| operation["name"] == "tokens.create"));
}

#[test]
fn a_pattern_that_means_no_operation_is_a_failure() {
    let ran = run(&["operations", "jobs.run_nwo"]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (1, "no operation matches; did you mean `jobs.run_now`?\n"));
}

#[test]
fn the_schema_is_the_one_beside_the_filter() {
    let ran = run(&["schema"]);
    assert_eq!(ran.exit, 0);
    let meta = include_str!("../../filters/databricks_kong.meta.json");
    let meta: serde_json::Value = serde_json::from_str(meta).unwrap();
    assert_eq!(ran.json(), meta["config_schema"]);
}

#[test]
fn help_is_no_failure_and_a_wrong_argument_is_no_denial() {
    for arguments in
        [&["--help"][..], &["--version"], &["explain", "--help"], &["test", "--help"], &["operations", "-h"]]
    {
        let ran = run(arguments);
        assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(ran.stdout.contains("databricks-kong"), "{}", ran.stdout);
    }
    for arguments in [
        &[][..],
        &["explian"],
        &["explain"],
        &["test"],
        &["operations", "--scop", "sql"],
        &["--format", "xml", "schema"],
    ] {
        let ran = run(arguments);
        assert_eq!((ran.exit, ran.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(ran.stderr.contains("Usage") || ran.stderr.contains("possible values"), "{}", ran.stderr);
    }
}

#[test]
fn colours_are_for_terminals_unless_asked_for() {
    let escapes = |arguments: &[&str]| run(arguments).stdout.contains('\u{1b}');
    assert!(!escapes(&["operations", "jobs.run*"]));
    assert!(escapes(&["operations", "jobs.run*", "--color", "always"]));
    assert!(!escapes(&["operations", "jobs.run*", "--color", "never"]));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = command(&["operations"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
