//! What gateways read.

use crate::issuer::{Issuer, now};
use crate::running::{ADMIN, Running, configuration};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_feed_that_did_not_change_costs_a_304() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let first = service.get("/feed/idp").await;
    assert_eq!(first.headers()["content-type"], "application/json");
    assert_eq!(first.headers()["cache-control"], "no-cache");
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let again = service.send(Method::GET, "/feed/idp", &[("if-none-match", &tag)], "").await;
    assert_eq!((again.status().as_u16(), again.headers()["etag"].to_str().unwrap()), (304, tag.as_str()));
    assert!(again.bytes().await.unwrap().is_empty());
    let wish = json!({"provider": "idp", "kind": "subject", "value": "anna"});
    service.admin(Method::POST, "/revocations", &wish).await;
    service.feed_when("anna", |feed| feed["subjects"] == json!(["anna"])).await;
    let changed = service.send(Method::GET, "/feed/idp", &[("if-none-match", &tag)], "").await;
    assert_eq!(changed.status(), 200);
    assert_ne!(changed.headers()["etag"].to_str().unwrap(), tag);
    let not_modified = r#"databricks_kong_revocations_feed_requests_total{provider="idp",status="304"}"#;
    assert_eq!(service.metric(not_modified).await, Some(1.0));
    assert_eq!(service.metric(r#"databricks_kong_revocations_entries{provider="idp"}"#).await, Some(1.0));
}

#[tokio::test]
async fn an_entry_leaves_the_feed_when_it_ends() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let wish = json!({"provider": "idp", "kind": "subject", "value": "anna", "until": now() + 2});
    assert_eq!(service.admin(Method::POST, "/revocations", &wish).await.0, 201);
    service.feed_when("there", |feed| feed["subjects"] == json!(["anna"])).await;
    service.feed_when("gone", |feed| feed["subjects"] == json!([])).await;
    assert!(now() >= wish["until"].as_u64().unwrap());
}

#[tokio::test]
async fn a_feed_may_need_a_secret_and_other_paths_have_nothing() {
    let issuer = Issuer::start().await;
    let mut config = configuration(&issuer, "revocations.db");
    config["feed"] = json!({"secret": {"env": "TEST_ADMIN"}});
    let service = Running::start_with(&config);
    assert_eq!(service.get("/feed/idp").await.status(), 401);
    assert_eq!(service.get("/feed/other").await.status(), 401);
    let shown = format!("Bearer {ADMIN}");
    let with = [("authorization", shown.as_str())];
    assert_eq!(service.send(Method::GET, "/feed/idp", &with, "").await.status(), 200);
    for path in ["/feed/other", "/feed/", "/feed", "/", "/feed/idp/x", "/feed/..%2fidp"] {
        assert_eq!(service.send(Method::GET, path, &with, "").await.status(), 404, "{path}");
    }
    assert_eq!(service.send(Method::POST, "/feed/idp", &with, "").await.status(), 405);
    assert_eq!(service.get("/healthz").await.text().await.unwrap(), r#"{"status":"ok"}"#);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go_and_harms_nobody() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let address = service.url.strip_prefix("http://").unwrap();
    let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /feed/idp HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let mut huge = tokio::net::TcpStream::connect(address).await.unwrap();
    huge.write_all(format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000)).as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = huge.read_to_string(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(service.get("/feed/idp").await.status(), 200);
    let ended = tokio::time::timeout(Duration::from_secs(15), slow.read_to_string(&mut answer)).await;
    assert!(ended.is_ok(), "the connection is still open");
}
