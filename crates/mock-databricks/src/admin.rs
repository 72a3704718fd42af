//! The port of the tests themselves: what was received, what was minted, faults, state.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::rest::sql::Given;
use crate::state::{User, Workspace};
use crate::world::World;

type Shared = State<Arc<World>>;

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(json!({ "status": "ok" }))))
        .route("/state", put(put_state).patch(patch_state).get(get_state))
        .route("/users", post(add_users))
        .route("/requests", get(requests).delete(forget_requests))
        .route("/tokens", get(tokens))
        .route("/tokens/revoke", post(revoke))
        .route("/answers", put(put_answers))
        .route("/streams", put(hold_streams).post(open_stream))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .layer(DefaultBodyLimit::disable())
        .with_state(world)
}

async fn get_state(State(world): Shared) -> Response {
    Json(&*world.workspace()).into_response()
}

async fn put_state(State(world): Shared, body: String) -> Response {
    let parsed = serde_json::from_str::<Workspace>(&body).map_err(|e| e.to_string());
    answer(parsed.and_then(|workspace| workspace.check().map(|()| workspace)).map(|workspace| {
        world.replace(workspace);
        json!({})
    }))
}

async fn patch_state(State(world): Shared, body: String) -> Response {
    let parsed = serde_json::from_str::<Value>(&body).map_err(|e| e.to_string());
    answer(parsed.and_then(|patch| world.patch(patch)).map(|()| json!({})))
}

async fn add_users(State(world): Shared, body: String) -> Response {
    let parsed = serde_json::from_str::<BTreeMap<String, User>>(&body).map_err(|e| e.to_string());
    answer(parsed.map(|users| {
        world.add_users(users);
        json!({})
    }))
}

async fn requests(State(world): Shared) -> Response {
    Json(world.requests.all()).into_response()
}

async fn forget_requests(State(world): Shared) -> Response {
    world.requests.forget();
    Json(json!({})).into_response()
}

async fn tokens(State(world): Shared) -> Response {
    Json(world.tokens.all()).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    all: Option<bool>,
    principal: Option<String>,
}

async fn revoke(State(world): Shared, body: String) -> Response {
    let parsed = serde_json::from_str::<Revocation>(&body).map_err(|e| e.to_string());
    answer(
        parsed
            .and_then(|revocation| match revocation {
                Revocation { all: Some(true), principal: None } => Ok(world.tokens.revoke(None)),
                Revocation { all: None, principal: Some(name) } => Ok(world.tokens.revoke(Some(&name))),
                _ => Err("say {\"all\":true} or {\"principal\":\"…\"}".into()),
            })
            .map(|revoked| json!({ "revoked": revoked })),
    )
}

async fn put_answers(State(world): Shared, body: String) -> Response {
    let parsed = serde_json::from_str::<Vec<Given>>(&body).map_err(|e| e.to_string());
    answer(parsed.map(|answers| {
        world.sql.give(answers);
        json!({})
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Streams {
    held: bool,
}

async fn hold_streams(State(world): Shared, body: String) -> Response {
    let parsed = serde_json::from_str::<Streams>(&body).map_err(|e| e.to_string());
    answer(parsed.map(|streams| {
        world.gate.hold(streams.held);
        json!({})
    }))
}

async fn open_stream(State(world): Shared) -> Response {
    world.gate.open();
    Json(json!({})).into_response()
}

async fn faults(State(world): Shared) -> Response {
    Json(world.faults.left()).into_response()
}

async fn add_fault(State(world): Shared, body: String) -> Response {
    let parsed = serde_json::from_str::<Fault>(&body).map_err(|e| e.to_string());
    answer(parsed.and_then(|fault| fault.check().map(|()| fault)).map(|fault| {
        world.faults.add(fault);
        json!({})
    }))
}

async fn clear_faults(State(world): Shared) -> Response {
    world.faults.clear();
    Json(json!({})).into_response()
}

fn answer(outcome: Result<Value, String>) -> Response {
    match outcome {
        Ok(done) => Json(done).into_response(),
        Err(why) => (StatusCode::BAD_REQUEST, Json(json!({ "error": why }))).into_response(),
    }
}
