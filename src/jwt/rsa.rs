//! RSASSA-PKCS1-v1_5 and RSASSA-PSS (RFC 8017 8.1, 8.2), verification only.
//!
//! Everything here is public, so nothing needs constant time. The only big-number work is one modular power; paddings are built or
//! taken apart byte by byte in this file.

use super::{Algorithm, SkipReason};
use dashu_int::UBig;
use dashu_int::monty::MontgomeryRepr;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Below 2048 bits is too weak (RFC 7518 3.3); above 4096 one verification costs too much of a worker's time.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// Small exponents have a history of forged paddings (CVE-2006-4339); large ones make a verification slow.
const EXPONENTS: std::ops::RangeInclusive<u32> = 65537..=u32::MAX;

/// An RSA public key with the constants of Montgomery's reduction.
#[derive(Clone)]
pub(super) struct RsaKey {
    ring: MontgomeryRepr,
    exponent: UBig,
    /// Big-endian, without leading zeros; as long as a signature.
    modulus: Vec<u8>,
    modulus_bits: usize,
}

impl RsaKey {
    /// From the members `n` and `e` of a JWK, decoded. Leading zeros, which RFC 7518 6.3.1 forbids and some providers send, are dropped.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, SkipReason> {
        let modulus = without_leading_zeros(modulus);
        let modulus_bits = bit_length(modulus);
        if !MODULUS_BITS.contains(&modulus_bits) {
            return Err(SkipReason::RsaModulus);
        }
        // Montgomery's reduction needs an odd modulus, and a product of two primes of this size is odd
        if modulus.last().is_none_or(|low| low % 2 == 0) {
            return Err(SkipReason::RsaModulus);
        }
        let exponent = exponent_of(without_leading_zeros(exponent)).ok_or(SkipReason::RsaExponent)?;
        Ok(Self {
            ring: MontgomeryRepr::new(UBig::from_be_bytes(modulus)),
            exponent: UBig::from(exponent),
            modulus: modulus.to_vec(),
            modulus_bits,
        })
    }

    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let Some((padding, hash)) = scheme(algorithm) else { return false };
        let Some(encoded) = self.open(signature) else { return false };
        let digest = hash.of(&[message]);
        match padding {
            Padding::Pkcs1 => {
                pkcs1_encoding(hash, &digest, self.modulus.len()).is_some_and(|expected| expected == encoded)
            }
            Padding::Pss => pss_holds(hash, &digest, &encoded, self.modulus_bits).is_some_and(|holds| holds),
        }
    }

    /// RSAVP1 and I2OSP (RFC 8017 5.2.2, 4.1): the encoded message, as long as the modulus.
    fn open(&self, signature: &[u8]) -> Option<Vec<u8>> {
        // as bytes of one length, big-endian numbers compare as the numbers do; s >= n would be a second spelling
        if signature.len() != self.modulus.len() || signature >= self.modulus.as_slice() {
            return None;
        }
        let message = self.ring.reduce(UBig::from_be_bytes(signature)).pow(&self.exponent).residue().to_be_bytes();
        let zeros = self.modulus.len().checked_sub(message.len())?;
        Some([vec![0; zeros].as_slice(), &message].concat())
    }
}

#[derive(Clone, Copy)]
enum Padding {
    Pkcs1,
    Pss,
}

#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The digest of `parts` put together.
    fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        fn digest<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut hasher = D::new();
            for part in parts {
                hasher.update(part);
            }
            hasher.finalize().to_vec()
        }
        match self {
            Self::Sha256 => digest::<Sha256>(parts),
            Self::Sha384 => digest::<Sha384>(parts),
            Self::Sha512 => digest::<Sha512>(parts),
        }
    }

    /// The DER of `DigestInfo` up to the digest (RFC 8017 9.2, note 1).
    const fn digest_info(self) -> &'static [u8; 19] {
        match self {
            Self::Sha256 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
            Self::Sha384 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
            Self::Sha512 => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
        }
    }
}

const fn scheme(algorithm: Algorithm) -> Option<(Padding, Hash)> {
    match algorithm {
        Algorithm::RS256 => Some((Padding::Pkcs1, Hash::Sha256)),
        Algorithm::RS384 => Some((Padding::Pkcs1, Hash::Sha384)),
        Algorithm::RS512 => Some((Padding::Pkcs1, Hash::Sha512)),
        Algorithm::PS256 => Some((Padding::Pss, Hash::Sha256)),
        Algorithm::PS384 => Some((Padding::Pss, Hash::Sha384)),
        Algorithm::PS512 => Some((Padding::Pss, Hash::Sha512)),
        Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA => None,
    }
}

/// EMSA-PKCS1-v1_5 (RFC 8017 9.2). The expected encoding is built and compared whole, because taking the padding apart is where other
/// implementations were forged.
fn pkcs1_encoding(hash: Hash, digest: &[u8], length: usize) -> Option<Vec<u8>> {
    let info = hash.digest_info();
    let padding = length.checked_sub(info.len())?.checked_sub(digest.len())?.checked_sub(3)?;
    if padding < 8 {
        return None;
    }
    Some([&[0, 1], vec![0xff; padding].as_slice(), &[0], info, digest].concat())
}

/// EMSA-PSS (RFC 8017 9.1.2) with a salt as long as the hash, which RFC 7518 3.5 fixes.
fn pss_holds(hash: Hash, digest: &[u8], encoded: &[u8], modulus_bits: usize) -> Option<bool> {
    let encoded_bits = modulus_bits.checked_sub(1)?;
    let unused_bits = encoded_bits.next_multiple_of(8).checked_sub(encoded_bits)?;
    // one bit less than the modulus may be one byte less; that byte must then be zero
    let (above, encoded) = encoded.split_at_checked(encoded.len().checked_sub(encoded_bits.div_ceil(8))?)?;
    let (encoded, trailer) = encoded.split_at_checked(encoded.len().checked_sub(1)?)?;
    let (masked, expected) = encoded.split_at_checked(encoded.len().checked_sub(digest.len())?)?;
    let first_mask = 0xff_u8.checked_shr(u32::try_from(unused_bits).ok()?)?;
    if above.iter().any(|byte| *byte != 0) || trailer != [0xbc] || masked.first()? & !first_mask != 0 {
        return Some(false);
    }
    let mask = mgf1(hash, expected, masked.len());
    let mut block: Vec<u8> = masked.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
    *block.first_mut()? &= first_mask;
    let (padding, salt) = block.split_at_checked(block.len().checked_sub(digest.len())?)?;
    let (one, zeros) = padding.split_last()?;
    if *one != 1 || zeros.iter().any(|byte| *byte != 0) {
        return Some(false);
    }
    Some(hash.of(&[&[0; 8], digest, salt]) == expected)
}

/// MGF1 (RFC 8017 B.2.1).
fn mgf1(hash: Hash, seed: &[u8], length: usize) -> Vec<u8> {
    let mut mask: Vec<u8> = Vec::with_capacity(length);
    for counter in 0_u32.. {
        if mask.len() >= length {
            break;
        }
        mask.extend(hash.of(&[seed, &counter.to_be_bytes()]));
    }
    mask.truncate(length);
    mask
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// Of a number without leading zero bytes.
fn bit_length(bytes: &[u8]) -> usize {
    let unused = bytes.first().map_or(0, |first| first.leading_zeros());
    bytes.len().saturating_mul(8).saturating_sub(unused as usize)
}

fn exponent_of(bytes: &[u8]) -> Option<u32> {
    let mut padded = [0; 4];
    padded.get_mut(4_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    let exponent = u32::from_be_bytes(padded);
    (EXPONENTS.contains(&exponent) && exponent % 2 == 1).then_some(exponent)
}
