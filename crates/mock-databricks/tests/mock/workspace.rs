use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::Bench;

const TREE: &str = "/api/2.0/workspace";

async fn alice(bench: &Bench) -> String {
    bench.exchanged(&bench.exchange_form()).await
}

async fn put_file(bench: &Bench, token: &str, path: &str, content: &str, overwrite: bool) -> u16 {
    let target = format!("/api/2.0/workspace-files/import-file/{}?overwrite={overwrite}", path.replace('/', "%2F"));
    bench.send(Method::POST, &target, &[("authorization", &format!("Bearer {token}"))], content.into()).await.0
}

async fn paths(bench: &Bench, token: &str, folder: &str) -> Vec<String> {
    let (_, listed) = bench.get(&format!("{TREE}/list?path={folder}"), token).await;
    let objects = listed["objects"].as_array().cloned().unwrap_or_default();
    objects.iter().map(|object| format!("{} {}", object["object_type"], object["path"]).replace('"', "")).collect()
}

#[tokio::test]
async fn keeps_folders_notebooks_and_files() {
    let bench = Bench::start().await;
    let token = alice(&bench).await;
    let home = "/Workspace/Users/alice@example.com";
    assert_eq!(put_file(&bench, &token, &format!("{home}/a/x.txt"), "x", false).await, 404, "no such folder");
    assert_eq!(bench.post(&format!("{TREE}/mkdirs"), &token, json!({ "path": format!("{home}/a/b") })).await.0, 200);
    assert_eq!(put_file(&bench, &token, &format!("{home}/a/x.txt"), "x", false).await, 200);
    assert_eq!(put_file(&bench, &token, &format!("{home}/a/x.txt"), "y", false).await, 409, "it is there");
    assert_eq!(put_file(&bench, &token, &format!("{home}/a/x.txt"), "z", true).await, 200);
    let source = "# Databricks notebook source\n";
    assert_eq!(put_file(&bench, &token, &format!("{home}/a/n.py"), source, false).await, 200);
    let expected = ["b", "n", "x.txt"].map(|name| format!("{home}/a/{name}"));
    let listed = paths(&bench, &token, &format!("{home}/a")).await;
    assert_eq!(
        listed,
        [format!("DIRECTORY {}", expected[0]), format!("NOTEBOOK {}", expected[1]), format!("FILE {}", expected[2])]
    );
    let read = bench.get(&format!("{TREE}/export?path={home}/a/x.txt"), &token).await.1;
    assert_eq!(read["content"], "eg==");

    let delete = async |body: Value| bench.post(&format!("{TREE}/delete"), &token, body).await;
    let (status, body) = delete(json!({ "path": format!("{home}/a") })).await;
    assert_eq!((status, &body["error_code"]), (400, &json!("DIRECTORY_NOT_EMPTY")));
    assert_eq!(delete(json!({ "path": format!("{home}/a"), "recursive": true })).await.0, 200);
    assert_eq!(bench.get(&format!("{TREE}/get-status?path={home}/a/x.txt"), &token).await.0, 404);
    assert_eq!(bench.get(&format!("{TREE}/get-status?path={home}"), &token).await.0, 200);
}

#[tokio::test]
async fn imports_json_and_forms_alike() {
    let bench = Bench::start().await;
    let token = alice(&bench).await;
    let home = "/Users/alice@example.com";
    let import = json!({ "path": format!("{home}/one"), "language": "SQL", "content": "U0VMRUNUIDE=" });
    assert_eq!(bench.post(&format!("{TREE}/import"), &token, import).await.0, 200);

    let part =
        |name: &str, value: &str| format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let fields = [("path", format!("{home}/two.txt")), ("format", "RAW".into()), ("content", "two".into())];
    let form: String = fields.iter().map(|(name, value)| part(name, value)).collect();
    let headers =
        [("authorization", format!("Bearer {token}")), ("content-type", "multipart/form-data; boundary=x".to_owned())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let send = async |form: String| bench.send(Method::POST, &format!("{TREE}/import"), &headers, form).await;
    assert_eq!(send(format!("{form}--x--\r\n")).await.0, 200);
    assert_eq!(send(format!("{form}{}--x--\r\n", part("other", "1"))).await.0, 400);
    assert_eq!(paths(&bench, &token, home).await, [format!("NOTEBOOK {home}/one"), format!("FILE {home}/two.txt")]);
}

#[tokio::test]
async fn refuses_odd_paths() {
    let bench = Bench::start().await;
    let token = alice(&bench).await;
    for path in ["Users/x", "/Users/../x", "/Users//x", "/./x"] {
        assert_eq!(bench.get(&format!("{TREE}/get-status?path={path}"), &token).await.0, 400, "{path}");
    }
    assert_eq!(bench.get("/api/2.0/fs/directories/Users/x", &token).await.0, 400, "not in a volume");
    assert_eq!(bench.get("/api/2.0/fs/directories/Volumes/main/sales", &token).await.0, 400, "not in a volume");
    assert_eq!(bench.get("/api/2.0/fs/directories/Volumes/main/sales/landing", &token).await.0, 200);
}

#[tokio::test]
async fn keeps_created_jobs_to_whoever_created_them() {
    let bench = Bench::start().await;
    let (token, other) = (alice(&bench).await, bench.access_token("all-apis").await);
    let jobs =
        async |what: &str, token: &str, body: Value| bench.post(&format!("/api/2.2/jobs/{what}"), token, body).await;
    let settings = json!({ "name": "nightly", "tasks": [{ "task_key": "a" }] });
    assert_eq!(jobs("create", &token, settings).await, (200, json!({ "job_id": 7001 })));
    assert_eq!(jobs("run-now", &other, json!({ "job_id": 7001 })).await.0, 403);
    let run = jobs("run-now", &token, json!({ "job_id": 7001 })).await.1["run_id"].clone();
    let (_, seen) = bench.get(&format!("/api/2.2/jobs/runs/get?run_id={run}"), &token).await;
    assert_eq!((&seen["run_name"], &seen["tasks"][0]["task_key"]), (&json!("nightly"), &json!("a")));
    let new = json!({ "job_id": 7001, "new_settings": { "name": "weekly" } });
    assert_eq!(jobs("update", &token, new).await.0, 200);
    let (_, job) = bench.get("/api/2.2/jobs/get?job_id=7001", &token).await;
    assert_eq!((&job["settings"]["name"], job["settings"]["tasks"].is_array()), (&json!("weekly"), true));
    let new = json!({ "job_id": 7001, "new_settings": { "name": "monthly" } });
    assert_eq!(jobs("reset", &token, new).await.0, 200);
    let (_, job) = bench.get("/api/2.2/jobs/get?job_id=7001", &token).await;
    assert_eq!((&job["settings"]["name"], job["settings"]["tasks"].is_array()), (&json!("monthly"), false));
    assert_eq!(jobs("delete", &token, json!({ "job_id": 7001 })).await.0, 200);
    assert_eq!(jobs("delete", &token, json!({ "job_id": 7001 })).await.0, 404);
}
