//! SQL by Thrift over HTTP, as databricks-sql-connector and the JDBC driver speak it.

mod binary;
mod messages;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};

use crate::bearer::Caller;
use crate::minting::Holder;
use crate::refusal::Refusal;
use crate::rest::check_id;
use crate::world::World;
use binary::{Message, MessageType, Value};

const THRIFT: HeaderValue = HeaderValue::from_static("application/x-thrift");
/// What clients show of a refusal: they do not read its body.
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-thriftserver-error-message");

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sql/1.0/warehouses/{id}", post(warehouse))
        .route("/sql/1.0/endpoints/{id}", post(warehouse))
        .route("/sql/protocolv1/o/{org}/{cluster}", post(cluster))
}

async fn warehouse(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shown(check_id(&world.workspace(), &caller, "warehouses", &id).and_then(|()| {
        let place = format!("warehouse {id}");
        answer(&world, &caller.0, &place, &headers, &body)
    }))
}

async fn cluster(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path((org, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let workspace = world.workspace();
    if org != workspace.workspace_id && org != "0" {
        return shown(Err(Refusal::invalid_parameter("The path names another workspace.")));
    }
    shown(check_id(&workspace, &caller, "clusters", &id).and_then(|()| {
        let place = format!("cluster {id}");
        answer(&world, &caller.0, &place, &headers, &body)
    }))
}

/// A refusal says what it says in the header too.
fn shown(outcome: Result<Response, Refusal>) -> Response {
    outcome.unwrap_or_else(|refusal| {
        let message = HeaderValue::try_from(refusal.message());
        let mut response = refusal.into_response();
        if let Ok(message) = message {
            response.headers_mut().insert(ERROR_MESSAGE, message);
        }
        response
    })
}

fn answer(world: &World, caller: &Holder, place: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response, Refusal> {
    if headers.get(header::CONTENT_TYPE) != Some(&THRIFT) {
        return Err(Refusal::malformed("Content-Type must be application/x-thrift."));
    }
    let call = Message::read(body).filter(|message| message.kind == MessageType::Call);
    let call = call.ok_or_else(|| Refusal::malformed("The body is not one Thrift call."))?;
    let request = call.body.field(1);
    let request = request.ok_or_else(|| Refusal::malformed("The Thrift call has no request."))?;
    let (kind, body) = match reply(world, caller, place, &call.name, request) {
        // field 0 of a result is what the method returned
        Some(reply) => (MessageType::Reply, Value::Struct(vec![(0, reply)])),
        None => (MessageType::Exception, messages::unknown_method(&call.name)),
    };
    let message = Message { kind, name: call.name, sequence: call.sequence, body };
    Ok(([(header::CONTENT_TYPE, THRIFT)], message.write()).into_response())
}

/// What a method of TCLIService returns; None if there is no such method.
fn reply(world: &World, caller: &Holder, place: &str, method: &str, request: &Value) -> Option<Value> {
    Some(match method {
        "OpenSession" => messages::session_opened(&world.sql.open_session(caller, place), request.field(1284)),
        "CloseSession" => {
            let id = request.field(1).and_then(messages::handle_id);
            let closed = id.is_some_and(|id| world.sql.close_session(&id, caller));
            if closed { messages::done() } else { messages::invalid_handle("session") }
        }
        "ExecuteStatement" => execute(world, caller, place, request),
        "GetOperationStatus" | "GetResultSetMetadata" | "FetchResults" | "CancelOperation" | "CloseOperation" => {
            on_operation(world, caller, method, request)
        }
        other if other.starts_with("Get") || other.ends_with("DelegationToken") => messages::unsupported(other),
        _ => return None,
    })
}

fn execute(world: &World, caller: &Holder, place: &str, request: &Value) -> Value {
    let session = request.field(1).and_then(messages::handle_id);
    if !session.is_some_and(|id| world.sql.has_session(&id, caller, place)) {
        return messages::invalid_handle("session");
    }
    let statement = request.field(2).and_then(Value::str).unwrap_or_default();
    let (id, rows) = world.sql.run(statement, caller);
    if request.field(1281).is_none() {
        return messages::executed(&id, None);
    }
    world.sql.close_statement(&id, caller);
    messages::executed(&id, Some(&rows))
}

fn on_operation(world: &World, caller: &Holder, method: &str, request: &Value) -> Value {
    let id = request.field(1).and_then(messages::handle_id).unwrap_or_default();
    let Some(rows) = world.sql.rows_of(&id, caller) else { return messages::invalid_handle("operation") };
    match method {
        "GetOperationStatus" => messages::operation_status(),
        "GetResultSetMetadata" => messages::metadata(&rows),
        "FetchResults" => messages::fetched(&rows),
        _ => {
            world.sql.close_statement(&id, caller);
            messages::done()
        }
    }
}
