//! `user_federation`: the caller's JWT is exchanged for a token of that same user.

use super::{Asking, Exchanged, token_exchange};
use crate::base::FingerprintBuilder;
use crate::exchange::TokenForm;
use crate::policy::UserFederation;

impl Exchanged for UserFederation {
    fn is_callers(&self) -> bool {
        true
    }

    fn add_to_key(&self, key: FingerprintBuilder) -> FingerprintBuilder {
        let group = self.assume_group.as_deref().map(str::as_bytes);
        key.fields(group.into_iter())
    }

    fn form(&self, asking: &Asking<'_>) -> TokenForm {
        let Some(caller) = asking.caller else { return TokenForm::default() };
        let (token, scope) = (caller.token(), ("scope", asking.scope.as_str()));
        match &self.assume_group {
            Some(group) => token_exchange(token, &[scope, ("assume_group", group)]),
            None => token_exchange(token, &[scope]),
        }
    }
}
