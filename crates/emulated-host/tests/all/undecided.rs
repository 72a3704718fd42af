//! No event of any host lets a request go on that is not decided: bodies and trailers whenever they come, lengths that nobody announces,
//! hosts that are not known, clocks that fail.

use crate::drive::{Ask, end_of};
use crate::stage::*;
use crate::stories::World;
use host::{Entry, HttpRequest, Outcome, Profile, RequestHandle, Switches, Worker};
use serde_json::{Value, json};

const RUN_NOW: &str = "/api/2.1/jobs/run-now";

fn anna() -> String {
    KEY.token("anna", &json!({}))
}

fn run(job: u32) -> HttpRequest {
    post(RUN_NOW, &anna(), &json!({ "job_id": job }))
}

/// Job 101 may be run, and 202 may not, which only the body tells.
fn by_body(deny: bool) -> Value {
    let rule = |job: &str| json!([{"operations": ["jobs.run_now"], "resources": {"job": [job]}}]);
    if deny { with_rules(&json!({"deny": rule("202")})) } else { with_rules(&json!({"allow": rule("101")})) }
}

struct Stage {
    worker: Worker,
    entry: Entry,
    world: World,
}

impl Stage {
    fn new(profile: Profile, config: &Value) -> Self {
        Self::with(profile, config, Switches::default())
    }

    fn with(profile: Profile, config: &Value, switches: Switches) -> Self {
        let mut worker = Worker::with(profile, switches);
        let entry = worker.configure(&config.to_string());
        Self { worker, entry, world: World::new() }
    }

    fn send(&mut self, request: &HttpRequest) -> RequestHandle {
        self.worker.send(&[self.entry], request)
    }

    /// Answers the oldest callout; whether there was one.
    fn answer(&mut self) -> bool {
        let Some(call) = self.worker.pending().into_iter().next() else { return false };
        let end = self.world.answer(&Ask::of_call(&call));
        self.worker.answer(call.token, end);
        true
    }

    fn serve(&mut self) {
        while self.answer() {}
    }

    fn word(&self, request: RequestHandle) -> String {
        end_of(self.worker.outcome(request)).word()
    }

    /// Sends a request, answers whatever is asked, and lets the upstream answer; how it ends.
    fn play(&mut self, request: &HttpRequest) -> String {
        let handle = self.send(request);
        self.serve();
        if self.worker.awaits_response(handle) {
            self.worker.respond(handle, 404, &[("content-length", "2")]);
        }
        self.word(handle)
    }
}

#[test]
fn trailers_let_nothing_go_that_waits_for_keys_for_a_token_or_for_its_body() {
    let nothing = with_credential(&json!({"type": "none"}));
    for (config, request, end) in [
        (config(&json!({})), run(101), "forward Bearer dbx-1"),
        (nothing.clone(), run(101), "forward nothing"),
        (by_body(false), run(101), "forward Bearer dbx-1"),
        (by_body(false), run(202), "403 NO_RULE"),
        (by_body(true), run(202), "403 RULE_DENIED"),
        (nothing, post(RUN_NOW, "forged", &json!({"job_id": 101})), "401 TOKEN_INVALID malformed"),
        // trailers and no body
        (config(&json!({})), HttpRequest { body: None, ..run(101) }, "forward Bearer dbx-1"),
        (by_body(false), HttpRequest { body: None, ..run(101) }, "403 NO_RULE"),
    ] {
        for late in [None, Some(0), Some(1), Some(2), Some(3)] {
            let request = HttpRequest { http2: true, trailers: 1, slow_trailers: late.is_some(), ..request.clone() };
            let mut stage = Stage::new(Profile::Envoy, &config);
            let handle = stage.send(&request);
            for step in 0.. {
                if late == Some(step) {
                    stage.worker.trailers_arrive(handle);
                }
                let waits = *stage.worker.outcome(handle) == Outcome::Waiting;
                let decided = stage.worker.header_to_send(handle, "user-agent");
                let decided = String::from_utf8_lossy(decided).contains("databricks-kong/");
                assert!(waits || decided || end.starts_with('4'), "at {step}: {}", stage.word(handle));
                if !stage.answer() && late.is_none_or(|late| late <= step) {
                    break;
                }
            }
            assert_eq!(stage.word(handle), end, "{late:?} {request:?}");
        }
    }
}

#[test]
fn trailers_of_a_request_that_went_on_go_on_too() {
    let mut stage = Stage::new(Profile::Envoy, &config(&json!({})));
    stage.play(&run(101));
    let handle = stage.send(&HttpRequest { http2: true, trailers: 2, slow_trailers: true, ..run(101) });
    assert_eq!(stage.word(handle), "forward Bearer dbx-1", "what is known needs no wait");
    stage.worker.trailers_arrive(handle);
    assert!(!stage.worker.awaits_trailers(handle));
}

#[test]
fn a_body_that_nobody_announces_is_read_like_any_other() {
    for profile in [Profile::Kong, Profile::Envoy] {
        for http2 in [true, false] {
            let unannounced = |request| HttpRequest { http2, unannounced: true, ..request };
            for (config, job, end) in [
                (by_body(false), 101, "forward Bearer dbx-1"),
                (by_body(false), 202, "403 NO_RULE"),
                (by_body(true), 101, "forward Bearer dbx-1"),
                (by_body(true), 202, "403 RULE_DENIED"),
                (config(&json!({})), 101, "forward Bearer dbx-1"),
            ] {
                for slow_body in [false, true] {
                    let mut stage = Stage::new(profile, &config);
                    let handle = stage.send(&HttpRequest { slow_body, ..unannounced(run(job)) });
                    stage.serve();
                    stage.worker.body_arrives(handle);
                    stage.serve();
                    assert_eq!(stage.word(handle), end, "{profile:?}, http/2: {http2}, slow: {slow_body}");
                }
            }
        }
    }
}

#[test]
fn a_body_that_could_have_come_unannounced_and_did_not_is_none() {
    let empty = |request| HttpRequest { body: Some(Vec::new()), unannounced: true, ..request };
    for profile in [Profile::Kong, Profile::Envoy] {
        for request in [
            HttpRequest { body: None, http2: true, ..run(101) },
            HttpRequest { http2: true, ..empty(run(101)) },
            empty(run(101)),
        ] {
            let mut stage = Stage::new(profile, &config(&json!({})));
            assert_eq!(stage.play(&request), "forward Bearer dbx-1", "no rule needs it: {profile:?}");
            let mut stage = Stage::new(profile, &by_body(false));
            assert_eq!(stage.play(&request), "403 NO_RULE", "{profile:?} {request:?}");
        }
    }
}

#[test]
fn a_request_that_kong_let_go_for_want_of_a_body_leads_nowhere_and_its_answer_is_replaced() {
    // denied only for what a body says, so without one it would be allowed: but by then it is too late
    let mut stage = Stage::new(Profile::Kong, &by_body(true));
    let handle = stage.send(&HttpRequest { body: None, http2: true, ..run(101) });
    stage.serve();
    let Outcome::Forwarded(upstream) = stage.worker.outcome(handle) else { panic!("kong shows no empty body") };
    assert_eq!(upstream.target, "/.well-known/databricks-kong/undecided");
    assert_eq!(upstream.header("authorization").collect::<String>(), "");
    stage.worker.respond(handle, 200, &[("content-length", "2"), ("set-cookie", "a=b")]);
    assert_eq!(stage.word(handle), "400 BODY_UNREADABLE");
    let Outcome::Answered { headers, .. } = stage.worker.outcome(handle) else { unreachable!() };
    assert!(headers.iter().all(|(name, _)| name != "set-cookie"), "{headers:?}");
    assert!(headers.iter().any(|(_, value)| value.starts_with("application/json")), "{headers:?}");
}

#[test]
fn a_get_with_a_body_that_nothing_announced_is_refused_as_one_that_was_announced() {
    for (unannounced, profile) in [(true, Profile::Kong), (false, Profile::Kong), (true, Profile::Envoy)] {
        let mut stage = Stage::new(profile, &config(&json!({})));
        let body = Some(b"{}".to_vec());
        let request = HttpRequest { body, http2: true, unannounced, ..get(&anna()) };
        assert_eq!(stage.play(&request), "400 REQUEST_AMBIGUOUS", "{profile:?}, unannounced: {unannounced}");
    }
}

#[test]
fn a_guard_behind_a_request_that_never_gets_its_body_answers_once() {
    let mut worker = Worker::new(Profile::Kong);
    let entries = [worker.configure(&by_body(false).to_string()), worker.configure(r#"{"mode":"guard"}"#)];
    let mut world = World::new();
    let handle = worker.send(&entries, &HttpRequest { body: None, http2: true, ..run(101) });
    while let Some(call) = worker.pending().into_iter().next() {
        let end = world.answer(&Ask::of_call(&call));
        worker.answer(call.token, end);
    }
    worker.respond(handle, 404, &[]);
    assert_eq!(end_of(worker.outcome(handle)).word(), "403 NO_RULE");
}

#[test]
fn a_path_that_means_undecided_does_not_fool_a_guard() {
    let mut worker = Worker::new(Profile::Kong);
    let guard = worker.configure(r#"{"mode":"guard"}"#);
    for request in [run(101), HttpRequest { body: Some(Vec::new()), unannounced: true, ..run(101) }, get(&anna())] {
        let target = "/.well-known/databricks-kong/undecided".to_owned();
        let handle = worker.send(&[guard], &HttpRequest { target, ..request });
        assert_eq!(end_of(worker.outcome(handle)).word(), "500 GUARD_REFUSED");
    }
}

#[test]
fn a_host_that_gives_no_evidence_of_what_it_is_refuses_and_is_asked_again() {
    let evidence = [(Profile::Kong, "ngx.kong_request_id"), (Profile::Envoy, "xds.listener_direction")];
    for (profile, property) in evidence {
        for fails in [true, false] {
            let named = Some(property.to_owned());
            let missing = Switches { missing_property: named.clone(), ..Switches::default() };
            let failing = Switches { failing_property: named, ..Switches::default() };
            let switches = if fails { failing } else { missing };
            for request in [get(&anna()), run(101)] {
                let mut stage = Stage::with(profile, &config(&json!({})), switches.clone());
                assert_eq!(stage.play(&request), "500 INTERNAL", "{profile:?}");
                *stage.worker.switches() = Switches::default();
                assert_eq!(stage.play(&request), "forward Bearer dbx-1", "{profile:?} was not taken for another");
                // what is known once stays known
                *stage.worker.switches() = switches.clone();
                assert_eq!(stage.play(&request).split(' ').next(), Some("forward"), "{profile:?}");
            }
        }
    }
}

#[test]
fn a_clock_that_fails_refuses_every_request() {
    let ended = KEY.token("anna", &json!({"iat": null, "exp": NOW - 1000}));
    for profile in [Profile::Kong, Profile::Envoy] {
        let mut stage = Stage::new(profile, &config(&json!({})));
        assert_eq!(stage.play(&get(&anna())), "forward Bearer dbx-1");
        stage.worker.switches().broken_clock = true;
        for token in [&anna(), &ended] {
            assert_eq!(stage.play(&get(token)), "500 INTERNAL", "{profile:?}");
        }
        stage.worker.switches().broken_clock = false;
        assert_eq!(stage.play(&get(&ended)), "401 TOKEN_EXPIRED", "{profile:?}");
        assert_eq!(stage.play(&get(&anna())), "forward Bearer dbx-1", "{profile:?}");
    }
}

#[test]
fn more_headers_than_kong_can_list_are_the_clients_fault() {
    for count in [89, 91, 150] {
        let mut request = get(&anna());
        while request.headers.len() < count {
            request.headers.push((format!("x-{}", request.headers.len()), "1".to_owned()));
        }
        let mut stage = Stage::new(Profile::Kong, &config(&json!({})));
        let end = if count > 90 { "400 REQUEST_AMBIGUOUS" } else { "forward Bearer dbx-1" };
        assert_eq!(stage.play(&request), end, "{count} headers");
    }
}

#[test]
fn a_long_upload_streams_once_it_is_decided_whatever_was_cold() {
    let (three_mb, twenty_mb) = (vec![b'x'; 3 << 20], vec![b'x'; 20 << 20]);
    for body in [vec![b'x'; 100_000], three_mb, twenty_mb] {
        for (unannounced, trailers) in [(false, 0), (true, 0), (true, 1)] {
            for slow_body in [false, true] {
                let upload = client("PUT", "/api/2.0/fs/files/Volumes/main/a/b/c.bin", &[]);
                let headers = [get(&anna()).headers, upload.headers].concat();
                let body = Some(body.clone());
                let request = HttpRequest { headers, body, unannounced, http2: true, trailers, slow_body, ..upload };
                let mut stage = Stage::new(Profile::Envoy, &config(&json!({})));
                let handle = stage.send(&request);
                assert!(stage.answer(), "discovery");
                stage.worker.body_arrives(handle);
                stage.serve();
                assert_eq!(stage.word(handle), "forward Bearer dbx-1", "{unannounced} {trailers} {slow_body}");
            }
        }
    }
}

#[test]
fn a_body_that_is_too_long_to_be_looked_at_is_refused_only_where_a_rule_needs_it() {
    for length in [60_000, 70_000, 2 << 20] {
        let text = format!("{{\"job_id\":101,\"notebook_params\":{{\"a\":\"{}\"}}}}", "x".repeat(length));
        for unannounced in [false, true] {
            let request = HttpRequest { body: Some(text.clone().into_bytes()), unannounced, ..run(101) };
            let mut stage = Stage::new(Profile::Envoy, &by_body(false));
            let end = if length > 65_536 { "413 BODY_TOO_LARGE" } else { "forward Bearer dbx-1" };
            assert_eq!(stage.play(&request), end, "{length}, cold");
            assert_eq!(stage.play(&request), end, "{length}, warm");
        }
    }
}

#[test]
fn early_failures_are_logged_only_if_records_are() {
    let records = |stage: &Stage| {
        stage.worker.log().iter().filter(|line| line.text.starts_with("databricks_kong.audit ")).count()
    };
    for (log, expected) in [(true, 1), (false, 0)] {
        for profile in [Profile::Kong, Profile::Envoy] {
            let mut stage = Stage::new(profile, &config(&json!({"audit": {"log": log}})));
            stage.worker.switches().broken_clock = true;
            assert_eq!(stage.play(&get(&anna())), "500 INTERNAL");
            assert_eq!(records(&stage), expected, "{profile:?}");
            // before anything of it was read
            let no_line = HttpRequest { target: String::new(), ..get(&anna()) };
            stage.worker.switches().broken_clock = false;
            assert_eq!(stage.play(&no_line), "500 INTERNAL");
            assert_eq!(records(&stage), 2 * expected, "{profile:?}");
        }
    }
}

#[test]
fn only_an_answer_beside_an_empty_one_needs_something_in_its_place() {
    let mut stage = Stage::new(Profile::Kong, &by_body(false));
    stage.world.set(crate::drive::Purpose::Keys, &[with_header(keys(&[&KEY]), "cache-control", "max-age=60")]);
    stage.play(&run(101));
    stage.worker.pass(std::time::Duration::from_secs(120));
    // stale keys serve on while their provider is silent, and the body is refused where no callout is answered any more
    stage.world.set(crate::drive::Purpose::Keys, &[host::CalloutEnd::ClosedAtOnce]);
    let handle = stage.send(&HttpRequest { slow_body: true, ..run(202) });
    stage.serve();
    let before = stage.worker.callouts();
    stage.worker.body_arrives(handle);
    assert_eq!((stage.word(handle).as_str(), stage.worker.callouts()), ("403 NO_RULE", before));
}
