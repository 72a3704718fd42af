//! Unity Catalog.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use serde_json::json;

use crate::rest::{Answer, ok};
use crate::world::World;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/api/2.1/unity-catalog/catalogs", get(catalogs))
}

async fn catalogs() -> Answer {
    ok(&json!({
        "catalogs": [
            { "name": "main", "catalog_type": "MANAGED_CATALOG", "owner": "owner@example.com" },
            { "name": "system", "catalog_type": "SYSTEM_CATALOG", "owner": "System user" },
        ]
    }))
}
