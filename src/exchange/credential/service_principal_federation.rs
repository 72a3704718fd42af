//! `service_principal_federation`: the caller's JWT is exchanged for a token of a service principal, under that one's federation policy.

use super::{Exchanged, add_identity, token_exchange};
use crate::base::{FingerprintBuilder, Secret, UnixTime};
use crate::exchange::TokenForm;
use crate::jwt::Caller;
use crate::policy::{Scope, SecretSource, ServicePrincipalFederation};

impl Exchanged for ServicePrincipalFederation {
    fn secret(&self) -> Option<&SecretSource> {
        None
    }

    fn add_to_key(&self, key: FingerprintBuilder, caller: &Caller, _: Option<&Secret<String>>) -> FingerprintBuilder {
        add_identity(key, caller).field(self.client_id.as_bytes())
    }

    fn not_after(&self, caller: &Caller) -> UnixTime {
        caller.expires_at()
    }

    fn form(&self, caller: &Caller, scope: &Scope, _: Option<&Secret<String>>) -> TokenForm {
        token_exchange(caller, &[("client_id", &self.client_id), ("scope", scope.as_str())])
    }
}
