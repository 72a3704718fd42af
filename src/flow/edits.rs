//! What is changed in a request before it goes on.

use super::identity::Assertion;
use super::request::Routed;
use super::request_id::MARK;
use crate::base::{Label, Secret};
use crate::config::Config;
use crate::exchange::Authorized;
use std::borrow::Cow;

/// Headers to set before a request goes on. The caller's own credentials are already gone.
///
/// Made from an [`Authorized`] and nothing less, so a request that was not checked has no edits to go on with.
#[derive(Debug)]
pub struct Edits {
    headers: Vec<(Cow<'static, str>, Secret<Value>)>,
    bodiless: bool,
}

/// A header's value.
enum Value {
    Text(String),
    Bytes(Vec<u8>),
    Known(Label),
}

impl Edits {
    pub(super) fn new(authorized: Authorized, assertion: Option<Assertion>, routed: &Routed, config: &Config) -> Self {
        let mut headers = Vec::with_capacity(4);
        let mut set = |name: Cow<'static, str>, value: Secret<Value>| headers.push((name, value));
        if let Some(id) = &config.workspace.id {
            set("x-databricks-org-id".into(), Secret::new(Value::Known(id.as_str().into())));
        }
        set("user-agent".into(), Secret::new(Value::Bytes(stamped(routed))));
        if let Some(value) = authorized.into_authorization() {
            set("authorization".into(), value.map(Value::Text));
        }
        if let Some(Assertion { name, value }) = assertion {
            set(name.to_string().into(), value.map(Value::Text));
        }
        Self { headers, bodiless: routed.bodiless }
    }

    /// Whether the request must not turn out to have a body.
    #[must_use]
    pub const fn is_bodiless(&self) -> bool {
        self.bodiless
    }

    /// Each header's name, and the value that replaces whatever the request has.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (&**name, value.expose().as_bytes()))
    }
}

/// The client's `User-Agent` and a mark by which Databricks' own audit can be joined.
fn stamped(routed: &Routed) -> Vec<u8> {
    let (mark, id) = (MARK.as_bytes(), routed.id.as_str().as_bytes());
    match &routed.seen.user_agent {
        Some(agent) if !agent.is_empty() => [agent, &b" "[..], mark, id].concat(),
        _ => [mark, id].concat(),
    }
}

impl Value {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::Known(text) => text.as_bytes(),
        }
    }
}
