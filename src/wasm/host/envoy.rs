//! Envoy: callouts go to a cluster, a request stays where it is held until it is continued, and its body comes in pieces meanwhile.

use super::super::abi::{self, Headers};
use super::{Connection, Hold, Host, Mark, reply};
use crate::exchange::SharedSecrets;
use crate::flow::{Capabilities, CertificateDigest, Inspected, Reply, RequestId, Shown};

/// By which an entry tells a guard entry behind it that the request may go on.
const MARK: &str = "databricks_kong_allowed";

/// Whether a request has what only Envoy says of one: the direction of its listener's traffic, a number of eight bytes. In old
/// Envoys it stands beside the other attributes, now among those of xDS.
pub(super) fn is_here() -> bool {
    let is_number = |path: &[&str]| abi::property(path).is_ok_and(|value| value.is_some_and(|bytes| bytes.len() == 8));
    is_number(&["xds", "listener_direction"]) || is_number(&["listener_direction"])
}

/// Whether a root context has what Envoy says in any: the name of the machine, which may be empty.
pub(super) fn may_be_here() -> bool {
    abi::property(&["plugin_vm_id"]).is_ok_and(|name| name.is_some())
}

pub(super) struct Envoy;

impl Host for Envoy {
    fn request_id(&self) -> Option<String> {
        String::from_utf8(abi::header(Headers::Request, "x-request-id").ok()??).ok()
    }

    fn target(&self, path: Option<Vec<u8>>) -> Option<Vec<u8>> {
        path.filter(|target| !target.is_empty())
    }

    fn can_list(&self, _headers: usize) -> bool {
        true
    }

    fn removes_repeated(&self) -> bool {
        true
    }

    fn remove(&self, name: &[u8], _workspace_id: Option<&str>) -> bool {
        abi::remove_header(Headers::Request, &name.to_ascii_lowercase()).is_ok()
    }

    fn has_body(&self, _seen: &Inspected, end_of_stream: bool) -> bool {
        !end_of_stream
    }

    fn holds_back_bodies(&self) -> bool {
        true
    }

    fn shared_secrets(&self, _names: &[String]) -> SharedSecrets {
        SharedSecrets::new()
    }

    /// Envoy asks for one where `require_client_certificate` or a validation context is set.
    fn client_certificate(&self) -> Shown {
        match abi::property(&["connection", "sha256_peer_certificate_digest"]) {
            Ok(digest) => Shown::read(&digest.unwrap_or_default(), CertificateDigest::from_hex),
            Err(_) => Shown::Unreadable,
        }
    }

    fn hold(&self) -> Option<Hold> {
        Some(Hold::Here)
    }

    fn aim(&self, _target: &[u8]) -> bool {
        false
    }

    fn shows_nothing_beside_callouts(&self) -> bool {
        false
    }

    fn resume(&self) -> bool {
        abi::continue_request().is_ok()
    }

    /// In the filter state. Nothing runs behind an answer.
    fn mark(&self, _request: Option<&RequestId>, _context: u32, mark: Mark) {
        if mark == Mark::Allowed {
            let _ = abi::set_property(&[MARK], b"yes");
        }
    }

    fn take_mark(&self, _request: Option<&RequestId>) -> Option<Mark> {
        abi::property(&[MARK]).ok()?.filter(|mark| mark == b"yes").map(|_| Mark::Allowed)
    }

    fn make_room(&self) -> Option<u32> {
        None
    }

    fn reply_instead(&self, answer: &Reply) {
        reply(answer, Connection::Kept);
    }

    fn must_close_connections(&self) -> bool {
        false
    }

    /// Nothing that is held goes on, so no upstream answers. What Envoy answers by itself is left as it is.
    fn has_upstream_answered(&self) -> bool {
        false
    }

    fn publishes_records(&self) -> bool {
        false
    }

    fn publish(&self, _json: &str) {}

    fn dispatches_by_cluster(&self) -> bool {
        true
    }

    fn can(&self) -> Capabilities {
        Capabilities::ALL
    }
}
