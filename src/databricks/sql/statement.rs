//! Texts of one or more statements, told apart by their first words.

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::{Class, Unparsed};

/// Words that never stand in a list of options, and so would mean that it is none.
const NOT_IN_OPTIONS: [&str; 9] =
    ["select", "from", "join", "table", "values", "identifier", "insert", "reduce", "transform"];

/// What stands before a parenthesis in a list of options or behind one and is no call: transforms, types and clauses.
const NO_CALLS: [&str; 39] = [
    "bucket",
    "truncate",
    "years",
    "months",
    "days",
    "hours",
    "year",
    "month",
    "day",
    "hour",
    "decimal",
    "numeric",
    "dec",
    "varchar",
    "char",
    "character",
    "string",
    "by",
    "with",
    "on",
    "columns",
    "column",
    "key",
    "partition",
    "partitions",
    "tblproperties",
    "properties",
    "serdeproperties",
    "options",
    "tags",
    "unset",
    "set",
    "in",
    "replace",
    "exists",
    "dbproperties",
    "apply",
    "format_options",
    "copy_options",
];

impl Cursor<'_> {
    pub(super) fn statements(&mut self) -> Step {
        let mut any = false;
        loop {
            while self.eat_symbol(";") {}
            if self.at_kind(Is::End) {
                return if any { Ok(()) } else { Err(Unparsed::Empty) };
            }
            any = true;
            self.statement()?;
            if !self.at_end_of_statement() {
                return Err(Unparsed::Syntax);
            }
        }
    }

    #[inline(never)]
    pub(super) fn statement(&mut self) -> Step {
        let outside = self.ctes_in_sight();
        let word = self.peek().text.to_ascii_lowercase();
        if self.at_symbol("(") || self.at_query(0) {
            self.class(Class::Select);
            self.query_or_dml()?;
        } else if self.at_kind(Is::Word) {
            self.command(&word)?;
        } else {
            return Err(Unparsed::Syntax);
        }
        self.out_of_sight(outside);
        Ok(())
    }

    /// A query, or `WITH … INSERT` and the like.
    fn query_or_dml(&mut self) -> Step {
        if !self.at_word("with") {
            return self.query();
        }
        self.with()?;
        let word = self.peek().text.to_ascii_lowercase();
        if !self.at_any(&["insert", "update", "delete", "merge"]) {
            return self.query_body();
        }
        self.reclass(Class::Dml);
        self.dml(&word)
    }

    fn command(&mut self, word: &str) -> Step {
        let class = match word {
            "insert" | "update" | "delete" | "merge" | "copy" | "load" | "restore" | "put" | "remove" | "apply" => {
                Class::Dml
            }
            "create" | "replace" | "alter" | "drop" | "undrop" | "truncate" | "comment" | "optimize" | "vacuum"
            | "analyze" | "repair" | "msck" | "reorg" | "fsck" | "convert" => Class::Ddl,
            "grant" | "revoke" | "deny" => Class::Grant,
            _ => Class::Other,
        };
        self.class(class);
        match class {
            Class::Dml => self.dml(word),
            Class::Ddl => self.ddl(word),
            Class::Grant => self.grant(),
            Class::Other | Class::Select => self.session(word),
        }
    }

    /// A list of options in parentheses, or nothing. Nothing in it is a table.
    #[inline(never)]
    pub(super) fn options(&mut self) -> Step {
        self.expect_symbol("(")?;
        let mut depth = 1_usize;
        while depth > 0 {
            if self.at_end_of_statement() || self.at_any(&NOT_IN_OPTIONS) || self.may_be_call() {
                return Err(Unparsed::Syntax);
            }
            match self.next().text {
                "(" => depth = depth.saturating_add(1),
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }

    /// Values of options are expressions, in which a function may be called.
    fn may_be_call(&self) -> bool {
        let is_name = self.at_kind(Is::Quoted) || self.at_kind(Is::Word);
        is_name && self.symbol_at(1, "(") && !self.at_any(&NO_CALLS)
    }

    /// The rest of a statement, if nothing in it can be a table.
    #[inline(never)]
    pub(super) fn plain_rest(&mut self) -> Step {
        while !self.at_end_of_statement() {
            self.plain_token()?;
        }
        Ok(())
    }

    /// One token of such a rest, or a list of options.
    #[inline(never)]
    pub(super) fn plain_token(&mut self) -> Step {
        if self.at_symbol("(") {
            return self.options();
        }
        if self.at_any(&NOT_IN_OPTIONS) || self.at_symbol(")") || self.may_be_call() {
            return Err(Unparsed::Syntax);
        }
        self.next();
        Ok(())
    }

    /// `PARTITION (a = 1)`
    #[inline(never)]
    pub(super) fn partition(&mut self) -> Step {
        if self.eat("partition") { self.options() } else { Ok(()) }
    }

    #[inline(never)]
    pub(super) fn eat_if_exists(&mut self) {
        let _ = self.eat_words(&["if", "exists"]) || self.eat_words(&["if", "not", "exists"]);
    }
}
