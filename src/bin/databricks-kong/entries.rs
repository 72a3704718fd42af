//! The places of a file in which the filter is configured.

use crate::document::{Document, step};
use serde_json::Value;

/// The filter's name in Kong's configuration.
const FILTER: &str = "databricks_kong";
/// The native plugin's name there, which takes the same configuration.
const PLUGIN: &str = "databricks-kong";

/// One configuration of the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// For people: service `databricks`, route `jobs`.
    pub(crate) name: String,
    /// JSON pointer to the entry itself in the file; the same as `config` in a file that is a bare configuration.
    pub(crate) pointer: String,
    /// JSON pointer to the configuration in the file.
    pub(crate) config: String,
    /// How the entry is loaded.
    pub(crate) kind: Kind,
}

/// How an entry is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In a chain of filters, whose order is sure.
    Chain,
    /// The filter as a plugin.
    Plugin,
    /// The native plugin.
    Native,
    /// The file is the configuration itself.
    Bare,
}

impl Entry {
    /// Where in the file a pointer into the configuration leads. A configuration that is JSON in a string is one place.
    pub(crate) fn in_file(&self, pointer: &str) -> String {
        format!("{}{pointer}", self.config)
    }
}

/// All entries of a declarative configuration of Kong, in the file's order; or the one of a file that is a bare configuration.
pub(crate) fn entries(document: &Document) -> Vec<Entry> {
    let is_kong = |map: &serde_json::Map<String, Value>| {
        ["_format_version", "services", "routes", "plugins", "filter_chains"].iter().any(|key| map.contains_key(*key))
    };
    match &document.value {
        Value::Object(map) if is_kong(map) => {
            let mut found = Vec::new();
            walk(&document.value, "", &[], &mut found);
            found
        }
        _ => vec![Entry {
            name: "the configuration".to_owned(),
            pointer: String::new(),
            config: String::new(),
            kind: Kind::Bare,
        }],
    }
}

fn items<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// Routes stand below services, and whatever stands there is that route's.
fn walk(value: &Value, pointer: &str, within: &[String], found: &mut Vec<Entry>) {
    let name = if within.is_empty() { "every route".to_owned() } else { within.join(", ") };
    let mut add = |entry: &Value, at: String, kind| {
        let name_of = entry.get("name").and_then(Value::as_str);
        let kind = if kind == Kind::Plugin && name_of == Some(PLUGIN) { Kind::Native } else { kind };
        if name_of == Some(FILTER) || kind == Kind::Native {
            found.push(Entry { name: name.clone(), config: format!("{at}/config"), pointer: at, kind });
        }
    };
    for (chain, filters) in items(value, "filter_chains") {
        for (filter, entry) in items(filters, "filters") {
            add(entry, format!("{pointer}/filter_chains/{chain}/filters/{filter}"), Kind::Chain);
        }
    }
    for (plugin, entry) in items(value, "plugins") {
        add(entry, format!("{pointer}/plugins/{plugin}"), Kind::Plugin);
    }
    for (key, word) in
        [("services", "service"), ("routes", "route"), ("consumers", "consumer"), ("consumer_groups", "consumer group")]
    {
        for (index, inner) in items(value, key) {
            let name = ["name", "username"].iter().find_map(|key| inner.get(key)?.as_str());
            let name = name.map_or_else(|| format!("{word} {index}"), |name| format!("{word} `{name}`"));
            let within: Vec<_> = within.iter().cloned().chain([name]).collect();
            walk(inner, &format!("{pointer}{}/{index}", step(key)), &within, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, String, Kind)> {
        let document = Document::parse(text).unwrap();
        entries(&document).into_iter().map(|entry| (entry.name, entry.config, entry.kind)).collect()
    }

    #[test]
    fn entries_are_found_wherever_kong_takes_them() {
        let text = "
_format_version: '3.0'
filter_chains:
- filters: [{name: other}, {name: databricks_kong, config: {}}]
plugins: [{name: databricks_kong, config: '{}'}]
services:
- name: s
  plugins: [{name: databricks_kong, config: {}}]
  routes:
  - name: r
    filter_chains:
    - filters: [{name: databricks_kong, config: {}}, {name: databricks_kong, config: {mode: guard}}]
routes:
- filter_chains: [{filters: [{name: databricks_kong, config: {}}]}]
  plugins: [{name: databricks-kong, config: {}}]
";
        let found = found(text);
        let expected = [
            ("every route", "/filter_chains/0/filters/1/config", Kind::Chain),
            ("every route", "/plugins/0/config", Kind::Plugin),
            ("service `s`", "/services/0/plugins/0/config", Kind::Plugin),
            ("service `s`, route `r`", "/services/0/routes/0/filter_chains/0/filters/0/config", Kind::Chain),
            ("service `s`, route `r`", "/services/0/routes/0/filter_chains/0/filters/1/config", Kind::Chain),
            ("route 0", "/routes/0/filter_chains/0/filters/0/config", Kind::Chain),
            ("route 0", "/routes/0/plugins/0/config", Kind::Native),
        ];
        let found: Vec<_> = found.iter().map(|(name, config, kind)| (name.as_str(), config.as_str(), *kind)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_bare_configuration_is_its_own_entry_and_a_kong_without_the_filter_has_none() {
        assert_eq!(found("workspace: {url: https://x.example}").len(), 1);
        assert_eq!(found("_format_version: '3.0'\nservices: []"), []);
    }
}
