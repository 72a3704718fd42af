//! Decides whether a verified caller may do what it asks for, and with which Databricks credential.
//!
//! A [`Permit`] is the proof of an allow: only [`authorize`] makes one, and nothing is forwarded without it.

mod action;
mod authorize;
mod credential;
mod glob;
mod own;
mod permit;
mod role;
mod rule;
mod sql;
mod trace;

pub use action::{Action, Body, RunsJob};
pub use authorize::{Ask, Policy, authorize};
pub use credential::{
    Credential, EntraOnBehalfOf, GatewayAssertion, Scope, SecretSource, ServicePrincipalFederation,
    ServicePrincipalSecret, SigningKeySource, UserFederation,
};
pub use glob::Glob;
pub use own::{OwnPattern, OwnPatternError};
pub use permit::{Denial, Outcome, Permit};
pub use role::{Agent, Allow, Match, Role, Validity};
pub use rule::{Miss, OperationSet, PathPattern, Rule};
pub use sql::SqlClasses;
pub use trace::{Explanation, RoleSeen, RuleSeen, Standing, Unmet, explain};
