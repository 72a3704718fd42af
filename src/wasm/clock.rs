//! The host's clocks.

use super::abi;
use crate::base::{Now, UnixTime, Uptime};

/// The time; `None` if a clock fails, and then nothing may be decided: in 1970 every token would do that has long ended.
pub(super) fn now() -> Option<Now> {
    let wall = abi::time().ok().filter(|nanos| *nanos > 0)?;
    let uptime = abi::monotonic_time().ok()?;
    Some(Now { wall: UnixTime::from_millis(wall / 1_000_000), uptime: Uptime::from_millis(uptime / 1_000_000) })
}

/// The time of a record of something that was not decided; 1970 if a clock fails.
pub(super) fn time_of_record() -> UnixTime {
    now().unwrap_or_default().wall
}
