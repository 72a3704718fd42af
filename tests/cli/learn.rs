//! `databricks-kong learn`.

use crate::{run, run_with, temporary};
use serde_json::{Value, json};

fn record(more: Value) -> String {
    let mut record = json!({"v": 1, "decision": "would_deny", "reason": "NO_RULE", "role": "trial", "method": "GET"});
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record.to_string()
}

fn records() -> String {
    [
        record(json!({"operation": "jobs.run_now", "resources": {"job": ["101"]}})),
        record(json!({"operation": "jobs.run_now", "resources": {"job": ["202"]}})),
        record(json!({"operation": "jobs.list", "decision": "allow", "reason": "ALLOWED"})),
        record(json!({"operation": "clusters.list"})),
        record(json!({"operation": "statement_execution.execute_statement", "resources": {"warehouse": ["w1"]},
            "sql": {"parsed": true, "class": "select", "tables": ["main.sales.orders", "main.sales.items"]}})),
        record(json!({"operation": "tokens.create"})),
        record(json!({"operation": "jobs.delete", "resources": {"job": ["101"]}, "agent": "copilot"})),
        record(json!({"operation": "jobs.get"})),
        record(json!({"decision": "deny", "reason": "NO_ROLE", "operation": "jobs.get"})),
        "a line of something else".to_owned(),
    ]
    .join("\n")
}

#[test]
fn what_was_asked_for_becomes_rules_with_counts_and_what_is_dangerous_a_comment() {
    let ran = run_with(&["learn", "-"], &records());
    assert_eq!(ran.exit, 0, "{}", ran.shown());
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn programs_get_the_same_and_a_file_without_records_is_a_failure() {
    let ran = run_with(&["learn", "-", "--format", "json"], &records());
    let rules = ran.json()["roles"][0]["rules"].as_array().unwrap().clone();
    let held_back = |name: &str| {
        let rule = rules.iter().find(|rule| rule["operations"].as_array().unwrap().contains(&name.into())).unwrap();
        rule["held_back"].is_string()
    };
    assert!(held_back("tokens.create") && held_back("jobs.delete"), "{rules:#?}");
    assert!(!held_back("jobs.run_now") && !held_back("clusters.list"), "{rules:#?}");
    assert_eq!(run_with(&["learn", "-"], "nothing\n").exit, 1);
}

#[test]
fn more_ids_than_anybody_reads_are_a_star() {
    let many: Vec<_> =
        (0..5).map(|job| record(json!({"operation": "jobs.get", "resources": {"job": [job.to_string()]}}))).collect();
    let ran = run_with(&["learn", "-", "--most-ids", "4"], &many.join("\n"));
    assert!(ran.stdout.contains("resources: {job: [\"*\"]}"), "{}", ran.stdout);
    let said =
        "# 5 requests, 5 of them denied so far; `*` stands for 5 different ids of type `job`, and allows all others";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
}

#[test]
fn what_only_an_agent_asked_for_widens_no_rule_for_people() {
    let get = |job: &str, more: Value| {
        let mut record = json!({"operation": "jobs.get", "resources": {"job": [job]}});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        crate::learn::record(record)
    };
    let records =
        [get("101", json!({})), get("101", json!({"agent": "copilot"})), get("303", json!({"act": "agent:7"}))];
    let text = run_with(&["learn", "-"], &records[..2].join("\n")).stdout;
    assert!(text.contains("  # 2 requests, 2 of them denied so far\n  - operations: [jobs.get]"), "{text}");
    assert!(!text.contains("copilot"), "people asked for the same: {text}");
    let text = run_with(&["learn", "-"], &records.join("\n")).stdout;
    assert!(text.contains("  - operations: [jobs.get]\n    resources: {job: [\"101\"]}\n"), "{text}");
    assert!(text.contains("asked for by `agent:7`, `copilot` only"), "{text}");
    assert!(text.contains("  # - operations: [jobs.get]\n  #   resources: {job: [\"101\",\"303\"]}\n"), "{text}");
}

#[test]
fn an_id_that_would_be_a_pattern_is_not_learnt() {
    let odd = record(json!({"operation": "workspace.export", "resources": {"path": ["/Shared/*"]}}));
    let ran = run_with(&["learn", "-"], &odd);
    assert!(
        !ran.stdout.contains("workspace.export") && ran.stdout.contains("left out: 1 request with an id"),
        "{}",
        ran.stdout
    );
}

#[test]
fn with_the_configuration_each_role_says_whom_it_is_for() {
    let of_okta = record(json!({"role": "job-runner", "operation": "jobs.list"}));
    let ran = run_with(&["learn", "-", "--config", "examples/okta/kong.yml"], &of_okta);
    assert!(
        ran.stdout.contains(
            "- name: \"job-runner\"  # 1 request\n  match: {\"groups\":[\"job-runners\"]}\n  credential: {\"scope\":\"minimal\",\"type\":\"user_federation\"}\n"
        ) && !ran.stdout.contains("Put `match`"),
        "{}",
        ran.stdout
    );
    assert_eq!(run_with(&["learn", "-", "--config", "nowhere.yml"], &of_okta).exit, 1);
}

#[test]
fn of_an_invalid_configuration_nothing_is_learnt_and_no_secret_is_repeated() {
    let of_trial = record(json!({"role": "trial", "operation": "jobs.list"}));
    let config = |credential: &str| {
        let text = format!(
            "workspace: {{url: https://x.example}}\nidentity_providers: [{{name: a, issuer: https://i.example, audiences: [d]}}]\n\
             roles:\n- name: trial\n  match: {{groups: [g]}}\n  credential: {credential}\n"
        );
        run_with(&["learn", "-", "--config", &temporary("of-trial.yml", &text)], &of_trial)
    };
    let invalid = config("{type: no_such}");
    assert_eq!((invalid.exit, invalid.stdout.as_str()), (3, ""));
    assert!(
        invalid.stderr.contains("of-trial.yml:6:3: /roles/0/credential: has the type `no_such`"),
        "{}",
        invalid.stderr
    );
    let secret = config("{type: service_principal_secret, client_id: c, client_secret: canary-secret}");
    assert!(secret.exit == 0 && !secret.shown().contains("canary"), "{}", secret.shown());
    assert!(
        secret.stdout.contains("  # `credential.client_secret` is a plain secret, which is not repeated here\n"),
        "{}",
        secret.stdout
    );
    let from_environment = config("{type: service_principal_secret, client_id: c, client_secret: {env: NAME}}");
    assert!(from_environment.stdout.contains(r#""client_secret":{"env":"NAME"}"#), "{}", from_environment.stdout);
}

/// What was seen is allowed by what was learnt, and nothing beside it.
#[test]
fn the_proposal_allows_what_was_seen_and_no_other_job_or_table() {
    let learnt = run_with(&["learn", "-"], &records()).stdout;
    let allow: String =
        learnt.lines().skip_while(|line| !line.starts_with("  allow:")).map(|line| format!("  {line}\n")).collect();
    let config = format!(
        "config:\n  workspace: {{url: https://x.example}}\n  identity_providers: [{{name: idp, issuer: https://i.example, audiences: [d]}}]\n  \
         roles:\n  - name: trial\n    match: {{groups: [g]}}\n    credential: {{type: user_federation, scope: minimal}}\n{allow}"
    );
    let mut tests = String::from("tests:\n");
    let mut add = |request: &str, decision: &str| {
        tests.push_str(&format!(
            "- {{name: '{}', claims: {{sub: a, groups: [g]}}, request: {request}, expect: {{decision: {decision}}}}}\n",
            request.replace('\'', "")
        ));
    };
    let run_now = |job: u64| format!("{{method: POST, path: /api/2.2/jobs/run-now, body: {{job_id: {job}}}}}");
    let sql = |table: &str| {
        format!(
            "{{method: POST, path: /api/2.0/sql/statements, body: {{warehouse_id: w1, statement: SELECT 1 FROM {table}}}}}"
        )
    };
    add(&run_now(101), "allow");
    add(&run_now(103), "deny");
    add("GET /api/2.2/jobs/list", "allow");
    add(&sql("main.sales.orders"), "allow");
    add(&sql("main.hr.pay"), "deny");
    add("{method: POST, path: /api/2.0/token/create, body: {}}", "deny");
    add("{method: POST, path: /api/2.2/jobs/delete, body: {job_id: 101}}", "deny");
    let ran = run(&["test", &temporary("learnt.yaml", &format!("{config}{tests}"))]);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
}
