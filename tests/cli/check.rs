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

#[test]
fn what_kong_reads_otherwise_is_an_error_wherever_it_stands_in_a_configuration() {
    let shipped = std::fs::read_to_string("examples/okta/kong.yml").unwrap();
    for (from, to, said) in [
        ("groups: [job-runners]", "groups: [yes]", "Kong reads `yes` as `true`, no text"),
        ("groups: [job-runners]", "groups: [012:30]", "Kong reads `012:30` as the number 750"),
        ("groups: [job-runners]", "claims: {off: [a]}", "Kong reads the key `off` as `false`, no text"),
        ("job: [\"101\"", "job: [0101", "Kong reads `0101` as the number 65"),
        ("job: [\"101\"", "job: [1_01", "Kong reads `1_01` as the number 101"),
        ("job: [\"101\"", "job: [9007199254740993", "Kong reads `9007199254740993` as the number 9007199254740992"),
    ] {
        assert!(shipped.contains(from), "{from}");
        let file = temporary("otherwise.yml", &shipped.replacen(from, to, 1));
        let ran = run(&["check", &file, "--format", "json"]);
        let found = ran.json()["findings"].as_array().unwrap().clone();
        let errors: Vec<_> = found.iter().filter(|one| one["severity"] == "error").collect();
        assert_eq!((ran.exit, errors.len()), (3, 1), "{to}: {errors:#?}");
        assert_eq!(errors[0]["code"], "E003");
        assert!(errors[0]["message"].as_str().unwrap().starts_with(said), "{errors:#?}");
        let explained = run(&["explain", &file, "GET", "/api/2.2/jobs/list"]);
        assert!(explained.exit == 3 && explained.stderr.contains(said), "{}", explained.shown());
    }
    // quoted, and outside of the configuration, nothing is to be said
    let quoted = shipped.replacen("groups: [job-runners]", "groups: ['yes', \"012:30\", 2026-11-01]", 1);
    let quoted = quoted.replacen("strip_path: false", "strip_path: no", 1);
    let ran = run(&["check", &temporary("quoted.yml", &quoted)]);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
}

#[test]
fn a_secret_that_kong_reads_otherwise_is_not_shown() {
    let text = "workspace: {url: https://x.example}\nidentity_providers: [{name: a, issuer: https://i.example, audiences: [d]}]\n\
                roles:\n- name: r\n  match: {groups: [g]}\n  credential: {type: service_principal_secret, client_id: c, client_secret: 0777123}\n";
    let ran = run(&["check", &temporary("number.yml", text)]);
    assert!(ran.exit == 3 && ran.stdout.contains("E003") && !ran.shown().contains("777"), "{}", ran.shown());
}

#[test]
fn each_cause_of_a_file_that_is_no_yaml_has_its_cure() {
    for (text, cure) in [
        ("a:\n\t- b\n", "indent with blanks"),
        ("a: \"b\nc: d\n", "end the text with the quote"),
        ("a: [b, c\nd: e\n", "end the list with `]`"),
        ("a: b: c\n", "write a blank behind the colon"),
        ("a: *b\n", "define it before with `&name`"),
        ("a: 1\na: 2\n", "keep one of the two"),
        ("a: 1\n1: 2\n", "write `'1': …`"),
        ("a: !x b\n", "take the tag"),
        ("a: .nan\n", "quote it if it is text"),
        ("a: 1\n---\nb: 1\n", "Kong reads the first of several documents only"),
        ("# nothing\n", "is it the file that you mean?"),
        ("a: {<<: 1}\n", "`<<` takes a mapping"),
        ("a: %b\n", "need quotes"),
    ] {
        let ran = run(&["check", &temporary("broken.yml", text)]);
        assert_eq!(ran.exit, 3, "{text:?}: {}", ran.shown());
        assert!(ran.stdout.contains("E001") && ran.stdout.contains(cure), "{text:?}: {}", ran.shown());
    }
}

/// One rule for all commands: 3 where a file is no YAML or not what it must be, 1 where it is not there.
#[test]
fn a_file_that_is_no_yaml_exits_3_with_every_command_and_one_that_is_not_there_1() {
    let broken = temporary("no-yaml.yml", "a: [b\n");
    let record = r#"{"v": 1, "decision": "allow", "role": "r", "operation": "jobs.list"}"#;
    let records = temporary("records.jsonl", record);
    for (file, exit) in [(broken.as_str(), 3), ("not-there.yml", 1)] {
        for arguments in [
            &["check", file][..],
            &["check", "--revocations", file, "kong/minimal.yml"],
            &["explain", file, "GET", "/api/2.2/jobs/list"],
            &["test", file],
            &["learn", "--config", file, &records],
        ] {
            let ran = run(arguments);
            assert_eq!(ran.exit, exit, "{arguments:?}: {}", ran.shown());
        }
    }
}

#[test]
fn only_test_offers_junit() {
    for (command, offers) in
        [("test", true), ("check", false), ("explain", false), ("learn", false), ("operations", false)]
    {
        let ran = run(&[command, "--help"]);
        assert_eq!(ran.stdout.to_lowercase().contains("junit"), offers, "{command}: {}", ran.stdout);
        assert!(ran.stdout.contains("json"), "{command}");
    }
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
