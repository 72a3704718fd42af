//! Finds the context that an event is for. The host may throw contexts away and make them anew between any two events.

use super::abi::{self, Action, Level};
use super::callout::{self, Wanted};
use super::host::{self, Connection, Mark};
use super::request::{Heir, RequestContext};
use super::root::RootContext;
use super::{audit, clock, metrics};
use crate::audit::Record;
use crate::base::{Fingerprint, Reason, SortedMap};
use crate::flow::{Answer, Callout, CalloutFault, CalloutResult, Memory, Metric, Reply, RequestId, internal_error};
use std::cell::RefCell;
use std::rc::Rc;

/// A callout that was sent and not answered.
struct Awaited {
    /// Who waits for it, the one that sent it first. Any of them may be gone when it is answered.
    contexts: Vec<u32>,
    /// What is left of the last of them, once all are gone: the answer may be news to others.
    heir: Option<Box<Heir>>,
    wanted: Wanted,
    /// The configuration that it was sent for: its answer comes as long as that is there.
    root: u32,
    /// What tells it from others, if others of that configuration may wait for it too.
    share: Option<Fingerprint>,
}

/// Who waits for a callout that is sent.
enum Waiting {
    Context(u32),
    Heir(Box<Heir>),
}

impl Waiting {
    const fn context(&self) -> Option<u32> {
        match self {
            Self::Context(context) => Some(*context),
            Self::Heir(_) => None,
        }
    }
}

#[derive(Default)]
struct Contexts {
    roots: SortedMap<u32, Rc<RefCell<RootContext>>>,
    requests: SortedMap<u32, Box<RequestContext>>,
    /// By the host's name for the answer.
    callouts: SortedMap<u32, Awaited>,
    /// What was said of requests, by the host's name for them, and the context that said so.
    marks: SortedMap<String, (u32, Mark)>,
    /// Requests that waited for a callout, by the host's name for them, and the context that did.
    waited: SortedMap<String, u32>,
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

/// Sends a callout for `context` of the configuration `root`, or lets it wait for an equal one that is under way, if the host can let
/// requests wait for each other; the host's name for the answer.
pub(super) fn call(callout: &Callout, root: u32, context: u32) -> Result<u32, CalloutFault> {
    send(callout, root, Waiting::Context(context))
}

fn send(callout: &Callout, root: u32, waiting: Waiting) -> Result<u32, CalloutFault> {
    let joins = host::of_root().is_some_and(|host| host.can().waits_for_others);
    let share = callout.share.filter(|_| joins);
    if let Some(share) = &share
        && let Some(token) = contexts(|contexts| contexts.join(share, root, waiting.context())).flatten()
    {
        return Ok(token);
    }
    let token = callout::dispatch(callout)?;
    let (waits, heir) = match waiting {
        Waiting::Context(context) => (vec![context], None),
        Waiting::Heir(heir) => (Vec::new(), Some(heir)),
    };
    let awaited = Awaited { contexts: waits, heir, wanted: Wanted::by(callout), root, share };
    contexts(|contexts| contexts.callouts.insert(token, awaited));
    Ok(token)
}

/// The answer `token`, of which nothing is wanted but that it comes, is for `context`.
pub(super) fn expect(token: u32, root: u32, context: u32) {
    let wanted = Wanted::NOTHING;
    let awaited = Awaited { contexts: vec![context], heir: None, wanted, root, share: None };
    contexts(|contexts| contexts.callouts.insert(token, awaited));
}

impl Contexts {
    /// The root context of that number, which is made if it is not there.
    fn root(&mut self, context: u32) -> Rc<RefCell<RootContext>> {
        if let Some(root) = self.roots.get(&context) {
            return Rc::clone(root);
        }
        let root = Rc::default();
        self.roots.insert(context, Rc::clone(&root));
        root
    }

    /// An heir has nothing to wait for where somebody does already.
    fn join(&mut self, share: &Fingerprint, root: u32, context: Option<u32>) -> Option<u32> {
        let is_it = |awaited: &Awaited| awaited.root == root && awaited.share.as_ref() == Some(share);
        let (token, awaited) = self.callouts.iter_mut().find(|(_, awaited)| is_it(awaited))?;
        awaited.contexts.extend(context);
        Some(*token)
    }
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
            contexts.root(context);
        } else {
            let settings = contexts.root(root);
            contexts.requests.insert(context, Box::new(RequestContext::new(context, root, settings)));
        }
    });
}

fn root(context: u32) -> Option<Rc<RefCell<RootContext>>> {
    contexts(|contexts| contexts.root(context))
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
pub(super) fn note_lost(what: &'static str) -> Reply {
    abi::log(Level::Error, what);
    let reply = internal_error(what, &RequestId::unknown());
    metrics::count(Metric::of_refusal(Reason::Internal), None);
    // Not handed over: if the request went on before its context was lost, its record stays where log plugins find it.
    audit::write_shortened(&Record::refused(RequestId::unknown().as_str(), Reason::Internal, clock::time_of_record()));
    reply
}

fn refuse_lost(what: &'static str) -> Action {
    host::reply(&note_lost(what), Connection::Closed);
    Action::Pause
}

pub(super) fn on_request_headers(context: u32, count: usize, end_of_stream: bool) -> Action {
    with_request(context, |request| request.on_headers(count, end_of_stream))
        .unwrap_or_else(|| refuse_lost("a request has no context"))
}

pub(super) fn on_request_body(context: u32, size: usize, end_of_stream: bool) -> Action {
    with_request(context, |request| request.on_body(size, end_of_stream))
        .unwrap_or_else(|| refuse_lost("a request body has no context"))
}

pub(super) fn on_request_trailers(context: u32) -> Action {
    with_request(context, RequestContext::on_trailers)
        .unwrap_or_else(|| refuse_lost("a request's trailers have no context"))
}

pub(super) fn on_callout_reply(context: u32, token: u32, size: usize) {
    let waiting = contexts(|contexts| (contexts.callouts.remove(&token), contexts.roots.contains_key(&context)));
    let awaited = match waiting {
        Some((Some(awaited), _)) => awaited,
        // of an instance that is gone, and nobody goes on by it
        Some((None, true)) => return,
        // The instance that sent the callout is gone, and the host will let the request go on by itself: it must be answered.
        Some((None, false)) | None => return refuse_lost_callout(context, size),
    };
    // the reply's own headers and body are read before the switch: they belong to the context that the host chose
    let result = callout::reply(size, awaited.wanted);
    if let (true, Some(heir)) = (awaited.contexts.is_empty(), awaited.heir) {
        return inherit(heir, awaited.root, result);
    }
    for (number, waits) in awaited.contexts.into_iter().enumerate() {
        hand_on(waits, token, Answer { result: result.clone(), shared: number > 0, kept: None });
    }
}

/// Gives an answer to what is left of the request that sent the callout: whoever leaves must not leave others without keys.
fn inherit(mut heir: Box<Heir>, root: u32, result: CalloutResult) {
    if let Some(callout) = heir.on_callout_reply(result)
        && let Err(fault) = send(&callout, root, Waiting::Heir(heir))
    {
        abi::log(Level::Warn, &fault.to_string());
    }
}

/// Gives an answer to one of those who wait for it.
fn hand_on(context: u32, token: u32, answer: Answer) {
    let known = contexts(|contexts| (contexts.requests.contains_key(&context), contexts.roots.contains_key(&context)));
    match known {
        Some((false, false)) | None => return,
        Some(_) if abi::set_effective_context(context).is_err() => {
            abi::log(Level::Error, "the host does not know the context that waits for an answer");
        }
        Some(_) => {}
    }
    if matches!(known, Some((true, _))) {
        with_request(context, |request| request.on_callout_reply(token, answer));
    } else if let Some(Ok(mut root)) = root(context).as_ref().map(|root| root.try_borrow_mut()) {
        root.on_callout_reply(context, token, answer.result);
    }
}

/// Answers a request whose callout was sent by an instance that is gone: the host would let it go on by itself.
fn refuse_lost_callout(context: u32, size: usize) {
    let result = callout::reply(size, Wanted::ALL);
    if host::current().is_none() || with_request(context, |request| request.on_lost_callout(&result)).is_none() {
        refuse_lost("an answer arrived that nothing waits for");
    }
}

pub(super) fn on_response_headers(context: u32) {
    with_request(context, RequestContext::on_response_headers);
}

pub(super) fn on_delete(context: u32) {
    contexts(|contexts| {
        let mut heir = contexts.requests.remove(&context).and_then(|request| request.into_heir()).map(Box::new);
        contexts.roots.remove(&context);
        for (_, awaited) in contexts.callouts.iter_mut().filter(|(_, awaited)| awaited.root == context) {
            awaited.heir = None;
        }
        for (_, awaited) in contexts.callouts.iter_mut() {
            let waited = awaited.contexts.len();
            awaited.contexts.retain(|waits| *waits != context);
            if awaited.contexts.is_empty() && waited > 0 {
                awaited.heir = heir.take();
            }
        }
        contexts.marks.retain(|_, (marked_by, _)| *marked_by != context);
        contexts.waited.retain(|_, waited_in| *waited_in != context);
    });
}
