//! What each finding means and what to do about it: docs/check.md, which is also what people read, is part of this program.

use crate::findings::Severity;
use crate::lint::codes;
use crate::nearest::nearest;
use crate::output::{Exit, Format, fail, print};
use serde_json::{Value, json};

const TEXT: &str = include_str!("../../../docs/check.md");

/// The entry of a code: its text below its heading.
fn entry(code: &str) -> Option<&'static str> {
    let at = TEXT.find(&format!("\n### {code} "))?;
    let from_heading = TEXT.get(at..)?.trim_start();
    let (_, text) = from_heading.split_once('\n')?;
    let end = ["\n### ", "\n## "].into_iter().filter_map(|next| text.find(next)).min().unwrap_or(text.len());
    text.get(..end).map(str::trim)
}

/// Prints the entry of a code, or of all.
pub(crate) fn print_entry(code: &str, format: Format) -> Exit {
    let wanted = code.to_uppercase();
    let kinds: Vec<_> =
        codes::ALL.iter().filter(|kind| code == "all" || kind.code == wanted || kind.name == code).collect();
    if kinds.is_empty() {
        let near = nearest(&wanted, codes::ALL.iter().map(|kind| kind.code));
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        return fail(&format!("`check` has no finding `{code}`{hint}"));
    }
    let entries = kinds.iter().map(|kind| (kind, entry(kind.code).unwrap_or_default()));
    match format {
        Format::Json => {
            let list: Vec<_> = entries
                .map(|(kind, text)| {
                    let severity = if kind.severity == Severity::Error { "error" } else { "warning" };
                    json!({"code": kind.code, "name": kind.name, "severity": severity, "text": text})
                })
                .collect();
            print(&format!("{:#}\n", Value::Array(list)));
        }
        Format::Human | Format::Junit => {
            let texts = entries.map(|(kind, text)| format!("{} {}\n\n{text}\n", kind.code, kind.name));
            print(&texts.collect::<Vec<_>>().join("\n"));
        }
    }
    Exit::Fine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_entry_that_says_what_to_do() {
        for kind in codes::ALL {
            let text = entry(kind.code).unwrap_or_else(|| panic!("docs/check.md has no entry for {}", kind.code));
            assert!(TEXT.contains(&format!("\n### {} {}\n", kind.code, kind.name)), "{}", kind.code);
            assert!(text.len() > 40 && text.contains("Do: "), "{}: {text}", kind.code);
        }
    }

    #[test]
    fn every_entry_is_of_a_code_and_they_are_in_order() {
        let headings: Vec<_> = TEXT.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let codes: Vec<_> = codes::ALL.iter().map(|kind| format!("{} {}", kind.code, kind.name)).collect();
        assert_eq!(headings, codes);
    }
}
