//! Statements that change rows or files (Databricks SQL reference, DML statements).

use super::cursor::{Cursor, Step};
use super::{Kind, Unparsed};

impl Cursor<'_> {
    #[inline(never)]
    pub(super) fn dml(&mut self, word: &str) -> Step {
        match word {
            "insert" => self.insert(),
            "update" => self.update(),
            "delete" => self.delete(),
            "merge" => self.merge(),
            "copy" => self.copy(),
            "load" => self.load(),
            "restore" => self.restore(),
            "put" => self.put(),
            "remove" => self.remove(),
            "apply" => {
                self.expect_words(&["apply", "changes"])?;
                self.changes()
            }
            _ => Err(Unparsed::Statement),
        }
    }

    /// `INTO t FROM STREAM(u) KEYS (a) APPLY AS DELETE WHEN b SEQUENCE BY c COLUMNS * EXCEPT (d) STORED AS SCD TYPE 2`, behind `APPLY CHANGES`
    /// or `AUTO CDC`.
    pub(super) fn changes(&mut self) -> Step {
        self.eat("once");
        self.expect("into")?;
        self.writes(Kind::Table)?;
        self.expect("from")?;
        self.source_of_changes()?;
        while !self.at_end_of_statement() {
            if self.eat_any(&["where", "when"]) || self.eat_words(&["sequence", "by"]) {
                self.expression()?;
            } else if self.at_star_except() || self.at_any(&["keys", "columns"]) && self.symbol_at(1, "(") {
                self.next();
                self.columns()?;
            } else {
                self.plain_token()?;
            }
        }
        Ok(())
    }

    fn insert(&mut self) -> Step {
        self.insert_target()?;
        if self.eat_words(&["default", "values"]) {
            return Ok(());
        }
        self.query()?;
        // of `REPLACE ON`
        self.alias()
    }

    /// `INSERT INTO t (a, b)` and all that may stand before the query.
    #[inline(never)]
    pub(super) fn insert_target(&mut self) -> Step {
        self.expect("insert")?;
        self.eat_words(&["with", "schema", "evolution"]);
        if !self.eat("into") {
            self.expect("overwrite")?;
            if self.word_at(0, "directory") || self.at_words(&["local", "directory"]) {
                return self.directory();
            }
        }
        let has_table = self.eat("table");
        self.writes(Kind::Table)?;
        self.partition()?;
        self.eat_if_exists();
        if self.eat("as") {
            self.any_name()?;
        }
        self.eat_words(&["by", "name"]);
        if self.at_symbol("(") && !self.at_query(1) && !self.symbol_at(1, "(") {
            self.columns()?;
            self.eat_words(&["by", "name"]);
            // those are of an alias then, and `TABLE` is the table
            if has_table && self.at_word("replace") && !self.word_at(1, "where") {
                return Err(Unparsed::Statement);
            }
        }
        self.replace_clause()
    }

    /// `REPLACE WHERE …`, `REPLACE ON …`, `REPLACE USING (a)`
    fn replace_clause(&mut self) -> Step {
        if !self.eat("replace") {
            return Ok(());
        }
        if self.eat_any(&["where", "on"]) {
            return self.expression();
        }
        self.expect("using")?;
        self.columns()
    }

    /// `DIRECTORY 'path' USING format [OPTIONS (…)]`
    fn directory(&mut self) -> Step {
        self.eat("local");
        self.expect("directory")?;
        self.writes_path()?;
        self.expect("using")?;
        self.identifier()?;
        if self.eat("options") { self.options() } else { Ok(()) }
    }

    fn update(&mut self) -> Step {
        self.expect("update")?;
        self.writes(Kind::Table)?;
        self.alias()?;
        self.expect("set")?;
        self.expressions()?;
        self.condition()
    }

    fn delete(&mut self) -> Step {
        self.expect_words(&["delete", "from"])?;
        self.writes(Kind::Table)?;
        self.alias()?;
        self.condition()
    }

    #[inline(never)]
    fn condition(&mut self) -> Step {
        if self.eat("where") { self.expression() } else { Ok(()) }
    }

    fn merge(&mut self) -> Step {
        self.expect("merge")?;
        self.eat_words(&["with", "schema", "evolution"]);
        self.expect("into")?;
        self.writes(Kind::Table)?;
        self.alias()?;
        self.expect("using")?;
        self.merged()?;
        self.expect("on")?;
        self.expression()?;
        while self.eat("when") {
            self.merge_clause()?;
        }
        Ok(())
    }

    /// The source: a query in parentheses or a table, so that `STREAM t` is a table of that name.
    fn merged(&mut self) -> Step {
        if self.at_symbol("(") {
            return self.relation_primary();
        }
        if self.at_word("stream") || self.at_word("values") {
            return Err(Unparsed::Syntax);
        }
        self.table_name()?;
        self.alias()
    }

    fn merge_clause(&mut self) -> Step {
        self.eat("not");
        self.expect("matched")?;
        if self.eat("by") && !self.eat_any(&["target", "source"]) {
            return Err(Unparsed::Syntax);
        }
        if self.eat("and") {
            self.expression()?;
        }
        self.expect("then")?;
        if self.eat("delete") {
            return Ok(());
        }
        if self.eat_words(&["update", "set"]) {
            self.expressions()?;
            return self.maybe_except();
        }
        self.expect("insert")?;
        if self.eat_symbol("*") {
            return self.maybe_except();
        }
        if self.at_symbol("(") {
            self.columns()?;
        }
        self.expect("values")?;
        self.parentheses().map(|_| ())
    }

    /// `EXCEPT (a, b)` behind `*`, or nothing.
    fn maybe_except(&mut self) -> Step {
        if self.eat("except") { self.columns() } else { Ok(()) }
    }

    /// `COPY INTO t FROM 'path' …` or `FROM (SELECT … FROM 'path') …`
    fn copy(&mut self) -> Step {
        self.expect_words(&["copy", "into"])?;
        self.writes(Kind::Table)?;
        if self.at_symbol("(") {
            self.columns()?;
        }
        self.eat_words(&["by", "position"]);
        self.expect("from")?;
        if self.eat_symbol("(") {
            self.expect("select")?;
            self.list(Self::copied)?;
            self.expect("from")?;
            self.source()?;
            self.alias()?;
            self.expect_symbol(")")?;
        } else {
            self.source()?;
        }
        self.plain_rest()
    }

    fn copied(&mut self) -> Step {
        self.expression()?;
        if self.eat("as") || !self.at_symbol(",") && !self.at_word("from") { self.any_name() } else { Ok(()) }
    }

    /// `'path' [WITH (CREDENTIAL x)]`
    #[inline(never)]
    fn source(&mut self) -> Step {
        self.reads_path()?;
        if self.eat("with") { self.options() } else { Ok(()) }
    }

    fn load(&mut self) -> Step {
        self.expect_words(&["load", "data"])?;
        self.eat("local");
        self.expect("inpath")?;
        self.reads_path()?;
        self.eat("overwrite");
        self.expect_words(&["into", "table"])?;
        self.writes(Kind::Table)?;
        self.partition()
    }

    /// `RESTORE [TABLE] t [TO] VERSION AS OF 1`
    fn restore(&mut self) -> Step {
        self.expect("restore")?;
        self.eat("table");
        self.writes(Kind::Table)?;
        self.eat("to");
        if self.time_travel()? { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    /// `PUT 'file' INTO '/Volumes/…' [OVERWRITE]`
    fn put(&mut self) -> Step {
        self.expect("put")?;
        self.plain_text()?;
        self.expect("into")?;
        self.writes_path()?;
        self.eat("overwrite");
        Ok(())
    }

    fn remove(&mut self) -> Step {
        self.expect("remove")?;
        self.writes_path()?;
        Ok(())
    }
}
