//! A token's text and its digest, which is made once.

use crate::base::{Label, Secret};
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256 of a token's text, by which it is known without being kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of `token`.
    #[must_use]
    #[inline(never)]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Its first 16 hex digits: enough to find a token again in logs, nothing to use it with. Not a cache key: 64 bits can be made to
    /// collide.
    #[must_use]
    #[inline(never)]
    pub fn id(self) -> Label {
        let [first, second, third, fourth, fifth, sixth, seventh, eighth, ..] = self.0;
        let number = u64::from_be_bytes([first, second, third, fourth, fifth, sixth, seventh, eighth]);
        Label::of(&format_args!("{number:016x}"))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

/// A token that somebody brought. Nothing is known of it but what it is.
#[derive(Clone, Debug)]
pub struct BearerToken {
    text: Secret<String>,
    digest: TokenDigest,
}

impl BearerToken {
    /// The token of this text.
    #[must_use]
    pub fn new(text: Secret<String>) -> Self {
        Self { digest: TokenDigest::of(text.expose()), text }
    }

    /// Its text.
    #[must_use]
    pub const fn text(&self) -> &Secret<String> {
        &self.text
    }

    /// Its digest.
    #[must_use]
    pub const fn digest(&self) -> TokenDigest {
        self.digest
    }

    pub(super) fn into_text(self) -> Secret<String> {
        self.text
    }
}
