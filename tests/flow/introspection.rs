//! Tokens that a provider is asked about: those that nothing can be read from, and those of providers that are asked of every token.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::config::Config;
use databricks_kong::flow::{Capabilities, Follow, Metric};
use databricks_kong::sim::{Answer, Purpose};
use serde_json::{Value, json};
use std::rc::Rc;

const KONG: Capabilities =
    Capabilities { timers: false, after_body: Follow::Never, after_failure: false, waits_for_others: false };
const OPAQUE: &str = "opaque-token-1";

fn introspection(changes: Value) -> Value {
    let mut entry = json!({
        "url": "https://idp.example/introspect", "client_id": "gate way", "client_secret": "canary-secret",
    });
    entry.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    entry
}

fn with(entry: Value, credential: Value) -> Rc<Config> {
    let mut changes = provider(json!({ "introspection": entry }));
    changes["roles"] = json!([role(credential)]);
    config(changes)
}

/// A gateway that asks of opaque tokens, or of all, and has its keys.
fn stage(when: &str, credential: Value) -> Stage {
    let mut stage = Stage::warm(with(introspection(json!({ "when": when })), credential));
    stage.sim.name(OPAQUE, "opaque");
    stage.world.set(Purpose::Introspection, [active(json!({}))]);
    stage
}

fn plain(when: &str) -> Stage {
    stage(when, json!({"type": "passthrough"}))
}

/// What the provider says of Anna's token.
fn active(changes: Value) -> Answer {
    let mut answer = json!({
        "active": true, "iss": ISSUER, "aud": "databricks", "sub": "anna", "groups": ["eng"], "token_type": "Bearer",
        "exp": NOW + 3600,
    });
    answer.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    answer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    ok(&answer)
}

fn inactive() -> Answer {
    ok(&json!({"active": false}))
}

fn counted(stage: &Stage, metric: Metric) -> usize {
    stage.sim.counts.iter().filter(|count| **count == metric).count()
}

#[test]
fn an_opaque_token_is_its_callers_as_the_provider_says() {
    let mut stage = plain("opaque");
    let transcript = stage.get(OPAQUE);
    check(&transcript, "introspection", "forward Bearer <opaque>");
    let record = transcript.record.unwrap();
    assert_eq!((record.idp.as_deref(), record.subject.as_deref()), (Some("idp"), Some("anna")));
    // kept for thirty seconds from when it was asked for
    stage.pass(29);
    check(&stage.get(OPAQUE), "", "forward Bearer <opaque>");
    stage.world.set(Purpose::Introspection, [inactive()]);
    stage.pass(1);
    check(&stage.get(OPAQUE), "introspection", "401 TOKEN_REVOKED");
    assert_eq!(
        [Metric::IntrospectionActive, Metric::IntrospectionInactive].map(|count| counted(&stage, count)),
        [1, 1]
    );
}

#[test]
fn the_provider_is_asked_with_the_gateways_own_credential() {
    let mut stage = plain("opaque");
    stage.sim.name("canary-secret", "secret");
    let transcript = stage.get(OPAQUE);
    let [asked] = transcript.callouts.as_slice() else { panic!("{transcript}") };
    assert_eq!((asked.method, asked.url.as_str()), ("POST", "https://idp.example/introspect"));
    let expected = [("token", "<opaque>"), ("token_type_hint", "access_token")];
    assert_eq!(asked.form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    // both parts are form-encoded (RFC 6749 2.3.1)
    let basic = ("authorization".to_owned(), "Basic gate+way:<secret>".to_owned());
    assert!(asked.headers.contains(&basic), "{asked:?}");
}

#[test]
fn what_is_shaped_like_a_jwt_is_never_asked_about_as_an_opaque_token() {
    let mut stage = plain("opaque");
    let anna = stage.token("anna");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    for token in ["a.b.c", "..", "e30.e30.AA"] {
        assert_eq!(asked(&stage.get(token)), "", "{token}");
    }
    // others are: one part, two, and the five of an encrypted one
    for token in ["x", "ya29.a0", "a.b.c.d.e", "a.b.c.d"] {
        assert_eq!(asked(&stage.get(token)), "introspection", "{token}");
    }
}

#[test]
fn without_anybody_to_ask_an_opaque_token_is_malformed() {
    let mut stage = Stage::warm(config(json!({})));
    check(&stage.get(OPAQUE), "", "401 TOKEN_INVALID malformed");
}

#[test]
fn a_token_that_is_too_long_is_not_sent_to_anybody() {
    let mut stage = plain("opaque");
    check(&stage.get(&"x".repeat(16385)), "", "401 TOKEN_INVALID too_large");
    check(&stage.get("a\u{e9}b"), "", "401 TOKEN_INVALID malformed");
}

#[test]
fn what_is_said_of_an_opaque_token_is_judged_as_a_tokens_claims() {
    for (changes, end) in [
        (json!({"aud": "other"}), "401 TOKEN_INVALID audience_mismatch"),
        (json!({"aud": null}), "401 TOKEN_INVALID claim_missing"),
        (json!({"iss": "https://other.example"}), "401 TOKEN_INVALID issuer_mismatch"),
        (json!({"exp": NOW - 100}), "401 TOKEN_EXPIRED"),
        (json!({"exp": null}), "401 TOKEN_INVALID claim_missing"),
        (json!({"nbf": NOW + 100}), "401 TOKEN_NOT_YET_VALID"),
        (json!({"token_type": "refresh_token"}), "401 TOKEN_INVALID token_use_not_allowed"),
        (json!({"token_type": null}), "401 TOKEN_INVALID claim_missing"),
        (json!({"groups": []}), "403 NO_ROLE"),
        (json!({"iss": null}), "forward Bearer <opaque>"),
    ] {
        let mut stage = plain("opaque");
        stage.world.set(Purpose::Introspection, [active(changes.clone())]);
        check(&stage.get(OPAQUE), "introspection", end);
    }
}

#[test]
fn an_answer_that_says_nothing_is_no_answer() {
    for broken in [
        lost(),
        Answer::new(401, "{}"),
        Answer::new(500, ""),
        Answer::new(200, "<html>"),
        ok(&json!({})),
        ok(&json!({"active": "true", "sub": "anna"})),
        Answer::new(200, r#"{"active":false,"active":true}"#),
    ] {
        let mut stage = plain("opaque");
        stage.world.set(Purpose::Introspection, [broken.clone()]);
        let transcript = stage.get(OPAQUE);
        // one try, however many there may be for other needs
        check(&transcript, "introspection", "503 INTROSPECTION_UNAVAILABLE");
        assert_eq!(header(&transcript, "retry-after"), Some("1"));
        assert!(
            transcript.log[0]
                .starts_with("no introspection of identity provider `idp` at https://idp.example/introspect: ")
        );
        assert_eq!(counted(&stage, Metric::IntrospectionFailed), 1);
        let mut stage = plain("always");
        stage.world.set(Purpose::Introspection, [broken]);
        let anna = stage.token("anna");
        check(&stage.get(&anna), "introspection introspection", "503 INTROSPECTION_UNAVAILABLE");
    }
}

#[test]
fn an_answer_is_not_kept_past_the_end_of_the_token() {
    let mut stage = plain("opaque");
    stage.world.set(Purpose::Introspection, [active(json!({"exp": NOW + 10}))]);
    check(&stage.get(OPAQUE), "introspection", "forward Bearer <opaque>");
    stage.pass(9);
    check(&stage.get(OPAQUE), "", "forward Bearer <opaque>");
    stage.pass(1);
    // within the skew, and asked again
    check(&stage.get(OPAQUE), "introspection", "forward Bearer <opaque>");
    stage.pass(30);
    check(&stage.get(OPAQUE), "introspection", "401 TOKEN_EXPIRED");
}

#[test]
fn an_answer_is_as_old_as_the_question() {
    let mut stage = plain("opaque");
    stage.world.set(Purpose::Introspection, [active(json!({})).after(secs(1))]);
    check(&stage.get(OPAQUE), "introspection", "forward Bearer <opaque>");
    stage.pass(28);
    check(&stage.get(OPAQUE), "", "forward Bearer <opaque>");
    stage.pass(1);
    check(&stage.get(OPAQUE), "introspection", "forward Bearer <opaque>");
}

#[test]
fn a_clock_that_goes_back_prolongs_no_answer() {
    let mut stage = plain("opaque");
    check(&stage.get(OPAQUE), "introspection", "forward Bearer <opaque>");
    stage.pass(30);
    stage.sim.now.wall = stage.sim.now.wall.minus(secs(20));
    check(&stage.get(OPAQUE), "introspection", "forward Bearer <opaque>");
}

#[test]
fn nothing_is_kept_if_nothing_is_to_be() {
    let mut stage = Stage::warm(with(introspection(json!({"cache": 0})), json!({"type": "none"})));
    stage.world.set(Purpose::Introspection, [active(json!({}))]);
    for _ in 0..2 {
        check(&stage.get(OPAQUE), "introspection", "forward nothing");
    }
}

#[test]
fn a_refusal_is_remembered_for_ten_seconds() {
    let mut stage = plain("opaque");
    stage.world.set(Purpose::Introspection, [inactive(), active(json!({}))]);
    check(&stage.get(OPAQUE), "introspection", "401 TOKEN_REVOKED");
    stage.pass(9);
    check(&stage.get(OPAQUE), "", "401 TOKEN_REVOKED");
    stage.pass(1);
    check(&stage.get(OPAQUE), "introspection", "forward Bearer <opaque>");
}

fn two_providers() -> Rc<Config> {
    let entry = |name: &str, issuer: &str| {
        let mut introspection = introspection(json!({}));
        introspection["url"] = json!(format!("{issuer}/introspect"));
        json!({"name": name, "issuer": issuer, "audiences": ["databricks"], "introspection": introspection})
    };
    config(json!({
        "identity_providers": [entry("first", "https://first.example"), entry("second", "https://second.example")],
        "roles": [role(json!({"type": "none"}))],
    }))
}

#[test]
fn providers_are_asked_in_their_order_once_each() {
    let second = || active(json!({"iss": "https://second.example"}));
    for (answers, asked, end) in [
        ([second(), second()], "introspection introspection", "forward nothing"),
        ([inactive(), second()], "introspection introspection", "forward nothing"),
        ([lost(), second()], "introspection introspection", "forward nothing"),
        ([inactive(), inactive()], "introspection introspection", "401 TOKEN_REVOKED"),
        ([inactive(), lost()], "introspection introspection", "503 INTROSPECTION_UNAVAILABLE"),
        ([lost(), inactive()], "introspection introspection", "503 INTROSPECTION_UNAVAILABLE"),
        (
            [active(json!({"aud": "x", "iss": null})), inactive()],
            "introspection introspection",
            "401 TOKEN_INVALID audience_mismatch",
        ),
    ] {
        let mut stage = Stage::warm(two_providers());
        stage.world.set(Purpose::Introspection, answers);
        let transcript = stage.get(OPAQUE);
        check(&transcript, asked, end);
        let urls: Vec<_> = transcript.callouts.iter().map(|callout| callout.url.as_str()).collect();
        assert_eq!(urls, ["https://first.example/introspect", "https://second.example/introspect"]);
    }
}

#[test]
fn where_only_one_provider_can_be_asked_in_a_request_the_next_request_asks_the_next() {
    let mut stage = Stage::warm(two_providers());
    stage.sim.can = KONG;
    let second = active(json!({"iss": "https://second.example"}));
    stage.world.set(Purpose::Introspection, [inactive(), second]);
    check(&stage.get(OPAQUE), "introspection", "503 INTROSPECTION_UNAVAILABLE");
    check(&stage.get(OPAQUE), "introspection", "forward nothing");
    check(&stage.get(OPAQUE), "", "forward nothing");
}

#[test]
fn where_no_exchange_can_follow_the_question_the_next_request_makes_it() {
    let mut stage = stage("opaque", service_principal());
    stage.sim.can = KONG;
    let transcript = stage.get(OPAQUE);
    check(&transcript, "introspection", "503 EXCHANGE_UNAVAILABLE");
    assert_eq!(header(&transcript, "retry-after"), Some("1"));
    check(&stage.get(OPAQUE), "token", "forward Bearer <dbx-1>");
    check(&stage.get(OPAQUE), "", "forward Bearer <dbx-1>");
    // asked again, it has a Databricks token at hand
    stage.pass(30);
    check(&stage.get(OPAQUE), "introspection", "forward Bearer <dbx-1>");
}

#[test]
fn of_every_token_the_provider_is_asked_once_it_has_verified() {
    let mut stage = plain("always");
    let anna = stage.token("anna");
    check(&stage.get(&anna), "introspection", "forward Bearer <anna>");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    // what is not good is not asked about
    let expired = stage.token_with("anna", json!({"exp": NOW - 100}));
    check(&stage.get(&expired), "", "401 TOKEN_EXPIRED");
    // a token whose signature is known to be good is asked about as often as any
    stage.world.set(Purpose::Introspection, [inactive()]);
    stage.pass(30);
    check(&stage.get(&anna), "introspection", "401 TOKEN_REVOKED");
    check(&stage.get(&anna), "", "401 TOKEN_REVOKED");
    assert_eq!(counted(&stage, Metric::IntrospectionInactive), 1);
    // an opaque token of such a provider is asked about too
    stage.world.set(Purpose::Introspection, [active(json!({}))]);
    check(&stage.get(OPAQUE), "introspection", "forward Bearer <opaque>");
}

#[test]
fn what_speaks_against_a_verified_token_counts_and_what_is_left_out_does_not() {
    for (changes, end) in [
        (json!({"iss": null, "aud": null, "exp": null, "token_type": null, "sub": null}), "forward Bearer <anna>"),
        (json!({"aud": "other"}), "401 TOKEN_INVALID audience_mismatch"),
        (json!({"iss": "https://other.example"}), "401 TOKEN_INVALID issuer_mismatch"),
        (json!({"exp": NOW - 100}), "401 TOKEN_EXPIRED"),
        (json!({"token_type": "refresh_token"}), "401 TOKEN_INVALID token_use_not_allowed"),
        // whose it is, the token says
        (json!({"sub": "bob", "groups": []}), "forward Bearer <anna>"),
    ] {
        let mut stage = plain("always");
        stage.world.set(Purpose::Introspection, [active(changes)]);
        let anna = stage.token("anna");
        check(&stage.get(&anna), "introspection", end);
    }
}

#[test]
fn a_feed_beats_an_answer_that_is_kept() {
    let feed = json!({"url": "https://cuts.example/feed", "refresh": 1});
    let mut changes = provider(json!({"introspection": introspection(json!({"when": "always"})), "revocation": feed}));
    changes["roles"] = json!([role(json!({"type": "passthrough"}))]);
    let mut stage = Stage::cold(config(changes));
    stage.sim.name(OPAQUE, "opaque");
    stage.world.set(Purpose::Introspection, [active(json!({}))]);
    stage.world.set(Purpose::Feed, [ok(&json!({"subjects": []}))]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "discovery keys introspection feed", "forward Bearer <anna>");
    check(&stage.get(OPAQUE), "introspection", "forward Bearer <opaque>");
    stage.world.set(Purpose::Feed, [ok(&json!({"subjects": ["Anna"]}))]);
    stage.pass(1);
    check(&stage.get(&anna), "feed", "401 TOKEN_REVOKED");
    check(&stage.get(OPAQUE), "", "401 TOKEN_REVOKED");
}

#[test]
fn the_secret_may_come_with_the_request() {
    let config = with(introspection(json!({"client_secret": {"shared": "idp_secret"}})), json!({"type": "none"}));
    let mut stage = Stage::warm(config);
    stage.world.set(Purpose::Introspection, [active(json!({}))]);
    check(&stage.get(OPAQUE), "", "503 SECRET_UNAVAILABLE");
    let mut client = get(OPAQUE);
    client.shared.insert("idp_secret".to_owned(), Secret::new("s".to_owned()));
    check(&stage.send(&client), "introspection", "forward nothing");
}

#[test]
fn an_opaque_token_is_handed_back_at_the_token_endpoint() {
    let mut stage = plain("opaque");
    let transcript = stage.send(&token_exchange(OPAQUE));
    check(&transcript, "introspection", "200");
    assert_eq!(body(&transcript)["access_token"], "<opaque>");
}

#[test]
fn equal_questions_of_several_requests_are_one_callout() {
    let mut stage = plain("opaque");
    stage.sim.can = Capabilities::ALL;
    let (mut one, first) = stage.begin(OPAQUE);
    let (mut other, second) = stage.begin(OPAQUE);
    let share = |step: &databricks_kong::flow::Step| match step {
        databricks_kong::flow::Step::Call(callout) => callout.share.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(share(&first), share(&second));
    let (_, third) = stage.begin("another-token");
    assert_ne!(share(&first), share(&third));
    assert_eq!(step_word(&stage.resume(&mut one, active(json!({})))), "forward");
    assert_eq!(step_word(&stage.resume_with(&mut other, active(json!({})), true)), "forward");
    assert_eq!(counted(&stage, Metric::IntrospectionActive), 1);
}
