//! The signature algorithms that can be allowed at all.

use std::fmt;

/// A JWS signature algorithm (RFC 7518 3.1, RFC 8037 3.1) that this crate verifies.
///
/// All of them are asymmetric. There is no `none` and no HMAC to switch on by mistake, so a token cannot ask for a
/// public key to be used as a shared secret (RFC 8725 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256 and MGF1 with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384 and MGF1 with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512 and MGF1 with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// `EdDSA` on Ed25519; Ed448 is not supported.
    EdDSA,
}

impl Algorithm {
    /// Every algorithm, in the order of RFC 7518.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The algorithm of that registered name. Names are case-sensitive (RFC 7515 4.1.1).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The registered name, as in a token's `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_leads_back_to_its_algorithm() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
            assert_eq!(algorithm.to_string(), algorithm.name());
        }
    }

    #[test]
    fn neither_none_nor_hmac_nor_another_spelling_is_an_algorithm() {
        let names = "none None NONE nOnE HS256 HS384 HS512 hs256 rs256 Rs256 RS1 RS256K ES512 ES256K EDDSA Ed25519 ML-DSA-44 RSA-OAEP";
        for name in names.split(' ').chain(["", " RS256", "RS256 ", "RS256\0"]) {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }
}
