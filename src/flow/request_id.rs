//! The name by which a request is found again in logs, audit records and at Databricks.

use std::fmt;
use std::rc::Rc;

const UNKNOWN: &str = "unknown";
/// What stands before the id at the end of a `User-Agent`.
pub(super) const MARK: &str = concat!("databricks-kong/", env!("CARGO_PKG_VERSION"), " req/");

/// A request id: at most 64 letters, digits, `-`, `_` and `.`, so that it can stand in any header and log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Rc<str>);

impl RequestId {
    /// The id `text`, if it is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        ((1..=64).contains(&text.len()) && text.bytes().all(fits)).then(|| Self(text.into()))
    }

    /// The id of a request of which nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self(UNKNOWN.into())
    }

    /// Whether it is that of a request of which nothing is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self.0 == *UNKNOWN
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a `User-Agent` ends in, by which Databricks' own audit can be joined.
    pub(super) fn mark(&self) -> String {
        [MARK, self.as_str()].concat()
    }

    /// The text, to be kept.
    pub(super) const fn shared(&self) -> &Rc<str> {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_harmless_in_a_header_is_an_id() {
        for text in ["a", "0af7651916cd43dd8448eb211c80319c", "5f3c-1_2.3"] {
            assert_eq!(RequestId::new(text).unwrap().to_string(), text);
        }
        for text in ["", "a b", "a\r\nb", "é", "a;b", &"a".repeat(65)] {
            assert_eq!(RequestId::new(text), None, "{text:?}");
        }
    }
}
