//! Cache keys that cannot be forged or confused.

use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256 over length-prefixed fields: two different lists of fields never give the same bytes to hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Starts a fingerprint of the kind `purpose`; kinds never collide.
    pub fn builder(purpose: &str) -> FingerprintBuilder {
        FingerprintBuilder(Sha256::new()).field(purpose.as_bytes())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its first half as 32 hex digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Collects the fields of a [`Fingerprint`].
#[must_use]
pub struct FingerprintBuilder(Sha256);

impl FingerprintBuilder {
    /// Adds one field, its length first.
    pub fn field(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a list: the number of its fields, then each.
    pub fn fields<'a>(mut self, list: impl ExactSizeIterator<Item = &'a [u8]>) -> Self {
        self.0.update((list.len() as u64).to_be_bytes());
        for bytes in list {
            self = self.field(bytes);
        }
        self
    }

    /// The fingerprint of what was added.
    pub fn finish(self) -> Fingerprint {
        Fingerprint(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_from_one_field_to_the_next_changes_the_fingerprint() {
        let of = |a: &str, b: &str| Fingerprint::builder("test").field(a.as_bytes()).field(b.as_bytes()).finish();
        assert_ne!(of("ab", "c"), of("a", "bc"));
        assert_eq!(of("ab", "c"), of("ab", "c"));
    }

    #[test]
    fn a_list_and_its_neighbours_are_told_apart() {
        let of = |first: &[&[u8]], second: &[&[u8]]| {
            Fingerprint::builder("test").fields(first.iter().copied()).fields(second.iter().copied()).finish()
        };
        assert_ne!(of(&[b"a", b"b"], &[]), of(&[b"a"], &[b"b"]));
    }
}
