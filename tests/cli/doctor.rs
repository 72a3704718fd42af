//! `databricks-kong doctor`: against servers that answer as gateways do, well and ill.

use crate::server::{Answer, serve};
use crate::{run, run_with, temporary};
use base64::Engine as _;
use serde_json::{Value, json};

fn refusal(status: u16, reason: &str) -> Answer {
    let detail = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "databricks-kong", "metadata": {}});
    (status, vec![], json!({"error_code": "X", "message": "m", "details": [detail]}).to_string())
}

#[allow(clippy::disallowed_methods, reason = "a gateway has a clock, and so has what stands in for one")]
fn clock() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn date(seconds: i64) -> Vec<(&'static str, String)> {
    let at = std::time::Duration::from_secs(clock().checked_add_signed(seconds).unwrap());
    let text = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + at).to_string();
    let (day, time) = text.trim_end_matches('Z').split_once('T').unwrap();
    let parts: Vec<_> = day.split('-').collect();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months[parts[1].parse::<usize>().unwrap() - 1];
    vec![("date", format!("Thu, {} {month} {} {time} GMT", parts[2], parts[0]))]
}

/// A gateway that is well.
fn well(line: &str, head: &str, own: &str) -> Answer {
    match line {
        "GET /.well-known/databricks-config" => {
            (200, date(0), json!({"oidc_endpoint": format!("{own}/oidc")}).to_string())
        }
        "GET /oidc/.well-known/oauth-authorization-server" => {
            (200, vec![], json!({"authorization_endpoint": format!("{own}/oidc/v1/authorize")}).to_string())
        }
        line if line.starts_with("GET /oidc/v1/authorize?") => {
            let fine =
                line.contains("code_challenge_method=S256") && line.contains("redirect_uri=http%3A%2F%2Flocalhost");
            let to = vec![("location", "https://idp.example/auth?client_id=x".to_owned())];
            if fine { (302, to, String::new()) } else { refusal(400, "GRANT_REFUSED") }
        }
        "POST /oidc/v1/token" => (200, vec![], json!({"access_token": "x"}).to_string()),
        "GET /metrics" => {
            let counters = "pw_databricks_kong_keys_fetch_ok 4\npw_databricks_kong_keys_fetch_failed 1\n\
                            pw_databricks_kong_denied_groups_overage 0\n";
            let ages = [("keys", 3 * 60), ("revocation", 5 * 60)]
                .map(|(name, age)| format!("pw_databricks_kong_{name}_fetch_timestamp_seconds {}\n", clock() - age));
            (200, vec![], format!("{counters}{}", ages.concat()))
        }
        _ if head.contains("Bearer ") || head.contains("bearer ") => (200, vec![], "{}".to_owned()),
        _ => refusal(401, "TOKEN_MISSING"),
    }
}

fn steps(ran: &crate::Ran) -> Vec<(String, String, String)> {
    let step = |step: &Value| {
        let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
        (text("step"), text("state"), format!("{} {}", text("says"), text("do")))
    };
    ran.json().as_array().unwrap().iter().map(step).collect()
}

fn doctor(address: &str, more: &[&str]) -> crate::Ran {
    run(&[&["doctor", address, "--format", "json"], more].concat())
}

fn token(exp: u64) -> String {
    let part = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.x", part(json!({"alg": "RS256"})), part(json!({"iss": "i", "aud": "a", "sub": "s", "exp": exp})))
}

#[test]
fn a_gateway_that_is_well_has_no_bad_step() {
    let address = serve(well);
    let file = temporary("doctors-token", &token(4_000_000_000));
    let ran = doctor(&address, &["--token-file", &file, "--metrics", &format!("{address}/metrics")]);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
    let steps = steps(&ran);
    let names: Vec<_> = steps.iter().map(|(name, ..)| name.as_str()).collect();
    let expected = ["reachable", "clock", "filter", "no token", "guard", "sign-in", "token", "verified", "request"];
    assert_eq!(names[..9], expected);
    assert!(steps.iter().any(|(name, state, says)| name == "sign-in"
        && state == "good"
        && says.trim() == "people are sent to https://idp.example/auth"));
    assert!(
        steps
            .iter()
            .any(|(name, state, says)| name == "metrics" && state == "odd" && says.contains("4 worked, 1 failed"))
    );
    let of = |wanted: &str| steps.iter().find(|(name, ..)| name == wanted).cloned().unwrap();
    assert_eq!((of("keys").1.as_str(), of("keys").2.contains("keys were fetched 3m")), ("good", true), "{steps:#?}");
    assert_eq!((of("feed").1.as_str(), of("feed").2.contains("feed was read 5m")), ("odd", true), "{steps:#?}");
    assert!(!steps.iter().any(|(.., says)| says.contains("overage")), "a reason is no age: {steps:#?}");
    let human = run_with(&["doctor", &address, "--token-file", "-"], &token(4_000_000_000));
    assert!(human.stdout.contains("+ verified   the filter accepts the token"), "{}", human.stdout);
}

#[test]
fn each_fault_is_told_with_what_to_do() {
    let file = temporary("old-token", &token(1));
    type Fault = fn(&str, &str, &str) -> Answer;
    let faults: [(Fault, &str, &str); 8] = [
        (
            |line, head, own| {
                let begins = line.starts_with("GET /oidc/v1/authorize");
                if begins { refusal(503, "EXCHANGE_UNAVAILABLE") } else { well(line, head, own) }
            },
            "sign-in",
            "nobody is sent to sign in: 503 EXCHANGE_UNAVAILABLE",
        ),
        (
            |line, head, own| {
                if head.contains("earer") || line != "GET /api/2.0/preview/scim/v2/Me" {
                    well(line, head, own)
                } else {
                    (200, vec![], "{}".into())
                }
            },
            "no token",
            "is let in",
        ),
        (
            |line, head, own| {
                if line.starts_with("GET /api") { (401, vec![], "{}".into()) } else { well(line, head, own) }
            },
            "no token",
            "not by the filter",
        ),
        (
            |line, head, own| {
                if line.contains("databricks-config") { (404, date(0), "{}".into()) } else { well(line, head, own) }
            },
            "filter",
            "no route",
        ),
        (
            |line, head, own| {
                if line.contains("databricks-config") {
                    (200, date(0), json!({"oidc_endpoint": "https://adb-1.1.azuredatabricks.net/oidc"}).to_string())
                } else {
                    well(line, head, own)
                }
            },
            "filter",
            "clients are sent to `https://adb-1.1",
        ),
        (
            |line, head, own| {
                if line.contains("databricks-config") {
                    (200, date(-900), json!({"oidc_endpoint": format!("{own}/oidc")}).to_string())
                } else {
                    well(line, head, own)
                }
            },
            "clock",
            "run NTP",
        ),
        (
            |line, head, own| {
                if line.contains("oidc/v1/token") {
                    (401, vec![], json!({"error_description": "the token is for another audience"}).to_string())
                } else {
                    well(line, head, own)
                }
            },
            "verified",
            "another audience",
        ),
        (
            |line, head, own| {
                if head.contains("earer") { refusal(403, "EXCHANGE_REFUSED") } else { well(line, head, own) }
            },
            "request",
            "federation policy",
        ),
    ];
    for (fault, name, said) in faults {
        let ran = doctor(&serve(fault), &["--token-file", &file]);
        assert_eq!(ran.exit, 1, "{}", ran.shown());
        let steps = steps(&ran);
        let found = steps.iter().any(|(step, state, says)| step == name && state == "bad" && says.contains(said));
        assert!(found, "{name}: {said}: {steps:#?}");
    }
    let ran = doctor(&serve(well), &["--token-file", &file]);
    assert!(
        steps(&ran)
            .iter()
            .any(|(step, state, says)| step == "token" && state == "bad" && says.contains("it has ended"))
    );
}

#[test]
fn what_answers_in_place_of_the_filter_is_one_fault_with_one_cure() {
    let file = temporary("unasked-token", &token(4_000_000_000));
    type Fault = fn(&str, &str, &str) -> Answer;
    let faults: [(Fault, &str); 3] = [
        (|_, _, _| (503, vec![], json!({"message": "name resolution failed"}).to_string()), "name resolution failed"),
        (|_, _, _| (426, vec![], json!({"message": "Please use HTTPS protocol"}).to_string()), "https only"),
        (|_, _, _| (404, vec![], json!({"message": "no Route matched"}).to_string()), "no route"),
    ];
    for (fault, said) in faults {
        let ran = doctor(&serve(fault), &["--token-file", &file]);
        assert_eq!(ran.exit, 1, "{}", ran.shown());
        let steps = steps(&ran);
        let last = steps.last().unwrap();
        assert!(last.0 == "filter" && last.1 == "bad" && last.2.contains(said), "{steps:#?}");
        let bad = steps.iter().filter(|(_, state, _)| state == "bad").count();
        assert_eq!(bad, 1, "{steps:#?}");
    }
}

#[test]
fn an_address_without_a_scheme_is_told_what_to_write() {
    let ran = run(&["doctor", "databricks.gw.example.com"]);
    assert_eq!(ran.exit, 1);
    assert!(ran.stderr.contains("write `https://databricks.gw.example.com`"), "{}", ran.shown());
}

#[test]
fn a_gateway_that_is_not_there_is_said_to_be_so() {
    let ran = doctor("http://127.0.0.1:1", &[]);
    assert_eq!(ran.exit, 1);
    let steps = steps(&ran);
    assert_eq!((steps.len(), steps[0].1.as_str()), (1, "bad"));
    assert!(steps[0].2.contains("start the gateway"), "{steps:?}");
}
