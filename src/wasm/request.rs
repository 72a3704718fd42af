//! One request: events in, the core's steps out.

use super::abi::{self, Action, Headers, Level};
use super::body::Intake;
use super::host::{self, Connection, Hold, Host, Mark};
use super::root::{RootContext, with_env};
use super::{audit, clock, events, headers, metrics};
use crate::audit::Record;
use crate::base::{Now, Reason};
use crate::config::{ClientCertificate, Config, Settings};
use crate::flow::{
    Answer, Callout, CalloutResult, Edits, Env, Event, Flow, HeaderProblem, Inspected, Metric, ReadBody, Reply,
    Request, RequestId, Step, guard_refused, inspect_headers, internal_error, invalid_configuration, missing_body,
    unannounced_body,
};
use std::cell::RefCell;
use std::rc::Rc;

/// Where a request stands between two events.
pub(super) struct RequestContext {
    id: u32,
    root_id: u32,
    root: Rc<RefCell<RootContext>>,
    request_id: RequestId,
    /// Where the request leads: what is decided on and, byte for byte, what is sent.
    target: Vec<u8>,
    moment: Moment,
    phase: Phase,
}

/// What is special about the event that is handled.
#[derive(Clone, Copy, Default)]
struct Moment {
    /// Whether the request's headers have come just now, and no entry has waited for anything.
    at_once: bool,
    /// When it came, if that was asked already: each question is a call of the host.
    now: Option<Now>,
    way: Way,
}

/// How a request is answered.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Plainly,
    /// While an answer to a callout is handled that failed or was empty.
    BesideNothing,
    /// An upstream's answer is there already.
    Instead,
}

enum Phase {
    /// No event came yet; a response now means that the request went round the filter.
    New,
    /// The core decides. The whole body may arrive before it is asked for.
    Deciding { flow: Flow, config: Rc<Config>, callout: Option<u32>, body: Intake, hold: Option<Hold> },
    /// The request went on.
    Forwarded { flow: Flow, config: Option<Rc<Config>>, bodiless: bool },
    /// An entry before this guard has not decided yet: it waits for the body, and so does the guard.
    Guarding,
    /// The answer is there, and waits until the host has room for it.
    Answering { reply: Reply },
    /// The request was answered.
    Answered,
}

/// What is left of a request that is gone and whose callout was not answered yet.
pub(super) struct Heir {
    flow: Flow,
    config: Rc<Config>,
}

impl Heir {
    /// Takes the answer; what to send next, if anything.
    pub(super) fn on_callout_reply(&mut self, result: CalloutResult) -> Option<Callout> {
        let Self { flow, config } = self;
        let hear = |env: &mut Env<'_>| flow.hear_for_others(Answer::own(result), env);
        with_env(host::of_root()?, config, clock::now(), hear).flatten()
    }
}

/// What the entry is configured to be.
fn settings(root: &RefCell<RootContext>) -> Option<Settings> {
    root.try_borrow().ok().and_then(|root| root.settings())
}

/// Hands a record over, before the request goes on or is answered.
fn record(record: Option<&Record>, log: bool) {
    match (record, host::known()) {
        (Some(record), Some(host)) => audit::hand_over(record, log, host),
        (Some(record), None) if log => audit::write_shortened(record),
        _ => {}
    }
}

const CANNOT_LIST: &str = "the headers cannot be read";

/// The host's name of the request.
fn identify(host: &dyn Host) -> RequestId {
    host.request_id().and_then(|id| RequestId::new(&id)).unwrap_or_else(RequestId::unknown)
}

/// What the headers say; of so many that the host cannot hand them over, only that.
fn inspect(host: &dyn Host, count: usize, config: &Config) -> Result<Inspected, &'static str> {
    if !host.can_list(count) {
        let one = |name: &'static str| Some((name, abi::header(Headers::Request, name).ok().flatten()?));
        let few: Vec<_> = [":method", ":path"].into_iter().filter_map(one).collect();
        let few = few.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
        let mut seen = inspect_headers(few, &config.own_headers);
        seen.problem = Some(HeaderProblem::TooMany);
        return Ok(seen);
    }
    let pairs = abi::header_pairs(Headers::Request).map_err(|_| CANNOT_LIST)?.unwrap_or_default();
    let pairs = headers::parse(&pairs).map_err(|_| CANNOT_LIST)?;
    let mut seen = inspect_headers(pairs.into_iter(), &config.own_headers);
    if !host.removes_repeated() {
        seen.refuse_repeated();
    }
    Ok(seen)
}

impl RequestContext {
    pub(super) fn new(id: u32, root_id: u32, root: Rc<RefCell<RootContext>>) -> Self {
        let (request_id, target) = (RequestId::unknown(), Vec::new());
        Self { id, root_id, root, request_id, target, moment: Moment::default(), phase: Phase::New }
    }

    pub(super) fn on_headers(&mut self, count: usize, end_of_stream: bool) -> Action {
        let Some(host) = host::current() else { return self.refuse_on_unknown_host() };
        self.request_id = identify(host);
        let now = clock::now();
        let settings = self.root.try_borrow_mut().ok().and_then(|mut root| {
            now.into_iter().for_each(|now| root.is_used(now));
            root.settings()
        });
        // a guard cannot know: if the entry before it waited and then trapped, this instance has never heard of the request
        let is_guard = matches!(settings, Some(Settings::Guard));
        let at_once = !is_guard && !events::has_waited(self.request_id.as_str());
        self.during(Moment { at_once, now, ..Moment::default() }, |request| match settings {
            Some(Settings::Enforce(config)) => request.decide(host, config, count, end_of_stream),
            Some(Settings::Guard) => request.guard(host),
            None => request.refuse(&invalid_configuration(&request.request_id)),
        })
    }

    /// What hears the answer to a callout after the request is gone, for those that need the same.
    pub(super) fn into_heir(self) -> Option<Heir> {
        match self.phase {
            Phase::Deciding { flow, config, callout: Some(_), .. } => Some(Heir { flow, config }),
            _ => None,
        }
    }

    /// The host's name of the request, if it says one: of requests without a name nothing can be noted. Entries must not differ in it,
    /// so one that was not told is asked for again.
    fn known_id(&mut self, host: &dyn Host) -> Option<&RequestId> {
        if self.request_id.is_unknown() {
            self.request_id = identify(host);
        }
        Some(&self.request_id).filter(|id| !id.is_unknown())
    }

    /// Handles an event of which something is special.
    fn during<T>(&mut self, moment: Moment, action: impl FnOnce(&mut Self) -> T) -> T {
        self.moment = moment;
        let result = action(self);
        self.moment = Moment::default();
        result
    }

    /// Does what an entry before this one said of the request.
    fn guard(&mut self, host: &dyn Host) -> Action {
        match (host.take_mark(self.known_id(host)), &self.phase) {
            (Some(Mark::Held), Phase::New) => {
                self.phase = Phase::Guarding;
                Action::Continue
            }
            (Some(Mark::Allowed), _) => {
                self.phase = Phase::Forwarded { flow: Flow::default(), config: None, bodiless: false };
                Action::Continue
            }
            (Some(Mark::Refused), _) => self.let_answer_go(host),
            (Some(Mark::Held) | None, _) => self.refuse(&guard_refused(&self.request_id)),
        }
    }

    /// The instance that sent a callout of this request is gone, and with it what was decided.
    pub(super) fn on_lost_callout(&mut self, result: &CalloutResult) {
        if let Phase::Answering { .. } = self.phase {
            return self.answer_now();
        }
        let is_empty = result.as_ref().map_or(true, |reply| reply.body.is_empty());
        let way = if is_empty { Way::BesideNothing } else { Way::Plainly };
        self.during(Moment { way, ..Moment::default() }, |request| {
            let _ = request.answer(&events::note_lost("an answer arrived that nothing waits for"));
        });
    }

    /// Takes the credentials off before anything else happens, so that whatever gets lost later is lost without them.
    fn decide(&mut self, host: &dyn Host, config: Rc<Config>, count: usize, end_of_stream: bool) -> Action {
        let seen = match inspect(host, count, &config) {
            Ok(seen) => seen,
            Err(what) => return self.fail(what),
        };
        let id = config.workspace.id.as_deref();
        if !seen.removals.iter().all(|name| host.remove(name, id)) {
            return self.fail("the caller's credentials cannot be removed");
        }
        let Some(request) = self.request(host, seen, &config, end_of_stream) else {
            return self.fail("the request line cannot be read");
        };
        let (callout, body, hold) = (None, Intake::default(), None);
        self.phase = Phase::Deciding { flow: Flow::default(), config, callout, body, hold };
        self.drive(Event::Request(request))
    }

    fn request(&mut self, host: &dyn Host, seen: Inspected, config: &Config, end_of_stream: bool) -> Option<Request> {
        let has_body = host.has_body(&seen, end_of_stream);
        self.target = host.target(seen.path.clone())?;
        let shared = host.shared_secrets(&config.shared_secrets);
        let request = Request::new(self.request_id.clone(), seen, self.target.clone(), has_body, shared)?;
        // what a terminator before the gateway hands on is in the headers
        let is_asked = config.client_certificate != ClientCertificate::Off && config.own_headers.certificate.is_none();
        Some(if is_asked { request.with_certificate(host.client_certificate()) } else { request })
    }

    pub(super) fn on_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Some(host) = host::current() else { return self.refuse_on_unknown_host() };
        match &mut self.phase {
            // the host lost the answer, and would hold the request for ever
            Phase::Deciding { callout: Some(_), .. } if host.shows_nothing_beside_callouts() => {
                self.fail("the answer to a callout got lost")
            }
            Phase::Deciding { flow, config, body, .. } => {
                body.show(size, end_of_stream, flow.body_limit(&config.limits));
                self.feed_body(host)
            }
            Phase::Forwarded { bodiless: true, .. } if size > 0 => self.refuse(&unannounced_body(&self.request_id)),
            Phase::Guarding => self.guard(host),
            Phase::Forwarded { .. } => Action::Continue,
            Phase::Answering { .. } => {
                self.answer_now();
                Action::Pause
            }
            Phase::Answered => Action::Pause,
            // the context was made anew in the middle of the request: nobody decided on it
            Phase::New => self.fail("the decision on a request got lost"),
        }
    }

    /// Trailers end the body, and would let the request go on if they were let on themselves.
    pub(super) fn on_trailers(&mut self) -> Action {
        let Some(host) = host::current() else { return self.refuse_on_unknown_host() };
        match &mut self.phase {
            Phase::Deciding { body, .. } => {
                body.end();
                match self.feed_body(host) {
                    Action::Continue => Action::Continue,
                    Action::Pause | Action::HoldBack => Action::Pause,
                }
            }
            Phase::Guarding => self.guard(host),
            Phase::Forwarded { .. } => Action::Continue,
            Phase::Answering { .. } | Phase::Answered => Action::Pause,
            Phase::New => self.fail("the decision on a request got lost"),
        }
    }

    /// Gives the core the body if it waits for that and all is here.
    fn feed_body(&mut self, host: &dyn Host) -> Action {
        let action = match &mut self.phase {
            Phase::Deciding { flow, body, .. } if flow.awaits_body() => match body.read() {
                Some(read) => self.drive(Event::Body(read)),
                None => Action::Pause,
            },
            _ => Action::Pause,
        };
        match &mut self.phase {
            Phase::Deciding { flow, body, .. } if action == Action::Pause => {
                // Nobody wants to see the body yet, and it may be any length: the client waits with it. One that is asked for is kept
                // by the host, which refuses what it has no room for.
                let is_kept = flow.awaits_body() || !host.holds_back_bodies();
                body.is_kept_by_host(is_kept);
                if is_kept { Action::Pause } else { Action::HoldBack }
            }
            _ => action,
        }
    }

    /// The answer to the callout `token` is here, which this request sent or waited for with others.
    pub(super) fn on_callout_reply(&mut self, token: u32, answer: Answer) {
        let callout = match &mut self.phase {
            Phase::Deciding { callout, .. } => callout.take(),
            Phase::Answering { .. } => return self.answer_now(),
            Phase::New => {
                self.fail("the decision on a request got lost");
                return;
            }
            Phase::Forwarded { .. } | Phase::Guarding | Phase::Answered => return,
        };
        let is_due = callout == Some(token);
        let is_empty = answer.result.as_ref().map_or(true, |reply| reply.body.is_empty());
        let way = if is_empty { Way::BesideNothing } else { Way::Plainly };
        self.during(Moment { way, ..Moment::default() }, |request| {
            if !is_due {
                request.fail("an answer arrived that nothing waited for");
                return;
            }
            let goes_on = request.drive(Event::Callout(answer)) == Action::Continue;
            if goes_on && !host::known().is_some_and(Host::resume) {
                abi::log(Level::Error, "the host does not let a request go on");
            }
        });
    }

    pub(super) fn on_response_headers(&mut self) {
        let Some(host) = host::current() else { return };
        match &mut self.phase {
            Phase::Forwarded { flow, .. } if flow.awaits_response() => {
                let text = |name| String::from_utf8(abi::header(Headers::Response, name).ok()??).ok();
                let status = text(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
                let reason = if status == 403 { text("x-databricks-reason-phrase") } else { None };
                events::with_memory(|memory| flow.on_response(status, reason.as_deref(), memory));
            }
            Phase::Forwarded { .. } | Phase::Answered => {}
            _ if !host.has_upstream_answered() => {}
            // an answer of an entry before, or one that this entry is not for
            Phase::New if matches!(settings(&self.root), Some(Settings::Guard)) => {}
            Phase::New | Phase::Deciding { .. } | Phase::Guarding | Phase::Answering { .. } => {
                self.during(Moment { way: Way::Instead, ..Moment::default() }, |request| request.answer_instead(host));
            }
        }
    }

    /// An upstream answered a request that nobody let go on: it reached that without a credential.
    fn answer_instead(&mut self, host: &dyn Host) {
        let mark = if matches!(self.phase, Phase::Guarding) { host.take_mark(self.known_id(host)) } else { None };
        match &mut self.phase {
            Phase::Guarding if mark.is_some() => self.phase = Phase::Answered,
            Phase::Guarding => drop(self.refuse(&guard_refused(&self.request_id))),
            // a body was announced, or could have come unannounced, and none did: the host shows no empty ones
            Phase::Deciding { flow, .. } if flow.awaits_body() => self.decide_without_body(host),
            _ => drop(self.fail("a response arrived to a request that was not decided on")),
        }
    }

    /// Refuses what waited for a body that never came, as it would have been refused without one. It is too late for anything else.
    fn decide_without_body(&mut self, host: &dyn Host) {
        let Phase::Deciding { flow, config, .. } = &mut self.phase else { return };
        let body = Event::Body(ReadBody::Whole(Vec::new()));
        match with_env(host, config, clock::now(), |env| flow.on(body, env)) {
            Some(Step::Reply(reply)) => {
                record(flow.record(), config.audit.log);
                self.answer(&reply);
            }
            _ => drop(self.refuse(&missing_body(&self.request_id))),
        }
    }

    /// Feeds the core until it wants to wait or has ended.
    fn drive(&mut self, mut event: Event) -> Action {
        loop {
            let Phase::Deciding { flow, config, callout, body, .. } = &mut self.phase else {
                return self.fail("a decision ended twice");
            };
            let now = self.moment.now.or_else(clock::now);
            let asked = host::known().and_then(|host| with_env(host, config, now, |env| flow.on(event, env)));
            let Some(step) = asked else {
                return self.fail("the core cannot be asked");
            };
            match step {
                Step::Call(call) => match events::call(&call, self.root_id, self.id) {
                    Ok(token) => {
                        *callout = Some(token);
                        events::note_wait(self.request_id.as_str(), self.id);
                        return Action::Pause;
                    }
                    Err(fault) => event = Event::Callout(Answer::own(Err(fault))),
                },
                Step::AwaitBody => match body.read() {
                    Some(read) => event = Event::Body(read),
                    None => return self.await_body(),
                },
                Step::Forward(edits) => return self.forward(&edits),
                Step::Reply(reply) => {
                    record(flow.record(), config.audit.log);
                    return self.answer(&reply);
                }
            }
        }
    }

    fn forward(&mut self, edits: &Edits) -> Action {
        let (Phase::Deciding { hold, .. }, Some(host)) = (&self.phase, host::known()) else {
            return self.fail("a decision ended twice");
        };
        let is_aimed = *hold != Some(Hold::Aside) || host.aim(&self.target);
        let set = |(name, value)| abi::replace_header(Headers::Request, name, value).is_ok();
        if !is_aimed || !edits.headers().all(set) {
            return self.fail("the request's headers cannot be set");
        }
        if let Phase::Deciding { flow, config, .. } = &mut self.phase {
            record(flow.record(), config.audit.log);
            let (flow, config) = (std::mem::take(flow), Some(Rc::clone(config)));
            self.phase = Phase::Forwarded { flow, config, bodiless: edits.is_bodiless() };
        }
        // last of all: whatever failed before leaves no mark
        let context = self.id;
        host.mark(self.known_id(host), context, Mark::Allowed);
        Action::Continue
    }

    fn await_body(&mut self) -> Action {
        let held = host::known().and_then(Host::hold);
        match (&mut self.phase, held) {
            (Phase::Deciding { hold, .. }, Some(Hold::Aside)) => {
                *hold = held;
                if let Some(host) = host::known() {
                    let context = self.id;
                    host.mark(self.known_id(host), context, Mark::Held);
                }
                Action::Continue
            }
            (Phase::Deciding { hold, .. }, Some(Hold::Here)) => {
                *hold = held;
                Action::Pause
            }
            _ => self.fail("the request cannot be held until its body is there"),
        }
    }

    fn fail(&mut self, what: &'static str) -> Action {
        abi::log(Level::Error, what);
        self.refuse(&internal_error(what, &self.request_id))
    }

    /// Nothing is known of what such a host does with a request, but that it takes answers.
    fn refuse_on_unknown_host(&mut self) -> Action {
        self.fail("this host is neither kong nor envoy, or does not say so")
    }

    /// Refuses what the core did not, or not in the end.
    fn refuse(&mut self, reply: &Reply) -> Action {
        let reason = reply.reason.unwrap_or(Reason::Internal);
        metrics::count(Metric::of_refusal(reason), None);
        let time = clock::time_of_record();
        match &mut self.phase {
            Phase::Deciding { flow, config, .. } | Phase::Forwarded { flow, config: Some(config), .. } => {
                flow.abandon(reason, time);
                record(flow.record(), config.audit.log);
            }
            _ => record(Some(&Record::refused(self.request_id.as_str(), reason, time)), self.logs_records()),
        }
        self.answer(reply)
    }

    /// Whether the entry's records are to be logged; one that cannot say so logs them.
    fn logs_records(&self) -> bool {
        match settings(&self.root) {
            Some(Settings::Enforce(config)) => config.audit.log,
            Some(Settings::Guard) | None => true,
        }
    }

    /// The entry before answered, and that counts. A second answer is a host trap; and Kong holds the first for as long as the guard waits.
    fn let_answer_go(&mut self, host: &dyn Host) -> Action {
        self.phase = Phase::Answered;
        // should the host not have taken the answer, the request leads nowhere
        match host.hold() {
            Some(_) => Action::Continue,
            None => Action::Pause,
        }
    }

    fn answer(&mut self, reply: &Reply) -> Action {
        let Some(host) = host::known() else {
            self.phase = Phase::Answered;
            host::reply(reply, Connection::Closed);
            return Action::Pause;
        };
        if self.moment.way == Way::BesideNothing
            && let Some(token) = host.make_room()
        {
            events::expect(token, self.root_id, self.id);
            self.phase = Phase::Answering { reply: reply.clone() };
            return Action::Pause;
        }
        self.phase = Phase::Answered;
        let context = self.id;
        host.mark(self.known_id(host), context, Mark::Refused);
        match self.moment.way {
            Way::Instead => host.reply_instead(reply),
            Way::Plainly | Way::BesideNothing => {
                // what is ambiguous may have been framed otherwise than it seems
                let is_framed = self.moment.at_once && reply.status != 400;
                host::reply(reply, if is_framed { Connection::Kept } else { Connection::Closed });
            }
        }
        Action::Pause
    }

    /// Sends an answer that had to wait.
    fn answer_now(&mut self) {
        if let Phase::Answering { reply } = std::mem::replace(&mut self.phase, Phase::Answered) {
            let _ = self.during(Moment::default(), |request| request.answer(&reply));
        }
    }
}
