//! `databricks-kong check`.

use crate::{run, temporary};
use insta::assert_snapshot;
use proptest::prelude::*;

const NOW: &str = "2026-11-24T00:00:00Z";

#[test]
fn what_is_odd_is_said_with_its_line_and_exits_0_or_1_if_strict() {
    let file = temporary("odd.yml", &format!("_format_version: '3.0'\n{}", include_str!("files/odd.yml")));
    let ran = run(&["check", "--now", NOW, &file]);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
    assert!(!ran.shown().contains("canary-secret"), "{}", ran.shown());
    assert_snapshot!(ran.stdout.replace(&file, "odd.yml"));
    assert_eq!(run(&["check", "--strict", "--now", NOW, &file]).exit, 1);
}

#[test]
fn programs_get_each_finding_with_code_line_and_column() {
    let ran = run(&["check", "--format", "json", "--now", NOW, "tests/cli/files/odd.yml"]);
    assert_eq!(ran.exit, 3, "without _format_version Kong does not take the file: {}", ran.shown());
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    let found = |code: &str, line: u64| findings.iter().any(|one| one["code"] == code && one["line"] == line);
    assert!(found("E101", 1) && found("W010", 22) && found("W020", 18) && found("W040", 17), "{findings:#?}");
}

#[test]
fn errors_of_the_configuration_are_said_where_they_are_and_exit_3() {
    let ran = run(&["check", "tests/cli/files/invalid.yml"]);
    assert_eq!(ran.exit, 3);
    assert_snapshot!(ran.stdout);
}

#[test]
fn what_is_shipped_is_clean_or_says_why_not() {
    for (file, allowed) in [
        ("kong/minimal.yml", &["W002"][..]),
        ("kong/kong.yml", &["W002", "W021", "W042", "W003"]),
        ("examples/okta/kong.yml", &["W001"]),
        ("examples/entra-id/kong.yml", &["W001"]),
        ("examples/ai-agent/kong.yml", &["W001"]),
        ("examples/keycloak/kong.yml", &[]),
        ("examples/github-actions/kong.yml", &[]),
    ] {
        let allowed = allowed.iter().flat_map(|code| ["--allow", code]);
        let arguments: Vec<_> = ["check", "--strict", file].into_iter().chain(allowed).collect();
        let ran = run(&arguments);
        assert_eq!(ran.exit, 0, "{}", ran.shown());
    }
}

#[test]
fn a_file_that_cannot_be_read_and_one_without_the_filter_exit_1() {
    assert_eq!(run(&["check", "no-such-file.yml"]).exit, 1);
    let none = temporary("none.yml", "_format_version: '3.0'\nservices: []\n");
    assert_eq!(run(&["check", &none]).exit, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn odd_yaml_is_an_error_and_never_a_panic(text in "[-a-z:{}\\[\\]&*<>'\"|#!%0-9. \n]{0,200}") {
        let file = temporary("random.yml", &text);
        let ran = run(&["check", &file]);
        prop_assert!(matches!(ran.exit, 0 | 1 | 3) && !ran.stderr.contains("panicked"), "{}", ran.shown());
    }
}
