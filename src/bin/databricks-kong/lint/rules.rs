//! What is odd about the rules of a role or of an agent.

use super::owner::Owner;
use super::rule::{Rule, is_covered};
use super::sets::Set;
use super::{Entry, codes};
use crate::findings::Finding;
use databricks_kong::databricks::{Catalogue, Operation};
use std::collections::BTreeSet;

/// What is odd about the rules of a role or an agent.
pub(super) fn lint(entry: &Entry<'_>, owner: &Owner<'_>, found: &mut Vec<Finding>) {
    let allow = owner.allow.as_deref().unwrap_or_default();
    says_what_it_allows(entry, owner, found);
    for rule in allow {
        broad(entry, rule, found);
        // behind an egress route no path is an operation of Databricks
        if owner.credential() != "none" {
            broad_paths(entry, rule, found);
        }
    }
    for rule in allow.iter().chain(&owner.deny) {
        never_holds(entry, rule, found);
    }
    undone(entry, allow, found);
    unreachable(entry, allow, &owner.deny, found);
    for rule in &owner.deny {
        hidden_by_ids(entry, rule, found);
    }
    thrift(entry, owner, found);
    unknown_fields(entry, allow, found);
}

fn says_what_it_allows(entry: &Entry<'_>, owner: &Owner<'_>, found: &mut Vec<Finding>) {
    let (pointer, title) = (&owner.pointer, &owner.title);
    // who is cut off is to have nothing
    if owner.only_denies(entry) {
        return;
    }
    match &owner.allow {
        None => found.push(
            entry
                .finding(
                    &codes::NO_ALLOW,
                    pointer,
                    format!("{title} has no `allow`: it may do everything that is not sensitive"),
                )
                .help("list the operations that it needs in `allow`"),
        ),
        Some(rules) if rules.is_empty() => found.push(
            entry
                .finding(&codes::NOTHING_ALLOWED, &format!("{pointer}/allow"), format!("{title} allows nothing"))
                .help("list the operations that it needs; to cut somebody off, deny `*`"),
        ),
        Some(_) => {}
    }
}

fn broad(entry: &Entry<'_>, rule: &Rule<'_>, found: &mut Vec<Finding>) {
    for (index, pattern) in rule.patterns.iter().enumerate() {
        let pointer = || format!("{}/operations/{index}", rule.pointer);
        let everything = pattern.chars().all(|letter| matches!(letter, '*' | '.')) && pattern.contains('*');
        if everything && !rule.has_limits() {
            let message = format!("`{pattern}` allows every operation that is not sensitive");
            found.push(
                entry
                    .finding(&codes::BROAD_OPERATIONS, &pointer(), message)
                    .help("name the services and operations that are needed"),
            );
            continue;
        }
        let Some(service) = pattern.strip_suffix(".*").filter(|service| !service.contains('*')) else { continue };
        let kinds = entry.sets.limitable(service);
        if !rule.has_limits() && !kinds.is_empty() {
            let message = format!("`{pattern}` allows the whole service, whatever it is done to");
            let help = format!("name the operations that are needed, or add `resources` ({})", kinds.join(", "));
            let sensitive = Catalogue::operations().filter(|operation| {
                let is_of_service = |name: &str| name.rsplit_once('.').is_some_and(|(of, _)| of == service);
                operation.is_sensitive() && operation.names().any(is_of_service)
            });
            let sensitive = names(sensitive);
            let help = match sensitive.is_empty() {
                true => help,
                false => format!("{help}; {sensitive} are sensitive and not in it: name them if they are meant"),
            };
            found.push(entry.finding(&codes::BROAD_OPERATIONS, &pointer(), message).help(help));
        }
    }
}

/// Patterns of paths that mean operations of several services.
fn broad_paths(entry: &Entry<'_>, rule: &Rule<'_>, found: &mut Vec<Finding>) {
    for (index, path) in rule.paths.iter().enumerate() {
        let Some((method, rest)) = path.split_once(' ') else { continue };
        let Some(start) = rest.strip_suffix("**") else { continue };
        let literal = start.split('/').filter(|segment| !segment.is_empty() && *segment != "*").count();
        // `/api/2.0/**` is every service of that version, `/v1/**` none
        let knows_some = || !entry.sets.meant(&[], std::slice::from_ref(path), false).all.is_empty();
        if literal <= 2 && knows_some() {
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

/// Operations that are named in full and carry nothing that the rule's limits are about.
fn never_holds(entry: &Entry<'_>, rule: &Rule<'_>, found: &mut Vec<Finding>) {
    for (index, name) in rule.patterns.iter().enumerate().filter(|(_, name)| !name.contains('*')) {
        if !rule.has_limits() || Catalogue::named(name).any(|operation| rule.impossible(operation).is_none()) {
            continue;
        }
        let limits: BTreeSet<_> = Catalogue::named(name).filter_map(|operation| rule.impossible(operation)).collect();
        // a type that nothing has is an error, whose cure is another
        let is_known = |limit: &&&str| **limit == "sql" || Catalogue::resource_types().contains(*limit);
        let Some(limit) = limits.first().filter(is_known) else { continue };
        let what = if *limit == "sql" { "SQL text that is read".to_owned() } else { format!("`{limit}`") };
        found.push(
            entry
                .finding(
                    &codes::NEVER_HOLDS,
                    &format!("{}/operations/{index}", rule.pointer),
                    format!("requests of `{name}` carry no {what}, so this rule never matches them"),
                )
                .help(cure(name, limit)),
        );
    }
}

/// What to do about an operation that carries nothing of what a rule wants.
fn cure(name: &str, limit: &str) -> String {
    let names_a_run = || Catalogue::named(name).any(|operation| operation.may_tell("run"));
    if limit == "job" && names_a_run() {
        return "set `lookup: true`: the gateway then asks the workspace whose job the run is".to_owned();
    }
    format!("put `{name}` into a rule of its own, without that limit")
}

/// Rules that allow, without limits, what another one allows with limits.
fn undone(entry: &Entry<'_>, allow: &[Rule<'_>], found: &mut Vec<Finding>) {
    for (place, narrow) in allow.iter().enumerate().filter(|(_, rule)| rule.has_limits()) {
        for (_, wide) in allow.iter().enumerate().filter(|(other, _)| *other != place) {
            if !wide.limits_cover(narrow) || narrow.limits_cover(wide) {
                continue;
            }
            let both = narrow.meant.all.and(&wide.meant.all);
            if both.is_empty() {
                continue;
            }
            let names = names(both.iter().filter(|operation| narrow.impossible(*operation).is_none()));
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
    shown(&operations.map(Operation::name).collect())
}

fn shown(names: &BTreeSet<&str>) -> String {
    let shown: Vec<_> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Rules that decide nothing, because another one always decides before them.
fn unreachable(entry: &Entry<'_>, allow: &[Rule<'_>], deny: &[Rule<'_>], found: &mut Vec<Finding>) {
    let unlimited = |rule: &Rule<'_>| !rule.has_limits();
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

/// Rules that refuse more than they name, since what a request names may be what they are about and does not tell.
fn hidden_by_ids(entry: &Entry<'_>, rule: &Rule<'_>, found: &mut Vec<Finding>) {
    for (kind, _) in &rule.resources {
        let names: BTreeSet<_> =
            rule.meant.by_name.iter().filter(|meant| rule.takes_for_any(kind, *meant)).map(Operation::name).collect();
        if names.is_empty() {
            continue;
        }
        let message = format!(
            "this rule refuses {} whatever `{kind}` they are about, since the ids of such requests do not tell",
            shown(&names)
        );
        let help = if *kind == "job" {
            "set `lookup: true`: the gateway then asks the workspace whose job a run is"
        } else {
            "if that is too much, name the operations that are meant"
        };
        let pointer = format!("{}/resources/{kind}", rule.pointer);
        found.push(entry.finding(&codes::HIDDEN_BY_IDS, &pointer, message).help(help));
    }
}

/// Rules that let members of the body pass of which nobody knows what they do.
fn unknown_fields(entry: &Entry<'_>, allow: &[Rule<'_>], found: &mut Vec<Finding>) {
    for rule in allow.iter().filter(|rule| rule.permit.contains(&"unknown_fields")) {
        let message = "members of the body that this version does not know pass, whatever they do: one may name what `resources` keeps out";
        found.push(
            entry
                .finding(&codes::UNKNOWN_FIELDS, &format!("{}/permit", rule.pointer), message.to_owned())
                .help("update to a version that knows the member that a refusal named, and take this out again"),
        );
    }
}

/// Limits on tables and statements beside Thrift, by which the SQL connectors send statements that the gateway does not read.
fn thrift(entry: &Entry<'_>, owner: &Owner<'_>, found: &mut Vec<Finding>) {
    let allow = owner.allow.as_deref().unwrap_or_default();
    let meets = |rule: &Rule<'_>, set: &Set| !rule.meant.all.and(set).is_empty();
    let on_sql = |rule: &&Rule<'_>| {
        let has_table = || rule.resources.iter().any(|(kind, _)| *kind == "table");
        (rule.sql.is_some() || has_table()) && (meets(rule, &entry.sets.statements) || meets(rule, &entry.sets.thrift))
    };
    let limited: Vec<_> = allow.iter().chain(&owner.deny).filter(on_sql).collect();
    if limited.is_empty() {
        return;
    }
    let is_denied =
        |operation: Operation| owner.deny.iter().any(|rule| !rule.has_limits() && rule.meant.all.contains(operation));
    let default = owner.allow.is_none().then(|| Rule::default_allow(entry.sets));
    let opens = |rule: &&Rule<'_>| {
        let mut open = entry.sets.thrift.iter().filter(|operation| rule.meant.all.contains(*operation));
        meets(rule, &entry.sets.thrift)
            && open.any(|operation| rule.impossible(operation).is_none() && !is_denied(operation))
    };
    let Some(opening) = allow.iter().chain(&default).find(opens) else { return };
    for rule in limited {
        let verb = if rule.pointer.starts_with(&format!("{}/deny", owner.pointer)) { "deny" } else { "allow" };
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
