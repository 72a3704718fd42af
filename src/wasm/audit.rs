//! Where records go: to the host's own readers of records, and to the host's log.

use super::abi::{self, Level};
use super::host::Host;
use crate::audit::{LONGEST_LINE, Record};

/// What a line of the log that holds a record begins with.
const MARK: &str = "databricks_kong.audit ";

/// Hands a record over: `log`, to the host's log, and to where the host's plugins find it; see [`Host::publish`].
pub(super) fn hand_over(record: &Record, log: bool, host: &dyn Host) {
    if !log && !host.publishes_records() {
        return;
    }
    let json = record.to_json();
    match log {
        true if json.len() <= LONGEST_LINE => write(&json),
        true => write_shortened(record),
        false => {}
    }
    host.publish(&json);
}

/// Writes a record to the host's log only, with what is too long for a line left out.
pub(super) fn write_shortened(record: &Record) {
    write(&record.to_json_within(LONGEST_LINE));
}

/// Writes a record to the host's log. At level `info`, also where that is not shown by default: nginx adds the client's request line to
/// each line of its log, and that may hold what no record does.
fn write(json: &str) {
    abi::log(Level::Info, &format!("{MARK}{json}"));
}
