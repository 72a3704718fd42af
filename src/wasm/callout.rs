//! How the core's callouts become hostcalls, and answers to them the core's.

use super::abi::{self, Buffer, Headers, HostError};
use super::{headers, host};
use crate::flow::{Callout, CalloutFault, CalloutReply, CalloutResult};

/// Sends a callout; the name of its answer.
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
    let by_cluster = host::of_root().is_some_and(host::Host::dispatches_by_cluster);
    let upstream = callout.upstream.as_deref().filter(|_| by_cluster).unwrap_or(&dial);
    let timeout = u32::try_from(callout.timeout.as_millis()).unwrap_or(u32::MAX);
    abi::http_call(upstream, &headers::serialize(&pairs), callout.body.expose().as_bytes(), timeout)
        .map_err(|HostError(status)| CalloutFault::Failed(format!("the host refused to send it: {status}")))
}

/// What of an answer is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The longest body, in bytes; longer ones are not read at all.
    pub(super) max_reply: usize,
    /// Names of headers, in lower case.
    pub(super) headers: &'static [&'static str],
}

impl Wanted {
    /// Only whether there is one.
    pub(super) const NOTHING: Self = Self { max_reply: 0, headers: &[] };
    /// All of the body.
    pub(super) const ALL: Self = Self { max_reply: usize::MAX, headers: &[] };

    pub(super) const fn by(callout: &Callout) -> Self {
        Self { max_reply: callout.max_reply, headers: callout.wanted_headers }
    }
}

/// Reads the answer to a callout, `size` bytes long. A missing `:status` is the only sign of failure that every host gives.
pub(super) fn reply(size: usize, wanted: Wanted) -> CalloutResult {
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
    if size > wanted.max_reply {
        return Err(CalloutFault::TooLong);
    }
    let body = if size == 0 { Vec::new() } else { whole(Buffer::CalloutReply, size).ok_or(CalloutFault::Truncated)? };
    let headers = wanted.headers.iter().filter_map(|name| Some((*name, text(name)?))).collect();
    Ok(CalloutReply { status, headers, body })
}

/// The whole of a buffer, or nothing: what is shorter than announced was cut off or is not in memory.
pub(super) fn whole(buffer: Buffer, size: usize) -> Option<Vec<u8>> {
    abi::buffer(buffer, 0, size).ok().flatten().filter(|bytes| bytes.len() == size)
}
