//! The types of credentials for which a token is asked for, a file each: what the token depends on, how long it may live, how it is asked for.

mod service_principal_federation;
mod service_principal_secret;
mod user_federation;

use super::{SecretUnavailable, SharedSecrets, TokenForm};
use crate::base::{FingerprintBuilder, Secret, UnixTime};
use crate::jwt::Caller;
use crate::policy::{Credential, Scope, SecretSource};

/// A type of credential for which a token is asked for.
pub(super) trait Exchanged {
    /// The secret that it needs, if any.
    fn secret(&self) -> Option<&SecretSource>;

    /// Adds to the name of a kept token what it depends on beside workspace, type, role and scope.
    fn add_to_key(
        &self,
        key: FingerprintBuilder,
        caller: &Caller,
        secret: Option<&Secret<String>>,
    ) -> FingerprintBuilder;

    /// Until when a token can live at most.
    fn not_after(&self, caller: &Caller) -> UnixTime;

    /// The request that asks for the token.
    fn form(&self, caller: &Caller, scope: &Scope, secret: Option<&Secret<String>>) -> TokenForm;
}

/// How a credential's token is asked for; `None` if nobody is asked.
pub(super) fn exchanged(credential: &Credential) -> Option<&dyn Exchanged> {
    match credential {
        Credential::UserFederation(credential) => Some(credential),
        Credential::ServicePrincipalFederation(credential) => Some(credential),
        Credential::ServicePrincipalSecret(credential) => Some(credential),
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

/// The secret of now.
pub(super) fn resolve(source: &SecretSource, shared: &SharedSecrets) -> Result<Secret<String>, SecretUnavailable> {
    match source {
        SecretSource::Known(secret) => Ok(secret.clone()),
        SecretSource::Shared(name) => {
            let secret = shared.get(name).filter(|secret| !secret.expose().is_empty());
            secret.cloned().ok_or_else(|| SecretUnavailable { name: name.clone() })
        }
    }
}

/// Adds whose JWT a token is obtained with: Databricks might not have accepted another's.
fn add_identity(key: FingerprintBuilder, caller: &Caller) -> FingerprintBuilder {
    let identity = [
        caller.issuer(),
        caller.raw_subject().unwrap_or_default(),
        caller.subject(),
        caller.client().unwrap_or_default(),
    ];
    key.fields(identity.map(str::as_bytes).into_iter())
}

/// A token exchange with the caller's JWT (RFC 8693 section 2.1).
fn token_exchange(caller: &Caller, further: &[(&str, &str)]) -> TokenForm {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
        .append_pair("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
        .append_pair("subject_token", caller.token().expose())
        .extend_pairs(further);
    TokenForm { body: Secret::new(form.finish()), authorization: None }
}
