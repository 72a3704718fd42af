//! Expressions: operands and operators by turns, with everything that can hold a query looked into.

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::{Unparsed, words};

const BINARY: [&str; 21] = [
    "+", "-", "*", "/", "%", "||", "&", "|", "^", "=", "==", "<>", "!=", "<", "<=", ">", ">=", "<=>", "!>", "!<", "->",
];

/// Keywords that are also functions.
const CALLED_KEYWORDS: [&str; 14] = [
    "left",
    "right",
    "filter",
    "window",
    "timestamp",
    "version",
    "cube",
    "rollup",
    "grouping",
    "div",
    "like",
    "ilike",
    "rlike",
    "regexp",
];

/// What stood in parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Query,
    Other,
}

impl Cursor<'_> {
    /// One expression; ends before the first token that does not go on with it.
    #[inline(never)]
    pub(super) fn expression(&mut self) -> Step {
        self.deeper(|cursor| {
            cursor.operand()?;
            cursor.behind_operand()
        })
    }

    #[inline(never)]
    pub(super) fn expressions(&mut self) -> Step {
        self.list(Self::expression)
    }

    /// What follows an operand: operators with their operands, until there are no more.
    #[inline(never)]
    fn behind_operand(&mut self) -> Step {
        while self.behind_call()? || self.postfix()? || self.operator()? {}
        Ok(())
    }

    /// An operator and its right side, if one is there.
    fn operator(&mut self) -> Result<bool, Unparsed> {
        let token = self.peek();
        let is_there = match token.kind {
            Is::Symbol if BINARY.contains(&token.text) => self.symbolic(),
            Is::Word if self.eat_any(&["and", "or", "div", "between", "rlike", "regexp"]) => true,
            Is::Word if self.at_any(&["in", "like", "ilike"]) || self.at_negated() => {
                return self.negatable().map(|()| true);
            }
            Is::Word if self.at_word("is") => return self.is().map(|()| true),
            _ => false,
        };
        if is_there {
            self.operand()?;
        }
        Ok(is_there)
    }

    /// Behind a column's default, `NOT NULL` is none of it.
    fn at_negated(&self) -> bool {
        self.at_word("not")
            && ["in", "like", "ilike", "between", "rlike", "regexp"].iter().any(|word| self.word_at(1, word))
    }

    fn symbolic(&mut self) -> bool {
        let text = self.next().text;
        // shifts, which must not be one token because of `array<array<int>>`
        if matches!(text, "<" | ">") {
            while self.eat_symbol(text) {}
        }
        true
    }

    /// `[NOT] IN (…)`, `[NOT] LIKE …`, `NOT BETWEEN …`
    fn negatable(&mut self) -> Step {
        let negated = self.eat("not");
        if self.eat("in") {
            return if self.at_query(1) { self.listed_query() } else { self.parentheses().map(|_| ()) };
        }
        if self.eat_any(&["like", "ilike"]) {
            return self.pattern_or_list();
        }
        if negated && self.eat_any(&["between", "rlike", "regexp"]) {
            return self.operand();
        }
        Err(Unparsed::Syntax)
    }

    /// `LIKE ANY (…)`. In `LIKE ALL (…) : a`, with anything behind it that goes on with an operand, a function of that name is called.
    fn pattern_or_list(&mut self) -> Step {
        let is_list = self.symbol_at(1, "(") && self.eat_any(&["any", "some", "all"]);
        self.operand()?;
        let goes_on = is_list && !self.at_any(&["and", "or"]) && (self.postfix()? || self.operator()?);
        if goes_on { Err(Unparsed::Syntax) } else { Ok(()) }
    }

    /// `IN (SELECT …)`
    pub(super) fn listed_query(&mut self) -> Step {
        self.deeper(|cursor| {
            cursor.expect_symbol("(")?;
            if !cursor.is_surely_query(false) {
                return Err(Unparsed::Syntax);
            }
            cursor.query()?;
            cursor.was_call = false;
            cursor.expect_symbol(")")
        })
    }

    fn is(&mut self) -> Step {
        self.expect("is")?;
        self.eat("not");
        if self.eat_words(&["distinct", "from"]) {
            return self.operand();
        }
        if self.eat_any(&["null", "true", "false", "unknown"]) { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    /// What may follow an operand without an operand of its own.
    fn postfix(&mut self) -> Result<bool, Unparsed> {
        let token = self.peek();
        match (token.kind, token.text) {
            (Is::Symbol, "::" | "?::") => {
                self.next();
                self.data_type()?;
            }
            (Is::Symbol, "[") => self.subscript()?,
            (Is::Symbol, ".") => {
                self.next();
                self.field_name()?;
            }
            (Is::Symbol, ":") => {
                self.next();
                self.json_path()?;
            }
            (Is::Word, _) if self.at_word("collate") => {
                self.next();
                self.identifier()?;
            }
            (Is::Word, _) if self.at_word("escape") => {
                self.next();
                self.expect_kind(Is::Text)?;
            }
            _ => return Ok(false),
        }
        self.was_call = false;
        Ok(true)
    }

    /// `FILTER (WHERE …)`, `WITHIN GROUP (…)`, `IGNORE NULLS`, `OVER …`, behind a call only: by these words, what stands before the
    /// parentheses is a function, as in `SELECT DISTINCT (a) OVER (…)`.
    fn behind_call(&mut self) -> Result<bool, Unparsed> {
        if !self.was_call {
            return Ok(false);
        }
        if self.at_word("filter") && self.symbol_at(1, "(") {
            self.next();
            self.next();
            self.expect("where")?;
            self.expression()?;
            self.expect_symbol(")")?;
        } else if self.eat_words(&["within", "group"]) {
            self.window()?;
        } else if self.eat_words(&["ignore", "nulls"]) || self.eat_words(&["respect", "nulls"]) {
        } else if self.eat("over") {
            if self.at_symbol("(") {
                self.window()?;
            } else {
                self.identifier()?;
            }
        } else {
            return Ok(false);
        }
        self.was_call = true;
        Ok(true)
    }

    /// `( [name] [PARTITION BY …] [ORDER BY …] [ROWS …] )`
    #[inline(never)]
    pub(super) fn window(&mut self) -> Step {
        self.deeper(|cursor| {
            cursor.expect_symbol("(")?;
            if !cursor.at_any(&["partition", "distribute", "cluster", "order", "sort", "rows", "range"])
                && !cursor.at_symbol(")")
            {
                cursor.identifier()?;
            }
            if cursor.eat_any(&["partition", "distribute", "cluster"]) {
                cursor.expect("by")?;
                cursor.expressions()?;
            }
            if cursor.eat_any(&["order", "sort"]) {
                cursor.expect("by")?;
                cursor.list(Self::sorted)?;
            }
            if cursor.eat_any(&["rows", "range"]) {
                cursor.frame()?;
            }
            cursor.expect_symbol(")")
        })
    }

    fn frame(&mut self) -> Step {
        if self.eat("between") {
            self.bound()?;
            self.expect("and")?;
        }
        self.bound()
    }

    #[inline(never)]
    fn bound(&mut self) -> Step {
        if self.eat_words(&["current", "row"]) {
            return Ok(());
        }
        // an operand alone: the `AND` behind it belongs to the frame
        if !self.eat("unbounded") {
            self.operand()?;
        }
        if self.eat_any(&["preceding", "following"]) { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    /// An expression of `ORDER BY`.
    #[inline(never)]
    pub(super) fn sorted(&mut self) -> Step {
        self.expression()?;
        self.eat_any(&["asc", "desc"]);
        if self.eat("nulls") && !self.eat_any(&["first", "last"]) {
            return Err(Unparsed::Syntax);
        }
        Ok(())
    }

    fn subscript(&mut self) -> Step {
        self.expect_symbol("[")?;
        if !(self.symbol_at(1, "]") && self.eat_symbol("*")) {
            self.expression()?;
        }
        self.expect_symbol("]")
    }

    /// Behind a dot: any word, because nothing but a field can stand there.
    fn field_name(&mut self) -> Step {
        match self.next() {
            token if matches!(token.kind, Is::Word | Is::Quoted) || token.text == "*" => Ok(()),
            _ => Err(Unparsed::Syntax),
        }
    }

    /// Behind the colon of `column:path`.
    fn json_path(&mut self) -> Step {
        if self.at_symbol("[") { Ok(()) } else { self.any_name() }
    }

    /// An operand with its signs. What was called inside of it does not make it a call.
    #[inline(never)]
    fn operand(&mut self) -> Step {
        self.was_call = self.operand_is_call()?;
        Ok(())
    }

    fn operand_is_call(&mut self) -> Result<bool, Unparsed> {
        while self.eat_any(&["not"]) || ["-", "+", "~", "!"].iter().any(|sign| self.eat_symbol(sign)) {}
        let token = self.peek();
        match (token.kind, token.text) {
            (Is::Number, _) => drop(self.next()),
            (Is::Text, _) => self.strings(),
            (Is::Quoted, _) => return self.chain(),
            (Is::Word, _) => return self.word_operand(),
            (Is::Symbol, "*" | "?") => drop(self.next()),
            // a parameter with a cast
            (Is::Symbol, "?::") => {
                self.next();
                self.data_type()?;
            }
            (Is::Symbol, ":") => {
                self.next();
                self.identifier()?;
            }
            (Is::Symbol, "(") => drop(self.parentheses()?),
            _ => return Err(Unparsed::Syntax),
        }
        Ok(false)
    }

    #[inline(never)]
    fn strings(&mut self) {
        while self.at_kind(Is::Text) {
            self.next();
        }
    }

    fn word_operand(&mut self) -> Result<bool, Unparsed> {
        let is_call = self.symbol_at(1, "(");
        if self.at_word("case") {
            return self.deeper(Self::case).map(|()| false);
        }
        if self.at_word("interval") && !is_call {
            return self.interval().map(|()| false);
        }
        if self.peek_at(1).kind == Is::Text && !words::is_no_operand(self.peek().text) {
            // `DATE '2026-01-01'`
            self.next();
            self.strings();
            return Ok(false);
        }
        let word = self.peek().text;
        // `TRUE (n)` is a constant with the names of its columns
        if is_call && self.at_any(&["null", "true", "false"]) {
            return Err(Unparsed::Syntax);
        }
        let is_known = if is_call { self.at_any(&CALLED_KEYWORDS) } else { self.at_side() };
        let is_refused = if is_call { words::is_no_alias(word) } else { words::is_no_operand(word) };
        if is_refused && !is_known { Err(Unparsed::Syntax) } else { self.chain() }
    }

    /// Whether `left` or `right` is next and can be nothing but a name, as in `(left, right) -> left < right`.
    fn at_side(&self) -> bool {
        self.at_any(&["left", "right"])
            && ([",", ")", "<", ">", "=", "-", "+", ".", "->"].iter().any(|symbol| self.symbol_at(1, symbol))
                || ["then", "and", "or", "else", "end", "is", "from", "as"].iter().any(|word| self.word_at(1, word)))
    }

    /// A column, or a call; says which. `parts` takes no strong word, which `left` and `right` are.
    #[inline(never)]
    fn chain(&mut self) -> Result<bool, Unparsed> {
        if self.at_identifier_clause() {
            return self.identifier_clause().map(|()| false);
        }
        let first = if self.at_any(&["left", "right"]) { self.next().text } else { self.identifier()? };
        let parts = self.parts_from(first)?;
        let is_call = self.at_symbol("(");
        if is_call {
            self.call(&parts)?;
        }
        Ok(is_call)
    }

    /// `IDENTIFIER(…)` as a column may be anything; as a function it would have to be known. With more than one argument it is the call of
    /// a function of that name.
    fn identifier_clause(&mut self) -> Step {
        self.next();
        self.expect_symbol("(")?;
        self.expression()?;
        self.expect_symbol(")").map_err(|_| Unparsed::Dynamic)?;
        if self.at_symbol("(") || self.at_symbol(".") { Err(Unparsed::Dynamic) } else { Ok(()) }
    }

    fn interval(&mut self) -> Step {
        self.next();
        let sign = usize::from(self.at_symbol("-") || self.at_symbol("+"));
        if !matches!(self.peek_at(sign).kind, Is::Number | Is::Text) {
            return Ok(());
        }
        loop {
            let _ = self.eat_symbol("-") || self.eat_symbol("+");
            self.next();
            if self.eat_unit() && self.eat("to") && !self.eat_unit() {
                return Err(Unparsed::Syntax);
            }
            if !matches!(self.peek().kind, Is::Number | Is::Text) {
                return Ok(());
            }
        }
    }

    fn case(&mut self) -> Step {
        self.expect("case")?;
        if !self.at_word("when") {
            self.expression()?;
        }
        while self.eat("when") {
            self.expression()?;
            self.expect("then")?;
            self.expression()?;
        }
        if self.eat("else") {
            self.expression()?;
        }
        self.expect("end")
    }

    /// `( query )` or `( a, b )`.
    #[inline(never)]
    pub(super) fn parentheses(&mut self) -> Result<Inside, Unparsed> {
        self.deeper(|cursor| {
            cursor.expect_symbol("(")?;
            let inside = if cursor.at_symbol("(") {
                cursor.nested()?
            } else if cursor.at_query(0) {
                if !cursor.is_surely_query(true) {
                    return Err(Unparsed::Syntax);
                }
                cursor.query()?;
                Inside::Query
            } else {
                cursor.list(Self::named)?;
                Inside::Other
            };
            cursor.expect_symbol(")")?;
            cursor.was_call = false;
            Ok(inside)
        })
    }

    /// Behind the first of two opening parentheses: what is in the inner ones decides what the outer ones are.
    fn nested(&mut self) -> Result<Inside, Unparsed> {
        let inside = self.parentheses()?;
        if inside == Inside::Query && self.at_query_tail() {
            self.query_tail()?;
        }
        if inside == Inside::Query && self.at_symbol(")") {
            return Ok(Inside::Query);
        }
        self.behind_operand()?;
        self.alias_with_as()?;
        while self.eat_symbol(",") {
            self.named()?;
        }
        Ok(Inside::Other)
    }

    /// An expression that may get a name.
    #[inline(never)]
    fn named(&mut self) -> Step {
        self.expression()?;
        if self.at_star_except() {
            self.next();
            self.columns()?;
        }
        self.alias_with_as()
    }

    #[inline(never)]
    fn alias_with_as(&mut self) -> Step {
        if self.eat("as") { self.any_name() } else { Ok(()) }
    }
}
