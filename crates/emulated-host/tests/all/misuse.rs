//! The hosts themselves: what they do, and that each misuse of theirs is noticed, with a message that says what was wrong.

use crate::probe::Probe;
use crate::stage::client;
use host::{CalloutEnd, Entry, HttpRequest, Outcome, Profile, RequestHandle, Switches, Worker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const BOTH: [Profile; 2] = [Profile::Kong, Profile::Envoy];
const CONTINUE: &str = "(i32.const 0)";
const PAUSE: &str = "(i32.const 1)";

fn get() -> HttpRequest {
    client("GET", "/", &[])
}

fn post(body: &str) -> HttpRequest {
    HttpRequest { body: Some(body.into()), ..client("POST", "/", &[]) }
}

/// A worker with a probe.
struct Stage {
    worker: Worker,
    entry: Entry,
}

impl Stage {
    fn new(profile: Profile, probe: &Probe) -> Self {
        Self::with(profile, probe, Switches::default())
    }

    fn with(profile: Profile, probe: &Probe, switches: Switches) -> Self {
        let mut worker = Worker::of(&probe.module(), profile, switches);
        let entry = worker.configure("{}");
        Self { worker, entry }
    }

    fn send(&mut self, request: &HttpRequest) -> RequestHandle {
        self.worker.send(&[self.entry], request)
    }

    /// Sends a request, answers its first callout so, and lets the upstream answer.
    fn play(&mut self, request: &HttpRequest, end: Option<CalloutEnd>) -> RequestHandle {
        let handle = self.send(request);
        if let (Some(call), Some(end)) = (self.worker.pending().first(), end) {
            self.worker.answer(call.token, end);
        }
        if self.worker.awaits_response(handle) {
            self.worker.respond(handle, 200, &[("content-length", "2")]);
        }
        handle
    }
}

/// What the host says of a probe that is led through a request.
fn complaint(profile: Profile, probe: &Probe, request: &HttpRequest, end: Option<CalloutEnd>) -> String {
    said(|| {
        Stage::new(profile, probe).play(request, end);
    })
}

/// The message that an action fails with; none if it does not.
fn said(action: impl FnOnce()) -> String {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(()) => String::new(),
        Err(panic) => panic.downcast_ref::<String>().cloned().expect("a message"),
    }
}

/// That Kong complains so, and Envoy does not.
fn only_kong(probe: &Probe, request: &HttpRequest, end: Option<CalloutEnd>, message: &str) {
    let complaint_of = |profile| complaint(profile, probe, request, end.clone());
    let kong = complaint_of(Profile::Kong);
    assert!(kong.starts_with(&format!("misuse of the host: {message}")), "{kong}");
    assert_eq!(complaint_of(Profile::Envoy), "");
}

fn both(probe: &Probe, request: &HttpRequest, end: Option<&CalloutEnd>, message: &str) {
    for profile in BOTH {
        let complaint = complaint(profile, probe, request, end.cloned());
        assert!(complaint.starts_with(&format!("misuse of the host: {message}")), "{profile:?}: {complaint}");
    }
}

fn answered(outcome: &Outcome) -> (u16, String) {
    match outcome {
        Outcome::Answered { status, body, .. } => (*status, String::from_utf8_lossy(body).into_owned()),
        other => panic!("{other:?}"),
    }
}

/// A probe that sends this callout from the headers, waits, and then does something.
fn after_callout(body: &str, then: impl FnOnce(&mut Probe) -> String) -> Probe {
    let probe = Probe::default().on("proxy_on_request_headers", |probe| probe.call("10.0.0.1:80", body) + PAUSE);
    probe.on("proxy_on_http_call_response", then)
}

fn at_headers(code: impl FnOnce(&mut Probe) -> String) -> Probe {
    Probe::default().on("proxy_on_request_headers", |probe| code(probe) + CONTINUE)
}

#[test]
fn callouts_are_for_request_headers_request_bodies_and_answers_only() {
    let call = |probe: &mut Probe| probe.call("10.0.0.1:80", "");
    for (callback, rest, name) in [
        ("proxy_on_response_headers", CONTINUE, "ResponseHeaders"),
        ("proxy_on_done", PAUSE, "Done"),
        ("proxy_on_log", "", "Log"),
        ("proxy_on_delete", "", "Delete"),
        ("proxy_on_configure", PAUSE, "Configure"),
    ] {
        let probe = Probe::default().on(callback, |probe| call(probe) + rest);
        let message = complaint(Profile::Kong, &probe, &get(), None);
        assert!(message.starts_with(&format!("misuse of the host: proxy_http_call in {name}")), "{message}");
    }
    let probe = Probe::default()
        .on("proxy_on_tick", call)
        .on("proxy_on_configure", |_| format!("(drop (call $ticks (i32.const 1000))) {PAUSE}"));
    let message = said(|| Stage::new(Profile::Kong, &probe).worker.pass(Duration::from_secs(1)));
    assert!(message.starts_with("misuse of the host: proxy_http_call from a tick"), "{message}");
    assert_eq!(said(|| Stage::new(Profile::Envoy, &probe).worker.pass(Duration::from_secs(1))), "");
    for callback in ["proxy_on_request_headers", "proxy_on_request_body"] {
        let probe = Probe::default().on(callback, |probe| call(probe) + PAUSE);
        assert_eq!(complaint(Profile::Kong, &probe, &post("x"), Some(CalloutEnd::reply(200, "x"))), "");
    }
}

#[test]
fn a_callout_is_waited_for_and_nothing_else_is() {
    let leaves = at_headers(|probe| probe.call("10.0.0.1:80", ""));
    both(&leaves, &get(), None, "proxy_on_request_headers goes on beside a pending callout");
    let hangs = Probe::default().on("proxy_on_request_headers", |_| PAUSE.to_owned());
    only_kong(&hangs, &post("x"), None, "proxy_on_request_headers pauses without a callout");
    both(&hangs, &get(), None, "proxy_on_request_headers");
    let hangs = Probe::default().on("proxy_on_request_body", |_| PAUSE.to_owned());
    let message = complaint(Profile::Kong, &hangs, &post("x"), None);
    assert!(message.starts_with("misuse of the host: proxy_on_request_body pauses without a callout"), "{message}");
    // on Envoy nothing goes on by itself
    let silent = after_callout("", |_| String::new());
    let ends = Some(CalloutEnd::reply(200, "x"));
    let message = complaint(Profile::Envoy, &silent, &get(), ends.clone());
    assert!(message.contains("leaves a request paused that nothing will resume"), "{message}");
    let mut stage = Stage::new(Profile::Kong, &silent);
    let request = stage.play(&get(), ends);
    assert!(matches!(stage.worker.outcome(request), Outcome::Forwarded(_)));
}

#[test]
fn some_callouts_must_not_follow_others_on_kong() {
    for (first, second, end, message) in [
        ("", "", CalloutEnd::Refused, ""),
        ("", "x", CalloutEnd::ClosedAtOnce, ""),
        ("x", "", CalloutEnd::Timeout, ""),
        ("x", "x", CalloutEnd::Timeout, "proxy_http_call with a body from the callback of one with a body"),
        ("x", "x", CalloutEnd::reply(200, "x"), "proxy_http_call with a body from the callback of one with a body"),
        ("x", "", CalloutEnd::reply(200, "x"), ""),
        ("", "x", CalloutEnd::reply(200, "x"), ""),
    ] {
        let probe = after_callout(first, |probe| probe.call("10.0.0.1:80", second));
        let said = complaint(Profile::Kong, &probe, &get(), Some(end));
        let expected = if message.is_empty() { String::new() } else { format!("misuse of the host: {message}") };
        assert!(said.starts_with(&expected) && said.is_empty() == message.is_empty(), "{first}, {second}: {said}");
        let cancelled =
            after_callout(first, |probe| probe.call("10.0.0.1:80", second) + &probe.answer("(i32.const 503)", "no"));
        only_kong(&cancelled, &get(), Some(CalloutEnd::Refused), "an answer cancels a callout");
    }
}

#[test]
fn an_answer_beside_a_failed_callout_with_a_body_is_emptied_on_kong() {
    for (body, end, kong) in [
        ("x", CalloutEnd::Timeout, ""),
        ("x", CalloutEnd::reply(200, ""), ""),
        ("x", CalloutEnd::reply(200, "x"), "no\n"),
        ("", CalloutEnd::Timeout, "no\n"),
        ("", CalloutEnd::reply(200, ""), "no\n"),
    ] {
        let probe = after_callout(body, |probe| probe.answer("(i32.const 503)", "no"));
        for (profile, expected) in [(Profile::Kong, kong), (Profile::Envoy, "no")] {
            let mut stage = Stage::new(profile, &probe);
            let request = stage.play(&get(), Some(end.clone()));
            assert_eq!(answered(stage.worker.outcome(request)), (503, expected.to_owned()), "{end:?} on {profile:?}");
        }
    }
}

#[test]
fn a_callout_that_is_none_is_noticed() {
    let with = |upstream: &str, headers: &[(&str, &str)]| at_headers(|probe| probe.call_with(upstream, headers, ""));
    let (method, path, authority) = ((":method", "GET"), (":path", "/"), (":authority", "a"));
    for (headers, missing) in
        [([path, authority], ":method"), ([method, authority], ":path"), ([method, path], ":authority")]
    {
        both(&with("10.0.0.1:80", &headers), &get(), None, &format!("proxy_http_call without `{missing}`"));
    }
    let split = [method, (":path", "/\r\nhost: b"), authority];
    both(&with("10.0.0.1:80", &split), &get(), None, "proxy_http_call: a header with a line break");
    for upstream in ["", ":80", "a:b", "http://a:80", "a b:80"] {
        let probe = with(upstream, &[method, path, authority]);
        let message = complaint(Profile::Kong, &probe, &get(), None);
        assert!(message.starts_with(&format!("misuse of the host: proxy_http_call to `{upstream}`")), "{message}");
    }
    let late = at_headers(|probe| probe.answer("(i32.const 200)", "") + &probe.call("10.0.0.1:80", ""));
    both(&late, &get(), None, "proxy_http_call after an answer");
}

#[test]
fn kongs_own_properties_are_read_while_headers_are_handled_before_any_callout_and_never_written() {
    let read = |probe: &mut Probe| format!("(drop {})", probe.property("kong.ctx.shared.a"));
    let write = |probe: &mut Probe| format!("(drop {})", probe.set_property("kong.ctx.shared.a", "b"));
    only_kong(&at_headers(write), &get(), None, "proxy_set_property `kong.ctx.shared.a`: kong's worker may die");
    assert_eq!(complaint(Profile::Kong, &at_headers(read), &get(), None), "");
    for (callback, rest, name) in [
        ("proxy_on_request_body", CONTINUE, "RequestBody"),
        ("proxy_on_response_headers", CONTINUE, "ResponseHeaders"),
        ("proxy_on_log", "", "Log"),
    ] {
        let probe = Probe::default().on(callback, |probe| read(probe) + rest);
        only_kong(&probe, &post("x"), None, &format!("proxy_get_property `kong.ctx.shared.a` in {name}"));
    }
    let message = complaint(Profile::Kong, &after_callout("", read), &get(), Some(CalloutEnd::reply(200, "x")));
    assert!(
        message.starts_with("misuse of the host: proxy_get_property `kong.ctx.shared.a` in CalloutReply"),
        "{message}"
    );
    for path in ["kong.ctx.shared.a", "ngx.upstream_uri"] {
        // a second entry, whose headers come once the first one's callout was answered
        let (read, has_waited) = (path.starts_with("kong"), "(i32.load (i32.const 40))");
        let probe = Probe::default().on("proxy_on_request_headers", |probe| {
            let (property, call) = (probe.property(path), probe.call("10.0.0.1:80", ""));
            let store = "(i32.store (i32.const 40) (i32.const 1))";
            format!("(if (result i32) {has_waited} (then (drop {property}) {CONTINUE}) (else {store} {call} {PAUSE}))")
        });
        let message = said(|| {
            let mut stage = Stage::new(Profile::Kong, &probe);
            let request = stage.worker.send(&[stage.entry, stage.entry], &get());
            let token = stage.worker.pending()[0].token;
            stage.worker.answer(token, CalloutEnd::reply(200, "x"));
            assert!(matches!(stage.worker.outcome(request), Outcome::Forwarded(_)));
        });
        let expected = format!("misuse of the host: proxy_get_property `{path}` after a callout");
        assert!(if read { message.starts_with(&expected) } else { message.is_empty() }, "{message}");
    }
}

#[test]
fn other_properties_trap_or_are_not_there() {
    let broken = at_headers(|probe| format!("(drop {})", probe.property("kong.response.source")));
    let unknown = at_headers(|probe| format!("(drop {})", probe.set_property("kong.nothing", "x")));
    only_kong(&broken, &get(), None, "proxy_get_property `kong.response.source`: kong traps");
    only_kong(&unknown, &get(), None, "proxy_set_property `kong.nothing`: kong's worker may die");
    for (property, kong) in [("ngx.nothing", 201), ("ngx.upstream_uri", 200), ("ngx.kong_request_id", 200)] {
        let probe = at_headers(|probe| {
            let code = probe.property(property);
            probe.tell(200, &code)
        });
        for (profile, expected) in [(Profile::Kong, kong), (Profile::Envoy, 201)] {
            let mut stage = Stage::new(profile, &probe);
            let request = stage.send(&get());
            assert_eq!(answered(stage.worker.outcome(request)).0, expected, "{property} on {profile:?}");
        }
    }
    let in_root = Probe::default()
        .on("proxy_on_configure", |probe| format!("(drop {}) {PAUSE}", probe.property("ngx.upstream_uri")));
    only_kong(&in_root, &get(), None, "proxy_get_property `ngx.upstream_uri` in a root context");
}

#[test]
fn kong_lists_a_hundred_headers_at_most_and_says_how_many_there_are() {
    let probe = at_headers(|probe| {
        let count = Probe::count(0);
        probe.tell(100, &count)
    });
    let told = Probe::default().on("proxy_on_request_headers", |probe| probe.tell(100, "(local.get 1)") + CONTINUE);
    let names: Vec<_> = (0..150).map(|number| format!("x-{number}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let many = client("GET", "/", &headers);
    only_kong(&probe, &many, None, "proxy_get_header_map_pairs of more than 100");
    for (profile, listed, counted) in [(Profile::Kong, 107, 103), (Profile::Envoy, 108, 104)] {
        for (probe, request, expected) in [
            (&probe, &client("GET", "/", &headers[..2]), listed),
            (&told, &client("GET", "/", &headers[..2]), counted),
            (&told, &many, counted + 148),
        ] {
            let mut stage = Stage::new(profile, probe);
            let request = stage.send(request);
            assert_eq!(answered(stage.worker.outcome(request)).0, expected, "{profile:?}");
        }
    }
}

#[test]
fn envoy_lets_a_held_request_go_with_trailers_that_are_let_on() {
    let after = |action: &str| {
        let probe = Probe::default().on("proxy_on_request_headers", |probe| probe.call("10.0.0.1:80", "") + PAUSE);
        let probe = probe.on("proxy_on_request_body", |_| PAUSE.to_owned());
        probe.on("proxy_on_request_trailers", |_| action.to_owned())
    };
    let request = HttpRequest { http2: true, trailers: 1, ..post("{}") };
    for (action, goes_on) in [(CONTINUE, true), (PAUSE, false)] {
        let mut stage = Stage::new(Profile::Envoy, &after(action));
        let handle = stage.send(&request);
        assert_eq!(stage.worker.awaits_response(handle), goes_on);
    }
}

#[test]
fn envoy_refuses_what_it_shall_keep_and_has_no_room_for_and_lets_the_client_wait_with_what_it_shall_not() {
    let held = |action: &str| {
        let probe = Probe::default().on("proxy_on_request_headers", |probe| probe.call("10.0.0.1:80", "") + PAUSE);
        probe.on("proxy_on_request_body", |_| action.to_owned())
    };
    let request = post(&"x".repeat(2 << 20));
    let mut stage = Stage::new(Profile::Envoy, &held(PAUSE));
    let handle = stage.send(&request);
    assert_eq!(*stage.worker.outcome(handle), Outcome::ServerError(413));
    let mut stage = Stage::new(Profile::Envoy, &held("(i32.const 2)"));
    let handle = stage.send(&request);
    assert_eq!(*stage.worker.outcome(handle), Outcome::Waiting);
}

#[test]
fn kongs_authority_is_its_own_and_its_answers_end_in_a_line_feed() {
    for (profile, expected) in [(Profile::Kong, "kong:8000\n"), (Profile::Envoy, "gw.example.com")] {
        let probe = at_headers(|probe| format!("(drop {}) {}", probe.header(0, ":authority"), probe.show()));
        let mut stage = Stage::new(profile, &probe);
        let request = stage.send(&get());
        assert_eq!(answered(stage.worker.outcome(request)).1, expected);
    }
}

#[test]
fn kongs_path_is_decoded_and_what_it_sends_is_in_a_property() {
    let shows = |probe: &mut Probe, code: String| format!("(drop {code}) {}", probe.show());
    let request = HttpRequest { shown_path: Some("/a/b".to_owned()), ..client("GET", "/a%2Fb", &[]) };
    let path = at_headers(|probe| {
        let code = probe.header(0, ":path");
        shows(probe, code)
    });
    let sent = at_headers(|probe| {
        let code = probe.property("ngx.upstream_uri");
        shows(probe, code)
    });
    for (probe, expected) in [(path, "/a/b\n"), (sent, "/a%2Fb\n")] {
        let mut stage = Stage::new(Profile::Kong, &probe);
        let handle = stage.send(&request);
        assert_eq!(answered(stage.worker.outcome(handle)).1, expected);
    }
}

#[test]
fn a_body_is_whole_and_once_on_kong_and_not_there_if_it_is_larger_than_the_buffer() {
    let status = Probe::default().on("proxy_on_request_body", |probe| probe.tell(200, &Probe::buffer(0, 0)) + PAUSE);
    let switches = || Switches { body_buffer: 8, piece: 4, ..Switches::default() };
    for (profile, body, expected) in
        [(Profile::Kong, "12345678", 200), (Profile::Kong, "123456789", 201), (Profile::Envoy, "123456789", 200)]
    {
        let mut stage = Stage::with(profile, &status, switches());
        let request = stage.send(&post(body));
        assert_eq!(answered(stage.worker.outcome(request)).0, expected, "{body} on {profile:?}");
    }
    let show = Probe::default()
        .on("proxy_on_request_body", |probe| format!("(drop {}) {} {PAUSE}", Probe::buffer(0, 0), probe.show()));
    for (profile, expected) in [(Profile::Kong, "12345678\n"), (Profile::Envoy, "1234")] {
        let mut stage = Stage::with(profile, &show, switches());
        let request = stage.send(&post("12345678"));
        assert_eq!(answered(stage.worker.outcome(request)).1, expected);
    }
    let offset = Probe::default().on("proxy_on_request_body", |_| format!("(drop {}) {CONTINUE}", Probe::buffer(0, 1)));
    only_kong(&offset, &post("x"), None, "proxy_get_buffer_bytes with an offset");
    let late = after_callout("", |_| format!("(drop {})", Probe::buffer(0, 0)));
    let message = complaint(Profile::Kong, &late, &get(), Some(CalloutEnd::reply(200, "x")));
    assert!(
        message.starts_with("misuse of the host: proxy_get_buffer_bytes of the request's body in CalloutReply"),
        "{message}"
    );
}

#[test]
fn failures_of_callouts_look_as_each_host_makes_them() {
    for (end, kong, envoy) in [
        (CalloutEnd::Refused, "broken connection\n", "503"),
        (CalloutEnd::Timeout, "timeout\n", "504"),
        (CalloutEnd::Dns, "resolver failure\n", "503"),
        (CalloutEnd::Tls, "tls handshake failure\n", "503"),
        (CalloutEnd::Unreadable, "reader failure\n", ""),
        (CalloutEnd::ClosedAtOnce, "ok\n", ""),
    ] {
        for (profile, name, expected) in [(Profile::Kong, ":dispatch_status", kong), (Profile::Envoy, ":status", envoy)]
        {
            let probe = after_callout("", |probe| format!("(drop {}) {}", probe.header(6, name), probe.show()));
            let mut stage = Stage::new(profile, &probe);
            let request = stage.play(&get(), Some(end.clone()));
            assert_eq!(answered(stage.worker.outcome(request)).1, expected, "{end:?} on {profile:?}");
        }
    }
    // cut off: announced and not there, which the call says by its status
    let probe = after_callout("", |probe| {
        let announced = "(local.get 3)";
        probe.tell(400, &format!("(i32.add {announced} {})", Probe::buffer(4, 0)))
    });
    let mut stage = Stage::new(Profile::Kong, &probe);
    let request = stage.play(&get(), Some(CalloutEnd::Truncated { status: 200, announced: 50 }));
    assert_eq!(answered(stage.worker.outcome(request)).0, 452);
}

#[test]
fn names_stop_being_resolved_on_kong_and_addresses_do_not() {
    let outcome = |upstream: &str, profile| {
        let probe = after_callout("", |probe| {
            let status = probe.header(6, ":status");
            probe.tell(200, &status)
        });
        let probe = probe.on("proxy_on_request_headers", |probe| probe.call(upstream, "") + PAUSE);
        let switches = Switches { hostname_callouts: Some(2), ..Switches::default() };
        let mut stage = Stage::with(profile, &probe, switches);
        let mut play = || {
            let request = stage.play(&get(), Some(CalloutEnd::reply(200, "x")));
            answered(stage.worker.outcome(request)).0
        };
        [play(), play(), play()]
    };
    assert_eq!(outcome("idp.example:443", Profile::Kong), [200, 200, 201]);
    assert_eq!(outcome("10.0.0.1:443", Profile::Kong), [200; 3]);
    assert_eq!(outcome("[::1]:443", Profile::Kong), [200; 3]);
    assert_eq!(outcome("idp", Profile::Envoy), [200; 3]);
}

#[test]
fn a_header_that_is_removed_is_sent_all_the_same_by_kong_and_an_empty_one_is_not_seen() {
    let probe = at_headers(|probe| {
        format!("(drop {}) (drop {})", probe.remove(0, "x-removed"), probe.replace(0, "x-emptied", ""))
    });
    let headers = [("x-removed", "a"), ("x-emptied", "b"), ("X-Emptied", "c")];
    for (profile, expected) in [(Profile::Kong, [vec!["a"], vec!["", "c"]]), (Profile::Envoy, [vec![], vec![""]])] {
        let mut stage = Stage::new(profile, &probe);
        let request = stage.send(&client("GET", "/", &headers));
        let Outcome::Forwarded(upstream) = stage.worker.outcome(request) else { panic!() };
        let sent = ["x-removed", "x-emptied"].map(|name| upstream.header(name).collect::<Vec<_>>());
        assert_eq!(sent, expected, "{profile:?}");
    }
    let late = Probe::default()
        .on("proxy_on_response_headers", |probe| format!("(drop {}) {CONTINUE}", probe.replace(0, "x", "y")));
    only_kong(&late, &get(), None, "proxy_replace_header_map_value of a request's headers in ResponseHeaders");
}

#[test]
fn an_answer_is_given_once_and_in_time() {
    let twice = at_headers(|probe| probe.answer("(i32.const 200)", "") + &probe.answer("(i32.const 200)", ""));
    both(&twice, &get(), None, "proxy_send_local_response twice");
    let late = Probe::default().on("proxy_on_log", |probe| probe.answer("(i32.const 500)", ""));
    only_kong(&late, &get(), None, "proxy_send_local_response in Log");
    let hangs =
        Probe::default().on("proxy_on_response_headers", |probe| probe.answer("(i32.const 500)", "no") + CONTINUE);
    both(&hangs, &get(), None, "proxy_send_local_response in ResponseHeaders beside the upstream's content-length");
    for profile in BOTH {
        let odd = at_headers(|probe| probe.answer("(i32.const 99)", ""));
        let mut stage = Stage::new(profile, &odd);
        let request = stage.send(&get());
        assert!(matches!(stage.worker.outcome(request), Outcome::Forwarded(_)), "no such status");
    }
    // of two headers with one name the last is left
    let probe = at_headers(|probe| probe.answer("(i32.const 200)", ""));
    for (profile, expected) in [(Profile::Kong, vec!["two"]), (Profile::Envoy, vec!["one", "two"])] {
        let mut stage = Stage::new(profile, &probe);
        let request = stage.send(&get());
        let Outcome::Answered { headers, .. } = stage.worker.outcome(request) else { panic!() };
        assert_eq!(headers.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), expected, "{profile:?}");
    }
}

#[test]
fn starts_that_open_kong_are_noticed() {
    for (callback, message) in [
        ("proxy_on_vm_start", "proxy_on_vm_start returns false: kong runs without filters"),
        ("proxy_on_configure", "proxy_on_configure returns false: kong runs without filters"),
    ] {
        let probe = Probe::default().on(callback, |_| CONTINUE.to_owned());
        both(&probe, &get(), None, message);
    }
    let probe = Probe::default().on("proxy_on_configure", |_| {
        format!("(drop (call $ticks (i32.const 1000))) (drop (call $ticks (i32.const 500))) {PAUSE}")
    });
    only_kong(&probe, &get(), None, "proxy_set_tick_period_milliseconds a second time");
    let probe = at_headers(|_| "(drop (call $ticks (i32.const 1000)))".to_owned());
    both(&probe, &get(), None, "proxy_set_tick_period_milliseconds outside of a root context");
}

#[test]
fn a_callback_that_is_not_exported_is_noticed() {
    for callback in ["proxy_on_log", "proxy_on_done", "proxy_on_response_headers"] {
        let probe = Probe::default().without(callback);
        both(&probe, &get(), None, &format!("`{callback}` is not exported"));
    }
}

#[test]
fn a_trap_that_no_test_asked_for_and_a_callback_that_does_not_end_are_noticed() {
    let traps = at_headers(|_| "(unreachable)".to_owned());
    let hangs = at_headers(|_| "(loop $for_ever (br $for_ever))".to_owned());
    for profile in BOTH {
        let message = complaint(profile, &traps, &get(), None);
        assert!(message.starts_with("the filter traps in proxy_on_request_headers"), "{message}");
        let switches = Switches { longest_callback: 1, ..Switches::default() };
        let message = said(|| {
            Stage::with(profile, &hangs, switches).send(&get());
        });
        assert!(message.contains("interrupt"), "{message}");
    }
}

#[test]
fn counters_are_defined_at_configuration_and_only_grow() {
    let defines = |probe: &mut Probe| format!("(drop {})", probe.define(0, "a"));
    only_kong(&at_headers(defines), &get(), None, "proxy_define_metric in RequestHeaders");
    let histogram =
        Probe::default().on("proxy_on_configure", |probe| format!("(drop {}) {PAUSE}", probe.define(2, "a")));
    both(&histogram, &get(), None, "proxy_define_metric of kind 2");
    let counter = || Probe::default().on("proxy_on_configure", |probe| defines(probe) + PAUSE);
    for (metric, by, message) in
        [(1, 1, ""), (1, -1, "proxy_increment_metric of 1 by -1"), (2, 1, "proxy_increment_metric of 2 by 1")]
    {
        let probe =
            counter().on("proxy_on_log", |_| format!("(drop (call $increment (i32.const {metric}) (i64.const {by})))"));
        let said = complaint(Profile::Kong, &probe, &get(), None);
        assert!(said.contains(message) && said.is_empty() == message.is_empty(), "{said}");
    }
}

#[test]
fn kongs_monotonic_clock_counts_milliseconds_and_no_other_does() {
    const REALTIME: u32 = 0;
    const MONOTONIC: u32 = 1;
    for (profile, clock, expected) in [
        (Profile::Kong, MONOTONIC, 200),
        (Profile::Kong, REALTIME, 201),
        (Profile::Envoy, MONOTONIC, 201),
        (Profile::Envoy, REALTIME, 201),
    ] {
        let probe = at_headers(|probe| probe.tell(200, &Probe::below_a_millisecond(clock)));
        let mut stage = Stage::new(profile, &probe);
        let request = stage.send(&get());
        assert_eq!(answered(stage.worker.outcome(request)).0, expected, "{clock} on {profile:?}");
    }
}
