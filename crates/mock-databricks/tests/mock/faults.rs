use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::{Bench, encode};

const LIST: &str = "/api/2.1/unity-catalog/catalogs";

async fn left(bench: &Bench) -> Value {
    bench.ask_admin(Method::GET, "/faults", Value::Null).await.1
}

#[tokio::test]
async fn count_down_and_are_gone() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    bench.order(json!({ "on": "api", "kind": "status", "status": 503, "times": 2 })).await;
    assert_eq!(bench.get(LIST, &token).await.0, 503);
    assert_eq!(left(&bench).await[0]["times"], 1);
    assert_eq!(bench.get(LIST, &token).await.0, 503);
    assert_eq!(left(&bench).await, json!([]));
    assert_eq!(bench.get(LIST, &token).await.0, 200);
}

#[tokio::test]
async fn meet_each_nth_request_if_told_so() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    bench.order(json!({ "on": "api", "kind": "status", "status": 503, "every": 3, "times": 2 })).await;
    let mut met = Vec::new();
    for _ in 0..9 {
        met.push(bench.get(LIST, &token).await.0);
    }
    assert_eq!(met, [200, 200, 503, 200, 200, 503, 200, 200, 200]);
}

#[tokio::test]
async fn last_until_cleared() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    let headers = json!({ "retry-after": "2" });
    bench.order(json!({ "on": "api", "kind": "status", "status": 502, "headers": headers, "body": "x" })).await;
    let bearer = format!("Bearer {token}");
    for _ in 0..3 {
        let answer = bench.answer(Method::GET, LIST, &[("authorization", &bearer)], String::new()).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (502, &"2".parse().unwrap()));
        assert_eq!(answer.text().await.unwrap(), "x");
    }
    assert_eq!(bench.ask_admin(Method::DELETE, "/faults", Value::Null).await.0, 200);
    assert_eq!(bench.get(LIST, &token).await.0, 200);
}

#[tokio::test]
async fn meet_only_what_they_are_for() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    bench.order(json!({ "on": "token", "kind": "status", "status": 500, "times": 1 })).await;
    assert_eq!(bench.get(LIST, &token).await.0, 200);
    let (status, body) = bench.token(&bench.exchange_form()).await;
    assert_eq!((status, body["error"].as_str()), (500, Some("temporarily_unavailable")));
    bench.order(json!({ "on": "api", "kind": "status", "status": 500, "times": 1 })).await;
    bench.exchanged(&bench.exchange_form()).await;
    assert_eq!(bench.get(LIST, &token).await.0, 500);
    bench.order(json!({ "on": "all", "kind": "status", "status": 500, "times": 3 })).await;
    assert_eq!(bench.token(&bench.exchange_form()).await.0, 500);
    assert_eq!(bench.get(LIST, &token).await.0, 500);
    assert_eq!(bench.get("/.well-known/databricks-config", &token).await.0, 500);
}

#[tokio::test]
async fn a_fault_keeps_the_token_endpoint_from_minting() {
    let bench = Bench::start().await;
    bench.order(json!({ "on": "token", "kind": "throttle", "times": 1 })).await;
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let body = encode(&bench.exchange_form());
    let answer = bench.answer(Method::POST, "/oidc/v1/token", &kind, body).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    assert_eq!(bench.ask_admin(Method::GET, "/tokens", Value::Null).await.1, json!([]));
}

#[tokio::test]
async fn answer_with_other_bodies() {
    let bench = Bench::start().await;
    bench.order(json!({ "on": "all", "kind": "garbage", "times": 1 })).await;
    let answer = bench.answer(Method::GET, LIST, &[], String::new()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(serde_json::from_str::<Value>(&answer.text().await.unwrap()).is_err());
    bench.order(json!({ "on": "token", "kind": "body", "body": "{\"access_token\":1}", "times": 1 })).await;
    let (status, body) = bench.token(&bench.exchange_form()).await;
    assert_eq!((status, body), (200, json!({ "access_token": 1 })));
}

#[tokio::test]
async fn delay_and_go_together_with_another() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    bench.order(json!({ "on": "api", "kind": "delay", "delay_ms": 300, "times": 2 })).await;
    let timed = async || {
        #[expect(clippy::disallowed_methods, reason = "measures how long the answer took")]
        let start = Instant::now();
        (bench.get(LIST, &token).await.0, start.elapsed() >= Duration::from_millis(300))
    };
    assert_eq!(timed().await, (200, true));
    bench.order(json!({ "on": "api", "kind": "status", "status": 500, "times": 1 })).await;
    assert_eq!(timed().await, (500, true));
    assert_eq!(timed().await, (200, false));
}

#[tokio::test]
async fn act_on_the_connection() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    let request =
        format!("GET {LIST} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    let usual = bench.raw(&request).await;
    let (head, body) = usual.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");

    bench.order(json!({ "on": "api", "kind": "close", "times": 1 })).await;
    assert_eq!(bench.raw(&request).await, "");

    bench.order(json!({ "on": "api", "kind": "truncate", "times": 1 })).await;
    let truncated = bench.raw(&request).await;
    let (head, sent) = truncated.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len() + 100)), "{head}");
    assert_eq!(sent, body);

    bench.order(json!({ "on": "api", "kind": "eof_body", "times": 1 })).await;
    let unframed = bench.raw(&request.replace("Connection: close\r\n", "")).await;
    let (head, sent) = unframed.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    assert_eq!(sent, body);

    bench.order(json!({ "on": "api", "kind": "truncate", "body": "{\"a\":", "times": 1 })).await;
    assert!(bench.raw(&request).await.ends_with("\r\n\r\n{\"a\":"));
}

#[tokio::test]
async fn that_make_no_sense_are_refused() {
    let bench = Bench::start().await;
    for fault in [
        json!({ "on": "api", "kind": "status" }),
        json!({ "on": "api", "kind": "status", "status": 99 }),
        json!({ "on": "api", "kind": "delay" }),
        json!({ "on": "api", "kind": "close", "delay_ms": 5 }),
        json!({ "on": "api", "kind": "body" }),
        json!({ "on": "api", "kind": "close", "times": 0 }),
        json!({ "on": "api", "kind": "explode" }),
        json!({ "on": "rest", "kind": "close" }),
        json!({ "on": "api", "kind": "close", "header": {} }),
        json!({ "on": "api", "kind": "close", "headers": { "a b": "c" } }),
    ] {
        assert_eq!(bench.ask_admin(Method::POST, "/faults", fault.clone()).await.0, 400, "{fault}");
    }
    assert_eq!(left(&bench).await, json!([]));
}
