//! What identity providers and transmitters send.

use super::{App, bytes, for_now, json_answer, shows};
use crate::config::SourceType;
use crate::poll::error_body;
use crate::receive::{Accepted, Refused};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// OpenID Connect Back-Channel Logout 1.0, 2.5 to 2.8.
pub(super) async fn logout(State(app): State<App>, headers: HeaderMap, body: Body) -> Response {
    if !is_of_type(&headers, "application/x-www-form-urlencoded") {
        return oauth_error("the body must be of type application/x-www-form-urlencoded");
    }
    let body = match bytes(body).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let mut tokens = form_urlencoded::parse(&body).filter(|(name, _)| name == "logout_token").map(|(_, value)| value);
    let (Some(token), None) = (tokens.next(), tokens.next()) else {
        return oauth_error("the body must have `logout_token`, once");
    };
    let taken = match app.receiver.source(SourceType::BackchannelLogout, token.as_bytes()) {
        Ok(source) => app.receiver.take(source, token.as_bytes()).await,
        Err(error) => Err(error),
    };
    match taken {
        Ok(Accepted::Kept | Accepted::Ignored) => StatusCode::OK.into_response(),
        Ok(Accepted::Known) => oauth_error("a logout token with this `jti` was received before"),
        Err(error) if error.is_for_now() => for_now("the token cannot be taken for now"),
        Err(error) => oauth_error(&error.to_string()),
    }
}

fn oauth_error(description: &str) -> Response {
    json_answer(StatusCode::BAD_REQUEST, &json!({"error": "invalid_request", "error_description": description}))
}

/// RFC 8935, 2.
pub(super) async fn push(State(app): State<App>, headers: HeaderMap, body: Body) -> Response {
    if !is_of_type(&headers, "application/secevent+jwt") {
        return push_error(&json!({
            "err": "invalid_request", "description": "the body must be of type application/secevent+jwt",
        }));
    }
    let body = match bytes(body).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let token = body.trim_ascii();
    let source = match app.receiver.source(SourceType::SecurityEvents, token) {
        Ok(source) => source,
        Err(error) => return refused(&error),
    };
    if !shows(source.push.as_ref(), &headers) {
        app.metrics.unauthorized.inc();
        return push_error(&json!({"err": "authentication_failed", "description": "the secret is missing or wrong"}));
    }
    match app.receiver.take(source, token).await {
        // one that came before is acknowledged again: the first answer may have been lost
        Ok(_) => StatusCode::ACCEPTED.into_response(),
        Err(error) => refused(&error),
    }
}

fn refused(error: &Refused) -> Response {
    if error.is_for_now() { for_now("the event cannot be taken for now") } else { push_error(&error_body(error)) }
}

fn push_error(body: &serde_json::Value) -> Response {
    let mut answer = json_answer(StatusCode::BAD_REQUEST, body);
    answer.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    answer
}

/// Whether the body is said to be of that media type, parameters aside.
fn is_of_type(headers: &HeaderMap, wanted: &str) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(said), None) = (types.next(), types.next()) else { return false };
    let essence = said.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(wanted)
}
