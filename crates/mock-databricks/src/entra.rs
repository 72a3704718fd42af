//! `POST /{tenant}/oauth2/v2.0/token`: Microsoft Entra ID's token endpoint, as far as the on-behalf-of grant goes (Microsoft identity platform,
//! OAuth 2.0 On-Behalf-Of flow), and as strict. It is another company's server; it listens here so that tests have one less to start.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::minting::{Holder, Kind, Minted};
use crate::refusal::{OAuthRefusal, json_answer};
use crate::state::{Policy, Tenant, Workspace};
use crate::world::World;
use crate::{clock, federation, form, scopes};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Everything that a user may do in Azure Databricks.
const AZURE_DATABRICKS: &str = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/.default";
const FIELDS: &[&str] = &["grant_type", "client_id", "client_secret", "assertion", "scope", "requested_token_use"];

type Form = BTreeMap<String, String>;

pub(crate) async fn token(
    State(world): State<Arc<World>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match grant(&world, &tenant, &headers, &body).await {
        Ok(minted) => granted(&minted),
        Err(refusal) => refusal.into_response(),
    }
}

fn granted(minted: &Minted) -> Response {
    let body = json!({
        "token_type": "Bearer",
        "scope": AZURE_DATABRICKS,
        "expires_in": minted.expires_at.saturating_sub(clock::now()),
        "ext_expires_in": minted.expires_at.saturating_sub(clock::now()),
        "access_token": minted.token,
    });
    json_answer(StatusCode::OK, &body)
}

async fn grant(world: &World, name: &str, headers: &HeaderMap, body: &Bytes) -> Result<Minted, OAuthRefusal> {
    let workspace = world.workspace();
    let tenant = workspace.entra.get(name);
    let tenant = tenant.ok_or_else(|| refused("invalid_request", 90002, &format!("Tenant '{name}' not found.")))?;
    let form = read_form(headers, body)?;
    match field(&form, "grant_type")? {
        JWT_BEARER => {}
        other => {
            return Err(refused("unsupported_grant_type", 70003, &format!("The grant '{other}' is not supported.")));
        }
    }
    let client_id = authenticated(&form, tenant)?;
    if field(&form, "requested_token_use")? != "on_behalf_of" {
        return Err(refused("invalid_request", 90023, "requested_token_use must be on_behalf_of."));
    }
    if field(&form, "scope")? != AZURE_DATABRICKS {
        return Err(refused("invalid_scope", 70011, "The scope is not that of Azure Databricks."));
    }
    let subject = asserted(world, &workspace, tenant, client_id, field(&form, "assertion")?).await?;
    let scope = scopes::ALL_APIS.to_owned();
    let holder = Holder { kind: Kind::User, name: subject, scope, assume_group: None };
    // the life of Entra ID's tokens has nothing to do with that of the assertion
    let expires_at = clock::now().saturating_add(workspace.token_lifetime);
    world.tokens.mint(&workspace.place(), holder, expires_at).map_err(|why| refused("server_error", 90033, &why))
}

fn read_form(headers: &HeaderMap, body: &Bytes) -> Result<Form, OAuthRefusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind != "application/x-www-form-urlencoded" {
        return Err(refused("invalid_request", 900_144, "The request is no form."));
    }
    let pairs = form::unique_pairs(body).map_err(|why| refused("invalid_request", 90013, &why))?;
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !FIELDS.contains(&name.as_str())) {
        return Err(refused("invalid_request", 90013, &format!("Unknown parameter '{name}'.")));
    }
    if headers.contains_key(header::AUTHORIZATION) {
        return Err(refused("invalid_request", 90013, "The client authenticates in more than one way."));
    }
    Ok(pairs.into_iter().collect())
}

fn field<'f>(form: &'f Form, name: &str) -> Result<&'f str, OAuthRefusal> {
    let value = form.get(name).map(String::as_str).filter(|value| !value.is_empty());
    value.ok_or_else(|| refused("invalid_request", 900_144, &format!("The parameter '{name}' is missing.")))
}

/// The client, which must be one of the tenant's, with its secret.
fn authenticated<'f>(form: &'f Form, tenant: &Tenant) -> Result<&'f str, OAuthRefusal> {
    let client_id = field(form, "client_id")?;
    let unknown = || refused("unauthorized_client", 700_016, &format!("Application '{client_id}' was not found."));
    let secret = tenant.clients.get(client_id).ok_or_else(unknown)?;
    if field(form, "client_secret")? != secret {
        let status = StatusCode::UNAUTHORIZED;
        return Err(OAuthRefusal { status, ..refused("invalid_client", 7_000_215, "Invalid client secret provided.") });
    }
    Ok(client_id)
}

/// Whom the assertion is of: a token of this tenant for the very client that presents it.
async fn asserted(
    world: &World,
    workspace: &Workspace,
    tenant: &Tenant,
    client_id: &str,
    assertion: &str,
) -> Result<String, OAuthRefusal> {
    let policy = Policy {
        issuer: tenant.issuer.clone(),
        audiences: vec![client_id.to_owned()],
        subject: None,
        subject_claim: "sub".into(),
        jwks_json: None,
        max_lifetime: None,
    };
    let proven = federation::verify(assertion, workspace, &[policy], &world.keys).await;
    proven
        .map(|proven| proven.subject)
        .map_err(|why| refused("invalid_grant", 50013, &format!("Assertion failed validation: {}", why.description)))
}

fn refused(error: &'static str, code: u32, why: &str) -> OAuthRefusal {
    OAuthRefusal { status: StatusCode::BAD_REQUEST, error, description: format!("AADSTS{code}: {why}") }
}
