//! Events in any order: nothing goes on that was not verified and, where a token is needed, given one for that very caller.

use crate::stage::*;
use databricks_kong::base::{Reason, Secret};
use databricks_kong::flow::{CalloutFault, Event, Flow, ReadBody, Step};
use databricks_kong::sim::{Answer, Client, Purpose};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

const STATES: [&str; 5] = ["idle", "body", "keys", "token", "done"];

/// A flow in this state.
fn in_state(stage: &mut Stage, state: &str) -> Flow {
    let anna = RSA.token("anna", json!({}));
    let mut flow = Flow::default();
    match state {
        "idle" => {}
        "body" => {
            let body = Some(Secret::new(b"x".to_vec()));
            let client = Client { body, ..client("POST", "/oidc/v1/token", &[]) };
            let request = client.request(stage.sim.next_id(), &stage.sim.config).unwrap();
            stage.sim.on(&mut flow, Event::Request(request), &mut Vec::new());
            assert!(flow.awaits_body());
        }
        "keys" => flow = stage.begin(&anna).0,
        "token" => {
            stage.tick();
            flow = stage.begin(&anna).0;
        }
        "done" => {
            stage.get(&anna);
            flow = std::mem::take(&mut stage.flow);
        }
        other => panic!("{other}"),
    }
    flow
}

fn event(stage: &mut Stage, kind: &str) -> Event {
    match kind {
        "request" => {
            Event::Request(get(&RSA.token("anna", json!({}))).request(stage.sim.next_id(), &stage.sim.config).unwrap())
        }
        "body" => Event::Body(ReadBody::Whole(b"x".to_vec())),
        "no body" => Event::Body(ReadBody::Unreadable),
        "callout" => minted("dbx-1", 3600).into(),
        "fault" => lost().into(),
        other => panic!("{other}"),
    }
}

#[test]
fn an_event_that_the_state_does_not_wait_for_ends_the_request_with_500() {
    for state in STATES {
        for kind in ["request", "body", "no body", "callout", "fault"] {
            let waits = matches!(
                (state, kind),
                ("idle", "request") | ("body", "body" | "no body") | ("keys" | "token", "callout" | "fault")
            );
            if waits {
                continue;
            }
            let mut stage = Stage::cold(config(json!({})));
            let mut flow = in_state(&mut stage, state);
            let mut log = Vec::new();
            let unexpected = event(&mut stage, kind);
            let step = stage.sim.on(&mut flow, unexpected, &mut log);
            assert_eq!(step_word(&step), "500 INTERNAL", "{kind} in {state}");
            assert_eq!(log.len(), 1, "{log:?}");
            // and it stays ended
            for kind in ["request", "body", "callout"] {
                let event = event(&mut stage, kind);
                let step = stage.sim.on(&mut flow, event, &mut Vec::new());
                assert_eq!(step_word(&step), "500 INTERNAL", "{kind} after {state}");
            }
        }
    }
}

#[test]
fn a_flow_forwards_once() {
    let mut stage = Stage::warm(with_credential(json!({"type": "none"})));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "", "forward nothing");
    let request = get(&anna).request(stage.sim.next_id(), &stage.sim.config).unwrap();
    let mut flow = std::mem::take(&mut stage.flow);
    let step = stage.sim.on(&mut flow, Event::Request(request), &mut Vec::new());
    assert_eq!(step_word(&step), "500 INTERNAL");
}

/// Who may have sent a random request: tokens that verify once the keys are known, and tokens that never do.
static CALLERS: LazyLock<Vec<(String, Option<&str>)>> = LazyLock::new(|| {
    let good = RSA.token("anna", json!({}));
    let unsigned = format!("{}.AAAA", good.rsplit_once('.').unwrap().0);
    vec![
        (good, Some("anna")),
        (EC.token("bob", json!({})), Some("bob")),
        (EC.token("carl", json!({"exp": NOW + 20})), Some("carl")),
        (RSA.token("dora", json!({"groups": []})), None),
        (RSA.token("emil", json!({"aud": "other"})), None),
        (NEW.token("anna", json!({})), None),
        (unsigned, None),
        ("rubbish".to_owned(), None),
    ]
});

/// What happens next to the one flow or to the world around it.
#[derive(Clone, Debug)]
enum Happening {
    Request(usize, &'static str),
    Body(usize),
    Json,
    NoBody,
    Answer(Purpose, usize),
    /// The answer that the callout asks for, for the caller who asks.
    Fitting(bool),
    Tick,
    Pass(u64),
    NewFlow,
    Response(u16),
}

fn happening() -> impl Strategy<Value = Happening> {
    let target = prop_oneof![
        4 => Just("/api/2.1/jobs/list"), 1 => Just("/a//b"), 1 => Just("/oidc/v1/token"), 1 => Just("/oidc"),
        2 => Just("/api/2.1/jobs/create"),
        1 => Just("/.well-known/databricks-config"),
    ];
    let purpose = prop_oneof![Just(Purpose::Discovery), Just(Purpose::Keys), Just(Purpose::Token)];
    prop_oneof![
        6 => (0..CALLERS.len(), target).prop_map(|(caller, target)| Happening::Request(caller, target)),
        1 => (0..CALLERS.len()).prop_map(Happening::Body),
        3 => Just(Happening::Json),
        1 => Just(Happening::NoBody),
        2 => (purpose, 0..ANSWERS).prop_map(|(purpose, number)| Happening::Answer(purpose, number)),
        8 => any::<bool>().prop_map(Happening::Fitting),
        1 => Just(Happening::Tick),
        2 => prop_oneof![Just(1), Just(6), Just(31), Just(700)].prop_map(Happening::Pass),
        6 => Just(Happening::NewFlow),
        1 => prop_oneof![Just(200), Just(401)].prop_map(Happening::Response),
    ]
}

const ANSWERS: usize = 8;

fn any_answer(purpose: Purpose, number: usize) -> Answer {
    match number {
        0 => lost(),
        1 => Answer::fault(CalloutFault::Truncated),
        2 => Answer::new(500, "oops"),
        3 => Answer::new(429, "").retry_after("3"),
        4 => Answer::new(400, r#"{"error":"invalid_grant"}"#),
        5 => Answer::new(200, "rubbish"),
        6 => keys(&[&RSA, &EC]),
        _ if purpose == Purpose::Token => minted("of-nobody", 0),
        _ => discovery(),
    }
}

/// The credentials that are tried, and whether each needs a token of the caller's own.
fn credentials() -> [(Value, bool); 3] {
    [(json!({"type": "user_federation"}), true), (service_principal(), true), (json!({"type": "passthrough"}), false)]
}

/// One worker with one flow at a time, and what was last asked of it.
struct Play {
    stage: Stage,
    flow: Flow,
    /// The token of the caller whose request the flow has, and that caller if the token is good.
    caller: Option<usize>,
    last: Option<databricks_kong::flow::Callout>,
    ended: bool,
    shared: bool,
    exchanges: bool,
}

impl Play {
    fn on(&mut self, event: Event) {
        let waited_for_token = self.last.take().is_some_and(|callout| callout.purpose == Purpose::Token);
        let gave = match &event {
            Event::Callout(databricks_kong::flow::Answer { result: Ok(reply), .. })
                if waited_for_token && reply.status == 200 =>
            {
                Some(reply.body.clone())
            }
            _ => None,
        };
        let step = self.stage.sim.on(&mut self.flow, event, &mut Vec::new());
        match step {
            Step::Call(callout) => self.last = Some(callout),
            Step::AwaitBody => {}
            Step::Reply(reply) => {
                assert!(!self.ended || reply.reason == Some(Reason::Internal), "{reply:?}");
                self.ended = true;
            }
            Step::Forward(edits) => {
                assert!(!self.ended, "forwarded after the end");
                self.ended = true;
                let authorization = edits.headers().find(|(name, _)| *name == "authorization").unwrap().1;
                self.check_forward(std::str::from_utf8(authorization).unwrap(), gave.as_deref());
            }
        }
    }

    fn check_forward(&self, authorization: &str, gave: Option<&[u8]>) {
        let (token, subject) = &CALLERS[self.caller.expect("a request came first")];
        let subject = subject.expect("a token that does not verify was let on");
        let sent = authorization.strip_prefix("Bearer ").unwrap();
        if !self.exchanges {
            assert_eq!(sent, token);
        } else if sent == "of-nobody" {
            // used once: only the request that was given it may send it
            assert!(gave.is_some_and(|body| String::from_utf8_lossy(body).contains("of-nobody")));
        } else if self.shared {
            assert!(sent.starts_with("for-") && sent != token, "{sent}");
        } else {
            assert_eq!(sent, format!("for-{subject}"));
        }
    }

    fn fitting(&self) -> Answer {
        match self.last.as_ref().map(|callout| callout.purpose) {
            Some(Purpose::Discovery) => discovery(),
            Some(Purpose::Token) => {
                let subject = self.caller.and_then(|caller| CALLERS[caller].1).expect("an exchange for a bad token");
                minted(&format!("for-{subject}"), 60)
            }
            _ => keys(&[&RSA, &EC]),
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Request(caller, target) => {
                // a flow hears of one request; a second is misuse and must not change whose it is
                self.caller.get_or_insert(caller);
                let posts = ["/oidc/v1/token", "/api/2.1/jobs/create"].contains(&target);
                let body = posts.then(|| Secret::new(b"x".to_vec()));
                let method = if body.is_some() { "POST" } else { "GET" }.to_owned();
                let client = Client { method, target: target.into(), body, ..get(&CALLERS[caller].0) };
                let request = client.request(self.stage.sim.next_id(), &self.stage.sim.config).unwrap();
                self.on(Event::Request(request));
            }
            Happening::Body(caller) => self.on(Event::Body(ReadBody::Whole(CALLERS[caller].0.clone().into_bytes()))),
            Happening::Json => self.on(Event::Body(ReadBody::Whole(b"{}".to_vec()))),
            Happening::NoBody => self.on(Event::Body(ReadBody::Unreadable)),
            Happening::Answer(purpose, number) => self.on(any_answer(purpose, number).into()),
            Happening::Fitting(misplaced) if self.last.is_some() || misplaced => {
                let answer = self.fitting();
                self.on(answer.into());
            }
            Happening::Fitting(_) => {}
            Happening::Tick => drop(self.stage.tick()),
            Happening::Pass(seconds) => self.stage.pass(seconds),
            Happening::NewFlow => {
                (self.flow, self.caller, self.last, self.ended) = (Flow::default(), None, None, false);
            }
            Happening::Response(status) => {
                self.flow.on_response(status, None, &mut self.stage.sim.memory);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_lets_an_unverified_request_on_or_gives_it_anothers_token(
        happenings in proptest::collection::vec(happening(), 1..60),
        credential in 0..credentials().len(),
    ) {
        let (value, exchanges) = credentials()[credential].clone();
        let shared = value["type"] == "service_principal_secret";
        let stage = Stage::cold(with_credential(value));
        let mut play =
            Play { stage, flow: Flow::default(), caller: None, last: None, ended: false, shared, exchanges };
        for happening in happenings {
            play.happen(happening);
        }
        // whatever was, faults end it within its tries, and then it stays ended
        for _ in 0..8 {
            play.on(lost().into());
        }
        prop_assert!(play.ended);
        prop_assert!(play.last.is_none());
    }
}
