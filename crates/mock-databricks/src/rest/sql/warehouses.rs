//! SQL warehouses.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::{Value, json};

use crate::bearer::Caller;
use crate::rest::{Answer, check_id, ok, visible_ids};
use crate::world::World;

const SAMPLES: &[&str] = &["1234567890abcdef", "fedcba0987654321"];

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/api/2.0/sql/warehouses", get(list)).route("/api/2.0/sql/warehouses/{id}", get(get_one))
}

async fn list(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>) -> Answer {
    let workspace = world.workspace();
    let ids = visible_ids(&workspace, &caller, "warehouses", SAMPLES);
    let warehouses: Vec<Value> = ids.iter().map(|id| warehouse(id, &workspace.host)).collect();
    ok(&json!({ "warehouses": warehouses }))
}

async fn get_one(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let workspace = world.workspace();
    check_id(&workspace, &caller, "warehouses", &id)?;
    ok(&warehouse(&id, &workspace.host))
}

fn warehouse(id: &str, host: &str) -> Value {
    json!({
        "id": id,
        "name": format!("warehouse-{id}"),
        "cluster_size": "2X-Small",
        "state": "RUNNING",
        "warehouse_type": "PRO",
        "enable_serverless_compute": true,
        "odbc_params": { "hostname": host, "path": format!("/sql/1.0/warehouses/{id}"), "port": 443, "protocol": "https" },
    })
}
