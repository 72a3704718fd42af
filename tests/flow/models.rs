//! Rules that name models and who provides them.

use crate::stage::*;
use databricks_kong::base::Secret;
use databricks_kong::sim::Client;
use serde_json::{Value, json};

const CHAT: &str = "/ai-gateway/openai/v1/chat/completions";
const GEMINI: &str = "/ai-gateway/gemini/v1beta/models/gpt-5:generateContent";
const PROVIDER: &str = "Databricks-Model-Provider-Service";

fn stage(rules: Value) -> (Stage, String) {
    let mut role = role(json!({"type": "passthrough"}));
    for (key, rules) in rules.as_object().unwrap() {
        role[key] = rules.clone();
    }
    let mut stage = Stage::warm(config(json!({"roles": [role]})));
    let anna = stage.token("anna");
    (stage, anna)
}

/// Asks `model`, of a provider where one is named.
fn ask(token: &str, model: &str, provider: Option<&str>) -> Client {
    let body = json!({"model": model, "messages": []}).to_string();
    let client = Client {
        method: "POST".to_owned(),
        target: CHAT.as_bytes().to_vec(),
        body: Some(Secret::new(body.into())),
        ..get(token)
    };
    by(client, provider)
}

fn by(mut client: Client, provider: Option<&str>) -> Client {
    client.headers.extend(provider.map(|name| (PROVIDER.to_owned(), Secret::new(name.to_owned()))));
    client
}

fn ends(rules: &Value, cases: &[(&str, Option<&str>, &str)]) {
    let (mut stage, anna) = stage(rules.clone());
    for (model, provider, end) in cases {
        check(&stage.send(&ask(&anna, model, *provider)), "", end);
    }
}

const PASSES: &str = "forward Bearer <anna>";
const NO_RULE: &str = "403 NO_RULE";
const DENIED: &str = "403 RULE_DENIED";

#[test]
fn a_rule_that_names_a_provider_of_models_means_requests_that_pick_it() {
    let rule = |resources: Value| json!({"allow": [{"operations": ["ai_gateway.*"], "resources": resources}]});
    ends(
        &rule(json!({"model_provider": ["main.ai.openai"]})),
        &[
            ("gpt-5", Some("main.ai.openai"), PASSES),
            ("gpt-5", Some("Main.AI.openai"), PASSES),
            ("gpt-5", Some("main.ai.other"), NO_RULE),
            // the gateway does not know of which schema it is
            ("gpt-5", Some("openai"), NO_RULE),
            ("gpt-5", None, NO_RULE),
        ],
    );
    ends(&rule(json!({"schema": ["main.ai"]})), &[("main.ai.gpt", Some("main.ai.openai"), PASSES)]);
    ends(&rule(json!({"schema": ["main.ai"]})), &[("main.ai.gpt", Some("main.hr.openai"), NO_RULE)]);
}

#[test]
fn beside_a_provider_the_model_is_what_the_body_says_and_without_one_a_rule_on_models_sees_it_too() {
    for kind in ["model", "model_service", "serving_endpoint"] {
        let mut resources = json!({kind: ["gpt-5"]});
        let rule = |resources: &Value| json!({"allow": [{"operations": ["ai_gateway.*"], "resources": resources}]});
        ends(
            &rule(&resources),
            &[
                ("gpt-5", None, PASSES),
                ("gpt-6", None, NO_RULE),
                ("gpt-5", Some("main.ai.openai"), NO_RULE),
                ("gpt-5", Some("gpt-5"), if kind == "model_service" { NO_RULE } else { PASSES }),
            ],
        );
        resources["model_provider"] = json!(["main.ai.openai"]);
        ends(
            &rule(&resources),
            &[
                ("gpt-5", Some("main.ai.openai"), PASSES),
                ("gpt-6", Some("main.ai.openai"), NO_RULE),
                ("main.ai.openai", Some("main.ai.openai"), NO_RULE),
                ("gpt-5", Some("main.ai.other"), NO_RULE),
                ("gpt-5", None, NO_RULE),
            ],
        );
    }
}

#[test]
fn a_denied_model_or_provider_is_denied_in_the_body_in_the_path_and_in_the_header() {
    for kind in ["model", "model_service", "serving_endpoint", "model_provider", "schema", "catalog"] {
        let id = match kind {
            "schema" => "secret.ai",
            "catalog" => "secret",
            _ => "secret.ai.x",
        };
        let rules = json!({
            "allow": [{"operations": ["ai_gateway.*", "serving_endpoints.*"]}],
            "deny": [{"operations": ["*"], "resources": {kind: [id]}}],
        });
        let in_body = if kind == "model_provider" { PASSES } else { DENIED };
        ends(
            &rules,
            &[
                ("main.ai.x", None, PASSES),
                ("main.ai.x", Some("main.ai.y"), PASSES),
                ("main.ai.x", Some("secret.ai.x"), DENIED),
                ("secret.ai.x", Some("main.ai.y"), in_body),
                ("secret.ai.x", None, in_body),
            ],
        );
        if kind != "serving_endpoint" {
            ends(&rules, &[("main.ai.x", Some("Secret.AI.x"), DENIED)]);
        }
    }
    let (mut stage, anna) = stage(json!({
        "allow": [{"operations": ["ai_gateway.*"], "resources": {"model": ["gpt-5"]}}],
    }));
    let gemini = || Client { method: "POST".to_owned(), target: GEMINI.as_bytes().to_vec(), ..ask(&anna, "x", None) };
    check(&stage.send(&gemini()), "", PASSES);
    check(&stage.send(&by(gemini(), Some("main.ai.google"))), "", NO_RULE);
}

#[test]
fn a_provider_of_models_is_one_where_it_is_looked_at_and_changed_too() {
    let (mut stage, anna) = stage(json!({
        "allow": [{"operations": ["ai_gateway.*"], "resources": {"model_provider": ["main.ai.openai"]}}],
    }));
    let at = |name: &str| Client {
        target: format!("/api/2.1/unity-catalog/model-provider-services/{name}").into_bytes(),
        ..get(&anna)
    };
    check(&stage.send(&at("main.ai.openai")), "", PASSES);
    check(&stage.send(&at("main.ai.other")), "", NO_RULE);
}

#[test]
fn a_prompt_may_be_a_million_bytes_long_where_other_bodies_may_not() {
    let models = json!({"operations": ["ai_gateway.*"], "resources": {"model": ["gpt-5"]}});
    let jobs = json!({"operations": ["jobs.run_now"], "resources": {"job": ["101"]}});
    let mut role = role(json!({"type": "passthrough"}));
    role["allow"] = json!([models, jobs]);
    for (limits, longest, longest_prompt) in [
        (json!({}), 65_536, 1_000_000),
        (json!({"body_bytes": 2048}), 2048, 2048),
        (json!({"body_bytes": 2_000_000}), 2_000_000, 2_000_000),
    ] {
        let mut stage = Stage::warm(config(json!({"roles": [role], "limits": limits})));
        let anna = stage.token("anna");
        let filled = |begin: &str, length: usize| format!("{begin}{}\"}}", "x".repeat(length - begin.len() - 2));
        for (more, prompt_end, body_end) in [(0, PASSES, PASSES), (1, "413 BODY_TOO_LARGE", "413 BODY_TOO_LARGE")] {
            let prompt = filled(r#"{"model":"gpt-5","input":""#, longest_prompt + more);
            let prompt = Client { body: Some(Secret::new(prompt.into())), ..ask(&anna, "", None) };
            check(&stage.send(&prompt), "", prompt_end);
            let run = filled(r#"{"job_id":101,"idempotency_token":""#, longest + more);
            let target = b"/api/2.2/jobs/run-now".to_vec();
            let run = Client { target, body: Some(Secret::new(run.into())), ..ask(&anna, "", None) };
            check(&stage.send(&run), "", body_end);
        }
        // what comes after all the rest counts, and twice is refused
        let late = |last: &str| {
            let text = format!(r#"{{"model":"gpt-5","input":"{}","model":"{last}"}}"#, "x".repeat(1500));
            Client { body: Some(Secret::new(text.into())), ..ask(&anna, "", None) }
        };
        check(&stage.send(&late("gpt-5")), "", "400 BODY_UNREADABLE");
        check(&stage.send(&late("gpt-6")), "", "400 BODY_UNREADABLE");
    }
}
