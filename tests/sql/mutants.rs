//! Mutants of statements, as an attacker would make them: keywords where a name stands, names where a keyword stands, parts of one
//! statement in another. Those that the scanner parses are held against Spark's plan.
//!
//! `DATABRICKS_KONG_SQL_MUTANTS` says how many are made; `make sql-mutants` makes a million.

use crate::corpus;
use crate::fuzz::{number, seed};
use crate::generator::{Random, statement};
use crate::spark::{self, Spark};

/// A text as words, strings, quoted names and symbols, without white space.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' | '`' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            c if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            _ => ["<=>", "::", "=>", "->", "|>", "?::", "||", "<>", ">=", "<="]
                .iter()
                .find(|symbol| rest.starts_with(**symbol))
                .map_or(first.len_utf8(), |symbol| symbol.len()),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Relations and calls that change what is read, wherever they come to stand.
const SPLICES: [&str; 40] = [
    "FROM secret",
    ", secret",
    "JOIN secret",
    "f ( a )",
    "f ( current_user )",
    "secret",
    "( SELECT 1 FROM secret )",
    "IDENTIFIER ( 's' )",
    "IDENTIFIER ( 's' ) . t",
    "s . IDENTIFIER ( 't' )",
    "IDENTIFIER ( 's.t' )",
    "STREAM secret",
    "STREAM ( secret )",
    "TABLE secret",
    "TABLE ( secret )",
    "VALUES ( 1 )",
    "VALUES ( )",
    "( secret )",
    "AS",
    "AS t",
    "AS ( x )",
    "|> JOIN secret",
    "|> WHERE f ( a )",
    "|> SELECT a",
    "|> UNION ALL TABLE secret",
    "LATERAL f ( a )",
    "LATERAL VIEW f ( a ) t AS x",
    "UNION TABLE secret",
    "LIMIT 1",
    "WHERE a",
    "GROUP BY a",
    "( )",
    "1",
    "'x'",
    ": a",
    ":: INT",
    ". a",
    "`secret`",
    "OVER ( ORDER BY f ( a ) )",
    "WITH secret AS ( SELECT 1 )",
];

struct Mutator {
    random: Random,
    keywords: Vec<String>,
    corpus: Vec<Vec<String>>,
}

impl Mutator {
    fn word(&mut self) -> String {
        let at = self.random.below(self.keywords.len());
        self.keywords[at].clone()
    }

    fn base(&mut self) -> Vec<String> {
        if self.random.one_in(4) {
            return statement(&mut self.random).tokens;
        }
        let at = self.random.below(self.corpus.len());
        self.corpus[at].clone()
    }

    fn mutant(&mut self) -> String {
        let mut tokens = self.base();
        for _ in 0..=self.random.below(2) {
            self.change(&mut tokens);
        }
        tokens.join(" ")
    }

    fn change(&mut self, tokens: &mut Vec<String>) {
        let at = self.random.below(tokens.len() + 1);
        let has_one = at < tokens.len();
        match self.random.below(9) {
            0 if has_one => tokens[at] = self.word(),
            1 => tokens.insert(at, self.word()),
            2 => {
                let pair = [self.word(), self.word()];
                tokens.splice(at..at, pair);
            }
            3 if has_one => drop(tokens.remove(at)),
            4 => tokens.insert(at, self.random.pick(&SPLICES).to_owned()),
            5 if has_one => tokens[at] = self.random.pick(&SPLICES).to_owned(),
            6 if has_one => {
                let name = tokens[at].replace('\'', "");
                tokens[at] = format!("IDENTIFIER ( '{name}' )");
            }
            7 => {
                let other = self.base();
                let from = self.random.below(other.len());
                let to = (from + 1 + self.random.below(6)).min(other.len());
                tokens.splice(at..at, other[from..to].iter().cloned());
            }
            _ => {
                if has_one {
                    let with = self.random.below(tokens.len());
                    tokens.swap(at, with);
                }
            }
        }
        if tokens.is_empty() {
            tokens.push(self.word());
        }
    }
}

#[test]
fn mutants_do_what_sparks_plan_says_or_are_not_parsed() {
    let Some(keywords) = Spark::keywords() else { return };
    let corpus = corpus::cases().iter().filter(|case| case.home.is_some()).map(|case| tokens(&case.text)).collect();
    let mut mutator = Mutator { random: Random(seed()), keywords, corpus };
    let count = number("DATABRICKS_KONG_SQL_MUTANTS").unwrap_or(10_000);
    let texts = (0..count).map(|_| mutator.mutant());
    let Some((wrong, compared)) = spark::differences(texts) else { return };
    println!("{compared} of {count} mutants are parsed by both");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 0);
}

#[test]
fn the_corpus_and_random_statements_do_what_sparks_plan_says() {
    let mut random = Random(seed());
    let corpus = corpus::cases().into_iter().filter(|case| case.home.is_some()).map(|case| case.text);
    let made: Vec<_> = (0..2_500).map(|_| statement(&mut random).text()).collect();
    let Some((wrong, compared)) = spark::differences(corpus.chain(made)) else { return };
    println!("{compared} statements are parsed by both");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared >= 1_500, "{compared}");
}
