//! What the two hosts, Kong and Envoy, do differently, and how the core's words become hostcalls.

use super::abi::{self, Buffer, Headers, HostError, Level};
use super::{events, headers};
use crate::base::{Now, Secret, UnixTime, Uptime};
use crate::exchange::SharedSecrets;
use crate::flow::{Callout, CalloutFault, CalloutReply, CalloutResult, Capabilities, Follow, Reply};
use std::cell::Cell;

/// By which an entry tells a guard entry behind it that the request may go on, on hosts with filter state.
const MARK: &str = "databricks_kong_allowed";

/// The two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// Kong: callouts go to `host:port`, and a request goes on by itself after them.
    Kong,
    /// Envoy, and whatever else does as the ABI's authors meant it.
    Envoy,
}

thread_local! {
    static HOST: Cell<Option<Host>> = const { Cell::new(None) };
}

impl Host {
    /// Which host this is. To be called in request and response phases only: Kong's properties cannot be read from a tick.
    pub(super) fn current() -> Self {
        if let Some(host) = Self::known() {
            return host;
        }
        let host = if abi::property(&["ngx", "kong_request_id"]).is_some() { Self::Kong } else { Self::Envoy };
        let _ = HOST.try_with(|known| known.set(Some(host)));
        host
    }

    /// Which host this is, if a request has told already.
    pub(super) fn known() -> Option<Self> {
        HOST.try_with(Cell::get).ok().flatten()
    }
}

/// The time, if both clocks work. Without it nothing can be decided.
pub(super) fn now() -> Option<Now> {
    let wall = UnixTime::from_millis(abi::time().ok()? / 1_000_000);
    let uptime = Uptime::from_millis(abi::monotonic_time().ok()? / 1_000_000);
    Some(Now { wall, uptime })
}

/// The time for a record: 1970 where the clock fails.
pub(super) fn wall() -> UnixTime {
    now().unwrap_or_default().wall
}

/// What the host can do. Of a root context it is not known which one it is; ticks run only where callouts may be sent from them.
pub(super) fn capabilities() -> Capabilities {
    match Host::known() {
        Some(Host::Kong) => {
            Capabilities { timers: false, after_body: Follow::Never, after_failure: false, waits_for_others: false }
        }
        Some(Host::Envoy) | None => Capabilities { waits_for_others: false, ..Capabilities::ALL },
    }
}

/// Whether ticks may send callouts. A root context cannot ask which host this is; but Kong's monotonic clock counts whole
/// milliseconds.
pub(super) fn can_call_from_ticks() -> bool {
    abi::monotonic_time().is_ok_and(|nanos| nanos % 1_000_000 != 0)
}

/// Sends the core's callout; the name of its answer.
pub(super) fn dispatch(callout: &Callout) -> Result<u32, CalloutFault> {
    let authority = callout.url.authority();
    let mut pairs = vec![
        (":method", callout.method),
        (":path", callout.url.path()),
        (":authority", authority.as_str()),
        (":scheme", callout.url.scheme()),
    ];
    pairs.extend(callout.headers.iter().map(|(name, value)| (*name, value.expose().as_str())));
    let dial = callout.url.dial();
    let upstream = match (Host::known(), callout.upstream.as_deref()) {
        (Some(Host::Kong), _) | (_, None) => dial.as_str(),
        (_, Some(cluster)) => cluster,
    };
    let timeout = u32::try_from(callout.timeout.as_millis()).unwrap_or(u32::MAX);
    abi::http_call(upstream, &headers::serialize(&pairs), callout.body.expose().as_bytes(), timeout)
        .map_err(|HostError(status)| CalloutFault::Failed(format!("the host refused to send it: {status}")))
}

/// Reads the answer to a callout. A missing `:status` is the only sign of failure that every host gives.
pub(super) fn callout_reply(size: usize, max: usize, wanted: &'static [&'static str]) -> CalloutResult {
    let text = |name: &str| {
        let value = abi::header(Headers::CalloutReply, name).ok().flatten()?;
        String::from_utf8(value).ok()
    };
    let Some(status) = text(":status").and_then(|status| status.parse().ok()) else {
        let cause = text(":dispatch_status").unwrap_or_default();
        return Err(CalloutFault::Failed(if cause.is_empty() { "no status".to_owned() } else { cause }));
    };
    match text(":dispatch_status") {
        Some(cause) if cause != "ok" => return Err(CalloutFault::Failed(cause)),
        _ => {}
    }
    if size > max {
        return Err(CalloutFault::TooLong);
    }
    let body = if size == 0 { Vec::new() } else { body(Buffer::CalloutReply, size).ok_or(CalloutFault::Truncated)? };
    let headers = wanted.iter().filter_map(|name| Some((*name, text(name)?))).collect();
    Ok(CalloutReply { status, headers, body })
}

/// The whole of a body, or nothing: what is shorter than announced was cut off or is not in memory.
pub(super) fn body(buffer: Buffer, size: usize) -> Option<Vec<u8>> {
    abi::buffer(buffer, size).ok().flatten().filter(|bytes| bytes.len() == size)
}

/// What becomes of the client's connection behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Kept,
    /// Kong's module ends a request twice whose answer it cannot write while a body is handled, since the client has reset the connection. A
    /// kept connection would go on, in memory that is free by then, with the next request: the worker dies of it.
    Closed,
}

/// Answers the current request; whether the host took it.
pub(super) fn reply(reply: &Reply, connection: Connection) -> bool {
    let mut pairs: Vec<_> = reply.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if connection == Connection::Closed && Host::current() == Host::Kong {
        pairs.push(("connection", "close"));
    }
    let sent = abi::send_local_response(reply.status, &headers::serialize(&pairs), &reply.body);
    if let Err(HostError(status)) = sent {
        abi::log(Level::Error, &format!("the host did not take an answer: {status}"));
    }
    sent.is_ok()
}

/// As [`reply`], while an answer without a body, or none at all, to a callout is handled.
///
/// Kong puts the reply's body where the callout's bytes were, and empties that place once the callback has returned: the client would
/// get nothing. A callout that is never sent takes the place instead: the reply cancels it at once.
pub(super) fn reply_beside_a_callout(answer: &Reply) -> bool {
    if Host::current() == Host::Kong {
        let pairs = headers::serialize(&[(":method", "POST"), (":path", "/"), (":authority", "localhost")]);
        let _ = abi::http_call("127.0.0.1:9", &pairs, b"-", 1);
    }
    reply(answer, Connection::Closed)
}

/// Takes a request header off, before the request goes anywhere; whether that worked.
///
/// Kong forgets a header that is removed, but sends it on all the same. There it is made empty instead, and one that names the
/// workspace names the configured one.
pub(super) fn remove_request_header(name: &[u8], workspace_id: Option<&str>) -> bool {
    let name = name.to_ascii_lowercase();
    match (Host::current(), std::str::from_utf8(&name)) {
        (Host::Envoy, _) => abi::remove_header(Headers::Request, &name).is_ok(),
        // Kong writes its own
        (Host::Kong, Ok("connection")) => true,
        (Host::Kong, Ok(name)) => {
            let names_workspace = matches!(name, "x-databricks-workspace-id" | "x-databricks-org-id");
            let value = workspace_id.filter(|_| names_workspace).unwrap_or_default();
            abi::replace_header(Headers::Request, name, value.as_bytes()).is_ok()
        }
        (Host::Kong, Err(_)) => false,
    }
}

/// The target that will be sent, byte for byte: on Kong not `:path`, which is decoded and does not lead anywhere.
pub(super) fn target(path: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match Host::current() {
        Host::Kong => abi::property(&UPSTREAM_URI),
        Host::Envoy => path,
    }
    .filter(|target| !target.is_empty())
}

/// The host's own name of the request.
pub(super) fn request_id() -> Option<String> {
    let bytes = match Host::current() {
        Host::Kong => abi::property(&["ngx", "kong_request_id"]),
        Host::Envoy => abi::header(Headers::Request, "x-request-id").ok().flatten(),
    };
    String::from_utf8(bytes?).ok()
}

/// The secrets of these names that a plugin put into `kong.ctx.shared`. To be called while the request's headers are handled, and not
/// after a callout; see [`mark`].
pub(super) fn shared_secrets(names: &[String]) -> SharedSecrets {
    if names.is_empty() || Host::current() != Host::Kong {
        return SharedSecrets::new();
    }
    let read = names.iter().filter_map(|name| {
        let value = String::from_utf8(abi::property(&["kong", "ctx", "shared", name])?).ok()?;
        Some((name.clone(), Secret::new(value)))
    });
    read.collect()
}

/// What an entry tells a guard entry behind it of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It may go on.
    Allowed,
    /// It was answered, and that is recorded. Kong runs the next entry all the same, if the answer waited for a callout.
    Refused,
}

/// Tells a guard entry what became of the request. Without a mark the guard refuses, so a failure needs no handling.
///
/// On Kong the mark is kept in the instance, which all entries of a worker share: a trap takes it along. Not in `kong.ctx.shared`, because
/// reading or writing any `kong.*` property after a callout corrupts the worker. Its Lua handler writes the request into whatever coroutine
/// ran last, often a timer's of Kong's own, which then goes on with a request that may be gone: the worker dies, or sends a request twice
/// (`set_r` in ngx_wasm_module's lib/resty/wasmx/proxy_wasm.lua). While a request's headers are handled, its own coroutine ran last.
pub(super) fn mark(context: u32, mark: Mark) {
    match Host::current() {
        Host::Kong => {
            if let Some(id) = request_id() {
                events::mark(id, context, mark);
            }
        }
        Host::Envoy if mark == Mark::Allowed => {
            let _ = abi::set_property(&[MARK], b"yes");
        }
        // nothing runs behind an answer there
        Host::Envoy => {}
    }
}

/// What an entry before this one said of the request. On Kong the mark is used up.
pub(super) fn take_mark() -> Option<Mark> {
    match Host::current() {
        Host::Kong => events::take_mark(&request_id()?),
        Host::Envoy => abi::property(&[MARK]).filter(|mark| mark == b"yes").map(|_| Mark::Allowed),
    }
}

/// Whether Kong has an answer of an upstream; never on another host.
pub(super) fn has_upstream_answered() -> bool {
    Host::current() == Host::Kong && abi::property(&["ngx", "upstream_status"]).is_some_and(|status| !status.is_empty())
}

const UPSTREAM_URI: [&str; 2] = ["ngx", "upstream_uri"];
/// Leads nowhere, here and in a workspace.
const NOTHING: &[u8] = b"/.well-known/databricks-kong/undecided";

/// Aims an undecided request at nothing, on the host that could let it go on without a decision; where it led before.
pub(super) fn aim_at_nothing() -> Option<Vec<u8>> {
    let target = abi::property(&UPSTREAM_URI)?;
    aim_at(NOTHING).then_some(target)
}

/// Whether an entry before this one has aimed the request at nothing, to decide once its body is there.
pub(super) fn is_aimed_at_nothing() -> bool {
    Host::current() == Host::Kong && abi::property(&UPSTREAM_URI).is_some_and(|target| target == NOTHING)
}

/// Whether a body will follow the request's headers, by which it will be asked for again.
pub(super) fn announces_body() -> bool {
    ["content-length", "transfer-encoding"].iter().any(|name| {
        let value = abi::header(Headers::Request, name).ok().flatten();
        value.is_some_and(|value| !value.is_empty() && value != b"0")
    })
}

/// Aims a request at `target`.
pub(super) fn aim_at(target: &[u8]) -> bool {
    abi::set_property(&UPSTREAM_URI, target).is_ok()
}

/// Sets the nginx variable `$databricks_audit`. Where Kong's configuration does not declare it, nothing happens.
pub(super) fn set_audit_variable(value: &str) {
    let _ = abi::set_property(&["ngx", "databricks_audit"], value.as_bytes());
}

/// Puts a value into `kong.ctx.shared`; whether it is there.
pub(super) fn share(name: &str, value: &str) -> bool {
    abi::set_property(&["kong", "ctx", "shared", name], value.as_bytes()).is_ok()
}
