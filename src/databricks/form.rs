//! `application/x-www-form-urlencoded`, read strictly: for queries and for bodies of token requests.

use super::target::Ambiguity;
use crate::base::encoded_byte;
use std::borrow::Cow;

/// One name and its value, decoded.
pub type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Reads all parameters of `text`, in their order, repeated ones included.
///
/// # Errors
/// A bad percent-encoding, bytes that are not UTF-8, a control character, or a bare `;`, which some readers take for `&`.
pub fn read_form(text: &str) -> Result<Vec<Parameter<'_>>, Ambiguity> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

fn decoded(text: &str) -> Result<Cow<'_, str>, Ambiguity> {
    if text.contains(';') {
        return Err(Ambiguity::QueryCharacter);
    }
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match byte {
            b'%' => encoded_byte(after).ok_or(Ambiguity::Encoding)?,
            b'+' => (b' ', after),
            other => (other, after),
        };
        if byte < 0x20 || byte == 0x7f {
            return Err(Ambiguity::QueryCharacter);
        }
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| Ambiguity::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_in_order() {
        let form = read_form("a=1&b=x+y%2Fz&a=2&c&=d").unwrap();
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        assert_eq!(form, [("a", "1"), ("b", "x y/z"), ("a", "2"), ("c", ""), ("", "d")]);
    }

    #[test]
    fn what_readers_take_differently_is_refused() {
        use Ambiguity::{Encoding, QueryCharacter};
        for (text, why) in [("a=%", Encoding), ("a=%f", Encoding), ("%ff=a", Encoding), ("a;b", QueryCharacter)] {
            assert_eq!(read_form(text).err(), Some(why), "{text}");
        }
        assert_eq!(read_form("a=%0a").err(), Some(QueryCharacter));
    }
}
