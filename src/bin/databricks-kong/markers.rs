//! Exceptions that a file makes for itself: `# databricks-kong: allow W002 because …`.
//!
//! A marker is about what stands on its own line, or else on the next line that has something, and about all that is inside of that: before
//! a role's first line it is about the role, before the first line of the file about the file. It gives its reason, and one that allows
//! nothing is a finding itself, so that exceptions do not outlive what they were made for.

use crate::document::{Document, Lines};
use crate::findings::{Finding, Kind, Severity};
use crate::lint::codes;
use crate::nearest::nearest;
use std::collections::HashMap;
use std::ops::Range;

const SAYS: &str = "databricks-kong:";
const FORM: &str = "write `# databricks-kong: allow W002 because …`";

/// A finding that the file allows.
#[derive(Debug)]
pub(crate) struct Allowed {
    pub(crate) finding: Finding,
    /// The reason that the file gives.
    pub(crate) because: String,
}

struct Marker {
    kind: &'static Kind,
    because: String,
    place: Range<usize>,
    /// The line that it is about, from 1.
    line: usize,
    used: bool,
}

/// Takes out of `findings` what the text allows, and adds what is wrong with its markers.
pub(crate) fn apply(text: &str, document: Option<&Document>, findings: &mut Vec<Finding>) -> Vec<Allowed> {
    let lines = Lines::new(text);
    let (mut markers, mut wrong) = read(text);
    let mut by_line: HashMap<(usize, &str), usize> = HashMap::new();
    for (index, marker) in markers.iter().enumerate() {
        by_line.insert((marker.line, marker.kind.code), index);
    }
    let first = first_line(text);
    let mut allowed = Vec::new();
    if !markers.is_empty() {
        let all = std::mem::take(findings);
        for finding in all {
            let on = lines_of(&finding, document, &lines, first);
            let marker = on.iter().find_map(|line| by_line.get(&(*line, finding.kind.code)).copied());
            match marker.and_then(|index| markers.get_mut(index)) {
                Some(marker) => {
                    marker.used = true;
                    allowed.push(Allowed { finding, because: marker.because.clone() });
                }
                None => findings.push(finding),
            }
        }
    }
    for marker in markers.iter().filter(|marker| !marker.used) {
        let message = format!("there is no {} here: the exception allows nothing", marker.kind.code);
        wrong.push(finding(&codes::UNUSED_MARKER, marker.place.clone(), message, "take it out".to_owned()));
    }
    findings.extend(wrong);
    allowed
}

/// The lines on which a finding's value begins, and those around it.
fn lines_of(finding: &Finding, document: Option<&Document>, lines: &Lines, first: usize) -> Vec<usize> {
    let Some(document) = document else {
        return vec![lines.line(finding.place.start), first];
    };
    let mut pointer = finding.pointer.as_str();
    let mut found = Vec::new();
    loop {
        found.extend(document.own_place(pointer).map(|place| lines.line(place.start)));
        match pointer.rsplit_once('/') {
            Some((outer, _)) => pointer = outer,
            None => return found,
        }
    }
}

fn finding(kind: &'static Kind, place: Range<usize>, message: String, help: String) -> Finding {
    Finding { kind, pointer: String::new(), place, message, help: Some(help), related: None }
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn first_line(text: &str) -> usize {
    text.lines().position(|line| !is_blank(line)).unwrap_or(0).saturating_add(1)
}

fn read(text: &str) -> (Vec<Marker>, Vec<Finding>) {
    let (mut markers, mut wrong) = (Vec::new(), Vec::new());
    let lines: Vec<&str> = text.split('\n').collect();
    let mut start = 0_usize;
    for (index, line) in lines.iter().enumerate() {
        let here = start;
        start = start.saturating_add(line.len()).saturating_add(1);
        let Some((at, said)) = comment(line) else { continue };
        let end = here.saturating_add(line.trim_end().len());
        let place = here.saturating_add(at)..end;
        let is_beside = line.get(..at).is_some_and(|before| !before.trim().is_empty());
        let next = || {
            let below = lines.iter().enumerate().skip(index).find(|(_, line)| !is_blank(line));
            below.map_or(0, |(index, _)| index.saturating_add(1))
        };
        let line = if is_beside { index.saturating_add(1) } else { next() };
        match parse(said) {
            Ok((kinds, because)) => markers.extend(kinds.into_iter().map(|kind| Marker {
                kind,
                because: because.to_owned(),
                place: place.clone(),
                line,
                used: false,
            })),
            Err((message, help)) => wrong.push(finding(&codes::BAD_MARKER, place, message, help)),
        }
    }
    (markers, wrong)
}

/// Where a marker stands on a line, and what it says.
fn comment(line: &str) -> Option<(usize, &str)> {
    line.match_indices('#').find_map(|(at, _)| {
        let is_comment = line.get(..at)?.chars().next_back().is_none_or(char::is_whitespace);
        let said = line.get(at..)?.trim_start_matches('#').trim_start().strip_prefix(SAYS)?;
        is_comment.then_some((at, said.trim()))
    })
}

/// The kinds that a marker allows, and why.
fn parse(said: &str) -> Result<(Vec<&'static Kind>, &str), (String, String)> {
    let form = |message: &str| (message.to_owned(), FORM.to_owned());
    let listed = said.strip_prefix("allow ").ok_or_else(|| form("this says nothing that `check` understands"))?;
    let (listed, because) = listed.split_once(" because ").ok_or_else(|| form("an exception needs a reason"))?;
    let because = because.trim();
    if because.is_empty() {
        return Err(form("an exception needs a reason"));
    }
    let kinds = listed.split([',', ' ']).filter(|code| !code.is_empty()).map(allowable);
    Ok((kinds.collect::<Result<_, _>>()?, because))
}

/// The kind of a warning, by its code.
///
/// # Errors
/// There is none, with what is wrong and what to do.
pub(crate) fn allowable(code: &str) -> Result<&'static Kind, (String, String)> {
    let Some(kind) = codes::named(code) else {
        let near = nearest(code, codes::ALL.iter().map(|kind| kind.code));
        let help = near.map_or_else(
            || "`databricks-kong check --explain all` lists all codes".to_owned(),
            |near| format!("write `{near}`"),
        );
        return Err((format!("`check` has no finding `{code}`"), help));
    };
    if kind.severity == Severity::Error {
        let help = "mend what it is about".to_owned();
        return Err((format!("`{code}` is an error, which cannot be allowed"), help));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes that are left and those that are allowed, of a finding W002 about each role.
    fn applied(text: &str) -> (Vec<&'static str>, Vec<String>) {
        let document = Document::parse(text).unwrap();
        let roles = document.value["roles"].as_array().unwrap().len();
        let about = |index| Finding::new(&codes::NO_ALLOW, &document, &format!("/roles/{index}"), "x");
        let mut findings: Vec<_> = (0..roles).map(about).collect();
        let allowed = apply(text, Some(&document), &mut findings);
        let left = findings.iter().map(|finding| finding.kind.code).collect();
        (left, allowed.into_iter().map(|allowed| allowed.because).collect())
    }

    #[test]
    fn a_marker_is_about_the_value_behind_it_or_beside_it() {
        let marker = "# databricks-kong: allow W002 because it is a trial";
        let because = || vec!["it is a trial".to_owned()];
        let one = format!("roles:\n{marker}\n# more\n\n- name: a\n- name: b\n");
        assert_eq!(applied(&one), (vec!["W002"], because()));
        let beside = format!("roles:\n- name: a\n- name: b {marker}\n");
        assert_eq!(applied(&beside), (vec!["W002"], because()));
        let whole = format!("{marker}\nroles:\n- name: a\n- name: b\n");
        assert_eq!(applied(&whole), (vec![], vec!["it is a trial".to_owned(); 2]));
        let list = format!("x: 1\n{marker}\nroles:\n- name: a\n- name: b\n");
        assert_eq!(applied(&list), (vec![], vec!["it is a trial".to_owned(); 2]));
    }

    #[test]
    fn a_marker_that_is_wrong_or_of_no_use_is_a_finding() {
        for (marker, expected) in [
            ("allow W001 because x", vec!["W002", "W091"]),
            ("allow W001, W002 because x", vec!["W091"]),
            ("allow W002", vec!["W002", "W090"]),
            ("allow W002 because ", vec!["W002", "W090"]),
            ("allow W999 because x", vec!["W002", "W090"]),
            ("allow E104 because x", vec!["W002", "W090"]),
            ("ignore W002", vec!["W002", "W090"]),
        ] {
            let (left, _) = applied(&format!("roles:\n# databricks-kong: {marker}\n- name: a\n"));
            assert_eq!(left, expected, "{marker}");
        }
        for no_marker in
            ["roles: [{name: 'a # databricks-kong-x: allow'}]", "# databricks-kong is here\nroles: [{name: a}]"]
        {
            assert_eq!(applied(no_marker).0, ["W002"], "{no_marker}");
        }
    }
}
