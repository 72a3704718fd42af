//! Roles, and which callers they are for.

use super::{Credential, Glob};
use crate::base::UnixTime;
use crate::jwt::{Caller, ClaimPath, Groups};
use serde_json::Value;
use std::rc::Rc;

/// A named entry of the configuration: whom it is for, when, and the credential that it gives.
#[derive(Clone, Debug)]
pub struct Role {
    /// Shown in audit records, and what `X-Databricks-Role` asks for.
    pub name: Rc<str>,
    /// Whom the role is for.
    pub matches: Match,
    /// When it is granted.
    pub validity: Validity,
    /// What it gives.
    pub credential: Rc<Credential>,
}

/// Which callers a role is for: every part that is there must hold; within a part any value will do.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// One of the caller's groups matches one of these.
    pub groups: Option<Vec<Glob>>,
    /// The name of the provider that issued the token is one of these.
    pub identity_providers: Option<Vec<String>>,
    /// The caller's subject matches one of these.
    pub subjects: Option<Vec<Glob>>,
    /// The token's client matches one of these.
    pub clients: Option<Vec<Glob>>,
    /// Each claim has one of the values beside it; of a list, one item has.
    pub claims: Vec<(ClaimPath, Vec<Value>)>,
}

impl Match {
    /// Whether the role is for `caller`, whose token the provider named `provider` issued.
    #[must_use]
    pub fn holds(&self, caller: &Caller, provider: &str) -> bool {
        let any = |globs: &Option<Vec<Glob>>, text: Option<&str>| {
            globs.as_ref().is_none_or(|globs| text.is_some_and(|text| globs.iter().any(|glob| glob.matches(text))))
        };
        self.identity_providers.as_ref().is_none_or(|names| names.iter().any(|name| name == provider))
            && any(&self.subjects, Some(caller.subject()))
            && any(&self.clients, caller.client())
            && self.groups.as_ref().is_none_or(|globs| has_group(caller, globs))
            && self.claims.iter().all(|(path, values)| caller.claim(path).is_some_and(|claim| is_one_of(claim, values)))
    }
}

fn has_group(caller: &Caller, globs: &[Glob]) -> bool {
    match caller.groups() {
        Groups::Listed(groups) => groups.iter().any(|group| globs.iter().any(|glob| glob.matches(group))),
        // unknown groups are not no groups, but certainly no reason to let anybody in
        Groups::Overage => false,
    }
}

fn is_one_of(claim: &Value, values: &[Value]) -> bool {
    match claim {
        Value::Array(items) => items.iter().any(|item| values.contains(item)),
        scalar => values.contains(scalar),
    }
}

/// The time within which a role is granted: from `from` on, until just before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: UnixTime,
    /// The first moment after.
    pub until: UnixTime,
}

impl Validity {
    /// At any time.
    pub const ALWAYS: Self = Self { from: UnixTime::from_millis(0), until: UnixTime::MAX };

    /// Whether the role is granted at `now`.
    #[must_use]
    pub fn holds(&self, now: UnixTime) -> bool {
        self.from <= now && now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_begins_at_from_and_has_ended_at_until() {
        let validity = Validity { from: UnixTime::from_secs(10), until: UnixTime::from_secs(20) };
        let holds = |millis| validity.holds(UnixTime::from_millis(millis));
        assert_eq!([9_999, 10_000, 19_999, 20_000].map(holds), [false, true, true, false]);
        assert!(Validity::ALWAYS.holds(UnixTime::from_secs(0)));
    }
}
