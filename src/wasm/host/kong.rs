//! Kong 3.9 and its wasm module, as it was seen to behave: callouts go to `host:port`, a request goes on by itself once they are answered,
//! its body comes after its headers have gone on, and a header that is removed is sent all the same.

use super::super::abi::{self, Headers};
use super::super::{events, headers};
use super::{Connection, Hold, Host, Mark, reply};
use crate::base::Secret;
use crate::exchange::SharedSecrets;
use crate::flow::{Capabilities, CertificateDigest, Follow, Inspected, Reply, RequestId, Shown};

/// The module lists at most 100 headers, four of them made up. Of a longer list it writes more than it has asked memory for.
const MOST_HEADERS: usize = 90;
const REQUEST_ID: [&str; 2] = ["ngx", "kong_request_id"];
const UPSTREAM_URI: [&str; 2] = ["ngx", "upstream_uri"];
/// Leads nowhere, here and in a workspace.
const NOTHING: &[u8] = b"/.well-known/databricks-kong/undecided";

/// Whether there is what only Kong has. Not to be asked in a root context, of which the worker dies.
pub(super) fn is_here() -> bool {
    abi::property(&REQUEST_ID).is_ok_and(|id| id.is_some_and(|id| !id.is_empty()))
}

/// Whether this cannot be Kong, in a root context: Kong's monotonic clock counts whole milliseconds.
pub(super) fn is_excluded() -> bool {
    abi::monotonic_time().is_ok_and(|nanos| nanos % 1_000_000 != 0)
}

pub(super) struct Kong;

impl Host for Kong {
    fn request_id(&self) -> Option<String> {
        String::from_utf8(abi::property(&REQUEST_ID).ok()??).ok()
    }

    /// Not `:path`, which is decoded and does not lead anywhere.
    fn target(&self, _path: Option<Vec<u8>>) -> Option<Vec<u8>> {
        abi::property(&UPSTREAM_URI).ok()?.filter(|target| !target.is_empty())
    }

    fn can_list(&self, headers: usize) -> bool {
        headers <= MOST_HEADERS
    }

    fn removes_repeated(&self) -> bool {
        false
    }

    /// Makes it empty: a header that is removed is sent on. One that names the workspace names the configured one.
    fn remove(&self, name: &[u8], workspace_id: Option<&str>) -> bool {
        let name = name.to_ascii_lowercase();
        match std::str::from_utf8(&name) {
            // Kong writes its own
            Ok("connection") => true,
            Ok(name) => {
                let names_workspace = matches!(name, "x-databricks-workspace-id" | "x-databricks-org-id");
                let value = workspace_id.filter(|_| names_workspace).unwrap_or_default();
                abi::replace_header(Headers::Request, name, value.as_bytes()).is_ok()
            }
            Err(_) => false,
        }
    }

    /// Kong never says that the headers end the stream. Over HTTP/2 a body needs no announcement (RFC 9113 section 8.1.1).
    fn has_body(&self, seen: &Inspected, _end_of_stream: bool) -> bool {
        let takes_body = !matches!(seen.method.as_deref(), Some(b"GET" | b"HEAD"));
        seen.announces_body || (takes_body && !is_http1() && !has_length())
    }

    fn holds_back_bodies(&self) -> bool {
        false
    }

    /// From `kong.ctx.shared`, for configurations that ask for it: nothing else here touches a `kong.*` property.
    ///
    /// Kong answers those in Lua, by an FFI callback while no Lua runs. LuaJIT takes any coroutine for it (`cts->L`) and does not note
    /// which (`g->cur_L`), so as soon as compiled code in it comes to an end, the state of another coroutine is restored, one that does
    /// not run: the worker dies (`lj_trace_exit`; seen once in 15 reloads under load with one such call for a request). And the handler
    /// writes the request into that coroutine, often a timer's of Kong's own, and leaves it there (`set_r` in ngx_wasm_module's
    /// lib/resty/wasmx/proxy_wasm.lua). After a callout that is sure to be another's coroutine, while a request's headers are handled
    /// mostly its own.
    fn shared_secrets(&self, names: &[String]) -> SharedSecrets {
        let read = names.iter().filter_map(|name| {
            let value = String::from_utf8(abi::property(&["kong", "ctx", "shared", name]).ok()??).ok()?;
            Some((name.clone(), Secret::new(value)))
        });
        read.collect()
    }

    /// nginx asks for one where `ssl_verify_client` is set; see docs/security-model.md.
    fn client_certificate(&self) -> Shown {
        match abi::property(&["ngx", "ssl_client_raw_cert"]) {
            Ok(pem) => Shown::read(&pem.unwrap_or_default(), CertificateDigest::of_pem),
            Err(_) => Shown::Unreadable,
        }
    }

    fn hold(&self) -> Option<Hold> {
        self.aim(NOTHING).then_some(Hold::Aside)
    }

    fn aim(&self, target: &[u8]) -> bool {
        abi::set_property(&UPSTREAM_URI, target).is_ok()
    }

    fn shows_nothing_beside_callouts(&self) -> bool {
        true
    }

    /// Kong does that by itself.
    fn resume(&self) -> bool {
        true
    }

    /// Keeps the mark in the instance, which all entries of a worker share: a trap takes it along. Not in `kong.ctx.shared`; see
    /// [`Kong::shared_secrets`].
    fn mark(&self, request: Option<&RequestId>, context: u32, mark: Mark) {
        if let Some(id) = request {
            events::mark(id.as_str().to_owned(), context, mark);
        }
    }

    fn take_mark(&self, request: Option<&RequestId>) -> Option<Mark> {
        events::take_mark(request?.as_str())
    }

    /// Kong puts the reply's body where the answered callout's bytes were, and empties that place once the callback has returned: the
    /// client would get nothing. A callout without a body that fails at once, on the machine itself, takes the place, and the request is
    /// answered after it. Nothing is cancelled.
    fn make_room(&self) -> Option<u32> {
        let pairs = [(":method", "GET"), (":path", "/"), (":authority", "localhost"), (":scheme", "http")];
        abi::http_call("127.0.0.1:9", &headers::serialize(&pairs), b"", 1).ok()
    }

    /// Kong takes status and body of an answer at this point, but keeps the upstream's headers, and the client would wait for as many
    /// bytes as the upstream announced.
    fn reply_instead(&self, answer: &Reply) {
        for name in ["content-length", "content-encoding", "transfer-encoding", "set-cookie", "location"] {
            let _ = abi::remove_header(Headers::Response, name.as_bytes());
        }
        for (name, value) in &answer.headers {
            let _ = abi::replace_header(Headers::Response, name, value.as_bytes());
        }
        reply(answer, Connection::Kept);
    }

    fn must_close_connections(&self) -> bool {
        true
    }

    fn has_upstream_answered(&self) -> bool {
        abi::property(&["ngx", "upstream_status"]).is_ok_and(|status| status.is_some_and(|status| !status.is_empty()))
    }

    fn publishes_records(&self) -> bool {
        true
    }

    /// Puts a record into the nginx variable `$databricks_audit`, if Kong's configuration declares it: nginx does that without Lua. Not
    /// into `kong.ctx.shared`; see [`Kong::shared_secrets`].
    fn publish(&self, json: &str) {
        let _ = abi::set_property(&["ngx", "databricks_audit"], json.as_bytes());
    }

    fn dispatches_by_cluster(&self) -> bool {
        false
    }

    /// No timers: the worker dies of a callout of a tick that fails. Nothing that is needed follows a failure, nor a body a body: Kong
    /// 3.9.3 sends it, also after [`Kong::make_room`], but after a callout that timed out the answer's bytes were not its own.
    fn can(&self) -> Capabilities {
        Capabilities { timers: false, after_body: Follow::Never, after_failure: false, waits_for_others: false }
    }
}

fn is_http1() -> bool {
    abi::property(&["ngx", "server_protocol"]).is_ok_and(|name| name.is_some_and(|name| name.starts_with(b"HTTP/1.")))
}

fn has_length() -> bool {
    abi::header(Headers::Request, "content-length").is_ok_and(|length| length.is_some())
}
