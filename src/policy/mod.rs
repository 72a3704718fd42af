//! Decides whether a verified caller may go on, and with which Databricks credential.
//!
//! A [`Permit`] is the proof of an allow: only [`authorize`] makes one, and nothing is forwarded without it.

mod authorize;
mod credential;
mod glob;
mod role;

pub use authorize::{Denial, Permit, authorize};
pub use credential::{Credential, Scope, SecretSource};
pub use glob::Glob;
pub use role::{Match, Role, Validity};
