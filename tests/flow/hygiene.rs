//! Requests that could be read in two ways are refused before anybody is asked.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::sim::Client;
use serde_json::json;

#[track_caller]
fn refused(client: &Client, end: &str) {
    let mut stage = Stage::cold(config(json!({})));
    check(&stage.send(client), "", end);
}

fn with(more: &[(&str, &str)]) -> Client {
    let mut client = get(&RSA.token("anna", json!({})));
    client.headers.extend(crate::stage::client("", "", more).headers);
    client
}

fn at(target: &str) -> Client {
    Client { target: target.into(), ..get(&RSA.token("anna", json!({}))) }
}

#[test]
fn what_is_no_bearer_token_is_none() {
    for value in [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic dTpw"), Some("token"), Some("Bearer\tx")]
    {
        let headers: Vec<_> = value.map(|value| ("Authorization", value)).into_iter().collect();
        refused(&client("GET", "/api/2.1/jobs/list", &headers), "401 TOKEN_MISSING");
    }
}

#[test]
fn a_token_elsewhere_than_in_authorization_is_not_looked_at() {
    let token = RSA.token("anna", json!({}));
    for name in
        ["X-Forwarded-Access-Token", "Proxy-Authorization", "Authorization_", "X-Databricks-Azure-SP-Management-Token"]
    {
        let value = format!("Bearer {token}");
        refused(&client("GET", "/api/2.1/jobs/list", &[(name, &value)]), "401 TOKEN_MISSING");
    }
}

#[test]
fn a_second_authorization_is_refused_in_any_spelling() {
    for name in ["Authorization", "authorization", "AUTHORIZATION"] {
        refused(&with(&[(name, "Bearer x")]), "400 REQUEST_AMBIGUOUS");
        refused(&with(&[(name, "")]), "400 REQUEST_AMBIGUOUS");
    }
}

#[test]
fn method_overrides_are_refused() {
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "x-method-override", "X_HTTP_Method_Override"] {
        refused(&with(&[(name, "DELETE")]), "400 REQUEST_AMBIGUOUS");
    }
}

#[test]
fn two_roles_are_refused() {
    refused(&with(&[("X-Databricks-Role", "a"), ("x-databricks-role", "a")]), "400 REQUEST_AMBIGUOUS");
}

#[test]
fn as_many_headers_as_the_host_shows_at_most_are_refused() {
    let many: Vec<_> = (0..100).map(|_| ("x-a", "b")).collect();
    refused(&with(&many), "400 REQUEST_AMBIGUOUS");
}

#[test]
fn a_body_where_none_belongs_is_refused() {
    for method in ["GET", "HEAD"] {
        let body = Some(Secret::new(b"{}".to_vec()));
        refused(&Client { method: method.to_owned(), body, ..with(&[]) }, "400 REQUEST_AMBIGUOUS");
    }
}

#[test]
fn targets_that_servers_read_differently_are_refused() {
    for target in [
        "",
        "*",
        "api",
        "http://evil.example/api",
        "//evil.example/api",
        "/api//jobs",
        "/api/./jobs",
        "/api/../oidc/v1/token",
        "/api/%2e%2e/x",
        "/api/2.1%2Fjobs",
        "/api/2.1%5cjobs",
        "/api/2.1\\jobs",
        "/api/jobs;x=y",
        "/api/%00",
        "/api/%252e",
        "/%61pi",
        "/api#x",
        "/api/\u{e9}",
        "/api?job_id=1&job_id=2",
        "/api?x=%zz",
        "/api?a;b",
    ] {
        refused(&at(target), "400 REQUEST_AMBIGUOUS");
    }
    refused(&Client { target: b"/api/\xff".to_vec(), ..at("") }, "400 REQUEST_AMBIGUOUS");
}

#[test]
fn another_workspace_or_identity_in_the_query_is_refused() {
    for query in ["o=1", "w=1", "o=", "O=1", "a=1", "aid=1", "access_token=x", "%61=1", "x=1&w=2"] {
        refused(&at(&format!("/api/2.1/jobs/list?{query}")), "400 REQUEST_AMBIGUOUS");
    }
    let mut stage = Stage::warm(config(json!({})));
    let own = at(&format!("/api/2.1/jobs/list?o={WORKSPACE_ID}&w={WORKSPACE_ID}"));
    check(&stage.send(&own), "token", "forward Bearer <dbx-1>");
}

#[test]
fn an_ambiguous_request_to_an_endpoint_of_the_gateway_is_refused_too() {
    for target in ["/.well-known/databricks-config?a=1", "/.well-known/../.well-known/databricks-config"] {
        refused(&at(target), "400 REQUEST_AMBIGUOUS");
    }
}

/// The workspace's own OAuth endpoints, as servers may understand them; what they give out would go round the gateway.
const OAUTH: [(&str, &str); 7] = [
    ("GET", "/oidc/v1/token"),
    ("PUT", "/oidc/v1/token"),
    ("POST", "/oidc/v1/token/"),
    ("POST", "/oidc/v1/authorize"),
    ("GET", "/OIDC/v1/authorize"),
    ("POST", "/OIDC/v1/token"),
    ("GET", "/oidc"),
];

#[test]
fn the_workspaces_own_oauth_endpoints_are_out_of_reach() {
    for (method, path) in OAUTH {
        let mut stage = Stage::warm(config(json!({})));
        let client = Client { method: method.to_owned(), ..at(path) };
        let transcript = stage.send(&client);
        check(&transcript, "", "403 OPERATION_UNKNOWN");
    }
}

#[test]
fn the_workspaces_own_oauth_endpoints_are_out_of_reach_in_every_mode_and_for_every_rule() {
    let mut wide = role(json!({"type": "user_federation"}));
    wide["allow"] = json!([{"paths": ["* /**"]}]);
    for changes in [json!({"mode": "observe"}), json!({"roles": [wide]})] {
        for (method, path) in OAUTH {
            let mut stage = Stage::warm(config(changes.clone()));
            let client = Client { method: method.to_owned(), ..at(path) };
            assert!(ended(&stage.send(&client)).starts_with("403 OPERATION_"), "{method} {path}");
        }
    }
}

#[test]
fn refusals_say_which_request_they_are_about() {
    let mut stage = Stage::cold(config(json!({})));
    let transcript = stage.send(&at("/a//b"));
    assert_eq!(header(&transcript, "x-request-id"), Some("sim-1"));
    assert_eq!(body(&transcript)["details"][1]["request_id"], "sim-1");
    assert_eq!(body(&transcript)["error_code"], "BAD_REQUEST");
}
