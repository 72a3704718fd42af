//! Policies of clusters: whoever has made one sees it, as with jobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Map, Value, json};

use crate::bearer::Caller;
use crate::ids;
use crate::minting::Holder;
use crate::refusal::Refusal;
use crate::rest::{Answer, ok, params};
use crate::world::World;

struct Policy {
    owner: Holder,
    settings: Map<String, Value>,
}

#[derive(Default)]
pub(crate) struct PolicyStore(Mutex<BTreeMap<String, Policy>>);

impl PolicyStore {
    fn of(&self) -> MutexGuard<'_, BTreeMap<String, Policy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, id: &str, caller: &Holder, found: impl FnOnce(&mut Policy) -> T) -> Result<T, Refusal> {
        let mut policies = self.of();
        let mine = policies.get_mut(id).filter(|policy| policy.owner.same_principal(caller));
        mine.map(found).ok_or_else(|| Refusal::absent(format!("Cluster policy {id} was not found.")))
    }

    pub(crate) fn forget(&self) {
        self.of().clear();
    }
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/2.0/policies/clusters/create", post(create))
        .route("/api/2.0/policies/clusters/get", get(get_one))
        .route("/api/2.0/policies/clusters/edit", post(edit))
        .route("/api/2.0/policies/clusters/delete", post(delete))
}

async fn create(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let (settings, id) = (params::object(&body)?, ids::uuid());
    world.policies.of().insert(id.clone(), Policy { owner: caller.0, settings });
    ok(&json!({ "policy_id": id }))
}

async fn get_one(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let id = params::query(query.as_deref(), "policy_id")?;
    let mut shown = world.policies.with(&id, &caller.0, |policy| policy.settings.clone())?;
    shown.insert("policy_id".into(), json!(id));
    shown.insert("creator_user_name".into(), json!(caller.0.name));
    ok(&Value::Object(shown))
}

async fn edit(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let settings = params::object(&body)?;
    let id = params::id(&settings, "policy_id")?;
    world.policies.with(&id, &caller.0, |policy| policy.settings = settings)?;
    ok(&json!({}))
}

async fn delete(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let id = params::id(&params::object(&body)?, "policy_id")?;
    world.policies.with(&id, &caller.0, |_| ())?;
    world.policies.of().remove(&id);
    ok(&json!({}))
}
