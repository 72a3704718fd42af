//! Reads JSON into the raw types and collects every error on the way, each with its JSON pointer (RFC 6901).
//!
//! Serde stops at the first error; a platform engineer wants them all at once.

use crate::base::{Secret, SortedMap, sort};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::fmt;

/// One thing that is wrong with a configuration: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigError {
    /// JSON pointer to the value, empty for the whole configuration.
    pub pointer: String,
    /// What is wrong and what to write instead; holds no secret.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.message)
    }
}

/// Where errors are collected while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Errors(RefCell<Vec<ConfigError>>);

impl Errors {
    pub(super) fn add(&self, pointer: impl Into<String>, message: impl Into<String>) {
        self.0.borrow_mut().push(ConfigError { pointer: pointer.into(), message: message.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Whether something at or below `pointer` is wrong.
    pub(super) fn has_under(&self, pointer: &str) -> bool {
        let is_under = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.0.borrow().iter().any(|error| error.pointer.strip_prefix(pointer).is_some_and(is_under))
    }

    /// All errors, in the order of their pointers.
    pub(super) fn into_sorted(self) -> Vec<ConfigError> {
        let mut errors = self.0.into_inner();
        sort(&mut errors);
        errors.dedup();
        errors
    }
}

/// A type that can be read from a place in the configuration.
pub(super) trait FromConfig: Sized {
    /// What the type is called in messages: "a string", "a list".
    const EXPECTED: &'static str;

    /// The value at `node`, or `None` after the error was recorded.
    fn read(node: &Node<'_>) -> Option<Self>;

    /// What a missing key means; `None` if the key is required.
    fn absent() -> Option<Self> {
        None
    }
}

/// A value in the configuration, with the way to it, of which a text is made only to say what is wrong.
pub(super) struct Node<'a> {
    value: &'a Value,
    /// What it stands in, and where in that; nothing for the whole configuration.
    within: Option<(&'a Self, Step<'a>)>,
    errors: &'a Errors,
    /// A key that was already used to choose the type of an object.
    tag: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Node<'a> {
    pub(super) const fn root(value: &'a Value, errors: &'a Errors) -> Self {
        Self { value, within: None, errors, tag: None }
    }

    const fn child<'c>(&'c self, step: Step<'c>, value: &'c Value) -> Node<'c> {
        Node { value, within: Some((self, step)), errors: self.errors, tag: None }
    }

    fn pointer(&self) -> String {
        match self.within {
            None => String::new(),
            Some((outer, Step::Key(key))) => {
                format!("{}/{}", outer.pointer(), key.replace('~', "~0").replace('/', "~1"))
            }
            Some((outer, Step::Index(index))) => format!("{}/{index}", outer.pointer()),
        }
    }

    pub(super) fn wrong<T>(&self, message: impl Into<String>) -> Option<T> {
        self.errors.add(self.pointer(), message);
        None
    }

    fn mismatch<T: FromConfig>(&self) -> Option<T> {
        self.wrong(format!("must be {}, not {}", T::EXPECTED, kind(self.value)))
    }

    /// The text of the key `tag`, by which the type of this object is chosen, and the object for reading the rest.
    pub(super) fn tagged(&self, tag: &'static str, choices: &str) -> Option<(&'a str, Self)> {
        let Value::Object(map) = self.value else {
            return self.wrong(format!("must be an object with the key `{tag}`, not {}", kind(self.value)));
        };
        let Some(name) = map.get(tag) else {
            return self.wrong(format!("must have the key `{tag}`: one of {choices}"));
        };
        let Some(name) = name.as_str() else {
            return self.child(Step::Key(tag), name).wrong(format!("must be one of {choices}"));
        };
        let rest = Self { value: self.value, within: self.within, errors: self.errors, tag: Some(tag) };
        Some((name, rest))
    }

    pub(super) fn object(&self) -> Option<Object<'_>> {
        match self.value {
            Value::Object(map) => Some(Object { node: self, map, known: self.tag.into_iter().collect() }),
            other => self.wrong(format!("must be an object, not {}", kind(other))),
        }
    }
}

/// An object whose keys are read one by one; keys that nobody read are errors.
pub(super) struct Object<'a> {
    node: &'a Node<'a>,
    map: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl Object<'_> {
    pub(super) fn field<T: FromConfig>(&mut self, key: &'static str) -> Option<T> {
        // `r#match` is how Rust writes a field called `match`
        let key = key.strip_prefix("r#").unwrap_or(key);
        self.known.push(key);
        match self.map.get(key) {
            // `key:` without a value is null in YAML, and means that the key was left out
            None | Some(Value::Null) => T::absent().or_else(|| {
                let pointer = format!("{}/{key}", self.node.pointer());
                self.node.errors.add(pointer, format!("is missing; it must be {}", T::EXPECTED));
                None
            }),
            Some(value) => T::read(&self.node.child(Step::Key(key), value)),
        }
    }

    pub(super) fn finish(self) {
        for (key, value) in self.map {
            if !self.known.contains(&key.as_str()) {
                let known = self.known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
                let _: Option<()> =
                    self.node.child(Step::Key(key), value).wrong(format!("is not a known key; known are {known}"));
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl FromConfig for String {
    const EXPECTED: &'static str = "a string";

    fn read(node: &Node<'_>) -> Option<Self> {
        match node.value.as_str() {
            Some("") => node.wrong("must not be empty"),
            Some(text) => Some(text.to_owned()),
            None => node.mismatch(),
        }
    }
}

impl FromConfig for Secret<String> {
    const EXPECTED: &'static str = "a string";

    fn read(node: &Node<'_>) -> Option<Self> {
        String::read(node).map(Self::new)
    }
}

impl FromConfig for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(node: &Node<'_>) -> Option<Self> {
        node.value.as_bool().or_else(|| node.mismatch())
    }
}

impl FromConfig for u64 {
    const EXPECTED: &'static str = "a whole number, zero or more";

    fn read(node: &Node<'_>) -> Option<Self> {
        // Lua has no integers: Kong may write 30 as 30.0
        let whole = |number: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be whole and in range"
            )]
            (number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number)).then_some(number as Self)
        };
        node.value.as_u64().or_else(|| node.value.as_f64().and_then(whole)).or_else(|| node.mismatch())
    }
}

impl FromConfig for Value {
    const EXPECTED: &'static str = "a value";

    fn read(node: &Node<'_>) -> Option<Self> {
        Some(node.value.clone())
    }
}

impl<T: FromConfig> FromConfig for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    /// What cannot be read is taken for absent, so that the rest is checked all the same; its error is recorded.
    fn read(node: &Node<'_>) -> Option<Self> {
        Some(T::read(node))
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: FromConfig> FromConfig for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn read(node: &Node<'_>) -> Option<Self> {
        match node.value {
            Value::Array(items) => {
                let read = items.iter().enumerate().map(|(index, item)| T::read(&node.child(Step::Index(index), item)));
                // every item is read, so that every item's errors are found
                read.collect::<Vec<_>>().into_iter().collect()
            }
            // an empty list can come out of Kong's database as an empty object
            Value::Object(map) if map.is_empty() => Some(Self::new()),
            _ => node.mismatch(),
        }
    }
}

impl<T: FromConfig> FromConfig for SortedMap<String, T> {
    const EXPECTED: &'static str = "an object";

    fn read(node: &Node<'_>) -> Option<Self> {
        match node.value {
            Value::Object(map) => {
                let read =
                    map.iter().map(|(key, value)| Some((key.clone(), T::read(&node.child(Step::Key(key), value))?)));
                read.collect::<Vec<_>>().into_iter().collect()
            }
            // and the other way about: Lua does not tell an empty object from an empty list
            Value::Array(items) if items.is_empty() => Some(Self::new()),
            _ => node.mismatch(),
        }
    }
}

/// Declares an object of the configuration: a struct, its schema, and how it is read.
macro_rules! object {
    ($(#[$meta:meta])* $name:ident { $( $(#[$field_meta:meta])* $field:ident : $type:ty ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[cfg_attr(
            feature = "schema",
            derive(schemars::JsonSchema),
            schemars(deny_unknown_fields, extend("x-keys" = [$( stringify!($field) ),*]))
        )]
        pub(super) struct $name { $( $(#[$field_meta])* pub(super) $field: $type ),* }

        impl $crate::config::read::FromConfig for $name {
            const EXPECTED: &'static str = "an object";

            #[allow(unused_mut, reason = "an object may have no fields")]
            fn read(node: &$crate::config::read::Node<'_>) -> Option<Self> {
                let mut object = node.object()?;
                // every field is read before any missing one ends it
                $( let $field = object.field::<$type>(stringify!($field)); )*
                object.finish();
                Some(Self { $( $field: $field? ),* })
            }
        }
    };
}

/// Declares a choice of words: an enum, its schema, and how it is read.
macro_rules! word {
    ($(#[$meta:meta])* $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub(super) enum $name {
            $( $(#[$variant_meta])* #[cfg_attr(feature = "schema", schemars(rename = $text))] $variant ),*
        }

        impl $crate::config::read::FromConfig for $name {
            const EXPECTED: &'static str = concat!("one of", $( " `", $text, "`" ),*);

            fn read(node: &$crate::config::read::Node<'_>) -> Option<Self> {
                match node.text() {
                    $( Some($text) => Some(Self::$variant), )*
                    Some(other) => node.wrong(format!("`{other}` must be {}", Self::EXPECTED)),
                    None => node.wrong(format!("must be {}", Self::EXPECTED)),
                }
            }
        }
    };
}

pub(super) use {object, word};

impl<'a> Node<'a> {
    pub(super) const fn value(&self) -> &'a Value {
        self.value
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }
}
