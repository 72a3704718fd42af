//! The types of credentials for which a token is asked for, a file each: what the token depends on, whose it is, how and where it is asked for.

mod entra_on_behalf_of;
mod gateway_assertion;
mod service_principal_federation;
mod service_principal_secret;
mod user_federation;

use super::TokenForm;
use crate::base::{FingerprintBuilder, Secret, UnixTime, Url};
use crate::jwt::{Caller, SigningKey};
use crate::policy::{Credential, Scope, SecretSource, SigningKeySource};
use std::rc::Rc;

/// A type of credential for which a token is asked for.
pub(super) trait Exchanged {
    /// Whether the token is obtained with the caller's own JWT: then it serves nobody else, for Databricks might not have accepted
    /// another's, and lives no longer than that. Otherwise the callers of the role share it.
    fn is_callers(&self) -> bool;

    /// What the gateway itself needs for it.
    fn own(&self) -> Own<'_> {
        Own::Nothing
    }

    /// Adds to the name of a kept token what it depends on beside workspace, type, role, scope, what the gateway itself needs and, if the
    /// token is the caller's, the caller.
    fn add_to_key(&self, key: FingerprintBuilder) -> FingerprintBuilder;

    /// Where it is asked for, if not at the workspace's token endpoint.
    fn server(&self) -> Option<Server<'_>> {
        None
    }

    /// The request that asks for the token.
    fn form(&self, asking: &Asking<'_>) -> TokenForm;
}

/// What the gateway itself needs for a token.
#[derive(Clone, Copy, Debug)]
pub(super) enum Own<'c> {
    Nothing,
    Secret(&'c SecretSource),
    Key(&'c SigningKeySource),
}

/// A token endpoint that is not the workspace's.
#[derive(Clone, Copy, Debug)]
pub struct Server<'c> {
    /// Its address.
    pub url: &'c Url,
    /// The cluster's name, on hosts that dispatch by it.
    pub upstream: Option<&'c str>,
}

/// What a request for a token is made from.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    /// Whose JWT it is obtained with, of a type that takes one.
    pub(super) caller: Option<&'a Caller>,
    pub(super) scope: &'a Scope,
    /// The secret of now, of a type that needs one.
    pub(super) secret: Option<&'a Secret<String>>,
    /// The key of now, of a type that signs.
    pub(super) key: Option<&'a Rc<SigningKey>>,
    pub(super) now: UnixTime,
    /// What no other request for a token has.
    pub(super) unique: &'a str,
}

/// How a credential's token is asked for; `None` if nobody is asked.
pub(super) fn exchanged(credential: &Credential) -> Option<&dyn Exchanged> {
    match credential {
        Credential::UserFederation(credential) => Some(credential),
        Credential::ServicePrincipalFederation(credential) => Some(credential),
        Credential::ServicePrincipalSecret(credential) => Some(credential),
        Credential::GatewayAssertion(credential) => Some(credential),
        Credential::EntraOnBehalfOf(credential) => Some(credential),
        Credential::Passthrough | Credential::None => None,
    }
}

/// The members of a role's `credential`, as the configuration names them, that hold secrets.
#[must_use]
pub const fn secret_members(kind: &str) -> &'static [&'static str] {
    match kind.as_bytes() {
        b"service_principal_secret" | b"entra_on_behalf_of" => &["client_secret"],
        b"gateway_assertion" => &["key"],
        _ => &[],
    }
}

/// Adds whose JWT a token is obtained with: an agent that acts for a person is another than the person, and than the agent by itself.
pub(super) fn add_identity(key: FingerprintBuilder, caller: &Caller) -> FingerprintBuilder {
    let identity = [
        caller.issuer(),
        caller.raw_subject().unwrap_or_default(),
        caller.subject(),
        caller.client().unwrap_or_default(),
    ];
    let actors = caller.actors().iter().map(|actor| actor.as_bytes());
    key.fields(identity.map(str::as_bytes).into_iter()).fields(actors)
}

/// A token exchange (RFC 8693 section 2.1) with `subject_token`.
fn token_exchange(subject_token: &Secret<String>, further: &[(&str, &str)]) -> TokenForm {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
        .append_pair("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
        .append_pair("subject_token", subject_token.expose())
        .extend_pairs(further);
    TokenForm { body: Secret::new(form.finish()), authorization: None }
}
