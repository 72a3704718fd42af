//! The shapes in which providers name a caller's groups.

use super::TokenError;
use super::caller::Groups;
use super::claims::ClaimPath;
use serde_json::{Map, Value};
use std::fmt;

/// Names of groups, in their order, as one text: they are most of what is kept of a caller.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GroupNames {
    text: Box<str>,
    /// Where each ends.
    ends: Box<[u32]>,
}

impl GroupNames {
    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let end = usize::try_from(*end).unwrap_or(usize::MAX);
            let name = self.text.get(begin..end).unwrap_or_default();
            begin = end;
            name
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len().saturating_add(size_of_val(&*self.ends))
    }
}

impl<'n> FromIterator<&'n str> for GroupNames {
    #[inline(never)]
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for name in names {
            text.push_str(name);
            // a token is far shorter
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        Self { text: text.into(), ends: ends.into() }
    }
}

impl fmt::Debug for GroupNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The groups at `path`.
///
/// A list of strings is taken as it is, leading `/` of Keycloak's groups included. One string is one group, whatever it
/// contains: a group's name may hold blanks and commas. With a `separator` it is cut there and nowhere else; between two
/// of them there is no group. An empty string, and a claim that is not there, mean no groups, unless the token says that
/// they were left out.
///
/// # Errors
///
/// [`TokenError::ClaimType`] for anything else: a half-read list could leave out the group that a rule denies.
pub(super) fn read(
    claims: &Map<String, Value>,
    path: &ClaimPath,
    separator: Option<char>,
) -> Result<Groups, TokenError> {
    if left_out(claims, path)? {
        return Ok(Groups::Overage);
    }
    let wrong_type = || TokenError::ClaimType(path.to_string());
    match path.find(claims) {
        None => Ok(Groups::Listed(GroupNames::default())),
        Some(Value::String(text)) => Ok(Groups::Listed(split(text, separator))),
        Some(Value::Array(list)) => {
            let list: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            Ok(Groups::Listed(list.ok_or_else(wrong_type)?.into_iter().collect()))
        }
        Some(_) => Err(wrong_type()),
    }
}

/// Entra ID's overage: with more than about 200 groups the claim is replaced by a reference to it (`_claim_names`,
/// OpenID Connect Core 5.6.2), or by `hasgroups` where a reference would not fit. `hasgroups` speaks of the claim
/// `groups` alone: app roles in `roles` are the usual way out of the overage and are complete beside it.
fn left_out(claims: &Map<String, Value>, path: &ClaimPath) -> Result<bool, TokenError> {
    let referenced = match claims.get("_claim_names") {
        None => false,
        Some(Value::Object(names)) => names.contains_key(path.first()),
        Some(_) => return Err(TokenError::ClaimType("_claim_names".to_owned())),
    };
    let flagged = path.first() == "groups" && claims.get("hasgroups").is_some_and(|value| !says_no(value));
    Ok(referenced || flagged)
}

/// Entra writes `true`, at times as a string; whatever is not clearly a no counts as a yes.
fn says_no(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag,
        Value::String(text) => text.eq_ignore_ascii_case("false"),
        _ => false,
    }
}

fn split(text: &str, separator: Option<char>) -> GroupNames {
    let parts = match separator {
        Some(separator) => text.split(separator).collect(),
        None => vec![text],
    };
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_at(path: &str, claims: Value) -> Result<Groups, TokenError> {
        read(claims.as_object().unwrap(), &ClaimPath::parse(path).unwrap(), None)
    }

    fn split_at(separator: char, claims: Value) -> Result<Groups, TokenError> {
        read(claims.as_object().unwrap(), &ClaimPath::name("groups"), Some(separator))
    }

    fn groups(claims: Value) -> Result<Groups, TokenError> {
        read_at("groups", claims)
    }

    fn listed(names: &[&str]) -> Result<Groups, TokenError> {
        Ok(Groups::Listed(names.iter().copied().collect()))
    }

    #[test]
    fn a_list_is_taken_as_it_is_and_one_string_is_one_group() {
        assert_eq!(groups(json!({"groups": ["a b", "/realm/x", "c,d", ""]})), listed(&["a b", "/realm/x", "c,d", ""]));
        assert_eq!(groups(json!({"groups": []})), listed(&[]));
        for name in ["a", "Contractors Admins", "a,b", " a  b\tc ", "a\nb", ",", " "] {
            assert_eq!(groups(json!({"groups": name})), listed(&[name]), "{name:?}");
        }
        assert_eq!(groups(json!({"groups": ""})), listed(&[]));
    }

    #[test]
    fn one_string_is_cut_at_the_separator_and_nowhere_else() {
        assert_eq!(split_at(' ', json!({"groups": "jobs:run  a,b "})), listed(&["jobs:run", "a,b"]));
        let names = json!({"groups": "Data Engineering,Finance,, x"});
        assert_eq!(split_at(',', names), listed(&["Data Engineering", "Finance", " x"]));
        assert_eq!(split_at('ß', json!({"groups": "aßb"})), listed(&["a", "b"]));
        assert_eq!(split_at(' ', json!({"groups": ""})), listed(&[]));
        assert_eq!(split_at(' ', json!({"groups": "a"})), listed(&["a"]));
        assert_eq!(split_at(' ', json!({"groups": ["a b", "c"]})), listed(&["a b", "c"]), "a list is not cut");
    }

    #[test]
    fn a_claim_that_is_not_there_means_no_groups() {
        assert_eq!(groups(json!({})), listed(&[]));
        assert_eq!(read_at("/realm_access/roles", json!({"realm_access": {}})), listed(&[]));
    }

    #[test]
    fn nested_claims_are_read() {
        assert_eq!(read_at("/realm_access/roles", json!({"realm_access": {"roles": ["x"]}})), listed(&["x"]));
        assert_eq!(read_at("https://ns/groups", json!({"https://ns/groups": ["x"]})), listed(&["x"]));
    }

    #[test]
    fn any_other_type_is_refused() {
        for value in [
            json!(null),
            json!(1),
            json!(true),
            json!({"a": 1}),
            json!(["a", 1]),
            json!(["a", null]),
            json!([["a"]]),
            json!([{"name": "a"}]),
        ] {
            assert_eq!(groups(json!({"groups": value})), Err(TokenError::ClaimType("groups".to_owned())), "{value}");
        }
    }

    #[test]
    fn groups_that_entra_left_out_are_never_no_groups() {
        assert_eq!(groups(json!({"hasgroups": true})), Ok(Groups::Overage));
        assert_eq!(groups(json!({"hasgroups": "true"})), Ok(Groups::Overage));
        assert_eq!(groups(json!({"hasgroups": "True"})), Ok(Groups::Overage));
        assert_eq!(groups(json!({"hasgroups": 1})), Ok(Groups::Overage));
        let claims =
            json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph"}}});
        assert_eq!(groups(claims), Ok(Groups::Overage));
        assert_eq!(groups(json!({"groups": ["a"], "_claim_names": {"groups": "src1"}})), Ok(Groups::Overage));
        assert_eq!(read_at("/groups", json!({"hasgroups": true})), Ok(Groups::Overage));
    }

    #[test]
    fn what_was_left_out_of_other_claims_is_another_matter() {
        assert_eq!(groups(json!({"hasgroups": false, "groups": ["a"]})), listed(&["a"]));
        assert_eq!(groups(json!({"hasgroups": "false"})), listed(&[]));
        assert_eq!(groups(json!({"_claim_names": {"photo": "src1"}, "groups": ["a"]})), listed(&["a"]));
        assert_eq!(read_at("roles", json!({"hasgroups": true, "roles": ["a"]})), listed(&["a"]));
        assert_eq!(read_at("roles", json!({"_claim_names": {"roles": "src1"}})), Ok(Groups::Overage));
    }

    #[test]
    fn references_that_cannot_be_read_are_refused() {
        let error = Err(TokenError::ClaimType("_claim_names".to_owned()));
        assert_eq!(groups(json!({"_claim_names": "{\"groups\":\"src1\"}"})), error);
        assert_eq!(groups(json!({"_claim_names": ["groups"], "groups": ["a"]})), error);
    }
}
