//! `databricks-kong test`.

use crate::{run, temporary};

const FAILING: &str = "tests/cli/files/tests/failing";

#[test]
fn a_failed_test_shows_what_was_expected_what_is_and_why_and_exits_1() {
    insta::assert_snapshot!(run(&["test", FAILING]).shown());
}

#[test]
fn programs_get_every_test_with_its_differences() {
    let ran = run(&["test", FAILING, "--format", "json"]);
    assert_eq!(ran.exit, 1);
    let summary = ran.json();
    assert_eq!((&summary["passed"], &summary["failed"]), (&1.into(), &1.into()));
    let keys: Vec<_> = summary["tests"][1]["differences"].as_array().unwrap().iter().map(|one| &one["key"]).collect();
    assert_eq!(keys, ["decision", "reason", "role"]);
}

#[test]
fn only_the_tests_that_are_meant_are_run() {
    let ran = run(&["test", FAILING, "--only", "right"]);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
    assert!(ran.stdout.ends_with("1 passed, 0 failed\n"), "{}", ran.stdout);
    assert_eq!(run(&["test", FAILING, "--only", "no such test"]).exit, 1);
}

#[test]
fn an_invalid_configuration_exits_3() {
    insta::assert_snapshot!(run(&["test", "tests/cli/files/tests/invalid"]).shown());
}

#[test]
fn what_is_no_test_file_is_a_failure() {
    let file = |name: &str, text: &str| temporary(name, text);
    for (path, said) in [
        ("nowhere".to_owned(), "`nowhere` cannot be read"),
        ("tests/cli/snapshots".to_owned(), "no test files are there"),
        (file("unknown-key.yaml", "config: x\ntests: []\nextra: 1"), "unknown field `extra`"),
        (file("no-expectation.yaml", "config: {}\ntests: [{name: a, request: GET /}]"), "missing field `expect`"),
        (
            file("misspelt.yaml", "config: {}\ntests: [{name: a, request: GET /, expect: {decision: allow, rol: x}}]"),
            "unknown field `rol`",
        ),
    ] {
        let ran = run(&["test", &path]);
        assert_eq!((ran.exit, ran.stdout.as_str()), (1, ""), "{path}");
        assert!(ran.stderr.contains(said), "{path}: {}", ran.stderr);
    }
}
