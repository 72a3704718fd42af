//! One request from its headers to its end: verified, decided, exchanged, rewritten.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use databricks_kong::base::{Secret, UnixTime};
use databricks_kong::config::Settings;
use databricks_kong::flow::Flow;
use databricks_kong::sim::{Answer, Client, End, Purpose, Script, Sim, Transcript};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use wasm_bindgen_test::wasm_bindgen_test as test;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";
const GET_JOB: &str = "/api/2.2/jobs/get?job_id=";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The provider's key, and one that only claims to be it.
fn keys() -> [SigningKey; 2] {
    [7, 8].map(|byte| SigningKey::from_bytes(&[byte; 32]))
}

fn token(key: &SigningKey, changes: &Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "aud": "databricks", "sub": "anna", "groups": ["runners"], "iat": NOW, "exp": NOW + 3600,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let signed = format!("{}.{}", b64(r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}"#), b64(claims.to_string()));
    format!("{signed}.{}", b64(key.sign(signed.as_bytes()).to_bytes()))
}

fn gateway() -> Sim {
    let config = json!({
        "workspace": {"url": "https://adb.example.net", "id": "7405619408829168", "public_url": "https://gw.example.com"},
        "identity_providers": [{"name": "idp", "issuer": ISSUER, "audiences": ["databricks"], "algorithms": ["EdDSA"]}],
        "roles": [{
            "name": "runner",
            "match": {"groups": ["runners"]},
            "credential": {"type": "user_federation"},
            "allow": [{"operations": ["jobs.get", "jobs.run_now"], "resources": {"job": ["101"]}}],
        }],
    });
    match Settings::parse(config.to_string().as_bytes(), &|_| None) {
        Ok(Settings::Enforce(config)) => Sim::new(config, UnixTime::from_secs(NOW)),
        other => panic!("{other:?}"),
    }
}

fn world() -> Script {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": b64(keys()[0].verifying_key())});
    let mut world = Script::default();
    for (purpose, body) in [
        (Purpose::Discovery, json!({"issuer": ISSUER, "jwks_uri": "https://idp.example/keys"})),
        (Purpose::Keys, json!({"keys": [jwk]})),
        (Purpose::Token, json!({"access_token": "dbx", "token_type": "Bearer", "expires_in": 3600})),
    ] {
        world.set(purpose, [Answer::new(200, body.to_string())]);
    }
    world
}

fn request(method: &str, target: &str, token: &str, body: Option<&str>) -> Client {
    let authorization = ("authorization".to_owned(), Secret::new(format!("Bearer {token}")));
    let body = body.map(|body| Secret::new(body.as_bytes().to_vec()));
    let kind = body.as_ref().map(|_| ("content-type".to_owned(), Secret::new("application/json".to_owned())));
    Client {
        method: method.to_owned(),
        target: target.into(),
        headers: [authorization].into_iter().chain(kind).collect(),
        body,
        ..Client::default()
    }
}

/// How it ended: the credential that it was sent on with, or status and reason. And what was asked of others.
fn run(gateway: &mut Sim, client: &Client) -> (String, Vec<Purpose>) {
    gateway.name("dbx", "dbx");
    let Transcript { end, callouts, .. } = gateway.run(&mut Flow::default(), client, &mut world());
    let ended = match end {
        End::Forward { headers, .. } => {
            let sent = headers.into_iter().find(|(name, _)| name == "authorization").unwrap();
            format!("forward {}", sent.1)
        }
        End::Reply { status, reason, .. } => format!("{status} {}", reason.unwrap().name()),
        End::Unfinished => "unfinished".to_owned(),
    };
    (ended, callouts.iter().map(|callout| callout.purpose).collect())
}

#[test]
fn a_good_token_is_exchanged_once_and_never_sent_on() {
    let (mut gateway, token) = (gateway(), token(&keys()[0], &json!({})));
    let job = format!("{GET_JOB}101");
    let (ended, asked) = run(&mut gateway, &request("GET", &job, &token, None));
    assert_eq!((&*ended, &*asked), ("forward Bearer <dbx>", &[Purpose::Discovery, Purpose::Keys, Purpose::Token][..]));
    let (ended, asked) = run(&mut gateway, &request("GET", &job, &token, None));
    assert_eq!((&*ended, &*asked), ("forward Bearer <dbx>", &[][..]));
}

#[test]
fn a_forged_token_is_never_exchanged() {
    let [honest, forger] = keys();
    let good = token(&honest, &json!({}));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let other = token(&honest, &json!({"sub": "eva"}));
    let swapped = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    for forged in [token(&forger, &json!({})), swapped, format!("{head}.{}", b64([0; 64]))] {
        let (ended, asked) = run(&mut gateway(), &request("GET", &format!("{GET_JOB}101"), &forged, None));
        // the keys were asked for, so it is the signature that was looked at
        assert_eq!((&*ended, &*asked), ("401 TOKEN_INVALID", &[Purpose::Discovery, Purpose::Keys][..]));
    }
}

#[test]
fn claims_are_judged_by_the_clock_that_is_given() {
    for (changes, expected) in [
        (json!({"exp": NOW - 60}), "401 TOKEN_EXPIRED"),
        (json!({"nbf": NOW + 60}), "401 TOKEN_NOT_YET_VALID"),
        (json!({"aud": "other"}), "401 TOKEN_INVALID"),
        (json!({"groups": ["sales"]}), "403 NO_ROLE"),
        (json!({"exp": NOW + 1}), "forward Bearer <dbx>"),
    ] {
        let token = token(&keys()[0], &changes);
        let (ended, _) = run(&mut gateway(), &request("GET", &format!("{GET_JOB}101"), &token, None));
        assert_eq!(ended, expected, "{changes}");
    }
}

#[test]
fn a_policy_decides_by_target_and_body() {
    let (mut gateway, token) = (gateway(), token(&keys()[0], &json!({})));
    let run_now = |job: &'static str| ("POST", "/api/2.2/jobs/run-now".to_owned(), Some(job));
    for ((method, target, body), expected) in [
        (("GET", format!("{GET_JOB}101"), None), "forward Bearer <dbx>"),
        (("GET", format!("{GET_JOB}202"), None), "403 NO_RULE"),
        (run_now(r#"{"job_id": 101}"#), "forward Bearer <dbx>"),
        (run_now(r#"{"job_id": 202}"#), "403 NO_RULE"),
        (run_now(r#"{"job_id": 101, "job_id": 202}"#), "400 BODY_UNREADABLE"),
        (("GET", "/api/2.2/jobs/list".to_owned(), None), "403 NO_RULE"),
    ] {
        let (ended, _) = run(&mut gateway, &request(method, &target, &token, body));
        assert_eq!(ended, expected, "{method} {target} {body:?}");
    }
}
