//! Callers who are cut off by a feed, the feed's own life, and what becomes of the Databricks tokens that they got.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::config::Config;
use databricks_kong::flow::{Capabilities, Follow, Metric, Prefetch, ReadBody, Step};
use databricks_kong::sim::{Answer, End, Purpose};
use serde_json::{Value, json};
use std::rc::Rc;

const KONG: Capabilities =
    Capabilities { timers: false, after_body: Follow::Never, after_failure: false, waits_for_others: false };

fn with_feed(feed: Value, credential: Value) -> Rc<Config> {
    let mut entry = json!({"url": "https://cuts.example/feed/idp", "authorization": "canary-secret"});
    entry.as_object_mut().unwrap().extend(feed.as_object().unwrap().clone());
    let mut changes = provider(json!({ "revocation": entry }));
    changes["roles"] = json!([role(credential)]);
    config(changes)
}

fn feed(feed: Value) -> Answer {
    ok(&feed).etag("\"1\"")
}

fn unchanged() -> Answer {
    Answer::new(304, "")
}

fn nobody() -> Answer {
    feed(json!({"subjects": []}))
}

/// A gateway that knows keys and an empty feed, and whose callers keep their own tokens.
fn plain() -> Stage {
    read(with_feed(json!({}), json!({"type": "passthrough"})), nobody())
}

/// A gateway that knows its keys and has read this feed.
fn read(config: Rc<Config>, answer: Answer) -> Stage {
    let mut stage = Stage::cold(config);
    stage.world.set(Purpose::Feed, [answer]);
    assert_eq!(stage.tick(), "feed discovery keys");
    stage
}

fn counted(stage: &Stage, metric: Metric) -> usize {
    stage.sim.counts.iter().filter(|count| **count == metric).count()
}

#[test]
fn the_next_request_after_refresh_is_refused_and_a_colleague_goes_on() {
    let mut stage = plain();
    let (mallory, anna) = (stage.token("Mallory"), stage.token("anna"));
    check(&stage.get(&mallory), "", "forward Bearer <Mallory>");
    stage.world.set(Purpose::Feed, [feed(json!({"subjects": ["mallory"]}))]);
    stage.pass(14);
    check(&stage.get(&mallory), "", "forward Bearer <Mallory>");
    stage.pass(1);
    let refused = stage.get(&mallory);
    check(&refused, "feed", "401 TOKEN_REVOKED");
    assert!(header(&refused, "www-authenticate").unwrap().contains("error=\"invalid_token\""));
    let record = refused.record.unwrap();
    assert_eq!((record.subject.as_deref(), record.idp.as_deref()), (Some("Mallory"), Some("idp")));
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    check(&stage.get(&mallory), "", "401 TOKEN_REVOKED");
    assert_eq!(counted(&stage, Metric::RevocationFetchOk), 2);
    // off the feed, on again
    stage.world.set(Purpose::Feed, [nobody()]);
    stage.pass(15);
    check(&stage.get(&mallory), "feed", "forward Bearer <Mallory>");
}

#[test]
fn each_list_of_the_feed_cuts_off() {
    for (cut, claims) in [
        (json!({"tokens": ["t-1"]}), json!({"jti": "t-1"})),
        (json!({"clients": ["app"]}), json!({"azp": "app"})),
        (json!({"sessions": ["s-1"]}), json!({"sid": "s-1"})),
        (json!({"not_before": NOW + 1}), json!({})),
        (json!({"not_before": 0}), json!({"iat": null})),
    ] {
        let mut stage = read(with_feed(json!({}), json!({"type": "passthrough"})), feed(cut.clone()));
        let cut_off = stage.token_with("anna", claims);
        check(&stage.get(&cut_off), "", "401 TOKEN_REVOKED");
        let other = stage.token_with("bob", json!({"jti": "t-2", "azp": "other", "sid": "s-2", "iat": NOW + 1}));
        assert_eq!(ended(&stage.get(&other)), "forward Bearer <bob>", "{cut}");
    }
}

#[test]
fn the_first_request_reads_the_feed_and_is_judged_by_it() {
    for (answer, end) in
        [(nobody(), "forward Bearer <anna>"), (feed(json!({"subjects": ["ANNA"]})), "401 TOKEN_REVOKED")]
    {
        let mut stage = Stage::cold(with_feed(json!({}), json!({"type": "passthrough"})));
        stage.world.set(Purpose::Feed, [answer]);
        let anna = stage.token("anna");
        check(&stage.get(&anna), "discovery keys feed", end);
    }
}

#[test]
fn the_feed_is_asked_for_with_its_secret_and_with_the_mark_of_what_is_known() {
    let mut stage = plain();
    let anna = stage.token("anna");
    stage.sim.name("canary-secret", "feed-key");
    stage.pass(15);
    stage.world.set(Purpose::Feed, [unchanged()]);
    let transcript = stage.get(&anna);
    let [asked] = transcript.callouts.as_slice() else { panic!("{transcript}") };
    let header = |name: &str| asked.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!((asked.method, asked.url.as_str()), ("GET", "https://cuts.example/feed/idp"));
    assert_eq!((header("authorization"), header("if-none-match")), (Some("Bearer <feed-key>"), Some("\"1\"")));
    check(&transcript, "feed", "forward Bearer <anna>");
    // as fresh as if it had been read
    stage.pass(14);
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    stage.pass(1);
    check(&stage.get(&anna), "feed", "forward Bearer <anna>");
}

#[test]
fn unchanged_means_nothing_where_nothing_is_known() {
    let mut stage = Stage::cold(with_feed(json!({}), json!({"type": "passthrough"})));
    stage.world.set(Purpose::Feed, [unchanged()]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "discovery keys feed feed", "503 REVOCATION_STALE");
}

#[test]
fn unchanged_confirms_only_what_was_asked_about() {
    let mut stage = plain();
    let anna = stage.token("anna");
    stage.pass(15);
    let (mut flow, _) = stage.begin(&anna);
    // all that was known is lost while the server is asked
    stage.sim.memory = databricks_kong::flow::Memory::default();
    assert_eq!(step_word(&stage.resume(&mut flow, unchanged())), "503 REVOCATION_STALE");
}

#[test]
fn a_feed_that_cannot_be_read_serves_as_it_was_until_it_is_too_old() {
    for broken in [
        lost(),
        Answer::new(500, ""),
        Answer::new(401, "{}"),
        ok(&json!({})),
        ok(&json!({"subjects": ["anna"], "devices": []})),
        Answer::new(200, r#"{"subjects":[],"subjects":["anna"]}"#),
        Answer::new(200, "<html>"),
    ] {
        let mut stage = plain();
        let anna = stage.token("anna");
        stage.world.set(Purpose::Feed, [broken]);
        stage.pass(15);
        let transcript = stage.get(&anna);
        check(&transcript, "feed feed", "forward Bearer <anna>");
        assert!(transcript.log[0].starts_with("no feed of revoked identities from https://cuts.example/feed/idp: "));
        assert_eq!(counted(&stage, Metric::RevocationFetchFailed), 1);
        // nobody asks again for five seconds
        check(&stage.get(&anna), "", "forward Bearer <anna>");
        stage.pass(44);
        check(&stage.get(&anna), "feed feed", "forward Bearer <anna>");
        stage.pass(1);
        let refused = stage.get(&anna);
        check(&refused, "", "503 REVOCATION_STALE");
        assert_eq!(header(&refused, "retry-after"), Some("4"));
        stage.world.set(Purpose::Feed, [nobody()]);
        stage.pass(4);
        check(&stage.get(&anna), "feed", "forward Bearer <anna>");
    }
}

#[test]
fn without_a_feed_that_was_ever_read_nobody_is_let_in() {
    let mut stage = Stage::cold(with_feed(json!({}), json!({"type": "passthrough"})));
    stage.world.set(Purpose::Feed, [lost()]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "discovery keys feed feed", "503 REVOCATION_STALE");
    check(&stage.get(&anna), "", "503 REVOCATION_STALE");
}

#[test]
fn the_age_of_a_feed_counts_from_when_it_was_asked_for() {
    let mut stage = Stage::cold(with_feed(json!({"refresh": 2, "max_stale": 2}), json!({"type": "passthrough"})));
    stage.world.set(Purpose::Feed, [nobody().after(secs(1))]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "discovery keys feed", "forward Bearer <anna>");
    stage.pass(1);
    check(&stage.get(&anna), "feed", "forward Bearer <anna>");
    // what is too old by the time that it is here lets nobody in
    stage.world.set(Purpose::Feed, [nobody().after(secs(2))]);
    stage.pass(1);
    check(&stage.get(&anna), "feed", "503 REVOCATION_STALE");
}

#[test]
fn one_request_reads_the_feed_while_the_others_go_by_what_is_known() {
    let mut stage = plain();
    let anna = stage.token("anna");
    stage.pass(20);
    let (mut flow, step) = stage.begin(&anna);
    assert_eq!(step_word(&step), "call");
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    assert_eq!(step_word(&stage.resume(&mut flow, feed(json!({"subjects": ["anna"]})))), "401 TOKEN_REVOKED");
}

#[test]
fn where_requests_wait_for_each_other_a_cold_feed_is_read_once() {
    let mut stage = Stage::cold(with_feed(json!({}), json!({"type": "passthrough"})));
    stage.sim.can = Capabilities::ALL;
    let anna = stage.token("anna");
    let (mut one, _) = stage.begin(&anna);
    let (mut other, step) = stage.begin(&anna);
    assert_eq!(step_word(&step), "call");
    for flow in [&mut one, &mut other] {
        assert_eq!(step_word(&stage.resume(flow, discovery())), "call");
    }
    for flow in [&mut one, &mut other] {
        assert_eq!(step_word(&stage.resume(flow, keys(&[&RSA]))), "call");
    }
    assert_eq!(step_word(&stage.resume(&mut one, nobody())), "forward");
    // it is not read a second time, whatever it says
    assert_eq!(step_word(&stage.resume_with(&mut other, Answer::new(200, "rubbish"), true)), "forward");
    assert_eq!(counted(&stage, Metric::RevocationFetchOk), 1);
}

#[test]
fn an_answer_to_anothers_question_counts_as_older_than_ones_own() {
    let config = with_feed(json!({"refresh": 2, "max_stale": 2}), json!({"type": "passthrough"}));
    let mut stage = Stage::cold(config);
    stage.sim.can = Capabilities::ALL;
    let anna = stage.token("anna");
    let (mut flow, _) = stage.begin(&anna);
    assert_eq!(step_word(&stage.resume(&mut flow, discovery())), "call");
    assert_eq!(step_word(&stage.resume(&mut flow, keys(&[&RSA]))), "call");
    // it may have been asked for up to a timeout earlier
    assert_eq!(step_word(&stage.resume_with(&mut flow, nobody(), true)), "503 REVOCATION_STALE");
}

#[test]
fn a_timer_reads_the_feed_ahead_of_need() {
    let mut stage = plain();
    let anna = stage.token("anna");
    let mut ticks = Prefetch::default();
    let now = stage.sim.now.uptime;
    for (pass, sent) in [(11, 0), (1, 1), (1, 0), (11, 1)] {
        stage.pass(pass);
        assert_eq!(stage.sim.tick(&mut ticks, now, &mut stage.world).len(), sent, "{pass}");
    }
    check(&stage.get(&anna), "", "forward Bearer <anna>");
}

#[test]
fn a_feed_that_is_down_does_not_keep_a_timer_from_the_keys() {
    let mut stage = Stage::cold(with_feed(json!({}), json!({"type": "passthrough"})));
    stage.world.set(Purpose::Feed, [lost()]);
    assert_eq!([stage.tick(), stage.tick()], ["feed feed discovery keys", ""]);
}

#[test]
fn a_secret_that_comes_with_requests_is_read_from_them() {
    let config = with_feed(json!({"authorization": {"shared": "feed_key"}}), json!({"type": "passthrough"}));
    let mut stage = Stage::cold(config);
    stage.world.set(Purpose::Feed, [nobody()]);
    stage.sim.name("canary-secret", "feed-key");
    // no timer has it
    assert_eq!([stage.tick(), stage.tick()], ["discovery keys", ""]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "", "503 SECRET_UNAVAILABLE");
    let mut client = get(&anna);
    client.shared.insert("feed_key".to_owned(), Secret::new("canary-secret".to_owned()));
    let transcript = stage.send(&client);
    check(&transcript, "feed", "forward Bearer <anna>");
    assert!(transcript.callouts[0].headers.contains(&("authorization".to_owned(), "Bearer <feed-key>".to_owned())));
    // one that lacks it goes by what is known
    stage.pass(20);
    check(&stage.get(&anna), "", "forward Bearer <anna>");
    stage.pass(40);
    check(&stage.get(&anna), "", "503 SECRET_UNAVAILABLE");
}

#[test]
fn on_a_host_without_timers_the_feed_comes_before_the_exchange() {
    let mut stage = Stage::cold(with_feed(json!({}), json!({"type": "user_federation"})));
    stage.sim.can = KONG;
    stage.world.set(Purpose::Feed, [nobody()]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "discovery keys feed token", "forward Bearer <dbx-1>");
    stage.pass(15);
    check(&stage.get(&anna), "feed", "forward Bearer <dbx-1>");
    // a failure that nothing may follow there costs only those who need something else
    stage.world.set(Purpose::Feed, [lost()]);
    stage.pass(15);
    let bob = stage.token("bob");
    check(&stage.get(&bob), "feed", "503 EXCHANGE_UNAVAILABLE");
    check(&stage.get(&bob), "token", "forward Bearer <dbx-2>");
}

#[test]
fn a_databricks_token_of_what_was_cut_off_is_not_used_again() {
    for (cut, claims) in [
        (json!({"subjects": [{"value": "ANNA", "before": NOW + 60}]}), json!({})),
        (json!({"tokens": ["t-1"]}), json!({"jti": "t-1"})),
        (json!({"sessions": ["s-1"]}), json!({"sid": "s-1"})),
        (json!({"not_before": NOW + 60}), json!({})),
    ] {
        let mut stage = read(with_feed(json!({}), json!({"type": "user_federation"})), nobody());
        let first = stage.token_with("anna", claims);
        check(&stage.get(&first), "token", "forward Bearer <dbx-1>");
        stage.world.set(Purpose::Feed, [feed(cut)]);
        stage.pass(90);
        // a new sign-in works, but not with what the old one had got; and nobody had come with the old one meanwhile
        let again = stage.token_with("anna", json!({"jti": "t-2", "sid": "s-2", "iat": NOW + 80}));
        check(&stage.get(&again), "feed token", "forward Bearer <dbx-2>");
        check(&stage.get(&again), "", "forward Bearer <dbx-2>");
        check(&stage.get(&first), "", "401 TOKEN_REVOKED");
    }
}

#[test]
fn a_token_that_the_gateway_got_by_itself_serves_the_others_of_the_role() {
    let mut stage = read(with_feed(json!({}), service_principal()), nobody());
    let (anna, bob) = (stage.token("anna"), stage.token("bob"));
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.world.set(Purpose::Feed, [feed(json!({"subjects": ["anna"]}))]);
    stage.pass(15);
    check(&stage.get(&bob), "feed", "forward Bearer <dbx-1>");
    check(&stage.get(&anna), "", "401 TOKEN_REVOKED");
}

#[test]
fn who_is_cut_off_while_the_request_waits_for_a_token_is_refused() {
    let mut stage = read(with_feed(json!({"refresh": 1}), json!({"type": "user_federation"})), nobody());
    let (anna, bob) = (stage.token("anna"), stage.token("bob"));
    let (mut flow, step) = stage.begin(&anna);
    assert_eq!(step_word(&step), "call");
    stage.world.set(Purpose::Feed, [feed(json!({"subjects": ["anna"]}))]);
    stage.pass(1);
    check(&stage.get(&bob), "feed token", "forward Bearer <dbx-1>");
    assert_eq!(step_word(&stage.resume(&mut flow, minted("dbx-2", 3600))), "401 TOKEN_REVOKED");
}

#[test]
fn who_is_cut_off_while_the_body_comes_is_refused() {
    let mut changes = provider(json!({"revocation": {"url": "https://cuts.example/feed/idp", "refresh": 1}}));
    let mut role = role(json!({"type": "passthrough"}));
    role["allow"] =
        json!([{"operations": ["jobs.list"]}, {"operations": ["jobs.run_now"], "resources": {"job": ["1"]}}]);
    changes["roles"] = json!([role]);
    let mut stage = read(config(changes), nobody());
    let (anna, bob) = (stage.token("anna"), stage.token("bob"));
    let mut client = client("POST", "/api/2.2/jobs/run-now", &[("Authorization", &format!("Bearer {anna}"))]);
    client.body = Some(Secret::new(br#"{"job_id":1}"#.to_vec()));
    let mut flow = databricks_kong::flow::Flow::default();
    let request = client.request(stage.sim.next_id(), &stage.sim.config).unwrap();
    let step = stage.sim.on(&mut flow, databricks_kong::flow::Event::Request(request), &mut Vec::new());
    assert!(matches!(step, Step::AwaitBody), "{step:?}");
    stage.world.set(Purpose::Feed, [feed(json!({"subjects": ["anna"]}))]);
    stage.pass(1);
    check(&stage.get(&bob), "feed", "forward Bearer <bob>");
    let body = databricks_kong::flow::Event::Body(ReadBody::Whole(br#"{"job_id":1}"#.to_vec()));
    assert_eq!(step_word(&stage.sim.on(&mut flow, body, &mut Vec::new())), "401 TOKEN_REVOKED");
}

#[test]
fn a_feed_that_is_read_as_too_old_while_another_server_is_asked_lets_nobody_in() {
    let mut stage =
        read(with_feed(json!({"refresh": 1, "max_stale": 3}), json!({"type": "user_federation"})), nobody());
    let anna = stage.token("anna");
    let (mut flow, _) = stage.begin(&anna);
    stage.pass(3);
    assert_eq!(step_word(&stage.resume(&mut flow, minted("dbx-1", 3600))), "503 REVOCATION_STALE");
}

#[test]
fn a_token_that_was_cut_off_is_not_handed_back() {
    let mut stage = read(with_feed(json!({}), json!({"type": "passthrough"})), feed(json!({"subjects": ["anna"]})));
    let anna = stage.token("anna");
    let transcript = stage.send(&token_exchange(&anna));
    check(&transcript, "", "401 TOKEN_REVOKED");
    assert_eq!(body(&transcript)["error"], "invalid_grant");
}

#[test]
fn a_bad_token_is_called_bad_whether_or_not_the_feed_can_be_read() {
    let mut stage = Stage::cold(with_feed(json!({}), json!({"type": "passthrough"})));
    stage.world.set(Purpose::Feed, [lost()]);
    let expired = stage.token_with("anna", json!({"exp": NOW - 100}));
    check(&stage.get(&expired), "discovery keys", "401 TOKEN_EXPIRED");
}

#[test]
fn one_providers_feed_says_nothing_of_anothers_callers() {
    let mut changes = provider(json!({"revocation": {"url": "https://cuts.example/feed/idp"}}));
    let other = json!({"name": "other", "issuer": "https://other.example", "audiences": ["databricks"], "jwks_url": "https://other.example/keys"});
    changes["identity_providers"].as_array_mut().unwrap().push(other);
    changes["roles"] = json!([role(json!({"type": "passthrough"}))]);
    let mut stage = Stage::cold(config(changes));
    stage.world.set(Purpose::Feed, [feed(json!({"subjects": ["anna"]}))]);
    let here = stage.token("anna");
    let there = stage.token_with("anna", json!({"iss": "https://other.example"}));
    check(&stage.get(&here), "discovery keys feed", "401 TOKEN_REVOKED");
    assert_eq!(asked(&stage.get(&there)), "keys");
    assert!(matches!(stage.get(&there).end, End::Forward { .. }));
}

#[test]
fn entries_with_the_same_feed_read_it_once() {
    let mut stage = plain();
    let anna = stage.token("anna");
    // another entry of the worker, whose feed is the same
    let mut entry = json!({"url": "https://cuts.example/feed/idp", "authorization": "canary-secret"});
    entry["max_stale"] = json!(90);
    let mut changes = provider(json!({ "revocation": entry }));
    changes["roles"] = json!([role(json!({"type": "none"}))]);
    let first = Rc::clone(&stage.sim.config);
    stage.sim.config = config(changes);
    check(&stage.get(&anna), "", "forward nothing");
    drop(first);
}
