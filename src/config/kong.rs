//! The configuration in Kong's own schema language, written as the Lua file that Kong loads with the native plugin.
//!
//! Kong's language has records, lists, maps and words, but no alternatives. A secret becomes a record of its three forms (`value`, which may
//! be a vault reference, `env`, `shared`), and a plain string in its place is taken as its `value`. What else has alternatives (scopes,
//! numeric ids, claims of any type) is JSON that a JSON schema describes; before Kong 3.5, which has no such type, it has the most usual of
//! its types, and secrets are records. No record and no list is required here, and each record says so:
//! Kong would put an empty one in the place of a required record that is missing, and a role whose `match` is empty is everybody's. What is
//! missing the core says itself, when Kong asks it (`check.lua`).

use super::schema::with_key_order;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Kong refuses descriptions that are shorter or longer.
const DESCRIPTION: std::ops::RangeInclusive<usize> = 10..=500;

/// Who reads the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Kong, with the rest of the plugin beside it.
    Kong,
    /// Konnect's control plane, which takes one file without any `require`
    /// (<https://developer.konghq.com/custom-plugins/konnect-hybrid-mode>). It sees the structure; the rest is checked by data planes.
    Konnect,
}

/// The text of `kong/plugins/databricks-kong/schema.lua`, or of `kong/konnect/databricks-kong.lua`.
#[must_use]
pub fn schema_lua(reader: Reader) -> String {
    let mut writer = Writer { text: String::new(), depth: 3 };
    writer.record(&with_key_order());
    let (needs, fields, tail) = match reader {
        Reader::Kong => (NEEDS, FIELDS, TAIL),
        Reader::Konnect => (NEEDS_NOTHING, "", TAIL_ALONE),
    };
    format!("{HEAD}{needs}{FORMS}{fields}    {{ config = {{\n{}{tail}", writer.text)
}

const HEAD: &str = "-- Written by `make schema` from the types in src/config/raw.rs.\n\n";

const NEEDS: &str = r#"local check = require "kong.plugins.databricks-kong.check"
local typedefs = require "kong.db.schema.typedefs"

-- since Kong 3.5
local has_json = require("kong.db.schema").valid_types.json
"#;

const NEEDS_NOTHING: &str = "local has_json = true\n";

const FORMS: &str = r#"

-- A secret has three forms, of which one is given.
local function secret(description)
  return {
    type = "record",
    required = false,
    description = description,
    fields = {
      { value = { type = "string", referenceable = true, encrypted = true, description = "The secret itself, or a vault reference." } },
      { env = { type = "string", description = "The name of a variable in the environment of the process that started Kong." } },
      { shared = { type = "string", description = "A key of `kong.ctx.shared`, where a plugin before this one puts the secret." } },
    },
    entity_checks = { { only_one_of = { "value", "env", "shared" } } },
  }
end


-- A plain string in a secret's place is the secret itself, if Kong can be told so.
local function plain(name)
  return has_json and {
    [name] = {
      type = "json",
      json_schema = { inline = { type = { "string", "object", "null" } } },
      func = function(value)
        return { [name] = type(value) == "string" and { value = value } or value }
      end,
    },
  } or nil
end


-- A value of several types; before Kong 3.5 of one, the most usual.
local function json(description, schema, usual)
  local field = has_json and { type = "json", json_schema = { inline = schema } } or usual
  field.description = description
  return field
end


local schema = {
  name = "databricks-kong",
  fields = {
"#;

const FIELDS: &str = r#"    -- who is asking is known only afterwards
    { consumer = typedefs.no_consumer },
    { protocols = typedefs.protocols_http },
"#;

const TAIL_ALONE: &str = r#"    } },
  },
}

return schema
"#;

const TAIL: &str = r#"    } },
  },
  entity_checks = {
    { custom_entity_check = { field_sources = { "config" }, fn = check } },
  },
}

-- Kong Enterprise has groups of consumers; asked for where there is none, the type is an error
local has_groups, no_consumer_group = pcall(function()
  return typedefs.no_consumer_group
end)
if has_groups and no_consumer_group then
  table.insert(schema.fields, 2, { consumer_group = no_consumer_group })
end

return schema
"#;

struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, line: &str) {
        let indent = self.depth.saturating_mul(2);
        let _ = writeln!(self.text, "{:indent$}{line}", "");
    }

    /// The members of a record, the braces around them not among them.
    fn record(&mut self, schema: &Value) {
        self.members(&description(schema), &members(schema));
    }

    fn members(&mut self, description: &str, members: &[Member]) {
        self.line("type = \"record\",");
        // what Kong would else take a record for
        self.line("required = false,");
        self.describe(description);
        self.line("fields = {");
        self.depth = self.depth.saturating_add(1);
        for member in members {
            self.member(member);
        }
        self.depth = self.depth.saturating_sub(1);
        self.line("},");
        let secrets: Vec<_> = members.iter().filter(|member| is_secret(&member.schema)).collect();
        if !secrets.is_empty() {
            let plain: Vec<_> = secrets.iter().map(|member| format!("plain({})", quoted(&member.name))).collect();
            self.line(&format!("shorthand_fields = {{ {} }},", plain.join(", ")));
        }
    }

    fn member(&mut self, member: &Member) {
        let (name, description) = (key(&member.name), quoted(&fitting(&member.description)));
        if is_secret(&member.schema) {
            self.line(&format!("{{ {name} = secret({description}) }},"));
        } else if is_any(&member.schema) {
            let (schema, usual) = (lua(&nullable(&member.schema)), usual(&member.schema));
            self.line(&format!("{{ {name} = json({description}, {schema}, {usual}) }},"));
        } else {
            self.line(&format!("{{ {name} = {{"));
            self.depth = self.depth.saturating_add(1);
            self.kind(&member.schema, &member.description, member.is_required);
            self.depth = self.depth.saturating_sub(1);
            self.line("} },");
        }
    }

    /// The attributes of a field.
    fn kind(&mut self, schema: &Value, description: &str, is_required: bool) {
        if let Some(words) = words(schema) {
            let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
            self.scalar("string", description, is_required);
            return self.line(&format!("one_of = {{ {} }},", words.join(", ")));
        }
        if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
            return self.members(description, &merged(choices));
        }
        if schema.get("properties").is_some() {
            return self.members(description, &members(schema));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            self.line("type = \"map\",");
            self.describe(description);
            self.line("keys = { type = \"string\" },");
            return self.nested("values", values);
        }
        if let Some(items) = schema.get("items") {
            self.line("type = \"array\",");
            self.describe(description);
            return self.nested("elements", items);
        }
        match types(schema).as_slice() {
            ["boolean"] => self.scalar("boolean", description, is_required),
            ["integer"] => {
                self.scalar("integer", description, is_required);
                let bound = |key| schema.get(key).and_then(Value::as_f64);
                // as far as a Lua number counts
                let (least, most) =
                    (bound("minimum").unwrap_or(0.0), bound("maximum").unwrap_or(9_007_199_254_740_991.0));
                self.line(&format!("between = {{ {least:.0}, {most:.0} }},"));
            }
            _ => self.scalar("string", description, is_required),
        }
    }

    fn scalar(&mut self, kind: &str, description: &str, is_required: bool) {
        self.line(&format!("type = \"{kind}\","));
        self.describe(description);
        if is_required {
            self.line("required = true,");
        }
    }

    fn nested(&mut self, name: &str, schema: &Value) {
        if is_secret(schema) {
            return self.line(&format!("{name} = secret({}),", quoted("One of them.")));
        }
        self.line(&format!("{name} = {{"));
        self.depth = self.depth.saturating_add(1);
        self.kind(schema, &description(schema), false);
        self.depth = self.depth.saturating_sub(1);
        self.line("},");
    }

    fn describe(&mut self, description: &str) {
        if !description.is_empty() {
            self.line(&format!("description = {},", quoted(&fitting(description))));
        }
    }
}

struct Member {
    name: String,
    schema: Value,
    description: String,
    is_required: bool,
}

/// The members of an object, in the order in which the types declare them.
fn members(schema: &Value) -> Vec<Member> {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let declared = schema.get("x-keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut names: Vec<_> = declared.filter(|name| properties.contains_key(*name)).collect();
    let others: Vec<_> = properties.keys().map(String::as_str).filter(|name| !names.contains(name)).collect();
    names.splice(0..0, others);
    let required: Vec<_> = schema.get("required").and_then(Value::as_array).into_iter().flatten().collect();
    let member = |name: &str| {
        let property = properties.get(name)?;
        Some(Member {
            name: name.to_owned(),
            schema: without_null(property),
            description: description(property),
            is_required: required.iter().any(|one| one.as_str() == Some(name)),
        })
    };
    names.into_iter().filter_map(member).collect()
}

/// The members of all alternatives of an object whose key `type` says which others it has.
fn merged(choices: &[Value]) -> Vec<Member> {
    let kinds = choices.iter().filter_map(|choice| choice.pointer("/properties/type/const")).cloned();
    let kind = Member {
        name: "type".to_owned(),
        schema: json!({ "enum": kinds.collect::<Vec<_>>() }),
        description: "Which of the credentials this is; it says which other keys there are.".to_owned(),
        is_required: true,
    };
    let mut all = vec![kind];
    for member in choices.iter().flat_map(members) {
        if !all.iter().any(|known| known.name == member.name) {
            all.push(Member { is_required: false, ..member });
        }
    }
    all
}

fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A description of a length that Kong takes.
fn fitting(description: &str) -> String {
    let mut text: String = description.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() < *DESCRIPTION.start() {
        text.push_str(" (a name)");
    }
    text.chars().take(*DESCRIPTION.end()).collect()
}

/// A type without the `null` by which it may be left out.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
        let real: Vec<_> = alternatives.iter().filter(|one| types(one) != ["null"]).cloned().collect();
        if let [one] = real.as_slice() {
            return one.clone();
        }
        schema = json!({ "anyOf": real });
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
    }
    schema
}

fn nullable(schema: &Value) -> Value {
    match plain(schema) {
        Value::Object(members) if members.is_empty() => Value::Object(members),
        schema => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

/// A JSON schema with nothing but what it demands.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| !matches!(name.as_str(), "description" | "x-keys" | "format"));
            Value::Object(kept.map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        Value::Bool(true) => json!({}),
        other => other.clone(),
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_secret(schema: &Value) -> bool {
    schema
        .get("anyOf")
        .and_then(Value::as_array)
        .is_some_and(|forms| forms.iter().any(|form| form.pointer("/properties/env").is_some()))
}

/// Whether a value of several types may stand here, which Kong's language cannot say.
fn is_any(schema: &Value) -> bool {
    let several = schema.get("anyOf").is_some() || types(schema).len() > 1;
    let unknown = |schema: &Value| *schema == Value::Bool(true) || schema.as_object().is_some_and(Map::is_empty);
    let values = schema.get("additionalProperties");
    let items = |values: &Value| values.get("items").is_some_and(unknown);
    several || unknown(schema) || values.is_some_and(|values| unknown(values) || items(values))
}

/// The field that stands for a value of several types where Kong knows one type only.
fn usual(schema: &Value) -> &'static str {
    let values = schema.get("additionalProperties");
    if values.is_some_and(|values| values.get("items").is_some()) {
        r#"{ type = "map", keys = { type = "string" }, values = { type = "array", elements = { type = "string" } } }"#
    } else if values.is_some() {
        r#"{ type = "map", keys = { type = "string" }, values = { type = "string" } }"#
    } else if schema
        .get("anyOf")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|one| one.get("items").is_some()))
    {
        r#"{ type = "array", elements = { type = "string" } }"#
    } else {
        r#"{ type = "string" }"#
    }
}

/// The words of which one may stand here.
fn words(schema: &Value) -> Option<Vec<String>> {
    let strings = |values: &[Value]| values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return strings(words);
    }
    let choices = schema.get("oneOf")?.as_array()?;
    choices.iter().map(|choice| choice.get("const")?.as_str().map(str::to_owned)).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}

/// A key of a Lua table.
fn key(name: &str) -> String {
    // the only word of Lua that is a key of ours, and any that may become one
    let is_reserved =
        matches!(name, "until" | "end" | "for" | "if" | "in" | "not" | "or" | "and" | "do" | "then" | "repeat");
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !is_reserved;
    if is_name { name.to_owned() } else { format!("[{}]", quoted(name)) }
}

/// JSON as a Lua table.
fn lua(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!("[{}] = {}", quoted(name), lua(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!("{{ {} }}", items.iter().map(lua).collect::<Vec<_>>().join(", ")),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}
