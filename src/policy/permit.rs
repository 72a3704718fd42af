//! What a decision comes to.

use super::{Credential, Scope};
use crate::base::Reason;
use crate::databricks::{Features, IdFault, Operation};
use crate::jwt::Caller;
use std::rc::Rc;

/// What a decision comes to: an answer, or what is needed before there can be one.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// The request may go on.
    Permit(Box<Permit>),
    /// It may not.
    Denied(Denial),
    /// The body is needed; decide again with it.
    NeedsBody,
    /// The job of the request's run is needed; ask the workspace with this permit, which is for that alone, and decide again.
    NeedsJob(Box<Permit>),
    /// The request could be read in two ways; refuse it.
    Ambiguous(IdFault),
}

impl From<Denial> for Outcome {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

/// Proof that a verified caller may go on under a role, and the only key to that role's credential.
///
/// Only [`super::authorize`] makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    pub(super) caller: Rc<Caller>,
    pub(super) provider: Rc<str>,
    pub(super) role: Rc<str>,
    pub(super) rule: Option<Rc<str>>,
    pub(super) credential: Rc<Credential>,
    pub(super) scope: Scope,
    pub(super) operation: Option<Operation>,
    pub(super) would_deny: Option<Denial>,
    pub(super) lets_pass: Features,
    pub(super) errand: Errand,
}

/// What a permit is for.
#[derive(Clone, Debug)]
pub(super) enum Errand {
    /// The caller's request.
    Request,
    /// A question of the gateway's own, before it decides: which job does this run belong to?
    LookUp { run: String },
}

impl Permit {
    /// Who may go on.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Who may go on, to be kept.
    #[must_use]
    pub fn shared_caller(&self) -> Rc<Caller> {
        Rc::clone(&self.caller)
    }

    /// The name of the identity provider that issued the caller's token.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The role that lets the caller go on.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// As [`Permit::role`], to be kept.
    #[must_use]
    pub const fn shared_role(&self) -> &Rc<str> {
        &self.role
    }

    /// As [`Permit::rule`], to be kept.
    #[must_use]
    pub const fn shared_rule(&self) -> Option<&Rc<str>> {
        self.rule.as_ref()
    }

    /// The rule that does, as a JSON pointer into the configuration; `None` if the role has none.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    /// What replaces the caller's token.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// What replaces the caller's token, to be kept.
    #[must_use]
    pub fn shared_credential(&self) -> Rc<Credential> {
        Rc::clone(&self.credential)
    }

    /// The OAuth scope to ask for, where the credential asks for one.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What the caller may do; `None` if the catalogue does not know it.
    #[must_use]
    pub const fn operation(&self) -> Option<Operation> {
        self.operation
    }

    /// The features of the body that a rule had to let pass.
    #[must_use]
    pub const fn lets_pass(&self) -> Features {
        self.lets_pass
    }

    /// The run whose job is to be looked up, if the permit is for that alone. The caller's request must not go on with it.
    #[must_use]
    pub fn run_to_look_up(&self) -> Option<&str> {
        match &self.errand {
            Errand::Request => None,
            Errand::LookUp { run } => Some(run),
        }
    }

    /// Whether `other` lets the same request go on under the same role, in the same scope and for the same reason. Whether the role's
    /// credential is the same too, [`crate::exchange::is_same_credential`] tells.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.role == other.role
            && self.scope == other.scope
            && self.would_deny.as_ref().map(Denial::reason) == other.would_deny.as_ref().map(Denial::reason)
            && self.run_to_look_up() == other.run_to_look_up()
    }

    /// Why the request would have been denied, were denials not recorded only.
    #[must_use]
    pub const fn would_deny(&self) -> Option<&Denial> {
        self.would_deny.as_ref()
    }
}

/// Why a caller may not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The token says that the caller has more groups than fit into it; which, is not known.
    #[error("the token does not list the caller's groups, because they are too many; ask for fewer groups in it")]
    GroupsOverage,
    /// No role matches the caller, or not the one asked for.
    #[error("no role is for this caller")]
    NoRole,
    /// Roles match the caller, but none is granted at this time.
    #[error("the grant of role `{role}` is not in force at this time")]
    GrantInactive {
        /// The first such role.
        role: Rc<str>,
    },
    /// A deny rule matches.
    #[error("role `{role}` is denied {}", named(*operation))]
    RuleDenied {
        /// The role.
        role: Rc<str>,
        /// JSON pointer to the rule.
        rule: Rc<str>,
        /// What was asked for.
        operation: Option<Operation>,
    },
    /// The catalogue does not know the request, and no `paths` rule does.
    #[error("the gateway does not know this operation, and no rule names its path")]
    OperationUnknown,
    /// The operation is sensitive, and no rule names it.
    #[error("`{}` is sensitive: a rule must name it in full", operation.name())]
    OperationSensitive {
        /// What was asked for.
        operation: Operation,
    },
    /// The catalogue does not know the request, but what stands at such paths is sensitive, and no rule names this one letter by letter.
    #[error("the gateway does not know this operation, and what stands at such paths is sensitive")]
    UnknownSensitive,
    /// No rule of the caller's roles allows this.
    #[error("no rule of the caller's roles allows {}", named(*operation))]
    NoRule {
        /// What was asked for.
        operation: Option<Operation>,
    },
    /// The agent that acts for the caller may not do this.
    #[error("agent `{agent}` may not do {}, whoever it acts for", named(*operation))]
    AgentLimit {
        /// The agent.
        agent: Rc<str>,
        /// What was asked for.
        operation: Option<Operation>,
    },
}

fn named(operation: Option<Operation>) -> String {
    operation
        .map_or_else(|| "this request".to_owned(), |operation| format!("`{}` with these resources", operation.name()))
}

impl Denial {
    /// All reasons that a denial has.
    pub const REASONS: [Reason; 8] = [
        Reason::GroupsOverage,
        Reason::NoRole,
        Reason::GrantInactive,
        Reason::RuleDenied,
        Reason::OperationUnknown,
        Reason::OperationSensitive,
        Reason::NoRule,
        Reason::AgentLimit,
    ];

    /// The reason of the refusal.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::GroupsOverage => Reason::GroupsOverage,
            Self::NoRole => Reason::NoRole,
            Self::GrantInactive { .. } => Reason::GrantInactive,
            Self::RuleDenied { .. } => Reason::RuleDenied,
            Self::OperationUnknown => Reason::OperationUnknown,
            Self::OperationSensitive { .. } | Self::UnknownSensitive => Reason::OperationSensitive,
            Self::NoRule { .. } => Reason::NoRule,
            Self::AgentLimit { .. } => Reason::AgentLimit,
        }
    }

    /// The operation, the role and the rule that the denial is about, as far as it is about some.
    #[must_use]
    pub const fn subject(&self) -> (Option<Operation>, Option<&Rc<str>>, Option<&Rc<str>>) {
        match self {
            Self::GroupsOverage | Self::NoRole | Self::OperationUnknown | Self::UnknownSensitive => (None, None, None),
            Self::GrantInactive { role } => (None, Some(role), None),
            Self::RuleDenied { role, rule, operation } => (*operation, Some(role), Some(rule)),
            Self::OperationSensitive { operation } => (Some(*operation), None, None),
            Self::NoRule { operation } | Self::AgentLimit { operation, .. } => (*operation, None, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_are_those_of_all_denials() {
        let name = || Rc::from("x");
        let operation = crate::databricks::Catalogue::find("GET", "/api/2.1/jobs/list").unwrap();
        let denials = [
            Denial::GroupsOverage,
            Denial::NoRole,
            Denial::GrantInactive { role: name() },
            Denial::RuleDenied { role: name(), rule: name(), operation: None },
            Denial::OperationUnknown,
            Denial::OperationSensitive { operation },
            Denial::NoRule { operation: None },
            Denial::AgentLimit { agent: name(), operation: None },
        ];
        assert_eq!(denials.each_ref().map(Denial::reason), Denial::REASONS);
    }
}
