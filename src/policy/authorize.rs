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
    pub fn agent_of(&self, caller: &Caller) -> Option<&Rc<str>> {
        self.agents.iter().find(|agent| agent.is(caller)).map(|agent| &agent.name)
    }

    /// Whether what `role` denies is recorded only.
    pub(super) const fn observes(&self, role: &Role) -> bool {
        self.observe || role.observe
    }

    /// All roles, in their order.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
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
/// With R the caller's roles, those that match it and are granted now, in order:
///
/// 1. a deny rule of a role that enforces refuses;
/// 2. one of a role that observes is only remembered;
/// 3. the first role of R with an allow rule that matches gives the credential;
/// 4. if none allows, the first role of R that observes gives its own;
/// 5. of the agents that the caller is, each must allow it too, unless the whole policy observes.
///
/// What would have refused is in the permit. A role that observes never opens what another refuses, and no role lends another's
/// credential. A sensitive operation that no rule names is refused, whoever observes. An [`Outcome`] that asks for something is no answer
/// yet: decide again with it.
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
    let decision = Decision { policy, ask, roles: granted(policy, ask)? };
    if let Some(fault) = ask.action.fault() {
        return Err(Outcome::Ambiguous(fault));
    }
    let denied = decision.denied(witness)?;
    let (role, rule, unallowed) = match decision.allowed(witness)? {
        Some((role, rule)) => (role, rule, None),
        None => {
            let denial = decision.no_allow();
            (decision.lender(&denial)?, None, Some(denial))
        }
    };
    let limited = decision.limited(role, witness)?;
    Ok(decision.permit(role, rule, denied.or(unallowed).or(limited)))
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
    policy: &'a Policy,
    ask: &'a Ask<'a>,
    roles: Vec<&'a Role>,
}

impl<'a> Decision<'a> {
    /// What a role that observes denies; what one that enforces denies ends the decision.
    fn denied(&self, witness: &mut impl Witness) -> Result<Option<Denial>, Outcome> {
        match self.denial_of(|role| !self.policy.observes(role), witness)? {
            Some(denial) => Err(denial.into()),
            None => self.denial_of(|role| self.policy.observes(role), witness),
        }
    }

    /// The first denial of those roles.
    fn denial_of(&self, meant: impl Fn(&Role) -> bool, witness: &mut impl Witness) -> Result<Option<Denial>, Outcome> {
        for role in self.roles.iter().copied().filter(|role| meant(role)) {
            let owner = Owner::Role(&role.name);
            let rule = denying(&role.deny, self.ask.caller, self.ask.action, owner, witness)
                .map_err(|lack| self.stop(lack, role))?;
            if let Some(rule) = rule {
                let (role, rule) = (Rc::clone(&role.name), Rc::clone(&rule.pointer));
                return Ok(Some(Denial::RuleDenied { role, rule, operation: self.ask.action.operation() }));
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

    fn allowed(&self, witness: &mut impl Witness) -> Result<Option<(&'a Role, Option<&'a Rule>)>, Outcome> {
        for role in self.able() {
            let owner = Owner::Role(&role.name);
            let rule = allowing(&role.allow, self.ask.caller, self.ask.action, owner, witness)
                .map_err(|lack| self.stop(lack, role))?;
            if let Some(rule) = rule {
                return Ok(Some((role, rule)));
            }
        }
        Ok(None)
    }

    /// Why nothing allows it.
    fn no_allow(&self) -> Denial {
        let Some(operation) = self.ask.action.operation() else {
            let is_sensitive = self.ask.action.sensitivity_of_unknown().is_some() && !self.ask.action.is_oauth();
            return if is_sensitive { Denial::UnknownSensitive } else { Denial::OperationUnknown };
        };
        let names = |role: &Role| match &role.allow {
            Allow::Default => false,
            Allow::Rules(rules) => rules.iter().any(|rule| rule.operations.contains(operation)),
        };
        if operation.is_sensitive() && !self.able().any(names) {
            return Denial::OperationSensitive { operation };
        }
        Denial::NoRule { operation: Some(operation) }
    }

    /// The role whose own credential the request goes on with although no role allows it. What gives out credentials is refused all the
    /// same.
    fn lender(&self, denial: &Denial) -> Result<&'a Role, Denial> {
        let lender = self.able().find(|role| self.policy.observes(role));
        let is_sensitive = matches!(denial, Denial::OperationSensitive { .. } | Denial::UnknownSensitive);
        lender.filter(|_| !is_sensitive).ok_or_else(|| denial.clone())
    }

    /// What an agent that the caller is does not allow, if the policy observes; it ends the decision if not.
    fn limited(&self, role: &Role, witness: &mut impl Witness) -> Result<Option<Denial>, Outcome> {
        for agent in self.policy.agents.iter().filter(|agent| agent.is(self.ask.caller)) {
            if !agent_allows(agent, self.ask, witness).map_err(|lack| self.stop(lack, role))? {
                let operation = self.ask.action.operation();
                let denial = Denial::AgentLimit { agent: Rc::clone(&agent.name), operation };
                return if self.policy.observe { Ok(Some(denial)) } else { Err(denial.into()) };
            }
        }
        Ok(None)
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
            lets_pass: rule.map(|rule| rule.lets_pass(self.ask.action)).unwrap_or_default(),
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
    caller: &Caller,
    action: &Action<'_>,
    owner: Owner<'_>,
    witness: &mut impl Witness,
) -> Result<Option<Option<&'a Rule>>, Lack> {
    match allow {
        Allow::Default => {
            let harmless = action.operation().is_some_and(|operation| !operation.is_sensitive());
            let allowed = harmless && action.features()?.are_within(Features::default());
            if allowed {
                action.refuse_unknown_members()?;
            }
            Ok(allowed.then_some(None))
        }
        Allow::Rules(rules) => {
            for rule in rules {
                let outcome = rule.allows(action, caller)?;
                witness.tried(owner, rule, outcome);
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
    caller: &Caller,
    action: &Action<'_>,
    owner: Owner<'_>,
    witness: &mut impl Witness,
) -> Result<Option<&'a Rule>, Lack> {
    for rule in rules {
        let outcome = rule.denies(action, caller)?;
        witness.tried(owner, rule, outcome);
        if outcome.is_ok() {
            return Ok(Some(rule));
        }
    }
    Ok(None)
}

fn agent_allows(agent: &Agent, ask: &Ask<'_>, witness: &mut impl Witness) -> Result<bool, Lack> {
    let owner = Owner::Agent(&agent.name);
    if denying(&agent.deny, ask.caller, ask.action, owner, witness)?.is_some() {
        return Ok(false);
    }
    Ok(allowing(&agent.allow, ask.caller, ask.action, owner, witness)?.is_some())
}
