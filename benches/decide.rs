//! How long a decision takes, and how that grows with the policy: 10 roles and 1,000 roles of 50 rules each.
//!
//! `cargo bench --bench decide`. Both policies are measured in turns in one run, so that their ratio does not depend on the machine.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a benchmark may fail loudly, and prints its numbers"
)]

#[path = "../tests/policy/caller.rs"]
mod caller;

use caller::{NOW, callers, config};
use databricks_kong::base::parse_object_strict;
use databricks_kong::config::Config;
use databricks_kong::databricks::Target;
use databricks_kong::jwt::Caller;
use databricks_kong::policy::{Action, Ask, Body, Outcome, authorize};
use serde_json::{Value, json};
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

const RULES: usize = 50;
const ROUNDS: usize = 40;
const DECISIONS: usize = 500;

/// Roles of a group each; `name` makes a role's group, plain or as a pattern.
fn policy(roles: usize, name: fn(usize) -> String) -> Rc<Config> {
    let rule = |number: usize| json!({"operations": ["jobs.run_now"], "resources": {"job": [format!("{number}")]}});
    let rules: Vec<Value> = (1..=RULES).map(rule).collect();
    let role = |number: usize| {
        let matches = json!({"groups": [name(number)]});
        json!({"name": format!("r{number}"), "match": matches, "credential": {"type": "passthrough"}, "allow": rules})
    };
    config("enforce", &Value::Array((0..roles).map(role).collect()), &json!([]))
}

/// The median over rounds of the time of one decision.
struct Times(Vec<Duration>);

impl Times {
    fn nanoseconds(&mut self) -> f64 {
        self.0.sort_unstable();
        self.0[self.0.len() / 2].as_nanos() as f64 / DECISIONS as f64
    }
}

/// One decision on a run of job 50, which the last rule of a role allows, from the bytes of the request on.
fn decide(config: &Config, caller: &Rc<Caller>, provider: &Rc<str>) -> bool {
    let target = Target::parse(b"/api/2.2/jobs/run-now").unwrap();
    let body = parse_object_strict(br#"{"job_id":50}"#, 32).unwrap();
    let action = Action::new("POST", &target, &[], Body::Json(&body));
    let ask = Ask { caller, provider, requested_role: None, action: &action, now: NOW };
    matches!(authorize(&config.policy, black_box(&ask)), Outcome::Permit(_))
}

fn measure(what: &str, small: &Config, large: &Config, caller: &Rc<Caller>) {
    let mut times = [Times(Vec::new()), Times(Vec::new())];
    for _ in 0..ROUNDS {
        for (config, times) in [small, large].into_iter().zip(&mut times) {
            let provider = Rc::clone(&config.providers[0].name);
            assert!(decide(config, caller, &provider));
            let start = Instant::now();
            for _ in 0..DECISIONS {
                black_box(decide(config, caller, &provider));
            }
            times.0.push(start.elapsed());
        }
    }
    let [small, large] = times.each_mut().map(Times::nanoseconds);
    println!("{what:<52} 10 roles {small:>9.0} ns   1,000 roles {large:>9.0} ns   ratio {:.2}", large / small);
}

fn main() {
    let many = (0..20).map(|number| format!("other-{number}")).chain(["team-5".to_owned()]);
    let callers = callers([(vec!["team-5".to_owned()], None), (many.collect(), None)]);
    let plain = |number: usize| format!("team-{number}");
    let pattern = |number: usize| format!("team-{number}*");
    let (small, large) = (policy(10, plain), policy(1_000, plain));
    measure("a caller in one group, the last of 50 rules", &small, &large, &callers[0]);
    measure("a caller in 21 groups", &small, &large, &callers[1]);
    let (small, large) = (policy(10, pattern), policy(1_000, pattern));
    measure("roles whose groups are patterns (looked at in turn)", &small, &large, &callers[0]);
}
