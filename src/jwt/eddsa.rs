//! Ed25519 (RFC 8032 5.1, RFC 8037 3.1).

use super::SkipReason;
use ed25519_dalek::{Signature, VerifyingKey};

/// A point on edwards25519 that is not of small order.
#[derive(Clone)]
pub(super) struct Ed25519Key(VerifyingKey);

impl Ed25519Key {
    pub(super) fn new(x: &[u8]) -> Result<Self, SkipReason> {
        let bytes = <&[u8; 32]>::try_from(x).map_err(|_| SkipReason::PointInvalid)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| SkipReason::PointInvalid)?;
        // under a weak key one signature is good for nearly every message; RFC 8032 5.1.3 has one spelling for each
        // point
        let usable = !key.is_weak() && key.to_edwards().compress().0 == *bytes;
        if usable { Ok(Self(key)) } else { Err(SkipReason::PointInvalid) }
    }

    /// Strict: `s` below the order, no points of small order, so that a signature has one spelling.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}
