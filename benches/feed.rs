//! What a feed of revoked identities costs a request, and how that grows with the feed: 1 entry and 100,000. And what it costs to read one.
//!
//! `cargo bench --bench feed`. Both are measured in turns in one run, so that their ratio does not depend on the machine.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    dead_code,
    reason = "a benchmark may fail loudly, and prints its numbers"
)]

#[path = "../tests/flow/stage.rs"]
mod stage;

use databricks_kong::flow::Flow;
use databricks_kong::sim::{Answer, Client, Purpose};
use serde_json::json;
use stage::{Stage, check, config, get, provider, role};
use std::hint::black_box;
use std::time::{Duration, Instant};

const ENTRIES: usize = 100_000;
const ROUNDS: usize = 40;
const REQUESTS: usize = 200;

fn feed(entries: usize) -> String {
    let subjects: Vec<_> = (0..entries)
        .map(|n| json!({"value": format!("person-{n}@example.com"), "before": 1_800_000_000 + n}))
        .collect();
    json!({"subjects": subjects}).to_string()
}

/// A gateway that has its keys and a feed of so many entries, and a caller whom it does not name.
fn gateway(entries: usize) -> (Stage, Client) {
    let feed_entry = json!({"url": "https://cuts.example/feed/idp", "refresh": 3600, "max_stale": 7200});
    let mut changes = provider(json!({ "revocation": feed_entry }));
    changes["roles"] = json!([role(json!({"type": "passthrough"}))]);
    let mut stage = Stage::cold(config(changes));
    stage.world.set(Purpose::Feed, [Answer::new(200, feed(entries))]);
    stage.tick();
    let client = get(&stage.token("anna@example.com"));
    check(&stage.send(&client), "", "forward Bearer <anna@example.com>");
    (stage, client)
}

/// The median over rounds of the time of one request.
fn nanoseconds(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / REQUESTS as f64
}

fn main() {
    let mut gateways = [gateway(1), gateway(ENTRIES)];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for ((stage, client), times) in gateways.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..REQUESTS {
                black_box(stage.sim.run(&mut Flow::default(), client, &mut stage.world));
            }
            times.push(start.elapsed());
        }
    }
    let [small, large] = times.each_mut().map(|times| nanoseconds(times));
    println!("a request   1 entry {small:>9.0} ns   100,000 entries {large:>9.0} ns   ratio {:.2}", large / small);
    let text = feed(ENTRIES);
    let mut readings: Vec<_> = (0..10)
        .map(|_| {
            let start = Instant::now();
            black_box(databricks_kong::revocation::Revocations::parse(text.as_bytes()).unwrap());
            start.elapsed()
        })
        .collect();
    readings.sort_unstable();
    println!("a reading   100,000 entries, {} bytes: {:?}", text.len(), readings[readings.len() / 2]);
}
