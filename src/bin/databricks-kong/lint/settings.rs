//! What is odd about a configuration as a whole: secrets in the file, switches for tests left on.

use super::addresses::host_of;
use super::{Entry, codes, items};
use crate::document::push_step;
use crate::findings::Finding;
use databricks_kong::exchange::secret_members;
use serde_json::Value;
use std::fmt::Write as _;

pub(super) fn lint(entry: &Entry<'_>, found: &mut Vec<Finding>) {
    let config = entry.config;
    if !entry.is_native && may_have_kongs_secrets(config) {
        kongs_secrets(entry, config, &mut String::new(), found);
    }
    workspace(entry, found);
    let is_plain = |pointer: &&String| {
        let Some(text) = config.pointer(pointer).and_then(Value::as_str) else { return false };
        // what stands in the file is only a name for it: in Kong's vault, or in the environment of deck
        !is_vault_reference(text) && !text.starts_with("${{")
    };
    for pointer in secrets(config).iter().filter(is_plain) {
        found.push(
            entry
                .finding(&codes::PLAIN_SECRET, &format!("{}{pointer}", entry.pointer), "a secret stands in the file")
                .help("use `{env: NAME}`"),
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

fn is_vault_reference(text: &str) -> bool {
    text.starts_with("{vault://")
}

/// Whether [`kongs_secrets`] finds anything, without the places, of which a file of many roles has many.
fn may_have_kongs_secrets(value: &Value) -> bool {
    match value {
        Value::String(text) => is_vault_reference(text),
        Value::Array(items) => items.iter().any(may_have_kongs_secrets),
        Value::Object(members) => members.contains_key("shared") || members.values().any(may_have_kongs_secrets),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Secrets that a filter does not get from Kong, or not without harm: references to vaults, which Kong does not resolve in a filter's
/// configuration, and `kong.ctx.shared`.
fn kongs_secrets(entry: &Entry<'_>, value: &Value, pointer: &mut String, found: &mut Vec<Finding>) {
    const INSTEAD: &str = "use `{env: NAME}`, and `nginx_main_env = NAME` in kong.conf; or the native plugin";
    let mut warn = |kind, pointer: &str, message: &str| {
        found.push(entry.finding(kind, &format!("{}{pointer}", entry.pointer), message).help(INSTEAD));
    };
    let length = pointer.len();
    match value {
        Value::String(text) if is_vault_reference(text) => {
            warn(
                &codes::VAULT_REFERENCE,
                pointer,
                "Kong resolves no vault reference in a filter's configuration: the reference itself is sent as the value",
            );
        }
        Value::Object(members) if members.len() == 1 && members.get("shared").is_some_and(Value::is_string) => {
            warn(
                &codes::SHARED_SECRET,
                pointer,
                "reading `kong.ctx.shared` in the filter can end a worker of Kong 3.9",
            );
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let _ = write!(pointer, "/{index}");
                kongs_secrets(entry, item, pointer, found);
                pointer.truncate(length);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                push_step(pointer, name);
                kongs_secrets(entry, member, pointer, found);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// What `workspace` says about itself twice, and in two ways.
fn workspace(entry: &Entry<'_>, found: &mut Vec<Finding>) {
    let text = |key: &str| entry.config.pointer(&format!("/workspace/{key}")).and_then(Value::as_str);
    let at = |key: &str| format!("{}/workspace/{key}", entry.pointer);
    let host = text("url").and_then(host_of).unwrap_or_default();
    let id = entry.config.pointer("/workspace/id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    if let (Some(id), Some(of_host)) = (id, workspace_id(&host))
        && id != of_host
    {
        let message = format!("`id` is `{id}`, and the workspace at this url has the id `{of_host}`");
        found.push(
            entry
                .finding(&codes::WORKSPACE_ID, &at("id"), message)
                .related(entry.document, &at("url"), "this workspace")
                .help(format!("write `id: \"{of_host}\"`, or the url of the workspace that is meant")),
        );
    }
    let public = text("public_url").unwrap_or_default();
    if public.starts_with("http://") && !is_loopback(&host_of(public).unwrap_or_default()) {
        let message =
            "`public_url` is plain http: clients send their tokens so that everybody on the way can read them";
        found.push(entry.finding(&codes::PUBLIC_URL, &at("public_url"), message).help("serve clients over https"));
    }
    if !host.is_empty() && text("public_url").and_then(host_of).as_ref() == Some(&host) {
        let message = "`public_url` is the workspace itself: clients that ask the gateway where to go are sent past it";
        found.push(
            entry.finding(&codes::PUBLIC_URL, &at("public_url"), message).help("write the address of this gateway"),
        );
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "[::1]") || host.starts_with("127.")
}

/// The id that a workspace's host begins with: `adb-<id>.<n>.azuredatabricks.net`, `<id>.<n>.gcp.databricks.com`.
pub(crate) fn workspace_id(host: &str) -> Option<&str> {
    let first = host.split('.').next()?;
    let id = match first.strip_prefix("adb-") {
        Some(id) if host.ends_with(".azuredatabricks.net") => id,
        None if host.ends_with(".gcp.databricks.com") => first,
        _ => return None,
    };
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
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
    const OF_PROVIDERS: [&str; 3] = ["introspection/client_secret", "revocation/authorization", "login/client_secret"];
    let of_providers = items(config, "identity_providers")
        .flat_map(|(index, _)| OF_PROVIDERS.map(|member| format!("/identity_providers/{index}/{member}")));
    let identity = config.pointer("/identity_header/keys").and_then(Value::as_array).map_or(0, Vec::len);
    let of_identity = (0..identity).map(|index| format!("/identity_header/keys/{index}"));
    let all = of_roles.chain(of_providers).chain(["/identity_header/key".to_owned()]).chain(of_identity);
    // one that is no text is an error, and shown as such
    let is_written = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    all.filter(|pointer| config.pointer(pointer).is_some_and(is_written)).collect()
}

#[cfg(test)]
mod tests {
    use super::{joined_groups, workspace_id};
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

    #[test]
    fn the_id_of_a_workspace_is_read_from_hosts_that_have_it() {
        assert_eq!(workspace_id("adb-123.4.azuredatabricks.net"), Some("123"));
        assert_eq!(workspace_id("123.4.gcp.databricks.com"), Some("123"));
        for host in
            ["dbc-a1b2c3-d4e5.cloud.databricks.com", "adb-x.4.azuredatabricks.net", "adb-1.example.com", "localhost"]
        {
            assert_eq!(workspace_id(host), None, "{host}");
        }
    }
}
