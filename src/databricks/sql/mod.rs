//! What a SQL text does: its kinds of statements, and the tables that it reads and writes.
//!
//! This is no SQL parser: the one for the Databricks dialect would make the filter eight times as large. It recognises
//! the statements that people run through a gateway, and says [`Unparsed`] for everything else, so that a rule which
//! depends on the answer can refuse. Grammar and names: Databricks SQL language reference, and Spark's
//! `SqlBaseLexer.g4` and `SqlBaseParser.g4`, which it is built on.
//!
//! What is called from more than one place is not inlined: that halves what it adds to the module (70 KB), and speed
//! does not matter here.
//!
//! Promised, and held against `sqlparser` and Spark's own parser in tests/sql.rs: if a text is parsed, no table that it touches is missing,
//! none that it writes is among its reads only, and no function is missing that it calls. What is not promised: that the text is valid, that tables behind
//! views are seen, or that a name is a table rather than a view.

mod alter;
mod call;
mod column;
mod create;
mod cursor;
mod ddl;
mod dml;
mod expression;
mod functions;
mod grant;
mod lexer;
mod name;
mod pipe;
mod query;
mod relation;
mod session;
mod statement;
mod types;
mod words;

use crate::base::sort;
use cursor::Cursor;

/// Longer texts are not read.
pub const LONGEST: usize = 64 * 1024;

/// What a statement is, by the sections of the Databricks SQL reference where one can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Queries.
    Select,
    /// `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `COPY INTO`, `LOAD DATA`, `RESTORE`, `PUT`, `REMOVE`.
    Dml,
    /// `CREATE`, `ALTER`, `DROP`, `UNDROP`, `TRUNCATE`, `COMMENT ON`, and what changes how a table is stored or
    /// maintained: `OPTIMIZE`, `VACUUM`, `ANALYZE`, `REPAIR`, `REFRESH MATERIALIZED VIEW`.
    Ddl,
    /// `GRANT`, `REVOKE`, `DENY`, and what changes who sees what by other words: owners, row filters, masks, tags.
    Grant,
    /// What reads metadata or changes the session: `SHOW`, `DESCRIBE`, `EXPLAIN` (also of a write, which it does not
    /// do), `USE`, `SET`, `CACHE`, `REFRESH TABLE`, `LIST`, `GET`.
    Other,
}

impl Class {
    /// As the configuration, records and answers spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Dml => "dml",
            Self::Ddl => "ddl",
            Self::Grant => "grant",
            Self::Other => "other",
        }
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A table or a view of any sort.
    Table,
    /// Files, by their path or URL as written: `` delta.`/mnt/x` ``, `read_files('…')`, `COPY INTO … FROM`, `LOCATION`.
    Path,
    /// A function that may read more than its arguments: every one with a dot in its name, and every other that is not
    /// known to come with Databricks and to be harmless. Its name is completed like a table's, so `http_request` is
    /// `catalog.schema.http_request` here; [`Scan::functions`] has it as written.
    Function,
    /// A schema as a whole.
    Schema,
    /// A catalog as a whole.
    Catalog,
    /// Something else that can be granted or dropped: a volume, a metastore, any file.
    Other,
}

impl Kind {
    /// How many parts a full name has.
    fn parts(self) -> usize {
        match self {
            Self::Catalog => 1,
            Self::Schema => 2,
            Self::Table | Self::Function | Self::Other => 3,
            Self::Path => 0,
        }
    }
}

/// Something that a statement reads or writes.
///
/// A rule about tables cannot speak of other kinds: it must refuse them, and names that are not resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// `catalog.schema.table` in lower case; a path as written. As much of the name as was written, if not resolved.
    pub name: String,
    /// Whether the name is complete. If not, the session's catalog or schema would have to be known.
    pub resolved: bool,
}

/// Why a text was not understood. Never holds any of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Unparsed {
    /// No statement in it.
    #[error("no statement")]
    Empty,
    /// More than [`LONGEST`] bytes.
    #[error("too long")]
    TooLong,
    /// Deeper nesting, or more names of CTEs in sight, than is followed.
    #[error("nested too deeply")]
    TooDeep,
    /// NUL anywhere, or what is not ASCII outside of strings, comments and back-quotes.
    #[error("a character that is not part of SQL")]
    Character,
    /// A string, comment, name or parenthesis that does not end, or not at the same place for all readers.
    #[error("a quote, comment or parenthesis without a clear end")]
    Unbalanced,
    /// `${…}`, which Spark replaces before it reads the text.
    #[error("a variable in the text")]
    Substitution,
    /// A number or a name beginning with a digit that can be cut in two ways.
    #[error("a number without a clear end")]
    Number,
    /// A name of a table that is not made of one to three plain parts, or that may be a path.
    #[error("not the plain name of a table")]
    Name,
    /// What is touched is known only when it runs: `IDENTIFIER` of something else than a string, `EXECUTE IMMEDIATE`,
    /// procedures, scripts.
    #[error("its effect is only known when it runs")]
    Dynamic,
    /// A statement that this does not know.
    #[error("an unknown statement")]
    Statement,
    /// Anything else that was not expected.
    #[error("not understood")]
    Syntax,
}

/// What a text does. If it was not parsed, the lists hold what was seen until then and are good for a log only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Whether all of the text was understood; a rule that depends on its content must refuse otherwise.
    pub parsed: Result<(), Unparsed>,
    /// One for each statement, in their order.
    pub classes: Vec<Class>,
    /// What is read. Sorted.
    pub reads: Vec<Object>,
    /// What is written, created, dropped, altered or granted. Such a table is not among the reads for that alone, though
    /// `UPDATE t … WHERE` learns something of it. Sorted.
    pub writes: Vec<Object>,
    /// All functions called, in lower case, as written; also those among `reads`. Sorted.
    pub functions: Vec<String>,
    /// Has `EXECUTE IMMEDIATE` (and is unparsed).
    pub execute_immediate: bool,
}

impl Scan {
    /// Whether it is exactly one statement.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.classes.len() == 1
    }
}

/// Reads `text` with the session's `catalog` and `schema`, by which names of less than three parts are completed.
///
/// Give `None` for what is not certain: in a session that lasts, an earlier `USE` may have changed both.
#[must_use]
#[inline(never)]
pub fn scan(text: &str, catalog: Option<&str>, schema: Option<&str>) -> Scan {
    let plain = |part: &str| name::is_plain(part).then(|| part.to_ascii_lowercase());
    let home = Home { catalog: catalog.and_then(plain), schema: schema.and_then(plain) };
    let mut found = Found::default();
    let parsed = read(text, home, &mut found);
    found.into_scan(parsed)
}

fn read(text: &str, home: Home, found: &mut Found) -> Result<(), Unparsed> {
    if text.len() > LONGEST {
        return Err(Unparsed::TooLong);
    }
    let tokens = lexer::tokens(text)?;
    found.execute_immediate = has_execute_immediate(&tokens);
    Cursor::new(&tokens, home, found).statements()
}

/// Wherever it stands, also in scripts, which are not followed.
fn has_execute_immediate(tokens: &[lexer::Token<'_>]) -> bool {
    let is = |token: &lexer::Token<'_>, word: &str| token.text.eq_ignore_ascii_case(word);
    tokens.windows(2).any(|pair| matches!(pair, [a, b] if is(a, "execute") && is(b, "immediate")))
}

/// Where names without a catalog or schema belong; plain and in lower case.
#[derive(Clone, Debug, Default)]
struct Home {
    catalog: Option<String>,
    schema: Option<String>,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Found {
    classes: Vec<Class>,
    reads: Vec<Object>,
    writes: Vec<Object>,
    functions: Vec<String>,
    execute_immediate: bool,
}

impl Found {
    fn into_scan(self, parsed: Result<(), Unparsed>) -> Scan {
        Scan {
            parsed,
            classes: self.classes,
            reads: each_once(self.reads),
            writes: each_once(self.writes),
            functions: each_once(self.functions),
            execute_immediate: self.execute_immediate,
        }
    }
}

/// In order. A set would be a tree, and many names of one text would have to be moved for each.
fn each_once<T: Ord>(mut found: Vec<T>) -> Vec<T> {
    sort(&mut found);
    found.dedup();
    found
}
