//! The decision: which role, if any, lets a caller do what it asks for.

use super::action::{Action, Lack};
use super::permit::{Denial, Errand, Outcome, Permit};
use super::role::{Agent, Allow, Role, RoleIndex};
use super::rule::Rule;
use super::trace::{Owner, Witness};
use super::{Credential, Scope};
use crate::base::UnixTime;
use crate::databricks::{Catalogue, Features};
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

    /// The name of the first agent that `caller` is.
    #[must_use]
    pub fn agent_of(&self, caller: &Caller) -> Option<&str> {
        self.agents.iter().find(|agent| agent.is(caller)).map(|agent| &*agent.name)
    }

    pub(super) fn roles(&self) -> &[Role] {
        &self.roles
    }

    pub(super) fn agents(&self) -> &[Agent] {
        &self.agents
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
/// An [`Outcome`] that asks for something is no answer yet: decide again with it.
pub fn authorize(policy: &Policy, ask: &Ask<'_>) -> Outcome {
    authorize_seen_by(policy, ask, &mut ())
}

pub(super) fn authorize_seen_by(policy: &Policy, ask: &Ask<'_>, witness: &mut impl Witness) -> Outcome {
    match by_roles(policy, ask, witness) {
        // the workspace's own OAuth endpoints are out of reach whatever a rule says: what they give out would go round the gateway
        Ok(_) if ask.action.is_oauth() => Denial::OperationUnknown.into(),
        Ok(permit) => Outcome::Permit(Box::new(permit)),
        Err(end) => end,
    }
}

/// The permit, or what ends the decision without one.
fn by_roles(policy: &Policy, ask: &Ask<'_>, witness: &mut impl Witness) -> Result<Permit, Outcome> {
    if matches!(ask.caller.groups(), Groups::Overage) {
        return Err(Denial::GroupsOverage.into());
    }
    let decision = Decision { ask, roles: granted(policy, ask)? };
    if let Some((role, rule)) = decision.denied(witness)? {
        let denial = Denial::RuleDenied {
            role: Rc::clone(&role.name),
            rule: Rc::clone(&rule.pointer),
            operation: ask.action.operation(),
        };
        return Ok(decision.refuse_or_observe(denial, policy.observe || role.observe)?);
    }
    let Some((role, rule)) = decision.allowed(witness)? else {
        let observe = policy.observe || decision.first().is_some_and(|role| role.observe);
        return Ok(decision.refuse_or_observe(decision.no_allow(), observe)?);
    };
    for agent in policy.agents.iter().filter(|agent| agent.is(ask.caller)) {
        if !agent_allows(agent, ask.action, witness).map_err(|lack| decision.stop(lack, role))? {
            let denial = Denial::AgentLimit { agent: Rc::clone(&agent.name), operation: ask.action.operation() };
            return Ok(decision.refuse_or_observe(denial, policy.observe || role.observe)?);
        }
    }
    Ok(decision.permit(role, rule, None))
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
    fn denied(&self, witness: &mut impl Witness) -> Result<Option<(&'a Role, &'a Rule)>, Outcome> {
        for role in self.roles.iter().copied() {
            let owner = Owner::Role(&role.name);
            let rule = denying(&role.deny, self.ask.action, owner, witness).map_err(|lack| self.stop(lack, role))?;
            if let Some(rule) = rule {
                return Ok(Some((role, rule)));
            }
        }
        Ok(None)
    }

    /// What is to be done about a lack. The workspace is asked with the credential of the role whose rule lacks something.
    fn stop(&self, lack: Lack, role: &Role) -> Outcome {
        match lack {
            Lack::Body => Outcome::NeedsBody,
            Lack::Clarity(fault) => Outcome::Ambiguous(fault),
            Lack::JobOf(run) => {
                let operation = Catalogue::named("jobs.get_run").next();
                let least = || operation.and_then(|operation| Scope::new([operation.scope()])).unwrap_or_default();
                let scope = role.credential.scope().cloned().unwrap_or_else(least);
                let permit = self.permit(role, None, None);
                Outcome::NeedsJob(Box::new(Permit { errand: Errand::LookUp { run }, operation, scope, ..permit }))
            }
        }
    }

    /// The roles that may allow it.
    fn able(&self) -> impl Iterator<Item = &'a Role> {
        let requested = self.ask.requested_role;
        self.roles.iter().copied().filter(move |role| requested.is_none_or(|name| name == &*role.name))
    }

    fn first(&self) -> Option<&'a Role> {
        self.able().next()
    }

    fn allowed(&self, witness: &mut impl Witness) -> Result<Option<(&'a Role, Option<&'a Rule>)>, Outcome> {
        for role in self.able() {
            let owner = Owner::Role(&role.name);
            let rule = allowing(&role.allow, self.ask.action, owner, witness).map_err(|lack| self.stop(lack, role))?;
            if let Some(rule) = rule {
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
            errand: Errand::Request,
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
fn allowing<'a>(
    allow: &'a Allow,
    action: &Action<'_>,
    owner: Owner<'_>,
    witness: &mut impl Witness,
) -> Result<Option<Option<&'a Rule>>, Lack> {
    match allow {
        Allow::Default => {
            let harmless = action.operation().is_some_and(|operation| !operation.is_sensitive());
            Ok((harmless && action.features()?.are_within(Features::default())).then_some(None))
        }
        Allow::Rules(rules) => {
            for rule in rules {
                let outcome = rule.allows(action)?;
                witness.tried(owner, rule, &outcome);
                if outcome.is_ok() {
                    return Ok(Some(Some(rule)));
                }
            }
            Ok(None)
        }
    }
}

fn denying<'a>(
    rules: &'a [Rule],
    action: &Action<'_>,
    owner: Owner<'_>,
    witness: &mut impl Witness,
) -> Result<Option<&'a Rule>, Lack> {
    for rule in rules {
        let outcome = rule.denies(action)?;
        witness.tried(owner, rule, &outcome);
        if outcome.is_ok() {
            return Ok(Some(rule));
        }
    }
    Ok(None)
}

fn agent_allows(agent: &Agent, action: &Action<'_>, witness: &mut impl Witness) -> Result<bool, Lack> {
    let owner = Owner::Agent(&agent.name);
    if denying(&agent.deny, action, owner, witness)?.is_some() {
        return Ok(false);
    }
    Ok(allowing(&agent.allow, action, owner, witness)?.is_some())
}
