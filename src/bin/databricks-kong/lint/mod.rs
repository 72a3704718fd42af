//! Mistakes that a valid configuration can have. They are found in what was written, so that each has its place; only what can be proved is
//! said, with the catalogue that the filter decides by.

pub(crate) mod codes;
mod framing;
pub(crate) mod kong;
pub(crate) mod kong_conf;
mod neighbours;
mod roles;
mod routing;
mod rule;
mod rules;
mod settings;

use crate::document::Document;
use crate::findings::{Finding, Kind};
use databricks_kong::base::UnixTime;
use serde_json::Value;

pub(crate) use settings::secrets;

/// One configuration of the filter, to be looked at.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// The file it stands in.
    pub(crate) document: &'a Document,
    /// JSON pointer to the configuration in the file.
    pub(crate) pointer: &'a str,
    /// The configuration.
    pub(crate) config: &'a Value,
    /// When.
    pub(crate) now: UnixTime,
}

impl Entry<'_> {
    fn finding(&self, kind: &'static Kind, pointer: &str, message: impl Into<String>) -> Finding {
        Finding::new(kind, self.document, pointer, message)
    }

    /// Everything odd about the configuration.
    pub(crate) fn lint(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        settings::lint(self, &mut found);
        roles::lint(self, &mut found);
        for (word, key) in [("role", "roles"), ("agent", "agents")] {
            for (index, owner) in items(self.config, key) {
                let pointer = format!("{}/{key}/{index}", self.pointer);
                let title = match owner.get("name").and_then(Value::as_str) {
                    Some(name) => format!("{word} `{name}`"),
                    None => format!("this {word}"),
                };
                rules::lint(self, owner, &pointer, &title, &mut found);
            }
        }
        found
    }
}

/// The items of a list, numbered.
fn items<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().enumerate()
}
