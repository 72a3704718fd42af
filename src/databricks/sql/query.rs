//! Queries: `WITH`, `SELECT`, `FROM … SELECT`, `TABLE`, `VALUES`, and set operations of them.

use super::cursor::{Cursor, Step};
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

    /// Set operations and pipes in any order, as both go on with all that stands before them.
    #[inline(never)]
    fn query_term(&mut self) -> Step {
        loop {
            self.pipes()?;
            if !self.at_set_operation() {
                return Ok(());
            }
            self.set_operation()?;
        }
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
        self.query_in_parentheses()?;
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
        } else {
            self.query_in_parentheses()
        }
    }

    /// `( query )` where nothing else can stand in parentheses.
    #[inline(never)]
    pub(super) fn query_in_parentheses(&mut self) -> Step {
        self.deeper(|cursor| {
            cursor.expect_symbol("(")?;
            cursor.query()?;
            cursor.expect_symbol(")")
        })
    }

    /// Whether the query that opens parentheses in an expression can be nothing else. For Spark, `IN (SELECT (a), b)` has two expressions,
    /// of which one calls a function `select`, and `(SELECT * FROM a, b)` is a row of `select * from` as `a` and of `b`, where aliases may stand.
    pub(super) fn is_surely_query(&self, may_have_aliases: bool) -> bool {
        let next = self.peek_at(1);
        let is_name = matches!(next.kind, Is::Word | Is::Quoted);
        if self.at_word("values") {
            return matches!(next.kind, Is::Number | Is::Text);
        }
        if !self.at_word("select") || next.kind != Is::Symbol {
            return is_name || self.at_word("select");
        }
        self.has_relation_behind_from(may_have_aliases)
    }

    /// Whether a `FROM` of the query that is next has a name or a query behind it, by which it can be neither a column nor a function.
    fn has_relation_behind_from(&self, may_have_aliases: bool) -> bool {
        let mut depth = 0_usize;
        let mut is_operand = None;
        for ahead in 0_usize.. {
            let token = self.peek_at(ahead);
            match (token.kind, token.text) {
                (Is::End, _) | (Is::Symbol, ";") => return false,
                (Is::Symbol, "(") => depth = depth.saturating_add(1),
                (Is::Symbol, ")") if depth == 0 => return is_operand.is_some(),
                (Is::Symbol, ")") => depth = depth.saturating_sub(1),
                (Is::Symbol, ",") if depth == 0 && may_have_aliases && is_operand == Some(true) => return false,
                (Is::Word, _) if depth == 0 && is_operand.is_none() && self.word_at(ahead, "from") => {
                    let before = self.peek_at(ahead.saturating_sub(1));
                    let behind = self.peek_at(ahead.saturating_add(1));
                    let is_query = behind.text == "(" && self.at_plain_query(ahead.saturating_add(2));
                    if !is_query && !matches!(behind.kind, Is::Word | Is::Quoted) {
                        return false;
                    }
                    is_operand = Some(before.kind == Is::Symbol && !matches!(before.text, ")" | "]"));
                }
                _ => {}
            }
        }
        false
    }

    /// Whether a query begins here that is no list of expressions.
    fn at_plain_query(&self, ahead: usize) -> bool {
        let next = self.peek_at(ahead.saturating_add(1));
        let is_star = next.text == "*" && self.word_at(ahead.saturating_add(2), "from");
        let is_plain = matches!(next.kind, Is::Word | Is::Quoted | Is::Number | Is::Text);
        self.at_query(ahead) && (is_plain || is_star && self.peek_at(ahead.saturating_add(3)).kind != Is::Symbol)
    }

    /// Whether something goes on with a query whose first part is complete.
    #[inline(never)]
    pub(super) fn at_query_tail(&self) -> bool {
        self.at_set_operation() || self.at_organization() || self.at_symbol("|>")
    }

    #[inline(never)]
    pub(super) fn at_set_operation(&self) -> bool {
        self.at_any(&SET_OPERATIONS)
    }

    #[inline(never)]
    pub(super) fn at_organization(&self) -> bool {
        self.at_any(&ORGANIZATION)
    }

    #[inline(never)]
    pub(super) fn query_tail(&mut self) -> Step {
        self.query_term()?;
        self.organization()
    }

    #[inline(never)]
    pub(super) fn set_operation(&mut self) -> Step {
        self.next();
        self.eat_any(&["all", "distinct"]);
        self.eat_words(&["by", "name"]);
        self.query_primary()
    }

    /// `ORDER BY … LIMIT … OFFSET …`
    #[inline(never)]
    pub(super) fn organization(&mut self) -> Step {
        while self.at_any(&ORGANIZATION) {
            if self.eat_any(&["order", "sort", "cluster", "distribute"]) {
                self.expect("by")?;
                self.order_by()?;
            } else if self.at_word("window") {
                self.maybe_windows()?;
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
        // `FROM a SELECT (x), b` has two tables for Spark, the first of which it calls `SELECT (x)`
        if self.at_word("select") && self.symbol_at(1, "(") {
            return Err(Unparsed::Syntax);
        }
        // nothing but a pipe goes on without a `SELECT`
        if self.at_symbol("|>") {
            return Ok(());
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
    pub(super) fn select_clause(&mut self) -> Step {
        self.expect("select")?;
        while self.at_kind(Is::Hint) {
            self.next();
        }
        self.eat_any(&["all", "distinct"]);
        self.list(Self::select_item)
    }

    fn select_item(&mut self) -> Step {
        self.expression()?;
        if self.at_star_except() {
            self.next();
            self.columns()?;
        }
        if self.at_words(&["as"]) && self.symbol_at(1, "(") {
            self.next();
            return self.columns();
        }
        self.column_alias()
    }

    /// Whether `EXCEPT (a)` follows, which takes columns out of `*`; `EXCEPT (SELECT …)` takes rows.
    #[inline(never)]
    pub(super) fn at_star_except(&self) -> bool {
        self.at_word("except") && self.at_column_list(1)
    }

    /// Whether parentheses with a name in them follow.
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
                self.maybe_windows()?;
            } else {
                return Ok(());
            }
        }
    }

    /// Behind `GROUP BY`. An item has a name only in pipe syntax.
    pub(super) fn group_by(&mut self) -> Step {
        if self.eat("all") {
            return Ok(());
        }
        self.list(Self::grouped)?;
        if self.eat_words(&["grouping", "sets"]) {
            return self.grouping_sets();
        }
        if self.eat("with") && !self.eat_any(&["rollup", "cube"]) {
            return Err(Unparsed::Syntax);
        }
        Ok(())
    }

    #[inline(never)]
    fn grouped(&mut self) -> Step {
        if self.eat_words(&["grouping", "sets"]) {
            return self.grouping_sets();
        }
        // the set of nothing
        if self.at_symbol("(") && self.symbol_at(1, ")") {
            self.next();
            self.next();
            return Ok(());
        }
        self.pivot_item()
    }

    /// `((a, b), ROLLUP (c), GROUPING SETS ((d)), ())`
    #[inline(never)]
    fn grouping_sets(&mut self) -> Step {
        self.deeper(|cursor| {
            cursor.expect_symbol("(")?;
            cursor.list(Self::grouped)?;
            cursor.expect_symbol(")")
        })
    }

    /// `WINDOW w AS (…)`, or nothing.
    #[inline(never)]
    pub(super) fn maybe_windows(&mut self) -> Step {
        if !self.eat("window") {
            return Ok(());
        }
        self.list(|cursor| {
            cursor.identifier()?;
            cursor.expect("as")?;
            if cursor.at_symbol("(") { cursor.window() } else { cursor.any_name() }
        })
    }
}
