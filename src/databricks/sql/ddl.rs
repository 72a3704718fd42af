//! Statements that create, change or remove objects (Databricks SQL reference, DDL statements).

use super::cursor::{Cursor, Step};
use super::name::Name;
use super::{Class, Kind, Unparsed};

/// What may stand between the name of a new table or view and its query, with something in parentheses behind it.
const WITH_LIST: [&str; 3] = ["tblproperties", "by", "with"];

/// The same, with a word, a string or a number behind it, or nothing.
const PLAIN: [&str; 34] = [
    "comment",
    "partitioned",
    "cluster",
    "clustered",
    "sorted",
    "auto",
    "none",
    "into",
    "buckets",
    "row",
    "format",
    "delimited",
    "fields",
    "terminated",
    "lines",
    "stored",
    "default",
    "collation",
    "schema",
    "binding",
    "compensation",
    "evolution",
    "type",
    "schedule",
    "every",
    "cron",
    "hour",
    "hours",
    "day",
    "days",
    "minutes",
    "week",
    "weeks",
    "at",
];

impl Cursor<'_> {
    pub(super) fn ddl(&mut self, word: &str) -> Step {
        match word {
            "create" | "replace" => self.create(),
            "alter" => self.alter(),
            "drop" | "undrop" => self.drop_object(),
            "truncate" => self.maintain(&["truncate", "table"]),
            "comment" => self.comment(),
            "optimize" => self.optimize(),
            "vacuum" => self.maintain(&["vacuum"]),
            "analyze" => self.maintain(&["analyze", "table"]),
            "repair" => self.maintain(&["repair", "table"]),
            "msck" => self.maintain(&["msck", "repair", "table"]),
            "reorg" => self.maintain(&["reorg", "table"]),
            "fsck" => self.maintain(&["fsck", "repair", "table"]),
            _ => Err(Unparsed::Statement),
        }
    }

    /// Statements of the form: words, a table, options. A `PRIVILEGES` behind them would repair those.
    #[inline(never)]
    fn maintain(&mut self, words: &[&str]) -> Step {
        self.expect_words(words)?;
        self.writes(Kind::Table)?;
        if self.at_word("privileges") {
            return Err(Unparsed::Statement);
        }
        self.plain_rest()
    }

    /// `OPTIMIZE t [FULL] [WHERE …] [ZORDER BY (a)]`
    fn optimize(&mut self) -> Step {
        self.expect("optimize")?;
        self.writes(Kind::Table)?;
        self.eat("full");
        self.plain_rest()
    }

    fn create(&mut self) -> Step {
        let replace = self.eat("replace");
        if !replace {
            self.expect("create")?;
            self.eat_words(&["or", "replace"]);
            self.eat_words(&["or", "refresh"]);
        }
        self.eat("global");
        let temporary = self.eat_any(&["temporary", "temp"]);
        let _ = self.eat_any(&["external", "materialized", "streaming"]);
        if self.eat("table") {
            return self.create_table(temporary);
        }
        if self.eat("view") {
            return self.create_view(temporary);
        }
        let kind = self.container()?;
        self.eat_if_exists();
        self.writes(kind)?;
        self.container_clauses()
    }

    /// The kinds of objects without rows that are known here.
    #[inline(never)]
    fn container(&mut self) -> Result<Kind, Unparsed> {
        if self.eat_any(&["schema", "database"]) {
            Ok(Kind::Schema)
        } else if self.eat("catalog") {
            Ok(Kind::Catalog)
        } else if self.eat("volume") {
            Ok(Kind::Other)
        } else {
            Err(Unparsed::Statement)
        }
    }

    fn container_clauses(&mut self) -> Step {
        while !self.at_end_of_statement() {
            if self.eat("managed") {
                self.expect("location")?;
                self.location()?;
            } else if self.eat("location") {
                self.location()?;
            } else if self.eat("comment") {
                self.plain_text()?;
            } else {
                return Err(Unparsed::Statement);
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn location(&mut self) -> Step {
        self.writes_path()?;
        Ok(())
    }

    fn create_table(&mut self, temporary: bool) -> Step {
        self.eat_if_exists();
        let name = self.reference()?;
        self.created(temporary, &name)?;
        let _ = self.eat_any(&["shallow", "deep"]);
        if self.eat_any(&["clone", "like"]) {
            let source = self.reference()?;
            self.time_travel()?;
            self.read(Kind::Table, &source)?;
        } else if self.at_symbol("(") && !self.at_query(1) && !self.symbol_at(1, "(") {
            self.column_definitions()?;
        }
        self.clauses()?;
        self.query_of_new()
    }

    /// What is temporary belongs to the session, and what it holds was read from elsewhere.
    #[inline(never)]
    fn created(&mut self, temporary: bool, name: &Name<'_>) -> Step {
        if temporary { Ok(()) } else { self.write(Kind::Table, name) }
    }

    fn create_view(&mut self, temporary: bool) -> Step {
        self.eat_if_exists();
        let name = self.reference()?;
        self.created(temporary, &name)?;
        if self.at_symbol("(") {
            self.column_definitions()?;
        }
        self.clauses()?;
        if self.at_end_of_statement() {
            return Err(Unparsed::Syntax);
        }
        self.query_of_new()
    }

    #[inline(never)]
    fn query_of_new(&mut self) -> Step {
        if self.at_end_of_statement() {
            return Ok(());
        }
        if !self.eat("as") && !self.at_query(0) && !self.at_symbol("(") {
            return Err(Unparsed::Syntax);
        }
        self.query()
    }

    /// Columns and constraints. Filters, masks and references to other tables are not followed.
    #[inline(never)]
    fn column_definitions(&mut self) -> Step {
        let mut ahead = 0_usize;
        let mut depth = 0_usize;
        loop {
            depth = match self.peek_at(ahead).text {
                "(" => depth.saturating_add(1),
                ")" => depth.saturating_sub(1),
                "" | ";" => return Err(Unparsed::Unbalanced),
                _ => depth,
            };
            if ["references", "mask"].iter().any(|word| self.word_at(ahead, word)) {
                return Err(Unparsed::Statement);
            }
            if depth == 0 {
                return self.options();
            }
            ahead = ahead.saturating_add(1);
        }
    }

    /// `USING delta PARTITIONED BY (a) LOCATION '…' TBLPROPERTIES (…)`, in any order.
    #[inline(never)]
    fn clauses(&mut self) -> Step {
        loop {
            if self.eat("using") {
                self.identifier()?;
                // a source of its own kind, that the options describe
                if self.at_word("options") {
                    return Err(Unparsed::Statement);
                }
            } else if self.eat("location") {
                self.location()?;
            } else if self.at_any(&WITH_LIST) && self.symbol_at(1, "(") {
                self.next();
                self.options()?;
            } else if self.at_any(&["by", "with"]) || self.at_any(&PLAIN) {
                self.next();
                self.clause_value()?;
            } else {
                return Ok(());
            }
        }
    }

    fn clause_value(&mut self) -> Step {
        use super::lexer::Kind::{Number, Text};
        if matches!(self.peek().kind, Number | Text) {
            self.next();
        }
        Ok(())
    }

    /// `DROP TABLE [IF EXISTS] t`, `UNDROP TABLE t`
    fn drop_object(&mut self) -> Step {
        self.next();
        let _ = self.eat_any(&["materialized", "streaming"]);
        let kind = if self.eat_any(&["table", "view"]) { Kind::Table } else { self.dropped_kind()? };
        self.eat_if_exists();
        self.writes(kind)?;
        self.eat_any(&["cascade", "restrict", "purge"]);
        Ok(())
    }

    fn dropped_kind(&mut self) -> Result<Kind, Unparsed> {
        if self.eat("function") { Ok(Kind::Function) } else { self.container() }
    }

    fn alter(&mut self) -> Step {
        self.expect("alter")?;
        let _ = self.eat_any(&["materialized", "streaming"]);
        let is_view = self.at_word("view");
        let kind = if self.eat_any(&["table", "view"]) { Kind::Table } else { self.container()? };
        self.writes(kind)?;
        self.partition()?;
        if is_view && (self.at_query(0) || self.at_word("as")) {
            return self.query_of_new();
        }
        if self.eat_words(&["rename", "to"]) {
            return self.writes(kind);
        }
        if self.eat_words(&["set", "location"]) {
            return self.location();
        }
        self.alter_rest()
    }

    /// The rest has no tables; but if it says who owns or sees the object, it is a grant.
    fn alter_rest(&mut self) -> Step {
        let mut ahead = 0_usize;
        while !matches!(self.peek_at(ahead).text, "" | ";") {
            if ["owner", "filter", "mask", "tags", "tag"].iter().any(|word| self.word_at(ahead, word)) {
                self.reclass(Class::Grant);
            }
            if ["references", "location", "managed"].iter().any(|word| self.word_at(ahead, word)) {
                return Err(Unparsed::Statement);
            }
            ahead = ahead.saturating_add(1);
        }
        self.plain_rest()
    }

    /// `COMMENT ON TABLE t IS '…'`
    fn comment(&mut self) -> Step {
        self.expect_words(&["comment", "on"])?;
        if self.eat("column") {
            let mut column = self.parts()?;
            column.pop();
            self.write(Kind::Table, &column)?;
        } else {
            let kind = if self.eat_any(&["table", "view"]) { Kind::Table } else { self.container()? };
            self.writes(kind)?;
        }
        self.expect("is")?;
        if self.eat("null") { Ok(()) } else { self.plain_text().map(|_| ()) }
    }
}
