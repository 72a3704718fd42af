//! What the gateway proves itself by: assertions that it signs, and its secret at Entra ID.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::flow::{Callout, Capabilities, Step};
use databricks_kong::sim::{Answer, Client, Purpose};
use jwt_simple::prelude::{ECDSAP256PublicKeyLike, ES256KeyPair, ES256PublicKey, Token, VerificationOptions};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The gateway's own key, by an implementation that is not ours.
static GATEWAY: LazyLock<ES256KeyPair> = LazyLock::new(ES256KeyPair::generate);

fn pem() -> String {
    GATEWAY.to_pem().unwrap()
}

fn assertion(key: Value, changes: Value) -> Value {
    let mut credential = json!({
        "type": "gateway_assertion", "client_id": "app", "issuer": "https://gw.example.com", "audience": "databricks",
        "subject": "role:engineer", "key": key,
    });
    credential.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    credential
}

pub(crate) fn gateway_assertion() -> Value {
    assertion(json!(pem()), json!({}))
}

fn on_behalf_of(changes: Value) -> Value {
    let mut credential = json!({
        "type": "entra_on_behalf_of", "tenant_id": "example.onmicrosoft.com", "client_id": "gateway",
        "client_secret": "canary-secret",
    });
    credential.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    credential
}

fn asked_for(step: &Step) -> &Callout {
    let Step::Call(callout) = step else { panic!("{step:?}") };
    callout
}

fn form(callout: &Callout) -> Vec<(String, String)> {
    form_urlencoded::parse(callout.body.expose().as_bytes()).into_owned().collect()
}

fn field(callout: &Callout, name: &str) -> String {
    form(callout).into_iter().find(|(key, _)| key == name).map(|(_, value)| value).unwrap_or_default()
}

/// The claims of an assertion, if `key` made it; times are looked at by the stories.
fn verified(assertion: &str, key: &ES256PublicKey) -> Value {
    let options = VerificationOptions {
        artificial_time: Some(jwt_simple::prelude::Duration::from_secs(NOW)),
        ..VerificationOptions::default()
    };
    let claims = key.verify_token::<Value>(assertion, Some(options)).unwrap();
    serde_json::to_value(claims).unwrap()
}

fn public() -> ES256PublicKey {
    GATEWAY.public_key()
}

#[test]
fn a_signed_assertion_is_exchanged_for_the_service_principals_token() {
    let mut stage = Stage::warm(with_credential(assertion(json!(pem()), json!({"kid": "2026-11", "scope": "jobs"}))));
    let anna = stage.token("anna");
    let (mut flow, step) = stage.begin(&anna);
    let callout = asked_for(&step);
    assert_eq!(callout.url.to_string(), "https://adb.example.net/oidc/v1/token");
    let names: Vec<_> = form(callout).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["grant_type", "subject_token_type", "subject_token", "client_id", "scope"]);
    assert_eq!((field(callout, "client_id"), field(callout, "scope")), ("app".to_owned(), "jobs".to_owned()));
    assert!(callout.headers.iter().all(|(name, _)| *name != "authorization"));
    let token = field(callout, "subject_token");
    let metadata = Token::decode_metadata(&token).unwrap();
    assert_eq!((metadata.algorithm(), metadata.key_id()), ("ES256", Some("2026-11")));
    let claims = verified(&token, &public());
    let expected = json!({
        "iss": "https://gw.example.com", "aud": "databricks", "sub": "role:engineer", "iat": NOW, "exp": NOW + 300,
        "jti": claims["jti"],
    });
    assert_eq!(claims, expected);
    assert!(!callout.body.expose().contains(&anna), "the caller's token stays here");
    assert_eq!(step_word(&stage.resume(&mut flow, minted("dbx-1", 300))), "forward");
}

#[test]
fn without_a_name_the_key_is_named_by_its_thumbprint() {
    let mut stage = Stage::warm(with_credential(assertion(json!(pem()), json!({}))));
    let anna = stage.token("anna");
    let (_, step) = stage.begin(&anna);
    let token = field(asked_for(&step), "subject_token");
    let named = Token::decode_metadata(&token).unwrap().key_id().unwrap().to_owned();
    assert_eq!(named, public().jwk_thumbprint());
}

#[test]
fn no_two_assertions_have_one_id_and_each_try_is_of_its_time() {
    let mut stage = Stage::warm(with_credential(assertion(json!(pem()), json!({}))));
    let anna = stage.token("anna");
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let (mut flow, step) = stage.begin(&anna);
        ids.insert(verified(&field(asked_for(&step), "subject_token"), &public())["jti"].to_string());
        stage.pass(1);
        let again = stage.resume(&mut flow, Answer::new(500, ""));
        let claims = verified(&field(asked_for(&again), "subject_token"), &public());
        assert_eq!(claims["iat"], json!(stage.sim.now.wall.as_secs()));
        ids.insert(claims["jti"].to_string());
    }
    assert_eq!(ids.len(), 6, "{ids:?}");
}

#[test]
fn the_callers_of_a_role_share_its_token_also_while_it_is_asked_for() {
    let mut stage = Stage::warm(with_credential(assertion(json!(pem()), json!({}))));
    stage.sim.can = Capabilities::ALL;
    let (anna, bob) = (stage.token("anna"), stage.token("bob"));
    let (mut first, step) = stage.begin(&anna);
    let (mut second, other) = stage.begin(&bob);
    assert_eq!(asked_for(&step).share, asked_for(&other).share);
    assert_eq!(step_word(&stage.resume_with(&mut first, minted("dbx-1", 300), false)), "forward");
    assert_eq!(step_word(&stage.resume_with(&mut second, minted("dbx-1", 300), true)), "forward");
    check(&stage.get(&bob), "", "forward Bearer <dbx-1>");
}

#[test]
fn another_key_subject_audience_issuer_or_role_is_another_token() {
    let other = ES256KeyPair::generate().to_pem().unwrap();
    let same = || assertion(json!(pem()), json!({}));
    for changed in [
        assertion(json!(other), json!({})),
        assertion(json!(pem()), json!({"subject": "role:other"})),
        assertion(json!(pem()), json!({"audience": "other"})),
        assertion(json!(pem()), json!({"issuer": "https://other.example.com"})),
        assertion(json!(pem()), json!({"client_id": "other"})),
        assertion(json!(pem()), json!({"scope": "sql"})),
    ] {
        let mut stage = Stage::warm(with_credential(same()));
        let anna = stage.token("anna");
        check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
        stage.sim.config = with_credential(changed.clone());
        check(&stage.get(&anna), "token", "forward Bearer <dbx-2>");
        stage.sim.config = with_credential(same());
        check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
    }
}

fn bringing(token: &str, key: &str) -> Client {
    let mut client = get(token);
    client.shared.insert("gateway_key".to_owned(), Secret::new(key.to_owned()));
    client
}

#[test]
fn a_key_that_is_brought_with_each_request_may_change_and_a_broken_one_lets_nobody_on() {
    let shared = || with_credential(assertion(json!({"shared": "gateway_key"}), json!({})));
    let mut stage = Stage::warm(shared());
    let anna = stage.token("anna");
    for client in [get(&anna), bringing(&anna, "")] {
        check(&stage.send(&client), "", "503 SECRET_UNAVAILABLE");
    }
    let broken = stage.send(&bringing(&anna, "canary-secret"));
    check(&broken, "", "503 SECRET_UNAVAILABLE");
    let message = body(&broken)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("gateway_key") && message.contains("PEM") && !message.contains("canary"), "{message}");
    check(&stage.send(&bringing(&anna, &pem())), "token", "forward Bearer <dbx-1>");
    check(&stage.send(&bringing(&anna, &pem())), "", "forward Bearer <dbx-1>");
    let rotated = ES256KeyPair::generate();
    check(&stage.send(&bringing(&anna, &rotated.to_pem().unwrap())), "token", "forward Bearer <dbx-2>");
}

#[test]
fn a_refused_assertion_is_a_refused_exchange_and_the_token_outlives_the_callers_jwt() {
    let mut stage = Stage::warm(with_credential(assertion(json!(pem()), json!({}))));
    let anna = stage.token_with("anna", json!({"exp": NOW + 60}));
    stage.world.set(Purpose::Token, [Answer::new(401, r#"{"error":"invalid_grant"}"#), minted("dbx-1", 3600)]);
    check(&stage.get(&anna), "token", "403 EXCHANGE_REFUSED invalid_grant");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.pass(200);
    let bob = stage.token("bob");
    check(&stage.get(&bob), "", "forward Bearer <dbx-1>");
}

#[test]
fn entra_is_asked_on_behalf_of_the_caller() {
    let mut stage = Stage::warm(with_credential(on_behalf_of(json!({"upstream": "entra"}))));
    stage.sim.name("canary-secret", "secret");
    let anna = stage.token("anna");
    let transcript = stage.get(&anna);
    check(&transcript, "token", "forward Bearer <dbx-1>");
    let callout = &transcript.callouts[0];
    assert_eq!(callout.url, "https://login.microsoftonline.com/example.onmicrosoft.com/oauth2/v2.0/token");
    assert_eq!(callout.upstream.as_deref(), Some("entra"));
    let shown: Vec<_> = callout.form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("client_id", "gateway"),
        ("client_secret", "<secret>"),
        ("assertion", "<anna>"),
        ("scope", "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/.default"),
        ("requested_token_use", "on_behalf_of"),
    ];
    assert_eq!(shown, expected);
    let scope = transcript.record.unwrap().scope;
    assert_eq!(scope.as_deref(), Some("2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/.default"));
}

#[test]
fn another_authority_may_have_a_path() {
    let credential = on_behalf_of(json!({"authority": "https://login.example.us/entra/"}));
    let mut stage = Stage::warm(with_credential(credential));
    let anna = stage.token("anna");
    let callout = stage.get(&anna).callouts.remove(0);
    assert_eq!(callout.url, "https://login.example.us/entra/example.onmicrosoft.com/oauth2/v2.0/token");
}

#[test]
fn a_token_from_entra_serves_its_caller_alone_and_ends_with_the_callers_jwt() {
    let mut stage = Stage::cold(with_credential(on_behalf_of(json!({}))));
    stage.world.set(Purpose::Keys, [keys(&[&RSA, &EC]).cache_control("max-age=86400")]);
    stage.tick();
    let (anna, bob) = (stage.token_with("anna", json!({"exp": NOW + 600})), stage.token("bob"));
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    check(&stage.get(&bob), "token", "forward Bearer <dbx-2>");
    check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
    stage.pass(600);
    let newer = stage.token_with("anna", json!({"exp": NOW + 7200}));
    check(&stage.get(&newer), "token", "forward Bearer <dbx-3>");
    for changes in [
        json!({"tenant_id": "other.onmicrosoft.com"}),
        json!({"client_id": "other"}),
        json!({"client_secret": "rotated"}),
    ] {
        stage.sim.config = with_credential(on_behalf_of(changes));
        assert_eq!(asked(&stage.get(&newer)), "token");
    }
}

#[test]
fn what_entra_refuses_is_refused_with_its_code_and_its_throttling_is_kept_to() {
    let mut stage = Stage::warm(with_credential(on_behalf_of(json!({}))));
    let anna = stage.token("anna");
    let refusal = r#"{"error":"interaction_required","error_description":"AADSTS50076: canary"}"#;
    stage.world.set(Purpose::Token, [Answer::new(400, refusal), Answer::new(429, "{}").retry_after("30")]);
    let refused = stage.get(&anna);
    check(&refused, "token", "403 EXCHANGE_REFUSED interaction_required");
    assert!(!body(&refused).to_string().contains("canary"));
    check(&stage.get(&anna), "token", "503 EXCHANGE_UNAVAILABLE");
    check(&stage.get(&anna), "", "503 EXCHANGE_UNAVAILABLE");
}
