//! databricks-kong lets callers into Databricks with the identity that their company's identity provider vouches for.
//!
//! This is the core that the filter, the plugin and the command line tool share. It has no host, no clock and no I/O: time is an argument, and
//! whatever has to be fetched is asked for in a return value. So two hosts cannot decide differently.
//!
//! | module | what it does |
//! |---|---|
//! | [`base`] | checked values that all others use: times, secrets that cannot be printed, URLs, bounded caches |
//! | [`jwt`] | a token's bytes, a key set and a time become a verified [`Caller`](jwt::Caller), or the reason why not |
//! | [`databricks`] | which operation a request is, and which jobs, tables, paths it names; the catalogue and the SQL scanner |
//! | [`policy`] | a caller and an action become a [`Permit`](policy::Permit), a denial, or a question |
//! | [`exchange`] | a permit becomes a token request, and its answer a Databricks token |
//! | [`audit`] | what is recorded of a request |
//! | [`config`] | a configuration's text becomes a checked [`Config`](config::Config), or all of its errors |
//! | [`flow`] | one request from its head to its end: an event goes in, a step comes out |
//! | [`sim`] | runs a flow in a scripted world, for tests and for `databricks-kong explain` |
//!
//! A module imports only from the left, and a test holds it to that:
//!
//! ```text
//! base <- jwt, databricks <- policy, revocation <- exchange, audit <- config <- flow <- sim, wasm, ffi
//! ```
//!
//! Steps that must not be left out are types. Only [`jwt::verify`] makes a `Caller`, only [`policy::authorize`] a `Permit`, and no credential is
//! given out without one.
//!
//! # Deciding a request
//!
//! ```
//! use databricks_kong::base::{Secret, UnixTime};
//! use databricks_kong::config::{SET_ELSEWHERE, Settings};
//! use databricks_kong::databricks::Target;
//! use databricks_kong::jwt::{KeySet, SigningKey, UnverifiedToken, verify};
//! use databricks_kong::policy::{Action, Ask, Body, Outcome, authorize};
//! use serde_json::json;
//! use std::rc::Rc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let configuration = json!({
//!     "workspace": {"url": "https://adb-7405619408829168.8.azuredatabricks.net"},
//!     "identity_providers": [{"name": "okta", "issuer": "https://example.okta.com/oauth2/default", "audiences": ["databricks"]}],
//!     "roles": [{
//!         "name": "runner",
//!         "match": {"groups": ["job-runners"]},
//!         "credential": {"type": "user_federation", "scope": "minimal"},
//!         "allow": [{"operations": ["jobs.run_now"], "resources": {"job": ["101"]}}],
//!     }],
//! });
//! // the second argument answers `{env: NAME}`; this configuration has none
//! let Ok(Settings::Enforce(config)) = Settings::parse(configuration.to_string().as_bytes(), &|_| None) else {
//!     return Err("the configuration has errors".into());
//! };
//!
//! // what the provider does: it publishes its key, and signs a token for Anna. (This key is known to everybody.)
//! let key = SigningKey::from_pem(&Secret::new(SET_ELSEWHERE.to_owned()))?;
//! let keys = KeySet::parse(json!({"keys": [key.public_jwk()]}).to_string().as_bytes())?.keys;
//! let now = UnixTime::from_secs(1_800_000_000);
//! let claims = json!({
//!     "iss": "https://example.okta.com/oauth2/default", "aud": "databricks", "exp": 1_800_003_600,
//!     "sub": "anna@example.com", "groups": ["job-runners"],
//! });
//! let claims = claims.as_object().ok_or("not an object")?;
//! let token = key.sign(key.thumbprint(), claims).ok_or("not signed")?;
//!
//! // the gateway: who is it?
//! let provider = config.providers.first().ok_or("no provider")?;
//! let token = UnverifiedToken::parse(token.expose().as_bytes(), 16_384)?;
//! let caller = Rc::new(verify(&token, &keys, &provider.expectations, now)?);
//! assert_eq!(caller.subject(), "anna@example.com");
//!
//! // may she? A rule looks into the body, so the first answer is a question for it
//! let target = Target::parse(b"/api/2.2/jobs/run-now")?;
//! let decide = |body: Body<'_>| {
//!     let action = Action::new("POST", &target, &[], body);
//!     authorize(&config.policy, &Ask { caller: &caller, provider: &provider.name, requested_role: None, action: &action, now })
//! };
//! assert!(matches!(decide(Body::Unread), Outcome::NeedsBody));
//!
//! let (mine, other) = (json!({"job_id": 101}), json!({"job_id": 102}));
//! let (Some(mine), Some(other)) = (mine.as_object(), other.as_object()) else { return Err("not objects".into()) };
//! let Outcome::Permit(permit) = decide(Body::Json(mine)) else { return Err("job 101 is refused".into()) };
//! assert_eq!((permit.role(), permit.rule()), ("runner", Some("/roles/0/allow/0")));
//! assert!(matches!(decide(Body::Json(other)), Outcome::Denied(_)));
//! # Ok(())
//! # }
//! ```
//!
//! A gateway does not call these one by one: it gives a [`flow::Flow`] its events, which also fetches keys, exchanges tokens and writes the
//! record. [`sim`] shows how.

pub mod audit;
pub mod base;
pub mod config;
pub mod databricks;
pub mod exchange;
#[cfg(feature = "native")]
pub mod ffi;
pub mod flow;
pub mod jwt;
pub mod policy;
pub mod revocation;
pub mod sim;
mod wasm;
