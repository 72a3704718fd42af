//! Secrets that are read for each request.

use crate::base::{Secret, SortedMap};

/// The values of `kong.ctx.shared` that the configuration's secrets name, as far as they are there.
pub type SharedSecrets = SortedMap<String, Secret<String>>;

/// A `{shared: NAME}` secret that nothing put there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret `kong.ctx.shared.{name}` is not there; a plugin before this filter must set it")]
pub struct SecretUnavailable {
    pub(super) name: String,
}

#[cfg(test)]
impl SecretUnavailable {
    pub(crate) fn for_test(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}
