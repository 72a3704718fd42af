//! Patterns of ids that are each caller's own: `/Workspace/Users/${subject}/**`.

use super::{Glob, Rule};
use crate::databricks::canonical;
use crate::jwt::{Caller, ClaimPath, ClaimPathError};

/// A pattern of ids of one type in which values of the caller stand.
#[derive(Clone, Debug)]
pub struct OwnPattern {
    /// The type of resource.
    kind: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Subject,
    Claim(ClaimPath),
}

/// Why a pattern with `${` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnPatternError {
    /// What begins with `${` has no end.
    #[error("has `${{` without `}}`")]
    Open,
    /// It is no value of a caller.
    #[error("has `${{{0}}}`, which is neither `${{subject}}` nor `${{claim:NAME}}`")]
    Unknown(String),
    /// The claim's name cannot be one.
    #[error("names a claim that cannot be: {0}")]
    Claim(#[from] ClaimPathError),
}

impl OwnPattern {
    /// Reads a pattern of ids of type `kind`; `None` if nothing of a caller stands in it.
    ///
    /// # Errors
    /// What begins with `${` is no value of a caller.
    pub fn parse(kind: &str, text: &str) -> Result<Option<Self>, OwnPatternError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').ok_or(OwnPatternError::Open)?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(match (name, name.strip_prefix("claim:")) {
                ("subject", _) => Part::Subject,
                (_, Some(claim)) => Part::Claim(ClaimPath::parse(claim)?),
                _ => return Err(OwnPatternError::Unknown(name.to_owned())),
            });
            rest = behind;
        }
        if parts.is_empty() {
            return Ok(None);
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Some(Self { kind: kind.to_owned(), parts }))
    }

    /// The pattern of `caller`'s own; `None` if it has none: a value is not there, is no text, or could mean more than itself.
    fn of(&self, caller: &Caller) -> Option<Glob> {
        let mut text = String::new();
        for part in &self.parts {
            text.push_str(match part {
                Part::Text(text) => text,
                Part::Subject => literal(caller.subject())?,
                Part::Claim(path) => literal(caller.claim(path)?.as_str()?)?,
            });
        }
        Some(Glob::new(canonical(&self.kind, &text)))
    }
}

/// `value`, if it stands for itself alone, in one step of a path and in either case: an id is compared with it, not read.
fn literal(value: &str) -> Option<&str> {
    let becomes_ascii = |letter: char| !letter.is_ascii() && letter.to_lowercase().any(|lower| lower.is_ascii());
    let is_special = |letter: char| matches!(letter, '/' | '*' | '%') || letter.is_control() || becomes_ascii(letter);
    (!value.is_empty() && !value.contains("..") && !value.contains(is_special)).then_some(value)
}

/// The patterns of ids of one type, as they are for a caller.
#[derive(Debug)]
pub(super) struct Patterns<'r> {
    written: &'r [Glob],
    own: Vec<Glob>,
}

impl Patterns<'_> {
    pub(super) fn any(&self, meant: impl FnMut(&Glob) -> bool) -> bool {
        self.written.iter().chain(&self.own).any(meant)
    }

    pub(super) fn match_id(&self, id: &str) -> bool {
        self.any(|glob| glob.matches(id))
    }

    /// Whether some id that begins with `prefix` matches.
    #[inline(never)]
    pub(super) fn match_some_within(&self, prefix: &str) -> bool {
        self.any(|glob| glob.matches_some_within(prefix))
    }
}

impl<'r> From<&'r [Glob]> for Patterns<'r> {
    fn from(written: &'r [Glob]) -> Self {
        Self { written, own: Vec::new() }
    }
}

impl Rule {
    /// The rule's patterns of ids of type `kind` for `caller`, of which `written` are everybody's. One of which the caller has none
    /// matches nothing.
    pub(super) fn patterns<'r>(&self, kind: &str, written: &'r [Glob], caller: &Caller) -> Patterns<'r> {
        let own = self.own.iter().filter(|own| own.kind == kind).filter_map(|own| own.of(caller)).collect();
        Patterns { written, own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::testing::caller;
    use serde_json::{Value, json};

    /// The pattern as it is for a caller with these claims.
    fn own(kind: &str, text: &str, claims: Value) -> Option<String> {
        let pattern = OwnPattern::parse(kind, text).unwrap().unwrap();
        pattern.of(&caller(claims)).map(|glob| glob.as_str().to_owned())
    }

    #[test]
    fn values_of_the_caller_stand_in_the_pattern_as_they_are() {
        let folder = "/Workspace/Users/${subject}/**";
        assert_eq!(own("path", folder, json!({"sub": "a+b@x.example"})).unwrap(), "/Users/a+b@x.example/**");
        let both = "${claim:/org/team}-${subject}-$x}";
        assert_eq!(own("repo", both, json!({"org": {"team": "red"}})).unwrap(), "red-anna-$x}");
        assert_eq!(own("table", "main.${claim:Team}.*", json!({"Team": "Sales"})).unwrap(), "main.sales.*");
    }

    #[test]
    fn a_value_that_could_mean_more_than_itself_leaves_nothing() {
        let of = |value: Value| own("path", "/Teams/${claim:team}/x", json!({"team": value}));
        for value in ["", "a/b", "*", "a*", "%2e", "..", "a..b", "a\nb", "a\0", "\u{7f}", "\u{85}", "\u{212a}im"]
            .map(|v| json!(v))
        {
            assert_eq!(of(value.clone()), None, "{value}");
        }
        for value in [json!(7), json!(true), json!(["a"]), json!({"a": "b"})] {
            assert_eq!(of(value.clone()), None, "{value}");
        }
        assert_eq!(own("path", "/${claim:team}", json!({})), None, "it is not there");
        assert_eq!(own("path", "/${subject}", json!({"sub": "../root"})), None);
        for value in ["a", ".", "a.b", "Übung", "a b", "[x]", "?", "${subject}", "a\\b"] {
            assert_eq!(of(json!(value)).unwrap(), format!("/Teams/{value}/x"));
        }
    }

    #[test]
    fn what_is_no_value_of_a_caller_is_an_error() {
        let error = |text: &str| OwnPattern::parse("path", text).unwrap_err();
        assert_eq!(error("/a/${subject"), OwnPatternError::Open);
        for name in ["", "Subject", "groups", "claim", "claims:x"] {
            assert_eq!(error(&format!("/a/${{{name}}}")), OwnPatternError::Unknown(name.to_owned()));
        }
        assert!(matches!(error("/${claim:}"), OwnPatternError::Claim(_)));
        assert!(matches!(error("/${claim:/~x}"), OwnPatternError::Claim(_)));
        for text in ["/a/*", "$", "/$subject/{subject}"] {
            assert!(OwnPattern::parse("path", text).unwrap().is_none(), "{text}");
        }
    }
}
