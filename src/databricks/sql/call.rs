//! Calls of functions: what stands between their parentheses, and what some of them read by a name in a string.

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::name::{self, Name};
use super::{Kind, Unparsed};

/// Functions whose first string is the name of a table.
const OF_TABLES: [&str; 2] = ["table_changes", "cdf_table_changes"];

/// What looks like a function and has a query as its argument.
const OF_QUERIES: [&str; 3] = ["any", "some", "all"];

/// Functions whose first string is a path.
const OF_PATHS: [&str; 5] = ["read_files", "cloud_files", "read_statestore", "read_state_metadata", "list_files"];

impl Cursor<'_> {
    /// A function's arguments, and what the function reads by a name in a string.
    #[inline(never)]
    pub(super) fn call(&mut self, function: &Name<'_>) -> Step {
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
        // `EXISTS (TABLE t)`, `EXISTS ((SELECT …) UNION …)`
        if is_one_of(&["exists"]) {
            if self.symbol_at(1, "(") {
                return self.parentheses().map(|_| ());
            }
            if self.at_query(1) {
                return self.query_in_parentheses();
            }
        }
        // `ANY (VALUES (1))` calls a function of that name
        if is_one_of(&OF_QUERIES) && self.at_query(1) {
            return self.listed_query();
        }
        self.arguments()
    }

    /// The same in `FROM`, where an argument may be a table.
    #[inline(never)]
    pub(super) fn table_call(&mut self, function: &Name<'_>) -> Step {
        let outer = self.takes_tables(true);
        let result = self.call(function);
        self.takes_tables(outer);
        result
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
            // the arguments of calls in arguments are no tables
            let takes_tables = cursor.takes_tables(false);
            cursor.expect_symbol("(")?;
            let _ = cursor.eat("distinct") || !cursor.symbol_at(1, "(") && cursor.eat("all");
            if !cursor.at_symbol(")") {
                cursor.list(if takes_tables { Self::argument_or_table } else { Self::argument })?;
            }
            cursor.expect_symbol(")")
        })
    }

    fn argument_or_table(&mut self) -> Step {
        self.argument_name()?;
        if self.at_word("table") { self.table_argument() } else { self.argument() }
    }

    /// `name =>`, or nothing.
    #[inline(never)]
    fn argument_name(&mut self) -> Step {
        if self.symbol_at(1, "=>") {
            self.identifier()?;
            self.next();
        }
        Ok(())
    }

    /// One argument, with the words that `CAST`, `EXTRACT`, `TRIM`, `OVERLAY` and the like have in between.
    fn argument(&mut self) -> Step {
        self.argument_name()?;
        // `f(LEADING (a))` and `f(FROM (a))` call functions of these names
        if self.at_any(&["both", "leading", "trailing", "from"]) && self.symbol_at(1, "(") {
            return Err(Unparsed::Syntax);
        }
        self.eat_any(&["both", "leading", "trailing"]);
        if !self.at_word("from") {
            self.expression()?;
        }
        loop {
            if self.eat("as") {
                // of CAST a type, of STRUCT a name
                self.data_type_or_name()?;
            } else if self.eat_any(&["from", "for", "placing"]) {
                self.expression()?;
            } else if self.at_star_except() {
                self.next();
                self.columns()?;
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
