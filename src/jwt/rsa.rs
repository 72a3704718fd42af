//! RSASSA-PKCS1-v1_5 and RSASSA-PSS (RFC 8017 8.1, 8.2), verification only.
//!
//! Everything here is public, so nothing needs constant time. The only big-number work is one modular power
//! (`modular_power`); paddings are built or taken apart byte by byte in this file.

use super::modular_power::Modulus;
use super::{Algorithm, SkipReason};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Below 2048 bits is too weak (RFC 7518 3.3); above 4096 one verification costs too much of a worker's time.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// Small exponents have a history of forged paddings (CVE-2006-4339); large ones make a verification slow.
const EXPONENTS: std::ops::RangeInclusive<u32> = 65537..=u32::MAX;

/// An RSA public key, whose modulus is made ready for powers.
#[derive(Clone)]
pub(super) struct RsaKey {
    /// As long as a signature.
    modulus: Modulus,
    modulus_bits: usize,
    exponent: u32,
}

impl RsaKey {
    /// From the members `n` and `e` of a JWK, decoded. Leading zeros, which RFC 7518 6.3.1 forbids and some providers
    /// send, are dropped.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, SkipReason> {
        let modulus = without_leading_zeros(modulus);
        let modulus_bits = bit_length(modulus);
        if !MODULUS_BITS.contains(&modulus_bits) {
            return Err(SkipReason::RsaModulus);
        }
        let exponent = exponent_of(without_leading_zeros(exponent)).ok_or(SkipReason::RsaExponent)?;
        // odd, as a product of two primes of this size is
        let modulus = Modulus::new(modulus).ok_or(SkipReason::RsaModulus)?;
        Ok(Self { modulus, modulus_bits, exponent })
    }

    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let Some((padding, hash)) = scheme(algorithm) else { return false };
        let Some(encoded) = self.open(signature) else { return false };
        let digest = hash.of(&[message]);
        match padding {
            Padding::Pkcs1 => {
                pkcs1_encoding(hash, &digest, self.modulus.bytes().len()).is_some_and(|expected| expected == encoded)
            }
            Padding::Pss => pss_holds(hash, &digest, &encoded, self.modulus_bits).is_some_and(|holds| holds),
        }
    }

    /// RSAVP1 and I2OSP (RFC 8017 5.2.2, 4.1): the encoded message, as long as the modulus. A signature that is not below
    /// the modulus would be a second spelling, and has none.
    fn open(&self, signature: &[u8]) -> Option<Vec<u8>> {
        self.modulus.power(signature, self.exponent)
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

/// EMSA-PKCS1-v1_5 (RFC 8017 9.2). The expected encoding is built and compared whole, because taking the padding apart
/// is where other implementations were forged.
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

#[cfg(test)]
mod tests {
    use super::super::compact::base64url;
    use super::*;
    use serde_json::Value;

    /// Signatures by OpenSSL; the file says how they were made.
    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/vectors/jwt_rsa.json")).unwrap()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        base64url(value.as_str().unwrap()).unwrap()
    }

    fn key(entry: &Value) -> RsaKey {
        RsaKey::new(&bytes(&entry["n"]), &bytes(&entry["e"])).unwrap()
    }

    const MESSAGE: &[u8] = b"databricks-kong";

    #[test]
    fn keys_whose_size_is_no_multiple_of_eight_verify() {
        let vectors = vectors();
        let mut tried = 0;
        for entry in vectors["keys"].as_array().unwrap() {
            let key = key(entry);
            assert_eq!(key.modulus_bits as u64, entry["bits"].as_u64().unwrap());
            for (name, signature) in entry["signatures"].as_object().unwrap() {
                let algorithm = Algorithm::from_name(name).unwrap();
                assert!(key.verify(algorithm, MESSAGE, &bytes(signature)), "{} {name}", key.modulus_bits);
                assert!(!key.verify(algorithm, b"databricks-kong ", &bytes(signature)), "{} {name}", key.modulus_bits);
                tried += 1;
            }
            assert!(!key.verify(Algorithm::PS256, MESSAGE, &bytes(&entry["PS256 with a salt of 20"])));
        }
        assert_eq!(tried, 30);
    }

    #[test]
    fn a_bit_above_the_encoded_message_is_refused() {
        let vectors = vectors();
        let entry = &vectors["keys"][0];
        let signature = bytes(&entry["PS256 with a bit set above the encoded message"]);
        let key = key(entry);
        let encoded = key.open(&signature).unwrap();
        assert_eq!((key.modulus_bits, encoded.len(), encoded[0]), (2049, 257, 1));
        assert!(!key.verify(Algorithm::PS256, MESSAGE, &signature));
    }

    /// What a signer with the private key could have encoded otherwise (RFC 8017 9.1.2, steps 4 to 14).
    #[test]
    fn each_part_of_what_pss_encodes_must_be_right() {
        let hash = Hash::Sha256;
        let (digest, salt) = (hash.of(&[MESSAGE]), [7; 32]);
        let expected = hash.of(&[&[0; 8], digest.as_slice(), &salt]);
        let encode = |zeros: &[u8], one: u8, top: u8, trailer: u8| {
            let block = [zeros, &[one], &salt].concat();
            let mut masked: Vec<u8> =
                block.iter().zip(mgf1(hash, &expected, block.len())).map(|(byte, mask)| byte ^ mask).collect();
            masked[0] = (masked[0] & 0x7f) | top;
            [masked.as_slice(), &expected, &[trailer]].concat()
        };
        let holds = |encoded: &[u8]| pss_holds(hash, &digest, encoded, 2048) == Some(true);
        let zeros = [0; 190];
        let (mut first, mut last) = (zeros, zeros);
        (first[0], last[189]) = (1, 1);
        assert!(holds(&encode(&zeros, 1, 0, 0xbc)));
        for (zeros, one, top, trailer) in [
            (&zeros, 2, 0, 0xbc),
            (&zeros, 0, 0, 0xbc),
            (&first, 1, 0, 0xbc),
            (&last, 1, 0, 0xbc),
            (&zeros, 1, 0x80, 0xbc),
            (&zeros, 1, 0, 0xcc),
        ] {
            assert!(!holds(&encode(zeros, one, top, trailer)), "{one} {top} {trailer} {zeros:?}");
        }
    }

    #[test]
    fn a_signature_is_bound_to_padding_and_hash() {
        let vectors = vectors();
        let entry = &vectors["keys"][0];
        let key = key(entry);
        for (made_by, signature) in entry["signatures"].as_object().unwrap() {
            for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.name() != made_by) {
                assert!(!key.verify(algorithm, MESSAGE, &bytes(signature)), "{made_by} as {algorithm}");
            }
        }
    }

    #[test]
    fn a_signature_has_one_spelling() {
        let vectors = vectors();
        let entry = &vectors["second spelling"];
        let key = key(entry);
        let good = bytes(&entry["s"]);
        assert!(key.verify(Algorithm::RS256, MESSAGE, &good));
        assert!(!key.verify(Algorithm::RS256, MESSAGE, &bytes(&entry["s + n"])), "s + n is s for the arithmetic");
        assert!(!key.verify(Algorithm::RS256, MESSAGE, &[&[0], good.as_slice()].concat()));
        assert!(!key.verify(Algorithm::RS256, MESSAGE, &[good.as_slice(), &[0]].concat()));
        assert!(!key.verify(Algorithm::RS256, MESSAGE, &good[1..]));
    }

    #[test]
    fn trivial_signatures_are_refused() {
        let vectors = vectors();
        let key = key(&vectors["second spelling"]);
        let mut below = key.modulus.bytes().to_vec();
        *below.last_mut().unwrap() -= 1;
        let one = [vec![0; 255], vec![1]].concat();
        for signature in [vec![], vec![0; 256], one, below, key.modulus.bytes().to_vec(), vec![0xff; 256]] {
            for algorithm in [Algorithm::RS256, Algorithm::RS512, Algorithm::PS256, Algorithm::PS512] {
                assert!(!key.verify(algorithm, MESSAGE, &signature), "{algorithm}");
            }
        }
    }

    #[test]
    fn the_modulus_is_odd_and_of_2048_to_4096_bits() {
        let modulus = |bits: usize| {
            let mut bytes = vec![0xff; bits.div_ceil(8)];
            if let Some(first) = bytes.first_mut() {
                *first >>= bits.next_multiple_of(8) - bits;
            }
            RsaKey::new(&bytes, &[1, 0, 1]).map(|key| key.modulus_bits)
        };
        for bits in [0, 8, 512, 1024, 2047, 4097, 8192] {
            assert_eq!(modulus(bits), Err(SkipReason::RsaModulus), "{bits}");
        }
        for bits in [2048, 2049, 3072, 4095, 4096] {
            assert_eq!(modulus(bits), Ok(bits));
        }
        let mut even = vec![0xff; 256];
        even[255] = 0xfe;
        assert_eq!(RsaKey::new(&even, &[1, 0, 1]).map(|_| ()), Err(SkipReason::RsaModulus));
        assert_eq!(RsaKey::new(&[], &[1, 0, 1]).map(|_| ()), Err(SkipReason::RsaModulus));
    }

    #[test]
    fn leading_zeros_change_neither_key() {
        let vectors = vectors();
        let entry = &vectors["second spelling"];
        let key = RsaKey::new(&[&[0, 0], bytes(&entry["n"]).as_slice()].concat(), &[0, 0, 1, 0, 1]).unwrap();
        assert!(key.verify(Algorithm::RS256, MESSAGE, &bytes(&entry["s"])));
    }

    #[test]
    fn the_exponent_is_odd_and_neither_small_nor_long() {
        let exponent = |bytes: &[u8]| RsaKey::new(&[0xff; 256], bytes).map(|_| ());
        for bytes in
            [&[][..], &[0], &[1], &[3], &[17], &[0xff, 0xff], &[1, 0, 0], &[1, 0, 2], &[1, 0, 0, 0, 1], &[0xff; 256]]
        {
            assert_eq!(exponent(bytes), Err(SkipReason::RsaExponent), "{bytes:?}");
        }
        for bytes in [&[1, 0, 1][..], &[1, 0, 3], &[0, 1, 0, 1], &[0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(exponent(bytes), Ok(()), "{bytes:?}");
        }
    }

    #[test]
    fn a_masks_length_need_be_no_multiple_of_the_hashs() {
        for length in [0, 1, 31, 32, 33, 223] {
            assert_eq!(mgf1(Hash::Sha256, b"seed", length).len(), length);
        }
        assert_eq!(mgf1(Hash::Sha256, b"seed", 40)[..33], mgf1(Hash::Sha256, b"seed", 33)[..]);
    }
}
