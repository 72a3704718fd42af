//! Patterns found by how they begin, so that each need not be compared with every other one.

use std::collections::HashMap;

/// Patterns, each with a number, by what stands before their first star.
#[derive(Debug, Default)]
pub(super) struct Prefixes<'a>(HashMap<&'a str, Vec<usize>>);

impl<'a> Prefixes<'a> {
    pub(super) fn add(&mut self, pattern: &'a str, number: usize) {
        let start = pattern.split('*').next().unwrap_or_default();
        self.0.entry(start).or_default().push(number);
    }

    /// The numbers of all patterns that may match everything that `pattern` does: each begins as `pattern` does.
    pub(super) fn that_may_cover(&self, pattern: &str) -> impl Iterator<Item = usize> {
        let ends = pattern.char_indices().map(|(at, _)| at).chain([pattern.len()]);
        let starts = ends.filter_map(|end| self.0.get(pattern.get(..end)?));
        starts.flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_cover_a_pattern_begins_as_it_does() {
        let mut prefixes = Prefixes::default();
        for (number, pattern) in ["team-*", "team-a", "*", "other", "té*"].into_iter().enumerate() {
            prefixes.add(pattern, number);
        }
        let found = |pattern: &str| {
            let mut found: Vec<_> = prefixes.that_may_cover(pattern).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(found("team-a"), [0, 1, 2]);
        assert_eq!(found("team-*"), [0, 2]);
        assert_eq!(found("team"), [2]);
        assert_eq!(found("tés"), [2, 4]);
    }
}
