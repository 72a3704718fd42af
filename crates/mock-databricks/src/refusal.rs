//! Refusals as Databricks words them (databricks.md 1.1 and 2.5).

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub(crate) const REASON: HeaderName = HeaderName::from_static("x-databricks-reason-phrase");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// A JSON answer with the content type that Databricks gives it.
pub(crate) fn json_answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
}

/// A refusal of the REST API.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error_code: Value,
    message: String,
    reason: Option<&'static str>,
    challenge: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, error_code: Value, message: impl Into<String>) -> Self {
        Self { status, error_code, message: message.into(), reason: None, challenge: None }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// No credential, an unsupported one, or (in this mock) one that was revoked.
    pub(crate) fn no_credential(request_id: &str) -> Self {
        const WHY: &str = "Credential was not sent or was of an unsupported type for this API.";
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, json!(401), format!("{WHY} [ReqId: {request_id}]"));
        refusal.reason = Some(WHY);
        refusal.challenge = Some("Bearer realm=\"DatabricksRealm\"".into());
        refusal
    }

    /// A bearer token that this workspace did not mint, or an expired one.
    pub(crate) fn invalid_token() -> Self {
        const WHY: &str = "Invalid access token.";
        let mut refusal = Self::new(StatusCode::FORBIDDEN, json!(403), WHY);
        refusal.reason = Some(WHY);
        refusal
    }

    pub(crate) fn scope(needed: &str) -> Self {
        let message = format!("Provided OAuth token does not have required scopes: {needed}");
        let mut refusal = Self::new(StatusCode::FORBIDDEN, json!(403), message);
        refusal.reason = Some("Provided OAuth token does not have required scopes.");
        refusal.challenge = Some(format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\""));
        refusal
    }

    pub(crate) fn permission_denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, json!("PERMISSION_DENIED"), message)
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, json!("INVALID_PARAMETER_VALUE"), message)
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, json!("MALFORMED_REQUEST"), message)
    }

    pub(crate) fn absent(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, json!("RESOURCE_DOES_NOT_EXIST"), message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, json!("RESOURCE_ALREADY_EXISTS"), message)
    }

    pub(crate) fn not_empty(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, json!("DIRECTORY_NOT_EMPTY"), message)
    }

    pub(crate) fn no_endpoint(method: &str, path: &str) -> Self {
        let message = format!("No API found for '{method} {path}'");
        Self::new(StatusCode::NOT_FOUND, json!("ENDPOINT_NOT_FOUND"), message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = json_answer(self.status, &json!({ "error_code": self.error_code, "message": self.message }));
        if let Some(reason) = self.reason {
            answer.headers_mut().insert(REASON, HeaderValue::from_static(reason));
        }
        if let Some(Ok(challenge)) = self.challenge.map(HeaderValue::try_from) {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}

/// A refusal of the token endpoint.
#[derive(Debug)]
pub(crate) struct OAuthRefusal {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: String,
}

impl OAuthRefusal {
    fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into() }
    }

    pub(crate) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    pub(crate) fn invalid_grant(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    /// A missing policy or principal, or a subject token that has expired.
    pub(crate) fn unauthorized_grant(description: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_grant", description)
    }

    pub(crate) fn invalid_client() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", "Client authentication failed")
    }

    pub(crate) fn unsupported_grant(grant: &str) -> Self {
        let description = format!("Grant type '{grant}' is not supported.");
        Self::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", description)
    }

    pub(crate) fn invalid_scope(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", description)
    }

    pub(crate) fn access_denied(description: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "access_denied", description)
    }
}

impl IntoResponse for OAuthRefusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut answer = json_answer(self.status, &body);
        if self.error == "invalid_client" {
            let basic = HeaderValue::from_static("Basic realm=\"DatabricksRealm\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        }
        answer
    }
}
