//! The core's metrics, as the host's.
//!
//! Each count is a call of the host, which takes a lock on Kong. What every request of a known caller counts is therefore kept back, and told
//! with whatever else is counted, or once a second while requests come; an instance that is lost takes along what it kept back.

use super::abi::{self, Level, MetricKind};
use crate::base::{Now, SortedMap, Uptime};
use crate::flow::Metric;
use std::cell::RefCell;
use std::time::Duration;

/// For how long a count is kept back at most, if another event comes after that.
const LONGEST: Duration = Duration::from_secs(1);

/// The host's numbers for a metric.
#[derive(Debug)]
struct Defined {
    counter: u32,
    /// Of the gauge that says when it was counted last.
    timestamp: Option<u32>,
    /// What the host was not told yet.
    untold: u32,
}

#[derive(Debug)]
struct Metrics {
    defined: SortedMap<Metric, Defined>,
    told_at: Uptime,
}

thread_local! {
    static METRICS: RefCell<Metrics> =
        const { RefCell::new(Metrics { defined: SortedMap::new(), told_at: Uptime::from_millis(0) }) };
}

fn with<T>(otherwise: T, action: impl FnOnce(&mut Metrics) -> T) -> T {
    let result = METRICS.try_with(|metrics| metrics.try_borrow_mut().ok().map(|mut metrics| action(&mut metrics)));
    result.ok().flatten().unwrap_or(otherwise)
}

/// Defines all metrics, once an instance: on Kong a definition waits for a lock that a scrape of the metrics page may hold.
pub(super) fn define() {
    if with(true, |metrics| !metrics.defined.is_empty()) {
        return;
    }
    let define = |metric: Metric| {
        let counter = abi::metric(MetricKind::Counter, metric.name()).ok()?;
        let timestamp = metric.timestamp().and_then(|name| abi::metric(MetricKind::Gauge, name).ok());
        Some((metric, Defined { counter, timestamp, untold: 0 }))
    };
    let defined: SortedMap<_, _> = Metric::all().filter_map(define).collect();
    if defined.is_empty() {
        abi::log(Level::Warn, "the host takes no metrics");
    }
    with((), |metrics| metrics.defined = defined);
}

/// Counts each of `metrics` once, at `now`; without a time, at once.
pub(super) fn count(metrics: impl IntoIterator<Item = Metric>, now: Option<Now>) {
    with((), |known| {
        let mut is_routine = true;
        for metric in metrics {
            is_routine &= metric.is_routine();
            if let Some(defined) = known.defined.get_mut(&metric) {
                defined.untold = defined.untold.saturating_add(1);
            }
        }
        let due = known.told_at.plus(LONGEST);
        if !is_routine || now.is_none_or(|now| now.uptime >= due) {
            known.tell(now);
        }
    });
}

impl Metrics {
    fn tell(&mut self, now: Option<Now>) {
        self.told_at = now.map_or(self.told_at, |now| now.uptime);
        for (_, defined) in self.defined.iter_mut().filter(|(_, defined)| defined.untold > 0) {
            // what the host does not take is lost, and no reason to fail a request
            let _ = abi::increment(defined.counter, std::mem::take(&mut defined.untold));
            if let (Some(gauge), Some(now)) = (defined.timestamp, now) {
                let _ = abi::record(gauge, now.wall.as_secs());
            }
        }
    }
}
