//! The committed schema of audit records and the table of their fields are those of the types; the schema refuses what no record is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use databricks_kong::audit::{Record, schema};
use databricks_kong::base::{Reason, UnixTime};
use serde_json::{Value, json};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit/record.v2.schema.json");
const FIELDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit/fields.md");
const WRITE: &str = "DATABRICKS_KONG_WRITE_SCHEMA";

fn record() -> Value {
    let record = Record::refused("r-1", Reason::TokenMissing, UnixTime::from_secs(1_800_000_000));
    serde_json::from_str(&record.to_json()).unwrap()
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let generated = schema::record_json();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(SCHEMA, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(SCHEMA).unwrap_or_default();
    assert!(committed == generated, "docs/audit/record.v2.schema.json is out of date: run `make schema`");
}

#[test]
fn the_committed_table_of_fields_is_the_generated_one() {
    let generated = schema::fields_markdown();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(FIELDS, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(FIELDS).unwrap_or_default();
    assert!(committed == generated, "docs/audit/fields.md is out of date: run `make schema`");
}

#[test]
fn the_table_names_each_field_also_those_of_objects_and_which_are_in_each_record() {
    let table = schema::fields_markdown();
    let row = |field: &str| {
        let start = format!("| `{field}` |");
        table.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no row of {field}")).to_owned()
    };
    assert!(row("time").starts_with("| `time` | time | yes | "));
    assert!(row("subject").starts_with("| `subject` | string |  | "));
    assert!(row("resources").starts_with("| `resources` | object, each value a list of strings |  | "));
    // each grant has it, but not each record has a grant
    assert!(row("grant.break_glass").starts_with("| `grant.break_glass` | boolean |  | "));
    assert!(row("decision").contains("`would_deny`: It went on, because"));
    let schema: Value = serde_json::from_str(&schema::record_json()).unwrap();
    for name in schema["properties"].as_object().unwrap().keys() {
        row(name);
    }
}

#[test]
fn the_least_that_a_record_says_is_valid() {
    let least = record();
    assert_eq!(
        least,
        json!({
            "v": 2, "time": "2027-01-15T08:00:00.000Z", "request_id": "r-1", "decision": "deny", "reason": "TOKEN_MISSING", "callout_ms": 0,
        })
    );
    let schema = serde_json::from_str(&schema::record_json()).unwrap();
    assert!(jsonschema::is_valid(&schema, &least));
}

#[test]
fn what_no_record_is_is_refused() {
    let schema = serde_json::from_str(&schema::record_json()).unwrap();
    for (field, value) in [
        ("v", json!(1)),
        ("v", json!(3)),
        ("config", json!("abc")),
        ("permits", json!("run_as")),
        ("v", Value::Null),
        ("decision", json!("maybe")),
        ("subject", Value::Null),
        ("token", json!("x")),
        ("token_id", json!("eyJ")),
        ("grant", json!({"break_glass": true, "by": "x"})),
        ("sql", json!({"parsed": true, "text": "select 1"})),
        ("resources", json!({"job": "101"})),
        ("token_cache", json!("stale")),
        ("callout_ms", json!(-1)),
        ("reason", json!("no role")),
    ] {
        let mut other = record();
        other[field] = value;
        assert!(!jsonschema::is_valid(&schema, &other), "{other}");
    }
    for missing in ["v", "time", "request_id", "decision", "reason", "callout_ms"] {
        let mut other = record();
        other.as_object_mut().unwrap().remove(missing);
        assert!(!jsonschema::is_valid(&schema, &other), "{missing}");
    }
}

#[test]
fn every_field_is_described() {
    let schema: Value = serde_json::from_str(&schema::record_json()).unwrap();
    for place in ["", "/properties/grant", "/properties/sql"] {
        let properties = schema.pointer(place).unwrap()["properties"].as_object().unwrap();
        for (name, property) in properties {
            assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{place}/{name}");
        }
    }
}
