//! Jobs and their runs.

mod store;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Map, Value, json};

use crate::bearer::Caller;
use crate::clock;
use crate::refusal::Refusal;
use crate::rest::{Answer, check_id, ok, params, visible_ids};
use crate::world::World;

pub(crate) use store::JobStore;

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
            .route(&path("create"), post(create))
            .route(&path("reset"), post(reset))
            .route(&path("update"), post(update))
            .route(&path("delete"), post(delete))
            .route(&path("runs/list"), get(list_runs))
            .route(&path("runs/get"), get(get_run))
            .route(&path("runs/get-output"), get(get_output))
            .route(&path("runs/cancel"), post(cancel_run));
    }
    router
}

async fn list(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>) -> Answer {
    let ids = visible_ids(&world.workspace(), &caller, "jobs", SAMPLES);
    let created = world.jobs.of(&caller.0);
    let created = created.iter().map(|(id, job)| job.shown(id));
    let jobs: Vec<Value> = ids.iter().map(|id| job(id)).chain(created).collect();
    ok(&json!({ "jobs": jobs, "has_more": false }))
}

async fn get_job(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let id = params::query(query.as_deref(), "job_id")?;
    ok(&existing(&world, &caller, &id)?)
}

/// A job of the state, or one that this caller created.
fn existing(world: &World, caller: &Caller, id: &str) -> Result<Value, Refusal> {
    if let Some(created) = world.jobs.get(id, &caller.0)? {
        return Ok(created.shown(id));
    }
    check_id(&world.workspace(), caller, "jobs", id)?;
    Ok(job(id))
}

async fn create(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let mut settings = params::object(&body)?;
    settings.remove("access_control_list");
    let id = world.jobs.create(&caller.0, with_defaults(settings));
    ok(&json!({ "job_id": params::number(&id) }))
}

async fn reset(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let body = params::object(&body)?;
    let new = new_settings(&body)?;
    world.jobs.change(&params::id(&body, "job_id")?, &caller.0, |settings| *settings = with_defaults(new))?;
    ok(&json!({}))
}

async fn update(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let body = params::object(&body)?;
    let new = new_settings(&body)?;
    world.jobs.change(&params::id(&body, "job_id")?, &caller.0, |settings| settings.extend(new))?;
    ok(&json!({}))
}

async fn delete(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    world.jobs.delete(&params::id(&params::object(&body)?, "job_id")?, &caller.0)?;
    ok(&json!({}))
}

fn new_settings(body: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let new = body.get("new_settings").and_then(Value::as_object).cloned();
    new.ok_or_else(|| Refusal::invalid_parameter("Missing required field: new_settings"))
}

/// What Databricks adds to the settings of a job that does not say otherwise.
fn with_defaults(mut settings: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in [
        ("email_notifications", json!({})),
        ("webhook_notifications", json!({})),
        ("timeout_seconds", json!(0)),
        ("max_concurrent_runs", json!(1)),
        ("format", json!("MULTI_TASK")),
    ] {
        settings.entry(name).or_insert(value);
    }
    for task in settings.get_mut("tasks").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(task) = task.as_object_mut() {
            task.entry("run_if").or_insert(json!("ALL_SUCCESS"));
            task.entry("timeout_seconds").or_insert(json!(0));
            task.entry("email_notifications").or_insert(json!({}));
        }
    }
    settings
}

async fn run_now(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let id = params::id(&params::object(&body)?, "job_id")?;
    existing(&world, &caller, &id)?;
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
    let job = existing(&world, &caller, &job_of(&run_id))?;
    ok(&finished(&run_id, &job))
}

async fn list_runs(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    existing(&world, &caller, &params::query(query.as_deref(), "job_id")?)?;
    ok(&json!({ "runs": [], "has_more": false }))
}

/// What a task left behind: this mock runs nothing.
async fn get_output(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let run_id = params::query(query.as_deref(), "run_id")?;
    let job = existing(&world, &caller, &job_of(&run_id))?;
    ok(&json!({
        "metadata": finished(&run_id, &job),
        "notebook_output": { "result": "done", "truncated": false },
        "logs": "done",
    }))
}

/// Every run has ended well.
fn finished(run_id: &str, job: &Value) -> Value {
    let number = run_id.parse::<u64>().unwrap_or_default();
    let state = json!({ "life_cycle_state": "TERMINATED", "result_state": "SUCCESS", "state_message": "" });
    let tasks = job.pointer("/settings/tasks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let tasks: Vec<Value> = tasks
        .iter()
        .zip(1_u64..)
        .map(
            |(task, n)| json!({ "run_id": number.saturating_add(n), "task_key": task.get("task_key"), "state": state }),
        )
        .collect();
    let id = job.get("job_id").cloned().unwrap_or_default();
    json!({
        "job_id": id,
        "run_id": number,
        "run_name": job.pointer("/settings/name"),
        "run_page_url": format!("https://workspace.example/#job/{id}/run/{number}"),
        "start_time": clock::now_ms(),
        "state": state,
        "status": { "state": "TERMINATED" },
        "tasks": tasks,
    })
}

async fn cancel_run(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let run_id = params::id(&params::object(&body)?, "run_id")?;
    existing(&world, &caller, &job_of(&run_id))?;
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
