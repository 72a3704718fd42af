//! SQL sessions and the statements that ran, of REST and of Thrift alike. They belong to the principal that opened
//! them: with a token of someone else they are as good as absent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue};
use axum::routing::{delete, post};
use axum::{Extension, Router};
use serde_json::json;

use super::query::{Given, Rows};
use crate::bearer::Caller;
use crate::ids;
use crate::minting::Holder;
use crate::refusal::Refusal;
use crate::rest::{Answer, check_id, ok, params};
use crate::world::World;

struct Session {
    owner: Holder,
    /// The warehouse, or the path of a Thrift endpoint.
    place: String,
}

struct Statement {
    owner: Holder,
    rows: Rows,
}

#[derive(Default)]
struct Tables {
    sessions: HashMap<String, Session>,
    statements: HashMap<String, Statement>,
    given: Vec<Given>,
}

#[derive(Default)]
pub(crate) struct SqlStore(Mutex<Tables>);

impl SqlStore {
    pub(crate) fn open_session(&self, owner: &Holder, place: &str) -> String {
        let id = ids::uuid();
        self.tables().sessions.insert(id.clone(), Session { owner: owner.clone(), place: place.to_owned() });
        id
    }

    pub(crate) fn has_session(&self, id: &str, caller: &Holder, place: &str) -> bool {
        let tables = self.tables();
        tables.sessions.get(id).is_some_and(|session| session.owner.same_principal(caller) && session.place == place)
    }

    pub(crate) fn close_session(&self, id: &str, caller: &Holder) -> bool {
        let mut tables = self.tables();
        let found = tables.sessions.get(id).is_some_and(|session| session.owner.same_principal(caller));
        found && tables.sessions.remove(id).is_some()
    }

    pub(crate) fn run(&self, statement: &str, owner: &Holder) -> (String, Rows) {
        let given = self.tables().given.iter().find_map(|given| given.answers(statement));
        let (id, rows) = (ids::uuid(), given.unwrap_or_else(|| Rows::of(statement, owner)));
        let statement = Statement { owner: owner.clone(), rows: rows.clone() };
        self.tables().statements.insert(id.clone(), statement);
        (id, rows)
    }

    pub(crate) fn rows_of(&self, id: &str, caller: &Holder) -> Option<Rows> {
        let tables = self.tables();
        let statement = tables.statements.get(id).filter(|statement| statement.owner.same_principal(caller))?;
        Some(statement.rows.clone())
    }

    pub(crate) fn close_statement(&self, id: &str, caller: &Holder) -> bool {
        let mut tables = self.tables();
        let found = tables.statements.get(id).is_some_and(|statement| statement.owner.same_principal(caller));
        found && tables.statements.remove(id).is_some()
    }

    /// From now on these are the answers to the statements that they are for.
    pub(crate) fn give(&self, answers: Vec<Given>) {
        self.tables().given = answers;
    }

    pub(crate) fn forget(&self) {
        *self.tables() = Tables::default();
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Told of a session whose statements are to be sent below it (databricks-jdbc 3.4.5).
const BELOW_SESSION: HeaderName = HeaderName::from_static("x-databricks-rt-session");

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/2.0/sql/sessions", post(create))
        .route("/api/2.0/sql/sessions/", post(create))
        .route("/api/2.0/sql/sessions/{id}", delete(remove))
        .route("/api/2.0/sql/warehouses/{warehouse}/sessions", post(create_below))
        .route("/api/2.0/sql/warehouses/{warehouse}/sessions/{id}", delete(remove_below))
}

async fn create(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let warehouse = params::id(&params::object(&body)?, "warehouse_id")?;
    check_id(&world.workspace(), &caller, "warehouses", &warehouse)?;
    ok(&json!({ "session_id": world.sql.open_session(&caller.0, &warehouse) }))
}

async fn create_below(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(warehouse): Path<String>,
    body: Bytes,
) -> Answer {
    params::object(&body)?;
    let workspace = world.workspace();
    check_id(&workspace, &caller, "warehouses", &warehouse)?;
    let mut answer = ok(&json!({ "session_id": world.sql.open_session(&caller.0, &warehouse) }))?;
    if workspace.statements_below_sessions {
        answer.headers_mut().insert(BELOW_SESSION, HeaderValue::from_static("true"));
    }
    Ok(answer)
}

async fn remove_below(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path((warehouse, id)): Path<(String, String)>,
) -> Answer {
    if !world.sql.has_session(&id, &caller.0, &warehouse) {
        return Err(absent(&id));
    }
    remove(State(world), Extension(caller), Path(id)).await
}

async fn remove(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    if world.sql.close_session(&id, &caller.0) {
        return ok(&json!({}));
    }
    Err(absent(&id))
}

pub(super) fn absent(id: &str) -> Refusal {
    Refusal::absent(format!("Session {id} does not exist."))
}
