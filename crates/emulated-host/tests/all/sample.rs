//! The sample of audit records that the queries of docs/audit.md are tested on: what the built filter says of the requests of
//! tests/queries/story.json, at the times that stand there.

use crate::drive::{Driver, Hosted, Purpose};
use crate::stage::{client, discovery, minted, ok};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use host::{CalloutEnd, HttpRequest, Outcome, Profile};
use jwt_simple::prelude::{Ed25519KeyPair, EdDSAKeyPairLike};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

const WRITE: &str = "DATABRICKS_KONG_WRITE_SAMPLE";
const MARK: &str = "databricks_kong.audit ";
/// How long the others take to answer.
const ANSWER: Duration = Duration::from_millis(40);

/// Always the same, and its signatures too, so that the sample changes only when the filter or the story does.
static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| {
    let pkcs8 = [b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".as_slice(), &[7; 32]].concat();
    Ed25519KeyPair::from_der(&pkcs8).unwrap()
});

fn file(name: &str) -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("tests/queries"));
    folders.find(|folder| folder.is_dir()).expect("the queries are in the repository").join(name)
}

/// Milliseconds since 1970.
fn millis(time: &Value) -> u64 {
    let time = humantime::parse_rfc3339(time.as_str().unwrap()).unwrap();
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Good from an hour before its first use until fifteen hours after it.
fn token(claims: &Value, issued: u64) -> String {
    let mut claims = claims.clone();
    let (start, end) = (issued / 1000 - 3600, issued / 1000 + 15 * 3600);
    for (name, value) in [("iss", json!("https://idp.example")), ("aud", json!("databricks")), ("iat", json!(start))] {
        claims[name] = value;
    }
    claims["exp"] = json!(end);
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "sample"});
    let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = KEY.key_pair().as_ref().sk.sign(&signed, None);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_slice()))
}

fn keys() -> CalloutEnd {
    let public = KEY.public_key().to_bytes();
    let key =
        json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "sample", "x": URL_SAFE_NO_PAD.encode(public)});
    ok(&json!({ "keys": [key] }))
}

fn exchange(act: &Value) -> CalloutEnd {
    match &act["exchange"] {
        Value::Null => minted("dbx", 3600),
        Value::String(_) => CalloutEnd::Refused,
        error => CalloutEnd::reply(400, error.to_string()),
    }
}

fn request(act: &Value, token: Option<&str>) -> HttpRequest {
    let (method, target) = act["send"].as_str().unwrap().split_once(' ').unwrap();
    let mut request = client(method, target, &[("User-Agent", "databricks-sdk-py/0.162.0")]);
    let mut add = |name: &str, value: String| request.headers.push((name.to_owned(), value));
    // as the SQL drivers bring it to the gateway's own token endpoint
    if let Some(form) = act.get("form") {
        let fields =
            form.as_object().unwrap().iter().map(|(name, value)| format!("{name}={}&", value.as_str().unwrap()));
        add("Content-Type", "application/x-www-form-urlencoded".to_owned());
        request.body = Some(format!("{}subject_token={}", fields.collect::<String>(), token.unwrap()).into_bytes());
    } else if let Some(token) = token {
        add("Authorization", format!("Bearer {token}"));
    }
    if let Some(body) = act.get("body") {
        request.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        request.body = Some(body.to_string().into_bytes());
    }
    request.shared = vec![("etl_client_secret".to_owned(), "canary-secret".to_owned())];
    request
}

/// The records of the story's requests, one each.
fn records(story: &Value) -> Vec<String> {
    let mut gateway = Hosted::new(Profile::Kong, &story["config"]);
    let mut now = gateway.worker.now() * 1000;
    // of each token, when it was issued: once a day
    let mut issued = std::collections::BTreeMap::new();
    let mut records = Vec::new();
    for act in story["requests"].as_array().unwrap() {
        let at = millis(&act["at"]);
        gateway.pass(Duration::from_millis(at.checked_sub(now).expect("the story goes forward")));
        now = at;
        let token = act.get("token").map(|name| {
            let day = (name.to_string(), at / 86_400_000);
            let of_that_day = *issued.entry(day).or_insert(at);
            let issued = act.get("issued").map_or(of_that_day, millis);
            token(&story["tokens"][name.as_str().unwrap()], issued)
        });
        gateway.send(&request(act, token.as_deref()));
        while let Some(ask) = gateway.waits_for() {
            gateway.pass(ANSWER);
            now += u64::try_from(ANSWER.as_millis()).unwrap();
            gateway.answer(match ask.purpose() {
                Purpose::Discovery => discovery(),
                Purpose::Keys => keys(),
                Purpose::Token => exchange(act),
                Purpose::Lookup | Purpose::Feed | Purpose::Login => panic!("nothing in the story asks for that"),
            });
        }
        let new: Vec<_> = gateway.worker.log().iter().filter_map(|line| line.text.strip_prefix(MARK)).collect();
        assert_eq!(new.len(), records.len() + 1, "one record a request: {act}");
        let record: Value = serde_json::from_str(new.last().unwrap()).unwrap();
        let is = format!("{} {}", record["decision"].as_str().unwrap(), record["reason"].as_str().unwrap());
        assert_eq!(json!(is), act["is"], "{act}\n{record}");
        records.push((*new.last().unwrap()).to_owned());
        if matches!(gateway.outcome(), Outcome::Forwarded(_)) {
            gateway.respond(u16::try_from(act["status"].as_u64().unwrap()).unwrap());
        }
    }
    records
}

#[test]
fn the_committed_sample_of_records_is_what_the_filter_says() {
    let story = serde_json::from_str(&std::fs::read_to_string(file("story.json")).unwrap()).unwrap();
    let records = records(&story).iter().map(|record| format!("{record}\n")).collect::<String>();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(file("records.jsonl"), &records).unwrap();
    }
    let committed = std::fs::read_to_string(file("records.jsonl")).unwrap_or_default();
    assert!(committed == records, "tests/queries/records.jsonl is not what the filter says: run `make sample`");
}
