//! Names of tables and other objects: put together from their parts, completed and folded as Unity Catalog does it.

use super::{Home, Kind, Object, Unparsed};

/// Formats that may stand before a path: `` delta.`/mnt/x` ``.
const FORMATS: [&str; 11] =
    ["delta", "parquet", "csv", "json", "text", "avro", "orc", "xml", "binaryfile", "iceberg", "hudi"];

/// As many as `catalog.schema.table.column` has.
const MOST_PARTS: usize = 4;

/// A name as written. Doubled back-quotes in it are left as they are, because no name that is resolved may have one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Name<'a> {
    parts: [&'a str; MOST_PARTS],
    /// May be more than there is room for.
    count: usize,
}

impl<'a> Name<'a> {
    #[inline(never)]
    pub(super) fn push(&mut self, part: &'a str) {
        if let Some(place) = self.parts.get_mut(self.count) {
            *place = part;
        }
        self.count = self.count.saturating_add(1);
    }

    pub(super) fn pop(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// All parts, or the first ones of too many.
    #[inline(never)]
    pub(super) fn parts(&self) -> &[&'a str] {
        self.parts.get(..self.count).unwrap_or(&self.parts)
    }

    /// The name, if it is of one part.
    #[inline(never)]
    pub(super) fn single(&self) -> Option<&'a str> {
        if self.count == 1 { self.parts.first().copied() } else { None }
    }

    pub(super) fn joined(&self) -> String {
        let mut joined = String::new();
        self.parts().iter().for_each(|part| push_part(&mut joined, part));
        joined
    }
}

fn push_part(name: &mut String, part: &str) {
    if !name.is_empty() {
        name.push('.');
    }
    name.push_str(part);
    name.make_ascii_lowercase();
}

/// The object that `written` names.
///
/// # Errors
/// Parts that no table can have (Databricks SQL reference, Names: no dots, slashes, spaces or control characters; this
/// also refuses what is not ASCII), too many parts, or a name that might be a path as well.
#[inline(never)]
pub(super) fn resolve(kind: Kind, written: &Name<'_>, home: &Home) -> Result<Object, Unparsed> {
    if kind == Kind::Table
        && let Some(path) = path(written.parts())?
    {
        return Ok(path);
    }
    let all = kind.parts();
    if written.count == 0 || written.count > all || !written.parts().iter().all(|part| is_plain(part)) {
        return Err(Unparsed::Name);
    }
    let missing = all.saturating_sub(written.count);
    let mut name = String::new();
    // a catalog without a schema would be read as a name of two parts, so it is both or none
    let resolved = match (missing, &home.catalog, &home.schema) {
        (0, _, _) => true,
        (1, Some(catalog), _) => {
            push_part(&mut name, catalog);
            true
        }
        (2, Some(catalog), Some(schema)) => {
            push_part(&mut name, catalog);
            push_part(&mut name, schema);
            true
        }
        _ => false,
    };
    written.parts().iter().for_each(|part| push_part(&mut name, part));
    Ok(Object { kind, name, resolved })
}

/// Whether `provider` reads and writes files.
pub(super) fn is_format(provider: &str) -> bool {
    FORMATS.iter().any(|format| provider.eq_ignore_ascii_case(format))
}

fn path(parts: &[&str]) -> Result<Option<Object>, Unparsed> {
    let [first, second] = parts else { return Ok(None) };
    let is_format = is_format(first);
    match (is_format, second.bytes().any(|byte| matches!(byte, b'/' | b':'))) {
        (true, true) if !second.contains('`') => {
            Ok(Some(Object { kind: Kind::Path, name: (*second).to_owned(), resolved: true }))
        }
        (false, false) => Ok(None),
        // `json.events` is a table, or a file if there is no such table; and other formats can be installed
        _ => Err(Unparsed::Name),
    }
}

/// A part that means the same to everybody, in a name that can be joined with dots and matched against a glob.
#[inline(never)]
pub(super) fn is_plain(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// The name in a string, as `IDENTIFIER('a.b')` and `table_changes('a.b', 1)` have it.
///
/// # Errors
/// Anything but plain parts between dots.
pub(super) fn of_text(text: &str) -> Result<Name<'_>, Unparsed> {
    let mut name = Name::default();
    text.split('.').for_each(|part| name.push(part));
    if name.parts().iter().all(|part| is_plain(part)) { Ok(name) } else { Err(Unparsed::Name) }
}

/// The value of a string literal that has nothing to undo.
#[inline(never)]
pub(super) fn plain_text(literal: &str) -> Option<&str> {
    let quote = literal.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let inside = literal.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inside.contains(['\\', quote])).then_some(inside)
}
