//! Statements that say who may use what (Databricks SQL reference, Security statements).

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::{Class, Kind, Unparsed};

impl Cursor<'_> {
    /// `GRANT SELECT, MODIFY ON TABLE t TO someone`
    pub(super) fn grant(&mut self) -> Step {
        self.next();
        self.eat_words(&["grant", "option", "for"]);
        let words = |cursor: &mut Self| {
            while !cursor.at_word("on") && cursor.at_kind(Is::Word) {
                cursor.next();
            }
            Ok(())
        };
        self.list(words)?;
        self.expect("on")?;
        self.securable()?;
        if !self.eat_any(&["to", "from"]) {
            return Err(Unparsed::Syntax);
        }
        self.eat("recipient");
        if self.peek().kind == Is::Text { self.plain_text().map(|_| ()) } else { self.parts().map(|_| ()) }
    }

    pub(super) fn securable(&mut self) -> Step {
        if self.eat_words(&["any", "file"]) || self.eat_words(&["anonymous", "function"]) || self.eat("metastore") {
            self.write_other("everything");
            return Ok(());
        }
        if self.at_metastore_object() {
            return self.metastore_object();
        }
        let kind = if self.eat_any(&["schema", "database"]) {
            Kind::Schema
        } else if self.eat("catalog") {
            Kind::Catalog
        } else if self.eat_any(&["function", "procedure"]) {
            Kind::Function
        } else if self.eat("volume") {
            Kind::Other
        } else {
            let is_said = self.eat_any(&["table", "view"]) || self.eat_words(&["materialized", "view"]);
            // another kind of object: `CONNECTION c`, `EXTERNAL LOCATION l`, `SHARE s`
            if !is_said && !self.is_last_of_securable() {
                return Err(Unparsed::Statement);
            }
            Kind::Table
        };
        self.writes(kind)
    }

    /// Whether a kind of object is named next that belongs to no catalog.
    #[inline(never)]
    pub(super) fn at_metastore_object(&self) -> bool {
        let is_one = self.at_any(&["share", "recipient", "provider", "group"]) && !self.symbol_at(1, ".");
        is_one
            || self.at_words(&["external", "location"])
            || self.at_words(&["storage", "credential"])
            || self.at_words(&["service", "credential"])
    }

    /// `SHARE s`, `RECIPIENT r`, `EXTERNAL LOCATION l`, `GROUP g`
    #[inline(never)]
    pub(super) fn metastore_object(&mut self) -> Step {
        self.eat_any(&["external", "storage", "service"]);
        let kind = self.next().text;
        // groups are who sees what
        if kind.eq_ignore_ascii_case("group") {
            self.reclass(Class::Grant);
        }
        self.eat_if_exists();
        let name = self.identifier()?;
        self.write_other(&format!("{kind} {name}").to_ascii_lowercase());
        Ok(())
    }

    /// `SET TAG ON TABLE t a = b`, `UNSET TAG ON COLUMN t.c a`: policies read tags.
    pub(super) fn tag(&mut self) -> Step {
        self.reclass(Class::Grant);
        self.expect_words(&["tag", "on"])?;
        if self.eat("column") {
            let mut column = self.parts()?;
            column.pop();
            self.write(Kind::Table, &column)?;
        } else {
            let kind = if self.eat_any(&["table", "view"]) { Kind::Table } else { self.container()? };
            self.writes(kind)?;
        }
        self.plain_rest()
    }

    /// Whether the next token is a name with `.`, `TO`, `FROM` or nothing behind it.
    fn is_last_of_securable(&self) -> bool {
        let ends = self.peek_at(1).text.is_empty() || self.symbol_at(1, ";");
        ends || self.symbol_at(1, ".")
            || self.word_at(1, "to")
            || self.word_at(1, "from")
            || self.at_identifier_clause()
    }
}
