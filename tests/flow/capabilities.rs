//! Hosts that cannot do everything: what the core then asks for, and what it does without.

use crate::stage::*;
use databricks_kong::config::Config;
use databricks_kong::flow::{Capabilities, Follow};
use databricks_kong::sim::{Answer, Purpose};
use serde_json::json;
use std::rc::Rc;

const POOR: Capabilities =
    Capabilities { timers: false, after_body: Follow::Never, after_failure: false, waits_for_others: false };

fn stage(config: Rc<Config>, can: Capabilities) -> (Stage, String) {
    let mut stage = Stage::warm(config);
    stage.sim.can = can;
    let anna = stage.token("anna");
    (stage, anna)
}

#[test]
fn a_failed_callout_is_tried_again_only_where_another_may_follow_it() {
    for (after_failure, asked, end) in
        [(true, "token token", "forward Bearer <dbx-1>"), (false, "token", "503 EXCHANGE_UNAVAILABLE")]
    {
        let (mut stage, anna) = stage(config(json!({})), Capabilities { after_failure, ..Capabilities::ALL });
        stage.world.set(Purpose::Token, [lost(), minted("dbx-1", 3600)]);
        check(&stage.get(&anna), asked, end);
    }
}

#[test]
fn a_try_that_cannot_be_made_is_not_counted_as_a_failure_of_its_own() {
    let (mut stage, anna) = stage(config(json!({})), POOR);
    stage.world.set(Purpose::Token, [Answer::new(500, "")]);
    let transcript = stage.get(&anna);
    check(&transcript, "token", "503 EXCHANGE_UNAVAILABLE");
    assert_eq!(transcript.log.len(), 1, "{:?}", transcript.log);
    let failures = stage.sim.counts.iter().filter(|count| **count == databricks_kong::flow::Metric::ExchangeFailed);
    assert_eq!(failures.count(), 1);
}

#[test]
fn where_bodies_must_not_follow_each_other_something_without_one_goes_between() {
    for (after_body, asked, end) in [
        (Follow::Freely, "token token", "forward Bearer <dbx-1>"),
        (Follow::Spaced, "token spacer token", "forward Bearer <dbx-1>"),
        (Follow::Never, "token", "503 EXCHANGE_UNAVAILABLE"),
    ] {
        let (mut stage, anna) = stage(config(json!({})), Capabilities { after_body, ..Capabilities::ALL });
        stage.world.set(Purpose::Token, [Answer::new(500, ""), minted("dbx-1", 3600)]);
        stage.world.set(Purpose::Spacer, [Answer::new(404, "whatever")]);
        check(&stage.get(&anna), asked, end);
    }
}

#[test]
fn what_goes_between_has_no_body_no_credential_and_nothing_of_the_caller() {
    let (mut stage, anna) =
        stage(with_credential(service_principal()), Capabilities { after_body: Follow::Spaced, ..Capabilities::ALL });
    stage.world.set(Purpose::Token, [Answer::new(500, ""), minted("dbx-1", 3600)]);
    let transcript = stage.get(&anna);
    let spacer = &transcript.callouts[1];
    assert_eq!((spacer.method, spacer.url.as_str()), ("GET", "https://adb.example.net/"));
    let names: Vec<_> = spacer.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, spacer.form.len()), (vec!["accept", "user-agent"], 0));
}

#[test]
fn a_failure_of_what_goes_between_ends_the_tries_where_nothing_may_follow_it() {
    let can = Capabilities { after_body: Follow::Spaced, after_failure: false, ..Capabilities::ALL };
    let (mut stage, anna) = stage(config(json!({})), can);
    stage.world.set(Purpose::Token, [Answer::new(500, ""), minted("dbx-1", 3600)]);
    stage.world.set(Purpose::Spacer, [lost()]);
    check(&stage.get(&anna), "token spacer", "503 EXCHANGE_UNAVAILABLE");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
}

#[test]
fn equal_exchanges_bear_the_same_mark_and_others_do_not() {
    let (mut stage, anna) = stage(config(json!({})), Capabilities::ALL);
    let again = stage.token_with("anna-2", json!({"sub": "anna", "jti": "2"}));
    let bob = stage.token("bob");
    let mut mark = |token: &str| {
        let (_, step) = stage.begin(token);
        let databricks_kong::flow::Step::Call(callout) = step else { panic!("{step:?}") };
        callout.share.unwrap()
    };
    let marks = [mark(&anna), mark(&anna), mark(&again), mark(&bob)];
    assert_eq!(marks[0], marks[1]);
    assert!(marks[0] != marks[2], "another jwt of the same caller ends at another time");
    assert!(marks[0] != marks[3] && marks[2] != marks[3]);
}

#[test]
fn an_answer_that_was_shared_serves_all_and_is_counted_once() {
    let (mut stage, anna) = stage(with_credential(service_principal()), Capabilities::ALL);
    let mut flows: Vec<_> = (0..20).map(|_| stage.begin(&anna).0).collect();
    for (number, flow) in flows.iter_mut().enumerate() {
        assert_eq!(step_word(&stage.resume_with(flow, minted("dbx-1", 3600), number > 0)), "forward");
    }
    let exchanges = stage.sim.counts.iter().filter(|count| **count == databricks_kong::flow::Metric::ExchangeOk);
    assert_eq!(exchanges.count(), 1);
}

#[test]
fn a_token_that_may_be_used_once_is_the_askers_and_whoever_shared_the_answer_asks_for_one_of_its_own() {
    let (mut stage, anna) = stage(config(json!({})), Capabilities::ALL);
    let [mut asker, mut waiter] = [0, 1].map(|_| stage.begin(&anna).0);
    let once = || Answer::new(200, json!({"access_token": "dbx-1", "token_type": "Bearer"}).to_string());
    assert_eq!(step_word(&stage.resume_with(&mut asker, once(), false)), "forward");
    let databricks_kong::flow::Step::Call(own) = stage.resume_with(&mut waiter, once(), true) else { panic!() };
    assert!(own.share.is_none(), "nobody waits for it but the one that asks");
    assert_eq!(step_word(&stage.resume_with(&mut waiter, minted("dbx-2", 3600), false)), "forward");
}
