//! `service_principal_federation`: the caller's JWT is exchanged for a token of a service principal, under that one's federation policy.

use super::{Asking, Exchanged, token_exchange};
use crate::base::FingerprintBuilder;
use crate::exchange::TokenForm;
use crate::policy::ServicePrincipalFederation;

impl Exchanged for ServicePrincipalFederation {
    fn is_callers(&self) -> bool {
        true
    }

    fn add_to_key(&self, key: FingerprintBuilder) -> FingerprintBuilder {
        key.field(self.client_id.as_bytes())
    }

    fn form(&self, asking: &Asking<'_>) -> TokenForm {
        let Some(caller) = asking.caller else { return TokenForm::default() };
        token_exchange(caller.token(), &[("client_id", &self.client_id), ("scope", asking.scope.as_str())])
    }
}
