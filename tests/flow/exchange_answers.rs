//! What each answer of the token endpoint comes to.

use crate::stage::*;
use databricks_kong::flow::CalloutFault;
use databricks_kong::sim::{Answer, End, Purpose};
use serde_json::json;

fn stage() -> (Stage, String) {
    with(json!({}))
}

/// A gateway that waits for two minutes.
fn patient() -> (Stage, String) {
    with(json!({"callouts": {"timeout": 60_000}}))
}

fn with(changes: serde_json::Value) -> (Stage, String) {
    let mut stage = Stage::warm(config(changes));
    let anna = stage.token("anna");
    (stage, anna)
}

#[test]
fn failures_are_tried_again_and_then_the_caller_is_asked_to_come_back() {
    for answer in [
        lost(),
        Answer::fault(CalloutFault::Truncated),
        Answer::new(500, "{}"),
        Answer::new(502, "<html>"),
        Answer::new(404, "{}"),
        Answer::new(302, ""),
        Answer::new(204, ""),
        Answer::new(400, "<html>"),
        Answer::new(400, r#"{"error":"temporarily_unavailable"}"#),
        Answer::new(200, ""),
        Answer::new(200, "not json"),
        Answer::new(200, r#"{"access_token":"dbx-1","token_type":"Bearer","expires_in":3600"#),
        Answer::new(200, r#"{"access_token":"dbx-1","token_type":"mac"}"#),
        Answer::new(200, r#"{"access_token":"dbx 1"}"#),
        Answer::new(200, r#"{"access_token":"dbx-2","access_token":"dbx-1","token_type":"Bearer","expires_in":3600}"#),
        Answer::new(200, r#"{"access_token":"dbx-1","token_type":"Bearer","expires_in":60,"expires_\u0069n":3600}"#),
    ] {
        let (mut stage, anna) = stage();
        stage.world.set(Purpose::Token, [answer.clone()]);
        let transcript = stage.get(&anna);
        check(&transcript, "token token", "503 EXCHANGE_UNAVAILABLE");
        assert_eq!(header(&transcript, "retry-after"), Some("1"), "{answer:?}");
        assert_eq!(transcript.log.len(), 2);
        stage.world.set(Purpose::Token, [answer, minted("dbx-1", 3600)]);
        check(&stage.get(&anna), "token token", "forward Bearer <dbx-1>");
    }
}

#[test]
fn there_are_as_many_tries_as_configured() {
    for attempts in 1..=5 {
        let mut stage = Stage::warm(config(json!({"callouts": {"attempts": attempts}})));
        let anna = stage.token("anna");
        stage.world.set(Purpose::Token, [lost()]);
        check(&stage.get(&anna), &["token"].repeat(attempts).join(" "), "503 EXCHANGE_UNAVAILABLE");
    }
}

#[test]
fn a_refusal_is_final_and_shows_databricks_code_alone() {
    for status in [400, 401, 403] {
        let (mut stage, anna) = stage();
        let refusal = r#"{"error":"invalid_grant","error_description":"canary of databricks"}"#;
        stage.world.set(Purpose::Token, [Answer::new(status, refusal), minted("dbx-1", 3600)]);
        let transcript = stage.get(&anna);
        check(&transcript, "token", "403 EXCHANGE_REFUSED invalid_grant");
        assert!(!format!("{:?}{:?}", transcript.end, transcript.log).contains("canary"));
        // nothing is remembered of it
        check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    }
}

#[test]
fn a_code_that_is_none_is_not_shown() {
    for code in [r#""canary text""#, r#""<canary>""#, "7", r#"{"canary":1}"#] {
        let (mut stage, anna) = stage();
        stage.world.set(Purpose::Token, [Answer::new(400, format!(r#"{{"error":{code}}}"#))]);
        let transcript = stage.get(&anna);
        check(&transcript, "token", "403 EXCHANGE_REFUSED");
        assert!(!format!("{:?}{:?}", transcript.end, transcript.log).contains("canary"));
    }
}

#[test]
fn a_throttling_token_endpoint_is_left_alone_as_long_as_it_asks() {
    for status in [429, 503] {
        let (mut stage, anna) = stage();
        stage.world.set(Purpose::Token, [Answer::new(status, "").retry_after("7"), minted("dbx-1", 3600)]);
        let transcript = stage.get(&anna);
        check(&transcript, "token", "503 EXCHANGE_UNAVAILABLE");
        assert_eq!(header(&transcript, "retry-after"), Some("7"));
        stage.pass(3);
        let transcript = stage.get(&anna);
        check(&transcript, "", "503 EXCHANGE_UNAVAILABLE");
        assert_eq!(header(&transcript, "retry-after"), Some("4"));
        stage.pass(4);
        check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    }
}

#[test]
fn throttling_holds_off_the_one_token_alone() {
    let (mut stage, anna) = stage();
    let bob = stage.token("bob");
    stage.world.set(Purpose::Token, [Answer::new(429, "").retry_after("60"), minted("dbx-1", 3600)]);
    check(&stage.get(&anna), "token", "503 EXCHANGE_UNAVAILABLE");
    check(&stage.get(&bob), "token", "forward Bearer <dbx-1>");
    check(&stage.get(&anna), "", "503 EXCHANGE_UNAVAILABLE");
}

#[test]
fn a_shared_credential_that_is_throttled_is_so_for_all_its_callers() {
    let mut stage = Stage::warm(with_credential(service_principal()));
    let (anna, bob) = (stage.token("anna"), stage.token("bob"));
    stage.world.set(Purpose::Token, [Answer::new(429, "").retry_after("60")]);
    check(&stage.get(&anna), "token", "503 EXCHANGE_UNAVAILABLE");
    check(&stage.get(&bob), "", "503 EXCHANGE_UNAVAILABLE");
}

#[test]
fn how_long_a_token_endpoint_may_ask_for_is_bounded() {
    for (value, wait) in [("0", "1"), ("299", "299"), ("301", "300"), ("99999999999999999999", "1"), ("soon", "1")] {
        let (mut stage, anna) = stage();
        stage.world.set(Purpose::Token, [Answer::new(429, "").retry_after(value)]);
        assert_eq!(header(&stage.get(&anna), "retry-after"), Some(wait), "{value}");
    }
}

#[test]
fn a_token_endpoint_that_hands_back_the_callers_token_is_refused() {
    for credential in [json!({"type": "user_federation"}), service_principal()] {
        let mut stage = Stage::warm(with_credential(credential));
        let anna = stage.token("anna");
        stage.world.set(Purpose::Token, [minted(&anna, 3600)]);
        check(&stage.get(&anna), "token token", "503 EXCHANGE_UNAVAILABLE");
    }
}

#[test]
fn a_caller_whose_token_expires_while_databricks_is_asked_is_refused() {
    let (mut stage, _) = patient();
    let brief = stage.token_with("anna", json!({"exp": NOW + 5}));
    stage.world.set(Purpose::Token, [minted("dbx-1", 3600).after(secs(34))]);
    check(&stage.get(&brief), "token", "forward Bearer <dbx-1>");
    stage.sim.now.wall = databricks_kong::base::UnixTime::from_secs(NOW);
    let bob = stage.token_with("bob", json!({"exp": NOW + 5}));
    stage.world.set(Purpose::Token, [minted("dbx-2", 3600).after(secs(35))]);
    check(&stage.get(&bob), "token", "401 TOKEN_EXPIRED");
}

#[test]
fn a_token_that_has_ended_while_an_answer_was_lost_is_not_sent_again() {
    let (mut stage, _) = patient();
    for (wait, asked, end) in [(34, "token token", "forward Bearer <dbx-1>"), (35, "token", "401 TOKEN_EXPIRED")] {
        stage.sim.now.wall = databricks_kong::base::UnixTime::from_secs(NOW);
        let brief = stage.token_with(&format!("brief-{wait}"), json!({"exp": NOW + 5}));
        stage.world.set(Purpose::Token, [lost().after(secs(wait)), minted("dbx-1", 3600)]);
        check(&stage.get(&brief), asked, end);
    }
}

#[test]
fn an_answer_that_is_too_long_is_not_asked_for_again() {
    let (mut stage, anna) = stage();
    let long = format!(r#"{{"access_token":"dbx-1","x":"{}"}}"#, "x".repeat(64 * 1024));
    stage.world.set(Purpose::Token, [Answer::new(200, long)]);
    check(&stage.get(&anna), "token", "503 EXCHANGE_UNAVAILABLE");
}

#[test]
fn all_tries_together_take_no_longer_than_each_is_given() {
    let (mut stage, anna) = stage();
    // a host may bound each step of a try only, so that an answer drips in for half a minute
    stage.world.set(Purpose::Token, [minted("dbx-1", 3600).after(secs(30)), minted("dbx-2", 3600)]);
    check(&stage.get(&anna), "token", "503 EXCHANGE_UNAVAILABLE");
    stage.world.set(Purpose::Token, [lost().after(secs(3)), minted("dbx-3", 3600).after(secs(1))]);
    check(&stage.get(&anna), "token token", "forward Bearer <dbx-3>");
}

#[test]
fn a_late_answer_is_as_old_as_its_question() {
    let (mut stage, anna) = patient();
    stage.world.set(Purpose::Token, [minted("dbx-1", 100).after(secs(60)), minted("dbx-2", 3600)]);
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.pass(40);
    check(&stage.get(&anna), "token", "forward Bearer <dbx-2>");
}

#[test]
fn the_life_of_a_token_counts_from_the_try_that_got_it() {
    let (mut stage, anna) = patient();
    stage.world.set(Purpose::Token, [lost().after(secs(90)), minted("dbx-1", 100), minted("dbx-2", 100)]);
    check(&stage.get(&anna), "token token", "forward Bearer <dbx-1>");
    stage.pass(60);
    check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
}

#[test]
fn an_answer_ends_the_wait_that_another_request_was_told() {
    let (mut stage, anna) = stage();
    let ((mut throttled, _), (mut served, _)) = (stage.begin(&anna), stage.begin(&anna));
    let step = stage.resume(&mut throttled, Answer::new(429, "").retry_after("60"));
    assert_eq!(step_word(&step), "503 EXCHANGE_UNAVAILABLE");
    assert_eq!(step_word(&stage.resume(&mut served, minted("dbx-1", 3600))), "forward");
    served.on_response(401, None, &mut stage.sim.memory);
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
}

#[test]
fn every_503_says_when_to_come_back() {
    let (mut stage, anna) = stage();
    for answer in [lost(), Answer::new(429, ""), Answer::new(500, "")] {
        stage.pass(10);
        stage.world.set(Purpose::Token, [answer]);
        let transcript = stage.get(&anna);
        assert!(matches!(transcript.end, End::Reply { status: 503, .. }), "{transcript}");
        assert!(header(&transcript, "retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    }
}
