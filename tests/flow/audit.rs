//! What is recorded and counted of each request, for every way in which one ends.

use crate::stage::*;
use databricks_kong::audit::{LONGEST_LINE, Record};
use databricks_kong::base::{Reason, Secret};
use databricks_kong::flow::{Flow, Metric};
use databricks_kong::sim::{Answer, Client, Purpose, Transcript};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TIME: &str = "2027-01-15T08:00:00.000Z";

/// A record as others read it.
fn recorded(transcript: &Transcript) -> Value {
    read(transcript.record.as_ref().unwrap())
}

fn read(record: &Record) -> Value {
    serde_json::from_str(&record.to_json()).unwrap()
}

/// The record of a `jobs.list` that anna sends first, with these fields more or other; null takes one away.
fn expected(changes: Value) -> Value {
    let mut record = json!({
        "v": 2, "time": TIME, "request_id": "sim-1", "decision": "allow", "reason": "ALLOWED", "role": "engineer", "idp": "idp",
        "subject": "anna", "operation": "jobs.list", "method": "GET", "path_template": "/api/2.2/jobs/list",
        "credential": "user_federation", "scope": "all-apis", "workspace_id": WORKSPACE_ID, "token_cache": "miss", "callout_ms": 0,
    });
    for (name, value) in changes.as_object().unwrap() {
        record[name] = value.clone();
    }
    record.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    record
}

/// The same, where no token was verified.
fn unknown_caller(reason: &str, changes: Value) -> Value {
    let mut all = json!({
        "decision": "deny", "reason": reason, "role": null, "idp": null, "subject": null, "credential": null, "scope": null,
        "token_cache": null,
    });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    expected(all)
}

/// Checks a record, but for the token's id, which must be there if there was a token.
#[track_caller]
fn check_record(transcript: &Transcript, had_token: bool, expected: Value) {
    let mut record = recorded(transcript);
    let token_id = record.as_object_mut().unwrap().remove("token_id");
    assert_eq!(token_id.is_some(), had_token, "{record}");
    // of which configuration it is, a test of its own says
    assert!(record.as_object_mut().unwrap().remove("config").is_some(), "{record}");
    assert_eq!(record, expected);
}

#[track_caller]
fn check_counts(stage: &mut Stage, expected: &[&str]) {
    let counts: Vec<_> = std::mem::take(&mut stage.sim.counts).into_iter().map(Metric::name).collect();
    assert_eq!(counts, expected);
}

fn run_now(token: &str, body: &str) -> Client {
    let body = Some(Secret::new(body.into()));
    Client { method: "POST".to_owned(), target: b"/api/2.1/jobs/run-now".to_vec(), body, ..get(token) }
}

fn rules(more: Value) -> std::rc::Rc<databricks_kong::config::Config> {
    let mut role = role(json!({"type": "user_federation", "scope": "minimal"}));
    for (name, value) in more.as_object().unwrap() {
        role[name] = value.clone();
    }
    config(json!({"roles": [role]}))
}

#[test]
fn an_allowed_request_is_recorded_with_who_what_and_why() {
    let mut stage = Stage::warm(rules(json!({
        "allow": [{"operations": ["jobs.list"]}, {"operations": ["jobs.run_now"], "resources": {"job": ["101"]}}],
        "grant": {"approved_by": "carol", "ticket": "SEC-7", "break_glass": true},
    })));
    let anna = stage.token_with("anna", json!({"azp": "cli", "act": {"sub": "agent:7"}}));
    let grant = json!({"approved_by": "carol", "ticket": "SEC-7", "break_glass": true});
    let transcript = stage.send(&run_now(&anna, r#"{"job_id": 101}"#));
    let all = json!({
        "grant": grant, "client": "cli", "act": "agent:7", "operation": "jobs.run_now", "method": "POST",
        "path_template": "/api/2.2/jobs/run-now", "resources": {"job": ["101"]}, "scope": "jobs", "rule": "/roles/0/allow/1",
    });
    check_record(&transcript, true, expected(all.clone()));
    check_counts(
        &mut stage,
        &["keys_fetch_ok", "verdict_cache_miss", "token_cache_miss", "exchange_ok", "requests_allowed"],
    );
    // once more: everything is at hand
    let transcript = stage.send(&run_now(&anna, r#"{"job_id": 101}"#));
    let mut again = expected(all);
    (again["request_id"], again["token_cache"]) = (json!("sim-2"), json!("hit"));
    check_record(&transcript, true, again);
    check_counts(&mut stage, &["verdict_cache_hit", "token_cache_hit", "requests_allowed"]);
}

#[test]
fn the_id_of_a_token_is_the_beginning_of_its_digest() {
    let mut stage = Stage::warm(config(json!({})));
    let anna = stage.token("anna");
    let good = recorded(&stage.get(&anna));
    let digest = Sha256::digest(&anna);
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(good["token_id"], digits);
    let bad = format!("{anna}x");
    let refused = recorded(&stage.get(&bad));
    assert_eq!((&refused["reason"], &refused["subject"]), (&json!("TOKEN_INVALID"), &Value::Null));
    assert_ne!(refused["token_id"], good["token_id"]);
}

#[test]
fn a_request_without_a_good_token_is_recorded_without_a_caller() {
    let mut stage = Stage::warm(config(json!({})));
    let transcript = stage.send(&client("GET", "/api/2.1/jobs/list", &[]));
    check_record(&transcript, false, unknown_caller("TOKEN_MISSING", json!({})));
    check_counts(&mut stage, &["keys_fetch_ok", "requests_unauthenticated", "denied_token_missing"]);
    let cases = [
        (json!({"exp": NOW - 3600}), "TOKEN_EXPIRED"),
        (json!({"nbf": NOW + 3600}), "TOKEN_NOT_YET_VALID"),
        (json!({"aud": "others"}), "TOKEN_INVALID"),
    ];
    for (number, (claims, reason)) in (2..).zip(cases) {
        let token = stage.token_with("anna", claims);
        let transcript = stage.get(&token);
        let request_id = format!("sim-{number}");
        let code = if reason == "TOKEN_INVALID" { json!("audience_mismatch") } else { Value::Null };
        check_record(&transcript, true, unknown_caller(reason, json!({ "request_id": request_id, "code": code })));
        let reason = format!("denied_{}", reason.to_lowercase());
        check_counts(&mut stage, &["verdict_cache_miss", "requests_unauthenticated", &reason]);
    }
}

#[test]
fn the_configuration_that_decided_can_be_told_by_its_digest() {
    let text = json!({
        "workspace": {"url": "https://adb.example.net"},
        "roles": [{"name": "engineer", "match": {}, "credential": {"type": "none"}}],
        "identity_providers": [{"name": "idp", "issuer": ISSUER, "audiences": ["databricks"]}],
    });
    // members in the order of their names, no blanks
    let canonical = format!(
        r#"{{"identity_providers":[{{"audiences":["databricks"],"issuer":"{ISSUER}","name":"idp"}}],"roles":[{{"credential":{{"type":"none"}},"match":{{}},"name":"engineer"}}],"workspace":{{"url":"https://adb.example.net"}}}}"#
    );
    let digits: String = Sha256::digest(canonical).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    for text in [text.to_string(), format!("{text:#}"), json!(text.to_string()).to_string()] {
        let config = databricks_kong::config::Settings::parse(text.as_bytes(), &|_| None);
        let Ok(databricks_kong::config::Settings::Enforce(config)) = config else { panic!("{config:?}") };
        let mut stage = Stage::warm(config);
        assert_eq!(recorded(&stage.send(&client("GET", "/api/2.1/jobs/list", &[])))["config"], digits);
    }
}

#[test]
fn the_document_shows_the_digest_of_the_file_that_it_names() {
    let text = include_bytes!("../config/good/smallest.json");
    let config = databricks_kong::config::Settings::parse(text, &|_| None);
    let Ok(databricks_kong::config::Settings::Enforce(config)) = config else { panic!("{config:?}") };
    let shown = format!("tests/config/good/smallest.json | sha256sum | cut -c1-16\n  {}\n", config.audit.config);
    assert!(include_str!("../../docs/audit.md").contains(&shown), "{shown}");
}

#[test]
fn what_makes_a_token_invalid_is_recorded_in_one_word() {
    let mut stage = Stage::warm(config(json!({})));
    let elsewhere = stage.token_with("anna", json!({"aud": "others"}));
    assert_eq!(recorded(&stage.get(&elsewhere))["code"], "audience_mismatch");
    let expired = stage.token_with("anna", json!({"exp": NOW - 100}));
    assert_eq!(recorded(&stage.get(&expired)).get("code"), None);
}

#[test]
fn the_service_principal_is_recorded_and_a_person_is_none() {
    let federation = json!({"type": "service_principal_federation", "client_id": "wif"});
    for (credential, principal) in [
        (service_principal(), json!("app")),
        (federation, json!("wif")),
        (json!({"type": "user_federation"}), Value::Null),
        (json!({"type": "passthrough"}), Value::Null),
        (json!({"type": "none"}), Value::Null),
    ] {
        let mut stage = Stage::warm(with_credential(credential));
        let anna = stage.token("anna");
        assert_eq!(recorded(&stage.get(&anna))["principal"], principal);
    }
}

#[test]
fn what_a_rule_had_to_permit_is_recorded_and_what_it_might_have_is_not() {
    let permit = json!(["run_as", "git_source", "unknown_fields"]);
    let mut stage = Stage::warm(rules(json!({"allow": [
        {"operations": ["jobs.submit"], "permit": permit},
    ]})));
    let anna = stage.token("anna");
    let mut permits = |body: Value| {
        let body = Some(Secret::new(body.to_string().into_bytes()));
        let request = Client { target: b"/api/2.2/jobs/runs/submit".to_vec(), ..run_now(&anna, "") };
        let transcript = stage.send(&Client { body, ..request });
        assert_eq!(transcript.record.as_ref().unwrap().why(), "ALLOWED", "{transcript}");
        recorded(&transcript)["permits"].clone()
    };
    assert_eq!(permits(json!({"run_name": "x"})), Value::Null);
    assert_eq!(permits(json!({"run_as": {"user_name": "bob"}})), json!(["run_as"]));
    let both =
        json!({"run_as": {"user_name": "bob"}, "git_source": {"git_url": "https://x", "git_provider": "gitHub"}});
    assert_eq!(permits(both), json!(["run_as", "git_source"]));
}

#[test]
fn what_cannot_be_read_in_one_way_is_recorded_without_a_meaning() {
    let mut stage = Stage::warm(config(json!({})));
    let anna = stage.token("anna");
    let odd = Client { target: b"/api/2.1/jobs%2Flist".to_vec(), ..get(&anna) };
    let changes = json!({"operation": null, "path_template": null});
    check_record(&stage.send(&odd), false, unknown_caller("REQUEST_AMBIGUOUS", changes));
    check_counts(&mut stage, &["keys_fetch_ok", "requests_denied", "denied_request_ambiguous"]);
}

#[test]
fn every_denial_names_what_it_is_about() {
    let mut role = role(json!({"type": "user_federation"}));
    role["allow"] = json!([{"operations": ["jobs.list", "clusters.list"]}]);
    role["deny"] = json!([{"operations": ["clusters.list"]}]);
    let mut past = role.clone();
    (past["name"], past["match"]) = (json!("past"), json!({"groups": ["former"]}));
    past["valid"] = json!({"until": "2020-01-01T00:00:00Z"});
    past["grant"] = json!({"ticket": "OLD-1"});
    let agents =
        json!([{"name": "copilot", "match": {"clients": ["copilot"]}, "allow": [{"operations": ["jobs.get"]}]}]);
    let config = config(json!({"roles": [role, past], "agents": agents}));
    let list = "/api/2.1/jobs/list";
    let cases = [
        (
            json!({}),
            "/api/2.1/clusters/list",
            "RULE_DENIED",
            json!({
                "role": "engineer", "rule": "/roles/0/deny/0", "operation": "clusters.list", "path_template": "/api/2.1/clusters/list"
            }),
        ),
        (
            json!({}),
            "/api/2.1/jobs/get?job_id=5",
            "NO_RULE",
            json!({
                "role": null, "operation": "jobs.get", "path_template": "/api/2.2/jobs/get", "resources": {"job": ["5"]}
            }),
        ),
        (json!({}), "/api/9.9/x", "OPERATION_UNKNOWN", json!({"role": null, "operation": null, "path_template": null})),
        (
            json!({}),
            "/api/2.0/token/create",
            "OPERATION_SENSITIVE",
            json!({
                "role": null, "operation": "tokens.create", "path_template": "/api/2.0/token/create"
            }),
        ),
        (json!({"groups": []}), list, "NO_ROLE", json!({"role": null})),
        (
            json!({"groups": ["former"]}),
            list,
            "GRANT_INACTIVE",
            json!({
                "role": "past", "grant": {"ticket": "OLD-1", "break_glass": false}
            }),
        ),
        (
            json!({"azp": "copilot"}),
            list,
            "AGENT_LIMIT",
            json!({"role": null, "agent": "copilot", "client": "copilot"}),
        ),
        (json!({"hasgroups": true, "groups": null}), list, "GROUPS_OVERAGE", json!({"role": null})),
    ];
    for (claims, target, reason, changes) in cases {
        let mut stage = Stage::warm(config.clone());
        let anna = stage.token_with("anna", claims);
        let method = if target.ends_with("create") { "POST" } else { "GET" };
        let transcript = stage.send(&Client { method: method.to_owned(), target: target.into(), ..get(&anna) });
        let mut all = json!({
            "decision": "deny", "reason": reason, "method": method, "credential": null, "scope": null, "token_cache": null
        });
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        check_record(&transcript, true, expected(all));
        let counter = format!("denied_{}", reason.to_lowercase());
        check_counts(&mut stage, &["keys_fetch_ok", "verdict_cache_miss", "requests_denied", &counter]);
    }
}

#[test]
fn a_denial_that_is_recorded_only_says_so_and_why() {
    let mut stage = Stage::warm(rules(json!({
        "allow": [{"operations": ["jobs.get"]}], "deny": [{"operations": ["clusters.list"]}], "observe": true,
    })));
    let anna = stage.token("anna");
    let changes = json!({"decision": "would_deny", "reason": "NO_RULE", "scope": "jobs"});
    check_record(&stage.get(&anna), true, expected(changes));
    assert_eq!(stage.sim.counts.last(), Some(&Metric::RequestsWouldDeny));
    let clusters = Client { target: b"/api/2.1/clusters/list".to_vec(), ..get(&anna) };
    let record = recorded(&stage.send(&clusters));
    assert_eq!((&record["decision"], &record["reason"]), (&json!("would_deny"), &json!("RULE_DENIED")));
    assert_eq!((&record["role"], &record["rule"]), (&json!("engineer"), &json!("/roles/0/deny/0")));
}

#[test]
fn an_agents_limit_is_enforced_also_for_a_role_that_observes_unless_the_mode_only_records_it() {
    for (mode, observe, end) in [
        ("enforce", false, "403 AGENT_LIMIT"),
        ("enforce", true, "403 AGENT_LIMIT"),
        ("observe", false, "forward Bearer <dbx-1>"),
    ] {
        let mut role = role(json!({"type": "user_federation"}));
        role["observe"] = json!(observe);
        let agents = json!([{"name": "bot", "match": {"clients": ["bot"]}, "allow": [{"operations": ["jobs.get"]}]}]);
        let mut stage = Stage::warm(config(json!({"mode": mode, "roles": [role], "agents": agents})));
        let bot = stage.token_with("anna", json!({"azp": "bot"}));
        let transcript = stage.get(&bot);
        assert_eq!(ended(&transcript), end, "{mode} {observe}");
        assert_eq!(recorded(&transcript)["reason"], "AGENT_LIMIT");
    }
}

#[test]
fn what_a_statement_does_is_recorded_where_a_rule_had_it_read() {
    let execute = json!({"operations": ["statement_execution.execute_statement"], "sql": ["select", "dml"]});
    for (statement, sql, settings) in [
        ("SELECT * FROM a.b.c", json!({"class": "select", "tables": ["a.b.c"], "parsed": true}), json!({})),
        ("SELECT * FROM a.b.c", json!({"class": "select", "parsed": true}), json!({"sql_tables": false})),
        (
            "INSERT INTO a.b.d SELECT 1; SELECT 1",
            json!({"class": "select,dml", "tables": ["a.b.d"], "parsed": true}),
            json!({}),
        ),
        ("EXECUTE IMMEDIATE 'x'", json!({"parsed": false}), json!({})),
    ] {
        let mut only = role(json!({"type": "user_federation"}));
        only["allow"] = json!([execute]);
        let mut stage = Stage::warm(config(json!({"roles": [only], "audit": settings})));
        let anna = stage.token("anna");
        let body = json!({"warehouse_id": "a", "statement": statement}).to_string();
        let target = b"/api/2.0/sql/statements".to_vec();
        let transcript = stage.send(&Client { target, ..run_now(&anna, &body) });
        assert_eq!(recorded(&transcript)["sql"], sql, "{statement}");
    }
}

#[test]
fn a_body_that_is_needed_and_bad_is_recorded_with_the_caller() {
    let allow = json!({"allow": [{"operations": ["jobs.run_now"], "resources": {"job": ["101"]}}]});
    let long = format!("{{\"x\": \"{}\"}}", "x".repeat(70_000));
    for (body, reason) in [("{", "BODY_UNREADABLE"), (&*long, "BODY_TOO_LARGE")] {
        let mut stage = Stage::warm(rules(allow.clone()));
        let anna = stage.token("anna");
        let changes = json!({
            "decision": "deny", "reason": reason, "role": null, "operation": "jobs.run_now", "method": "POST",
            "path_template": "/api/2.2/jobs/run-now", "credential": null, "scope": null, "token_cache": null,
        });
        check_record(&stage.send(&run_now(&anna, body)), true, expected(changes));
    }
}

#[test]
fn whoever_fails_the_request_the_role_that_allowed_it_is_recorded() {
    let refusal = Answer::new(400, r#"{"error": "invalid_grant", "error_description": "CANARY"}"#);
    let cases = [
        (refusal, "EXCHANGE_REFUSED", vec!["exchange_refused", "requests_denied", "denied_exchange_refused"]),
        (
            Answer::new(500, ""),
            "EXCHANGE_UNAVAILABLE",
            vec!["exchange_failed", "exchange_failed", "requests_failed", "denied_exchange_unavailable"],
        ),
    ];
    for (answer, reason, counts) in cases {
        let mut stage = Stage::warm(config(json!({})));
        stage.world.set(Purpose::Token, [answer.after(secs(1))]);
        let anna = stage.token("anna");
        let tries = counts.iter().filter(|name| name.starts_with("exchange")).count();
        let changes = json!({
            "decision": "deny", "reason": reason, "callout_ms": tries * 1000, "time": format!("2027-01-15T08:00:0{tries}.000Z"),
        });
        check_record(&stage.get(&anna), true, expected(changes));
        let before = ["keys_fetch_ok", "verdict_cache_miss", "token_cache_miss"];
        check_counts(&mut stage, &[&before[..], &counts].concat());
    }
    let mut stage = Stage::warm(with_credential(json!({
        "type": "service_principal_secret", "client_id": "app", "client_secret": {"shared": "gone"},
    })));
    let anna = stage.token("anna");
    let changes = json!({
        "decision": "deny", "reason": "SECRET_UNAVAILABLE", "credential": "service_principal_secret", "principal": "app", "token_cache": null,
    });
    check_record(&stage.get(&anna), true, expected(changes));
}

#[test]
fn keys_that_cannot_be_had_are_recorded_and_counted_as_failures() {
    let mut stage = Stage::cold(config(json!({})));
    stage.world.set(Purpose::Discovery, [lost()]);
    let anna = stage.token("anna");
    check_record(&stage.get(&anna), true, unknown_caller("KEYS_UNAVAILABLE", json!({})));
    check_counts(
        &mut stage,
        &["verdict_cache_miss", "keys_fetch_failed", "requests_failed", "denied_keys_unavailable"],
    );
}

#[test]
fn a_token_that_is_renewed_is_recorded_so_and_one_that_could_not_be_as_kept() {
    for (answers, how, counts) in [
        (vec![minted("dbx-1", 600), minted("dbx-2", 600)], "renewed", vec!["exchange_ok", "token_cache_renewed"]),
        (
            vec![minted("dbx-1", 600), Answer::new(400, r#"{"error": "invalid_grant"}"#)],
            "hit",
            vec!["exchange_refused", "token_cache_hit"],
        ),
    ] {
        let mut stage = Stage::warm(config(json!({})));
        stage.world.set(Purpose::Token, answers);
        let anna = stage.token("anna");
        stage.get(&anna);
        stage.pass(590);
        stage.tick();
        stage.sim.counts.clear();
        assert_eq!(recorded(&stage.get(&anna))["token_cache"], how);
        let counted: Vec<_> = stage.sim.counts.iter().map(|metric| metric.name()).collect();
        assert_eq!(counted[1..], [&counts[..], &["requests_allowed"]].concat(), "{counted:?}");
    }
}

#[test]
fn waiting_for_others_is_summed_up() {
    let mut stage = Stage::cold(config(json!({})));
    stage.world.set(Purpose::Discovery, [discovery().after(secs(1))]);
    stage.world.set(Purpose::Keys, [keys(&[&RSA]).after(secs(2))]);
    stage.world.set(Purpose::Token, [minted("dbx-1", 3600).after(std::time::Duration::from_millis(250))]);
    let anna = stage.token("anna");
    let record = recorded(&stage.get(&anna));
    assert_eq!((&record["callout_ms"], &record["time"]), (&json!(3250), &json!("2027-01-15T08:00:03.250Z")));
}

#[test]
fn a_token_that_is_handed_back_is_an_event_and_documents_are_none() {
    let mut stage = Stage::warm(config(json!({})));
    stage.sim.counts.clear();
    let document = stage.send(&client("GET", "/.well-known/databricks-config", &[]));
    assert_eq!(document.record, None);
    check_counts(&mut stage, &[]);
    let anna = stage.token("anna");
    let form = |grant: &str| {
        let body =
            format!("grant_type={grant}&subject_token_type=urn:ietf:params:oauth:token-type:jwt&subject_token={anna}");
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        Client { body: Some(Secret::new(body.into())), ..client("POST", "/oidc/v1/token", &kind) }
    };
    let echo = json!({
        "role": null, "operation": null, "method": "POST", "path_template": "/oidc/v1/token", "credential": null, "scope": null,
        "token_cache": null, "request_id": "sim-2",
    });
    let exchange = form("urn:ietf:params:oauth:grant-type:token-exchange");
    check_record(&stage.send(&exchange), true, expected(echo.clone()));
    check_counts(&mut stage, &["verdict_cache_miss", "requests_allowed"]);
    let other = recorded(&stage.send(&form("client_credentials")));
    assert_eq!((&other["decision"], &other["reason"]), (&json!("deny"), &json!("GRANT_REFUSED")));
    check_counts(&mut stage, &["requests_denied", "denied_grant_refused"]);
}

#[test]
fn subjects_can_be_recorded_as_digests_that_differ_between_providers() {
    let with = |name: &str| {
        let mut changes = provider(json!({ "name": name }));
        changes["audit"] = json!({"subject": "sha256"});
        let mut stage = Stage::warm(config(changes));
        let anna = stage.token("anna");
        recorded(&stage.get(&anna))["subject"].as_str().unwrap().to_owned()
    };
    // printf 'idp\0anna' | sha256sum
    assert_eq!(with("idp"), "sha256:f911e75ee0b0f1fe43944aa4ad307fd7");
    assert_ne!(with("other"), with("idp"));
}

#[test]
fn an_event_out_of_order_is_recorded_as_the_gateways_failure() {
    let mut stage = Stage::warm(config(json!({})));
    let mut flow = Flow::default();
    stage.sim.on(&mut flow, lost().into(), &mut Vec::new());
    let record = read(flow.record().unwrap());
    assert_eq!((&record["decision"], &record["reason"]), (&json!("deny"), &json!("INTERNAL")));
    assert_valid(flow.record().unwrap());
}

#[test]
fn whoever_runs_the_flow_can_refuse_after_it_allowed() {
    let mut stage = Stage::warm(config(json!({})));
    let anna = stage.token("anna");
    stage.get(&anna);
    let now = stage.sim.now.wall;
    stage.flow.abandon(Reason::Internal, now);
    let record = read(stage.flow.record().unwrap());
    assert_eq!(
        (&record["decision"], &record["reason"], &record["subject"]),
        (&json!("deny"), &json!("INTERNAL"), &json!("anna"))
    );
}

#[test]
fn many_ids_are_cut_and_the_record_says_so() {
    let mut stage = Stage::warm(config(json!({})));
    let tasks: Vec<_> =
        (0..50).map(|number| json!({"existing_cluster_id": format!("0923-{number:04}-{}", "x".repeat(80))})).collect();
    let anna = stage.token("anna");
    let create =
        Client { target: b"/api/2.1/jobs/create".to_vec(), ..run_now(&anna, &json!({ "tasks": tasks }).to_string()) };
    let transcript = stage.send(&create);
    let record = recorded(&transcript);
    assert_eq!(record["resources"]["cluster"].as_array().map(Vec::len), Some(20), "{record}");
    assert_eq!(record["truncated"], true);
    let line: Value = serde_json::from_str(&transcript.record.as_ref().unwrap().to_json_within(LONGEST_LINE)).unwrap();
    assert_eq!(
        (&line["resources"], &line["subject"], &line["truncated"]),
        (&Value::Null, &json!("anna"), &json!(true))
    );
}

#[test]
fn a_record_of_the_longest_values_still_fits_into_a_line_and_stays_json() {
    let odd = "\u{1F600}\"\\\n\u{202e}".repeat(100);
    let mut role = role(json!({"type": "user_federation", "scope": [&"s".repeat(3000)]}));
    (role["name"], role["allow"]) = (json!(odd), json!([{"operations": ["jobs.list"]}]));
    role["grant"] = json!({"approved_by": odd, "ticket": odd});
    let mut changes = provider(json!({"name": odd}));
    changes["roles"] = json!([role]);
    changes["agents"] = json!([{"name": odd, "match": {"clients": ["*"]}}]);
    let mut stage = Stage::warm(config(changes));
    let token = stage.token_with("anna", json!({"sub": odd, "azp": odd, "act": {"sub": odd}}));
    let transcript = stage.get(&token);
    let record = transcript.record.as_ref().unwrap();
    let line = record.to_json_within(LONGEST_LINE);
    assert!(line.len() <= LONGEST_LINE, "{}: {line}", line.len());
    assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["truncated"], true);
    for field in ["subject", "client", "act", "role", "agent", "idp"] {
        let text = line[field].as_str().unwrap();
        assert!(text.starts_with("\u{1F600}\"") && text.ends_with('…'), "{field}: {text}");
    }
}

#[test]
fn a_token_in_the_place_of_an_id_is_not_recorded() {
    let mut stage = Stage::warm(config(json!({})));
    let anna = stage.token("anna");
    for secret in [anna.clone(), format!("dapi{}", "0".repeat(32))] {
        let cluster = Client { target: format!("/api/2.1/clusters/get?cluster_id={secret}").into(), ..get(&anna) };
        let transcript = stage.send(&cluster);
        let record = transcript.record.as_ref().unwrap();
        assert_eq!(record.resources.get("cluster").unwrap(), &["[redacted]"]);
        assert!(!record.to_json().contains(&secret));
    }
}

#[test]
fn a_chain_of_actors_is_recorded_the_current_one_first() {
    let mut stage = Stage::warm(config(json!({
        "agents": [{"name": "copilot", "match": {"actors": ["agent:copilot"]}}],
    })));
    let before = json!({"sub": "agent:planner", "act": {"sub": "agent:copilot"}});
    for (claims, act, agent) in [
        (json!({}), None, None),
        (json!({"act": {"sub": "agent:copilot"}}), Some("agent:copilot"), Some("copilot")),
        (
            json!({"act": {"sub": "agent:copilot", "act": {"sub": "agent:planner"}}}),
            Some("agent:copilot, agent:planner"),
            Some("copilot"),
        ),
        // what acted before does not act now
        (json!({ "act": before }), Some("agent:planner, agent:copilot"), None),
        // the agent by itself: nobody acts
        (json!({"sub": "agent:copilot"}), None, None),
    ] {
        let record = stage.get(&RSA.token("anna", claims.clone())).record.unwrap();
        assert_eq!((record.act.as_deref(), record.agent.as_deref()), (act, agent), "{claims}");
    }
}
