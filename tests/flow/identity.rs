//! Who is calling, as the service behind the gateway is told, and the keys to it.

use crate::stage::*;
use databricks_kong::base::{Reason, Secret};
use databricks_kong::flow::{Flow, Step};
use databricks_kong::sim::{Client, End, Transcript};
use jwt_simple::prelude::{ECDSAP256PublicKeyLike, ES256KeyPair, ES256PublicKey, Token, VerificationOptions};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

static CURRENT: LazyLock<ES256KeyPair> = LazyLock::new(ES256KeyPair::generate);
static NEXT: LazyLock<ES256KeyPair> = LazyLock::new(ES256KeyPair::generate);
const KEYS: &str = "/.well-known/databricks-kong/jwks.json";
const HEADER: &str = "x-databricks-kong-identity";

fn pem(key: &ES256KeyPair) -> Value {
    json!(key.to_pem().unwrap())
}

/// An egress route: whatever the token, the service gets an assertion and no credential.
fn egress(header: Value) -> Value {
    json!({
        "roles": [{
            "name": "reader", "match": {"groups": ["eng"]}, "credential": {"type": "none"},
            "allow": [{"paths": ["GET /v1/prices/**"]}, {"operations": ["jobs.list"]}],
        }],
        "identity_header": header,
    })
}

fn header_of(key: &ES256KeyPair) -> Value {
    json!({"key": pem(key), "audience": "pricing"})
}

fn stage(header: Value) -> Stage {
    Stage::warm(config(egress(header)))
}

fn prices(token: &str, headers: &[(&str, &str)]) -> Client {
    let authorization = format!("Bearer {token}");
    client("GET", "/v1/prices/eu", &[&[("Authorization", &*authorization)], headers].concat())
}

#[track_caller]
fn assertion(transcript: &Transcript) -> String {
    header(transcript, HEADER).unwrap_or_else(|| panic!("{transcript}")).to_owned()
}

/// The claims, if `key` signed them.
fn verified(assertion: &str, key: &ES256PublicKey) -> Option<Value> {
    let options = VerificationOptions {
        artificial_time: Some(jwt_simple::prelude::Duration::from_secs(NOW)),
        ..VerificationOptions::default()
    };
    serde_json::to_value(key.verify_token::<Value>(assertion, Some(options)).ok()?).ok()
}

/// Asks for the key set as a service does.
fn key_set(stage: &mut Stage) -> Transcript {
    stage.send(&client("GET", KEYS, &[]))
}

fn published(stage: &mut Stage) -> Vec<Value> {
    body(&key_set(stage))["keys"].as_array().unwrap().clone()
}

#[test]
fn the_service_is_told_who_calls_and_gets_no_credential() {
    let mut stage = stage(header_of(&CURRENT));
    let anna = stage.token("anna");
    let transcript = stage.send(&prices(&anna, &[]));
    check(&transcript, "", "forward nothing");
    let token = assertion(&transcript);
    let claims = verified(&token, &CURRENT.public_key()).unwrap();
    let expected = json!({
        "iss": "https://gw.example.com", "aud": "pricing", "sub": "anna", "idp": "idp", "role": "reader", "req": "sim-1",
        "iat": NOW, "exp": NOW + 60, "jti": claims["jti"],
    });
    assert_eq!(claims, expected);
    assert!(!token.contains(anna.rsplit('.').next().unwrap()));
    let metadata = Token::decode_metadata(&token).unwrap();
    assert_eq!((metadata.algorithm(), metadata.key_id()), ("ES256", Some(&*CURRENT.public_key().jwk_thumbprint())));
}

#[test]
fn an_operation_and_an_actor_are_told_where_there_are_such() {
    let mut stage = stage(json!({"name": "X-Caller", "key": pem(&CURRENT), "ttl": 5}));
    let anna = stage.token_with("anna", json!({"act": {"sub": "agent:copilot"}}));
    let transcript = stage.get(&anna);
    let token = header(&transcript, "x-caller").unwrap();
    let claims = verified(token, &CURRENT.public_key()).unwrap();
    assert_eq!((&claims["operation"], &claims["act"]), (&json!("jobs.list"), &json!({"sub": "agent:copilot"})));
    assert_eq!((&claims["exp"], claims.get("aud")), (&json!(NOW + 5), None));
    assert_eq!(header(&transcript, HEADER), None);
}

#[test]
fn every_credential_goes_with_an_assertion_and_no_refused_request_has_one() {
    let mut changes = json!({"identity_header": header_of(&CURRENT)});
    changes["roles"] = json!([role(json!({"type": "user_federation"}))]);
    let mut stage = Stage::warm(config(changes));
    let anna = stage.token("anna");
    let transcript = stage.get(&anna);
    check(&transcript, "token", "forward Bearer <dbx-1>");
    assert_eq!(verified(&assertion(&transcript), &CURRENT.public_key()).unwrap()["sub"], "anna");
    let refused = stage.send(&client("POST", "/api/2.0/token/create", &[("Authorization", &format!("Bearer {anna}"))]));
    assert_eq!(header(&refused, HEADER), None);
    assert!(matches!(refused.end, End::Reply { .. }));
}

#[test]
fn no_two_requests_have_one_id() {
    let mut stage = stage(header_of(&CURRENT));
    let anna = stage.token("anna");
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        // the host's name of the request, and the time, are the same for all
        let mut flow = Flow::default();
        let id = databricks_kong::flow::RequestId::new("same").unwrap();
        let request = prices(&anna, &[]).request(id, &stage.sim.config).unwrap();
        let step = stage.sim.on(&mut flow, databricks_kong::flow::Event::Request(request), &mut Vec::new());
        let Step::Forward(edits) = step else { panic!("{step:?}") };
        let (_, token) = edits.headers().find(|(name, _)| *name == HEADER).unwrap();
        let claims = verified(std::str::from_utf8(token).unwrap(), &CURRENT.public_key()).unwrap();
        ids.insert(claims["jti"].to_string());
    }
    assert_eq!(ids.len(), 20);
}

#[test]
fn a_clients_own_header_is_taken_off_whatever_its_spelling() {
    let config = config(egress(json!({"name": "X-Caller", "key": pem(&CURRENT)})));
    for name in ["X-Caller", "x-caller", "X_Caller", "x_CALLER", "X-Databricks-Kong-Identity"] {
        let own = &config.own_headers;
        let seen = databricks_kong::flow::inspect_headers([(name.as_bytes(), &b"forged"[..])].into_iter(), own);
        assert_eq!(seen.removals, [name.as_bytes()], "{name}");
    }
    // nor does one make the next server drop it
    let mut stage = Stage::warm(config);
    let anna = stage.token("anna");
    check(&stage.send(&prices(&anna, &[("Connection", "x-caller")])), "", "400 REQUEST_AMBIGUOUS");
}

#[test]
fn the_keys_are_public_and_are_those_that_sign() {
    let mut stage = stage(json!({"keys": [pem(&CURRENT), pem(&NEXT), pem(&CURRENT)]}));
    let reply = key_set(&mut stage);
    let End::Reply { status: 200, reason: None, headers, .. } = &reply.end else { panic!("{reply}") };
    assert!(headers.contains(&("cache-control".to_owned(), "public, max-age=300".to_owned())), "{headers:?}");
    assert!(reply.record.is_none(), "public documents are no event");
    let keys = published(&mut stage);
    let kids: Vec<_> = keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kids, [CURRENT.public_key().jwk_thumbprint(), NEXT.public_key().jwk_thumbprint()]);
    for key in &keys {
        let names: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"], "nothing private");
        assert!(ES256PublicKey::from_jwk(&key.to_string()).is_ok());
    }
    let head = stage.send(&client("HEAD", KEYS, &[]));
    assert!(matches!(head.end, End::Reply { status: 200, .. }));
    check(&stage.send(&client("POST", KEYS, &[])), "", "404 NOT_FOUND");
}

#[test]
fn a_rotation_with_overlap_refuses_no_assertion() {
    let mut stage = stage(json!({"keys": [pem(&CURRENT)]}));
    let anna = stage.token("anna");
    // a service fetches the keys at each step and holds on to them until the next
    let mut known = published(&mut stage);
    for keys in [json!([pem(&CURRENT), pem(&NEXT)]), json!([pem(&NEXT), pem(&CURRENT)]), json!([pem(&NEXT)])] {
        stage.sim.config = config(egress(json!({ "keys": keys })));
        let token = assertion(&stage.send(&prices(&anna, &[])));
        let kid = Token::decode_metadata(&token).unwrap().key_id().unwrap().to_owned();
        let key = known.iter().find(|key| key["kid"] == json!(kid)).expect("the service knows the key");
        assert!(verified(&token, &ES256PublicKey::from_jwk(&key.to_string()).unwrap()).is_some());
        known = published(&mut stage);
    }
}

#[test]
fn a_key_that_a_plugin_brings_signs_and_without_it_nobody_goes_on() {
    let mut stage = stage(json!({"key": {"shared": "gateway_key"}}));
    let anna = stage.token("anna");
    check(&stage.send(&prices(&anna, &[])), "", "503 SECRET_UNAVAILABLE");
    check(&key_set(&mut stage), "", "503 SECRET_UNAVAILABLE");
    let bringing = |mut client: Client, key: &str| {
        client.shared.insert("gateway_key".to_owned(), Secret::new(key.to_owned()));
        client
    };
    check(&stage.send(&bringing(prices(&anna, &[]), "canary-secret")), "", "503 SECRET_UNAVAILABLE");
    let current = CURRENT.to_pem().unwrap();
    let transcript = stage.send(&bringing(prices(&anna, &[]), &current));
    assert!(verified(&assertion(&transcript), &CURRENT.public_key()).is_some());
    let keys = stage.send(&bringing(client("GET", KEYS, &[]), &current));
    assert_eq!(body(&keys)["keys"][0]["kid"], json!(CURRENT.public_key().jwk_thumbprint()));
}

#[test]
fn without_identity_header_there_are_no_keys() {
    let mut stage = Stage::warm(config(json!({})));
    let transcript = key_set(&mut stage);
    let End::Reply { reason, .. } = &transcript.end else { panic!("{transcript}") };
    assert_eq!(*reason, Some(Reason::NotFound));
}

#[test]
fn a_token_of_the_workspace_itself_is_mapped_and_dropped() {
    // Databricks' own OAuth token: another issuer, `at+jwt`, keys at a host of the region
    let workspace = "https://adb-1.1.azuredatabricks.net/oidc";
    let mut changes = egress(header_of(&CURRENT));
    changes["identity_providers"] = json!([{
        "name": "databricks", "issuer": workspace, "audiences": ["7405619408829168"],
        "jwks_url": "https://westeurope.azuredatabricks.net/oidc/jwks.json",
    }]);
    changes["roles"][0]["match"] = json!({"subjects": ["5f6d7a80-*"]});
    let mut stage = Stage::cold(config(changes));
    let claims = json!({
        "iss": workspace, "aud": "7405619408829168", "groups": null, "client_id": "5f6d7a80-1", "scope": "all-apis",
    });
    let principal = stage.token_with("5f6d7a80-1", claims);
    let transcript = stage.send(&prices(&principal, &[]));
    check(&transcript, "keys", "forward nothing");
    assert_eq!(transcript.callouts[0].url, "https://westeurope.azuredatabricks.net/oidc/jwks.json");
    let claims = verified(&assertion(&transcript), &CURRENT.public_key()).unwrap();
    assert_eq!((&claims["sub"], &claims["idp"]), (&json!("5f6d7a80-1"), &json!("databricks")));
}
