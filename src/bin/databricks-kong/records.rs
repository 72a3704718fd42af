//! Audit records, in any of the forms in which they are kept: bare, in an entry of Kong's log, in a line of a host's log, in Loki's answer.

use serde_json::{Map, Value};

/// What stands before a record in a line of a host's log.
const MARK: &str = "databricks_kong.audit ";

/// Records that were read.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) records: Vec<Map<String, Value>>,
    /// Lines that hold none.
    pub(crate) others: usize,
}

impl Records {
    /// Reads a text: a line each, or one answer of Loki's.
    pub(crate) fn read(text: &str) -> Self {
        let mut found = Self::default();
        if let Ok(answer) = serde_json::from_str::<Value>(text)
            && let Some(streams) = answer.pointer("/data/result").and_then(Value::as_array)
        {
            let values = streams.iter().filter_map(|stream| stream.get("values")?.as_array()).flatten();
            values.filter_map(|pair| pair.get(1)?.as_str()).for_each(|line| found.line(line));
            return found;
        }
        text.lines().filter(|line| !line.trim().is_empty()).for_each(|line| found.line(line));
        found
    }

    fn line(&mut self, line: &str) {
        let json = line.split_once(MARK).map_or(line, |(_, rest)| rest);
        // behind the record nginx writes more of its own
        let value = serde_json::Deserializer::from_str(json.trim()).into_iter::<Value>().next();
        match value.and_then(Result::ok).and_then(record) {
            Some(record) => self.records.push(record),
            None => self.others = self.others.saturating_add(1),
        }
    }
}

/// The record in a value.
fn record(value: Value) -> Option<Map<String, Value>> {
    let Value::Object(mut members) = value else { return None };
    if members.get("v").is_some_and(Value::is_u64) && members.contains_key("decision") {
        return Some(members);
    }
    // an entry of Kong's log has the record as text; logcli and Fluent Bit have the line
    let inner = ["databricks_audit", "line", "log", "message"].iter().find_map(|key| members.remove(*key))?;
    match inner {
        Value::String(text) => {
            let json = text.split_once(MARK).map_or(text.as_str(), |(_, rest)| rest);
            record(serde_json::from_str(json).ok()?)
        }
        object => record(object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn records_are_found_in_every_form_in_which_they_are_kept() {
        let bare = json!({"v": 1, "decision": "allow", "role": "r"}).to_string();
        let kong = json!({"request": {}, "databricks_audit": bare}).to_string();
        let object = json!({"databricks_audit": {"v": 1, "decision": "allow", "role": "r"}}).to_string();
        let nginx =
            format!("2026/11/24 10:00:00 [info] 1#1: *5 [wasm] databricks_kong.audit {bare} <module:1>, client: x");
        let logcli = json!({"labels": {}, "line": bare, "timestamp": "x"}).to_string();
        let text = [bare.as_str(), &kong, &object, &nginx, &logcli, "", "no record", "{\"v\": 1}"].join("\n");
        let read = Records::read(&text);
        assert_eq!((read.records.len(), read.others), (5, 2));
        assert!(read.records.iter().all(|record| record["role"] == "r"));
        let loki = json!({"status": "success", "data": {"resultType": "streams", "result": [
            {"stream": {}, "values": [["1", bare], ["2", "no record"]]}, {"stream": {}, "values": [["3", bare]]},
        ]}});
        let read = Records::read(&format!("{loki:#}"));
        assert_eq!((read.records.len(), read.others), (2, 1));
    }
}
