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
    let digits = hex(&bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256_hex(text: &str) -> String {
    hex(Sha256::digest(text.as_bytes()).as_slice())
}
