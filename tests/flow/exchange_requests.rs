//! What the token endpoint is asked, for each type of credential.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::flow::Step;
use databricks_kong::sim::{End, Shown};
use serde_json::{Value, json};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The one token request that a request with this credential makes.
fn token_request(credential: Value) -> Shown {
    let mut stage = Stage::warm(with_credential(credential));
    stage.sim.name("canary-secret", "secret");
    let anna = stage.token("anna");
    let mut transcript = stage.get(&anna);
    check(&transcript, "token", "forward Bearer <dbx-1>");
    transcript.callouts.remove(0)
}

fn form(shown: &Shown) -> Vec<(&str, &str)> {
    shown.form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn authorization(shown: &Shown) -> Option<&str> {
    shown.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.as_str())
}

#[test]
fn user_federation_exchanges_the_callers_jwt_without_a_client() {
    let shown = token_request(json!({"type": "user_federation"}));
    let expected =
        [("grant_type", EXCHANGE), ("subject_token_type", JWT), ("subject_token", "<anna>"), ("scope", "all-apis")];
    assert_eq!(form(&shown), expected);
    assert_eq!((shown.method, shown.url.as_str()), ("POST", "https://adb.example.net/oidc/v1/token"));
    assert_eq!(authorization(&shown), None);
    let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    assert!(shown.headers.contains(&kind), "{shown:?}");
}

#[test]
fn user_federation_may_assume_a_group() {
    let shown = token_request(json!({"type": "user_federation", "assume_group": "777", "scope": ["sql", "jobs"]}));
    assert_eq!(form(&shown)[3..], [("scope", "sql jobs"), ("assume_group", "777")]);
}

#[test]
fn service_principal_federation_names_the_service_principal() {
    let shown = token_request(json!({"type": "service_principal_federation", "client_id": "app"}));
    let expected = [
        ("grant_type", EXCHANGE),
        ("subject_token_type", JWT),
        ("subject_token", "<anna>"),
        ("client_id", "app"),
        ("scope", "all-apis"),
    ];
    assert_eq!(form(&shown), expected);
    assert_eq!(authorization(&shown), None);
}

#[test]
fn service_principal_secret_authenticates_the_client_and_does_not_show_the_callers_jwt() {
    let shown = token_request(service_principal());
    assert_eq!(form(&shown), [("grant_type", "client_credentials"), ("scope", "all-apis")]);
    assert_eq!(authorization(&shown), Some("Basic app:<secret>"));
}

#[test]
fn what_basic_authentication_would_misread_is_encoded_first() {
    let credential = json!({"type": "service_principal_secret", "client_id": "a:b", "client_secret": "p w+%:é"});
    let mut stage = Stage::warm(with_credential(credential));
    stage.sim.name("p+w%2B%25%3A%C3%A9", "encoded");
    let anna = stage.token("anna");
    assert_eq!(authorization(&stage.get(&anna).callouts[0]), Some("Basic a%3Ab:<encoded>"));
}

#[test]
fn the_token_endpoint_and_its_cluster_can_be_configured() {
    let workspace = json!({
        "url": "https://adb.example.net", "token_url": "https://accounts.example.net/oidc/x/v1/token", "upstream": "dbx",
    });
    let mut stage = Stage::warm(config(json!({"workspace": workspace})));
    let anna = stage.token("anna");
    let callout = stage.get(&anna).callouts.remove(0);
    assert_eq!(callout.url, "https://accounts.example.net/oidc/x/v1/token");
    assert_eq!(callout.upstream.as_deref(), Some("dbx"));
}

#[test]
fn passthrough_and_none_ask_nobody() {
    for (credential, end) in [("passthrough", "forward Bearer <anna>"), ("none", "forward nothing")] {
        let mut stage = Stage::warm(with_credential(json!({"type": credential})));
        let anna = stage.token("anna");
        check(&stage.get(&anna), "", end);
        assert!(!stage.flow.awaits_response());
    }
}

fn with_shared(token: &str, name: &str, secret: &str) -> databricks_kong::sim::Client {
    let mut client = get(token);
    client.shared.insert(name.to_owned(), Secret::new(secret.to_owned()));
    client
}

#[test]
fn a_shared_secret_is_read_for_each_request_and_without_it_none_goes_on() {
    let secret = json!({"shared": "dbx"});
    let credential = json!({"type": "service_principal_secret", "client_id": "app", "client_secret": secret});
    let mut stage = Stage::warm(with_credential(credential));
    stage.sim.name("one", "one");
    stage.sim.name("two", "two");
    let anna = stage.token("anna");
    for client in [get(&anna), with_shared(&anna, "dbx", ""), with_shared(&anna, "other", "one")] {
        let transcript = stage.send(&client);
        check(&transcript, "", "503 SECRET_UNAVAILABLE");
        assert!(header(&transcript, "retry-after").is_some());
    }
    let first = stage.send(&with_shared(&anna, "dbx", "one"));
    check(&first, "token", "forward Bearer <dbx-1>");
    assert_eq!(authorization(&first.callouts[0]), Some("Basic app:<one>"));
    check(&stage.send(&with_shared(&anna, "dbx", "one")), "", "forward Bearer <dbx-1>");
    let second = stage.send(&with_shared(&anna, "dbx", "two"));
    check(&second, "token", "forward Bearer <dbx-2>");
    assert_eq!(authorization(&second.callouts[0]), Some("Basic app:<two>"));
    check(&stage.get(&anna), "", "503 SECRET_UNAVAILABLE");
}

#[test]
fn the_callers_jwt_never_goes_on_beside_a_databricks_token() {
    let mut stage = Stage::warm(config(json!({})));
    let anna = stage.token("anna");
    let transcript = stage.get(&anna);
    let End::Forward { headers, .. } = &transcript.end else { panic!("{transcript}") };
    assert!(headers.iter().all(|(_, value)| !value.contains("anna")), "{headers:?}");
}

#[test]
fn only_requests_for_tokens_have_a_body() {
    let mut stage = Stage::cold(config(json!({})));
    let anna = stage.token("anna");
    let (mut flow, mut step) = stage.begin(&anna);
    for (answer, has_body) in [(discovery(), false), (keys(&[&RSA]), false), (minted("dbx-1", 3600), true)] {
        let Step::Call(callout) = &step else { panic!("{step:?}") };
        assert_eq!(callout.has_body(), has_body, "{}", callout.url);
        step = stage.resume(&mut flow, answer);
    }
    assert_eq!(step_word(&step), "forward");
}
