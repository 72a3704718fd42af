//! The core's metrics, as the host's.

use super::abi::{self, Level, MetricKind};
use crate::base::SortedMap;
use crate::flow::Metric;
use std::cell::RefCell;

/// The host's numbers for a metric.
#[derive(Clone, Copy)]
struct Defined {
    counter: u32,
    /// Of the gauge that says when it was counted last.
    timestamp: Option<u32>,
}

thread_local! {
    static METRICS: RefCell<SortedMap<Metric, Defined>> = const { RefCell::new(SortedMap::new()) };
}

/// Defines all metrics, once an instance: on Kong a definition waits for a lock that a scrape of the metrics page may hold.
pub(super) fn define() {
    if METRICS.try_with(|metrics| metrics.try_borrow().is_ok_and(|metrics| !metrics.is_empty())).unwrap_or(true) {
        return;
    }
    let define = |metric: Metric| {
        let counter = abi::metric(MetricKind::Counter, metric.name()).ok()?;
        let timestamp = metric.timestamp().and_then(|name| abi::metric(MetricKind::Gauge, name).ok());
        Some((metric, Defined { counter, timestamp }))
    };
    let defined: SortedMap<_, _> = Metric::all().filter_map(define).collect();
    if defined.is_empty() {
        abi::log(Level::Warn, "the host takes no metrics");
    }
    let _ = METRICS.try_with(|metrics| metrics.try_borrow_mut().map(|mut metrics| *metrics = defined));
}

/// Counts each of `metrics` once.
pub(super) fn count(metrics: impl IntoIterator<Item = Metric>) {
    for metric in metrics {
        let known = METRICS.try_with(|known| known.try_borrow().ok()?.get(&metric).copied());
        let Some(defined) = known.ok().flatten() else { continue };
        // what the host does not take is lost, and no reason to fail a request
        let _ = abi::increment(defined.counter);
        if let Some(gauge) = defined.timestamp
            && let Ok(nanos) = abi::time()
        {
            let _ = abi::record(gauge, nanos / 1_000_000_000);
        }
    }
}
