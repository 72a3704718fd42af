//! A YAML or JSON text as a value, with the place of everything in it.

use crate::kong_yaml;
use saphyr::Scalar;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// Texts nested deeper are refused: what comes from YAML is walked by recursion.
const DEEPEST: usize = 64;
/// How many values all aliases of a text may stand for: a few lines of them can stand for more than any machine has memory for.
const MOST_ALIASED: usize = 2_000_000;

/// A text that was read.
#[derive(Debug)]
pub(crate) struct Document {
    /// What it says.
    pub(crate) value: Value,
    /// Where each value stands.
    root: Place,
    /// The names of members, by the numbers that places have for them: a text has few of them, each many times.
    names: HashMap<Box<str>, u32>,
    /// Whether Kong reads anything of it otherwise.
    has_kong_reads: bool,
}

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: &'static str,
    /// The byte at which it is.
    pub(crate) at: usize,
}

/// Where a value stands, and the values in it.
#[derive(Clone, Debug)]
struct Place {
    start: usize,
    end: usize,
    within: Within,
    /// What Kong reads here, where that is something else.
    kong: Option<Box<KongReads>>,
}

#[derive(Clone, Debug)]
enum Within {
    Nothing,
    Items(Vec<Place>),
    Members(Vec<(u32, Place)>),
}

/// What Kong reads where this tool, and every reader of YAML 1.2, reads something else.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KongReads {
    /// What was written.
    pub(crate) text: Box<str>,
    /// What Kong takes it for.
    pub(crate) value: Value,
    /// Whether it is the name of a member.
    pub(crate) is_key: bool,
}

impl Document {
    /// Reads the one document of `text`. Anchors, aliases and merge keys are followed; an alias stands where it is used.
    ///
    /// # Errors
    /// The text is no YAML (of which JSON is a part), or has something that a configuration cannot have.
    pub(crate) fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut reader = Reader {
            offsets: Offsets::new(text),
            names: HashMap::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            left: MOST_ALIASED,
            has_kong_reads: false,
            root: None,
        };
        let mut documents = 0_usize;
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let at = reader.offsets.byte(error.marker().index());
                Unreadable { message: format!("is not YAML: {}", error.info()), help: cure(error.info(), text, at), at }
            })?;
            if matches!(event, Event::DocumentStart(_)) {
                documents = documents.saturating_add(1);
                if documents > 1 {
                    break;
                }
            }
            reader.on(event, span)?;
        }
        match (reader.root, documents) {
            (Some(Read { value, place, .. }), 1) => {
                let (names, has_kong_reads) = (reader.names, reader.has_kong_reads);
                Ok(Self { value, root: place, names, has_kong_reads })
            }
            (_, 0) | (None, _) => {
                Err(unreadable("must be one YAML document, and has none", "is it the file that you mean?", 0))
            }
            _ => {
                let help =
                    "Kong reads the first of several documents only: take the lines `---` out, or make a file of each";
                Err(unreadable("must be one YAML document", help, 0))
            }
        }
    }

    /// The bytes of the text in which the value at `pointer` stands, if there is one.
    pub(crate) fn own_place(&self, pointer: &str) -> Option<Range<usize>> {
        let (place, is_own) = self.walk(pointer);
        is_own.then_some(place.start..place.end)
    }

    /// The bytes of the text in which the value at `pointer` stands; of the nearest value around it, if there is none.
    pub(crate) fn place(&self, pointer: &str) -> Range<usize> {
        let (place, _) = self.walk(pointer);
        place.start..place.end
    }

    /// Everything at or below `pointer` that Kong reads otherwise, with its own pointer.
    pub(crate) fn kong_reads(&self, pointer: &str) -> Vec<(String, &KongReads)> {
        let mut found = Vec::new();
        if let (place, true) = self.walk(pointer)
            && self.has_kong_reads
        {
            let mut names: Vec<&str> = vec![""; self.names.len()];
            for (name, number) in &self.names {
                if let Some(of_number) = names.get_mut(*number as usize) {
                    *of_number = name;
                }
            }
            place.collect_kong_reads(&mut pointer.to_owned(), &names, &mut found);
        }
        found
    }

    /// The place at a pointer, or the nearest around it, and whether it is the one asked for.
    fn walk(&self, pointer: &str) -> (&Place, bool) {
        let mut place = &self.root;
        for step in pointer.split('/').skip(1) {
            let inner = match &place.within {
                Within::Nothing => None,
                Within::Items(items) => step.parse().ok().and_then(|index: usize| items.get(index)),
                Within::Members(members) => self.names.get(&*unescaped(step)).and_then(|number| {
                    let mut named = members.iter().filter(|(name, _)| name == number);
                    named.next().map(|(_, place)| place)
                }),
            };
            match inner {
                Some(inner) => place = inner,
                None => return (place, false),
            }
        }
        (place, true)
    }
}

impl Place {
    fn collect_kong_reads<'a>(
        &'a self,
        pointer: &mut String,
        names: &[&str],
        found: &mut Vec<(String, &'a KongReads)>,
    ) {
        if let Some(kong) = &self.kong {
            found.push((pointer.clone(), kong));
        }
        let length = pointer.len();
        let mut inner = |step: &str, place: &'a Self| {
            pointer.push_str(step);
            place.collect_kong_reads(pointer, names, found);
            pointer.truncate(length);
        };
        match &self.within {
            Within::Nothing => {}
            Within::Items(items) => {
                items.iter().enumerate().for_each(|(index, place)| inner(&format!("/{index}"), place));
            }
            Within::Members(members) => members.iter().for_each(|(name, place)| {
                inner(&step(names.get(*name as usize).copied().unwrap_or_default()), place);
            }),
        }
    }

    /// How many values stand here.
    fn count(&self) -> usize {
        let inner = match &self.within {
            Within::Nothing => 0,
            Within::Items(items) => items.iter().map(Self::count).sum(),
            Within::Members(members) => members.iter().map(|(_, place)| place.count()).sum(),
        };
        inner.saturating_add(1)
    }
}

/// One step of a JSON pointer.
pub(crate) fn step(key: &str) -> String {
    let mut pointer = String::with_capacity(key.len().saturating_add(1));
    push_step(&mut pointer, key);
    pointer
}

/// Adds a step to a JSON pointer.
pub(crate) fn push_step(pointer: &mut String, key: &str) {
    pointer.push('/');
    if key.contains(['~', '/']) {
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
    } else {
        pointer.push_str(key);
    }
}

/// The name that a step of a JSON pointer is for.
fn unescaped(step: &str) -> Cow<'_, str> {
    if step.contains('~') { Cow::Owned(step.replace("~1", "/").replace("~0", "~")) } else { Cow::Borrowed(step) }
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

/// The parser counts characters, everybody else bytes. Of a text that is ASCII these are the same.
struct Offsets {
    bytes: Option<Vec<usize>>,
    end: usize,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let counted = || text.char_indices().map(|(byte, _)| byte).collect();
        Self { bytes: (!text.is_ascii()).then(counted), end: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        match &self.bytes {
            Some(bytes) => bytes.get(character).copied().unwrap_or(self.end),
            None => character.min(self.end),
        }
    }
}

/// A value that was read to its end.
#[derive(Clone, Debug)]
struct Read {
    value: Value,
    place: Place,
    /// By what aliases ask for it; 0 if none does.
    anchor: usize,
}

/// A list or a mapping of which the end was not read yet.
struct Open {
    start: usize,
    anchor: usize,
    what: What,
}

enum What {
    Items(Vec<Value>, Vec<Place>),
    Members(Members),
}

#[derive(Default)]
struct Members {
    map: Map<String, Value>,
    places: Vec<(u32, Place)>,
    merged: Map<String, Value>,
    has_merge: bool,
    /// The name whose value comes next, and where it stands.
    key: Option<Key>,
}

/// The name of a member.
struct Key {
    name: String,
    start: usize,
    kong: Option<Box<KongReads>>,
}

struct Reader {
    offsets: Offsets,
    names: HashMap<Box<str>, u32>,
    open: Vec<Open>,
    anchors: HashMap<usize, Read>,
    /// How many more values aliases may stand for.
    left: usize,
    has_kong_reads: bool,
    root: Option<Read>,
}

impl Reader {
    fn on(&mut self, event: Event<'_>, span: Span) -> Result<(), Unreadable> {
        let start = self.offsets.byte(span.start.index());
        let end = self.offsets.byte(span.end.index());
        match event {
            Event::SequenceStart(anchor, tag) => {
                let what = What::Items(Vec::new(), Vec::new());
                self.begin(Open { start, anchor, what }, tag.as_deref())
            }
            Event::MappingStart(anchor, tag) => {
                let what = What::Members(Members::default());
                self.begin(Open { start, anchor, what }, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let (value, within) = match open.what {
                    What::Items(values, places) => (Value::Array(values), Within::Items(places)),
                    What::Members(Members { mut map, places, merged, .. }) => {
                        for (name, value) in merged {
                            map.entry(name).or_insert(value);
                        }
                        (Value::Object(map), Within::Members(places))
                    }
                };
                // the end of a block is where what comes after it begins
                let place = Place { start: open.start, end: start, within, kong: None };
                self.add(Read { value, place, anchor: open.anchor })
            }
            Event::Scalar(text, style, anchor, tag) => {
                if self.open.len() >= DEEPEST {
                    return Err(too_deep(start));
                }
                let (value, kong) =
                    scalar(text, style, tag.as_ref()).map_err(|(message, help)| unreadable(message, help, start))?;
                self.has_kong_reads |= kong.is_some();
                let place = Place { start, end, within: Within::Nothing, kong };
                self.add(Read { value, place, anchor })
            }
            Event::Alias(anchor) => {
                let Some(read) = self.anchors.get(&anchor) else {
                    return Err(unreadable("has an alias inside of what it stands for", "write the value out", start));
                };
                self.left = self.left.checked_sub(read.place.count()).ok_or_else(|| {
                    let help = "write the values out: Kong would have no memory for them either";
                    unreadable("has aliases that stand for too many values", help, start)
                })?;
                let mut read = read.clone();
                (read.place.start, read.place.end, read.anchor) = (start, end, 0);
                self.add(read)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn begin(&mut self, open: Open, tag: Option<&Tag>) -> Result<(), Unreadable> {
        if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
            return Err(unreadable(NO_VALUE, UNTAGGED, open.start));
        }
        if self.open.len() >= DEEPEST {
            return Err(too_deep(open.start));
        }
        if self.expects_key() {
            return Err(no_name(open.start));
        }
        self.open.push(open);
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { what: What::Members(Members { key: None, .. }), .. }))
    }

    fn add(&mut self, read: Read) -> Result<(), Unreadable> {
        if read.anchor > 0 {
            self.anchors.insert(read.anchor, read.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(read);
            return Ok(());
        };
        match &mut open.what {
            What::Items(values, places) => {
                values.push(read.value);
                places.push(read.place);
                Ok(())
            }
            What::Members(members) => match members.key.take() {
                None => {
                    let Place { start, kong, .. } = read.place;
                    let Value::String(name) = read.value else { return Err(no_name(start)) };
                    members.key = Some(Key { name, start, kong });
                    Ok(())
                }
                Some(key) => members.add(&mut self.names, key, read),
            },
        }
    }
}

impl Members {
    fn add(
        &mut self,
        names: &mut HashMap<Box<str>, u32>,
        Key { name, start, kong }: Key,
        mut read: Read,
    ) -> Result<(), Unreadable> {
        let number = match names.get(&*name) {
            Some(number) => *number,
            None => {
                let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
                names.insert(name.as_str().into(), next);
                next
            }
        };
        let twice = || {
            let message = "is not YAML: duplicated key in mapping";
            Err(unreadable(message, "keep one of the two: Kong takes the later one and says nothing", start))
        };
        if name == "<<" {
            if std::mem::replace(&mut self.has_merge, true) {
                return twice();
            }
            let at = read.place.start;
            self.places.push((number, read.place));
            return merge(read.value, &mut self.merged).ok_or_else(|| {
                let help = "`<<` takes a mapping, or a list of them: `<<: *name`";
                unreadable("merges something that is not a mapping", help, at)
            });
        }
        // a finding about a value is shown at its key, which has the name that people look for
        read.place.start = start;
        if let Some(kong) = kong {
            read.place.kong = Some(Box::new(KongReads { is_key: true, ..*kong }));
        }
        self.places.push((number, read.place));
        if self.map.insert(name, read.value).is_some() { twice() } else { Ok(()) }
    }
}

const NO_VALUE: &str = "is neither text, number, truth value, list nor mapping";
const UNTAGGED: &str = "take the tag (`!…`) out, and quote the value if it is text";

fn unreadable(message: &str, help: &'static str, at: usize) -> Unreadable {
    Unreadable { message: message.to_owned(), help, at }
}

fn too_deep(at: usize) -> Unreadable {
    unreadable("is nested too deeply", "no configuration has so many levels: look for brackets that do not end", at)
}

fn no_name(at: usize) -> Unreadable {
    unreadable("has a key that is not text; quote it", "write `'1': …` for `1: …`", at)
}

/// What to do about a text that is no YAML, told by what the parser says and by what stands there.
fn cure(says: &str, text: &str, at: usize) -> &'static str {
    let line_start =
        text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline.saturating_add(1));
    let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let indent = line.len().saturating_sub(line.trim_start().len());
    if says.contains("tab") || line.get(..indent).is_some_and(|blanks| blanks.contains('\t')) {
        "indent with blanks: YAML takes no tabs there"
    } else if says.contains("quoted") || says.contains("escape") {
        "end the text with the quote that it begins with; inside of `\"…\"` a backslash is written `\\\\`, inside of `'…'` a quote `''`"
    } else if ["flow", "placement", "[", "{"].iter().any(|word| says.contains(word)) {
        "end the list with `]` and the mapping with `}`, and put commas between what is in it; quote texts that have one of these"
    } else if says.contains("anchor") || says.contains("alias") {
        "`*name` is an alias: define it before with `&name`, or quote a text that begins with `*` or `&`"
    } else if says.contains("mapping values") || says.contains("simple key") {
        "write a blank behind the colon of a key, quote a text that has `: `, and indent each key of a mapping alike"
    } else {
        "look at this line and the one before: keys of a mapping are indented alike, and texts with `: `, ` #` or one of `[]{}*&!|>%@` at their begin need quotes"
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

/// What a scalar stands for, and what Kong reads in its place if that is something else.
type Reading = (Value, Option<Box<KongReads>>);

/// Reads a scalar; or what is wrong with it, and what to do.
fn scalar<'t>(
    text: Cow<'t, str>,
    style: ScalarStyle,
    tag: Option<&Cow<'t, Tag>>,
) -> Result<Reading, (&'static str, &'static str)> {
    if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
        return Err((NO_VALUE, UNTAGGED));
    }
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str") {
        return Ok((Value::String(text.into_owned()), None));
    }
    let kong = kong_yaml::plain(&text).map(|value| (Box::<str>::from(&*text), value));
    let value = match Scalar::parse_from_cow_and_metadata(text, style, tag).ok_or((NO_VALUE, UNTAGGED))? {
        Scalar::Null => Value::Null,
        Scalar::Boolean(truth) => Value::Bool(truth),
        Scalar::Integer(number) => Value::Number(number.into()),
        Scalar::FloatingPoint(number) => Value::Number(Number::from_f64(number.into_inner()).ok_or((
            "is a number that JSON does not have",
            "quote it if it is text; no setting takes such a number",
        ))?),
        Scalar::String(text) => Value::String(text.into_owned()),
    };
    let kong = kong.filter(|(_, kong)| !kong_yaml::same(kong, &value));
    Ok((value, kong.map(|(text, value)| Box::new(KongReads { text, value, is_key: false }))))
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
    fn what_kong_reads_otherwise_is_found_below_a_place_through_aliases_too() {
        let text = "x: &g [yes, 'yes', 0123]\ny:\n  groups: *g\n  off: 1\n  \"no\": 12\n  a/b: 1_0\n";
        let document = Document::parse(text).unwrap();
        let found = document.kong_reads("/y");
        let found: Vec<_> = found.iter().map(|(at, kong)| (at.as_str(), &*kong.text, kong.is_key)).collect();
        let expected = [
            ("/y/groups/0", "yes", false),
            ("/y/groups/2", "0123", false),
            ("/y/off", "off", true),
            ("/y/a~1b", "1_0", false),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn aliases_that_stand_for_more_than_any_machine_holds_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let of = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", [of.as_str(); 10].join(", ")));
        }
        let error = Document::parse(&text).unwrap_err();
        assert!(error.message.contains("too many values"), "{error:?}");
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
