//! What a provider's token endpoint said (RFC 6749 sections 5.1 and 5.2), and what of it the client gets.

use super::super::callout::CalloutReply;
use super::super::refusal::Reply;
use crate::base::{Fingerprint, Secret, UnixTime, parse_object_strict};
use crate::exchange::{SharedSecrets, read_retry_after};
use crate::jwt::Caller;
use serde_json::{Map, Value};
use std::time::Duration;

const JSON_DEPTH: usize = 8;
/// Longer texts are no tokens.
const LONGEST_TOKEN: usize = 16 * 1024;
const LONGEST_SCOPE: usize = 4096;
/// What is said of a request for tokens (RFC 6749 section 5.2). Providers have more words; to a client all of those mean that the person
/// has to sign in again.
const CODES: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

/// Tokens that a provider has granted, which nobody gets before the access token was verified.
#[derive(Debug)]
pub(in crate::flow) struct Granted {
    /// The provider that granted them, and nobody else's token is taken.
    pub(in crate::flow) provider: Fingerprint,
    /// The secrets that the client's request came with.
    pub(in crate::flow) shared: SharedSecrets,
    pub(super) tokens: Tokens,
}

/// The parts of the answer that mean something.
#[derive(Debug)]
pub(super) struct Tokens {
    refresh_token: Option<Secret<String>>,
    expires_in: Option<u64>,
    scope: Option<String>,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotGranted {
    #[error("it is refused: `{0}`")]
    Refused(&'static str),
    #[error("status {status}, which asks for a pause")]
    Throttled { status: u16, retry_after: Duration },
    #[error("status {0}")]
    Status(u16),
    #[error("the answer {0}")]
    Unusable(&'static str),
}

/// Reads an answer: the access token, and what came with it.
pub(super) fn read(reply: &CalloutReply) -> Result<(Secret<String>, Tokens), NotGranted> {
    match reply.status {
        200 => read_tokens(&reply.body).map_err(NotGranted::Unusable),
        400 | 401 | 403 => Err(read_refusal(&reply.body, reply.status)),
        // without `Retry-After` a 503 is as good as no answer, and what Envoy makes of none
        503 if reply.header("retry-after").is_none() => Err(NotGranted::Status(503)),
        status @ (429 | 503) => {
            Err(NotGranted::Throttled { status, retry_after: read_retry_after(reply.header("retry-after")) })
        }
        status => Err(NotGranted::Status(status)),
    }
}

fn read_tokens(body: &[u8]) -> Result<(Secret<String>, Tokens), &'static str> {
    let object = parse_object_strict(body, JSON_DEPTH).map_err(|_| "is no JSON object")?;
    let there = |name: &str| object.get(name).filter(|value| !value.is_null());
    let text = |name: &str| there(name).map(|value| value.as_str().unwrap_or_default());
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err("has no `token_type` of a bearer token");
    }
    let access_token = text("access_token").filter(|token| is_token(token)).ok_or("has no `access_token`")?;
    let refresh_token = match text("refresh_token") {
        Some(token) if is_token(token) => Some(Secret::new(token.to_owned())),
        Some(_) => return Err("has a `refresh_token` that is none"),
        None => None,
    };
    let expires_in = object.get("expires_in").and_then(read_life);
    let scope = text("scope").filter(|scope| is_scope(scope)).map(str::to_owned);
    Ok((Secret::new(access_token.to_owned()), Tokens { refresh_token, expires_in, scope }))
}

fn is_token(text: &str) -> bool {
    (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_scope(text: &str) -> bool {
    (1..=LONGEST_SCOPE).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A number, or a string with one, as some providers write it.
fn read_life(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn read_refusal(body: &[u8], status: u16) -> NotGranted {
    let Ok(object) = parse_object_strict(body, JSON_DEPTH) else { return NotGranted::Status(status) };
    match object.get("error").and_then(Value::as_str) {
        None => NotGranted::Status(status),
        Some("temporarily_unavailable" | "server_error") => NotGranted::Status(status),
        Some(error) => {
            let known = CODES.iter().find(|code| **code == error);
            NotGranted::Refused(known.copied().unwrap_or("invalid_grant"))
        }
    }
}

impl Granted {
    /// The answer to the client: the verified token, and how it gets the next.
    pub(in crate::flow) fn reply(&self, caller: &Caller, now: UnixTime) -> Reply {
        let Tokens { refresh_token, expires_in, scope } = &self.tokens;
        let left = caller.expires_at().since(now).as_secs();
        let mut body = Map::new();
        let mut add = |name: &str, value: Value| body.insert(name.to_owned(), value);
        add("access_token", Value::from(caller.token().expose().as_str()));
        add("token_type", Value::from("Bearer"));
        // a client that is told more would show the token when it has ended
        add("expires_in", Value::from(expires_in.unwrap_or(left).min(left)));
        if let Some(token) = refresh_token {
            add("refresh_token", Value::from(token.expose().as_str()));
        }
        if let Some(scope) = scope {
            add("scope", Value::from(scope.as_str()));
        }
        Reply::json(200, &Value::Object(body))
    }
}
