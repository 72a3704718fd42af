//! `application/x-www-form-urlencoded` text, read strictly: what is malformed is refused and nothing is guessed.

/// The pairs in their order, duplicates kept.
pub(crate) fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(|byte| *byte == b'&').map(pair).collect()
}

/// The pairs, if no name comes twice.
pub(crate) fn unique_pairs(text: &[u8]) -> Result<Vec<(String, String)>, String> {
    let pairs = pairs(text)?;
    for (at, (name, _)) in pairs.iter().enumerate() {
        if pairs.iter().take(at).any(|(earlier, _)| earlier == name) {
            return Err(format!("Parameter '{name}' is repeated."));
        }
    }
    Ok(pairs)
}

fn pair(text: &[u8]) -> Result<(String, String), String> {
    let at = text.iter().position(|byte| *byte == b'=');
    let (name, value) = match at {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at.saturating_add(1)..).unwrap_or_default()),
        None => (text, [].as_slice()),
    };
    let name = decode(name)?;
    if name.is_empty() {
        return Err("A parameter has no name.".into());
    }
    Ok((name, decode(value)?))
}

fn decode(text: &[u8]) -> Result<String, String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => escaped(bytes.next(), bytes.next()).ok_or("A percent escape is malformed.")?,
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| "A parameter is not UTF-8.".into())
}

fn escaped(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)?.wrapping_shl(4) | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_as_clients_encode() {
        let pairs = unique_pairs(b"scope=jobs+sql&x=%2Fa%2fb&empty=&bare").unwrap();
        let expected = [("scope", "jobs sql"), ("x", "/a/b"), ("empty", ""), ("bare", "")];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn keeps_duplicates_or_refuses_them() {
        assert_eq!(pairs(b"a=1&a=2").unwrap().len(), 2);
        assert_eq!(unique_pairs(b"a=1&%61=2").unwrap_err(), "Parameter 'a' is repeated.");
    }

    #[test]
    fn refuses_what_is_malformed() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "=1", "a=1&&b=2"] {
            assert!(pairs(text.as_bytes()).is_err(), "{text}");
        }
    }
}
