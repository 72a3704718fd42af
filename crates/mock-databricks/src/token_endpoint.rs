//! `POST /oidc/v1/token`: the token exchange and client credentials (databricks.md 1.1 to 1.4), strictly.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::minting::{Holder, Kind, Minted};
use crate::refusal::{OAuthRefusal, json_answer};
use crate::state::{Group, Workspace};
use crate::world::World;
use crate::{bearer, clock, federation, form, scopes};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const CLIENT_CREDENTIALS: &str = "client_credentials";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

const EXCHANGE_FIELDS: &[&str] = &[
    "grant_type",
    "subject_token",
    "subject_token_type",
    "scope",
    "client_id",
    "assume_group",
    "requested_token_type",
    "return_original_token_if_authenticated",
];
const CREDENTIALS_FIELDS: &[&str] = &["grant_type", "scope", "client_id", "client_secret", "assume_group"];

type Form = BTreeMap<String, String>;

pub(crate) async fn token(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let mut answer = match grant(&world, &headers, query.as_deref(), &body).await {
        Ok(minted) => granted(&minted),
        Err(refusal) => refusal.into_response(),
    };
    let no_store = header::HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
    answer
}

fn granted(minted: &Minted) -> Response {
    let body = json!({
        "access_token": minted.token,
        "token_type": "Bearer",
        "expires_in": minted.expires_at.saturating_sub(clock::now()),
        "scope": minted.holder.scope,
    });
    json_answer(StatusCode::OK, &body)
}

async fn grant(world: &World, headers: &HeaderMap, query: Option<&str>, body: &Bytes) -> Result<Minted, OAuthRefusal> {
    let workspace = world.workspace();
    if bearer::right_workspace(&workspace.workspace_id, headers, None).is_err() {
        return Err(OAuthRefusal::invalid_request("The request is for another workspace."));
    }
    if query.is_some() {
        return Err(OAuthRefusal::invalid_request("Parameters belong in the body."));
    }
    let form = read_form(headers, body)?;
    match form.get("grant_type").map(String::as_str) {
        Some(EXCHANGE) => exchange(world, &workspace, headers, &form).await,
        Some(CLIENT_CREDENTIALS) => client_credentials(world, &workspace, headers, &form),
        Some(other) => Err(OAuthRefusal::unsupported_grant(other)),
        None => Err(missing("grant_type")),
    }
}

fn read_form(headers: &HeaderMap, body: &Bytes) -> Result<Form, OAuthRefusal> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let only = types.next().filter(|_| types.next().is_none()).and_then(|value| value.to_str().ok());
    let media_type = only.and_then(|value| value.split(';').next()).unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let why = "Content-Type must be application/x-www-form-urlencoded.";
        return Err(OAuthRefusal::invalid_request(why));
    }
    let pairs = form::unique_pairs(body).map_err(OAuthRefusal::invalid_request)?;
    Ok(pairs.into_iter().collect())
}

async fn exchange(
    world: &World,
    workspace: &Workspace,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Minted, OAuthRefusal> {
    if headers.contains_key(header::AUTHORIZATION) || form.contains_key("client_secret") {
        let why = "Client authentication is not allowed with this grant type.";
        return Err(OAuthRefusal::invalid_request(why));
    }
    only_fields(form, EXCHANGE_FIELDS)?;
    expect(form, "subject_token_type", JWT)?;
    if form.contains_key("requested_token_type") {
        expect(form, "requested_token_type", ACCESS_TOKEN)?;
    }
    let token = required(form, "subject_token")?;
    let scope = required(form, "scope")?;
    let wanted = known_scopes(scope)?;
    if let Some(original) = original_token(world, form, token)? {
        return Ok(original);
    }
    match form.get("client_id") {
        None => {
            let policies = &workspace.account_policies;
            let proven = federation::verify(token, workspace, policies, &world.keys).await?;
            let user = workspace.users.get(&proven.subject);
            let user =
                user.ok_or_else(|| OAuthRefusal::unauthorized_grant("The subject is no user of this account."))?;
            let assume_group = assumed(form, &user.groups)?;
            let holder = Holder { kind: Kind::User, name: proven.subject, scope: scope.into(), assume_group };
            mint(world, workspace, holder, proven.expires_at)
        }
        Some(client_id) => {
            let principal = workspace.service_principals.get(client_id);
            let principal = principal.ok_or_else(|| OAuthRefusal::unauthorized_grant("Unknown service principal."))?;
            let proven = federation::verify(token, workspace, &principal.policies, &world.keys).await?;
            assigned(&wanted, &principal.scopes)?;
            let assume_group = assumed(form, &principal.groups)?;
            let name = client_id.clone();
            let holder = Holder { kind: Kind::ServicePrincipal, name, scope: scope.into(), assume_group };
            mint(world, workspace, holder, proven.expires_at)
        }
    }
}

/// SQL drivers ask for their token back if it is already one of this workspace.
fn original_token(world: &World, form: &Form, token: &str) -> Result<Option<Minted>, OAuthRefusal> {
    match form.get("return_original_token_if_authenticated").map(String::as_str) {
        Some("true") => Ok(world.tokens.accept(token).ok()),
        None | Some("false") => Ok(None),
        Some(_) => {
            let why = "return_original_token_if_authenticated must be true or false.";
            Err(OAuthRefusal::invalid_request(why))
        }
    }
}

fn client_credentials(
    world: &World,
    workspace: &Workspace,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Minted, OAuthRefusal> {
    only_fields(form, CREDENTIALS_FIELDS)?;
    let (client_id, secret) = client(headers, form)?;
    let principal = workspace.service_principals.get(&client_id);
    let principal = principal.filter(|principal| principal.secret.as_ref() == Some(&secret));
    let principal = principal.ok_or_else(OAuthRefusal::invalid_client)?;
    let scope = required(form, "scope")?;
    assigned(&known_scopes(scope)?, &principal.scopes)?;
    let assume_group = assumed(form, &principal.groups)?;
    let expires_at = clock::now().saturating_add(workspace.token_lifetime);
    let holder = Holder { kind: Kind::ServicePrincipal, name: client_id, scope: scope.into(), assume_group };
    mint(world, workspace, holder, expires_at)
}

/// The client's id and secret, from the Basic header or from the form but not from both.
fn client(headers: &HeaderMap, form: &Form) -> Result<(String, String), OAuthRefusal> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(basic) = given.next() else {
        let id = form.get("client_id").ok_or_else(OAuthRefusal::invalid_client)?;
        let secret = form.get("client_secret").ok_or_else(OAuthRefusal::invalid_client)?;
        return Ok((id.clone(), secret.clone()));
    };
    if given.next().is_some() || form.contains_key("client_id") || form.contains_key("client_secret") {
        return Err(OAuthRefusal::invalid_request("The client authenticates in more than one way."));
    }
    let decoded = basic.to_str().ok().and_then(|value| value.strip_prefix("Basic "));
    let decoded = decoded.and_then(|encoded| STANDARD.decode(encoded).ok());
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(OAuthRefusal::invalid_client)?;
    let (id, secret) = decoded.split_once(':').ok_or_else(OAuthRefusal::invalid_client)?;
    Ok((id.to_owned(), secret.to_owned()))
}

fn only_fields(form: &Form, known: &[&str]) -> Result<(), OAuthRefusal> {
    match form.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(OAuthRefusal::invalid_request(format!("Unknown parameter '{unknown}'."))),
        None => Ok(()),
    }
}

fn required<'a>(form: &'a Form, name: &str) -> Result<&'a str, OAuthRefusal> {
    form.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> OAuthRefusal {
    OAuthRefusal::invalid_request(format!("Parameter '{name}' is missing."))
}

fn expect(form: &Form, name: &str, only: &str) -> Result<(), OAuthRefusal> {
    if required(form, name)? == only {
        return Ok(());
    }
    Err(OAuthRefusal::invalid_request(format!("Parameter '{name}' must be {only}.")))
}

fn known_scopes(scope: &str) -> Result<Vec<&str>, OAuthRefusal> {
    let names = scopes::split(scope).ok_or_else(|| OAuthRefusal::invalid_scope("The scope is malformed."))?;
    match names.iter().find(|name| !scopes::is_known(name)) {
        Some(unknown) => Err(OAuthRefusal::invalid_scope(format!("Scope '{unknown}' does not exist."))),
        None => Ok(names),
    }
}

fn assigned(wanted: &[&str], scopes: &[String]) -> Result<(), OAuthRefusal> {
    let missing = scopes::missing(wanted, scopes).join(" ");
    if missing.is_empty() {
        return Ok(());
    }
    Err(OAuthRefusal::access_denied(format!("Scopes '{missing}' are not assigned to the client.")))
}

fn assumed(form: &Form, groups: &[Group]) -> Result<Option<String>, OAuthRefusal> {
    let Some(id) = form.get("assume_group") else { return Ok(None) };
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(OAuthRefusal::invalid_request("assume_group must be a numeric group id."));
    }
    if groups.iter().any(|group| group.id == *id && group.assume) {
        return Ok(Some(id.clone()));
    }
    Err(OAuthRefusal::access_denied(format!("The caller may not assume group {id}.")))
}

fn mint(world: &World, workspace: &Workspace, holder: Holder, expires_at: u64) -> Result<Minted, OAuthRefusal> {
    world.tokens.mint(&workspace.place(), holder, expires_at).map_err(|why| OAuthRefusal {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        error: "server_error",
        description: why,
    })
}
