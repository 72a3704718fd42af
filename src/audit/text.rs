//! Texts as they may stand in a record: short, plain, and no credentials.

use crate::base::Label;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use std::io;
use std::rc::Rc;

/// What stands in place of a text that looks like a credential.
const REDACTED: &str = "[redacted]";
/// What a text ends in that was cut.
const CUT: char = '…';

/// `text` without its end, if it would take more than `room` bytes as JSON; whether it was cut. A text that looks like a credential is
/// replaced.
#[inline(never)]
pub(super) fn fit(text: &str, room: usize) -> (Label, bool) {
    if looks_like_credential(text) {
        return (REDACTED.into(), false);
    }
    if is_plain(text, room) {
        return (text.into(), false);
    }
    let mut left = room;
    for (at, character) in text.char_indices() {
        match left.checked_sub(cost(character)) {
            Some(rest) => left = rest,
            None => {
                let mut cut = text.get(..at).unwrap_or_default().to_owned();
                cut.push(CUT);
                return (cut.into(), true);
            }
        }
    }
    (text.into(), false)
}

/// As [`fit`], of a text that is shared, and stays so.
pub(super) fn fit_shared(text: &Rc<str>, room: usize) -> (Label, bool) {
    if is_plain(text, room) && !looks_like_credential(text) { (text.into(), false) } else { fit(text, room) }
}

/// Whether a text stands in JSON as it is and there is room for it, as of nearly all.
#[inline(never)]
fn is_plain(text: &str, room: usize) -> bool {
    text.len() <= room && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

/// How many bytes a character takes in a record.
fn cost(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        ' '..='~' => 1,
        _ => character.len_utf16().saturating_mul(6),
    }
}

/// A client may write a token where an id belongs.
fn looks_like_credential(text: &str) -> bool {
    // no credential is shorter, and most texts are
    if text.len() < 32 {
        return false;
    }
    // JWTs, Databricks' personal tokens and OAuth secrets
    text.contains("eyJ") && text.len() > 40
        || ["dapi", "dose", "dkea", "dsapi"].iter().any(|prefix| {
            text.split(|character: char| !character.is_ascii_alphanumeric())
                .any(|word| word.len() >= 32 && word.starts_with(prefix))
        })
}

/// JSON of printable ASCII alone: no character of a request can end a log line, move a terminal's cursor or change the reading order.
pub(super) fn to_ascii_json(value: &impl Serialize) -> String {
    let mut bytes = Vec::with_capacity(768);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Ascii);
    // writing to a vector cannot fail, and a record has only what JSON has
    let _ = value.serialize(&mut serializer);
    String::from_utf8(bytes).unwrap_or_default()
}

struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return CompactFormatter.write_string_fragment(writer, fragment);
        }
        for character in fragment.chars() {
            if matches!(character, ' '..='~') {
                write!(writer, "{character}")?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn whatever_a_text_holds_the_json_is_one_line_of_printable_ascii_and_says_the_same() {
        for text in ["plain", "a\r\nb\0", "\u{7f}\u{9b}31m", "\u{202e}\u{2028}\u{feff}", "日本 😀 é", "\"\\</script>"]
        {
            let written = to_ascii_json(&json!({ "text": text }));
            assert!(written.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{written}");
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap()["text"], text);
        }
    }

    #[test]
    fn a_text_is_cut_where_its_json_would_be_too_long() {
        assert_eq!(fit("abc", 3), ("abc".into(), false));
        assert_eq!(fit("abcd", 3), ("abc…".into(), true));
        assert_eq!(fit("\"\"", 3), ("\"…".into(), true));
        assert_eq!(fit("éé", 11), ("é…".into(), true));
        assert_eq!(fit("😀", 11), ("…".into(), true));
        assert_eq!(fit("😀", 12), ("😀".into(), false));
    }

    #[test]
    fn what_looks_like_a_credential_is_not_recorded() {
        let jwt = format!("eyJ{}.eyJ{}.sig", "a".repeat(20), "b".repeat(20));
        for text in [jwt.as_str(), &format!("x-{jwt}"), &format!("dapi{}", "0".repeat(32)), &"dose".repeat(9)] {
            assert_eq!(fit(text, 500), (REDACTED.into(), false), "{text}");
        }
        for text in ["keyJobs", "dapi-team", "main.sales.orders", "anna@example.com"] {
            assert_eq!(fit(text, 500).0, text);
        }
    }
}
