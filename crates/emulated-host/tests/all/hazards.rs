//! What is known to go wrong around a filter on these hosts, and what the filter does about it.

use crate::drive::{Ask, End, Purpose, end_of};
use crate::stage::*;
use crate::stories::{World, sign_in, with_login};
use host::{CalloutEnd, Entry, HttpRequest, Outcome, Profile, RequestHandle, Worker};
use serde_json::{Value, json};
use std::time::Duration;

const BOTH: [Profile; 2] = [Profile::Kong, Profile::Envoy];

fn anna() -> String {
    KEY.token("anna", &json!({"exp": NOW + 50_000}))
}

/// The configuration of a route to another workspace, for the tokens of this provider.
fn route(workspace: &str, issuer: &str) -> Value {
    let provider = json!({"name": "idp", "issuer": issuer, "audiences": ["databricks"], "algorithms": ["EdDSA"]});
    config(&json!({"workspace": {"url": format!("https://{workspace}")}, "identity_providers": [provider]}))
}

/// Answers whatever is asked, until nothing is; the urls that were asked.
fn serve(worker: &mut Worker) -> Vec<String> {
    let (mut world, mut asked) = (World::new(), Vec::new());
    while let Some(call) = worker.pending().into_iter().next() {
        assert!(asked.len() < 64, "the filter asks without end: {asked:?}");
        let ask = Ask::of_call(&call);
        let end = match ask.purpose() {
            // a provider's own
            Purpose::Discovery => {
                let issuer = ask.url.trim_end_matches("/.well-known/openid-configuration");
                ok(&json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}))
            }
            _ => world.answer(&ask),
        };
        asked.push(ask.url);
        worker.answer(call.token, end);
    }
    asked
}

fn word(worker: &Worker, request: RequestHandle) -> String {
    end_of(worker.outcome(request)).word()
}

#[test]
fn ticks_of_a_configuration_that_was_replaced_fetch_nothing_once_nobody_has_used_it_for_a_while() {
    let mut worker = Worker::new(Profile::Envoy);
    worker.configure(&route("old.example.net", "https://old.example").to_string());
    worker.pass(Duration::from_secs(1));
    assert_eq!(
        serve(&mut worker),
        ["https://old.example/.well-known/openid-configuration", "https://old.example/keys"]
    );
    let new = worker.configure(&route("new.example.net", ISSUER).to_string());
    let (mut early, mut late) = (Vec::new(), Vec::new());
    for seconds in (0..6000).step_by(20) {
        worker.pass(Duration::from_secs(20));
        let asked = if seconds < 900 { &mut early } else { &mut late };
        asked.extend(serve(&mut worker));
        // the new one is in use
        let request = worker.send(&[new], &get(&anna()));
        asked.extend(serve(&mut worker));
        assert!(word(&worker, request).starts_with("forward "));
    }
    let of = |asked: &[String], host: &str| asked.iter().filter(|url| url.starts_with(host)).count();
    assert!(of(&early, "https://old.example/") > 0, "before that they do: {early:?}");
    assert_eq!(of(&late, "https://old.example/"), 0, "{late:?}");
    assert!(of(&late, ISSUER) > 5, "{late:?}");
}

#[test]
fn kong_is_asked_for_no_ticks_so_that_none_of_a_dead_configuration_can_go_on() {
    for (profile, ticks) in [(Profile::Kong, false), (Profile::Envoy, true)] {
        let mut worker = Worker::new(profile);
        let entry = worker.configure(&config(&json!({})).to_string());
        worker.configure(r#"{"mode":"guard"}"#);
        assert_eq!(worker.ticks(), ticks, "{profile:?}");
        // nor later, when the host is known
        worker.send(&[entry], &get(&anna()));
        serve(&mut worker);
        worker.lose_instance();
        worker.send(&[entry], &get(&anna()));
        assert_eq!(worker.ticks(), ticks, "{profile:?}");
    }
}

#[test]
fn keys_that_several_configurations_need_are_fetched_once() {
    let workspaces = ["a.example.net", "b.example.net", "c.example.net"];
    let mut worker = Worker::new(Profile::Envoy);
    for workspace in workspaces {
        worker.configure(&route(workspace, ISSUER).to_string());
    }
    worker.pass(Duration::from_secs(1));
    assert_eq!(worker.pending().len(), 1, "three ticks, one fetch");
    assert_eq!(serve(&mut worker).len(), 2, "discovery and keys");
    worker.pass(Duration::from_secs(1));
    assert!(worker.pending().is_empty());

    for profile in BOTH {
        let mut worker = Worker::new(profile);
        let entries = workspaces.map(|workspace| worker.configure(&route(workspace, ISSUER).to_string()));
        let asked = entries.map(|entry| {
            worker.send(&[entry], &get(&anna()));
            serve(&mut worker).len()
        });
        assert_eq!(asked, [3, 1, 1], "each workspace has its own token, but all have one provider: {profile:?}");
    }
}

#[test]
fn a_configuration_that_cannot_be_used_is_taken_and_refuses_every_request() {
    let unknown = config(&json!({"nonsense": true})).to_string();
    let roles = config(&json!({"roles": []})).to_string();
    for profile in BOTH {
        // the host itself notices an `on_configure` that is not true
        for text in ["", "{}", "[]", "null", "{", r#"{"mode":"guard","roles":[]}"#, &unknown, &roles] {
            let mut worker = Worker::new(profile);
            let entry = worker.configure(text);
            for _ in 0..2 {
                for request in [get(&anna()), get("x"), client("GET", "/.well-known/databricks-config", &[])] {
                    let handle = worker.send(&[entry], &request);
                    assert_eq!(word(&worker, handle), "500 INVALID_CONFIGURATION", "`{text}` on {profile:?}");
                }
                worker.lose_instance();
            }
            let reported = worker.log().iter().any(|line| line.level == 4 && line.text.contains("invalid"));
            assert!(reported, "`{text}` on {profile:?}");
        }
    }
}

#[test]
fn a_bad_configuration_does_not_close_the_routes_of_others() {
    for profile in BOTH {
        let mut worker = Worker::new(profile);
        let (bad, good) = (worker.configure("{}"), worker.configure(&config(&json!({})).to_string()));
        let ends = [good, bad, good].map(|entry| {
            let request = worker.send(&[entry], &get(&anna()));
            serve(&mut worker);
            word(&worker, request)
        });
        let forward = "forward Bearer dbx-1";
        assert_eq!(ends, [forward, "500 INVALID_CONFIGURATION", forward], "{profile:?}");
    }
}

#[test]
fn a_response_to_a_request_that_kong_did_not_show_becomes_500() {
    let mut worker = Worker::new(Profile::Kong);
    let entry = worker.configure(&config(&json!({})).to_string());
    let (guard, bad) = (worker.configure(r#"{"mode":"guard"}"#), worker.configure("{}"));
    for entries in [&[entry][..], &[entry, guard], &[bad], &[bad, guard]] {
        let request = worker.respond_without_request(entries, 200, true);
        assert_eq!(word(&worker, request), "500 INTERNAL", "{entries:?}");
    }
    // what comes from no upstream has reached none: an answer of Kong's own, or of another filter's
    let request = worker.respond_without_request(&[entry, guard], 429, false);
    assert!(matches!(worker.outcome(request), Outcome::Forwarded(_)), "left as it is");
    // and a request that was decided on keeps its response
    let request = worker.send(&[entry, guard], &get(&anna()));
    serve(&mut worker);
    worker.respond(request, 200, &[("content-length", "2")]);
    assert_eq!(word(&worker, request), "forward Bearer dbx-1");
}

#[test]
fn however_a_request_ends_no_callout_is_left_pending() {
    let ends = || {
        [
            CalloutEnd::Refused,
            CalloutEnd::Timeout,
            CalloutEnd::ClosedAtOnce,
            CalloutEnd::Truncated { status: 200, announced: 9 },
            CalloutEnd::reply(200, ""),
            CalloutEnd::reply(400, r#"{"error":"invalid_grant"}"#),
            CalloutEnd::reply(500, "{}"),
        ]
    };
    let request = post("/api/2.1/jobs/run-now", &anna(), &json!({"job_id": 101}));
    for profile in BOTH {
        for failing in 0..3 {
            for end in ends() {
                let mut worker = Worker::new(profile);
                let entry = worker.configure(&config(&json!({})).to_string());
                let handle = worker.send(&[entry], &request);
                let (mut world, mut asked) = (World::new(), 0);
                while *worker.outcome(handle) == Outcome::Waiting {
                    let call = worker.pending().remove(0);
                    let fails = asked >= failing;
                    let fit = world.answer(&Ask::of_call(&call));
                    worker.answer(call.token, if fails { end.clone() } else { fit });
                    asked += 1;
                }
                assert!(worker.pending().is_empty(), "{end:?} at {failing} on {profile:?}: {:?}", worker.pending());
                assert!(!word(&worker, handle).starts_with("forward"), "{end:?} at {failing} on {profile:?}");
            }
        }
    }
}

/// A worker of Kong's with a guard behind the entry that decides.
fn guarded() -> (Worker, [Entry; 2]) {
    let mut worker = Worker::new(Profile::Kong);
    let entry = worker.configure(&config(&json!({})).to_string());
    let guard = worker.configure(r#"{"mode":"guard"}"#);
    (worker, [entry, guard])
}

/// How the request ends if the filter traps at a certain call, and whether it did.
fn trapped_at(call: u32, request: &HttpRequest) -> (End, bool) {
    let (mut worker, entries) = guarded();
    worker.trap_after(call);
    let handle = worker.send(&entries, request);
    serve(&mut worker);
    (end_of(worker.outcome(handle)), !worker.traps().is_empty())
}

#[test]
fn wherever_the_deciding_entry_traps_the_guard_lets_nothing_on_without_a_credential() {
    // Kong's own properties must not be touched after a callout, which the host notices: the guard cannot know that there was one
    for request in [get(&anna()), post("/api/2.1/jobs/run-now", &anna(), &json!({"job_id": 101}))] {
        let mut ends = Vec::new();
        for call in 0.. {
            let (end, trapped) = trapped_at(call, &request);
            if !trapped {
                break;
            }
            ends.push(end.word());
        }
        assert!(ends.len() > 40, "{} places", ends.len());
        let fine = ["500 GUARD_REFUSED", "500 INTERNAL", "host 500", "forward Bearer dbx-1"];
        assert!(ends.iter().all(|end| fine.contains(&end.as_str())), "{ends:?}");
        assert!(request.body.is_some() || ends.iter().any(|end| end == "500 GUARD_REFUSED"), "{ends:?}");
    }
}

#[test]
fn a_guard_of_kongs_records_its_refusal_in_the_log() {
    let (mut worker, [_, guard]) = guarded();
    let request = worker.send(&[guard], &get(&anna()));
    assert_eq!(word(&worker, request), "500 GUARD_REFUSED");
    let recorded =
        |line: &host::LogLine| line.text.contains("databricks_kong.audit ") && line.text.contains("GUARD_REFUSED");
    assert!(worker.log().iter().any(recorded));
}

#[test]
fn requests_that_need_the_same_wait_for_one_callout_even_if_the_one_that_sent_it_is_gone() {
    let mut worker = Worker::new(Profile::Envoy);
    let entry = worker.configure(&config(&json!({})).to_string());
    let same = get(&anna());
    let requests: Vec<_> = (0..50).map(|_| worker.send(&[entry], &same)).collect();
    assert_eq!(worker.pending().len(), 1, "one asks, the others wait");
    worker.client_leaves(requests[0]);
    let late = worker.send(&[entry], &same);
    assert_eq!(worker.pending().len(), 1, "whoever comes later waits too");
    let asked = serve(&mut worker);
    assert_eq!(asked.len(), 3, "discovery, keys and one exchange: {asked:?}");
    for request in requests.into_iter().skip(1).chain([late]) {
        assert_eq!(word(&worker, request), "forward Bearer dbx-1");
    }
}

/// Answers what is pending, and all that follows from that, with the keys of now; how many answers that took.
fn serve_keys(worker: &mut Worker, now: &[&Key]) -> usize {
    let mut served = 0;
    while let Some(call) = worker.pending().into_iter().next() {
        let is_discovery = Ask::of_call(&call).purpose() == Purpose::Discovery;
        worker.answer(call.token, if is_discovery { discovery() } else { keys(now) });
        served += 1;
    }
    served
}

#[test]
fn whoever_leaves_while_keys_are_fetched_leaves_them_to_others() {
    let mut worker = Worker::new(Profile::Envoy);
    let entry = worker.configure(&config(&json!({})).to_string());
    let cold = worker.send(&[entry], &get(&anna()));
    worker.client_leaves(cold);
    assert_eq!(serve_keys(&mut worker, &[&KEY]), 2, "discovery, and keys for whoever comes next");
    let warm = worker.send(&[entry], &get(&anna()));
    assert_eq!(serve(&mut worker).len(), 1, "an exchange only");
    assert_eq!(word(&worker, warm), "forward Bearer dbx-1");

    // a new key: the first who brings it does not wait for the answer
    let bob = NEW.token("bob", &json!({"exp": NOW + 50_000}));
    let hasty = worker.send(&[entry], &get(&bob));
    worker.client_leaves(hasty);
    assert_eq!(serve_keys(&mut worker, &[&KEY, &NEW]), 1);
    let patient = worker.send(&[entry], &get(&bob));
    serve(&mut worker);
    assert!(word(&worker, patient).starts_with("forward "), "{}", word(&worker, patient));
}

#[test]
fn whoever_leaves_before_it_is_known_where_to_sign_in_leaves_that_to_others() {
    let mut worker = Worker::new(Profile::Envoy);
    let entry = worker.configure(&with_login().to_string());
    let hasty = worker.send(&[entry], &sign_in());
    worker.client_leaves(hasty);
    let call = worker.pending().remove(0);
    worker.answer(call.token, discovery());
    let next = worker.send(&[entry], &sign_in());
    assert_eq!((worker.pending().len(), word(&worker, next).as_str()), (0, "302"));
}

#[test]
fn whoever_leaves_while_a_token_is_asked_for_finds_it_when_they_come_back() {
    let throttled = with_header(CalloutEnd::reply(429, "{}"), "retry-after", "20");
    for (answer, end) in [(minted("dbx-1", 3600), "forward Bearer dbx-1"), (throttled, "503 EXCHANGE_UNAVAILABLE")] {
        let mut worker = Worker::new(Profile::Envoy);
        let entry = worker.configure(&config(&json!({})).to_string());
        let hasty = worker.send(&[entry], &get(&anna()));
        for end in [discovery(), keys(&[&KEY])] {
            let call = worker.pending().remove(0);
            worker.answer(call.token, end);
        }
        worker.client_leaves(hasty);
        let exchange = worker.pending().remove(0);
        worker.answer(exchange.token, answer);
        let again = worker.send(&[entry], &get(&anna()));
        assert_eq!((worker.pending().len(), word(&worker, again).as_str()), (0, end));
    }
}

#[test]
fn those_who_do_not_wait_make_no_more_fetches_than_those_who_do() {
    let stranger = Key::new("of nobody");
    for patience in [true, false] {
        let mut worker = Worker::new(Profile::Envoy);
        let entry = worker.configure(&config(&json!({})).to_string());
        let mut asked = 0;
        for number in 0..20 {
            let forged = stranger.token(&format!("nobody-{number}"), &json!({"exp": NOW + 50_000}));
            let request = worker.send(&[entry], &get(&forged));
            if !patience {
                worker.client_leaves(request);
            }
            asked += serve_keys(&mut worker, &[&KEY]);
        }
        assert!(asked <= 3, "discovery, keys, and once more for a key that was not among them: {asked} ({patience})");
    }
}

#[test]
fn whoever_leaves_while_the_feed_is_read_leaves_it_to_others() {
    let feed = json!({"url": "https://idp.example/feed", "refresh": 15, "max_stale": 60});
    let mut provider = idp();
    provider["revocation"] = feed;
    let mut worker = Worker::new(Profile::Envoy);
    let entry = worker.configure(&config(&json!({"identity_providers": [provider]})).to_string());
    let hasty = worker.send(&[entry], &get(&anna()));
    for end in [discovery(), keys(&[&KEY])] {
        let call = worker.pending().remove(0);
        worker.answer(call.token, end);
    }
    worker.client_leaves(hasty);
    let read = worker.pending().remove(0);
    assert_eq!(read.url(), "https://idp.example/feed");
    worker.answer(read.token, ok(&json!({"subjects": ["anna"]})));
    let next = worker.send(&[entry], &get(&anna()));
    assert_eq!((worker.pending().len(), word(&worker, next)), (0, "401 TOKEN_REVOKED".to_owned()));
}

#[test]
fn requests_of_two_callers_or_two_configurations_do_not_wait_for_each_others_exchange() {
    let mut worker = Worker::new(Profile::Envoy);
    let entries = ["a.example.net", "b.example.net"].map(|name| worker.configure(&route(name, ISSUER).to_string()));
    worker.send(&[entries[0]], &get(&anna()));
    serve(&mut worker);
    let bob = KEY.token("bob", &json!({"exp": NOW + 50_000}));
    let carol = KEY.token("carol", &json!({"exp": NOW + 50_000}));
    for (entry, token) in [(0, &bob), (0, &carol), (1, &bob), (0, &bob)] {
        worker.send(&[entries[entry]], &get(token));
    }
    assert_eq!(worker.pending().len(), 3, "bob's, carol's, and bob's at the other workspace");
}
