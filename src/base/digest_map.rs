//! A map by digests.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys are digests or are made of some. Nobody can choose such keys so that they collide, so no secret is needed to spread
/// them, which the host would have to be asked for.
pub type DigestMap<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// Folds a key into a number, quickly. Whoever chooses keys can make them collide.
#[derive(Debug, Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let word = part.iter().fold(0_u64, |word, byte| word.rotate_left(8) ^ u64::from(*byte));
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
