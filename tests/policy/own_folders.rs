//! `${subject}` and `${claim:NAME}` in rules (contract section 12, own folders), by example.

use crate::answer::Answer;
use crate::caller::{NOW, config, verified};
use databricks_kong::databricks::Target;
use databricks_kong::policy::{Action, Ask, Body, authorize};
use serde_json::{Map, Value, json};

/// What becomes of `GET /api/2.0/workspace/export` of `path` by a caller with these claims.
fn exported(rules: &Value, claims: &Value, path: &str) -> String {
    let mut role = json!({
        "name": "user", "match": {}, "credential": {"type": "service_principal_secret", "client_id": "user", "client_secret": "x"},
    });
    for (key, value) in rules.as_object().unwrap() {
        role[key] = value.clone();
    }
    let config = config("enforce", &json!([role]), &json!([]));
    let caller = verified(claims);
    let target = format!("/api/2.0/workspace/export?path={path}");
    let target = Target::parse(target.as_bytes()).unwrap();
    let body = Map::new();
    let action = Action::new("GET", &target, &[], Body::Json(&body));
    let provider = &config.providers[0].name;
    let ask = Ask { caller: &caller, provider, requested_role: None, action: &action, now: NOW };
    Answer::of(&authorize(&config.policy, &ask)).to_string()
}

fn rule(path: &str) -> Value {
    json!([{"operations": ["workspace.export"], "resources": {"path": [path]}}])
}

#[test]
fn each_caller_has_a_folder_of_its_own() {
    let rules = json!({"allow": rule("/Workspace/Users/${subject}/**")});
    for path in ["/Users/anna@x.example/n", "/Workspace/Users/anna@x.example/a/b"] {
        assert_eq!(exported(&rules, &json!({"sub": "anna@x.example"}), path), "goes on as user");
        for other in ["bob@x.example", "anna@x.exampl", "anna@x.example.org", "nna@x.example", "*", "anna@x.example/a"]
        {
            assert_eq!(exported(&rules, &json!({ "sub": other }), path), "refused: NO_RULE", "{other}");
        }
    }
}

#[test]
fn a_value_is_no_pattern_and_no_part_of_a_path() {
    let rules = json!({"allow": rule("/Teams/${claim:team}/*")});
    assert_eq!(exported(&rules, &json!({"team": "red"}), "/Teams/red/n"), "goes on as user");
    for team in [json!("*"), json!("re*"), json!("red/secret"), json!(".."), json!(""), json!(null), json!(["red"])] {
        for path in ["/Teams/red/n", "/Teams/red/secret/n", "/Teams//n", "/Teams/*/n"] {
            let ended = exported(&rules, &json!({ "team": team }), path);
            assert!(matches!(&*ended, "refused: NO_RULE" | "unclear"), "{team} {path}: {ended}");
        }
    }
}

#[test]
fn a_deny_of_ones_own_folder_is_for_its_owner() {
    let rules = json!({"allow": rule("/Users/*"), "deny": rule("/Users/${subject}/locked")});
    assert_eq!(exported(&rules, &json!({"sub": "anna"}), "/Users/anna/locked"), "refused: RULE_DENIED");
    assert_eq!(exported(&rules, &json!({"sub": "bob"}), "/Users/anna/locked"), "goes on as user");
}

#[test]
fn other_patterns_beside_it_hold_for_everybody() {
    let both =
        json!([{"operations": ["workspace.export"], "resources": {"path": ["/Shared/*", "/Users/${subject}/*"]}}]);
    let rules = json!({ "allow": both });
    for (subject, path, ended) in [
        ("anna", "/Shared/n", "goes on as user"),
        ("anna", "/Users/anna/n", "goes on as user"),
        ("a*a", "/Shared/n", "goes on as user"),
        ("a*a", "/Users/anna/n", "refused: NO_RULE"),
    ] {
        assert_eq!(exported(&rules, &json!({ "sub": subject }), path), ended, "{subject} {path}");
    }
}
