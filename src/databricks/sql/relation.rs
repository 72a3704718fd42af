//! What stands behind `FROM`: tables, subqueries, functions, joins.

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::name::Name;
use super::{Kind, Unparsed, words};

impl Cursor<'_> {
    #[inline(never)]
    pub(super) fn relations(&mut self) -> Step {
        self.expect("from")?;
        self.list(Self::relation)?;
        while self.at_words(&["lateral", "view"]) {
            self.lateral_view()?;
        }
        self.pivots()
    }

    /// One relation with all that is joined to it.
    #[inline(never)]
    fn relation(&mut self) -> Step {
        self.deeper(|cursor| {
            cursor.maybe_lateral()?;
            cursor.relation_primary()?;
            cursor.joins()
        })
    }

    #[inline(never)]
    fn joins(&mut self) -> Step {
        loop {
            self.pivots()?;
            if !self.eat_join()? {
                return Ok(());
            }
            self.joined()?;
        }
    }

    /// `LATERAL (SELECT …)`, `LATERAL f(…)`, or nothing. A table may be called `lateral`.
    #[inline(never)]
    fn maybe_lateral(&mut self) -> Step {
        if !self.at_word("lateral") || self.word_at(1, "view") {
            return Ok(());
        }
        self.next();
        let mut ahead = 1_usize;
        while self.symbol_at(ahead, ".") {
            ahead = ahead.saturating_add(2);
        }
        if self.at_symbol("(") || self.symbol_at(ahead, "(") { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    /// What is joined, behind `JOIN`.
    #[inline(never)]
    pub(super) fn joined(&mut self) -> Step {
        self.maybe_lateral()?;
        self.relation_primary()?;
        self.pivots()?;
        if self.eat("on") {
            self.expression()
        } else if self.eat("using") {
            self.columns()
        } else {
            Ok(())
        }
    }

    #[inline(never)]
    pub(super) fn eat_join(&mut self) -> Result<bool, Unparsed> {
        if self.at_words(&["lateral", "view"]) {
            return Ok(false);
        }
        let mut typed = self.eat("natural");
        if self.eat_any(&["inner", "cross", "semi", "anti"]) {
            typed = true;
        } else if self.eat_any(&["left", "right", "full"]) {
            self.eat_any(&["outer", "semi", "anti"]);
            typed = true;
        }
        if self.eat("join") {
            return Ok(true);
        }
        if typed { Err(Unparsed::Syntax) } else { Ok(false) }
    }

    #[inline(never)]
    pub(super) fn relation_primary(&mut self) -> Step {
        if self.at_symbol("(") {
            self.parenthesised()?;
            return self.sample_and_alias();
        }
        if self.eat("values") {
            self.rows()?;
            return self.alias();
        }
        if self.at_word("stream") && !self.symbol_at(1, ".") {
            return self.stream();
        }
        self.table_or_function()
    }

    /// `STREAM t`, `STREAM(t)`, `STREAM f(…)`, `STREAM(f(…))`. Where `STREAM` is no keyword yet, the first would be a table of that name
    /// with an alias; what runs warehouses has known it since 2022.
    fn stream(&mut self) -> Step {
        self.next();
        if !self.at_symbol("(") {
            return self.table_or_function();
        }
        self.streamed()?;
        self.sample_and_alias()
    }

    /// Behind `STREAM`: `(t)`, `t`, without an alias.
    #[inline(never)]
    fn streamed(&mut self) -> Step {
        if !self.eat_symbol("(") {
            return self.table_or_call();
        }
        self.table_or_call()?;
        self.expect_symbol(")")
    }

    /// `t`, `STREAM t`, `STREAM(t)`, with a clause behind it that would pass for an alias.
    pub(super) fn source_of_changes(&mut self) -> Step {
        self.eat("stream");
        self.streamed()
    }

    fn table_or_function(&mut self) -> Step {
        self.table_or_call()?;
        // the only alias of those that are refused elsewhere that people have
        if self.at_word("values") && !self.symbol_at(1, "(") {
            self.next();
            return Ok(());
        }
        self.sample_and_alias()
    }

    /// A table or the call of a function, without its alias.
    #[inline(never)]
    fn table_or_call(&mut self) -> Step {
        // `SELECT 1 FROM limit f (a)` has a column called `from`, and calls `f`
        if self.at_kind(Is::Word) && words::is_no_alias(self.peek().text) && !self.symbol_at(1, ".") {
            return Err(Unparsed::Syntax);
        }
        let is_clause = self.at_identifier_clause();
        let parts = self.reference()?;
        if self.at_symbol("(") {
            if is_clause {
                return Err(Unparsed::Dynamic);
            }
            return self.table_call(&parts);
        }
        if is_clause && self.is_cte(&parts) {
            return Err(Unparsed::Name);
        }
        let travels = self.time_travel()?;
        self.read_table(&parts, travels)
    }

    /// Reads a table by name, unless it is a CTE. Nobody says what a version of a CTE is.
    #[inline(never)]
    fn read_table(&mut self, parts: &Name<'_>, travels: bool) -> Step {
        match (self.is_cte(parts), travels) {
            (true, true) => Err(Unparsed::Name),
            (true, false) => Ok(()),
            (false, _) => self.read(Kind::Table, parts),
        }
    }

    /// Behind `TABLE`: a name only.
    #[inline(never)]
    pub(super) fn table_name(&mut self) -> Step {
        let is_clause = self.at_identifier_clause();
        let parts = self.reference()?;
        if is_clause && self.is_cte(&parts) {
            return Err(Unparsed::Name);
        }
        self.read_table(&parts, false)
    }

    /// `f(TABLE t)`, `f(TABLE(t))`, `f(TABLE(SELECT …) PARTITION BY a ORDER BY b)`
    pub(super) fn table_argument(&mut self) -> Step {
        self.expect("table")?;
        if self.at_symbol("(") && (self.at_query(1) || self.symbol_at(1, "(")) {
            self.parentheses()?;
        } else if self.eat_symbol("(") {
            self.table_name()?;
            self.expect_symbol(")")?;
        } else {
            self.table_name()?;
        }
        self.eat_words(&["with", "single", "partition"]);
        while self.eat_any(&["partition", "distribute", "order", "sort"]) {
            self.expect("by")?;
            self.sorted()?;
        }
        Ok(())
    }

    /// `@v1`, `VERSION AS OF 1`, `FOR SYSTEM_TIME AS OF '…'`
    #[inline(never)]
    pub(super) fn time_travel(&mut self) -> Result<bool, Unparsed> {
        if self.eat_symbol("@") {
            let version = self.next();
            let digits = version.text.trim_start_matches(['v', 'V']);
            let is_version = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            return if is_version { Ok(true) } else { Err(Unparsed::Syntax) };
        }
        let ahead = usize::from(self.at_word("for"));
        let is_there = ["version", "timestamp", "system_version", "system_time"]
            .iter()
            .any(|word| self.word_at(ahead, word) && self.word_at(ahead.saturating_add(1), "as"));
        if is_there {
            self.eat("for");
            self.next();
            self.expect_words(&["as", "of"])?;
            self.expression()?;
        }
        Ok(is_there)
    }

    #[inline(never)]
    fn parenthesised(&mut self) -> Step {
        self.deeper(|cursor| {
            cursor.expect_symbol("(")?;
            if cursor.at_query(0) && !cursor.at_word("values") {
                cursor.query()?;
            } else if cursor.at_symbol("(") {
                cursor.parenthesised()?;
                if cursor.at_query_tail() {
                    cursor.query_tail()?;
                } else {
                    cursor.sample_and_alias()?;
                    cursor.joins()?;
                }
            } else {
                cursor.relation_or_values()?;
            }
            cursor.expect_symbol(")")
        })
    }

    /// `(VALUES (1) AS t JOIN u)` is a relation, `(VALUES (1) UNION SELECT 2)` a query.
    fn relation_or_values(&mut self) -> Step {
        if !self.at_word("values") {
            return self.relation();
        }
        self.next();
        self.rows()?;
        self.alias()?;
        if self.at_query_tail() { self.query_tail() } else { self.joins() }
    }

    /// `FROM VALUES (1), (2)`. Another relation may follow behind a comma, and a table may be called `values` and have an
    /// alias or a clause behind it, so rows that begin as these could are refused.
    #[inline(never)]
    fn rows(&mut self) -> Step {
        self.list(|cursor| if cursor.at_value() { cursor.expression() } else { Err(Unparsed::Syntax) })
    }

    /// Whether the next token is a number, or in parentheses a literal, a call or a query.
    fn at_value(&self) -> bool {
        let mut ahead = 0_usize;
        while self.symbol_at(ahead, "(") {
            ahead = ahead.saturating_add(1);
        }
        let first = self.peek_at(ahead);
        let behind = ahead.saturating_add(1);
        match first.kind {
            // where double quotes are set to be those of names, a string may be one
            Is::Text => ahead > 0,
            Is::Word if ahead > 0 => {
                ["null", "true", "false"].iter().any(|word| self.word_at(ahead, word))
                    || self.at_query(ahead)
                    || self.symbol_at(behind, "(")
                    || self.peek_at(behind).kind == Is::Text
            }
            Is::Word | Is::Quoted => false,
            // `VALUES ()` calls a function of that name
            _ => first.text != ")",
        }
    }

    #[inline(never)]
    fn sample_and_alias(&mut self) -> Step {
        if self.at_word("tablesample") && self.symbol_at(1, "(") {
            self.sample()?;
        }
        self.alias()
    }

    /// `TABLESAMPLE (10 PERCENT) [REPEATABLE (42)]`
    #[inline(never)]
    pub(super) fn sample(&mut self) -> Step {
        self.expect("tablesample")?;
        self.options()?;
        if self.eat("repeatable") { self.options() } else { Ok(()) }
    }

    /// `[AS] name [(a, b)]`
    #[inline(never)]
    pub(super) fn alias(&mut self) -> Step {
        if !self.eat("as") && !self.at_alias() {
            return Ok(());
        }
        self.any_name()?;
        self.maybe_columns()
    }

    /// `LATERAL VIEW [OUTER] f(x) t [AS a, b]`
    #[inline(never)]
    pub(super) fn lateral_view(&mut self) -> Step {
        self.expect_words(&["lateral", "view"])?;
        self.eat("outer");
        let function = self.parts()?;
        if !self.at_symbol("(") {
            return Err(Unparsed::Syntax);
        }
        self.call(&function)?;
        if self.at_alias() {
            self.any_name()?;
            // without `AS`, the comma before a second column could be one between relations
            if self.at_alias() {
                self.any_name()?;
                return if self.at_symbol(",") { Err(Unparsed::Syntax) } else { Ok(()) };
            }
        }
        if self.eat("as") { self.list(|cursor| cursor.any_name()) } else { Ok(()) }
    }

    #[inline(never)]
    fn pivots(&mut self) -> Step {
        loop {
            if !self.at_any(&["pivot", "unpivot"]) {
                return Ok(());
            }
            self.one_pivot()?;
        }
    }

    #[inline(never)]
    pub(super) fn one_pivot(&mut self) -> Step {
        if self.eat("pivot") {
            self.pivot()?;
        } else {
            self.expect("unpivot")?;
            self.unpivot()?;
        }
        self.alias()
    }

    /// `PIVOT (sum(a) AS x FOR b IN (1 AS one, 2))`
    fn pivot(&mut self) -> Step {
        self.expect_symbol("(")?;
        self.list(Self::pivot_item)?;
        self.expect("for")?;
        self.pivot_columns()?;
        self.expect("in")?;
        self.expect_symbol("(")?;
        self.list(Self::pivot_item)?;
        self.expect_symbol(")")?;
        self.expect_symbol(")")
    }

    /// An expression that may get a name.
    #[inline(never)]
    pub(super) fn pivot_item(&mut self) -> Step {
        self.expression()?;
        self.column_alias()
    }

    #[inline(never)]
    fn pivot_columns(&mut self) -> Step {
        if self.at_symbol("(") { self.columns() } else { self.any_name() }
    }

    /// `UNPIVOT [INCLUDE NULLS] (v FOR n IN (a AS 'x', b))`
    fn unpivot(&mut self) -> Step {
        if self.eat_any(&["include", "exclude"]) {
            self.expect("nulls")?;
        }
        self.expect_symbol("(")?;
        self.pivot_columns()?;
        self.expect("for")?;
        self.identifier()?;
        self.expect("in")?;
        self.expect_symbol("(")?;
        self.list(|cursor| {
            if cursor.at_symbol("(") {
                cursor.columns()?;
            } else {
                cursor.parts()?;
            }
            if cursor.eat("as") && cursor.at_kind(Is::Text) { cursor.plain_text().map(|_| ()) } else { cursor.alias() }
        })?;
        self.expect_symbol(")")?;
        self.expect_symbol(")")
    }
}
