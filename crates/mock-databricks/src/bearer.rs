//! Who asks: the bearer token of a REST or SQL request, and whether it covers the path.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::form;
use crate::http1::RequestId;
use crate::minting::{Holder, Rejected};
use crate::refusal::Refusal;
use crate::scopes;
use crate::world::World;

/// The caller of a request, for the handlers behind [`guard`].
#[derive(Clone)]
pub(crate) struct Caller(pub(crate) Holder);

/// The token of `Authorization: Bearer …`. Two such headers, or any other scheme, are no credential.
pub(crate) fn token_of(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let only = all.next().filter(|_| all.next().is_none())?;
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Refuses whoever may not ask for this path at all.
pub(crate) async fn guard(State(world): State<Arc<World>>, mut request: Request, next: Next) -> Response {
    match caller(&world, &request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn caller(world: &World, request: &Request) -> Result<Caller, Refusal> {
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.as_str()).unwrap_or_default();
    let token = token_of(request.headers()).ok_or_else(|| Refusal::no_credential(request_id))?;
    let minted = world.tokens.accept(token).map_err(|rejected| match rejected {
        Rejected::Revoked => Refusal::no_credential(request_id),
        Rejected::Unknown | Rejected::Expired => Refusal::invalid_token(),
    })?;
    right_workspace(&world.workspace().workspace_id, request.headers(), request.uri().query())?;
    scopes::covers(&minted.holder.scope, request.uri().path()).map_err(Refusal::scope)?;
    Ok(Caller(minted.holder))
}

/// The headers and parameters that pick a workspace on a unified host must pick this one.
pub(crate) fn right_workspace(workspace_id: &str, headers: &HeaderMap, query: Option<&str>) -> Result<(), Refusal> {
    for name in ["x-databricks-org-id", "x-databricks-workspace-id"] {
        for value in headers.get_all(name) {
            if value.as_bytes() != workspace_id.as_bytes() {
                return Err(Refusal::invalid_parameter(format!("{name} is not the id of this workspace")));
            }
        }
    }
    for (name, value) in form::pairs(query.unwrap_or_default().as_bytes()).unwrap_or_default() {
        if matches!(name.as_str(), "o" | "w") && value != workspace_id {
            return Err(Refusal::invalid_parameter(format!("?{name}= is not the id of this workspace")));
        }
    }
    Ok(())
}
