//! Time as an argument: nothing in the core reads a clock.

use std::time::Duration;

/// A point in time, in whole milliseconds since 1970-01-01T00:00:00Z, leap seconds ignored (RFC 7519 `NumericDate`).
///
/// Arithmetic saturates, so that no input can make it panic or wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The last point in time that can be written.
    pub const MAX: Self = Self(u64::MAX);

    /// From milliseconds since 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From seconds since 1970; [`UnixTime::MAX`] if that is too many.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// `self` later by `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// `self` earlier by `by`, not before 1970.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis(by)))
    }

    /// How long after `earlier` this is; zero if it is not after.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A point in time of a clock that never goes back, in whole milliseconds since some moment of the worker's own.
///
/// Leases, cool-downs and deadlines are measured by it: a step of the wall clock neither ends nor prolongs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uptime(u64);

impl Uptime {
    /// From milliseconds since that moment.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since that moment.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// `self` later by `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// `self` earlier by `by`, not before the beginning.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis(by)))
    }

    /// How long after `earlier` this is; zero if it is not after.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// What both clocks show at one moment. Whoever has none cannot ask the core for anything: a clock that fails is no time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, which claims and the lives of tokens are measured by.
    pub wall: UnixTime,
    /// The clock that never goes back.
    pub uptime: Uptime,
}

impl Now {
    /// Both clocks later by `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self { wall: self.wall.plus(by), uptime: self.uptime.plus(by) }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(UnixTime::MAX.plus(Duration::from_secs(1)), UnixTime::MAX);
        assert_eq!(UnixTime::from_secs(1).minus(Duration::from_secs(2)), UnixTime::from_secs(0));
        assert_eq!(UnixTime::from_secs(u64::MAX), UnixTime::MAX);
        assert_eq!(UnixTime::from_secs(1).since(UnixTime::from_secs(5)), Duration::ZERO);
    }

    #[test]
    fn seconds_round_down() {
        assert_eq!(UnixTime::from_millis(1999).as_secs(), 1);
    }
}
