//! The hosts: what each does in its own way, behind one trait, and which of them this is.

mod envoy;
mod kong;

use super::abi::{self, HostError, Level};
use super::headers;
use crate::exchange::SharedSecrets;
use crate::flow::{Capabilities, Inspected, Reply, RequestId, Shown};
use envoy::Envoy;
use kong::Kong;
use std::cell::Cell;

/// What an entry tells a guard entry behind it of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It waits for its body, aimed at nothing.
    Held,
    /// It may go on.
    Allowed,
    /// It was answered, and that is recorded.
    Refused,
}

/// How a host lets a request wait for its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It stays where it is.
    Here,
    /// It goes on to the phase in which it is held, and should that never come, it leads nowhere.
    Aside,
}

/// What hosts do differently. To be asked while an event of a request is handled.
pub(super) trait Host {
    /// The host's own name of the request.
    fn request_id(&self) -> Option<String>;

    /// The target that will be sent, byte for byte. `path` is what the request's headers say.
    fn target(&self, path: Option<Vec<u8>>) -> Option<Vec<u8>>;

    /// Whether the host can hand over a list of so many headers, pseudo-headers not counted.
    fn can_list(&self, headers: usize) -> bool;

    /// Whether of two headers of one name both can be taken off.
    fn removes_repeated(&self) -> bool;

    /// Takes a request header off, before the request goes anywhere; whether that worked.
    fn remove(&self, name: &[u8], workspace_id: Option<&str>) -> bool;

    /// Whether a body may follow the request's headers. Where one may, the host may still never show one.
    fn has_body(&self, seen: &Inspected, end_of_stream: bool) -> bool;

    /// Whether pieces of a body are shown once each, and the client can be made to wait with the rest.
    fn holds_back_bodies(&self) -> bool;

    /// The secrets of these names that a plugin brought, while the request's headers are handled, and not after a callout.
    fn shared_secrets(&self, names: &[String]) -> SharedSecrets;

    /// The certificate that the client has shown in TLS, while the request's headers are handled.
    fn client_certificate(&self) -> Shown;

    /// Lets an undecided request wait for its body; `None` if that is not possible.
    fn hold(&self) -> Option<Hold>;

    /// Aims a request that was held aside at `target` again.
    fn aim(&self, target: &[u8]) -> bool;

    /// Whether a callout whose answer is due must have got lost if an event of the request comes first.
    fn shows_nothing_beside_callouts(&self) -> bool;

    /// Lets a request go on that waited for a callout; whether it does.
    fn resume(&self) -> bool;

    /// Tells a guard entry what became of the request. Without a mark the guard refuses, so a failure needs no handling.
    fn mark(&self, request: Option<&RequestId>, context: u32, mark: Mark);

    /// What an entry before this one said of the request, once.
    fn take_mark(&self, request: Option<&RequestId>) -> Option<Mark>;

    /// Sends a callout that goes nowhere, where one must stand between a callout that failed or got an empty answer and the answer to the
    /// request; the name of its own answer. `None` if none must.
    fn make_room(&self) -> Option<u32>;

    /// Whether there are answers behind which the client's connection must not be kept; see [`Connection`].
    fn must_close_connections(&self) -> bool;

    /// Puts an answer in the place of an upstream's, whose headers have arrived.
    fn reply_instead(&self, reply: &Reply);

    /// Whether an upstream has answered the request that the filter holds for undecided.
    fn has_upstream_answered(&self) -> bool;

    /// Whether [`Host::publish`] does anything.
    fn publishes_records(&self) -> bool;

    /// Hands a record to whatever reads records on this host.
    fn publish(&self, json: &str);

    /// Whether callouts go to a cluster's name, where there is one, instead of to `host:port`.
    fn dispatches_by_cluster(&self) -> bool;

    /// What the core may plan with.
    fn can(&self) -> Capabilities;
}

/// Which hosts are known.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Kong,
    Envoy,
}

thread_local! {
    static KIND: Cell<Option<Kind>> = const { Cell::new(None) };
}

/// Which host this is, by what only that host has; `None` if there is no evidence of any.
///
/// To be called in request and response phases only: Kong's properties cannot be read elsewhere. What could not be read is no evidence,
/// and is not remembered.
pub(super) fn current() -> Option<&'static dyn Host> {
    if let Some(host) = known() {
        return Some(host);
    }
    if kong::is_here() {
        return Some(remember(Kind::Kong));
    }
    envoy::is_here().then(|| remember(Kind::Envoy))
}

/// Which host this is, if that is known already.
pub(super) fn known() -> Option<&'static dyn Host> {
    KIND.try_with(Cell::get).ok().flatten().map(Kind::host)
}

/// The host of a root context. There only Envoy can be asked, and does not say enough to be remembered by.
pub(super) fn of_root() -> Option<&'static dyn Host> {
    known().or_else(|| (kong::is_excluded() && envoy::may_be_here()).then_some(Kind::Envoy.host()))
}

fn remember(kind: Kind) -> &'static dyn Host {
    let _ = KIND.try_with(|known| known.set(Some(kind)));
    kind.host()
}

impl Kind {
    const fn host(self) -> &'static dyn Host {
        match self {
            Self::Kong => &Kong,
            Self::Envoy => &Envoy,
        }
    }
}

/// What becomes of the client's connection behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Kept,
    /// Kong's module ends a request twice whose answer it cannot write while a body is handled, since the client has reset the connection. A
    /// kept connection would go on, in memory that is free by then, with the next request: the worker dies of it.
    Closed,
}

/// Answers the current request.
pub(super) fn reply(reply: &Reply, connection: Connection) {
    let mut pairs: Vec<_> = reply.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if connection == Connection::Closed && known().is_some_and(Host::must_close_connections) {
        pairs.push(("connection", "close"));
    }
    if let Err(HostError(status)) = abi::send_local_response(reply.status, &headers::serialize(&pairs), &reply.body) {
        abi::log(Level::Error, &format!("the host did not take an answer: {status}"));
    }
}
