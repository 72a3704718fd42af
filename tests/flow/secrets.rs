//! Tokens and secrets are in no text that anybody prints.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::flow::{Event, Flow, ReadBody, RequestId, Step};
use databricks_kong::sim::{Answer, Client, Purpose, Transcript};
use serde_json::json;
use std::sync::LazyLock;

const SECRET: &str = "canary-secret";
const MINTED: &str = "canary-minted";
/// A key to sign with.
static KEY: LazyLock<String> = LazyLock::new(|| jwt_simple::prelude::ES256KeyPair::generate().to_pem().unwrap());

/// What must not be seen: as text, as `{:?}` prints bytes, and a token's signature by itself.
fn canaries(token: &str) -> Vec<String> {
    let signature = token.rsplit('.').next().unwrap();
    let key = KEY.lines().nth(1).unwrap();
    let texts = [token, signature, SECRET, MINTED, key];
    let in_bytes = texts.map(|text| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned());
    texts.map(str::to_owned).into_iter().chain(in_bytes).collect()
}

#[track_caller]
fn assert_clean(text: &str, token: &str) {
    for canary in canaries(token) {
        // not the whole text: it is long
        let around = text.find(&canary).map(|at| text.get(at.saturating_sub(100)..at));
        assert_eq!(around, None, "a canary follows this");
    }
}

fn print(value: &dyn std::fmt::Debug) -> String {
    format!("{value:?} {value:#?}").replace('\n', "")
}

/// Runs a request step by step and prints everything there is at each.
fn print_all(stage: &mut Stage, client: &Client) -> String {
    let mut flow = Flow::default();
    let mut log = Vec::new();
    let mut event = Event::Request(client.request(RequestId::unknown(), &stage.sim.config).unwrap());
    let mut printed = print(client);
    loop {
        printed.push_str(&print(&event));
        let step = stage.sim.on(&mut flow, event, &mut log);
        printed.push_str(&[print(&step), print(&flow), print(&stage.sim), print(&log)].concat());
        stage.sim.prefetch(|env| printed.push_str(&print(env)));
        event = match step {
            Step::Call(callout) => {
                let purpose = callout.purpose;
                let world: &mut dyn databricks_kong::sim::World = &mut stage.world;
                world.answer(purpose, &callout).into()
            }
            Step::AwaitBody => Event::Body(ReadBody::Whole(client.body.as_ref().unwrap().expose().clone())),
            Step::Forward(_) | Step::Reply(_) => return printed,
        };
    }
}

fn credentials() -> [serde_json::Value; 6] {
    let shared = json!({"shared": "dbx"});
    [
        json!({
            "type": "gateway_assertion", "client_id": "app", "issuer": "https://gw", "audience": "a", "subject": "s", "key": *KEY,
        }),
        json!({"type": "entra_on_behalf_of", "tenant_id": "t", "client_id": "app", "client_secret": SECRET}),
        json!({"type": "user_federation"}),
        service_principal(),
        json!({"type": "service_principal_secret", "client_id": "app", "client_secret": shared}),
        json!({"type": "passthrough"}),
    ]
}

fn with_shared(mut client: Client) -> Client {
    client.shared.insert("dbx".to_owned(), Secret::new(SECRET.to_owned()));
    client
}

#[test]
fn nothing_that_can_be_printed_holds_a_token_or_a_secret() {
    for credential in credentials() {
        let mut stage = Stage::cold(with_credential(credential));
        stage.world.set(Purpose::Token, [minted(MINTED, 3600)]);
        let anna = RSA.token("anna", json!({}));
        let printed = print_all(&mut stage, &with_shared(get(&anna)));
        assert!(printed.contains("Forward("));
        assert_clean(&printed, &anna);
    }
}

#[test]
fn nothing_that_can_be_printed_of_an_echo_holds_the_token() {
    let mut stage = Stage::cold(config(json!({})));
    let anna = RSA.token("anna", json!({}));
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token={anna}"
    );
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let client = Client { body: Some(Secret::new(form.into_bytes())), ..client("POST", "/oidc/v1/token", &kind) };
    let printed = print_all(&mut stage, &client);
    assert!(printed.contains("AwaitBody"));
    assert_clean(&printed, &anna);
}

fn everything(transcript: &Transcript) -> String {
    format!("{:?} {:?} {transcript}", transcript.end, transcript.log)
}

#[test]
fn no_log_line_and_no_refusal_holds_a_token_or_a_secret() {
    let nasty = |token: &str| {
        let body =
            json!({"error": format!("canary {token}"), "error_description": token, "access_token": 7, "x": token});
        [
            Answer::new(400, body.to_string()),
            Answer::new(500, body.to_string()),
            Answer::new(200, body.to_string()),
            minted(token, 3600),
            Answer::new(200, token),
            Answer::new(429, token).retry_after(token),
        ]
    };
    for credential in credentials() {
        let anna = RSA.token("anna", json!({}));
        for answer in nasty(&anna) {
            for purpose in [Purpose::Discovery, Purpose::Keys, Purpose::Token] {
                let mut stage = Stage::cold(with_credential(credential.clone()));
                stage.world.set(Purpose::Token, [minted(MINTED, 3600)]);
                stage.world.set(purpose, [answer.clone()]);
                let transcript = stage.send(&with_shared(get(&anna)));
                assert_clean(&everything(&transcript), &anna);
            }
        }
    }
}

#[test]
fn no_refusal_of_a_token_repeats_any_of_it() {
    for token in [
        RSA.token("canary", json!({"exp": 5})),
        RSA.token("canary", json!({"iss": "https://canary.example"})),
        RSA.token("canary", json!({"aud": "canary"})),
        RSA.token("canary", json!({"groups": ["canary"]})),
        RSA.token("canary", json!({"groups": [{"canary": 1}]})),
        NEW.token("canary", json!({})),
        "canary".to_owned(),
        "canary.canary.canary".to_owned(),
    ] {
        let mut stage = Stage::warm(config(json!({})));
        let transcript = stage.get(&token);
        let text = everything(&transcript);
        assert!(!text.contains("canary"), "{text}");
        assert_clean(&text, &token);
    }
}

#[test]
fn a_transcript_shows_names_or_fingerprints() {
    let mut stage = Stage::warm(with_credential(service_principal()));
    let anna = RSA.token("anna", json!({}));
    stage.world.set(Purpose::Token, [minted(MINTED, 3600)]);
    let transcript = stage.get(&anna);
    assert_clean(&format!("{transcript:?} {transcript}"), &anna);
    assert!(transcript.to_string().contains("authorization: Basic app:<"), "{transcript}");
}
