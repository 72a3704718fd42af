//! Test results as JUnit XML, which build servers show.

use crate::output::Style;
use crate::test::Outcome;

/// The report: a suite for each file.
pub(crate) fn report(outcomes: &[Outcome]) -> String {
    let suites = outcomes.chunk_by(|one, next| one.file == next.file).map(suite);
    let (tests, failures) = counts(outcomes);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{tests}\" failures=\"{failures}\">\n{}</testsuites>\n",
        suites.collect::<String>()
    )
}

fn counts(outcomes: &[Outcome]) -> (usize, usize) {
    (outcomes.len(), outcomes.iter().filter(|outcome| !outcome.passed()).count())
}

fn suite(outcomes: &[Outcome]) -> String {
    let file = escaped(outcomes.first().map_or("", |outcome| &outcome.file));
    let (tests, failures) = counts(outcomes);
    let cases = outcomes.iter().map(|outcome| {
        let open = format!(
            "    <testcase classname=\"{file}\" name=\"{}\" file=\"{file}\" line=\"{}\"",
            escaped(&outcome.name),
            outcome.line
        );
        if outcome.passed() {
            return format!("{open}/>\n");
        }
        let differences = outcome.differences();
        let steps = outcome.steps(Style { colored: false });
        format!(
            "{open}>\n      <failure message=\"{}\">{}\n{}</failure>\n    </testcase>\n",
            escaped(differences.first().map_or("", String::as_str)),
            escaped(&differences.join("\n")),
            escaped(&steps)
        )
    });
    format!(
        "  <testsuite name=\"{file}\" tests=\"{tests}\" failures=\"{failures}\">\n{}  </testsuite>\n",
        cases.collect::<String>()
    )
}

/// Text as XML 1.0 can have it.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(letter),
            // XML has no way to write these
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_xml_cannot_have_is_replaced() {
        assert_eq!(escaped("a <b> & \"c\"\n\u{0}\u{1b}[1m"), "a &lt;b&gt; &amp; &quot;c&quot;\n\u{fffd}\u{fffd}[1m");
    }
}
