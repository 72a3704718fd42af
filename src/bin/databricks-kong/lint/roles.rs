//! What is odd about whom roles are for, for how long, and what credential they give.

use super::rule::{Purpose, Rule, covers, is_covered, texts};
use super::{Entry, codes, items};
use crate::explain::point_in_time;
use crate::findings::Finding;
use databricks_kong::policy::Glob;
use serde_json::Value;

/// The keys of `match` that hold patterns.
const PATTERNS: [&str; 3] = ["groups", "subjects", "clients"];

pub(super) fn lint(entry: &Entry<'_>, found: &mut Vec<Finding>) {
    for (index, role) in items(entry.config, "roles") {
        let pointer = format!("{}/roles/{index}", entry.pointer);
        covered_patterns(entry, role, &pointer, found);
        grant_past(entry, role, &pointer, found);
        all_apis(entry, role, &pointer, found);
        let before = items(entry.config, "roles").take(index);
        let Some((earlier, first)) = before.into_iter().find(|(_, first)| takes_all(first, role)) else { continue };
        let message =
            "no caller gets this role without asking for it: one before it is for the same callers and allows as much";
        let finding = entry
            .finding(&codes::UNREACHABLE_ROLE, &pointer, message)
            .related(entry.document, &format!("{}/roles/{earlier}", entry.pointer), "this role is used")
            .help("put the narrower role first, or take one out");
        if first.get("name") != role.get("name") {
            found.push(finding);
        }
    }
}

fn covered_patterns(entry: &Entry<'_>, role: &Value, pointer: &str, found: &mut Vec<Finding>) {
    for key in PATTERNS {
        let patterns = texts(role.pointer(&format!("/match/{key}")));
        for (index, pattern) in patterns.iter().enumerate() {
            let narrow = Glob::new(pattern.clone());
            let wide = patterns.iter().enumerate().find(|(other, text)| {
                let wide = Glob::new((*text).clone());
                // of two that are the same, the later one is of no use
                *other != index && covers(&wide, &narrow) && (*other < index || !covers(&narrow, &wide))
            });
            let Some((_, wide)) = wide else { continue };
            let message = format!("`{pattern}` changes nothing: `{wide}` matches all that it does");
            found.push(
                entry
                    .finding(&codes::COVERED_PATTERN, &format!("{pointer}/match/{key}/{index}"), message)
                    .help("take out one of the two"),
            );
        }
    }
}

fn grant_past(entry: &Entry<'_>, role: &Value, pointer: &str, found: &mut Vec<Finding>) {
    let Some(text) = role.pointer("/valid/until").and_then(Value::as_str) else { return };
    if point_in_time(text).is_ok_and(|until| until <= entry.now) {
        let message = format!("this grant ended at `{text}`");
        found.push(
            entry
                .finding(&codes::GRANT_PAST, &format!("{pointer}/valid/until"), message)
                .help("take the role out, or renew it"),
        );
    }
}

/// A token for everything, where the rules name operations that narrower ones are enough for.
fn all_apis(entry: &Entry<'_>, role: &Value, pointer: &str, found: &mut Vec<Finding>) {
    let Some(credential) = role.get("credential") else { return };
    let has_scope =
        ["user_federation", "service_principal_federation", "service_principal_secret", "gateway_assertion"];
    let kind = credential.get("type").and_then(Value::as_str).unwrap_or_default();
    let asks_for_all = match credential.get("scope") {
        None | Some(Value::Null) => true,
        Some(Value::String(scope)) => scope.split(' ').any(|name| name == "all-apis"),
        Some(list) => texts(Some(list)).iter().any(|name| name == "all-apis"),
    };
    if !has_scope.contains(&kind) || !asks_for_all || !role.get("allow").is_some_and(Value::is_array) {
        return;
    }
    let rules = Rule::list(role.get("allow"), "", Purpose::Allow);
    let by_path = rules.iter().any(|rule| !rule.paths.is_empty());
    let mut operations = rules.iter().flat_map(Rule::operations).peekable();
    if by_path || operations.peek().is_none() || operations.any(|operation| operation.scope() == "all-apis") {
        return;
    }
    let place = if credential.get("scope").is_some() { "/scope" } else { "" };
    found.push(
        entry
            .finding(
                &codes::ALL_APIS,
                &format!("{pointer}/credential{place}"),
                "the token is good for every API, though each operation of this role has a narrower scope",
            )
            .help("set `scope: minimal`"),
    );
}

/// Whether every caller of `later` is one of `earlier` too, which allows all that `later` does.
fn takes_all(earlier: &Value, later: &Value) -> bool {
    let is_set = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
    let keys = ["groups", "identity_providers", "subjects", "clients"];
    let matches = keys.iter().all(|key| {
        let pointer = format!("/match/{key}");
        if !is_set(earlier.pointer(&pointer)) {
            return true;
        }
        let (wide, narrow) = (texts(earlier.pointer(&pointer)), texts(later.pointer(&pointer)));
        let is_within = |text: &String| {
            let is_same = wide.contains(text);
            let glob = Glob::new(text.clone());
            is_same || PATTERNS.contains(key) && wide.iter().any(|other| covers(&Glob::new(other.clone()), &glob))
        };
        !narrow.is_empty() && narrow.iter().all(is_within)
    });
    let claims = |role: &Value| role.pointer("/match/claims").filter(|claims| !claims.is_null()).cloned();
    let same_claims = claims(earlier).is_none_or(|wide| Some(wide) == claims(later));
    let has_match =
        earlier.get("match").is_some_and(Value::is_object) && later.get("match").is_some_and(Value::is_object);
    has_match && matches && same_claims && !is_set(earlier.get("valid")) && allows_as_much(earlier, later)
}

fn allows_as_much(earlier: &Value, later: &Value) -> bool {
    let rules = |role: &Value| match role.get("allow") {
        None | Some(Value::Null) => vec![Rule::default_allow()],
        list => Rule::list(list, "", Purpose::Allow),
    };
    let (wide, narrow) = (rules(earlier), rules(later));
    !narrow.is_empty() && narrow.iter().all(|rule| is_covered(rule, wide.iter(), |other| other.allows_all_of(rule)))
}
