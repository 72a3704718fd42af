//! Parameters of the REST API: queries and JSON bodies.

use axum::body::Bytes;
use serde_json::{Map, Value};

use crate::form;
use crate::refusal::Refusal;

/// The one value of a query parameter that must be there. Repeated parameters are refused: two readers could take
/// different ones.
pub(crate) fn query(query: Option<&str>, name: &str) -> Result<String, Refusal> {
    let pairs = form::unique_pairs(query.unwrap_or_default().as_bytes()).map_err(Refusal::invalid_parameter)?;
    let value = pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value);
    value.filter(|value| !value.is_empty()).ok_or_else(|| missing(name))
}

/// A body that must be a JSON object.
pub(crate) fn object(body: &Bytes) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Refusal::malformed("Could not parse request object: Expected an object")),
        Err(why) => Err(Refusal::malformed(format!("Could not parse request object: {why}"))),
    }
}

/// A member that is an id: text, or a number as the jobs API has it.
pub(crate) fn id(object: &Map<String, Value>, name: &str) -> Result<String, Refusal> {
    match object.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Number(number)) if number.is_u64() => Ok(number.to_string()),
        None | Some(Value::Null) => Err(missing(name)),
        Some(other) => Err(Refusal::invalid_parameter(format!("{name}: {other} is no id"))),
    }
}

/// A number for an answer that has numbers where the state has text.
pub(crate) fn number(id: &str) -> Value {
    id.parse::<u64>().map_or_else(|_| Value::from(id), Value::from)
}

fn missing(name: &str) -> Refusal {
    Refusal::invalid_parameter(format!("Missing required field: {name}"))
}
