use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::{Bench, WORKSPACE, with};

const ME: &str = "/api/2.0/preview/scim/v2/Me";

#[tokio::test]
async fn knows_who_asks() {
    let bench = Bench::start().await;
    let token = bench.exchanged(&bench.exchange_form()).await;
    let (status, me) = bench.get(ME, &token).await;
    assert_eq!((status, me["userName"].as_str()), (200, Some("alice@example.com")));
    assert_eq!(me["groups"].as_array().unwrap().len(), 2);
    let bearer = format!("Bearer {token}");
    let answer = bench.answer(Method::GET, ME, &[("authorization", &bearer)], String::new()).await.unwrap();
    assert_eq!(answer.headers()["x-databricks-org-id"], WORKSPACE);
    assert_eq!(answer.headers()["server"], "databricks");
    assert_eq!(answer.headers()["x-request-id"].len(), 36);
}

#[tokio::test]
async fn refuses_requests_without_a_credential() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    let bearer = format!("Bearer {token}");
    assert_eq!(bench.send(Method::GET, ME, &[("authorization", &bearer)], String::new()).await.0, 200);
    let lower = format!("bearer {token}");
    assert_eq!(bench.send(Method::GET, ME, &[("authorization", &lower)], String::new()).await.0, 200);
    let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    let cases: [&[(&str, &str)]; 4] =
        [&[], &[("authorization", "Basic c3AtYWxsOnMzY3JldA==")], &[("authorization", "Bearer ")], &twice];
    for headers in cases {
        let answer = bench.answer(Method::GET, ME, headers, String::new()).await.unwrap();
        assert_eq!(answer.status(), 401, "{headers:?}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"DatabricksRealm\"");
        let why = "Credential was not sent or was of an unsupported type for this API.";
        assert_eq!(answer.headers()["x-databricks-reason-phrase"], why);
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body, json!({ "error_code": 401, "message": format!("{why} [ReqId: {id}]") }));
    }
}

#[tokio::test]
async fn refuses_tokens_that_it_did_not_mint() {
    let bench = Bench::start().await;
    let foreign = bench.idp.sign(&bench.idp.claims());
    let own = bench.access_token("all-apis").await;
    let other = Bench::start().await.access_token("all-apis").await;
    for token in [foreign.as_str(), "dapi0123456789abcdef", &other, &format!("{own}x")] {
        let (status, body) = bench.get(ME, token).await;
        assert_eq!(status, 403);
        assert_eq!(body, json!({ "error_code": 403, "message": "Invalid access token." }));
    }
    assert_eq!(bench.get(ME, &own).await.0, 200);
}

#[tokio::test]
async fn refuses_expired_and_revoked_tokens() {
    let bench = Bench::start().await;
    let mut claims = bench.idp.claims();
    claims["exp"] = json!(crate::idp::now() + 2);
    let short = bench.exchanged(&bench.exchange_form_of(&claims)).await;
    let alices = bench.exchanged(&bench.exchange_form()).await;
    let robots = bench.access_token("all-apis").await;
    assert_eq!(bench.get(ME, &short).await.0, 200);
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let (status, body) = bench.get(ME, &short).await;
    assert_eq!((status, &body["error_code"]), (403, &json!(403)));

    let revoke = async |what: Value| bench.ask_admin(Method::POST, "/tokens/revoke", what).await;
    let principal = json!({ "principal": "alice@example.com" });
    assert_eq!(revoke(principal).await, (200, json!({ "revoked": 2 })));
    let (status, body) = bench.get(ME, &alices).await;
    assert_eq!((status, &body["error_code"]), (401, &json!(401)));
    assert_eq!(bench.get(ME, &robots).await.0, 200);
    let renewed = bench.exchanged(&bench.exchange_form()).await;
    assert_eq!(bench.get(ME, &renewed).await.0, 200);
    assert_eq!(revoke(json!({ "all": true })).await, (200, json!({ "revoked": 2 })));
    assert_eq!(bench.get(ME, &robots).await.0, 401);
    for nonsense in [json!({}), json!({ "all": false }), json!({ "all": true, "principal": "x" }), json!([])] {
        assert_eq!(revoke(nonsense).await.0, 400);
    }
}

#[tokio::test]
async fn keeps_tokens_to_their_scopes() {
    let bench = Bench::start().await;
    let paths = [
        ("/api/2.1/jobs/list", "jobs"),
        ("/api/2.0/clusters/list", "clusters"),
        ("/api/2.0/sql/warehouses", "sql"),
        ("/api/2.1/unity-catalog/catalogs", "unity-catalog"),
        ("/api/2.0/workspace/list?path=/", "workspace"),
    ];
    let all = bench.access_token("all-apis").await;
    for (path, scope) in paths {
        let right = bench.access_token(scope).await;
        assert_eq!(bench.get(path, &right).await.0, 200, "{path}");
        assert_eq!(bench.get(path, &all).await.0, 200, "{path}");
        assert_eq!(bench.get(ME, &right).await.0, 200, "{path}");
        let wrong = bench.access_token("secrets genie").await;
        let (status, body) = bench.get(path, &wrong).await;
        let message = format!("Provided OAuth token does not have required scopes: {scope}");
        assert_eq!((status, body["message"].as_str()), (403, Some(message.as_str())));
    }
}

#[tokio::test]
async fn keeps_principals_to_their_permissions() {
    let bench = Bench::start().await;
    let alice = bench.exchanged(&bench.exchange_form()).await;
    let as_group = bench.exchanged(&with(bench.exchange_form(), "assume_group", Some("777"))).await;
    let run = async |token: &str, job: u64| bench.post("/api/2.2/jobs/run-now", token, json!({ "job_id": job })).await;
    let (status, body) = run(&alice, 101).await;
    assert_eq!(status, 200, "{body}");
    let run_id = body["run_id"].as_u64().unwrap();
    assert_ne!(run(&alice, 101).await.1["run_id"], run_id, "a run of its own each time");
    assert_eq!(run(&alice, 303).await.1["error_code"], "PERMISSION_DENIED");
    assert_eq!(run(&as_group, 303).await.0, 200);
    assert_eq!(run(&as_group, 101).await.0, 403);

    let (_, listed) = bench.get("/api/2.1/jobs/list", &alice).await;
    let ids: Vec<&Value> = listed["jobs"].as_array().unwrap().iter().map(|job| &job["job_id"]).collect();
    assert_eq!(ids, [101, 202]);
    assert_eq!(bench.get("/api/2.1/jobs/get?job_id=202", &alice).await.0, 200);
    assert_eq!(bench.get("/api/2.1/jobs/get?job_id=303", &alice).await.0, 403);
    let path = format!("/api/2.1/jobs/runs/get?run_id={run_id}");
    let (_, seen) = bench.get(&path, &alice).await;
    assert_eq!((&seen["job_id"], &seen["status"]["state"]), (&json!(101), &json!("TERMINATED")));
    assert_eq!(bench.get(&path, &as_group).await.0, 403);
    let cancel = json!({ "run_id": run_id });
    assert_eq!(bench.post("/api/2.1/jobs/runs/cancel", &alice, cancel.clone()).await.0, 200);
    assert_eq!(bench.post("/api/2.1/jobs/runs/cancel", &as_group, cancel).await.0, 403);
}

#[tokio::test]
async fn refuses_parameters_that_are_missing_repeated_or_malformed() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    assert_eq!(bench.get("/api/2.1/jobs/get?job_id=1", &token).await.0, 200);
    for query in ["", "?job_id=", "?job_id=1&job_id=2", "?job_id=1&job%5fid=2", "?job_id=%zz"] {
        let (status, body) = bench.get(&format!("/api/2.1/jobs/get{query}"), &token).await;
        assert_eq!((status, body["error_code"].as_str()), (400, Some("INVALID_PARAMETER_VALUE")), "{query}");
    }
    for good in [json!({ "job_id": 5 }), json!({ "job_id": "5" })] {
        assert_eq!(bench.post("/api/2.1/jobs/run-now", &token, good).await.0, 200);
    }
    for bad in [json!([]), json!({}), json!({ "job_id": null }), json!({ "job_id": -1 }), json!({ "job_id": [1] })] {
        assert_eq!(bench.post("/api/2.1/jobs/run-now", &token, bad.clone()).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn answers_only_for_its_own_workspace() {
    let bench = Bench::start().await;
    let bearer = format!("Bearer {}", bench.access_token("all-apis").await);
    for (name, value, status) in [
        ("x-databricks-org-id", WORKSPACE, 200),
        ("x-databricks-org-id", "1", 400),
        ("x-databricks-workspace-id", WORKSPACE, 200),
        ("x-databricks-workspace-id", "1", 400),
    ] {
        let headers = [("authorization", bearer.as_str()), (name, value)];
        assert_eq!(bench.send(Method::GET, ME, &headers, String::new()).await.0, status, "{name}: {value}");
    }
    for (query, status) in [(format!("?o={WORKSPACE}"), 200), ("?o=1".into(), 400), ("?w=1".into(), 400)] {
        let headers = [("authorization", bearer.as_str())];
        assert_eq!(bench.send(Method::GET, &format!("{ME}{query}"), &headers, String::new()).await.0, status);
    }
}

#[tokio::test]
async fn answers_404_for_what_it_does_not_have() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    for (method, path) in [
        (Method::GET, "/api/2.0/secrets/list"),
        (Method::GET, "/api/9.9/jobs/list"),
        (Method::DELETE, "/api/2.1/jobs/list"),
        (Method::GET, "/api/2.1/jobs/list/"),
        (Method::GET, "/api/2.1/%6Aobs/list"),
        (Method::GET, "/sql/1.0/nothing"),
        (Method::GET, "/login.html"),
    ] {
        let headers = [("authorization", &*format!("Bearer {token}"))];
        let (status, body) = bench.send(method.clone(), path, &headers, String::new()).await;
        let message = format!("No API found for '{method} {path}'");
        assert_eq!((status, &body), (404, &json!({ "error_code": "ENDPOINT_NOT_FOUND", "message": message })));
    }
    assert_eq!(bench.send(Method::DELETE, "/api/2.1/jobs/list", &[], String::new()).await.0, 401);
}

#[tokio::test]
async fn has_the_other_resources() {
    let bench = Bench::start().await;
    let token = bench.access_token("all-apis").await;
    let cluster = bench.get("/api/2.1/clusters/get?cluster_id=c-1", &token).await.1;
    assert_eq!(cluster["cluster_id"], "c-1");
    let started = bench.post("/api/2.0/clusters/start", &token, json!({ "cluster_id": "c-1" })).await;
    assert_eq!(started, (200, json!({})));
    assert_eq!(bench.get("/api/2.0/sql/warehouses/w-1", &token).await.1["id"], "w-1");
    let created = bench.post("/api/2.0/token/create", &token, json!({ "comment": "x" })).await.1;
    let pat = created["token_value"].as_str().unwrap();
    assert!(pat.starts_with("dapi"));
    assert_eq!(bench.get(ME, pat).await.0, 403);
}

#[tokio::test]
async fn runs_statements_in_sessions_of_their_owner() {
    let bench = Bench::start().await;
    let alice = bench.exchanged(&bench.exchange_form()).await;
    let robot = bench.access_token("sql").await;
    let open = json!({ "warehouse_id": "w-1" });
    let session = bench.post("/api/2.0/sql/sessions", &alice, open).await.1["session_id"].clone();
    let run = async |token: &str, extra: Value| {
        let mut body = json!({ "warehouse_id": "w-1", "session_id": session, "statement": "SELECT current_user()" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        bench.post("/api/2.0/sql/statements", token, body).await
    };
    let (status, answer) = run(&alice, json!({})).await;
    assert_eq!((status, &answer["status"]["state"]), (200, &json!("SUCCEEDED")));
    assert_eq!(answer["result"]["data_array"], json!([["alice@example.com"]]));
    let path = format!("/api/2.0/sql/statements/{}", answer["statement_id"].as_str().unwrap());
    assert_eq!(bench.get(&path, &alice).await.0, 200);
    assert_eq!(bench.get(&path, &robot).await.0, 404);

    assert_eq!(run(&robot, json!({})).await.0, 404);
    assert_eq!(run(&robot, json!({ "session_id": null })).await.0, 200);
    assert_eq!(run(&alice, json!({ "warehouse_id": "w-2" })).await.0, 404);
    assert_eq!(run(&alice, json!({ "disposition": "EXTERNAL_LINKS" })).await.0, 400);
    assert_eq!(run(&alice, json!({ "statement": null })).await.0, 400);

    let delete = async |token: &str| {
        let path = format!("/api/2.0/sql/sessions/{}", session.as_str().unwrap());
        let bearer = format!("Bearer {token}");
        bench.send(Method::DELETE, &path, &[("authorization", &bearer)], String::new()).await.0
    };
    assert_eq!([delete(&robot).await, delete(&alice).await, delete(&alice).await], [404, 200, 404]);
}

#[tokio::test]
async fn runs_statements_below_sessions_below_their_warehouse() {
    let bench = Bench::start().await;
    let alice = bench.exchanged(&bench.exchange_form()).await;
    let robot = bench.access_token("sql").await;
    let sessions = "/api/2.0/sql/warehouses/w-1/sessions";
    let session = bench.post(sessions, &alice, json!({ "catalog": "main" })).await.1["session_id"].clone();
    let session = session.as_str().unwrap();
    let at = |warehouse: &str| format!("/api/2.0/sql/warehouses/{warehouse}/sessions/{session}");
    let run = async |token: &str, warehouse: &str| {
        let statement = json!({ "statement": "SELECT current_user()" });
        bench.post(&format!("{}/statements", at(warehouse)), token, statement).await
    };
    let (status, answer) = run(&alice, "w-1").await;
    assert_eq!((status, &answer["result"]["data_array"]), (200, &json!([["alice@example.com"]])));
    assert_eq!((run(&robot, "w-1").await.0, run(&alice, "w-2").await.0), (404, 404));
    let statement = format!("{}/statements/{}", at("w-1"), answer["statement_id"].as_str().unwrap());
    assert_eq!((bench.get(&statement, &alice).await.0, bench.get(&statement, &robot).await.0), (200, 404));
    assert_eq!(bench.post(&format!("{statement}/cancel"), &alice, json!({})).await.0, 200);
    let delete = async |path: &str| {
        let bearer = format!("Bearer {alice}");
        bench.send(Method::DELETE, path, &[("authorization", &bearer)], String::new()).await.0
    };
    assert_eq!([delete(&statement).await, delete(&statement).await], [200, 404]);
    assert_eq!([delete(&at("w-2")).await, delete(&at("w-1")).await, delete(&at("w-1")).await], [404, 200, 404]);
}

#[tokio::test]
async fn keeps_policies_of_clusters_for_who_made_them() {
    let bench = Bench::start().await;
    let alice = bench.exchanged(&bench.exchange_form()).await;
    let robot = bench.access_token("all-apis").await;
    let at = |verb: &str| format!("/api/2.0/policies/clusters/{verb}");
    let made = bench.post(&at("create"), &alice, json!({ "name": "small", "definition": "{}" })).await.1;
    let id = made["policy_id"].as_str().unwrap();
    let one = format!("{}?policy_id={id}", at("get"));
    let (status, shown) = bench.get(&one, &alice).await;
    assert_eq!((status, &shown["name"], &shown["policy_id"]), (200, &json!("small"), &json!(id)));
    assert_eq!(bench.get(&one, &robot).await.0, 404);
    let change = json!({ "policy_id": id, "name": "large" });
    assert_eq!(bench.post(&at("edit"), &robot, change.clone()).await.0, 404);
    assert_eq!(bench.post(&at("edit"), &alice, change).await.0, 200);
    assert_eq!(bench.get(&one, &alice).await.1["name"], "large");
    let delete = async |token: &str| bench.post(&at("delete"), token, json!({ "policy_id": id })).await.0;
    assert_eq!([delete(&robot).await, delete(&alice).await, delete(&alice).await], [404, 200, 404]);
}

#[tokio::test]
async fn tells_clients_where_its_token_endpoint_is() {
    let bench = Bench::start().await;
    let get = async |path: &str| bench.send(Method::GET, path, &[], String::new()).await.1;
    let config = get("/.well-known/databricks-config").await;
    assert_eq!(config["oidc_endpoint"], format!("{}/oidc", bench.url));
    assert_eq!(config["workspace_id"], WORKSPACE);
    let metadata = get("/oidc/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata["token_endpoint"], format!("{}/oidc/v1/token", bench.url));
    assert_eq!(get("/oidc/jwks.json").await["keys"][0]["kty"], "RSA");
    let through = bench.send(Method::GET, "/.well-known/databricks-config", &[("host", "gw.example")], String::new());
    assert_eq!(through.await.1["oidc_endpoint"], "https://gw.example/oidc");
}
