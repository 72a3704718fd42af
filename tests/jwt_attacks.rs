//! Examples that must verify, from the RFCs, and the attacks on JWT that must not (RFC 8725, and the advisories named
//! beside them).
//!
//! What only a signer can do wrong (claims of a wrong type and the like) is tested in `src/jwt`.

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
    Algorithm, Caller, ClaimPath, Expectations, KeySet, PublicKey, TokenError, UnverifiedToken, verify,
};
use jwt_simple::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// RFC 7515 A.2: RS256.
const RFC7515_A2: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const RFC7515_A2_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
/// RFC 7515 A.3: ES256.
const RFC7515_A3: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const RFC7515_A3_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const RFC7515_A3_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
/// RFC 8037 A.4: `EdDSA`; its payload is a sentence.
const RFC8037_A4: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
const RFC8037_A2_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn rfc_rsa() -> Value {
    json!({"kty": "RSA", "kid": "rsa", "n": RFC7515_A2_N, "e": "AQAB"})
}

fn rfc_ec() -> Value {
    json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": RFC7515_A3_X, "y": RFC7515_A3_Y})
}

fn rfc_okp() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": "okp", "x": RFC8037_A2_X})
}

fn verify_parts(jwk: &Value, algorithm: Algorithm, token: &str) -> bool {
    let (signing_input, signature) = token.rsplit_once('.').unwrap();
    let key = PublicKey::from_jwk(jwk.as_object().unwrap()).unwrap();
    key.verify(algorithm, signing_input.as_bytes(), &unb64(signature)).is_ok()
}

#[test]
fn the_examples_of_the_rfcs_verify() {
    assert!(verify_parts(&rfc_rsa(), Algorithm::RS256, RFC7515_A2));
    assert!(verify_parts(&rfc_ec(), Algorithm::ES256, RFC7515_A3));
    assert!(verify_parts(&rfc_okp(), Algorithm::EdDSA, RFC8037_A4));
}

#[test]
fn the_examples_of_the_rfcs_are_tokens_as_far_as_they_are_json() {
    let mut expect = expectations();
    expect.issuer = "joe".into();
    let keys = key_set(&[rfc_rsa(), rfc_ec(), rfc_okp()]);
    for token in [RFC7515_A2, RFC7515_A3] {
        let token = UnverifiedToken::parse(token.as_bytes(), 16384).unwrap();
        assert_eq!(token.issuer(), Some("joe"));
        let error = verify(&token, &keys, &expect, UnixTime::from_secs(1_300_819_000)).unwrap_err();
        assert_eq!(error, TokenError::ClaimMissing("aud".to_owned()), "all but the audience is right");
    }
    assert_eq!(UnverifiedToken::parse(RFC8037_A4.as_bytes(), 16384).unwrap_err().code(), "malformed");
}

/// RFC 7515 A.1, which RFC 7519 3.1 has too: HS256, and its key.
const RFC7515_A1: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const RFC7515_A1_K: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
/// RFC 7515 A.4: ES512, which is no algorithm here.
const RFC7515_A4: &str = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
/// RFC 7515 A.5, which is RFC 7519 6.1: not secured.
const RFC7515_A5: &str = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";

#[test]
fn the_examples_that_are_no_tokens_here_are_refused() {
    let key = HS256Key::from_bytes(&unb64(RFC7515_A1_K));
    let at = jwt_simple::prelude::Duration::from_secs(1_300_819_000);
    let options = VerificationOptions { artificial_time: Some(at), ..VerificationOptions::default() };
    assert!(key.verify_token::<NoCustomClaims>(RFC7515_A1, Some(options)).is_ok(), "the example is good");
    let of = |token: &str| UnverifiedToken::parse(token.as_bytes(), 16384).unwrap_err().code();
    for token in [RFC7515_A1, RFC7515_A4, RFC7515_A5] {
        assert_eq!(of(token), "alg_not_allowed", "{token}");
    }

    // A.6 and A.7: the good signatures of A.2 and A.3 in JSON
    let parts = |token: &'static str| token.split('.').collect::<Vec<_>>();
    let (rsa, ec) = (parts(RFC7515_A2), parts(RFC7515_A3));
    let signature = |parts: &[&str]| json!({"protected": parts[0], "signature": parts[2]});
    let general = json!({"payload": rsa[1], "signatures": [signature(&rsa), signature(&ec)]});
    let mut flattened = signature(&ec);
    flattened["payload"] = json!(ec[1]);
    for json in [general, flattened] {
        assert_eq!(of(&json.to_string()), "malformed");
    }
    // RFC 7519 A.1 and A.2: encrypted, so five parts
    for header in [r#"{"alg":"RSA1_5","enc":"A128CBC-HS256"}"#, r#"{"alg":"RSA1_5","enc":"A128CBC-HS256","cty":"JWT"}"#]
    {
        assert_eq!(of(&format!("{}.AAAA.AAAA.AAAA.AAAA", b64(header))), "malformed", "{header}");
    }
    // RFC 7519 A.2, without the encryption: a token within a token is not unpacked
    let nested = signed_bytes(r#"{"alg":"EdDSA","kid":"okp","cty":"JWT"}"#, OKP.sign(claims()).unwrap().as_bytes());
    assert_eq!(code(&nested), "malformed");
}

const NOW: u64 = 1_800_000_000;

fn expectations() -> Expectations {
    Expectations {
        issuer: "https://idp.example".into(),
        audiences: vec!["databricks".to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        clock_skew: std::time::Duration::from_secs(30),
        max_lifetime: None,
        subject: ClaimPath::name("sub"),
        groups: ClaimPath::name("groups"),
        groups_separator: None,
        client: None,
        required: Vec::new(),
    }
}

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap().keys
}

/// The provider's keys: one of each type. The attacker knows them, as everyone does.
static RSA: LazyLock<RS256KeyPair> = LazyLock::new(|| RS256KeyPair::generate(2048).unwrap().with_key_id("rsa"));
static EC: LazyLock<ES256KeyPair> = LazyLock::new(|| ES256KeyPair::generate().with_key_id("ec"));
static OKP: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().with_key_id("okp"));

fn rsa_jwk() -> Value {
    let parts = RSA.public_key().to_components();
    json!({"kty": "RSA", "kid": "rsa", "n": b64(parts.n), "e": b64(parts.e)})
}

fn ec_jwk() -> Value {
    let point = EC.public_key().public_key().to_bytes_uncompressed();
    json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(&point[1..33]), "y": b64(&point[33..])})
}

fn okp_jwk() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": "okp", "x": b64(OKP.public_key().to_bytes())})
}

fn check(token: &str) -> Result<Caller, TokenError> {
    let keys = key_set(&[rsa_jwk(), ec_jwk(), okp_jwk()]);
    verify(&UnverifiedToken::parse(token.as_bytes(), 16384)?, &keys, &expectations(), UnixTime::from_secs(NOW))
}

/// The error code; a token that is accepted fails the test.
fn code(token: &str) -> &'static str {
    check(token).map(|caller| panic!("accepted, {caller:?}: {token}")).unwrap_err().code()
}

fn payload() -> String {
    b64(json!({"iss": "https://idp.example", "aud": "databricks", "sub": "admin", "exp": NOW + 600}).to_string())
}

fn claims() -> JWTClaims<NoCustomClaims> {
    let secs = jwt_simple::prelude::Duration::from_secs;
    let mut claims = Claims::create(secs(600));
    claims.issued_at = Some(secs(NOW));
    claims.invalid_before = Some(secs(NOW));
    claims.expires_at = Some(secs(NOW + 600));
    claims.with_issuer("https://idp.example").with_audience("databricks").with_subject("anna")
}

#[test]
fn honest_tokens_are_accepted_here() {
    for token in [RSA.sign(claims()).unwrap(), EC.sign(claims()).unwrap(), OKP.sign(claims()).unwrap()] {
        assert_eq!(check(&token).unwrap().subject(), "anna");
    }
}

/// RFC 8725 2.1, and the spellings by which filters were passed.
#[test]
fn no_signature_is_no_token() {
    let honest = RSA.sign(claims()).unwrap();
    let signature = honest.rsplit_once('.').unwrap().1;
    for name in ["none", "None", "NONE", "nOnE", "nonE", "none ", " none", "", "null", "n\u{43e}ne"] {
        for signature in ["", signature] {
            for kid in ["", r#","kid":"rsa""#] {
                let header = b64(format!(r#"{{"alg":"{name}"{kid}}}"#));
                assert_eq!(code(&format!("{header}.{}.{signature}", payload())), "alg_not_allowed", "{name}");
            }
        }
    }
    for header in ["{}", r#"{"alg":null}"#, r#"{"alg":false}"#, r#"{"alg":["RS256","none"]}"#] {
        assert_eq!(code(&format!("{}.{}.", b64(header), payload())), "malformed", "{header}");
    }
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let header = b64(format!(r#"{{"alg":"{algorithm}"}}"#));
        assert_eq!(code(&format!("{header}.{}.", payload())), "signature_invalid");
    }
}

/// CVE-2015-9235, CVE-2023-48223, CVE-2026-34950, CVE-2026-44699: the public key, in every form, as the secret of an
/// HMAC.
#[test]
fn a_public_key_is_no_shared_secret() {
    let public = RSA.public_key();
    let der = public.to_der().unwrap();
    let jwk = rsa_jwk().to_string().into_bytes();
    let modulus = unb64(rsa_jwk()["n"].as_str().unwrap());
    for secret in [public.to_pem().unwrap().into_bytes(), der, jwk, modulus] {
        let hs256 = HS256Key::from_bytes(&secret).with_key_id("rsa").authenticate(claims()).unwrap();
        let hs512 = HS512Key::from_bytes(&secret).with_key_id("rsa").authenticate(claims()).unwrap();
        for token in [hs256, hs512] {
            assert_eq!(code(&token), "alg_not_allowed");
            // and the MAC under a name that is allowed
            let (_, rest) = token.split_once('.').unwrap();
            let header = b64(r#"{"alg":"RS256","kid":"rsa"}"#);
            assert_eq!(code(&format!("{header}.{rest}")), "signature_invalid");
        }
    }
}

#[test]
fn a_symmetric_key_in_the_providers_set_is_never_used() {
    let secret = HS256Key::generate().with_key_id("shared");
    let token = secret.authenticate(claims()).unwrap();
    let keys =
        key_set(&[json!({"kty": "oct", "kid": "shared", "alg": "HS256", "k": b64(secret.to_bytes())}), okp_jwk()]);
    assert_eq!(keys.len(), 1);
    assert_eq!(UnverifiedToken::parse(token.as_bytes(), 16384).unwrap_err().code(), "alg_not_allowed");
}

/// CVE-2018-0114, and `jku`/`x5u` injection: the attacker signs with a key of their own and sends it, or its address,
/// along.
#[test]
fn a_key_that_comes_with_the_token_is_not_used() {
    let attacker = Ed25519KeyPair::generate();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": b64(attacker.public_key().to_bytes())});
    for kid in [json!(null), json!("okp"), json!("attacker"), json!("https://evil.example/jwks.json")] {
        let mut header = json!({"alg": "EdDSA", "typ": "JWT", "jwk": jwk, "jku": "https://evil.example/jwks.json",
            "x5u": "https://evil.example/cert.pem", "x5c": [b64("certificate")]});
        if !kid.is_null() {
            header["kid"] = kid;
        }
        let signing_input = format!("{}.{}", b64(header.to_string()), payload());
        let secret: [u8; 64] = attacker.to_bytes().try_into().unwrap();
        let signature = sign_ed25519(&secret, signing_input.as_bytes());
        let code = code(&format!("{signing_input}.{}", b64(signature)));
        assert!(["signature_invalid", "key_unknown"].contains(&code), "{code}");
    }
}

/// A token of the provider's own with exactly this header and these bytes as its payload.
fn signed_bytes(header: &str, payload: &[u8]) -> String {
    let secret: [u8; 64] = OKP.to_bytes().try_into().unwrap();
    let signing_input = format!("{}.{}", b64(header), b64(payload));
    let signature = sign_ed25519(&secret, signing_input.as_bytes());
    format!("{signing_input}.{}", b64(signature))
}

/// Seed and public key, as jwt-simple exports them.
fn sign_ed25519(secret: &[u8; 64], message: &[u8]) -> [u8; 64] {
    use ed25519_dalek::Signer;
    ed25519_dalek::SigningKey::from_keypair_bytes(secret).unwrap().sign(message).to_bytes()
}

/// CVE-2025-59420 (unknown `crit` accepted) and RFC 7797.
#[test]
fn extensions_of_the_header_are_refused_even_if_they_are_signed() {
    let secret: [u8; 64] = OKP.to_bytes().try_into().unwrap();
    for member in [r#""crit":["x"],"x":1"#, r#""crit":[]"#, r#""b64":false,"crit":["b64"]"#, r#""b64":false"#] {
        let signing_input = format!("{}.{}", b64(format!(r#"{{"alg":"EdDSA","kid":"okp",{member}}}"#)), payload());
        let token = format!("{signing_input}.{}", b64(sign_ed25519(&secret, signing_input.as_bytes())));
        assert_eq!(code(&token), "critical_header", "{member}");
    }
    let signing_input = format!("{}.{}", b64(r#"{"alg":"EdDSA","kid":"okp"}"#), payload());
    let token = format!("{signing_input}.{}", b64(sign_ed25519(&secret, signing_input.as_bytes())));
    assert!(check(&token).is_ok(), "the same without it");
    // RFC 7797 3: the payload as it is, signed as it is
    let claims = String::from_utf8(unb64(&payload())).unwrap();
    let signing_input = format!("{}.{claims}", b64(r#"{"alg":"EdDSA","kid":"okp"}"#));
    let token = format!("{signing_input}.{}", b64(sign_ed25519(&secret, signing_input.as_bytes())));
    assert_eq!(code(&token), "malformed");
}

/// CVE-2022-21449, and the forms that other implementations read.
#[test]
fn ecdsa_signatures_of_no_worth_are_refused() {
    let token = EC.sign(claims()).unwrap();
    let (signing_input, signature) = token.rsplit_once('.').unwrap();
    let signature = unb64(signature);
    let (r, s) = signature.split_at(32);
    let order = unb64("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE");
    let (zero, one) = ([0; 32], [&[0; 31][..], &[1]].concat());
    let p256 = p256::ecdsa::Signature::from_slice(&signature).unwrap();
    let der = p256.to_der().as_bytes().to_vec();
    for forged in [
        [zero, zero].concat(),
        [&zero[..], s].concat(),
        [r, &zero].concat(),
        [&one[..], &one].concat(),
        [&order[..], &order].concat(),
        [r, &order].concat(),
        [&order[..], s].concat(),
        [0xff; 64].to_vec(),
        [s, r].concat(),
        der,
        r.to_vec(),
        [&signature[..], &[0]].concat(),
        [&[0], &signature[..]].concat(),
        [&zero[..16], r, &zero[..16], s].concat(),
        signature[..63].to_vec(),
        Vec::new(),
    ] {
        assert_eq!(code(&format!("{signing_input}.{}", b64(&forged))), "signature_invalid", "{forged:?}");
    }
}

/// JWS does not ask for the smaller `s`, and providers do not care: both are the signer's.
#[test]
fn either_s_of_an_ecdsa_signature_is_accepted() {
    let token = EC.sign(claims()).unwrap();
    let (signing_input, signature) = token.rsplit_once('.').unwrap();
    let signature = p256::ecdsa::Signature::from_slice(&unb64(signature)).unwrap();
    let (r, s) = signature.split_scalars();
    let other = p256::ecdsa::Signature::from_scalars(r, -s).unwrap();
    assert!(check(&format!("{signing_input}.{}", b64(other.to_bytes()))).is_ok());
}

/// CVE-2026-22817: the header chooses among the algorithms of another type of key.
#[test]
fn an_algorithm_of_another_family_finds_no_key() {
    for (token, others) in [
        (RSA.sign(claims()).unwrap(), ["ES256", "ES384", "EdDSA"]),
        (EC.sign(claims()).unwrap(), ["RS256", "PS256", "ES384"]),
        (OKP.sign(claims()).unwrap(), ["RS256", "ES256", "PS512"]),
    ] {
        let (header, rest) = token.split_once('.').unwrap();
        for other in others {
            let mut header: Value = serde_json::from_slice(&unb64(header)).unwrap();
            header["alg"] = json!(other);
            assert_eq!(code(&format!("{}.{rest}", b64(header.to_string()))), "key_unknown", "{other}");
        }
    }
}

#[test]
fn an_algorithm_of_the_same_family_does_not_verify_what_another_signed() {
    let token = RSA.sign(claims()).unwrap();
    let (_, rest) = token.split_once('.').unwrap();
    for other in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        let header = b64(format!(r#"{{"alg":"{other}","kid":"rsa"}}"#));
        assert_eq!(code(&format!("{header}.{rest}")), "signature_invalid", "{other}");
    }
}

#[test]
fn parts_of_two_honest_tokens_make_none() {
    let first = RSA.sign(claims()).unwrap();
    let second = RSA.sign(claims().with_subject("eve")).unwrap();
    let (first, second): (Vec<&str>, Vec<&str>) = (first.split('.').collect(), second.split('.').collect());
    assert_eq!(code(&[first[0], second[1], first[2]].join(".")), "signature_invalid");
    assert_eq!(code(&[first[0], first[1], second[2]].join(".")), "signature_invalid");
    assert_eq!(code(&[first[1], first[0], first[2]].join(".")), "malformed");
}

/// One token, one spelling: caches and deny lists compare bytes.
#[test]
fn another_spelling_of_an_honest_token_is_refused() {
    for token in [RSA.sign(claims()).unwrap(), EC.sign(claims()).unwrap(), OKP.sign(claims()).unwrap()] {
        let standard = token.replace('-', "+").replace('_', "/");
        for other in [
            format!("{token}="),
            format!("{token}=="),
            format!("{token}\n"),
            format!(" {token}"),
            format!("{token}\0"),
            format!("{token}."),
            format!("{token}.AAAA"),
            token.replacen('.', "=.", 1),
            token.replacen('.', " .", 1),
            token.replacen('.', "..", 1),
            token.replace('.', "%2E"),
            token.replacen("ey", "e y", 1),
        ] {
            assert_eq!(code(&other), "malformed", "{other}");
        }
        if standard != token {
            assert_eq!(code(&standard), "malformed");
        }
    }
    // the last character of a signature of 256 bytes has four unused bits
    let token = RSA.sign(claims()).unwrap();
    let last = token.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(last).unwrap();
    let mut others = 0;
    for other in alphabet[place + 1..place + 16].chars() {
        assert_eq!(code(&format!("{}{other}", &token[..token.len() - 1])), "malformed");
        others += 1;
    }
    assert_eq!(others, 15);
}

/// CVE-2025-61920, CVE-2026-48042: what is too large or too deep is refused before it costs anything.
#[test]
fn large_and_deep_tokens_are_refused() {
    assert_eq!(code(&"A".repeat(16385)), "too_large");
    let header = b64(r#"{"alg":"EdDSA","kid":"okp"}"#);
    let deep = b64("[".repeat(9000));
    assert_eq!(code(&format!("{header}.{deep}.")), "malformed");
    let deep = b64("{\"a\":".repeat(2000));
    assert_eq!(code(&format!("{header}.{deep}.")), "malformed");
    assert_eq!(
        code(&format!("{}.{}.", b64(format!("{{\"alg\":\"EdDSA\",\"x\":{}", "[".repeat(1400))), payload())),
        "malformed"
    );
    assert_eq!(code(&format!("{}.e30.", "A".repeat(2049))), "malformed");
}

/// Whoever reads the error must not learn the token or the claims from it.
#[test]
fn errors_show_nothing_of_the_token() {
    let token = OKP.sign(claims().with_subject("canary").with_issuer("https://canary.example")).unwrap();
    let canary = format!("{}.{}.AAAA", b64(r#"{"alg":"EdDSA","kid":"canary","typ":"canary"}"#), payload());
    let algorithm = format!("{}.{}.AAAA", b64(r#"{"alg":"canary"}"#), payload());
    for token in [token, canary, algorithm, "canary.canary.canary".to_owned()] {
        let error = check(&token).unwrap_err();
        let text = format!("{error} {error:?} {} {:?}", error.code(), error.claim());
        assert!(!text.contains("canary") && !text.contains("ey"), "{text}");
    }
}

/// RFC 8725 3.7, whoever signed it.
#[test]
fn claims_in_another_encoding_are_not_read() {
    let header = r#"{"alg":"EdDSA","kid":"okp"}"#;
    let text = String::from_utf8(unb64(&payload())).unwrap();
    assert!(check(&signed_bytes(header, text.as_bytes())).is_ok(), "in UTF-8");
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    let latin = text.replace("admin", "ren\u{e9}").chars().map(|character| character as u8).collect::<Vec<_>>();
    for payload in [big, little, marked, latin] {
        assert_eq!(code(&signed_bytes(header, &payload)), "malformed", "{payload:?}");
    }
}

/// RFC 8725 3.6: `zip` belongs to encrypted tokens, and means nothing here.
#[test]
fn compressed_claims_are_not_read() {
    let header = r#"{"alg":"EdDSA","kid":"okp","zip":"DEF"}"#;
    // DEFLATE can hold a text as it is: one last block, its length, the length's complement, the text
    let text = unb64(&payload());
    let length = u16::try_from(text.len()).unwrap();
    let stored = [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), &text].concat();
    assert_eq!(code(&signed_bytes(header, &stored)), "malformed");
}

/// CVE-2025-55241, and Entra's own template of issuers, which validators have put the token's tenant into.
#[test]
fn an_issuer_is_neither_a_template_nor_a_prefix_nor_another_tenant() {
    let tenant = "https://login.microsoftonline.com/6f4a0000-0000-0000-0000-000000000001/v2.0";
    let token = OKP.sign(claims().with_issuer(tenant)).unwrap();
    let token = UnverifiedToken::parse(token.as_bytes(), 16384).unwrap();
    let fits = |issuer: &str| {
        let expect = Expectations { issuer: issuer.into(), ..expectations() };
        verify(&token, &key_set(&[okp_jwk()]), &expect, UnixTime::from_secs(NOW)).map_err(|error| error.code())
    };
    assert!(fits(tenant).is_ok());
    for issuer in [
        "https://login.microsoftonline.com/{tenantid}/v2.0",
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/*/v2.0",
        "https://login.microsoftonline.com/6f4a0000-0000-0000-0000-000000000002/v2.0",
        "https://login.microsoftonline.com/",
        "https://login.microsoftonline.com/6f4a0000-0000-0000-0000-000000000001/v2.0/",
        "",
    ] {
        assert_eq!(fits(issuer).unwrap_err(), "issuer_mismatch", "{issuer}");
    }
}
