//! Where a claim is found, and what one provider's tokens must satisfy.

use super::Algorithm;
use serde_json::{Map, Value};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// The place of a claim: a name, or a JSON pointer (RFC 6901) if it begins with `/`.
///
/// Anything else is one name as it stands, dots, colons and slashes included: `https://example.com/groups` and
/// `kubernetes.io` are names. `/realm_access/roles` goes down into an object, `/https:~1~1example.com~1groups` is the
/// pointer to the first of those names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimPath {
    text: String,
    /// The outermost claim's name.
    first: String,
    rest: Vec<String>,
}

/// Why a text is no [`ClaimPath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPathError {
    /// Nothing was given.
    #[error("a claim needs a name")]
    Empty,
    /// In a JSON pointer, `~` is followed by something else than 0 or 1.
    #[error("in a JSON pointer, `~` is written `~0` and a `/` inside a name `~1`")]
    Escape,
}

impl ClaimPath {
    /// Reads a claim's name or a JSON pointer.
    ///
    /// # Errors
    ///
    /// [`ClaimPathError`], for whoever wrote the configuration.
    pub fn parse(text: &str) -> Result<Self, ClaimPathError> {
        let Some(pointer) = text.strip_prefix('/') else {
            return if text.is_empty() { Err(ClaimPathError::Empty) } else { Ok(Self::name(text)) };
        };
        let mut steps = pointer.split('/').map(unescape);
        let first = steps.next().ok_or(ClaimPathError::Empty)??;
        Ok(Self { text: text.to_owned(), first, rest: steps.collect::<Result<_, _>>()? })
    }

    /// The claim of that name, whatever characters it has; for names that the code knows.
    #[must_use]
    pub fn name(name: &str) -> Self {
        Self { text: name.to_owned(), first: name.to_owned(), rest: Vec::new() }
    }

    /// The name of the outermost claim that the path goes into.
    pub(super) fn first(&self) -> &str {
        &self.first
    }

    /// The value at this place, if all of the path is there. In lists a step is an index (RFC 6901 4).
    #[must_use]
    pub fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        self.rest.iter().try_fold(claims.get(&self.first)?, |value, step| match value {
            Value::Object(object) => object.get(step),
            Value::Array(list) => list.get(index(step)?),
            _ => None,
        })
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for ClaimPath {
    type Err = ClaimPathError;

    fn from_str(text: &str) -> Result<Self, ClaimPathError> {
        Self::parse(text)
    }
}

fn unescape(step: &str) -> Result<String, ClaimPathError> {
    let mut parts = step.split('~');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            _ => return Err(ClaimPathError::Escape),
        };
        name.push(character);
        name.push_str(rest);
    }
    Ok(name)
}

/// No sign and no leading zeros, so that an element has one spelling.
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    if plain { step.parse().ok() } else { None }
}

/// What one provider's tokens must satisfy.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// `iss`, byte for byte.
    pub issuer: Rc<str>,
    /// `aud` must have one of these. With none, every token is refused.
    pub audiences: Vec<String>,
    /// The signature algorithms that are allowed.
    pub algorithms: Vec<Algorithm>,
    /// How far the issuer's clock may be off.
    pub clock_skew: Duration,
    /// The longest time from `iat` to `exp`; if given, `iat` is required.
    pub max_lifetime: Option<Duration>,
    /// Who the caller is: a string that is not empty.
    pub subject: ClaimPath,
    /// The caller's groups: a list of strings, or one string.
    pub groups: ClaimPath,
    /// At which character one string is several groups; without it, it is one group.
    pub groups_separator: Option<char>,
    /// The application that the caller uses; without it the first present of `azp`, `client_id`, `cid` and `appid`.
    pub client: Option<ClaimPath>,
    /// Claims that must be there with one of the listed values.
    ///
    /// A claim satisfies its entry if it equals a listed value as a whole (same JSON type: `"true"` is not `true`, `1`
    /// is not `1.0`), or if it is a list and one of its elements, neither list nor object, equals one: `amr: ["pwd",
    /// "mfa"]` satisfies `mfa`.
    pub required: Vec<(ClaimPath, Vec<Value>)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(path: &str, claims: Value) -> Option<Value> {
        ClaimPath::parse(path).unwrap().find(claims.as_object().unwrap()).cloned()
    }

    #[test]
    fn a_name_is_one_claim_whatever_characters_it_has() {
        for name in
            ["sub", "kubernetes.io", "https://ns/groups", "http://a/b", "custom:groups", "a~b", "cognito:groups", " "]
        {
            assert_eq!(find(name, json!({name: 1})), Some(json!(1)), "{name}");
        }
        assert_eq!(find("a.b", json!({"a": {"b": 1}})), None);
        assert_eq!(find("a/b", json!({"a": {"b": 1}})), None);
    }

    #[test]
    fn a_pointer_goes_down_and_undoes_escapes() {
        let claims =
            json!({"realm_access": {"roles": ["a", "b"]}, "https://ns/groups": 2, "": {"": 3}, "m~n": 4, "~1": 5});
        assert_eq!(find("/realm_access/roles", claims.clone()), Some(json!(["a", "b"])));
        assert_eq!(find("/realm_access/roles/0", claims.clone()), Some(json!("a")));
        assert_eq!(find("/realm_access/roles/1", claims.clone()), Some(json!("b")));
        assert_eq!(find("/https:~1~1ns~1groups", claims.clone()), Some(json!(2)));
        assert_eq!(find("//", claims.clone()), Some(json!(3)));
        assert_eq!(find("/m~0n", claims.clone()), Some(json!(4)));
        assert_eq!(find("/~01", claims), Some(json!(5)));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let claims = json!({"a": {"b": "text"}, "list": ["x"]});
        for path in
            ["/b", "/a/c", "/a/b/c", "/list/1", "/list/-", "/list/00", "/list/+0", "/list/x", "/list/", "/a/b/", "/A"]
        {
            assert_eq!(find(path, claims.clone()), None, "{path}");
        }
    }

    #[test]
    fn a_path_that_cannot_be_meant_is_an_error() {
        assert_eq!(ClaimPath::parse(""), Err(ClaimPathError::Empty));
        for path in ["/~", "/a~", "/a~2b", "/a/~x", "/~~0"] {
            assert_eq!(ClaimPath::parse(path), Err(ClaimPathError::Escape), "{path}");
        }
    }

    #[test]
    fn a_path_shows_as_it_was_written() {
        for path in ["sub", "/https:~1~1ns~1groups"] {
            assert_eq!(path.parse::<ClaimPath>().unwrap().to_string(), path);
        }
        assert_eq!(ClaimPath::name("/sub").find(json!({"/sub": 1}).as_object().unwrap()), Some(&json!(1)));
    }
}
