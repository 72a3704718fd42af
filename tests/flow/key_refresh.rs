//! Keys that are known: rotation, unknown keys, and providers that are down.

use crate::stage::*;
use databricks_kong::flow::{Flow, Step};
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
    stage.world.set(Purpose::Keys, [lost().after(secs(6))]);
    stage.pass(600);
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
    // while one whose key may be among the new ones waits for them
    let bob = rotated(&mut stage);
    assert_eq!(step_word(&stage.begin(&bob).1), "call");
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

#[test]
fn cold_requests_do_not_wait_for_each_other() {
    let mut stage = Stage::cold(passthrough());
    let anna = stage.token("anna");
    let mut flows: Vec<_> = (0..200).map(|_| stage.begin(&anna)).collect();
    assert!(flows.iter().all(|(_, step)| matches!(step, Step::Call(_))));
    for (flow, _) in &mut flows {
        assert_eq!(step_word(&stage.resume(flow, discovery())), "call");
        assert_eq!(step_word(&stage.resume(flow, keys(&[&RSA]))), "forward");
    }
}

#[test]
fn a_cold_request_whose_own_fetch_fails_uses_the_keys_that_another_got() {
    let mut stage = Stage::cold(passthrough());
    let anna = stage.token("anna");
    let (mut unlucky, _) = stage.begin(&anna);
    check(&stage.get(&anna), "discovery keys", "forward Bearer <anna>");
    assert_eq!(step_word(&stage.resume(&mut unlucky, lost())), "call");
    assert_eq!(step_word(&stage.resume(&mut unlucky, lost())), "forward");
}

#[test]
fn a_fetch_that_succeeds_makes_up_for_one_that_failed_beside_it() {
    let mut stage = Stage::cold(passthrough());
    let (anna, bob) = (stage.token("anna"), rotated(&mut stage));
    let ((mut lucky, _), (mut unlucky, _)) = (stage.begin(&anna), stage.begin(&anna));
    assert_eq!(step_word(&stage.resume(&mut lucky, discovery())), "call");
    stage.resume(&mut unlucky, lost());
    assert_eq!(step_word(&stage.resume(&mut unlucky, lost())), "503 KEYS_UNAVAILABLE");
    assert_eq!(step_word(&stage.resume(&mut lucky, keys(&[&RSA]))), "forward");
    stage.world.set(Purpose::Keys, [keys(&[&NEW])]);
    check(&stage.get(&bob), "discovery keys", "forward Bearer <bob>");
}

/// Requests of a new key that arrive while the keys are being fetched.
fn join(stage: &mut Stage, token: &str, most: usize) -> (Vec<Flow>, Vec<String>) {
    let begun: Vec<_> = (0..most).map(|_| stage.begin(token)).collect();
    let steps = begun.iter().map(|(_, step)| step_word(step)).collect();
    (begun.into_iter().map(|(flow, _)| flow).collect(), steps)
}

#[test]
fn requests_of_a_new_key_join_a_fetch_that_is_under_way_but_not_endlessly() {
    let mut stage = Stage::warm(passthrough());
    let bob = rotated(&mut stage);
    let (flows, steps) = join(&mut stage, &bob, 70);
    assert!(steps[..64].iter().all(|step| step == "call"), "{steps:?}");
    assert!(steps[64..].iter().all(|step| step == "503 KEYS_UNAVAILABLE"), "{steps:?}");
    for mut flow in flows.into_iter().take(64) {
        assert_eq!(step_word(&stage.resume(&mut flow, keys(&[&NEW]))), "forward");
    }
}

#[test]
fn a_request_of_a_new_key_joins_what_is_still_under_way_when_others_have_come_back() {
    let mut stage = Stage::warm(passthrough());
    let bob = rotated(&mut stage);
    let [(mut first, _), (mut second, _)] = [stage.begin(&bob), stage.begin(&bob)];
    assert_eq!(step_word(&stage.resume(&mut first, keys(&[&RSA]))), "401 TOKEN_INVALID", "not there yet");
    let (mut third, step) = stage.begin(&bob);
    assert_eq!(step_word(&step), "call");
    for flow in [&mut second, &mut third] {
        assert_eq!(step_word(&stage.resume(flow, keys(&[&NEW]))), "forward");
    }
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
    assert!(fetches <= 65, "{fetches} fetches within 20 s");
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
    assert!(fetches <= 20 + 64, "{fetches} fetches within 600 s");
}

#[test]
fn a_lost_refresh_of_stale_keys_is_made_up_for() {
    let mut stage = Stage::warm(passthrough());
    let anna = stage.token("anna");
    stage.pass(600);
    drop(stage.begin(&anna));
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    // two tries of 2 s, of which hosts bound each step alone
    stage.pass(16);
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
