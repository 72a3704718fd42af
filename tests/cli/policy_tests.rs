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
fn build_servers_get_junit_and_others_do_not() {
    let ran = run(&["test", FAILING, "--format", "junit"]);
    assert_eq!(ran.exit, 1);
    for part in [
        "<testsuites tests=\"2\" failures=\"1\">",
        "line=\"",
        "<failure message=\"decision: expected `deny`, but it is `allow`\">",
        "</testsuites>",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert_eq!(run(&["operations", "jobs.list", "--format", "junit"]).exit, 1);
}

#[test]
fn rules_that_no_test_exercises_are_listed() {
    let ran = run(&["test", "examples/okta", "--coverage", "--format", "json", "--only", "runner"]);
    let coverage = ran.json()["coverage"].clone();
    let (all, exercised) = (coverage["rules"].as_u64().unwrap(), coverage["exercised"].as_u64().unwrap());
    let missed = coverage["missed"].as_array().unwrap().clone();
    assert_eq!(usize::try_from(all - exercised).unwrap(), missed.len(), "{coverage}");
    assert!(exercised > 0 && missed.iter().any(|rule| rule["owner"] == "role `analyst`"), "{coverage}");
    let text = std::fs::read_to_string("examples/okta/kong.yml").unwrap();
    for rule in &missed {
        let line = usize::try_from(rule["line"].as_u64().unwrap()).unwrap();
        assert!(text.lines().nth(line - 1).unwrap().contains("- operations:"), "{rule}");
    }
    let shown = run(&["test", "examples/okta", "--coverage"]);
    assert!(shown.stdout.contains("coverage: ") && shown.exit == 0, "{}", shown.stdout);
}

#[test]
fn an_invalid_configuration_exits_3() {
    insta::assert_snapshot!(run(&["test", "tests/cli/files/tests/invalid"]).shown());
}

#[test]
fn what_is_no_test_file_is_said_with_its_line() {
    let file = |name: &str, text: &str| temporary(name, text);
    for (path, said) in [("nowhere", "`nowhere` cannot be read"), ("tests/cli/snapshots", "no test files are there")] {
        let ran = run(&["test", path]);
        assert_eq!((ran.exit, ran.stdout.as_str()), (1, ""), "{path}");
        assert!(ran.stderr.contains(said), "{path}: {}", ran.stderr);
    }
    for (path, said) in [
        (file("broken.yaml", "config: [x\ntests: []\n"), "broken.yaml:2:"),
        (
            file("no-time.yaml", "config: examples/okta/kong.yml\nnow: noon\ntests: []\n"),
            "no-time.yaml:2:1: `noon` is not a point in time",
        ),
        (file("unknown-key.yaml", "config: x\ntests: []\nextra: 1"), "unknown-key.yaml:3:1: unknown field `extra`"),
        (
            file("short.yml", "config: {}\ntests:\n- name: a\n  request: GET\n  expect: {decision: allow}\n"),
            "short.yml:4:3: `GET` is not of the form `METHOD /path`",
        ),
        (
            file("no-expectation.yaml", "config: {}\ntests: [{name: a, request: GET /}]"),
            "no-expectation.yaml:2:9: missing field `expect`",
        ),
        (
            file("misspelt.yaml", "config: {}\ntests: [{name: a, request: GET /, expect: {decision: allow, rol: x}}]"),
            "misspelt.yaml:2:61: unknown field `rol`",
        ),
    ] {
        let ran = run(&["test", &path]);
        assert_eq!((ran.exit, ran.stdout.as_str()), (3, ""), "{path}");
        assert!(ran.stderr.contains(said), "{path}: {}", ran.stderr);
    }
}

#[test]
fn what_can_never_be_is_an_error_with_its_line() {
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/okta/kong.yml");
    for (more, said) in [
        ("expect: {decision: alow}", ":6:12: `alow` is none of `allow`, `deny`, `would_deny`"),
        (
            "expect: {decision: deny, reason: NO_ROLL}",
            ":6:28: `NO_ROLL` is no reason of the gateway's; did you mean `NO_ROLE`?",
        ),
        ("expect: {decision: allow, reason: NO_RULE}", ":6:29: a request that is allowed has no reason"),
        ("expect: {decision: deny, status: 418}", ":6:28: 418 is never the status of `deny`"),
        ("expect: {decision: deny, status: 401, reason: NO_RULE}", ":6:28: 401 is never the status of `NO_RULE`"),
        (
            "expect: {decision: allow, role: job-runer}",
            ":6:29: `job-runer` is no role of the configuration; it has job-runner",
        ),
        (
            "expect: {decision: deny, rule: /roles/99/allow/0}",
            ":6:28: the configuration has nothing at `/roles/99/allow/0`",
        ),
        (
            "expect: {decision: deny, operation: jobs.run_nwo}",
            ":6:28: `jobs.run_nwo` is no operation that the gateway knows; did you mean `jobs.run_now`?",
        ),
        ("expect: {decision: deny, credential: passthru}", ":6:28: no role has a credential of type `passthru`"),
        (
            "provider: oktaa\n  expect: {decision: deny}",
            ":6:3: `oktaa` is no identity provider of the configuration; it has okta",
        ),
        ("now: noon\n  expect: {decision: deny}", ":6:3: `noon` is not a point in time"),
    ] {
        let test = format!(
            "config: {}\ntests:\n- name: a\n  claims: {{sub: a}}\n  request: GET /api/2.2/jobs/list\n  {more}\n",
            config.display()
        );
        let ran = run(&["test", &temporary("impossible.yaml", &test)]);
        assert_eq!((ran.exit, ran.stdout.as_str()), (3, ""), "{more}: {}", ran.shown());
        assert!(ran.stderr.contains(said), "{more}: {}", ran.stderr);
    }
    let no_entry = format!("config: {}\nentry: nothing\ntests: []\n", config.display());
    let ran = run(&["test", &temporary("no-entry.yaml", &no_entry)]);
    assert!(ran.exit == 3 && ran.stderr.contains("no-entry.yaml:2:1: no entry has this name"), "{}", ran.shown());
}
