//! `entra_on_behalf_of`: Entra ID gives the gateway a token of the caller for Azure Databricks, for the caller's token of the gateway.
//!
//! With a client secret. A certificate instead would need RS256 or PS256, the only signatures that Entra ID takes of a client.

use super::{Asking, Exchanged, Own, Server};
use crate::base::{FingerprintBuilder, Secret};
use crate::exchange::TokenForm;
use crate::policy::EntraOnBehalfOf;

impl Exchanged for EntraOnBehalfOf {
    fn is_callers(&self) -> bool {
        true
    }

    fn own(&self) -> Own<'_> {
        Own::Secret(&self.client_secret)
    }

    fn add_to_key(&self, key: FingerprintBuilder) -> FingerprintBuilder {
        key.field(self.token_url.to_string().as_bytes()).field(self.client_id.as_bytes())
    }

    fn server(&self) -> Option<Server<'_>> {
        Some(Server { url: &self.token_url, upstream: self.upstream.as_deref() })
    }

    /// Microsoft identity platform, OAuth 2.0 On-Behalf-Of flow, first case: a shared secret.
    fn form(&self, asking: &Asking<'_>) -> TokenForm {
        let (Some(caller), Some(secret)) = (asking.caller, asking.secret) else { return TokenForm::default() };
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("client_id", &self.client_id)
            .append_pair("client_secret", secret.expose())
            .append_pair("assertion", caller.token().expose())
            .append_pair("scope", asking.scope.as_str())
            .append_pair("requested_token_use", "on_behalf_of");
        TokenForm { body: Secret::new(form.finish()), authorization: None }
    }
}
