//! Finds the context that an event is for. The host may throw contexts away and make them anew between any two events.

use super::abi::{self, Action, Level};
use super::host::{self, Mark};
use super::request::RequestContext;
use super::root::RootContext;
use super::{audit, metrics};
use crate::audit::Record;
use crate::base::Reason;
use crate::flow::{Callout, Memory, Metric, Reply, RequestId, internal_error};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Who waits for a callout, and what of its answer.
struct Awaited {
    context: u32,
    max_reply: usize,
    wanted_headers: &'static [&'static str],
}

#[derive(Default)]
struct Contexts {
    roots: BTreeMap<u32, Rc<RefCell<RootContext>>>,
    requests: BTreeMap<u32, RequestContext>,
    /// Which context waits for which callout.
    callouts: BTreeMap<u32, Awaited>,
    /// What was said of requests, by the host's name for them, and the context that said so.
    marks: BTreeMap<String, (u32, Mark)>,
    /// Requests that waited for a callout, by the host's name for them, and the context that did.
    waited: BTreeMap<String, u32>,
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::default();
    /// Shared by all configurations of the instance; see [`Memory`].
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// Runs `action` on the contexts. A hostcall must not be made within: the host could deliver another event.
fn contexts<T>(action: impl FnOnce(&mut Contexts) -> T) -> Option<T> {
    CONTEXTS
        .try_with(|contexts| contexts.try_borrow_mut().ok().map(|mut contexts| action(&mut contexts)))
        .ok()
        .flatten()
}

/// Runs `action` on what is remembered between requests. No hostcall within.
pub(super) fn with_memory<T>(action: impl FnOnce(&mut Memory) -> T) -> Option<T> {
    MEMORY.try_with(|memory| memory.try_borrow_mut().ok().map(|mut memory| action(&mut memory))).ok().flatten()
}

/// The answer to `callout`, which the host will name `token`, is for `context`.
pub(super) fn expect_callout(token: u32, context: u32, callout: &Callout) {
    let Callout { max_reply, wanted_headers, .. } = *callout;
    contexts(|contexts| contexts.callouts.insert(token, Awaited { context, max_reply, wanted_headers }));
}

/// Notes that `context` lets the request of that name wait.
pub(super) fn note_wait(request: &str, context: u32) {
    contexts(|contexts| contexts.waited.insert(request.to_owned(), context));
}

/// Whether the request of that name waited for a callout, in this entry or in one before.
pub(super) fn has_waited(request: &str) -> bool {
    contexts(|contexts| contexts.waited.contains_key(request)).unwrap_or(true)
}

/// Notes what `context` says of the request of that name.
pub(super) fn mark(request: String, context: u32, mark: Mark) {
    contexts(|contexts| contexts.marks.insert(request, (context, mark)));
}

/// What was said of the request of that name, once.
pub(super) fn take_mark(request: &str) -> Option<Mark> {
    contexts(|contexts| contexts.marks.remove(request)).flatten().map(|(_, mark)| mark)
}

pub(super) fn on_context_create(context: u32, root: u32) {
    contexts(|contexts| {
        if root == 0 {
            contexts.roots.entry(context).or_default();
        } else {
            let root = Rc::clone(contexts.roots.entry(root).or_default());
            contexts.requests.insert(context, RequestContext::new(context, root));
        }
    });
}

fn root(context: u32) -> Option<Rc<RefCell<RootContext>>> {
    contexts(|contexts| Rc::clone(contexts.roots.entry(context).or_default()))
}

pub(super) fn on_configure(context: u32, size: usize) {
    if let Some(Ok(mut root)) = root(context).as_ref().map(|root| root.try_borrow_mut()) {
        root.on_configure(size);
    }
}

pub(super) fn on_tick(context: u32) {
    if let Some(Ok(mut root)) = root(context).as_ref().map(|root| root.try_borrow_mut()) {
        root.on_tick(context);
    }
}

/// Takes a request's context out while it handles an event, so that no event can meet it half-way.
fn with_request<T>(context: u32, action: impl FnOnce(&mut RequestContext) -> T) -> Option<T> {
    let mut request = contexts(|contexts| contexts.requests.remove(&context))??;
    let result = action(&mut request);
    contexts(|contexts| contexts.requests.insert(context, request));
    Some(result)
}

/// Notes a refusal of a request of which nothing is known any more, and makes the answer to it.
fn note_lost(what: &'static str) -> Reply {
    abi::log(Level::Error, what);
    let reply = internal_error(what, &RequestId::unknown());
    metrics::count(Metric::of_refusal(Reason::Internal));
    // Not handed over: if the request went on before its context was lost, its record stays where log plugins find it.
    audit::write_shortened(&Record::refused(RequestId::unknown().as_str(), Reason::Internal, host::wall()));
    reply
}

fn refuse_lost(what: &'static str) -> Action {
    host::reply(&note_lost(what), host::Connection::Closed);
    Action::Pause
}

pub(super) fn on_request_headers(context: u32, end_of_stream: bool) -> Action {
    with_request(context, |request| request.on_headers(end_of_stream))
        .unwrap_or_else(|| refuse_lost("a request has no context"))
}

pub(super) fn on_request_body(context: u32, size: usize, end_of_stream: bool) -> Action {
    with_request(context, |request| request.on_body(size, end_of_stream))
        .unwrap_or_else(|| refuse_lost("a request body has no context"))
}

pub(super) fn on_callout_reply(context: u32, token: u32, size: usize) {
    let waiting = contexts(|contexts| (contexts.callouts.remove(&token), contexts.roots.contains_key(&context)));
    let Awaited { context, max_reply, wanted_headers } = match waiting {
        Some((Some(awaited), _)) => awaited,
        // a tick's answer, of an instance that is gone
        Some((None, true)) => return,
        // The instance that sent the callout is gone, and the host will let the request go on by itself: it must be answered.
        Some((None, false)) | None => {
            let reply = note_lost("an answer arrived that nothing waits for");
            host::mark(context, Mark::Refused);
            if host::callout_reply(size, usize::MAX, &[]).map_or(true, |answer| answer.body.is_empty()) {
                host::reply_beside_a_callout(&reply);
            } else {
                host::reply(&reply, host::Connection::Closed);
            }
            return;
        }
    };
    // the reply's own headers and body are read before the switch: they belong to the context that the host chose
    let result = host::callout_reply(size, max_reply, wanted_headers);
    if abi::set_effective_context(context).is_err() {
        abi::log(Level::Error, "the host does not know the context that waits for an answer");
    }
    if contexts(|contexts| contexts.requests.contains_key(&context)) == Some(true) {
        with_request(context, |request| request.on_callout_reply(token, result));
    } else if let Some(Ok(mut root)) = root(context).as_ref().map(|root| root.try_borrow_mut()) {
        root.on_callout_reply(context, token, result);
    }
}

pub(super) fn on_response_headers(context: u32) {
    with_request(context, RequestContext::on_response_headers);
}

pub(super) fn on_delete(context: u32) {
    contexts(|contexts| {
        contexts.requests.remove(&context);
        contexts.roots.remove(&context);
        contexts.callouts.retain(|_, waiting| waiting.context != context);
        contexts.marks.retain(|_, (marked_by, _)| *marked_by != context);
        contexts.waited.retain(|_, waited_in| *waited_in != context);
    });
}
