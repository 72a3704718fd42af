//! What the host's page of metrics says.

use crate::drive::{Ask, Purpose};
use crate::stage::*;
use crate::stories::World;
use host::{Profile, Worker};
use serde_json::json;
use std::time::Duration;

const BOTH: [Profile; 2] = [Profile::Kong, Profile::Envoy];

#[test]
fn the_page_says_when_keys_were_fetched_and_the_feed_was_read_last() {
    for profile in BOTH {
        let mut worker = Worker::new(profile);
        let mut provider = idp();
        provider["revocation"] = json!({"url": "https://idp.example/feed", "refresh": 15, "max_stale": 60});
        let entry = worker.configure(&config(&json!({"identity_providers": [provider]})).to_string());
        let ages = |worker: &Worker| {
            let now = worker.now();
            ["keys_fetch_timestamp_seconds", "revocation_fetch_timestamp_seconds"]
                .map(|name| worker.metric(name).map(|at| now.checked_sub(at).expect("not of the future")))
        };
        let never = Some(worker.now());
        assert_eq!(ages(&worker), [never; 2], "{profile:?}: defined, and not set");
        let (mut world, anna) = (World::new(), KEY.token("anna", &json!({})));
        world.set(Purpose::Feed, &[ok(&json!({"subjects": []}))]);
        let mut play = |worker: &mut Worker| {
            worker.send(&[entry], &get(&anna));
            while let Some(call) = worker.pending().into_iter().next() {
                worker.answer(call.token, world.answer(&Ask::of_call(&call)));
            }
        };
        play(&mut worker);
        assert_eq!(ages(&worker), [Some(0); 2], "{profile:?}");
        worker.pass(Duration::from_secs(20));
        play(&mut worker);
        let [keys, feed] = ages(&worker).map(Option::unwrap);
        assert!(keys >= 20 && feed < 20, "{profile:?}: keys {keys} s, feed {feed} s");
    }
}
