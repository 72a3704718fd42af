//! Data types, as casts and columns have them.

use super::cursor::{Cursor, Step};
use super::lexer::Kind as Is;
use super::{Unparsed, words};

const UNITS: [&str; 19] = [
    "year",
    "years",
    "quarter",
    "month",
    "months",
    "week",
    "weeks",
    "day",
    "days",
    "hour",
    "hours",
    "minute",
    "minutes",
    "second",
    "seconds",
    "millisecond",
    "milliseconds",
    "microsecond",
    "microseconds",
];

impl Cursor<'_> {
    /// Read strictly, because `a::map < b FROM t WHERE c > d` has no type in angle brackets.
    #[inline(never)]
    pub(super) fn data_type(&mut self) -> Step {
        self.deeper(|cursor| {
            let name = cursor.expect_kind(Is::Word)?.text;
            if words::is_no_alias(name) && !name.eq_ignore_ascii_case("timestamp") {
                return Err(Unparsed::Syntax);
            }
            if name.eq_ignore_ascii_case("interval") {
                return cursor.interval_type();
            }
            // `a::int < 5` compares
            let has_inner = ["array", "map", "struct"].iter().any(|outer| name.eq_ignore_ascii_case(outer));
            if has_inner && cursor.eat_symbol("<") {
                return cursor.inner_types(name);
            }
            if name.eq_ignore_ascii_case("struct") && cursor.eat_symbol("<>") {
                return Ok(());
            }
            if cursor.at_symbol("(") {
                cursor.numbers()?;
            }
            let _ =
                cursor.eat_words(&["without", "time", "zone"]) || cursor.eat_words(&["with", "local", "time", "zone"]);
            if cursor.eat("collate") { cursor.any_name() } else { Ok(()) }
        })
    }

    fn interval_type(&mut self) -> Step {
        if !self.eat_unit() || !self.eat("to") || self.eat_unit() { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    #[inline(never)]
    pub(super) fn eat_unit(&mut self) -> bool {
        self.eat_any(&UNITS)
    }

    fn inner_types(&mut self, outer: &str) -> Step {
        if outer.eq_ignore_ascii_case("array") {
            self.data_type()?;
        } else if outer.eq_ignore_ascii_case("map") {
            self.data_type()?;
            self.expect_symbol(",")?;
            self.data_type()?;
        } else if outer.eq_ignore_ascii_case("struct") {
            self.list(Self::field)?;
        } else {
            return Err(Unparsed::Syntax);
        }
        self.expect_symbol(">")
    }

    fn field(&mut self) -> Step {
        self.identifier()?;
        self.eat_symbol(":");
        self.data_type()?;
        self.eat_words(&["not", "null"]);
        if self.eat("comment") {
            self.expect_kind(Is::Text)?;
        }
        Ok(())
    }

    /// `(10, 2)`, and of a geometry `(ANY)`
    fn numbers(&mut self) -> Step {
        self.expect_symbol("(")?;
        self.list(|cursor| if cursor.eat("any") { Ok(()) } else { cursor.expect_kind(Is::Number).map(|_| ()) })?;
        self.expect_symbol(")")
    }
}
