//! Patterns in which `*` matches any run of characters.

/// A pattern: literal text in which `*` stands for any run of characters, none included. Case matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    /// Whether there is no star in it, as in most.
    is_literal: bool,
}

impl Glob {
    /// The pattern `text`; every text is one.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { is_literal: !text.contains('*'), text }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `text` matches. Costs at most pattern length times text length.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        if self.is_literal {
            return self.text == text;
        }
        let mut parts = self.text.split('*');
        // `split` gives at least one part
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        // the leftmost place is always the best one for a part between two stars
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }

    /// Whether every text that begins with `prefix` matches.
    #[must_use]
    pub fn matches_all_within(&self, prefix: &str) -> bool {
        self.text.ends_with('*') && self.matches(prefix)
    }

    /// Whether some text that begins with `prefix` matches.
    #[must_use]
    pub fn matches_some_within(&self, prefix: &str) -> bool {
        let mut parts = self.text.split('*');
        let first = parts.next().unwrap_or_default();
        let literal = parts.next().is_none();
        // behind a star anything may follow, so only what stands before it can keep the two apart
        if literal { first.starts_with(prefix) } else { first.starts_with(prefix) || prefix.starts_with(first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::new(pattern.to_owned()).matches(text)
    }

    #[test]
    fn without_a_star_only_the_same_text_matches() {
        assert!(matches("team-a", "team-a"));
        for other in ["team-", "team-ab", "xteam-a", "Team-a", ""] {
            assert!(!matches("team-a", other), "{other}");
        }
    }

    #[test]
    fn a_star_matches_any_run_and_none() {
        for (pattern, text) in [
            ("team-*", "team-"),
            ("team-*", "team-x/y z"),
            ("*", ""),
            ("*", "anything"),
            ("*-admins", "db-admins"),
            ("a*b*c", "abc"),
            ("a*b*c", "a-b-b-c"),
            ("a**c", "abc"),
            ("*a*", "bab"),
            ("é*", "éa"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
    }

    /// GHSA-c5c4-8r6x-56w3
    #[test]
    fn a_domain_is_what_stands_at_the_end_however_many_at_signs_come_before() {
        assert!(matches("*@example.com", "anna@example.com"));
        for other in ["eve@example.com@evil.example", "eve@evil.example@xexample.com", "@example.com.evil.example"] {
            assert!(!matches("*@example.com", other), "{other}");
        }
    }

    #[test]
    fn a_pattern_is_compared_with_all_texts_of_a_prefix() {
        for (pattern, prefix, all, some) in [
            ("a.b.*", "a.b.", true, true),
            ("a.*", "a.b.", true, true),
            ("*", "a.b.", true, true),
            ("a.b.c", "a.b.", false, true),
            ("a.b.c*", "a.b.", false, true),
            ("a.*.c", "a.b.", false, true),
            ("*.c", "a.b.", false, true),
            ("a.bc.*", "a.b.", false, false),
            ("a.b", "a.b.", false, false),
            ("b.*", "a.b.", false, false),
        ] {
            let glob = Glob::new(pattern.to_owned());
            assert_eq!((glob.matches_all_within(prefix), glob.matches_some_within(prefix)), (all, some), "{pattern}");
        }
    }

    #[test]
    fn nothing_else_matches() {
        for (pattern, text) in [
            ("team-*", "steam-x"),
            ("*-admins", "db-admins2"),
            ("a*b*c", "acb"),
            ("a*a", "a"),
            ("ab*ba", "aba"),
            ("*a*a", "ba"),
            ("a.c", "abc"),
            ("[a]", "a"),
            ("", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
