//! The routes of the workspace's port.

mod clusters;
pub(crate) mod experiments;
mod files;
pub(crate) mod jobs;
mod mcp;
mod models;
mod params;
pub(crate) mod policies;
mod scim;
pub(crate) mod sql;
mod tokens;
pub(crate) mod tree;
mod unity;
mod workspace;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;

use crate::bearer::{self, Caller};
use crate::minting::Kind;
use crate::refusal::{Refusal, json_answer};
use crate::state::{Permissions, Workspace};
use crate::world::World;
use crate::{discovery, entra, thrift, token_endpoint};

/// What a handler answers: a JSON object, or a native refusal.
pub(crate) type Answer = Result<Response, Refusal>;

pub(crate) fn router(world: Arc<World>) -> Router {
    let open = Router::new()
        .route("/oidc/v1/token", post(token_endpoint::token))
        .route("/{tenant}/oauth2/v2.0/token", post(entra::token))
        .route("/oidc/.well-known/oauth-authorization-server", get(discovery::authorization_server))
        .route("/oidc/jwks.json", get(discovery::jwks))
        .route("/.well-known/databricks-config", get(discovery::databricks_config))
        .fallback(no_endpoint)
        .method_not_allowed_fallback(no_endpoint);
    let guarded = Router::new()
        .merge(scim::routes())
        .merge(jobs::routes())
        .merge(clusters::routes())
        .merge(sql::routes())
        .merge(thrift::routes())
        .merge(unity::routes())
        .merge(tokens::routes())
        .merge(workspace::routes())
        .merge(files::routes())
        .merge(models::routes())
        .merge(mcp::routes())
        .merge(experiments::routes())
        .merge(policies::routes())
        .route("/telemetry-ext", post(telemetry))
        .route("/api/{*rest}", axum::routing::any(no_endpoint))
        .route("/sql/{*rest}", axum::routing::any(no_endpoint))
        .method_not_allowed_fallback(no_endpoint)
        .layer(middleware::from_fn_with_state(Arc::clone(&world), bearer::guard));
    // http1/read.rs has the limit
    open.merge(guarded).layer(DefaultBodyLimit::disable()).with_state(world)
}

async fn no_endpoint(request: Request) -> Response {
    Refusal::no_endpoint(request.method().as_str(), request.uri().path()).into_response()
}

/// What clients say of themselves is taken and dropped.
async fn telemetry() -> Answer {
    ok(&serde_json::json!({ "errors": [], "numProtoSuccess": 1, "numSuccess": 1, "numRealtimeSuccess": 0 }))
}

pub(crate) fn ok(body: &Value) -> Answer {
    Ok(json_answer(axum::http::StatusCode::OK, body))
}

/// The ids of a kind that the caller is restricted to, if it is restricted at all. An assumed group's permissions
/// replace the caller's own.
fn allowed_ids<'a>(workspace: &'a Workspace, caller: &Caller, kind: &str) -> Option<&'a Vec<String>> {
    let holder = &caller.0;
    let (own, groups) = match holder.kind {
        Kind::User => workspace.users.get(&holder.name).map(|user| (&user.permissions, &user.groups))?,
        Kind::ServicePrincipal => {
            workspace.service_principals.get(&holder.name).map(|sp| (&sp.permissions, &sp.groups))?
        }
    };
    let permissions: &Permissions = match &holder.assume_group {
        None => own,
        Some(id) => &groups.iter().find(|group| group.id == *id)?.permissions,
    };
    permissions.get(kind)
}

/// Refuses an id that does not exist, or that the caller may not use.
pub(crate) fn check_id(workspace: &Workspace, caller: &Caller, kind: &str, id: &str) -> Result<(), Refusal> {
    if workspace.resources.get(kind).is_some_and(|all| all.iter().all(|one| one != id)) {
        return Err(Refusal::absent(format!("{kind}: {id} does not exist.")));
    }
    if allowed_ids(workspace, caller, kind).is_some_and(|allowed| allowed.iter().all(|one| one != id)) {
        let name = &caller.0.name;
        return Err(Refusal::permission_denied(format!("{name} does not have permission on {kind}: {id}.")));
    }
    Ok(())
}

/// The ids of a kind that the caller sees, those of the state or else `samples`.
fn visible_ids(workspace: &Workspace, caller: &Caller, kind: &str, samples: &[&str]) -> Vec<String> {
    let all = match workspace.resources.get(kind) {
        Some(all) => all.clone(),
        None => samples.iter().map(|id| (*id).to_owned()).collect(),
    };
    match allowed_ids(workspace, caller, kind) {
        Some(allowed) => all.into_iter().filter(|id| allowed.contains(id)).collect(),
        None => all,
    }
}
