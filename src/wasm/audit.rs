//! Where records go: to Kong's log plugins, and to the host's log.

use super::abi::{self, Level};
use super::host::{self, Host};
use crate::audit::{LONGEST_LINE, Record};

/// What a line of the log that holds a record begins with.
const MARK: &str = "databricks_kong.audit ";

/// Hands a record over: `log`, to the host's log, and on Kong to where log plugins find it.
pub(super) fn hand_over(record: &Record, log: bool, beside_lua: bool) {
    let is_kong = Host::current() == Host::Kong;
    if !log && !is_kong {
        return;
    }
    let json = record.to_json();
    match log {
        true if json.len() <= LONGEST_LINE => write(&json),
        true => write_shortened(record),
        false => {}
    }
    if is_kong {
        publish(record, &json, beside_lua);
    }
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

/// Puts a record into the nginx variable `$databricks_audit`, if Kong's configuration declares it, and, `beside_lua`, with its parts that
/// are most asked for, into `kong.ctx.shared`.
///
/// `beside_lua` is true only while a request's headers are handled that did not wait for a callout before. At other times writing to
/// `kong.ctx.shared` corrupts the worker; see [`host::mark`]. A variable is written without Lua.
fn publish(record: &Record, json: &str, beside_lua: bool) {
    host::set_audit_variable(json);
    if !beside_lua {
        return;
    }
    let parts = [
        ("databricks_audit", Some(json)),
        ("databricks_decision", Some(record.decision.as_str())),
        ("databricks_reason", Some(record.why())),
        ("databricks_role", record.role.as_deref()),
        ("databricks_subject", record.subject.as_deref()),
        ("databricks_operation", record.operation),
    ];
    let mut parts = parts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    if !parts.all(|(name, value)| host::share(name, value)) {
        abi::log(Level::Error, "an audit record cannot be put into kong.ctx.shared");
    }
}
