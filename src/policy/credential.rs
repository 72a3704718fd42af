//! What a role gives in exchange for the caller's token.

use crate::base::{Secret, Url};
use crate::jwt::SigningKey;
use std::rc::Rc;

/// A Databricks credential that replaces the caller's token. How each comes to be, `exchange::credential` knows.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The caller's JWT is exchanged (RFC 8693) for a token of that same Databricks user.
    UserFederation(UserFederation),
    /// The caller's JWT is exchanged (RFC 8693) under a service principal's federation policy.
    ServicePrincipalFederation(ServicePrincipalFederation),
    /// A token of a service principal by its own secret (RFC 6749 section 4.4), shared by the callers of the role.
    ServicePrincipalSecret(ServicePrincipalSecret),
    /// A token of a service principal for an assertion that the gateway signs (RFC 8693), shared by the callers of the role.
    GatewayAssertion(GatewayAssertion),
    /// A token of the caller from Entra ID (Microsoft's on-behalf-of grant).
    EntraOnBehalfOf(EntraOnBehalfOf),
    /// The verified token itself.
    Passthrough,
    /// No `Authorization` at all.
    None,
}

/// See [`Credential::UserFederation`].
#[derive(Clone, Debug)]
pub struct UserFederation {
    /// The OAuth scope asked for; `None` for the least that the operation needs.
    pub scope: Option<Scope>,
    /// The numeric id of the group whose permissions the token carries instead of the user's own.
    pub assume_group: Option<String>,
}

/// See [`Credential::ServicePrincipalFederation`].
#[derive(Clone, Debug)]
pub struct ServicePrincipalFederation {
    /// The service principal's application id.
    pub client_id: String,
    /// The OAuth scope asked for; `None` for the least that the operation needs.
    pub scope: Option<Scope>,
}

/// See [`Credential::ServicePrincipalSecret`].
#[derive(Clone, Debug)]
pub struct ServicePrincipalSecret {
    /// The service principal's application id.
    pub client_id: String,
    /// Its OAuth secret.
    pub client_secret: SecretSource,
    /// The OAuth scope asked for; `None` for the least that the operation needs.
    pub scope: Option<Scope>,
}

/// See [`Credential::GatewayAssertion`].
#[derive(Clone, Debug)]
pub struct GatewayAssertion {
    /// The service principal's application id.
    pub client_id: String,
    /// The assertion's `iss`.
    pub issuer: String,
    /// Its `aud`.
    pub audience: String,
    /// Its `sub`.
    pub subject: String,
    /// What it is signed with.
    pub key: SigningKeySource,
    /// The key's name in its header; `None` for the key's thumbprint.
    pub kid: Option<String>,
    /// The OAuth scope asked for; `None` for the least that the operation needs.
    pub scope: Option<Scope>,
}

/// See [`Credential::EntraOnBehalfOf`].
#[derive(Clone, Debug)]
pub struct EntraOnBehalfOf {
    /// The tenant's token endpoint.
    pub token_url: Url,
    /// The cluster's name, on hosts that dispatch by it.
    pub upstream: Option<String>,
    /// The gateway's application id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretSource,
    /// Everything that the caller may do in Azure Databricks: Entra ID knows no narrower scope.
    pub scope: Scope,
}

impl Credential {
    /// The scope asked for, whatever the operation; `None` if that is up to the operation.
    #[must_use]
    pub const fn scope(&self) -> Option<&Scope> {
        match self {
            Self::UserFederation(UserFederation { scope, .. })
            | Self::ServicePrincipalFederation(ServicePrincipalFederation { scope, .. })
            | Self::ServicePrincipalSecret(ServicePrincipalSecret { scope, .. })
            | Self::GatewayAssertion(GatewayAssertion { scope, .. }) => scope.as_ref(),
            Self::EntraOnBehalfOf(EntraOnBehalfOf { scope, .. }) => Some(scope),
            Self::Passthrough | Self::None => None,
        }
    }

    /// Whether a token is asked for, and with it a scope.
    #[must_use]
    pub const fn asks_for_scope(&self) -> bool {
        !matches!(self, Self::Passthrough | Self::None)
    }

    /// Whether the scope asked for is the least that the operation needs.
    #[must_use]
    pub const fn is_minimal(&self) -> bool {
        self.asks_for_scope() && self.scope().is_none()
    }

    /// The client id of the service principal that requests run as; `None` if they run as the caller, or as whoever the token says.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        match self {
            Self::ServicePrincipalFederation(ServicePrincipalFederation { client_id, .. })
            | Self::ServicePrincipalSecret(ServicePrincipalSecret { client_id, .. })
            | Self::GatewayAssertion(GatewayAssertion { client_id, .. }) => Some(client_id),
            Self::UserFederation(_) | Self::EntraOnBehalfOf(_) | Self::Passthrough | Self::None => None,
        }
    }

    /// The type as the configuration names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::UserFederation(_) => "user_federation",
            Self::ServicePrincipalFederation(_) => "service_principal_federation",
            Self::ServicePrincipalSecret(_) => "service_principal_secret",
            Self::GatewayAssertion(_) => "gateway_assertion",
            Self::EntraOnBehalfOf(_) => "entra_on_behalf_of",
            Self::Passthrough => "passthrough",
            Self::None => "none",
        }
    }
}

/// OAuth scopes to ask for, in the form parameter's notation: separated by one blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(String);

impl Scope {
    /// The scopes of `names`, each a scope token (RFC 6749 section 3.3); `None` if there is none or one is not a token.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let names: Vec<_> = names.into_iter().collect();
        let token =
            |name: &&str| !name.is_empty() && name.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        (!names.is_empty() && names.iter().all(token)).then(|| Self(names.join(" ")))
    }

    /// The form parameter's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self("all-apis".to_owned())
    }
}

/// Where a secret comes from.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// Known since the configuration was read: written there, or in the environment.
    Known(Secret<String>),
    /// `kong.ctx.shared.<name>`, read for each request.
    Shared(String),
}

/// Where a key to sign with comes from.
#[derive(Clone, Debug)]
pub enum SigningKeySource {
    /// Known since the configuration was read.
    Known(Rc<SigningKey>),
    /// `kong.ctx.shared.<name>`, read for each request.
    Shared(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_joined_by_one_blank() {
        assert_eq!(Scope::new(["sql", "clusters:read"]).unwrap().as_str(), "sql clusters:read");
        assert_eq!(Scope::default().as_str(), "all-apis");
    }

    #[test]
    fn what_is_not_a_scope_token_is_refused() {
        for names in [vec![], vec![""], vec!["a b"], vec!["a", "\""], vec!["é"], vec!["a\n"]] {
            assert_eq!(Scope::new(names.clone()), None, "{names:?}");
        }
    }
}
