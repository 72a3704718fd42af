//! The first fetch of a provider's keys, by the request that needs them.

use crate::stage::*;
use databricks_kong::flow::CalloutFault;
use databricks_kong::sim::{Answer, Purpose};
use serde_json::json;

#[test]
fn the_first_request_discovers_the_keys_and_the_second_asks_nobody() {
    let mut stage = Stage::cold(with_credential(json!({"type": "passthrough"})));
    let anna = stage.token("anna");
    let first = stage.get(&anna);
    check(&first, "discovery keys", "forward Bearer <anna>");
    let urls: Vec<_> = first.callouts.iter().map(|callout| (callout.method, callout.url.as_str())).collect();
    let expected =
        [("GET", "https://idp.example/.well-known/openid-configuration"), ("GET", "https://idp.example/keys")];
    assert_eq!(urls, expected);
    check(&stage.get(&anna), "", "forward Bearer <anna>");
}

#[test]
fn a_configured_jwks_url_is_asked_without_discovery() {
    let mut changes = provider(json!({"jwks_url": "https://keys.example/jwks", "upstream": "idp-cluster"}));
    changes["roles"] = json!([role(json!({"type": "passthrough"}))]);
    let mut stage = Stage::cold(config(changes));
    let anna = stage.token("anna");
    let transcript = stage.get(&anna);
    check(&transcript, "keys", "forward Bearer <anna>");
    assert_eq!(transcript.callouts[0].url, "https://keys.example/jwks");
    assert_eq!(transcript.callouts[0].upstream.as_deref(), Some("idp-cluster"));
}

#[test]
fn keys_are_asked_for_without_credentials() {
    let mut stage = Stage::cold(config(json!({})));
    let anna = stage.token("anna");
    let transcript = stage.get(&anna);
    for callout in &transcript.callouts[..2] {
        let names: Vec<_> = callout.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, callout.form.len()), (vec!["accept", "user-agent"], 0));
    }
}

#[test]
fn a_discovery_document_of_another_issuer_is_refused() {
    for issuer in ["https://idp.example/", "https://IDP.example", "https://evil.example", ""] {
        let mut stage = Stage::cold(config(json!({})));
        let document = json!({"issuer": issuer, "jwks_uri": "https://idp.example/keys"});
        stage.world.set(Purpose::Discovery, [ok(&document)]);
        let anna = stage.token("anna");
        let transcript = stage.get(&anna);
        check(&transcript, "discovery discovery", "503 KEYS_UNAVAILABLE");
        assert!(transcript.log.iter().all(|line| line.contains("another issuer")), "{:?}", transcript.log);
    }
}

#[test]
fn a_discovery_document_that_cannot_be_used_is_refused() {
    let long = json!({"issuer": ISSUER, "jwks_uri": "https://idp.example/keys", "x": "x".repeat(128 * 1024)});
    for document in [
        json!({"issuer": ISSUER}).to_string(),
        json!({"jwks_uri": "https://idp.example/keys"}).to_string(),
        json!({"issuer": ISSUER, "jwks_uri": ["https://idp.example/keys"]}).to_string(),
        json!({"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}).to_string(),
        json!({"issuer": ISSUER, "jwks_uri": "//idp.example/keys"}).to_string(),
        json!({"issuer": ISSUER, "jwks_uri": "https://u:p@idp.example/keys"}).to_string(),
        format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"https://idp.example/a","jwks_uri":"https://idp.example/b"}}"#),
        "<html>".to_owned(),
        String::new(),
    ] {
        let mut stage = Stage::cold(config(json!({})));
        stage.world.set(Purpose::Discovery, [Answer::new(200, document)]);
        let anna = stage.token("anna");
        check(&stage.get(&anna), "discovery discovery", "503 KEYS_UNAVAILABLE");
    }
    let mut stage = Stage::cold(config(json!({})));
    stage.world.set(Purpose::Discovery, [ok(&long)]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "discovery", "503 KEYS_UNAVAILABLE");
}

#[test]
fn keys_are_fetched_over_plain_http_only_where_that_is_allowed() {
    let document = |uri: &str| ok(&json!({"issuer": ISSUER, "jwks_uri": uri}));
    let run = |uri: &str, callouts: serde_json::Value| {
        let mut stage = Stage::cold(config(json!({"callouts": callouts})));
        stage.world.set(Purpose::Discovery, [document(uri)]);
        let anna = stage.token("anna");
        asked(&stage.get(&anna))
    };
    assert_eq!(run("http://idp.example/keys", json!({})), "discovery discovery");
    assert_eq!(run("http://127.0.0.1.evil.example/keys", json!({})), "discovery discovery");
    assert_eq!(run("http://127.0.0.1:8080/keys", json!({})), "discovery keys token");
    assert_eq!(run("http://idp.example/keys", json!({"allow_http": true})), "discovery keys token");
}

#[test]
fn keys_that_one_configuration_fetched_over_plain_http_are_not_used_by_another() {
    let mut stage = Stage::cold(config(json!({"callouts": {"allow_http": true}})));
    stage.world.set(Purpose::Discovery, [ok(&json!({"issuer": ISSUER, "jwks_uri": "http://idp.example/keys"}))]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "discovery keys token", "forward Bearer <dbx-1>");
    stage.sim.config = config(json!({}));
    check(&stage.get(&anna), "discovery discovery", "503 KEYS_UNAVAILABLE");
}

#[test]
fn each_stage_is_tried_as_often_as_configured_and_then_the_provider_is_left_alone_for_five_seconds() {
    for attempts in 1..=3 {
        let mut stage = Stage::cold(config(json!({"callouts": {"attempts": attempts}})));
        stage.world.set(Purpose::Discovery, [lost()]);
        let anna = stage.token("anna");
        let transcript = stage.get(&anna);
        check(&transcript, ["discovery"].repeat(attempts).join(" ").as_str(), "503 KEYS_UNAVAILABLE");
        assert_eq!(header(&transcript, "retry-after"), Some("5"));
        stage.pass(2);
        let transcript = stage.get(&anna);
        check(&transcript, "", "503 KEYS_UNAVAILABLE");
        assert_eq!(header(&transcript, "retry-after"), Some("3"));
        stage.world.set(Purpose::Discovery, [discovery()]);
        stage.pass(3);
        check(&stage.get(&anna), "discovery keys token", "forward Bearer <dbx-1>");
    }
}

#[test]
fn a_stage_that_fails_once_is_tried_again_and_the_other_stage_has_its_own_tries() {
    let mut stage = Stage::cold(config(json!({})));
    stage.world.set(Purpose::Discovery, [lost(), discovery()]);
    stage.world.set(Purpose::Keys, [Answer::new(502, "bad gateway"), keys(&[&RSA])]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "discovery discovery keys keys token", "forward Bearer <dbx-1>");
}

fn with_status(status: u16, mut answer: Answer) -> Answer {
    answer.result.as_mut().unwrap().status = status;
    answer
}

#[test]
fn whatever_is_not_a_usable_key_set_counts_as_a_failure() {
    let symmetric = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "rsa", "alg": "HS256"}]});
    for answer in [
        lost(),
        Answer::fault(CalloutFault::Truncated),
        Answer::new(500, "{}"),
        with_status(301, keys(&[&RSA])),
        with_status(203, keys(&[&RSA])),
        Answer::new(204, ""),
        Answer::new(404, RSA.jwk.to_string()),
        Answer::new(200, ""),
        Answer::new(200, "{}"),
        Answer::new(200, r#"{"keys":[]}"#),
        Answer::new(200, r#"{"keys":[{"kty":"RSA"}]}"#),
        ok(&symmetric),
    ] {
        let mut stage = Stage::cold(config(json!({})));
        stage.world.set(Purpose::Keys, [answer.clone()]);
        let anna = stage.token("anna");
        let transcript = stage.get(&anna);
        check(&transcript, "discovery keys keys", "503 KEYS_UNAVAILABLE");
        assert_eq!(transcript.log.len(), 2, "{answer:?} {:?}", transcript.log);
    }
}

#[test]
fn after_keys_could_not_be_fetched_they_are_discovered_anew() {
    let mut stage = Stage::cold(config(json!({})));
    stage.world.set(Purpose::Keys, [lost(), lost(), keys(&[&RSA])]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "discovery keys keys", "503 KEYS_UNAVAILABLE");
    stage.world.set(Purpose::Discovery, [ok(&json!({"issuer": ISSUER, "jwks_uri": "https://new.example/keys"}))]);
    stage.pass(5);
    let transcript = stage.get(&anna);
    check(&transcript, "discovery keys token", "forward Bearer <dbx-1>");
    assert_eq!(transcript.callouts[1].url, "https://new.example/keys");
}

#[test]
fn one_bad_key_does_not_spoil_the_others_and_is_named_in_the_log() {
    let mut stage = Stage::cold(config(json!({})));
    let bad = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
    stage.world.set(Purpose::Keys, [ok(&json!({"keys": [bad, {"kty": "oct"}, RSA.jwk]}))]);
    let anna = stage.token("anna");
    let transcript = stage.get(&anna);
    check(&transcript, "discovery keys token", "forward Bearer <dbx-1>");
    assert_eq!(transcript.log.len(), 2, "{:?}", transcript.log);
    assert!(transcript.log[1].contains("key 1 of `idp`"), "{:?}", transcript.log);
}

#[test]
fn a_failing_provider_does_not_hold_up_another() {
    let providers = json!([
        {"name": "idp", "issuer": ISSUER, "audiences": ["databricks"], "jwks_url": "https://idp.example/keys"},
        {"name": "other", "issuer": "https://other.example", "audiences": ["databricks"]},
    ]);
    let mut stage = Stage::cold(config(json!({"identity_providers": providers})));
    stage.world.set(Purpose::Discovery, [lost()]);
    let other = stage.token_with("eve", json!({"iss": "https://other.example"}));
    check(&stage.get(&other), "discovery discovery", "503 KEYS_UNAVAILABLE");
    let anna = stage.token("anna");
    check(&stage.get(&anna), "keys token", "forward Bearer <dbx-1>");
}

#[test]
fn the_keys_of_one_provider_do_not_verify_the_tokens_of_another() {
    let providers = json!([
        {"name": "idp", "issuer": ISSUER, "audiences": ["databricks"], "jwks_url": "https://idp.example/keys"},
        {"name": "other", "issuer": "https://other.example", "audiences": ["databricks"], "jwks_url": "https://o.example"},
    ]);
    let mut stage = Stage::cold(config(json!({"identity_providers": providers})));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "keys token", "forward Bearer <dbx-1>");
    stage.world.set(Purpose::Keys, [keys(&[&EC])]);
    let forged = stage.token_with("anna", json!({"iss": "https://other.example"}));
    check(&stage.get(&forged), "keys", "401 TOKEN_INVALID key_unknown");
}
