//! The place in the tokens, and the small steps that all parts of the recogniser take.

use super::lexer::{Kind as Is, Token};
use super::name::{self, Part};
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
}

impl<'a> Cursor<'a> {
    pub(super) fn new(tokens: &'a [Token<'a>], home: Home, found: &'a mut Found) -> Self {
        Self { rest: tokens, home, found, ctes: Vec::new(), depth: 0 }
    }

    pub(super) fn peek(&self) -> Token<'a> {
        self.peek_at(0)
    }

    /// The token this far behind the next one.
    pub(super) fn peek_at(&self, ahead: usize) -> Token<'a> {
        self.rest.get(ahead).copied().unwrap_or(END)
    }

    pub(super) fn next(&mut self) -> Token<'a> {
        let Some((first, rest)) = self.rest.split_first() else { return END };
        self.rest = rest;
        *first
    }

    pub(super) fn at_symbol(&self, symbol: &str) -> bool {
        self.peek().kind == Is::Symbol && self.peek().text == symbol
    }

    pub(super) fn at_word(&self, word: &str) -> bool {
        self.word_at(0, word)
    }

    pub(super) fn word_at(&self, ahead: usize, word: &str) -> bool {
        let token = self.peek_at(ahead);
        token.kind == Is::Word && token.text.eq_ignore_ascii_case(word)
    }

    pub(super) fn symbol_at(&self, ahead: usize, symbol: &str) -> bool {
        let token = self.peek_at(ahead);
        token.kind == Is::Symbol && token.text == symbol
    }

    pub(super) fn at_kind(&self, kind: Is) -> bool {
        self.peek().kind == kind
    }

    /// Whether the next words are these.
    pub(super) fn at_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| self.word_at(ahead, word))
    }

    pub(super) fn at_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.at_word(word))
    }

    pub(super) fn at_end_of_statement(&self) -> bool {
        self.at_kind(Is::End) || self.at_symbol(";")
    }

    /// Takes the next token if it is there.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let is_there = self.at_word(word);
        if is_there {
            self.next();
        }
        is_there
    }

    pub(super) fn eat_words(&mut self, words: &[&str]) -> bool {
        let are_there = self.at_words(words);
        if are_there {
            for _ in words {
                self.next();
            }
        }
        are_there
    }

    pub(super) fn eat_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.eat(word))
    }

    pub(super) fn eat_symbol(&mut self, symbol: &str) -> bool {
        let is_there = self.at_symbol(symbol);
        if is_there {
            self.next();
        }
        is_there
    }

    pub(super) fn expect(&mut self, word: &str) -> Step {
        if self.eat(word) { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    pub(super) fn expect_words(&mut self, words: &[&str]) -> Step {
        if self.eat_words(words) { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Step {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    pub(super) fn expect_kind(&mut self, kind: Is) -> Result<Token<'a>, Unparsed> {
        if self.at_kind(kind) { Ok(self.next()) } else { Err(Unparsed::Syntax) }
    }

    /// Does `step` one level deeper.
    pub(super) fn deeper<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Unparsed>) -> Result<T, Unparsed> {
        if self.depth >= DEEPEST {
            return Err(Unparsed::TooDeep);
        }
        self.depth = self.depth.saturating_add(1);
        let result = step(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    /// Does `step` once, and again behind each comma.
    pub(super) fn list(&mut self, mut step: impl FnMut(&mut Self) -> Step) -> Step {
        step(self)?;
        while self.eat_symbol(",") {
            step(self)?;
        }
        Ok(())
    }

    /// One name that is no clause: quoted, or a word that this scanner does not take for a keyword.
    pub(super) fn identifier(&mut self) -> Result<Part, Unparsed> {
        let token = self.next();
        match token.kind {
            Is::Quoted => Ok(token.text.replace("``", "`")),
            Is::Word if !words::is_strong(token.text) => Ok(token.text.to_owned()),
            _ => Err(Unparsed::Syntax),
        }
    }

    /// A name and the parts behind its dots, which may be any word.
    pub(super) fn parts(&mut self) -> Result<Vec<Part>, Unparsed> {
        let mut parts = vec![self.identifier()?];
        while self.eat_symbol(".") {
            let token = self.next();
            match token.kind {
                Is::Quoted => parts.push(token.text.replace("``", "`")),
                Is::Word => parts.push(token.text.to_owned()),
                _ => return Err(Unparsed::Syntax),
            }
        }
        Ok(parts)
    }

    /// `(a, b)`
    pub(super) fn columns(&mut self) -> Step {
        self.expect_symbol("(")?;
        self.list(|cursor| cursor.parts().map(|_| ()))?;
        self.expect_symbol(")")
    }

    /// `IDENTIFIER('a.b')` or a name, for something that is not read as a CTE.
    pub(super) fn reference(&mut self) -> Result<Vec<Part>, Unparsed> {
        if !self.at_identifier_clause() {
            return self.parts();
        }
        self.next();
        self.next();
        let literal = self.expect_kind(Is::Text).map_err(|_| Unparsed::Dynamic)?;
        self.expect_symbol(")").map_err(|_| Unparsed::Dynamic)?;
        name::parts_of(name::plain_text(literal.text).ok_or(Unparsed::Dynamic)?)
    }

    pub(super) fn at_identifier_clause(&self) -> bool {
        self.at_word("identifier") && self.symbol_at(1, "(")
    }

    /// A string whose value is what stands between its quotes.
    pub(super) fn plain_text(&mut self) -> Result<&'a str, Unparsed> {
        let literal = self.expect_kind(Is::Text)?;
        // adjacent strings are one string
        if self.at_kind(Is::Text) {
            return Err(Unparsed::Syntax);
        }
        name::plain_text(literal.text).ok_or(Unparsed::Dynamic)
    }

    pub(super) fn read(&mut self, kind: Kind, parts: &[Part]) -> Step {
        let object = name::resolve(kind, parts, &self.home)?;
        self.found.reads.insert(object);
        Ok(())
    }

    pub(super) fn write(&mut self, kind: Kind, parts: &[Part]) -> Step {
        let object = name::resolve(kind, parts, &self.home)?;
        self.found.writes.insert(object);
        Ok(())
    }

    pub(super) fn read_path(&mut self, path: &str) {
        self.found.reads.insert(Object { kind: Kind::Path, name: path.to_owned(), resolved: true });
    }

    pub(super) fn write_path(&mut self, path: &str) {
        self.found.writes.insert(Object { kind: Kind::Path, name: path.to_owned(), resolved: true });
    }

    /// Notes that something was changed that has no name of its own here.
    pub(super) fn write_other(&mut self, what: &str) {
        self.found.writes.insert(Object { kind: Kind::Other, name: what.to_ascii_lowercase(), resolved: true });
    }

    pub(super) fn class(&mut self, class: Class) {
        self.found.classes.push(class);
    }

    pub(super) fn classes_so_far(&self) -> usize {
        self.found.classes.len()
    }

    pub(super) fn forget_classes_since(&mut self, since: usize) {
        self.found.classes.truncate(since);
    }

    /// Changes the class of the statement under way.
    pub(super) fn reclass(&mut self, class: Class) {
        if let Some(last) = self.found.classes.last_mut() {
            *last = class;
        }
    }

    /// Notes the call of a function. What it reads is noted elsewhere, or the function stands for it.
    pub(super) fn called(&mut self, parts: &[Part], reads_are_noted: bool) -> Step {
        let name = parts.join(".").to_ascii_lowercase();
        let is_inert = parts.len() == 1 && super::functions::is_inert(&name);
        self.found.functions.insert(name);
        if is_inert || reads_are_noted { Ok(()) } else { self.read(Kind::Function, parts) }
    }

    /// Runs `step` and counts what it writes as read: nothing of it is done.
    pub(super) fn only_reading(&mut self, step: impl FnOnce(&mut Self) -> Step) -> Step {
        let before = std::mem::take(&mut self.found.writes);
        let result = step(self);
        let inside = std::mem::replace(&mut self.found.writes, before);
        self.found.reads.extend(inside);
        result
    }

    /// Whether this is the name of a CTE that is in sight here.
    pub(super) fn is_cte(&self, parts: &[Part]) -> bool {
        let [name] = parts else { return false };
        self.ctes.iter().rev().any(|cte| cte.eq_ignore_ascii_case(name))
    }

    /// Brings a CTE into sight, until [`Cursor::out_of_sight`].
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

    pub(super) fn ctes_in_sight(&self) -> usize {
        self.ctes.len()
    }

    /// Forgets the CTEs that came into sight since there were this many.
    pub(super) fn out_of_sight(&mut self, since: usize) {
        self.ctes.truncate(since);
    }
}
