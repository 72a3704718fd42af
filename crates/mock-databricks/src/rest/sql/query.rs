//! What statements return. There is no database here: a few statements have an answer of their own, since they
//! tell a test who ran them, a test may give others theirs, and all the rest return 1.

use serde::Deserialize;
use serde_json::Value;

use crate::minting::Holder;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Int(i32),
    Text(String),
    Null,
}

/// A result. A column is of integers if its first value is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// What a test wants certain statements to return.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    /// The statement begins so, or has this after a comment; case and the width of spaces do not matter.
    starts_with: String,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Given {
    pub(crate) fn answers(&self, statement: &str) -> Option<Rows> {
        plain(statement).starts_with(&plain(&self.starts_with)).then(|| Rows {
            columns: self.columns.clone(),
            rows: self.rows.iter().map(|row| row.iter().map(Cell::from).collect()).collect(),
        })
    }
}

/// A statement without the comment that it begins with, in lower case, with single spaces.
fn plain(statement: &str) -> String {
    let statement = statement.trim_start();
    let commented = statement.strip_prefix("/*").and_then(|rest| rest.split_once("*/"));
    let words = commented.map_or(statement, |(_, rest)| rest).split_whitespace();
    words.collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

impl From<&Value> for Cell {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Number(number) => number
                .as_i64()
                .and_then(|n| i32::try_from(n).ok())
                .map_or_else(|| Self::Text(number.to_string()), Self::Int),
            Value::String(text) => Self::Text(text.clone()),
            other => Self::Text(other.to_string()),
        }
    }
}

impl Cell {
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Int(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
            Self::Null => None,
        }
    }
}

impl Rows {
    pub(crate) fn of(statement: &str, holder: &Holder) -> Self {
        let statement = statement.trim().trim_end_matches(';').trim_end();
        let selected = statement.get(..7).filter(|word| word.eq_ignore_ascii_case("select "));
        let expression = selected.and_then(|_| statement.get(7..)).unwrap_or("1").trim();
        let cell = match expression.to_ascii_lowercase().as_str() {
            "current_user()" | "session_user()" => Cell::Text(holder.name.clone()),
            other => Cell::Int(other.parse().unwrap_or(1)),
        };
        let column = if matches!(&cell, Cell::Int(n) if n.to_string() != expression) { "1" } else { expression };
        Self { columns: vec![column.to_owned()], rows: vec![vec![cell]] }
    }

    /// The columns with their values.
    pub(crate) fn by_column(&self) -> impl Iterator<Item = (&str, Vec<&Cell>)> {
        let cells = |at: usize| self.rows.iter().map(|row| row.get(at).unwrap_or(&Cell::Null)).collect();
        self.columns.iter().enumerate().map(move |(at, name)| (name.as_str(), cells(at)))
    }
}

pub(crate) fn is_of_integers(cells: &[&Cell]) -> bool {
    matches!(cells.first(), Some(Cell::Int(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minting::Kind;

    fn rows(statement: &str) -> (String, String) {
        let holder = Holder { kind: Kind::User, name: "alice".into(), scope: "sql".into(), assume_group: None };
        let rows = Rows::of(statement, &holder);
        (rows.columns[0].clone(), rows.rows[0][0].text().unwrap())
    }

    #[test]
    fn answers_what_tests_ask() {
        assert_eq!(rows("SELECT 42;"), ("42".into(), "42".into()));
        assert_eq!(rows("select current_user()"), ("current_user()".into(), "alice".into()));
        assert_eq!(rows("SHOW TABLES"), ("1".into(), "1".into()));
        assert_eq!(rows("SELECT * FROM t"), ("1".into(), "1".into()));
    }

    #[test]
    fn answers_what_it_was_given() {
        let given = r#"{"starts_with":"show  TABLES","columns":["name","n"],"rows":[["a",1],[null,2]]}"#;
        let given: Given = serde_json::from_str(given).unwrap();
        let rows = given.answers("/* {\"app\": \"dbt\"} */\n show tables in main").unwrap();
        let columns: Vec<(String, bool)> =
            rows.by_column().map(|(name, cells)| (name.to_owned(), is_of_integers(&cells))).collect();
        assert_eq!(columns, [("name".to_owned(), false), ("n".to_owned(), true)]);
        assert_eq!(rows.rows[1], [Cell::Null, Cell::Int(2)]);
        assert_eq!(given.answers("show views"), None);
    }
}
