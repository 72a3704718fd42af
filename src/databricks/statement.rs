//! The SQL text that a request has run, and the session that its names are completed by.

use super::catalogue::Operation;
use super::resources::IdFault;
use super::sql::{Scan, scan};
use crate::base::folds_alike;
use serde_json::{Map, Value};

/// The members of the body that say what a statement does (Databricks REST reference, Execute a SQL statement).
pub(super) const MEMBERS: [&str; 4] = ["statement", "catalog", "schema", "session_id"];

/// Whether requests of `operation` carry SQL text. Thrift does too, but is not read.
#[must_use]
pub fn has_statement(operation: Operation) -> bool {
    operation.name() == "statement_execution.execute_statement"
}

/// What the SQL text in the body of such a request does. Without a text nothing is parsed.
///
/// # Errors
/// A member that says what the statement does is spelt in a way that other readers may take for it, or is not text.
pub fn scan_body(body: Option<&Map<String, Value>>) -> Result<Scan, IdFault> {
    let mut members = [None; MEMBERS.len()];
    for (key, value) in body.into_iter().flatten() {
        let Some(place) = MEMBERS.iter().position(|name| folds_alike(name, key)) else { continue };
        if !MEMBERS.contains(&key.as_str()) {
            return Err(IdFault::Spelling);
        }
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.as_str(),
            _ => return Err(IdFault::NotAnId),
        };
        if let Some(member) = members.get_mut(place) {
            *member = Some(text);
        }
    }
    let [statement, catalog, schema, session] = members;
    let text = statement.unwrap_or_default();
    // in a session that lasts, an earlier statement may have changed both
    if session.is_some() { Ok(scan(text, None, None)) } else { Ok(scan(text, catalog, schema)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databricks::sql::{Class, Unparsed};
    use serde_json::json;

    fn of(body: &Value) -> Result<Scan, IdFault> {
        scan_body(body.as_object())
    }

    #[test]
    fn names_are_completed_by_the_bodys_catalog_and_schema() {
        let scan = of(&json!({"statement": "SELECT * FROM t", "catalog": "main", "schema": "sales"})).unwrap();
        assert_eq!((scan.parsed, scan.classes), (Ok(()), vec![Class::Select]));
        assert!(scan.reads.iter().all(|object| object.resolved && object.name == "main.sales.t"));
        let scan = of(&json!({"statement": "SELECT * FROM t", "catalog": null})).unwrap();
        assert!(scan.reads.iter().all(|object| !object.resolved));
    }

    #[test]
    fn in_a_session_that_lasts_names_are_not_completed() {
        let body = json!({"statement": "SELECT * FROM t", "catalog": "main", "schema": "s", "session_id": "x"});
        assert!(of(&body).unwrap().reads.iter().all(|object| !object.resolved));
    }

    #[test]
    fn a_body_without_a_text_is_not_parsed() {
        for body in [json!({}), json!({"statement": null}), json!({"statement": ""})] {
            assert_eq!(of(&body).unwrap().parsed, Err(Unparsed::Empty), "{body}");
        }
        assert_eq!(scan_body(None).unwrap().parsed, Err(Unparsed::Empty));
    }

    #[test]
    fn what_others_may_take_for_the_text_is_refused() {
        for name in ["Statement", "STATEMENT", "state_ment", "sessionId", "Catalog"] {
            assert_eq!(of(&json!({"statement": "SELECT 1", name: "x"})), Err(IdFault::Spelling), "{name}");
        }
        for value in [json!(1), json!(["SELECT 1"]), json!({"a": 1}), json!(true)] {
            assert_eq!(of(&json!({ "statement": value })), Err(IdFault::NotAnId), "{value}");
        }
    }
}
