//! Kong with the native plugin: what its Lua files (kong/plugins) do around the real library, in a world that moves only when told.
//!
//! The library's worker is its thread's, so a thread has one of these at a time.

use crate::calls::{CalloutEnd, PendingCall};
use crate::request::{HttpRequest, Outcome, Upstream};
use crate::worker::{Entry, RequestHandle};
use crate::world::{Callback, LogLine, Trap};
use databricks_kong::base::{UnixTime, Uptime};
use databricks_kong::ffi::caller::{self, Answer, Call, Head, Order, Said};
use databricks_kong::ffi::faults;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

/// When the worker starts, and when its machine did, in milliseconds since 1970.
const START: u64 = 1_800_000_000_000;
const MACHINE_START: u64 = 1_700_000_000_000;
/// Where `request.lua` aims requests until they are compared.
const NOWHERE: &str = "/.well-known/databricks-kong/undecided";
/// Outcomes of `callout.lua`.
const ANSWERED: u32 = 0;
const FAILED: u32 = 1;
const TIMED_OUT: u32 = 2;
const TRUNCATED: u32 = 3;
const TOO_LONG: u32 = 4;
const SEALED: u32 = 5;

/// One worker of Kong with the native plugin.
pub struct Native {
    /// Milliseconds since 1970.
    clock: u64,
    configs: BTreeMap<Entry, Config>,
    requests: BTreeMap<u32, Request>,
    flights: BTreeMap<u32, Flight>,
    /// The node's shared dictionary: what was sealed under which name, and until when it is kept. It outlives the worker.
    dictionary: BTreeMap<Vec<u8>, (Vec<u8>, u64)>,
    log: Vec<LogLine>,
    panics: Vec<Trap>,
    last_name: u32,
    /// The library's half stays on its thread.
    on_its_thread: PhantomData<*const ()>,
}

/// A configuration, as `configs.lua` keeps it.
struct Config {
    text: String,
    handle: u64,
    is_ticking: bool,
    /// What the tick under way found of no use.
    useless: Option<Vec<u8>>,
}

/// A callout under way.
struct Flight {
    call: PendingCall,
    want: Call,
    began: u64,
    /// Who waits for it, the one who sent it first.
    waiting: Vec<Asker>,
}

/// Who wants a callout.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    Request(u32),
    /// The tick of a configuration, and the handle that this had.
    Tick(Entry, u64),
}

/// What became of a callout.
struct Reply {
    outcome: u32,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its facts are gathered, and for that its body is read if nothing says whether there is one.
    Begins,
    AwaitsBody,
    AwaitsCallout,
    /// It is decided on. Other plugins run.
    Allowed,
    /// It was compared, and has its credential.
    Compared,
    Ended,
}

struct Request {
    id: String,
    /// The library's handle.
    live: Option<u64>,
    /// Whether the library heard of its end, over which it may panic as well.
    is_closed: bool,
    stage: Stage,
    method: String,
    /// `upstream_uri`
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    shared: Vec<(String, String)>,
    http2: bool,
    body_is_late: bool,
    slow_plugins: bool,
    /// Where it led before it was aimed at nothing.
    led_to: String,
    /// How long its body may be, if that was read.
    longest_body: Option<usize>,
    /// What was kept and turned out to be of no use.
    useless: Option<Vec<u8>>,
    /// Of which statuses the library wants to hear.
    listens: String,
    outcome: Outcome,
}

/// What a plugin between the two steps does to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another method.
    Method(&'static str),
    /// Another path.
    Path(&'static str),
    /// Another query.
    Query(&'static str),
    /// A header is set.
    Header(&'static str, &'static str),
    /// Another body.
    Body(Vec<u8>),
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn remove(&mut self, name: &str) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    fn target(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.clone(), |query| format!("{}?{query}", self.path))
    }

    /// Whether only its body can tell whether there is one.
    fn is_unannounced(&self) -> bool {
        self.http2 && self.header("content-length").is_none()
    }

    fn head<T>(&self, call: impl FnOnce(&Head<'_>) -> T) -> T {
        fn texts(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
        }
        let has_body = self.is_unannounced() && self.body.as_ref().is_some_and(|body| !body.is_empty());
        let (headers, shared) = (texts(&self.headers), texts(&self.shared));
        call(&Head { id: &self.id, method: &self.method, target: &self.target(), headers, shared, has_body })
    }

    /// A kind of body, as `dk_on_body` has it, and its bytes.
    fn body(&self, longest: usize) -> (u32, Vec<u8>) {
        let body = self.body.clone().unwrap_or_default();
        if body.len() > longest { (1, Vec::new()) } else { (0, body) }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Method(method) => (*method).clone_into(&mut self.method),
            Change::Path(path) => (*path).clone_into(&mut self.path),
            Change::Query(query) => self.query = Some((*query).to_owned()),
            Change::Header(name, value) => self.set(name, value),
            Change::Body(body) => {
                self.remove("transfer-encoding");
                self.set("content-length", &body.len().to_string());
                self.body = Some(body.clone());
            }
        }
    }

    fn upstream(&self) -> Upstream {
        let headers = self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        let (method, target) = (self.method.clone(), self.target());
        Upstream { method, target, headers: headers.collect(), body: self.body.clone() }
    }
}

impl Reply {
    /// As `callout.lua` makes it: a server that says nothing is a failure, and what is too long is not read.
    fn of(end: CalloutEnd, want: &Call) -> Self {
        let fault = |outcome, why: &str| Self { outcome, status: 0, headers: Vec::new(), body: why.into() };
        let answered = |status, headers: Vec<(String, String)>, body: Vec<u8>| {
            let is_wanted = |(name, _): &(String, String)| want.wanted.contains(name);
            if body.len() > want.longest {
                return fault(TOO_LONG, "");
            }
            Self { outcome: ANSWERED, status, headers: headers.into_iter().filter(is_wanted).collect(), body }
        };
        match end {
            CalloutEnd::Reply { status, headers, body } => answered(status, headers, body),
            CalloutEnd::EndsWithConnection { status, body } => answered(status, Vec::new(), body),
            CalloutEnd::Truncated { .. } => fault(TRUNCATED, ""),
            CalloutEnd::Timeout => fault(TIMED_OUT, ""),
            CalloutEnd::Refused => fault(FAILED, "connection refused"),
            CalloutEnd::Dns => fault(FAILED, "name error"),
            CalloutEnd::Tls => fault(FAILED, "certificate verify failed"),
            CalloutEnd::Unreadable => fault(FAILED, "malformed response"),
            CalloutEnd::ClosedAtOnce => fault(FAILED, "closed"),
        }
    }

    fn answer(&self, shared: bool) -> Answer<'_> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Answer { outcome: self.outcome, shared, status: self.status, headers, body: &self.body }
    }
}

impl Default for Native {
    fn default() -> Self {
        Self::new()
    }
}

impl Native {
    /// A worker that has just started, in the place of what this thread had.
    #[must_use]
    pub fn new() -> Self {
        faults::restart();
        caller::start();
        let native = Self {
            clock: START,
            configs: BTreeMap::new(),
            requests: BTreeMap::new(),
            flights: BTreeMap::new(),
            dictionary: BTreeMap::new(),
            log: Vec::new(),
            panics: Vec::new(),
            last_name: 0,
            on_its_thread: PhantomData,
        };
        native.set_time();
        native
    }

    fn set_time(&self) {
        faults::set_time(UnixTime::from_millis(self.clock), Uptime::from_millis(self.clock - MACHINE_START));
    }

    fn name(&mut self) -> u32 {
        self.last_name += 1;
        self.last_name
    }

    fn request(&mut self, name: u32) -> &mut Request {
        self.requests.get_mut(&name).expect("the request is known")
    }

    /// Makes a note if the call that is over panicked.
    fn note(&mut self, callback: Callback, request: Option<u32>) {
        if faults::take_panic() {
            self.panics.push(Trap { callback, request: request.map(RequestHandle) });
        }
    }

    /// What the library said, after such a note.
    fn noted<T>(&mut self, callback: Callback, request: Option<u32>, said: T) -> T {
        self.note(callback, request);
        said
    }

    // --- what a test looks at

    /// Seconds since 1970.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.clock / 1000
    }

    /// What was logged so far, records among it.
    #[must_use]
    pub fn log(&self) -> &[LogLine] {
        &self.log
    }

    /// How the request ended, if it did.
    #[must_use]
    pub fn outcome(&self, request: RequestHandle) -> &Outcome {
        &self.requests[&request.0].outcome
    }

    /// The host's name of the request.
    #[must_use]
    pub fn request_id(&self, request: RequestHandle) -> &str {
        &self.requests[&request.0].id
    }

    /// The callouts that wait for an answer, the oldest first.
    #[must_use]
    pub fn pending(&self) -> Vec<PendingCall> {
        self.flights.values().map(|flight| flight.call.clone()).collect()
    }

    /// How many wait for the answer to a callout.
    #[must_use]
    pub fn waiting_for(&self, token: u32) -> usize {
        self.flights[&token].waiting.len()
    }

    /// Whether the callout's time is over, so that it can end in no other way.
    #[must_use]
    pub fn is_overdue(&self, token: u32) -> bool {
        let flight = &self.flights[&token];
        self.clock - flight.began >= u64::from(flight.call.timeout)
    }

    /// Whether the request waits for its own body.
    #[must_use]
    pub fn awaits_body(&self, request: RequestHandle) -> bool {
        let request = &self.requests[&request.0];
        request.outcome == Outcome::Waiting && request.body_is_late
    }

    /// Whether the request is decided on, and other plugins have it.
    #[must_use]
    pub fn awaits_plugins(&self, request: RequestHandle) -> bool {
        self.requests[&request.0].stage == Stage::Allowed
    }

    /// Whether the request was allowed.
    #[must_use]
    pub fn is_allowed(&self, request: RequestHandle) -> bool {
        matches!(self.requests[&request.0].stage, Stage::Allowed | Stage::Compared)
    }

    /// Whether the request's body was read for the decision.
    #[must_use]
    pub fn has_read_body(&self, request: RequestHandle) -> bool {
        self.requests[&request.0].longest_body.is_some()
    }

    /// Whether the request went on and was not answered yet.
    #[must_use]
    pub fn awaits_response(&self, request: RequestHandle) -> bool {
        self.requests[&request.0].stage == Stage::Compared
            && matches!(self.requests[&request.0].outcome, Outcome::Forwarded(_))
    }

    /// The panics that the test asked for and got, the oldest first.
    #[must_use]
    pub fn panics(&self) -> &[Trap] {
        &self.panics
    }

    /// How many requests the library knows that have ended.
    #[must_use]
    pub fn left_behind(&self) -> usize {
        let open = self.requests.values().filter(|request| request.live.is_some() && !request.is_closed);
        faults::open_requests() - open.count()
    }

    // --- what a test does to the worker

    /// Adds a configuration.
    pub fn configure(&mut self, text: &str) -> Entry {
        let entry = Entry(self.name());
        self.open(entry, text.to_owned());
        entry
    }

    /// Starts are not disturbed by panics.
    fn open(&mut self, entry: Entry, text: String) -> u64 {
        let panic_in = faults::panic_after(None);
        let handle = caller::open_config(&text).expect("the configuration is valid");
        faults::panic_after(panic_in);
        self.configs.insert(entry, Config { text, handle, is_ticking: false, useless: None });
        handle
    }

    /// Lua's garbage collector finds a configuration that nobody uses any more. Requests under way keep what they need.
    pub fn collect(&mut self, entry: Entry) {
        if let Some(config) = self.configs.remove(&entry) {
            caller::close_config(config.handle);
            self.note(Callback::Configure, None);
        }
    }

    /// Lets time pass, with a tick a second.
    pub fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.clock += 1000;
            self.set_time();
            let due = self.configs.iter().filter(|(_, config)| !config.is_ticking).map(|(entry, _)| *entry);
            for entry in due.collect::<Vec<_>>() {
                self.tick(entry);
            }
        }
        self.clock += u64::from(time.subsec_millis());
        self.set_time();
    }

    fn tick(&mut self, entry: Entry) {
        let config = self.configs.get_mut(&entry).expect("it is known");
        config.useless = None;
        let mut handle = config.handle;
        let mut said = self.noted(Callback::Tick, None, caller::on_tick(handle));
        if said.order() == Order::Failed {
            // the library forgot it in a panic
            handle = self.reopen(entry);
            said = self.noted(Callback::Tick, None, caller::on_tick(handle));
        }
        self.tick_goes_on(entry, handle, said);
    }

    /// Has the library panic once, after so many further places where it may.
    pub fn panic_after(&mut self, places: u32) {
        faults::panic_after(Some(places));
    }

    /// Takes back [`Native::panic_after`].
    pub fn no_panic(&mut self) {
        faults::panic_after(None);
    }

    /// The worker is killed, and another takes its place. What was under way is lost; what the node keeps is not.
    pub fn kill(&mut self) {
        faults::restart();
        self.flights.clear();
        for request in self.requests.values_mut() {
            (request.stage, request.live) = (Stage::Ended, None);
            if request.outcome == Outcome::Waiting {
                // the connection ends; a balancer in front says so
                request.outcome = Outcome::ServerError(502);
            }
        }
        for (entry, Config { text, .. }) in std::mem::take(&mut self.configs) {
            self.open(entry, text);
        }
    }

    // --- what a test does to requests

    /// A request arrives at a route with this configuration.
    pub fn send(&mut self, entry: Entry, client: &HttpRequest) -> RequestHandle {
        let name = self.name();
        let mut headers = client.headers.clone();
        match &client.body {
            Some(body) if !client.unannounced => headers.push(("content-length".to_owned(), body.len().to_string())),
            Some(_) if !client.http2 => headers.push(("transfer-encoding".to_owned(), "chunked".to_owned())),
            _ => {}
        }
        let (path, query) = match client.target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (client.target.as_str(), None),
        };
        let request = Request {
            id: format!("{name:032x}"),
            live: None,
            is_closed: false,
            stage: Stage::Begins,
            method: client.method.clone(),
            path: path.to_owned(),
            query,
            headers,
            body: client.body.clone(),
            shared: client.shared.clone(),
            http2: client.http2,
            body_is_late: client.slow_body && client.body.as_ref().is_some_and(|body| !body.is_empty()),
            slow_plugins: client.slow_plugins,
            led_to: String::new(),
            longest_body: None,
            useless: None,
            listens: String::new(),
            outcome: Outcome::Waiting,
        };
        let waits = request.is_unannounced() && request.body_is_late;
        self.requests.insert(name, request);
        match self.begin(name, entry) {
            None => self.fail(name),
            Some(live) => {
                self.request(name).live = Some(live);
                if !waits {
                    self.decide(name);
                }
            }
        }
        RequestHandle(name)
    }

    /// The body of a request that kept it back arrives.
    pub fn body_arrives(&mut self, request: RequestHandle) {
        let name = request.0;
        let request = self.request(name);
        request.body_is_late = false;
        match (request.stage, request.longest_body) {
            (Stage::Begins, _) => self.decide(name),
            (Stage::AwaitsBody, Some(longest)) => {
                let said = self.read_body(name, longest);
                self.goes_on(name, said);
            }
            (Stage::Compared, _) => self.forward(name),
            _ => {}
        }
    }

    /// The plugins between the two steps have done what they do.
    pub fn plugins_are_done(&mut self, request: RequestHandle, change: Option<&Change>) {
        if let Some(change) = change {
            self.request(request.0).change(change);
        }
        self.compare(request.0);
    }

    /// The client goes away. Callouts that the request waited for go on, for those who wait for them too.
    pub fn client_leaves(&mut self, request: RequestHandle) {
        if *self.outcome(request) == Outcome::Waiting {
            self.end(request.0, Outcome::ClientGone);
        }
    }

    /// A callout ends.
    pub fn answer(&mut self, token: u32, end: CalloutEnd) {
        let flight = self.flights.remove(&token).expect("the callout is pending");
        let reply = Reply::of(end, &flight.want);
        self.hand_over(&flight, &reply);
        for (place, asker) in flight.waiting.iter().enumerate() {
            self.hear(*asker, &reply.answer(place > 0));
        }
    }

    /// The upstream answers a request that went on.
    pub fn respond(&mut self, request: RequestHandle, status: u16) {
        assert!(self.awaits_response(request), "{:?}", self.outcome(request));
        let name = request.0;
        let live = self.request(name).live.expect("it was decided on");
        if self.request(name).listens.contains(&status.to_string()) {
            if let Some(kept) = caller::on_response(live, status) {
                self.dictionary.remove(&kept);
            }
            self.note(Callback::ResponseHeaders, Some(name));
        }
        self.finish(name);
    }

    // --- the way of a request

    /// handler.lua, `decide`
    fn decide(&mut self, name: u32) {
        let live = self.live(name);
        let said = self.requests[&name].head(|head| caller::on_headers(live, head));
        let said = self.noted(Callback::RequestHeaders, Some(name), said);
        if said.order() != Order::Failed {
            self.remove(name, &said);
        }
        self.goes_on(name, said);
    }

    /// The library's request for a configuration, which it may have forgotten.
    fn begin(&mut self, name: u32, entry: Entry) -> Option<u64> {
        let handle = self.configs.get(&entry).expect("a route has a configuration").handle;
        let live = self.noted(Callback::Create, Some(name), caller::open_request(handle));
        live.or_else(|| {
            let handle = self.reopen(entry);
            self.noted(Callback::Create, Some(name), caller::open_request(handle))
        })
    }

    fn reopen(&mut self, entry: Entry) -> u64 {
        let old = self.configs.remove(&entry).expect("it is known");
        let handle = self.open(entry, old.text);
        caller::close_config(old.handle);
        self.note(Callback::Configure, None);
        handle
    }

    fn remove(&mut self, name: u32, said: &Said) {
        said.common("removals").lines().for_each(|header| self.request(name).remove(header));
    }

    fn report(&mut self, said: &Said) {
        for field in ["log", "record", "line"] {
            let text = said.common(field);
            if !text.is_empty() {
                self.log.push(LogLine { level: 2, text: text.to_owned() });
            }
        }
    }

    /// Does what the library wants until it has decided.
    fn goes_on(&mut self, name: u32, mut said: Said) {
        loop {
            let order = said.order();
            if order != Order::Failed {
                self.report(&said);
            }
            match order {
                Order::Call(call) => match self.ask(Asker::Request(name), &call) {
                    Some(next) => said = next,
                    None => return self.request(name).stage = Stage::AwaitsCallout,
                },
                Order::AwaitBody(longest) => {
                    let request = self.request(name);
                    (request.longest_body, request.useless) = (Some(longest), None);
                    if request.body_is_late {
                        return request.stage = Stage::AwaitsBody;
                    }
                    said = self.read_body(name, longest);
                }
                Order::Allowed => {
                    let request = self.request(name);
                    request.stage = Stage::Allowed;
                    request.led_to = std::mem::replace(&mut request.path, NOWHERE.to_owned());
                    if !request.slow_plugins {
                        self.compare(name);
                    }
                    return;
                }
                Order::Reply { status, headers, body } => {
                    return self.end(name, Outcome::Answered { status, headers, body });
                }
                Order::Failed | Order::Nothing | Order::Send { .. } => return self.fail(name),
            }
        }
    }

    fn read_body(&mut self, name: u32, longest: usize) -> Said {
        let (live, (kind, body)) = (self.live(name), self.requests[&name].body(longest));
        self.noted(Callback::RequestBody, Some(name), caller::on_body(live, kind, &body))
    }

    fn live(&self, name: u32) -> u64 {
        self.requests[&name].live.expect("it has begun")
    }

    /// The other plugin's `access`
    fn compare(&mut self, name: u32) {
        let request = self.request(name);
        assert_eq!(request.stage, Stage::Allowed);
        if request.path == NOWHERE {
            request.path = std::mem::take(&mut request.led_to);
        }
        let (kind, body) = request.longest_body.map_or((2, Vec::new()), |longest| request.body(longest));
        let live = self.live(name);
        let said = self.requests[&name].head(|head| caller::on_send(live, head, kind, &body));
        let said = self.noted(Callback::Send, Some(name), said);
        match said.order() {
            Order::Send { listens, headers } => {
                self.report(&said);
                self.remove(name, &said);
                let request = self.request(name);
                headers.iter().for_each(|(header, value)| request.set(header, value));
                request.listens = listens;
                request.stage = Stage::Compared;
                if !request.body_is_late {
                    self.forward(name);
                }
            }
            Order::Reply { status, headers, body } => {
                self.report(&said);
                self.end(name, Outcome::Answered { status, headers, body });
            }
            _ => self.fail(name),
        }
    }

    fn forward(&mut self, name: u32) {
        let upstream = self.request(name).upstream();
        self.request(name).outcome = Outcome::Forwarded(upstream);
    }

    /// refuse.lua, `failure`
    fn fail(&mut self, name: u32) {
        let (live, id) = (self.request(name).live, self.request(name).id.clone());
        let said = self.noted(Callback::Done, Some(name), caller::refuse(live, &id));
        let outcome = match said.order() {
            Order::Reply { status, headers, body } => {
                self.report(&said);
                Outcome::Answered { status, headers, body }
            }
            // Lua's own
            _ => Outcome::ServerError(500),
        };
        self.end(name, outcome);
    }

    fn end(&mut self, name: u32, outcome: Outcome) {
        self.request(name).outcome = outcome;
        self.finish(name);
    }

    /// handler.lua, `log`
    fn finish(&mut self, name: u32) {
        self.request(name).stage = Stage::Ended;
        if let Some(live) = self.request(name).live {
            let panics = self.panics.len();
            caller::close_request(live);
            self.note(Callback::Log, Some(name));
            self.request(name).is_closed = self.panics.len() == panics;
        }
    }

    // --- callouts

    /// Sends a callout, or waits for the same one of another. What the library says at once if another worker had kept the answer.
    fn ask(&mut self, asker: Asker, want: &Call) -> Option<Said> {
        let kept = self.dictionary.get(&want.keep).filter(|(_, until)| self.clock < *until);
        let kept = kept.map(|(sealed, _)| sealed.clone()).filter(|sealed| self.useless(asker).as_ref() != Some(sealed));
        if let Some(sealed) = kept {
            *self.useless(asker) = Some(sealed.clone());
            let answer = Answer { outcome: SEALED, shared: false, status: 0, headers: Vec::new(), body: &sealed };
            return Some(self.tell(asker, &answer));
        }
        let same = self.flights.values_mut().find(|flight| !want.share.is_empty() && flight.want.share == want.share);
        if let Some(flight) = same {
            flight.waiting.push(asker);
        } else {
            self.launch(asker, want);
        }
        None
    }

    fn launch(&mut self, asker: Asker, want: &Call) {
        let pseudo = [
            (":method", &want.method),
            (":path", &want.path),
            (":authority", &want.authority),
            (":scheme", &want.scheme),
        ];
        let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value.clone()));
        let call = PendingCall {
            token: self.name(),
            request: if let Asker::Request(name) = asker { Some(RequestHandle(name)) } else { None },
            upstream: want.upstream.clone(),
            headers: pseudo.into_iter().chain(want.headers.iter().cloned()).collect(),
            body: want.body.clone(),
            timeout: want.timeout,
        };
        let (began, waiting) = (self.clock, vec![asker]);
        self.flights.insert(call.token, Flight { call, want: want.clone(), began, waiting });
    }

    fn useless(&mut self, asker: Asker) -> &mut Option<Vec<u8>> {
        match asker {
            Asker::Request(name) => &mut self.request(name).useless,
            Asker::Tick(entry, _) => &mut self.configs.get_mut(&entry).expect("it ticks").useless,
        }
    }

    /// callout.lua, `hand_over`
    fn hand_over(&mut self, flight: &Flight, reply: &Reply) {
        if flight.want.keep.is_empty() {
            return;
        }
        let age = u32::try_from(self.clock - flight.began).unwrap_or(u32::MAX);
        let seal = caller::seal(&flight.want.keep, age, &reply.answer(false));
        if let Some((sealed, seconds)) = self.noted(Callback::CalloutReply, None, seal)
            && seconds > 0
        {
            self.dictionary.insert(flight.want.keep.clone(), (sealed, self.clock + 1000 * seconds));
        }
    }

    fn tell(&mut self, asker: Asker, answer: &Answer<'_>) -> Said {
        match asker {
            Asker::Request(name) => {
                let live = self.live(name);
                self.noted(Callback::CalloutReply, Some(name), caller::on_callout(live, answer))
            }
            Asker::Tick(_, handle) => self.noted(Callback::CalloutReply, None, caller::on_tick_callout(handle, answer)),
        }
    }

    fn hear(&mut self, asker: Asker, answer: &Answer<'_>) {
        let said = self.tell(asker, answer);
        match asker {
            Asker::Request(name) if self.request(name).outcome == Outcome::Waiting => self.goes_on(name, said),
            // Lua has forgotten the request with its coroutine; if it had not, the library would have
            Asker::Request(name) => {
                let is_refused = said.order() == Order::Failed || !self.request(name).is_closed;
                assert!(is_refused, "a request that has ended hears an answer: {said:?}");
            }
            Asker::Tick(entry, handle) => self.tick_goes_on(entry, handle, said),
        }
    }

    /// handler.lua, `fetch_ahead`
    fn tick_goes_on(&mut self, entry: Entry, handle: u64, mut said: Said) {
        loop {
            let order = said.order();
            if order != Order::Failed {
                self.report(&said);
            }
            let is_known = self.configs.get(&entry).is_some_and(|config| config.handle == handle);
            let next = match order {
                Order::Call(call) if is_known => {
                    self.configs.get_mut(&entry).expect("it is known").is_ticking = true;
                    self.ask(Asker::Tick(entry, handle), &call)
                }
                _ => {
                    if is_known {
                        self.configs.get_mut(&entry).expect("it is known").is_ticking = false;
                    }
                    return;
                }
            };
            match next {
                Some(next) => said = next,
                None => return,
            }
        }
    }
}
