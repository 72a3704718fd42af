//! What is odd about whom roles are for, for how long, and what credential they give.

use super::owner::Owner;
use super::prefixes::Prefixes;
use super::rule::{Rule, covers, is_covered, texts};
use super::{Entry, codes, value_at};
use crate::explain::point_in_time;
use crate::findings::Finding;
use databricks_kong::policy::Glob;
use serde_json::Value;

/// The keys of `match` that hold patterns.
pub(super) const PATTERNS: [&str; 3] = ["groups", "subjects", "clients"];
/// The keys of `match` that hold lists of texts.
const LISTS: [&str; 4] = ["groups", "subjects", "clients", "identity_providers"];
/// With how many roles, or patterns, before it one is compared at most. A file has no more that begin alike, or is beyond advice.
const MOST_COMPARED: usize = 64;

pub(super) fn lint(entry: &Entry<'_>, roles: &[Owner<'_>], found: &mut Vec<Finding>) {
    let mut seen = Seen::default();
    for (index, role) in roles.iter().enumerate() {
        covered_patterns(entry, role, found);
        grant_past(entry, role, found);
        all_apis(entry, role, found);
        unreachable(entry, roles, &seen, role, found);
        seen.add(index, role);
    }
}

/// The roles so far, by the first list of their `match` and how the patterns in it begin: one that takes all callers of another has, in
/// each of its lists, a pattern that covers the other's.
#[derive(Default)]
struct Seen<'a> {
    lists: [Prefixes<'a>; LISTS.len()],
    /// Roles without any.
    others: Vec<usize>,
}

impl<'a> Seen<'a> {
    fn add(&mut self, index: usize, role: &Owner<'a>) {
        let first = self.lists.iter_mut().zip(LISTS).find_map(|(list, key)| Some((list, patterns(role.value, key)?)));
        match first {
            Some((list, patterns)) => patterns.for_each(|pattern| list.add(pattern, index)),
            None => self.others.push(index),
        }
    }

    /// Those that may take all callers of `role`, in their order.
    fn candidates(&self, role: &Owner<'a>) -> Vec<usize> {
        let in_lists = self.lists.iter().zip(LISTS).flat_map(|(list, key)| {
            let first = patterns(role.value, key).and_then(|mut patterns| patterns.next());
            first.into_iter().flat_map(|pattern| list.that_may_cover(pattern))
        });
        let mut candidates: Vec<_> = in_lists.chain(self.others.iter().copied()).collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.truncate(MOST_COMPARED);
        candidates
    }
}

fn patterns<'a>(role: &'a Value, key: &str) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
    Some(role.get("match")?.get(key)?.as_array()?.iter().filter_map(Value::as_str))
}

fn unreachable(entry: &Entry<'_>, roles: &[Owner<'_>], seen: &Seen<'_>, role: &Owner<'_>, found: &mut Vec<Finding>) {
    let before = seen.candidates(role).into_iter().filter_map(|index| roles.get(index));
    let Some(first) = before.into_iter().find(|first| takes_all(entry, first, role)) else { return };
    if first.value.get("name") != role.value.get("name") {
        let message =
            "no caller gets this role without asking for it: one before it is for the same callers and allows as much";
        let finding = entry
            .finding(&codes::UNREACHABLE_ROLE, &role.pointer, message)
            .related(entry.document, &first.pointer, "this role is used")
            .help("put the narrower role first, or take one out");
        found.push(finding);
    }
}

fn covered_patterns(entry: &Entry<'_>, role: &Owner<'_>, found: &mut Vec<Finding>) {
    for key in PATTERNS {
        let patterns = texts(value_at(role.value, &format!("/match/{key}")));
        let mut starts = Prefixes::default();
        for (index, pattern) in patterns.iter().enumerate() {
            starts.add(pattern, index);
        }
        for (index, pattern) in patterns.iter().enumerate() {
            let narrow = Glob::new((*pattern).to_owned());
            let mut others = starts.that_may_cover(pattern).filter(|other| *other != index).take(MOST_COMPARED);
            let wide = others.find_map(|other| {
                let wide = Glob::new((*patterns.get(other)?).to_owned());
                // of two that are the same, the later one is of no use
                (covers(&wide, &narrow) && (other < index || !covers(&narrow, &wide))).then_some(wide)
            });
            let Some(wide) = wide else { continue };
            let message = format!("`{pattern}` changes nothing: `{}` matches all that it does", wide.as_str());
            found.push(
                entry
                    .finding(&codes::COVERED_PATTERN, &format!("{}/match/{key}/{index}", role.pointer), message)
                    .help("take out one of the two"),
            );
        }
    }
}

fn grant_past(entry: &Entry<'_>, role: &Owner<'_>, found: &mut Vec<Finding>) {
    let Some(text) = value_at(role.value, "/valid/until").and_then(Value::as_str) else { return };
    if point_in_time(text).is_ok_and(|until| until <= entry.now) {
        let message = format!("this grant ended at `{text}`");
        found.push(
            entry
                .finding(&codes::GRANT_PAST, &format!("{}/valid/until", role.pointer), message)
                .help("take the role out, or renew it"),
        );
    }
}

/// A token for everything, where the rules name operations that narrower ones are enough for.
fn all_apis(entry: &Entry<'_>, role: &Owner<'_>, found: &mut Vec<Finding>) {
    let Some(credential) = role.value.get("credential") else { return };
    let has_scope =
        ["user_federation", "service_principal_federation", "service_principal_secret", "gateway_assertion"];
    let kind = credential.get("type").and_then(Value::as_str).unwrap_or_default();
    let asks_for_all = match credential.get("scope") {
        None | Some(Value::Null) => true,
        Some(Value::String(scope)) => scope.split(' ').any(|name| name == "all-apis"),
        Some(list) => texts(Some(list)).contains(&"all-apis"),
    };
    let Some(rules) = role.allow.as_ref().filter(|_| has_scope.contains(&kind) && asks_for_all) else { return };
    let by_path = rules.iter().any(|rule| !rule.paths.is_empty());
    let is_narrow = rules.iter().all(|rule| rule.meant.is_narrow);
    if by_path || !is_narrow || rules.iter().all(|rule| rule.meant.all.is_empty()) {
        return;
    }
    let place = if credential.get("scope").is_some() { "/scope" } else { "" };
    found.push(
        entry
            .finding(
                &codes::ALL_APIS,
                &format!("{}/credential{place}", role.pointer),
                "the token is good for every API, though each operation of this role has a narrower scope",
            )
            .help("set `scope: minimal`"),
    );
}

/// Whether every caller of `later` is one of `earlier` too, which allows all that `later` does.
fn takes_all(entry: &Entry<'_>, earlier_role: &Owner<'_>, later_role: &Owner<'_>) -> bool {
    let (earlier, later) = (earlier_role.value, later_role.value);
    let is_set = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
    let matches = LISTS.iter().all(|key| {
        let pointer = format!("/match/{key}");
        if !is_set(value_at(earlier, &pointer)) {
            return true;
        }
        let (wide, narrow) = (texts(value_at(earlier, &pointer)), texts(value_at(later, &pointer)));
        let is_within = |text: &&str| {
            let glob = |text: &str| Glob::new(text.to_owned());
            let narrow = glob(text);
            wide.contains(text) || PATTERNS.contains(key) && wide.iter().any(|wide| covers(&glob(wide), &narrow))
        };
        !narrow.is_empty() && narrow.iter().all(is_within)
    });
    let claims = |role: &Value| value_at(role, "/match/claims").filter(|claims| !claims.is_null()).cloned();
    let same_claims = claims(earlier).is_none_or(|wide| Some(wide) == claims(later));
    let has_match =
        earlier.get("match").is_some_and(Value::is_object) && later.get("match").is_some_and(Value::is_object);
    has_match
        && matches
        && same_claims
        && !is_set(earlier.get("valid"))
        && allows_as_much(entry, earlier_role, later_role)
}

fn allows_as_much(entry: &Entry<'_>, earlier: &Owner<'_>, later: &Owner<'_>) -> bool {
    let default = [Rule::default_allow(entry.sets)];
    let wide = earlier.allow.as_deref().unwrap_or(&default);
    let narrow = later.allow.as_deref().unwrap_or(&default);
    !narrow.is_empty() && narrow.iter().all(|rule| is_covered(rule, wide.iter(), |other| other.allows_all_of(rule)))
}
