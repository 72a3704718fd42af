use base64::Engine;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::{Bench, encode};

async fn requests(bench: &Bench) -> Vec<Value> {
    let (_, list) = bench.ask_admin(Method::GET, "/requests", Value::Null).await;
    list.as_array().unwrap().clone()
}

fn text(entry: &Value) -> String {
    let bytes = base64::engine::general_purpose::STANDARD.decode(entry["body_base64"].as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn keep_requests_as_they_came() {
    let bench = Bench::start().await;
    let token = bench.access_token("jobs").await;
    bench.ask_admin(Method::DELETE, "/requests", Value::Null).await;
    let request = format!(
        "POST /api/2.1/jobs/run-now?a=1&a=%2F HTTP/1.1\r\nHost: x\r\nX-Twice: one\r\nAUTHORIZATION: Bearer {token}\r\n\
         Content-Length: 12\r\nConnection: close\r\nx-twice: two\r\n\r\n{{\"job_id\":7}}"
    );
    assert!(bench.raw(&request).await.starts_with("HTTP/1.1 200"));
    let all = requests(&bench).await;
    let [entry] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&entry["n"], &entry["method"]), (&json!(2), &json!("POST")));
    assert_eq!(entry["target"], "/api/2.1/jobs/run-now?a=1&a=%2F");
    let headers = json!([
        ["Host", "x"],
        ["X-Twice", "one"],
        ["AUTHORIZATION", format!("Bearer {token}")],
        ["Content-Length", "12"],
        ["Connection", "close"],
        ["x-twice", "two"]
    ]);
    assert_eq!(entry["headers"], headers);
    assert_eq!((text(entry), &entry["status"]), ("{\"job_id\":7}".into(), &json!(200)));
    let (_, tokens) = bench.ask_admin(Method::GET, "/tokens", Value::Null).await;
    assert_eq!(tokens[0]["token"], token);
    let principal = json!({
        "kind": "service_principal",
        "name": "sp-all",
        "scope": "jobs",
        "assume_group": null,
        "token_sha256": tokens[0]["token_sha256"],
    });
    assert_eq!(entry["principal"], principal);
}

#[tokio::test]
async fn keep_token_requests_and_refusals_too() {
    let bench = Bench::start().await;
    let mut form = bench.exchange_form();
    form.push(("scope", "sql".into()));
    bench.token(&form).await;
    bench.get("/api/2.1/jobs/list", "foreign").await;
    bench.get("/nowhere", "foreign").await;
    bench.order(json!({ "on": "api", "kind": "close", "times": 1 })).await;
    let closed = bench.answer(Method::GET, "/api/2.1/jobs/list", &[], String::new()).await;
    assert!(closed.is_err());
    let all = requests(&bench).await;
    let seen: Vec<_> = all.iter().map(|entry| (entry["target"].as_str().unwrap(), &entry["status"])).collect();
    let (jobs, none) = ("/api/2.1/jobs/list", Value::Null);
    let expected = [("/oidc/v1/token", &json!(400)), (jobs, &json!(403)), ("/nowhere", &json!(404)), (jobs, &none)];
    assert_eq!(seen, expected);
    assert_eq!(text(&all[0]), encode(&form));
    assert!(all.iter().all(|entry| entry["principal"].is_null()));
}

#[tokio::test]
async fn keep_what_was_no_request() {
    let bench = Bench::start().await;
    let post = "POST /api/2.1/jobs/run-now HTTP/1.1\r\nHost: x\r\n";
    for bytes in [
        "nonsense\r\n\r\n".to_owned(),
        format!("{post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}"),
        format!("{post}Content-Length: +2\r\n\r\n{{}}"),
        format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
    ] {
        let answer = bench.raw(&bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bytes:?} {answer:?}");
    }
    let all = requests(&bench).await;
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|entry| entry["malformed"].is_string()));
    assert_eq!(text(&all[0]), "nonsense\r\n\r\n");
}

#[tokio::test]
async fn hold_chunked_bodies_and_several_requests_of_one_connection() {
    let bench = Bench::start().await;
    let token = bench.access_token("jobs").await;
    let post = format!("POST /api/2.1/jobs/run-now HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n");
    let first =
        format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"job\r\n7;x=y\r\n_id\":7}}\r\n0\r\nT: 1\r\n\r\n");
    let second = format!("{post}Content-Length: 12\r\nConnection: close\r\n\r\n{{\"job_id\":8}}");
    let answers = bench.raw(&format!("{first}{second}")).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2);
    let all = requests(&bench).await;
    assert_eq!([text(&all[1]), text(&all[2])], ["{\"job_id\":7}", "{\"job_id\":8}"]);
}
