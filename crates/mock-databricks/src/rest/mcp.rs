//! Managed MCP servers, as far as a client needs to call a tool: Streamable HTTP without sessions and without events of the server's own.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use crate::rest::{Answer, ok, params};
use crate::world::World;

/// The tools of every server, and what they do.
const TOOLS: [(&str, &str); 2] = [("execute_sql_read_only", "Runs a query"), ("execute_sql", "Runs a statement")];

pub(crate) fn routes() -> Router<Arc<World>> {
    let server = post(message).get(no_events).delete(no_events);
    Router::new().route("/api/2.0/mcp/sql", server.clone()).route("/api/2.0/mcp/functions/{catalog}/{schema}", server)
}

async fn no_events() -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}

async fn message(body: Bytes) -> Answer {
    let request = params::object(&body)?;
    let Some(id) = request.get("id") else {
        return Ok::<Response, _>(StatusCode::ACCEPTED.into_response());
    };
    let member = |name: &str| request.get("params").and_then(|params| params.get(name)).cloned();
    let result = match request.get("method").and_then(Value::as_str) {
        Some("initialize") => json!({
            "protocolVersion": member("protocolVersion"),
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "mock-databricks", "version": "1" },
        }),
        Some("tools/list") => json!({ "tools": TOOLS.map(|(name, description)| json!({
            "name": name,
            "description": description,
            "inputSchema": { "type": "object", "properties": { "query": { "type": "string" } }, "required": ["query"] },
        })) }),
        Some("tools/call") if TOOLS.iter().any(|(name, _)| member("name") == Some(json!(name))) => {
            json!({ "content": [{ "type": "text", "text": "42" }], "isError": false })
        }
        _ => {
            let error = json!({ "code": -32601, "message": "Method not found" });
            return ok(&json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
    };
    ok(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}
