use super::*;
use crate::minting::Kind;

const PLACE: &str = "warehouse w-1";

fn world() -> World {
    let state = serde_json::json!({ "workspace_id": "1", "account_id": "a", "host": "h" });
    World::new(serde_json::from_value(state).unwrap(), "http://127.0.0.1:1".into()).unwrap()
}

fn holder(name: &str) -> Holder {
    Holder { kind: Kind::User, name: name.into(), scope: "sql".into(), assume_group: None }
}

fn call(name: &str, fields: Vec<(i16, Value)>) -> Vec<u8> {
    let body = Value::Struct(vec![(1, Value::Struct(fields))]);
    Message { kind: MessageType::Call, name: name.into(), sequence: 3, body }.write()
}

async fn send(world: &World, caller: &str, place: &str, bytes: &[u8]) -> Message {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, THRIFT);
    let answer = answer(world, &holder(caller), place, &headers, bytes).unwrap();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    Message::read(&body).unwrap()
}

/// What the method returned, and the status code in it.
async fn ask(world: &World, caller: &str, name: &str, fields: Vec<(i16, Value)>) -> (Value, i32) {
    let message = send(world, caller, PLACE, &call(name, fields)).await;
    assert_eq!((message.kind, message.name.as_str(), message.sequence), (MessageType::Reply, name, 3));
    let returned = message.body.field(0).unwrap().clone();
    let Some(Value::I32(status)) = returned.field(1).unwrap().field(1) else { panic!("{returned:?}") };
    let status = *status;
    (returned, status)
}

async fn session(world: &World) -> Value {
    let (opened, status) = ask(world, "alice", "OpenSession", vec![]).await;
    assert_eq!(status, 0);
    opened.field(3).unwrap().clone()
}

fn statement(session: &Value, text: &str) -> Vec<(i16, Value)> {
    vec![(1, session.clone()), (2, Value::text(text))]
}

/// The text in the one cell of a TFetchResultsResp.
fn cell(fetched: &Value) -> &str {
    let Value::List(columns) = fetched.field(3).unwrap().field(3).unwrap() else { panic!() };
    let Value::List(values) = columns[0].field(7).unwrap().field(1).unwrap() else { panic!() };
    values[0].str().unwrap()
}

#[tokio::test]
async fn direct_results_hold_everything_and_close_the_operation() {
    let world = world();
    let mut request = statement(&session(&world).await, "SELECT current_user()");
    request.push((1281, Value::Struct(vec![(1, Value::I64(100))])));
    let (executed, status) = ask(&world, "alice", "ExecuteStatement", request).await;
    assert_eq!(status, 0);
    let direct = executed.field(1281).unwrap();
    assert_eq!(cell(direct.field(3).unwrap()), "alice");
    let operation = vec![(1, executed.field(2).unwrap().clone())];
    assert_eq!(ask(&world, "alice", "FetchResults", operation).await.1, 4);
}

#[tokio::test]
async fn results_can_be_fetched_until_the_operation_is_closed() {
    let world = world();
    let request = statement(&session(&world).await, "SELECT current_user()");
    let (executed, _) = ask(&world, "alice", "ExecuteStatement", request).await;
    assert!(executed.field(1281).is_none());
    let operation = vec![(1, executed.field(2).unwrap().clone())];
    for method in ["GetOperationStatus", "GetResultSetMetadata"] {
        assert_eq!(ask(&world, "alice", method, operation.clone()).await.1, 0);
    }
    let (fetched, _) = ask(&world, "alice", "FetchResults", operation.clone()).await;
    assert_eq!(cell(&fetched), "alice");
    assert_eq!(ask(&world, "mallory", "FetchResults", operation.clone()).await.1, 4);
    assert_eq!(ask(&world, "alice", "CloseOperation", operation.clone()).await.1, 0);
    assert_eq!(ask(&world, "alice", "FetchResults", operation).await.1, 4);
}

#[tokio::test]
async fn sessions_are_of_one_principal_at_one_place() {
    let world = world();
    let session = session(&world).await;
    let request = statement(&session, "SELECT 1");
    assert_eq!(ask(&world, "alice", "ExecuteStatement", request.clone()).await.1, 0);
    assert_eq!(ask(&world, "mallory", "ExecuteStatement", request.clone()).await.1, 4);
    let elsewhere = send(&world, "alice", "warehouse w-2", &call("ExecuteStatement", request.clone())).await;
    assert_eq!(elsewhere.body.field(0).unwrap().field(1).unwrap().field(1), Some(&Value::I32(4)));

    let guid = session.field(1).unwrap().field(1).unwrap().clone();
    let guessed = Value::Struct(vec![(1, Value::Struct(vec![(1, guid), (2, Value::Binary(vec![0; 16]))]))]);
    assert_eq!(ask(&world, "alice", "ExecuteStatement", statement(&guessed, "SELECT 1")).await.1, 4);

    let handle = vec![(1, session)];
    assert_eq!(ask(&world, "mallory", "CloseSession", handle.clone()).await.1, 4);
    assert_eq!(ask(&world, "alice", "CloseSession", handle).await.1, 0);
    assert_eq!(ask(&world, "alice", "ExecuteStatement", request).await.1, 4);
}

#[tokio::test]
async fn what_is_not_here_is_an_error_of_its_kind() {
    let world = world();
    let (tables, status) = ask(&world, "alice", "GetTables", vec![]).await;
    assert_eq!((status, tables.field(1).unwrap().field(3).unwrap().str()), (3, Some("0A000")));
    let unknown = send(&world, "alice", PLACE, &call("Nonsense", vec![])).await;
    assert_eq!(unknown.kind, MessageType::Exception);
    assert_eq!(unknown.body.field(2), Some(&Value::I32(1)));
}

#[tokio::test]
async fn refuses_bodies_and_types_that_are_not_thrift() {
    let world = world();
    let good = call("OpenSession", vec![]);
    let with = |kind: Option<&'static str>, body: &[u8]| {
        let mut headers = HeaderMap::new();
        kind.map(|kind| headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind)));
        answer(&world, &holder("alice"), PLACE, &headers, body).is_ok()
    };
    assert!(with(Some("application/x-thrift"), &good));
    assert!(!with(Some("application/json"), &good));
    assert!(!with(None, &good));
    assert!(!with(Some("application/x-thrift"), b"{}"));
    assert!(!with(Some("application/x-thrift"), &good[..good.len() - 1]));
    let reply = Message { kind: MessageType::Reply, name: "OpenSession".into(), sequence: 1, body: messages::done() };
    assert!(!with(Some("application/x-thrift"), &reply.write()));
}
