//! JSON from outside: tokens, keys, discovery documents, replies of token endpoints, bodies of requests.
//!
//! Two parsers that read one text differently are how a check is passed by and another value used (RFC 8725 2.7, RFC
//! 8259 4), so a text that leaves room for it is refused: a key that is there twice, anything after the value, numbers
//! that no `f64` holds, text that is not UTF-8. Depth is bounded, because a deeply nested text must not exhaust the
//! stack (CVE-2026-48042).

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;

/// `serde_json` stops at 127 levels with an error that cannot be told from bad syntax; this stops earlier, with its
/// own.
const DEEPEST: usize = 100;

/// Why a text was refused. Never holds any of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Not one JSON value (RFC 8259) in UTF-8, or a number that is too large to hold.
    #[error("not valid JSON")]
    Syntax,
    /// Some object has one key twice, escapes undone.
    #[error("an object has a key twice")]
    DuplicateKey,
    /// More arrays and objects inside one another than allowed.
    #[error("nested too deeply")]
    TooDeep,
    /// A JSON value, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Reads `bytes` as exactly one JSON object.
///
/// `max_depth` counts the object itself: 1 allows members with plain values only. More than 100 is taken as 100.
///
/// # Errors
///
/// See [`JsonFault`]; refuse whatever the text was part of.
pub fn parse_object_strict(bytes: &[u8], max_depth: usize) -> Result<Map<String, Value>, JsonFault> {
    match parse_strict(bytes, max_depth)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonFault::NotAnObject),
    }
}

/// Reads `bytes` as exactly one JSON value of any kind; otherwise as [`parse_object_strict`].
///
/// # Errors
///
/// See [`JsonFault`]; never [`JsonFault::NotAnObject`].
pub fn parse_strict(bytes: &[u8], max_depth: usize) -> Result<Value, JsonFault> {
    let fault = Cell::new(JsonFault::Syntax);
    parse(bytes, max_depth, &fault, None).map_err(|_| fault.get())
}

/// Reads `bytes` as [`parse_strict`] does, but past keys that are there twice, for a text whose author wants to know of each: the value
/// that has the first of each key, and JSON pointers to those that are there again. With any such pointer, refuse the text.
///
/// # Errors
///
/// What is no JSON, or nested too deeply, and where; holds none of the text.
pub fn parse_noting_duplicates(bytes: &[u8], max_depth: usize) -> Result<(Value, Vec<String>), serde_json::Error> {
    let twice = RefCell::new(Vec::new());
    let value = parse(bytes, max_depth, &Cell::new(JsonFault::Syntax), Some(&twice))?;
    Ok((value, twice.into_inner()))
}

/// Reads one member of an object, if it is there, and passes over the others: of a text of megabytes no tree is made. Of keys that are there
/// twice only this one is refused; a `T` that borrows lets its parts be read strictly.
///
/// # Errors
///
/// What is not exactly one JSON object, or its member no `T`; holds none of the text.
pub fn read_member<'t, T: Deserialize<'t>>(bytes: &'t [u8], name: &str) -> Result<Option<T>, serde_json::Error> {
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let value = text.deserialize_map(Member { name, value: PhantomData })?;
    text.end()?;
    Ok(value)
}

/// An object of these members. (To collect them would sort them first, with a sort of its own in the module.)
pub fn object(members: impl IntoIterator<Item = (&'static str, Value)>) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in members {
        object.insert(name.to_owned(), value);
    }
    object
}

struct Member<'n, T> {
    name: &'n str,
    value: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Member<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Option<T>, A::Error> {
        let mut value = None;
        while let Some(key) = members.next_key::<String>()? {
            if key != self.name {
                members.next_value::<IgnoredAny>()?;
            } else if value.replace(members.next_value()?).is_some() {
                return Err(A::Error::custom(JsonFault::DuplicateKey));
            }
        }
        Ok(value)
    }
}

fn parse(
    bytes: &[u8],
    max_depth: usize,
    fault: &Cell<JsonFault>,
    twice: Option<&RefCell<Vec<String>>>,
) -> Result<Value, serde_json::Error> {
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: max_depth.min(DEEPEST), fault, twice, at: None }.deserialize(&mut text)?;
    text.end().inspect_err(|_| fault.set(JsonFault::Syntax))?;
    Ok(value)
}

/// One value, with `depth` levels left. `serde` carries errors as text only, so the kind goes out through `fault`.
#[derive(Clone, Copy)]
struct Strict<'f> {
    depth: usize,
    fault: &'f Cell<JsonFault>,
    /// Where keys that are there twice are noted, if they are not refused.
    twice: Option<&'f RefCell<Vec<String>>>,
    at: Option<&'f Step<'f>>,
}

/// The last step of the way to a value.
#[derive(Clone, Copy)]
struct Step<'f> {
    name: Name<'f>,
    before: Option<&'f Self>,
}

#[derive(Clone, Copy)]
enum Name<'f> {
    Key(&'f str),
    Index(usize),
}

impl Step<'_> {
    /// As a JSON pointer (RFC 6901).
    fn pointer(self) -> String {
        let before = self.before.map_or_else(String::new, |before| before.pointer());
        match self.name {
            Name::Key(key) => format!("{before}/{}", key.replace('~', "~0").replace('/', "~1")),
            Name::Index(index) => format!("{before}/{index}"),
        }
    }
}

impl Strict<'_> {
    fn refuse<E: Error>(self, fault: JsonFault) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }

    fn inside<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.refuse(JsonFault::TooDeep)),
        }
    }

    fn again<E: Error>(self, key: &str) -> Result<(), E> {
        let Some(twice) = self.twice else { return Err(self.refuse(JsonFault::DuplicateKey)) };
        twice.borrow_mut().push(Step { name: Name::Key(key), before: self.at }.pointer());
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.refuse(JsonFault::Syntax))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut list = Vec::new();
        loop {
            let step = Step { name: Name::Index(list.len()), before: self.at };
            match elements.next_element_seed(Strict { at: Some(&step), ..inside })? {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let is_again = object.contains_key(&key);
            if is_again {
                self.again(&key)?;
            }
            let step = Step { name: Name::Key(&key), before: self.at };
            let value = members.next_value_seed(Strict { at: Some(&step), ..inside })?;
            if !is_again {
                object.insert(key, value);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(text: &str) -> JsonFault {
        parse_object_strict(text.as_bytes(), 4).expect_err(text)
    }

    #[test]
    fn an_object_reads_as_serde_json_reads_it() {
        let text = r#" {"a": [1, -2, 2.5, 1e3, "x\u00e9\n", true, false, null, {}], "": {"a": "other object"}} "#;
        let object = parse_object_strict(text.as_bytes(), 4).unwrap();
        assert_eq!(Value::Object(object), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused_at_every_level() {
        assert_eq!(refused(r#"{"a":1,"a":1}"#), JsonFault::DuplicateKey);
        assert_eq!(refused(r#"{"a":1,"b":2,"a":null}"#), JsonFault::DuplicateKey);
        assert_eq!(refused(r#"{"x":[{"a":1,"a":2}]}"#), JsonFault::DuplicateKey);
    }

    #[test]
    fn an_escaped_spelling_of_a_key_is_the_same_key() {
        assert_eq!(refused(r#"{"exp":1,"\u0065xp":2}"#), JsonFault::DuplicateKey);
    }

    #[test]
    fn each_key_that_is_there_twice_is_noted_with_its_place_and_the_first_is_kept() {
        let text = r#"{"a":1,"a":2,"b":[{},{"c/d":{"x":1},"c/d":{"y":[],"y":0}}],"\u0061":3}"#;
        let (value, twice) = parse_noting_duplicates(text.as_bytes(), 8).unwrap();
        assert_eq!(value, json!({"a": 1, "b": [{}, {"c/d": {"x": 1}}]}));
        assert_eq!(twice, ["/a", "/b/1/c~1d", "/b/1/c~1d/y", "/a"]);
        assert_eq!(parse_noting_duplicates(b"[1]", 1).unwrap(), (json!([1]), Vec::new()));
        for text in ["{", "{} x", "[[]]"] {
            assert!(parse_noting_duplicates(text.as_bytes(), 1).is_err(), "{text}");
        }
    }

    #[test]
    fn one_member_is_read_and_the_others_are_passed_over() {
        let read = |text: &'static str| read_member::<u64>(text.as_bytes(), "job_id").map_err(|_| ());
        assert_eq!(read(r#"{"tasks":[{"job_id":2}],"job\u005fid":7,"x":1,"x":2}"#), Ok(Some(7)));
        assert_eq!(read(r#"{"job_ID":7}"#), Ok(None));
        for text in
            [r#"{"job_id":7,"job_id":7}"#, r#"{"job_id":"7"}"#, r#"{"job_id":7} 1"#, r#"{"job_id":7"#, "[7]", "7", ""]
        {
            assert_eq!(read(text), Err(()), "{text}");
        }
    }

    #[test]
    fn keys_that_differ_in_case_are_two_keys() {
        assert!(parse_object_strict(br#"{"aud":1,"Aud":2}"#, 1).is_ok());
    }

    #[test]
    fn depth_counts_the_outermost_object() {
        assert!(parse_object_strict(br#"{"a":1}"#, 1).is_ok());
        assert_eq!(parse_object_strict(br#"{"a":[]}"#, 1), Err(JsonFault::TooDeep));
        assert!(parse_object_strict(br#"{"a":[{"b":[]}]}"#, 4).is_ok());
        assert_eq!(refused(r#"{"a":[{"b":[{}]}]}"#), JsonFault::TooDeep);
        assert_eq!(parse_strict(b"[]", 0), Err(JsonFault::TooDeep));
    }

    #[test]
    fn no_depth_exhausts_the_stack_and_none_beyond_a_hundred_is_allowed() {
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(parse_strict(&nested(100), usize::MAX).is_ok());
        assert_eq!(parse_strict(&nested(101), usize::MAX), Err(JsonFault::TooDeep));
        assert_eq!(parse_strict(&nested(1_000_000), usize::MAX), Err(JsonFault::TooDeep));
        assert_eq!(parse_strict(&vec![b'['; 1_000_000], 5), Err(JsonFault::TooDeep));
        assert_eq!(parse_object_strict("{\"a\":".repeat(200_000).as_bytes(), 32), Err(JsonFault::TooDeep));
    }

    #[test]
    fn what_is_not_one_json_text_is_refused() {
        for text in
            ["", " ", "{", "{}{}", "{} x", "{'a':1}", "{\"a\":1,}", "{a:1}", "\u{feff}{}", "{\"a\":01}", "{\"a\":NaN}"]
        {
            assert_eq!(refused(text), JsonFault::Syntax, "{text}");
        }
        assert_eq!(parse_object_strict(b"{\"a\":\"\xff\"}", 4), Err(JsonFault::Syntax));
        assert_eq!(refused(r#"{"a":"\ud800"}"#), JsonFault::Syntax, "a lone surrogate has no UTF-8");
    }

    #[test]
    fn numbers_that_nothing_holds_are_refused_and_large_ones_become_floats() {
        assert_eq!(refused(r#"{"a":1e400}"#), JsonFault::Syntax);
        let object = parse_object_strict(br#"{"a":18446744073709551616}"#, 1).unwrap();
        assert_eq!(object.get("a"), Some(&json!(18446744073709551616.0)));
    }

    #[test]
    fn other_values_are_json_but_not_objects() {
        for text in ["[]", "1", "null", "\"{}\"", "true"] {
            assert_eq!(refused(text), JsonFault::NotAnObject, "{text}");
            assert!(parse_strict(text.as_bytes(), 4).is_ok());
        }
    }
}
