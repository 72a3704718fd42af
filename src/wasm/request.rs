//! One request: events in, the core's steps out.

use super::abi::{self, Action, Buffer, Headers, Level};
use super::host::{self, Connection, Host, Mark};
use super::root::{RootContext, with_env};
use super::{audit, events, headers, metrics};
use crate::audit::Record;
use crate::base::Reason;
use crate::config::{Config, Settings};
use crate::flow::{
    Answer, CalloutResult, Event, Flow, Inspected, Metric, ReadBody, Reply, Request, RequestId, Step, guard_refused,
    inspect_headers, internal_error, invalid_configuration,
};
use std::cell::RefCell;
use std::rc::Rc;

fn read_body(size: usize, limit: usize) -> ReadBody {
    if size > limit {
        return ReadBody::TooLong;
    }
    host::body(Buffer::RequestBody, size).map_or_else(
        || {
            let hint = "a request body is not in memory: on Kong, `client_body_buffer_size` must be as large as `limits.body_bytes`";
            abi::log(Level::Warn, hint);
            ReadBody::Unreadable
        },
        ReadBody::Whole,
    )
}

/// Whether an entry is one that decides, not a guard.
fn decides(root: &RefCell<RootContext>) -> bool {
    let settings = root.try_borrow_mut().ok().and_then(|mut root| root.settings(host::now()));
    !matches!(settings, Some(Settings::Guard))
}

/// Where a request stands between two events.
pub(super) struct RequestContext {
    id: u32,
    root: Rc<RefCell<RootContext>>,
    request_id: RequestId,
    /// Where the request leads, while it is aimed at nothing.
    target: Option<Vec<u8>>,
    /// Whether Kong would put an answer where it then empties a callout's bytes; see [`host::reply_beside_a_callout`].
    spare_bytes: bool,
    /// Whether the event that is handled surely came straight from Kong's Lua for this request; see [`audit::hand_over`].
    beside_lua: bool,
    phase: Phase,
}

enum Phase {
    /// No event came yet; a response now means that the request went round the filter.
    New,
    /// The core decides. The whole body may arrive before it is asked for.
    Deciding { flow: Flow, config: Rc<Config>, callout: Option<u32>, body: Option<ReadBody> },
    /// The request went on.
    Forwarded { flow: Flow, config: Option<Rc<Config>>, bodiless: bool },
    /// An entry before this guard has not decided yet: it waits for the body, and so does the guard.
    Guarding,
    /// The request was answered.
    Answered,
}

impl RequestContext {
    pub(super) fn new(id: u32, root: Rc<RefCell<RootContext>>) -> Self {
        Self {
            id,
            root,
            request_id: RequestId::unknown(),
            target: None,
            spare_bytes: false,
            beside_lua: false,
            phase: Phase::New,
        }
    }

    pub(super) fn on_headers(&mut self, end_of_stream: bool) -> Action {
        self.request_id = host::request_id().and_then(|id| RequestId::new(&id)).unwrap_or_else(RequestId::unknown);
        let settings = self.root.try_borrow_mut().ok().and_then(|mut root| root.settings(host::now()));
        // a guard cannot know: if the entry before it waited and then trapped, this instance has never heard of the request
        let is_guard = matches!(settings, Some(Settings::Guard));
        self.beside_lua = !is_guard && !events::has_waited(self.request_id.as_str());
        let action = self.begin(settings, end_of_stream);
        self.beside_lua = false;
        action
    }

    fn begin(&mut self, settings: Option<Settings>, end_of_stream: bool) -> Action {
        match settings {
            Some(Settings::Enforce(config)) => self.decide(config, end_of_stream),
            Some(Settings::Guard) => self.guard(),
            None => self.refuse(&invalid_configuration(&self.request_id)),
        }
    }

    fn guard(&mut self) -> Action {
        if let Some(action) = self.heed_mark() {
            return action;
        }
        if host::is_aimed_at_nothing() && host::announces_body() {
            self.phase = Phase::Guarding;
            return Action::Continue;
        }
        self.refuse(&guard_refused(&self.request_id))
    }

    /// Does what an entry before this guard said of the request, if one did.
    fn heed_mark(&mut self) -> Option<Action> {
        match host::take_mark()? {
            Mark::Allowed => {
                self.phase = Phase::Forwarded { flow: Flow::default(), config: None, bodiless: false };
                Some(Action::Continue)
            }
            Mark::Refused => Some(self.let_answer_go()),
        }
    }

    /// Takes the credentials off before anything else happens, so that whatever gets lost later is lost without them.
    fn decide(&mut self, config: Rc<Config>, end_of_stream: bool) -> Action {
        let Ok(pairs) = abi::header_pairs(Headers::Request) else { return self.fail("the headers cannot be read") };
        let pairs = pairs.unwrap_or_default();
        let Ok(pairs) = headers::parse(&pairs) else { return self.fail("the headers cannot be read") };
        let mut seen = inspect_headers(pairs.into_iter());
        if Host::current() == Host::Kong {
            // only the first of two headers can be made empty there
            seen.refuse_repeated();
        }
        let id = config.workspace.id.as_deref();
        if !seen.removals.iter().all(|name| host::remove_request_header(name, id)) {
            return self.fail("the caller's credentials cannot be removed");
        }
        let Some(request) = self.request(seen, &config, end_of_stream) else {
            return self.fail("the request line cannot be read");
        };
        self.phase = Phase::Deciding { flow: Flow::default(), config, callout: None, body: None };
        self.drive(Event::Request(request))
    }

    fn request(&self, seen: Inspected, config: &Config, end_of_stream: bool) -> Option<Request> {
        let has_body = match Host::current() {
            // Kong never says that the headers end the stream
            Host::Kong => seen.announces_body,
            Host::Envoy => !end_of_stream,
        };
        let target = host::target(seen.path.clone())?;
        Request::new(self.request_id.clone(), seen, target, has_body, host::shared_secrets(&config.shared_secrets))
    }

    pub(super) fn on_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        match &mut self.phase {
            // Kong shows no body while a callout is under way: it lost the answer, and would hold the request for ever
            Phase::Deciding { callout: Some(_), .. } if Host::current() == Host::Kong => {
                self.fail("the answer to a callout got lost")
            }
            Phase::Deciding { flow, config, body, .. } => {
                let limit = config.limits.body_bytes;
                if size <= limit && !end_of_stream {
                    return Action::Pause;
                }
                let read = read_body(size, limit);
                if flow.awaits_body() {
                    return self.drive(Event::Body(read));
                }
                *body = Some(read);
                Action::Pause
            }
            Phase::Forwarded { bodiless: true, .. } if size > 0 && Host::current() == Host::Kong => {
                self.fail("a request that must not have a body has one")
            }
            Phase::Guarding => self.heed_mark().unwrap_or_else(|| self.refuse(&guard_refused(&self.request_id))),
            Phase::Forwarded { .. } => Action::Continue,
            Phase::Answered => Action::Pause,
            // the context was made anew in the middle of the request: nobody decided on it
            Phase::New => self.fail("the decision on a request got lost"),
        }
    }

    pub(super) fn on_callout_reply(&mut self, token: u32, result: CalloutResult) {
        let Phase::Deciding { callout, .. } = &mut self.phase else {
            if matches!(self.phase, Phase::New) {
                self.fail("the decision on a request got lost");
            }
            return;
        };
        let is_empty = result.as_ref().map_or(true, |reply| reply.body.is_empty());
        if callout.take() != Some(token) {
            self.fail("an answer arrived that nothing waited for");
            return;
        }
        self.spare_bytes = is_empty;
        let action = self.drive(Event::Callout(Answer::own(result)));
        self.spare_bytes = false;
        if action == Action::Continue && Host::current() != Host::Kong {
            // Kong goes on by itself
            if abi::continue_request().is_err() {
                abi::log(Level::Error, "the host does not let a request go on");
            }
        }
    }

    pub(super) fn on_response_headers(&mut self) {
        match &mut self.phase {
            Phase::Forwarded { flow, .. } if flow.awaits_response() => {
                let text = |name| String::from_utf8(abi::header(Headers::Response, name).ok()??).ok();
                let status = text(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
                let reason = if status == 403 { text("x-databricks-reason-phrase") } else { None };
                events::with_memory(|memory| flow.on_response(status, reason.as_deref(), memory));
            }
            // Kong's buffered proxying sends requests on without showing them to filters. An answer of Kong or of an entry before this
            // one comes from no upstream.
            Phase::New if host::has_upstream_answered() && decides(&self.root) => {
                let _ = abi::remove_header(Headers::Response, b"content-length");
                self.fail("a response arrived to a request that was not decided on");
            }
            _ => {}
        }
    }

    /// Feeds the core until it wants to wait or has ended.
    fn drive(&mut self, mut event: Event) -> Action {
        loop {
            let Phase::Deciding { flow, config, callout, body } = &mut self.phase else {
                return self.fail("a decision ended twice");
            };
            let Some(step) = with_env(config, |env| flow.on(event, env)) else {
                return self.fail("the core cannot be asked");
            };
            match step {
                Step::Call(call) => match host::dispatch(&call) {
                    Ok(token) => {
                        *callout = Some(token);
                        events::expect_callout(token, self.id, &call);
                        events::note_wait(self.request_id.as_str(), self.id);
                        return Action::Pause;
                    }
                    Err(fault) => event = Event::Callout(Answer::own(Err(fault))),
                },
                Step::AwaitBody => match body.take() {
                    Some(read) => event = Event::Body(read),
                    None => return self.await_body(),
                },
                Step::Forward(edits) => {
                    let set = |(name, value)| abi::replace_header(Headers::Request, name, value).is_ok();
                    let aimed = self.target.take().is_none_or(|target| host::aim_at(&target));
                    if !aimed || !edits.headers().all(set) {
                        return self.fail("the request's headers cannot be set");
                    }
                    let record = flow.record().cloned();
                    let log = config.audit.log;
                    let (flow, config) = (std::mem::take(flow), Some(Rc::clone(config)));
                    self.phase = Phase::Forwarded { flow, config, bodiless: edits.is_bodiless() };
                    self.record(record, log);
                    // last of all: whatever failed before leaves no mark
                    host::mark(self.id, Mark::Allowed);
                    return Action::Continue;
                }
                Step::Reply(reply) => {
                    let record = flow.record().cloned();
                    let log = config.audit.log;
                    self.record(record, log);
                    return self.answer(&reply);
                }
            }
        }
    }

    /// On Kong the body comes once the headers' phase has gone on, and before the request is sent. Should it never come, the request
    /// must lead nowhere.
    fn await_body(&mut self) -> Action {
        if Host::current() != Host::Kong {
            return Action::Pause;
        }
        match host::aim_at_nothing() {
            Some(target) => {
                self.target = Some(target);
                Action::Continue
            }
            None => self.fail("the request cannot be held until its body is there"),
        }
    }

    fn fail(&mut self, what: &'static str) -> Action {
        abi::log(Level::Error, what);
        self.refuse(&internal_error(what, &self.request_id))
    }

    /// Refuses what the core did not, or not in the end.
    fn refuse(&mut self, reply: &Reply) -> Action {
        let reason = reply.reason.unwrap_or(Reason::Internal);
        metrics::count(Metric::of_refusal(reason));
        let (record, log) = match &mut self.phase {
            Phase::Deciding { flow, config, .. } | Phase::Forwarded { flow, config: Some(config), .. } => {
                flow.abandon(reason, host::wall());
                (flow.record().cloned(), config.audit.log)
            }
            _ => (Some(Record::refused(self.request_id.as_str(), reason, host::wall())), true),
        };
        self.record(record, log);
        self.answer(reply)
    }

    /// Hands a record over, before the request goes on or is answered.
    fn record(&mut self, record: Option<Record>, log: bool) {
        if let Some(record) = record {
            audit::hand_over(&record, log, self.beside_lua);
        }
    }

    /// The entry before answered, and that counts. A second answer is a host trap; and Kong holds the first for as long as the guard waits.
    fn let_answer_go(&mut self) -> Action {
        self.phase = Phase::Answered;
        // should the host not have taken the answer, the request leads nowhere
        match host::aim_at_nothing() {
            Some(_) => Action::Continue,
            None => Action::Pause,
        }
    }

    fn answer(&mut self, reply: &Reply) -> Action {
        self.phase = Phase::Answered;
        host::mark(self.id, Mark::Refused);
        // what is ambiguous may have been framed otherwise than it seems
        let is_framed = self.beside_lua && reply.status != 400;
        if self.spare_bytes {
            host::reply_beside_a_callout(reply);
        } else {
            host::reply(reply, if is_framed { Connection::Kept } else { Connection::Closed });
        }
        Action::Pause
    }
}
