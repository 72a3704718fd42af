//! `kill -9` at any moment: what was acknowledged is there afterwards.

use crate::issuer::{DISABLED, Issuer};
use crate::running::{Running, configuration, folder, values};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often it is killed, and how many senders push meanwhile.
const KILLS: u64 = 12;
const SENDERS: usize = 4;

async fn push_until_it_breaks(
    http: reqwest::Client,
    url: String,
    tokens: Vec<(String, String)>,
    kept: Arc<Mutex<Vec<String>>>,
) {
    for (user, token) in tokens {
        let request = http.post(format!("{url}/events")).header("content-type", "application/secevent+jwt").body(token);
        match request.send().await {
            Ok(answer) if answer.status() == 202 => kept.lock().unwrap().push(user),
            Ok(answer) => panic!("status {}", answer.status()),
            Err(_) => return,
        }
    }
}

async fn survives(issuer: &Issuer, config: &Value) {
    let folder = folder();
    let kept = Arc::new(Mutex::new(Vec::new()));
    for round in 0..KILLS {
        let service = Running::start_in(folder.clone(), config);
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let tokens = (0..200).map(|event| {
                    let user = format!("u-{round}-{sender}-{event}");
                    let token = issuer.sign_event(&issuer.event(DISABLED, issuer.iss_sub(&user)));
                    (user, token)
                });
                let tokens: Vec<_> = tokens.collect();
                tokio::spawn(push_until_it_breaks(service.http.clone(), service.url.clone(), tokens, Arc::clone(&kept)))
            })
            .collect();
        // another moment in each round
        tokio::time::sleep(Duration::from_millis(5 + round * 17)).await;
        service.kill();
        for sender in senders {
            sender.await.unwrap();
        }
    }
    let service = Running::start_in(folder, config);
    let kept = kept.lock().unwrap().clone();
    assert!(kept.len() > 20, "only {} events were acknowledged, which shows nothing", kept.len());
    let feed = service.feed().await;
    let there: BTreeSet<_> = values(&feed, "subjects").into_iter().collect();
    let lost: Vec<_> = kept.iter().filter(|user| !there.contains(user.as_str())).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged events are lost: {lost:?}", lost.len(), kept.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_with_sqlite() {
    let issuer = Issuer::start().await;
    survives(&issuer, &configuration(&issuer, "revocations.db")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_with_postgresql() {
    let Some(server) = crate::postgres::server() else { return };
    let issuer = Issuer::start().await;
    survives(&issuer, &configuration(&issuer, &server.database())).await;
}
