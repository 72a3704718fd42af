//! Statement execution by REST. Results are inline JSON whatever disposition was asked for.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Map, Value, json};

use super::query::{Cell, Rows, is_of_integers};
use super::sessions::absent as absent_session;
use crate::bearer::Caller;
use crate::refusal::Refusal;
use crate::rest::{Answer, check_id, ok, params};
use crate::world::World;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/2.0/sql/statements", post(execute))
        .route("/api/2.0/sql/statements/", post(execute))
        .route("/api/2.0/sql/statements/{id}", get(get_one).delete(close))
        .route("/api/2.0/sql/statements/{id}/status", get(get_one))
        .route("/api/2.0/sql/statements/{id}/cancel", post(cancel))
        .nest("/api/2.0/sql/warehouses/{warehouse}/sessions/{session}", below_sessions())
}

/// The same below a session, whose warehouse and id the path has then and the body has not.
fn below_sessions() -> Router<Arc<World>> {
    type Below = (String, String, String);
    Router::new()
        .route("/statements", post(execute_below))
        .route(
            "/statements/{id}",
            get(async |world: State<Arc<World>>, caller: Extension<Caller>, Path(below): Path<Below>| {
                get_one(world, caller, Path(below.2)).await
            })
            .delete(
                async |world: State<Arc<World>>, caller: Extension<Caller>, Path(below): Path<Below>| {
                    close(world, caller, Path(below.2)).await
                },
            ),
        )
        .route(
            "/statements/{id}/cancel",
            post(async |world: State<Arc<World>>, caller: Extension<Caller>, Path(below): Path<Below>| {
                cancel(world, caller, Path(below.2)).await
            }),
        )
}

async fn execute(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let request = params::object(&body)?;
    let warehouse = params::id(&request, "warehouse_id")?;
    let session = request.get("session_id").and_then(Value::as_str);
    run(&world, &caller, &warehouse, session, &request)
}

async fn execute_below(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path((warehouse, session)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    run(&world, &caller, &warehouse, Some(&session), &params::object(&body)?)
}

fn run(world: &World, caller: &Caller, warehouse: &str, session: Option<&str>, request: &Map<String, Value>) -> Answer {
    check_id(&world.workspace(), caller, "warehouses", warehouse)?;
    let statement = request.get("statement").and_then(Value::as_str);
    let statement = statement.ok_or_else(|| Refusal::invalid_parameter("Missing required field: statement"))?;
    if let Some(session) = session.filter(|session| !world.sql.has_session(session, &caller.0, warehouse)) {
        return Err(absent_session(session));
    }
    inline_only(request)?;
    let (id, rows) = world.sql.run(statement, &caller.0);
    ok(&result(&id, &rows))
}

/// A result by pre-signed links does not pass the gateway, and this mock has no storage to put it in.
fn inline_only(request: &Map<String, Value>) -> Result<(), Refusal> {
    let asked = |name: &str| request.get(name).and_then(Value::as_str);
    match (asked("disposition").unwrap_or("INLINE"), asked("format").unwrap_or("JSON_ARRAY")) {
        ("INLINE", "JSON_ARRAY") => Ok(()),
        (disposition, format) => {
            let why = format!("This mock has INLINE JSON_ARRAY results only, not {disposition} {format}.");
            Err(Refusal::invalid_parameter(why))
        }
    }
}

async fn get_one(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let rows = world.sql.rows_of(&id, &caller.0).ok_or_else(|| absent(&id))?;
    ok(&result(&id, &rows))
}

async fn cancel(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    world.sql.rows_of(&id, &caller.0).ok_or_else(|| absent(&id))?;
    ok(&json!({}))
}

async fn close(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    if world.sql.close_statement(&id, &caller.0) { ok(&json!({})) } else { Err(absent(&id)) }
}

fn absent(id: &str) -> Refusal {
    Refusal::absent(format!("The statement {id} was not found."))
}

fn result(id: &str, rows: &Rows) -> Value {
    let columns: Vec<Value> = rows
        .by_column()
        .enumerate()
        .map(|(at, (name, cells))| {
            let type_name = if is_of_integers(&cells) { "INT" } else { "STRING" };
            json!({ "name": name, "position": at, "type_name": type_name, "type_text": type_name })
        })
        .collect();
    let count = rows.rows.len();
    let data: Vec<Vec<Option<String>>> = rows.rows.iter().map(|row| row.iter().map(Cell::text).collect()).collect();
    json!({
        "statement_id": id,
        "status": { "state": "SUCCEEDED" },
        "manifest": {
            "format": "JSON_ARRAY",
            "schema": { "column_count": columns.len(), "columns": columns },
            "total_chunk_count": 1,
            "chunks": [{ "chunk_index": 0, "row_offset": 0, "row_count": count }],
            "total_row_count": count,
            "truncated": false,
        },
        "result": { "chunk_index": 0, "row_offset": 0, "row_count": count, "data_array": data },
    })
}
