//! Keys that the gateway signs with: read when the configuration is, so that a broken one is no affair of a request.

use super::Check;
use crate::base::Secret;
use crate::config::raw::RawSecret;
use crate::jwt::SigningKey;
use crate::policy::{SecretSource, SigningKeySource};
use std::rc::Rc;

impl Check<'_> {
    pub(super) fn signing_key(
        &self,
        pointer: &str,
        raw: RawSecret,
        shared: &mut Vec<String>,
    ) -> Option<SigningKeySource> {
        match self.secret(pointer, raw, shared)? {
            SecretSource::Shared(name) => Some(SigningKeySource::Shared(name)),
            SecretSource::Known(pem) => self.read_key(pointer, &pem),
        }
    }

    fn read_key(&self, pointer: &str, pem: &Secret<String>) -> Option<SigningKeySource> {
        match SigningKey::from_pem(pem) {
            Ok(key) => Some(SigningKeySource::Known(Rc::new(key))),
            Err(error) => self.wrong(pointer, format!("the key {error}")),
        }
    }
}
