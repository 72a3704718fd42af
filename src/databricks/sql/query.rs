//! Queries: `WITH`, `SELECT`, `FROM … SELECT`, `TABLE`, `VALUES`, and set operations of them.

use super::cursor::{Cursor, Step};
use super::expression::Inside;
use super::lexer::Kind as Is;
use super::{Class, Unparsed, words};

const SET_OPERATIONS: [&str; 4] = ["union", "except", "minus", "intersect"];
const ORGANIZATION: [&str; 7] = ["order", "sort", "cluster", "distribute", "window", "limit", "offset"];

impl Cursor<'_> {
    /// Whether the token this far ahead opens a query, parentheses aside.
    #[inline(never)]
    pub(super) fn at_query(&self, ahead: usize) -> bool {
        ["select", "with", "from", "values", "table"].iter().any(|word| self.word_at(ahead, word))
    }

    /// One query with its CTEs, which are in sight only in it.
    #[inline(never)]
    pub(super) fn query(&mut self) -> Step {
        self.deeper(|cursor| {
            let outside = cursor.ctes_in_sight();
            if cursor.at_word("with") {
                cursor.with()?;
            }
            cursor.query_body()?;
            cursor.out_of_sight(outside);
            Ok(())
        })
    }

    #[inline(never)]
    pub(super) fn query_body(&mut self) -> Step {
        self.query_primary()?;
        self.query_tail()
    }

    /// `WITH a AS (…), b AS (…)`. A CTE sees those before it, and itself only in `WITH RECURSIVE`.
    #[inline(never)]
    pub(super) fn with(&mut self) -> Step {
        self.expect("with")?;
        // a CTE may be called `recursive`
        let recursive = self.at_word("recursive") && !self.word_at(1, "as") && !self.symbol_at(1, "(");
        if recursive {
            self.next();
        } else if self.at_word("recursive") {
            return Err(Unparsed::Syntax);
        }
        self.list(if recursive { Self::recursive_cte } else { Self::cte })
    }

    fn cte(&mut self) -> Step {
        self.cte_in(false)
    }

    fn recursive_cte(&mut self) -> Step {
        self.cte_in(true)
    }

    #[inline(never)]
    fn cte_in(&mut self, recursive: bool) -> Step {
        let name = self.identifier()?;
        if self.at_symbol("(") && !self.at_query(1) && !self.symbol_at(1, "(") {
            self.columns()?;
        }
        if self.eat_words(&["max", "recursion", "level"]) {
            self.expect_kind(Is::Number)?;
        }
        self.eat("as");
        if recursive {
            self.in_sight(name)?;
        }
        if self.parentheses()? != Inside::Query {
            return Err(Unparsed::Syntax);
        }
        if recursive { Ok(()) } else { self.in_sight(name) }
    }

    #[inline(never)]
    fn query_primary(&mut self) -> Step {
        if self.at_word("select") {
            self.select()
        } else if self.at_word("from") {
            self.query_by_from()
        } else if self.eat("table") {
            self.table_name()
        } else if self.eat("values") {
            self.expressions()?;
            self.alias()
        } else if self.at_symbol("(") && self.parentheses()? == Inside::Query {
            Ok(())
        } else {
            Err(Unparsed::Syntax)
        }
    }

    /// Whether something goes on with a query whose first part is complete.
    #[inline(never)]
    pub(super) fn at_query_tail(&self) -> bool {
        self.at_any(&SET_OPERATIONS) || self.at_any(&ORGANIZATION)
    }

    #[inline(never)]
    pub(super) fn query_tail(&mut self) -> Step {
        while self.eat_any(&SET_OPERATIONS) {
            self.eat_any(&["all", "distinct"]);
            self.eat_words(&["by", "name"]);
            self.query_primary()?;
        }
        self.organization()
    }

    /// `ORDER BY … LIMIT … OFFSET …`
    #[inline(never)]
    fn organization(&mut self) -> Step {
        while self.at_any(&ORGANIZATION) {
            if self.eat_any(&["order", "sort", "cluster", "distribute"]) {
                self.expect("by")?;
                self.order_by()?;
            } else if self.at_word("window") {
                self.named_windows()?;
            } else if self.eat("offset") || !self.eat_words(&["limit", "all"]) {
                self.eat("limit");
                self.expression()?;
            }
        }
        Ok(())
    }

    fn order_by(&mut self) -> Step {
        if self.eat("all") {
            self.eat_any(&["asc", "desc"]);
            if self.eat("nulls") && !self.eat_any(&["first", "last"]) {
                return Err(Unparsed::Syntax);
            }
            return Ok(());
        }
        self.list(Self::sorted)
    }

    fn select(&mut self) -> Step {
        self.select_clause()?;
        if self.at_word("from") {
            self.relations()?;
        }
        self.select_rest()
    }

    /// `FROM t SELECT a` or, as a statement, `FROM t INSERT INTO u SELECT a INSERT INTO v SELECT b`
    fn query_by_from(&mut self) -> Step {
        self.relations()?;
        if self.at_word("insert") {
            return self.multi_insert();
        }
        if !self.at_word("select") {
            return Err(Unparsed::Syntax);
        }
        while self.at_word("select") {
            self.select_clause()?;
            self.select_rest()?;
        }
        Ok(())
    }

    fn multi_insert(&mut self) -> Step {
        self.reclass(Class::Dml);
        while self.at_word("insert") {
            self.insert_target()?;
            self.select_clause()?;
            self.select_rest()?;
            self.organization()?;
        }
        Ok(())
    }

    #[inline(never)]
    fn select_clause(&mut self) -> Step {
        self.expect("select")?;
        while self.at_kind(Is::Hint) {
            self.next();
        }
        self.eat_any(&["all", "distinct"]);
        self.list(Self::select_item)
    }

    fn select_item(&mut self) -> Step {
        self.expression()?;
        if self.at_word("except") && self.at_column_list(1) {
            self.next();
            self.columns()?;
        }
        if self.at_words(&["as"]) && self.symbol_at(1, "(") {
            self.next();
            return self.columns();
        }
        self.column_alias()
    }

    /// Whether parentheses with a name in them follow. `EXCEPT (a)` takes columns out of `*`, `EXCEPT (SELECT …)` rows.
    fn at_column_list(&self, ahead: usize) -> bool {
        let inside = self.peek_at(ahead.saturating_add(1));
        let is_name = inside.kind == Is::Quoted || inside.kind == Is::Word && !words::is_strong(inside.text);
        self.symbol_at(ahead, "(") && is_name
    }

    /// What follows the relations of a `SELECT`.
    #[inline(never)]
    fn select_rest(&mut self) -> Step {
        loop {
            if self.eat_any(&["where", "having", "qualify"]) {
                self.expression()?;
            } else if self.at_words(&["lateral", "view"]) {
                self.lateral_view()?;
            } else if self.eat_words(&["group", "by"]) {
                self.group_by()?;
            } else if self.at_word("window") {
                self.named_windows()?;
            } else {
                return Ok(());
            }
        }
    }

    fn group_by(&mut self) -> Step {
        if self.eat("all") {
            return Ok(());
        }
        self.list(|cursor| {
            // the sets are lists in parentheses
            if cursor.eat_words(&["grouping", "sets"]) { cursor.parentheses().map(|_| ()) } else { cursor.expression() }
        })?;
        if self.eat_words(&["grouping", "sets"]) {
            return self.parentheses().map(|_| ());
        }
        if self.eat("with") && !self.eat_any(&["rollup", "cube"]) {
            return Err(Unparsed::Syntax);
        }
        Ok(())
    }

    #[inline(never)]
    fn named_windows(&mut self) -> Step {
        self.expect("window")?;
        self.list(|cursor| {
            cursor.identifier()?;
            cursor.expect("as")?;
            if cursor.at_symbol("(") { cursor.window() } else { cursor.any_name() }
        })
    }
}
