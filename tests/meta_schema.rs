//! The committed schema is current, is draft-04, and agrees with the parser on every example.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use databricks_kong::config::kong::Reader;
use databricks_kong::config::{ConfigError, Settings, kong, reference, schema};
use serde_json::Value;
use std::path::{Path, PathBuf};

const META: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/filters/databricks_kong.meta.json");
const KONG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kong/plugins/databricks-kong/schema.lua");
const KONNECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kong/konnect/databricks-kong.lua");
const KONNECT_LATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kong/konnect/databricks-kong-late.lua");
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
const WRITE: &str = "DATABRICKS_KONG_WRITE_SCHEMA";

/// In one step: other tests read the file at the same time.
fn replace(path: &str, text: &str) {
    let new = format!("{path}.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn committed_schema() -> Value {
    let meta: Value = serde_json::from_str(&std::fs::read_to_string(META).unwrap()).unwrap();
    meta["config_schema"].clone()
}

fn cases(folder: &str) -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, value)
        })
        .collect();
    cases.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert!(!cases.is_empty());
    cases
}

fn parse(config: &Value) -> Result<Settings, Vec<ConfigError>> {
    Settings::parse(config.to_string().as_bytes(), &|name| {
        (name == "SECRET").then(|| "from the environment".to_owned())
    })
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let generated = schema::meta_json().unwrap();
    if std::env::var_os(WRITE).is_some() {
        replace(META, &generated);
    }
    let committed = std::fs::read_to_string(META).unwrap_or_default();
    assert!(committed == generated, "filters/databricks_kong.meta.json is out of date: run `make schema`");
}

#[test]
fn the_committed_schemas_for_kong_and_konnect_are_the_generated_ones() {
    for (path, reader) in [(KONG, Reader::Kong), (KONNECT, Reader::Konnect)] {
        let generated = kong::schema_lua(reader);
        if std::env::var_os(WRITE).is_some() {
            replace(path, &generated);
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == generated, "{path} is out of date: run `make schema`");
    }
}

#[test]
fn what_konnect_reads_needs_no_other_file() {
    for path in [KONNECT, KONNECT_LATE] {
        let text = std::fs::read_to_string(path).unwrap();
        let requires = ["require \"", "require(", "require '"].iter().any(|call| text.contains(call));
        assert!(text.contains("return") && !requires, "{path}");
    }
}

#[test]
fn the_reference_ends_with_the_generated_tables() {
    const MARK: &str = "<!-- From here on: written by `make schema` from the types in src/config/raw.rs -->\n";
    let document = std::fs::read_to_string(REFERENCE).unwrap();
    let (written, _) = document.split_once(MARK).expect("the mark is there");
    let generated = format!("{written}{MARK}{}", reference::tables());
    if std::env::var_os(WRITE).is_some() {
        replace(REFERENCE, &generated);
    }
    let committed = std::fs::read_to_string(REFERENCE).unwrap();
    assert!(committed == generated, "docs/configuration.md is out of date: run `make schema`");
}

#[test]
fn the_schema_is_draft_4() {
    let schema = committed_schema();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-04/schema#");
    assert!(jsonschema::draft4::meta::is_valid(&schema));
}

#[test]
fn every_key_is_described() {
    fn walk(pointer: &str, schema: &Value, missing: &mut Vec<String>) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let pointer = format!("{pointer}/{key}");
            if property["description"].as_str().is_none_or(str::is_empty) && property.get("enum").is_none() {
                missing.push(pointer.clone());
            }
            walk(&pointer, property, missing);
        }
        for choice in ["anyOf", "oneOf"].iter().filter_map(|key| schema[key].as_array()).flatten() {
            walk(pointer, choice, missing);
        }
        for nested in
            ["items", "additionalProperties"].iter().map(|key| &schema[key]).filter(|nested| nested.is_object())
        {
            walk(pointer, nested, missing);
        }
    }
    let mut missing = Vec::new();
    walk("", &committed_schema(), &mut missing);
    assert_eq!(missing, [""; 0]);
}

#[test]
fn parser_and_schema_accept_every_good_configuration() {
    let schema = jsonschema::draft4::new(&committed_schema()).unwrap();
    for (path, config) in cases("good") {
        if let Err(errors) = parse(&config) {
            panic!("{}: {errors:#?}", path.display());
        }
        let errors: Vec<_> = schema.iter_errors(&config).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        // the same JSON in a string
        let text = Value::String(config.to_string());
        assert!(parse(&text).is_ok() && schema.is_valid(&text), "{}", path.display());
    }
}

/// A bad case is `{"why": [pointers], "schema": whether the schema refuses it too, "because": why it cannot, "config": …}`.
#[test]
fn every_error_of_a_bad_configuration_is_found_where_it_is() {
    let schema = jsonschema::draft4::new(&committed_schema()).unwrap();
    for (path, case) in cases("bad") {
        let errors = parse(&case["config"]).err().unwrap_or_else(|| panic!("{} is accepted", path.display()));
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        let expected: Vec<_> = case["why"].as_array().unwrap().iter().map(|why| why.as_str().unwrap()).collect();
        assert_eq!(pointers, expected, "{}: {errors:#?}", path.display());
        let refused = !schema.is_valid(&case["config"]);
        assert_eq!(Some(refused), case["schema"].as_bool(), "{}: does the schema refuse it?", path.display());
        // what a schema cannot say: the reason stands beside it
        assert_eq!(refused, case["because"].is_null(), "{}", path.display());
    }
}

/// Of two values for one key, a reader that takes the last and one that takes the first see two policies.
#[test]
fn a_key_that_is_there_twice_is_refused_with_its_place() {
    let smallest =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/good/smallest.json")).unwrap();
    let smallest: Value = serde_json::from_str(&smallest).unwrap();
    let role = r#"{"name":"r","match":{"groups":["a"],"groups":["*"]},"credential":{"type":"passthrough","type":"none"},
        "deny":[{"operations":["jobs.run_now"]}],"deny":[],"allow":[{"operations":["*"]},{"resources":{"job":["1"],"j\u006fb":["*"]},"operations":["jobs.get"]}]}"#;
    let (workspace, providers) = (&smallest["workspace"], &smallest["identity_providers"]);
    let text = format!(
        r#"{{"mode":"enforce","workspace":{workspace},"identity_providers":{providers},"roles":[{role}],"mode":"observe"}}"#
    );
    let places = [
        "/mode",
        "/roles/0/allow/1/resources/job",
        "/roles/0/credential/type",
        "/roles/0/deny",
        "/roles/0/match/groups",
    ];
    for text in [text.clone(), Value::String(text).to_string()] {
        let errors = Settings::parse(text.as_bytes(), &|_| None).unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, places, "{errors:#?}");
        assert!(errors.iter().all(|error| error.message.contains("twice")), "{errors:#?}");
    }
}

#[test]
fn no_error_shows_a_secret() {
    let config = serde_json::json!({
        "workspace": { "url": "https://example.cloud.databricks.com" },
        "roles": [{
            "name": "r", "match": {},
            "credential": { "type": "service_principal_secret", "client_secret": "canary-7f3a", "scope": 7 },
        }],
    });
    let errors = parse(&config).unwrap_err();
    assert!(errors.len() > 1 && !format!("{errors:?}").contains("canary-7f3a"), "{errors:?}");
}
