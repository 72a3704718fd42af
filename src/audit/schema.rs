//! The JSON Schema of a record, generated from its types.

use super::Record;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// Where the schema of this version is found.
const ID: &str = "urn:databricks-kong:audit:record:v1";

/// The text of `docs/audit/record.v1.schema.json`.
#[must_use]
pub fn record_json() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Record>().to_value();
    never_null(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".to_owned(), json!(ID));
        root.insert("title".to_owned(), json!("databricks-kong audit record"));
    }
    // what the types of Rust do not say
    for (pointer, narrower) in [
        ("/properties/v", json!({ "const": 1 })),
        ("/properties/time", json!({ "format": "date-time" })),
        ("/properties/token_id", json!({ "pattern": "^[0-9a-f]{16}$" })),
        ("/properties/request_id", json!({ "minLength": 1, "maxLength": 64 })),
        ("/properties/reason", json!({ "pattern": "^[A-Z_]+$" })),
    ] {
        if let (Some(Value::Object(schema)), Value::Object(narrower)) = (schema.pointer_mut(pointer), narrower) {
            schema.extend(narrower);
        }
    }
    format!("{schema:#}\n")
}

/// Fields of which nothing is known are left out, not null.
fn never_null(schema: &mut Value) {
    let is_null = |value: &Value| *value == json!("null") || value["type"] == "null";
    if let Value::Object(object) = schema {
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|one| !is_null(one));
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
            choices.retain(|one| !is_null(one));
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                object.remove("anyOf");
                for (key, value) in only {
                    object.entry(key).or_insert(value);
                }
            }
        }
    }
    match schema {
        Value::Object(object) => object.values_mut().for_each(never_null),
        Value::Array(items) => items.iter_mut().for_each(never_null),
        _ => {}
    }
}
