//! What is sent to a token endpoint.

use crate::base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A request to the token endpoint: a form body and, for a client's own credential, HTTP Basic authentication.
#[derive(Debug)]
pub struct TokenForm {
    /// The `application/x-www-form-urlencoded` body.
    pub body: Secret<String>,
    /// The value of the `Authorization` header.
    pub authorization: Option<Secret<String>>,
}

impl Default for TokenForm {
    fn default() -> Self {
        Self { body: Secret::new(String::new()), authorization: None }
    }
}

/// The value of `Authorization` by which a client shows its secret: both parts are form-encoded before they are joined (RFC 6749 section
/// 2.3.1).
#[must_use]
pub fn client_secret_basic(client_id: &str, secret: &Secret<String>) -> Secret<String> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}
