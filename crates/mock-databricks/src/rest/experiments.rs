//! MLflow's tracking server, as far as a client needs to log a run and to read it again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Map, Value, json};

use crate::bearer::Caller;
use crate::clock;
use crate::refusal::Refusal;
use crate::rest::{Answer, ok, params};
use crate::world::World;

/// Ids begin where tests can foresee them.
const FIRST: usize = 9001;

#[derive(Clone, Default)]
struct Run {
    experiment: String,
    user: String,
    info: Map<String, Value>,
    params: Vec<Value>,
    metrics: Vec<Value>,
    tags: Vec<Value>,
}

#[derive(Default)]
struct Book {
    experiments: Vec<Map<String, Value>>,
    runs: Vec<Run>,
}

#[derive(Default)]
pub(crate) struct Tracking(Mutex<Book>);

impl Tracking {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget(&self) {
        *self.book() = Book::default();
    }
}

impl Book {
    fn experiment(&self, name: &str, value: &str) -> Result<&Map<String, Value>, Refusal> {
        let found = self.experiments.iter().find(|one| one.get(name).and_then(Value::as_str) == Some(value));
        found.ok_or_else(|| Refusal::absent(format!("No experiment with {name} {value} exists.")))
    }

    fn run(&mut self, id: &str) -> Result<&mut Run, Refusal> {
        let found = self.runs.iter_mut().find(|run| run.info.get("run_id").and_then(Value::as_str) == Some(id));
        found.ok_or_else(|| Refusal::absent(format!("Run {id} not found.")))
    }
}

impl Run {
    fn shown(&self) -> Value {
        let mut info = self.info.clone();
        info.insert("experiment_id".into(), json!(self.experiment));
        info.insert("user_id".into(), json!(self.user));
        json!({ "info": info, "data": { "params": self.params, "metrics": self.metrics, "tags": self.tags } })
    }
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/2.0/mlflow/experiments/create", post(create_experiment))
        .route("/api/2.0/mlflow/experiments/get", get(get_experiment))
        .route("/api/2.0/mlflow/experiments/get-by-name", get(get_by_name))
        .route("/api/2.0/mlflow/runs/create", post(create_run))
        .route("/api/2.0/mlflow/runs/get", get(get_run))
        .route("/api/2.0/mlflow/runs/update", post(update_run))
        .route("/api/2.0/mlflow/runs/log-parameter", post(log_parameter))
        .route("/api/2.0/mlflow/runs/log-metric", post(log_metric))
        .route("/api/2.0/mlflow/runs/log-batch", post(log_batch))
        .route("/api/2.0/mlflow/runs/search", post(search_runs))
}

type Shared = State<Arc<World>>;

async fn create_experiment(State(world): Shared, body: Bytes) -> Answer {
    let mut request = params::object(&body)?;
    let name = params::id(&request, "name")?;
    let mut book = world.tracking.book();
    if book.experiment("name", &name).is_ok() {
        return Err(Refusal::invalid_parameter(format!("Node named {name} already exists")));
    }
    let id = book.experiments.len().saturating_add(FIRST).to_string();
    request.insert("experiment_id".into(), json!(id));
    request.insert("lifecycle_stage".into(), json!("active"));
    book.experiments.push(request);
    ok(&json!({ "experiment_id": id }))
}

async fn get_experiment(State(world): Shared, RawQuery(query): RawQuery) -> Answer {
    let id = params::query(query.as_deref(), "experiment_id")?;
    ok(&json!({ "experiment": world.tracking.book().experiment("experiment_id", &id)? }))
}

async fn get_by_name(State(world): Shared, RawQuery(query): RawQuery) -> Answer {
    let name = params::query(query.as_deref(), "experiment_name")?;
    ok(&json!({ "experiment": world.tracking.book().experiment("name", &name)? }))
}

async fn create_run(State(world): Shared, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let request = params::object(&body)?;
    let experiment = params::id(&request, "experiment_id")?;
    let mut book = world.tracking.book();
    let place = book.experiment("experiment_id", &experiment)?.get("artifact_location").and_then(Value::as_str);
    let id = format!("{:032x}", book.runs.len().saturating_add(FIRST));
    let place = place.map_or_else(String::new, |place| format!("{place}/{id}/artifacts"));
    let mut info = Map::new();
    info.insert("run_id".into(), json!(id));
    info.insert("run_uuid".into(), json!(id));
    info.insert("run_name".into(), request.get("run_name").cloned().unwrap_or_default());
    info.insert("status".into(), json!("RUNNING"));
    info.insert("lifecycle_stage".into(), json!("active"));
    info.insert("start_time".into(), json!(clock::now_ms()));
    info.insert("artifact_uri".into(), json!(place));
    let run = Run { experiment, user: caller.0.name, info, tags: list(&request, "tags"), ..Run::default() };
    let shown = run.shown();
    book.runs.push(run);
    ok(&json!({ "run": shown }))
}

async fn get_run(State(world): Shared, RawQuery(query): RawQuery) -> Answer {
    let id = params::query(query.as_deref(), "run_id")?;
    ok(&json!({ "run": world.tracking.book().run(&id)?.shown() }))
}

async fn update_run(State(world): Shared, body: Bytes) -> Answer {
    let request = params::object(&body)?;
    let mut book = world.tracking.book();
    let run = book.run(&params::id(&request, "run_id")?)?;
    for name in ["status", "end_time", "run_name"] {
        if let Some(value) = request.get(name) {
            run.info.insert(name.into(), value.clone());
        }
    }
    ok(&json!({ "run_info": run.info }))
}

async fn log_parameter(State(world): Shared, body: Bytes) -> Answer {
    let request = params::object(&body)?;
    let mut book = world.tracking.book();
    let run = book.run(&params::id(&request, "run_id")?)?;
    run.params.push(json!({ "key": request.get("key"), "value": request.get("value") }));
    ok(&json!({}))
}

async fn log_metric(State(world): Shared, body: Bytes) -> Answer {
    let request = params::object(&body)?;
    let mut book = world.tracking.book();
    let run = book.run(&params::id(&request, "run_id")?)?;
    let member = |name: &str| request.get(name).cloned().unwrap_or_default();
    run.metrics.push(json!({ "key": member("key"), "value": member("value"), "timestamp": member("timestamp"), "step": member("step") }));
    ok(&json!({}))
}

async fn log_batch(State(world): Shared, body: Bytes) -> Answer {
    let request = params::object(&body)?;
    let mut book = world.tracking.book();
    let run = book.run(&params::id(&request, "run_id")?)?;
    run.params.extend(list(&request, "params"));
    run.metrics.extend(list(&request, "metrics"));
    run.tags.extend(list(&request, "tags"));
    ok(&json!({}))
}

async fn search_runs(State(world): Shared, body: Bytes) -> Answer {
    let request = params::object(&body)?;
    let wanted = list(&request, "experiment_ids");
    let book = world.tracking.book();
    let found = book.runs.iter().filter(|run| wanted.contains(&json!(run.experiment)));
    ok(&json!({ "runs": found.map(Run::shown).collect::<Vec<_>>() }))
}

fn list(request: &Map<String, Value>, name: &str) -> Vec<Value> {
    request.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}
