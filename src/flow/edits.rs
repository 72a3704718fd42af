//! What is changed in a request before it goes on.

use super::identity::Assertion;
use super::request::Routed;
use crate::base::Secret;
use crate::config::Config;
use crate::exchange::Authorized;
use std::borrow::Cow;

/// Headers to set before a request goes on. The caller's own credentials are already gone.
///
/// Made from an [`Authorized`] and nothing less, so a request that was not checked has no edits to go on with.
#[derive(Debug)]
pub struct Edits {
    headers: Vec<(Cow<'static, str>, Secret<Vec<u8>>)>,
    bodiless: bool,
}

impl Edits {
    pub(super) fn new(authorized: Authorized, assertion: Option<Assertion>, routed: &Routed, config: &Config) -> Self {
        let mut headers = Vec::with_capacity(4);
        let mut set = |name: Cow<'static, str>, value: Vec<u8>| headers.push((name, Secret::new(value)));
        if let Some(id) = &config.workspace.id {
            set("x-databricks-org-id".into(), id.clone().into_bytes());
        }
        set("user-agent".into(), stamped(routed));
        if let Some(value) = authorized.authorization() {
            set("authorization".into(), value.expose().clone().into_bytes());
        }
        if let Some(Assertion { name, value }) = assertion {
            set(name.to_string().into(), value.expose().clone().into_bytes());
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
        self.headers.iter().map(|(name, value)| (&**name, value.expose().as_slice()))
    }
}

/// The client's `User-Agent` and a mark by which Databricks' own audit can be joined.
fn stamped(routed: &Routed) -> Vec<u8> {
    let mark = routed.id.mark();
    match &routed.seen.user_agent {
        Some(agent) if !agent.is_empty() => [agent.as_slice(), b" ", mark.as_bytes()].concat(),
        _ => mark.into_bytes(),
    }
}
