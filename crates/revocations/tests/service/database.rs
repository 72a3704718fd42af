//! A database that fails while the service runs, one that two processes use, and the end of the service.

use crate::issuer::{DISABLED, Issuer};
use crate::postgres::Server;
use crate::running::{Running, binary, configuration, values};
use serde_json::json;
use std::time::{Duration, Instant};

async fn status_when(service: &Running, path: &str, wanted: u16, within: u64) {
    let deadline = Instant::now() + Duration::from_secs(within);
    while service.get(path).await.status() != wanted {
        assert!(Instant::now() < deadline, "{path} is not {wanted}: {}", service.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_takes_the_feed_with_it_and_one_that_comes_back_loses_nothing() {
    let Some(server) = Server::alone() else { return };
    let running = server.start();
    let issuer = Issuer::start().await;
    let service = Running::start_with(&configuration(&issuer, &server.database()));
    let token = |user: &str| issuer.sign_event(&issuer.event(DISABLED, issuer.iss_sub(user)));
    assert_eq!(service.push(&token("before")).await.0, 202);
    service.feed_when("before", |feed| values(feed, "subjects") == ["before"]).await;
    drop(running);
    let missed = token("meanwhile");
    assert_eq!(service.push(&missed).await.0, 503);
    // a feed that may lack revocations must not look fresh to gateways
    status_when(&service, "/feed/idp", 503, 20).await;
    status_when(&service, "/healthz", 503, 1).await;
    let _running = server.start();
    status_when(&service, "/feed/idp", 200, 20).await;
    assert_eq!(service.push(&missed).await.0, 202);
    service.feed_when("both", |feed| values(feed, "subjects") == ["before", "meanwhile"]).await;
    assert!(service.metric("databricks_kong_revocations_database_failures_total").await.unwrap() >= 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_instances_share_a_database_and_serve_the_same() {
    let Some(server) = crate::postgres::server() else { return };
    let issuer = Issuer::start().await;
    let config = configuration(&issuer, &server.database());
    let (one, other) = (Running::start_with(&config), Running::start_with(&config));
    let token = issuer.sign_event(&issuer.event(DISABLED, issuer.iss_sub("anna")));
    // both get it, one does it
    let pushes = tokio::join!(one.push(&token), other.push(&token));
    assert_eq!((pushes.0.0, pushes.1.0), (202, 202));
    for service in [&one, &other] {
        service.feed_when("anna", |feed| values(feed, "subjects") == ["anna"]).await;
    }
    let tag = |answer: reqwest::Response| answer.headers()["etag"].clone();
    assert_eq!(tag(one.get("/feed/idp").await), tag(other.get("/feed/idp").await));
    let metric = |outcome| {
        format!(
            r#"databricks_kong_revocations_events_total{{source="events",outcome="{outcome}",detail="account-disabled"}}"#
        )
    };
    for outcome in ["kept", "known"] {
        let counts = [one.metric(&metric(outcome)).await, other.metric(&metric(outcome)).await];
        assert_eq!(counts.iter().flatten().sum::<f64>(), 1.0, "{outcome}");
    }
}

#[tokio::test]
async fn the_command_beside_the_service_changes_its_feed() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let run = |arguments: &[&str]| {
        let mut command = binary();
        command.args(arguments).arg("--config").arg(service.folder.join("revocations.yml")).env("TEST_ADMIN", "x");
        command.output().unwrap()
    };
    let added = run(&["add", "--provider", "idp", "subject", "mallory", "--note", "INC-7"]);
    assert!(added.status.success(), "{added:?}");
    service.feed_when("mallory", |feed| values(feed, "subjects") == ["mallory"]).await;
    let listed = String::from_utf8(run(&["list"]).stdout).unwrap();
    assert!(listed.starts_with("PROVIDER") && listed.contains("mallory") && listed.contains("INC-7"), "{listed}");
    let as_json = run(&["list", "--format", "json"]).stdout;
    let as_json: serde_json::Value = serde_json::from_slice(&as_json).unwrap();
    assert_eq!(as_json["revocations"][0]["value"], "mallory");
    assert!(run(&["remove", "--provider", "idp", "subject", "MALLORY"]).status.success());
    service.feed_when("nobody", |feed| values(feed, "subjects").is_empty()).await;
    let again = run(&["remove", "--provider", "idp", "subject", "mallory"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is no such entry"));
}

#[tokio::test]
async fn a_signal_ends_it_cleanly_and_the_next_start_has_everything() {
    let issuer = Issuer::start().await;
    let service = Running::start(&issuer);
    let folder = service.folder.clone();
    let token = issuer.sign_event(&issuer.event(DISABLED, issuer.iss_sub("anna")));
    assert_eq!(service.push(&token).await.0, 202);
    let (code, log) = service.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(r#""message":"ended""#), "{log}");
    assert!(!folder.join("revocations.db-wal").exists(), "the database was closed");
    let service = Running::start_in(folder, &configuration(&issuer, "revocations.db"));
    assert_eq!(service.feed().await["subjects"], json!(["anna"]));
}
