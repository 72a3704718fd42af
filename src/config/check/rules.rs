//! The rules of roles and agents.

use super::{Check, SeenPattern};
use crate::base::SortedMap;
use crate::config::raw;
use crate::databricks::sql::Class;
use crate::databricks::{Catalogue, Features, Operation, canonical, has_statement};
use crate::policy::{Agent, Allow, Glob, OperationSet, OwnPattern, PathPattern, Rule, Scope, SqlClasses};
use std::collections::BTreeSet;

/// What a list of rules is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Allow,
    /// For a role that asks for the least scope that an operation needs.
    AllowMinimal,
    Deny,
}

fn names_run(operation: Operation) -> bool {
    operation.kinds().any(|kind| kind == "run")
}

impl Check<'_> {
    pub(super) fn agents(&self, raw: Vec<raw::RawAgent>) -> Vec<Agent> {
        let mut names = BTreeSet::new();
        let mut agents = Vec::new();
        for (index, raw) in raw.into_iter().enumerate() {
            let pointer = format!("/agents/{index}");
            if !names.insert(raw.name.clone()) {
                self.errors.add(format!("{pointer}/name"), format!("`{}` is already another agent's name", raw.name));
            }
            let raw::RawAgentMatch { clients, actors } = raw.r#match;
            if clients.is_none() && actors.is_none() {
                self.errors.add(format!("{pointer}/match"), "must have `clients` or `actors`");
            }
            let globs = |name: &str, list: Option<Vec<String>>| {
                if list.as_ref().is_some_and(Vec::is_empty) {
                    self.errors.add(format!("{pointer}/match/{name}"), "must list at least one value, or be left out");
                }
                list.map(|list| list.into_iter().map(Glob::new).collect())
            };
            let (clients, actors) = (globs("clients", clients), globs("actors", actors));
            let allow = self.allow(&format!("{pointer}/allow"), raw.allow, Purpose::Allow);
            let deny = self.rules(&format!("{pointer}/deny"), raw.deny.unwrap_or_default(), Purpose::Deny);
            agents.push(Agent { name: raw.name.into(), clients, actors, allow, deny });
        }
        agents
    }

    pub(super) fn allow(&self, pointer: &str, raw: Option<Vec<raw::RawRule>>, purpose: Purpose) -> Allow {
        raw.map_or(Allow::Default, |raw| Allow::Rules(self.rules(pointer, raw, purpose)))
    }

    pub(super) fn rules(&self, pointer: &str, raw: Vec<raw::RawRule>, purpose: Purpose) -> Vec<Rule> {
        let rules = raw.into_iter().enumerate();
        rules.map(|(index, raw)| self.rule(&format!("{pointer}/{index}"), raw, purpose)).collect()
    }

    fn rule(&self, pointer: &str, raw: raw::RawRule, purpose: Purpose) -> Rule {
        if raw.operations.is_none() && raw.paths.is_none() {
            self.errors.add(pointer, "must have `operations` or `paths`");
        }
        let has_paths = raw.paths.is_some();
        let scope = raw.scope.and_then(|scope| self.rule_scope(&format!("{pointer}/scope"), scope, purpose));
        if has_paths && scope.is_none() && purpose == Purpose::AllowMinimal {
            self.errors.add(format!("{pointer}/scope"), "is missing: of these paths the least scope is not known");
        }
        let operations = self.operations(pointer, raw.operations.unwrap_or_default(), purpose);
        let lookup = raw.lookup.unwrap_or(false);
        let of_jobs = raw.resources.as_ref().is_some_and(|resources| resources.contains_key("job"));
        if lookup && !(of_jobs && Self::has(&operations, names_run)) {
            let message = "has no use: it needs `resources` with `job`, and operations on runs such as `jobs.get_run`";
            self.errors.add(format!("{pointer}/lookup"), message);
        }
        let sql = raw.sql.map(|classes| self.sql(pointer, &classes));
        if sql.is_some() && !Self::has(&operations, has_statement) {
            let message = "has no use: it needs the operation `statement_execution.execute_statement`";
            self.errors.add(format!("{pointer}/sql"), message);
        }
        let (resources, own) = self.resources(pointer, raw.resources.unwrap_or_default());
        Rule {
            operations,
            paths: self.paths(pointer, raw.paths.unwrap_or_default()),
            resources,
            own,
            lookup,
            sql,
            permit: self.permit(pointer, raw.permit, purpose),
            scope,
            pointer: pointer.into(),
        }
    }

    fn has(operations: &OperationSet, kind: fn(Operation) -> bool) -> bool {
        // an operation that is wrong in itself is reported by itself
        let none = Catalogue::operations().all(|operation| !operations.contains(operation));
        none || Catalogue::operations().any(|operation| operations.contains(operation) && kind(operation))
    }

    fn sql(&self, pointer: &str, classes: &[raw::RawSqlClass]) -> SqlClasses {
        if classes.is_empty() {
            self.errors.add(format!("{pointer}/sql"), "must list at least one class");
        }
        SqlClasses::new(classes.iter().map(|class| match class {
            raw::RawSqlClass::Select => Class::Select,
            raw::RawSqlClass::Dml => Class::Dml,
            raw::RawSqlClass::Ddl => Class::Ddl,
            raw::RawSqlClass::Grant => Class::Grant,
            raw::RawSqlClass::Other => Class::Other,
        }))
    }

    fn rule_scope(&self, pointer: &str, raw: raw::RawScope, purpose: Purpose) -> Option<Scope> {
        if purpose != Purpose::AllowMinimal {
            return self.wrong(pointer, "has no use: the role's credential does not ask for the `minimal` scope");
        }
        self.scope(pointer, Some(raw))?.or_else(|| self.wrong(pointer, "must be a scope or a list of scopes"))
    }

    fn operations(&self, pointer: &str, patterns: Vec<String>, purpose: Purpose) -> OperationSet {
        let mut set = OperationSet::default();
        for (index, pattern) in patterns.into_iter().enumerate() {
            if self.add_operations(&mut set, &pattern, purpose == Purpose::Deny) > 0 {
                continue;
            }
            let sensitive = OperationSet::default().add(&pattern, true) > 0;
            let message = if sensitive {
                format!("`{pattern}` means sensitive operations only, which must be named in full")
            } else {
                format!("`{pattern}` is no operation that the gateway knows (`databricks-kong operations` lists them)")
            };
            self.errors.add(format!("{pointer}/operations/{index}"), message);
        }
        set
    }

    /// [`OperationSet::add`], which looks through the whole catalogue for a pattern: the few that a policy has are each looked for once.
    fn add_operations(&self, set: &mut OperationSet, pattern: &str, sensitive: bool) -> usize {
        const MOST: usize = 64;
        if !pattern.contains('*') {
            return set.add(pattern, sensitive);
        }
        let is_it = |seen: &&SeenPattern| seen.text == pattern && seen.sensitive == sensitive;
        if let Some(seen) = self.patterns.borrow().iter().find(is_it) {
            set.join(&seen.meant);
            return seen.count;
        }
        let mut meant = OperationSet::default();
        let count = meant.add(pattern, sensitive);
        set.join(&meant);
        let mut patterns = self.patterns.borrow_mut();
        if patterns.len() < MOST {
            patterns.push(SeenPattern { text: pattern.to_owned(), sensitive, meant, count });
        }
        count
    }

    fn paths(&self, pointer: &str, patterns: Vec<String>) -> Vec<PathPattern> {
        let read = patterns.into_iter().enumerate().filter_map(|(index, pattern)| {
            PathPattern::parse(&pattern).or_else(|| {
                let message = format!("`{pattern}` is not of the form `METHOD /a/*/b/**`; the method may be `*`");
                self.wrong(format!("{pointer}/paths/{index}"), message)
            })
        });
        read.collect()
    }

    /// The patterns of ids by type, and those in which values of the caller stand.
    fn resources(
        &self,
        pointer: &str,
        raw: SortedMap<String, Vec<String>>,
    ) -> (Vec<(&'static str, Vec<Glob>)>, Vec<OwnPattern>) {
        let mut own = Vec::new();
        let read = raw.into_iter().filter_map(|(kind, patterns)| {
            let pointer = format!("{pointer}/resources/{}", kind.replace('~', "~0").replace('/', "~1"));
            let known = Catalogue::resource_types();
            let Some(kind) = known.iter().copied().find(|one| *one == kind) else {
                let known = known.join(", ");
                self.errors.add(pointer.as_str(), format!("`{kind}` is no type of resource; known are {known}"));
                return None;
            };
            if patterns.is_empty() {
                self.errors.add(pointer.as_str(), "must list at least one id");
            }
            let mut globs = Vec::new();
            for (index, pattern) in patterns.iter().enumerate() {
                match OwnPattern::parse(kind, pattern) {
                    Ok(Some(pattern)) => own.push(pattern),
                    Ok(None) => globs.push(Glob::new(canonical(kind, pattern))),
                    Err(error) => self.errors.add(format!("{pointer}/{index}"), format!("`{pattern}` {error}")),
                }
            }
            Some((kind, globs))
        });
        (read.collect(), own)
    }

    fn permit(&self, pointer: &str, raw: Option<Vec<String>>, purpose: Purpose) -> Features {
        let Some(names) = raw else { return Features::default() };
        if purpose == Purpose::Deny {
            self.errors.add(format!("{pointer}/permit"), "has no use in a deny rule");
        }
        for (index, name) in names.iter().enumerate() {
            if Features::named([name.as_str()]).is_err() {
                let known = Features::all_names().collect::<Vec<_>>().join(", ");
                self.errors.add(format!("{pointer}/permit/{index}"), format!("`{name}` is none of {known}"));
            }
        }
        Features::named(names.iter().map(String::as_str)).unwrap_or_default()
    }
}
