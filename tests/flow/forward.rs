//! What a request is given when it goes on.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::flow::{Event, Flow, ReadBody};
use databricks_kong::sim::{Client, End, Transcript};
use serde_json::json;

fn stage() -> (Stage, String) {
    let mut stage = Stage::warm(config(json!({})));
    let anna = stage.token("anna");
    (stage, anna)
}

fn names(transcript: &Transcript) -> Vec<&str> {
    let End::Forward { headers, .. } = &transcript.end else { panic!("{transcript}") };
    headers.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn exactly_the_workspace_the_user_agent_and_the_credential_are_set() {
    let (mut stage, anna) = stage();
    let transcript = stage.get(&anna);
    assert_eq!(names(&transcript), ["x-databricks-org-id", "user-agent", "authorization"]);
    assert_eq!(header(&transcript, "x-databricks-org-id"), Some(WORKSPACE_ID));
    assert_eq!(header(&transcript, "authorization"), Some("Bearer <dbx-1>"));
}

#[test]
fn the_user_agent_keeps_the_clients_and_gets_version_and_request_id() {
    let (mut stage, anna) = stage();
    let version = env!("CARGO_PKG_VERSION");
    let transcript = stage.get(&anna);
    assert_eq!(header(&transcript, "user-agent"), Some(&*format!("curl/8 databricks-kong/{version} req/sim-1")));
    let mut bare = client("GET", "/api/2.1/jobs/list", &[("Authorization", &format!("Bearer {anna}"))]);
    let transcript = stage.send(&bare);
    assert_eq!(header(&transcript, "user-agent"), Some(&*format!("databricks-kong/{version} req/sim-2")));
    bare.headers.push(("User-Agent".to_owned(), Secret::new(String::new())));
    let transcript = stage.send(&bare);
    assert_eq!(header(&transcript, "user-agent"), Some(&*format!("databricks-kong/{version} req/sim-3")));
}

#[test]
fn without_a_credential_no_authorization_is_set() {
    let mut stage = Stage::warm(with_credential(json!({"type": "none"})));
    let anna = stage.token("anna");
    assert_eq!(names(&stage.get(&anna)), ["x-databricks-org-id", "user-agent"]);
}

#[test]
fn without_a_workspace_id_no_org_id_is_set() {
    let mut stage = Stage::warm(config(json!({"workspace": {"url": "https://adb.example.net"}})));
    let anna = stage.token("anna");
    assert_eq!(names(&stage.get(&anna)), ["user-agent", "authorization"]);
}

fn run_now(token: &str, body: &str) -> Client {
    let body = Some(Secret::new(body.into()));
    Client { method: "POST".to_owned(), target: b"/api/2.1/jobs/run-now".to_vec(), body, ..get(token) }
}

#[test]
fn only_get_and_head_must_turn_out_to_have_no_body() {
    let (mut stage, anna) = stage();
    let head =
        Client { method: "HEAD".to_owned(), target: b"/api/2.0/fs/files/Volumes/a/b/c/d".to_vec(), ..get(&anna) };
    for (client, expected) in [(get(&anna), true), (head, true), (run_now(&anna, "{}"), false)] {
        let transcript = stage.send(&client);
        let End::Forward { bodiless, .. } = &transcript.end else { panic!("{transcript}") };
        assert_eq!(*bodiless, expected, "{}", client.method);
    }
}

#[test]
fn a_body_that_no_rule_needs_is_not_read() {
    let mut stage = Stage::warm(config(json!({"limits": {"body_bytes": 1024}})));
    let anna = stage.token("anna");
    let upload = Client {
        method: "PUT".to_owned(),
        target: b"/api/2.0/fs/files/Volumes/a/b/c/d".to_vec(),
        ..run_now(&anna, &"x".repeat(1 << 20))
    };
    check(&stage.send(&upload), "token", "forward Bearer <dbx-1>");
}

/// Engineers may run job 101 and no other.
fn one_job() -> Stage {
    let mut role = role(json!({"type": "user_federation", "scope": "minimal"}));
    role["allow"] = json!([{"operations": ["jobs.run_now"], "resources": {"job": ["101"]}}]);
    Stage::warm(config(json!({"roles": [role], "limits": {"body_bytes": 1024}})))
}

#[test]
fn a_rule_that_names_a_resource_reads_it_from_the_body_and_asks_for_the_least_scope() {
    let mut stage = one_job();
    let anna = stage.token("anna");
    let transcript = stage.send(&run_now(&anna, r#"{"job_id":101}"#));
    check(&transcript, "token", "forward Bearer <dbx-1>");
    assert_eq!(transcript.callouts[0].form.last(), Some(&("scope".to_owned(), "jobs".to_owned())));
    check(&stage.send(&run_now(&anna, r#"{"job_id":"101"}"#)), "", "forward Bearer <dbx-1>");
    check(&stage.send(&run_now(&anna, r#"{"job_id":102}"#)), "", "403 NO_RULE");
    check(&stage.send(&run_now(&anna, "{}")), "", "403 NO_RULE");
    check(&stage.send(&Client { body: None, ..run_now(&anna, "") }), "", "403 NO_RULE");
}

#[test]
fn a_body_that_is_needed_and_cannot_be_read_is_refused_before_databricks_is_asked() {
    let long = format!(r#"{{"job_id":101,"x":"{}"}}"#, "x".repeat(1024));
    for (body, end) in [
        (r#"{"job_id":101"#, "400 BODY_UNREADABLE"),
        (r#"{"job_id":101,"job_id":102}"#, "400 BODY_UNREADABLE"),
        ("[101]", "400 BODY_UNREADABLE"),
        ("job_id=101", "400 BODY_UNREADABLE"),
        (&*long, "413 BODY_TOO_LARGE"),
    ] {
        let mut stage = one_job();
        let anna = stage.token("anna");
        check(&stage.send(&run_now(&anna, body)), "", end);
    }
}

#[test]
fn a_token_that_expires_while_the_body_is_awaited_is_refused() {
    for credential in ["user_federation", "passthrough", "none"] {
        let mut role = role(json!({"type": credential}));
        role["allow"] = json!([{"operations": ["jobs.run_now"], "resources": {"job": ["101"]}}]);
        let mut stage = Stage::warm(config(json!({"roles": [role]})));
        let brief = stage.token_with("anna", json!({"exp": NOW + 10}));
        let mut flow = Flow::default();
        let request = run_now(&brief, "x").request(stage.sim.next_id(), &stage.sim.config).unwrap();
        assert_eq!(step_word(&stage.sim.on(&mut flow, Event::Request(request), &mut Vec::new())), "await body");
        stage.pass(60);
        let body = Event::Body(ReadBody::Whole(br#"{"job_id":101}"#.to_vec()));
        let step = stage.sim.on(&mut flow, body, &mut Vec::new());
        assert_eq!(step_word(&step), "401 TOKEN_EXPIRED", "{credential}");
    }
}

#[test]
fn a_decision_that_took_there_to_be_no_body_holds_only_if_none_comes() {
    let mut role = role(json!({"type": "user_federation"}));
    role["deny"] = json!([{"operations": ["jobs.run_now"], "resources": {"job": ["666"]}}]);
    let mut stage = Stage::warm(config(json!({"roles": [role]})));
    let anna = stage.token("anna");
    for target in ["/api/2.1/jobs/run-now", "/api/2.1/jobs/create"] {
        let client = Client { body: None, target: target.into(), ..run_now(&anna, "") };
        let transcript = stage.send(&client);
        let End::Forward { bodiless, .. } = &transcript.end else { panic!("{transcript}") };
        assert!(bodiless, "{target}");
    }
}

#[test]
fn in_observe_a_denial_is_logged_and_the_request_goes_on_but_what_gives_out_credentials_is_refused() {
    let mut only = role(json!({"type": "user_federation"}));
    only["allow"] = json!([{"operations": ["jobs.list"]}]);
    let mut stage = Stage::warm(config(json!({"mode": "observe", "roles": [only]})));
    let anna = stage.token("anna");
    let transcript = stage.send(&run_now(&anna, "{}"));
    check(&transcript, "token", "forward Bearer <dbx-1>");
    assert!(transcript.log[0].starts_with("would deny sim-1: "), "{:?}", transcript.log);
    let mint = Client { target: b"/api/2.0/token/create".to_vec(), ..run_now(&anna, "{}") };
    check(&stage.send(&mint), "", "403 OPERATION_SENSITIVE");
    let stranger = RSA.token("eve", json!({"groups": []}));
    check(&stage.get(&stranger), "", "403 NO_ROLE");
}

#[test]
fn in_observe_a_deny_rule_does_not_let_a_sensitive_operation_pass() {
    let mut only = role(json!({"type": "user_federation"}));
    only["deny"] = json!([{"operations": ["tokens.create"]}]);
    let mut stage = Stage::warm(config(json!({"mode": "observe", "roles": [only]})));
    let anna = stage.token("anna");
    let mint = Client { target: b"/api/2.0/token/create".to_vec(), ..run_now(&anna, "{}") };
    let transcript = stage.send(&mint);
    assert!(ended(&transcript).starts_with("403 "), "{transcript}");
}

#[test]
fn the_scheme_of_the_authorization_is_read_without_case() {
    let (mut stage, anna) = stage();
    for value in
        [format!("bearer {anna}"), format!("BEARER {anna}"), format!("Bearer   {anna}"), format!(" Bearer {anna} ")]
    {
        let client = client("GET", "/api/2.1/jobs/list", &[("Authorization", &value)]);
        assert_eq!(ended(&stage.send(&client)), "forward Bearer <dbx-1>");
    }
}
