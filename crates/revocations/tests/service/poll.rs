//! Security event tokens by poll (RFC 8936).

use crate::issuer::{DISABLED, Issuer, SESSION_REVOKED, unique};
use crate::running::{Running, configuration, values};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn polling(issuer: &Issuer, authorization: &Value) -> Value {
    let mut config = configuration(issuer, "revocations.db");
    config["sources"][1]["poll"] = json!({"url": format!("{}/poll", issuer.url()), "interval": 1});
    if !authorization.is_null() {
        config["sources"][1]["poll"]["authorization"] = authorization.clone();
    }
    config
}

fn offer(issuer: &Issuer, claims: &Value) -> String {
    let id = claims["jti"].as_str().unwrap().to_owned();
    issuer.site.waiting.lock().unwrap().insert(id.clone(), issuer.sign_event(claims));
    id
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn events_are_fetched_kept_and_then_acknowledged() {
    let issuer = Issuer::start().await;
    let users: Vec<String> = (0..5).map(|_| unique("u")).collect();
    for user in &users {
        offer(&issuer, &issuer.event(SESSION_REVOKED, issuer.iss_sub(user)));
    }
    let bad = offer(&issuer, &{
        let mut claims = issuer.event(DISABLED, issuer.iss_sub("not-for-us"));
        claims["aud"] = json!("other");
        claims
    });
    let service = Running::start_with(&polling(&issuer, &Value::Null));
    let feed = service.feed_when("five users", |feed| values(feed, "subjects").len() == 5).await;
    let mut expected: Vec<_> = users.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(values(&feed, "subjects"), expected);
    until("all acknowledged", || issuer.site.waiting.lock().unwrap().is_empty()).await;
    let polls = issuer.site.polls.lock().unwrap().clone();
    assert_eq!(
        (&polls[0]["maxEvents"], &polls[0]["returnImmediately"], &polls[0]["ack"]),
        (&json!(100), &json!(true), &json!([]))
    );
    let errors: Vec<_> = polls.iter().filter_map(|poll| poll["setErrs"].get(&bad)).collect();
    assert_eq!(errors, [&json!({"err": "invalid_audience", "description": "the token is for another audience"})]);
    // once there is more, the next poll does not wait
    offer(&issuer, &issuer.event(SESSION_REVOKED, issuer.iss_sub("later")));
    service.feed_when("the later one", |feed| values(feed, "subjects").contains(&"later")).await;
}

#[tokio::test]
async fn polls_show_a_secret_or_a_token_of_the_clients_own() {
    let issuer = Issuer::start().await;
    *issuer.site.poll_secret.lock().unwrap() = Some("Bearer the-administrators-secret".to_owned());
    offer(&issuer, &issuer.event(SESSION_REVOKED, issuer.iss_sub("a")));
    let with_secret = Running::start_with(&polling(&issuer, &json!({"env": "TEST_ADMIN"})));
    with_secret.feed_when("a", |feed| values(feed, "subjects") == ["a"]).await;
    *issuer.site.poll_secret.lock().unwrap() = Some("Bearer poll-token".to_owned());
    let client = json!({"token_url": format!("{}/token", issuer.url()), "client_id": "c", "client_secret": "s&cret"});
    offer(&issuer, &issuer.event(SESSION_REVOKED, issuer.iss_sub("b")));
    let with_client = Running::start_with(&polling(&issuer, &client));
    with_client.feed_when("b", |feed| values(feed, "subjects").contains(&"b")).await;
    let log = with_client.log_when("a secret in plain text").await;
    assert!(!log.contains("s&cret") && !log.contains("poll-token"), "{log}");
}

#[tokio::test]
async fn an_event_that_cannot_be_verified_for_now_comes_again() {
    let issuer = Issuer::start().await;
    *issuer.site.keys_fail.lock().unwrap() = true;
    let id = offer(&issuer, &issuer.event(SESSION_REVOKED, issuer.iss_sub("a")));
    let service = Running::start_with(&polling(&issuer, &Value::Null));
    until("two polls", || issuer.site.polls.lock().unwrap().len() >= 2).await;
    let polls = issuer.site.polls.lock().unwrap().clone();
    assert!(polls.iter().all(|poll| poll["ack"] == json!([]) && poll["setErrs"] == json!({})), "{polls:?}");
    assert!(issuer.site.waiting.lock().unwrap().contains_key(&id));
    *issuer.site.keys_fail.lock().unwrap() = false;
    service.feed_when("a", |feed| values(feed, "subjects") == ["a"]).await;
    until("acknowledged", || issuer.site.waiting.lock().unwrap().is_empty()).await;
}

#[tokio::test]
async fn a_transmitter_that_refuses_is_polled_less_often_and_said_to_fail() {
    let issuer = Issuer::start().await;
    *issuer.site.poll_secret.lock().unwrap() = Some("Bearer nobody-knows".to_owned());
    let service = Running::start_with(&polling(&issuer, &Value::Null));
    let failed = r#"databricks_kong_revocations_polls_total{source="events",outcome="failed"}"#;
    let deadline = Instant::now() + Duration::from_secs(10);
    while service.metric(failed).await.unwrap_or(0.0) < 2.0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let log = service.log_when(r#""failures":2"#).await;
    assert!(log.contains("a poll failed: status 401"), "{log}");
}
