//! `GET /api/2.0/preview/scim/v2/Me`: who Databricks takes the caller for.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::json;

use crate::bearer::Caller;
use crate::ids;
use crate::minting::Kind;
use crate::rest::{Answer, ok};
use crate::world::World;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/api/2.0/preview/scim/v2/Me", get(me))
}

async fn me(State(world): State<Arc<World>>, Extension(Caller(holder)): Extension<Caller>) -> Answer {
    let workspace = world.workspace();
    let groups = match holder.kind {
        Kind::User => workspace.users.get(&holder.name).map(|user| user.groups.as_slice()),
        Kind::ServicePrincipal => workspace.service_principals.get(&holder.name).map(|sp| sp.groups.as_slice()),
    };
    // while a group is assumed it is the only one that counts
    let counts = |id: &str| holder.assume_group.as_deref().is_none_or(|assumed| assumed == id);
    let groups = groups.unwrap_or_default().iter().filter(|group| counts(&group.id));
    let groups: Vec<_> = groups
        .map(|group| {
            let path = format!("Groups/{}", group.id);
            json!({ "display": group.name, "type": "direct", "value": group.id, "$ref": path })
        })
        .collect();
    let email = json!([{ "type": "work", "value": holder.name, "primary": true }]);
    let body = json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:workspace:2.0:User",
        ],
        "id": numeric_id(&holder.name),
        "userName": holder.name,
        "displayName": holder.name,
        "active": true,
        "groups": groups,
        "emails": if holder.kind == Kind::User { email } else { json!([]) },
    });
    let mut answer = ok(&body)?;
    let scim = HeaderValue::from_static("application/scim+json; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, scim);
    Ok(answer)
}

/// A number that always is the same for a name, as Databricks gives everyone one.
fn numeric_id(name: &str) -> String {
    let digest = ids::sha256_hex(name);
    let start = digest.get(..13).unwrap_or_default();
    u64::from_str_radix(start, 16).unwrap_or_default().to_string()
}
