//! One schedule: a worker, some requests, and events in an order that nobody thought of.

use super::cast::*;
use super::invariant::{Invariant, Sabotage};
use super::tally::Tally;
use crate::drive::{Ask, Purpose, makes_room};
use crate::gateway::{Gateway, Kind};
use crate::stage::*;
use host::{
    Callback, CalloutEnd, Change, Entry, HttpRequest, Native, Outcome, PendingCall, Profile, RequestHandle, Worker,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const MOST_MEMORY: usize = 16 << 20;
/// Two tries of two seconds each: what a request waits for an answer at most.
const CALLOUT_TIME: u64 = 4;

/// SplitMix64: good enough, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

/// A request that was sent.
pub(super) struct Sent {
    pub(super) handle: RequestHandle,
    pub(super) entry: Entry,
    pub(super) request: HttpRequest,
    pub(super) caller: &'static Caller,
    pub(super) want: Want,
    /// The role that it asks for.
    pub(super) asked: Option<&'static str>,
    pub(super) workspace: &'static str,
    pub(super) variant: Variant,
    /// Whether the configuration changed to a stricter one meanwhile, which holds for what waited.
    pub(super) tightened: bool,
    sent_at: u64,
    /// When the filter let it go on, which may be long before its body is there.
    pub(super) decided_at: Option<u64>,
    /// Whether the filter has had the key of its token since it was sent.
    pub(super) key_was_known: bool,
    /// Kong let it go on by itself: it lost a callout of it, or there was a trap in the answer to one.
    pub(super) let_go: bool,
    /// The filter's state got lost while it was under way.
    pub(super) shaken: bool,
    /// The library panicked over it.
    pub(super) panicked: bool,
    /// Another plugin changed what was decided on.
    pub(super) changed: bool,
    /// The workspace said that it knows no such run.
    pub(super) unshown: bool,
    checked: bool,
}

impl Sent {
    /// The role that it may go on by.
    pub(super) fn role(&self) -> Option<&'static Role> {
        self.want.is_proxied().then(|| decide(self.caller, self.asked, self.want, self.variant)).flatten()
    }
}

/// A Databricks token.
pub(super) struct Minted {
    pub(super) until: u64,
    pub(super) once: bool,
    pub(super) uses: u32,
    /// How many requests had been sent when the workspace refused it.
    pub(super) refused: Option<usize>,
}

pub(crate) struct Play<'t> {
    dice: Dice,
    pub(super) worker: Box<dyn Gateway>,
    routes: [(Entry, Variant); 2],
    /// How many tokens are kept: many, few, or none.
    cached_tokens: usize,
    pub(super) guard: Option<Entry>,
    pub(super) sent: Vec<Sent>,
    pub(super) minted: Vec<Minted>,
    /// Whether the first provider has a feed of who is cut off, and who that is, since when, or was.
    pub(super) has_feed: bool,
    cut_off: BTreeMap<&'static str, Option<u64>>,
    listed: Listed,
    keys_changed: bool,
    /// The keys of the first provider that the filter may have.
    known: (bool, bool),
    traps_seen: usize,
    /// Whether an instance was ever lost, by a trap or without.
    pub(super) lost_one: bool,
    calls_seen: u32,
    /// By how much the true time is ahead of the worker's.
    skipped: u64,
    pub(super) sabotage: Option<Sabotage>,
    pub(super) tally: &'t mut Tally,
    /// What happened, to be shown if it ends badly.
    events: Vec<String>,
}

impl Drop for Play<'_> {
    #[expect(clippy::print_stdout, reason = "part of a failing test's output")]
    fn drop(&mut self) {
        if std::thread::panicking() && self.sabotage.is_none() {
            println!("{:?}, guarded: {}\n{}", self.worker.kind(), self.guard.is_some(), self.events.join("\n"));
        }
    }
}

impl<'t> Play<'t> {
    pub(crate) fn new(seed: u64, sabotage: Option<Sabotage>, tally: &'t mut Tally) -> Self {
        let mut dice = Dice(seed);
        let mut worker: Box<dyn Gateway> = match dice.roll(3) {
            0 => Box::new(Worker::new(Profile::Envoy)),
            1 => Box::new(Worker::new(Profile::Kong)),
            _ => Box::new(Native::new()),
        };
        let variants = [dice.pick(&[Variant::Lenient, Variant::Strict]), Variant::Lenient];
        let cached_tokens = dice.pick(&[10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 2, 1, 0]);
        let has_feed = dice.one_in(2);
        let mut route = |number: usize| {
            let config = route_config(WORKSPACES[number], variants[number], (cached_tokens, has_feed), sabotage);
            (worker.configure(&config), variants[number])
        };
        let routes = [route(0), route(1)];
        let may_guard = worker.kind() != Kind::Plugin;
        let guard = (may_guard && dice.one_in(2)).then(|| worker.configure(r#"{"mode":"guard"}"#));
        Self {
            dice,
            worker,
            routes,
            cached_tokens,
            guard,
            sent: Vec::new(),
            minted: Vec::new(),
            has_feed,
            cut_off: BTreeMap::new(),
            listed: Listed::Old,
            keys_changed: false,
            known: (false, false),
            traps_seen: 0,
            lost_one: false,
            calls_seen: 0,
            skipped: 0,
            sabotage,
            tally,
            events: Vec::new(),
        }
    }

    /// Whether it is Kong with the filter.
    pub(super) fn is_kong(&self) -> bool {
        self.worker.kind() == Kind::Filter(Profile::Kong)
    }

    pub(super) fn is_native(&self) -> bool {
        self.worker.kind() == Kind::Plugin
    }

    pub(super) fn now(&self) -> u64 {
        self.worker.now() + self.skipped
    }

    pub(super) fn is_sabotaged(&self, by: Sabotage) -> bool {
        self.sabotage == Some(by)
    }

    /// Whether the caller's key was good all the time.
    pub(super) fn is_key_sure(&self, caller: &Caller) -> bool {
        caller.signer == Signer::Sso || (caller.signer == Signer::Old && !self.keys_changed)
    }

    fn event(&mut self, kind: &str, details: String) {
        self.tally.count(kind);
        self.events.push(format!("  {kind} {details}"));
    }

    pub(crate) fn run(&mut self) {
        for _ in 0..8 + self.dice.roll(10) {
            self.step();
            self.look();
        }
        self.worker.no_trap();
        self.settle(true);
        if self.dice.one_in(3) {
            self.serve_one_more();
        }
        for number in 0..self.sent.len() {
            let end = self.worker.outcome(self.sent[number].handle);
            Invariant::Ends.holds(self.sent[number].checked, || format!("request {number} does not: {end:?}"));
        }
        self.check_log();
        let memory = self.worker.memory();
        let most = if self.is_sabotaged(Sabotage::LittleMemory) { 1 << 16 } else { MOST_MEMORY };
        Invariant::Bounded.holds(memory <= most, || format!("{memory} bytes"));
        let known = self.worker.left_behind() + usize::from(self.is_sabotaged(Sabotage::Forgotten) && self.is_native());
        Invariant::Bounded.holds(known == 0, || format!("{known} requests have ended, and the library knows them"));
    }

    /// Whatever is under way comes to its end.
    fn settle(&mut self, plugins_change: bool) {
        if self.is_sabotaged(Sabotage::Unanswered) {
            return;
        }
        for _ in 0..200 {
            let late = self.sent.iter().find(|sent| self.worker.awaits_body(sent.handle)).map(|sent| sent.handle);
            let trailing = self.sent.iter().map(|sent| sent.handle).find(|handle| self.worker.awaits_trailers(*handle));
            let held = self.sent.iter().position(|sent| self.worker.awaits_plugins(sent.handle));
            match (self.worker.pending().into_iter().next(), late, trailing, held) {
                (Some(call), ..) => self.answer(&call, false),
                (None, Some(late), ..) => self.worker.body_arrives(late),
                (None, None, Some(trailing), _) => self.worker.trailers_arrive(trailing),
                (None, None, None, Some(held)) => {
                    let change = (plugins_change && self.dice.one_in(3)).then(|| self.change(held));
                    self.plugins_are_done(held, change);
                }
                (None, None, None, None) => return,
            }
            self.look();
        }
    }

    /// Whatever happened, somebody who is in the right is served afterwards.
    fn serve_one_more(&mut self) {
        // where ticks come each second, their callouts are answered meanwhile
        let (times, seconds) = if self.is_native() { (31, 1) } else { (1, 31) };
        for _ in 0..times {
            self.tell_time(seconds);
            self.look();
            self.settle(false);
        }
        self.send_as(&CALLERS[*LAST], Want::Run(101), None, 0, false);
        self.look();
        self.settle(false);
        let last = self.sent.last().unwrap().handle;
        let outcome = self.worker.outcome(last);
        let served = matches!(outcome, Outcome::Forwarded(_)) || self.is_sabotaged(Sabotage::Unanswered);
        Invariant::Served.holds(served, || format!("the last request ends so: {outcome:?}"));
    }

    fn step(&mut self) {
        let pending = self.worker.pending();
        match self.dice.roll(25) {
            0..=6 => self.send(),
            7..=14 => match pending.len() {
                0 => self.send(),
                many => {
                    let call = &pending[self.dice.roll(many)];
                    let fails = self.dice.one_in(5);
                    self.answer(call, fails);
                }
            },
            15 | 16 => {
                // with a tick each second, long ones are most of what a schedule takes
                let most = if self.is_native() { 5 } else { 7 };
                let seconds = self.dice.pick(&[1, 6, 31, 50, 100, 700, 1000][..most]);
                self.pass(seconds);
            }
            17 => {
                let calls = u32::try_from(self.dice.roll(30)).unwrap();
                self.event("trap is set", calls.to_string());
                self.worker.trap_after(calls);
            }
            18 => {
                let what = if self.is_native() { "worker killed" } else { "instance lost" };
                self.event(what, String::new());
                self.worker.lose_instance();
                if self.is_native() {
                    // what the workspace said no to is kept in the node all the same, until a request of this worker hears it
                    self.minted.iter_mut().for_each(|minted| minted.refused = None);
                }
                self.shake();
            }
            19 if self.is_kong() && !pending.is_empty() => {
                let call = &pending[self.dice.roll(pending.len())];
                self.event("kong loses a callout", format!("{}", call.token));
                self.owner(call).expect("a request's").let_go = true;
                self.worker.lose_callout(call.token);
            }
            20 => self.reconfigure(),
            21 => {
                self.listed = self.listed.next(self.dice.one_in(2));
                self.keys_changed = true;
                self.event("provider changes keys", format!("{:?}", self.listed));
            }
            22 => {
                let caller = &CALLERS[self.dice.roll(CALLERS.len())];
                let since = if self.cut_off(caller).is_some() { None } else { Some(self.now()) };
                self.event("somebody is cut off, or let in again", caller.who.to_owned());
                self.cut_off.insert(caller.who, since);
            }
            _ => self.something_of_a_request(),
        }
    }

    /// Since when the caller is cut off, if they are.
    pub(super) fn cut_off(&self, caller: &Caller) -> Option<u64> {
        self.cut_off.get(caller.who).copied().flatten().filter(|_| caller.may_be_cut_off())
    }

    pub(super) fn was_ever_cut_off(&self, caller: &Caller) -> bool {
        self.cut_off.contains_key(caller.who)
    }

    /// The feed, or that it is as it was.
    fn feed(&self, ask: &Ask) -> CalloutEnd {
        let cut_off =
            self.cut_off.iter().filter(|(_, since)| since.is_some() && !self.is_sabotaged(Sabotage::EmptyFeed));
        let subjects: Vec<_> = cut_off.filter_map(|(who, _)| who.strip_prefix("idp/")).map(str::to_uppercase).collect();
        let etag = format!("\"{}\"", subjects.join("+"));
        let knows = ask.headers.iter().any(|(name, value)| name == "if-none-match" && *value == etag);
        if knows {
            CalloutEnd::reply(304, "")
        } else {
            with_header(ok(&json!({ "subjects": subjects })), "etag", &etag)
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.event("time passes", seconds.to_string());
        if !self.is_native() {
            return self.tell_time(seconds);
        }
        // there a tick comes each second, and a callout ends by itself
        let answers_ticks = self.dice.one_in(2);
        for _ in 0..seconds {
            self.tell_time(1);
            while let Some(call) = self.due(answers_ticks) {
                self.look();
                if self.worker.is_overdue(call.token) {
                    self.event("callout's time is over", call.token.to_string());
                    self.worker.answer(call.token, CalloutEnd::Timeout);
                } else {
                    let fails = self.dice.one_in(5);
                    self.answer(&call, fails);
                }
            }
        }
    }

    fn tell_time(&mut self, seconds: u64) {
        if self.is_sabotaged(Sabotage::StoppedClock) {
            self.skipped += seconds;
        } else {
            self.worker.pass(Duration::from_secs(seconds));
        }
    }

    /// A callout whose time is over, or one of a tick.
    fn due(&self, or_ticks: bool) -> Option<PendingCall> {
        let is_due = |call: &PendingCall| {
            self.worker.is_overdue(call.token)
                || or_ticks && call.request.is_none() && self.worker.waiting_for(call.token) == 1
        };
        self.worker.pending().into_iter().find(is_due)
    }

    /// A changed configuration: the old one stays for what is under way.
    fn reconfigure(&mut self) {
        let (number, variant) = (self.dice.roll(2), self.dice.pick(&[Variant::Lenient, Variant::Strict]));
        let config = route_config(WORKSPACES[number], variant, (self.cached_tokens, self.has_feed), self.sabotage);
        self.event("configuration changes", format!("{number} {variant:?}"));
        if self.sent.iter().any(|sent| !sent.checked) {
            self.tally.count("configuration changes beneath a request");
        }
        let open = self.sent.iter_mut().filter(|sent| !sent.checked && sent.workspace == WORKSPACES[number]);
        open.for_each(|sent| sent.tightened |= variant == Variant::Strict);
        let (old, _) = std::mem::replace(&mut self.routes[number], (self.worker.configure(&config), variant));
        if self.dice.one_in(2) {
            self.worker.collect(old);
        }
    }

    fn something_of_a_request(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let number = self.dice.roll(self.sent.len());
        let handle = self.sent[number].handle;
        let answered = matches!(self.worker.outcome(handle), Outcome::Forwarded(_));
        if self.worker.awaits_body(handle) {
            self.event("body arrives", number.to_string());
            self.worker.body_arrives(handle);
        } else if self.worker.awaits_trailers(handle) && (!answered || self.dice.one_in(3)) {
            let waits = *self.worker.outcome(handle) == Outcome::Waiting;
            self.event(
                if waits { "trailers of a request that waits" } else { "trailers of one that went on" },
                number.to_string(),
            );
            self.worker.trailers_arrive(handle);
        } else if self.worker.awaits_plugins(handle) {
            let change = self.dice.one_in(2).then(|| self.change(number));
            self.plugins_are_done(number, change);
        } else if answered {
            let status = self.dice.pick(&[401, 401, 200, 503]);
            self.respond(number, status);
        } else if self.dice.one_in(2) && *self.worker.outcome(handle) == Outcome::Waiting {
            self.event("client leaves", number.to_string());
            self.worker.client_leaves(handle);
        }
    }

    /// What another plugin does to a request between the two steps of the native plugin.
    fn change(&mut self, number: usize) -> Change {
        let sent = &self.sent[number].request;
        match self.dice.roll(8) {
            0 => Change::Method(if sent.method == "GET" { "POST" } else { "PUT" }),
            1 => Change::Path("/api/2.1/clusters/permanent-delete"),
            2 => Change::Query("run_id=9&a=b"),
            3 => Change::Header("x-http-method-override", "DELETE"),
            4 => Change::Header("content-type", "application/x-www-form-urlencoded"),
            5 => Change::Header("authorization", "Bearer eyJhbGciOiJub25lIn0.e30."),
            6 => Change::Header("x-request-source", "kong"),
            _ => Change::Body(json!({ "job_id": 303 }).to_string().into_bytes()),
        }
    }

    fn plugins_are_done(&mut self, number: usize, change: Option<Change>) {
        let sent = &mut self.sent[number];
        let handle = sent.handle;
        match &change {
            None => {}
            // the credential is the library's, and other headers are nobody's
            Some(Change::Header("authorization" | "x-request-source", _)) => {}
            // a body that nobody looked at is not compared
            Some(Change::Body(body)) if sent.request.body.is_some() && !self.worker.has_read_body(handle) => {
                sent.request.body = Some(body.clone());
            }
            Some(_) => sent.changed = true,
        }
        let changed = sent.changed;
        let kind = match (&change, changed) {
            (_, true) => "changed between decision and sending",
            (Some(_), false) => "touched between decision and sending",
            (None, false) => "other plugins are done",
        };
        self.event(kind, format!("{number} {change:?}"));
        // whoever runs behind the second step is compared by nobody
        let change = change.filter(|_| !(changed && self.is_sabotaged(Sabotage::ChangedBehind)));
        self.worker.plugins_are_done(handle, change.as_ref());
    }

    fn respond(&mut self, number: usize, status: u16) {
        let handle = self.sent[number].handle;
        let Outcome::Forwarded(upstream) = self.worker.outcome(handle) else { return };
        let serial = upstream.header("authorization").find_map(serial);
        if !self.worker.awaits_response(handle) {
            return;
        }
        self.event("workspace answers", format!("{number} {status}"));
        if let (401, Some(serial)) = (status, serial) {
            self.tally.count("workspace says no to a token");
            self.minted[serial].refused.get_or_insert(self.sent.len());
        }
        let heard = if self.is_sabotaged(Sabotage::UnheardNo) { 200 } else { status };
        self.worker.respond(handle, heard);
    }

    fn send(&mut self) {
        if self.sent.iter().filter(|sent| !sent.checked).count() >= 4 {
            return;
        }
        // half of the requests come from the first four, so that what is kept for one meets the others
        let half = self.dice.one_in(2);
        let caller = &CALLERS[self.dice.roll(if half { 4 } else { CALLERS.len() })];
        let want = self.dice.pick(&Want::ALL);
        let asked = if self.dice.one_in(6) { Some(self.dice.pick(&["operator", "engineer", "runner"])) } else { None };
        let (route, slow) = (self.dice.roll(2), self.dice.one_in(2));
        self.send_as(caller, want, asked, route, slow);
    }

    fn send_as(
        &mut self,
        caller: &'static Caller,
        want: Want,
        asked: Option<&'static str>,
        route: usize,
        slow_body: bool,
    ) {
        let request = HttpRequest { slow_body, ..self.carry(want.request(&caller.token, asked)) };
        let (entry, variant) = self.routes[route];
        let guard = self.guard.filter(|_| !self.is_sabotaged(Sabotage::NoGuard));
        let entries: Vec<_> = [entry].into_iter().chain(guard).collect();
        self.event("request", format!("{}: {} {want:?} {asked:?} {route}", self.sent.len(), caller.who));
        if self.sent.iter().any(|other| !other.checked && other.caller.who != caller.who) {
            self.tally.count("requests of two callers at once");
        }
        let handle = self.worker.send(&entries, &request);
        let key_was_known = self.knows(caller.signer);
        let (workspace, sent_at) = (WORKSPACES[route], self.now());
        let (let_go, shaken, checked) = (false, false, false);
        self.sent.push(Sent {
            handle,
            entry,
            request,
            caller,
            want,
            asked,
            workspace,
            variant,
            tightened: false,
            panicked: false,
            changed: false,
            unshown: false,
            sent_at,
            decided_at: None,
            key_was_known,
            let_go,
            shaken,
            checked,
        });
    }

    /// How the request comes: over which HTTP, with its length announced or not, with trailers or without.
    fn carry(&mut self, request: HttpRequest) -> HttpRequest {
        let http2 = self.dice.one_in(2);
        let unannounced = self.dice.one_in(4);
        // trailers of a GET would be a body of it
        let trailers = u32::from(http2 && request.body.is_some() && self.dice.one_in(3));
        let slow_trailers = trailers > 0 && self.dice.one_in(2);
        let slow_plugins = self.is_native() && self.dice.one_in(2);
        HttpRequest { http2, unannounced, trailers, slow_trailers, slow_plugins, ..request }
    }

    const fn knows(&self, signer: Signer) -> bool {
        match signer {
            Signer::Old => self.known.0,
            Signer::New => self.known.1,
            Signer::Sso => true,
            Signer::Nobody => false,
        }
    }

    fn owner(&mut self, call: &PendingCall) -> Option<&mut Sent> {
        self.sent.iter_mut().find(|sent| Some(sent.handle) == call.request)
    }

    // --- callouts

    fn answer(&mut self, call: &PendingCall, fails: bool) {
        let end = match (makes_room(call), fails) {
            (true, _) => CalloutEnd::Refused,
            (false, true) => self.fault(),
            (false, false) => self.fitting(call),
        };
        self.event("callout ends", format!("{} of {:?}", call.token, call.request));
        let ask = Ask::of_call(call);
        if ask.purpose() == Purpose::Lookup && matches!(end, CalloutEnd::Reply { status: 400 | 403 | 404, .. }) {
            self.owner(call).into_iter().for_each(|sent| sent.unshown = true);
        }
        let traps = self.worker.traps().len();
        let now = self.now();
        // an answer after all the time that a request has for it counts as none
        let is_early = |sent: &Sent| now.saturating_sub(sent.sent_at) < CALLOUT_TIME;
        let waits = self.owner(call).is_some_and(|sent| !sent.checked && !sent.shaken && is_early(sent));
        if self.worker.waiting_for(call.token) > 1 {
            self.tally.count("two wait for one callout");
        }
        self.worker.answer(call.token, end);
        if !fails && ask.purpose() == Purpose::Keys && ask.url.starts_with(ISSUER) {
            let (old, new) = (self.listed.has(Signer::Old), self.listed.has(Signer::New));
            let is_sure = waits && self.worker.traps().len() == traps;
            if self.is_native() {
                // those who hear of them after the panic take them up again
                self.note_traps();
            }
            self.known = if is_sure { (old, new) } else { (self.known.0 || old, self.known.1 || new) };
            let known = self.known;
            for sent in self.sent.iter_mut().filter(|sent| !sent.checked) {
                sent.key_was_known |= match sent.caller.signer {
                    Signer::Old => known.0,
                    Signer::New => known.1,
                    Signer::Sso | Signer::Nobody => false,
                };
            }
        }
    }

    fn fault(&mut self) -> CalloutEnd {
        let statuses = [(500, "oops"), (429, ""), (503, ""), (400, r#"{"error":"invalid_grant"}"#), (404, "{}")];
        let (name, end) = match self.dice.roll(12) {
            0 => ("refused", CalloutEnd::Refused),
            1 => ("timeout", CalloutEnd::Timeout),
            2 => ("dns", CalloutEnd::Dns),
            3 => ("tls", CalloutEnd::Tls),
            4 => ("unreadable", CalloutEnd::Unreadable),
            5 => ("closed at once", CalloutEnd::ClosedAtOnce),
            6 => ("empty", CalloutEnd::reply(200, "")),
            7 => ("truncated", CalloutEnd::Truncated { status: 200, announced: 100 }),
            8 => ("ends with the connection", CalloutEnd::EndsWithConnection { status: 200, body: Vec::new() }),
            _ => {
                let (status, body) = self.dice.pick(&statuses);
                ("status", CalloutEnd::reply(status, body))
            }
        };
        self.tally.count(&format!("fault {name}"));
        end
    }

    /// The right answer to a callout.
    fn fitting(&mut self, call: &PendingCall) -> CalloutEnd {
        let ask = Ask::of_call(call);
        match ask.purpose() {
            Purpose::Discovery => discovery(),
            Purpose::Keys if ask.url.starts_with(ISSUER) => {
                let listed = if self.is_sabotaged(Sabotage::OldKey) { Listed::Both } else { self.listed };
                let end = ok(&listed.key_set(self.is_sabotaged(Sabotage::StrayKey)));
                if self.dice.one_in(2) { with_header(end, "cache-control", "max-age=60") } else { end }
            }
            Purpose::Keys => ok(&sso_key_set()),
            Purpose::Feed => self.feed(&ask),
            Purpose::Login => {
                let shown = ask.form.iter().find(|(name, _)| name == "refresh_token").map_or("", |(_, value)| value);
                ok(&json!({"access_token": refreshed(shown), "token_type": "Bearer", "expires_in": 300}))
            }
            Purpose::Token => self.mint(&ask),
            Purpose::Lookup if self.dice.one_in(6) => {
                let authorization = ask.headers.iter().find(|(name, _)| name == "authorization");
                if let Some(serial) = authorization.and_then(|(_, value)| serial(value)) {
                    self.minted[serial].refused.get_or_insert(self.sent.len());
                }
                CalloutEnd::reply(401, "{}")
            }
            Purpose::Lookup => {
                let job = if ask.url.ends_with(&format!("run_id={RUN_OF_101}")) { 101 } else { 202 };
                ok(&json!({ "job_id": job }))
            }
        }
    }

    /// A token of the workspace that is asked, for whoever it is asked for, of the scope that is asked for.
    fn mint(&mut self, ask: &Ask) -> CalloutEnd {
        let field = |name: &str| ask.form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let who = CALLERS.iter().find(|caller| caller.token == field("subject_token")).map(|caller| caller.who);
        let mut principal = match (who, field("client_id")) {
            (Some(who), "") => who.to_owned(),
            (Some(who), client) => format!("{client} for {who}"),
            (None, _) => "app".to_owned(),
        };
        let mut workspace = ask.url.trim_start_matches("https://").split('/').next().unwrap().to_owned();
        let mut scope = field("scope").to_owned();
        match self.sabotage {
            Some(Sabotage::OtherCaller) => principal = "idp/mallory".to_owned(),
            Some(Sabotage::WiderScope) => scope.push_str(" sql"),
            Some(Sabotage::OtherWorkspace) => workspace.push('x'),
            _ => {}
        }
        let life = self.dice.pick(&[Some(60), Some(60), Some(3600), Some(5), None]);
        let serial = self.minted.len();
        let until = self.now() + life.unwrap_or(3600);
        self.minted.push(Minted { until, once: life.is_none(), uses: 0, refused: None });
        let token = minted_text(serial, &workspace, &principal, &scope, field("assume_group"));
        let said = life.or_else(|| self.is_sabotaged(Sabotage::KeptTooLong).then_some(3600));
        ok(&json!({"access_token": token, "token_type": "Bearer", "expires_in": said}))
    }

    // --- looking at what happened

    /// Notes traps, then checks each callout that is new and each request that has ended.
    fn look(&mut self) {
        self.note_traps();
        let pending = self.worker.pending();
        self.check_equal_callouts(&pending);
        let seen = self.calls_seen;
        for call in pending.iter().filter(|call| call.token > seen) {
            self.check_callout(call);
            self.calls_seen = self.calls_seen.max(call.token);
        }
        let now = self.now();
        for sent in self.sent.iter_mut().filter(|sent| !sent.checked && sent.decided_at.is_none()) {
            sent.decided_at = self.worker.is_allowed(sent.handle).then_some(now);
        }
        for number in 0..self.sent.len() {
            let sent = &self.sent[number];
            if sent.checked || *self.worker.outcome(sent.handle) == Outcome::Waiting {
                continue;
            }
            let what = self.check_end(number);
            if what.starts_with("answer 401 TOKEN_EXPIRED") {
                let sent = &self.sent[number];
                if sent.caller.is_in_time(sent.sent_at) {
                    self.tally.count("expired between two events");
                }
            }
            self.event(&what, format!("{number}"));
            self.sent[number].checked = true;
        }
    }

    fn note_traps(&mut self) {
        let traps = self.worker.traps()[self.traps_seen..].to_vec();
        self.traps_seen += traps.len();
        for trap in traps {
            let what = if self.is_native() { "panic" } else { "trap" };
            self.event(&format!("{what} in {:?}", trap.callback), format!("{:?}", trap.request));
            if self.is_sabotaged(Sabotage::UnnotedTrap) {
                continue;
            }
            let is_native = self.is_native();
            for sent in self.sent.iter_mut().filter(|sent| Some(sent.handle) == trap.request) {
                sent.let_go |= !is_native && trap.callback == Callback::CalloutReply;
                sent.panicked |= is_native
                    && [Callback::RequestHeaders, Callback::RequestBody, Callback::CalloutReply, Callback::Send]
                        .contains(&trap.callback);
            }
            self.shake();
        }
    }

    /// The filter has lost what it knew.
    fn shake(&mut self) {
        self.lost_one = true;
        self.known = (false, false);
        for sent in self.sent.iter_mut().filter(|sent| !sent.checked) {
            sent.shaken = true;
        }
    }
}

fn route_config(
    workspace: &str,
    variant: Variant,
    (cached_tokens, has_feed): (usize, bool),
    sabotage: Option<Sabotage>,
) -> String {
    let config = route(workspace, variant, cached_tokens, has_feed, sabotage == Some(Sabotage::NoDenials));
    if sabotage == Some(Sabotage::NoRoles) { config.replace("\"eng\"", "\"gone\"") } else { config }
}

/// What tells a Databricks token from all others, and what it is for.
pub(super) fn minted_text(serial: usize, workspace: &str, principal: &str, scope: &str, group: &str) -> String {
    format!("dbx|{serial}|{workspace}|{principal}|{scope}|{group}").replace(' ', "+")
}

/// Which of the minted tokens an `Authorization` holds.
pub(super) fn serial(authorization: &str) -> Option<usize> {
    authorization.strip_prefix("Bearer dbx|")?.split('|').next()?.parse().ok()
}
