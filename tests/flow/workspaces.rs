//! Several workspaces behind one gateway: whatever is kept for one serves no other, though all ids are the same.

use crate::stage::*;
use databricks_kong::config::Config;
use databricks_kong::sim::{Purpose, Transcript};
use jwt_simple::prelude::ES256KeyPair;
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::LazyLock;

static KEY: LazyLock<String> = LazyLock::new(|| ES256KeyPair::generate().to_pem().unwrap());

/// Two workspaces of one account and the account's own host: one client id, one secret, one id of everything.
fn places() -> [Value; 3] {
    let account = "https://accounts.example.net/oidc/accounts/x/v1/token";
    [
        json!({"url": "https://one.example.net", "id": "1", "public_url": "https://gw.example.com/one"}),
        json!({"url": "https://two.example.net", "id": "2", "public_url": "https://gw.example.com/two"}),
        json!({"url": "https://accounts.example.net", "token_url": account, "public_url": "https://gw.example.com/account"}),
    ]
}

fn entry(place: &Value, changes: Value) -> Rc<Config> {
    let mut all = json!({ "workspace": place });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    config(all)
}

fn warm(config: Rc<Config>) -> Stage {
    let mut stage = Stage::cold(config);
    stage.world.set(Purpose::Keys, [keys(&[&RSA, &EC]).cache_control("max-age=86400")]);
    stage.tick();
    stage
}

fn credentials() -> [Value; 5] {
    [
        json!({"type": "user_federation"}),
        json!({"type": "service_principal_federation", "client_id": "app"}),
        service_principal(),
        json!({
            "type": "gateway_assertion", "client_id": "app", "issuer": "https://gw.example.com", "audience": "databricks",
            "subject": "role:engineer", "key": *KEY,
        }),
        json!({"type": "entra_on_behalf_of", "tenant_id": "t", "client_id": "app", "client_secret": "canary-secret"}),
    ]
}

#[test]
fn a_token_serves_its_own_workspace_whatever_the_credential() {
    for credential in credentials() {
        let entries = places().map(|place| entry(&place, json!({"roles": [role(credential.clone())]})));
        let mut stage = warm(Rc::clone(&entries[0]));
        let anna = stage.token("anna");
        for (number, config) in (1..).zip(&entries) {
            stage.sim.config = Rc::clone(config);
            check(&stage.get(&anna), "token", &format!("forward Bearer <dbx-{number}>"));
        }
        // and each has its own now
        for (number, config) in (1..).zip(&entries) {
            stage.sim.config = Rc::clone(config);
            check(&stage.get(&anna), "", &format!("forward Bearer <dbx-{number}>"));
        }
    }
}

#[test]
fn a_token_that_one_workspace_refuses_stays_good_for_the_other() {
    let entries = places().map(|place| entry(&place, json!({"roles": [role(service_principal())]})));
    let mut stage = warm(Rc::clone(&entries[0]));
    let anna = stage.token("anna");
    for config in &entries {
        stage.sim.config = Rc::clone(config);
        stage.get(&anna);
    }
    stage.sim.config = Rc::clone(&entries[0]);
    stage.get(&anna);
    stage.flow.on_response(401, None, &mut stage.sim.memory);
    check(&stage.get(&anna), "token", "forward Bearer <dbx-4>");
    stage.sim.config = Rc::clone(&entries[1]);
    check(&stage.get(&anna), "", "forward Bearer <dbx-2>");
}

fn ask_for_run(stage: &mut Stage, token: &str) -> Transcript {
    let authorization = format!("Bearer {token}");
    stage.send(&client("GET", "/api/2.2/jobs/runs/get?run_id=5", &[("Authorization", &authorization)]))
}

#[test]
fn a_runs_job_is_that_of_its_own_workspace() {
    let mut role = role(service_principal());
    role["allow"] = json!([{"operations": ["jobs.get_run"], "resources": {"job": ["7"]}, "lookup": true}]);
    let [one, two, _] = places().map(|place| entry(&place, json!({"roles": [role.clone()]})));
    let mut stage = warm(Rc::clone(&one));
    let anna = stage.token("anna");
    stage.world.set(Purpose::Lookup, [ok(&json!({"job_id": 7})), ok(&json!({"job_id": 8}))]);
    check(&ask_for_run(&mut stage, &anna), "token lookup", "forward Bearer <dbx-1>");
    stage.sim.config = Rc::clone(&two);
    check(&ask_for_run(&mut stage, &anna), "token lookup", "403 NO_RULE");
    stage.sim.config = one;
    check(&ask_for_run(&mut stage, &anna), "", "forward Bearer <dbx-1>");
    stage.sim.config = two;
    check(&ask_for_run(&mut stage, &anna), "", "403 NO_RULE");
}

#[test]
fn a_verdict_is_that_of_its_own_entry() {
    let provider = |audience: &str| json!([{"name": "idp", "issuer": ISSUER, "audiences": [audience]}]);
    let [one, two, _] = places();
    let first = entry(&one, json!({"identity_providers": provider("databricks")}));
    let second = entry(&two, json!({"identity_providers": provider("other")}));
    let mut stage = warm(Rc::clone(&first));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.sim.config = second;
    check(&stage.get(&anna), "", "401 TOKEN_INVALID audience_mismatch");
    stage.sim.config = first;
    check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
}

#[test]
fn each_workspace_names_itself_and_no_request_reaches_another() {
    let entries = places().map(|place| entry(&place, json!({"roles": [role(service_principal())]})));
    let mut stage = warm(Rc::clone(&entries[0]));
    let anna = stage.token("anna");
    let token_hosts = ["one.example.net", "two.example.net", "accounts.example.net"];
    for ((config, host), id) in entries.iter().zip(token_hosts).zip([Some("1"), Some("2"), None]) {
        stage.sim.config = Rc::clone(config);
        let transcript = stage.get(&anna);
        assert!(transcript.callouts[0].url.starts_with(&format!("https://{host}/")), "{transcript}");
        assert_eq!(header(&transcript, "x-databricks-org-id"), id);
        let authorization = format!("Bearer {anna}");
        let elsewhere = [("Authorization", &*authorization), ("X-Databricks-Org-Id", "2")];
        let other = stage.send(&client("GET", "/api/2.1/jobs/list", &elsewhere));
        assert_eq!(header(&other, "x-databricks-org-id"), id, "the client's own word does not count");
        let by_query = stage.send(&client("GET", "/api/2.1/jobs/list?o=3", &[("Authorization", &*authorization)]));
        check(&by_query, "", "400 REQUEST_AMBIGUOUS");
    }
}

#[test]
fn an_identity_is_signed_in_the_name_of_its_own_entry() {
    let entries = places().map(|place| {
        entry(&place, json!({"roles": [role(json!({"type": "none"}))], "identity_header": {"key": *KEY}}))
    });
    let mut stage = warm(Rc::clone(&entries[0]));
    let anna = stage.token("anna");
    for (config, issuer) in entries.iter().zip(["one", "two", "account"]) {
        stage.sim.config = Rc::clone(config);
        let transcript = stage.get(&anna);
        let token = header(&transcript, "x-databricks-kong-identity").unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let claims: Value = serde_json::from_slice(&base64::Engine::decode(&engine, payload).unwrap()).unwrap();
        assert_eq!(claims["iss"], json!(format!("https://gw.example.com/{issuer}")));
    }
}
