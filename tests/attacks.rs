//! The table of known failures, attacks.tsv, names tests that exist, and leaves no row of the attempts out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::path::Path;

const TABLE: &str = include_str!("attacks.tsv");
const ATTEMPTS_FILE: &str = "tests/bypass/attempts.tsv";
const ATTEMPTS: &str = include_str!("bypass/attempts.tsv");

fn rows() -> impl Iterator<Item = [&'static str; 3]> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').collect::<Vec<_>>().try_into().unwrap_or_else(|row| panic!("{row:?}")))
}

/// The second column of the attempts, where it names a failure.
fn sources() -> BTreeSet<&'static str> {
    let lines = ATTEMPTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let sources = lines.filter_map(|line| line.split('\t').nth(1));
    sources.filter(|source| !["own", "control"].contains(source)).collect()
}

/// `FILE::NAME`, where the file has a test or a property of that name.
fn is_a_test(place: &str) -> bool {
    let Some((file, name)) = place.split_once("::") else { return false };
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default();
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else { return false };
    before.trim_end().ends_with("#[test]")
}

#[test]
fn every_test_that_the_table_names_exists() {
    let sources = sources();
    for [failure, what, shown_by] in rows() {
        if what == "-" {
            assert!(!shown_by.contains("::"), "{failure} cannot apply, but has a test");
            continue;
        }
        for place in shown_by.split(' ') {
            let is_there = if place == ATTEMPTS_FILE { sources.contains(failure) } else { is_a_test(place) };
            assert!(is_there, "{failure}: no {place}");
        }
    }
}

#[test]
fn every_failure_stands_in_the_table_once() {
    let mut failures = BTreeSet::new();
    for [failure, ..] in rows() {
        assert!(failures.insert(failure), "{failure} twice");
    }
    for source in sources() {
        assert!(failures.contains(source), "{source} has attempts and no row");
    }
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    assert!(is_a_test("tests/attacks.rs::a_test_that_is_not_there_is_noticed"));
    for place in ["tests/attacks.rs::nothing", "tests/attacks.rs::is_a_test", "tests/nothing.rs::x", "x"] {
        assert!(!is_a_test(place), "{place}");
    }
}
