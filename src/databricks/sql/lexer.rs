//! Statement text → tokens, as Spark's `SqlBaseLexer.g4` cuts it, or not at all.
//!
//! Wherever versions of Spark, or other readers, could end a comment, a string or a name at another place, the text is
//! refused: everything behind that place would mean something else.

use super::{Unparsed, words};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a name without quotes.
    Word,
    /// A back-quoted name; the text is what stands between the quotes.
    Quoted,
    /// A string literal, with its quotes and prefix.
    Text,
    Number,
    Symbol,
    /// `/*+ … */`
    Hint,
    /// Behind the last one.
    End,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

/// Longest first.
const SYMBOLS: [&str; 14] = ["<=>", "?::", "::", "|>", "->", "=>", "<>", "<=", ">=", "!=", "==", "||", "!>", "!<"];

/// What may stand behind the digits of a number.
const SUFFIXES: [&str; 7] = ["", "l", "s", "y", "f", "d", "bd"];

pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Unparsed> {
    // Spark puts variables into the text before it reads it, in strings and comments too
    if text.contains("${") {
        return Err(Unparsed::Substitution);
    }
    if text.contains('\0') {
        return Err(Unparsed::Character);
    }
    let mut lexer = Lexer { rest: text, tokens: Vec::new() };
    while !lexer.rest.is_empty() {
        lexer.step()?;
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn step(&mut self) -> Result<(), Unparsed> {
        let mut bytes = self.rest.bytes();
        let first = bytes.next().unwrap_or_default();
        let second = bytes.next().unwrap_or_default();
        match (first, second) {
            (b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, _) => self.skip(1),
            (b'-', b'-') => self.line_comment(),
            (b'/', b'*') if self.rest.starts_with("/*+") => self.hint(),
            (b'/', b'*') => self.block_comment(),
            // Spark's end of a hint
            (b'*', b'/') => Err(Unparsed::Unbalanced),
            (b'\'' | b'"', _) => self.string(0),
            (b'r' | b'R', b'\'' | b'"') => self.raw_string(),
            (b'`', _) => self.quoted(),
            (b'$', b'$') => self.dollars(),
            (b'0'..=b'9', _) | (b'.', b'0'..=b'9') => self.number(),
            (b'a'..=b'z' | b'A'..=b'Z' | b'_', _) => self.word(),
            _ => self.symbol(),
        }
    }

    /// Takes `length` bytes off the text.
    fn take(&mut self, length: usize) -> Result<&'a str, Unparsed> {
        let (token, rest) = self.rest.split_at_checked(length).ok_or(Unparsed::Character)?;
        self.rest = rest;
        Ok(token)
    }

    fn skip(&mut self, length: usize) -> Result<(), Unparsed> {
        self.take(length).map(|_| ())
    }

    fn push(&mut self, kind: Kind, length: usize) -> Result<(), Unparsed> {
        let text = self.take(length)?;
        self.tokens.push(Token { kind, text });
        Ok(())
    }

    /// Spark goes on behind a backslash at the line's end, others do not; and they do not agree on a lone `\r`.
    fn line_comment(&mut self) -> Result<(), Unparsed> {
        let line = self.rest.split('\n').next().unwrap_or_default();
        // the last line of a text has no end
        let has_end = line.len() < self.rest.len();
        let comment = line.strip_suffix('\r').filter(|_| has_end).unwrap_or(line);
        if comment.ends_with('\\') || comment.contains('\r') {
            return Err(Unparsed::Unbalanced);
        }
        self.skip(line.len())
    }

    fn block_comment(&mut self) -> Result<(), Unparsed> {
        let mut depth = 0_usize;
        loop {
            if self.rest.starts_with("/*") {
                self.skip(2)?;
                // an opened hint does not nest; `/*/` ends for some
                if depth > 0 && self.rest.starts_with(['+', '/']) {
                    return Err(Unparsed::Unbalanced);
                }
                depth = depth.saturating_add(1);
            } else if self.rest.starts_with("*/") {
                self.skip(2)?;
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Ok(());
                }
                // the end of one, or the beginning of another
                if self.rest.starts_with('*') {
                    return Err(Unparsed::Unbalanced);
                }
            } else {
                let next = self.rest.chars().next().ok_or(Unparsed::Unbalanced)?;
                self.skip(next.len_utf8())?;
            }
        }
    }

    /// Only names, numbers, commas and parentheses may stand in a hint, so that its end is where it seems to be.
    fn hint(&mut self) -> Result<(), Unparsed> {
        let (body, _) = self.rest.split_once("*/").ok_or(Unparsed::Unbalanced)?;
        let inside = body.strip_prefix("/*+").unwrap_or(body);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | '.' | '(' | ')' | ' ' | '\n');
        if !inside.chars().all(is_plain) {
            return Err(Unparsed::Syntax);
        }
        self.push(Kind::Hint, body.len().saturating_add(2))
    }

    /// A string with backslash escapes; its opening quote stands at `from`.
    fn string(&mut self, from: usize) -> Result<(), Unparsed> {
        let mut chars = self.rest.char_indices().skip(from);
        let quote = chars.next().map_or('\'', |(_, quote)| quote);
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                chars.next();
            } else if c == quote {
                return self.push(Kind::Text, at.saturating_add(1));
            }
        }
        Err(Unparsed::Unbalanced)
    }

    /// A raw string has no escapes. Readers that do not know raw strings would see one in a backslash before its end.
    fn raw_string(&mut self) -> Result<(), Unparsed> {
        let quote = self.rest.chars().nth(1).unwrap_or('\'');
        let inside = self.rest.split(quote).nth(1).ok_or(Unparsed::Unbalanced)?;
        let length = inside.len().saturating_add(3);
        if inside.ends_with('\\') || length > self.rest.len() {
            return Err(Unparsed::Unbalanced);
        }
        self.push(Kind::Text, length)
    }

    fn quoted(&mut self) -> Result<(), Unparsed> {
        self.skip(1)?;
        let mut chars = self.rest.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == '`' && chars.next_if(|(_, next)| *next == '`').is_none() {
                self.push(Kind::Quoted, at)?;
                return self.skip(1);
            }
        }
        Err(Unparsed::Unbalanced)
    }

    /// `$$ … $$`, the body of a function in another language.
    fn dollars(&mut self) -> Result<(), Unparsed> {
        let (_, inside) = self.rest.split_once("$$").ok_or(Unparsed::Unbalanced)?;
        let (body, _) = inside.split_once('$').ok_or(Unparsed::Unbalanced)?;
        let length = body.len().saturating_add(4);
        // other readers know `$tag$` too
        if !inside.get(body.len()..).is_some_and(|end| end.starts_with("$$")) {
            return Err(Unparsed::Unbalanced);
        }
        self.push(Kind::Text, length)
    }

    /// A number that ends where a number ends: `1.FROM` and `x.1` are read in more than one way. A name may begin with digits.
    fn number(&mut self) -> Result<(), Unparsed> {
        if self.at_name_with_digits() {
            return self.word();
        }
        let mut rest = self.rest.trim_start_matches(digit);
        if let Some(fraction) = rest.strip_prefix('.') {
            rest = fraction.trim_start_matches(digit);
        }
        rest = without_exponent(rest);
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (suffix, behind) = rest.split_at_checked(end).ok_or(Unparsed::Character)?;
        let known = SUFFIXES.iter().any(|known| suffix.eq_ignore_ascii_case(known));
        let is_path = self.rest.starts_with('.') && self.tokens.last().is_some_and(|last| may_have_parts(*last));
        if !known || is_path || behind.starts_with('.') {
            return Err(Unparsed::Number);
        }
        self.push(Kind::Number, self.rest.len().saturating_sub(behind.len()))
    }

    /// `2_ago`, but neither `2d` nor `2e3`, which are numbers, nor anything behind a dot.
    fn at_name_with_digits(&self) -> bool {
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let Some((word, behind)) = self.rest.split_at_checked(end) else { return false };
        let suffix = without_exponent(word.trim_start_matches(digit));
        let is_number = SUFFIXES.iter().any(|known| suffix.eq_ignore_ascii_case(known));
        // `1e+5` and `1e-5`
        let is_exponent = suffix.eq_ignore_ascii_case("e") && behind.starts_with(['+', '-']);
        let is_part = self.tokens.last().is_some_and(|last| last.text == ".");
        !word.is_empty() && !is_number && !is_exponent && !is_part
    }

    fn word(&mut self) -> Result<(), Unparsed> {
        let length = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        self.push(Kind::Word, length)?;
        // Spark takes the whole of `s3://bucket/path` for one name
        if self.rest.starts_with("://") { Err(Unparsed::Name) } else { Ok(()) }
    }

    fn symbol(&mut self) -> Result<(), Unparsed> {
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| self.rest.starts_with(**symbol)) {
            return self.push(Kind::Symbol, symbol.len());
        }
        if self.rest.starts_with([
            '(', ')', '[', ']', ',', '.', ';', ':', '?', '+', '-', '*', '/', '%', '=', '<', '>', '!', '~', '&', '|',
            '^', '@',
        ]) {
            return self.push(Kind::Symbol, 1);
        }
        Err(Unparsed::Character)
    }
}

fn digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a `.` behind this token goes on with it. `BETWEEN .05 AND .07` has numbers.
fn may_have_parts(token: Token<'_>) -> bool {
    match token.kind {
        Kind::Word => !words::is_no_operand(token.text),
        Kind::Quoted => true,
        _ => matches!(token.text, ")" | "]"),
    }
}

fn without_exponent(rest: &str) -> &str {
    let Some(exponent) = rest.strip_prefix(['e', 'E']) else { return rest };
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.starts_with(digit) { digits.trim_start_matches(digit) } else { rest }
}
