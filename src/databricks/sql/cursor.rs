//! The place in the tokens, and the small steps that all parts of the recogniser take.

use super::lexer::{Kind as Is, Token};
use super::name::{self, Name};
use super::words;
use super::{Class, Found, Home, Kind, Object, Unparsed};

/// Queries, parentheses, `CASE` and types inside one another. Each level takes a few frames of the stack.
const DEEPEST: usize = 100;

/// Names of CTEs in sight at once, so that looking them up stays cheap.
const MOST_CTES: usize = 200;

const END: Token<'static> = Token { kind: Is::End, text: "" };

pub(super) type Step = Result<(), Unparsed>;

pub(super) struct Cursor<'a> {
    rest: &'a [Token<'a>],
    pub(super) home: Home,
    found: &'a mut Found,
    /// The names of CTEs in sight, the innermost last.
    ctes: Vec<String>,
    depth: usize,
    /// Inside an `EXPLAIN`.
    only_planned: bool,
    /// The operand that was read last is a call.
    pub(super) was_call: bool,
    /// The next call stands in `FROM`.
    takes_tables: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(tokens: &'a [Token<'a>], home: Home, found: &'a mut Found) -> Self {
        Self {
            rest: tokens,
            home,
            found,
            ctes: Vec::new(),
            depth: 0,
            only_planned: false,
            was_call: false,
            takes_tables: false,
        }
    }

    #[inline(never)]
    pub(super) fn peek(&self) -> Token<'a> {
        self.peek_at(0)
    }

    /// The token this far behind the next one.
    #[inline(never)]
    pub(super) fn peek_at(&self, ahead: usize) -> Token<'a> {
        self.rest.get(ahead).copied().unwrap_or(END)
    }

    #[inline(never)]
    pub(super) fn next(&mut self) -> Token<'a> {
        let Some((first, rest)) = self.rest.split_first() else { return END };
        self.rest = rest;
        *first
    }

    #[inline(never)]
    pub(super) fn at_symbol(&self, symbol: &str) -> bool {
        self.peek().kind == Is::Symbol && self.peek().text == symbol
    }

    #[inline(never)]
    pub(super) fn at_word(&self, word: &str) -> bool {
        self.word_at(0, word)
    }

    #[inline(never)]
    pub(super) fn word_at(&self, ahead: usize, word: &str) -> bool {
        let token = self.peek_at(ahead);
        token.kind == Is::Word && token.text.eq_ignore_ascii_case(word)
    }

    #[inline(never)]
    pub(super) fn symbol_at(&self, ahead: usize, symbol: &str) -> bool {
        let token = self.peek_at(ahead);
        token.kind == Is::Symbol && token.text == symbol
    }

    #[inline(never)]
    pub(super) fn at_kind(&self, kind: Is) -> bool {
        self.peek().kind == kind
    }

    /// Whether the next words are these.
    #[inline(never)]
    pub(super) fn at_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| self.word_at(ahead, word))
    }

    #[inline(never)]
    pub(super) fn at_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.at_word(word))
    }

    #[inline(never)]
    pub(super) fn at_end_of_statement(&self) -> bool {
        self.at_kind(Is::End) || self.at_symbol(";")
    }

    /// Takes the next token if it is there.
    #[inline(never)]
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let is_there = self.at_word(word);
        if is_there {
            self.next();
        }
        is_there
    }

    #[inline(never)]
    pub(super) fn eat_words(&mut self, words: &[&str]) -> bool {
        let are_there = self.at_words(words);
        if are_there {
            for _ in words {
                self.next();
            }
        }
        are_there
    }

    #[inline(never)]
    pub(super) fn eat_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.eat(word))
    }

    #[inline(never)]
    pub(super) fn eat_symbol(&mut self, symbol: &str) -> bool {
        let is_there = self.at_symbol(symbol);
        if is_there {
            self.next();
        }
        is_there
    }

    #[inline(never)]
    pub(super) fn expect(&mut self, word: &str) -> Step {
        if self.eat(word) { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    #[inline(never)]
    pub(super) fn expect_words(&mut self, words: &[&str]) -> Step {
        if self.eat_words(words) { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    #[inline(never)]
    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Step {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    #[inline(never)]
    pub(super) fn expect_kind(&mut self, kind: Is) -> Result<Token<'a>, Unparsed> {
        if self.at_kind(kind) { Ok(self.next()) } else { Err(Unparsed::Syntax) }
    }

    /// Does `step` one level deeper.
    pub(super) fn deeper<T>(&mut self, step: fn(&mut Self) -> Result<T, Unparsed>) -> Result<T, Unparsed> {
        if self.depth >= DEEPEST {
            return Err(Unparsed::TooDeep);
        }
        self.depth = self.depth.saturating_add(1);
        let result = step(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    /// Does `step` once, and again behind each comma.
    #[inline(never)]
    pub(super) fn list(&mut self, step: fn(&mut Self) -> Step) -> Step {
        step(self)?;
        while self.eat_symbol(",") {
            step(self)?;
        }
        Ok(())
    }

    /// One name that is no clause: quoted, or a word that this scanner does not take for a keyword.
    #[inline(never)]
    pub(super) fn identifier(&mut self) -> Result<&'a str, Unparsed> {
        // newer versions of Spark take `IDENTIFIER('a')` for a name wherever one may stand
        if self.at_identifier_clause() {
            return Err(Unparsed::Dynamic);
        }
        let token = self.next();
        match token.kind {
            Is::Quoted => Ok(token.text),
            Is::Word if !words::is_strong(token.text) => Ok(token.text),
            _ => Err(Unparsed::Syntax),
        }
    }

    /// A name and the parts behind its dots, which may be any word.
    #[inline(never)]
    pub(super) fn parts(&mut self) -> Result<Name<'a>, Unparsed> {
        let first = self.identifier()?;
        self.parts_from(first)
    }

    /// The same, behind its first part.
    #[inline(never)]
    pub(super) fn parts_from(&mut self, first: &'a str) -> Result<Name<'a>, Unparsed> {
        let mut name = Name::default();
        name.push(first);
        while self.at_symbol(".") && !self.symbol_at(1, "*") {
            self.next();
            if self.at_identifier_clause() {
                return Err(Unparsed::Dynamic);
            }
            let token = self.next();
            if !matches!(token.kind, Is::Quoted | Is::Word) {
                return Err(Unparsed::Syntax);
            }
            name.push(token.text);
        }
        Ok(name)
    }

    /// `(a, b)`
    #[inline(never)]
    pub(super) fn columns(&mut self) -> Step {
        self.expect_symbol("(")?;
        self.list(|cursor| cursor.parts().map(|_| ()))?;
        self.expect_symbol(")")
    }

    /// `(a, b)`, or nothing.
    #[inline(never)]
    pub(super) fn maybe_columns(&mut self) -> Step {
        if self.at_symbol("(") { self.columns() } else { Ok(()) }
    }

    /// One name that is not looked at.
    #[inline(never)]
    pub(super) fn any_name(&mut self) -> Step {
        self.identifier().map(|_| ())
    }

    /// Whether a name is next that needs no `AS` to be an alias.
    #[inline(never)]
    pub(super) fn at_alias(&self) -> bool {
        let next = self.peek();
        next.kind == Is::Quoted || next.kind == Is::Word && !words::is_no_alias(next.text)
    }

    /// `[AS] name`, or nothing.
    #[inline(never)]
    pub(super) fn column_alias(&mut self) -> Step {
        if self.eat("as") || self.at_alias() { self.any_name() } else { Ok(()) }
    }

    /// `IDENTIFIER('a.b')` or a name, for something that is not read as a CTE. The clause must be the whole name: `IDENTIFIER('a').b`
    /// is `a.b` for newer versions of Spark.
    #[inline(never)]
    pub(super) fn reference(&mut self) -> Result<Name<'a>, Unparsed> {
        if !self.at_identifier_clause() {
            return self.parts();
        }
        self.next();
        self.next();
        let literal = self.expect_kind(Is::Text).map_err(|_| Unparsed::Dynamic)?;
        self.expect_symbol(")").map_err(|_| Unparsed::Dynamic)?;
        if self.at_symbol(".") {
            return Err(Unparsed::Dynamic);
        }
        name::of_text(name::plain_text(literal.text).ok_or(Unparsed::Dynamic)?)
    }

    #[inline(never)]
    pub(super) fn at_identifier_clause(&self) -> bool {
        self.at_word("identifier") && self.symbol_at(1, "(")
    }

    /// A string whose value is what stands between its quotes.
    #[inline(never)]
    pub(super) fn plain_text(&mut self) -> Result<&'a str, Unparsed> {
        let literal = self.expect_kind(Is::Text)?;
        // adjacent strings are one string
        if self.at_kind(Is::Text) {
            return Err(Unparsed::Syntax);
        }
        name::plain_text(literal.text).ok_or(Unparsed::Dynamic)
    }

    #[inline(never)]
    pub(super) fn read(&mut self, kind: Kind, name: &Name<'_>) -> Step {
        self.note(false, name::resolve(kind, name, &self.home)?);
        Ok(())
    }

    #[inline(never)]
    pub(super) fn write(&mut self, kind: Kind, name: &Name<'_>) -> Step {
        self.note(true, name::resolve(kind, name, &self.home)?);
        Ok(())
    }

    #[inline(never)]
    pub(super) fn read_path(&mut self, path: &str) {
        self.note(false, Object { kind: Kind::Path, name: path.to_owned(), resolved: true });
    }

    /// Notes that something was changed that has no name of its own here.
    pub(super) fn write_other(&mut self, what: &str) {
        self.note(true, Object { kind: Kind::Other, name: what.to_owned(), resolved: true });
    }

    /// The object that is named next is read.
    #[inline(never)]
    pub(super) fn reads(&mut self, kind: Kind) -> Step {
        let name = self.reference()?;
        self.read(kind, &name)
    }

    /// The object that is named next is written.
    #[inline(never)]
    pub(super) fn writes(&mut self, kind: Kind) -> Step {
        let name = self.reference()?;
        self.write(kind, &name)
    }

    /// The path in the string that is next is read.
    #[inline(never)]
    pub(super) fn reads_path(&mut self) -> Step {
        let path = self.plain_text()?;
        self.read_path(path);
        Ok(())
    }

    /// The path in the string that is next is written.
    #[inline(never)]
    pub(super) fn writes_path(&mut self) -> Step {
        let path = self.plain_text()?;
        self.write_path(path);
        Ok(())
    }

    #[inline(never)]
    pub(super) fn write_path(&mut self, path: &str) {
        self.note(true, Object { kind: Kind::Path, name: path.to_owned(), resolved: true });
    }

    #[inline(never)]
    fn note(&mut self, is_written: bool, object: Object) {
        let to = if is_written && !self.only_planned { &mut self.found.writes } else { &mut self.found.reads };
        to.push(object);
    }

    #[inline(never)]
    pub(super) fn class(&mut self, class: Class) {
        if !self.only_planned {
            self.found.classes.push(class);
        }
    }

    /// Changes the class of the statement under way.
    #[inline(never)]
    pub(super) fn reclass(&mut self, class: Class) {
        if !self.only_planned
            && let Some(last) = self.found.classes.last_mut()
        {
            *last = class;
        }
    }

    /// Notes the call of a function. What it reads is noted elsewhere, or the function stands for it.
    #[inline(never)]
    pub(super) fn called(&mut self, name: &Name<'_>, reads_are_noted: bool) -> Step {
        let joined = name.joined();
        let is_inert = name.single().is_some() && super::functions::is_inert(&joined);
        self.found.functions.push(joined);
        if is_inert || reads_are_noted { Ok(()) } else { self.read(Kind::Function, name) }
    }

    /// Runs `step`, but what it writes is only read, because nothing of it is done.
    pub(super) fn only_planning(&mut self, step: fn(&mut Self) -> Step) -> Step {
        let outer = std::mem::replace(&mut self.only_planned, true);
        let result = step(self);
        self.only_planned = outer;
        result
    }

    /// Whether the arguments that are next may be tables; gives what it was.
    pub(super) fn takes_tables(&mut self, takes: bool) -> bool {
        std::mem::replace(&mut self.takes_tables, takes)
    }

    /// Whether this is the name of a CTE that is in sight here.
    #[inline(never)]
    pub(super) fn is_cte(&self, name: &Name<'_>) -> bool {
        let Some(name) = name.single() else { return false };
        self.ctes.iter().rev().any(|cte| cte.eq_ignore_ascii_case(name))
    }

    /// Brings a CTE into sight, until [`Cursor::out_of_sight`].
    #[inline(never)]
    pub(super) fn in_sight(&mut self, name: &str) -> Step {
        if !name::is_plain(name) {
            return Err(Unparsed::Name);
        }
        if self.ctes.len() >= MOST_CTES {
            return Err(Unparsed::TooDeep);
        }
        self.ctes.push(name.to_owned());
        Ok(())
    }

    #[inline(never)]
    pub(super) fn ctes_in_sight(&self) -> usize {
        self.ctes.len()
    }

    /// Forgets the CTEs that came into sight since there were this many.
    #[inline(never)]
    pub(super) fn out_of_sight(&mut self, since: usize) {
        self.ctes.truncate(since);
    }
}
