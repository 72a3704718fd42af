//! What was counted since the page of metrics last heard of it. A request counts three or four times; the page is told once a second.

use super::message::Message;
use crate::flow::Metric;
use std::cell::RefCell;

thread_local! {
    /// By the place of a counter's name in what `dk_start` answers.
    static COUNTS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Counts each of these once.
pub(super) fn add(metrics: &[Metric]) {
    with((), |counts| {
        for metric in metrics {
            let Some(place) = Metric::all().position(|one| one == *metric) else { continue };
            if counts.len() <= place {
                counts.resize(place.saturating_add(1), 0);
            }
            if let Some(count) = counts.get_mut(place) {
                *count = count.saturating_add(1);
            }
        }
    });
}

/// Gives out what was counted, once: the place of a counter, from one, and how often, by turns.
pub(super) fn take() -> Message {
    let counts = with(Vec::new(), std::mem::take);
    let counted = (1_usize..).zip(counts).filter(|(_, count)| *count > 0);
    let mut message = Message::default();
    message.push_pairs(counted.map(|(place, count)| (place.to_string(), count.to_string())));
    message
}

fn with<T>(otherwise: T, action: impl FnOnce(&mut Vec<u64>) -> T) -> T {
    let result = COUNTS.try_with(|counts| counts.try_borrow_mut().ok().map(|mut counts| action(&mut counts)));
    result.ok().flatten().unwrap_or(otherwise)
}
