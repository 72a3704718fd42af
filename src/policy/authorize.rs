//! The decision: which role, if any, lets a caller do what it asks for.

use super::action::{Action, Stop};
use super::permit::{Denial, Permit};
use super::role::{Agent, Allow, Role, RoleIndex};
use super::rule::Rule;
use super::{Credential, Scope};
use crate::base::UnixTime;
use crate::jwt::{Caller, Groups};
use std::rc::Rc;

/// Everything that decisions are made by.
#[derive(Debug)]
pub struct Policy {
    roles: Vec<Role>,
    index: RoleIndex,
    agents: Vec<Agent>,
    observe: bool,
}

impl Policy {
    /// The policy of these roles, in their order. With `observe`, denials that are not structural are recorded only.
    #[must_use]
    pub fn new(roles: Vec<Role>, agents: Vec<Agent>, observe: bool) -> Self {
        Self { index: RoleIndex::new(&roles), roles, agents, observe }
    }
}

/// A verified caller who asks for something.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Who.
    pub caller: &'a Rc<Caller>,
    /// The name of the provider that vouches for the caller.
    pub provider: &'a Rc<str>,
    /// The only role that may allow it, if the caller asked for one.
    pub requested_role: Option<&'a str>,
    /// For what.
    pub action: &'a Action<'a>,
    /// When.
    pub now: UnixTime,
}

/// Decides.
///
/// The caller's roles are those that match it and are granted now. A deny rule of any of them refuses; else the first role in order
/// with an allow rule that matches wins; and of the agents that the caller is, each must allow it too.
///
/// # Errors
/// [`Stop`]: the body is needed first, or the request could be read in two ways.
pub fn authorize(policy: &Policy, ask: &Ask<'_>) -> Result<Result<Permit, Denial>, Stop> {
    if matches!(ask.caller.groups(), Groups::Overage) {
        return Ok(Err(Denial::GroupsOverage));
    }
    let roles = match granted(policy, ask) {
        Ok(roles) => roles,
        Err(denial) => return Ok(Err(denial)),
    };
    let decision = Decision { ask, roles };
    if let Some((role, rule)) = decision.denied()? {
        let denial = Denial::RuleDenied {
            role: Rc::clone(&role.name),
            rule: Rc::clone(&rule.pointer),
            operation: ask.action.operation(),
        };
        return Ok(decision.refuse_or_observe(denial, policy.observe || role.observe));
    }
    let Some((role, rule)) = decision.allowed()? else {
        let observe = policy.observe || decision.first().is_some_and(|role| role.observe);
        return Ok(decision.refuse_or_observe(decision.no_allow(), observe));
    };
    for agent in policy.agents.iter().filter(|agent| agent.is(ask.caller)) {
        if !agent_allows(agent, ask.action)? {
            let denial = Denial::AgentLimit { agent: Rc::clone(&agent.name), operation: ask.action.operation() };
            return Ok(decision.refuse_or_observe(denial, policy.observe || role.observe));
        }
    }
    Ok(Ok(decision.permit(role, rule, None)))
}

/// The caller's roles at this time; at least one.
fn granted<'p>(policy: &'p Policy, ask: &Ask<'_>) -> Result<Vec<&'p Role>, Denial> {
    let matching = policy.index.candidates(ask.caller).into_iter().filter_map(|index| policy.roles.get(index));
    let matching: Vec<_> = matching.filter(|role| role.matches.holds(ask.caller, ask.provider)).collect();
    let asked_for = |role: &&&Role| ask.requested_role.is_none_or(|name| name == &*role.name);
    let Some(first) = matching.iter().find(asked_for) else { return Err(Denial::NoRole) };
    if !matching.iter().filter(asked_for).any(|role| role.validity.holds(ask.now)) {
        return Err(Denial::GrantInactive { role: Rc::clone(&first.name) });
    }
    Ok(matching.into_iter().filter(|role| role.validity.holds(ask.now)).collect())
}

struct Decision<'a> {
    ask: &'a Ask<'a>,
    roles: Vec<&'a Role>,
}

impl<'a> Decision<'a> {
    fn denied(&self) -> Result<Option<(&'a Role, &'a Rule)>, Stop> {
        for role in &self.roles {
            for rule in &role.deny {
                if rule.denies(self.ask.action)? {
                    return Ok(Some((role, rule)));
                }
            }
        }
        Ok(None)
    }

    /// The roles that may allow it.
    fn able(&self) -> impl Iterator<Item = &'a Role> {
        let requested = self.ask.requested_role;
        self.roles.iter().copied().filter(move |role| requested.is_none_or(|name| name == &*role.name))
    }

    fn first(&self) -> Option<&'a Role> {
        self.able().next()
    }

    fn allowed(&self) -> Result<Option<(&'a Role, Option<&'a Rule>)>, Stop> {
        for role in self.able() {
            if let Some(rule) = allowing(&role.allow, self.ask.action)? {
                return Ok(Some((role, rule)));
            }
        }
        Ok(None)
    }

    /// Why nothing allows it.
    fn no_allow(&self) -> Denial {
        let Some(operation) = self.ask.action.operation() else { return Denial::OperationUnknown };
        let names = |role: &Role| match &role.allow {
            Allow::Default => false,
            Allow::Rules(rules) => rules.iter().any(|rule| rule.operations.contains(operation)),
        };
        if operation.is_sensitive() && !self.able().any(names) {
            return Denial::OperationSensitive { operation };
        }
        Denial::NoRule { operation: Some(operation) }
    }

    /// A denial that is recorded only lets the request go on with the credential of the first role. What gives out credentials is
    /// refused all the same.
    fn refuse_or_observe(&self, denial: Denial, observe: bool) -> Result<Permit, Denial> {
        let sensitive = matches!(self.no_allow(), Denial::OperationSensitive { .. });
        match self.first() {
            Some(role) if observe && !sensitive => Ok(self.permit(role, None, Some(denial))),
            _ => Err(denial),
        }
    }

    fn permit(&self, role: &Role, rule: Option<&Rule>, would_deny: Option<Denial>) -> Permit {
        let operation = self.ask.action.operation();
        Permit {
            caller: Rc::clone(self.ask.caller),
            provider: Rc::clone(self.ask.provider),
            role: Rc::clone(&role.name),
            rule: rule.map(|rule| Rc::clone(&rule.pointer)),
            credential: Rc::clone(&role.credential),
            scope: scope(&role.credential, rule, self.ask.action),
            operation,
            would_deny,
        }
    }
}

/// The scope to ask for: the credential's, or the least that the operation needs.
fn scope(credential: &Credential, rule: Option<&Rule>, action: &Action<'_>) -> Scope {
    let least = || {
        let of_rule = rule.and_then(|rule| rule.scope.clone());
        of_rule.or_else(|| Scope::new([action.operation()?.scope()])).unwrap_or_default()
    };
    credential.scope().cloned().unwrap_or_else(least)
}

/// The rule that allows the action: `Some(None)` if it is allowed without one.
fn allowing<'a>(allow: &'a Allow, action: &Action<'_>) -> Result<Option<Option<&'a Rule>>, Stop> {
    match allow {
        Allow::Default => {
            let harmless = action.operation().is_some_and(|operation| !operation.is_sensitive());
            Ok((harmless && action.features()?.are_within(crate::databricks::Features::default())).then_some(None))
        }
        Allow::Rules(rules) => {
            for rule in rules {
                if rule.allows(action)? {
                    return Ok(Some(Some(rule)));
                }
            }
            Ok(None)
        }
    }
}

fn agent_allows(agent: &Agent, action: &Action<'_>) -> Result<bool, Stop> {
    for rule in &agent.deny {
        if rule.denies(action)? {
            return Ok(false);
        }
    }
    Ok(allowing(&agent.allow, action)?.is_some())
}
