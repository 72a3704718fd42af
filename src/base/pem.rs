//! PEM, by the strict grammar of RFC 7468: one text, no headers, lines of 64.

use base64ct::{Base64, Decoder};

/// The label of a PEM text and what it holds. What stands before it is passed over, and nothing but the end of a line may follow it. Takes
/// the same time whatever a text of that length holds.
#[must_use]
pub fn from_pem(text: &str) -> Option<(&str, Vec<u8>)> {
    const LINE: usize = 64;
    let begin = if text.starts_with(BEGIN) { 0 } else { text.find(&format!("\n{BEGIN}"))?.checked_add(1)? };
    let (label, body) = text.get(begin..)?.strip_prefix(BEGIN)?.split_once(DASHES)?;
    let body = without_end_of_line(body).unwrap_or(body).strip_suffix(DASHES)?;
    let body = without_end_of_line(body.strip_suffix(label)?.strip_suffix(END)?)?;
    let body = body.strip_prefix("\r\n").or_else(|| body.strip_prefix(['\n', '\r']))?;
    let mut contents = Vec::new();
    Decoder::<Base64>::new_wrapped(body.as_bytes(), LINE).ok()?.decode_to_end(&mut contents).ok()?;
    Some((label, contents))
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

fn without_end_of_line(text: &str) -> Option<&str> {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix(['\n', '\r']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_whatever_its_ends_of_lines_and_what_stands_before_it() {
        for text in [
            "-----BEGIN A B-----\nAQID\n-----END A B-----\n",
            "-----BEGIN A B-----\r\nAQID\r\n-----END A B-----",
            "subject: x\n-----BEGIN A B-----\nAQID\n-----END A B-----",
        ] {
            assert_eq!(from_pem(text), Some(("A B", vec![1, 2, 3])), "{text}");
        }
        let long = format!("-----BEGIN A-----\n{}\n{}\n-----END A-----\n", "A".repeat(64), "A".repeat(8));
        assert_eq!(from_pem(&long), Some(("A", vec![0; 54])));
    }

    #[test]
    fn what_is_no_such_text_is_nothing() {
        for text in [
            "",
            "AQID",
            "-----BEGIN A-----",
            "-----BEGIN A-----\nAQID\n",
            "-----BEGIN A-----\nAQID\n-----END B-----\n",
            "-----BEGIN A-----\nAQID-----END A-----\n",
            "-----BEGIN A-----AQID\n-----END A-----\n",
            "-----BEGIN A-----\nAQID\n-----END A-----\nx",
            "-----BEGIN A-----\nAQI\n-----END A-----\n",
            "-----BEGIN A-----\nAQ\nID\n-----END A-----\n",
            "-----BEGIN A-----\nAQIé\n-----END A-----\n",
            "-----BEGIN A-----\nX: y\n\nAQID\n-----END A-----\n",
            "-----BEGIN A-----\nAQID\n-----END A-----\n-----BEGIN A-----\nAQID\n-----END A-----\n",
        ] {
            assert_eq!(from_pem(text), None, "{text}");
        }
    }
}
