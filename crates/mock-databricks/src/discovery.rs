//! The documents by which clients find the token endpoint (databricks.md 1.8). No credential is needed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use crate::refusal::json_answer;
use crate::world::World;

pub(crate) async fn databricks_config(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    let workspace = world.workspace();
    let base = base(&world, &headers);
    let config = json!({
        "oidc_endpoint": format!("{base}/oidc"),
        "account_id": workspace.account_id,
        "workspace_id": workspace.workspace_id,
        "cloud": "azure",
        "host_type": "workspace",
        "token_federation_default_oidc_audiences": [format!("{base}/oidc/v1/token")],
    });
    json_answer(StatusCode::OK, &config)
}

pub(crate) async fn authorization_server(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    let base = base(&world, &headers);
    let metadata = json!({
        "issuer": format!("https://{}/oidc", world.workspace().host),
        "authorization_endpoint": format!("{base}/oidc/v1/authorize"),
        "token_endpoint": format!("{base}/oidc/v1/token"),
        "jwks_uri": format!("{base}/oidc/jwks.json"),
        "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
        "response_types_supported": ["code", "id_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["all-apis", "email", "offline_access", "openid", "profile", "sql"],
        "code_challenge_methods_supported": ["S256"],
    });
    json_answer(StatusCode::OK, &metadata)
}

pub(crate) async fn jwks(State(world): State<Arc<World>>) -> Response {
    json_answer(StatusCode::OK, &world.tokens.jwks())
}

/// A client that came straight here can only come back over plain http; any other knows a public name.
fn base(world: &World, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if world.url.strip_prefix("http://") == host {
        return world.url.clone();
    }
    format!("https://{}", host.unwrap_or(&world.workspace().host))
}
