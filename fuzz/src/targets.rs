//! What the fuzzers and tests/corpora.rs feed: a function for each parser of what others send, with what must hold for any
//! bytes at all. A panic is a finding.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use dashu_int::UBig;
use dashu_int::monty::MontgomeryRepr;
use databricks_kong::base::{Secret, UnixTime, parse_object_strict};
use databricks_kong::config::{Config, Settings};
use databricks_kong::databricks::sql::{Kind, LONGEST, Unparsed, scan};
use databricks_kong::databricks::{Catalogue, Features, Target, canonical, read_form, resources, scan_body};
use databricks_kong::flow::Flow;
use databricks_kong::jwt::{Algorithm, ClaimPath, Expectations, KeySet, PublicKey, UnverifiedToken, verify};
use databricks_kong::sim::{Answer, Client, End, Purpose, Script, Sim};
use modular_power::{Lanes, Modulus, Words};
use multiples::{Multiples, sum_of_products};
use num_bigint::BigUint;
use p256::elliptic_curve::ops::{LinearCombination, Reduce};
use p256::elliptic_curve::point::AffineCoordinates;
use p256::elliptic_curve::{Field, Group};
use p256::{FieldBytes, ProjectivePoint, Scalar};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use std::rc::Rc;
use std::time::Duration;

/// The files themselves, because no other crate has a use for powers and for multiples.
#[path = "../../src/jwt/modular_power/mod.rs"]
mod modular_power;
#[path = "../../src/jwt/multiples.rs"]
mod multiples;

type Check = fn(&[u8]);

/// By the names of their folders in fuzz/corpus.
pub const TARGETS: [(&str, Check); 8] = [
    ("token", token),
    ("jwks", jwks),
    ("reply", reply),
    ("config", config),
    ("target", target),
    ("body", body),
    ("sql", sql),
    ("power", power),
];

/// Made once for these files: nobody has the private keys any more.
const KEYS: &[u8] = include_bytes!("../corpus/jwks/provider");
const HONEST: [&str; 3] = [
    include_str!("../corpus/token/es256"),
    include_str!("../corpus/token/eddsa"),
    include_str!("../corpus/token/rs256"),
];
/// The one of them that is quickest to read and to verify with.
const ONE_KEY: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"okp","x":"yH7wYqkQdLgNMdVCGCv_dos99OpfkFuEr1gK5hT11o0"}]}"#;
/// When the honest tokens are good.
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const ISSUER: &str = "https://idp.example";
const LONGEST_TOKEN: usize = 16 * 1024;

fn expectations() -> Expectations {
    Expectations {
        issuer: ISSUER.into(),
        audiences: vec!["databricks".to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        clock_skew: Duration::from_secs(30),
        max_lifetime: None,
        subject: ClaimPath::name("sub"),
        groups: ClaimPath::name("groups"),
        groups_separator: None,
        client: None,
        required: Vec::new(),
    }
}

thread_local! {
    static KEY_SET: KeySet = KeySet::parse(KEYS).expect("the provider's keys").keys;
    static ONE_PROVIDER: Rc<Config> = enforce(
        r#"{"workspace":{"url":"https://adb.example.net"},
            "identity_providers":[{"name":"idp","issuer":"https://idp.example","audiences":["databricks"],"algorithms":["EdDSA"]}],
            "roles":[{"name":"r","match":{},"credential":{"type":"user_federation"}}]}"#,
    );
}

/// None but the honest tokens are accepted. ECDSA has two signatures for one (`s` and `n - s`), so what is signed counts.
fn token(bytes: &[u8]) {
    let Ok(token) = UnverifiedToken::parse(bytes, LONGEST_TOKEN) else { return };
    assert!(bytes.len() <= LONGEST_TOKEN);
    assert_eq!(token.token().text().expose().as_bytes(), bytes);
    let result = KEY_SET.with(|keys| verify(&token, keys, &expectations(), NOW));
    let signed = |text: &[u8]| text.iter().rposition(|byte| *byte == b'.').map(|dot| text[..dot].to_vec());
    let is_honest = HONEST.iter().any(|honest| signed(honest.as_bytes()) == signed(bytes));
    if let Ok(caller) = result {
        assert!(is_honest, "a forged token is accepted");
        assert_eq!(caller.subject(), "anna");
    }
}

/// Keys that nobody knows verify nothing.
fn jwks(bytes: &[u8]) {
    let Ok(parsed) = KeySet::parse(bytes) else { return };
    assert!(!parsed.keys.is_empty());
    for honest in HONEST {
        let token = UnverifiedToken::parse(honest.as_bytes(), LONGEST_TOKEN).expect("an honest token");
        let now = NOW.plus(Duration::from_secs(3600));
        assert!(verify(&token, &parsed.keys, &expectations(), now).is_err(), "accepted after its end");
    }
}

fn enforce(text: &str) -> Rc<Config> {
    match Settings::parse(text.as_bytes(), &|_| None) {
        Ok(Settings::Enforce(config)) => config,
        other => panic!("{other:?}"),
    }
}

/// The token endpoint answers: a status, a line with `Retry-After`, a body. Nothing is forwarded but with what a 200 has as
/// its token, and never with the caller's own.
fn reply(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let text =
        |part: Option<&[u8]>| part.and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default().to_owned();
    let Ok(status) = text(parts.next()).parse::<u16>() else { return };
    let retry_after = text(parts.next());
    let body = parts.next().unwrap_or_default();
    let mut answer = Answer::new(status, body);
    if !retry_after.is_empty() {
        answer = answer.retry_after(&retry_after);
    }

    let mut world = Script::default();
    let discovery = format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"{ISSUER}/keys"}}"#);
    world.set(Purpose::Discovery, [Answer::new(200, discovery)]);
    world.set(Purpose::Keys, [Answer::new(200, ONE_KEY)]);
    world.set(Purpose::Token, [answer]);
    let mut sim = Sim::new(ONE_PROVIDER.with(Rc::clone), NOW);
    let authorization = Secret::new(format!("Bearer {}", HONEST[1]));
    let client = Client {
        method: "GET".to_owned(),
        target: b"/api/2.1/jobs/list".to_vec(),
        headers: vec![("authorization".to_owned(), authorization)],
        ..Client::default()
    };
    let transcript = sim.run(&mut Flow::default(), &client, &mut world);
    assert!(transcript.callouts.iter().any(|callout| callout.purpose == Purpose::Token), "{transcript}");
    match &transcript.end {
        End::Forward { .. } => {
            assert_eq!(status, 200, "{transcript}");
            let object = parse_object_strict(body, 8).expect("forwarded without a strict object");
            let token = object["access_token"].as_str().expect("forwarded without a token");
            assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()), "{token:?}");
            assert_ne!(token, HONEST[1], "the caller's token went on");
        }
        End::Reply { status, .. } => assert!((400..=599).contains(status), "{transcript}"),
        End::Unfinished => panic!("{transcript}"),
    }
}

/// The same findings each time, and none about a place that is none.
fn config(bytes: &[u8]) {
    let read = || Settings::parse(bytes, &|name| (name == "SECRET").then(|| "value".to_owned()));
    match (read(), read()) {
        (Ok(_), Ok(_)) => {}
        (Err(first), Err(second)) => {
            assert_eq!(first, second);
            assert!(!first.is_empty(), "refused without a reason");
            for error in first {
                assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{error}");
            }
        }
        _ => panic!("read differently the second time"),
    }
}

/// `METHOD target`: what is read has none of the spellings that servers read differently, and forms are read as they are
/// written by others.
fn target(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b' ').unwrap_or(0);
    let (method, rest) = bytes.split_at(at);
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    if let Ok(text) = std::str::from_utf8(rest)
        && let Ok(read) = read_form(text)
    {
        let reader = |text: &str| form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Vec<_>>();
        let ours: Vec<_> = read.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        assert_eq!(ours, reader(text));
    }
    let Ok(target) = Target::parse(rest) else { return };
    let path = target.path();
    assert!(path.starts_with('/') && !path.contains(['?', '#', '\\']), "{path}");
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{path}");
    let Ok(method) = std::str::from_utf8(method) else { return };
    let Some(operation) = Catalogue::find(method, path) else { return };
    // `*` for those of any method
    assert!([method, "*"].contains(&operation.method()), "{operation:?}");
    for resource in resources(operation, &target, &[], None).unwrap_or_default() {
        assert_eq!(canonical(resource.kind, &resource.id), resource.id, "not the one spelling of an id");
    }
}

/// `METHOD target`, a line feed, and the body of the request.
fn body(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let head = lines.next().unwrap_or_default();
    let Ok(object) = parse_object_strict(lines.next().unwrap_or_default(), 64) else { return };
    let written = serde_json::to_vec(&object).expect("JSON");
    // numbers that are no integers may differ in their last bit
    let again = parse_object_strict(&written, 64).expect("what was read once");
    assert!(again.keys().eq(object.keys()));

    for executes in Catalogue::named("statement_execution.execute_statement") {
        let _ = scan_body(executes, Some(&object));
    }
    let Some((method, path)) = std::str::from_utf8(head).ok().and_then(|head| head.split_once(' ')) else { return };
    let Ok(target) = Target::parse(path.as_bytes()) else { return };
    let Some(operation) = Catalogue::find(method, target.path()) else { return };
    let features = Features::of(operation, &object).unwrap_or_default();
    assert!(features.are_within(features));
    assert_eq!(features.first_beyond(features), None);
    let found = resources(operation, &target, &[], Some(&object));
    assert_eq!(found, resources(operation, &target, &[], Some(&object)));
}

/// What comes after the end of a statement changes nothing, and where a name belongs is of no account for the syntax.
fn sql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let plain = scan(text, Some("main"), Some("sales"));
    assert_eq!(scan(text, Some("MAIN"), Some("Sales")), plain);
    assert_eq!(text.len() > LONGEST, plain.parsed == Err(Unparsed::TooLong));
    assert_eq!(scan(text, None, None).parsed, plain.parsed);
    if plain.parsed.is_ok() && text.len() + 16 < LONGEST {
        assert!(!plain.classes.is_empty());
        for end in ["\n-- FROM x", "\n/* FROM x */", "\n;", " \t\n"] {
            assert_eq!(scan(&format!("{text}{end}"), Some("main"), Some("sales")), plain, "{end:?}");
        }
        for object in plain.reads.iter().chain(&plain.writes) {
            // `GET ''` parses, though no server would take it: no rule asks for a path's name, each path is one too many
            assert!(object.kind == Kind::Path || !object.name.is_empty(), "{plain:?}");
        }
    }
}

/// What `jwt` calculates itself: RSA's powers, and the sums of products of ECDSA on P-256 and of EdDSA on edwards25519.
fn power(bytes: &[u8]) {
    modular(bytes);
    on_p256(bytes);
    on_edwards25519(bytes);
}

/// A header of seven bytes (bits of the modulus, exponent, shape), then the modulus and the base. Both kernels come to what two
/// libraries come to, for any odd modulus of at most 4096 bits.
fn modular(bytes: &[u8]) {
    let Some((header, rest)) = bytes.split_first_chunk::<7>() else { return };
    let [low, high, e0, e1, e2, e3, shape] = *header;
    let bits = 2 + usize::from(u16::from_be_bytes([high, low])) % 4095;
    let exponent = u32::from_be_bytes([e0, e1, e2, e3]) | 1;
    let (modulus, base) = rest.split_at(rest.len() / 2);
    let modulus = odd(bits, &stretched(modulus, bits.div_ceil(8), shape & 1 == 1));
    let n = BigUint::from_bytes_be(&modulus);
    let base = BigUint::from_bytes_be(&stretched(base, modulus.len(), shape & 2 == 2)) % &n;
    // as near to the modulus as otherwise to zero
    let base = if shape & 4 == 4 { &n - 1_u8 - base } else { base };
    let padded = |number: &[u8]| [vec![0; modulus.len() - number.len()].as_slice(), number].concat();
    let base = padded(&base.to_bytes_be());

    let words = Modulus::<Words>::new(&modulus).expect("an odd modulus");
    let lanes = Modulus::<Lanes>::new(&modulus).expect("an odd modulus");
    assert_eq!(words.bytes(), modulus);
    assert_eq!(words.power(&modulus, exponent), None, "a base that is not below");
    if exponent == 1 {
        assert_eq!((words.power(&base, 1), lanes.power(&base, 1)), (None, None));
        return;
    }
    let expected = BigUint::from_bytes_be(&base).modpow(&BigUint::from(exponent), &n).to_bytes_be();
    let expected = padded(&expected);
    let ring = MontgomeryRepr::new(UBig::from_be_bytes(&modulus));
    let other = ring.reduce(UBig::from_be_bytes(&base)).pow(&UBig::from(exponent)).residue().to_be_bytes();
    assert_eq!(padded(&other), expected, "the two libraries differ");
    assert_eq!(words.power(&base, exponent).as_ref(), Some(&expected), "words");
    assert_eq!(lanes.power(&base, exponent).as_ref(), Some(&expected), "lanes");
}

/// Bytes over and over, or each of them as often as the next one says: long runs are where carries go far.
fn stretched(bytes: &[u8], length: usize, as_runs: bool) -> Vec<u8> {
    let run = |pair: &[u8]| std::iter::repeat_n(pair[0], usize::from(pair.get(1).copied().unwrap_or(1)) + 1);
    let bytes = if as_runs { bytes.chunks(2).flat_map(run).collect() } else { bytes.to_vec() };
    bytes.into_iter().chain(std::iter::once(0)).cycle().take(length).collect()
}

/// The odd number of just as many bits that is next to these.
fn odd(bits: usize, bytes: &[u8]) -> Vec<u8> {
    let mut number = bytes.to_vec();
    let above = bits.next_multiple_of(8) - bits;
    number[0] = number[0] & (0xff >> above) | (0x80 >> above);
    *number.last_mut().expect("a byte") |= 1;
    number
}

/// Three numbers of 32 bytes (a private key, two factors), a byte (what is changed), the message. Tables come to the sum that
/// `p256` comes to; a signature, one that is changed, and one that is any two numbers are decided as another library decides
/// them, before the key has a table and after.
fn on_p256(bytes: &[u8]) {
    let Some((numbers, rest)) = bytes.split_first_chunk::<96>() else { return };
    let (change, message) = rest.split_first().unwrap_or((&0, &[]));
    let scalar = |bytes: &[u8]| -> Scalar { Reduce::<FieldBytes>::reduce(&bytes.try_into().expect("32 bytes")) };
    let [secret, a, b] = [0, 32, 64].map(|at| scalar(&numbers[at..at + 32]));
    if bool::from(secret.is_zero()) {
        return;
    }
    let generator = ProjectivePoint::GENERATOR;
    let point = (generator * secret).to_affine();
    let low_first = |scalar: &Scalar| {
        let mut bytes: [u8; 32] = scalar.to_bytes().into();
        bytes.reverse();
        bytes
    };
    let tables = [generator, point.into()].map(Multiples::of);
    let sum = sum_of_products(&low_first(&a), &tables[0], &low_first(&b), &tables[1]);
    assert_eq!(sum, ProjectivePoint::lincomb(&[(generator, a), (point.into(), b)]), "another sum than p256's");

    let (x, y) = (point.x(), point.y());
    let [x_text, y_text] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
    let Value::Object(jwk) = json!({"kty": "EC", "crv": "P-256", "x": x_text, "y": y_text}) else { return };
    let key = PublicKey::from_jwk(&jwk).expect("a key");
    let uncompressed = [&[4], x.as_slice(), y.as_slice()].concat();
    let other = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &uncompressed);
    let agreed = |signature: &[u8]| {
        let verdict = key.verify(Algorithm::ES256, message, signature).is_ok();
        assert_eq!(verdict, other.verify(message, signature).is_ok(), "the libraries differ: {signature:x?}");
        verdict
    };
    let Some(good) = signed(secret, a, message) else { return };
    before_a_table_and_after(&good, true, *change, &numbers[32..], agreed);
}

/// `agreed` gives the verdict on a signature: on one whose equation `holds` or does not, on that one changed, and on `any` numbers.
fn before_a_table_and_after(good: &[u8], holds: bool, change: u8, any: &[u8], agreed: impl Fn(&[u8]) -> bool) {
    let mut changed = good.to_vec();
    changed[usize::from(change) % 64] ^= change | 1;
    for _ in 0..2 {
        assert!(!agreed(&changed), "a signature that was changed");
        agreed(any);
        // as many as make a table
        assert!((0..8).all(|_| agreed(good) == holds), "a signature whose equation holds, or does not");
    }
}

/// FIPS 186-5 6.4.1, with this number as the secret one; none if it or a part of the signature is zero.
fn signed(secret: Scalar, number: Scalar, message: &[u8]) -> Option<Vec<u8>> {
    let reduced = |bytes: &FieldBytes| -> Scalar { Reduce::<FieldBytes>::reduce(bytes) };
    let inverse = number.invert().into_option()?;
    let r = reduced(&(ProjectivePoint::GENERATOR * number).to_affine().x());
    let s = inverse * (reduced(&Sha256::digest(message)) + r * secret);
    let is_zero = bool::from(r.is_zero() | s.is_zero());
    (!is_zero).then(|| [r.to_bytes(), s.to_bytes()].concat())
}

/// The same bytes on edwards25519, where what is changed also says which points of small order are added to the key and to `R`.
/// Tables come to the sum that `curve25519-dalek` comes to; signatures are decided as `ed25519-dalek` decides them strictly, and
/// as `ring` does, which takes an `R` of small order too.
fn on_edwards25519(bytes: &[u8]) {
    let Some((numbers, rest)) = bytes.split_first_chunk::<96>() else { return };
    let (change, message) = rest.split_first().unwrap_or((&0, &[]));
    let scalar =
        |at: usize| curve25519_dalek::Scalar::from_bytes_mod_order(numbers[at..at + 32].try_into().expect("32 bytes"));
    let [secret, a, b] = [0, 32, 64].map(scalar);
    let generator = EdwardsPoint::generator();
    let [of_key, of_r] = [*change, change >> 3].map(|bits| EIGHT_TORSION[usize::from(bits % 8)]);
    let point = generator * secret + of_key;
    let tables = [generator, point].map(Multiples::of);
    let sum = sum_of_products(a.as_bytes(), &tables[0], b.as_bytes(), &tables[1]);
    let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&b, &point, &a);
    assert_eq!(sum, expected, "another sum than curve25519-dalek's");

    let spelling = point.compress().0;
    let x = URL_SAFE_NO_PAD.encode(spelling);
    let Value::Object(jwk) = json!({"kty": "OKP", "crv": "Ed25519", "x": x}) else { return };
    let key = PublicKey::from_jwk(&jwk);
    assert_eq!(key.is_ok(), !point.is_small_order());
    let Ok(key) = key else { return };
    let strict = ed25519_dalek::VerifyingKey::from_bytes(&spelling).expect("a key");
    let other = UnparsedPublicKey::new(&ED25519, spelling);
    let agreed = |signature: &[u8]| {
        let verdict = key.verify(Algorithm::EdDSA, message, signature).is_ok();
        let dalek = ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| strict.verify_strict(message, &signature).is_ok());
        assert_eq!(verdict, dalek, "ed25519-dalek differs: {signature:x?}");
        let r = CompressedEdwardsY::from_slice(&signature[..32]).expect("32 bytes").decompress();
        let takes = other.verify(message, signature).is_ok() && !r.is_some_and(|r| r.is_small_order());
        assert_eq!(verdict, takes, "ring differs: {signature:x?}");
        verdict
    };
    let r = generator * a + of_r;
    let hash = Sha512::new().chain_update(r.compress().0).chain_update(spelling).chain_update(message);
    let k = curve25519_dalek::Scalar::from_hash(hash);
    let good = [r.compress().0, (a + k * secret).to_bytes()].concat();
    let holds = bool::from((of_r + of_key * k).is_identity()) && !r.is_small_order();
    before_a_table_and_after(&good, holds, *change, &numbers[32..], agreed);
}
