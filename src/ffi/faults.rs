//! What tests may do to the library: set its clock, have it panic, start its worker anew. Where the feature `faults` is off, as in every
//! library that is shipped, none of it is there.

#[cfg(not(feature = "faults"))]
pub(super) use off::{panic_if_asked, panic_if_due, time};
#[cfg(feature = "faults")]
pub use on::{open_requests, panic_after, restart, set_time, take_panic};
#[cfg(feature = "faults")]
pub(super) use on::{panic_if_asked, panic_if_due, time};

#[cfg(feature = "faults")]
mod on {
    use super::super::boundary::Head;
    use super::super::{counts, worker};
    use crate::base::{Now, UnixTime, Uptime};
    use std::cell::Cell;

    thread_local! {
        static TIME: Cell<Option<Now>> = const { Cell::new(None) };
        /// After how many further places where it may panic the library does.
        static PANIC_IN: Cell<Option<u32>> = const { Cell::new(None) };
        static HAS_PANICKED: Cell<bool> = const { Cell::new(false) };
    }

    /// From now on it is this time for the worker of this thread, until it is set again.
    pub fn set_time(wall: UnixTime, uptime: Uptime) {
        TIME.set(Some(Now { wall, uptime }));
    }

    /// What a test says the time is.
    pub(in super::super) fn time() -> Option<Now> {
        TIME.get()
    }

    /// Has the library panic once on this thread, after so many further places where it may: where a call reaches the worker, and where the
    /// work on a request or a tick is done and not yet put back. `None` takes that back. Answers what was left of what was asked for before.
    pub fn panic_after(places: Option<u32>) -> Option<u32> {
        PANIC_IN.replace(places)
    }

    /// Whether the library panicked on this thread since this was asked last.
    #[must_use]
    pub fn take_panic() -> bool {
        HAS_PANICKED.take()
    }

    /// Panics if a test has it due here.
    pub(in super::super) fn panic_if_due() {
        match PANIC_IN.get() {
            Some(0) => {
                PANIC_IN.set(None);
                HAS_PANICKED.set(true);
                // past the hook that prints: schedules have thousands of them
                std::panic::resume_unwind(Box::new("a test asked for it"));
            }
            left => PANIC_IN.set(left.map(|left| left.saturating_sub(1))),
        }
    }

    /// Panics if the request says so.
    pub(in super::super) fn panic_if_asked(head: &Head<'_>) {
        assert!(
            !head.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"x-test-panic")),
            "a test asked for it"
        );
    }

    /// How many requests this thread's worker knows.
    #[must_use]
    pub fn open_requests() -> usize {
        worker::open_requests()
    }

    /// A worker that knows nothing takes the place of this thread's, as after a reload. What the process has (the environment, the key that
    /// seals) stays.
    pub fn restart() {
        PANIC_IN.set(None);
        HAS_PANICKED.set(false);
        worker::restart();
        drop(counts::take());
    }
}

#[cfg(not(feature = "faults"))]
mod off {
    use super::super::boundary::Head;
    use crate::base::Now;

    pub(in super::super) const fn time() -> Option<Now> {
        None
    }

    pub(in super::super) const fn panic_if_due() {}

    pub(in super::super) const fn panic_if_asked(_: &Head<'_>) {}
}
