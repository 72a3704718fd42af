//! Clusters.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Value, json};

use crate::bearer::Caller;
use crate::rest::{Answer, check_id, ok, params, visible_ids};
use crate::world::World;

const SAMPLES: &[&str] = &["0923-164208-meows279", "0923-164209-barks042"];

pub(crate) fn routes() -> Router<Arc<World>> {
    let mut router = Router::new();
    for version in ["2.0", "2.1"] {
        let path = |rest: &str| format!("/api/{version}/clusters/{rest}");
        router = router
            .route(&path("list"), get(list))
            .route(&path("get"), get(get_cluster))
            .route(&path("start"), post(start));
    }
    router
}

async fn list(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>) -> Answer {
    let ids = visible_ids(&world.workspace(), &caller, "clusters", SAMPLES);
    let clusters: Vec<Value> = ids.iter().map(|id| cluster(id)).collect();
    ok(&json!({ "clusters": clusters }))
}

async fn get_cluster(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let id = params::query(query.as_deref(), "cluster_id")?;
    check_id(&world.workspace(), &caller, "clusters", &id)?;
    ok(&cluster(&id))
}

async fn start(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let id = params::id(&params::object(&body)?, "cluster_id")?;
    check_id(&world.workspace(), &caller, "clusters", &id)?;
    ok(&json!({}))
}

fn cluster(id: &str) -> Value {
    json!({
        "cluster_id": id,
        "cluster_name": format!("cluster-{id}"),
        "spark_version": "16.4.x-scala2.12",
        "node_type_id": "Standard_DS3_v2",
        "num_workers": 1,
        "state": "RUNNING",
        "creator_user_name": "owner@example.com",
    })
}
