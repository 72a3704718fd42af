//! Plain scalars that Kong reads otherwise than this tool does, and everything else that reads YAML 1.2: what was checked is not what runs.

use super::codes;
use crate::document::{Document, KongReads};
use crate::findings::Finding;
use serde_json::Value;

/// Everything at or below `pointer`, which is the configuration `config`, that Kong reads otherwise.
pub(crate) fn lint(document: &Document, pointer: &str, config: &Value) -> Vec<Finding> {
    let found = document.kong_reads(pointer);
    if found.is_empty() {
        return Vec::new();
    }
    let secrets = super::secrets(config);
    let finding = |(at, kong): (String, &KongReads)| {
        let is_secret = at.strip_prefix(pointer).is_some_and(|inner| secrets.iter().any(|secret| secret == inner));
        let (message, help) = if is_secret { of_a_secret() } else { said(kong) };
        Finding::new(&codes::READ_OTHERWISE, document, &at, message).help(help)
    };
    found.into_iter().map(finding).collect()
}

/// What Kong reads, in a sentence without a cure: for those who cannot go on.
pub(crate) fn said(kong: &KongReads) -> (String, String) {
    let KongReads { text, value, is_key } = kong;
    let what = match value {
        Value::Bool(truth) => format!("`{truth}`, no text"),
        Value::Null => "`null`, no text".to_owned(),
        number => format!("the number {}", shown(number)),
    };
    let name = if *is_key { "the key " } else { "" };
    let message = format!("Kong reads {name}`{text}` as {what}: its YAML is not the YAML 1.2 of other programs");
    let help = match value {
        Value::Bool(truth) => format!("write `'{text}'` for the text, or `{truth}`"),
        _ => format!("write `'{text}'`"),
    };
    (message, help)
}

fn of_a_secret() -> (String, String) {
    let message = "Kong reads this secret as something that is no text: its YAML is not the YAML 1.2 of other programs";
    (message.to_owned(), "put it into quotes".to_owned())
}

/// A number without the fraction that it does not have.
fn shown(number: &Value) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
