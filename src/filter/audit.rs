//! Where records go: to Kong's log plugins, and to the host's log.

use super::abi::{self, Level};
use super::host::{self, Host};
use crate::audit::{LONGEST_LINE, Record};

/// What a line of the log that holds a record begins with.
const MARK: &str = "databricks_kong.audit ";

/// Writes a record to the host's log. At level `info`, also where that is not shown by default: nginx adds the client's request line to
/// each line of its log, and that may hold what no record does.
pub(super) fn log(record: &Record) {
    abi::log(Level::Info, &format!("{MARK}{}", record.to_json_within(LONGEST_LINE)));
}

/// On Kong, puts a record where log plugins find it: into the nginx variable `$databricks_audit`, if Kong's configuration declares it, and,
/// `beside_lua`, with its parts that are most asked for, into `kong.ctx.shared`.
///
/// `beside_lua` is true only while a request's headers are handled that did not wait for a callout before. At other times writing to
/// `kong.ctx.shared` corrupts the worker; see [`host::mark_allowed`]. A variable is written without Lua.
pub(super) fn publish(record: &Record, beside_lua: bool) {
    if Host::current() != Host::Kong {
        return;
    }
    let json = record.to_json();
    host::set_audit_variable(&json);
    if !beside_lua {
        return;
    }
    let parts = [
        ("databricks_audit", Some(json.as_str())),
        ("databricks_decision", Some(record.decision.as_str())),
        ("databricks_reason", Some(record.reason)),
        ("databricks_role", record.role.as_deref()),
        ("databricks_subject", record.subject.as_deref()),
        ("databricks_operation", record.operation),
    ];
    let mut parts = parts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    if !parts.all(|(name, value)| host::share(name, value)) {
        abi::log(Level::Error, "an audit record cannot be put into kong.ctx.shared");
    }
}
