//! How many requests a caller may send.

use crate::stage::*;
use databricks_kong::base::Reason;
use databricks_kong::config::Config;
use databricks_kong::flow::Metric;
use databricks_kong::sim::{Purpose, Transcript};
use serde_json::{Value, json};
use std::rc::Rc;

fn with_quota(quota: Value, changes: Value) -> Rc<Config> {
    let mut all = json!({"quota": quota, "roles": [role(service_principal())]});
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    config(all)
}

fn stage(quota: Value, changes: Value) -> Stage {
    let mut stage = Stage::cold(with_quota(quota, changes));
    stage.world.set(Purpose::Keys, [keys(&[&RSA, &EC]).cache_control("max-age=86400")]);
    stage.tick();
    stage
}

fn went_on(transcript: &Transcript) -> bool {
    ended(transcript).starts_with("forward")
}

fn retry_after(transcript: &Transcript) -> Option<&str> {
    header(transcript, "retry-after")
}

#[test]
fn a_subject_has_its_own_quota_whatever_token_it_sends() {
    let mut stage = stage(json!({"per": "subject", "requests": 2, "window": 60}), json!({}));
    let (anna, again, bob) =
        (stage.token("anna"), RSA.token("anna", json!({"jti": "2", "azp": "cli"})), stage.token("bob"));
    assert!(went_on(&stage.get(&anna)) && went_on(&stage.get(&again)));
    let refused = stage.get(&anna);
    check(&refused, "", "429 QUOTA_EXCEEDED");
    assert_eq!(retry_after(&refused), Some("30"));
    let answer = body(&refused);
    assert_eq!(answer["error_code"], "RESOURCE_EXHAUSTED");
    assert_eq!(answer["details"][0]["metadata"], json!({"per": "subject"}));
    assert!(went_on(&stage.get(&bob)), "nobody else's");
    stage.pass(29);
    check(&stage.get(&again), "", "429 QUOTA_EXCEEDED");
    stage.pass(1);
    assert!(went_on(&stage.get(&again)));
}

#[test]
fn what_is_refused_is_recorded_and_counted() {
    let mut stage = stage(json!({"per": "subject", "requests": 1, "window": 60}), json!({}));
    let anna = stage.token("anna");
    stage.get(&anna);
    let record = stage.get(&anna).record.unwrap();
    assert_eq!((record.reason, record.subject.as_deref()), (Some(Reason::QuotaExceeded), Some("anna")));
    assert!(stage.sim.counts.contains(&Metric::Refused(Reason::QuotaExceeded)));
    assert!(stage.sim.counts.contains(&Metric::RequestsDenied));
}

#[test]
fn only_verified_callers_are_counted_and_nobody_uses_up_anothers() {
    let mut stage = stage(json!({"per": "subject", "requests": 1, "window": 60}), json!({}));
    let anna = stage.token("anna");
    for token in [RSA.token("anna", json!({"exp": 5})), NEW.token("anna", json!({})), "x".to_owned()] {
        assert!(!went_on(&stage.get(&token)));
    }
    assert!(went_on(&stage.get(&anna)));
}

#[test]
fn equal_subjects_of_two_providers_are_two() {
    let provider = |name: &str, issuer: &str| json!({"name": name, "issuer": issuer, "audiences": ["databricks"], "jwks_url": "https://idp.example/keys"});
    let providers = json!({"identity_providers": [provider("a", ISSUER), provider("b", "https://b.example")]});
    let mut stage = stage(json!({"per": "subject", "requests": 1}), providers);
    let tokens = [RSA.token("anna", json!({})), RSA.token("anna", json!({"iss": "https://b.example"}))];
    assert!(tokens.iter().all(|token| went_on(&stage.get(token))));
    assert!(tokens.iter().all(|token| !went_on(&stage.get(token))));
}

#[test]
fn a_role_has_one_quota_for_all_its_callers_and_others_do_not_count() {
    let other = json!({"name": "other", "match": {"groups": ["other"]}, "credential": service_principal()});
    let roles = json!({"roles": [role(service_principal()), other]});
    let mut stage = stage(json!({"per": "role", "requests": 2, "window": 60}), roles);
    let (anna, bob) = (stage.token("anna"), stage.token("bob"));
    let carol = stage.token_with("carol", json!({"groups": ["other"]}));
    let nobody = stage.token_with("nobody", json!({"groups": []}));
    for _ in 0..5 {
        check(&stage.get(&nobody), "", "403 NO_ROLE");
    }
    assert!(went_on(&stage.get(&anna)) && went_on(&stage.get(&bob)));
    check(&stage.get(&anna), "", "429 QUOTA_EXCEEDED");
    assert!(went_on(&stage.get(&carol)));
}

#[test]
fn past_a_roles_quota_no_token_is_asked_for() {
    let roles = json!({"roles": [role(json!({"type": "user_federation"}))]});
    let mut stage = stage(json!({"per": "role", "requests": 1}), roles);
    let (anna, bob) = (stage.token("anna"), stage.token("bob"));
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    check(&stage.get(&bob), "", "429 QUOTA_EXCEEDED");
}

#[test]
fn an_agent_has_one_quota_whoever_it_acts_for_and_people_have_none() {
    let agents = json!({"agents": [
        {"name": "copilot", "match": {"clients": ["copilot-*"]}},
        {"name": "bot", "match": {"actors": ["bot"]}},
    ]});
    let mut stage = stage(json!({"per": "agent", "requests": 1}), agents);
    let copilot = |sub: &str| RSA.token(sub, json!({"azp": "copilot-app"}));
    let bot = RSA.token("anna", json!({"act": {"sub": "bot"}}));
    assert!(went_on(&stage.get(&copilot("anna"))));
    check(&stage.get(&copilot("bob")), "", "429 QUOTA_EXCEEDED");
    assert!(went_on(&stage.get(&bot)), "another agent");
    let anna = stage.token("anna");
    assert!((0..5).all(|_| went_on(&stage.get(&anna))), "who is no agent is not counted");
}

#[test]
fn a_request_that_waits_is_counted_once() {
    let rule = json!([{"operations": ["jobs.get_run"], "resources": {"job": ["7"]}, "lookup": true}]);
    for per in ["subject", "role"] {
        let mut role = role(service_principal());
        role["allow"] = rule.clone();
        let mut stage = stage(json!({"per": per, "requests": 1}), json!({"roles": [role]}));
        stage.world.set(Purpose::Lookup, [ok(&json!({"job_id": 7}))]);
        let anna = stage.token("anna");
        let run = client("GET", "/api/2.2/jobs/runs/get?run_id=5", &[("Authorization", &format!("Bearer {anna}"))]);
        check(&stage.send(&run), "token lookup", "forward Bearer <dbx-1>");
        check(&stage.send(&run), "", "429 QUOTA_EXCEEDED");
    }
}

#[test]
fn another_configuration_of_the_same_entry_fills_nothing_and_another_workspace_is_not_touched() {
    let quota = || json!({"per": "subject", "requests": 1, "window": 60});
    let mut stage = stage(quota(), json!({}));
    let anna = stage.token("anna");
    assert!(went_on(&stage.get(&anna)));
    stage.sim.config = with_quota(quota(), json!({"audit": {"log": false}}));
    check(&stage.get(&anna), "", "429 QUOTA_EXCEEDED");
    for workspace in [
        json!({"url": "https://other.example.net", "public_url": "https://gw.example.com"}),
        json!({"url": "https://adb.example.net", "public_url": "https://other.example.com"}),
    ] {
        stage.sim.config = with_quota(quota(), json!({ "workspace": workspace }));
        assert!(went_on(&stage.get(&anna)));
    }
}

#[test]
fn a_step_of_the_wall_clock_fills_nothing() {
    let mut stage = stage(json!({"per": "subject", "requests": 1, "window": 60}), json!({}));
    let anna = stage.token("anna");
    assert!(went_on(&stage.get(&anna)));
    stage.sim.now.wall = stage.sim.now.wall.plus(secs(600));
    check(&stage.get(&anna), "", "429 QUOTA_EXCEEDED");
}
