use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::{Bench, refused, state};

#[tokio::test]
async fn a_new_one_forgets_everything() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    bench.order(json!({ "on": "token", "kind": "close" })).await;
    let put = bench.ask_admin(Method::PUT, "/state", state(&bench.idp)).await;
    assert_eq!(put, (200, json!({})));
    for path in ["/tokens", "/requests", "/faults"] {
        assert_eq!(bench.ask_admin(Method::GET, path, Value::Null).await.1, json!([]), "{path}");
    }
    assert_eq!(bench.get("/api/2.1/jobs/list", &token).await.0, 403);
    bench.access_token("all-apis").await;
}

#[tokio::test]
async fn a_patch_changes_its_keys_only() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    let patch = json!({ "users": {}, "resources": { "jobs": ["5"] }, "token_lifetime": 60 });
    assert_eq!(bench.ask_admin(Method::PATCH, "/state", patch).await.0, 200);
    refused(&bench.token(&bench.exchange_form()).await, 401, "invalid_grant", "no user");
    assert_eq!(bench.get("/api/2.1/jobs/get?job_id=5", &token).await.0, 200);
    let (status, body) = bench.get("/api/2.1/jobs/get?job_id=6", &token).await;
    assert_eq!((status, body["error_code"].as_str()), (404, Some("RESOURCE_DOES_NOT_EXIST")));
    bench.access_token("all-apis").await;
    let (_, tokens) = bench.ask_admin(Method::GET, "/tokens", Value::Null).await;
    let lifetime = |token: &Value| token["expires_at"].as_u64().unwrap() - token["issued_at"].as_u64().unwrap();
    assert_eq!([lifetime(&tokens[0]), lifetime(&tokens[1])], [3600, 60]);
}

#[tokio::test]
async fn users_are_added_to_those_that_there_are() {
    let bench = Bench::start().await;
    let before = bench.ask_admin(Method::GET, "/state", Value::Null).await.1;
    let users = json!({ "bob@example.com": { "permissions": { "jobs": ["7"] } } });
    assert_eq!(bench.ask_admin(Method::POST, "/users", users.clone()).await, (200, json!({})));
    let mut after = bench.ask_admin(Method::GET, "/state", Value::Null).await.1;
    let bob = after["users"].as_object_mut().unwrap().remove("bob@example.com").unwrap();
    assert_eq!((&bob["permissions"], after), (&users["bob@example.com"]["permissions"], before));
    assert_eq!(bench.ask_admin(Method::POST, "/users", json!({ "bob": 7 })).await.0, 400);
    bench.access_token("all-apis").await;
}

#[tokio::test]
async fn one_that_makes_no_sense_is_refused_and_changes_nothing() {
    let bench = Bench::start().await;
    let subject = json!([{ "issuer": "x", "subject": "y" }]);
    for patch in [
        json!([]),
        json!({ "user": {} }),
        json!({ "workspace_id": "abc" }),
        json!({ "account_policies": subject }),
        json!({ "service_principals": { "a": { "policies": [{ "issuer": "x" }] } } }),
        json!({ "service_principals": { "a": { "scopes": ["everything"] } } }),
    ] {
        assert_eq!(bench.ask_admin(Method::PATCH, "/state", patch.clone()).await.0, 400, "{patch}");
    }
    assert_eq!(bench.ask_admin(Method::PUT, "/state", json!({})).await.0, 400);
    bench.access_token("all-apis").await;
}
