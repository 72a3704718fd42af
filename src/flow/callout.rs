//! Requests of the gateway's own: to identity providers and token endpoints.

use super::request_id::RequestId;
use crate::base::{Secret, Url};
use crate::config::{Config, Endpoint};
use crate::exchange::{RunLookup, TokenForm};
use std::time::Duration;

/// A request that the host is to send.
#[derive(Debug)]
pub struct Callout {
    /// Where to; its path is the request's target.
    pub url: Url,
    /// The cluster's name, on hosts that dispatch by it.
    pub upstream: Option<String>,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Header names and values, pseudo-headers not among them.
    pub headers: Vec<(&'static str, Secret<String>)>,
    /// The body; empty for none.
    pub body: Secret<String>,
    /// For how long to wait.
    pub timeout: Duration,
}

impl Callout {
    pub(super) fn get(url: Url, upstream: Option<String>, config: &Config) -> Self {
        let headers = vec![("accept", "application/json")];
        Self::new(url, upstream, "GET", headers, Secret::new(String::new()), config)
    }

    pub(super) fn token_request(endpoint: &Endpoint, form: TokenForm, config: &Config) -> Self {
        let headers = vec![("accept", "application/json"), ("content-type", "application/x-www-form-urlencoded")];
        let Endpoint { url, upstream } = endpoint.clone();
        let mut callout = Self::new(url, upstream, "POST", headers, form.body, config);
        callout.headers.extend(form.authorization.map(|value| ("authorization", value)));
        callout
    }

    /// Asks the workspace which job a run belongs to (Databricks REST reference, Get a single job run), with the marks of the request
    /// that it is for.
    pub(super) fn run_lookup(lookup: &RunLookup, id: &RequestId, config: &Config) -> Self {
        let workspace = &config.workspace;
        let run = lookup.permit().run_to_look_up().unwrap_or_default();
        let url = workspace.url.with_path(&format!("/api/2.2/jobs/runs/get?run_id={run}"));
        let mut callout = Self::get(url, workspace.token_endpoint.upstream.clone(), config);
        callout.headers.retain(|(name, _)| *name != "user-agent");
        callout.headers.push(("user-agent", Secret::new(id.mark())));
        callout.headers.extend(workspace.id.iter().map(|id| ("x-databricks-org-id", Secret::new(id.clone()))));
        callout.headers.extend(lookup.authorization().map(|value| ("authorization", value.clone())));
        callout
    }

    /// Whether there is a body to send.
    #[must_use]
    pub fn has_body(&self) -> bool {
        !self.body.expose().is_empty()
    }

    fn new(
        url: Url,
        upstream: Option<String>,
        method: &'static str,
        headers: Vec<(&'static str, &str)>,
        body: Secret<String>,
        config: &Config,
    ) -> Self {
        let agent = ("user-agent", concat!("databricks-kong/", env!("CARGO_PKG_VERSION")));
        let headers = headers.into_iter().chain([agent]);
        let headers = headers.map(|(name, value)| (name, Secret::new(value.to_owned()))).collect();
        Self { url, upstream, method, headers, body, timeout: config.callouts.timeout }
    }
}

/// What came back.
pub type CalloutResult = Result<CalloutReply, CalloutFault>;

/// An answer, whatever its status.
#[derive(Clone)]
pub struct CalloutReply {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
    /// The `Cache-Control` header.
    pub cache_control: Option<String>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for CalloutReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // bodies hold tokens
        f.debug_struct("CalloutReply").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalloutFault {
    /// The host did not send the request, or lost the answer; its word for the cause, if it has one.
    #[error("no answer ({0})")]
    Failed(String),
    /// An answer of which a part is missing.
    #[error("the answer was cut off")]
    Truncated,
}
