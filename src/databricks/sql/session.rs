//! Statements that read metadata or change the session (Databricks SQL reference, Auxiliary statements).

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::{Class, Home, Kind, Unparsed, name};

impl Cursor<'_> {
    pub(super) fn session(&mut self, word: &str) -> Step {
        self.next();
        match word {
            "explain" => self.explain(),
            "describe" | "desc" => self.describe(),
            "show" => self.show(),
            "use" => self.use_home(),
            "set" => self.set(),
            "unset" => self.tag(),
            "reset" => self.configuration(),
            "cache" => self.cache(),
            "uncache" => self.uncache(),
            "clear" => self.expect("cache"),
            "refresh" => self.refresh(),
            "list" | "get" => self.files(),
            "declare" => self.declare(),
            "call" | "begin" | "execute" | "if" | "while" | "for" | "loop" => Err(Unparsed::Dynamic),
            _ => Err(Unparsed::Statement),
        }
    }

    /// `DECLARE [OR REPLACE] [VARIABLE] x INT DEFAULT 1`. In a script it would be something else too, and scripts are not followed.
    fn declare(&mut self) -> Step {
        self.eat_words(&["or", "replace"]);
        self.eat_any(&["variable", "var"]);
        self.list(Self::any_name)?;
        let is_default = |cursor: &Self| cursor.at_word("default") || cursor.at_symbol("=");
        if !is_default(self) && !self.at_end_of_statement() {
            self.data_type()?;
        }
        if is_default(self) {
            self.next();
            return self.expression();
        }
        Ok(())
    }

    /// The statement is planned and not done, so what it would write it only reads.
    fn explain(&mut self) -> Step {
        self.eat_any(&["logical", "formatted", "extended", "codegen", "cost"]);
        if self.at_word("explain") {
            return Err(Unparsed::Syntax);
        }
        self.only_planning(Self::statement)
    }

    fn describe(&mut self) -> Step {
        if self.at_any(&["history", "detail"]) && !self.symbol_at(1, ".") {
            return self.describe_delta();
        }
        if self.eat_words(&["storage", "credential"]) || self.eat_words(&["external", "location"]) {
            return self.any_name();
        }
        if self.at_query(0) && self.names_by_text() {
            return Err(Unparsed::Statement);
        }
        if self.eat("query") || self.at_query(0) && !self.at_word("table") && !self.at_column_of_keyword() {
            return self.query();
        }
        if self.at_any(&["schema", "database", "catalog"]) && !self.symbol_at(1, ".") {
            let kind = if self.eat("catalog") { Kind::Catalog } else { self.next_is_schema() };
            self.eat("extended");
            return self.reads(kind);
        }
        if self.eat("function") {
            self.eat("extended");
            let name = self.reference()?;
            return self.called(&name, false);
        }
        self.eat("table");
        self.described_table()
    }

    /// `DESCRIBE SELECT IDENTIFIER('a')` has the column of a table called `select` too.
    fn names_by_text(&self) -> bool {
        let mut ahead = 0_usize;
        while !matches!(self.peek_at(ahead).text, "" | ";") {
            if self.word_at(ahead, "identifier") {
                return true;
            }
            ahead = ahead.saturating_add(1);
        }
        false
    }

    /// `DESCRIBE SELECT a.b` has the column of a table called `select`.
    fn at_column_of_keyword(&self) -> bool {
        let mut ahead = 1_usize;
        while self.symbol_at(ahead.saturating_add(1), ".") {
            ahead = ahead.saturating_add(2);
        }
        matches!(self.peek_at(ahead.saturating_add(1)).text, "" | ";")
    }

    /// `HISTORY t [LIMIT 1]`, `DETAIL '/x'`
    fn describe_delta(&mut self) -> Step {
        self.next();
        if self.at_kind(Is::Text) {
            self.reads_path()?
        } else {
            self.reads(Kind::Table)?
        }
        if self.eat("limit") { self.expect_kind(Is::Number).map(|_| ()) } else { Ok(()) }
    }

    fn next_is_schema(&mut self) -> Kind {
        self.next();
        Kind::Schema
    }

    /// `[EXTENDED | FORMATTED] t [PARTITION (…)] [column] [AS JSON]`
    #[inline(never)]
    fn described_table(&mut self) -> Step {
        if self.peek_at(1).kind == Is::Word || self.peek_at(1).kind == Is::Quoted {
            self.eat_any(&["extended", "formatted"]);
        }
        self.reads(Kind::Table)?;
        self.partition()?;
        if self.at_kind(Is::Quoted) || self.at_kind(Is::Word) && !self.at_word("as") {
            self.parts()?;
        }
        self.eat_words(&["as", "json"]);
        Ok(())
    }

    fn show(&mut self) -> Step {
        if self.eat_words(&["create", "table"]) || self.eat("tblproperties") || self.eat("partitions") {
            self.reads(Kind::Table)?;
            return self.plain_rest();
        }
        if self.eat("columns") {
            return self.show_columns();
        }
        if self.eat_words(&["table", "extended"]) {
            self.within(Kind::Schema)?;
            return self.partition();
        }
        if self.eat_any(&["grants", "grant"]) {
            return self.show_grants();
        }
        if self.eat_any(&["schemas", "databases"]) {
            return self.within(Kind::Catalog);
        }
        let _ = self.eat_any(&["user", "system", "all"]);
        if self.eat_any(&["tables", "views", "volumes", "functions"]) {
            return self.within(Kind::Schema);
        }
        if self.eat_any(&["shares", "recipients", "providers", "connections"])
            || self.eat_words(&["storage", "credentials"])
            || self.eat_words(&["external", "locations"])
            || self.eat_words(&["in", "share"])
        {
            return self.plain_rest();
        }
        self.eat("current");
        if self.eat_any(&["catalogs", "catalog", "schema", "database", "users", "groups"]) {
            return self.pattern();
        }
        Err(Unparsed::Statement)
    }

    /// `COLUMNS IN t [IN s]`
    fn show_columns(&mut self) -> Step {
        self.eat_any(&["in", "from"]);
        let table = self.reference()?;
        if !self.eat_any(&["in", "from"]) {
            return self.read(Kind::Table, &table);
        }
        let mut name = self.parts()?;
        // `IN s.t IN r` is an error, or one of the two
        name.push(table.single().ok_or(Unparsed::Name)?);
        self.read(Kind::Table, &name)
    }

    /// `GRANTS [principal] ON TABLE t`
    fn show_grants(&mut self) -> Step {
        // `GRANT TO RECIPIENT r`
        if self.eat("to") {
            return self.plain_rest();
        }
        if !self.at_word("on") {
            if self.at_kind(Is::Text) { self.plain_text().map(|_| ())? } else { self.any_name()? }
        }
        self.expect("on")?;
        self.only_planning(Self::securable)
    }

    /// `[IN name] [[LIKE] 'pattern']`
    #[inline(never)]
    fn within(&mut self, kind: Kind) -> Step {
        if self.eat("in") || self.eat("from") {
            self.reads(kind)?;
        }
        self.pattern()
    }

    #[inline(never)]
    fn pattern(&mut self) -> Step {
        if self.eat("like") || self.at_kind(Is::Text) {
            return self.expect_kind(Is::Text).map(|_| ());
        }
        // of functions
        if self.at_alias() { self.parts().map(|_| ()) } else { Ok(()) }
    }

    /// From here on, only full names are known.
    fn use_home(&mut self) -> Step {
        let kind = if self.eat("catalog") {
            Kind::Catalog
        } else {
            self.eat_any(&["schema", "database"]);
            Kind::Schema
        };
        let name = if self.at_kind(Is::Text) { name::of_text(self.plain_text()?)? } else { self.reference()? };
        self.read(kind, &name)?;
        self.home = Home::default();
        Ok(())
    }

    fn set(&mut self) -> Step {
        if self.eat("catalog") {
            let name = if self.at_kind(Is::Text) { name::of_text(self.plain_text()?)? } else { self.parts()? };
            self.read(Kind::Catalog, &name)?;
            self.home = Home::default();
            return Ok(());
        }
        // tags are read by policies; the path decides what a name means; a variable's value may be a query
        if self.at_words(&["tag", "on"]) {
            return self.tag();
        }
        if self.at_any(&["tag", "tags", "path", "role"]) {
            return Err(Unparsed::Statement);
        }
        if self.eat_any(&["variable", "var"]) {
            if !self.at_symbol("(") {
                return self.expressions();
            }
            self.columns()?;
            self.expect_symbol("=")?;
            return self.parentheses().map(|_| ());
        }
        self.configuration()
    }

    /// There are settings by which other catalogs are current.
    #[inline(never)]
    fn configuration(&mut self) -> Step {
        self.home = Home::default();
        self.plain_rest()
    }

    fn cache(&mut self) -> Step {
        // `CACHE SELECT` of Databricks is a query whose rows are thrown away
        if self.at_word("select") {
            return self.query();
        }
        self.eat("lazy");
        self.expect("table")?;
        let name = self.reference()?;
        if self.eat("options") {
            self.options()?;
        }
        if self.at_end_of_statement() {
            return self.read(Kind::Table, &name);
        }
        self.eat("as");
        self.query()
    }

    fn uncache(&mut self) -> Step {
        self.expect("table")?;
        self.eat_if_exists();
        self.reads(Kind::Table)
    }

    /// `REFRESH TABLE t` forgets what is cached; a materialized view or a streaming table is computed anew.
    fn refresh(&mut self) -> Step {
        if self.eat_words(&["materialized", "view"]) || self.eat_words(&["streaming", "table"]) {
            self.reclass(Class::Ddl);
            self.writes(Kind::Table)?;
            self.eat_any(&["full", "sync", "async"]);
            return Ok(());
        }
        if self.eat("function") {
            return self.reads(Kind::Function);
        }
        if !self.eat("table") {
            return Err(Unparsed::Statement);
        }
        self.reads(Kind::Table)
    }

    /// `LIST '/Volumes/…'`, `GET '/Volumes/…' TO 'file'`
    fn files(&mut self) -> Step {
        self.reads_path()?;
        if self.eat("to") { self.plain_text().map(|_| ()) } else { Ok(()) }
    }
}
