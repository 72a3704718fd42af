//! How answers are written: for people or for programs, and as exit codes.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: fine, or the request is allowed.
    Fine,
    /// 1: something could not be done, or a test failed.
    Failure,
    /// 2: the request is denied.
    Denied,
    /// 3: the configuration is invalid.
    Invalid,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Failure => 1,
            Exit::Denied => 2,
            Exit::Invalid => 3,
        })
    }
}

/// Why a command did not do what it is for: 3 where a file is not YAML, or not what it must be, which is no other command's to say otherwise;
/// 1 for all else.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    /// A file is not YAML, or not what it must be.
    pub(crate) const fn invalid(message: String) -> Self {
        Self { exit: Exit::Invalid, message }
    }

    /// Says it on standard error. What is wrong at a line of a file begins with that, as compilers have it.
    pub(crate) fn say(&self) -> Exit {
        eprintln!("databricks-kong: {}", self.message);
        self.exit
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { exit: Exit::Failure, message }
    }
}

/// For whom answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Human,
    /// For programs
    Json,
    /// For build servers, as JUnit XML
    Junit,
}

impl Format {
    /// Reads the forms that every command has.
    pub(crate) fn of_every_command() -> impl TypedValueParser<Value = Self> {
        PossibleValuesParser::new(["human", "json"]).map(|name| if name == "json" { Self::Json } else { Self::Human })
    }
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether to use escape sequences at all.
    pub(crate) colored: bool,
}

impl Style {
    /// What `color` means where standard output goes.
    pub(crate) fn new(color: Color) -> Self {
        let wanted =
            || std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colored = match color {
            Color::Auto => wanted(),
            Color::Always => true,
            Color::Never => false,
        };
        Self { colored }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colored { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Writes to standard output. Whoever reads it may have seen enough (`| head`), which is no failure.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Says on standard error what went wrong.
pub(crate) fn fail(message: &str) -> Exit {
    eprintln!("databricks-kong: {message}");
    Exit::Failure
}

/// Columns of the width that they need, the last one without blanks behind it.
pub(crate) fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>, style: Style) -> String {
    let rows: Vec<_> = rows.collect();
    let widths: Vec<_> = head
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.max().unwrap_or(0).max(name.len())
        })
        .collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head: Vec<_> = head.iter().map(|name| (*name).to_owned()).collect();
    let mut text = format!("{}\n", style.bold(&line(&head)));
    for row in &rows {
        text.push_str(&line(row));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "long".to_owned()], vec!["bcd".to_owned(), String::new()]];
        let text = table(&["X", "Y"], rows.into_iter(), Style { colored: false });
        assert_eq!(text, "X    Y\na    long\nbcd\n");
    }

    #[test]
    fn without_colours_there_is_no_escape() {
        assert_eq!(Style { colored: false }.bad("x"), "x");
        assert_eq!(Style { colored: true }.bad("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
