//! ECDSA on P-256 and P-384 (RFC 7518 3.4).
//!
//! Signatures are the two numbers side by side, each as long as the curve's order; ASN.1 is not read. Zero and what is
//! not below the order is refused by the curve crates' parsers (CVE-2022-21449). The larger of the two possible `s` is
//! accepted: JWS does not forbid it, and providers make it.

use super::SkipReason;
use p256::ecdsa::signature::Verifier;
use p256::elliptic_curve::point::AffineCoordinates;

/// A point on P-256.
#[derive(Clone)]
pub(super) struct P256Key(p256::ecdsa::VerifyingKey);

impl P256Key {
    pub(super) fn new(x: &[u8], y: &[u8]) -> Result<Self, SkipReason> {
        p256::ecdsa::VerifyingKey::from_affine(point(x, y)?).map(Self).map_err(|_| SkipReason::PointInvalid)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        p256::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
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
