//! A document of another server that is fetched, kept, refreshed ahead of its end, and served for a while when that server is down.

use super::Capabilities;
use crate::base::{Now, Uptime};
use crate::config::CalloutLimits;
use std::rc::Rc;
use std::time::Duration;

/// What was known is asked for again, because something is not in it, at most this often, whoever wants it.
const LACK_COOL_DOWN: Duration = Duration::from_secs(30);
/// After a failure the server is left alone for this long.
const FAILURE_COOL_DOWN: Duration = Duration::from_secs(5);
/// What is told to wait while a fetch is under way.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// By when all tries of so many fetches, one after the other, have surely ended.
pub(super) fn lease(limits: CalloutLimits, fetches: u32) -> Duration {
    // an answer that comes after the deadline of its try is not used, but it may begin the next fetch at that moment
    limits.total().saturating_mul(fetches.saturating_add(1))
}

/// Why a document is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// There is none.
    Cold,
    /// The one that is known should be refreshed.
    Stale,
    /// The one that is known lacks something.
    Lacking,
}

/// What is known.
#[derive(Debug)]
pub(super) enum Held<T> {
    /// Use it.
    Fresh(Rc<T>),
    /// Refresh it; use it if that cannot be.
    Stale(Rc<T>),
    /// Nothing, or something too old to be used.
    None,
}

/// Whether the document may be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Yes: whoever asked holds the lease for it.
    Fetch,
    /// Somebody else does so now. Who can wait for that may send the same.
    UnderWay,
    /// Not before this time has passed: the server failed a moment ago, or its answer got lost.
    After(Duration),
    /// It was fetched a moment ago, and what is lacking was not in it.
    Nothing,
}

impl Begin {
    /// When to come back.
    pub(super) const fn wait(self) -> Duration {
        match self {
            Self::After(left) => left,
            Self::Fetch | Self::UnderWay | Self::Nothing => UNDER_WAY,
        }
    }
}

/// One document, and what is known of the server that has it.
#[derive(Debug)]
pub(super) struct Source<T> {
    known: Option<Known<T>>,
    /// When the last fetch failed, unless one has succeeded since.
    failed_at: Option<Uptime>,
    /// When a lack last led to a fetch.
    lacked_at: Option<Uptime>,
    /// Until when a fetch is under way. If its answer gets lost, the lease ends all the same.
    lease: Option<Uptime>,
}

#[derive(Debug)]
struct Known<T> {
    value: Rc<T>,
    fetched_at: Uptime,
    fresh_until: Uptime,
}

impl<T> Default for Source<T> {
    fn default() -> Self {
        Self { known: None, failed_at: None, lacked_at: None, lease: None }
    }
}

impl<T> Source<T> {
    /// What is known, stale from the last `1 / parts` of its freshness on (for 0, from its end on), and for `max_stale` after that has ended.
    pub(super) fn held(&self, parts: u32, max_stale: Duration, now: Now) -> Held<T> {
        let Some(known) = &self.known else { return Held::None };
        if now.uptime < known.fresh_until.minus(known.lead(parts)) {
            Held::Fresh(Rc::clone(&known.value))
        } else if now.uptime < known.fresh_until.plus(max_stale) {
            Held::Stale(Rc::clone(&known.value))
        } else {
            Held::None
        }
    }

    /// Begins a fetch that surely has ended after `lease`, if it is time.
    pub(super) fn begin(&mut self, need: Need, lease: Duration, now: Now) -> Begin {
        if let Some(left) = left(self.failed_at, FAILURE_COOL_DOWN, now.uptime) {
            return Begin::After(left);
        }
        if self.is_under_way(now) {
            return Begin::UnderWay;
        }
        if need == Need::Lacking {
            // while the server is down nobody knows what it would say
            let asked = self.lacked_at.filter(|_| self.failed_at.is_none());
            if let Some(left) = left(asked, LACK_COOL_DOWN, now.uptime) {
                return if self.was_fetched_since(asked) { Begin::Nothing } else { Begin::After(left) };
            }
            self.lacked_at = Some(now.uptime);
        }
        self.lease = Some(now.uptime.plus(lease));
        Begin::Fetch
    }

    /// As [`Source::begin`], or goes along with a fetch that is under way, where requests can wait for others.
    ///
    /// # Errors
    ///
    /// Why the document is not to be asked for now.
    pub(super) fn begin_or_join(
        &mut self,
        need: Need,
        lease: Duration,
        can: Capabilities,
        now: Now,
    ) -> Result<(), Begin> {
        match self.begin(need, lease, now) {
            Begin::Fetch => Ok(()),
            // nobody waits for what can be done without
            Begin::UnderWay if can.waits_for_others && need != Need::Stale => Ok(()),
            not_now => Err(not_now),
        }
    }

    /// Otherwise the answer got lost, and nobody knows what the server said.
    fn was_fetched_since(&self, asked: Option<Uptime>) -> bool {
        self.known.as_ref().map(|known| known.fetched_at) >= asked
    }

    fn is_under_way(&self, now: Now) -> bool {
        self.lease.is_some_and(|until| now.uptime < until)
    }

    /// What was fetched, and for how long it is fresh.
    pub(super) fn succeeded(&mut self, value: T, freshness: Duration, now: Now) {
        let fresh_until = now.uptime.plus(freshness);
        self.known = Some(Known { value: Rc::new(value), fetched_at: now.uptime, fresh_until });
        (self.failed_at, self.lease) = (None, None);
    }

    /// The server said at `now` that what is known is still so, and for how long that is fresh.
    pub(super) fn confirmed(&mut self, freshness: Duration, now: Now) {
        if let Some(known) = &mut self.known {
            (known.fetched_at, known.fresh_until) = (now.uptime, now.uptime.plus(freshness));
            (self.failed_at, self.lease) = (None, None);
        }
    }

    /// The fetch came to nothing.
    pub(super) fn failed(&mut self, now: Now) {
        (self.failed_at, self.lease) = (Some(now.uptime), None);
    }

    /// When to tell callers who cannot be served to come back.
    pub(super) fn retry_after(&self, now: Now) -> Duration {
        left(self.failed_at, FAILURE_COOL_DOWN, now.uptime).unwrap_or(UNDER_WAY)
    }
}

impl<T> Known<T> {
    /// The last part of the freshness: one of `parts`.
    fn lead(&self, parts: u32) -> Duration {
        self.fresh_until.since(self.fetched_at).checked_div(parts).unwrap_or_default()
    }
}

/// What is left of `cool_down` since `then`.
fn left(then: Option<Uptime>, cool_down: Duration, now: Uptime) -> Option<Duration> {
    cool_down.checked_sub(now.since(then?)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::UnixTime;

    const LEASE: Duration = Duration::from_secs(4);
    const MAX_STALE: Duration = Duration::from_secs(1000);

    fn at(secs: u64) -> Now {
        Now { wall: UnixTime::MAX, uptime: Uptime::from_millis(UnixTime::from_secs(secs).as_millis()) }
    }

    fn held(source: &Source<u8>, now: u64) -> String {
        match source.held(10, MAX_STALE, at(now)) {
            Held::Fresh(value) => format!("fresh {value}"),
            Held::Stale(value) => format!("stale {value}"),
            Held::None => "none".to_owned(),
        }
    }

    #[test]
    fn a_document_is_fresh_then_stale_then_gone() {
        let mut source = Source::default();
        assert_eq!(held(&source, 0), "none");
        source.succeeded(1, Duration::from_secs(100), at(0));
        let seen = [0, 89, 90, 100, 1099, 1100].map(|now| held(&source, now));
        assert_eq!(seen, ["fresh 1", "fresh 1", "stale 1", "stale 1", "stale 1", "none"]);
    }

    #[test]
    fn what_is_confirmed_is_fresh_anew_and_what_is_not_known_cannot_be_confirmed() {
        let mut source = Source::default();
        source.confirmed(Duration::from_secs(100), at(0));
        assert_eq!(held(&source, 0), "none");
        source.succeeded(1, Duration::from_secs(100), at(0));
        source.failed(at(95));
        source.confirmed(Duration::from_secs(100), at(150));
        assert_eq!([239, 240].map(|now| held(&source, now)), ["fresh 1", "stale 1"]);
        assert_eq!(source.begin(Need::Stale, LEASE, at(150)), Begin::Fetch);
    }

    #[test]
    fn without_a_lead_a_document_is_fresh_to_its_end() {
        let mut source = Source::default();
        source.succeeded(1, Duration::from_secs(100), at(0));
        let is_fresh = |now| matches!(source.held(0, MAX_STALE, at(now)), Held::Fresh(_));
        assert_eq!([99, 100].map(is_fresh), [true, false]);
    }

    #[test]
    fn one_fetch_is_under_way_at_a_time_whatever_the_need_until_its_lease_has_ended() {
        for need in [Need::Cold, Need::Stale, Need::Lacking] {
            let mut source = Source::<u8>::default();
            assert_eq!(source.begin(need, LEASE, at(100)), Begin::Fetch);
            for other in [Need::Cold, Need::Stale, Need::Lacking] {
                assert_eq!(source.begin(other, LEASE, at(103)), Begin::UnderWay, "{need:?} {other:?}");
            }
            assert_eq!(source.begin(Need::Cold, LEASE, at(104)), Begin::Fetch);
        }
    }

    #[test]
    fn a_lack_makes_for_one_fetch_in_thirty_seconds_unless_it_failed() {
        let mut source = Source::default();
        assert_eq!(source.begin(Need::Lacking, LEASE, at(100)), Begin::Fetch);
        source.succeeded(1, Duration::from_secs(600), at(100));
        assert_eq!(source.begin(Need::Lacking, LEASE, at(129)), Begin::Nothing);
        assert_eq!(source.begin(Need::Lacking, LEASE, at(130)), Begin::Fetch);
        source.failed(at(130));
        assert_eq!(source.begin(Need::Lacking, LEASE, at(134)), Begin::After(Duration::from_secs(1)));
        assert_eq!(source.begin(Need::Lacking, LEASE, at(135)), Begin::Fetch);
    }

    #[test]
    fn what_was_lacking_is_not_known_to_be_nowhere_if_the_answer_got_lost() {
        let mut source = Source::default();
        source.succeeded(1, Duration::from_secs(600), at(90));
        assert_eq!(source.begin(Need::Lacking, LEASE, at(100)), Begin::Fetch);
        assert_eq!(source.begin(Need::Lacking, LEASE, at(103)), Begin::UnderWay);
        assert_eq!(source.begin(Need::Lacking, LEASE, at(104)), Begin::After(Duration::from_secs(26)));
        assert_eq!(source.begin(Need::Lacking, LEASE, at(130)), Begin::Fetch);
        source.succeeded(2, Duration::from_secs(600), at(131));
        assert_eq!(source.begin(Need::Lacking, LEASE, at(132)), Begin::Nothing);
    }

    #[test]
    fn a_failure_holds_everything_off_for_five_seconds() {
        let mut source = Source::<u8>::default();
        source.failed(at(10));
        for (now, expected) in [(10, Begin::After(Duration::from_secs(5))), (15, Begin::Fetch)] {
            assert_eq!(source.begin(Need::Cold, LEASE, at(now)), expected);
        }
        assert_eq!(source.retry_after(at(11)), Duration::from_secs(4));
        assert_eq!(source.retry_after(at(99)), Duration::from_secs(1));
    }
}
