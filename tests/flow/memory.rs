//! What a worker remembers for all its routes, and what it makes of configurations that change.

use crate::stage::*;
use databricks_kong::config::Config;
use databricks_kong::flow::Metric;
use databricks_kong::sim::Purpose;
use serde_json::{Value, json};
use std::rc::Rc;

fn route(workspace: &str, changes: Value) -> Rc<Config> {
    let mut all = json!({"workspace": {"url": format!("https://{workspace}.example.net"), "id": WORKSPACE_ID}});
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    config(all)
}

#[test]
fn a_route_that_keeps_nothing_leaves_what_others_keep() {
    let mut stage = Stage::warm(route("a", json!({})));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    let first = std::mem::replace(&mut stage.sim.config, route("b", json!({"limits": {"cached_tokens": 0}})));
    check(&stage.get(&anna), "token", "forward Bearer <dbx-2>");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-3>");
    stage.sim.config = first;
    stage.sim.counts.clear();
    check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
    assert!(stage.sim.counts.contains(&Metric::VerdictCacheHit));
}

/// A request that waits for its token while the configuration is replaced.
fn waits(before: Rc<Config>, after: Option<Rc<Config>>, seconds: u64) -> String {
    let mut stage = Stage::warm(Rc::clone(&before));
    let anna = stage.token("anna");
    let (mut flow, step) = stage.begin(&anna);
    assert_eq!(step_word(&step), "call");
    stage.pass(seconds);
    if let Some(after) = &after {
        stage.sim.memory.configured(after);
    }
    step_word(&stage.resume(&mut flow, minted("dbx-1", 3600)))
}

fn rules(rules: Value) -> Rc<Config> {
    let mut role = role(json!({"type": "user_federation"}));
    role.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    config(json!({ "roles": [role] }))
}

#[test]
fn a_request_that_waited_is_judged_by_the_configuration_that_took_the_place_of_its_own() {
    let lenient = || rules(json!({}));
    assert_eq!(waits(lenient(), None, 1), "forward");
    assert_eq!(waits(lenient(), Some(lenient()), 1), "forward", "the same again");
    let audit = config(json!({"audit": {"log": false}}));
    assert_eq!(waits(lenient(), Some(audit), 1), "forward", "another that says the same of it");
    let denied = rules(json!({"deny": [{"operations": ["jobs.list"]}]}));
    assert_eq!(waits(lenient(), Some(denied), 1), "403 RULE_DENIED");
    let none = config(json!({"roles": [{"name": "x", "match": {"groups": ["x"]}, "credential": {"type": "none"}}]}));
    assert_eq!(waits(lenient(), Some(none), 1), "403 NO_ROLE");
    let other_credential = with_credential(json!({"type": "user_federation", "scope": "sql"}));
    assert_eq!(waits(lenient(), Some(other_credential), 1), "503 EXCHANGE_UNAVAILABLE");
    let elsewhere = route("b", json!({"roles": [role(json!({"type": "none"}))]}));
    assert_eq!(waits(lenient(), Some(elsewhere), 1), "forward", "another workspace's");
}

#[test]
fn another_secret_is_another_credential() {
    let secret = |secret: &str| {
        let mut credential = service_principal();
        credential["client_secret"] = json!(secret);
        with_credential(credential)
    };
    assert_eq!(waits(secret("one"), Some(secret("one")), 1), "forward");
    assert_eq!(waits(secret("one"), Some(secret("two")), 1), "503 EXCHANGE_UNAVAILABLE");
}

#[test]
fn a_grant_that_ends_while_the_request_waits_has_ended() {
    // NOW is 2027-01-15T08:00:00Z
    let until = |time: &str| rules(json!({"valid": {"until": time}}));
    assert_eq!(waits(until("2027-01-15T08:00:03Z"), None, 2), "forward");
    assert_eq!(waits(until("2027-01-15T08:00:02Z"), None, 2), "403 GRANT_INACTIVE");
}

#[test]
fn a_step_of_the_wall_clock_holds_nobody_up() {
    let mut stage = Stage::cold(config(json!({})));
    stage.world.set(Purpose::Discovery, [lost()]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "discovery discovery", "503 KEYS_UNAVAILABLE");
    stage.world.set(Purpose::Discovery, [discovery()]);
    // ntp sets the clock back by an hour while the cool-down of five seconds runs
    stage.sim.now.wall = stage.sim.now.wall.minus(secs(3600));
    stage.pass(5);
    let early = stage.token_with("early", json!({"iat": NOW - 3600, "exp": NOW}));
    check(&stage.get(&early), "discovery keys token", "forward Bearer <dbx-1>");
}
