//! Spark's own parser as an oracle: what tests/spark/Oracle.java says of a text that the scanner has parsed.

use crate::corpus::object;
use databricks_kong::databricks::sql::{Class, Kind, Object, Scan, scan};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Where names belong in all texts that are held against Spark.
pub(crate) const HOME: (&str, &str) = ("main", "sales");

fn class_path() -> Option<String> {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spark/setup");
    let setup = Command::new(setup).stderr(Stdio::inherit()).output().expect("tests/spark/setup");
    let class_path = String::from_utf8(setup.stdout).unwrap().trim().to_owned();
    if class_path.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "CI needs Maven and Java 17 for Spark's parser");
        println!("skipped: no Maven with Java 17 here, so Spark's parser was not asked");
        return None;
    }
    Some(class_path)
}

fn java(class_path: &str) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xss8m", "-Xmx3g", "-XX:+UseSerialGC", "-cp", class_path, "Oracle"]);
    java
}

/// A running Oracle.java.
pub(crate) struct Spark(Child);

impl Spark {
    /// Starts it, or says that this machine has no Maven and Java. CI must have both.
    pub(crate) fn start() -> Option<Self> {
        let java = java(&class_path()?).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        Some(Self(java.expect("java")))
    }

    /// All words that Spark's lexer knows.
    pub(crate) fn keywords() -> Option<Vec<String>> {
        let output = java(&class_path()?).arg("keywords").output().expect("java");
        let words: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        assert!(words.len() > 300, "{words:?}");
        Some(words)
    }

    /// Asks about all `texts`, which hold no NUL, and gives what was said in their order.
    pub(crate) fn ask(mut self, texts: &[String]) -> Vec<Said> {
        let mut stdin = self.0.stdin.take().unwrap();
        let stdout = BufReader::new(self.0.stdout.take().unwrap());
        let said: Vec<_> = std::thread::scope(|scope| {
            scope.spawn(move || write_all(&mut stdin, texts));
            stdout.lines().map(|line| Said::read(&line.unwrap())).collect()
        });
        assert_eq!(said.len(), texts.len(), "Oracle.java said something to each text");
        self.0.wait().unwrap();
        said
    }
}

fn write_all(stdin: &mut ChildStdin, texts: &[String]) {
    for text in texts {
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.write_all(b"\0").unwrap();
    }
}

/// What Spark's plan says of one text. Names are complete and in lower case; a path is as written.
pub(crate) enum Said {
    Refused,
    /// What is touched is known only when it runs, or it is a script.
    Dynamic,
    Plan {
        class: String,
        reads: BTreeSet<String>,
        writes: BTreeSet<String>,
        functions: BTreeSet<String>,
    },
}

impl Said {
    fn read(line: &str) -> Self {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        let class = next().to_owned();
        let names = |field: &str| field.split(' ').filter(|name| !name.is_empty()).map(complete).collect();
        match class.as_str() {
            "refused" => Self::Refused,
            "dynamic" | "script" => Self::Dynamic,
            "failed" => panic!("Oracle.java did not walk a plan: {line}"),
            _ => Self::Plan {
                class,
                reads: names(next()),
                writes: names(next()),
                functions: next().split(' ').filter(|name| !name.is_empty()).map(written).collect(),
            },
        }
    }
}

fn written(name: &str) -> String {
    unescaped(name).replace('\u{1f}', ".").to_lowercase()
}

fn unescaped(name: &str) -> String {
    name.replace("\\s", " ").replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\")
}

fn complete(name: &str) -> String {
    let name = unescaped(name);
    let parts: Vec<_> = name.split('\u{1f}').collect();
    match parts.as_slice() {
        [_, path] if path.contains(['/', ':']) => (*path).to_owned(),
        [table] => format!("{}.{}.{table}", HOME.0, HOME.1).to_lowercase(),
        [schema, table] => format!("{}.{schema}.{table}", HOME.0).to_lowercase(),
        _ => parts.join(".").to_lowercase(),
    }
}

/// How a parsed text differs from Spark's plan, if it does.
pub(crate) fn difference(scan: &Scan, said: &Said) -> Option<String> {
    let (class, reads, writes, functions) = match said {
        // what only Databricks reads
        Said::Refused => return None,
        Said::Dynamic => return Some("its effect is only known when it runs".to_owned()),
        Said::Plan { class, reads, writes, functions } => (class, reads, writes, functions),
    };
    let [ours] = scan.classes.as_slice() else { return Some("one statement for Spark".to_owned()) };
    if !same_class(*ours, class) {
        return Some(format!("{ours:?} is {class}"));
    }
    let theirs: BTreeSet<_> = reads.union(writes).cloned().collect();
    let touched: BTreeSet<_> = scan.reads.iter().chain(&scan.writes).filter_map(relation).collect();
    let dropped: BTreeSet<_> =
        scan.writes.iter().filter(|object| object.kind == Kind::Function).map(|f| f.name.clone()).collect();
    if is_of_databricks(scan) {
        return None;
    }
    let missing: Vec<_> = theirs.iter().filter(|name| !touched.contains(*name) && !dropped.contains(*name)).collect();
    // a path by itself is no relation of the plan
    let tables: BTreeSet<_> = scan
        .reads
        .iter()
        .chain(&scan.writes)
        .filter(|object| object.kind == Kind::Table)
        .map(|object| object.name.clone())
        .collect();
    let invented: Vec<_> = tables.difference(&theirs).collect();
    if !missing.is_empty() || !invented.is_empty() {
        return Some(format!("misses {missing:?}, invents {invented:?}"));
    }
    let written: BTreeSet<_> = scan.writes.iter().map(|object| object.name.clone()).collect();
    if class != "other" && !writes.is_subset(&written) {
        return Some(format!("writes {writes:?}"));
    }
    functions_differ(scan, functions)
}

/// Whether the scan read a table by its name in a string, as only Databricks' own functions do.
fn is_of_databricks(scan: &Scan) -> bool {
    scan.functions.iter().any(|function| function == "table_changes" || function == "cdf_table_changes")
}

/// Spark has no grants.
fn same_class(ours: Class, theirs: &str) -> bool {
    match ours {
        Class::Select => theirs == "select",
        Class::Dml => theirs == "dml",
        Class::Ddl | Class::Grant => theirs == "ddl",
        Class::Other => theirs == "other",
    }
}

fn relation(object: &Object) -> Option<String> {
    matches!(object.kind, Kind::Table | Kind::Path).then(|| object.name.clone())
}

/// Operators that are calls in the plan.
const SYNTAX: [&str; 1] = ["between"];

/// Each function of the plan must be among the scan's, and each one of the scan's that matters in the plan: what is syntax in
/// Spark (`CAST`) is harmless.
fn functions_differ(scan: &Scan, theirs: &BTreeSet<String>) -> Option<String> {
    let ours: BTreeSet<_> = scan.functions.iter().cloned().collect();
    let missing: Vec<_> = theirs.difference(&ours).filter(|name| !SYNTAX.contains(&name.as_str())).collect();
    let is_noted = |name: &str| {
        scan.reads.iter().any(|object| {
            object.kind == Kind::Function && (object.name == name || object.name.ends_with(&format!(".{name}")))
        })
    };
    // the defaults of a function's parameters are texts in the plan
    let makes_function = scan.writes.iter().any(|object| object.kind == Kind::Function);
    let invented: Vec<_> = ours.difference(theirs).filter(|name| !makes_function && is_noted(name)).collect();
    (!missing.is_empty() || !invented.is_empty()).then(|| format!("misses functions {missing:?}, invents {invented:?}"))
}

/// Statements of Databricks that Spark takes for others: `DESCRIBE HISTORY t` has the column `t` of a table `history`.
fn is_read_otherwise(text: &str) -> bool {
    let mut words = text.split_whitespace().map(str::to_lowercase);
    let is_describe = words.next().is_some_and(|word| word == "describe" || word == "desc");
    is_describe && words.next().is_some_and(|word| ["history", "detail", "catalog", "volume"].contains(&word.as_str()))
}

/// Holds each of `texts` that the scanner parses against Spark; gives the differences and how many were compared.
pub(crate) fn differences(texts: impl Iterator<Item = String>) -> Option<(Vec<String>, usize)> {
    let spark = Spark::start()?;
    let parsed: Vec<_> = texts
        .map(|text| (scan(&text, Some(HOME.0), Some(HOME.1)), text))
        .filter(|(scan, text)| scan.parsed.is_ok() && scan.is_single() && !is_read_otherwise(text))
        .collect();
    let texts: Vec<_> = parsed.iter().map(|(_, text)| text.clone()).collect();
    let said = spark.ask(&texts);
    let compared = said.iter().filter(|said| !matches!(said, Said::Refused)).count();
    let wrong = parsed.iter().zip(&said).filter_map(|((scan, text), said)| {
        difference(scan, said).map(|how| {
            let names = |objects: &[Object]| objects.iter().map(object).collect::<Vec<_>>().join(", ");
            format!("{how}\n  {text}\n  reads {}, writes {}", names(&scan.reads), names(&scan.writes))
        })
    });
    Some((wrong.collect(), compared))
}
