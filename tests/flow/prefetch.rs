//! Keys that a tick fetches ahead of need.

use crate::stage::*;
use databricks_kong::base::Now;
use databricks_kong::flow::{Callout, Prefetch};
use databricks_kong::sim::{Answer, Purpose};
use serde_json::json;

/// A stage and the ticks of its configuration, used for the last time when it started.
struct Ticks {
    stage: Stage,
    prefetch: Prefetch,
    started: Now,
    callouts: u32,
}

impl Ticks {
    fn new(config: std::rc::Rc<databricks_kong::config::Config>) -> Self {
        let stage = Stage::cold(config);
        Self { started: stage.sim.now, stage, prefetch: Prefetch::default(), callouts: 0 }
    }

    /// One tick whose callouts are answered.
    fn run(&mut self) -> usize {
        self.stage.sim.tick(&mut self.prefetch, self.started.uptime, &mut self.stage.world).len()
    }

    /// One tick whose callout stays under way.
    fn begin(&mut self) -> Option<Callout> {
        let (prefetch, used_at) = (&mut self.prefetch, self.started.uptime);
        let callout = self.stage.sim.prefetch(|env| prefetch.on_tick(used_at, env))?;
        self.callouts += 1;
        self.prefetch.on_sent(self.callouts);
        Some(callout)
    }

    /// Answers the last callout.
    fn resume(&mut self, answer: Answer) -> Option<Callout> {
        self.answer(self.callouts, answer)
    }

    fn answer(&mut self, callout: u32, answer: Answer) -> Option<Callout> {
        let prefetch = &mut self.prefetch;
        let answer = databricks_kong::flow::Answer::own(answer.result);
        let next = self.stage.sim.prefetch(|env| prefetch.on_reply(callout, answer, env))?;
        self.callouts += 1;
        self.prefetch.on_sent(self.callouts);
        Some(next)
    }
}

fn two_providers() -> std::rc::Rc<databricks_kong::config::Config> {
    config(json!({"identity_providers": [
        {"name": "idp", "issuer": ISSUER, "audiences": ["databricks"], "jwks_url": "https://idp.example/keys"},
        {"name": "other", "issuer": "https://other.example", "audiences": ["databricks"], "jwks_url": "https://other.example/keys"},
    ]}))
}

#[test]
fn the_first_tick_fetches_the_keys_so_that_no_request_waits() {
    let mut ticks = Ticks::new(config(json!({})));
    assert_eq!(ticks.run(), 2);
    let anna = ticks.stage.token("anna");
    check(&ticks.stage.get(&anna), "token", "forward Bearer <dbx-1>");
}

#[test]
fn keys_are_fetched_again_before_they_are_stale() {
    let mut ticks = Ticks::new(config(json!({})));
    ticks.run();
    for (pass, sent) in [(1, 0), (478, 0), (1, 1), (1, 0)] {
        ticks.stage.pass(pass);
        assert_eq!(ticks.run(), sent, "{:?}", ticks.stage.sim.now);
    }
}

#[test]
fn fifteen_minutes_after_the_last_use_nothing_is_fetched() {
    let mut ticks = Ticks::new(config(json!({})));
    ticks.stage.pass(901);
    assert_eq!(ticks.run(), 0);
    ticks.stage.sim.now = ticks.started.plus(secs(900));
    assert_eq!(ticks.run(), 2);
}

#[test]
fn there_is_one_fetch_at_a_time_and_each_provider_has_its_turn() {
    let mut ticks = Ticks::new(two_providers());
    let first = ticks.begin().unwrap();
    assert_eq!(first.url.to_string(), "https://idp.example/keys");
    assert!(ticks.begin().is_none());
    assert_eq!(ticks.resume(keys(&[&RSA])).unwrap().url.to_string(), "https://other.example/keys");
}

#[test]
fn a_provider_that_is_down_is_tried_every_five_seconds_and_holds_up_no_other() {
    let mut ticks = Ticks::new(two_providers());
    ticks.begin();
    ticks.resume(lost());
    assert_eq!(ticks.resume(lost()).unwrap().url.to_string(), "https://other.example/keys");
    assert!(ticks.resume(keys(&[&EC])).is_none());
    ticks.stage.pass(4);
    assert_eq!(ticks.run(), 0);
    ticks.stage.pass(1);
    assert_eq!(ticks.run(), 1);
}

#[test]
fn a_fetch_whose_answer_is_lost_is_made_again_after_a_minute() {
    let mut ticks = Ticks::new(config(json!({})));
    assert!(ticks.begin().is_some());
    ticks.stage.pass(60);
    assert!(ticks.begin().is_none());
    ticks.stage.pass(1);
    assert_eq!(ticks.run(), 2);
}

#[test]
fn a_fetch_that_the_host_could_not_send_is_made_again_when_its_lease_has_ended() {
    let mut ticks = Ticks::new(config(json!({})));
    assert!(ticks.begin().is_some());
    ticks.prefetch.on_not_sent();
    ticks.stage.pass(11);
    assert!(ticks.begin().is_none());
    ticks.stage.pass(1);
    assert_eq!(ticks.run(), 2);
}

#[test]
fn an_answer_that_nothing_waits_for_changes_nothing() {
    let mut ticks = Ticks::new(config(json!({})));
    assert!(ticks.resume(keys(&[&NEW])).is_none());
    assert!(ticks.begin().is_some());
    ticks.prefetch.on_not_sent();
    assert!(ticks.resume(discovery()).is_none());
}

#[test]
fn a_late_answer_of_one_provider_never_becomes_the_keys_of_another() {
    let mut ticks = Ticks::new(two_providers());
    assert_eq!(ticks.begin().unwrap().url.to_string(), "https://idp.example/keys");
    // `idp` is slow: its lease has ended and the tick goes on with it; it hangs again, and `other` has its turn
    ticks.stage.pass(61);
    let anna = ticks.stage.token("anna");
    check(&ticks.stage.get(&anna), "keys token", "forward Bearer <dbx-1>");
    assert_eq!(ticks.begin().unwrap().url.to_string(), "https://other.example/keys");
    // now `idp` answers the first callout, whose fetch was given up
    ticks.answer(1, keys(&[&EC]));
    let forged = EC.token("admin", json!({"iss": "https://other.example"}));
    ticks.stage.world.set(Purpose::Keys, [keys(&[&NEW])]);
    ticks.stage.pass(12);
    check(&ticks.stage.get(&forged), "keys", "401 TOKEN_INVALID key_unknown");
}

#[test]
fn a_request_that_meets_stale_keys_leaves_the_refresh_to_the_tick_that_began_it() {
    let mut ticks = Ticks::new(with_credential(json!({"type": "passthrough"})));
    ticks.run();
    ticks.stage.pass(600);
    assert!(ticks.begin().is_some());
    let anna = ticks.stage.token("anna");
    check(&ticks.stage.get(&anna), "", "forward Bearer <anna>");
}
