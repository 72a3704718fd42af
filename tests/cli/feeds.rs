//! What `check --revocations` finds: where the revocation service and the gateways that read its feeds disagree.

use crate::run_with;
use serde_json::Value;
use std::path::Path;

const GATEWAY: &str = "\
workspace: {url: https://adb-7405619408829168.8.azuredatabricks.net, id: \"7405619408829168\"}
identity_providers:
- name: okta
  issuer: https://example.okta.com/oauth2/default
  audiences: [databricks]
  max_lifetime: 3600
  claims: {subject: email}
  revocation: {url: https://revocations.example.com/feed/okta, authorization: {env: REVOCATIONS_FEED}}
roles:
- name: runner
  match: {groups: [runners]}
  credential: {type: user_federation, scope: minimal}
  allow: [{operations: [jobs.get], resources: {job: [\"1\"]}}]
";
const SERVICE: &str = "\
database: revocations.db
feed: {secret: {env: REVOCATIONS_FEED}}
identity_providers:
- {name: okta, issuer: https://example.okta.com/oauth2/default, audiences: [databricks], max_lifetime: 3600, claims: {subject: email}}
sources:
- {name: okta-events, type: security_events, provider: okta, issuer: https://example.okta.com, audiences: [https://revocations.example.com], subject_formats: [email]}
";

/// Each code found, with its line and message.
fn found(name: &str, gateway: &str, service: &str) -> Vec<(String, u64, String)> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("feeds-{name}.yml"));
    std::fs::write(&path, service).unwrap();
    let service = path.to_str().unwrap();
    let now = "2026-11-24T00:00:00Z";
    let ran = run_with(&["check", "-", "--revocations", service, "--format", "json", "--now", now], gateway);
    assert_eq!(ran.exit, 0, "{}", ran.shown());
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings
        .iter()
        .inspect(|finding| assert!(!text(finding, "help").is_empty(), "{finding}"))
        .map(|finding| (text(finding, "code"), finding["line"].as_u64().unwrap(), text(finding, "message")))
        .collect()
}

fn edited(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn files_that_agree_have_no_finding() {
    assert_eq!(found("agree", GATEWAY, SERVICE), []);
    let taken_over =
        SERVICE.lines().filter(|line| !line.contains("name: okta,") && !line.contains("identity_providers"));
    let taken_over = taken_over.collect::<Vec<_>>().join("\n");
    assert_eq!(found("taken-over", GATEWAY, &taken_over), [], "it takes the providers from kong.yml");
    let elsewhere = edited(GATEWAY, "https://revocations.example.com/feed/okta", "https://cuts.example.com/okta.json");
    assert_eq!(found("elsewhere", &elsewhere, SERVICE), [], "something before the service may write addresses anew");
    let file = edited(SERVICE, "feed: {secret: {env: REVOCATIONS_FEED}}", "feed: {secret: {file: feed.secret}}");
    assert_eq!(found("file", GATEWAY, &file), [], "nobody knows what it holds");
}

#[test]
fn what_cuts_off_nobody_is_said_where_it_stands_at_the_gateway() {
    let disagree = |name: &str, gateway: &str, service: &str, code: &str, line: u64, message: &str| {
        let found = found(name, gateway, service);
        let [(its_code, its_line, its_message)] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert_eq!((its_code.as_str(), *its_line), (code, line), "{name}: {its_message}");
        assert!(its_message.contains(message), "{name}: {its_message}");
    };
    let without = GATEWAY.lines().filter(|line| !line.contains("revocation")).collect::<Vec<_>>().join("\n");
    disagree("unread", &without, SERVICE, "W061", 3, "does not read it");
    let other = edited(GATEWAY, "/feed/okta", "/feed/entra");
    disagree("unknown", &other, SERVICE, "W061", 8, "has no feed `entra`, so no request is let in: it has `okta`");
    let issuer = edited(SERVICE, "issuer: https://example.okta.com/oauth2/default", "issuer: https://example.okta.com");
    disagree("issuer", GATEWAY, &issuer, "W062", 4, "about callers of `https://example.okta.com`, and");
    let subject = edited(SERVICE, ", claims: {subject: email}", "");
    disagree("subject", GATEWAY, &subject, "W062", 7, "values of `sub`, and this gateway knows callers by `email`");
    let longer = edited(GATEWAY, "max_lifetime: 3600", "max_lifetime: 7200");
    disagree("longer", &longer, SERVICE, "W062", 6, "after 3630 s, and this gateway takes tokens of 7200 s");
    let formats = edited(SERVICE, "subject_formats: [email]", "subject_formats: [iss_sub]");
    disagree("formats", GATEWAY, &formats, "W063", 7, "`okta-events` name people by iss_sub, and this gateway");
    let (by_sub, at_service) = (edited(GATEWAY, "email", "sub"), edited(SERVICE, "{subject: email}", "{subject: sub}"));
    disagree("emails", &by_sub, &at_service, "W063", 7, "name people by email, and this gateway knows them by `sub`");
    let none = edited(GATEWAY, ", authorization: {env: REVOCATIONS_FEED}", "");
    disagree("no-secret", &none, SERVICE, "W064", 8, "this gateway shows none");
    let named = edited(GATEWAY, "{env: REVOCATIONS_FEED}", "{env: FEED}");
    disagree("names", &named, SERVICE, "W064", 8, "in `FEED` here and in `REVOCATIONS_FEED` at the revocation service");
}

#[test]
fn a_file_that_is_not_the_services_is_invalid() {
    for (name, text) in [("kong", GATEWAY), ("no-yaml", "a: [")] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("feeds-{name}.yml"));
        std::fs::write(&path, text).unwrap();
        let ran = run_with(&["check", "-", "--revocations", path.to_str().unwrap()], GATEWAY);
        assert_eq!(ran.exit, 3, "{}", ran.shown());
        assert!(ran.shown().contains(path.to_str().unwrap()), "{}", ran.shown());
    }
}
