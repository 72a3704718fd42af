//! `databricks-kong check --capacity`.

use crate::{run, temporary};
use insta::assert_snapshot;

/// A configuration of a role whose callers use two tokens each, and one whose callers share one.
const CONFIGURATION: &str = "\
workspace: {url: https://adb-7405619408829168.8.azuredatabricks.net}
identity_providers:
- name: okta
  issuer: https://example.okta.com
  audiences: [databricks]
  revocation: {url: https://cuts.example.com/feed, refresh: 15}
roles:
- name: analyst
  match: {groups: [analysts]}
  credential: {type: user_federation, scope: minimal}
  allow: [{operations: [jobs.get]}, {operations: [clusters.get]}]
- name: etl
  match: {groups: [etl]}
  credential: {type: service_principal_secret, client_id: 11111111-aaaa-4aaa-8aaa-000000000001, client_secret: {env: SECRET}}
  allow: [{operations: [jobs.get]}]
";

fn kong(kind: &str) -> String {
    let config = CONFIGURATION.lines().map(|line| format!("      {line}\n")).collect::<String>();
    match kind {
        "filter" => format!(
            "_format_version: '3.0'\nservices:\n- name: s\n  url: https://x.example\n  filter_chains:\n  - filters:\n    - name: databricks_kong\n      config:\n  {}",
            config.replace('\n', "\n  ").trim_end()
        ),
        _ => format!(
            "_format_version: '3.0'\nplugins:\n  - name: databricks-kong\n    config:\n{config}  - name: databricks-kong-late\n"
        ),
    }
}

#[test]
fn a_fleets_rates_are_printed_with_what_would_change_them() {
    let file = temporary("capacity.yml", &kong("filter"));
    let ran = run(&["check", "--capacity", "users=5000,nodes=8,workers=8", &file]);
    let (_, shown) = ran.stdout.split_once("capacity of").expect(&ran.stdout);
    assert_snapshot!(format!("capacity of{shown}"));
}

#[test]
fn programs_get_the_rates_of_every_entry_as_numbers() {
    let rates = |kind: &str, fleet: &str| {
        let file = temporary(&format!("capacity-{kind}.yml"), &kong(kind));
        let found = run(&["check", "--capacity", fleet, "--format", "json", &file]).json()["capacity"].clone();
        found.as_array().map(Vec::len).filter(|entries| *entries == 1).expect("one entry");
        found[0].clone()
    };
    let exchanges = |found: &serde_json::Value| found["own_exchanges_per_second"].as_f64().unwrap();
    let filter = rates("filter", "users=100,nodes=2,workers=4");
    // 100 callers, two tokens, eight workers, every 3,600 - 300 x 9/8 seconds
    assert!((exchanges(&filter) - 1600.0 / 3262.5).abs() < 1e-9, "{filter}");
    assert_eq!(filter["cold_exchanges"], 1608.0);
    // tokens once for a node
    let plugin = rates("plugin", "users=100,nodes=2,workers=4");
    assert!((exchanges(&plugin) * 4.0 - exchanges(&filter)).abs() < 1e-9, "{plugin}");
    assert_eq!(plugin["key_fetches_per_second"].as_f64(), Some(8.0 / 480.0));
    assert_eq!(filter["fits_cached_tokens"], true);
    let crowd = rates("filter", "users=5001,nodes=1,workers=1");
    assert_eq!(crowd["fits_cached_tokens"], false, "two tokens each, and room for 10,000: {crowd}");
    let short = rates("filter", "users=100,nodes=2,workers=4,token_life=600");
    assert!((exchanges(&short) - 1600.0 / (600.0 - 150.0 * 1.125)).abs() < 1e-9, "{short}");
}

#[test]
fn a_fleet_that_cannot_be_is_a_failure_with_what_is_wrong() {
    let ran = run(&["check", "--capacity", "users=5000,nodes=8", "kong/minimal.yml"]);
    assert_eq!(ran.exit, 1);
    assert!(ran.stderr.contains("`workers=` is missing"), "{}", ran.stderr);
    let without = run(&["check", "--format", "json", "kong/minimal.yml"]).json();
    assert_eq!(without.get("capacity"), None);
}
