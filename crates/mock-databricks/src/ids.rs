//! Random ids and hexadecimal text.

use sha2::{Digest, Sha256};

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    #[expect(clippy::expect_used, reason = "a machine without randomness can run no test")]
    getrandom::fill(&mut bytes).expect("the machine's random numbers");
    bytes
}

/// A random UUID (version 4), as Databricks writes its request ids.
pub(crate) fn uuid() -> String {
    let mut bytes: [u8; 16] = random();
    if let Some(version) = bytes.get_mut(6) {
        *version = (*version & 0x0f) | 0x40;
    }
    if let Some(variant) = bytes.get_mut(8) {
        *variant = (*variant & 0x3f) | 0x80;
    }
    uuid_text(&bytes)
}

pub(crate) fn uuid_text(bytes: &[u8; 16]) -> String {
    let digits = hex(bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// The bytes of a UUID in the form of [`uuid_text`].
pub(crate) fn uuid_bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    let pair = |pair: &[u32]| pair.iter().fold(0_u32, |byte, digit| byte.wrapping_shl(4) | digit);
    digits.chunks(2).filter_map(|digits| u8::try_from(pair(digits)).ok()).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256_hex(text: &str) -> String {
    hex(Sha256::digest(text.as_bytes()).as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_turn_into_bytes_and_back() {
        let text = uuid();
        let bytes: [u8; 16] = uuid_bytes(&text).try_into().unwrap();
        assert_eq!(uuid_text(&bytes), text);
        assert_eq!(text.as_bytes()[14], b'4');
    }
}
