//! Mistakes that a valid configuration can have. They are found in what was written, so that each has its place; only what can be proved is
//! said, with the catalogue that the filter decides by.

mod addresses;
pub(crate) mod codes;
mod framing;
pub(crate) mod kong;
pub(crate) mod kong_conf;
pub(crate) mod kong_reads;
mod mistyped;
mod neighbours;
mod open_routes;
mod owner;
mod patterns;
mod prefixes;
mod providers;
mod revocations;
mod roles;
mod routing;
mod rule;
mod rules;
mod scopes;
mod sets;
mod settings;
mod strangers;

use crate::document::Document;
use crate::findings::{Finding, Kind};
use databricks_kong::base::UnixTime;
use owner::Owner;
use serde_json::Value;

pub(crate) use addresses::host_of;
pub(crate) use mistyped::lint as mistyped;
pub(crate) use providers::{is_guid, no_token_has};
pub(crate) use revocations::Service;
pub(crate) use rule::is_told_by_sql;
pub(crate) use sets::Sets;
pub(crate) use settings::{secrets, workspace_id};

/// One configuration of the filter, to be looked at.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// The file it stands in.
    pub(crate) document: &'a Document,
    /// JSON pointer to the configuration in the file.
    pub(crate) pointer: &'a str,
    /// The configuration.
    pub(crate) config: &'a Value,
    /// Whether the native plugin reads it, for which Kong resolves references to its vaults.
    pub(crate) is_native: bool,
    /// When.
    pub(crate) now: UnixTime,
    /// What is known of patterns.
    pub(crate) sets: &'a Sets,
    /// The revocation service whose feeds are read, where its file was given.
    pub(crate) revocations: Option<&'a Service>,
}

impl Entry<'_> {
    fn finding(&self, kind: &'static Kind, pointer: &str, message: impl Into<String>) -> Finding {
        Finding::new(kind, self.document, pointer, message)
    }

    /// Everything odd about the configuration.
    pub(crate) fn lint(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let (roles, agents) = (Owner::roles(self), Owner::agents(self));
        settings::lint(self, &mut found);
        providers::lint(self, &roles, &mut found);
        if let Some(service) = self.revocations {
            revocations::lint(self, service, &mut found);
        }
        roles::lint(self, &roles, &mut found);
        strangers::lint(self, &roles, &mut found);
        scopes::lint(self, &roles, &mut found);
        for owner in roles.iter().chain(&agents) {
            patterns::lint(self, owner, &mut found);
            rules::lint(self, owner, &mut found);
        }
        found
    }
}

/// The items of a list, numbered.
fn items<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// The value at a JSON pointer without `~`. [`Value::pointer`] makes two texts of each step, which is a tenth of the time for many roles.
fn value_at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    pointer.split('/').skip(1).try_fold(value, |value, step| match value {
        Value::Object(members) => members.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}
