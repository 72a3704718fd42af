//! What is odd about a configuration as a whole: secrets in the file, switches for tests left on.

use super::{Entry, codes, items};
use crate::findings::Finding;
use databricks_kong::exchange::secret_members;
use serde_json::Value;

pub(super) fn lint(entry: &Entry<'_>, found: &mut Vec<Finding>) {
    let config = entry.config;
    for pointer in secrets(config) {
        found.push(
            entry
                .finding(&codes::PLAIN_SECRET, &format!("{}{pointer}", entry.pointer), "a secret stands in the file")
                .help("use `{env: NAME}`, or `{shared: NAME}` with a plugin that reads it from a vault"),
        );
    }
    if config.pointer("/callouts/allow_http") == Some(&Value::Bool(true)) {
        let pointer = format!("{}/callouts/allow_http", entry.pointer);
        found.push(
            entry
                .finding(&codes::ALLOW_HTTP, &pointer, "tokens and keys may go over plain http")
                .help("take it out; http to the gateway's own machine works without it"),
        );
    }
    if config.get("mode").and_then(Value::as_str) == Some("observe") {
        found.push(observe(entry, &format!("{}/mode", entry.pointer), "denials are recorded and not enforced"));
    }
    for (index, role) in items(config, "roles") {
        if role.get("observe") == Some(&Value::Bool(true)) {
            let pointer = format!("{}/roles/{index}/observe", entry.pointer);
            found.push(observe(entry, &pointer, "this role's denials are recorded and not enforced"));
        }
    }
    for (index, provider) in items(config, "identity_providers") {
        if let Some(claim) = joined_groups(provider) {
            let pointer = format!("{}/identity_providers/{index}/claims/groups", entry.pointer);
            let message = format!("`{claim}` is one string of several names, which is read as one group");
            found.push(
                entry
                    .finding(&codes::JOINED_GROUPS, &pointer, &message)
                    .help("set `groups_separator: \" \"` beside it, to read each name as a group"),
            );
        }
    }
    if config.pointer("/limits/cached_tokens").and_then(Value::as_f64) == Some(0.0) {
        let pointer = format!("{}/limits/cached_tokens", entry.pointer);
        found.push(
            entry
                .finding(&codes::NO_TOKEN_CACHE, &pointer, "every request fetches a Databricks token of its own")
                .help("take it out: tokens are never kept past their end, nor used for anybody else"),
        );
    }
}

/// The claim that groups are read from, if it is one that providers write as a string of several names: RFC 9068 2.2.3, Entra ID.
fn joined_groups(provider: &Value) -> Option<&str> {
    const JOINED: [&str; 2] = ["scope", "scp"];
    let claims = provider.get("claims")?;
    let claim = claims.get("groups")?.as_str()?;
    let name = claim.rsplit('/').next().unwrap_or(claim);
    (claims.get("groups_separator").is_none() && JOINED.contains(&name)).then_some(claim)
}

fn observe(entry: &Entry<'_>, pointer: &str, message: &str) -> Finding {
    entry.finding(&codes::OBSERVE, pointer, message).help("take it out when the records show no denial that surprises")
}

/// JSON pointers to the secrets that stand in a configuration as they are.
pub(crate) fn secrets(config: &Value) -> Vec<String> {
    let of_roles = items(config, "roles").flat_map(|(index, role)| {
        let kind = role.pointer("/credential/type").and_then(Value::as_str).unwrap_or_default();
        secret_members(kind).iter().map(move |member| format!("/roles/{index}/credential/{member}"))
    });
    let of_providers = items(config, "identity_providers")
        .map(|(index, _)| format!("/identity_providers/{index}/introspection/client_secret"));
    let all = of_roles.chain(of_providers).chain(["/identity_header/key".to_owned()]);
    all.filter(|pointer| config.pointer(pointer).is_some_and(Value::is_string)).collect()
}

#[cfg(test)]
mod tests {
    use super::joined_groups;
    use serde_json::json;

    #[test]
    fn a_claim_that_joins_names_wants_a_separator() {
        for claims in [json!({"groups": "scope"}), json!({"groups": "scp"}), json!({"groups": "/claims/scope"})] {
            assert!(joined_groups(&json!({ "claims": claims })).is_some(), "{claims}");
        }
        for claims in [
            json!({}),
            json!({"groups": "groups"}),
            json!({"groups": "myscope"}),
            json!({"groups": "scope", "groups_separator": " "}),
        ] {
            assert_eq!(joined_groups(&json!({ "claims": claims })), None, "{claims}");
        }
        assert_eq!(joined_groups(&json!({})), None);
    }
}
