//! The identity providers of a `kong.yml`.

use serde_json::{Map, Value};

/// The names under which Kong loads the filter and the native plugin.
const NAMES: [&str; 2] = ["databricks_kong", "databricks-kong"];
/// Deeper than any of Kong's files goes.
const DEEPEST: usize = 32;

/// The providers of all entries of a declarative configuration of Kong, or those of a bare configuration of the filter. Entries may share
/// providers, if they mean the same by a name.
///
/// # Errors
/// There are none, or two that differ have one name.
pub(super) fn identity_providers(file: &Value) -> Result<Value, String> {
    let mut found = Vec::new();
    if file.get("identity_providers").is_some() {
        found.push(file.clone());
    } else {
        walk(file, DEEPEST, &mut found);
    }
    let mut providers: Map<String, Value> = Map::new();
    for config in &found {
        for provider in config.get("identity_providers").and_then(Value::as_array).into_iter().flatten() {
            let name = provider.get("name").and_then(Value::as_str).unwrap_or_default();
            match providers.get(name) {
                Some(other) if other != provider => {
                    return Err(format!(
                        "two entries have a provider `{name}`, and they differ; name one of them otherwise"
                    ));
                }
                _ => {
                    providers.insert(name.to_owned(), provider.clone());
                }
            }
        }
    }
    if providers.is_empty() {
        return Err("it has no entry of `databricks_kong` with identity providers".to_owned());
    }
    Ok(Value::Array(providers.into_iter().map(|(_, provider)| provider).collect()))
}

fn walk(value: &Value, depth: usize, found: &mut Vec<Value>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, depth, found)),
        Value::Object(map) => {
            let is_ours = map.get("name").and_then(Value::as_str).is_some_and(|name| NAMES.contains(&name));
            match map.get("config") {
                Some(Value::String(text)) if is_ours => found.extend(serde_json::from_str::<Value>(text).ok()),
                Some(config) if is_ours => found.push(config.clone()),
                _ => map.values().for_each(|member| walk(member, depth, found)),
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn provider(name: &str, issuer: &str) -> Value {
        json!({"name": name, "issuer": issuer})
    }

    #[test]
    fn entries_are_found_in_chains_plugins_and_text() {
        let text = json!({"identity_providers": [provider("c", "3")]}).to_string();
        let file = json!({
            "_format_version": "3.0",
            "services": [{"routes": [{"filter_chains": [{"filters": [
                {"name": "other", "config": {"identity_providers": [provider("x", "9")]}},
                {"name": "databricks_kong", "config": {"identity_providers": [provider("a", "1"), provider("b", "2")]}},
                {"name": "databricks_kong", "config": {"mode": "guard"}},
            ]}]}]}],
            "plugins": [
                {"name": "databricks-kong", "config": {"identity_providers": [provider("a", "1")]}},
                {"name": "databricks_kong", "config": text},
            ],
        });
        let expected = json!([provider("a", "1"), provider("b", "2"), provider("c", "3")]);
        assert_eq!(identity_providers(&file), Ok(expected));
        let bare = json!({"identity_providers": [provider("a", "1")]});
        assert_eq!(identity_providers(&bare), Ok(json!([provider("a", "1")])));
    }

    #[test]
    fn one_name_for_two_providers_is_an_error_and_so_is_no_provider() {
        let entry =
            |issuer| json!({"name": "databricks_kong", "config": {"identity_providers": [provider("a", issuer)]}});
        let error = identity_providers(&json!({"plugins": [entry("1"), entry("2")]})).unwrap_err();
        assert!(error.contains("`a`"), "{error}");
        assert!(identity_providers(&json!({"plugins": []})).unwrap_err().contains("no entry"));
    }
}
