//! The SQL text that a request has run, and the session that its names are completed by.

use super::catalogue::Operation;
use super::resources::IdFault;
use super::sql::{self, Scan, scan};
use crate::base::folds_alike;
use serde_json::{Map, Value};

/// The members of the body that say what a statement does (Databricks REST reference, Execute a SQL statement).
pub(super) const MEMBERS: [&str; 4] = ["statement", "catalog", "schema", "session_id"];

/// The words that a query begins with (Spark's `SqlBaseParser.g4`, `queryPrimary` and before it).
const BEGIN_QUERIES: [&str; 7] = ["select", "with", "from", "table", "values", "map", "reduce"];

/// Whether requests of `operation` carry SQL text. Thrift does too, but is not read.
#[must_use]
pub fn has_statement(operation: Operation) -> bool {
    operation.name() == "statement_execution.execute_statement"
}

/// What the SQL text in the body of such a request of `operation` does. Without a text nothing is parsed.
///
/// # Errors
/// A member that says what the statement does is spelt in a way that other readers may take for it, or is not text.
pub fn scan_body(operation: Operation, body: Option<&Map<String, Value>>) -> Result<Scan, IdFault> {
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
    let lasts = session.is_some() || operation.placeholders().any(|(_, name)| name == "session_id");
    Ok(if lasts { scan(text, None, None) } else { scan(text, catalog, schema) })
}

/// What a text is that is kept to be run later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// A statement.
    Statement,
    /// An expression or a condition, read as what a query selects; or a query.
    Expression,
}

/// The kinds and ids of all that such a text names. What it reaches beyond them, or if it is not understood, is a `sql_text`, which may be
/// about anything.
#[inline(never)]
pub(super) fn named_in_sql(
    kept: Kept,
    text: &str,
    (catalog, schema): (Option<&str>, Option<&str>),
    names: &mut dyn FnMut(&'static str, &str),
) {
    if text.trim().is_empty() {
        return;
    }
    let first = text.split(|letter: char| !letter.is_ascii_alphanumeric()).find(|word| !word.is_empty());
    let begins_query = first.is_some_and(|word| BEGIN_QUERIES.iter().any(|known| word.eq_ignore_ascii_case(known)));
    let before = if kept == Kept::Statement || begins_query { "" } else { "SELECT " };
    let found = scan(&[before, text].concat(), catalog, schema);
    let mut reaches_more = found.parsed.is_err();
    for object in found.reads.iter().chain(&found.writes).filter(|_| found.parsed.is_ok()) {
        let name = object.name.as_str();
        match object.kind {
            _ if !object.resolved => reaches_more = true,
            sql::Kind::Table => names("table", name),
            // some tables in it
            sql::Kind::Schema => names("table", &[name, "."].concat()),
            sql::Kind::Catalog => names("table", &[name, ".."].concat()),
            sql::Kind::Function => {
                names("function", name);
                reaches_more = true;
            }
            sql::Kind::Path => {
                names("path", name);
                reaches_more |= !name.starts_with("/Volumes/") || name.contains(['*', '?', '[', '{']);
            }
            sql::Kind::Other => reaches_more = true,
        }
    }
    if reaches_more {
        names("sql_text", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databricks::Catalogue;
    use crate::databricks::sql::{Class, Unparsed};
    use serde_json::json;

    fn at(path: &str, body: Option<&Value>) -> Result<Scan, IdFault> {
        scan_body(Catalogue::find("POST", path).unwrap(), body.and_then(Value::as_object))
    }

    fn of(body: &Value) -> Result<Scan, IdFault> {
        at("/api/2.0/sql/statements", Some(body))
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
        let in_path = "/api/2.0/sql/warehouses/w/sessions/x/statements";
        let statement = |text: &str| json!({"statement": text, "catalog": "main", "schema": "s"});
        let scan = |text: &str| at(in_path, Some(&statement(text))).unwrap();
        for text in ["SELECT * FROM t", "SELECT * FROM s.t"] {
            assert!(scan(text).reads.iter().all(|object| !object.resolved), "{text}");
        }
        assert!(scan("SELECT * FROM main.s.t").reads.iter().all(|object| object.resolved));
    }

    #[test]
    fn a_body_without_a_text_is_not_parsed() {
        for body in [json!({}), json!({"statement": null}), json!({"statement": ""})] {
            assert_eq!(of(&body).unwrap().parsed, Err(Unparsed::Empty), "{body}");
        }
        assert_eq!(at("/api/2.0/sql/statements", None).unwrap().parsed, Err(Unparsed::Empty));
    }

    #[test]
    fn what_is_kept_to_be_run_names_what_it_would_touch() {
        let of = |kept: Kept, text: &str, home: (Option<&str>, Option<&str>)| {
            let mut named = Vec::new();
            named_in_sql(kept, text, home, &mut |kind, id| named.push(format!("{kind} {id}")));
            named
        };
        let named = |text: &str| of(Kept::Expression, text, (Some("main"), Some("sales")));
        for (text, expected) in [
            ("SELECT * FROM t", &["table main.sales.t"] as &[&str]),
            ("price > 7 AND id IN (SELECT id FROM hr.people)", &["table main.hr.people"]),
            ("sum(price)", &[]),
            ("", &[]),
            ("SELECT main.hr.f(1)", &["function main.hr.f", "sql_text "]),
            ("SELECT * FROM csv.`/Volumes/a/b/c/d`", &["path /Volumes/a/b/c/d"]),
            ("SELECT * FROM csv.`/mnt/x`", &["path /mnt/x", "sql_text "]),
            ("a) FROM (b", &["sql_text "]),
            ("avg(`{{input_column}}`) ${x}", &["sql_text "]),
            ("EXECUTE IMMEDIATE 'SELECT 1'", &["sql_text "]),
            ("TABLE hr.people", &["table main.hr.people"]),
            ("WITH a AS (SELECT 1) SELECT * FROM a, t", &["table main.sales.t"]),
        ] {
            assert_eq!(named(text), expected, "{text}");
        }
        let shown = |text: &str| of(Kept::Statement, text, (Some("main"), None));
        assert_eq!(shown("SHOW TABLES IN hr"), ["table main.hr."]);
        assert_eq!(shown("SHOW SCHEMAS IN prod"), ["table prod.."]);
        for text in ["SELECT * FROM t", "CALL a.b.c()", "price > 7"] {
            assert_eq!(of(Kept::Statement, text, (None, None)), ["sql_text "], "{text}");
        }
        assert_eq!(of(Kept::Statement, " \n", (None, None)), [""; 0]);
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
