//! From what the user typed to what the filter needs.
//!
//! [`Settings::parse`] is the only way in: it reads, checks, and reports everything that is wrong at once. A configuration with
//! an error is never used in part.

mod check;
#[cfg(feature = "schema")]
pub mod kong;
#[cfg(feature = "schema")]
mod narrow;
mod raw;
mod read;
#[cfg(feature = "schema")]
pub mod reference;
#[cfg(feature = "schema")]
pub mod schema;

pub use check::Environment;
pub use read::ConfigError;

/// Stands for a secret that is known where the gateway runs, and not where its configuration is checked or explained. It will do for whatever
/// it is for, keys included: it is the key of RFC 6979, A.2.5, which everybody knows.
pub const SET_ELSEWHERE: &str = "-----BEGIN PRIVATE KEY-----
MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCDJr6nYRbp1FmtcIVdn
sdaTTlDD2zbomxJ7imIrEg9nIQ==
-----END PRIVATE KEY-----
";

use crate::audit;
use crate::base::{Fingerprint, Url};
use crate::databricks::Operation;
use crate::jwt::Expectations;
use crate::policy::{Policy, SecretSource, SigningKeySource};
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
    /// Which callers must show a TLS client certificate.
    pub client_certificate: ClientCertificate,
    /// Who the caller is, for the service behind the gateway.
    pub identity_header: Option<IdentityHeader>,
    /// Headers that are the gateway's own.
    pub own_headers: OwnHeaders,
    /// How many requests a caller may send.
    pub quota: Option<Quota>,
    /// Bounds on requests of the gateway's own.
    pub callouts: CalloutLimits,
    /// Bounds on sizes and memory.
    pub limits: Limits,
    /// What is recorded, and where.
    pub audit: audit::Settings,
    /// The names of `kong.ctx.shared` that secrets come from.
    pub shared_secrets: Vec<String>,
}

impl Config {
    /// The provider at which people sign in through the gateway, if there is one.
    #[must_use]
    pub fn login(&self) -> Option<(&Rc<Provider>, &Rc<Login>)> {
        self.providers.iter().find_map(|provider| Some((provider, provider.login.as_ref()?)))
    }
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

/// Whether the values of a claim, a name or a JSON pointer, are addresses of people, as far as its name tells.
#[must_use]
pub fn is_address_claim(claim: &str) -> bool {
    let name = claim.rsplit('/').next().unwrap_or(claim);
    ["email", "mail", "upn", "preferred_username", "unique_name", "username"].contains(&name)
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
    /// How it is asked of tokens.
    pub introspection: Option<Rc<Introspection>>,
    /// How people sign in there, where they do so through the gateway.
    pub login: Option<Rc<Login>>,
    /// The feed that says who of its callers is cut off.
    pub revocation: Option<Rc<Feed>>,
}

/// How people sign in at a provider through the gateway.
#[derive(Debug)]
pub struct Login {
    /// What tells the provider's endpoints from all others: entries that find them in the same place share what was found.
    pub endpoints_id: Fingerprint,
    /// The discovery document that names them.
    pub discovery: Endpoint,
    /// The gateway's client id there.
    pub client_id: String,
    /// Its secret, if it has one.
    pub client_secret: Option<SecretSource>,
    /// The scopes that are asked for, separated by blanks.
    pub scope: String,
}

/// How a provider is asked of tokens (RFC 7662).
#[derive(Debug)]
pub struct Introspection {
    /// Where.
    pub endpoint: Endpoint,
    /// The gateway's client id there.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretSource,
    /// Whether it is asked of every token, not only of those that nothing can be read from.
    pub always: bool,
    /// For how long it counts that a token is in force.
    pub cache: Duration,
}

/// A feed of revoked identities.
#[derive(Debug)]
pub struct Feed {
    /// What tells it from all others: entries that name the same source share what was read.
    pub id: Fingerprint,
    /// Where it is.
    pub endpoint: Endpoint,
    /// What is sent as `Authorization: Bearer`.
    pub authorization: Option<SecretSource>,
    /// How old what was read may become before it is read again.
    pub refresh: Duration,
    /// How old it may become before nobody is let in by it any more; at least [`Feed::refresh`].
    pub max_stale: Duration,
}

/// Which callers must show a TLS client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// None.
    Off,
    /// Those whose token is bound to one (RFC 8705): that one.
    Bound,
    /// All; those whose token is bound to one, that one.
    Required,
}

/// A signed assertion of the caller for the upstream.
#[derive(Debug)]
pub struct IdentityHeader {
    /// The header's name, in lower case.
    pub name: Rc<str>,
    /// The key that signs.
    pub first: SigningKeySource,
    /// Keys that are published too: of before a rotation, or of after.
    pub others: Vec<SigningKeySource>,
    /// The assertion's `aud`.
    pub audience: Option<String>,
    /// How long it is good for.
    pub life: Duration,
    /// Its `iss`.
    pub issuer: String,
}

impl IdentityHeader {
    /// The key that signs.
    #[must_use]
    pub const fn signs_with(&self) -> &SigningKeySource {
        &self.first
    }

    /// All keys, the one that signs first.
    pub fn keys(&self) -> impl Iterator<Item = &SigningKeySource> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// Headers that are the gateway's own by configuration, their names in lower case: no client's passes.
#[derive(Clone, Debug, Default)]
pub struct OwnHeaders {
    /// Holds the assertion of the caller.
    pub identity: Option<Rc<str>>,
    /// Holds the client certificate that a TLS terminator before the gateway was shown (RFC 9440).
    pub certificate: Option<Rc<str>>,
}

impl OwnHeaders {
    /// Whether a header of this name, folded, is one of them.
    #[must_use]
    pub fn has(&self, folded: &str) -> bool {
        [&self.identity, &self.certificate].into_iter().flatten().any(|name| &**name == folded)
    }
}

/// How many requests a caller may send.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// What is counted.
    pub per: QuotaPer,
    /// As many at once, and within each window.
    pub requests: u64,
    /// The time in which all of them come back.
    pub window: Duration,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaPer {
    /// Those of a subject of an identity provider.
    Subject,
    /// Those that a role lets on.
    Role,
    /// Those of an agent, whoever it acts for.
    Agent,
}

impl QuotaPer {
    /// As the configuration names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Role => "role",
            Self::Agent => "agent",
        }
    }
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

impl Limits {
    /// The longest body that is looked at of a request of `operation`.
    #[must_use]
    pub fn body_of(&self, operation: Option<Operation>) -> usize {
        if operation.is_some_and(Operation::brings_a_prompt) { self.prompt_bytes } else { self.body_bytes }
    }
}

/// Bounds on sizes and memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest token that is looked at.
    pub token_bytes: usize,
    /// The longest body that is looked at.
    pub body_bytes: usize,
    /// The longest prompt, or message to an MCP server, that is looked at.
    pub prompt_bytes: usize,
    /// How many Databricks tokens are kept.
    pub cached_tokens: usize,
}
