//! The endpoints that the gateway answers itself, so that the official Databricks clients work with it as their host.

use super::ReadBody;
use super::login::{Fields, Grant};
use super::refusal::{Refusal, Reply};
use super::request::Routed;
use crate::base::{Reason, Secret, UnixTime, sort};
use crate::config::Config;
use crate::databricks::read_form;
use crate::jwt::Caller;
use serde_json::{Value, json};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Where clients exchange tokens.
pub(super) const TOKEN_PATH: &str = "/oidc/v1/token";
/// Where clients send people to sign in.
pub(super) const AUTHORIZE_PATH: &str = "/oidc/v1/authorize";
const OWN: &str = "/.well-known/databricks-kong/";
/// Where services find the keys to identity assertions.
const KEYS_PATH: &str = "/.well-known/databricks-kong/jwks.json";
const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// What the gateway answers itself.
#[derive(Debug)]
pub(super) enum OwnEndpoint {
    Document(Document),
    /// The keys to what the gateway signs.
    Keys,
    /// Somebody wants to sign in.
    Authorize,
    /// A client wants tokens for something.
    Token,
}

/// What a client brings to the token endpoint.
pub(super) enum Brought {
    /// A token of the caller's, to be exchanged (RFC 8693).
    Token(Secret<String>),
    /// What it has of a sign-in.
    Grant(Grant),
}

/// A public document.
#[derive(Debug)]
pub(super) enum Document {
    /// `/.well-known/databricks-config`
    DatabricksConfig,
    /// RFC 8414
    AuthorizationServer,
    /// RFC 9728, of the resource at this path
    ProtectedResource(String),
}

/// Which endpoint of the gateway the request is for, if any.
pub(super) fn find(routed: &Routed, config: &Config) -> Result<Option<OwnEndpoint>, Refusal> {
    let document = match (routed.method.as_str(), routed.target.path()) {
        ("POST", TOKEN_PATH) => return Ok(Some(OwnEndpoint::Token)),
        ("GET", AUTHORIZE_PATH) if config.login().is_some() => return Ok(Some(OwnEndpoint::Authorize)),
        // whoever signs in at the gateway has nothing to look for at the workspace's endpoints
        (_, TOKEN_PATH | AUTHORIZE_PATH) if config.login().is_some() => return Err(Refusal::NotFound),
        ("GET" | "HEAD", KEYS_PATH) => return Ok(Some(OwnEndpoint::Keys)),
        (_, path) if path.starts_with(OWN) => return Err(Refusal::NotFound),
        ("GET" | "HEAD", "/.well-known/databricks-config") => Document::DatabricksConfig,
        ("GET" | "HEAD", "/oidc/.well-known/oauth-authorization-server" | "/oidc/.well-known/openid-configuration") => {
            Document::AuthorizationServer
        }
        ("GET" | "HEAD", path) => match path.strip_prefix(PROTECTED_RESOURCE) {
            Some(resource) if resource.is_empty() || resource.starts_with('/') => {
                Document::ProtectedResource(resource.to_owned())
            }
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(OwnEndpoint::Document(document)))
}

impl Document {
    pub(super) fn reply(&self, routed: &Routed, config: &Config) -> Reply {
        let base = public_base(routed, config);
        Reply::json(
            200,
            &match self {
                Self::DatabricksConfig => databricks_config(&base, config),
                Self::AuthorizationServer => authorization_server(&base, config),
                Self::ProtectedResource(path) => json!({
                    "resource": format!("{base}{path}"),
                    "authorization_servers": issuers(config),
                    "bearer_methods_supported": ["header"],
                    "scopes_supported": ["openid"],
                }),
            },
        )
    }
}

fn authorization_server(base: &str, config: &Config) -> Value {
    let mut document = json!({
        "issuer": format!("{base}/oidc"),
        "token_endpoint": format!("{base}{TOKEN_PATH}"),
        "grant_types_supported": [TOKEN_EXCHANGE],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
        "scopes_supported": ["all-apis", "sql"],
    });
    if let (Some(object), Some(_)) = (document.as_object_mut(), config.login()) {
        let grants = json!(["authorization_code", "refresh_token", TOKEN_EXCHANGE]);
        let members = [
            ("authorization_endpoint", Value::from(format!("{base}{AUTHORIZE_PATH}"))),
            ("grant_types_supported", grants),
            ("response_types_supported", json!(["code"])),
            ("code_challenge_methods_supported", json!(["S256"])),
            ("scopes_supported", json!(["all-apis", "sql", "offline_access"])),
        ];
        object.extend(members.map(|(name, value)| (name.to_owned(), value)));
    }
    document
}

fn issuers(config: &Config) -> Vec<&str> {
    config.providers.iter().map(|provider| &*provider.expectations.issuer).collect()
}

fn databricks_config(base: &str, config: &Config) -> Value {
    let audiences = config.providers.iter().flat_map(|provider| provider.expectations.audiences.iter());
    let mut audiences: Vec<_> = audiences.map(String::as_str).collect();
    sort(&mut audiences);
    audiences.dedup();
    let mut document = json!({
        "oidc_endpoint": format!("{base}/oidc"),
        "host_type": "workspace",
        "token_federation_default_oidc_audiences": audiences,
    });
    let workspace = &config.workspace;
    let optional = [
        ("workspace_id", workspace.id.as_deref()),
        ("account_id", workspace.account_id.as_deref()),
        ("cloud", workspace.cloud),
    ];
    if let Some(object) = document.as_object_mut() {
        let present = optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::from(value?))));
        object.extend(present);
    }
    document
}

/// How clients reach the gateway: as configured, else as this client did.
fn public_base(routed: &Routed, config: &Config) -> String {
    if let Some(url) = &config.workspace.public_url {
        return url.base();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    let scheme = if routed.seen.scheme.as_deref() == Some(b"http") { "http" } else { "https" };
    let host = routed.seen.host.as_deref().filter(|host| host.bytes().all(plain)).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// What a client brings to `POST /oidc/v1/token`, or the answer to a request for something else.
pub(super) fn brought(routed: &Routed, body: ReadBody, config: &Config) -> Result<Result<Brought, Reply>, Refusal> {
    let body = match body {
        ReadBody::Whole(body) => body,
        ReadBody::TooLong => return Err(Refusal::BodyTooLarge),
        ReadBody::Unreadable => return Err(Refusal::BodyUnreadable),
    };
    let is_form = routed.seen.content_type.as_deref().is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    let text = std::str::from_utf8(&body).ok().filter(|_| is_form).ok_or(Refusal::BodyUnreadable)?;
    let form = read_form(text).map_err(|_| Refusal::BodyUnreadable)?;
    Ok(read_brought(&Fields::of(&form), routed, config))
}

fn read_brought(fields: &Fields<'_>, routed: &Routed, config: &Config) -> Result<Brought, Reply> {
    let kind = fields.get("grant_type")?;
    if kind == Some(TOKEN_EXCHANGE) {
        return subject_token(fields).map(Brought::Token);
    }
    match config.login().and_then(|_| Grant::read(kind, fields)) {
        // RFC 6749 section 3.2: where others write down what was asked for there must be no secrets
        Some(_) if !routed.target.parameters().is_empty() => {
            Err(oauth_error("invalid_request", "the address must not have a query; parameters belong into the form"))
        }
        Some(grant) => grant.map(Brought::Grant),
        None => Err(unsupported_grant(config.login().is_some())),
    }
}

fn subject_token(fields: &Fields<'_>) -> Result<Secret<String>, Reply> {
    if fields.get("subject_token_type")? != Some(JWT) {
        return Err(oauth_error("invalid_request", "`subject_token_type` must be that of a jwt"));
    }
    match fields.get("subject_token")? {
        Some(token) => Ok(Secret::new(token.to_owned())),
        None => Err(oauth_error("invalid_request", "`subject_token` is missing")),
    }
}

/// The caller's own token, verified and handed back: clients that exchange it by themselves go on with it, and a Databricks token
/// never leaves the gateway.
pub(super) fn echo(caller: &Caller, now: UnixTime) -> Reply {
    Reply::json(
        200,
        &json!({
            "access_token": caller.token().expose(),
            "issued_token_type": JWT,
            "token_type": "Bearer",
            "expires_in": caller.expires_at().since(now).as_secs(),
        }),
    )
}

/// `signs_in`: whether people sign in here.
pub(super) fn unsupported_grant(signs_in: bool) -> Reply {
    let which = if signs_in {
        "only the authorization_code, refresh_token and token-exchange (rfc 8693) grants are answered here"
    } else {
        "only the token-exchange grant (rfc 8693) is answered here"
    };
    oauth_error("unsupported_grant_type", which)
}

/// A refusal with OAuth's `error` beside the usual members, since the client is one that speaks OAuth (RFC 6749 section 5.2).
pub(super) fn refused_exchange(mut reply: Reply) -> Reply {
    let error = match reply.status {
        401 => "invalid_grant",
        400 | 413 => "invalid_request",
        503 => "temporarily_unavailable",
        _ => "server_error",
    };
    if let Ok(Value::Object(mut body)) = serde_json::from_slice(&reply.body) {
        body.insert("error".to_owned(), Value::from(error));
        let description = body.get("message").cloned().unwrap_or_default();
        body.insert("error_description".to_owned(), description);
        reply.body = Value::Object(body).to_string().into_bytes();
    }
    reply
}

/// A refusal in OAuth's form alone (RFC 6749 section 5.2).
pub(super) fn oauth_error(error: &str, description: &str) -> Reply {
    let reason = Reason::GrantRefused;
    let body = json!({ "error": error, "error_description": description });
    Reply { reason: Some(reason), ..Reply::json(reason.status(), &body) }
}
