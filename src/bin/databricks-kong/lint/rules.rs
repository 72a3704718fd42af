//! What is odd about the rules of a role or of an agent.

use super::Entry;
use super::codes;
use super::rule::{Purpose, Rule, is_covered};
use crate::findings::Finding;
use databricks_kong::databricks::{Catalogue, Operation, has_statement};
use serde_json::Value;
use std::collections::BTreeSet;

/// What is odd about the rules of `owner`, a role or an agent, whose word and name are `title`.
pub(super) fn lint(entry: &Entry<'_>, owner: &Value, pointer: &str, title: &str, found: &mut Vec<Finding>) {
    let allow = Rule::list(owner.get("allow"), &format!("{pointer}/allow"), Purpose::Allow);
    let deny = Rule::list(owner.get("deny"), &format!("{pointer}/deny"), Purpose::Deny);
    match owner.get("allow") {
        None | Some(Value::Null) => found.push(
            entry
                .finding(
                    &codes::NO_ALLOW,
                    pointer,
                    format!("{title} has no `allow`: it may do everything that is not sensitive"),
                )
                .help("list the operations that it needs in `allow`"),
        ),
        Some(Value::Array(rules)) if rules.is_empty() => found.push(
            entry
                .finding(&codes::NOTHING_ALLOWED, &format!("{pointer}/allow"), format!("{title} allows nothing"))
                .help("list the operations that it needs, or take it out"),
        ),
        Some(_) => {}
    }
    for rule in &allow {
        broad(entry, rule, found);
    }
    for rule in allow.iter().chain(&deny) {
        never_holds(entry, rule, found);
    }
    undone(entry, &allow, found);
    unreachable(entry, &allow, &deny, found);
    thrift(entry, owner, &allow, &deny, found);
    unknown_fields(entry, &allow, found);
}

fn broad(entry: &Entry<'_>, rule: &Rule, found: &mut Vec<Finding>) {
    for (index, pattern) in rule.patterns.iter().enumerate() {
        let pointer = format!("{}/operations/{index}", rule.pointer);
        let everything = pattern.chars().all(|letter| matches!(letter, '*' | '.')) && pattern.contains('*');
        if everything && !rule.has_limits() {
            let message = format!("`{pattern}` allows every operation that is not sensitive");
            found.push(
                entry
                    .finding(&codes::BROAD_OPERATIONS, &pointer, message)
                    .help("name the services and operations that are needed"),
            );
            continue;
        }
        let Some(service) = pattern.strip_suffix(".*").filter(|service| !service.contains('*')) else { continue };
        let kinds = limitable(service);
        if !rule.has_limits() && !kinds.is_empty() {
            let message = format!("`{pattern}` allows the whole service, whatever it is done to");
            let help = format!("name the operations that are needed, or add `resources` ({})", kinds.join(", "));
            found.push(entry.finding(&codes::BROAD_OPERATIONS, &pointer, message).help(help));
        }
    }
    for (index, path) in rule.paths.iter().enumerate() {
        let Some((method, rest)) = path.split_once(' ') else { continue };
        let Some(start) = rest.strip_suffix("**") else { continue };
        let literal = start.split('/').filter(|segment| !segment.is_empty() && *segment != "*").count();
        // `/api/2.0/**` is every service of that version
        if literal <= 2 {
            let methods = if method == "*" { "every method" } else { method };
            let message =
                format!("`{path}` allows {methods} on nearly every path, operations that the gateway knows among them");
            found.push(
                entry
                    .finding(&codes::BROAD_PATHS, &format!("{}/paths/{index}", rule.pointer), message)
                    .help("use `paths` for what `operations` cannot name, with the path up to the service or further"),
            );
        }
    }
}

/// The types of resources by which rules on a service can be limited.
fn limitable(service: &str) -> Vec<&'static str> {
    let of_service = |operation: &Operation| {
        operation.name().strip_prefix(service).is_some_and(|rest| rest.starts_with('.')) && !operation.is_sensitive()
    };
    // what things stand in says less than what they are, if the service has some of its own
    let is_around = |kind: &&str| matches!(*kind, "catalog" | "schema") && !matches!(service, "catalogs" | "schemas");
    let kinds = Catalogue::operations().filter(of_service).flat_map(Operation::kinds).filter(|kind| !is_around(kind));
    // a service's own type is in many of its operations, others stand in a body or two
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for kind in kinds {
        match counts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => counts.push((kind, 1)),
        }
    }
    counts.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), *kind));
    counts.into_iter().map(|(kind, _)| kind).take(3).collect()
}

/// Operations that are named in full and carry nothing that the rule's limits are about.
fn never_holds(entry: &Entry<'_>, rule: &Rule, found: &mut Vec<Finding>) {
    for (index, name) in rule.patterns.iter().enumerate().filter(|(_, name)| !name.contains('*')) {
        let limits: BTreeSet<_> = Catalogue::named(name).filter_map(|operation| rule.impossible(operation)).collect();
        let some_can = Catalogue::named(name).any(|operation| rule.impossible(operation).is_none());
        let Some(limit) = limits.first().filter(|_| !some_can) else { continue };
        let what = if *limit == "sql" { "SQL text that is read".to_owned() } else { format!("`{limit}`") };
        found.push(
            entry
                .finding(
                    &codes::NEVER_HOLDS,
                    &format!("{}/operations/{index}", rule.pointer),
                    format!("requests of `{name}` carry no {what}, so this rule never means them"),
                )
                .help(format!("put `{name}` into a rule of its own, without that limit")),
        );
    }
}

/// Rules that allow, without limits, what another one allows with limits.
fn undone(entry: &Entry<'_>, allow: &[Rule], found: &mut Vec<Finding>) {
    for (place, narrow) in allow.iter().enumerate().filter(|(_, rule)| rule.has_limits()) {
        for (_, wide) in allow.iter().enumerate().filter(|(other, _)| *other != place) {
            if !wide.limits_cover(narrow) || narrow.limits_cover(wide) {
                continue;
            }
            let both = narrow
                .operations()
                .filter(|operation| wide.names(*operation) && narrow.impossible(*operation).is_none());
            let names = names(both);
            if names.is_empty() {
                continue;
            }
            let message = format!("allows {names} without the limits of another rule, which so have no effect");
            found.push(
                entry
                    .finding(&codes::LIMITS_UNDONE, &wide.pointer, message)
                    .related(entry.document, &narrow.pointer, "the rule with limits")
                    .help("one rule that matches is enough: take these operations out of the wider rule"),
            );
        }
    }
}

/// The first names of some operations.
fn names(operations: impl Iterator<Item = Operation>) -> String {
    let names: BTreeSet<_> = operations.map(Operation::name).collect();
    let shown: Vec<_> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Rules that decide nothing, because another one always decides before them.
fn unreachable(entry: &Entry<'_>, allow: &[Rule], deny: &[Rule], found: &mut Vec<Finding>) {
    let unlimited = |rule: &Rule| !rule.has_limits();
    for (place, rule) in allow.iter().enumerate() {
        let pointer = rule.pointer.as_str();
        if is_covered(rule, deny.iter(), unlimited) {
            let message = "this rule allows nothing: all that it means is denied";
            found.push(entry.finding(&codes::UNREACHABLE_RULE, pointer, message).help("take it out, or narrow `deny`"));
        } else if is_covered(rule, allow.iter().take(place), |other| other.allows_all_of(rule)) {
            let message = "this rule is never used: rules before it allow all that it means";
            found.push(entry.finding(&codes::UNREACHABLE_RULE, pointer, message).help("take it out"));
        }
    }
    for (place, rule) in deny.iter().enumerate() {
        if is_covered(rule, deny.iter().take(place), unlimited) {
            let message = "this rule is never used: rules before it deny all that it means";
            found.push(entry.finding(&codes::UNREACHABLE_RULE, &rule.pointer, message).help("take it out"));
        }
    }
}

fn is_thrift(operation: &Operation) -> bool {
    matches!(operation.name(), "sql_warehouses.thrift" | "clusters.thrift")
}

/// Rules that let members of the body pass of which nobody knows what they do.
fn unknown_fields(entry: &Entry<'_>, allow: &[Rule], found: &mut Vec<Finding>) {
    for rule in allow.iter().filter(|rule| rule.permit.iter().any(|name| name == "unknown_fields")) {
        let message = "members of the body that this version does not know pass, whatever they do: one may name what `resources` keeps out";
        found.push(
            entry
                .finding(&codes::UNKNOWN_FIELDS, &format!("{}/permit", rule.pointer), message.to_owned())
                .help("update to a version that knows the member that a refusal named, and take this out again"),
        );
    }
}

/// Limits on tables and statements beside Thrift, by which the SQL connectors send statements that the gateway does not read.
fn thrift(entry: &Entry<'_>, owner: &Value, allow: &[Rule], deny: &[Rule], found: &mut Vec<Finding>) {
    let on_sql = |rule: &&Rule| {
        let has_table = || rule.resources.iter().any(|(kind, _)| kind == "table");
        (rule.sql.is_some() || has_table())
            && rule.operations().any(|operation| has_statement(operation) || is_thrift(&operation))
    };
    let is_denied = |operation: Operation| deny.iter().any(|rule| !rule.has_limits() && rule.names(operation));
    let default = owner.get("allow").is_none_or(Value::is_null).then(Rule::default_allow);
    let opening = allow.iter().chain(&default).find(|rule| {
        rule.operations()
            .any(|operation| is_thrift(&operation) && rule.impossible(operation).is_none() && !is_denied(operation))
    });
    let Some(opening) = opening else { return };
    for (rule, verb) in allow.iter().map(|rule| (rule, "allow")).chain(deny.iter().map(|rule| (rule, "deny"))) {
        if !on_sql(&rule) {
            continue;
        }
        let message = format!(
            "this {verb} rule on statements does not hold for Thrift, which the role allows and the gateway does not read"
        );
        let finding = entry
            .finding(&codes::THRIFT_PASSES, &rule.pointer, message)
            .help("deny `sql_warehouses.thrift` and `clusters.thrift`, or leave the tables to Unity Catalog");
        found.push(match opening.pointer.as_str() {
            "" => finding,
            pointer => finding.related(entry.document, pointer, "allows Thrift"),
        });
    }
}
