//! The decision: which role, if any, lets a caller go on.

use super::{Credential, Role};
use crate::base::UnixTime;
use crate::jwt::{Caller, Groups};
use std::rc::Rc;

/// Proof that a verified caller may go on under a role, and the only key to that role's credential.
///
/// Only [`authorize`] makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    caller: Rc<Caller>,
    provider: Rc<str>,
    role: Rc<str>,
    credential: Rc<Credential>,
}

impl Permit {
    /// Who may go on.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
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

    /// What replaces the caller's token.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
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
}

/// Finds the first of `roles` that is for `caller` and granted at `now`; with `requested`, only the role of that name will do.
///
/// # Errors
/// The caller is refused, for the reason given; it is never let on without a role.
pub fn authorize(
    caller: Rc<Caller>,
    provider: &Rc<str>,
    roles: &[Role],
    requested: Option<&str>,
    now: UnixTime,
) -> Result<Permit, Denial> {
    if matches!(caller.groups(), Groups::Overage) {
        return Err(Denial::GroupsOverage);
    }
    let mut inactive = None;
    for role in roles {
        let asked_for = requested.is_none_or(|name| name == &*role.name);
        if !asked_for || !role.matches.holds(&caller, provider) {
            continue;
        }
        if role.validity.holds(now) {
            return Ok(Permit {
                provider: Rc::clone(provider),
                role: Rc::clone(&role.name),
                credential: Rc::clone(&role.credential),
                caller,
            });
        }
        inactive.get_or_insert(&role.name);
    }
    Err(match inactive {
        Some(role) => Denial::GrantInactive { role: Rc::clone(role) },
        None => Denial::NoRole,
    })
}
