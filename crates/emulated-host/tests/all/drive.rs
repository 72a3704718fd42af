//! Four ways to run one request: the core alone, the built filter in each of its two hosts, and the native plugin's library.

use crate::gateway::Gateway;
use crate::stage::{NOW, SIGN_IN};
use databricks_kong::base::{Secret, UnixTime};
use databricks_kong::config::{Config, Settings};
use databricks_kong::databricks::read_form;
use databricks_kong::flow::{
    Answer, Callout, CalloutFault, CalloutReply, Edits, Event, Flow, Inspected, ReadBody, Reply, Step, inspect_headers,
};
use databricks_kong::sim::{Client, Sim};
use host::{CalloutEnd, Entry, HttpRequest, Native, Outcome, PendingCall, Profile, RequestHandle, Switches, Worker};
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;

/// What a callout is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    Discovery,
    Keys,
    Token,
    Lookup,
    Feed,
    Login,
}

impl Purpose {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Keys => "keys",
            Self::Token => "token",
            Self::Lookup => "lookup",
            Self::Feed => "feed",
            Self::Login => "login",
        }
    }
}

/// A callout as a transcript shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) url: String,
    /// In alphabetical order, pseudo-headers not among them.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) form: Vec<(String, String)>,
}

impl Ask {
    fn new(method: &str, url: String, headers: impl Iterator<Item = (String, String)>, body: &str) -> Self {
        let mut headers: Vec<_> = headers.collect();
        headers.sort();
        let form = read_form(body).unwrap_or_default();
        let form = form.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Self { method: method.to_owned(), url, headers, form }
    }

    pub(crate) fn of_call(call: &PendingCall) -> Self {
        let own = call.headers.iter().filter(|(name, _)| !name.starts_with(':')).cloned();
        Self::new(call.header(":method"), call.url(), own, std::str::from_utf8(&call.body).unwrap())
    }

    pub(crate) fn purpose(&self) -> Purpose {
        match self.method.as_str() {
            "POST" if self.url == SIGN_IN => Purpose::Login,
            "POST" => Purpose::Token,
            _ if self.url.ends_with("openid-configuration") => Purpose::Discovery,
            _ if self.url.contains("/api/") => Purpose::Lookup,
            _ if self.url.contains("/feed") => Purpose::Feed,
            _ => Purpose::Keys,
        }
    }
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It went on, with these headers in alphabetical order. An empty one is not shown: it is how Kong takes one off.
    Forward { target: String, headers: Vec<(String, String)> },
    /// The filter answered it.
    Reply { status: u16, headers: Vec<(String, String)>, body: Value },
    /// The host did.
    Host(u16),
    /// The client left.
    Gone,
    /// It still waits.
    Waiting,
}

impl End {
    /// `forward` and the credential; or status, reason, and the finer code or Databricks' error code.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Forward { headers, .. } => {
                let sent = headers.iter().find(|(name, _)| name == "authorization");
                format!("forward {}", sent.map_or("nothing", |(_, value)| value))
            }
            Self::Reply { status, body, .. } => {
                let metadata = &body["details"][0]["metadata"];
                let code = ["code", "error"].iter().find_map(|key| metadata[key].as_str());
                let reason = body["details"][0]["reason"].as_str().unwrap_or_default();
                [&status.to_string(), reason, code.unwrap_or_default()].join(" ").trim_end().to_owned()
            }
            Self::Host(status) => format!("host {status}"),
            Self::Gone => "gone".to_owned(),
            Self::Waiting => "waiting".to_owned(),
        }
    }
}

/// What one request did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transcript {
    pub(crate) asked: Vec<Ask>,
    pub(crate) end: End,
}

impl Transcript {
    /// One word a callout.
    pub(crate) fn asked(&self) -> String {
        self.asked.iter().map(|ask| ask.purpose().word()).collect::<Vec<_>>().join(" ")
    }

    /// The same with the request's own id taken out, which no two drivers share.
    pub(crate) fn without_id(&self, id: &str) -> Self {
        let clean = |pairs: &[(String, String)]| {
            pairs.iter().map(|(name, value)| (name.clone(), value.replace(id, "<id>"))).collect()
        };
        let asked = self.asked.iter().map(|ask| Ask { headers: clean(&ask.headers), ..ask.clone() }).collect();
        let end = match &self.end {
            End::Forward { target, headers } => End::Forward { target: target.clone(), headers: clean(headers) },
            End::Reply { status, headers, body } => {
                let body = serde_json::from_str(&body.to_string().replace(id, "<id>")).unwrap();
                End::Reply { status: *status, headers: clean(headers), body }
            }
            other => other.clone(),
        };
        Self { asked, end }
    }
}

/// One worker that handles one request at a time.
pub(crate) trait Driver {
    /// A request arrives. It goes on until it waits for a callout or ends.
    fn send(&mut self, client: &HttpRequest);
    /// The callout that is waited for.
    fn waits_for(&self) -> Option<Ask>;
    /// It ends.
    fn answer(&mut self, end: CalloutEnd);
    /// How the request ended.
    fn end(&self) -> End;
    /// The request's id.
    fn id(&self) -> String;
    fn pass(&mut self, time: Duration);
    /// The upstream answers the request.
    fn respond(&mut self, status: u16);
}

/// Runs one request; `world` answers.
pub(crate) fn run(
    driver: &mut dyn Driver,
    client: &HttpRequest,
    world: &mut dyn FnMut(&Ask) -> CalloutEnd,
) -> Transcript {
    driver.send(client);
    let mut asked = Vec::new();
    while let Some(ask) = driver.waits_for() {
        assert!(asked.len() < 32, "a request asks without end: {asked:?}");
        let end = world(&ask);
        asked.push(ask);
        driver.answer(end);
    }
    Transcript { asked, end: driver.end() }.without_id(&driver.id())
}

/// The core alone.
pub(crate) struct Core {
    sim: Sim,
    flow: Flow,
    client: HttpRequest,
    callout: Option<Callout>,
    end: End,
    id: String,
}

impl Core {
    pub(crate) fn new(config: &Value) -> Self {
        let config = match Settings::parse(config.to_string().as_bytes(), &|_| None) {
            Ok(Settings::Enforce(config)) => config,
            other => panic!("{other:?}"),
        };
        let config: Rc<Config> = config;
        let sim = Sim::new(config, UnixTime::from_secs(NOW));
        let (client, id) = (HttpRequest::default(), String::new());
        Self { sim, flow: Flow::default(), client, callout: None, end: End::Waiting, id }
    }

    fn on(&mut self, mut event: Event) {
        loop {
            match self.sim.on(&mut self.flow, event, &mut Vec::new()) {
                Step::Call(callout) => {
                    self.callout = Some(callout);
                    return;
                }
                Step::AwaitBody => event = Event::Body(self.body()),
                Step::Forward(edits) => {
                    self.end = self.forward(&edits);
                    return;
                }
                Step::Reply(reply) => {
                    self.end = replied(&reply);
                    return;
                }
            }
        }
    }

    fn body(&self) -> ReadBody {
        match &self.client.body {
            None => ReadBody::Unreadable,
            Some(body) if body.len() > self.flow.body_limit(&self.sim.config.limits) => ReadBody::TooLong,
            Some(body) => ReadBody::Whole(body.clone()),
        }
    }

    fn seen(&self) -> Inspected {
        inspect_headers(
            self.client.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            &databricks_kong::config::OwnHeaders::default(),
        )
    }

    fn forward(&self, edits: &Edits) -> End {
        let seen = self.seen();
        let is_removed = |name: &str| seen.removals.iter().any(|removed| removed == name.as_bytes());
        let is_set = |name: &str| edits.headers().any(|(set, _)| set.eq_ignore_ascii_case(name));
        let kept = self.client.headers.iter().filter(|(name, _)| !is_removed(name) && !is_set(name)).cloned();
        let set = edits.headers().map(|(name, value)| (name.to_owned(), String::from_utf8(value.to_vec()).unwrap()));
        forwarded(self.client.target.clone(), kept.chain(set))
    }
}

fn forwarded(target: String, headers: impl Iterator<Item = (String, String)>) -> End {
    // what hosts add by themselves
    let own = |name: &str| matches!(name, "x-request-id" | "content-length");
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut headers: Vec<_> = headers.filter(|(name, value)| !value.is_empty() && !own(name)).collect();
    headers.sort();
    End::Forward { target, headers }
}

/// The body of an answer, which is JSON where there is one.
fn read(body: &[u8]) -> Value {
    if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap() }
}

fn replied(reply: &Reply) -> End {
    let mut headers: Vec<_> = reply.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    headers.sort();
    End::Reply { status: reply.status, headers, body: read(&reply.body) }
}

impl Driver for Core {
    fn send(&mut self, client: &HttpRequest) {
        (self.flow, self.client, self.callout, self.end) = (Flow::default(), client.clone(), None, End::Waiting);
        let headers = client.headers.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone())));
        let shared = client.shared.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone())));
        let native = Client {
            method: client.method.clone(),
            target: client.target.clone().into_bytes(),
            headers: headers.chain([(":scheme".to_owned(), Secret::new("https".to_owned()))]).collect(),
            body: client.body.clone().map(Secret::new),
            shared: shared.collect(),
            ..Client::default()
        };
        let id = self.sim.next_id();
        self.id = id.to_string();
        let request = native.request(id, &self.sim.config).unwrap();
        self.on(Event::Request(request));
    }

    fn waits_for(&self) -> Option<Ask> {
        let callout = self.callout.as_ref()?;
        let headers = callout.headers.iter().map(|(name, value)| ((*name).to_owned(), value.expose().clone()));
        Some(Ask::new(callout.method, callout.url.to_string(), headers, callout.body.expose()))
    }

    fn answer(&mut self, end: CalloutEnd) {
        self.callout.take().expect("a callout is waited for");
        let wanted = |headers: Vec<(String, String)>| {
            let wanted = ["retry-after", "cache-control"];
            let find = |name: &&'static str| {
                headers.iter().find(|(key, _)| key == name).map(|(_, value)| (*name, value.clone()))
            };
            wanted.iter().filter_map(find).collect()
        };
        let failed = |cause: &str| Err(CalloutFault::Failed(cause.to_owned()));
        let result = match end {
            CalloutEnd::Reply { status, headers, body } => Ok(CalloutReply { status, headers: wanted(headers), body }),
            CalloutEnd::EndsWithConnection { status, body } => Ok(CalloutReply { status, headers: Vec::new(), body }),
            CalloutEnd::Truncated { .. } => Err(CalloutFault::Truncated),
            CalloutEnd::Refused => failed("broken connection"),
            CalloutEnd::Timeout => failed("timeout"),
            CalloutEnd::Dns => failed("resolver failure"),
            CalloutEnd::Tls => failed("tls handshake failure"),
            CalloutEnd::Unreadable => failed("reader failure"),
            CalloutEnd::ClosedAtOnce => failed("no status"),
        };
        self.on(Event::Callout(Answer::own(result)));
    }

    fn end(&self) -> End {
        self.end.clone()
    }

    fn id(&self) -> String {
        self.id.clone()
    }

    fn pass(&mut self, time: Duration) {
        self.sim.pass(time);
    }

    fn respond(&mut self, status: u16) {
        self.flow.on_response(status, None, &mut self.sim.memory);
    }
}

/// A gateway's worker; of the filter's, with one entry or several.
pub(crate) struct Hosted<G = Worker> {
    pub(crate) worker: G,
    pub(crate) entries: Vec<Entry>,
    pub(crate) last: Option<RequestHandle>,
}

impl Hosted {
    pub(crate) fn new(profile: Profile, config: &Value) -> Self {
        Self::with(profile, Switches::default(), &[config])
    }

    pub(crate) fn with(profile: Profile, switches: Switches, configs: &[&Value]) -> Self {
        let mut worker = Worker::with(profile, switches);
        let entries = configs.iter().map(|config| worker.configure(&config.to_string())).collect();
        Self { worker, entries, last: None }
    }
}

impl Hosted<Native> {
    pub(crate) fn natively(config: &Value) -> Self {
        let mut worker = Native::new();
        let entries = vec![worker.configure(&config.to_string())];
        Self { worker, entries, last: None }
    }
}

impl<G: Gateway> Hosted<G> {
    pub(crate) fn handle(&self) -> RequestHandle {
        self.last.expect("a request was sent")
    }

    pub(crate) fn outcome(&self) -> &Outcome {
        self.worker.outcome(self.handle())
    }

    /// The callout that a request waits for; it may be a tick's.
    fn awaited(&self) -> Option<PendingCall> {
        let pending = self.worker.pending();
        let waits = self.last.is_some_and(|last| *self.worker.outcome(last) == Outcome::Waiting);
        let of_request = pending.iter().find(|call| call.request.is_some());
        of_request.or_else(|| pending.first().filter(|_| waits)).cloned()
    }

    /// Lets fail what only makes room for an answer on Kong: it goes nowhere.
    fn make_room(&mut self) {
        while let Some(call) = self.worker.pending().into_iter().find(makes_room) {
            self.worker.answer(call.token, CalloutEnd::Refused);
        }
    }
}

/// Whether it is the callout after which Kong has room for an answer.
pub(crate) fn makes_room(call: &PendingCall) -> bool {
    call.upstream == "127.0.0.1:9"
}

pub(crate) fn end_of(outcome: &Outcome) -> End {
    match outcome {
        Outcome::Waiting => End::Waiting,
        Outcome::Forwarded(upstream) => forwarded(upstream.target.clone(), upstream.headers.iter().cloned()),
        Outcome::Answered { status, headers, body } => {
            let mut headers = headers.clone();
            // what Kong needs behind some answers
            headers.retain(|(name, value)| (name.as_str(), value.as_str()) != ("connection", "close"));
            headers.sort();
            let body = serde_json::from_slice(body).unwrap_or_default();
            End::Reply { status: *status, headers, body }
        }
        Outcome::ServerError(status) => End::Host(*status),
        Outcome::ClientGone => End::Gone,
    }
}

impl<G: Gateway> Driver for Hosted<G> {
    fn send(&mut self, client: &HttpRequest) {
        self.last = Some(self.worker.send(&self.entries, client));
        self.make_room();
    }

    fn waits_for(&self) -> Option<Ask> {
        self.awaited().as_ref().map(Ask::of_call)
    }

    fn answer(&mut self, end: CalloutEnd) {
        let token = self.awaited().unwrap().token;
        self.worker.answer(token, end);
        self.make_room();
    }

    fn end(&self) -> End {
        end_of(self.outcome())
    }

    fn id(&self) -> String {
        self.worker.request_id(self.handle()).to_owned()
    }

    fn pass(&mut self, time: Duration) {
        self.worker.pass(time);
    }

    fn respond(&mut self, status: u16) {
        self.worker.respond(self.handle(), status);
    }
}
