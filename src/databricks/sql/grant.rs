//! Statements that say who may use what (Databricks SQL reference, Security statements).

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::{Kind, Unparsed};

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
        if self.at_any(&["share", "recipient"]) || self.at_words(&["external", "location"]) {
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

    /// `SHARE s`, `RECIPIENT r`, `EXTERNAL LOCATION l`: what belongs to no catalog.
    #[inline(never)]
    pub(super) fn metastore_object(&mut self) -> Step {
        self.eat("external");
        let kind = self.next().text;
        self.eat_if_exists();
        let name = self.identifier()?;
        if !super::name::is_plain(name) {
            return Err(Unparsed::Name);
        }
        self.write_other(&format!("{kind} {name}").to_ascii_lowercase());
        Ok(())
    }

    /// Whether the next token is a name with `.`, `TO` or `FROM` behind it.
    fn is_last_of_securable(&self) -> bool {
        self.symbol_at(1, ".") || self.word_at(1, "to") || self.word_at(1, "from") || self.at_identifier_clause()
    }
}
