//! A YAML or JSON text as a value, with the place of everything in it.

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::ops::Range;

/// Texts nested deeper are refused: what comes from YAML is walked by recursion.
const DEEPEST: usize = 64;

/// A text that was read.
#[derive(Debug)]
pub(crate) struct Document {
    /// What it says.
    pub(crate) value: Value,
    /// Where each value stands, by JSON pointer (RFC 6901).
    places: BTreeMap<String, Range<usize>>,
}

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// What is wrong.
    pub(crate) message: String,
    /// The byte at which it is.
    pub(crate) at: usize,
}

impl Document {
    /// Reads the one document of `text`. Anchors, aliases and merge keys are followed; an alias stands where it is used.
    ///
    /// # Errors
    /// The text is no YAML (of which JSON is a part), or has something that a configuration cannot have.
    pub(crate) fn parse(text: &str) -> Result<Self, Unreadable> {
        let offsets = Offsets::new(text);
        let documents = MarkedYaml::load_from_str(text).map_err(|error| Unreadable {
            message: format!("is not YAML: {}", error.info()),
            at: offsets.byte(error.marker().index()),
        })?;
        let mut documents = documents.into_iter();
        let (Some(root), None) = (documents.next(), documents.next()) else {
            return Err(Unreadable { message: "must be one YAML document".to_owned(), at: 0 });
        };
        let mut reader = Reader { places: BTreeMap::new(), offsets };
        let value = reader.read(&root, "", DEEPEST)?;
        Ok(Self { value, places: reader.places })
    }

    /// The bytes of the text in which the value at `pointer` stands, if there is one.
    pub(crate) fn own_place(&self, pointer: &str) -> Option<Range<usize>> {
        self.places.get(pointer).cloned()
    }

    /// The bytes of the text in which the value at `pointer` stands; of the nearest value around it, if there is none.
    pub(crate) fn place(&self, pointer: &str) -> Range<usize> {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return place.clone();
            }
            match pointer.rsplit_once('/') {
                Some((outer, _)) => pointer = outer,
                None => return 0..0,
            }
        }
    }
}

/// One step of a JSON pointer.
pub(crate) fn step(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Where the lines of a text begin, for many questions about one text.
#[derive(Debug)]
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at.saturating_add(1));
        Self(std::iter::once(0).chain(after_newlines).collect())
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at)
    }

    /// Where a line begins, counted from 1; the last one's beginning for lines behind it.
    pub(crate) fn start(&self, line: usize) -> usize {
        self.0.get(line.saturating_sub(1)).or(self.0.last()).copied().unwrap_or(0)
    }

    /// Where the line after this one begins, or the text ends.
    pub(crate) fn end(&self, line: usize, text: &str) -> usize {
        self.0.get(line).copied().unwrap_or(text.len())
    }

    /// The line and column of a byte, both from 1, the column in characters.
    pub(crate) fn line_and_column(&self, text: &str, at: usize) -> (usize, usize) {
        let line = self.line(at);
        let column = text.get(self.start(line)..at).map_or(0, |before| before.chars().count());
        (line, column.saturating_add(1))
    }
}

/// The line and column of a byte, both from 1, the column in characters.
pub(crate) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
    let column = before.get(line_start..).map_or(0, |line| line.chars().count());
    (before.matches('\n').count().saturating_add(1), column.saturating_add(1))
}

/// The parser counts characters, everybody else bytes.
struct Offsets(Vec<usize>);

impl Offsets {
    fn new(text: &str) -> Self {
        Self(text.char_indices().map(|(byte, _)| byte).chain([text.len()]).collect())
    }

    fn byte(&self, character: usize) -> usize {
        self.0.get(character).or(self.0.last()).copied().unwrap_or(0)
    }
}

struct Reader {
    places: BTreeMap<String, Range<usize>>,
    offsets: Offsets,
}

impl Reader {
    fn read(&mut self, node: &MarkedYaml<'_>, pointer: &str, depth: usize) -> Result<Value, Unreadable> {
        let start = self.offsets.byte(node.span.start.index());
        let place = start..self.offsets.byte(node.span.end.index());
        let wrong = |message: &str| Unreadable { message: message.to_owned(), at: start };
        let Some(depth) = depth.checked_sub(1) else { return Err(wrong("is nested too deeply")) };
        self.places.insert(pointer.to_owned(), place);
        match &node.data {
            YamlData::Value(scalar) => scalar_value(scalar).ok_or_else(|| wrong("is a number that JSON does not have")),
            YamlData::Sequence(items) => {
                let items = items.iter().enumerate();
                let read = items.map(|(index, item)| self.read(item, &format!("{pointer}/{index}"), depth));
                Ok(Value::Array(read.collect::<Result<_, _>>()?))
            }
            YamlData::Mapping(members) => {
                let mut map = Map::new();
                let mut merged = Map::new();
                for (key, value) in members {
                    let YamlData::Value(Scalar::String(name)) = &key.data else {
                        let at = self.offsets.byte(key.span.start.index());
                        return Err(Unreadable { message: "has a key that is not text; quote it".to_owned(), at });
                    };
                    let member = format!("{pointer}{}", step(name));
                    let read = self.read(value, &member, depth)?;
                    if name == "<<" {
                        merge(read, &mut merged).ok_or_else(|| wrong("merges something that is not a mapping"))?;
                        continue;
                    }
                    // a finding about a value is shown at its key, which has the name that people look for
                    let key_start = self.offsets.byte(key.span.start.index());
                    if let Some(place) = self.places.get_mut(&member) {
                        place.start = key_start;
                    }
                    map.insert(name.to_string(), read);
                }
                for (name, value) in merged {
                    map.entry(name).or_insert(value);
                }
                Ok(Value::Object(map))
            }
            YamlData::Alias(_) | YamlData::BadValue | YamlData::Representation(..) | YamlData::Tagged(..) => {
                Err(wrong("is neither text, number, truth value, list nor mapping"))
            }
        }
    }
}

fn merge(value: Value, into: &mut Map<String, Value>) -> Option<()> {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                into.entry(name).or_insert(value);
            }
            Some(())
        }
        Value::Array(items) => items.into_iter().try_for_each(|item| merge(item, into)),
        _ => None,
    }
}

fn scalar_value(scalar: &Scalar<'_>) -> Option<Value> {
    Some(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(truth) => Value::Bool(*truth),
        Scalar::Integer(number) => Value::Number((*number).into()),
        Scalar::FloatingPoint(number) => Value::Number(Number::from_f64(number.into_inner())?),
        Scalar::String(text) => Value::String(text.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_with_the_places_of_their_keys() {
        let text = "a: 1\nb:\n  - c: ü\n    d: [x, 2.5, true, null]\n";
        let document = Document::parse(text).unwrap();
        assert_eq!(document.value, json!({"a": 1, "b": [{"c": "ü", "d": ["x", 2.5, true, null]}]}));
        for (pointer, place) in [("/a", (1, 1)), ("/b/0/c", (3, 5)), ("/b/0/d", (4, 5)), ("/b/0/d/1", (4, 12))] {
            assert_eq!(line_and_column(text, document.place(pointer).start), place, "{pointer}");
        }
        assert_eq!(document.place("/b/0/d/9/x"), document.place("/b/0/d"));
    }

    #[test]
    fn lines_are_told_as_one_by_one() {
        let text = "a: 1\nü: x\n\n  last";
        let lines = Lines::new(text);
        for (at, _) in text.char_indices() {
            assert_eq!(lines.line_and_column(text, at), line_and_column(text, at), "{at}");
        }
        assert_eq!(text.get(lines.start(2)..lines.end(2, text)), Some("ü: x\n"));
        assert_eq!(lines.end(4, text), text.len());
    }

    #[test]
    fn json_is_yaml() {
        let document = Document::parse("{\"a/b\": {\"c\": [1, \"2\"]}}").unwrap();
        assert_eq!(document.value, json!({"a/b": {"c": [1, "2"]}}));
        assert_eq!(document.place("/a~1b/c").start, 9);
    }

    #[test]
    fn anchors_and_merge_keys_are_followed() {
        let document = Document::parse("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz: *x\n").unwrap();
        let expected = json!({"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}, "z": {"a": 1, "b": 2}});
        assert_eq!(document.value, expected);
    }

    #[test]
    fn what_a_configuration_cannot_have_is_refused_where_it_is() {
        for (text, line) in [
            ("a: [1", 1),
            ("a: 1\na: 2", 2),
            ("a: 1\n1: 2", 2),
            ("a: 1\n---\nb: 2", 1),
            ("", 1),
            ("a: 1\nb: .nan", 2),
            ("a: 1\nb: !!binary x", 2),
            (&"[".repeat(5000), 1),
        ] {
            let error = Document::parse(text).unwrap_err();
            assert_eq!(line_and_column(text, error.at).0, line, "{text:.20}: {error:?}");
        }
    }
}
