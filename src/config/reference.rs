//! The configuration's keys as Markdown tables, from the same types as the schema: what `docs/configuration.md` ends with.

use super::schema::with_key_order;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// One table for each object, in the order in which the types declare keys. Objects that are alike have one table.
#[must_use]
pub fn tables() -> String {
    let mut tables = Tables { text: String::new(), seen: Vec::new() };
    tables.object("", &with_key_order());
    tables.text
}

struct Tables {
    text: String,
    /// Objects that have their table, by what they hold.
    seen: Vec<(Value, String)>,
}

impl Tables {
    fn object(&mut self, path: &str, schema: &Value) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        self.seen.push((Value::Object(properties.clone()), path.to_owned()));
        let title = if path.is_empty() { "The entry".to_owned() } else { format!("`{path}`") };
        self.line(&format!("\n## {title}\n\n{}\n", description(schema)));
        self.line("| key | type | default | meaning |\n|---|---|---|---|");
        let mut below = Vec::new();
        for key in keys(schema, properties) {
            let Some(property) = properties.get(key) else { continue };
            let at = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            let (mut meaning, default) = meaning_and_default(description(property), is_required(schema, key));
            explain_words(property, &mut meaning);
            let kind = self.kind(&at, property, &mut below);
            self.line(&format!("| <a id=\"{at}\"></a>`{key}` | {kind} | {default} | {meaning} |"));
        }
        for (path, schema) in below {
            if schema.get("oneOf").is_some() {
                self.choice(&path, schema);
            } else {
                self.object(&path, schema);
            }
        }
    }

    /// An object whose key `type` says which other keys it has.
    fn choice(&mut self, path: &str, schema: &Value) {
        self.line(&format!("\n## `{path}`\n\n{}\n", description(schema)));
        self.line("| `type` | further keys | what is sent to Databricks |\n|---|---|---|");
        let alternatives = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        let mut details = Vec::new();
        for one in alternatives {
            let Some(properties) = one.get("properties").and_then(Value::as_object) else { continue };
            let name =
                properties.get("type").and_then(|kind| kind.get("const")).and_then(Value::as_str).unwrap_or_default();
            let keys: Vec<_> = keys(one, properties).into_iter().filter(|key| *key != "type").collect();
            let listed: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
            self.line(&format!(
                "| <a id=\"{path}.{name}\"></a>`{name}` | {} | {} |",
                or_dash(&listed),
                description(one)
            ));
            for key in keys {
                if let Some(property) = properties.get(key) {
                    let (meaning, default) = meaning_and_default(description(property), is_required(one, key));
                    let kind = self.kind(path, property, &mut Vec::new());
                    let row = format!("| `{key}` | {kind} | {default} | {meaning} |");
                    match details.iter_mut().find(|(known, _): &&mut (String, Vec<&str>)| *known == row) {
                        Some((_, names)) => names.push(name),
                        None => details.push((row, vec![name])),
                    }
                }
            }
        }
        self.line("\n| key | type | default | meaning | of |\n|---|---|---|---|---|");
        for (row, names) in details {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            self.line(&format!("{row} {} |", names.join(", ")));
        }
    }

    /// What a value is called. Objects go to `below`, unless one that is alike has its table already.
    fn kind<'s>(&self, path: &str, schema: &'s Value, below: &mut Vec<(String, &'s Value)>) -> String {
        if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
            let real: Vec<_> = alternatives.iter().filter(|one| !is_null(one)).collect();
            return match real.as_slice() {
                [one] => self.kind(path, one, below),
                several if several.iter().any(|one| one.pointer("/properties/env").is_some()) => {
                    "[secret](#secrets)".to_owned()
                }
                _ => "[scope](#scopes)".to_owned(),
            };
        }
        if let Some(words) = words(schema) {
            return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        }
        if schema.get("oneOf").is_some() {
            below.push((path.to_owned(), schema));
            return format!("[object](#{})", anchor(path));
        }
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            let alike = |seen: &Value| seen.as_object() == Some(properties);
            let known = self.seen.iter().find(|(seen, _)| alike(seen)).map(|(_, path)| path.clone());
            let announced =
                below.iter().find(|(_, seen)| seen.get("properties").is_some_and(alike)).map(|(path, _)| path.clone());
            let table = known.or(announced).unwrap_or_else(|| {
                below.push((path.to_owned(), schema));
                path.to_owned()
            });
            return format!("[object](#{})", anchor(&table));
        }
        if let Some(items) = schema.get("items").filter(|_| types(schema).contains(&"array")) {
            return format!("list of {}", plural(&self.kind(path, items, below)));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            return format!("map of {}", plural(&self.kind(path, values, below)));
        }
        let types: Vec<_> = types(schema).into_iter().filter(|kind| *kind != "null").collect();
        match types.as_slice() {
            ["boolean"] => "true or false".to_owned(),
            ["integer"] => range(schema),
            ["string", "integer"] => "number, best as text".to_owned(),
            ["object"] => "map of values".to_owned(),
            [] => "value".to_owned(),
            several => several.join(" or "),
        }
    }

    fn line(&mut self, text: &str) {
        // writing to a String cannot fail
        let _ = writeln!(self.text, "{text}");
    }
}

fn keys<'s>(schema: &'s Value, properties: &'s Map<String, Value>) -> Vec<&'s str> {
    match schema.get("x-keys").and_then(Value::as_array) {
        Some(order) => {
            order.iter().filter_map(Value::as_str).map(|key| key.strip_prefix("r#").unwrap_or(key)).collect()
        }
        None => properties.keys().map(String::as_str).collect(),
    }
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn is_required(schema: &Value, key: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|keys| keys.iter().any(|required| required == key))
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_null(schema: &Value) -> bool {
    types(schema) == ["null"]
}

/// Says of each word of a choice what it means, in place of a mere list of them.
fn explain_words(property: &Value, meaning: &mut String) {
    let alternatives = property.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let choice = alternatives.chain([property]).chain(property.get("items")).find(|one| words(one).is_some());
    let Some(words) = choice.and_then(|choice| choice.get("oneOf")).and_then(Value::as_array) else { return };
    if meaning.starts_with('`') {
        meaning.clear();
    }
    for one in words {
        let word = one.get("const").and_then(Value::as_str).unwrap_or_default();
        let separator = if meaning.is_empty() { "" } else { "<br>" };
        // writing to a String cannot fail
        let _ = write!(meaning, "{separator}`{word}`: {}", description(one));
    }
}

/// The words of a choice, each a `const` with its description.
fn words(schema: &Value) -> Option<Vec<&str>> {
    let alternatives = schema.get("oneOf")?.as_array()?;
    alternatives.iter().map(|one| one.get("const")?.as_str()).collect()
}

fn range(schema: &Value) -> String {
    let bound = |key| schema.get(key).and_then(Value::as_u64);
    match (bound("minimum").unwrap_or_default(), bound("maximum")) {
        (low, Some(high)) => format!("{low} to {high}"),
        (0, None) => "whole number".to_owned(),
        (low, None) => format!("{low} or more"),
    }
}

fn plural(kind: &str) -> String {
    match kind {
        "string" => "strings".to_owned(),
        "value" => "values".to_owned(),
        kind if kind.starts_with("[object]") => kind.replace("[object]", "[objects]"),
        kind if kind.starts_with("list of") => kind.replacen("list", "lists", 1),
        kind => kind.to_owned(),
    }
}

/// As GitHub makes it of a heading.
fn anchor(path: &str) -> String {
    path.replace('.', "")
}

fn or_dash(words: &[String]) -> String {
    if words.is_empty() { "–".to_owned() } else { words.join(", ") }
}

/// A description without the sentence that says the default, and that default.
fn meaning_and_default(description: &str, required: bool) -> (String, String) {
    // a row is one line
    let text = description.replace('|', "\\|").replace('\n', " ");
    if required {
        return (text, "required".to_owned());
    }
    if let Some((before, after)) = text.split_once(" (default)") {
        let word = before.rsplit_once('`').and_then(|(rest, _)| rest.rsplit_once('`')).map(|(rest, _)| rest.len());
        let default = word.and_then(|start| before.get(start..)).unwrap_or_default().to_owned();
        return (format!("{before}{after}"), default);
    }
    for mark in ["Default: ", "Default "] {
        let Some(start) = text.find(mark) else { continue };
        let (before, rest) = text.split_at(start);
        let rest = rest.strip_prefix(mark).unwrap_or(rest);
        let (default, after) = rest.split_once(". ").unwrap_or((rest.strip_suffix('.').unwrap_or(rest), ""));
        return (format!("{before}{after}").trim().to_owned(), default.to_owned());
    }
    (text, "–".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_taken_out_of_the_description() {
        for (description, meaning, default) in [
            ("Tries for one need. Default 2.", "Tries for one need.", "2"),
            ("The place. Default: `<url>/x`.", "The place.", "`<url>/x`"),
            ("Default https://a.example. The authority.", "The authority.", "https://a.example"),
            ("`plain` (default) or `sha256`.", "`plain` or `sha256`.", "`plain`"),
            ("One of `a`, `b` (default) and `c`.", "One of `a`, `b` and `c`.", "`b`"),
            ("Its secret.", "Its secret.", "–"),
            ("One line.\nAnother. Default 2.", "One line. Another.", "2"),
        ] {
            assert_eq!(meaning_and_default(description, false), (meaning.to_owned(), default.to_owned()));
        }
        assert_eq!(meaning_and_default("Its secret.", true).1, "required");
    }

    #[test]
    fn every_key_of_the_schema_is_in_a_table() {
        fn walk(path: &str, schema: &Value, tables: &str) {
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                // how a secret is written is told once, above the tables
                let told = matches!(key.as_str(), "env" | "shared") || tables.contains(&format!("`{key}`"));
                assert!(told, "{path}.{key}");
                walk(&format!("{path}.{key}"), property, tables);
            }
            for nested in ["anyOf", "oneOf"].iter().filter_map(|key| schema[key].as_array()).flatten() {
                walk(path, nested, tables);
            }
            for nested in ["items", "additionalProperties"].iter().map(|key| &schema[key]).filter(|one| one.is_object())
            {
                walk(path, nested, tables);
            }
        }
        walk("", &with_key_order(), &tables());
    }

    #[test]
    fn keys_stand_in_the_order_in_which_they_are_declared() {
        let tables = tables();
        let place = |key: &str| tables.find(&format!("<a id=\"{key}\">")).unwrap_or_else(|| panic!("{key}"));
        let order =
            ["mode", "workspace", "identity_providers", "roles", "agents", "audit", "workspace.url", "roles.match"];
        assert!(order.map(place).is_sorted(), "{order:?}");
    }
}
