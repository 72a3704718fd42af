//! What proves the gateway's own right to a token: secrets and signing keys, known since the configuration or read for each request.

use crate::base::{Bounded, Budget, Fingerprint, Secret, SortedMap, UnixTime};
use crate::jwt::{SigningKey, SigningKeyError};
use crate::policy::{SecretSource, SigningKeySource};
use std::rc::Rc;

/// The values of `kong.ctx.shared` that the configuration's secrets name, as far as they are there.
pub type SharedSecrets = SortedMap<String, Secret<String>>;

/// A `{shared: NAME}` secret that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretUnavailable {
    /// Nothing put it there.
    #[error("the secret `kong.ctx.shared.{name}` is not there; a plugin before this filter must set it")]
    Absent {
        /// Its name.
        name: String,
    },
    /// It is to be signed with, and is no key for that.
    #[error("the secret `kong.ctx.shared.{name}` {fault}")]
    NoKey {
        /// Its name.
        name: String,
        /// Why not.
        fault: SigningKeyError,
    },
}

/// The secret of now.
///
/// # Errors
/// Nothing has put it there; what needs it cannot be done for this request.
pub fn resolve(source: &SecretSource, shared: &SharedSecrets) -> Result<Secret<String>, SecretUnavailable> {
    match source {
        SecretSource::Known(secret) => Ok(secret.clone()),
        SecretSource::Shared(name) => brought(name, shared).cloned(),
    }
}

/// What tells the signing key of now from all others: its public half, or the text that a plugin brought.
pub(super) fn key_text(source: &SigningKeySource, shared: &SharedSecrets) -> Result<Secret<String>, SecretUnavailable> {
    match source {
        SigningKeySource::Known(key) => Ok(Secret::new(key.thumbprint().to_owned())),
        SigningKeySource::Shared(name) => brought(name, shared).cloned(),
    }
}

fn brought<'s>(name: &str, shared: &'s SharedSecrets) -> Result<&'s Secret<String>, SecretUnavailable> {
    let secret = shared.get(name).filter(|secret| !secret.expose().is_empty());
    secret.ok_or_else(|| SecretUnavailable::Absent { name: name.to_owned() })
}

/// Signing keys that plugins bring with each request, as they were read when they first came.
#[derive(Debug)]
pub struct SigningKeys(Bounded<Fingerprint, Rc<SigningKey>>);

/// A gateway has a few, and for a while their successors.
const ROOM: Budget = Budget { entries: 64, bytes: usize::MAX };

impl Default for SigningKeys {
    fn default() -> Self {
        Self(Bounded::new(ROOM))
    }
}

impl SigningKeys {
    /// The key of now.
    ///
    /// # Errors
    /// It is not there, or is none to sign with.
    pub fn get(
        &mut self,
        source: &SigningKeySource,
        shared: &SharedSecrets,
    ) -> Result<Rc<SigningKey>, SecretUnavailable> {
        let name = match source {
            SigningKeySource::Known(key) => return Ok(Rc::clone(key)),
            SigningKeySource::Shared(name) => name,
        };
        let pem = brought(name, shared)?;
        let print = Fingerprint::builder("signing-key").field(pem.expose().as_bytes()).finish();
        let start = UnixTime::from_millis(0);
        if let Some(key) = self.0.get(&print, start) {
            return Ok(Rc::clone(key));
        }
        let read = SigningKey::from_pem(pem);
        let key = Rc::new(read.map_err(|fault| SecretUnavailable::NoKey { name: name.clone(), fault })?);
        self.0.insert(print, Rc::clone(&key), UnixTime::MAX, 0, start);
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::testing;

    #[test]
    fn a_key_that_a_plugin_brings_is_read_once_and_a_broken_one_is_named() {
        let mut keys = SigningKeys::default();
        let source = SigningKeySource::Shared("gateway_key".to_owned());
        let mut shared = SharedSecrets::new();
        let absent = SecretUnavailable::Absent { name: "gateway_key".to_owned() };
        assert_eq!(keys.get(&source, &shared).unwrap_err(), absent);
        shared.insert("gateway_key".to_owned(), Secret::new(String::new()));
        assert_eq!(keys.get(&source, &shared).unwrap_err(), absent);
        shared.insert("gateway_key".to_owned(), testing::signing_key_pem());
        let first = keys.get(&source, &shared).unwrap();
        assert!(Rc::ptr_eq(&first, &keys.get(&source, &shared).unwrap()));
        shared.insert("gateway_key".to_owned(), Secret::new("hunter2".to_owned()));
        let broken = keys.get(&source, &shared).unwrap_err();
        assert_eq!(broken, SecretUnavailable::NoKey { name: "gateway_key".to_owned(), fault: SigningKeyError::NotPem });
        assert!(!broken.to_string().contains("hunter2"));
    }

    #[test]
    fn keys_are_bounded() {
        let mut keys = SigningKeys::default();
        let source = SigningKeySource::Shared("k".to_owned());
        for blanks in 0..ROOM.entries + 3 {
            let pem = format!("{}{}", testing::signing_key_pem().expose(), "\n".repeat(blanks));
            keys.get(&source, &SharedSecrets::from_iter([("k".to_owned(), Secret::new(pem))])).unwrap();
        }
        assert_eq!(keys.0.len(), ROOM.entries);
    }
}
