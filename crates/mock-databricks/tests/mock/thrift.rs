use reqwest::Method;
use serde_json::json;

use crate::bench::{Bench, WORKSPACE};

/// An OpenSession of databricks-sql-connector 4.9.0, as this mock recorded it.
const OPEN_SESSION: &[u8] = b"\x80\x01\x00\x01\x00\x00\x00\x0bOpenSession\x00\x00\x00\x00\x0c\x00\x01\x0d\x00\x04\x0b\
    \x0b\x00\x00\x00\x01\x00\x00\x005spark.thriftserver.arrowBasedRowSet.timestampAsString\x00\x00\x00\x05false\
    \x0a\x05\x02\x00\x00\x00\x00\x00\x00\xa5\x07\x02\x05\x05\x01\x00\x00";

const WAREHOUSE: &str = "/sql/1.0/warehouses/w-1";

/// The status, the message for the client, and the beginning of the body.
async fn open(bench: &Bench, path: &str, token: &str, kind: &str) -> (u16, String, Vec<u8>) {
    let headers = [("authorization", &*format!("Bearer {token}")), ("content-type", kind)];
    let answer = bench.answer(Method::POST, path, &headers, OPEN_SESSION).await.unwrap();
    let shown = answer.headers().get("x-thriftserver-error-message");
    let shown = shown.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), shown, answer.bytes().await.unwrap().get(..19).unwrap().to_vec())
}

#[tokio::test]
async fn opens_sessions_for_tokens_that_may() {
    let bench = Bench::start().await;
    let reply: &[u8] = b"\x80\x01\x00\x02\x00\x00\x00\x0bOpenSession";
    let (sql, jobs) = (bench.access_token("sql").await, bench.access_token("jobs").await);
    let cluster = format!("/sql/protocolv1/o/{WORKSPACE}/c-1");
    for path in [WAREHOUSE, "/sql/1.0/endpoints/w-1", &cluster, "/sql/protocolv1/o/0/c-1"] {
        let (status, _, body) = open(&bench, path, &sql, "application/x-thrift").await;
        assert_eq!((status, body.as_slice()), (200, reply), "{path}");
        assert_eq!(open(&bench, path, &jobs, "application/x-thrift").await.0, 403, "{path}");
        assert_eq!(open(&bench, path, "foreign", "application/x-thrift").await.0, 403, "{path}");
    }
    let elsewhere = open(&bench, "/sql/protocolv1/o/1/c-1", &sql, "application/x-thrift").await;
    assert_eq!((elsewhere.0, elsewhere.1.as_str()), (400, "The path names another workspace."));
    let json = open(&bench, WAREHOUSE, &sql, "application/json").await;
    assert_eq!((json.0, json.1.as_str()), (400, "Content-Type must be application/x-thrift."));
}

#[tokio::test]
async fn keeps_to_permissions_and_says_so_where_clients_look() {
    let bench = Bench::start().await;
    let permissions = json!({ "warehouses": ["w-1"] });
    let patch = json!({ "users": { "alice@example.com": { "permissions": permissions } } });
    assert_eq!(bench.ask_admin(Method::PATCH, "/state", patch).await.0, 200);
    let token = bench.exchanged(&bench.exchange_form()).await;
    assert_eq!(open(&bench, WAREHOUSE, &token, "application/x-thrift").await.0, 200);
    let (status, shown, _) = open(&bench, "/sql/1.0/warehouses/w-2", &token, "application/x-thrift").await;
    assert_eq!((status, shown.as_str()), (403, "alice@example.com does not have permission on warehouses: w-2."));
}
