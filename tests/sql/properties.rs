//! What holds for any text at all.

use crate::corpus;
use databricks_kong::databricks::sql::{LONGEST, Unparsed, scan};
use proptest::prelude::*;
use std::time::Instant;

/// The text might go on: readers do not agree where a comment with a lone carriage return ends.
#[test]
fn a_comment_ends_with_a_line_feed_or_with_the_text_and_never_with_a_lone_carriage_return() {
    let parsed = |text: &str| scan(text, None, None).parsed;
    for text in ["SELECT 1 -- x\r", "SELECT 1 -- x\r \t", "SELECT 1 -- x\rFROM t", "SELECT 1 -- x\r\r\n"] {
        assert_eq!(parsed(text), Err(Unparsed::Unbalanced), "{text:?}");
    }
    for text in ["SELECT 1 -- x", "SELECT 1 -- x\n", "SELECT 1 -- x\r\n", "SELECT 1\r", "SELECT 1 -- x\r\n \r"] {
        assert_eq!(parsed(text), Ok(()), "{text:?}");
    }
}

/// Long texts that would be slow, or use up the stack, if anything were looked at again and again.
fn long_texts() -> Vec<String> {
    let filled = |open: &str, unit: &str, close: &str| {
        let room = LONGEST - open.len() - close.len();
        format!("{open}{}{close}", unit.repeat(room / unit.len()))
    };
    vec![
        filled("SELECT ", "(", ""),
        filled("SELECT ", "f(", ""),
        filled("SELECT * FROM ", "(", ""),
        filled("", "(", ""),
        filled("SELECT ", "NOT ", ""),
        filled("SELECT ", "- ", "1"),
        filled("SELECT ", "CASE WHEN ", ""),
        filled("SELECT x::", "array<", ""),
        filled("SELECT ", "x, ", "x"),
        filled("SELECT * FROM ", "t, ", "t"),
        filled("SELECT 1", " UNION SELECT 1", ""),
        filled("SELECT * FROM t", " JOIN u ON true", ""),
        filled("WITH a AS (SELECT 1)", ", a AS (SELECT 1)", " SELECT 1"),
        filled("", "WITH a AS (", ""),
        filled("SELECT * FROM VALUES ", "((1)), ", "1"),
        filled("", "SELECT 1;", ""),
        filled("SELECT ", "'a' ", ""),
        filled("SELECT ", "`", ""),
        filled("SELECT /", "*/", ""),
        filled("", "/*", ""),
        filled("", "-- x\n", ""),
        filled("CREATE TABLE t ", "(", ""),
        filled("ALTER TABLE t SET ", "x ", ""),
        filled("SELECT a", ".b", ""),
        filled("EXPLAIN ", "EXPLAIN ", ""),
        filled("SELECT ", "(SELECT * FROM ", ""),
        filled("SELECT ", "(SELECT -, ", ""),
        filled("SELECT 1", ",(SELECT (1) FROM t)", ""),
        filled("SELECT x IN (SELECT * ", ", a", " FROM t)"),
        filled("SELECT 1 IN ", "(SELECT *, ", ""),
        filled("FROM t", "|> SELECT a ", ""),
        filled("FROM t", "|> JOIN u ", ""),
        filled("SELECT * FROM lateral a", ".a", ""),
        filled("SELECT * FROM ", "STREAM(", ""),
        filled("SELECT * FROM f(", "TABLE(", ""),
        filled("SELECT 1 GROUP BY GROUPING SETS ", "(", ""),
        filled("CREATE TABLE t ", "USING csv OPTIONS (a=1) ", ""),
        filled("CREATE TABLE t (", "a INT DEFAULT (SELECT 1), ", "b INT)"),
        filled("CREATE TABLE t (", "a STRUCT<", ""),
        filled("CREATE POLICY p ON TABLE t ", "ROW FILTER f ", ""),
        filled("SELECT ", "$$a$$ ", ""),
        filled("SELECT ", "1a ", ""),
        filled("", "SELECT a, f(b, (SELECT max(c) FROM t)) FROM x JOIN y ON x.a = y.a WHERE b IN (1, 2);", ""),
    ]
}

#[test]
fn no_text_takes_long_or_much_stack() {
    let small_stack = std::thread::Builder::new().stack_size(1024 * 1024);
    let work = || {
        for text in long_texts() {
            let timed = || {
                let start = Instant::now();
                let _ = scan(&text, Some("main"), Some("sales"));
                start.elapsed().as_millis()
            };
            // the best of some, because other tests run beside this one
            let took = (0..3).map(|_| timed()).find(|took| *took < 1_000);
            // 50 ms at most, and a few when optimised; it would be many seconds if the time grew with the square
            assert!(took.is_some(), "more than 1,000 ms: {}", &text[..30]);
        }
    };
    small_stack.spawn(work).unwrap().join().unwrap();
}

#[test]
fn longer_texts_are_not_read() {
    let text = format!("SELECT '{}'", "x".repeat(LONGEST));
    assert_eq!(scan(&text, None, None).parsed, Err(Unparsed::TooLong));
}

#[test]
fn a_cut_text_never_gets_another_table() {
    for case in corpus::cases() {
        let whole = case.scan();
        if whole.parsed.is_err() {
            continue;
        }
        let ends = case.text.char_indices().map(|(at, _)| at);
        for end in ends {
            let _ = scan(&case.text[..end], Some("main"), Some("sales"));
        }
    }
}

#[test]
fn control_and_invisible_characters_are_refused_outside_of_quotes() {
    for c in ['\u{200b}', '\u{feff}', '\u{2060}', '\u{a0}', '\u{2028}', '\u{1}', '\u{7f}', 'е', 'ı', 'ſ', '；', '（']
    {
        for text in
            [format!("SELECT{c} 1"), format!("SELECT * FROM ta{c}ble"), format!("{c}SELECT 1"), format!("SELECT 1{c}")]
        {
            assert_eq!(scan(&text, None, None).parsed, Err(Unparsed::Character), "{text:?}");
        }
        let quoted = format!("SELECT * FROM `ta{c}ble`");
        assert_eq!(scan(&quoted, None, None).parsed, Err(Unparsed::Name), "{quoted:?}");
    }
    for text in ["SELECT '\0'", "SELECT 1 -- \0", "SELECT 1 /* \0 */", "SELECT `\0`", "\0"] {
        assert_eq!(scan(text, None, None).parsed, Err(Unparsed::Character), "{text:?}");
    }
}

/// Pieces of SQL in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "SELECT",
        "FROM",
        "t",
        "a.b",
        "(",
        ")",
        ",",
        "WITH",
        "AS",
        "'",
        "\"",
        "`",
        "/*",
        "*/",
        "--",
        "\n",
        "\\",
        ";",
        "1",
        ".",
        "::",
        "INSERT INTO",
        "CASE",
        "END",
        "r'",
        "@v1",
        "IDENTIFIER(",
        "VALUES",
        "<",
        ">",
        "array",
        "[",
        "]",
        "/*+",
        "é",
        "${",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_string_makes_it_panic(text in any::<String>(), catalog in any::<Option<String>>()) {
        let _ = scan(&text, catalog.as_deref(), None);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&String::from_utf8_lossy(&bytes), Some("main"), Some("sales"));
    }

    #[test]
    fn no_pieces_of_sql_make_it_panic(text in pieces()) {
        let _ = scan(&text, Some("main"), Some("sales"));
    }

    #[test]
    fn no_name_leaves_its_catalog_or_schema(part in "[^`]{1,12}") {
        let scan = scan(&format!("SELECT * FROM `{part}`"), Some("main"), Some("sales"));
        if scan.parsed.is_ok() {
            let name = &scan.reads[0].name;
            prop_assert_eq!(name.matches('.').count(), 2);
            prop_assert!(name.starts_with("main.sales.") && !name.contains(['*', '/', ' ']));
        }
    }
}
