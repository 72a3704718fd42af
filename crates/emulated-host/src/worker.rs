//! One worker: the life of the filter's instance, of its contexts and of requests.

use crate::calls::{CalloutEnd, Delivered, PendingCall};
use crate::module::Filter;
use crate::pairs::Pair;
use crate::request::{HttpRequest, Outcome, Request, ShownBody, Step};
use crate::world::{Callback, Frame, Injected, LogLine, Misuse, Owner, Profile, Root, Switches, Trap, World};
use std::time::Duration;
use wasmtime::{Instance, Store, WasmParams, WasmResults};

/// When a worker starts, in seconds since 1970.
const START: u64 = 1_800_000_000;
const CONTINUE: u32 = 0;
/// Envoy's `StopIterationAndWatermark`, for a piece of a body.
const HOLD_BACK: u32 = 2;

/// An entry of the filter in a chain: one configuration in one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry(pub(crate) u32);

/// A request that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestHandle(pub(crate) u32);

/// One worker with one instance of the filter.
pub struct Worker {
    filter: Filter,
    /// Always there but within [`Worker::throw_instance_away`].
    store: Option<Store<World>>,
    instance: Option<Instance>,
    instances: usize,
}

impl Worker {
    /// A worker that has just started.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self::with(profile, Switches::default())
    }

    /// The same, set up otherwise.
    #[must_use]
    pub fn with(profile: Profile, switches: Switches) -> Self {
        Self::of(Filter::built(), profile, switches)
    }

    /// The same with another filter.
    #[must_use]
    pub fn of(filter: &Filter, profile: Profile, switches: Switches) -> Self {
        let world = World::new(profile, switches, START * 1_000_000_000);
        let store = Store::new(filter.0.module().engine(), world);
        Self { filter: filter.clone(), store: Some(store), instance: None, instances: 0 }
    }

    fn store(&mut self) -> &mut Store<World> {
        self.store.as_mut().expect("there is one")
    }

    fn world(&mut self) -> &mut World {
        self.store().data_mut()
    }

    fn look(&self) -> &World {
        self.store.as_ref().expect("there is one").data()
    }

    fn request(&mut self, request: u32) -> &mut Request {
        self.world().requests.get_mut(&request).expect("the request is known")
    }

    // --- what a test looks at

    /// Which host this is.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.look().profile
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.look().clock / 1_000_000_000
    }

    /// What was logged so far.
    #[must_use]
    pub fn log(&self) -> &[LogLine] {
        &self.look().log
    }

    /// How the request ended, if it did.
    #[must_use]
    pub fn outcome(&self, request: RequestHandle) -> &Outcome {
        &self.look().requests[&request.0].outcome
    }

    /// The host's name of the request, as the filter may show it.
    #[must_use]
    pub fn request_id(&self, request: RequestHandle) -> &str {
        &self.look().requests[&request.0].id
    }

    /// The callouts that wait for an answer, the oldest first.
    #[must_use]
    pub fn pending(&self) -> Vec<PendingCall> {
        self.look().calls.values().map(|(call, _)| call.clone()).collect()
    }

    /// Whether the request waits for its own body.
    #[must_use]
    pub fn awaits_body(&self, request: RequestHandle) -> bool {
        let request = &self.look().requests[&request.0];
        request.outcome == Outcome::Waiting && request.body_is_late
    }

    /// A header of the request as it would be sent on now; empty if there is none.
    #[must_use]
    pub fn header_to_send(&self, request: RequestHandle, name: &str) -> &[u8] {
        let sent = &self.look().requests[&request.0].sent;
        sent.iter().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes())).map_or(&[], |(_, value)| value)
    }

    /// Whether its trailers are still to come.
    #[must_use]
    pub fn awaits_trailers(&self, request: RequestHandle) -> bool {
        let request = &self.look().requests[&request.0];
        let is_open =
            matches!(request.outcome, Outcome::Waiting | Outcome::Forwarded(_)) && request.step != Step::Ended;
        is_open && request.trailers_are_late && !request.body_is_late
    }

    /// The set-up, to be changed while the worker runs.
    pub fn switches(&mut self) -> &mut Switches {
        &mut self.world().switches
    }

    /// Whether the request went on and was not answered yet.
    #[must_use]
    pub fn awaits_response(&self, request: RequestHandle) -> bool {
        let request = &self.look().requests[&request.0];
        matches!(request.outcome, Outcome::Forwarded(_)) && request.upstream_status.is_none()
    }

    /// How many callouts were sent so far, also those that an answer cancelled at once.
    #[must_use]
    pub fn callouts(&self) -> usize {
        self.look().callouts
    }

    /// What the host's page of metrics says under a name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<u64> {
        self.look().metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
    }

    /// How many instances there were so far.
    #[must_use]
    pub const fn instances(&self) -> usize {
        self.instances
    }

    /// The traps that the test asked for and got, the oldest first.
    #[must_use]
    pub fn traps(&self) -> &[Trap] {
        &self.look().traps
    }

    /// Whether any configuration has a tick.
    #[must_use]
    pub fn ticks(&self) -> bool {
        self.look().roots.values().any(|root| root.tick_period.is_some())
    }

    /// Bytes of the instance's memory.
    pub fn memory(&mut self) -> usize {
        let Some(instance) = self.instance else { return 0 };
        let memory = instance.get_memory(self.store(), "memory").expect("the module has a memory");
        memory.data_size(self.store())
    }

    // --- what a test does to the worker

    /// Adds an entry with this configuration.
    pub fn configure(&mut self, config: &str) -> Entry {
        let root =
            Root { config: config.as_bytes().to_vec(), started: false, tick_period: None, next_tick: 0, alive: false };
        let name = self.world().name();
        self.world().roots.insert(name, root);
        self.ensure_root(name);
        Entry(name)
    }

    /// Lets time pass. Each tick that became due meanwhile happens once.
    pub fn pass(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).expect("not for centuries");
        self.world().clock += nanos;
        let now = self.look().clock;
        let due = |root: &Root| root.tick_period.filter(|_| root.next_tick <= now);
        let due: Vec<_> = self.look().roots.iter().filter_map(|(name, root)| Some((*name, due(root)?))).collect();
        for (name, period) in due {
            self.world().roots.get_mut(&name).expect("it is known").next_tick = now + period;
            self.tick(name);
        }
    }

    fn tick(&mut self, root: u32) {
        self.ensure_root(root);
        self.invoke::<_, ()>("proxy_on_tick", Frame::of(Callback::Tick, root), root);
    }

    /// Makes the filter trap after so many further calls: the host's of the filter and the filter's of the host, starts left out.
    pub fn trap_after(&mut self, calls: u32) {
        self.world().trap_in = Some(calls);
    }

    /// What the filter called the host for since this was last asked.
    pub fn take_host_calls(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.world().host_calls)
    }

    /// Takes back [`Worker::trap_after`].
    pub fn no_trap(&mut self) {
        self.world().trap_in = None;
    }

    /// Throws the instance and all its contexts away, as Kong does some time after a change of any chain.
    pub fn lose_instance(&mut self) {
        self.throw_instance_away();
    }

    // --- what a test does to requests

    /// A request arrives and passes these entries.
    pub fn send(&mut self, entries: &[Entry], client: &HttpRequest) -> RequestHandle {
        let name = self.add(entries, client);
        self.run(name);
        RequestHandle(name)
    }

    fn add(&mut self, entries: &[Entry], client: &HttpRequest) -> u32 {
        let name = self.world().name();
        let id = format!("{name:032x}");
        let is_kong = self.look().is_kong();
        let path = client.shown_path.as_ref().unwrap_or(&client.target);
        // the authority that Kong shows is its own
        let host = client.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let authority = if is_kong { "kong:8000" } else { host.map_or("", |(_, value)| value.as_str()) };
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let pseudo = [(":method", client.method.as_str()), (":path", path), (":authority", authority)];
        let pseudo = pseudo.into_iter().chain([(":scheme", "https")]).map(|(name, value)| pair(name, value));
        let own = client.headers.iter().map(|(name, value)| pair(name, value));
        let mut own: Vec<Pair> = own.collect();
        if !is_kong {
            own.push(pair("x-request-id", &id));
        }
        match &client.body {
            Some(body) if !client.unannounced => own.push(pair("content-length", &body.len().to_string())),
            Some(_) if !client.http2 => own.push(pair("transfer-encoding", "chunked")),
            _ => {}
        }
        let shown = pseudo.chain(own.iter().cloned()).collect();
        let request = Request {
            entries: entries.iter().map(|entry| entry.0).collect(),
            contexts: vec![None; entries.len()],
            shown_body: vec![ShownBody::default(); entries.len()],
            http2: client.http2,
            method: client.method.clone(),
            target: client.target.clone(),
            id,
            shown,
            sent: own,
            body: client.body.clone(),
            unannounced: client.unannounced,
            body_is_late: client.slow_body && client.body.as_ref().is_some_and(|body| !body.is_empty()),
            trailers: client.trailers,
            trailers_are_late: client.slow_trailers && client.trailers > 0,
            shared: client.shared.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect(),
            upstream_status: None,
            response_headers: Vec::new(),
            step: Step::Headers(0),
            has_waited: false,
            paused: false,
            local: None,
            client_gone: false,
            outcome: Outcome::Waiting,
        };
        self.world().requests.insert(name, request);
        name
    }

    /// The body of a request that kept it back arrives.
    pub fn body_arrives(&mut self, request: RequestHandle) {
        let name = request.0;
        self.request(name).body_is_late = false;
        if self.request(name).outcome != Outcome::Waiting {
            return;
        }
        match self.profile() {
            Profile::Kong if self.pending_of(name) > 0 => {}
            Profile::Envoy if self.request(name).paused => {
                let Step::Headers(held) = self.request(name).step else { return };
                self.show_body(name, held);
                self.run(name);
            }
            _ => self.run(name),
        }
    }

    /// The trailers of a request that kept them back arrive, in Envoy; Kong does not show them.
    pub fn trailers_arrive(&mut self, request: RequestHandle) {
        let name = request.0;
        self.request(name).trailers_are_late = false;
        if self.look().is_kong() {
            return;
        }
        match (self.request(name).step, self.request(name).outcome.clone()) {
            (Step::Headers(held), Outcome::Waiting) if self.request(name).paused => {
                self.show_body(name, held);
                self.run(name);
            }
            // a machine that failed takes its streams with it
            (Step::Response, _) if self.request(name).contexts.contains(&None) => self.request(name).step = Step::Ended,
            (Step::Response, Outcome::Forwarded(_)) => {
                for entry in 0..self.request(name).entries.len() {
                    self.show_body(name, entry);
                    let holds = Misuse("an entry holds trailers of a request that went on".to_owned());
                    assert!(self.request(name).shown_body[entry].has_ended, "{holds}");
                }
            }
            _ => {}
        }
    }

    /// The client goes away. Kong does not notice before the request's last callout has ended.
    pub fn client_leaves(&mut self, request: RequestHandle) {
        if *self.outcome(request) != Outcome::Waiting {
            return;
        }
        if self.look().is_kong() {
            self.request(request.0).client_gone = true;
            if self.request(request.0).body_is_late {
                self.end(request.0, Outcome::ClientGone);
            }
        } else {
            self.end(request.0, Outcome::ClientGone);
        }
    }

    /// A callout ends.
    pub fn answer(&mut self, token: u32, end: CalloutEnd) {
        let (call, owner) = self.world().calls.remove(&token).expect("the callout is pending");
        let doomed = self.world().doomed.remove(&token);
        let end = if doomed { CalloutEnd::ClosedAtOnce } else { end };
        match (self.profile(), owner) {
            (Profile::Kong, Owner::Request(request, entry)) => self.answer_on_kong(&call, request, entry, end),
            (Profile::Kong, Owner::Root(_)) => unreachable!("a tick's callout is misuse there"),
            (Profile::Envoy, owner) => self.answer_on_envoy(&call, owner, end),
        }
    }

    fn answer_on_kong(&mut self, call: &PendingCall, request: u32, entry: usize, end: CalloutEnd) {
        let was_refused = matches!(end, CalloutEnd::Refused);
        let is_first = !std::mem::replace(&mut self.request(request).has_waited, true);
        let delivered = Delivered::by_kong(end);
        let is_empty = delivered.failed || delivered.body.as_ref().is_none_or(Vec::is_empty);
        // one that was refused was never sent, and holds none
        let lost_bytes = is_empty && !was_refused && !(is_first && call.body.is_empty());
        let context = self.ensure_context(request, entry);
        let returned = self.reply(context, context, call, delivered);
        if returned.is_none() {
            // the step counts as completed, so the request goes on, unless its body is to be read
            if self.request(request).has_body() {
                self.end(request, Outcome::ServerError(500));
            } else if self.pending_of(request) == 0 {
                self.run(request);
            }
            return;
        }
        let (sent, deadly) = {
            let frame = &mut self.world().frame;
            (std::mem::take(&mut frame.sent), frame.deadly.take())
        };
        if let Some(local) = &mut self.request(request).local {
            if lost_bytes {
                local.body.clear();
            }
            let cancels = Misuse("an answer cancels a callout: kong's worker may die of that".to_owned());
            assert!(sent.is_empty(), "{cancels}");
            self.run_behind_an_answer(request);
            self.end_locally(request);
            return;
        }
        if let Some(deadly) = deadly {
            panic!("{}", Misuse(deadly.to_owned()));
        }
        if self.pending_of(request) == 0 {
            self.run(request);
        }
    }

    /// Kong keeps an answer from the callback of a callout until the entries behind have seen the request's headers.
    fn run_behind_an_answer(&mut self, name: u32) {
        while let Step::Headers(entry) = self.request(name).step {
            if entry >= self.request(name).entries.len() {
                return;
            }
            self.request(name).step = Step::Headers(entry + 1);
            let action = self.show_headers(name, entry, false);
            let waits =
                Misuse("an entry behind one that has answered holds the request: the answer is never sent".to_owned());
            assert!(action.is_none_or(|action| action == CONTINUE), "{waits}");
        }
    }

    fn answer_on_envoy(&mut self, call: &PendingCall, owner: Owner, end: CalloutEnd) {
        let delivered = Delivered::by_envoy(end);
        let root = match owner {
            Owner::Root(root) => root,
            Owner::Request(request, entry) => self.request(request).entries[entry],
        };
        self.ensure_root(root);
        let is_held = |request: &Request| request.outcome == Outcome::Waiting && request.paused;
        let held = self.look().requests.iter().filter(|(_, request)| is_held(request)).map(|(name, _)| *name);
        let held: Vec<_> = held.collect();
        if self.reply(root, root, call, delivered).is_none() {
            return;
        }
        // the one that asked, and whoever else the filter lets go by the same answer
        for name in held {
            self.go_on_after_a_callback(name);
        }
    }

    fn go_on_after_a_callback(&mut self, name: u32) {
        if self.request(name).outcome != Outcome::Waiting {
        } else if self.request(name).local.is_some() {
            self.end_locally(name);
        } else if self.request(name).paused {
            self.check_held(name, "a callout's reply");
        } else {
            self.advance_after_hold(name);
            self.run(name);
        }
    }

    fn reply(&mut self, context: u32, frame_context: u32, call: &PendingCall, delivered: Delivered) -> Option<()> {
        let headers = u32::try_from(delivered.headers.len()).unwrap();
        let size = delivered.size;
        let mut frame = Frame::of(Callback::CalloutReply, frame_context);
        frame.reply = Some(delivered);
        frame.asked_with_body = !call.body.is_empty();
        self.invoke::<_, ()>("proxy_on_http_call_response", frame, (context, call.token, headers, size, 0_u32))
    }

    /// Kong lets a request go on whose callout it has lost, and tells nobody.
    pub fn lose_callout(&mut self, token: u32) {
        assert!(self.look().is_kong(), "Envoy always answers");
        let (_, owner) = self.world().calls.remove(&token).expect("the callout is pending");
        let Owner::Request(request, _) = owner else { return };
        self.request(request).has_waited = true;
        if self.pending_of(request) == 0 {
            self.run(request);
        }
    }

    /// The upstream answers a request that went on.
    pub fn respond(&mut self, request: RequestHandle, status: u16, headers: &[(&str, &str)]) {
        let name = request.0;
        assert!(matches!(self.outcome(request), Outcome::Forwarded(_)), "{:?}", self.outcome(request));
        let pair = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        self.request(name).response_headers = headers.iter().map(pair).collect();
        self.request(name).upstream_status = Some(status);
        self.response_phase(name);
    }

    /// nginx answers for an upstream that it cannot reach: the filter hears nothing more of the request.
    pub fn upstream_fails(&mut self, request: RequestHandle) {
        assert!(matches!(self.outcome(request), Outcome::Forwarded(_)), "{:?}", self.outcome(request));
        self.request(request.0).step = Step::Ended;
    }

    /// Kong's buffered proxying: these entries see a response, and no request before it.
    pub fn respond_without_request(&mut self, entries: &[Entry], status: u16, is_of_upstream: bool) -> RequestHandle {
        let client = HttpRequest { method: "GET".to_owned(), target: "/".to_owned(), ..HttpRequest::default() };
        let name = self.add(entries, &client);
        let upstream = self.request(name).upstream();
        let request = self.request(name);
        request.outcome = Outcome::Forwarded(upstream);
        request.upstream_status = is_of_upstream.then_some(status);
        request.response_headers = vec![(b"content-length".to_vec(), b"2".to_vec())];
        self.response_phase(name);
        RequestHandle(name)
    }

    // --- the way of a request

    fn pending_of(&self, request: u32) -> usize {
        let own = |owner: &Owner| matches!(owner, Owner::Request(name, _) if *name == request);
        self.look().calls.values().filter(|(_, owner)| own(owner)).count()
    }

    /// Goes on until the request waits or ends.
    fn run(&mut self, name: u32) {
        loop {
            let request = self.request(name);
            if request.outcome != Outcome::Waiting || request.paused {
                return;
            }
            let (entries, late) = (request.entries.len(), request.body_is_late);
            let goes_on = match request.step {
                Step::Headers(entry) if entry < entries => self.headers_step(name, entry),
                Step::Headers(_) => {
                    let has_body = request.has_body();
                    request.step = if has_body { Step::Body(0) } else { Step::Response };
                    true
                }
                Step::Body(_) if late => return,
                Step::Body(entry) if entry < entries => self.body_step(name, entry),
                Step::Body(_) => {
                    request.step = Step::Response;
                    true
                }
                Step::Response => {
                    let gone = request.client_gone;
                    let outcome = if gone { Outcome::ClientGone } else { Outcome::Forwarded(request.upstream()) };
                    let left = if self.look().is_kong() { self.pending_of(name) } else { 0 };
                    assert!(left == 0, "{}", Misuse("a callout left pending when its request goes on".to_owned()));
                    if gone {
                        self.end(name, outcome);
                    } else {
                        self.request(name).outcome = outcome;
                    }
                    return;
                }
                Step::Ended => return,
            };
            if !goes_on {
                return;
            }
        }
    }

    fn headers_step(&mut self, name: u32, entry: usize) -> bool {
        let is_kong = self.look().is_kong();
        let ends = !is_kong && self.request(name).ends_with_headers();
        // Kong counts the step as done when it is called; Envoy when it is continued
        self.request(name).step = Step::Headers(if is_kong { entry + 1 } else { entry });
        self.request(name).paused = !is_kong;
        let action = self.show_headers(name, entry, ends);
        self.after_request_callback(name, action, "proxy_on_request_headers", entry)
    }

    fn show_headers(&mut self, name: u32, entry: usize, ends: bool) -> Option<u32> {
        let context = self.ensure_context(name, entry);
        // pseudo-headers are not counted
        let own = self.request(name).shown.iter().filter(|(name, _)| !name.starts_with(b":")).count();
        let count = u32::try_from(own).unwrap();
        let frame = Frame::of(Callback::RequestHeaders, context);
        self.invoke("proxy_on_request_headers", frame, (context, count, u32::from(ends)))
    }

    fn body_step(&mut self, name: u32, entry: usize) -> bool {
        if !self.look().is_kong() {
            self.request(name).step = Step::Body(entry + 1);
            self.show_body(name, entry);
            return true;
        }
        let context = self.ensure_context(name, entry);
        let request = self.request(name);
        request.step = Step::Body(entry + 1);
        let size = u32::try_from(request.body.as_ref().map_or(0, Vec::len)).unwrap();
        let frame = Frame::of(Callback::RequestBody, context);
        let action = self.invoke("proxy_on_request_body", frame, (context, size, 1_u32));
        self.after_request_callback(name, action, "proxy_on_request_body", entry)
    }

    /// Whether the request goes on at once.
    fn after_request_callback(&mut self, name: u32, action: Option<u32>, call: &str, entry: usize) -> bool {
        let Some(action) = action else {
            self.end(name, Outcome::ServerError(500));
            return false;
        };
        if self.request(name).local.is_some() {
            self.end_locally(name);
            return false;
        }
        let pending = self.pending_of(name);
        if action == CONTINUE {
            assert!(pending == 0, "{}", Misuse(format!("{call} goes on beside a pending callout: kong's worker dies")));
            self.request(name).paused = false;
            self.advance_after_hold(name);
            return true;
        }
        if self.look().is_kong() {
            assert!(pending > 0, "{}", Misuse(format!("{call} pauses without a callout: the request hangs")));
            return false;
        }
        self.request(name).paused = true;
        if call == "proxy_on_request_headers" && !self.request(name).body_is_late {
            self.show_body(name, entry);
        }
        if self.request(name).outcome != Outcome::Waiting {
            return false;
        }
        if self.request(name).paused {
            self.check_held(name, call);
            return false;
        }
        true
    }

    /// Envoy: the entry that held the request lets it go.
    fn advance_after_hold(&mut self, name: u32) {
        let is_kong = self.look().is_kong();
        let request = self.request(name);
        if let (false, Step::Headers(held)) = (is_kong, request.step) {
            request.step = Step::Headers(held + 1);
            request.shown_body[held].is_held_back = false;
        }
    }

    fn check_held(&self, name: u32, call: &str) {
        let request = &self.look().requests[&name];
        let Step::Headers(held) = request.step else { return };
        let shown = &request.shown_body[held];
        let more_comes = (request.body_is_late || request.trailers_are_late) && !shown.is_held_back;
        // the callout may be another request's: the filter may let several wait for one
        let waits = more_comes || !self.look().calls.is_empty();
        assert!(waits, "{}", Misuse(format!("{call} leaves a request paused that nothing will resume")));
    }

    /// Envoy: what is there of the body, piece by piece, and the trailers, to one entry.
    fn show_body(&mut self, name: u32, entry: usize) {
        let ends_with_headers = self.request(name).ends_with_headers();
        while !ends_with_headers && !self.request(name).shown_body[entry].has_ended {
            let (request, piece) = (&self.look().requests[&name], self.look().switches.piece);
            let (length, shown) = (request.body.as_ref().map_or(0, Vec::len), request.shown_body[entry]);
            let is_all = shown.arrived == length;
            let trailers_due = is_all && request.trailers > 0;
            if request.body_is_late || shown.is_held_back || (trailers_due && request.trailers_are_late) {
                return;
            }
            let goes_on = if trailers_due {
                self.show_trailers(name, entry)
            } else {
                self.show_piece(name, entry, (length - shown.arrived).min(piece))
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Whether the request is still there.
    fn show_piece(&mut self, name: u32, entry: usize, piece: usize) -> bool {
        let limit = self.look().switches.buffer_limit;
        let context = self.ensure_context(name, entry);
        let request = self.request(name);
        let (length, has_trailers) = (request.body.as_ref().map_or(0, Vec::len), request.trailers > 0);
        let shown = &mut request.shown_body[entry];
        shown.from = if shown.is_kept { 0 } else { shown.arrived };
        shown.arrived += piece;
        let (size, is_over) = (shown.arrived - shown.from, shown.arrived > limit);
        let ends = shown.arrived == length && !has_trailers;
        shown.has_ended = ends;
        if shown.is_kept && is_over && request.paused {
            self.end(name, Outcome::ServerError(413));
            return false;
        }
        let (frame, size) = (Frame::of(Callback::RequestBody, context), u32::try_from(size).unwrap());
        let action = self.invoke::<_, u32>("proxy_on_request_body", frame, (context, size, u32::from(ends)));
        let shown = &mut self.request(name).shown_body[entry];
        shown.is_kept = action.is_some_and(|action| action != CONTINUE && action != HOLD_BACK);
        shown.is_held_back = action == Some(HOLD_BACK) && is_over;
        if self.request(name).shown_body[entry].is_kept && is_over && self.request(name).paused {
            self.end(name, Outcome::ServerError(413));
            return false;
        }
        self.after_piece(name, action)
    }

    fn show_trailers(&mut self, name: u32, entry: usize) -> bool {
        let context = self.ensure_context(name, entry);
        let count = self.request(name).trailers;
        self.request(name).shown_body[entry].has_ended = true;
        let frame = Frame::of(Callback::RequestTrailers, context);
        let action = self.invoke::<_, u32>("proxy_on_request_trailers", frame, (context, count));
        if action.is_some_and(|action| action != CONTINUE) && !self.request(name).paused {
            self.request(name).shown_body[entry].has_ended = false;
            return false;
        }
        self.after_piece(name, action)
    }

    fn after_piece(&mut self, name: u32, action: Option<u32>) -> bool {
        let Some(action) = action else {
            self.end(name, Outcome::ServerError(503));
            return false;
        };
        if self.request(name).local.is_some() {
            self.end_locally(name);
            return false;
        }
        if action == CONTINUE && self.request(name).paused {
            // whatever held the headers: Envoy goes on with all of it
            self.request(name).paused = false;
            self.advance_after_hold(name);
        }
        true
    }

    fn end_locally(&mut self, name: u32) {
        let local = self.request(name).local.clone().expect("there is an answer");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = local.headers.iter().map(|(name, value)| (text(name), text(value))).collect();
        self.end(name, Outcome::Answered { status: local.status, headers, body: local.body });
    }

    /// Ends a request that did not go on; its callouts are forgotten.
    fn end(&mut self, name: u32, outcome: Outcome) {
        let own = |owner: &Owner| matches!(owner, Owner::Request(request, _) if *request == name);
        // Envoy's callouts are the configuration's, and are answered whatever became of the request
        if self.look().is_kong() {
            self.world().calls.retain(|_, (_, owner)| !own(owner));
        }
        let gone = self.request(name).client_gone;
        let answered = matches!(outcome, Outcome::Answered { .. });
        self.request(name).outcome = if gone { Outcome::ClientGone } else { outcome };
        match (answered, self.request(name).outcome.clone()) {
            // an answer passes the later half of all entries, also of those that did not see the request
            (true, _) => {
                let kept = self.request(name).outcome.clone();
                self.response_phase(name);
                self.request(name).outcome = kept;
            }
            // Kong's error page drops the contexts without a word
            (false, Outcome::ServerError(_)) => self.request(name).step = Step::Ended,
            _ => self.finish(name),
        }
    }

    fn response_phase(&mut self, name: u32) {
        self.request(name).step = Step::Response;
        let was_answered = self.request(name).local.is_some();
        for entry in 0..self.request(name).entries.len() {
            if !self.look().is_kong() && self.request(name).contexts[entry].is_none() {
                continue;
            }
            let context = self.ensure_context(name, entry);
            let frame = Frame::of(Callback::ResponseHeaders, context);
            // a trap here leaves the response as it is
            let _: Option<u32> = self.invoke("proxy_on_response_headers", frame, (context, 1_u32, 0_u32));
            let answered = self.request(name).local.clone().filter(|_| !was_answered);
            if let Some(local) = answered {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let headers = local.headers.iter().map(|(name, value)| (text(name), text(value))).collect();
                self.request(name).outcome = Outcome::Answered { status: local.status, headers, body: local.body };
                break;
            }
        }
        self.finish(name);
    }

    fn finish(&mut self, name: u32) {
        self.request(name).step = Step::Ended;
        for entry in 0..self.request(name).entries.len() {
            let Some(context) = self.request(name).contexts[entry] else { continue };
            let _: Option<u32> = self.invoke("proxy_on_done", Frame::of(Callback::Done, context), context);
            if self.request(name).contexts[entry].is_some() {
                self.invoke::<_, ()>("proxy_on_log", Frame::of(Callback::Log, context), context);
            }
            if self.request(name).contexts[entry].is_some() {
                self.invoke::<_, ()>("proxy_on_delete", Frame::of(Callback::Delete, context), context);
                self.world().contexts.remove(&context);
            }
            self.request(name).contexts[entry] = None;
        }
    }

    // --- the life of the instance

    fn ensure_instance(&mut self) {
        if self.instance.is_some() {
            return;
        }
        let longest = self.look().switches.longest_callback;
        self.store().set_epoch_deadline(longest);
        let instance = self.filter.clone().0.instantiate(self.store()).expect("the module can be instantiated");
        self.instance = Some(instance);
        self.instances += 1;
        let frame = Frame::of(Callback::Create, 0);
        self.invoke::<(), ()>("_initialize", frame, ()).expect("starting does not trap");
    }

    fn ensure_root(&mut self, name: u32) {
        self.ensure_instance();
        let root = self.world().roots.get_mut(&name).expect("the entry is known");
        if root.alive {
            return;
        }
        let (size, starts) = (u32::try_from(root.config.len()).unwrap(), !root.started);
        root.alive = true;
        root.started = true;
        // an instance that is made anew asks for its ticks again
        root.tick_period = None;
        let fine = "starting does not trap";
        self.invoke::<_, ()>("proxy_on_context_create", Frame::of(Callback::Create, name), (name, 0_u32)).expect(fine);
        if starts {
            let started: u32 =
                self.invoke("proxy_on_vm_start", Frame::of(Callback::VmStart, name), (name, 0_u32)).expect(fine);
            assert!(
                started != 0,
                "{}",
                Misuse("proxy_on_vm_start returns false: kong runs without filters".to_owned())
            );
        }
        let configured: u32 =
            self.invoke("proxy_on_configure", Frame::of(Callback::Configure, name), (name, size)).expect(fine);
        assert!(
            configured != 0,
            "{}",
            Misuse("proxy_on_configure returns false: kong runs without filters".to_owned())
        );
    }

    fn ensure_context(&mut self, request: u32, entry: usize) -> u32 {
        let root = self.request(request).entries[entry];
        self.ensure_root(root);
        if let Some(context) = self.request(request).contexts[entry] {
            return context;
        }
        let context = self.world().name();
        self.world().contexts.insert(context, (request, entry));
        self.request(request).contexts[entry] = Some(context);
        let frame = Frame::of(Callback::Create, context);
        self.invoke::<_, ()>("proxy_on_context_create", frame, (context, root)).expect("starting does not trap");
        context
    }

    /// Calls the filter; `None` if it trapped because the test wanted that.
    fn invoke<P: WasmParams, R: WasmResults>(&mut self, name: &str, frame: Frame, params: P) -> Option<R> {
        let instance = self.instance.expect("there is an instance");
        let store = self.store();
        store.data_mut().frame = frame;
        if store.data_mut().enter().is_err() {
            self.throw_instance_away();
            return None;
        }
        let longest = store.data().switches.longest_callback;
        store.set_epoch_deadline(longest);
        let Ok(function) = instance.get_typed_func::<P, R>(&mut *store, name) else {
            panic!("{}", Misuse(format!("`{name}` is not exported: kong calls it all the same and its worker dies")));
        };
        match function.call(&mut *store, params) {
            Ok(returned) => Some(returned),
            Err(error) if error.downcast_ref::<Injected>().is_some() => {
                store.data_mut().note_trap();
                self.throw_instance_away();
                None
            }
            Err(error) => match error.downcast_ref::<Misuse>() {
                Some(misuse) => panic!("{misuse} (in {name})"),
                None => panic!("the filter traps in {name}: {error:?}"),
            },
        }
    }

    fn throw_instance_away(&mut self) {
        let store = self.store.take().expect("there is one");
        let mut world = store.into_data();
        world.contexts.clear();
        for root in world.roots.values_mut() {
            root.alive = false;
        }
        for request in world.requests.values_mut() {
            request.contexts.fill(None);
        }
        if world.profile == Profile::Envoy {
            // a machine that failed takes all its streams and callouts with it
            world.calls.clear();
            for request in world.requests.values_mut().filter(|request| request.outcome == Outcome::Waiting) {
                request.outcome = Outcome::ServerError(503);
                request.step = Step::Ended;
            }
        }
        self.instance = None;
        self.store = Some(Store::new(self.filter.0.module().engine(), world));
    }
}

impl Frame {
    const fn of(callback: Callback, context: u32) -> Self {
        Self { callback, context, reply: None, asked_with_body: false, sent: Vec::new(), deadly: None }
    }
}
