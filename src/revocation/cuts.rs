//! One list of a feed: values with the time before which the tokens that bear them are cut off.

use crate::base::{UnixTime, sort};
use sha2::{Digest as _, Sha256};

/// The first half of SHA-256 of a value: nobody finds a second value with the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Digest([u8; 16]);

impl Digest {
    pub(super) fn of(text: impl Iterator<Item = char>) -> Self {
        let mut hash = Sha256::new();
        let mut room = [0; 4];
        text.for_each(|character| hash.update(character.encode_utf8(&mut room).as_bytes()));
        let whole: [u8; 32] = hash.finalize().into();
        Self(whole.first_chunk().copied().unwrap_or_default())
    }
}

/// Sorted, each value once.
#[derive(Debug, Default)]
pub(super) struct Cuts(Box<[(Digest, UnixTime)]>);

impl Cuts {
    /// Of a value that is there twice, the cut that cuts off more.
    pub(super) fn new(mut entries: Vec<(Digest, UnixTime)>) -> Self {
        sort(&mut entries);
        entries.dedup_by(|later, kept| {
            let is_again = later.0 == kept.0;
            if is_again {
                kept.1 = later.1;
            }
            is_again
        });
        Self(entries.into_boxed_slice())
    }

    /// The time before which tokens with this value are cut off.
    #[inline(never)]
    pub(super) fn before(&self, value: Digest) -> Option<UnixTime> {
        let place = self.0.binary_search_by(|(known, _)| known.cmp(&value)).ok()?;
        self.0.get(place).map(|(_, before)| *before)
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }
}
