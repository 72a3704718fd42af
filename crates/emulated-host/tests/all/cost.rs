//! What a request of a known caller costs in calls of the host, each of which leaves the sandbox and some of which run Lua on Kong.

use crate::drive::Ask;
use crate::stage::*;
use crate::stories::World;
use host::{Profile, Worker};
use serde_json::json;

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
