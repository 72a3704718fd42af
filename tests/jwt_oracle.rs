//! Another implementation (jwt-simple) signs, we verify; tokens that were damaged are refused by both.
//!
//! The properties at the end ask more: no damage whatsoever verifies, and nothing makes the parser panic.

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
use databricks_kong::base::UnixTime;
use databricks_kong::jwt::{
    Algorithm, Caller, ClaimPath, Expectations, Groups, KeySet, TokenError, UnverifiedToken, verify,
};
use jwt_simple::prelude::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

const NOW: u64 = 1_800_000_000;

/// A signer of jwt-simple, with what both sides need to verify.
struct Signer {
    algorithm: Algorithm,
    jwk: Value,
    sign: Box<dyn Fn(JWTClaims<Value>) -> String + Send + Sync>,
    verifies: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// jwt-simple's check of the same things, at the same time.
fn options() -> VerificationOptions {
    VerificationOptions {
        artificial_time: Some(jwt_simple::prelude::Duration::from_secs(NOW)),
        time_tolerance: Some(jwt_simple::prelude::Duration::from_secs(30)),
        allowed_issuers: Some(["https://idp.example".to_owned()].into()),
        allowed_audiences: Some(["databricks".to_owned()].into()),
        ..VerificationOptions::default()
    }
}

macro_rules! signer {
    ($algorithm:ident, $pair:expr, $jwk:expr) => {{
        let pair = $pair.with_key_id("k");
        let public = pair.public_key();
        Signer {
            algorithm: Algorithm::$algorithm,
            jwk: $jwk(&public),
            sign: Box::new(move |claims| pair.sign(claims).unwrap()),
            verifies: Box::new(move |token| public.verify_token::<Value>(token, Some(options())).is_ok()),
        }
    }};
}

macro_rules! rsa_jwk {
    ($algorithm:ident) => {
        |public: &_| {
            let public: &paste_public!($algorithm) = public;
            let parts = public.to_components();
            json!({"kty": "RSA", "kid": "k", "alg": stringify!($algorithm), "use": "sig", "n": b64(&parts.n), "e": b64(&parts.e)})
        }
    };
}

macro_rules! paste_public {
    (RS256) => {
        RS256PublicKey
    };
    (RS384) => {
        RS384PublicKey
    };
    (RS512) => {
        RS512PublicKey
    };
    (PS256) => {
        PS256PublicKey
    };
    (PS384) => {
        PS384PublicKey
    };
    (PS512) => {
        PS512PublicKey
    };
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn point(kty: &str, curve: &str, coordinates: &[&[u8]]) -> Value {
    let mut jwk = json!({"kty": kty, "crv": curve, "kid": "k"});
    for (name, coordinate) in ["x", "y"].into_iter().zip(coordinates) {
        jwk[name] = json!(b64(coordinate));
    }
    jwk
}

/// One good token of each signer: signing takes longer than all that is done with it.
static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| SIGNERS.iter().map(|signer| (signer.sign)(claims())).collect());

/// One signer for each algorithm, made once.
static SIGNERS: LazyLock<Vec<Signer>> = LazyLock::new(|| {
    vec![
        signer!(RS256, RS256KeyPair::generate(2048).unwrap(), rsa_jwk!(RS256)),
        signer!(RS384, RS384KeyPair::generate(2048).unwrap(), rsa_jwk!(RS384)),
        signer!(RS512, RS512KeyPair::generate(3072).unwrap(), rsa_jwk!(RS512)),
        signer!(PS256, PS256KeyPair::generate(2048).unwrap(), rsa_jwk!(PS256)),
        signer!(PS384, PS384KeyPair::generate(2048).unwrap(), rsa_jwk!(PS384)),
        signer!(PS512, PS512KeyPair::generate(2048).unwrap(), rsa_jwk!(PS512)),
        signer!(ES256, ES256KeyPair::generate(), |public: &ES256PublicKey| {
            let bytes = public.public_key().to_bytes_uncompressed();
            let (x, y) = bytes[1..].split_at(32);
            point("EC", "P-256", &[x, y])
        }),
        signer!(ES384, ES384KeyPair::generate(), |public: &ES384PublicKey| {
            let bytes = public.public_key().to_bytes_uncompressed();
            let (x, y) = bytes[1..].split_at(48);
            point("EC", "P-384", &[x, y])
        }),
        signer!(EdDSA, Ed25519KeyPair::generate(), |public: &Ed25519PublicKey| point(
            "OKP",
            "Ed25519",
            &[&public.to_bytes()]
        )),
    ]
});

fn claims() -> JWTClaims<Value> {
    let secs = jwt_simple::prelude::Duration::from_secs;
    let custom = json!({"groups": ["data-engineering", "team-a"], "azp": "portal", "email_verified": true});
    let mut claims = Claims::with_custom_claims(custom, secs(600));
    claims.issued_at = Some(secs(NOW - 10));
    claims.invalid_before = Some(secs(NOW - 10));
    claims.expires_at = Some(secs(NOW + 600));
    claims.with_issuer("https://idp.example").with_subject("anna").with_audience("databricks")
}

fn expectations(algorithm: Algorithm) -> Expectations {
    Expectations {
        issuer: "https://idp.example".into(),
        audiences: vec!["databricks".to_owned()],
        algorithms: vec![algorithm],
        clock_skew: std::time::Duration::from_secs(30),
        max_lifetime: None,
        subject: ClaimPath::name("sub"),
        groups: ClaimPath::name("groups"),
        groups_separator: None,
        client: None,
        required: vec![(ClaimPath::name("email_verified"), vec![json!(true)])],
    }
}

fn ours(signer: &Signer, token: &[u8]) -> Result<Caller, TokenError> {
    let keys = KeySet::parse(json!({"keys": [signer.jwk]}).to_string().as_bytes()).unwrap().keys;
    let token = UnverifiedToken::parse(token, 16384)?;
    verify(&token, &keys, &expectations(signer.algorithm), UnixTime::from_secs(NOW))
}

#[test]
fn what_the_other_implementation_signs_is_accepted_and_read_alike() {
    assert_eq!(SIGNERS.len(), Algorithm::ALL.len());
    for signer in SIGNERS.iter() {
        let token = (signer.sign)(claims());
        assert!((signer.verifies)(&token));
        let caller = ours(signer, token.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", signer.algorithm));
        assert_eq!((caller.subject(), caller.client()), ("anna", Some("portal")));
        assert_eq!(caller.groups(), &Groups::Listed(["data-engineering", "team-a"].into_iter().collect()));
        assert_eq!(caller.expires_at(), UnixTime::from_secs(NOW + 600));
        assert_eq!(caller.token().expose(), &token);
    }
}

#[test]
fn damage_to_any_part_is_refused_by_both() {
    for signer in SIGNERS.iter() {
        let token = (signer.sign)(claims());
        let (signing_input, signature) = token.rsplit_once('.').unwrap();
        let (header, payload) = signing_input.split_once('.').unwrap();
        let other = (signer.sign)(claims().with_subject("eve"));
        let other_payload = other.split('.').nth(1).unwrap();
        let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
        flipped[7] ^= 1;
        let long = [URL_SAFE_NO_PAD.decode(signature).unwrap(), vec![0]].concat();
        let header_without_kid = b64(json!({"alg": signer.algorithm.name()}).to_string().as_bytes());
        for damaged in [
            format!("{header}.{other_payload}.{signature}"),
            format!("{header}.{payload}.{}", b64(&flipped)),
            format!("{header}.{payload}.{}", b64(&long)),
            format!("{header}.{payload}."),
            format!("{header}.{payload}"),
            format!("{header_without_kid}.{payload}.{signature}"),
            format!("{token}."),
            format!("{token}="),
            format!("{token} "),
        ] {
            assert!(!(signer.verifies)(&damaged), "{} {damaged}", signer.algorithm);
            assert!(ours(signer, damaged.as_bytes()).is_err(), "{} {damaged}", signer.algorithm);
        }
    }
}

#[test]
fn both_refuse_the_same_claims() {
    let secs = jwt_simple::prelude::Duration::from_secs;
    let signer = SIGNERS.iter().find(|signer| signer.algorithm == Algorithm::EdDSA).unwrap();
    let refused = |change: &dyn Fn(&mut JWTClaims<Value>), code: &str| {
        let mut claims = claims();
        change(&mut claims);
        let token = (signer.sign)(claims);
        assert!(!(signer.verifies)(&token), "jwt-simple accepts what we call {code}");
        assert_eq!(ours(signer, token.as_bytes()).unwrap_err().code(), code);
    };
    refused(&|claims| claims.expires_at = Some(secs(NOW - 31)), "expired");
    refused(&|claims| claims.invalid_before = Some(secs(NOW + 31)), "not_yet_valid");
    refused(&|claims| claims.issued_at = Some(secs(NOW + 31)), "not_yet_valid");
    refused(&|claims| claims.issuer = Some("https://idp.example/".to_owned()), "issuer_mismatch");
    refused(&|claims| claims.issuer = None, "claim_missing");
    refused(&|claims| claims.audiences = Some(Audiences::AsString("Databricks".to_owned())), "audience_mismatch");
    refused(&|claims| claims.audiences = None, "claim_missing");
}

#[test]
fn one_algorithms_token_is_refused_for_every_other_key() {
    for signer in SIGNERS.iter() {
        let token = (signer.sign)(claims());
        for other in SIGNERS.iter().filter(|other| other.algorithm != signer.algorithm) {
            let keys = KeySet::parse(json!({"keys": [other.jwk]}).to_string().as_bytes()).unwrap().keys;
            let token = UnverifiedToken::parse(token.as_bytes(), 16384).unwrap();
            let mut expect = expectations(signer.algorithm);
            expect.algorithms = Algorithm::ALL.to_vec();
            let error = verify(&token, &keys, &expect, UnixTime::from_secs(NOW)).unwrap_err();
            assert_eq!(error, TokenError::UnknownKey, "{} by {}", signer.algorithm, other.algorithm);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_flipped_bits_verify(which in 0..9_usize, flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 1..4)) {
        let signer = &SIGNERS[which];
        let good = TOKENS[which].as_bytes();
        let mut damaged = good.to_vec();
        for (place, bit) in flips {
            damaged[place.index(good.len())] ^= 1 << bit;
        }
        prop_assert_eq!(ours(signer, &damaged).is_ok(), damaged == good);
    }

    #[test]
    fn no_other_signature_verifies(which in 0..9_usize, random in prop::collection::vec(any::<u8>(), 512)) {
        let signer = &SIGNERS[which];
        let (signing_input, signature) = TOKENS[which].rsplit_once('.').unwrap();
        let length = URL_SAFE_NO_PAD.decode(signature).unwrap().len();
        let forged = format!("{signing_input}.{}", b64(&random[..length]));
        prop_assert_eq!(ours(signer, forged.as_bytes()).unwrap_err().code(), "signature_invalid");
    }

    #[test]
    fn cutting_inserting_and_doubling_never_verify(at in any::<prop::sample::Index>(), byte in any::<u8>(), length in 1..9_usize) {
        let signer = &SIGNERS[8];
        let good = TOKENS[8].as_bytes();
        let at = at.index(good.len());
        let (before, after) = good.split_at(at);
        let inserted = [before, &[byte], after].concat();
        let cut = [before, after.get(length..).unwrap_or_default()].concat();
        let doubled = [before, after, after].concat();
        for damaged in [inserted, cut, doubled] {
            prop_assert!(ours(signer, &damaged).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(UnverifiedToken::parse(&bytes, 16384).is_err());
        prop_assert!(KeySet::parse(&bytes).is_err());
    }

    #[test]
    fn arbitrary_headers_and_claims_never_panic(header in json_text(), payload in json_text(), signature in "[A-Za-z0-9_-]{0,90}") {
        let token = format!("{}.{}.{signature}", b64(header.as_bytes()), b64(payload.as_bytes()));
        if let Ok(token) = UnverifiedToken::parse(token.as_bytes(), 16384) {
            let signer = &SIGNERS[8];
            let keys = KeySet::parse(json!({"keys": [signer.jwk]}).to_string().as_bytes()).unwrap().keys;
            prop_assert!(verify(&token, &keys, &expectations(Algorithm::EdDSA), UnixTime::from_secs(NOW)).is_err());
        }
    }

    /// The signature holds here, so that the checks of the claims are reached.
    #[test]
    fn arbitrary_claims_that_are_signed_never_panic(changes in prop::collection::vec((claim_name(), json_value()), 0..5)) {
        let mut claims = claims();
        for (name, value) in changes {
            claims.custom[name] = value;
        }
        let token = (SIGNERS[8].sign)(claims);
        if let Ok(caller) = ours(&SIGNERS[8], token.as_bytes()) {
            prop_assert!(!caller.subject().is_empty());
        }
    }

    #[test]
    fn arbitrary_key_sets_never_panic(keys in prop::collection::vec(jwk_value(), 0..4)) {
        let _ = KeySet::parse(json!({"keys": keys}).to_string().as_bytes());
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[a-z ,/]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["true", "groups", "ID", "EdDSA", "RS256", "JWT", "k", "sub"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((claim_name(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn claim_name() -> impl Strategy<Value = String> {
    let names = "typ act azp client_id cid appid hasgroups _claim_names groups sid email_verified sub alg kid crit b64 iss aud exp nbf iat jti";
    let names: Vec<String> = names.split(' ').map(str::to_owned).collect();
    // those that jwt-simple writes itself would be there twice
    prop::sample::select(names).prop_filter("written by the signer", |name| {
        !matches!(name.as_str(), "iss" | "aud" | "exp" | "nbf" | "iat" | "sub")
    })
}

fn json_text() -> impl Strategy<Value = String> {
    prop_oneof![
        json_value().prop_map(|value| value.to_string()),
        prop::collection::vec((claim_name(), json_value()), 0..6).prop_map(|members| {
            let members: Vec<String> =
                members.into_iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
            format!("{{\"alg\":\"EdDSA\"{}{}}}", if members.is_empty() { "" } else { "," }, members.join(","))
        }),
        "[{}\\[\\]\":,a-z0-9\\\\ ]{0,40}",
    ]
}

fn jwk_value() -> impl Strategy<Value = Value> {
    let names: Vec<&str> = "kty crv alg use key_ops kid n e x y d".split(' ').collect();
    let value = prop_oneof![
        prop::sample::select(vec!["RSA", "EC", "OKP", "oct", "P-256", "P-384", "Ed25519", "RS256", "sig", "AQAB"])
            .prop_map(Value::from),
        "[A-Za-z0-9_-]{0,12}".prop_map(Value::from),
        "[A-Za-z0-9_-]{43}".prop_map(Value::from),
        "[A-Za-z0-9_-]{342}".prop_map(Value::from),
        json_value(),
    ];
    prop::collection::vec((prop::sample::select(names), value), 0..8)
        .prop_map(|members| Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
}
