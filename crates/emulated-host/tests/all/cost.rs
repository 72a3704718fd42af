//! What a request of a known caller costs: in calls of the host, each of which leaves the sandbox and some of which run Lua on Kong, and in
//! the core in allocations; and what is kept of a caller.

use crate::allocations::{held, made};
use crate::drive::Ask;
use crate::stage::*;
use crate::stories::World;
use databricks_kong::base::{Secret, UnixTime};
use databricks_kong::config::Settings;
use databricks_kong::flow::{Event, Flow, Prefetch, Step};
use databricks_kong::sim::{Answer, Client, Purpose, Script, Sim};
use host::{Profile, Worker};
use serde_json::{Value, json};

/// The host calls of a request and its response, once the keys, the caller and the Databricks token are known.
fn warm(profile: Profile) -> Vec<&'static str> {
    let mut worker = Worker::new(profile);
    let entry = worker.configure(&config(&json!({"audit": {"log": false}})).to_string());
    let (mut world, anna) = (World::new(), KEY.token("anna", &json!({})));
    let mut play = |worker: &mut Worker| {
        worker.take_host_calls();
        let request = worker.send(&[entry], &get(&anna));
        while let Some(call) = worker.pending().into_iter().next() {
            worker.answer(call.token, world.answer(&Ask::of_call(&call)));
        }
        assert!(worker.awaits_response(request));
        worker.respond(request, 200, &[("content-length", "2")]);
        worker.take_host_calls()
    };
    let cold = play(&mut worker);
    let warm = play(&mut worker);
    assert!(warm.len() < cold.len());
    warm
}

#[test]
fn a_request_of_a_known_caller_takes_few_calls_of_the_host() {
    for (profile, most) in [(Profile::Kong, 10), (Profile::Envoy, 9)] {
        let calls = warm(profile);
        assert!(calls.len() <= most, "{profile:?} {}: {calls:#?}", calls.len());
    }
}

/// A worker of the core that has its provider's keys and the service principal's token.
fn core(world: &mut Script) -> Sim {
    let config = with_credential(&service_principal());
    let Ok(Settings::Enforce(config)) = Settings::parse(config.to_string().as_bytes(), &|_| None) else { panic!() };
    let answer = |body: Value| [Answer::new(200, body.to_string())];
    world.set(Purpose::Discovery, answer(json!({"issuer": ISSUER, "jwks_uri": "https://idp.example/keys"})));
    world.set(Purpose::Keys, answer(json!({ "keys": [KEY.jwk] })));
    world.set(Purpose::Token, answer(json!({"access_token": "dbx", "token_type": "Bearer", "expires_in": 3600})));
    let mut sim = Sim::new(config, UnixTime::from_secs(NOW));
    let now = sim.now.uptime;
    sim.tick(&mut Prefetch::default(), now, world);
    sim
}

fn from(token: &str, target: &str) -> Client {
    let request = get_at(target, token);
    let headers = request.headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
    Client { method: request.method, target: request.target.into(), headers, ..Client::default() }
}

#[test]
fn a_request_of_a_known_caller_takes_few_allocations_of_the_core() {
    for (target, most) in [("/api/2.1/jobs/list", 20), ("/api/2.2/jobs/get?job_id=50", 30)] {
        let mut world = Script::default();
        let mut sim = core(&mut world);
        let anna = from(&KEY.token("anna", &json!({})), target);
        sim.run(&mut Flow::default(), &anna, &mut world);
        let (id, mut flow, mut log) = (sim.next_id(), Flow::default(), Vec::new());
        let before = made();
        // from the head, as a shell hands it over, to the edits and the line of the log
        let request = anna.request(id, &sim.config).unwrap();
        let step = sim.on(&mut flow, Event::Request(request), &mut log);
        let line = flow.record().unwrap().to_json();
        let allocations = made() - before;
        assert!(matches!(step, Step::Forward(_)) && line.contains("anna"), "{step:?}");
        assert!(allocations <= most, "{target}: {allocations}");
    }
}

/// Some callers, each with 20 groups and a token of about a thousand bytes.
fn callers(count: usize) -> impl Iterator<Item = Client> {
    let groups: Vec<_> = (0..19).map(|number| format!("department-of-{number}")).chain(["eng".to_owned()]).collect();
    (0..count).map(move |number| {
        let claims =
            json!({"groups": groups, "jti": format!("7f1c9a52-5f1e-4d0b-9d3a-{number:012}"), "azp": "databricks-cli"});
        from(&KEY.token(&format!("somebody.or.other.{number}@example.com"), &claims), "/api/2.1/jobs/list")
    })
}

#[test]
fn little_is_kept_of_a_caller() {
    const CALLERS: usize = 1_000;
    // until the key has its table, which is none of the callers'
    const BEFORE: usize = 20;
    let mut world = Script::default();
    let mut sim = core(&mut world);
    let clients: Vec<_> = callers(BEFORE + CALLERS).collect();
    let token = clients[0].headers.iter().map(|(_, value)| value.expose().len()).max().unwrap();
    assert!((750..1_100).contains(&token), "{token}");
    sim.counts = Vec::with_capacity(8 * clients.len());
    let mut allow = |client| {
        let mut flow = Flow::default();
        sim.run(&mut flow, client, &mut world);
        assert_eq!(flow.record().unwrap().why(), "ALLOWED");
    };
    clients.iter().take(BEFORE).for_each(&mut allow);
    let before = held();
    clients.iter().skip(BEFORE).for_each(allow);
    let each = (held() - before) / i64::try_from(CALLERS).unwrap();
    println!("{each} bytes a caller");
    // 16 MB for 10,000 callers
    assert!(each <= 1_600, "{each}");
}
