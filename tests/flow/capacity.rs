//! What `databricks-kong check --capacity` says of a fleet, against the core itself: some workers and callers for hours of their clock.

// the tool's own file: the tool cannot be a dependency of tests
#[allow(dead_code, reason = "the tool shows more than is counted here")]
#[path = "../../src/bin/databricks-kong/load_model.rs"]
mod load_model;

use crate::stage::*;
use databricks_kong::base::UnixTime;
use databricks_kong::config::Config;
use databricks_kong::flow::{Callout, Flow, Prefetch};
use databricks_kong::sim::{Answer, End, Purpose, Sim};
use load_model::{Demand, Fleet, Host, rates};
use serde_json::json;
use std::rc::Rc;

const HOURS: u64 = 5;
const LIFE: u64 = 3600;
/// Each caller sends a request to each worker so often.
const EVERY: u64 = 30;
/// Clients get themselves a new token so long before the old one ends.
const EARLY: u64 = 300;

/// When the world around a worker was asked for what, after the first hour, which is the start.
#[derive(Default)]
struct Asked {
    tokens: Vec<u64>,
    keys: Vec<u64>,
    feeds: Vec<u64>,
}

/// Runs one worker for [`HOURS`].
fn asked(config: &Rc<Config>, callers: u64, timers: bool) -> Asked {
    let mut asked = Asked::default();
    let mut sim = Sim::new(Rc::clone(config), UnixTime::from_secs(NOW));
    sim.can.timers = timers;
    let mut prefetch = Prefetch::default();
    let mut tokens: Vec<(String, u64)> = (0..callers).map(|_| (String::new(), 0)).collect();
    for second in 0..HOURS * LIFE {
        let now = NOW + second;
        let mut world = |purpose: Purpose, _: &Callout| -> Answer {
            let (times, answer) = match purpose {
                Purpose::Token => (&mut asked.tokens, minted(&format!("dbx-{second}"), LIFE)),
                Purpose::Keys => (&mut asked.keys, keys(&[&EC])),
                Purpose::Feed => (&mut asked.feeds, ok(&json!({"subjects": []}))),
                _ => return discovery(),
            };
            if second >= LIFE {
                times.push(second);
            }
            answer
        };
        if timers && second % 5 == 0 {
            let used_at = sim.now.uptime;
            sim.tick(&mut prefetch, used_at, &mut world);
        }
        for (caller, (token, until)) in (0..).zip(&mut tokens) {
            // callers come one after the other, and so do their tokens
            if *until <= now + EARLY {
                let from = now - caller * LIFE / callers.max(1) * u64::from(token.is_empty());
                *token = EC.token(&format!("caller-{caller}"), json!({"iat": from, "exp": from + LIFE}));
                *until = from + LIFE;
            }
            if second % EVERY == caller % EVERY {
                let transcript = sim.run(&mut Flow::default(), &get(token), &mut world);
                assert!(matches!(transcript.end, End::Forward { .. }), "{transcript}");
            }
        }
        sim.pass(secs(1));
    }
    asked
}

/// How often something was asked for, a second, and what the model says, are so close.
fn assert_close(what: &str, times: &[u64], said: f64, within: f64) {
    let (first, last) = (times[0], times[times.len() - 1]);
    let counted = (times.len() - 1) as f64 / (last - first) as f64;
    assert!((counted / said - 1.0).abs() < within, "{what}: {counted:.5} a second, and the model says {said:.5}");
}

fn fleet(users: u64) -> Fleet {
    Fleet { users: users as f64, nodes: 1.0, workers: 1.0, token_life: LIFE as f64 }
}

#[test]
fn tokens_of_callers_are_exchanged_as_often_as_the_model_says() {
    let demand = Demand { own_tokens: 1.0, key_sets: 1.0, ..Demand::default() };
    for (host, timers) in [(Host::KongFilter, false), (Host::Plugin, true)] {
        let asked = asked(&config(json!({})), 8, timers);
        let said = rates(host, &demand, &fleet(8));
        assert_close(&format!("{host:?}, exchanges"), &asked.tokens, said.own_exchanges, 0.05);
        assert_close(&format!("{host:?}, keys"), &asked.keys, said.key_fetches, 0.05);
    }
}

#[test]
fn tokens_that_callers_share_and_feeds_are_asked_for_as_often_as_the_model_says() {
    let feed = json!({"url": "https://cuts.example/feed", "refresh": 120, "max_stale": 300});
    let mut changes = provider(json!({"revocation": feed}));
    changes["roles"] = json!([role(service_principal())]);
    let demand = Demand { shared_tokens: 1.0, key_sets: 1.0, feeds: vec![120.0], ..Demand::default() };
    for (host, timers) in [(Host::KongFilter, false), (Host::Plugin, true)] {
        let asked = asked(&config(changes.clone()), 2, timers);
        let said = rates(host, &demand, &fleet(8));
        assert_close(&format!("{host:?}, exchanges"), &asked.tokens, said.shared_exchanges, 0.05);
        assert_close(&format!("{host:?}, keys"), &asked.keys, said.key_fetches, 0.05);
        assert_close(&format!("{host:?}, feeds"), &asked.feeds, said.feed_reads, 0.05);
    }
}
