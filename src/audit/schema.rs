//! The JSON Schema of a record, generated from its types, and the table of its fields.

use super::Record;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// Where the schema of this version is found.
const ID: &str = "urn:databricks-kong:audit:record:v2";

/// The text of `docs/audit/record.v2.schema.json`.
#[must_use]
pub fn record_json() -> String {
    format!("{:#}\n", record())
}

/// The text of `docs/audit/fields.md`.
#[must_use]
pub fn fields_markdown() -> String {
    let mut text = String::from(
        "# Fields of an audit record\n\n\
         Written by `make schema` from the types in `src/audit/record.rs`, as `record.v2.schema.json` beside it. Do not edit.\n\n\
         A field of which nothing is known is left out; none is ever `null`.\n\n\
         | field | type | in each record | meaning |\n|---|---|---|---|\n",
    );
    write_fields(&record(), "", true, &mut text);
    text
}

fn write_fields(object: &Value, prefix: &str, within_each: bool, text: &mut String) {
    let required = object["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(fields) = object["properties"].as_object() else { return };
    for (name, field) in fields {
        let in_each = within_each && required.contains(&json!(name));
        let one_line = |field: &Value| field["description"].as_str().unwrap_or_default().replace('\n', " ");
        let mut meaning = one_line(field);
        for choice in field["oneOf"].as_array().into_iter().flatten() {
            meaning.push_str(&format!(" `{}`: {}", choice["const"].as_str().unwrap_or_default(), one_line(choice)));
        }
        let mark = if in_each { "yes" } else { "" };
        text.push_str(&format!(
            "| `{prefix}{name}` | {} | {mark} | {} |\n",
            type_name(field),
            meaning.replace('|', "\\|")
        ));
        write_fields(field, &format!("{prefix}{name}."), in_each, text);
    }
}

fn type_name(field: &Value) -> String {
    match field["type"].as_str() {
        Some("array") => format!("list of {}s", type_name(&field["items"])),
        Some("object") if field["additionalProperties"].is_object() => {
            format!("object, each value a {}", type_name(&field["additionalProperties"]))
        }
        Some("string") if field["format"] == "date-time" => "time".to_owned(),
        Some(name) => name.to_owned(),
        None => "string".to_owned(),
    }
}

fn record() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Record>().to_value();
    never_null(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".to_owned(), json!(ID));
        root.insert("title".to_owned(), json!("databricks-kong audit record"));
    }
    // what the types of Rust do not say
    for (pointer, narrower) in [
        ("/properties/v", json!({ "const": 2 })),
        ("/properties/time", json!({ "format": "date-time" })),
        ("/properties/config", json!({ "pattern": "^[0-9a-f]{16}$" })),
        ("/properties/code", json!({ "pattern": "^[a-z_]+$" })),
        ("/properties/token_id", json!({ "pattern": "^[0-9a-f]{16}$" })),
        ("/properties/request_id", json!({ "minLength": 1, "maxLength": 64 })),
        ("/properties/reason", json!({ "pattern": "^[A-Z_]+$" })),
    ] {
        if let (Some(Value::Object(schema)), Value::Object(narrower)) = (schema.pointer_mut(pointer), narrower) {
            schema.extend(narrower);
        }
    }
    schema
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
