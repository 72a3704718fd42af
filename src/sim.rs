//! A native driver: runs a [`Flow`] in a scripted world and writes down what it did.
//!
//! The clock moves only when told, callouts are answered by a [`World`], and secrets are shown as names or fingerprints, so a
//! transcript may be printed and compared. It decides nothing: a real host that is told the same story must give the same transcript.

use crate::audit::Record;
use crate::base::{Fingerprint, Now, Reason, Secret, UnixTime, Uptime};
use crate::config::Config;
use crate::databricks::read_form;
pub use crate::flow::Purpose;

use crate::exchange::SharedSecrets;
use crate::flow::{
    Answer as HostAnswer, Callout, CalloutFault, CalloutReply, CalloutResult, Capabilities, Edits, Env, Event, Flow,
    Memory, Metric, Prefetch, ReadBody, Reply, Request, RequestId, Shown as Certificate, Step, inspect_headers,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// What the other clock of a worker shows when it starts, in milliseconds: not the time, and not zero.
const BOOTED: u64 = 5_000_000;
/// A flow asks for far fewer callouts; one that does not end is cut off here.
const MOST_STEPS: usize = 64;

/// How the world answers one callout.
#[derive(Clone, Debug)]
pub struct Answer {
    /// By how much the clock moves until the answer is there.
    pub after: Duration,
    /// The answer, or why there is none.
    pub result: CalloutResult,
}

impl Answer {
    /// An answer at once, without the headers that matter.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let reply = CalloutReply { status, headers: Vec::new(), body: body.into() };
        Self { after: Duration::ZERO, result: Ok(reply) }
    }

    /// No answer at all.
    #[must_use]
    pub const fn fault(fault: CalloutFault) -> Self {
        Self { after: Duration::ZERO, result: Err(fault) }
    }

    /// The same answer with a `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, value: &str) -> Self {
        if let Ok(reply) = &mut self.result {
            reply.headers.push(("retry-after", value.to_owned()));
        }
        self
    }

    /// The same answer with a `Cache-Control`.
    #[must_use]
    pub fn cache_control(mut self, value: &str) -> Self {
        if let Ok(reply) = &mut self.result {
            reply.headers.push(("cache-control", value.to_owned()));
        }
        self
    }

    /// The same answer with an `ETag`.
    #[must_use]
    pub fn etag(mut self, value: &str) -> Self {
        if let Ok(reply) = &mut self.result {
            reply.headers.push(("etag", value.to_owned()));
        }
        self
    }

    /// The same answer, later.
    #[must_use]
    pub const fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

impl From<Answer> for Event {
    fn from(answer: Answer) -> Self {
        Self::Callout(HostAnswer::own(answer.result))
    }
}

/// Identity providers and token endpoints.
pub trait World {
    /// Answers one callout.
    fn answer(&mut self, purpose: Purpose, callout: &Callout) -> Answer;
}

impl<F: FnMut(Purpose, &Callout) -> Answer> World for F {
    fn answer(&mut self, purpose: Purpose, callout: &Callout) -> Answer {
        self(purpose, callout)
    }
}

/// A world of prepared answers: each is given once, in order, but the last of each purpose for ever. Without one, nobody answers.
#[derive(Clone, Debug, Default)]
pub struct Script(BTreeMap<Purpose, VecDeque<Answer>>);

impl Script {
    /// Replaces the answers for `purpose`.
    pub fn set(&mut self, purpose: Purpose, answers: impl IntoIterator<Item = Answer>) {
        self.0.insert(purpose, answers.into_iter().collect());
    }
}

impl World for Script {
    fn answer(&mut self, purpose: Purpose, _: &Callout) -> Answer {
        let answers = self.0.entry(purpose).or_default();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        answer.unwrap_or_else(|| Answer::fault(CalloutFault::Failed("nothing is scripted".to_owned())))
    }
}

/// A request as a client sends it.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The method.
    pub method: String,
    /// Path and query, byte for byte.
    pub target: Vec<u8>,
    /// Header names and values.
    pub headers: Vec<(String, Secret<String>)>,
    /// The body, if there is one.
    pub body: Option<Secret<Vec<u8>>>,
    /// What plugins before the filter left in `kong.ctx.shared`.
    pub shared: SharedSecrets,
    /// The certificate that the client has shown, where the host itself ends TLS.
    pub certificate: Certificate,
}

impl Client {
    /// The head as the shells hand it to the core under `config`; `None` if the method is not text.
    #[must_use]
    pub fn request(&self, id: RequestId, config: &Config) -> Option<Request> {
        let pseudo = [(&b":method"[..], self.method.as_bytes()), (b":path", self.target.as_slice())];
        let headers = self.headers.iter().map(|(name, value)| (name.as_bytes(), value.expose().as_bytes()));
        let seen = inspect_headers(pseudo.into_iter().chain(headers), &config.own_headers);
        let request = Request::new(id, seen, self.target.clone(), self.body.is_some(), self.shared.clone())?;
        Some(match config.own_headers.certificate {
            Some(_) => request,
            None => request.with_certificate(self.certificate),
        })
    }

    fn read_body(&self, limit: usize) -> ReadBody {
        match self.body.as_ref().map(Secret::expose) {
            None => ReadBody::Unreadable,
            Some(body) if body.len() > limit => ReadBody::TooLong,
            Some(body) => ReadBody::Whole(body.clone()),
        }
    }
}

/// One worker, its memory and its clock.
#[derive(Debug)]
pub struct Sim {
    /// The entry that handles the next request. Other entries of the worker share the memory.
    pub config: Rc<Config>,
    /// What the worker remembers.
    pub memory: Memory,
    /// The time. It moves when told, and by what answers take.
    pub now: Now,
    /// What the host can do; at first everything but letting requests wait for each other, and renewing tokens behind them.
    pub can: Capabilities,
    /// What was counted, in its order.
    pub counts: Vec<Metric>,
    names: Vec<(Secret<String>, String)>,
    requests: u64,
}

impl Sim {
    /// A worker that has just started.
    #[must_use]
    pub fn new(config: Rc<Config>, now: UnixTime) -> Self {
        let now = Now { wall: now, uptime: Uptime::from_millis(BOOTED) };
        let can = Capabilities { waits_for_others: false, timers: false, ..Capabilities::ALL };
        Self { config, memory: Memory::default(), now, can, counts: Vec::new(), names: Vec::new(), requests: 0 }
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    /// Shows `secret` as `<name>` in transcripts from now on.
    pub fn name(&mut self, secret: &str, name: &str) {
        self.names.push((Secret::new(secret.to_owned()), name.to_owned()));
    }

    /// Feeds one event; what goes to the log is appended to `log`.
    pub fn on(&mut self, flow: &mut Flow, event: Event, log: &mut Vec<String>) -> Step {
        self.memory.configured(&self.config);
        let (config, memory, counts) = (&self.config, &mut self.memory, &mut self.counts);
        flow.on(event, &mut Env { config, memory, now: self.now, can: self.can, log, counts })
    }

    /// An id for the next request.
    pub fn next_id(&mut self) -> RequestId {
        self.requests = self.requests.saturating_add(1);
        RequestId::new(&format!("sim-{}", self.requests)).unwrap_or_else(RequestId::unknown)
    }

    /// Runs a request from its headers to its end. `flow` is left as it is then, to hear of the response.
    pub fn run(&mut self, flow: &mut Flow, client: &Client, world: &mut dyn World) -> Transcript {
        let mut transcript = Transcript { callouts: Vec::new(), log: Vec::new(), record: None, end: End::Unfinished };
        let id = self.next_id();
        let Some(request) = client.request(id, &self.config) else { return transcript };
        let mut event = Event::Request(request);
        for _ in 0..MOST_STEPS {
            event = match self.on(flow, event, &mut transcript.log) {
                Step::Call(callout) => {
                    transcript.callouts.push(self.show_callout(&callout));
                    Event::Callout(HostAnswer::own(self.ask(&callout, world)))
                }
                Step::AwaitBody => Event::Body(client.read_body(flow.body_limit(&self.config.limits))),
                Step::Forward(edits) => {
                    transcript.end = self.show_forward(&edits);
                    break;
                }
                Step::Reply(reply) => {
                    transcript.end = self.show_reply(&reply);
                    break;
                }
            };
        }
        transcript.record = flow.record().cloned();
        transcript
    }

    /// Runs a tick and what follows from it; gives the callouts that were sent.
    pub fn tick(&mut self, prefetch: &mut Prefetch, used_at: Uptime, world: &mut dyn World) -> Vec<Shown> {
        let mut sent = Vec::new();
        let mut next = self.prefetch(|env| prefetch.on_tick(used_at, env));
        while let Some(callout) = next.take().filter(|_| sent.len() < MOST_STEPS) {
            sent.push(self.show_callout(&callout));
            prefetch.on_sent(0);
            let result = self.ask(&callout, world);
            next = self.prefetch(|env| prefetch.on_reply(0, HostAnswer::own(result), env));
        }
        sent
    }

    /// Runs one step of a [`Prefetch`].
    pub fn prefetch<T>(&mut self, step: impl FnOnce(&mut Env<'_>) -> T) -> T {
        self.memory.configured(&self.config);
        let (config, memory, counts) = (&self.config, &mut self.memory, &mut self.counts);
        step(&mut Env { config, memory, now: self.now, can: self.can, log: &mut Vec::new(), counts })
    }

    fn ask(&mut self, callout: &Callout, world: &mut dyn World) -> CalloutResult {
        let answer = world.answer(callout.purpose, callout);
        self.pass(answer.after);
        answer.result
    }

    /// A callout, its secrets hidden.
    #[must_use]
    pub fn show_callout(&self, callout: &Callout) -> Shown {
        let headers = callout.headers.iter().map(|(name, value)| ((*name).to_owned(), self.show(name, value.expose())));
        let form = read_form(callout.body.expose()).unwrap_or_default();
        Shown {
            purpose: callout.purpose,
            method: callout.method,
            url: callout.url.to_string(),
            upstream: callout.upstream.clone(),
            headers: headers.collect(),
            form: form.iter().map(|(name, value)| (name.to_string(), self.show(name, value))).collect(),
        }
    }

    fn show_forward(&self, edits: &Edits) -> End {
        let show = |(name, value): (&str, &[u8])| (name.to_owned(), self.show(name, &String::from_utf8_lossy(value)));
        End::Forward { headers: edits.headers().map(show).collect(), bodiless: edits.is_bodiless() }
    }

    fn show_reply(&self, reply: &Reply) -> End {
        let mut body = serde_json::from_slice(&reply.body).unwrap_or_default();
        if let Value::Object(members) = &mut body {
            for (name, value) in members {
                if let Value::String(text) = value {
                    *text = self.show(name, text);
                }
            }
        }
        let headers = reply.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        End::Reply { status: reply.status, reason: reply.reason, headers, body }
    }

    fn show(&self, name: &str, value: &str) -> String {
        match name {
            "authorization" => match value.split_once(' ') {
                Some(("Basic", pair)) => self.show_basic(pair),
                Some((scheme, token)) => format!("{scheme} {}", self.hide(token)),
                None => self.hide(value),
            },
            "token" | "subject_token" | "access_token" | "refresh_token" | "code" | "code_verifier" | "assertion"
            | "client_assertion" | "client_secret" => self.hide(value),
            _ => value.to_owned(),
        }
    }

    fn show_basic(&self, pair: &str) -> String {
        let decoded = STANDARD.decode(pair).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let (id, secret) = decoded.split_once(':').unwrap_or_default();
        format!("Basic {id}:{}", self.hide(secret))
    }

    fn hide(&self, secret: &str) -> String {
        let known = self.names.iter().find(|(known, _)| known.expose() == secret);
        let fingerprint = || format!("{:?}", Fingerprint::builder("sim").field(secret.as_bytes()).finish());
        format!("<{}>", known.map_or_else(fingerprint, |(_, name)| name.clone()))
    }
}

/// A callout as a transcript shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What it is for.
    pub purpose: Purpose,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Where it goes.
    pub url: String,
    /// The cluster's name, on hosts that dispatch by it.
    pub upstream: Option<String>,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The fields of its form.
    pub form: Vec<(String, String)>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It went on to the workspace.
    Forward {
        /// The headers that were set.
        headers: Vec<(String, String)>,
        /// Whether it must not turn out to have a body.
        bodiless: bool,
    },
    /// The gateway answered it.
    Reply {
        /// The HTTP status.
        status: u16,
        /// Why it is refused; nothing if it is not.
        reason: Option<Reason>,
        /// Header names and values.
        headers: Vec<(String, String)>,
        /// The body, which is JSON always.
        body: Value,
    },
    /// It did not end, or could not begin.
    Unfinished,
}

/// What a request did.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// The callouts, in their order.
    pub callouts: Vec<Shown>,
    /// What went to the log.
    pub log: Vec<String>,
    /// What was recorded of it.
    pub record: Option<Record>,
    /// How it ended.
    pub end: End,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)?;
        let authorization = self.headers.iter().filter(|(name, _)| name == "authorization");
        authorization.chain(&self.form).try_for_each(|(name, value)| write!(f, "\n  {name}: {value}"))
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.callouts.iter().try_for_each(|callout| writeln!(f, "{callout}"))?;
        match &self.end {
            End::Forward { headers, .. } => {
                f.write_str("forward")?;
                headers.iter().try_for_each(|(name, value)| write!(f, "\n  {name}: {value}"))
            }
            End::Reply { status, reason: Some(reason), .. } => write!(f, "reply {status} {reason}"),
            End::Reply { status, reason: None, .. } => write!(f, "reply {status}"),
            End::Unfinished => f.write_str("unfinished"),
        }
    }
}
