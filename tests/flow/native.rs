//! The endpoints that the gateway answers itself.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::flow::{Event, Flow, ReadBody, Step};
use databricks_kong::sim::{Answer, Client, Purpose, Transcript};
use serde_json::json;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

fn documents(path: &str) -> serde_json::Value {
    let mut stage = Stage::cold(config(json!({})));
    for method in ["GET", "HEAD"] {
        check(&stage.send(&client(method, path, &[])), "", "200");
    }
    let transcript = stage.send(&client("GET", path, &[("Authorization", "Bearer rubbish")]));
    check(&transcript, "", "200");
    body(&transcript)
}

#[test]
fn clients_learn_about_the_gateway_without_a_token() {
    let document = documents("/.well-known/databricks-config");
    let expected = json!({
        "oidc_endpoint": "https://gw.example.com/oidc",
        "workspace_id": WORKSPACE_ID,
        "host_type": "workspace",
        "token_federation_default_oidc_audiences": ["databricks"],
    });
    assert_eq!(document, expected);
}

#[test]
fn the_token_endpoint_that_is_published_is_the_gateways() {
    for path in ["/oidc/.well-known/oauth-authorization-server", "/oidc/.well-known/openid-configuration"] {
        let document = documents(path);
        assert_eq!(document["token_endpoint"], "https://gw.example.com/oidc/v1/token");
        assert_eq!(document["issuer"], "https://gw.example.com/oidc");
    }
}

#[test]
fn without_a_public_url_clients_are_told_the_address_that_they_used() {
    let workspace = json!({"url": "https://adb.example.net", "id": WORKSPACE_ID});
    let mut stage = Stage::cold(config(json!({ "workspace": workspace })));
    for (headers, base) in [
        (&[(":scheme", "https"), ("Host", "gw.local:8443")][..], "https://gw.local:8443"),
        (&[(":scheme", "http"), ("Host", "127.0.0.1:8000")], "http://127.0.0.1:8000"),
        (&[("Host", "[::1]:8000")], "https://[::1]:8000"),
        (&[("Host", "evil.example/x?\"")], "https://localhost"),
        (&[], "https://localhost"),
    ] {
        let transcript = stage.send(&client("GET", "/.well-known/databricks-config", headers));
        assert_eq!(body(&transcript)["oidc_endpoint"], format!("{base}/oidc"));
    }
}

#[test]
fn mcp_clients_are_sent_to_the_identity_providers() {
    for (path, resource) in [("", "https://gw.example.com"), ("/api/2.0/mcp/x", "https://gw.example.com/api/2.0/mcp/x")]
    {
        let document = documents(&format!("/.well-known/oauth-protected-resource{path}"));
        assert_eq!(document["resource"], resource);
        assert_eq!(document["authorization_servers"], json!([ISSUER]));
    }
}

#[test]
fn what_is_almost_such_an_address_is_none() {
    for (method, path, end) in [
        ("POST", "/.well-known/databricks-config", "401 TOKEN_MISSING"),
        ("GET", "/.well-known/oauth-protected-resourceful", "401 TOKEN_MISSING"),
        ("GET", "/.well-known/databricks-config/", "401 TOKEN_MISSING"),
        ("GET", "/.well-known/databricks-kong/jwks.json", "404 NOT_FOUND"),
        ("POST", "/.well-known/databricks-kong/x", "404 NOT_FOUND"),
    ] {
        let mut stage = Stage::cold(config(json!({})));
        check(&stage.send(&client(method, path, &[])), "", end);
    }
}

/// A request to the token endpoint with this form.
fn exchange(form: &str) -> Client {
    let headers = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
    Client { body: Some(Secret::new(form.into())), ..client("POST", "/oidc/v1/token", &headers) }
}

fn form(token: &str) -> String {
    let encode = |text: &str| text.replace(':', "%3A");
    format!("grant_type={}&subject_token_type={}&subject_token={token}", encode(EXCHANGE), encode(JWT))
}

/// The OAuth error of a reply, beside how it ended.
fn oauth(transcript: &Transcript) -> String {
    format!("{} {}", ended(transcript), body(transcript)["error"].as_str().unwrap_or("-"))
}

#[test]
fn a_subject_token_is_verified_and_handed_back() {
    let mut stage = Stage::cold(config(json!({})));
    let anna = stage.token_with("anna", json!({"exp": NOW + 600}));
    stage.pass(100);
    let transcript = stage.send(&exchange(&form(&anna)));
    check(&transcript, "discovery keys", "200");
    let expected =
        json!({"access_token": "<anna>", "issued_token_type": JWT, "token_type": "Bearer", "expires_in": 500});
    assert_eq!(body(&transcript), expected);
    assert_eq!(header(&transcript, "cache-control"), Some("no-store"));
    assert!(!stage.flow.awaits_response());
}

#[test]
fn a_databricks_token_is_never_handed_out() {
    let mut stage = Stage::warm(with_credential(service_principal()));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    assert_eq!(body(&stage.send(&exchange(&form(&anna))))["access_token"], "<anna>");
}

#[test]
fn a_subject_token_that_does_not_verify_is_refused_in_oauths_words_too() {
    let mut stage = Stage::warm(config(json!({})));
    for (token, end) in [
        (RSA.token("anna", json!({"exp": NOW - 100})), "401 TOKEN_EXPIRED invalid_grant"),
        (RSA.token("anna", json!({"aud": "x"})), "401 TOKEN_INVALID audience_mismatch invalid_grant"),
        (RSA.token("anna", json!({"iss": "https://evil.example"})), "401 TOKEN_INVALID issuer_mismatch invalid_grant"),
        ("rubbish".to_owned(), "401 TOKEN_INVALID malformed invalid_grant"),
        (NEW.token("anna", json!({})), "401 TOKEN_INVALID key_unknown invalid_grant"),
    ] {
        assert_eq!(oauth(&stage.send(&exchange(&form(&token)))), end);
    }
    let mut cold = Stage::cold(config(json!({})));
    cold.world.set(Purpose::Discovery, [Answer::new(500, "")]);
    let transcript = cold.send(&exchange(&form(&RSA.token("anna", json!({})))));
    assert_eq!(oauth(&transcript), "503 KEYS_UNAVAILABLE temporarily_unavailable");
    assert_eq!(header(&transcript, "retry-after"), Some("5"));
}

#[test]
fn other_grants_and_token_types_are_refused() {
    let good = form("x");
    for (form, error) in [
        (String::new(), "unsupported_grant_type"),
        ("grant_type=client_credentials".to_owned(), "unsupported_grant_type"),
        ("grant_type=".to_owned(), "unsupported_grant_type"),
        (good.replace("token-type%3Ajwt", "token-type%3Aaccess_token"), "invalid_request"),
        (good.replace("&subject_token=x", ""), "invalid_request"),
        (good.replace("&subject_token=x", "&subject_token="), "invalid_request"),
        (format!("{good}&subject_token=y"), "invalid_request"),
        (format!("{good}&grant_type=client_credentials"), "invalid_request"),
        (format!("{good}&subject_token_type=x"), "invalid_request"),
    ] {
        let mut stage = Stage::cold(config(json!({})));
        let transcript = stage.send(&exchange(&form));
        check(&transcript, "", "400 GRANT_REFUSED");
        assert_eq!(body(&transcript)["error"], error, "{form}");
    }
}

#[test]
fn without_a_body_there_is_no_grant() {
    let mut stage = Stage::cold(config(json!({})));
    let transcript = stage.send(&client("POST", "/oidc/v1/token", &[]));
    assert_eq!(oauth(&transcript), "400 GRANT_REFUSED unsupported_grant_type");
}

#[test]
fn a_body_that_is_no_form_is_unreadable() {
    let good = form("x");
    for kind in ["application/json", "text/plain", "application/x-www-form-urlencodedx", ""] {
        let mut stage = Stage::cold(config(json!({})));
        let body = Some(Secret::new(good.clone().into_bytes()));
        let client = Client { body, ..client("POST", "/oidc/v1/token", &[("Content-Type", kind)]) };
        check(&stage.send(&client), "", "400 BODY_UNREADABLE");
    }
    for form in [&b"grant_type=%zz"[..], b"grant_type=\xff", b"grant_type=%ff", b"a;b", b"a=%00"] {
        let mut stage = Stage::cold(config(json!({})));
        let client = Client { body: Some(Secret::new(form.to_vec())), ..exchange("") };
        assert_eq!(oauth(&stage.send(&client)), "400 BODY_UNREADABLE invalid_request");
    }
}

#[test]
fn a_body_that_is_too_long_or_cannot_be_had_is_refused() {
    let mut stage = Stage::cold(config(json!({"limits": {"body_bytes": 1024}})));
    assert_eq!(oauth(&stage.send(&exchange(&"x".repeat(1025)))), "413 BODY_TOO_LARGE invalid_request");
    let mut flow = Flow::default();
    let request = exchange("x").request(stage.sim.next_id(), &stage.sim.config).unwrap();
    let step = stage.sim.on(&mut flow, Event::Request(request), &mut Vec::new());
    assert!(matches!(step, Step::AwaitBody) && flow.awaits_body());
    let step = stage.sim.on(&mut flow, Event::Body(ReadBody::Unreadable), &mut Vec::new());
    assert_eq!(step_word(&step), "400 BODY_UNREADABLE");
    assert!(!flow.awaits_body());
}

#[test]
fn a_subject_token_that_expires_while_keys_are_fetched_is_not_handed_back() {
    let mut stage = Stage::cold(config(json!({"callouts": {"timeout": 60_000}})));
    stage.world.set(Purpose::Keys, [keys(&[&RSA]).after(secs(40))]);
    let brief = stage.token_with("anna", json!({"exp": NOW + 10}));
    assert_eq!(oauth(&stage.send(&exchange(&form(&brief)))), "401 TOKEN_EXPIRED invalid_grant");
}
