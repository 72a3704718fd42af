//! What `check` has to say about a file, and how it says it: to people with the line it is about, to programs as JSON.

use crate::document::{Document, line_and_column};
use crate::output::Style;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};
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
}

impl Report {
    /// How many findings are that bad.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.kind.severity == severity).count()
    }

    /// For people.
    pub(crate) fn human(&self, style: Style) -> String {
        let renderer = if style.colored { Renderer::styled() } else { Renderer::plain() };
        let rendered = self.findings.iter().map(|finding| {
            let snippet = Snippet::source(self.text.as_str()).path(self.path.as_str());
            let primary = AnnotationKind::Primary.span(first_line(&self.text, &finding.place));
            let other = finding.related.as_ref().map(|(place, label)| {
                AnnotationKind::Context.span(first_line(&self.text, place)).label(label.as_str())
            });
            let level = match finding.kind.severity {
                Severity::Error => Level::ERROR,
                Severity::Warning => Level::WARNING,
            };
            let title = level.primary_title(finding.message.as_str()).id(finding.kind.code);
            let group: Group<'_> = title.element(snippet.annotation(primary).annotations(other));
            let help = finding.help.as_ref().map(|help| Level::HELP.message(help.as_str()));
            format!("{}\n\n", renderer.render(&[group.elements(help)]))
        });
        rendered.collect()
    }

    /// For programs.
    pub(crate) fn json(&self) -> Vec<Value> {
        let place = |place: &Range<usize>| line_and_column(&self.text, place.start);
        let finding = |finding: &Finding| {
            let (line, column) = place(&finding.place);
            let related = finding.related.as_ref().map(|(other, label)| {
                let (line, column) = place(other);
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
        };
        self.findings.iter().map(finding).collect()
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
    for pointer in pointers {
        let Some(secret) = document.value.pointer(pointer).and_then(Value::as_str) else { continue };
        let place = document.place(pointer);
        let value = text.get(place.clone()).and_then(|shown| Some(place.start.saturating_add(shown.find(':')?)));
        stars(&mut bytes, value.unwrap_or(place.start)..place.end);
        // it may stand elsewhere: behind an anchor, in a configuration that is a string
        for line in secret.lines().map(str::trim).filter(|line| line.len() >= 4) {
            for (at, _) in text.match_indices(line) {
                stars(&mut bytes, at..at.saturating_add(line.len()));
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
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
        let report = Report { path: "f.yml".to_owned(), text: text.to_owned(), findings: vec![finding] };
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
    fn a_place_that_makes_no_sense_is_shown_all_the_same() {
        let place = |start, end| Range { start, end };
        for (given, shown) in [(place(1, 0), 1..1), (place(90, 95), 3..3), (place(0, 99), 0..1)] {
            assert_eq!(first_line("a\nb", &given), shown, "{given:?}");
        }
    }
}
