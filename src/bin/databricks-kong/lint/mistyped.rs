//! Words that are nearly what Kong reads, so that the filter is not where it seems to be.

use super::codes;
use crate::document::{Document, step};
use crate::findings::Finding;
use crate::nearest::nearest;
use serde_json::{Map, Value};

const FILTER: &str = "databricks_kong";
const PLUGIN: &str = "databricks-kong";
/// Keys under which entries stand.
const HOLDERS: [&str; 8] =
    ["services", "routes", "plugins", "filter_chains", "filters", "consumers", "consumer_groups", "upstreams"];
/// Keys of Kong's that look like one of those and are none.
const OTHERS: [&str; 6] = ["service", "route", "filter", "plugin", "consumer", "upstream"];

/// Everything mistyped in a declarative configuration of Kong.
pub(crate) fn lint(document: &Document) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(members) = document.value.as_object() {
        let is_kong = |key: &String| key == "_format_version" || HOLDERS.contains(&key.as_str());
        if members.keys().any(is_kong) {
            keys(document, members, "", &mut found);
        }
    }
    found
}

fn keys(document: &Document, members: &Map<String, Value>, pointer: &str, found: &mut Vec<Finding>) {
    for (key, value) in members {
        let at = format!("{pointer}{}", step(key));
        if HOLDERS.contains(&key.as_str()) {
            holder(document, key, value, &at, found);
        } else if let Some(meant) = nearest(key, HOLDERS).filter(|_| holds_entries(value) && !is_kongs(key, value)) {
            let message = format!("Kong knows no `{key}`, and refuses the file: nothing in it takes effect");
            found.push(Finding::new(&codes::MISTYPED, document, &at, message).help(format!("write `{meant}`")));
        }
    }
}

fn is_kongs(key: &str, value: &Value) -> bool {
    OTHERS.contains(&key) && !value.is_array()
}

fn holds_entries(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

fn holder(document: &Document, key: &str, value: &Value, pointer: &str, found: &mut Vec<Finding>) {
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        let at = format!("{pointer}/{index}");
        if matches!(key, "filters" | "plugins") {
            name(document, key, item, &at, found);
        } else if let Some(members) = item.as_object() {
            keys(document, members, &at, found);
        }
    }
}

/// The name of an entry that is nearly the filter's.
fn name(document: &Document, key: &str, entry: &Value, pointer: &str, found: &mut Vec<Finding>) {
    let Some(name) = entry.get("name").and_then(Value::as_str) else { return };
    let known: &[&str] = if key == "filters" { &[FILTER] } else { &[FILTER, PLUGIN, "databricks-kong-late"] };
    if known.contains(&name) {
        return;
    }
    let plain = name.trim().to_lowercase().replace('-', "_");
    if plain != FILTER && nearest(&plain, [FILTER]).is_none() {
        return;
    }
    let meant = if key == "plugins" && name.contains('-') { PLUGIN } else { FILTER };
    let what = if key == "filters" { "filter" } else { "plugin" };
    let message = format!("Kong has no {what} named `{}`, and refuses the file", name.escape_debug());
    found.push(
        Finding::new(&codes::MISTYPED, document, &format!("{pointer}/name"), message)
            .help(format!("write `name: {meant}`")),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(route: &str) -> Vec<String> {
        let text = format!("_format_version: '3.0'\nservices:\n- name: s\n  routes:\n  - {{name: r, {route}}}\n");
        lint(&Document::parse(&text).unwrap()).into_iter().map(|finding| finding.pointer).collect()
    }

    #[test]
    fn a_chain_under_a_mistyped_key_or_with_a_mistyped_name_is_found() {
        let filters = "[{filters: [{name: databricks_kong, config: {}}]}]";
        for key in ["filter_chain", "filters_chains", "filter-chains", "Filter_chains"] {
            assert_eq!(found(&format!("{key}: {filters}")), [format!("/services/0/routes/0/{key}")]);
        }
        assert_eq!(found(&format!("filter_chains: {filters}")), [""; 0]);
        assert_eq!(found("service: {name: s}, tags: [a], paths: ['/'], hosts: [a], headers: {x: [y]}"), [""; 0]);
        for name in ["\"databricks_kong\\n\"", "databricks-kong", "Databricks_Kong", "databrick_kong"] {
            let chain = format!("filter_chains: [{{filters: [{{name: {name}}}]}}]");
            assert_eq!(found(&chain), ["/services/0/routes/0/filter_chains/0/filters/0/name"], "{name}");
        }
        assert_eq!(found("filter_chains: [{filters: [{name: other}, {name: hostile_filter}]}]"), [""; 0]);
        assert_eq!(found("plugins: [{name: databricks-kong}, {name: databricks_kong}, {name: cors}]"), [""; 0]);
        assert_eq!(found("plugins: [{name: databricks-kon}]"), ["/services/0/routes/0/plugins/0/name"]);
    }
}
