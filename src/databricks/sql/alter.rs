//! `ALTER` (Databricks SQL reference, DDL statements).

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::{Class, Kind, Unparsed};

impl Cursor<'_> {
    pub(super) fn alter(&mut self) -> Step {
        self.expect("alter")?;
        if self.at_metastore_object() {
            return self.alter_securable();
        }
        let _ = self.eat_any(&["materialized", "streaming"]);
        let is_view = self.at_word("view");
        let kind = if self.eat_any(&["table", "view"]) { Kind::Table } else { self.container_or_function()? };
        // no reader takes `if` for a name here
        if self.at_words(&["if", "exists"]) {
            return Err(Unparsed::Statement);
        }
        self.writes(kind)?;
        self.partition()?;
        if is_view && self.at_words(&["with", "schema"]) {
            return self.plain_rest();
        }
        if is_view && (self.at_query(0) || self.at_word("as")) {
            return self.query_of_new();
        }
        self.alteration(kind)
    }

    fn alteration(&mut self, kind: Kind) -> Step {
        if self.eat_words(&["rename", "to"]) {
            // of a partition
            return if self.at_word("partition") { self.partition() } else { self.writes(kind) };
        }
        if self.eat_words(&["set", "location"]) || self.eat_words(&["set", "managed", "location"]) {
            return self.writes_path();
        }
        if self.at_words(&["set", "row", "filter"]) {
            self.next();
            self.reclass(Class::Grant);
            return self.row_filter();
        }
        if self.eat_words(&["add", "constraint"]) {
            self.any_name()?;
            return self.constraint();
        }
        if self.at_word("add") && (self.word_at(1, "column") || self.word_at(1, "columns")) {
            self.next();
            self.next();
            return if self.at_symbol("(") { self.column_definitions() } else { self.list(Self::column_definition) };
        }
        if self.at_any(&["alter", "change"]) {
            return self.alter_column();
        }
        self.rest_of_alter()
    }

    /// `ALTER COLUMN a SET MASK f`, `ALTER COLUMN a TYPE BIGINT, b COMMENT '…'`, `CHANGE COLUMN a b INT`
    fn alter_column(&mut self) -> Step {
        self.next();
        self.eat("column");
        self.parts()?;
        if self.eat_words(&["set", "mask"]) {
            self.reclass(Class::Grant);
            return self.mask();
        }
        if self.eat_words(&["set", "default"]) {
            return self.expression();
        }
        self.rest_of_alter()
    }

    /// The rest has no tables; but if it says who owns or sees the object, it is a grant.
    fn rest_of_alter(&mut self) -> Step {
        let mut ahead = 0_usize;
        while !matches!(self.peek_at(ahead).text, "" | ";") {
            if ["owner", "filter", "mask", "tags", "tag"].iter().any(|word| self.word_at(ahead, word)) {
                self.reclass(Class::Grant);
            }
            let is_place = ["references", "location", "managed"].iter().any(|word| self.word_at(ahead, word));
            if is_place || self.word_at(ahead, "identifier") {
                return Err(Unparsed::Statement);
            }
            ahead = ahead.saturating_add(1);
        }
        self.plain_rest()
    }

    /// `SHARE s ADD TABLE t`, which gives the table to whoever has the share; `GROUP g ADD USER u`.
    fn alter_securable(&mut self) -> Step {
        self.reclass(Class::Grant);
        self.metastore_object()?;
        if !self.word_at(1, "user") && !self.word_at(1, "group") && self.eat_any(&["add", "remove", "alter"]) {
            if self.at_kind(Is::Word) && self.eat_any(&["table", "view", "materialized", "streaming"]) {
                let _ = self.eat_any(&["table", "view"]);
                self.writes(Kind::Table)?;
            } else {
                let kind = self.container()?;
                self.writes(kind)?;
            }
        }
        if self.at_any(&["as", "partition"]) {
            return Err(Unparsed::Statement);
        }
        self.plain_rest()
    }
}
