//! A token that comes again is not verified again, and that lets nobody in who would not be let in the first time.

use crate::stage::*;
use databricks_kong::config::Config;
use databricks_kong::flow::Metric;
use databricks_kong::sim::Purpose;
use serde_json::{Value, json};
use std::rc::Rc;

fn passthrough(changes: Value) -> Rc<Config> {
    let mut all = json!({"roles": [role(json!({"type": "passthrough"}))]});
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    config(all)
}

/// A token that was let in once.
fn let_in() -> (Stage, String) {
    let mut stage = Stage::warm(passthrough(json!({})));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    (stage, anna)
}

#[test]
fn a_token_that_was_let_in_comes_again_until_it_ends() {
    let (mut stage, anna) = let_in();
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    // the skew of thirty seconds holds for the second time too
    stage.world.set(Purpose::Keys, [keys(&[&RSA])]);
    stage.pass(3600 + 29);
    check(&stage.get(&anna), "keys", "forward Bearer <anna>");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    stage.pass(1);
    check(&stage.get(&anna), "", "401 TOKEN_EXPIRED");
}

#[test]
fn a_clock_that_goes_back_is_noticed() {
    let mut stage = Stage::warm(passthrough(json!({})));
    let anna = stage.token_with("anna", json!({"nbf": NOW, "iat": NOW}));
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    stage.sim.now.wall = stage.sim.now.wall.minus(secs(40));
    check(&stage.get(&anna), "", "401 TOKEN_NOT_YET_VALID");
}

#[test]
fn a_change_of_one_byte_is_another_token() {
    let (mut stage, anna) = let_in();
    let (signing_input, signature) = anna.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let changed = format!("{signing_input}.{first}{}", signature.get(1..).unwrap());
    check(&stage.get(&changed), "", "401 TOKEN_INVALID signature_invalid");
    check(&stage.get(&format!("{anna}=")), "", "401 TOKEN_INVALID malformed");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
}

#[test]
fn a_key_that_is_no_longer_listed_vouches_for_nobody() {
    let (mut stage, anna) = let_in();
    stage.world.set(Purpose::Keys, [keys(&[&EC])]);
    stage.pass(600);
    check(&stage.get(&anna), "keys", "401 TOKEN_INVALID key_unknown");
    check(&stage.get(&anna), "keys", "401 TOKEN_INVALID key_unknown");
}

#[test]
fn another_route_of_the_worker_judges_for_itself() {
    let (mut stage, anna) = let_in();
    let mut strict = provider(json!({"audiences": ["another"]}));
    strict["roles"] = json!([role(json!({"type": "passthrough"}))]);
    let first = std::mem::replace(&mut stage.sim.config, config(strict));
    check(&stage.get(&anna), "", "401 TOKEN_INVALID audience_mismatch");
    stage.sim.config = first;
    check(&stage.get(&anna), "", "forward Bearer <anna>");
}

#[test]
fn a_changed_configuration_judges_anew() {
    let (mut stage, anna) = let_in();
    for _ in 0..20 {
        // dropped each time, so that the next may come to stand at the same address
        let mut strict = provider(json!({"require": {"email_verified": true}}));
        strict["roles"] = json!([role(json!({"type": "passthrough"}))]);
        stage.sim.config = config(strict);
        check(&stage.get(&anna), "", "401 TOKEN_INVALID claim_required");
        stage.sim.config = passthrough(json!({}));
        check(&stage.get(&anna), "", "forward Bearer <anna>");
    }
}

#[test]
fn groups_and_roles_are_looked_at_every_time() {
    let (mut stage, _) = let_in();
    let eve = stage.token_with("eve", json!({"groups": ["sales"]}));
    for _ in 0..2 {
        check(&stage.get(&eve), "", "403 NO_ROLE");
    }
}

/// Whether each of these tokens was known when it came.
fn known(stage: &mut Stage, tokens: &[&String]) -> Vec<bool> {
    let mut come = |token: &&String| {
        stage.sim.counts.clear();
        assert!(ended(&stage.get(token)).starts_with("forward "));
        stage.sim.counts.contains(&Metric::VerdictCacheHit)
    };
    tokens.iter().map(&mut come).collect()
}

#[test]
fn without_room_every_token_is_verified() {
    let mut stage = Stage::warm(passthrough(json!({"limits": {"cached_tokens": 0}})));
    let anna = stage.token("anna");
    assert_eq!(known(&mut stage, &[&anna, &anna]), [false, false]);
}

#[test]
fn there_is_room_for_as_many_tokens_as_configured_and_those_that_end_first_go() {
    let mut stage = Stage::warm(passthrough(json!({"limits": {"cached_tokens": 2}})));
    let [anna, bob, carl] = [("anna", 100), ("bob", 200), ("carl", 300)]
        .map(|(name, life)| stage.named(name, RSA.token(name, json!({"exp": NOW + life}))));
    assert_eq!(known(&mut stage, &[&anna, &bob, &anna, &bob]), [false, false, true, true]);
    assert_eq!(known(&mut stage, &[&carl, &bob, &carl, &anna]), [false, true, true, false]);
}
