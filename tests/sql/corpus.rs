//! tests/sql/corpus/*.txt: each text with its classes, reads and writes, or with the reason why it is not parsed.

use crate::oracle;
use databricks_kong::databricks::sql::{Kind, Object, Scan, Unparsed, scan};
use std::path::Path;

/// The lines of one text, under `# classes | reads | writes` or `# unparsed reason`.
pub(crate) struct Case {
    pub(crate) file: String,
    pub(crate) expected: String,
    pub(crate) text: String,
    pub(crate) home: Option<(&'static str, &'static str)>,
}

impl Case {
    pub(crate) fn scan(&self) -> Scan {
        scan(&self.text, self.home.map(|home| home.0), self.home.map(|home| home.1))
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|path| cases_of(path)).collect()
}

fn cases_of(path: &Path) -> Vec<Case> {
    let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let home = (file != "unknown_home").then_some(("Main", "sales"));
    let content = std::fs::read_to_string(path).unwrap();
    let blocks = content.trim_end().split("\n\n").map(|block| {
        let (first, text) = block.split_once('\n').unwrap_or_else(|| panic!("{file}: no text under {block}"));
        let expected = first.strip_prefix("# ").unwrap_or_else(|| panic!("{file}: {first}"));
        Case { file: file.clone(), expected: normal(expected), text: text.to_owned(), home }
    });
    blocks.collect()
}

/// The objects in the order of the scan, each once.
fn normal(expected: &str) -> String {
    let fields = expected.split('|').map(|field| {
        let mut objects: Vec<_> = field.split(',').map(str::trim).filter(|object| !object.is_empty()).collect();
        objects.sort_unstable();
        objects.dedup();
        objects.join(", ")
    });
    fields.collect::<Vec<_>>().join(" | ")
}

pub(crate) fn object(object: &Object) -> String {
    let kind = match object.kind {
        Kind::Table => "",
        Kind::Path => "path:",
        Kind::Function => "function:",
        Kind::Schema => "schema:",
        Kind::Catalog => "catalog:",
        Kind::Other => "other:",
    };
    format!("{}{kind}{}", if object.resolved { "" } else { "?" }, object.name)
}

fn reason(reason: Unparsed) -> String {
    format!("unparsed {reason:?}").to_lowercase()
}

fn described(scan: &Scan) -> String {
    if let Err(why) = scan.parsed {
        return reason(why);
    }
    let classes = scan.classes.iter().map(|one| one.as_str()).collect::<Vec<_>>().join("+");
    let list = |objects: &[Object]| objects.iter().map(object).collect::<Vec<_>>().join(", ");
    normal(&format!("{classes} | {} | {}", list(&scan.reads), list(&scan.writes)))
}

#[test]
fn every_text_of_the_corpus_does_what_is_said() {
    let wrong: Vec<String> = cases()
        .iter()
        .filter(|case| described(&case.scan()) != case.expected)
        .map(|case| {
            format!("{}: {}\n  said: {}\n  is:   {}\n", case.file, case.text, case.expected, described(&case.scan()))
        })
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn there_are_many_texts_and_most_are_parsed() {
    let cases = cases();
    let unparsed = cases.iter().filter(|case| case.scan().parsed.is_err()).count();
    let meant = cases.iter().filter(|case| case.expected.starts_with("unparsed")).count();
    println!("{} texts, {unparsed} unparsed, {meant} of them meant to be", cases.len());
    assert!(cases.len() >= 300);
    assert_eq!(unparsed, meant);
}

#[test]
fn execute_immediate_is_flagged_wherever_it_stands() {
    for text in ["EXECUTE IMMEDIATE 'x'", "SELECT 1; execute /**/ immediate q", "BEGIN EXECUTE IMMEDIATE 'x'; END"] {
        let scan = scan(text, None, None);
        assert!(scan.execute_immediate && scan.parsed.is_err(), "{text}");
    }
    assert!(!scan("SELECT 'execute immediate'", None, None).execute_immediate);
}

#[test]
fn functions_are_told_as_called() {
    let scan = scan("SELECT Upper(x), http_request(conn => 'c'), A.f(1) FROM range(3)", Some("m"), Some("s"));
    assert_eq!(scan.functions, ["a.f", "http_request", "range", "upper"]);
}

#[test]
fn sqlparser_finds_no_table_that_the_scanner_does_not() {
    let mut read = 0;
    let mut wrong = Vec::new();
    for case in cases() {
        match oracle::difference(&case.text, &case.scan(), case.home) {
            oracle::Verdict::NotRead => {}
            oracle::Verdict::Agrees => read += 1,
            oracle::Verdict::Differs(how) => wrong.push(format!("{}: {}\n  {how}\n", case.file, case.text)),
        }
    }
    println!("{read} of the parsed texts are read by sqlparser too");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
