//! YAML as `databricks-kong check` reads it: values that JSON has too, keys that are text, none twice.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Number, Value};

/// Deeper than any configuration goes.
const DEEPEST: usize = 64;

/// Reads a text with one document.
///
/// # Errors
/// `line:column: what is wrong`, or just what is wrong.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| {
        let at = error.marker();
        format!("{}:{}: {}", at.line(), at.col().saturating_add(1), error.info())
    })?;
    match documents.as_slice() {
        [document] => value(document, DEEPEST).map_err(|message| format!(" {message}")),
        _ => Err(" must hold one document".to_owned()),
    }
}

fn value(node: &Yaml<'_>, depth: usize) -> Result<Value, &'static str> {
    let depth = depth.checked_sub(1).ok_or("is nested too deeply")?;
    match node {
        Yaml::Value(scalar) => scalar_value(scalar).ok_or("has a number that JSON does not have"),
        Yaml::Sequence(items) => items.iter().map(|item| value(item, depth)).collect(),
        Yaml::Mapping(members) => {
            let mut map = Map::new();
            for (key, member) in members {
                let Yaml::Value(Scalar::String(key)) = key else { return Err("has a key that is not text; quote it") };
                let member = value(member, depth)?;
                if key == "<<" {
                    merge(member, &mut map)?;
                } else {
                    map.insert(key.to_string(), member);
                }
            }
            Ok(Value::Object(map))
        }
        _ => Err("has something that is neither text, number, truth value, list nor mapping"),
    }
}

fn merge(from: Value, into: &mut Map<String, Value>) -> Result<(), &'static str> {
    let Value::Object(members) = from else { return Err("merges something that is not a mapping") };
    for (name, member) in members {
        into.entry(name).or_insert(member);
    }
    Ok(())
}

fn scalar_value(scalar: &Scalar<'_>) -> Option<Value> {
    Some(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(truth) => Value::Bool(*truth),
        Scalar::Integer(number) => Value::Number((*number).into()),
        Scalar::FloatingPoint(number) => Value::Number(Number::from_f64(number.into_inner())?),
        Scalar::String(text) => Value::String(text.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_anchors_and_merges_are_read() {
        let read = parse("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz: [1.5, true, null, '1']\n").unwrap();
        assert_eq!(read, json!({"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}, "z": [1.5, true, null, "1"]}));
    }

    #[test]
    fn what_leaves_room_for_two_readings_is_refused() {
        for text in
            ["", "a: 1\na: 2", "a: 1\n---\nb: 2", "1: 2", "a: [1", "a: .nan", "a: !!binary x", &"[".repeat(5000)]
        {
            assert!(parse(text).is_err(), "{text:.20}: {:?}", parse(text));
        }
    }
}
