//! Pipe syntax: `FROM t |> WHERE x > 1 |> AGGREGATE sum(y) GROUP BY z` (Databricks SQL reference, SQL pipeline syntax).

use super::Unparsed;
use super::cursor::{Cursor, Step};

impl Cursor<'_> {
    /// Every `|>` behind a query with its operator.
    #[inline(never)]
    pub(super) fn pipes(&mut self) -> Step {
        while self.eat_symbol("|>") {
            self.pipe_operator()?;
        }
        Ok(())
    }

    fn pipe_operator(&mut self) -> Step {
        if self.at_word("select") {
            self.select_clause()?;
            return self.maybe_windows();
        }
        if self.eat("extend") {
            self.list(Self::pivot_item)?;
            return self.maybe_windows();
        }
        if self.eat("set") {
            return self.list(|cursor| {
                cursor.identifier()?;
                cursor.expect_symbol("=")?;
                cursor.expression()
            });
        }
        if self.eat("drop") {
            return self.list(Self::any_name);
        }
        if self.eat("as") {
            return self.any_name();
        }
        if self.eat("where") {
            return self.expression();
        }
        if self.eat("aggregate") {
            return self.aggregate();
        }
        self.pipe_to_relation()
    }

    /// Operators that other queries have too.
    fn pipe_to_relation(&mut self) -> Step {
        if self.at_any(&["pivot", "unpivot"]) {
            return self.one_pivot();
        }
        if self.at_word("tablesample") {
            return self.sample();
        }
        if self.at_set_operation() {
            return self.set_operation();
        }
        if self.at_organization() {
            return self.organization();
        }
        if self.eat_join()? { self.joined() } else { Err(Unparsed::Syntax) }
    }

    /// `AGGREGATE [sum(x) AS s, …] [GROUP BY y AS z, …]`
    fn aggregate(&mut self) -> Step {
        if !self.at_words(&["group", "by"]) {
            self.list(Self::pivot_item)?;
        }
        if self.eat_words(&["group", "by"]) { self.group_by() } else { Ok(()) }
    }
}
