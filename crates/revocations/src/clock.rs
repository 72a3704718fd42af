//! The only place that reads a clock; everything else is told the time.

use databricks_kong::base::{Now, UnixTime, Uptime};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static START: OnceLock<Instant> = OnceLock::new();

/// What both clocks show. A wall clock before 1970 shows 1970, at which every event is one of the future and refused.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the shell of this program: from here on time is an argument")]
pub fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let uptime = START.get_or_init(Instant::now).elapsed();
    Now { wall: UnixTime::from_millis(millis(wall)), uptime: Uptime::from_millis(millis(uptime)) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
