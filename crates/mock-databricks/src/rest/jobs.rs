//! Jobs and their runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Value, json};

use crate::bearer::Caller;
use crate::clock;
use crate::rest::{Answer, check_id, ok, params, visible_ids};
use crate::world::World;

const SAMPLES: &[&str] = &["101", "202", "303"];
/// A run's id is its job's id times this, and a number that no other run has: so no run need be remembered.
const RUNS_PER_JOB: u64 = 1_000_000;

pub(crate) fn routes() -> Router<Arc<World>> {
    let mut router = Router::new();
    for version in ["2.0", "2.1", "2.2"] {
        let path = |rest: &str| format!("/api/{version}/jobs/{rest}");
        router = router
            .route(&path("list"), get(list))
            .route(&path("get"), get(get_job))
            .route(&path("run-now"), post(run_now))
            .route(&path("runs/get"), get(get_run))
            .route(&path("runs/cancel"), post(cancel_run));
    }
    router
}

async fn list(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>) -> Answer {
    let ids = visible_ids(&world.workspace(), &caller, "jobs", SAMPLES);
    let jobs: Vec<Value> = ids.iter().map(|id| job(id)).collect();
    ok(&json!({ "jobs": jobs, "has_more": false }))
}

async fn get_job(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let id = params::query(query.as_deref(), "job_id")?;
    check_id(&world.workspace(), &caller, "jobs", &id)?;
    ok(&job(&id))
}

async fn run_now(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let id = params::id(&params::object(&body)?, "job_id")?;
    check_id(&world.workspace(), &caller, "jobs", &id)?;
    let number = world.runs.fetch_add(1, Ordering::Relaxed).saturating_add(1) % RUNS_PER_JOB;
    let run_id = id.parse::<u64>().unwrap_or_default().saturating_mul(RUNS_PER_JOB).saturating_add(number);
    ok(&json!({ "run_id": run_id, "number_in_job": run_id }))
}

async fn get_run(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let run_id = params::query(query.as_deref(), "run_id")?;
    let job_id = job_of(&run_id);
    check_id(&world.workspace(), &caller, "jobs", &job_id)?;
    ok(&json!({
        "job_id": params::number(&job_id),
        "run_id": params::number(&run_id),
        "run_name": format!("job-{job_id}"),
        "start_time": clock::now_ms(),
        "state": { "life_cycle_state": "TERMINATED", "result_state": "SUCCESS", "state_message": "" },
        "status": { "state": "TERMINATED" },
    }))
}

async fn cancel_run(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let run_id = params::id(&params::object(&body)?, "run_id")?;
    check_id(&world.workspace(), &caller, "jobs", &job_of(&run_id))?;
    ok(&json!({}))
}

fn job_of(run_id: &str) -> String {
    run_id.parse::<u64>().unwrap_or_default().checked_div(RUNS_PER_JOB).unwrap_or_default().to_string()
}

fn job(id: &str) -> Value {
    json!({
        "job_id": params::number(id),
        "creator_user_name": "owner@example.com",
        "settings": { "name": format!("job-{id}"), "max_concurrent_runs": 1, "format": "MULTI_TASK" },
        "created_time": 1_700_000_000_000_u64,
    })
}
