//! Which request may use which Databricks token, and for how long.

use crate::stage::*;
use databricks_kong::config::Config;
use databricks_kong::flow::{Flow, Step};
use databricks_kong::sim::{Answer, Purpose};
use serde_json::{Value, json};
use std::rc::Rc;

/// A gateway whose keys outlast the story.
fn warm(config: Rc<Config>) -> Stage {
    let mut stage = Stage::cold(config);
    stage.world.set(Purpose::Keys, [keys(&[&RSA, &EC]).cache_control("max-age=86400")]);
    stage.tick();
    stage
}

#[test]
fn a_kept_token_serves_the_same_caller_again_with_any_of_their_jwts() {
    let mut stage = warm(config(json!({})));
    let (anna, again) = (stage.token("anna"), RSA.token("anna", json!({"jti": "2"})));
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
    check(&stage.get(&again), "", "forward Bearer <dbx-1>");
}

#[test]
fn a_token_obtained_with_a_callers_jwt_serves_no_other_caller() {
    for credential in [
        json!({"type": "user_federation"}),
        json!({"type": "user_federation", "assume_group": "7"}),
        json!({"type": "service_principal_federation", "client_id": "app"}),
    ] {
        let claims = json!({"claims": {"subject": "email"}});
        let mut changes = provider(claims);
        changes["roles"] = json!([role(credential)]);
        let mut stage = warm(config(changes));
        let caller = |sub: &str, email: &str, azp: &str| RSA.token(sub, json!({"email": email, "azp": azp}));
        let tokens = [
            caller("1", "a@x", "web"),
            caller("2", "a@x", "web"),
            caller("1", "b@x", "web"),
            caller("1", "a@x", "cli"),
        ];
        for (number, token) in (1..).zip(&tokens) {
            check(&stage.get(token), "token", &format!("forward Bearer <dbx-{number}>"));
        }
        check(&stage.get(&tokens[0]), "", "forward Bearer <dbx-1>");
    }
}

#[test]
fn callers_whose_names_run_together_are_told_apart() {
    let mut stage = warm(config(json!({})));
    let tokens = [("ab", json!({"azp": "c"})), ("a", json!({"azp": "bc"})), ("abc", json!({}))];
    for (number, (sub, claims)) in (1..).zip(tokens) {
        let token = RSA.token(sub, claims);
        check(&stage.get(&token), "token", &format!("forward Bearer <dbx-{number}>"));
    }
}

#[test]
fn equal_subjects_of_two_providers_are_two_callers() {
    let providers = json!([
        {"name": "a", "issuer": ISSUER, "audiences": ["databricks"], "jwks_url": "https://idp.example/keys"},
        {"name": "b", "issuer": "https://b.example", "audiences": ["databricks"], "jwks_url": "https://b.example/keys"},
    ]);
    let mut stage = Stage::cold(config(json!({"identity_providers": providers})));
    let (a, b) = (RSA.token("anna", json!({})), RSA.token("anna", json!({"iss": "https://b.example"})));
    check(&stage.get(&a), "keys token", "forward Bearer <dbx-1>");
    check(&stage.get(&b), "keys token", "forward Bearer <dbx-2>");
}

/// Two entries of one worker: the second must not use the token of the first.
#[track_caller]
fn not_shared(first: Rc<Config>, second: Rc<Config>) {
    let mut stage = warm(first);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.sim.config = second;
    check(&stage.get(&anna), "token", "forward Bearer <dbx-2>");
}

fn named_role(name: &str, credential: Value) -> Rc<Config> {
    let mut role = role(credential);
    role["name"] = json!(name);
    config(json!({"roles": [role]}))
}

#[test]
fn a_token_serves_no_other_role_scope_group_secret_or_service_principal() {
    let user = |changes: Value| {
        let mut credential = json!({"type": "user_federation"});
        credential.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        with_credential(credential)
    };
    let principal = |key: &str, value: &str| {
        let mut credential = service_principal();
        credential[key] = json!(value);
        with_credential(credential)
    };
    not_shared(user(json!({})), named_role("other", json!({"type": "user_federation"})));
    not_shared(user(json!({})), user(json!({"scope": "sql"})));
    not_shared(user(json!({"assume_group": "1"})), user(json!({"assume_group": "2"})));
    not_shared(user(json!({})), user(json!({"assume_group": "1"})));
    not_shared(with_credential(service_principal()), named_role("other", service_principal()));
    not_shared(with_credential(service_principal()), principal("client_secret", "rotated"));
    not_shared(with_credential(service_principal()), principal("client_id", "other"));
    not_shared(with_credential(service_principal()), principal("scope", "sql"));
    let federated = |id: &str| with_credential(json!({"type": "service_principal_federation", "client_id": id}));
    not_shared(federated("a"), federated("b"));
    not_shared(user(json!({})), federated("a"));
    not_shared(federated("app"), with_credential(service_principal()));
}

fn workspace(url: &str, id: &str, token_url: Option<&str>) -> Rc<Config> {
    let mut workspace = json!({"url": url, "id": id});
    if let Some(url) = token_url {
        workspace["token_url"] = json!(url);
    }
    config(json!({ "workspace": workspace }))
}

#[test]
fn a_token_serves_no_other_workspace() {
    not_shared(workspace("https://one.example.net", "1", None), workspace("https://two.example.net", "2", None));
}

#[test]
fn a_token_serves_no_other_workspace_even_if_both_have_one_token_endpoint() {
    let accounts = Some("https://accounts.example.net/oidc/accounts/x/v1/token");
    not_shared(
        workspace("https://one.example.net", "1", accounts),
        workspace("https://two.example.net", "2", accounts),
    );
}

#[test]
fn a_token_of_the_gateways_own_serves_all_callers_of_its_role() {
    let mut stage = warm(with_credential(service_principal()));
    let (anna, bob) = (stage.token("anna"), stage.token("bob"));
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    check(&stage.get(&bob), "", "forward Bearer <dbx-1>");
}

#[test]
fn a_token_without_a_believable_life_is_used_once() {
    for life in ["0", "-5", "1e9", "604801", "3600.5", "\"soon\"", "null", "true"] {
        let mut stage = warm(with_credential(service_principal()));
        let anna = stage.token("anna");
        let answer = |token: &str| Answer::new(200, format!(r#"{{"access_token":"{token}","expires_in":{life}}}"#));
        stage.world.set(Purpose::Token, [answer("dbx-1"), answer("dbx-2")]);
        check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
        check(&stage.get(&anna), "token", "forward Bearer <dbx-2>");
    }
    let mut stage = warm(config(json!({})));
    let anna = stage.token("anna");
    stage.world.set(Purpose::Token, [Answer::new(200, r#"{"access_token":"dbx-1"}"#)]);
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
}

#[test]
fn a_token_is_not_used_past_its_own_life() {
    let mut stage = warm(with_credential(service_principal()));
    stage.world.set(Purpose::Token, [minted("dbx-1", 60), lost()]);
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.pass(58);
    check(&stage.get(&anna), "token token", "forward Bearer <dbx-1>");
    // a second before: lives are whole seconds, and may be rounded up
    stage.pass(1);
    check(&stage.get(&anna), "token token", "503 EXCHANGE_UNAVAILABLE");
}

#[test]
fn a_federated_token_is_not_used_past_the_jwt_that_it_came_from() {
    let mut stage = warm(config(json!({})));
    let brief = stage.token_with("anna", json!({"exp": NOW + 100}));
    let later = stage.token_with("anna", json!({"exp": NOW + 1000}));
    check(&stage.get(&brief), "token", "forward Bearer <dbx-1>");
    stage.pass(50);
    check(&stage.get(&later), "", "forward Bearer <dbx-1>");
    stage.pass(50);
    check(&stage.get(&later), "token", "forward Bearer <dbx-2>");
}

#[test]
fn a_shared_token_outlives_the_jwt_of_whoever_came_first() {
    let mut stage = warm(with_credential(service_principal()));
    let (brief, bob) = (stage.token_with("anna", json!({"exp": NOW + 10})), stage.token("bob"));
    check(&stage.get(&brief), "token", "forward Bearer <dbx-1>");
    stage.pass(100);
    check(&stage.get(&brief), "", "401 TOKEN_EXPIRED");
    check(&stage.get(&bob), "", "forward Bearer <dbx-1>");
}

#[test]
fn a_shared_token_is_renewed_ahead_of_its_end_and_the_old_one_serves_if_that_fails() {
    for failure in [lost(), Answer::new(500, ""), Answer::new(400, r#"{"error":"invalid_client"}"#)] {
        let mut stage = warm(with_credential(service_principal()));
        let anna = stage.token("anna");
        check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
        stage.pass(3600 - 375 - 1);
        check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
        stage.pass(76);
        stage.world.set(Purpose::Token, [failure.clone(), failure]);
        assert_eq!(ended(&stage.get(&anna)), "forward Bearer <dbx-1>");
        // the next try is made a little later
        stage.world.set(Purpose::Token, [minted("dbx-2", 3600)]);
        check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
        stage.pass(10);
        check(&stage.get(&anna), "token", "forward Bearer <dbx-2>");
        check(&stage.get(&anna), "", "forward Bearer <dbx-2>");
    }
}

#[test]
fn a_renewal_that_is_throttled_leaves_the_endpoint_alone_and_the_old_token_in_use() {
    let mut stage = warm(with_credential(service_principal()));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.pass(3300);
    stage.world.set(Purpose::Token, [Answer::new(429, "").retry_after("200")]);
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.pass(199);
    check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
    stage.pass(1);
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.pass(100);
    check(&stage.get(&anna), "", "503 EXCHANGE_UNAVAILABLE");
}

#[test]
fn a_renewal_that_outlasts_the_old_token_and_fails_does_not_send_it() {
    let mut stage = warm(with_credential(service_principal()));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.pass(3598);
    stage.world.set(Purpose::Token, [lost().after(secs(2))]);
    check(&stage.get(&anna), "token token", "503 EXCHANGE_UNAVAILABLE");
}

#[test]
fn a_federated_token_is_not_renewed_with_the_jwt_that_it_came_from() {
    let mut stage = warm(config(json!({})));
    let old = stage.token_with("anna", json!({"exp": NOW + 1000}));
    check(&stage.get(&old), "token", "forward Bearer <dbx-1>");
    stage.pass(999);
    check(&stage.get(&old), "", "forward Bearer <dbx-1>");
}

#[test]
fn a_federated_token_is_renewed_with_a_newer_jwt() {
    let mut stage = warm(config(json!({})));
    let old = stage.token_with("anna", json!({"exp": NOW + 1000}));
    let new = stage.token_with("anna", json!({"exp": NOW + 3000}));
    check(&stage.get(&old), "token", "forward Bearer <dbx-1>");
    stage.pass(990);
    check(&stage.get(&new), "token", "forward Bearer <dbx-2>");
    check(&stage.get(&old), "", "forward Bearer <dbx-2>");
}

#[test]
fn requests_with_an_older_jwt_do_not_keep_a_newer_one_from_renewing() {
    let mut stage = warm(config(json!({})));
    let old = stage.token_with("anna", json!({"exp": NOW + 1000}));
    let new = stage.token_with("anna", json!({"exp": NOW + 3000}));
    check(&stage.get(&old), "token", "forward Bearer <dbx-1>");
    stage.pass(990);
    check(&stage.get(&old), "", "forward Bearer <dbx-1>");
    check(&stage.get(&new), "token", "forward Bearer <dbx-2>");
}

#[test]
fn a_401_of_the_workspace_drops_the_token_that_it_answered_and_nothing_else_does() {
    let mut stage = warm(with_credential(service_principal()));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    for status in [200, 400, 403, 404, 429, 500, 0] {
        assert!(stage.flow.awaits_response());
        stage.flow.on_response(status, None, &mut stage.sim.memory);
        check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
    }
    stage.flow.on_response(401, None, &mut stage.sim.memory);
    check(&stage.get(&anna), "token", "forward Bearer <dbx-2>");
}

#[test]
fn a_403_that_calls_the_token_invalid_drops_it_and_one_that_denies_does_not() {
    let mut stage = warm(with_credential(service_principal()));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.flow.on_response(403, Some("User does not have permission."), &mut stage.sim.memory);
    check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
    stage.flow.on_response(403, Some("Invalid access token."), &mut stage.sim.memory);
    check(&stage.get(&anna), "token", "forward Bearer <dbx-2>");
}

#[test]
fn a_late_401_does_not_drop_the_token_that_came_after() {
    let mut stage = warm(with_credential(service_principal()));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    let mut slow = std::mem::take(&mut stage.flow);
    check(&stage.get(&anna), "", "forward Bearer <dbx-1>");
    stage.flow.on_response(401, None, &mut stage.sim.memory);
    check(&stage.get(&anna), "token", "forward Bearer <dbx-2>");
    slow.on_response(401, None, &mut stage.sim.memory);
    check(&stage.get(&anna), "", "forward Bearer <dbx-2>");
}

#[test]
fn no_more_tokens_are_kept_than_configured() {
    let mut stage = warm(config(json!({"limits": {"cached_tokens": 0}})));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-2>");
}

#[test]
fn an_agents_token_a_persons_and_one_of_the_agent_for_the_person_are_three() {
    let mut stage = warm(config(json!({})));
    let act = |actor: &str| json!({"act": {"sub": actor}, "azp": "app"});
    let tokens = [
        RSA.token("anna", json!({"azp": "app"})),
        RSA.token("anna", act("copilot")),
        RSA.token("copilot", json!({"azp": "app"})),
        RSA.token("anna", act("other")),
        RSA.token("anna", json!({"azp": "app", "act": {"sub": "copilot", "act": {"sub": "planner"}}})),
    ];
    for (number, token) in (1..).zip(&tokens) {
        check(&stage.get(token), "token", &format!("forward Bearer <dbx-{number}>"));
    }
    check(&stage.get(&tokens[1]), "", "forward Bearer <dbx-2>");
}

/// 32 requests that ask for the token of one caller, which nobody has.
fn as_many_as_may(stage: &mut Stage, token: &str) -> Vec<Flow> {
    let asking = (0..32).map(|_| {
        let (flow, step) = stage.begin(token);
        assert_eq!(step_word(&step), "call");
        flow
    });
    asking.collect()
}

fn next(stage: &mut Stage, token: &str) -> String {
    let (_, step) = stage.begin(token);
    if let Step::Reply(reply) = &step {
        let wait = reply.headers.iter().find(|(name, _)| *name == "retry-after").map(|(_, value)| value.as_str());
        assert_eq!(wait, Some("1"), "{reply:?}");
    }
    step_word(&step)
}

#[test]
fn where_requests_cannot_wait_for_each_other_so_many_ask_for_one_token_at_a_time_and_the_next_is_told_to_come_back() {
    let mut stage = warm(config(json!({"callouts": {"attempts": 1}})));
    let (anna, bob) = (stage.token("anna"), stage.token("bob"));
    let mut asking = as_many_as_may(&mut stage, &anna);
    assert_eq!(next(&mut stage, &anna), "503 EXCHANGE_UNAVAILABLE");
    assert_eq!(next(&mut stage, &bob), "call", "another token is another matter");
    let failed = stage.resume(&mut asking[0], Answer::new(500, ""));
    assert_eq!(step_word(&failed), "503 EXCHANGE_UNAVAILABLE");
    assert_eq!([next(&mut stage, &anna), next(&mut stage, &anna)], ["call", "503 EXCHANGE_UNAVAILABLE"]);
    let had = stage.resume(&mut asking[1], minted("dbx-1", 3600));
    assert_eq!([step_word(&had), next(&mut stage, &anna)], ["forward", "forward"]);
}

#[test]
fn an_answer_that_got_lost_keeps_nobody_out_for_longer_than_its_tries_could_take() {
    let mut stage = warm(config(json!({"callouts": {"attempts": 2, "timeout": 2000}})));
    let anna = stage.token("anna");
    as_many_as_may(&mut stage, &anna);
    stage.pass(3);
    assert_eq!(next(&mut stage, &anna), "503 EXCHANGE_UNAVAILABLE");
    stage.pass(1);
    assert_eq!(next(&mut stage, &anna), "call");
}

#[test]
fn where_requests_wait_for_each_other_any_number_of_them_may() {
    let mut stage = warm(config(json!({})));
    stage.sim.can.waits_for_others = true;
    let anna = stage.token("anna");
    as_many_as_may(&mut stage, &anna);
    assert_eq!(next(&mut stage, &anna), "call");
}
