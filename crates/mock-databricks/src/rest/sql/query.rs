//! What statements return. There is no database here: a few statements have an answer of their own, since they
//! tell a test who ran them, and all others return 1.

use crate::minting::Holder;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Int(i32),
    Text(String),
}

/// A result: always one row of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) column: String,
    pub(crate) cell: Cell,
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
        Self { column: column.to_owned(), cell }
    }

    pub(crate) fn text(&self) -> String {
        match &self.cell {
            Cell::Int(number) => number.to_string(),
            Cell::Text(text) => text.clone(),
        }
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self.cell {
            Cell::Int(_) => "INT",
            Cell::Text(_) => "STRING",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minting::Kind;

    fn rows(statement: &str) -> (String, String) {
        let holder = Holder { kind: Kind::User, name: "alice".into(), scope: "sql".into(), assume_group: None };
        let rows = Rows::of(statement, &holder);
        (rows.column.clone(), rows.text())
    }

    #[test]
    fn answers_what_tests_ask() {
        assert_eq!(rows("SELECT 42;"), ("42".into(), "42".into()));
        assert_eq!(rows("select current_user()"), ("current_user()".into(), "alice".into()));
        assert_eq!(rows("SHOW TABLES"), ("1".into(), "1".into()));
        assert_eq!(rows("SELECT * FROM t"), ("1".into(), "1".into()));
    }
}
