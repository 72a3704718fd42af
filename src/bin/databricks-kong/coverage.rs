//! Which rules no policy test exercises: none of their requests match.

use crate::decide::Decision;
use crate::document::line_and_column;
use crate::test_file::Policy;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the tests of one configuration exercised.
#[derive(Debug)]
struct Seen {
    /// Where each rule stands: its owner, file and line.
    rules: BTreeMap<String, Rule>,
    exercised: BTreeSet<String>,
}

#[derive(Debug)]
struct Rule {
    owner: String,
    file: String,
    line: usize,
}

/// What the tests of all configurations exercised, by file and entry.
#[derive(Debug, Default)]
pub(crate) struct Coverage(BTreeMap<(String, String), Seen>);

impl Coverage {
    /// Adds what a test's decision came by.
    pub(crate) fn add(&mut self, test_file: &str, policy: &Policy, decision: &Decision) {
        let key = match &policy.from {
            Some((source, entry)) => (source.path.clone(), entry.clone()),
            None => (test_file.to_owned(), "/config".to_owned()),
        };
        let file = key.0.clone();
        let seen =
            self.0.entry(key).or_insert_with(|| Seen { rules: rules(policy, &file), exercised: BTreeSet::new() });
        let meant = decision.steps.iter().flat_map(|steps| &steps.rules).filter(|rule| rule.miss.is_none());
        seen.exercised.extend(meant.map(|rule| rule.pointer.to_string()));
        if let (Some(role), None) = (&decision.role, &decision.rule) {
            let whole = seen.rules.iter().filter(|(_, rule)| rule.owner == format!("role `{role}`"));
            let whole: Vec<_> =
                whole.map(|(pointer, _)| pointer.clone()).filter(|at| at.matches('/').count() == 2).collect();
            seen.exercised.extend(whole);
        }
    }

    fn missed(&self) -> impl Iterator<Item = (&String, &Rule)> {
        self.0.values().flat_map(|seen| seen.rules.iter().filter(|(pointer, _)| !seen.exercised.contains(*pointer)))
    }

    fn count(&self) -> usize {
        self.0.values().map(|seen| seen.rules.len()).sum()
    }

    /// For people.
    pub(crate) fn human(&self) -> String {
        let lines = self.missed().map(|(pointer, rule)| {
            format!("  {}:{}: {pointer} of {} is not used by any test\n", rule.file, rule.line, rule.owner)
        });
        let lines: Vec<_> = lines.collect();
        let all = self.count();
        format!("coverage: {} of {all} rules\n{}", all.saturating_sub(lines.len()), lines.concat())
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let missed: Vec<_> = self
            .missed()
            .map(|(pointer, rule)| json!({"file": rule.file, "line": rule.line, "rule": pointer, "owner": rule.owner}))
            .collect();
        let all = self.count();
        json!({"rules": all, "exercised": all.saturating_sub(missed.len()), "missed": missed})
    }
}

/// All rules of a configuration; a role without `allow` counts as one.
fn rules(policy: &Policy, file: &str) -> BTreeMap<String, Rule> {
    let line = |pointer: &str| match &policy.from {
        Some((source, entry)) => {
            line_and_column(&source.text, source.document.place(&format!("{entry}{pointer}")).start).0
        }
        None => 1,
    };
    let mut found = BTreeMap::new();
    for (word, key) in [("role", "roles"), ("agent", "agents")] {
        for (index, owner) in list(&policy.config, key) {
            let name = format!("{word} `{}`", owner.get("name").and_then(Value::as_str).unwrap_or_default());
            let pointer = format!("/{key}/{index}");
            let mut add = |pointer: String| {
                let rule = Rule { owner: name.clone(), file: file.to_owned(), line: line(&pointer) };
                found.insert(pointer, rule);
            };
            if word == "role" && owner.get("allow").is_none_or(Value::is_null) {
                add(pointer.clone());
            }
            for kind in ["allow", "deny"] {
                list(owner, kind).for_each(|(rule, _)| add(format!("{pointer}/{kind}/{rule}")));
            }
        }
    }
    found
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().enumerate()
}
