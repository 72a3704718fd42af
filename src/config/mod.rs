//! From what the user typed to what the filter needs.
//!
//! [`Settings::parse`] is the only way in: it reads, checks, and reports everything that is wrong at once. A configuration with
//! an error is never used in part.

mod check;
#[cfg(feature = "schema")]
pub mod kong;
#[cfg(feature = "schema")]
mod narrow;
#[expect(dead_code, reason = "keys of the contract that `check` refuses until they are built; the schema has them")]
mod raw;
mod read;
#[cfg(feature = "schema")]
pub mod reference;
#[cfg(feature = "schema")]
pub mod schema;

pub use read::ConfigError;

use crate::audit;
use crate::base::{Fingerprint, Url};
use crate::jwt::Expectations;
use crate::policy::Policy;
use std::rc::Rc;
use std::time::Duration;

/// What one entry of the filter is configured to do.
#[derive(Clone, Debug)]
pub enum Settings {
    /// Verify, decide, exchange, rewrite.
    Enforce(Rc<Config>),
    /// Refuse every request that an entry before this one did not mark as allowed.
    Guard,
}

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// Of all that was configured: two configurations with the same digest are the same.
    pub digest: Fingerprint,
    /// The Databricks workspace behind the route.
    pub workspace: Workspace,
    /// The identity providers whose tokens are accepted.
    pub providers: Vec<Rc<Provider>>,
    /// What decisions are made by.
    pub policy: Policy,
    /// Bounds on requests of the gateway's own.
    pub callouts: CalloutLimits,
    /// Bounds on sizes and memory.
    pub limits: Limits,
    /// What is recorded, and where.
    pub audit: audit::Settings,
    /// The names of `kong.ctx.shared` that secrets come from.
    pub shared_secrets: Vec<String>,
}

/// The Databricks workspace behind the route.
#[derive(Debug)]
pub struct Workspace {
    /// Its address.
    pub url: Url,
    /// Its numeric id.
    pub id: Option<String>,
    /// The account's id, shown to clients.
    pub account_id: Option<String>,
    /// The cloud's name, shown to clients.
    pub cloud: Option<&'static str>,
    /// How clients reach the gateway.
    pub public_url: Option<Url>,
    /// Its address and where its tokens come from: no two workspaces have the same.
    pub identity: String,
    /// Where tokens are exchanged.
    pub token_endpoint: Endpoint,
}

/// Where a callout goes.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address.
    pub url: Url,
    /// The cluster's name, on hosts that dispatch by it.
    pub upstream: Option<String>,
}

/// An identity provider.
#[derive(Debug)]
pub struct Provider {
    /// What tells it from every other entry of every other configuration.
    pub id: Fingerprint,
    /// Its name in audit records and in roles.
    pub name: Rc<str>,
    /// What its tokens must satisfy.
    pub expectations: Expectations,
    /// Where its keys are.
    pub keys: KeySource,
    /// What tells its keys from all others: entries that name the same source share them.
    pub keys_id: Fingerprint,
    /// Whether its keys may come over plain http from anywhere.
    pub allow_http: bool,
    /// How long known keys serve once they should have been refreshed and could not be.
    pub keys_max_stale: Duration,
}

/// Where a provider's keys are.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// At this JWKS address.
    Jwks(Endpoint),
    /// At the `jwks_uri` of this discovery document (OpenID Connect Discovery 1.0).
    Discovery(Endpoint),
}

/// Bounds on requests of the gateway's own.
#[derive(Clone, Copy, Debug)]
pub struct CalloutLimits {
    /// For one try.
    pub timeout: Duration,
    /// Tries for one need.
    pub attempts: u32,
    /// Whether plain http is allowed to hosts that are not loopback.
    pub allow_http: bool,
}

impl CalloutLimits {
    /// How long all tries for one need may take together.
    #[must_use]
    pub const fn total(&self) -> Duration {
        self.timeout.saturating_mul(self.attempts)
    }
}

/// Bounds on sizes and memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest token that is looked at.
    pub token_bytes: usize,
    /// The longest body that is looked at.
    pub body_bytes: usize,
    /// How many Databricks tokens are kept.
    pub cached_tokens: usize,
}
