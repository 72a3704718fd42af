//! The library as Lua sees it: through its exported functions, with pointers.
//!
//! `cargo +nightly miri test --lib --features native,faults ffi::` (with `MIRIFLAGS=-Zmiri-disable-isolation`) runs these under Miri.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, reason = "the tests are a caller of the C interface")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test fails loudly, and the library reads the clock itself"
)]

use super::boundary;
use super::caller::{Head, Said, ask, header, span};
use super::exports::*;
use super::interface::{DkAnswer, DkBytes, DkCalloutAnswer, DkHead, DkHeader, DkText};
use super::message::{AWAIT_BODY, CALL, COMMON, Code, REPLY, SEND};
use crate::flow::Metric;
use crate::jwt::testing::{claims, jwk, sign};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use serde_json::{Value, json};
use std::ptr::{null, null_mut};

impl Said {
    fn reason(&self) -> (String, String) {
        assert_eq!(self.code, Code::Reply as i32, "{self:?}");
        let body: Value = serde_json::from_str(self.own(&REPLY, "body")).unwrap();
        let reason = body["details"][0]["reason"].as_str().unwrap_or_default().to_owned();
        (self.own(&REPLY, "status").to_owned(), reason)
    }

    fn texts(&self) -> Vec<&str> {
        self.fields.iter().map(|field| std::str::from_utf8(field).unwrap()).collect()
    }
}

/// What was counted since this was asked last, in the order of the names.
fn counted() -> Vec<String> {
    let names: Vec<_> = Metric::all().map(Metric::name).collect();
    let said = ask(0, |answer| unsafe { dk_take_counts(answer) });
    assert_eq!(said.code, Code::Done as i32);
    let texts = said.texts();
    let (pairs, rest) = texts.as_chunks::<2>();
    assert_eq!(rest.len(), 0);
    let times = |[place, count]: &[&str; 2]| {
        vec![names[place.parse::<usize>().unwrap() - 1].to_owned(); count.parse().unwrap()]
    };
    pairs.iter().flat_map(times).collect()
}

#[derive(Clone, Debug)]
struct Sent<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(&'a str, &'a str)>,
}

impl Sent<'_> {
    fn with<T>(&self, call: impl FnOnce(*const DkHead) -> T) -> T {
        let (method, target, headers) = (self.method, self.target, self.headers.clone());
        Head { id: "r-1", method, target, headers, shared: Vec::new(), has_body: false }.with(call)
    }
}

fn on_headers(request: u64, sent: &Sent<'_>) -> Said {
    sent.with(|head| ask(0, |answer| unsafe { dk_on_headers(request, head, answer) }))
}

fn on_send(request: u64, sent: &Sent<'_>, body: Option<&str>) -> Said {
    let (kind, text) = body.map_or((2, ""), |body| (0, body));
    sent.with(|head| ask(4096, |answer| unsafe { dk_on_send(request, head, kind, text.as_ptr(), text.len(), answer) }))
}

fn on_body(request: u64, body: &str) -> Said {
    ask(4096, |answer| unsafe { dk_on_body(request, 0, body.as_ptr(), body.len(), answer) })
}

/// An answer without headers, which points into `body`.
fn answered(status: u32, body: &str) -> DkCalloutAnswer {
    let body = span(body.as_bytes());
    DkCalloutAnswer { outcome: 0, shared: 0, status, headers: null(), headers_count: 0, body }
}

fn on_callout(request: u64, status: u32, body: &str) -> Said {
    let result = answered(status, body);
    ask(4096, |answer| unsafe { dk_on_callout(request, &raw const result, answer) })
}

/// What is answered to `request` where another worker had kept `sealed`.
fn on_kept(request: u64, sealed: &[u8]) -> Said {
    let result =
        DkCalloutAnswer { outcome: 5, shared: 1, status: 0, headers: null(), headers_count: 0, body: span(sealed) };
    ask(4096, |answer| unsafe { dk_on_callout(request, &raw const result, answer) })
}

/// What the library makes of an answer of a token endpoint, for other workers; raw, and for how many seconds.
fn seal(name: &[u8], status: u32, body: &str, age: u32) -> Option<(Vec<u8>, u64)> {
    let result = answered(status, body);
    let said = ask(4096, |answer| unsafe { dk_seal(name.as_ptr(), name.len(), age, &raw const result, answer) });
    if said.code != Code::Done as i32 {
        assert_eq!(said.code, Code::Nothing as i32);
        return None;
    }
    let [sealed, seconds] = said.fields.as_slice() else { panic!("{said:?}") };
    Some((sealed.clone(), std::str::from_utf8(seconds).unwrap().parse().unwrap()))
}

/// A request that waits for its Databricks token, and the name under which that may be sealed.
fn awaiting_token(config: &str) -> (u64, Vec<u8>) {
    ask(0, |answer| unsafe { dk_start(answer) });
    let request = unsafe { dk_request_open(open(config)) };
    let token = token();
    let mut said = on_headers(request, &listing(&token));
    if said.own(&CALL, "authority") == "idp.example" {
        said = on_callout(request, 200, &keys());
    }
    (request, said.own_bytes(&CALL, "keep").to_vec())
}

fn minted(token: &str, life: u64) -> String {
    json!({ "access_token": token, "token_type": "Bearer", "expires_in": life }).to_string()
}

fn principal(client: &str) -> Value {
    json!({ "type": "service_principal_secret", "client_id": client, "client_secret": "s" })
}

fn on_response(request: u64, status: u32) -> Said {
    ask(0, |answer| unsafe { dk_on_response(request, status, null(), 0, answer) })
}

#[test]
fn the_name_of_a_refused_token_is_told_once_so_that_no_other_worker_takes_it() {
    let text = config(&principal("refused"));
    let ((one, name), (other, _)) = (awaiting_token(&text), awaiting_token(&text));
    let (sealed, _) = seal(&name, 200, &minted("dbx-refused", 3600), 0).unwrap();
    for request in [one, other] {
        assert_eq!(on_kept(request, &sealed).code, Code::Allowed as i32);
        assert_eq!(on_send(request, &listing(""), None).code, Code::Send as i32);
    }
    let said = on_response(one, 401);
    assert_eq!((said.code, said.fields), (Code::Done as i32, vec![name]));
    assert_eq!(on_response(other, 401).code, Code::Nothing as i32);
    let (request, token) = (open_request(&passthrough()), token());
    allowed(request, &listing(&token), None);
    on_send(request, &listing(""), None);
    assert_eq!(on_response(request, 401).code, Code::Nothing as i32, "it is the caller's own");
    for request in [one, other, request] {
        unsafe { dk_request_close(request) };
    }
}

#[test]
fn what_a_worker_sealed_serves_whoever_asked_for_the_same() {
    let text = config(&principal("app"));
    let (one, name) = awaiting_token(&text);
    let (other, same) = awaiting_token(&text);
    assert_eq!((name.len(), &name), (32, &same));
    let (sealed, seconds) = seal(&name, 200, &minted("dbx-1", 3600), 2_500).unwrap();
    assert_eq!(seconds, 3597);
    assert!(!sealed.windows(5).any(|part| part == b"dbx-1"));
    assert_ne!(seal(&name, 200, &minted("dbx-1", 3600), 0).unwrap().0[12..], sealed[12..], "no nonce twice");
    for request in [one, other] {
        assert_eq!(on_kept(request, &sealed).code, Code::Allowed as i32);
        let said = on_send(request, &listing(""), None);
        assert!(said.headers(&SEND).contains(&("authorization", "Bearer dbx-1")));
        unsafe { dk_request_close(request) };
    }
}

#[test]
fn what_was_sealed_for_anything_else_or_tampered_with_is_asked_for_anew() {
    let text = config(&principal("app"));
    let (_, name) = awaiting_token(&text);
    let (sealed, _) = seal(&name, 200, &minted("dbx-1", 3600), 0).unwrap();
    let mut role: Value = serde_json::from_str(&text).unwrap();
    role["roles"][0]["name"] = json!("other");
    let mut scope: Value = serde_json::from_str(&text).unwrap();
    scope["roles"][0]["credential"]["scope"] = json!(["jobs"]);
    let mut workspace: Value = serde_json::from_str(&text).unwrap();
    workspace["workspace"]["url"] = json!("https://adb-2.2.azuredatabricks.net");
    let mut changed: Value = serde_json::from_str(&text).unwrap();
    changed["audit"] = json!({ "log": false });
    let others = [role, scope, workspace, changed].map(|config| config.to_string());
    for other in others.iter().chain([&config(&principal("other")), &config(&json!({ "type": "user_federation" }))]) {
        let (request, others_name) = awaiting_token(other);
        assert_ne!(others_name, name, "{other}");
        assert_eq!(on_kept(request, &sealed).code, Code::Call as i32, "{other}");
        unsafe { dk_request_close(request) };
    }
    for at in (0..sealed.len()).step_by(7) {
        let mut tampered = sealed.clone();
        tampered[at] ^= 1;
        let (request, _) = awaiting_token(&text);
        let said = on_kept(request, &tampered);
        assert_eq!(said.code, Code::Call as i32, "byte {at}");
        unsafe { dk_request_close(request) };
    }
    for cut in [0, 11, 12, sealed.len() - 1] {
        let (request, _) = awaiting_token(&text);
        assert_eq!(on_kept(request, &sealed[..cut]).code, Code::Call as i32, "cut at {cut}");
        unsafe { dk_request_close(request) };
    }
}

#[test]
fn the_library_hears_of_every_status_that_may_refuse_a_token() {
    let listed: Vec<u16> = super::worker::REFUSALS.split(' ').map(|status| status.parse().unwrap()).collect();
    let refusing = |status: &u16| crate::exchange::refuses_token(*status, Some("Invalid access token."));
    assert_eq!((100..600).filter(refusing).collect::<Vec<_>>(), listed);
}

#[test]
fn only_tokens_that_live_are_sealed() {
    for (status, body) in [
        (429, minted("dbx-1", 3600)),
        (200, minted("dbx-1", 0)),
        (200, json!({ "expires_in": 3600 }).to_string()),
        (200, json!({ "access_token": "dbx-1" }).to_string()),
        (200, "nothing".to_owned()),
    ] {
        ask(0, |answer| unsafe { dk_start(answer) });
        assert_eq!(seal(&[7; 32], status, &body, 0), None, "{status} {body}");
    }
}

#[test]
fn what_another_worker_kept_is_no_answer_to_what_is_not_shared() {
    let request = open_request(&passthrough());
    let token = token();
    let said = on_headers(request, &listing(&token));
    if said.code == Code::Call as i32 {
        assert_eq!((said.own(&CALL, "authority"), said.own(&CALL, "keep")), ("idp.example", ""));
        assert_eq!(on_kept(request, b"x").code, Code::Failed as i32);
    }
    unsafe { dk_request_close(request) };
}

fn config(credential: &Value) -> String {
    json!({
        "workspace": { "url": "https://adb-1.1.azuredatabricks.net", "id": "1" },
        "identity_providers": [{
            "name": "okta", "issuer": "https://idp.example", "audiences": ["databricks"], "algorithms": ["EdDSA"],
            "jwks_url": "https://idp.example/keys",
        }],
        "roles": [{ "name": "r", "match": {}, "credential": credential,
            "allow": [
                { "operations": ["clusters.list", "jobs.list"] },
                { "operations": ["jobs.run_now"], "resources": { "job": ["7"] } },
            ] }],
    })
    .to_string()
}

fn open(text: &str) -> u64 {
    let mut nowhere = DkAnswer { data: null_mut(), room: 0, size: 0 };
    unsafe { dk_config_open(text.as_ptr(), text.len(), &raw mut nowhere) }
}

fn open_request(credential: &Value) -> u64 {
    let config = open(&config(credential));
    assert_ne!(config, 0);
    let request = unsafe { dk_request_open(config) };
    assert_ne!(request, 0);
    request
}

fn passthrough() -> Value {
    json!({ "type": "passthrough" })
}

fn token() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    format!("Bearer {}", sign(&claims(json!({ "iat": now - 5, "nbf": now - 5, "exp": now + 600 }))))
}

fn keys() -> String {
    json!({ "keys": [jwk()] }).to_string()
}

fn listing<'a>(authorization: &'a str) -> Sent<'a> {
    Sent {
        method: "GET",
        target: "/api/2.1/clusters/list",
        headers: vec![("authorization", authorization), ("cookie", "c")],
    }
}

/// A request that was allowed, and what the library said of it.
fn allowed(request: u64, sent: &Sent<'_>, body: Option<&str>) -> Said {
    let mut said = on_headers(request, sent);
    if said.code == Code::Call as i32 {
        assert_eq!(said.own(&CALL, "authority"), "idp.example");
        said = on_callout(request, 200, &keys());
    }
    if let Some(body) = body {
        assert_eq!((said.code, said.own(&AWAIT_BODY, "longest")), (Code::AwaitBody as i32, "65536"));
        said = on_body(request, body);
    }
    assert_eq!(said.code, Code::Allowed as i32, "{said:?}");
    said
}

#[test]
fn a_verified_caller_gets_the_credential_only_when_the_request_is_sent() {
    let (request, token) = (open_request(&passthrough()), token());
    let said = allowed(request, &listing(&token), None);
    assert_eq!((said.common("decision"), said.common("subject"), said.common("provider")), ("allow", "anna", "okta"));
    assert_eq!(said.fields.len(), COMMON.len());
    let counts = counted();
    assert!(!counts.is_empty() && !counts.iter().any(|name| name.starts_with("requests_")), "{counts:?}");

    let said = on_send(request, &Sent { headers: vec![], ..listing("") }, None);
    assert_eq!(said.code, Code::Send as i32);
    assert!(said.headers(&SEND).contains(&("authorization", &token)));
    assert_eq!(counted(), ["requests_allowed"]);
    assert_eq!(counted(), [""; 0]);
    assert!(said.common("line").contains(r#""decision":"allow""#));
    // once
    assert_eq!(on_send(request, &listing(""), None).code, Code::Failed as i32);
    unsafe { dk_request_close(request) };
}

#[test]
fn the_callers_credentials_are_named_for_removal_before_anything_is_waited_for() {
    let (request, token) = (open_request(&passthrough()), token());
    let said = on_headers(request, &listing(&token));
    assert_eq!((said.code, said.common("removals")), (Code::Call as i32, "authorization\ncookie"));
    unsafe { dk_request_close(request) };
}

#[test]
fn what_is_not_what_was_decided_on_is_not_sent() {
    let token = token();
    let base = listing("");
    for (sent, what) in [
        (Sent { method: "POST", ..base.clone() }, "method"),
        (Sent { target: "/api/2.1/clusters/delete", ..base.clone() }, "target"),
        (Sent { target: "/api/2.1/clusters/list?a=b", ..base.clone() }, "target"),
        (Sent { headers: vec![("content-length", "3")], ..base.clone() }, "body"),
        (Sent { headers: vec![("x-http-method-override", "DELETE")], ..base.clone() }, "headers"),
    ] {
        let request = open_request(&passthrough());
        allowed(request, &listing(&token), None);
        counted();
        let said = on_send(request, &sent, None);
        assert_eq!(said.reason(), ("400".to_owned(), "REQUEST_AMBIGUOUS".to_owned()), "{sent:?}");
        assert!(said.own(&REPLY, "body").contains(what), "{said:?}");
        assert!(!format!("{said:?}").contains(&token[7..]));
        assert_eq!(counted(), ["requests_denied", "denied_request_ambiguous"]);
        assert_eq!(said.common("decision"), "deny");
        // not on a second try either
        assert_eq!(on_send(request, &base, None).code, Code::Failed as i32);
        unsafe { dk_request_close(request) };
    }
}

#[test]
fn a_credential_that_another_plugin_set_meanwhile_is_named_for_removal() {
    let (request, token) = (open_request(&passthrough()), token());
    allowed(request, &listing(&token), None);
    let said = on_send(request, &listing("Bearer EVIL"), None);
    assert_eq!((said.code, said.common("removals")), (Code::Send as i32, "authorization\ncookie"));
    unsafe { dk_request_close(request) };
}

#[test]
fn a_body_that_was_decided_on_must_be_the_one_that_is_sent() {
    let token = token();
    let sent = Sent {
        method: "POST",
        target: "/api/2.2/jobs/run-now",
        headers: vec![("authorization", &token), ("content-length", "12")],
    };
    for (later, code) in
        [(Some(r#"{"job_id": 7}"#), Code::Send), (Some(r#"{"job_id": 8}"#), Code::Reply), (None, Code::Reply)]
    {
        let request = open_request(&passthrough());
        allowed(request, &sent, Some(r#"{"job_id": 7}"#));
        assert_eq!(on_send(request, &sent, later).code, code as i32, "{later:?}");
        unsafe { dk_request_close(request) };
    }
}

#[test]
fn a_refusal_is_the_cores_own() {
    let request = open_request(&passthrough());
    let said = on_headers(request, &Sent { headers: vec![], ..listing("") });
    assert_eq!(said.reason(), ("401".to_owned(), "TOKEN_MISSING".to_owned()));
    assert_eq!(counted(), ["requests_unauthenticated", "denied_token_missing"]);
    assert!(said.headers(&REPLY).iter().any(|(name, _)| *name == "www-authenticate"));
    assert_eq!(on_send(request, &listing(""), None).code, Code::Failed as i32);
    unsafe { dk_request_close(request) };
}

#[test]
fn an_invalid_configuration_is_refused_with_all_its_errors() {
    let text = json!({ "roles": [], "workspace": { "url": "ftp://x" } }).to_string();
    let said = ask(0, |answer| unsafe { dk_config_check(text.as_ptr(), text.len(), 0, answer) });
    assert_eq!(said.code, Code::Nothing as i32);
    let pointers: Vec<_> = said.texts().into_iter().step_by(2).collect();
    assert!(pointers.contains(&"/workspace/url") && pointers.contains(&"/roles"), "{said:?}");
    assert_eq!(open(&text), 0);
    assert_eq!(open(r#"{"mode": "guard"}"#), 0);
}

#[test]
fn secrets_of_another_processes_environment_count_as_set_only_where_that_is_asked() {
    let secret =
        json!({ "type": "service_principal_secret", "client_id": "c", "client_secret": { "env": "DK_NOT_SET_HERE" } });
    let text = config(&secret);
    let check = |lacks| ask(4096, |answer| unsafe { dk_config_check(text.as_ptr(), text.len(), lacks, answer) }).code;
    assert_eq!((check(0), check(1)), (Code::Nothing as i32, Code::Done as i32));
}

#[test]
fn a_refusal_can_be_had_without_a_request() {
    for (why, reason) in [(0, "INTERNAL"), (1, "INVALID_CONFIGURATION"), (7, "INTERNAL")] {
        let said = ask(4096, |answer| unsafe { dk_refuse(0, why, "r-1".as_ptr(), 3, answer) });
        assert_eq!(said.reason(), ("500".to_owned(), reason.to_owned()));
        assert!(said.common("record").contains(reason) && said.own(&REPLY, "body").contains("r-1"));
    }
}

#[cfg(feature = "faults")]
#[test]
fn a_panic_ends_at_the_boundary_and_its_request_with_it() {
    let (request, other, token) = (open_request(&passthrough()), open_request(&passthrough()), token());
    allowed(other, &listing(&token), None);
    let sent = Sent { headers: vec![("x-test-panic", "1"), ("authorization", &token)], ..listing("") };
    assert_eq!(on_headers(request, &sent).code, Code::Failed as i32);
    // another request of the worker goes on
    assert_eq!(on_send(other, &listing(""), None).code, Code::Send as i32);
    unsafe { dk_request_close(request) };
    assert_eq!(on_headers(request, &listing(&token)).code, Code::Failed as i32);
    unsafe { dk_request_close(other) };
}

#[cfg(feature = "faults")]
#[test]
fn a_panic_anywhere_in_a_call_leaves_its_request_no_way_on() {
    // as the worker is reached, as the request is put back, as its answer is delivered
    for places in 0..3 {
        let (warm, request, token) = (open_request(&passthrough()), open_request(&passthrough()), token());
        allowed(warm, &listing(&token), None);
        unsafe { dk_request_close(warm) };
        super::faults::panic_after(Some(places));
        assert_eq!(on_headers(request, &listing(&token)).code, Code::Failed as i32);
        assert!(super::faults::take_panic(), "{places}");
        assert_eq!(on_send(request, &listing(""), None).code, Code::Failed as i32, "{places}");
        unsafe { dk_request_close(request) };
    }
}

#[test]
fn a_panic_in_the_middle_of_a_request_leaves_no_way_on() {
    let (request, token) = (open_request(&passthrough()), token());
    allowed(request, &listing(&token), None);
    assert_eq!(boundary::guarded(3, || super::worker::panic_while_working_on(request)), 3);
    assert_eq!(on_send(request, &listing(""), None).code, Code::Failed as i32);
    let said = ask(4096, |answer| unsafe { dk_refuse(request, 0, "r-1".as_ptr(), 3, answer) });
    assert_eq!(said.reason().1, "INTERNAL");
    unsafe { dk_request_close(request) };
}

#[test]
fn what_cannot_be_read_is_refused() {
    let request = open_request(&passthrough());
    let odd = [span(b"a")];
    let nowhere = DkText { size: 1, data: null() };
    let good = header("accept", "*/*");
    let head = |headers: &[DkHeader]| DkHead {
        id: span(b"r"),
        method: span(b"GET"),
        target: span(b"/"),
        scheme: span(b"https"),
        headers: if headers.is_empty() { null() } else { headers.as_ptr() },
        headers_count: headers.len(),
        shared: null(),
        shared_count: 0,
        certificate: span(b""),
        has_body: 0,
        has_more_headers: 0,
    };
    let negative = DkHeader { value: DkText { size: -1, ..good.value }, ..good };
    for head in [
        DkHead { method: DkBytes { data: null(), size: 3 }, ..head(&[]) },
        DkHead { headers_count: 2, ..head(&[]) },
        DkHead { headers_count: usize::MAX - 1, ..head(&[good]) },
        head(&[good, negative]),
        head(&[DkHeader { name: nowhere, ..good }]),
        head(&[DkHeader { value: nowhere, ..good }]),
        DkHead { shared: odd.as_ptr(), shared_count: 1, ..head(&[]) },
    ] {
        assert_eq!(ask(4096, |answer| unsafe { dk_on_headers(request, &raw const head, answer) }).code, 0, "{head:?}");
    }
    assert_eq!(ask(4096, |answer| unsafe { dk_on_headers(request, null(), answer) }).code, 0);
    assert_eq!(unsafe { dk_on_body(request, 0, null(), 0, null_mut()) }, 0);
    assert_eq!(unsafe { dk_again(null_mut()) }, 0);
    assert_eq!(unsafe { dk_config_open(null(), 9, null_mut()) }, 0);
    unsafe { dk_request_close(request) };
}

/// What a caller might do, in any order, with handles that may be anything.
#[derive(Clone, Debug)]
enum Op {
    OpenConfig(bool),
    CloseConfig(usize),
    OpenRequest(usize),
    CloseRequest(usize),
    Headers(usize, bool, bool),
    Body(usize, u32),
    Callout(usize, u32, bool),
    Send(usize, bool),
    Response(usize),
    Refuse(usize),
    Tick(usize),
    TickCallout(usize),
    Again,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let place = || 0_usize..8;
    let op = prop_oneof![
        any::<bool>().prop_map(Op::OpenConfig),
        place().prop_map(Op::CloseConfig),
        place().prop_map(Op::OpenRequest),
        place().prop_map(Op::CloseRequest),
        (place(), any::<bool>(), any::<bool>()).prop_map(|(at, good, body)| Op::Headers(at, good, body)),
        (place(), 0_u32..4).prop_map(|(at, kind)| Op::Body(at, kind)),
        (place(), 0_u32..6, any::<bool>()).prop_map(|(at, outcome, good)| Op::Callout(at, outcome, good)),
        (place(), any::<bool>()).prop_map(|(at, same)| Op::Send(at, same)),
        place().prop_map(Op::Response),
        place().prop_map(Op::Refuse),
        place().prop_map(Op::Tick),
        place().prop_map(Op::TickCallout),
        Just(Op::Again),
    ];
    proptest::collection::vec(op, 1..40)
}

/// The caller's view of what must hold, whatever it calls.
struct Caller {
    token: String,
    configs: Vec<u64>,
    requests: Vec<u64>,
    closed: Vec<u64>,
    allowed: Vec<u64>,
}

impl Caller {
    fn new() -> Self {
        // some that nobody gave out
        Self { token: token(), configs: vec![0, 7], requests: vec![0, u64::MAX], closed: vec![], allowed: vec![] }
    }

    fn request(&self, at: usize) -> u64 {
        self.requests[at % self.requests.len()]
    }

    fn config(&self, at: usize) -> u64 {
        self.configs[at % self.configs.len()]
    }

    fn heard(&mut self, request: u64, said: &Said) {
        if self.closed.contains(&request) {
            assert_eq!(said.code, Code::Failed as i32, "a closed request answers {said:?}");
        }
        assert_ne!(said.code, Code::Send as i32, "only `dk_on_send` gives out a credential");
        if said.code == Code::Allowed as i32 {
            assert!(!self.allowed.contains(&request), "allowed twice");
            self.allowed.push(request);
        }
        assert!(!format!("{said:?}").contains(&self.token), "{said:?}");
    }

    fn run(&mut self, op: &Op) {
        let (credential, token) = (passthrough(), self.token.clone());
        let sent = |good: bool, body: bool| Sent {
            method: if body { "POST" } else { "GET" },
            target: if body { "/api/2.2/jobs/run-now" } else { "/api/2.2/jobs/list" },
            headers: match (good, body) {
                (true, true) => vec![("authorization", &*token), ("content-length", "13")],
                (true, false) => vec![("authorization", &*token)],
                (false, _) => vec![("authorization", "Bearer x.y.z")],
            },
        };
        let result = |outcome, good: bool| DkCalloutAnswer {
            outcome,
            shared: 0,
            status: 200,
            headers: null(),
            headers_count: 0,
            body: if good {
                span(b"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k1\",\"alg\":\"EdDSA\",\"use\":\"sig\",\"x\":\"6kqSOpCVjR3I3V4hE8vW2Y3mC7Nn6R0m0Jb0wM0gr-w\"}]}")
            } else {
                span(b"nothing")
            },
        };
        match *op {
            Op::OpenConfig(good) => {
                let config = open(if good { config(&credential) } else { "{".to_owned() }.as_str());
                assert_eq!(config != 0, good);
                self.configs.push(config);
            }
            Op::CloseConfig(at) => unsafe { dk_config_close(self.config(at)) },
            Op::OpenRequest(at) => {
                let request = unsafe { dk_request_open(self.config(at)) };
                assert!(request == 0 || !self.closed.contains(&request), "a closed handle came back");
                self.requests.push(request);
            }
            Op::CloseRequest(at) => {
                let request = self.request(at);
                unsafe { dk_request_close(request) };
                self.closed.push(request);
            }
            Op::Headers(at, good, body) => {
                let said = on_headers(self.request(at), &sent(good, body));
                self.heard(self.request(at), &said);
            }
            Op::Body(at, kind) => {
                let body = r#"{"job_id": 7}"#;
                let said = ask(at * 64, |answer| unsafe {
                    dk_on_body(self.request(at), kind, body.as_ptr(), body.len(), answer)
                });
                self.heard(self.request(at), &said);
            }
            Op::Callout(at, outcome, good) => {
                let (text, mut result) = (keys(), result(outcome, good));
                if good {
                    result.body = span(text.as_bytes());
                }
                let said = ask(at * 64, |answer| unsafe { dk_on_callout(self.request(at), &raw const result, answer) });
                self.heard(self.request(at), &said);
            }
            Op::Send(at, same) => {
                let request = self.request(at);
                let was_allowed = self.allowed.contains(&request);
                self.allowed.retain(|allowed| *allowed != request);
                let said = on_send(request, &sent(false, same), Some(r#"{"job_id": 7}"#));
                if said.code == Code::Send as i32 {
                    assert!(was_allowed && !self.closed.contains(&request), "sent without a decision");
                }
            }
            Op::Response(at) => {
                ask(0, |answer| unsafe { dk_on_response(self.request(at), 401, null(), 0, answer) });
            }
            Op::Refuse(at) => {
                let request = self.request(at);
                let said = ask(0, |answer| unsafe { dk_refuse(request, 0, null(), 0, answer) });
                assert_eq!(said.reason().1, "INTERNAL");
                self.closed.push(request);
            }
            Op::Tick(at) => {
                ask(0, |answer| unsafe { dk_on_tick(self.config(at), answer) });
            }
            Op::TickCallout(at) => {
                let result = result(0, true);
                ask(0, |answer| unsafe { dk_on_tick_callout(self.config(at), &raw const result, answer) });
            }
            Op::Again => {
                ask(16, |answer| unsafe { dk_again(answer) });
            }
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.requests.iter().for_each(|request| unsafe { dk_request_close(*request) });
        self.configs.iter().for_each(|config| unsafe { dk_config_close(*config) });
    }
}

#[test]
fn no_order_of_calls_gives_out_a_credential_without_a_decision() {
    let cases = if cfg!(miri) { 8 } else { 500 };
    let mut runner = TestRunner::new(Cases { cases, failure_persistence: None, ..Cases::default() });
    let result = runner.run(&ops(), |ops| {
        let mut caller = Caller::new();
        ops.iter().for_each(|op| caller.run(op));
        Ok(())
    });
    result.unwrap();
    // the way to the end is in reach of these calls, for a worker that does not know of keys that failed a moment ago
    let reach = || {
        let mut caller = Caller::new();
        for op in [
            Op::OpenConfig(true),
            Op::OpenRequest(2),
            Op::Headers(2, true, true),
            Op::Callout(2, 0, true),
            Op::Body(2, 0),
        ] {
            caller.run(&op);
        }
        caller.allowed.len()
    };
    assert_eq!(std::thread::spawn(reach).join().unwrap(), 1);
}
