//! Tokens that are bound to a client certificate (RFC 8705).

use crate::stage::*;
use databricks_kong::flow::{CertificateDigest, Shown};
use databricks_kong::sim::Client;
use serde_json::{Value, json};

const HEX: &str = "2f5e9ab5ef222db2c26af55552815ac3fe16b47b17d830aee6a3e3ce97e34b14";
const DIGEST: &str = "L16ate8iLbLCavVVUoFaw_4WtHsX2DCu5qPjzpfjSxQ";
const DER: &str = "MIIBZjCCAQygAwIBAgIBATAKBggqhkjOPQQDAjARMQ8wDQYDVQQDDAZjbGllbnQwIBcNMjYxMTI2MTcxMTI3WhgPMjEyNjExMDIxNzExMjdaMBExDzANBgNVBAMMBmNsaWVudDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJvMjq1dUY+ggvg8yOWWERtLnsOOSHLzmfIC8zy+EtBCxtx5ZQG4S/K2vmlshX4bLUUwB7UwNcAaQ5GkEyHnmvOjUzBRMB0GA1UdDgQWBBSQSL4sBeCKuWH6yxi/Necwixm55DAfBgNVHSMEGDAWgBSQSL4sBeCKuWH6yxi/Necwixm55DAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIB8QppAA7JR2OjAj58kZ+hmUep/QW7syke8DwygFjDKuAiEA6YG/9ViL6RWJiGGMSVmm4iCX3Ojnre4KVjYdwac/dVM=";

fn stage(changes: Value) -> Stage {
    let mut all = json!({"roles": [role(service_principal())]});
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    Stage::warm(config(all))
}

fn bound() -> Value {
    json!({"cnf": {"x5t#S256": DIGEST}})
}

fn shown(hex: &str) -> Shown {
    Shown::read(hex.as_bytes(), CertificateDigest::from_hex)
}

fn over_tls(token: &str, hex: &str) -> Client {
    Client { certificate: shown(hex), ..get(token) }
}

fn with_header(token: &str, headers: &[(&str, &str)]) -> Client {
    let authorization = format!("Bearer {token}");
    client("GET", "/api/2.1/jobs/list", &[&[("Authorization", &*authorization)], headers].concat())
}

#[test]
fn a_bound_token_is_good_with_its_certificate_alone() {
    let mut stage = stage(json!({"client_certificate": "bound"}));
    let (anna, bob) = (stage.token_with("anna", bound()), stage.token("bob"));
    check(&stage.send(&over_tls(&anna, HEX)), "token", "forward Bearer <dbx-1>");
    check(&stage.send(&over_tls(&anna, &"00".repeat(32))), "", "401 CERTIFICATE_MISMATCH");
    check(&stage.send(&over_tls(&anna, "")), "", "401 CERTIFICATE_REQUIRED");
    check(&stage.send(&over_tls(&bob, "")), "", "forward Bearer <dbx-1>");
    let refused = stage.send(&over_tls(&anna, ""));
    assert!(header(&refused, "www-authenticate").unwrap().contains("error=\"invalid_token\""));
    assert_eq!(refused.record.unwrap().subject.as_deref(), Some("anna"));
}

#[test]
fn required_means_everybody() {
    let mut stage = stage(json!({"client_certificate": "required"}));
    let (anna, bob) = (stage.token_with("anna", bound()), stage.token("bob"));
    check(&stage.send(&over_tls(&bob, "")), "", "401 CERTIFICATE_REQUIRED");
    check(&stage.send(&over_tls(&bob, HEX)), "token", "forward Bearer <dbx-1>");
    check(&stage.send(&over_tls(&anna, &"00".repeat(32))), "", "401 CERTIFICATE_MISMATCH");
    check(&stage.send(&over_tls(&anna, HEX)), "", "forward Bearer <dbx-1>");
}

#[test]
fn a_verdict_that_is_kept_says_nothing_of_the_next_connection() {
    let mut stage = stage(json!({"client_certificate": "bound"}));
    let anna = stage.token_with("anna", bound());
    for (hex, end) in
        [(HEX, "forward Bearer <dbx-1>"), ("", "401 CERTIFICATE_REQUIRED"), (HEX, "forward Bearer <dbx-1>")]
    {
        assert_eq!(ended(&stage.send(&over_tls(&anna, hex))), end);
    }
}

#[test]
fn a_header_counts_only_where_it_is_configured_and_then_the_connection_does_not() {
    let field = format!(":{DER}:");
    let mut direct = stage(json!({"client_certificate": "bound"}));
    let anna = direct.token_with("anna", bound());
    check(&direct.send(&with_header(&anna, &[("Client-Cert", &field)])), "", "401 CERTIFICATE_REQUIRED");

    let mut behind = stage(json!({"client_certificate": "bound", "client_certificate_header": "Client-Cert"}));
    behind.named("anna", anna.clone());
    check(&behind.send(&with_header(&anna, &[("client-cert", &field)])), "token", "forward Bearer <dbx-1>");
    check(&behind.send(&over_tls(&anna, HEX)), "", "401 CERTIFICATE_REQUIRED");
    let twice = [("Client-Cert", &*field), ("client-cert", &*field)];
    for (headers, end) in [
        (&[("Client_Cert", &*field)][..], "401 CERTIFICATE_REQUIRED"),
        (&twice, "401 CERTIFICATE_REQUIRED"),
        (&[("Client-Cert", ":AAAA:")], "401 CERTIFICATE_MISMATCH"),
        (&[("Client-Cert", DER)], "401 CERTIFICATE_REQUIRED"),
        (&[("Client-Cert", &*field), ("Connection", "Client-Cert")], "400 REQUEST_AMBIGUOUS"),
    ] {
        check(&behind.send(&with_header(&anna, headers)), "", end);
    }
}
