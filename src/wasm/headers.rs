//! Lists of headers as hosts and filters hand them to each other: a count, the lengths, then the texts, each ended by a zero.

use super::abi::HostError;

/// A name and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// Reads a list. Names and values are any bytes.
///
/// # Errors
/// The bytes are no such list.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Pair<'_>>, HostError> {
    const MALFORMED: HostError = HostError(u32::MAX);
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let (count, rest) = take_length(bytes).ok_or(MALFORMED)?;
    let (mut lengths, mut texts) = rest.split_at_checked(count.saturating_mul(8)).ok_or(MALFORMED)?;
    let mut pairs = Vec::with_capacity(count);
    while !lengths.is_empty() {
        let (name_length, rest) = take_length(lengths).ok_or(MALFORMED)?;
        let (value_length, rest) = take_length(rest).ok_or(MALFORMED)?;
        lengths = rest;
        let (name, rest) = take_text(texts, name_length).ok_or(MALFORMED)?;
        let (value, rest) = take_text(rest, value_length).ok_or(MALFORMED)?;
        texts = rest;
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*length)).ok()?, rest))
}

fn take_text(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(length)?;
    Some((text, rest.strip_prefix(&[0])?))
}

/// Writes a list.
pub(super) fn serialize(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut length = |length: usize| bytes.extend(u32::try_from(length).unwrap_or(0).to_le_bytes());
    length(pairs.len());
    for (name, value) in pairs {
        length(name.len());
        length(value.len());
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(text.bytes());
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let bytes = serialize(&[(":method", "GET"), ("a", ""), ("", "b")]);
        let expected: [(&[u8], &[u8]); 3] = [(b":method", b"GET"), (b"a", b""), (b"", b"b")];
        assert_eq!(parse(&bytes).unwrap(), expected);
        assert_eq!(parse(&serialize(&[])).unwrap(), []);
        assert_eq!(parse(b"").unwrap(), []);
    }

    #[test]
    fn no_bytes_make_it_fail_otherwise_than_by_an_error() {
        let good = serialize(&[("name", "value"), ("n", "v")]);
        for end in 1..good.len() {
            assert!(parse(good.get(..end).unwrap()).is_err(), "{end}");
        }
        assert!(parse(&[0xff; 64]).is_err());
        let mut no_zero = good;
        *no_zero.last_mut().unwrap() = b'x';
        assert!(parse(&no_zero).is_err());
    }
}
