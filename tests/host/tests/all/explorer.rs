//! Orders of events that nobody thought of: several requests at once, answers in any order, faults, traps, lost instances.
//!
//! `HOST_SEED=…` replays one schedule, `HOST_SCHEDULES=…` says how many there are.

use crate::drive::{Ask, End, Purpose, end_of};
use crate::stage::*;
use host::{CalloutEnd, Entry, HttpRequest, Outcome, Profile, RequestHandle, Worker};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// About five milliseconds of a core each.
const SCHEDULES: u64 = 10_000;
const MOST_MEMORY: usize = 16 << 20;

/// SplitMix64: good enough, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// Who sends requests.
struct Caller {
    token: String,
    /// The subject, if the token is good.
    subject: Option<&'static str>,
    /// Whether it is in the group of administrators.
    is_admin: bool,
    ends: u64,
}

static CALLERS: LazyLock<Vec<Caller>> = LazyLock::new(|| {
    let good = |subject, changes: Value, is_admin, ends| Caller {
        token: KEY.token(subject, &changes),
        subject: Some(subject),
        is_admin,
        ends,
    };
    let bad = |token| Caller { token, subject: None, is_admin: false, ends: 0 };
    vec![
        good("anna", json!({}), false, NOW + 3600),
        good("bob", json!({}), false, NOW + 3600),
        good("carol", json!({"groups": ["adm"]}), true, NOW + 3600),
        good("brief", json!({"exp": NOW + 20}), false, NOW + 20),
        bad(KEY.token("dave", &json!({"groups": []}))),
        bad(KEY.token("old", &json!({"exp": NOW - 60}))),
        bad(NEW.token("anna", &json!({}))),
        bad(forged()),
    ]
});

/// Anna's claims under the signature of another token.
fn forged() -> String {
    let (anna, bob) = (KEY.token("anna", &json!({})), KEY.token("bob", &json!({})));
    format!("{}.{}", anna.rsplit_once('.').unwrap().0, bob.rsplit_once('.').unwrap().1)
}

/// A route's configuration, by the workspace that it leads to.
fn route(workspace: &str) -> Value {
    let mut engineer = role(&json!({"type": "user_federation"}));
    engineer["deny"] = json!([{"operations": ["jobs.run_now"], "resources": {"job": ["202"]}}]);
    let admin = json!({"name": "admin", "match": {"groups": ["adm"]}, "credential": service_principal()});
    config(&json!({"workspace": {"url": format!("https://{workspace}")}, "roles": [engineer, admin]}))
}

const WORKSPACES: [&str; 2] = ["a.example.net", "b.example.net"];

struct Sent {
    handle: RequestHandle,
    caller: usize,
    route: usize,
    /// Something happened after which Kong lets a request go on by itself.
    tainted: bool,
    denied: bool,
    checked: bool,
}

struct Play {
    dice: Dice,
    worker: Worker,
    routes: Vec<Entry>,
    guard: Option<Entry>,
    sent: Vec<Sent>,
    trapped: bool,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let profile = if dice.one_in(3) { Profile::Envoy } else { Profile::Kong };
        let mut worker = Worker::new(profile);
        let routes = WORKSPACES.iter().map(|name| worker.configure(&route(name).to_string())).collect();
        let guard = dice.one_in(2).then(|| worker.configure(r#"{"mode":"guard"}"#));
        Self { dice, worker, routes, guard, sent: Vec::new(), trapped: false }
    }

    fn is_kong(&self) -> bool {
        self.worker.profile() == Profile::Kong
    }

    fn run(&mut self) {
        for _ in 0..8 + self.dice.roll(10) {
            self.step();
            self.check();
        }
        self.worker.no_trap();
        for _ in 0..200 {
            let Some(call) = self.worker.pending().into_iter().next() else { break };
            self.worker.answer(call.token, fitting(&Ask::of_call(&call)));
            self.check();
        }
        for number in 0..self.sent.len() {
            if self.worker.awaits_body(self.sent[number].handle) {
                self.worker.body_arrives(self.sent[number].handle);
            }
            while let Some(call) = self.worker.pending().into_iter().next() {
                self.worker.answer(call.token, fitting(&Ask::of_call(&call)));
            }
        }
        self.check();
        assert!(self.sent.iter().all(|sent| sent.checked), "a request does not end");
        assert!(self.worker.memory() <= MOST_MEMORY, "{} bytes", self.worker.memory());
        for line in self.worker.log() {
            assert!(!CALLERS.iter().any(|caller| line.text.contains(&caller.token)), "{line:?}");
            assert!(!line.text.contains("canary") && !line.text.contains("dbx|"), "{line:?}");
        }
    }

    fn step(&mut self) {
        let pending = self.worker.pending();
        match self.dice.roll(20) {
            0..=5 => self.send(),
            6..=13 => {
                if pending.is_empty() {
                    return self.send();
                }
                let call = &pending[self.dice.roll(pending.len() as u64) as usize];
                let end = if self.dice.one_in(5) { self.fault() } else { fitting(&Ask::of_call(call)) };
                let (before, request) = (self.worker.instances(), call.request);
                self.worker.answer(call.token, end);
                self.note_trap(before, request);
            }
            14 => self.worker.pass(Duration::from_secs([1, 6, 31, 50, 700][self.dice.roll(5) as usize])),
            15 => {
                self.worker.trap_after(u32::try_from(self.dice.roll(25)).unwrap());
                self.trapped = true;
                // whatever is under way may meet it
                self.taint_all();
            }
            16 => {
                self.worker.lose_instance();
                self.trapped |= !self.is_kong();
                self.taint_all();
            }
            17 if self.is_kong() && !pending.is_empty() => {
                let call = &pending[self.dice.roll(pending.len() as u64) as usize];
                self.taint_all();
                self.worker.lose_callout(call.token);
            }
            18 => {
                // a changed configuration: the old one stays for what is under way
                let route = self.dice.roll(2) as usize;
                self.routes[route] = self.worker.configure(&self::route(WORKSPACES[route]).to_string());
            }
            _ => self.something_of_a_request(),
        }
    }

    fn something_of_a_request(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let number = self.dice.roll(self.sent.len() as u64) as usize;
        let handle = self.sent[number].handle;
        if self.worker.awaits_body(handle) {
            self.worker.body_arrives(handle);
        } else if self.dice.one_in(2) {
            self.worker.client_leaves(handle);
        } else if matches!(self.worker.outcome(handle), Outcome::Forwarded(_)) && self.sent.len() == number + 1 {
            self.check();
            let last = self.sent.pop().unwrap();
            self.worker.respond(last.handle, if self.dice.one_in(2) { 401 } else { 200 }, &[]);
        }
    }

    fn taint_all(&mut self) {
        for sent in &mut self.sent {
            sent.tainted = true;
        }
    }

    fn note_trap(&mut self, before: usize, _request: Option<u32>) {
        if self.worker.instances() != before {
            self.taint_all();
        }
    }

    fn send(&mut self) {
        if self.sent.iter().filter(|sent| !sent.checked).count() >= 4 {
            return;
        }
        let (caller, route) = (self.dice.roll(CALLERS.len() as u64 + 4) as usize, self.dice.roll(2) as usize);
        let caller = if caller < CALLERS.len() { caller } else { caller % 3 };
        let token = &CALLERS[caller].token;
        let (request, denied) = match self.dice.roll(4) {
            0 => (post("/api/2.1/jobs/run-now", token, &json!({"job_id": 101})), false),
            1 => (post("/api/2.1/jobs/run-now", token, &json!({"job_id": 202})), !CALLERS[caller].is_admin),
            _ => (get(token), false),
        };
        let request = HttpRequest { slow_body: self.dice.one_in(2), ..request };
        let entries: Vec<_> = [self.routes[route]].into_iter().chain(self.guard).collect();
        let tainted = self.trapped;
        let handle = self.worker.send(&entries, &request);
        self.sent.push(Sent { handle, caller, route, tainted, denied, checked: false });
    }

    fn fault(&mut self) -> CalloutEnd {
        match self.dice.roll(7) {
            0 => CalloutEnd::Refused,
            1 => CalloutEnd::Timeout,
            2 => CalloutEnd::ClosedAtOnce,
            3 => CalloutEnd::reply(200, ""),
            4 => CalloutEnd::Truncated { status: 200, announced: 100 },
            5 => CalloutEnd::reply(429, ""),
            _ => CalloutEnd::reply(500, "oops"),
        }
    }

    /// Checks each request that has ended since.
    fn check(&mut self) {
        for number in 0..self.sent.len() {
            let sent = &self.sent[number];
            let outcome = self.worker.outcome(sent.handle);
            if sent.checked || *outcome == Outcome::Waiting {
                continue;
            }
            match outcome {
                Outcome::Forwarded(upstream) => self.check_forward(sent, upstream),
                Outcome::Answered { status, body, .. } => {
                    let End::Reply { body: read, .. } = end_of(outcome) else { unreachable!() };
                    let reason = read["details"][0]["reason"].as_str();
                    assert!(reason.is_some() && *status >= 400, "{status} {:?}", String::from_utf8_lossy(body));
                    let accident = self.trapped || sent.tainted;
                    assert!(accident || ![Some("INTERNAL"), Some("GUARD_REFUSED")].contains(&reason), "{reason:?}");
                }
                Outcome::ServerError(_) => assert!(self.trapped, "an error without a trap"),
                Outcome::ClientGone | Outcome::Waiting => {}
            }
            self.sent[number].checked = true;
        }
    }

    fn check_forward(&self, sent: &Sent, upstream: &host::Upstream) {
        let caller = &CALLERS[sent.caller];
        let shown = format!("{upstream:?}");
        assert!(!CALLERS.iter().any(|caller| shown.contains(&caller.token)), "an identity provider's token goes on");
        let credentials: Vec<_> = upstream.header("authorization").filter(|value| !value.is_empty()).collect();
        if credentials.is_empty() {
            assert!(sent.tainted, "without a credential: {upstream:?}");
            assert!(self.guard.is_none(), "past the guard: {upstream:?}");
            return;
        }
        assert!(!sent.denied, "what is denied goes on: {upstream:?}");
        let subject = caller.subject.expect("a token that does not verify was let on");
        // thirty seconds of skew
        assert!(self.worker.now() < caller.ends + 30, "a token that has expired was let on");
        let whose = if caller.is_admin { "app" } else { subject };
        assert_eq!(credentials, [format!("Bearer dbx|{}|{whose}", WORKSPACES[sent.route])]);
    }
}

/// The right answer: a token of the workspace that is asked, for whoever it is asked for.
fn fitting(ask: &Ask) -> CalloutEnd {
    match ask.purpose() {
        Purpose::Discovery => discovery(),
        Purpose::Keys => keys(&[&KEY]),
        Purpose::Token => {
            let workspace = ask.url.trim_start_matches("https://").split('/').next().unwrap();
            let field = |name: &str| ask.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
            let whose = match field("subject_token") {
                Some(token) => {
                    let caller = CALLERS.iter().find(|caller| caller.token == token);
                    caller.and_then(|caller| caller.subject).expect("an exchange for a bad token")
                }
                None => "app",
            };
            minted(&format!("dbx|{workspace}|{whose}"), 60)
        }
        Purpose::Lookup => unreachable!("no rule looks anything up"),
    }
}

#[test]
fn no_order_of_events_lets_a_request_on_that_was_not_decided_on() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("HOST_SEED") {
        return Play::new(seed).run();
    }
    let schedules = number("HOST_SCHEDULES").unwrap_or(SCHEDULES);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= schedules {
                        return;
                    }
                    if std::panic::catch_unwind(|| Play::new(seed).run()).is_err() {
                        next.store(schedules, Ordering::Relaxed);
                        panic!("replay it with HOST_SEED={seed}");
                    }
                }
            });
        }
    });
}
