//! The core's counters, as the host's.

use super::abi::{self, Level};
use crate::base::SortedMap;
use crate::flow::Metric;
use std::cell::RefCell;

thread_local! {
    static COUNTERS: RefCell<SortedMap<Metric, u32>> = const { RefCell::new(SortedMap::new()) };
}

/// Defines all counters, once an instance: on Kong a definition waits for a lock that a scrape of the metrics page may hold.
pub(super) fn define() {
    if COUNTERS.try_with(|counters| counters.try_borrow().is_ok_and(|counters| !counters.is_empty())).unwrap_or(true) {
        return;
    }
    let defined: SortedMap<_, _> =
        Metric::all().filter_map(|metric| Some((metric, abi::counter(metric.name()).ok()?))).collect();
    if defined.is_empty() {
        abi::log(Level::Warn, "the host takes no metrics");
    }
    let _ = COUNTERS.try_with(|counters| counters.try_borrow_mut().map(|mut counters| *counters = defined));
}

/// Counts each of `metrics` once.
pub(super) fn count(metrics: impl IntoIterator<Item = Metric>) {
    for metric in metrics {
        let counter = COUNTERS.try_with(|counters| counters.try_borrow().ok()?.get(&metric).copied());
        if let Some(counter) = counter.ok().flatten() {
            // a count that the host does not take is lost, and no reason to fail a request
            let _ = abi::increment(counter);
        }
    }
}
