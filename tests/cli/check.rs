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
    assert!(found("E101", 1) && found("W010", 23) && found("W020", 19) && found("W040", 18), "{findings:#?}");
}

#[test]
fn errors_of_the_configuration_are_said_where_they_are_and_exit_3() {
    let ran = run(&["check", "tests/cli/files/invalid.yml"]);
    assert_eq!(ran.exit, 3);
    assert_snapshot!(ran.stdout);
}

#[test]
fn what_is_shipped_is_clean_with_its_exceptions_marked_in_the_file() {
    let mut files = vec!["kong/minimal.yml".to_owned(), "kong/kong.yml".to_owned(), "compose/kong.yml".to_owned()];
    for entry in std::fs::read_dir("examples").unwrap() {
        let path = entry.unwrap().path();
        let yaml = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().path());
        files.extend(yaml.filter(|file| file.ends_with("kong.yml")).map(|file| file.display().to_string()));
    }
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let ran = run(&["check", "--strict", "--now", NOW, &file]);
        assert_eq!(ran.exit, 0, "{}", ran.shown());
    }
}

#[test]
fn a_code_is_explained_and_an_unknown_one_is_a_failure() {
    let ran = run(&["check", "--explain", "W013"]);
    assert_eq!(ran.exit, 0);
    assert!(ran.stdout.starts_with("W013 never-holds\n\n") && ran.stdout.contains("lookup: true"), "{}", ran.stdout);
    let all = run(&["check", "--explain", "all", "--format", "json"]).json();
    assert!(all.as_array().unwrap().len() > 50);
    assert!(run(&["check", "--explain", "W01"]).stderr.contains("no finding `W01`"));
    let ran = run(&["check", "--allow", "W999x", "kong/minimal.yml"]);
    assert_eq!(ran.exit, 1, "{}", ran.shown());
    assert!(ran.stderr.contains("`check` has no finding `W999x`"), "{}", ran.stderr);
    assert_eq!(run(&["check", "--allow", "E104", "kong/minimal.yml"]).exit, 1);
}

#[test]
fn the_shipped_settings_are_clean_and_a_missing_one_is_said_by_name() {
    let ran = run(&["check", "--strict", "--kong-conf", "kong/kong.conf"]);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
    let shipped = std::fs::read_to_string("kong/kong.conf").unwrap();
    let without = temporary("kong.conf", &shipped.replace("nginx_proxy_lingering_close = off", ""));
    let ran = run(&["check", "--format", "json", "--kong-conf", &without]);
    assert_eq!(ran.exit, 3, "{}", ran.shown());
    assert_eq!(ran.json()["findings"][0]["code"], "E110", "{}", ran.shown());
}

#[test]
fn a_cache_before_the_decision_and_a_route_that_mixes_requests_are_errors() {
    let shipped = std::fs::read_to_string("kong/minimal.yml").unwrap();
    let cached = shipped.replace("plugins:\n#", "plugins:\n- {name: proxy-cache, config: {strategy: memory}}\n#");
    for (text, code) in [(cached, "E105"), (shipped.replace("    paths: [\"/\"]\n", ""), "E104")] {
        let file = temporary("kong.yml", &text);
        let ran = run(&["check", "--format", "json", &file]);
        assert_eq!(ran.exit, 3, "{}", ran.shown());
        let findings = ran.json()["findings"].as_array().unwrap().clone();
        assert!(findings.iter().any(|one| one["code"] == code), "{code}: {findings:#?}");
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
