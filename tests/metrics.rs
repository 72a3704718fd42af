//! docs/metrics.md names the metrics that there are, and no others.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use databricks_kong::flow::Metric;
use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../docs/metrics.md");

/// Words in backticks of the rows of the table under a heading or a sentence.
fn words_after(start: &str, column: usize) -> BTreeSet<String> {
    let (_, rest) = DOCUMENT.split_once(start).unwrap();
    rest.lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .filter_map(|row| row.split('|').nth(column))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_document_has_each_counter_each_reason_and_each_gauge() {
    let (refusals, others): (BTreeSet<_>, BTreeSet<_>) =
        Metric::all().map(|metric| metric.name().to_owned()).partition(|name| name.starts_with("denied_"));
    let mut counters = words_after("## Counters", 1);
    assert!(counters.remove("denied_<reason>"));
    assert_eq!(counters, others);
    let reasons: BTreeSet<_> = refusals.iter().map(|name| name.strip_prefix("denied_").unwrap().to_owned()).collect();
    assert_eq!(words_after("The reasons, in lower case", 2), reasons);
    let gauges: BTreeSet<_> = Metric::all().filter_map(Metric::timestamp).map(str::to_owned).collect();
    assert_eq!(words_after("## Gauges", 1), gauges);
}
