//! Calls of functions: what stands between their parentheses, and what some of them read by a name in a string.

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::name::{self, Name};
use super::{Kind, Unparsed};

/// Functions whose first string is the name of a table.
const OF_TABLES: [&str; 2] = ["table_changes", "cdf_table_changes"];

/// Functions whose first string is a path.
const OF_PATHS: [&str; 5] = ["read_files", "cloud_files", "read_statestore", "read_state_metadata", "list_files"];

impl Cursor<'_> {
    /// A function's arguments, and what the function reads by a name in a string.
    #[inline(never)]
    pub(super) fn call(&mut self, function: &Name<'_>) -> Step {
        // newer versions of Spark take `a.IDENTIFIER('b')` for a name
        if function.single().is_none() && function.parts().iter().any(|part| part.eq_ignore_ascii_case("identifier")) {
            return Err(Unparsed::Dynamic);
        }
        let single = function.single().unwrap_or_default();
        let is_one_of = |known: &[&str]| known.iter().any(|known| single.eq_ignore_ascii_case(known));
        let reads_by_name = if is_one_of(&OF_TABLES) {
            Some(Kind::Table)
        } else if is_one_of(&OF_PATHS) {
            Some(Kind::Path)
        } else {
            None
        };
        self.called(function, reads_by_name.is_some())?;
        if let Some(kind) = reads_by_name {
            self.first_argument(kind)?;
        }
        // `EXISTS ((SELECT …) UNION …)`
        if is_one_of(&["exists"]) && self.symbol_at(1, "(") {
            return self.parentheses().map(|_| ());
        }
        self.arguments()
    }

    fn first_argument(&mut self, kind: Kind) -> Step {
        let literal = self.peek_at(1);
        let ends = self.symbol_at(2, ",") || self.symbol_at(2, ")");
        let text = name::plain_text(literal.text).filter(|_| literal.kind == Is::Text && ends);
        let text = text.ok_or(Unparsed::Dynamic)?;
        match kind {
            Kind::Path => self.read_path(text),
            _ => self.read(Kind::Table, &name::of_text(text)?)?,
        }
        Ok(())
    }

    fn arguments(&mut self) -> Step {
        self.deeper(|cursor| {
            if cursor.at_query(1) && !cursor.word_at(1, "table") {
                return cursor.parentheses().map(|_| ());
            }
            cursor.expect_symbol("(")?;
            let _ = cursor.eat("distinct") || !cursor.symbol_at(1, "(") && cursor.eat("all");
            if !cursor.at_symbol(")") {
                cursor.list(Self::argument)?;
            }
            cursor.expect_symbol(")")
        })
    }

    /// One argument, with the words that `CAST`, `EXTRACT`, `TRIM`, `OVERLAY` and the like have in between.
    fn argument(&mut self) -> Step {
        if self.symbol_at(1, "=>") {
            self.identifier()?;
            self.next();
        }
        if self.at_word("table") {
            self.table_argument()?;
            // `EXISTS (TABLE t UNION …)`
            return if self.at_query_tail() { self.query_tail() } else { Ok(()) };
        }
        if self.at_any(&["both", "leading", "trailing"]) {
            self.next();
        }
        if !self.at_word("from") {
            self.expression()?;
        }
        loop {
            if self.eat("as") {
                // of CAST a type, of STRUCT a name
                self.data_type_or_name()?;
            } else if self.eat_any(&["from", "for", "placing"]) {
                self.expression()?;
            } else if self.eat_words(&["ignore", "nulls"]) || self.eat_words(&["respect", "nulls"]) {
            } else if self.at_words(&["order", "by"]) {
                self.next();
                self.next();
                self.list(Self::sorted)?;
            } else {
                return Ok(());
            }
        }
    }

    fn data_type_or_name(&mut self) -> Step {
        if self.at_kind(Is::Quoted) { self.identifier().map(|_| ()) } else { self.data_type() }
    }
}
