//! Names of tables and other objects: put together from their parts, completed and folded as Unity Catalog does it.

use super::{Home, Kind, Object, Unparsed};

/// Formats that may stand before a path: `` delta.`/mnt/x` ``.
const FORMATS: [&str; 11] =
    ["delta", "parquet", "csv", "json", "text", "avro", "orc", "xml", "binaryfile", "iceberg", "hudi"];

/// One part as written, back-quotes already undone.
pub(super) type Part = String;

/// The object that `parts` names.
///
/// # Errors
/// Parts that no table can have (Databricks SQL reference, Names: no dots, slashes, spaces or control characters; this
/// also refuses what is not ASCII), more than three parts, or a name that might be a path as well.
pub(super) fn resolve(kind: Kind, parts: &[Part], home: &Home) -> Result<Object, Unparsed> {
    if kind == Kind::Table
        && let Some(path) = path(parts)?
    {
        return Ok(path);
    }
    if parts.is_empty() || parts.len() > kind.parts() || !parts.iter().all(|part| is_plain(part)) {
        return Err(Unparsed::Name);
    }
    let missing = kind.parts().saturating_sub(parts.len());
    let before: Vec<Option<&str>> =
        [home.catalog.as_deref(), home.schema.as_deref()].into_iter().take(missing).collect();
    let resolved = before.iter().all(Option::is_some);
    // a catalog without a schema would be read as a name of two parts
    let known = if resolved { before } else { Vec::new() };
    let parts: Vec<&str> = known.into_iter().flatten().chain(parts.iter().map(String::as_str)).collect();
    Ok(Object { kind, name: parts.join(".").to_ascii_lowercase(), resolved })
}

fn path(parts: &[Part]) -> Result<Option<Object>, Unparsed> {
    let [first, second] = parts else { return Ok(None) };
    let is_format = FORMATS.iter().any(|format| first.eq_ignore_ascii_case(format));
    match (is_format, second.contains(['/', ':'])) {
        (true, true) => Ok(Some(Object { kind: Kind::Path, name: second.clone(), resolved: true })),
        // `json.events` is a table, or a file if there is no such table; and other formats can be installed
        (true, false) | (false, true) => Err(Unparsed::Name),
        (false, false) => Ok(None),
    }
}

/// A part that means the same to everybody, in a name that can be joined with dots and matched against a glob.
pub(super) fn is_plain(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// The parts of a name in a string, as `IDENTIFIER('a.b')` and `table_changes('a.b', 1)` have it.
///
/// # Errors
/// Anything but plain parts between dots.
pub(super) fn parts_of(text: &str) -> Result<Vec<Part>, Unparsed> {
    let parts: Vec<Part> = text.split('.').map(str::to_owned).collect();
    if parts.iter().all(|part| is_plain(part)) { Ok(parts) } else { Err(Unparsed::Name) }
}

/// The value of a string literal that has nothing to undo.
pub(super) fn plain_text(literal: &str) -> Option<&str> {
    let quote = literal.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let inside = literal.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inside.contains(['\\', quote])).then_some(inside)
}
