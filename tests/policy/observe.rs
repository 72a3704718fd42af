//! `observe` of one role and of the whole policy (contract section 5), by example.

use crate::answer::Answer;
use crate::caller::{NOW, callers, config};
use databricks_kong::databricks::Target;
use databricks_kong::policy::{Action, Ask, Body, authorize};
use serde_json::{Map, Value, json};

/// A role of callers in group `eng`, with a service principal of its own.
fn role(name: &str, more: Value) -> Value {
    let mut role = json!({
        "name": name, "match": {"groups": ["eng"]},
        "credential": {"type": "service_principal_secret", "client_id": name, "client_secret": "x"},
    });
    for (key, value) in more.as_object().unwrap() {
        role[key] = value.clone();
    }
    role
}

fn admin() -> Value {
    role("admin", json!({"allow": [{"operations": ["jobs.get"]}]}))
}

fn trial(more: Value) -> Value {
    let mut trial = role("trial", json!({"observe": true, "allow": []}));
    for (key, value) in more.as_object().unwrap() {
        trial[key] = value.clone();
    }
    trial
}

const RUN_NOW: (&str, &str) = ("POST", "/api/2.2/jobs/run-now");
const GET_JOB: (&str, &str) = ("GET", "/api/2.2/jobs/get?job_id=1");
const CREATE_TOKEN: (&str, &str) = ("POST", "/api/2.0/token/create");

/// What becomes of a request of a caller in `eng`, through the client `copilot`.
fn asked(mode: &str, roles: &[Value], agents: &Value, requested_role: Option<&str>, request: (&str, &str)) -> String {
    let config = config(mode, &json!(roles), agents);
    let caller = callers([(vec!["eng".to_owned()], Some("copilot"))]).remove(0);
    let target = Target::parse(request.1.as_bytes()).unwrap();
    let body = Map::new();
    let action = Action::new(request.0, &target, &[], Body::Json(&body));
    let provider = &config.providers[0].name;
    let ask = Ask { caller: &caller, provider, requested_role, action: &action, now: NOW };
    Answer::of(&authorize(&config.policy, &ask)).to_string()
}

fn ended(roles: &[Value], request: (&str, &str)) -> String {
    asked("enforce", roles, &json!([]), None, request)
}

#[test]
fn what_an_observing_role_denies_does_not_go_on_with_the_credential_of_another() {
    let denies = || trial(json!({"deny": [{"operations": ["jobs.run_now"]}]}));
    for roles in [[admin(), denies()], [denies(), admin()]] {
        assert_eq!(ended(&roles, RUN_NOW), "goes on as trial, would deny RULE_DENIED");
    }
    assert_eq!(ended(&[admin()], RUN_NOW), "refused: NO_RULE");
}

#[test]
fn an_observing_role_in_front_does_not_open_the_deny_of_one_behind() {
    let lab = || role("lab", json!({"deny": [{"operations": ["jobs.run_now"]}]}));
    let denies = || trial(json!({"deny": [{"operations": ["jobs.run_now"]}]}));
    for trial in [trial(json!({})), denies()] {
        for roles in [[trial.clone(), lab()], [lab(), trial]] {
            assert_eq!(ended(&roles, RUN_NOW), "refused: RULE_DENIED");
        }
    }
}

#[test]
fn an_observing_role_does_not_skip_an_agents_limit() {
    let agents =
        json!([{"name": "copilot", "match": {"clients": ["copilot"]}, "allow": [{"operations": ["jobs.get"]}]}]);
    let denies = || trial(json!({"deny": [{"operations": ["jobs.run_now"]}]}));
    let allows = || trial(json!({"allow": [{"operations": ["jobs.run_now"]}]}));
    for role in [trial(json!({})), denies(), allows()] {
        let roles = [role];
        assert_eq!(asked("enforce", &roles, &agents, None, RUN_NOW), "refused: AGENT_LIMIT");
        let observed = asked("observe", &roles, &agents, None, RUN_NOW);
        assert!(observed.starts_with("goes on as trial, would deny "), "{observed}");
    }
    let roles = [allows()];
    assert_eq!(asked("observe", &roles, &agents, None, RUN_NOW), "goes on as trial, would deny AGENT_LIMIT");
}

#[test]
fn what_an_observing_role_denies_and_another_allows_goes_on_as_that_other() {
    let denies = trial(json!({"deny": [{"operations": ["jobs.get"]}]}));
    for roles in [[admin(), denies.clone()], [denies, admin()]] {
        assert_eq!(ended(&roles, GET_JOB), "goes on as admin, would deny RULE_DENIED");
    }
}

#[test]
fn the_first_observing_role_lends_its_credential_not_the_first_role() {
    let second = role("second", json!({"observe": true, "allow": []}));
    assert_eq!(ended(&[admin(), trial(json!({})), second], RUN_NOW), "goes on as trial, would deny NO_RULE");
    assert_eq!(
        ended(&[admin(), trial(json!({}))], ("GET", "/api/2.0/unheard-of")),
        "goes on as trial, would deny OPERATION_UNKNOWN"
    );
}

#[test]
fn a_role_that_was_asked_for_and_enforces_borrows_no_observing_roles_credential() {
    let roles = [admin(), trial(json!({}))];
    let by = |requested| asked("enforce", &roles, &json!([]), Some(requested), RUN_NOW);
    assert_eq!(by("admin"), "refused: NO_RULE");
    assert_eq!(by("trial"), "goes on as trial, would deny NO_RULE");
    assert_eq!(by("other"), "refused: NO_ROLE");
}

#[test]
fn an_observing_role_outside_its_time_lends_nothing_and_denies_nothing() {
    let over = trial(json!({"valid": {"until": "2020-01-01T00:00:00Z"}, "deny": [{"operations": ["jobs.*"]}]}));
    let roles = [over, admin()];
    assert_eq!(ended(&roles, RUN_NOW), "refused: NO_RULE");
    assert_eq!(ended(&roles, GET_JOB), "goes on as admin");
    assert_eq!(ended(&roles[..1], RUN_NOW), "refused: GRANT_INACTIVE");
}

#[test]
fn a_sensitive_operation_that_no_rule_names_is_refused_whoever_observes() {
    let denies = || trial(json!({"deny": [{"operations": ["*"]}]}));
    for mode in ["enforce", "observe"] {
        for role in [trial(json!({})), denies(), trial(json!({"allow": [{"operations": ["*"]}]}))] {
            let ended = asked(mode, &[role], &json!([]), None, CREATE_TOKEN);
            assert_eq!(ended, "refused: OPERATION_SENSITIVE", "{mode}");
        }
    }
    let names = trial(json!({"allow": [{"operations": ["tokens.create"]}], "deny": [{"operations": ["*"]}]}));
    assert_eq!(ended(&[names], CREATE_TOKEN), "goes on as trial, would deny RULE_DENIED");
}

#[test]
fn in_mode_observe_every_role_observes() {
    let lab = role("lab", json!({"allow": [], "deny": [{"operations": ["jobs.run_now"]}]}));
    let in_mode = |mode, roles: &[Value], request| asked(mode, roles, &json!([]), None, request);
    assert_eq!(in_mode("observe", &[admin(), lab.clone()], RUN_NOW), "goes on as admin, would deny RULE_DENIED");
    assert_eq!(in_mode("enforce", &[admin(), lab.clone()], RUN_NOW), "refused: RULE_DENIED");
    assert_eq!(in_mode("observe", &[lab, admin()], GET_JOB), "goes on as admin");
}
