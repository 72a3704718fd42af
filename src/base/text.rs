//! The one way in which percent-encodings are undone and in which names are compared without case.

use super::case::case_folded;

/// The byte that two hexadecimal digits after a `%` stand for, and what follows them (RFC 3986 section 2.1).
#[must_use]
pub fn encoded_byte(after_percent: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = after_percent.split_first_chunk::<2>()?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let [high, low] = *digits;
    Some((digit(high)?.checked_shl(4)? | digit(low)?, rest))
}

/// `text` with its percent-encodings undone, once. `None` if one is bad, or if what comes out is not UTF-8.
#[must_use]
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = if byte == b'%' { encoded_byte(after)? } else { (byte, after) };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// The characters of a name without underscores and case: protocol buffers' JSON takes `jobId` and `job_id` for the same field
/// (protobuf.dev, ProtoJSON), and other readers do not tell `Job_Id` from them.
pub fn folded(name: &str) -> impl Iterator<Item = char> {
    case_folded(name).filter(|character| *character != '_')
}

/// Whether two names are the same without underscores and case.
#[must_use]
pub fn folds_alike(one: &str, other: &str) -> bool {
    folded(one).eq(folded(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_undone_once() {
        for (text, decoded) in [("a%20b", Some("a b")), ("%2525", Some("%25")), ("%C3%A9", Some("é")), ("a", Some("a"))]
        {
            assert_eq!(percent_decoded(text).as_deref(), decoded);
        }
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(percent_decoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_alike_in_any_case_with_and_without_underscores() {
        for name in ["jobId", "JOB_ID", "job__id", "jobid"] {
            assert!(folds_alike("job_id", name), "{name}");
        }
        assert!(folds_alike("k", "\u{212a}") && !folds_alike("job_id", "job-id"));
    }
}
