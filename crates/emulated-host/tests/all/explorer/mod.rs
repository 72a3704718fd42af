//! Orders of events that nobody thought of: several requests at once, answers in any order, faults, traps, lost instances.
//!
//! `HOST_SEED=…` replays one schedule, `HOST_SCHEDULES=…` says how many there are.

mod cast;
mod check;
mod invariant;
mod play;
mod tally;

use invariant::{Invariant, Sabotage};
use play::Play;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tally::{MET, Tally};

const SCHEDULES: u64 = 50_000;
/// With fewer schedules, what is rare may well not happen.
const ENOUGH: u64 = 10_000;

#[test]
fn no_order_of_events_lets_a_request_on_that_was_not_decided_on() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("HOST_SEED") {
        return Play::new(seed, None, &mut Tally::default()).run();
    }
    let schedules = number("HOST_SCHEDULES").unwrap_or(SCHEDULES);
    let (next, all) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let mut tally = Tally::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= schedules {
                        all.lock().unwrap().add(&tally);
                        return;
                    }
                    if catch_unwind(AssertUnwindSafe(|| Play::new(seed, None, &mut tally).run())).is_err() {
                        next.store(schedules, Ordering::Relaxed);
                        panic!("replay it with HOST_SEED={seed}");
                    }
                }
            });
        }
    });
    let tally = all.into_inner().unwrap();
    println!("{schedules} schedules:\n{tally}");
    assert!(schedules < ENOUGH || tally.missing(MET).is_empty(), "never met: {:?}", tally.missing(MET));
}

/// Whether a check finds one of many schedules wrong with this message; otherwise, what others found.
fn is_noticed(sabotage: Sabotage, wanted: &str) -> Result<(), Vec<String>> {
    let mut others = Vec::new();
    for seed in 0..10_000 {
        let mut tally = Tally::default();
        let played = catch_unwind(AssertUnwindSafe(|| Play::new(seed, Some(sabotage), &mut tally).run()));
        let Err(panic) = played else { continue };
        let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        if message.starts_with(wanted) {
            return Ok(());
        }
        others.push(message);
    }
    Err(others)
}

#[test]
fn each_check_notices_a_world_that_breaks_what_it_is_for() {
    for (sabotage, invariant) in Sabotage::ALL {
        let noticed = is_noticed(sabotage, &invariant.broken());
        assert!(noticed.is_ok(), "{sabotage:?} goes unnoticed by {invariant:?}: {noticed:?}");
    }
    for invariant in Invariant::ALL {
        assert!(Sabotage::ALL.iter().any(|(_, broken)| *broken == invariant), "nothing breaks {invariant:?}");
    }
}
