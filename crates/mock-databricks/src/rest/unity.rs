//! Unity Catalog.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use serde_json::json;

use crate::rest::{Answer, ok};
use crate::world::World;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/2.1/unity-catalog/catalogs", get(catalogs))
        .route("/api/2.1/unity-catalog/permissions/{type}/{name}", get(grants))
}

async fn catalogs() -> Answer {
    ok(&json!({
        "catalogs": [
            { "name": "main", "catalog_type": "MANAGED_CATALOG", "owner": "owner@example.com" },
            { "name": "system", "catalog_type": "SYSTEM_CATALOG", "owner": "System user" },
        ]
    }))
}

/// Nobody has been granted anything, and nothing here grants.
async fn grants() -> Answer {
    ok(&json!({ "privilege_assignments": [] }))
}
