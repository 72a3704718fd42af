//! The shapes in which providers name a caller's groups.

use super::TokenError;
use super::caller::Groups;
use super::claims::ClaimPath;
use serde_json::{Map, Value};

/// The groups at `path`.
///
/// A list of strings is taken as it is, leading `/` of Keycloak's groups included. One string is cut at commas, or where it has
/// none, at white space. A claim that is not there means no groups, unless the token says that they were left out.
///
/// # Errors
///
/// [`TokenError::ClaimType`] for anything else: a half-read list could leave out the group that a rule denies.
pub(super) fn read(claims: &Map<String, Value>, path: &ClaimPath) -> Result<Groups, TokenError> {
    if left_out(claims, path)? {
        return Ok(Groups::Overage);
    }
    let wrong_type = || TokenError::ClaimType(path.to_string());
    match path.find(claims) {
        None => Ok(Groups::Listed(Vec::new())),
        Some(Value::String(text)) => Ok(Groups::Listed(split(text))),
        Some(Value::Array(list)) => {
            let list: Option<Vec<String>> = list.iter().map(|group| group.as_str().map(str::to_owned)).collect();
            list.map(Groups::Listed).ok_or_else(wrong_type)
        }
        Some(_) => Err(wrong_type()),
    }
}

/// Entra ID's overage: with more than about 200 groups the claim is replaced by a reference to it (`_claim_names`, OpenID Connect
/// Core 5.6.2), or by `hasgroups` where a reference would not fit. `hasgroups` speaks of the claim `groups` alone: app roles in
/// `roles` are the usual way out of the overage and are complete beside it.
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

/// Commas first, because names with spaces are common where commas separate.
fn split(text: &str) -> Vec<String> {
    let parts: Vec<&str> =
        if text.contains(',') { text.split(',').map(str::trim).collect() } else { text.split_whitespace().collect() };
    parts.into_iter().filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
