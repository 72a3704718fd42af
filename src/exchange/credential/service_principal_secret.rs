//! `service_principal_secret`: a service principal's token by its own secret, shared by the callers of the role.

use super::{Asking, Exchanged, Own};
use crate::base::{FingerprintBuilder, Secret};
use crate::exchange::{TokenForm, client_secret_basic};
use crate::policy::ServicePrincipalSecret;

impl Exchanged for ServicePrincipalSecret {
    fn is_callers(&self) -> bool {
        false
    }

    fn own(&self) -> Own<'_> {
        Own::Secret(&self.client_secret)
    }

    fn add_to_key(&self, key: FingerprintBuilder) -> FingerprintBuilder {
        key.field(self.client_id.as_bytes())
    }

    /// The client credentials grant (RFC 6749 section 4.4.2).
    fn form(&self, asking: &Asking<'_>) -> TokenForm {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials").append_pair("scope", asking.scope.as_str());
        let authorization = asking.secret.map(|secret| client_secret_basic(&self.client_id, secret));
        TokenForm { body: Secret::new(form.finish()), authorization }
    }
}
