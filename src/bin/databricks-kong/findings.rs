//! What `check` has to say about a file, and how it says it: to people with the line it is about, to programs as JSON.

use crate::document::{Document, Lines};
use crate::markers::Allowed;
use crate::output::Style;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Kong or the filter will not do with this file what it is for.
    Error,
    /// It works, and is probably not what was meant or not what one should want.
    Warning,
}

/// A sort of finding. Its code and name stay what they are once released: scripts depend on them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) severity: Severity,
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
}

impl Kind {
    pub(crate) const fn error(code: &'static str, name: &'static str) -> Self {
        Self { severity: Severity::Error, code, name }
    }

    pub(crate) const fn warning(code: &'static str, name: &'static str) -> Self {
        Self { severity: Severity::Warning, code, name }
    }
}

/// One thing to say about a file.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) kind: &'static Kind,
    /// JSON pointer to what it is about.
    pub(crate) pointer: String,
    /// Where that stands in the text.
    pub(crate) place: Range<usize>,
    /// What is so; holds no secret.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: Option<String>,
    /// Another place that it has to do with, and how.
    pub(crate) related: Option<(Range<usize>, String)>,
}

impl Finding {
    pub(crate) fn new(kind: &'static Kind, document: &Document, pointer: &str, message: impl Into<String>) -> Self {
        let place = document.place(pointer);
        Self { kind, pointer: pointer.to_owned(), place, message: message.into(), help: None, related: None }
    }

    /// With what to do about it.
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// With another place that it has to do with.
    pub(crate) fn related(self, document: &Document, pointer: &str, label: impl Into<String>) -> Self {
        Self { related: Some((document.place(pointer), label.into())), ..self }
    }
}

/// A file with what there is to say about it.
#[derive(Debug)]
pub(crate) struct Report {
    /// The file's name as the user wrote it.
    pub(crate) path: String,
    /// Its text, in which secrets are made unreadable by [`mask`].
    pub(crate) text: String,
    pub(crate) findings: Vec<Finding>,
    /// What the file itself allows.
    pub(crate) allowed: Vec<Allowed>,
}

/// Two places further apart than this are shown by themselves.
const FAR: usize = 200;

impl Report {
    /// How many findings are that bad.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.kind.severity == severity).count()
    }

    /// For people.
    pub(crate) fn human(&self, style: Style) -> String {
        let renderer = if style.colored { Renderer::styled() } else { Renderer::plain() };
        let lines = Lines::new(&self.text);
        let rendered = self.findings.iter().map(|finding| {
            let level = match finding.kind.severity {
                Severity::Error => Level::ERROR,
                Severity::Warning => Level::WARNING,
            };
            let title = level.primary_title(finding.message.as_str()).id(finding.kind.code);
            let group: Group<'_> = title.elements(self.snippets(finding, &lines));
            let help = finding.help.as_ref().map(|help| Level::HELP.message(help.as_str()));
            format!("{}\n\n", renderer.render(&[group.elements(help)]))
        });
        rendered.collect()
    }

    /// The lines that a finding is about; only these are handed on, as what shows them reads all that it is given.
    fn snippets<'a>(&'a self, finding: &'a Finding, lines: &Lines) -> Vec<Snippet<'a, Annotation<'a>>> {
        let primary = (&finding.place, AnnotationKind::Primary, None);
        let other =
            finding.related.as_ref().map(|(place, label)| (place, AnnotationKind::Context, Some(label.as_str())));
        let line = |place: &Range<usize>| lines.line(place.start.min(self.text.len()));
        match other {
            Some(other) if line(primary.0).abs_diff(line(other.0)) > FAR => {
                vec![self.snippet(lines, &[primary]), self.snippet(lines, &[other])]
            }
            other => vec![self.snippet(lines, &std::iter::once(primary).chain(other).collect::<Vec<_>>())],
        }
    }

    fn snippet<'a>(
        &'a self,
        lines: &Lines,
        places: &[(&Range<usize>, AnnotationKind, Option<&'a str>)],
    ) -> Snippet<'a, Annotation<'a>> {
        let shown: Vec<_> = places.iter().map(|(place, ..)| first_line(&self.text, place)).collect();
        let first = shown.iter().map(|place| lines.line(place.start)).min().unwrap_or(1);
        let last = shown.iter().map(|place| lines.line(place.start)).max().unwrap_or(1);
        let start = lines.start(first);
        let window = self.text.get(start..lines.end(last, &self.text)).unwrap_or_default();
        let annotations = shown.into_iter().zip(places).map(|(place, (_, kind, label))| {
            let span = place.start.saturating_sub(start)..place.end.saturating_sub(start);
            let annotation = kind.span(span);
            if let Some(label) = label { annotation.label(*label) } else { annotation }
        });
        Snippet::source(window).path(self.path.as_str()).line_start(first).annotations(annotations)
    }

    /// For programs.
    pub(crate) fn json(&self) -> Vec<Value> {
        let lines = Lines::new(&self.text);
        self.findings.iter().map(|finding| self.as_json(finding, &lines)).collect()
    }

    /// What the file allows, for programs.
    pub(crate) fn allowed_json(&self) -> Vec<Value> {
        let lines = Lines::new(&self.text);
        let with_reason = |allowed: &Allowed| {
            let mut value = self.as_json(&allowed.finding, &lines);
            if let Some(members) = value.as_object_mut() {
                members.insert("because".to_owned(), json!(allowed.because));
            }
            value
        };
        self.allowed.iter().map(with_reason).collect()
    }

    fn as_json(&self, finding: &Finding, lines: &Lines) -> Value {
        let (line, column) = lines.line_and_column(&self.text, finding.place.start);
        let related = finding.related.as_ref().map(|(other, label)| {
            let (line, column) = lines.line_and_column(&self.text, other.start);
            json!({ "line": line, "column": column, "message": label })
        });
        json!({
            "severity": match finding.kind.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "code": finding.kind.code,
            "name": finding.kind.name,
            "file": self.path,
            "line": line,
            "column": column,
            "pointer": finding.pointer,
            "message": finding.message,
            "help": finding.help,
            "related": related,
        })
    }
}

/// What of a place stands on its first line: a role is shown by its name, not by all that is in it.
fn first_line(text: &str, place: &Range<usize>) -> Range<usize> {
    let start = place.start.min(text.len());
    let end = place.end.clamp(start, text.len());
    let shown = text.get(start..end).unwrap_or_default();
    let line = shown.lines().next().unwrap_or_default().trim_end();
    start..start.saturating_add(line.len())
}

/// The text with every secret made of stars, byte for byte, so that places stay where they are: findings show the lines they are about,
/// and what is shown ends in the logs of build servers.
pub(crate) fn mask(text: &str, document: &Document, pointers: &[String]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut parts = BTreeSet::new();
    for pointer in pointers {
        let secret = document.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let place = document.place(pointer);
        let value = text.get(place.clone()).and_then(|shown| Some(place.start.saturating_add(shown.find(':')?)));
        stars(&mut bytes, value.unwrap_or(place.start)..place.end);
        parts.extend(secret.lines().map(|line| line.trim().as_bytes()).filter(|line| line.len() >= SHORTEST));
    }
    if parts.is_empty() {
        return String::from_utf8(bytes).unwrap_or_default();
    }
    // it may stand elsewhere: behind an anchor, in a configuration that is a string
    for place in places_of(&parts, text.as_bytes()) {
        stars(&mut bytes, place);
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Shorter parts of secrets stand anywhere.
const SHORTEST: usize = 4;

/// Where each of many texts stands in another one. How they begin is looked up, so that it takes no longer the more they are.
fn places_of(parts: &BTreeSet<&[u8]>, text: &[u8]) -> Vec<Range<usize>> {
    let begins: HashSet<_> = parts.iter().filter_map(|part| part.get(..SHORTEST)).collect();
    // nearly no place begins with the first letter of one of a few secrets
    let mut firsts = [false; 256];
    for first in begins.iter().filter_map(|begin| begin.first()) {
        if let Some(is_first) = firsts.get_mut(usize::from(*first)) {
            *is_first = true;
        }
    }
    let may_begin = |window: &[u8]| window.first().and_then(|first| firsts.get(usize::from(*first))) == Some(&true);
    let places = text.windows(SHORTEST).enumerate().filter(|(_, window)| may_begin(window) && begins.contains(window));
    let mut found = Vec::new();
    for (at, window) in places {
        let mut rest = text.get(at..).unwrap_or_default();
        // a part that the rest begins with is not behind it, and nothing between the two is shorter than what they share
        while let Some(part) = parts.range(..=rest).next_back() {
            let shared = part.iter().zip(rest).take_while(|(one, other)| one == other).count();
            if shared == part.len() {
                found.push(at..at.saturating_add(shared));
                break;
            }
            if shared < window.len() {
                break;
            }
            rest = rest.get(..shared).unwrap_or_default();
        }
    }
    found
}

fn stars(bytes: &mut [u8], place: Range<usize>) {
    for byte in bytes.get_mut(place).unwrap_or_default() {
        if !byte.is_ascii_whitespace() && !b":'\"{},|".contains(byte) {
            *byte = b'*';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind::warning("W999", "a-test");

    #[test]
    fn a_finding_shows_its_line_and_what_to_do() {
        let text = "a: 1\nb:\n  c: [x,\n    y]\n";
        let document = Document::parse(text).unwrap();
        let finding = Finding::new(&KIND, &document, "/b/c", "`c` is odd").help("take it out").related(
            &document,
            "/a",
            "because of this",
        );
        let report =
            Report { path: "f.yml".to_owned(), text: text.to_owned(), findings: vec![finding], allowed: Vec::new() };
        let expected = "\
warning[W999]: `c` is odd
 --> f.yml:3:3
  |
1 | a: 1
  | ---- because of this
2 | b:
3 |   c: [x,
  |   ^^^^^^
  |
  = help: take it out

";
        assert_eq!(report.human(Style { colored: false }), expected);
        let found = report.json();
        assert_eq!((&found[0]["line"], &found[0]["column"]), (&json!(3), &json!(3)));
        assert_eq!(found[0]["related"]["line"], 1);
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let text = "x: &s 'hünter2'\na: {key: hünter2, other: b}\nb: *s\nc:\n  key: |\n    PEM1\n    ab\nd: hünter2\n";
        let document = Document::parse(text).unwrap();
        let masked = mask(text, &document, &["/a/key".to_owned(), "/b".to_owned(), "/c/key".to_owned()]);
        assert_eq!(masked.len(), text.len());
        for secret in ["nter2", "PEM1", "ab\n"] {
            assert!(!masked.contains(secret), "{masked}");
        }
        assert!(masked.contains("other: b}"), "{masked}");
    }

    #[test]
    fn of_many_texts_each_place_is_found() {
        let parts: BTreeSet<&[u8]> = [&b"abcd"[..], b"abcdef", b"abce", b"zzzz"].into_iter().collect();
        let text = b"x abcdeg abcdef abce abc zzzzz";
        assert_eq!(places_of(&parts, text), [2..6, 9..15, 16..20, 25..29, 26..30]);
    }

    #[test]
    fn places_far_apart_are_shown_by_themselves() {
        let text = format!("a: 1\n{}b: 2\n", "# x\n".repeat(FAR + 1));
        let document = Document::parse(&text).unwrap();
        let finding = Finding::new(&KIND, &document, "/b", "odd").related(&document, "/a", "because of this");
        let path = "f.yml".to_owned();
        let shown = Report { path, text, findings: vec![finding], allowed: Vec::new() }.human(Style { colored: false });
        assert!(shown.contains("203 | b: 2") && shown.contains("1 | a: 1") && shown.len() < 400, "{shown}");
    }

    #[test]
    fn a_place_that_makes_no_sense_is_shown_all_the_same() {
        let place = |start, end| Range { start, end };
        for (given, shown) in [(place(1, 0), 1..1), (place(90, 95), 3..3), (place(0, 99), 0..1)] {
            assert_eq!(first_line("a\nb", &given), shown, "{given:?}");
        }
    }
}
