//! Roles and agents, and which callers they are for.

use super::{Credential, Glob, Rule};
use crate::base::{UnixTime, sort};
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
    /// What it may do.
    pub allow: Allow,
    /// What it may not do, whatever any role allows.
    pub deny: Vec<Rule>,
    /// Whether denials are recorded only.
    pub observe: bool,
}

/// What a role or an agent may do.
#[derive(Clone, Debug)]
pub enum Allow {
    /// Every operation that is not sensitive, with none of the body features that need a permit.
    Default,
    /// What one of these rules means.
    Rules(Vec<Rule>),
}

/// What an AI agent may do at most, whoever it acts for.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Shown in audit records.
    pub name: Rc<str>,
    /// The token's client matches one of these.
    pub clients: Option<Vec<Glob>>,
    /// The token's actor matches one of these.
    pub actors: Option<Vec<Glob>>,
    /// What it may do.
    pub allow: Allow,
    /// What it may not do.
    pub deny: Vec<Rule>,
}

impl Agent {
    /// Whether `caller` is this agent.
    #[must_use]
    pub fn is(&self, caller: &Caller) -> bool {
        let is_one = |globs: &Option<Vec<Glob>>, text: Option<&str>| {
            globs.as_ref().is_none_or(|globs| text.is_some_and(|text| any(globs, text)))
        };
        is_one(&self.clients, caller.client()) && is_one(&self.actors, caller.actor())
    }
}

fn any(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
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
        self.first_missed(caller, provider).is_none()
    }

    /// The first part that does not hold.
    pub(super) fn first_missed(&self, caller: &Caller, provider: &str) -> Option<Part<'_>> {
        let missed = |globs: &Vec<Glob>, text: Option<&str>| !text.is_some_and(|text| any(globs, text));
        if let Some(names) = self.identity_providers.as_ref().filter(|names| !names.iter().any(|name| name == provider))
        {
            Some(Part::IdentityProviders(names))
        } else if let Some(globs) = self.subjects.as_ref().filter(|globs| missed(globs, Some(caller.subject()))) {
            Some(Part::Subjects(globs))
        } else if let Some(globs) = self.clients.as_ref().filter(|globs| missed(globs, caller.client())) {
            Some(Part::Clients(globs))
        } else if let Some(globs) = self.groups.as_ref().filter(|globs| !has_group(caller, globs)) {
            Some(Part::Groups(globs))
        } else {
            let has = |path, values| caller.claim(path).is_some_and(|claim| is_one_of(claim, values));
            let claim = self.claims.iter().find(|(path, values)| !has(path, values));
            claim.map(|(path, values)| Part::Claim(path, values))
        }
    }
}

/// A part of a `match`, with the values of which a caller must have one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part<'m> {
    IdentityProviders(&'m [String]),
    Subjects(&'m [Glob]),
    Clients(&'m [Glob]),
    Groups(&'m [Glob]),
    Claim(&'m ClaimPath, &'m [Value]),
}

fn has_group(caller: &Caller, globs: &[Glob]) -> bool {
    match caller.groups() {
        Groups::Listed(groups) => groups.iter().any(|group| any(globs, group)),
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

/// Finds the roles that may be a caller's without looking at all of them: most roles name groups.
#[derive(Debug, Default)]
pub(super) struct RoleIndex {
    /// Roles that need a group of this very name.
    by_group: Places,
    /// Roles that need a group whose name begins like this.
    by_prefix: Places,
    /// The lengths of those beginnings, in bytes, each once.
    prefix_lengths: Vec<usize>,
    /// All others.
    others: Vec<usize>,
}

impl RoleIndex {
    pub(super) fn new(roles: &[Role]) -> Self {
        let mut index = Self::default();
        for (place, role) in roles.iter().enumerate() {
            let Some(groups) = &role.matches.groups else {
                index.others.push(place);
                continue;
            };
            for group in groups {
                match group.as_str().split_once('*') {
                    None => index.by_group.0.push((group.as_str().into(), place)),
                    Some((prefix, _)) => {
                        index.prefix_lengths.push(prefix.len());
                        index.by_prefix.0.push((prefix.into(), place));
                    }
                }
            }
        }
        sort(&mut index.by_group.0);
        sort(&mut index.by_prefix.0);
        sort(&mut index.prefix_lengths);
        index.prefix_lengths.dedup();
        index
    }

    /// The places of all roles that may match `caller`, in order.
    pub(super) fn candidates(&self, caller: &Caller) -> Vec<usize> {
        let mut places = self.others.clone();
        if let Groups::Listed(groups) = caller.groups() {
            for group in groups.iter() {
                places.extend(self.by_group.of(group));
                // a prefix that ends within a character is none of this group's
                for prefix in self.prefix_lengths.iter().filter_map(|length| group.get(..*length)) {
                    places.extend(self.by_prefix.of(prefix));
                }
            }
        }
        sort(&mut places);
        places.dedup();
        places
    }
}

/// Places of roles, each under a name, in the order of the names.
#[derive(Debug, Default)]
struct Places(Vec<(Box<str>, usize)>);

impl Places {
    fn of(&self, name: &str) -> impl Iterator<Item = usize> {
        let first = self.0.partition_point(|(other, _)| **other < *name);
        let behind = self.0.get(first..).unwrap_or_default();
        behind.iter().take_while(move |(other, _)| **other == *name).map(|(_, place)| *place)
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
    use crate::jwt::testing::caller;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    fn role(groups: Option<Vec<String>>) -> Role {
        let groups = groups.map(|groups| groups.into_iter().map(Glob::new).collect());
        Role {
            name: "r".into(),
            matches: Match { groups, ..Match::default() },
            validity: Validity::ALWAYS,
            credential: Rc::new(Credential::None),
            allow: Allow::Default,
            deny: Vec::new(),
            observe: false,
        }
    }

    proptest! {
        #[test]
        fn the_index_finds_every_role_that_matches_in_order(
            patterns in vec(proptest::option::of(vec("[aé*]{0,4}", 0..3)), 0..8),
            groups in vec("[aé]{0,4}", 0..4),
        ) {
            let roles: Vec<_> = patterns.into_iter().map(role).collect();
            let caller = caller(json!({ "groups": groups }));
            let matches = |place: &usize| roles.get(*place).unwrap().matches.holds(&caller, "idp");
            let expected: Vec<_> = (0..roles.len()).filter(matches).collect();
            let found: Vec<_> = RoleIndex::new(&roles).candidates(&caller).into_iter().filter(matches).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn roles_of_other_groups_are_not_looked_at() {
        let roles: Vec<_> = ["team-a", "team-b*", "x*", "*"].map(|name| role(Some(vec![name.to_owned()]))).into();
        let found = |group: &str| RoleIndex::new(&roles).candidates(&caller(json!({ "groups": [group] })));
        assert_eq!([found("team-a"), found("team-b1"), found("y")], [vec![0, 3], vec![1, 3], vec![3]]);
    }

    /// Of a role with this `match` alone, asked of `caller(claims)` with a token of `idp`.
    fn missed(matches: &Match, claims: Value) -> Option<&'static str> {
        matches.first_missed(&caller(claims), "idp").map(|part| match part {
            Part::IdentityProviders(_) => "identity_providers",
            Part::Subjects(_) => "subjects",
            Part::Clients(_) => "clients",
            Part::Groups(_) => "groups",
            Part::Claim(..) => "claims",
        })
    }

    #[test]
    fn each_key_of_a_match_holds_for_its_own_callers_only() {
        let globs = |texts: &[&str]| Some(texts.iter().map(|text| Glob::new((*text).to_owned())).collect::<Vec<_>>());
        let anna = || json!({"groups": ["eng", "ops"], "azp": "app", "department": "sales"});
        let of = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let providers = |names| Match { identity_providers: of(names), ..Match::default() };
        let subjects = |texts| Match { subjects: globs(texts), ..Match::default() };
        let clients = |texts| Match { clients: globs(texts), ..Match::default() };
        let groups = |texts| Match { groups: globs(texts), ..Match::default() };
        let claims = |name: &str, values: &[&str]| Match {
            claims: vec![(ClaimPath::name(name), values.iter().map(|value| json!(value)).collect())],
            ..Match::default()
        };
        for (fits, does_not, key) in [
            (providers(&["other", "idp"]), providers(&["other"]), "identity_providers"),
            (subjects(&["eve", "an*"]), subjects(&["eve", "Anna"]), "subjects"),
            (clients(&["app"]), clients(&["ap"]), "clients"),
            (groups(&["x", "ops"]), groups(&["x", "op"]), "groups"),
            (claims("department", &["hr", "sales"]), claims("department", &["hr"]), "claims"),
            (claims("department", &["sales"]), claims("division", &["sales"]), "claims"),
        ] {
            assert_eq!(missed(&fits, anna()), None, "{key}");
            assert_eq!(missed(&does_not, anna()), Some(key));
        }
        assert_eq!(missed(&clients(&["*"]), json!({})), Some("clients"), "no client is no client of any name");
        let both = Match { subjects: globs(&["anna"]), ..groups(&["x"]) };
        assert_eq!(missed(&both, anna()), Some("groups"), "every key must hold");
    }

    #[test]
    fn a_grant_begins_at_from_and_has_ended_at_until() {
        let validity = Validity { from: UnixTime::from_secs(10), until: UnixTime::from_secs(20) };
        let holds = |millis| validity.holds(UnixTime::from_millis(millis));
        assert_eq!([9_999, 10_000, 19_999, 20_000].map(holds), [false, true, true, false]);
        assert!(Validity::ALWAYS.holds(UnixTime::from_secs(0)));
    }
}
