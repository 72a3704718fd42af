//! Files with configurations: read, and the one entry chosen that is meant.

use crate::document::{Document, line_and_column};
use crate::entries::{Entry, entries};
use crate::hints;
use crate::lint::kong_reads;
use crate::output::Failure;
use databricks_kong::config::ConfigError;
use serde_json::Value;
use std::path::Path;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path, as it was given.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
    /// What it says.
    pub(crate) document: Document,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong, with path, line and column.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
        match Document::parse(&text) {
            Ok(document) => Ok(Self { path: shown, text, document }),
            Err(error) => {
                let (line, column) = line_and_column(&text, error.at);
                Err(Failure::invalid(format!("{shown}:{line}:{column}: {}; {}", error.message, error.help)))
            }
        }
    }

    /// The entry that decides and whose name holds `wanted`; the only one that decides, if nothing is wanted.
    ///
    /// # Errors
    /// None or several are meant; all are listed. Or Kong reads something in it otherwise than this tool.
    pub(crate) fn entry(&self, wanted: Option<&str>) -> Result<Entry, Failure> {
        let entry = self.chosen(wanted)?;
        match self.document.kong_reads(&entry.config).first() {
            Some((pointer, kong)) => {
                let (message, help) = kong_reads::said(kong);
                Err(Failure::invalid(self.at(pointer, &format!("{message}; {help}"))))
            }
            None => Ok(entry),
        }
    }

    fn chosen(&self, wanted: Option<&str>) -> Result<Entry, String> {
        let all: Vec<_> = entries(&self.document).into_iter().filter(|entry| !self.is_guard(entry)).collect();
        let meant: Vec<_> = all.iter().filter(|entry| wanted.is_none_or(|part| entry.name.contains(part))).collect();
        match (meant.as_slice(), all.is_empty()) {
            ([entry], _) => Ok((*entry).clone()),
            (_, true) => Err(format!(
                "`{}` has no filter `databricks_kong` and no plugin `databricks-kong` with roles",
                self.path
            )),
            ([], _) => Err(format!("no entry has this name; `{}` has {}", self.path, names(&all))),
            (_, _) => Err(format!("choose one entry of `{}` with --entry: {}", self.path, names(&all))),
        }
    }

    /// The configuration of `entry`.
    pub(crate) fn config(&self, entry: &Entry) -> &Value {
        self.document.value.pointer(&entry.config).unwrap_or(&Value::Null)
    }

    /// `path:line:column: message` of an error in the configuration of `entry`.
    pub(crate) fn located(&self, entry: &Entry, error: &ConfigError) -> String {
        let hint = hints::hint(error).map(|hint| format!("; {hint}")).unwrap_or_default();
        self.at(&entry.in_file(&error.pointer), &format!("{error}{hint}"))
    }

    /// `path:line:column: message`.
    pub(crate) fn at(&self, pointer: &str, message: &str) -> String {
        let (line, column) = line_and_column(&self.text, self.document.place(pointer).start);
        format!("{}:{line}:{column}: {message}", self.path)
    }

    fn is_guard(&self, entry: &Entry) -> bool {
        self.config(entry).get("mode").and_then(Value::as_str) == Some("guard")
    }
}

fn names(entries: &[Entry]) -> String {
    entries.iter().map(|entry| format!("{} ({})", entry.name, entry.config)).collect::<Vec<_>>().join("; ")
}
