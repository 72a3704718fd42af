//! Random statements, whole and damaged: what the scanner says is held against the generator and against `sqlparser`.

use crate::corpus::{self, object};
use crate::generator::{Random, statement};
use crate::oracle::{Verdict, difference};
use databricks_kong::databricks::sql::{Class, scan};
use std::collections::BTreeSet;

const HOME: Option<(&str, &str)> = Some(("main", "sales"));

/// `DATABRICKS_KONG_SQL_SEED` makes another run, `DATABRICKS_KONG_SQL_STATEMENTS` a longer one.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect(name))
}

/// The same statements every time, unless asked for others: a test that fails now and then helps nobody.
pub(crate) fn seed() -> u64 {
    let seed = number("DATABRICKS_KONG_SQL_SEED").unwrap_or(20_261_123);
    println!("DATABRICKS_KONG_SQL_SEED={seed}");
    seed
}

fn count(default: u64) -> u64 {
    number("DATABRICKS_KONG_SQL_STATEMENTS").unwrap_or(default)
}

#[test]
fn random_statements_touch_what_the_generator_and_sqlparser_say() {
    let mut random = Random(seed());
    let mut both = 0;
    for _ in 0..count(15_000) {
        let made = statement(&mut random);
        let text = made.text();
        let scan = scan(&text, Some("main"), Some("sales"));
        assert_eq!(scan.parsed, Ok(()), "{text}");
        let names = |objects: &[_]| objects.iter().map(object).collect::<BTreeSet<_>>();
        assert_eq!(names(&scan.reads), made.reads, "{text}");
        assert_eq!(names(&scan.writes), made.writes, "{text}");
        assert_eq!(scan.classes == [Class::Select], made.is_query, "{text}");
        match difference(&text, &scan, HOME) {
            Verdict::NotRead => {}
            Verdict::Agrees => both += 1,
            Verdict::Differs(how) => panic!("{how}: {text}"),
        }
    }
    println!("{both} of {} read by sqlparser too", count(15_000));
    // sqlparser reads neither pipes nor functions with a body
    assert!(both > count(15_000) / 3);
}

/// Words by which a damaged statement may become another one.
const WORDS: [&str; 40] = [
    "FROM",
    "SELECT",
    "AS",
    "JOIN",
    ",",
    "(",
    ")",
    "WITH",
    "UNION",
    "EXCEPT",
    "TABLE",
    "VALUES",
    "INTO",
    "LATERAL",
    "VIEW",
    "ON",
    "USING",
    "WHERE",
    "ORDER BY",
    "LIMIT",
    "t9",
    "`t9`",
    ".",
    "*",
    "LEFT",
    "NOT",
    "IN",
    "CASE",
    "END",
    "INTERVAL",
    "OVER",
    "::",
    "-- x\n",
    "/* x */",
    "'",
    "PIVOT",
    "WINDOW",
    "SET",
    ":",
    "INSERT INTO",
];

fn damaged(random: &mut Random, tokens: &[String]) -> String {
    let mut tokens = tokens.to_vec();
    for _ in 0..=random.below(2) {
        let at = random.below(tokens.len());
        match random.below(4) {
            0 if tokens.len() > 1 => drop(tokens.remove(at)),
            1 => tokens.insert(at, random.pick(&WORDS).to_owned()),
            2 => tokens[at] = random.pick(&WORDS).to_owned(),
            _ => {
                let other = random.below(tokens.len());
                tokens.swap(at, other);
            }
        }
    }
    tokens.join(" ")
}

#[test]
fn damaged_statements_hide_no_table_that_sqlparser_finds() {
    let mut random = Random(seed());
    let corpus = corpus::cases();
    let (mut parsed, mut both) = (0, 0);
    for round in 0..count(15_000) {
        let tokens = if round % 2 == 0 {
            statement(&mut random).tokens
        } else {
            let case = &corpus[random.below(corpus.len())];
            case.text.split_inclusive(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect()
        };
        let text = damaged(&mut random, &tokens);
        let scan = scan(&text, Some("main"), Some("sales"));
        parsed += u32::from(scan.parsed.is_ok());
        match difference(&text, &scan, HOME) {
            Verdict::NotRead => {}
            Verdict::Agrees => both += 1,
            Verdict::Differs(how) => panic!("{how}: {text}\n{scan:?}"),
        }
    }
    println!("{parsed} of {} parsed, {both} of them by sqlparser too", count(15_000));
}

/// A text with other white space, comments and cases between and in the same tokens.
fn disguised(random: &mut Random, tokens: &[String]) -> String {
    let gaps = [" ", "\n", "\t\r\n ", "/**/", " /* FROM x */ ", "-- ' \" ` FROM x\n", "/* a /* b */ c */"];
    let mut text = String::new();
    for token in tokens {
        // `*` and `/*` would be Spark's `*/`
        if text.ends_with(['*', '/', '-']) {
            text.push(' ');
        }
        text.push_str(random.pick(&gaps));
        let is_word = token.chars().all(|c| c.is_ascii_alphabetic());
        match random.below(3) {
            0 if is_word => text.push_str(&token.to_lowercase()),
            1 if is_word => text.push_str(&token.to_uppercase()),
            _ => text.push_str(token),
        }
    }
    text + " " + random.pick(&gaps)
}

#[test]
fn comments_white_space_and_case_change_nothing() {
    let mut random = Random(seed());
    for _ in 0..count(5_000) {
        let made = statement(&mut random);
        let plain = scan(&made.text(), Some("main"), Some("sales"));
        let text = disguised(&mut random, &made.tokens);
        assert_eq!(scan(&text, Some("MAIN"), Some("Sales")), plain, "{text}");
    }
}
