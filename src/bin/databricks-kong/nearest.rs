//! "Did you mean": the known word that a mistyped one is nearest to.

/// The candidate with the fewest changed letters; nothing if all differ too much to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = word.chars().count().div_ceil(4).clamp(1, 3);
    let lower = word.to_lowercase();
    let scored = candidates.into_iter().filter_map(|candidate| {
        let score = distance(&lower, &candidate.to_lowercase(), most)?;
        Some((score, candidate))
    });
    scored.min().map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken out, replaced or swapped with the next; nothing beyond `most`.
pub(crate) fn distance(one: &str, other: &str, most: usize) -> Option<usize> {
    let (one, other): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row.saturating_add(1)];
        for (column, wanted) in other.iter().enumerate() {
            let at = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX);
            let replaced = at(&last, column).saturating_add(usize::from(letter != wanted));
            let gone = at(&last, column.saturating_add(1)).saturating_add(1);
            let new = at(&next, column).saturating_add(1);
            let is_swap = row
                .checked_sub(1)
                .zip(column.checked_sub(1))
                .is_some_and(|(row, column)| one.get(row) == Some(wanted) && other.get(column) == Some(letter));
            let swapped = if is_swap { at(&before, column.saturating_sub(1)).saturating_add(1) } else { usize::MAX };
            next.push(replaced.min(gone).min(new).min(swapped));
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_hand_is_understood_and_another_word_is_not() {
        let words = ["jobs.run_now", "jobs.list", "jobs", "table", "audiences"];
        for (slip, meant) in [
            ("jobs.run_nwo", "jobs.run_now"),
            ("jobz", "jobs"),
            ("Jobs", "jobs"),
            ("tables", "table"),
            ("audience", "audiences"),
        ] {
            assert_eq!(nearest(slip, words), Some(meant), "{slip}");
        }
        for other in ["clusters.start", "x", ""] {
            assert_eq!(nearest(other, words), None, "{other}");
        }
    }
}
