//! Runs each part of a request once, warmed up, in a function of its own, whose instructions `valgrind --tool=callgrind` counts for
//! bench/instructions. What it prints is, a line each, the part's name and how many allocations it made.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "a tool of the tests may fail loudly, and prints its numbers"
)]

mod allocations;

use databricks_kong::base::{Fingerprint, Secret, UnixTime, parse_object_strict};
use databricks_kong::config::{Config, OwnHeaders, Settings};
use databricks_kong::databricks::sql;
use databricks_kong::databricks::{Catalogue, Target};
use databricks_kong::flow::{Edits, Event, Flow, Prefetch, Step, inspect_all_headers};
use databricks_kong::jwt::{Caller, KeySet, UnverifiedToken, verify};
use databricks_kong::policy::{Action, Ask, Body, Outcome, authorize};
use databricks_kong::sim::{Answer, Client, Purpose, Script, Sim};
use serde_json::{Value, json};
use std::hint::black_box;
use std::rc::Rc;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const ISSUER: &str = "https://idp.example";
/// Runs before the one that counts: memory is at hand then, and what is made at first use is made, a key's table at the eighth.
const WARM_UP: usize = 10;

/// Runs a part.
type Counted = fn(&mut dyn FnMut());

/// A function of this name, which callgrind finds and counts.
macro_rules! part {
    ($name:ident) => {{
        #[inline(never)]
        fn $name(part: &mut dyn FnMut()) {
            part();
            // keeps functions that are alike from becoming one, and the call before from standing in this one's place
            black_box(stringify!($name));
        }
        (stringify!($name), $name as Counted)
    }};
}

fn count((name, counted): (&str, Counted), mut part: impl FnMut()) {
    for _ in 0..WARM_UP {
        part();
    }
    let (made, bytes) = allocations::made();
    counted(&mut part);
    let (now_made, now_bytes) = allocations::made();
    println!("{name}\t{}\t{}", now_made - made, now_bytes - bytes);
}

/// Keys of an identity provider and a token of each, of the same claims; nobody has the private halves any more.
struct Tokens(Value);

impl Tokens {
    fn read() -> Self {
        Self(serde_json::from_str(include_str!("tokens.json")).unwrap())
    }

    fn key_set(&self) -> String {
        json!({ "keys": self.0.get("keys").unwrap() }).to_string()
    }

    fn of(&self, key: &str) -> &str {
        self.0.pointer(&format!("/tokens/{key}")).and_then(Value::as_str).unwrap()
    }
}

fn config(roles: &Value) -> Rc<Config> {
    let algorithms = ["RS256", "ES256", "EdDSA"];
    let provider = json!({"name": "idp", "issuer": ISSUER, "audiences": ["databricks"], "algorithms": algorithms});
    let config = json!({
        "workspace": {"url": "https://adb-7405619408829168.8.azuredatabricks.net", "id": "7405619408829168"},
        "identity_providers": [provider],
        "roles": roles,
    });
    match Settings::parse(config.to_string().as_bytes(), &|_| None) {
        Ok(Settings::Enforce(config)) => config,
        other => panic!("{other:?}"),
    }
}

/// Roles of a group and of 50 rules each: every rule names one operation of its own, and the last is the one that is asked for.
fn roles_of_rules(roles: usize, same: bool) -> Rc<Config> {
    let operations: Vec<_> = Catalogue::operations().filter(|operation| operation.name() != "jobs.run_now").collect();
    let rule = |number: usize| {
        let operation = if same || number == 50 { "jobs.run_now" } else { operations.get(number * 7).unwrap().name() };
        json!({"operations": [operation], "resources": {"job": [format!("{number}")]}})
    };
    let rules: Vec<Value> = (1..=50).map(rule).collect();
    let rules: Vec<Value> = if same { rules } else { rules.into_iter().map(without_resources).collect() };
    let role = |number: usize| {
        let matches = json!({"groups": [format!("team-{number}")]});
        json!({"name": format!("r{number}"), "match": matches, "credential": {"type": "passthrough"}, "allow": rules})
    };
    config(&Value::Array((0..roles).map(role).collect()))
}

/// Rules of other operations than a job's have no jobs.
fn without_resources(mut rule: Value) -> Value {
    if rule.pointer("/operations/0") != Some(&json!("jobs.run_now")) {
        rule.as_object_mut().unwrap().remove("resources");
    }
    rule
}

/// One decision on a run of job 50, from the bytes of the request on.
fn decide(config: &Config, caller: &Rc<Caller>) {
    let target = Target::parse(b"/api/2.2/jobs/run-now").unwrap();
    let body = parse_object_strict(br#"{"job_id":50}"#, 32).unwrap();
    let action = Action::new("POST", &target, &[], Body::Json(&body));
    let provider = &config.providers.first().unwrap().name;
    let ask = Ask { caller, provider, requested_role: None, action: &action, now: NOW };
    assert!(matches!(authorize(&config.policy, black_box(&ask)), Outcome::Permit(_)));
}

/// A worker of a gateway that has seen the caller.
struct Gateway {
    sim: Sim,
    client: Client,
}

impl Gateway {
    fn of(config: Rc<Config>, tokens: &Tokens, client: Client) -> Self {
        let mut world = Script::default();
        let discovery = json!({"issuer": ISSUER, "jwks_uri": "https://idp.example/keys"});
        let minted = json!({"access_token": "d".repeat(800), "token_type": "Bearer", "expires_in": 3600});
        world.set(Purpose::Discovery, [Answer::new(200, discovery.to_string())]);
        world.set(Purpose::Keys, [Answer::new(200, tokens.key_set())]);
        world.set(Purpose::Token, [Answer::new(200, minted.to_string())]);
        let mut sim = Sim::new(config, NOW);
        let now = sim.now.uptime;
        sim.tick(&mut Prefetch::default(), now, &mut world);
        sim.run(&mut Flow::default(), &client, &mut world);
        sim.counts = Vec::with_capacity(1024);
        Self { sim, client }
    }

    /// A request that is not held, from its headers to its edits, with its record.
    fn request(&mut self) -> (Flow, Edits) {
        let mut flow = Flow::default();
        let id = self.sim.next_id();
        let request = self.client.request(id, &self.sim.config).unwrap();
        let mut log = Vec::new();
        match self.sim.on(&mut flow, Event::Request(request), &mut log) {
            Step::Forward(edits) => (flow, edits),
            other => panic!("{other:?}"),
        }
    }
}

fn client(target: &str, token: &str) -> Client {
    let headers = [
        ("Host", "gw.example.com"),
        ("Authorization", &format!("Bearer {token}")),
        ("User-Agent", "databricks-sdk-py/0.40.0 python/3.12.3 os/linux auth/pat"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Connection", "keep-alive"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Request-Id", "0af7651916cd43dd8448eb211c80319c"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned())));
    Client { method: "GET".to_owned(), target: target.into(), headers: headers.collect(), ..Client::default() }
}

const STATEMENT: &str = "WITH recent AS (SELECT customer, sum(amount) AS total FROM main.sales.orders o JOIN main.sales.lines USING (id) \
    WHERE day >= date_sub(current_date(), 7) GROUP BY customer) INSERT INTO main.reports.weekly SELECT * FROM recent WHERE total > 100";

fn main() {
    let tokens = Tokens::read();
    let token = tokens.of("rs256-2048");
    let keys = KeySet::parse(tokens.key_set().as_bytes()).unwrap().keys;
    let service_principal = json!([{
        "name": "engineer", "match": {"groups": ["team-5"]},
        "credential": {"type": "service_principal_secret", "client_id": "9b2c54b6-87c2-4e9f-8f04-f1a2c3d4e5f6", "client_secret": "s"},
    }]);
    let small = config(&service_principal);

    let client = client("/api/2.2/jobs/get?job_id=50", token);
    let headers: Vec<_> =
        client.headers.iter().map(|(name, value)| (name.as_bytes(), value.expose().as_bytes())).collect();
    let own = OwnHeaders::default();
    count(part!(part_headers), || {
        black_box(inspect_all_headers(headers.iter().copied(), false, &own));
    });
    count(part!(part_target), || {
        let target = Target::parse(black_box(b"/api/2.2/jobs/get?job_id=50")).unwrap();
        black_box(Catalogue::find("GET", target.path()).unwrap());
    });
    count(part!(part_digest), || {
        black_box(Fingerprint::builder("token").field(black_box(token).as_bytes()).finish());
    });
    for (part, name) in [
        (part!(part_token_rs256_2048), "rs256-2048"),
        (part!(part_token_rs256_4096), "rs256-4096"),
        (part!(part_token_es256), "es256"),
        (part!(part_token_eddsa), "eddsa"),
    ] {
        let token = tokens.of(name);
        let expectations = &small.providers.first().unwrap().expectations;
        count(part, || {
            let token = UnverifiedToken::parse(black_box(token).as_bytes(), 16_384).unwrap();
            black_box(verify(&token, &keys, expectations, NOW).unwrap());
        });
    }

    let unverified = UnverifiedToken::parse(token.as_bytes(), 16_384).unwrap();
    let caller = verify(&unverified, &keys, &small.providers.first().unwrap().expectations, NOW).unwrap();
    let caller = Rc::new(caller);
    for (part, roles, same) in [
        (part!(part_decision_10_roles), 10, true),
        (part!(part_decision_1000_roles), 1000, true),
        (part!(part_decision_other_rules), 10, false),
    ] {
        let config = roles_of_rules(roles, same);
        count(part, || decide(&config, &caller));
    }

    let mut gateway = Gateway::of(small, &tokens, client);
    let held = allocations::held();
    count(part!(part_known_caller), || {
        black_box(gateway.request());
    });
    assert!(allocations::held() <= held + 4096, "a request leaves nothing behind");
    let (flow, edits) = gateway.request();
    count(part!(part_record), || {
        black_box(flow.record().unwrap().to_json());
    });
    count(part!(part_edits), || {
        black_box(edits.headers().map(|(name, value)| name.len() + value.len()).sum::<usize>());
    });
    count(part!(part_sql_statement), || {
        black_box(sql::scan(black_box(STATEMENT), None, None));
    });
}
