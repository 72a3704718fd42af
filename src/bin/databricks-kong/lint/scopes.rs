//! Scopes that Databricks does not know, or that do not let a role do what it allows.

use super::owner::Owner;
use super::rule::texts;
use super::{Entry, codes, items, value_at};
use crate::findings::Finding;
use crate::nearest::nearest;
use databricks_kong::databricks::{Catalogue, Operation};
use serde_json::Value;
use std::collections::BTreeSet;

/// Scopes that the catalogue gives to no operation (docs.databricks.com/api/workspace/scopes; the SDK; managed MCP servers; Databricks Apps).
const OTHERS: [&str; 18] = [
    "all-apis",
    "offline_access",
    "openid",
    "email",
    "profile",
    "query-history",
    "ai-search",
    "dashboards.genie",
    "iam.current-user:read",
    "iam.access-control:read",
    "iam.groups:read",
    "files.files",
    "serving.serving-endpoints",
    "vectorsearch.vector-search-indexes",
    "catalog.connections",
    "catalog.catalogs:read",
    "catalog.schemas:read",
    "catalog.tables:read",
];

/// Every scope that Databricks knows, as far as is known here.
pub(crate) fn known() -> BTreeSet<&'static str> {
    Catalogue::operations().map(Operation::scope).chain(OTHERS).collect()
}

pub(super) fn lint(entry: &Entry<'_>, roles: &[Owner<'_>], found: &mut Vec<Finding>) {
    let known = known();
    for role in roles {
        let at = format!("{}/credential/scope", role.pointer);
        let scopes = scopes(value_at(role.value, "/credential/scope"), &at);
        let before = found.len();
        unknown(entry, &known, &scopes, found);
        // what is missing may be what is mistyped
        let is_known = found.len() == before;
        for (index, rule) in items(role.value, "allow") {
            let at = format!("{}/allow/{index}/scope", role.pointer);
            unknown(entry, &known, &self::scopes(rule.get("scope"), &at), found);
        }
        if is_known {
            lacks(entry, role, &scopes, found);
        }
    }
}

/// The scopes that a value lists, with their places.
fn scopes(value: Option<&Value>, pointer: &str) -> Vec<(String, String)> {
    match value {
        Some(Value::String(text)) => text.split(' ').map(|scope| (scope.to_owned(), pointer.to_owned())).collect(),
        list => {
            let texts = texts(list).into_iter().enumerate();
            texts.map(|(index, scope)| (scope.to_owned(), format!("{pointer}/{index}"))).collect()
        }
    }
}

fn unknown(entry: &Entry<'_>, known: &BTreeSet<&str>, scopes: &[(String, String)], found: &mut Vec<Finding>) {
    for (scope, pointer) in scopes {
        // `clusters:read`, `files.files`: not all of these are published
        let is_part = || scope.split([':', '.']).next().is_some_and(|area| area != scope && known.contains(area));
        if scope == "minimal" || known.contains(scope.as_str()) || is_part() {
            continue;
        }
        let help = nearest(scope, known.iter().copied()).map_or_else(
            || "use `minimal`, or a scope of `databricks-kong operations`".to_owned(),
            |near| format!("write `{near}`"),
        );
        let message = format!("Databricks has no scope `{scope}`, and refuses to give a token for it");
        found.push(entry.finding(&codes::UNKNOWN_SCOPE, pointer, message).help(help));
    }
}

/// Operations that a role allows by name, and that its token is not good for.
fn lacks(entry: &Entry<'_>, role: &Owner<'_>, scopes: &[(String, String)], found: &mut Vec<Finding>) {
    let has = |name: &str| scopes.iter().any(|(scope, _)| scope == name);
    // what a part of an area is good for is not known
    let has_parts = scopes.iter().any(|(scope, _)| scope.contains([':', '.']));
    let is_broad = scopes.is_empty() || has("all-apis") || has("minimal") || has_parts;
    let Some(rules) = role.allow.as_ref().filter(|_| !is_broad) else { return };
    let mut missing = BTreeSet::new();
    for pattern in rules.iter().flat_map(|rule| &rule.patterns) {
        // an operation that has several requests may need several, and of what a wildcard means some may be meant
        let meant = entry.sets.meant(std::slice::from_ref(pattern), &[], false).all;
        if !meant.is_empty() && !meant.iter().any(|operation| has(operation.scope())) {
            missing.extend(meant.iter().take(1).map(|operation| (operation.scope(), *pattern)));
        }
    }
    let Some((_, name)) = missing.iter().next() else { return };
    let wanted: BTreeSet<_> = missing.iter().map(|(scope, _)| format!("`{scope}`")).collect();
    let wanted = wanted.into_iter().collect::<Vec<_>>().join(", ");
    let more = match missing.len() {
        1 => String::new(),
        count => format!(" and {} more", count.saturating_sub(1)),
    };
    let message =
        format!("the token is not good for `{name}`{more}, which this role allows: Databricks wants {wanted}");
    found.push(
        entry
            .finding(&codes::SCOPE_LACKS, &format!("{}/credential/scope", role.pointer), message)
            .help("set `scope: minimal`, which asks for what each operation needs"),
    );
}
