//! Keys on curves that verified something lately.
//!
//! A key that verified some tokens gets a table of its multiples, with which a verification takes less than half of the time.
//! Tables are a worker's (a thread's), not a key set's, which is fetched anew every so often. Forged tokens make none and push
//! none out.

use super::multiples::Multiples;
use p256::elliptic_curve::Group;

/// Keys that are looked after, the ones that verified last: the tables of these and the generator's are 304 KB on P-256 and
/// 507 KB on edwards25519.
const MOST_KEYS: usize = 8;
/// Tokens that a key verifies before it gets a table, which takes as long as two or three of them.
const BEFORE_TABLE: u8 = 8;

/// Keys on a curve with the points `P`, each known by a `K`. What they say of a signature depends on none of it.
pub(super) struct KnownKeys<K, P> {
    /// The one that verified last is the last.
    keys: Vec<KnownKey<K, P>>,
    /// The curve's generator's, once a key has one.
    generator: Option<Multiples<P>>,
}

struct KnownKey<K, P> {
    key: K,
    /// At most [`BEFORE_TABLE`].
    verified: u8,
    multiples: Option<Multiples<P>>,
}

/// The generator's table, and a key's.
pub(super) type Tables<'a, P> = (&'a Multiples<P>, &'a Multiples<P>);

impl<K, P> Default for KnownKeys<K, P> {
    fn default() -> Self {
        Self { keys: Vec::new(), generator: None }
    }
}

impl<K: PartialEq, P: Group> KnownKeys<K, P> {
    /// What `verifies` finds, with tables if there are any. The table of this key is of multiples of `point`.
    pub(super) fn verify(&mut self, key: K, point: P, verifies: impl FnOnce(Option<Tables<'_, P>>) -> bool) -> bool {
        let place = self.keys.iter().position(|known| known.key == key);
        let multiples = place.and_then(|place| self.keys.get(place)?.multiples.as_ref());
        let verified = verifies(self.generator.as_ref().zip(multiples));
        if verified {
            self.count(key, point, place);
        }
        verified
    }

    /// The key, which has this place among the others, has verified one more.
    fn count(&mut self, key: K, point: P, place: Option<usize>) {
        let mut known = match place {
            Some(place) => self.keys.remove(place),
            None => KnownKey { key, verified: 0, multiples: None },
        };
        known.verified = known.verified.saturating_add(1).min(BEFORE_TABLE);
        if known.verified == BEFORE_TABLE && known.multiples.is_none() {
            known.multiples = Some(Multiples::of(point));
            self.generator.get_or_insert_with(|| Multiples::of(P::generator()));
        }
        if self.keys.len() >= MOST_KEYS {
            self.keys.remove(0);
        }
        self.keys.push(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ProjectivePoint;

    type Known = KnownKeys<u8, ProjectivePoint>;

    /// Which keys have a table.
    fn tables(known: &Known) -> Vec<bool> {
        known.keys.iter().map(|key| key.multiples.is_some()).collect()
    }

    /// A key verifies a good signature, or finds one bad; and whether it had tables for it.
    fn verify(known: &mut Known, key: u8, is_good: bool) -> bool {
        let mut had_tables = false;
        let verified = known.verify(key, ProjectivePoint::GENERATOR, |tables| {
            had_tables = tables.is_some();
            is_good
        });
        assert_eq!(verified, is_good);
        had_tables
    }

    #[test]
    fn tables_are_made_at_the_eighth_good_signature_and_by_no_bad_one() {
        let mut known = Known::default();
        let mut verify = |is_good| {
            let had_tables = verify(&mut known, 1, is_good);
            (had_tables, tables(&known), known.generator.is_some())
        };
        for _ in 0..20 {
            assert_eq!(verify(false), (false, vec![], false));
        }
        for _ in 1..8 {
            assert_eq!(verify(true), (false, vec![false], false));
            assert_eq!(verify(false), (false, vec![false], false));
        }
        assert_eq!(verify(true), (false, vec![true], true));
        for is_good in [true, false, true] {
            assert_eq!(verify(is_good), (true, vec![true], true));
        }
    }

    #[test]
    fn eight_keys_are_looked_after_and_the_one_that_was_idle_longest_makes_room() {
        let mut known = Known::default();
        let mut verify = |key, times| {
            for _ in 0..times {
                verify(&mut known, key, true);
            }
            let place = |key| known.keys.iter().find(|known| known.key == key);
            (0..9).map(|key| place(key).map(|known| known.multiples.is_some())).collect::<Vec<_>>()
        };
        for key in 0..8 {
            verify(key, 8);
        }
        assert_eq!(verify(0, 1)[..8], [Some(true); 8]);
        let all =
            [Some(true), None, Some(true), Some(true), Some(true), Some(true), Some(true), Some(true), Some(false)];
        assert_eq!(verify(8, 7), all, "the second was idle longest; the ninth has no table yet");
        assert_eq!(verify(8, 1)[8], Some(true));
        let back = verify(1, 1);
        assert_eq!((back[0], back[1], back[2]), (Some(true), Some(false), None), "and comes back as a new one");
    }

    /// Keys that take turns push each other out before they have a table: all verify as they always did.
    #[test]
    fn more_keys_than_are_looked_after_make_no_tables_in_turn() {
        let mut known = Known::default();
        for _ in 0..30 {
            for key in 0..9 {
                assert!(!verify(&mut known, key, true));
            }
        }
        assert_eq!((tables(&known), known.generator.is_some()), (vec![false; 8], false));
    }

    #[test]
    fn a_keys_table_is_of_the_point_that_it_is_given_with() {
        let mut known = Known::default();
        let point = ProjectivePoint::GENERATOR.double();
        for _ in 0..8 {
            known.verify(1, point, |_| true);
        }
        let sum = known.verify(1, point, |tables| {
            let (generator, key) = tables.unwrap();
            let one = [&[1][..], &[0; 31]].concat().try_into().unwrap();
            super::super::multiples::sum_of_products(&one, generator, &one, key) == point + ProjectivePoint::GENERATOR
        });
        assert!(sum);
    }
}
