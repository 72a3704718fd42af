//! How a decision was made, step by step, for people who ask why.

use super::Glob;
use super::authorize::{Ask, Policy, authorize_seen_by};
use super::permit::Outcome;
use super::role::Part;
use super::rule::{Miss, Rule};
use crate::jwt::{Caller, Groups};
use serde_json::Value;
use std::rc::Rc;

/// Sees each rule that a decision tries.
pub(super) trait Witness {
    /// `rule` of `owner` was tried; it means the request, or why not.
    fn tried(&mut self, owner: Owner<'_>, rule: &Rule, outcome: Result<(), Miss>);
}

/// Nobody watches, at no cost.
impl Witness for () {
    fn tried(&mut self, _: Owner<'_>, _: &Rule, _: Result<(), Miss>) {}
}

/// Whose rule it is.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    Role(&'a Rc<str>),
    Agent(&'a Rc<str>),
}

/// A decision with the steps that led to it.
#[derive(Debug)]
pub struct Explanation {
    /// All roles in their order, with what each has to do with the caller.
    pub roles: Vec<RoleSeen>,
    /// The agents that the caller is.
    pub agents: Vec<Rc<str>>,
    /// The rules that were tried, in that order.
    pub rules: Vec<RuleSeen>,
    /// What [`super::authorize`] comes to for the same question.
    pub outcome: Outcome,
}

/// A role, as far as it has to do with a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSeen {
    /// Its name.
    pub name: Rc<str>,
    /// Whether it is the caller's.
    pub standing: Standing,
    /// Whether what it denies is recorded only: it observes, or the whole policy does.
    pub observes: bool,
}

/// What a role has to do with a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is for others: this part of its `match` does not hold.
    NotMatched(Unmet),
    /// It is the caller's, but not granted at this time.
    NotInForce,
    /// It is the caller's, who asked for another; only its deny rules count.
    NotAskedFor,
    /// It is the caller's.
    Held,
}

/// A part of a role's `match` that does not hold for a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Its key in the configuration's `match`: `groups`, `claims.department`.
    pub key: String,
    /// The values of which the caller must have one.
    pub wanted: Vec<String>,
    /// Those that the caller has.
    pub had: Vec<String>,
}

impl Unmet {
    fn new(part: Part<'_>, ask: &Ask<'_>) -> Self {
        let caller = ask.caller;
        let globs = |globs: &[Glob]| globs.iter().map(|glob| glob.as_str().to_owned()).collect();
        let (key, wanted, had) = match part {
            Part::IdentityProviders(names) => ("identity_providers", names.to_vec(), vec![ask.provider.to_string()]),
            Part::Subjects(wanted) => ("subjects", globs(wanted), vec![caller.subject().to_owned()]),
            Part::Clients(wanted) => {
                ("clients", globs(wanted), caller.client().map(str::to_owned).into_iter().collect())
            }
            Part::Groups(wanted) => ("groups", globs(wanted), groups(caller)),
            Part::Claim(path, values) => {
                let had = caller.claim(path).map(texts).unwrap_or_default();
                let wanted = values.iter().map(text).collect();
                return Self { key: format!("claims.{path}"), wanted, had };
            }
        };
        Self { key: key.to_owned(), wanted, had }
    }
}

fn groups(caller: &Caller) -> Vec<String> {
    match caller.groups() {
        Groups::Listed(names) => names.iter().map(str::to_owned).collect(),
        Groups::Overage => Vec::new(),
    }
}

/// A claim's value, or each of a list, as it is shown.
fn texts(value: &Value) -> Vec<String> {
    value.as_array().map_or_else(|| vec![text(value)], |all| all.iter().map(text).collect())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A rule that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSeen {
    /// JSON pointer to the rule in the configuration.
    pub pointer: Rc<str>,
    /// The name of the role or agent that has it.
    pub owner: Rc<str>,
    /// Whether the owner is an agent.
    pub is_agent: bool,
    /// Why the rule does not mean the request; `None` if it does.
    pub miss: Option<Miss>,
}

impl Witness for Vec<RuleSeen> {
    fn tried(&mut self, owner: Owner<'_>, rule: &Rule, outcome: Result<(), Miss>) {
        let (owner, is_agent) = match owner {
            Owner::Role(name) => (name, false),
            Owner::Agent(name) => (name, true),
        };
        let miss = outcome.err();
        self.push(RuleSeen { pointer: Rc::clone(&rule.pointer), owner: Rc::clone(owner), is_agent, miss });
    }
}

/// Decides as [`super::authorize`] does, and says how.
#[must_use]
pub fn explain(policy: &Policy, ask: &Ask<'_>) -> Explanation {
    let roles = policy.roles().iter().map(|role| {
        let standing = if let Some(part) = role.matches.first_missed(ask.caller, ask.provider) {
            Standing::NotMatched(Unmet::new(part, ask))
        } else if !role.validity.holds(ask.now) {
            Standing::NotInForce
        } else if ask.requested_role.is_some_and(|name| name != &*role.name) {
            Standing::NotAskedFor
        } else {
            Standing::Held
        };
        RoleSeen { name: Rc::clone(&role.name), standing, observes: policy.observes(role) }
    });
    let roles = roles.collect();
    let agents =
        policy.agents().iter().filter(|agent| agent.is(ask.caller)).map(|agent| Rc::clone(&agent.name)).collect();
    let mut rules = Vec::new();
    let outcome = authorize_seen_by(policy, ask, &mut rules);
    Explanation { roles, agents, rules, outcome }
}
