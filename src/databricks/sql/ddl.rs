//! Statements that create, change or remove objects (Databricks SQL reference, DDL statements).

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::{Class, Kind, Unparsed};

impl Cursor<'_> {
    pub(super) fn ddl(&mut self, word: &str) -> Step {
        match word {
            "create" | "replace" => self.create(),
            "alter" => self.alter(),
            "drop" | "undrop" => self.drop_object(),
            "truncate" => self.maintain(&["truncate", "table"]),
            "comment" => self.comment(),
            "optimize" => self.optimize(),
            "convert" => self.convert(),
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
        if self.at_kind(Is::Text) {
            self.writes_path()?
        } else {
            self.writes(Kind::Table)?
        }
        if self.at_word("privileges") {
            return Err(Unparsed::Statement);
        }
        self.plain_rest()
    }

    /// `CONVERT TO DELTA parquet.`/x` [NO STATISTICS] [PARTITIONED BY (a INT)]`
    fn convert(&mut self) -> Step {
        self.expect_words(&["convert", "to", "delta"])?;
        self.writes(Kind::Table)?;
        self.plain_rest()
    }

    /// `OPTIMIZE t [FULL] [WHERE …] [ZORDER BY (a)]`
    fn optimize(&mut self) -> Step {
        self.expect("optimize")?;
        self.writes(Kind::Table)?;
        self.eat("full");
        if self.eat("where") {
            self.expression()?;
        }
        self.plain_rest()
    }

    /// `DROP TABLE [IF EXISTS] t`, `UNDROP TABLE t`
    fn drop_object(&mut self) -> Step {
        self.next();
        if self.at_word("policy") {
            return self.policy();
        }
        if self.at_metastore_object() {
            return self.metastore_object();
        }
        if self.eat_any(&["temporary", "temp"]) {
            return self.drop_temporary();
        }
        let _ = self.eat_any(&["materialized", "streaming"]);
        let kind = if self.eat_any(&["table", "view"]) { Kind::Table } else { self.container_or_function()? };
        self.eat_if_exists();
        self.writes(kind)?;
        self.eat_any(&["cascade", "restrict", "purge"]);
        Ok(())
    }

    /// `VARIABLE x`, which belongs to the session, or `FUNCTION f`.
    fn drop_temporary(&mut self) -> Step {
        if self.eat("function") {
            self.eat_if_exists();
            return self.writes(Kind::Function);
        }
        if !self.eat_any(&["variable", "var"]) {
            return Err(Unparsed::Statement);
        }
        self.reclass(Class::Other);
        self.eat_if_exists();
        self.parts().map(|_| ())
    }

    #[inline(never)]
    pub(super) fn container_or_function(&mut self) -> Result<Kind, Unparsed> {
        if self.eat("function") { Ok(Kind::Function) } else { self.container() }
    }

    /// `COMMENT ON TABLE t IS '…'`
    fn comment(&mut self) -> Step {
        self.expect_words(&["comment", "on"])?;
        if self.at_metastore_object() {
            self.metastore_object()?;
        } else if self.eat("column") {
            let mut column = self.parts()?;
            column.pop();
            self.write(Kind::Table, &column)?;
        } else {
            let kind = if self.eat_any(&["table", "view"]) { Kind::Table } else { self.container()? };
            self.writes(kind)?;
        }
        self.expect("is")?;
        if self.eat("null") { Ok(()) } else { self.expect_kind(Is::Text).map(|_| ()) }
    }
}
