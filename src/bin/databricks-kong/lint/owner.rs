//! A role or an agent as it was written, with its rules.

use super::rule::{Purpose, Rule};
use super::{Entry, items, value_at};
use serde_json::Value;

/// A role or an agent.
#[derive(Debug)]
pub(super) struct Owner<'a> {
    pub(super) value: &'a Value,
    /// JSON pointer to it in the file.
    pub(super) pointer: String,
    /// What it is, and its name: role `reader`.
    pub(super) title: String,
    /// What it allows; nothing if it does not say.
    pub(super) allow: Option<Vec<Rule<'a>>>,
    pub(super) deny: Vec<Rule<'a>>,
}

impl<'a> Owner<'a> {
    /// All roles, in their order.
    pub(super) fn roles(entry: &Entry<'a>) -> Vec<Self> {
        Self::all(entry, "role", "roles")
    }

    /// All agents.
    pub(super) fn agents(entry: &Entry<'a>) -> Vec<Self> {
        Self::all(entry, "agent", "agents")
    }

    fn all(entry: &Entry<'a>, word: &str, key: &str) -> Vec<Self> {
        let owners = items(entry.config, key);
        owners.map(|(index, value)| Self::new(entry, word, value, format!("{}/{key}/{index}", entry.pointer))).collect()
    }

    fn new(entry: &Entry<'a>, word: &str, value: &'a Value, pointer: String) -> Self {
        let title = match value.get("name").and_then(Value::as_str) {
            Some(name) => format!("{word} `{name}`"),
            None => format!("this {word}"),
        };
        let list = |key: &str, purpose| Rule::list(entry.sets, value.get(key), &format!("{pointer}/{key}"), purpose);
        let allow = value.get("allow").is_some_and(|rules| !rules.is_null()).then(|| list("allow", Purpose::Allow));
        let deny = list("deny", Purpose::Deny);
        Self { value, pointer, title, allow, deny }
    }

    /// The type of its credential.
    pub(super) fn credential(&self) -> &'a str {
        value_at(self.value, "/credential/type").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it lets nothing pass: it only takes away what other roles give.
    pub(super) fn only_denies(&self, entry: &Entry<'_>) -> bool {
        if let Some(rules) = &self.allow {
            return rules.is_empty() && !self.deny.is_empty();
        }
        let everything = Rule::default_allow(entry.sets);
        self.deny.iter().any(|rule| !rule.has_limits() && everything.meant.all.is_within(&rule.meant.all))
    }
}
