//! `user_federation`: the caller's JWT is exchanged for a token of that same user.

use super::{Exchanged, add_identity, token_exchange};
use crate::base::{FingerprintBuilder, Secret, UnixTime};
use crate::exchange::TokenForm;
use crate::jwt::Caller;
use crate::policy::{Scope, SecretSource, UserFederation};

impl Exchanged for UserFederation {
    fn secret(&self) -> Option<&SecretSource> {
        None
    }

    fn add_to_key(&self, key: FingerprintBuilder, caller: &Caller, _: Option<&Secret<String>>) -> FingerprintBuilder {
        let group = self.assume_group.as_deref().map(str::as_bytes);
        add_identity(key, caller).fields(group.into_iter())
    }

    fn not_after(&self, caller: &Caller) -> UnixTime {
        caller.expires_at()
    }

    fn form(&self, caller: &Caller, scope: &Scope, _: Option<&Secret<String>>) -> TokenForm {
        let scope = ("scope", scope.as_str());
        match &self.assume_group {
            Some(group) => token_exchange(caller, &[scope, ("assume_group", group)]),
            None => token_exchange(caller, &[scope]),
        }
    }
}
