//! A rule as it was written, and what can be proved of it: which requests it covers that another one means too.
//!
//! Everything here errs on the side of silence. What cannot be read is left to `Settings::parse`, which reports it.

use super::sets::{Meant, Set, Sets};
use databricks_kong::databricks::{Kind, Operation, canonical, has_statement};
use databricks_kong::policy::{Glob, PathPattern};
use serde_json::Value;

/// What a list of rules is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Allow,
    Deny,
}

/// A rule.
#[derive(Debug)]
pub(super) struct Rule<'a> {
    /// JSON pointer to the rule in the file.
    pub(super) pointer: String,
    /// The patterns of operations, as they were written.
    pub(super) patterns: Vec<&'a str>,
    /// The patterns of paths, as they were written.
    pub(super) paths: Vec<&'a str>,
    /// Types of resources with patterns of ids.
    pub(super) resources: Vec<(&'a str, Vec<Glob>)>,
    /// Classes of SQL statements.
    pub(super) sql: Option<Vec<&'a str>>,
    /// The operations that it names, by name or by path.
    pub(super) meant: Meant,
    /// Features of bodies that it lets pass.
    pub(super) permit: Vec<&'a str>,
    lookup: bool,
}

impl<'a> Rule<'a> {
    /// The rules of a list.
    pub(super) fn list(sets: &Sets, value: Option<&'a Value>, pointer: &str, purpose: Purpose) -> Vec<Self> {
        let rules = value.and_then(Value::as_array).into_iter().flatten().enumerate();
        rules.map(|(index, rule)| Self::new(sets, rule, format!("{pointer}/{index}"), purpose)).collect()
    }

    fn new(sets: &Sets, value: &'a Value, pointer: String, purpose: Purpose) -> Self {
        let patterns = texts(value.get("operations"));
        let resources = value.get("resources").and_then(Value::as_object).into_iter().flatten().map(|(kind, ids)| {
            let globs = texts(Some(ids)).into_iter().map(|id| Glob::new(canonical(kind, id))).collect();
            (kind.as_str(), globs)
        });
        let paths = texts(value.get("paths"));
        Self {
            pointer,
            meant: sets.meant(&patterns, &paths, purpose == Purpose::Deny),
            resources: resources.collect(),
            sql: value.get("sql").filter(|sql| sql.is_array()).map(|sql| texts(Some(sql))),
            permit: texts(value.get("permit")),
            lookup: value.get("lookup").and_then(Value::as_bool).unwrap_or(false),
            patterns,
            paths,
        }
    }

    /// What a role without `allow` may do.
    pub(super) fn default_allow(sets: &Sets) -> Self {
        let patterns = vec!["*"];
        let meant = sets.meant(&patterns, &[], false);
        let (paths, resources, permit) = (Vec::new(), Vec::new(), Vec::new());
        Self { pointer: String::new(), patterns, paths, resources, sql: None, meant, permit, lookup: false }
    }

    /// Whether the rule is about certain resources or statements only.
    pub(super) fn has_limits(&self) -> bool {
        !self.resources.is_empty() || self.sql.is_some()
    }

    /// The first of the rule's limits that no request of `operation` can satisfy, as `resources` wants an id that such requests do not
    /// carry.
    pub(super) fn impossible(&self, operation: Operation) -> Option<&str> {
        let carried = |kind: &str| {
            let has = |wanted: &str| operation.may_tell(wanted);
            has(kind) || is_told_by_sql(kind) && has_statement(operation) || kind == "job" && self.lookup && has("run")
        };
        let resource = self.resources.iter().map(|(kind, _)| *kind).find(|kind| !carried(kind));
        resource.or_else(|| (self.sql.is_some() && !has_statement(operation)).then_some("sql"))
    }

    /// Whether a rule that denies by `kind` takes requests of `operation` for any of it, as an id of theirs may stand for one and does not
    /// tell for which. Ids that nobody but Databricks uses (of tables, of volumes, of notebooks) are not worth a word.
    pub(super) fn takes_for_any(&self, kind: &str, operation: Operation) -> bool {
        let quiet = |by: &str| matches!(by, "table_id" | "volume_id" | "object_id" | "sql_text" | "storage_url");
        let is_asked = |by: &str| self.lookup && kind == "job" && by == "run";
        let mut hiding = operation.kinds().filter(|by| !quiet(by) && !is_asked(by)).filter_map(Kind::named);
        hiding.any(|by| by.hides(kind)) || operation.acts_on_unnamed(kind, true)
    }

    /// Whether the limits of `self` hold for every request for which those of `other` hold.
    pub(super) fn limits_cover(&self, other: &Rule<'_>) -> bool {
        let within =
            |globs: &[Glob], others: &[Glob]| others.iter().all(|other| globs.iter().any(|glob| covers(glob, other)));
        let resources = self.resources.iter().all(|(kind, globs)| {
            let others = other.resources.iter().find(|(other, _)| other == kind);
            others.is_some_and(|(_, others)| within(globs, others)) && (self.lookup || !other.lookup)
        });
        let sql = self.sql.as_ref().is_none_or(|classes| {
            other.sql.as_ref().is_some_and(|others| others.iter().all(|class| classes.contains(class)))
        });
        resources && sql
    }

    /// Whether every request of an operation that both name is allowed by `self` if it is by `other`.
    pub(super) fn allows_all_of(&self, other: &Rule<'_>) -> bool {
        self.limits_cover(other) && other.permit.iter().all(|feature| self.permit.contains(feature))
    }
}

/// Whether a SQL text says something about resources of this type: the tables that it touches, and what they stand in.
pub(crate) fn is_told_by_sql(kind: &str) -> bool {
    matches!(kind, "table" | "schema" | "catalog")
}

/// Whether every request of all that `rule` means is meant by one of `others`; `allows` says of one of them if it suffices.
pub(super) fn is_covered<'r, 'v: 'r>(
    rule: &Rule<'_>,
    others: impl Iterator<Item = &'r Rule<'v>> + Clone,
    suffices: impl Fn(&Rule<'v>) -> bool,
) -> bool {
    let enough: Vec<_> = others.filter(|other| suffices(other)).collect();
    let path_is_covered = |path: &&str| enough.iter().any(|other| other.paths.contains(path));
    let means_something = !rule.meant.by_name.is_empty() || !rule.paths.is_empty();
    means_something && is_named(&rule.meant.by_name, &enough) && rule.paths.iter().all(path_is_covered)
}

/// Whether each of these operations is named by one of the rules.
fn is_named(operations: &Set, by: &[&Rule<'_>]) -> bool {
    let mut all = Set::default();
    for rule in by {
        if all.is_empty() {
            all = (*rule.meant.all).clone();
        } else {
            all.add(&rule.meant.all);
        }
    }
    operations.is_within(&all)
}

/// Whether every text that `narrow` matches, `wide` matches. A star of the narrow one can only be matched by one of the wide one, as no
/// other character of a pattern matches a star.
pub(super) fn covers(wide: &Glob, narrow: &Glob) -> bool {
    wide.matches(narrow.as_str())
}

/// Whether a request of `operation` can be meant by a pattern of paths; tried with a placeholder's shortest filling.
pub(super) fn is_within(operation: Operation, pattern: &PathPattern) -> bool {
    let segments = operation.template().split('/').map(|segment| if segment.starts_with('{') { "x" } else { segment });
    let path = segments.collect::<Vec<_>>().join("/");
    let method = if operation.method() == "*" { "POST" } else { operation.method() };
    pattern.matches(method, &path)
}

/// The texts of a list.
pub(super) fn texts(value: Option<&Value>) -> Vec<&str> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use databricks_kong::databricks::Catalogue;
    use serde_json::json;

    fn rule(value: &Value) -> Rule<'_> {
        Rule::new(&Sets::default(), value, String::new(), Purpose::Allow)
    }

    #[test]
    fn a_pattern_covers_another_only_if_it_matches_all_that_the_other_does() {
        let glob = |text: &str| Glob::new(text.to_owned());
        for (wide, narrow, expected) in [
            ("*", "a", true),
            ("*", "*", true),
            ("team-*", "team-a", true),
            ("team-*", "team-a*", true),
            ("team-a*", "team-*", false),
            ("a", "*", false),
            ("*-b", "a*b", false),
            ("a*c", "a*b*c", true),
        ] {
            assert_eq!(covers(&glob(wide), &glob(narrow)), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn limits_are_compared_type_by_type() {
        let values = [
            json!({"operations": ["jobs.get"]}),
            json!({"operations": ["jobs.get"], "resources": {"job": ["1"]}}),
            json!({"operations": ["jobs.get"], "resources": {"job": ["*"]}}),
            json!({"operations": ["jobs.get"], "resources": {"job": ["1"]}, "lookup": true}),
            json!({"operations": ["jobs.get"], "sql": ["select"]}),
            json!({"operations": ["jobs.get"], "sql": ["select", "dml"]}),
        ];
        let [all, one, some, looked_up, reads, more] = values.each_ref().map(rule);
        for (wide, narrow, expected) in [
            (&all, &one, true),
            (&one, &all, false),
            (&some, &one, true),
            (&one, &some, false),
            (&looked_up, &one, true),
            (&one, &looked_up, false),
            (&more, &reads, true),
            (&reads, &more, false),
            (&reads, &one, false),
        ] {
            assert_eq!(wide.limits_cover(narrow), expected, "{wide:?} {narrow:?}");
        }
    }

    #[test]
    fn a_rule_by_path_names_the_operations_there_but_no_sensitive_one() {
        let named = |rule: &Value, name: &str| {
            let meant = self::rule(rule).meant;
            Catalogue::named(name).any(|operation| meant.all.contains(operation))
        };
        let by_path = json!({"paths": ["* /api/2.0/**"]});
        assert!(named(&by_path, "statement_execution.execute_statement"));
        assert!(!named(&by_path, "tokens.create"));
        assert!(!named(&json!({"paths": ["GET /api/2.0/**"]}), "statement_execution.execute_statement"));
    }
}
