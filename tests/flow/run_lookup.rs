//! Rules that look up the job of a run.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::sim::{Answer, Client, Purpose};
use serde_json::{Value, json};

/// Engineers who may see and cancel runs of job 101.
fn stage() -> (Stage, String) {
    with(json!({"allow": [{
        "operations": ["jobs.get_run", "jobs.get_run_output", "jobs.cancel_run", "jobs.run_now"],
        "resources": {"job": ["101"]},
        "lookup": true,
    }]}))
}

fn with(rules: Value) -> (Stage, String) {
    let mut role = role(json!({"type": "user_federation", "scope": "minimal"}));
    for (name, value) in rules.as_object().unwrap() {
        role[name] = value.clone();
    }
    let mut stage = Stage::warm(config(json!({"roles": [role]})));
    let anna = stage.token("anna");
    (stage, anna)
}

fn of_job(stage: &mut Stage, job: Value) {
    stage.world.set(Purpose::Lookup, [ok(&json!({"job_id": job, "run_id": 7, "tasks": [{"run_id": 8}]}))]);
}

fn get_run(token: &str, run: u64) -> Client {
    let target = format!("/api/2.2/jobs/runs/get?run_id={run}");
    client("GET", &target, &[("Authorization", &format!("Bearer {token}"))])
}

fn cancel(token: &str, run: u64) -> Client {
    let body = Some(Secret::new(json!({ "run_id": run }).to_string().into_bytes()));
    Client { method: "POST".to_owned(), target: b"/api/2.2/jobs/runs/cancel".to_vec(), body, ..get(token) }
}

#[test]
fn a_run_of_an_allowed_job_goes_on_and_of_another_does_not() {
    let (mut stage, anna) = stage();
    of_job(&mut stage, json!(101));
    let transcript = stage.send(&get_run(&anna, 7));
    check(&transcript, "token lookup", "forward Bearer <dbx-1>");
    let lookup = transcript.callouts.last().unwrap();
    assert_eq!((lookup.method, &*lookup.url), ("GET", "https://adb.example.net/api/2.2/jobs/runs/get?run_id=7"));
    assert!(lookup.headers.contains(&("authorization".to_owned(), "Bearer <dbx-1>".to_owned())), "{lookup}");
    let names: Vec<_> = lookup.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.iter().filter(|name| **name == "user-agent").count(), 1, "{lookup}");
    assert!(names.contains(&"accept") && names.contains(&"x-databricks-org-id"), "{lookup}");
    of_job(&mut stage, json!(202));
    check(&stage.send(&get_run(&anna, 9)), "lookup", "403 NO_RULE");
    check(&stage.send(&cancel(&anna, 9)), "", "403 NO_RULE");
}

#[test]
fn what_was_looked_up_is_kept() {
    let (mut stage, anna) = stage();
    of_job(&mut stage, json!(101));
    check(&stage.send(&cancel(&anna, 7)), "token lookup", "forward Bearer <dbx-1>");
    stage.world.set(Purpose::Lookup, [lost()]);
    check(&stage.send(&get_run(&anna, 7)), "", "forward Bearer <dbx-1>");
    check(&stage.send(&get_run(&anna, 8)), "lookup", "503 EXCHANGE_UNAVAILABLE");
}

#[test]
fn a_run_that_the_caller_may_not_see_has_no_job() {
    for status in [400, 403, 404] {
        let (mut stage, anna) = stage();
        stage.world.set(Purpose::Lookup, [Answer::new(status, "{}")]);
        check(&stage.send(&get_run(&anna, 7)), "token lookup", "403 NO_RULE");
    }
    for job in [Value::Null, json!(0), json!("101"), json!(101.0)] {
        let (mut stage, anna) = stage();
        of_job(&mut stage, job);
        check(&stage.send(&get_run(&anna, 7)), "token lookup", "403 NO_RULE");
    }
}

#[test]
fn a_one_time_run_has_no_job_of_any_name() {
    let (mut stage, anna) = with(json!({"allow": [{
        "operations": ["jobs.get_run"], "resources": {"job": ["*"]}, "lookup": true,
    }]}));
    of_job(&mut stage, json!(0));
    check(&stage.send(&get_run(&anna, 7)), "token lookup", "403 NO_RULE");
    of_job(&mut stage, json!(1));
    check(&stage.send(&get_run(&anna, 8)), "lookup", "forward Bearer <dbx-1>");
}

#[test]
fn a_rule_about_the_run_itself_asks_nobody() {
    for lookup in [true, false] {
        let allow = json!({"operations": ["jobs.get_run"], "resources": {"run": ["7"]}});
        let other = json!({"operations": ["jobs.get_run"], "resources": {"job": ["101"]}, "lookup": lookup});
        let (mut stage, anna) = with(json!({"allow": [allow, other]}));
        of_job(&mut stage, json!(202));
        check(&stage.send(&get_run(&anna, 7)), "token", "forward Bearer <dbx-1>");
        check(&stage.send(&get_run(&anna, 8)), if lookup { "lookup" } else { "" }, "403 NO_RULE");
    }
}

#[test]
fn without_an_answer_nothing_is_decided() {
    for answer in [
        lost(),
        Answer::new(500, "{}"),
        Answer::new(429, "{}"),
        Answer::new(200, "{\"job_id\":101"),
        Answer::new(200, "[101]"),
        Answer::new(200, " [[1]]"),
        Answer::new(200, "{\"job_id\":101,\"job_id\":202}"),
        Answer::new(200, "{\"job_id\":101,\"job\\u005fid\":202}"),
    ] {
        let (mut stage, anna) = stage();
        stage.world.set(Purpose::Lookup, [answer]);
        check(&stage.send(&get_run(&anna, 7)), "token lookup", "503 EXCHANGE_UNAVAILABLE");
        of_job(&mut stage, json!(101));
        check(&stage.send(&get_run(&anna, 7)), "lookup", "forward Bearer <dbx-1>");
    }
}

fn described_at_length(bytes: usize) -> Answer {
    Answer::new(200, format!("{{\"tasks\":[{{\"x\":\"{}\"}}],\"job_id\":101}}", "x".repeat(bytes)))
}

#[test]
fn a_run_that_is_described_at_length_has_a_job_too() {
    let (mut stage, anna) = stage();
    stage.world.set(Purpose::Lookup, [described_at_length(8 * 1024 * 1024 - 100)]);
    check(&stage.send(&get_run(&anna, 7)), "token lookup", "forward Bearer <dbx-1>");
}

#[test]
fn a_run_that_is_described_at_too_much_length_is_refused_with_what_to_do() {
    let (mut stage, anna) = stage();
    stage.world.set(Purpose::Lookup, [described_at_length(8 * 1024 * 1024)]);
    let transcript = stage.send(&get_run(&anna, 7));
    check(&transcript, "token lookup", "403 NO_RULE");
    assert!(body(&transcript)["message"].as_str().unwrap().contains("a rule that needs no lookup"));
}

#[test]
fn the_wait_that_the_workspace_asks_for_is_passed_on() {
    let (mut stage, anna) = stage();
    stage.world.set(Purpose::Lookup, [Answer::new(429, "{}").retry_after("17")]);
    assert_eq!(header(&stage.send(&get_run(&anna, 7)), "retry-after"), Some("17"));
}

#[test]
fn a_token_that_the_workspace_refuses_is_not_kept() {
    let (mut stage, anna) = stage();
    let answers = [Answer::new(401, "{}"), Answer::new(403, r#"{"error_code":403,"message":"Invalid access token."}"#)];
    for (run, answer) in (1..).zip(answers) {
        stage.world.set(Purpose::Lookup, [answer]);
        check(&stage.send(&get_run(&anna, run)), "token lookup", "503 EXCHANGE_UNAVAILABLE");
    }
    of_job(&mut stage, json!(101));
    check(&stage.send(&get_run(&anna, 7)), "token lookup", "forward Bearer <dbx-3>");
}

#[test]
fn the_token_must_still_be_good_once_the_answer_is_there() {
    let (mut stage, anna) = stage();
    let answer = ok(&json!({"job_id": 101}));
    stage.world.set(Purpose::Lookup, [answer.after(secs(3700))]);
    check(&stage.send(&get_run(&anna, 7)), "token lookup", "401 TOKEN_EXPIRED");
}

#[test]
fn a_job_that_the_request_names_is_not_looked_up() {
    let (mut stage, anna) = stage();
    let run_now = |job: u64| {
        let body = Some(Secret::new(json!({ "job_id": job }).to_string().into_bytes()));
        Client { method: "POST".to_owned(), target: b"/api/2.2/jobs/run-now".to_vec(), body, ..get(&anna) }
    };
    check(&stage.send(&run_now(202)), "", "403 NO_RULE");
    check(&stage.send(&run_now(101)), "token", "forward Bearer <dbx-1>");
}

#[test]
fn a_deny_holds_for_runs_of_its_job_and_for_those_of_an_unknown_one() {
    let rules = json!({
        "allow": [{"operations": ["jobs.*"]}],
        "deny": [{"operations": ["jobs.cancel_run"], "resources": {"job": ["101"]}, "lookup": true}],
    });
    let (mut stage, anna) = with(rules);
    of_job(&mut stage, json!(101));
    check(&stage.send(&cancel(&anna, 7)), "token lookup", "403 RULE_DENIED");
    of_job(&mut stage, json!(202));
    check(&stage.send(&cancel(&anna, 8)), "lookup", "forward Bearer <dbx-1>");
    stage.world.set(Purpose::Lookup, [Answer::new(404, "{}")]);
    check(&stage.send(&cancel(&anna, 9)), "lookup", "403 RULE_DENIED");
    check(&stage.send(&get_run(&anna, 7)), "", "forward Bearer <dbx-1>");
}

#[test]
fn an_agent_is_held_to_jobs_by_their_runs_too() {
    let agent = json!([{
        "name": "copilot",
        "match": {"clients": ["copilot"]},
        "allow": [{"operations": ["jobs.get_run"], "resources": {"job": ["101"]}, "lookup": true}],
    }]);
    let mut stage = Stage::warm(config(json!({ "agents": agent })));
    let agent = stage.token_with("anna", json!({"azp": "copilot"}));
    of_job(&mut stage, json!(101));
    check(&stage.send(&get_run(&agent, 7)), "token lookup", "forward Bearer <dbx-1>");
    of_job(&mut stage, json!(202));
    check(&stage.send(&get_run(&agent, 8)), "lookup", "403 AGENT_LIMIT");
}
