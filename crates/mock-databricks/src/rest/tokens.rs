//! The minting of personal access tokens, so that a test can show that the gateway let nobody get this far.

use std::sync::Arc;

use axum::body::Bytes;
use axum::routing::post;
use axum::{Extension, Router};
use serde_json::{Value, json};

use crate::bearer::Caller;
use crate::rest::{Answer, ok, params};
use crate::world::World;
use crate::{clock, ids};

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/api/2.0/token/create", post(create_token))
}

/// Answers as Databricks does, but the token is not one that this mock would accept.
async fn create_token(Extension(Caller(holder)): Extension<Caller>, body: Bytes) -> Answer {
    let request = params::object(&body)?;
    let lifetime = request.get("lifetime_seconds").and_then(Value::as_u64);
    let now = clock::now_ms();
    let expiry = lifetime.map(|seconds| now.saturating_add(seconds.saturating_mul(1000)));
    ok(&json!({
        "token_value": format!("dapi{}", ids::hex(&ids::random::<16>())),
        "token_info": {
            "token_id": ids::hex(&ids::random::<32>()),
            "creation_time": now,
            "expiry_time": expiry,
            "comment": request.get("comment").cloned().unwrap_or_default(),
            "created_by_username": holder.name,
        },
    }))
}
