//! What is sent to a token endpoint.

use crate::base::Secret;

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
