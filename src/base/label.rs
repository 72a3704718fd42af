//! A text that is copied without allocating.

use serde::{Serialize, Serializer};
use std::fmt::{self, Write};
use std::ops::Deref;
use std::rc::Rc;

/// Texts of so many bytes stand in the value itself: names of methods, digests, times, UUIDs.
const ROOM: usize = 38;

/// A text that is not changed any more: a short one stands in it, a longer one is shared.
pub struct Label(Held);

#[derive(Clone)]
enum Held {
    Short(u8, [u8; ROOM]),
    Shared(Rc<str>),
}

/// Out of line: records have many, and one is cloned where it is shortened.
impl Clone for Label {
    #[inline(never)]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Label {
    /// What `value` displays.
    #[must_use]
    #[inline(never)]
    pub fn of(value: &dyn fmt::Display) -> Self {
        let mut label = Self::default();
        match write!(label, "{value}") {
            Ok(()) => label,
            // it was too long
            Err(fmt::Error) => value.to_string().into(),
        }
    }

    /// The text.
    #[must_use]
    #[inline(never)]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // what was put in was text
            Held::Short(length, bytes) => {
                bytes.get(..usize::from(*length)).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
            }
            Held::Shared(text) => text,
        }
    }
}

/// Writes behind what is there, as far as there is room.
impl fmt::Write for Label {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Held::Short(length, bytes) = &mut self.0 else { return Err(fmt::Error) };
        let begin = usize::from(*length);
        let end = begin.checked_add(text.len()).ok_or(fmt::Error)?;
        bytes.get_mut(begin..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        *length = u8::try_from(end).map_err(|_| fmt::Error)?;
        Ok(())
    }
}

impl Default for Label {
    fn default() -> Self {
        Self(Held::Short(0, [0; ROOM]))
    }
}

impl From<&str> for Label {
    #[inline(never)]
    fn from(text: &str) -> Self {
        let mut label = Self::default();
        match label.write_str(text) {
            Ok(()) => label,
            Err(fmt::Error) => Self(Held::Shared(text.into())),
        }
    }
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// Without a copy, however long it is.
impl From<&Rc<str>> for Label {
    fn from(text: &Rc<str>) -> Self {
        Self(Held::Shared(Rc::clone(text)))
    }
}

impl Deref for Label {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<[u8]> for Label {
    fn as_ref(&self) -> &[u8] {
        self.as_str().as_bytes()
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Label {}

impl PartialEq<&str> for Label {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// As any text.
#[cfg(feature = "schema")]
impl schemars::JsonSchema for Label {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_its_text_however_long_and_wherever_it_stands() {
        for text in ["", "GET", &"a".repeat(ROOM), &"a".repeat(ROOM + 1), &"é".repeat(15), &"é".repeat(300)] {
            let label = Label::from(text);
            assert_eq!((label.as_str(), &*label.clone()), (text, text));
            assert_eq!((&label, &label), (&Label::from(&Rc::from(text)), &Label::of(&text)), "however it was made");
            assert_eq!(serde_json::to_value(&label).unwrap(), text);
        }
        assert_ne!(Label::from("a"), Label::from("a\0"));
        assert_eq!(Label::default(), "");
    }
}
