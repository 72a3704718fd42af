//! The configuration's JSON Schema, generated from the raw types, as Kong's validator reads it: draft-04.
//!
//! Kong declares every filter's schema to be draft-04 and validates it with a library of that draft; what later drafts added would be
//! ignored there (`const`) or misread (a numeric `exclusiveMinimum`). The rewriting pass turns those into what draft-04 has, and
//! [`meta_json`] fails on what it cannot turn. What the types do not say is added by `narrow`.

use super::narrow::narrow;
use super::raw::RawConfig;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Why the types cannot be written as a draft-04 schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaFault {
    /// A raw type was written in a way that draft-04 cannot express.
    #[error("draft-04 has no `{0}`; write the type in another way")]
    NotDraft4(String),
    /// The schema was to be narrowed where there is nothing.
    #[error("the configuration has no `{0}`, which is to be narrowed")]
    NoSuchKey(String),
}

/// The text of `filters/databricks_kong.meta.json`.
///
/// # Errors
/// See [`SchemaFault`].
pub fn meta_json() -> Result<String, SchemaFault> {
    let meta = json!({ "config_schema": config_schema()? });
    Ok(format!("{meta:#}\n"))
}

/// The schema of a configuration: an object, or a string that holds the same JSON.
///
/// # Errors
/// As [`meta_json`].
pub fn config_schema() -> Result<Value, SchemaFault> {
    let mut schema = with_key_order();
    rewrite(&mut schema)?;
    narrow(&mut schema)?;
    if let Value::Object(root) = &mut schema {
        root.insert("$schema".to_owned(), json!("http://json-schema.org/draft-04/schema#"));
        root.insert("title".to_owned(), json!("databricks_kong"));
        root.insert("type".to_owned(), json!(["object", "string"]));
    }
    Ok(schema)
}

/// The schema as it is derived: of a later draft, and with the order of each object's keys in `x-keys`.
pub(super) fn with_key_order() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<RawConfig>().to_value()
}

fn rewrite(schema: &mut Value) -> Result<(), SchemaFault> {
    match schema {
        Value::Object(object) => rewrite_object(object),
        Value::Array(items) => items.iter_mut().try_for_each(rewrite),
        _ => Ok(()),
    }
}

fn rewrite_object(object: &mut Map<String, Value>) -> Result<(), SchemaFault> {
    const UNKNOWN: [&str; 11] = [
        "$ref",
        "$defs",
        "definitions",
        "if",
        "then",
        "else",
        "contains",
        "propertyNames",
        "prefixItems",
        "unevaluatedProperties",
        "dependentRequired",
    ];
    // "no constraint" is an object in draft-04, but `true` in later ones
    for key in ["format", "examples", "$id", "title", "x-keys"] {
        object.remove(key);
    }
    if let Some(value) = object.remove("const") {
        object.insert("enum".to_owned(), json!([value]));
    }
    for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if let Some(Value::Number(limit)) = object.get(exclusive).cloned() {
            object.insert(bound.to_owned(), Value::Number(limit));
            object.insert(exclusive.to_owned(), Value::Bool(true));
        }
    }
    if let Some(unknown) = UNKNOWN.iter().find(|key| object.contains_key(**key)) {
        return Err(SchemaFault::NotDraft4((*unknown).to_owned()));
    }
    for (key, value) in object.iter_mut() {
        match (key.as_str(), &mut *value) {
            // here the keys are the configuration's, not the schema's
            ("properties", Value::Object(properties)) => properties.values_mut().try_for_each(rewrite_subschema)?,
            ("items" | "additionalProperties" | "not", Value::Object(_)) => rewrite(value)?,
            ("items" | "additionalProperties", Value::Bool(true)) => *value = json!({}),
            ("anyOf" | "oneOf" | "allOf", Value::Array(choices)) => {
                choices.iter_mut().try_for_each(rewrite_subschema)?
            }
            _ => {}
        }
    }
    Ok(())
}

fn rewrite_subschema(schema: &mut Value) -> Result<(), SchemaFault> {
    if *schema == Value::Bool(true) {
        *schema = json!({});
    }
    rewrite(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(mut schema: Value) -> Result<Value, SchemaFault> {
        rewrite(&mut schema).map(|()| schema)
    }

    #[test]
    fn what_draft_4_lacks_becomes_what_it_has() {
        let later = json!({
            "type": "object", "title": "X",
            "properties": {
                "const": { "const": "a", "format": "uint" },
                "any": true,
                "number": { "exclusiveMinimum": 0, "maximum": 5 },
            },
            "additionalProperties": false,
        });
        let draft_4 = json!({
            "type": "object",
            "properties": {
                "const": { "enum": ["a"] },
                "any": {},
                "number": { "minimum": 0, "exclusiveMinimum": true, "maximum": 5 },
            },
            "additionalProperties": false,
        });
        assert_eq!(rewritten(later), Ok(draft_4));
    }

    #[test]
    fn what_cannot_be_rewritten_is_an_error() {
        for key in ["if", "contains", "$ref", "propertyNames"] {
            let schema = json!({ "items": { "anyOf": [{ key: {} }] } });
            assert_eq!(rewritten(schema), Err(SchemaFault::NotDraft4(key.to_owned())));
        }
    }
}
