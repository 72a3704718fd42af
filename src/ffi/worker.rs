//! What one worker knows, behind handles: configurations, requests under way, and the core's memory.

use super::boundary::{CalloutAnswer, Head};
use super::counts;
use super::faults;
use super::interface::VERSION;
use super::message::{COMMON, Code, Message};
use super::sealed;
use super::slab::{Handle, Slab};
use crate::audit::{LONGEST_LINE, Record};
use crate::base::{Fingerprint, Now, Reason, Secret, SortedMap, UnixTime, Uptime};
use crate::config::{Config, ConfigError, SET_ELSEWHERE, Settings};
use crate::exchange::life_of_answer;
use crate::flow::{
    Answer as CalloutHeard, Basis, Callout, CalloutFault, CalloutReply, CalloutResult, Capabilities, CertificateDigest,
    Edits, Env, Event, Flow, Memory, Metric, Prefetch, Purpose, ReadBody, Reply, Request, RequestId, Shown, Step,
    WANTED_HEADERS, changed_after_decision, inspect_all_headers, internal_error, invalid_configuration,
};
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a call answers.
type Answer = (Code, Message);

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

/// What the plugin can do: everything.
const CAN: Capabilities = Capabilities::ALL;

/// The environment of the process that started the gateway. nginx's workers have another.
static ENVIRONMENT: OnceLock<SortedMap<String, Secret<String>>> = OnceLock::new();

#[derive(Debug, Default)]
struct Worker {
    configs: Slab<Configured>,
    // boxed, for they are taken out and put back at each call
    requests: Slab<Box<Live>>,
    memory: Memory,
    /// Configurations in the order in which they were taken up.
    taken_up: Vec<Weak<Config>>,
}

#[derive(Debug)]
struct Configured {
    config: Rc<Config>,
    prefetch: Prefetch,
    /// The name under which the answer to the last callout of a tick may be sealed.
    kept_as: Option<Fingerprint>,
    /// When the configuration was taken up or a request last needed it.
    used_at: Uptime,
}

/// A request under way.
#[derive(Debug)]
struct Live {
    config: Rc<Config>,
    id: RequestId,
    flow: Flow,
    /// The name under which the answer to the last callout may be sealed.
    kept_as: Option<Fingerprint>,
    /// What the decision rests on, once the headers arrived.
    decided: Option<Basis>,
    /// What is done once the request that is sent turned out to be the one that was decided on.
    allowed: Option<Allowed>,
}

#[derive(Debug)]
struct Allowed {
    edits: Edits,
    counts: Vec<Metric>,
    /// The audit record as a line of the log; empty if it is not to be written there.
    line: String,
}

/// Nothing can be said of the call; the request that it was for must be refused.
fn failed() -> Answer {
    (Code::Failed, Message::empty())
}

fn with<T>(otherwise: T, action: impl FnOnce(&mut Worker) -> T) -> T {
    faults::panic_if_due();
    let result = WORKER.try_with(|worker| worker.try_borrow_mut().ok().map(|mut worker| action(&mut worker)));
    result.ok().flatten().unwrap_or(otherwise)
}

/// The time; nothing if the machine has no clock to trust.
#[allow(clippy::disallowed_methods, reason = "this is a shell, and its host's clocks are the machine's")]
fn now() -> Option<Now> {
    if let Some(set) = faults::time() {
        return Some(set);
    }
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let instant = Instant::now();
    let uptime = instant.saturating_duration_since(*BEGINNING.get_or_init(|| instant));
    Some(Now {
        wall: UnixTime::from_millis(u64::try_from(wall.as_millis()).ok()?),
        uptime: Uptime::from_millis(u64::try_from(uptime.as_millis()).ok()?),
    })
}

/// Throws away what a panic may have left half written. The request that it was for is out of its place, and stays so.
pub(super) fn recover() {
    with((), |worker| {
        worker.memory = Memory::default();
        for config in worker.taken_up.iter().filter_map(Weak::upgrade) {
            worker.memory.configured(&config);
        }
    });
}

/// Begins anew on this thread, for a test.
#[cfg(feature = "faults")]
pub(super) fn restart() {
    WORKER.take();
}

/// How many requests are known, for a test.
#[cfg(feature = "faults")]
pub(super) fn open_requests() -> usize {
    WORKER.with_borrow(|worker| worker.requests.len())
}

pub(super) fn start() -> Answer {
    let read = || {
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        variables.filter_map(|(name, value)| Some((name, Secret::new(value.into_string().ok()?)))).collect()
    };
    ENVIRONMENT.get_or_init(read);
    sealed::make_key();
    let mut message = Message::default();
    message.push(VERSION);
    message.push_pairs(Metric::all().map(|metric| (metric.name(), metric.timestamp().unwrap_or_default())));
    (Code::Done, message)
}

fn variable(name: &str) -> Option<String> {
    match ENVIRONMENT.get() {
        Some(variables) => variables.get(name).map(|value| value.expose().clone()),
        None => std::env::var(name).ok(),
    }
}

fn parse(text: &[u8], lookup: &dyn Fn(&str) -> Option<String>) -> Result<Rc<Config>, Message> {
    let mut message = Message::default();
    match Settings::parse(text, &lookup) {
        Ok(Settings::Enforce(config)) => return Ok(config),
        Ok(Settings::Guard) => {
            message.push_pairs([("/mode", "is `guard`, which only the wasm filter needs: remove this plugin entry")]);
        }
        Err(errors) => {
            message.push_pairs(errors.into_iter().map(|ConfigError { pointer, message }| (pointer, message)));
        }
    }
    Err(message)
}

pub(super) fn check(text: &[u8], lacks_environment: bool) -> Answer {
    let set = |name: &str| variable(name).or_else(|| lacks_environment.then(|| SET_ELSEWHERE.to_owned()));
    match parse(text, &set) {
        Ok(_) => (Code::Done, Message::default()),
        Err(errors) => (Code::Nothing, errors),
    }
}

pub(super) fn open(text: &[u8]) -> (Option<Handle>, Message) {
    let config = match parse(text, &variable) {
        Ok(config) => config,
        Err(errors) => return (None, errors),
    };
    let mut message = Message::default();
    for name in &config.shared_secrets {
        message.push(name);
    }
    let used_at = now().unwrap_or_default().uptime;
    let handle = with(None, |worker| {
        worker.taken_up.retain(|known| known.strong_count() > 0);
        worker.taken_up.push(Rc::downgrade(&config));
        worker.memory.configured(&config);
        worker.configs.insert(Configured { config, prefetch: Prefetch::default(), kept_as: None, used_at })
    });
    (handle, message)
}

pub(super) fn close_config(config: Handle) {
    with((), |worker| {
        worker.configs.close(config);
    });
}

pub(super) fn open_request(config: Handle) -> Option<Handle> {
    let now = now()?;
    with(None, |worker| {
        let configured = worker.configs.get_mut(config)?;
        configured.used_at = now.uptime;
        let config = Rc::clone(&configured.config);
        let id = RequestId::unknown();
        let live = Live { config, id, flow: Flow::default(), kept_as: None, decided: None, allowed: None };
        worker.requests.insert(Box::new(live))
    })
}

pub(super) fn close_request(request: Handle) {
    with((), |worker| {
        worker.requests.close(request);
    });
}

/// Works on a request, which is out of its place meanwhile: if that panics, it stays so, and no later call finds it.
fn on_request(request: Handle, action: impl FnOnce(&mut Live, &mut Memory) -> Option<Answer>) -> Answer {
    with(None, |worker| {
        let mut live = worker.requests.take_out(request)?;
        let answer = action(&mut live, &mut worker.memory);
        faults::panic_if_due();
        worker.requests.put_back(request, live);
        answer
    })
    .unwrap_or_else(failed)
}

pub(super) fn on_headers(request: Handle, head: &Head<'_>) -> Answer {
    faults::panic_if_asked(head);
    on_request(request, |live, memory| {
        if live.decided.is_some() {
            return None;
        }
        live.id = request_id(head.id);
        let seen = inspect(head, &live.config);
        let has_body = head.has_body || seen.announces_body;
        live.decided = Some(Basis::new(&seen, head.target, has_body));
        let removals = seen.removals.clone();
        let shared = head.shared.iter().filter_map(|(name, value)| Some((text(name)?, Secret::new(text(value)?))));
        let request = Request::new(live.id.clone(), seen, head.target.to_vec(), has_body, shared.collect())?;
        let request = match live.config.own_headers.certificate {
            // what a terminator before the gateway hands on is in the headers
            Some(_) => request,
            None => request.with_certificate(Shown::read(head.certificate, CertificateDigest::of_pem)),
        };
        live.drive(Event::Request(request), &removals, memory)
    })
}

pub(super) fn on_body(request: Handle, kind: u32, body: &[u8]) -> Answer {
    on_request(request, |live, memory| {
        let body = read_body(kind, body);
        live.decided.as_mut()?.read(&body);
        live.drive(Event::Body(body), &[], memory)
    })
}

pub(super) fn on_callout(request: Handle, answer: &CalloutAnswer<'_>) -> Answer {
    on_request(request, |live, memory| {
        let heard = heard(answer, live.kept_as.take())?;
        live.drive(Event::Callout(heard), &[], memory)
    })
}

pub(super) fn on_send(request: Handle, head: &Head<'_>, kind: u32, body: &[u8]) -> Answer {
    on_request(request, |live, _| {
        // taken out before anything else: what is not sent now is never sent
        let allowed = live.allowed.take()?;
        let decided = live.decided.take()?;
        let seen = inspect(head, &live.config);
        let has_body = head.has_body || seen.announces_body;
        let difference = decided.difference(&seen, head.target, has_body, &read_body(kind, body));
        if let Some(what) = difference {
            let reply = changed_after_decision(what, &live.id);
            return live.refuse(&reply);
        }
        counts::add(&allowed.counts);
        let mut message = common(&[], &seen.removals, Audit::Line(&allowed.line));
        message.push(if live.flow.awaits_response() { REFUSALS } else { "" });
        message.push_pairs(allowed.edits.headers());
        Some((Code::Send, message))
    })
}

pub(super) fn on_response(request: Handle, status: u32, reason: &[u8]) -> Answer {
    on_request(request, |live, memory| {
        let reason = std::str::from_utf8(reason).ok().filter(|reason| !reason.is_empty());
        let refused = live.flow.on_response(u16::try_from(status).ok()?, reason, memory);
        Some(match refused {
            Some(share) => {
                let mut message = Message::default();
                message.push(sealed::name(share, live.config.digest).as_bytes());
                (Code::Done, message)
            }
            None => (Code::Nothing, Message::empty()),
        })
    })
}

pub(super) fn refuse(request: Handle, why: u32, id: &[u8]) -> Answer {
    let id = request_id(id);
    let reply = match why {
        1 => invalid_configuration(&id),
        _ => internal_error("the plugin could not go on", &id),
    };
    let answer = with(None, |worker| {
        let mut live = worker.requests.take_out(request)?;
        let answer = live.refuse(&reply);
        worker.requests.close(request);
        answer
    });
    answer.unwrap_or_else(|| {
        let reason = reply.reason.unwrap_or(Reason::Internal);
        let record = Record::refused(id.as_str(), reason, now().unwrap_or_default().wall);
        counts::add(&Metric::of_refusal(reason));
        let mut message = common(&[], &[], Audit::Record(&record, true));
        push_reply(&mut message, &reply);
        (Code::Reply, message)
    })
}

pub(super) fn on_tick(config: Handle) -> Answer {
    tick(config, |configured, env| configured.prefetch.on_tick(configured.used_at, env))
}

pub(super) fn on_tick_callout(config: Handle, answer: &CalloutAnswer<'_>) -> Answer {
    tick(config, |configured, env| {
        let heard = heard(answer, configured.kept_as.take())?;
        configured.prefetch.on_reply(0, heard, env)
    })
}

fn tick(config: Handle, step: impl FnOnce(&mut Configured, &mut Env<'_>) -> Option<Callout>) -> Answer {
    with(None, |worker| {
        let now = now()?;
        let mut configured = worker.configs.take_out(config)?;
        let (mut log, mut counts) = (Vec::new(), Vec::new());
        let rules = Rc::clone(&configured.config);
        let mut env =
            Env { config: &rules, memory: &mut worker.memory, now, can: CAN, log: &mut log, counts: &mut counts };
        let callout = step(&mut configured, &mut env);
        counts::add(&counts);
        let mut message = common(&log, &[], Audit::Line(""));
        let code = match &callout {
            Some(callout) => {
                configured.prefetch.on_sent(0);
                configured.kept_as = kept_as(callout, &rules);
                push_callout(&mut message, callout, configured.kept_as);
                Code::Call
            }
            None => Code::Nothing,
        };
        faults::panic_if_due();
        worker.configs.put_back(config, configured);
        Some((code, message))
    })
    .unwrap_or_else(failed)
}

impl Live {
    /// Feeds the core, and says what it wants.
    fn drive(&mut self, event: Event, removals: &[Vec<u8>], memory: &mut Memory) -> Option<Answer> {
        let now = now()?;
        let (mut log, mut counts) = (Vec::new(), Vec::new());
        let mut env = Env { config: &self.config, memory, now, can: CAN, log: &mut log, counts: &mut counts };
        let step = self.flow.on(event, &mut env);
        Some(match step {
            Step::Call(callout) => {
                counts::add(&counts);
                let mut message = self.common(&log, removals, false);
                self.kept_as = kept_as(&callout, &self.config);
                push_callout(&mut message, &callout, self.kept_as);
                (Code::Call, message)
            }
            Step::AwaitBody => {
                counts::add(&counts);
                let mut message = self.common(&log, removals, false);
                message.push(self.flow.body_limit(&self.config.limits).to_string());
                (Code::AwaitBody, message)
            }
            Step::Forward(edits) => {
                // it did not go on yet: what was counted for that is counted then
                let (later, now): (Vec<_>, Vec<_>) = counts
                    .into_iter()
                    .partition(|metric| matches!(metric, Metric::RequestsAllowed | Metric::RequestsWouldDeny));
                counts::add(&now);
                let message = self.common(&log, removals, false);
                let line = self.flow.record().filter(|_| self.config.audit.log).map(line).unwrap_or_default();
                self.allowed = Some(Allowed { edits, counts: later, line });
                (Code::Allowed, message)
            }
            Step::Reply(reply) => {
                counts::add(&counts);
                let mut message = self.common(&log, removals, true);
                push_reply(&mut message, &reply);
                (Code::Reply, message)
            }
        })
    }

    fn refuse(&mut self, reply: &Reply) -> Option<Answer> {
        self.allowed = None;
        let reason = reply.reason.unwrap_or(Reason::Internal);
        self.flow.abandon(reason, now()?.wall);
        counts::add(&Metric::of_refusal(reason));
        let mut message = self.common(&[], &[], true);
        push_reply(&mut message, reply);
        Some((Code::Reply, message))
    }

    fn common(&self, log: &[String], removals: &[Vec<u8>], is_last: bool) -> Message {
        let record = self.flow.record();
        let audit = record.map_or(Audit::Line(""), |record| Audit::Record(record, is_last && self.config.audit.log));
        common(log, removals, audit)
    }
}

fn inspect(head: &Head<'_>, config: &Config) -> crate::flow::Inspected {
    let pseudo = [(&b":method"[..], head.method), (b":scheme", head.scheme)];
    inspect_all_headers(
        pseudo.into_iter().chain(head.headers.iter().copied()),
        head.has_more_headers,
        &config.own_headers,
    )
}

fn request_id(id: &[u8]) -> RequestId {
    std::str::from_utf8(id).ok().and_then(RequestId::new).unwrap_or_else(RequestId::unknown)
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn read_body(kind: u32, body: &[u8]) -> ReadBody {
    match kind {
        0 => ReadBody::Whole(body.to_vec()),
        1 => ReadBody::TooLong,
        _ => ReadBody::Unreadable,
    }
}

/// What an answer says; one that another worker sealed opens only as the answer to what was asked.
fn heard(answer: &CalloutAnswer<'_>, kept_as: Option<Fingerprint>) -> Option<CalloutHeard> {
    if answer.outcome != SEALED {
        return Some(CalloutHeard { result: callout_result(answer), shared: answer.shared, kept: None });
    }
    let (result, asked_at) = match sealed::open(&kept_as?, answer.body) {
        Some((reply, asked_at)) => (Ok(reply), asked_at),
        None => (Err(CalloutFault::Failed(NOT_OPENED.to_owned())), now()?.wall),
    };
    Some(CalloutHeard { result, shared: true, kept: Some(asked_at) })
}

/// Only tokens are handed from worker to worker: they cost the most, and are the same whoever asks.
fn kept_as(callout: &Callout, config: &Config) -> Option<Fingerprint> {
    let share = callout.share.filter(|_| callout.purpose == Purpose::Token && config.limits.cached_tokens > 0)?;
    Some(sealed::name(share, config.digest))
}

pub(super) fn seal(name: &[u8], age: u32, answer: &CalloutAnswer<'_>) -> Answer {
    let nothing = (Code::Nothing, Message::empty());
    let (0, 200, Some(life), Some(now)) = (answer.outcome, answer.status, life_of_answer(answer.body), now()) else {
        return nothing;
    };
    let age = Duration::from_millis(age.into());
    let Some(sealed) = sealed::seal(name, answer.body, now.wall.minus(age)) else { return nothing };
    let mut message = Message::default();
    message.push(sealed);
    message.push(life.saturating_sub(age).as_secs().to_string());
    (Code::Done, message)
}

/// The statuses by which the workspace may refuse a token (`exchange::refuses_token`); it need not be told of others.
pub(super) const REFUSALS: &str = "401 403";
/// What became of a callout that another worker had answered.
const SEALED: u32 = 5;
const NOT_OPENED: &str = "what another worker kept cannot be opened";

/// The plugin hands over those headers that this callout wants.
fn callout_result(answer: &CalloutAnswer<'_>) -> CalloutResult {
    let known = |name: &[u8]| WANTED_HEADERS.into_iter().find(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes()));
    match (answer.outcome, u16::try_from(answer.status)) {
        (0, Ok(status)) => {
            let headers = answer.headers.iter().filter_map(|(name, value)| Some((known(name)?, text(value)?)));
            Ok(CalloutReply { status, headers: headers.collect(), body: answer.body.to_vec() })
        }
        (2, _) => Err(CalloutFault::TimedOut),
        (3, _) => Err(CalloutFault::Truncated),
        (4, _) => Err(CalloutFault::TooLong),
        _ => Err(CalloutFault::Failed(String::from_utf8_lossy(answer.body).chars().take(200).collect())),
    }
}

/// What an answer says of the audit record.
#[derive(Clone, Copy)]
enum Audit<'a> {
    /// All of it, and whether it is a line of the log, too.
    Record(&'a Record, bool),
    /// What was said before stands; only this line of the log is new.
    Line(&'a str),
}

/// The fields of [`COMMON`], in their order.
fn common(log: &[String], removals: &[Vec<u8>], audit: Audit<'_>) -> Message {
    let mut message = Message::default();
    message.push(log.join("\n").as_bytes());
    message.push(removals.join(&b'\n'));
    match audit {
        Audit::Record(record, writes) => push_record(&mut message, record, writes),
        Audit::Line(line) => {
            message.push("");
            message.push(line);
            (4..COMMON.len()).for_each(|_| message.push(""));
        }
    }
    message
}

fn push_record(message: &mut Message, record: &Record, writes: bool) {
    let json = record.to_json();
    message.push(&json);
    if writes {
        message.push(fitting(json, record));
    } else {
        message.push("");
    }
    message.push(record.decision.as_str());
    message.push(record.why());
    for part in [&record.role, &record.subject, &record.idp] {
        message.push(part.as_deref().unwrap_or_default());
    }
    message.push(record.operation.unwrap_or_default());
}

/// A record as a line of the log.
fn line(record: &Record) -> String {
    fitting(record.to_json(), record)
}

fn fitting(json: String, record: &Record) -> String {
    if json.len() <= LONGEST_LINE { json } else { record.to_json_within(LONGEST_LINE) }
}

/// The fields of [`super::message::CALL`], in their order.
fn push_callout(message: &mut Message, callout: &Callout, kept_as: Option<Fingerprint>) {
    let dial = callout.url.dial();
    let (host, port) = dial.rsplit_once(':').unwrap_or((&dial, ""));
    message.push(callout.url.scheme());
    message.push(host);
    message.push(port);
    message.push(callout.url.authority());
    message.push(callout.url.path());
    message.push(callout.method);
    message.push(callout.timeout.as_millis().to_string());
    message.push(callout.max_reply.to_string());
    message.push(callout.share.as_ref().map_or(&[][..], |share| share.as_bytes()));
    message.push(kept_as.as_ref().map_or(&[][..], |name| name.as_bytes()));
    message.push(callout.wanted_headers.join("\n"));
    message.push(callout.body.expose());
    message.push_pairs(callout.headers.iter().map(|(name, value)| (*name, value.expose())));
}

/// The fields of [`super::message::REPLY`], in their order, and the headers.
fn push_reply(message: &mut Message, reply: &Reply) {
    message.push(reply.status.to_string());
    message.push(&reply.body);
    message.push_pairs(reply.headers.iter().map(|(name, value)| (*name, value)));
}

/// Fails in the middle of the work on a request.
#[cfg(test)]
#[allow(clippy::panic, reason = "this is what it is for")]
pub(super) fn panic_while_working_on(request: u64) -> i32 {
    on_request(Handle::from_raw(request), |_, _| panic!("a test asked for it"));
    0
}
