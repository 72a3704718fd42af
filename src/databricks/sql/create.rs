//! `CREATE` and `REPLACE` (Databricks SQL reference, DDL statements).

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::name::{self, Name};
use super::{Class, Kind, Unparsed};

/// What may stand between the name of a new table or view and its query, with something in parentheses behind it.
const WITH_LIST: [&str; 5] = ["tblproperties", "by", "with", "on", "serdeproperties"];

/// The same, with a word, a string or a number behind it, or nothing.
const PLAIN: [&str; 44] = [
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
    "escaped",
    "collection",
    "items",
    "map",
    "keys",
    "lines",
    "serde",
    "schema",
    "binding",
    "compensation",
    "evolution",
    "type",
    "schedule",
    "refresh",
    "every",
    "cron",
    "minute",
    "minutes",
    "hour",
    "hours",
    "day",
    "days",
    "week",
    "weeks",
    "at",
    "time",
    "zone",
    "trigger",
    "most",
    "interval",
];

impl Cursor<'_> {
    pub(super) fn create(&mut self) -> Step {
        let replace = self.eat("replace");
        if !replace {
            self.expect("create")?;
            self.eat_words(&["or", "replace"]);
            self.eat_words(&["or", "refresh"]);
        }
        if self.at_word("policy") {
            return self.create_policy();
        }
        if self.at_metastore_object() {
            return self.create_securable();
        }
        self.eat_any(&["global", "private"]);
        let temporary = self.eat_any(&["temporary", "temp"]);
        let _ = self.eat_any(&["external", "materialized", "streaming"]);
        // what pipelines had before
        self.eat("live");
        if self.eat("table") {
            return self.create_table(temporary);
        }
        if self.eat("view") {
            return self.create_view(temporary);
        }
        if self.eat("function") {
            return self.create_function();
        }
        if self.eat("flow") {
            return self.create_flow();
        }
        let kind = self.container()?;
        self.eat_if_exists();
        self.writes(kind)?;
        self.container_clauses()
    }

    /// The kinds of objects without rows that are known here.
    #[inline(never)]
    pub(super) fn container(&mut self) -> Result<Kind, Unparsed> {
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
                self.writes_path()?;
            } else if self.eat("location") {
                self.writes_path()?;
            } else if self.eat("comment") {
                self.expect_kind(Is::Text)?;
            } else if self.eat_words(&["default", "collation"]) {
                self.any_name()?;
            } else if self.eat_words(&["using", "share"]) {
                self.parts()?;
            } else if self.eat_words(&["with", "dbproperties"]) || self.eat_words(&["with", "properties"]) {
                self.options()?;
            } else {
                return Err(Unparsed::Statement);
            }
        }
        Ok(())
    }

    /// `POLICY p ON SCHEMA s COLUMN MASK f TO … FOR TABLES MATCH COLUMNS has_tag('pii') AS c ON COLUMN c`: who sees what in all tables of a
    /// schema.
    fn create_policy(&mut self) -> Step {
        self.policy()?;
        while !self.at_end_of_statement() {
            if self.eat_words(&["row", "filter"]) || self.eat_words(&["column", "mask"]) {
                self.attached_function()?;
            } else if self.eat("when") {
                self.expression()?;
            } else if self.eat_words(&["match", "columns"]) {
                self.list(Self::pivot_item)?;
            } else {
                self.plain_token()?;
            }
        }
        Ok(())
    }

    /// `FLOW f AS AUTO CDC INTO t FROM …`
    fn create_flow(&mut self) -> Step {
        self.any_name()?;
        if self.eat("comment") {
            self.expect_kind(Is::Text)?;
        }
        self.expect_words(&["as", "auto", "cdc"])?;
        self.changes()
    }

    /// `POLICY p ON TABLE t`
    #[inline(never)]
    pub(super) fn policy(&mut self) -> Step {
        self.reclass(Class::Grant);
        self.expect("policy")?;
        self.eat_if_exists();
        self.any_name()?;
        self.expect("on")?;
        let kind = if self.eat("table") { Kind::Table } else { self.container()? };
        self.writes(kind)
    }

    /// `SHARE s COMMENT '…'`, `RECIPIENT r USING ID '…'`, `EXTERNAL LOCATION l URL '…' WITH (CREDENTIAL c)`
    fn create_securable(&mut self) -> Step {
        self.metastore_object()?;
        self.plain_rest()
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
    pub(super) fn query_of_new(&mut self) -> Step {
        if self.at_end_of_statement() {
            return Ok(());
        }
        if !self.eat("as") && !self.at_query(0) && !self.at_symbol("(") {
            return Err(Unparsed::Syntax);
        }
        self.query()
    }

    /// `USING delta PARTITIONED BY (a) LOCATION '…' TBLPROPERTIES (…)`, in any order.
    #[inline(never)]
    fn clauses(&mut self) -> Step {
        loop {
            if self.eat("using") {
                self.provider()?;
            } else if self.eat("location") {
                self.writes_path()?;
            } else if self.at_words(&["with", "row", "filter"]) {
                self.next();
                self.row_filter()?;
            } else if self.eat("stored") {
                self.file_format()?;
            } else if self.eat_words(&["null", "defined", "as"]) {
                self.expect_kind(Is::Text)?;
            } else if self.eat_words(&["default", "collation"]) {
                self.any_name()?;
            } else if self.eat_words(&["on", "update"]) {
            } else if self.at_any(&WITH_LIST) && self.symbol_at(1, "(") {
                self.next();
                self.options()?;
            } else if self.at_any(&["by", "with"]) || self.at_any(&PLAIN) {
                self.next();
                self.clause_value();
            } else {
                return Ok(());
            }
        }
    }

    /// Behind `USING`. Options say where a source of its own kind reads, so they are those of files only. Their values are expressions,
    /// where no name with parentheses behind it is a transform.
    fn provider(&mut self) -> Step {
        let provider = self.parts()?;
        if !self.eat("options") {
            return Ok(());
        }
        let is_of_files = provider.single().is_some_and(name::is_format);
        let mut ahead = 1_usize;
        while !matches!(self.peek_at(ahead).text, ")" | "") {
            let option = self.peek_at(ahead).text.trim_matches(['\'', '"']);
            let is_call = option == "(";
            let names_path = ["paths", "location"].iter().any(|known| option.eq_ignore_ascii_case(known));
            if !is_of_files || is_call || names_path {
                return Err(Unparsed::Statement);
            }
            ahead = ahead.saturating_add(1);
            if option.eq_ignore_ascii_case("path") {
                self.path_option(ahead)?;
            }
        }
        self.options()
    }

    /// The files that the option `path` names, this far behind the next token.
    fn path_option(&mut self, ahead: usize) -> Step {
        let ahead = ahead.saturating_add(usize::from(self.symbol_at(ahead, "=")));
        let behind = ahead.saturating_add(1);
        let path = name::plain_text(self.peek_at(ahead).text).ok_or(Unparsed::Statement)?;
        // adjacent strings are one string
        if !self.symbol_at(behind, ",") && !self.symbol_at(behind, ")") {
            return Err(Unparsed::Statement);
        }
        self.write_path(path);
        Ok(())
    }

    /// `STORED AS PARQUET`, `STORED AS INPUTFORMAT '…' OUTPUTFORMAT '…'`
    fn file_format(&mut self) -> Step {
        self.expect("as")?;
        if !self.eat("inputformat") {
            return self.any_name();
        }
        self.expect_kind(Is::Text)?;
        self.expect("outputformat")?;
        self.expect_kind(Is::Text).map(|_| ())
    }

    /// `ROW FILTER f ON (a, b)`: the function runs whenever the table is read.
    #[inline(never)]
    pub(super) fn row_filter(&mut self) -> Step {
        self.expect_words(&["row", "filter"])?;
        self.attached_function()?;
        self.expect("on")?;
        self.options()
    }

    /// The function of a row filter or a mask.
    #[inline(never)]
    pub(super) fn attached_function(&mut self) -> Step {
        let function = self.parts()?;
        self.called(&function, false)
    }

    fn clause_value(&mut self) {
        if matches!(self.peek().kind, Is::Number | Is::Text) {
            self.next();
        }
    }

    /// `FUNCTION f (x INT DEFAULT 1) RETURNS INT RETURN x + 1`, or with a body in Python, which reaches no table.
    fn create_function(&mut self) -> Step {
        self.eat_if_exists();
        self.writes(Kind::Function)?;
        self.expect_symbol("(")?;
        if !self.at_symbol(")") {
            self.list(Self::column_definition)?;
        }
        self.expect_symbol(")")?;
        if self.eat("returns") {
            if !self.eat("table") {
                self.data_type()?;
            } else if self.at_symbol("(") {
                self.column_definitions()?;
            }
        }
        self.characteristics()?;
        if self.eat("return") {
            return if self.at_query(0) { self.query() } else { self.expression() };
        }
        self.expect("as")?;
        let body = self.expect_kind(Is::Text)?.text;
        if body.starts_with('$') { Ok(()) } else { Err(Unparsed::Statement) }
    }

    /// `LANGUAGE SQL DETERMINISTIC COMMENT '…' READS SQL DATA` and the like.
    fn characteristics(&mut self) -> Step {
        while !self.at_any(&["return", "as"]) {
            if self.eat("language") {
                self.expect_kind(Is::Word)?;
            } else if self.eat_any(&["comment", "handler"]) {
                self.expect_kind(Is::Text)?;
            } else if self.eat("environment") {
                self.options()?;
            } else if self.eat_words(&["default", "collation"]) {
                self.any_name()?;
            } else if !self.eat_any(&[
                "not",
                "deterministic",
                "contains",
                "reads",
                "modifies",
                "no",
                "sql",
                "data",
                "security",
                "definer",
                "invoker",
                "parameter",
                "style",
                "pandas",
                "called",
                "on",
                "null",
                "input",
            ]) {
                return Err(Unparsed::Syntax);
            }
        }
        Ok(())
    }
}
