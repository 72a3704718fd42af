//! Keys that are known: rotation, unknown keys, and providers that are down.

use crate::stage::*;
use databricks_kong::flow::{Flow, Metric, Step};
use databricks_kong::sim::Purpose;
use serde_json::json;

fn passthrough() -> std::rc::Rc<databricks_kong::config::Config> {
    with_credential(json!({"type": "passthrough"}))
}

fn rotated(stage: &mut Stage) -> String {
    stage.named("bob", NEW.token("bob", json!({"exp": NOW + 200_000})))
}

#[test]
fn a_token_of_a_new_key_is_verified_after_one_refresh() {
    let mut stage = Stage::warm(passthrough());
    stage.world.set(Purpose::Keys, [keys(&[&RSA, &NEW])]);
    let bob = rotated(&mut stage);
    check(&stage.get(&bob), "keys", "forward Bearer <bob>");
    check(&stage.get(&bob), "", "forward Bearer <bob>");
}

#[test]
fn an_unknown_key_makes_the_gateway_ask_at_most_every_thirty_seconds() {
    let mut stage = Stage::warm(passthrough());
    let bob = rotated(&mut stage);
    check(&stage.get(&bob), "keys", "401 TOKEN_INVALID key_unknown");
    for _ in 0..29 {
        stage.pass(1);
        check(&stage.get(&bob), "", "401 TOKEN_INVALID key_unknown");
    }
    stage.world.set(Purpose::Keys, [keys(&[&NEW])]);
    stage.pass(1);
    check(&stage.get(&bob), "keys", "forward Bearer <bob>");
}

#[test]
fn the_wait_after_an_unknown_key_holds_nobody_else_up() {
    let mut stage = Stage::warm(passthrough());
    let (bob, anna) = (rotated(&mut stage), stage.token("anna"));
    check(&stage.get(&bob), "keys", "401 TOKEN_INVALID key_unknown");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
}

#[test]
fn a_token_without_key_id_that_no_key_verifies_refreshes_the_keys_too() {
    let mut stage = Stage::warm(passthrough());
    stage.world.set(Purpose::Keys, [keys(&[&NAMELESS])]);
    let token = stage.named("carl", NAMELESS.token("carl", json!({})));
    check(&stage.get(&token), "keys", "forward Bearer <carl>");
}

#[test]
fn a_bad_signature_of_a_known_key_asks_nobody() {
    let mut stage = Stage::warm(passthrough());
    let good = stage.token("anna");
    let (signing_input, _) = good.rsplit_once('.').unwrap();
    let other = RSA.token("eve", json!({}));
    let forged = format!("{signing_input}.{}", other.rsplit_once('.').unwrap().1);
    check(&stage.get(&forged), "", "401 TOKEN_INVALID signature_invalid");
}

#[test]
fn a_key_that_is_no_longer_listed_stops_being_accepted() {
    let mut stage = Stage::warm(passthrough());
    let anna = stage.token("anna");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    stage.world.set(Purpose::Keys, [keys(&[&NEW])]);
    let bob = rotated(&mut stage);
    check(&stage.get(&bob), "keys", "forward Bearer <bob>");
    check(&stage.get(&anna), "", "401 TOKEN_INVALID key_unknown");
}

#[test]
fn an_unknown_key_while_the_provider_is_down_is_not_called_invalid() {
    let mut stage = Stage::warm(passthrough());
    stage.world.set(Purpose::Keys, [lost()]);
    let (bob, anna) = (rotated(&mut stage), stage.token("anna"));
    let transcript = stage.get(&bob);
    check(&transcript, "keys keys", "503 KEYS_UNAVAILABLE");
    assert_eq!(header(&transcript, "retry-after"), Some("5"));
    check(&stage.get(&bob), "", "503 KEYS_UNAVAILABLE");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    // however long it is down
    for _ in 0..20 {
        stage.pass(6);
        assert_eq!(ended(&stage.get(&bob)), "503 KEYS_UNAVAILABLE");
    }
    stage.world.set(Purpose::Keys, [keys(&[&RSA])]);
    stage.pass(6);
    check(&stage.get(&bob), "discovery keys", "401 TOKEN_INVALID key_unknown");
}

#[test]
fn stale_keys_are_refreshed_by_the_request_that_meets_them() {
    let mut stage = Stage::warm(passthrough());
    let anna = stage.token("anna");
    // in the last tenth of their freshness
    stage.pass(539);
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    stage.pass(1);
    check(&stage.get(&anna), "keys", "forward Bearer <anna>");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
}

#[test]
fn stale_keys_serve_while_the_provider_is_down_until_they_are_too_old() {
    let mut changes = provider(json!({"keys_max_stale": 1000}));
    changes["roles"] = json!([role(json!({"type": "passthrough"}))]);
    let mut stage = Stage::warm(config(changes));
    let anna = stage.token("anna");
    stage.world.set(Purpose::Keys, [lost()]);
    stage.world.set(Purpose::Discovery, [lost()]);
    stage.pass(600);
    check(&stage.get(&anna), "keys keys", "forward Bearer <anna>");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    stage.pass(999);
    check(&stage.get(&anna), "discovery discovery", "forward Bearer <anna>");
    stage.pass(1);
    check(&stage.get(&anna), "", "503 KEYS_UNAVAILABLE");
    stage.pass(4);
    check(&stage.get(&anna), "discovery discovery", "503 KEYS_UNAVAILABLE");
}

#[test]
fn keys_that_get_too_old_while_they_are_asked_for_do_not_serve() {
    let mut changes = provider(json!({"keys_max_stale": 10}));
    changes["roles"] = json!([role(json!({"type": "passthrough"}))]);
    let mut stage = Stage::warm(config(changes));
    let anna = stage.token("anna");
    stage.world.set(Purpose::Keys, [lost().after(secs(1))]);
    stage.pass(608);
    check(&stage.get(&anna), "keys keys", "503 KEYS_UNAVAILABLE");
}

#[test]
fn while_one_request_refreshes_stale_keys_the_others_use_them() {
    let mut stage = Stage::warm(passthrough());
    let anna = stage.token("anna");
    stage.pass(600);
    let (mut flow, step) = stage.begin(&anna);
    assert_eq!(step_word(&step), "call");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    assert_eq!(step_word(&stage.resume(&mut flow, keys(&[&RSA]))), "forward");
}

#[test]
fn while_stale_keys_are_refreshed_a_bad_token_is_refused_for_what_is_wrong_with_it() {
    let mut stage = Stage::warm(passthrough());
    let anna = stage.token("anna");
    let elsewhere = stage.token_with("anna", json!({"aud": "elsewhere"}));
    stage.pass(600);
    let (mut flow, _) = stage.begin(&anna);
    check(&stage.get(&elsewhere), "", "401 TOKEN_INVALID audience_mismatch");
    // while one whose key may be among the new ones is not called invalid
    let bob = rotated(&mut stage);
    check(&stage.get(&bob), "", "503 KEYS_UNAVAILABLE");
    assert_eq!(step_word(&stage.resume(&mut flow, keys(&[&RSA]))), "forward");
}

#[test]
fn a_revoked_key_is_refused_by_the_request_that_refreshes() {
    let mut stage = Stage::warm(passthrough());
    let anna = stage.token("anna");
    stage.world.set(Purpose::Keys, [keys(&[&NEW])]);
    stage.pass(600);
    check(&stage.get(&anna), "keys", "401 TOKEN_INVALID key_unknown");
}

#[test]
fn keys_are_fresh_as_long_as_the_provider_says_within_bounds() {
    for (max_age, fresh) in [("1", 60), ("60", 60), ("61", 61), ("7200", 7200), ("999999", 86_400)] {
        let mut stage = Stage::cold(passthrough());
        stage.world.set(Purpose::Keys, [keys(&[&RSA]).cache_control(&format!("public, max-age={max_age}"))]);
        let anna = stage.token_with("anna", json!({"exp": NOW + 100_000}));
        check(&stage.get(&anna), "discovery keys", "forward Bearer <anna>");
        let due = fresh - fresh / 10;
        stage.pass(due - 1);
        check(&stage.get(&anna), "", "forward Bearer <anna>");
        stage.pass(1);
        check(&stage.get(&anna), "keys", "forward Bearer <anna>");
    }
}

/// What 200 requests that arrive at the same moment do, and the flow of the one that asks.
fn burst(stage: &mut Stage, token: &str) -> (Vec<Flow>, Vec<String>) {
    let begun: Vec<_> = (0..200).map(|_| stage.begin(token)).collect();
    let steps = begun.iter().map(|(_, step)| step_word(step)).collect();
    (begun.into_iter().map(|(flow, _)| flow).collect(), steps)
}

#[test]
fn of_many_cold_requests_one_asks_and_the_others_are_told_to_come_back() {
    let mut stage = Stage::cold(passthrough());
    let anna = stage.token("anna");
    let (mut flows, steps) = burst(&mut stage, &anna);
    assert_eq!(steps[0], "call");
    assert!(steps[1..].iter().all(|step| step == "503 KEYS_UNAVAILABLE"), "{steps:?}");
    let transcript = stage.get(&anna);
    assert_eq!((ended(&transcript).as_str(), header(&transcript, "retry-after")), ("503 KEYS_UNAVAILABLE", Some("1")));
    assert_eq!(step_word(&stage.resume(&mut flows[0], discovery())), "call");
    assert_eq!(step_word(&stage.resume(&mut flows[0], keys(&[&RSA]))), "forward");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
}

#[test]
fn forged_tokens_before_the_keys_are_known_make_for_one_fetch() {
    let mut stage = Stage::cold(passthrough());
    let forged = rotated(&mut stage);
    let (mut flows, steps) = burst(&mut stage, &forged);
    assert_eq!(steps.iter().filter(|step| *step == "call").count(), 1);
    stage.resume(&mut flows[0], discovery());
    assert_eq!(step_word(&stage.resume(&mut flows[0], keys(&[&RSA]))), "401 TOKEN_INVALID");
    check(&stage.get(&forged), "keys", "401 TOKEN_INVALID key_unknown");
    check(&stage.get(&forged), "", "401 TOKEN_INVALID key_unknown");
}

#[test]
fn of_many_requests_of_a_new_key_one_asks_and_the_others_are_told_to_come_back() {
    let mut stage = Stage::warm(passthrough());
    let bob = rotated(&mut stage);
    let (mut flows, steps) = burst(&mut stage, &bob);
    assert_eq!(steps[0], "call");
    assert!(steps[1..].iter().all(|step| step == "503 KEYS_UNAVAILABLE"), "{steps:?}");
    assert_eq!(step_word(&stage.resume(&mut flows[0], keys(&[&NEW]))), "forward");
    check(&stage.get(&bob), "", "forward Bearer <bob>");
}

#[test]
fn where_requests_can_wait_all_send_the_same_callout_and_all_are_served() {
    let mut stage = Stage::cold(passthrough());
    stage.sim.can.waits_for_others = true;
    let anna = stage.token("anna");
    let mut begun: Vec<_> = (0..50).map(|_| stage.begin(&anna)).collect();
    for answer in [discovery(), keys(&[&RSA])] {
        let shares: Vec<_> = begun.iter().map(|(_, step)| share(step)).collect();
        assert!(shares[0].is_some() && shares.iter().all(|share| *share == shares[0]), "{shares:?}");
        for (number, (flow, step)) in begun.iter_mut().enumerate() {
            *step = stage.resume_with(flow, answer.clone(), number > 0);
        }
    }
    assert!(begun.iter().all(|(_, step)| step_word(step) == "forward"));
    let fetched = stage.sim.counts.iter().filter(|count| **count == Metric::KeysFetchOk).count();
    assert_eq!(fetched, 1, "an answer that was shared is counted once");
}

fn share(step: &Step) -> Option<databricks_kong::base::Fingerprint> {
    let Step::Call(callout) = step else { return None };
    callout.share
}

#[test]
fn requests_that_overlap_do_not_get_round_the_thirty_seconds() {
    let mut stage = Stage::warm(passthrough());
    let forged = rotated(&mut stage);
    let (mut waiting, _) = stage.begin(&forged);
    let mut fetches = 1;
    for _ in 0..1000 {
        stage.sim.pass(std::time::Duration::from_millis(20));
        let (next, step) = stage.begin(&forged);
        if matches!(step, Step::Call(_)) {
            fetches += 1;
            assert_eq!(step_word(&stage.resume(&mut waiting, keys(&[&RSA]))), "401 TOKEN_INVALID");
            waiting = next;
        }
    }
    assert_eq!(fetches, 1, "fetches within 20 s");
}

#[test]
fn a_lost_answer_does_not_end_the_thirty_seconds_between_refreshes() {
    let mut stage = Stage::warm(passthrough());
    let forged = rotated(&mut stage);
    // the client went away: its answer never comes
    drop(stage.begin(&forged));
    let mut fetches = 0;
    for _ in 0..600 {
        stage.pass(1);
        fetches += stage.get(&forged).callouts.len();
    }
    assert!(fetches <= 20, "{fetches} fetches within 600 s");
}

#[test]
fn a_lost_refresh_of_stale_keys_is_made_up_for() {
    let mut stage = Stage::warm(passthrough());
    let anna = stage.token("anna");
    stage.pass(600);
    drop(stage.begin(&anna));
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    // three times two tries of 2 s: see `lease`
    stage.pass(12);
    check(&stage.get(&anna), "keys", "forward Bearer <anna>");
}

#[test]
fn configurations_that_name_the_same_source_share_its_keys_and_others_do_not() {
    let mut stage = Stage::warm(passthrough());
    let anna = stage.token("anna");
    stage.sim.config = with_credential(json!({"type": "none"}));
    check(&stage.get(&anna), "", "forward nothing");
    for url in ["https://idp.example/keys", "https://idp.example/other"] {
        let mut changes = provider(json!({ "jwks_url": url }));
        changes["roles"] = json!([role(json!({"type": "passthrough"}))]);
        stage.sim.config = config(changes);
        check(&stage.get(&anna), "keys", "forward Bearer <anna>");
    }
}
