//! The record of one request, version 2. docs/audit/record.v2.schema.json is generated from these types.

use super::draft::time;
use super::text::to_ascii_json;
use crate::base::{Label, Reason, SortedMap, UnixTime};
use serde::Serialize;

/// The longest record in a log line: Kong cuts lines at 2048 bytes, its own words included (`NGX_MAX_ERROR_STR`).
pub const LONGEST_LINE: usize = 1840;

/// The version of the form of records. What a field means never changes within one, and a later one has all fields of those before.
pub(super) const VERSION: u8 = 2;

/// What happened to one request, and why. Fields of which nothing is known are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Record {
    /// The version of this form: 2.
    pub v: u8,
    /// When it was decided, in UTC (RFC 3339, with milliseconds).
    pub time: Label,
    /// The request's name: `x-request-id` of the answer to a refused request, and the end of the `User-Agent` that Databricks sees.
    pub request_id: Label,
    /// How it was decided.
    pub decision: Decision,
    /// Why: `ALLOWED`, or the reason code of the refusal; with `would_deny`, of the refusal that was not enforced.
    #[serde(serialize_with = "write_reason")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub reason: Option<Reason>,
    /// The finer code of a `TOKEN_INVALID`, as in the answer's `metadata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The rule that decided, as a JSON pointer into the configuration; absent if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Label>,
    /// The role that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Label>,
    /// Why the role is granted, as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// The configuration's name of the identity provider that vouches for the caller. Absent, like all that a token says, unless the
    /// token was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idp: Option<Label>,
    /// Who asked; with `audit.subject: sha256`, a digest that is the same for the same subject of the same identity provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Label>,
    /// The application that the token was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Label>,
    /// The first entry of `agents` that the caller is; if one refused the request, that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Label>,
    /// Who acts for the subject (`act.sub` of the token); where that goes on inside, those before it follow, with commas between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Label>,
    /// The first 16 hex digits of SHA-256 of the token, also of one that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<Label>,
    /// The Databricks operation, by the SDK's name; absent if the catalogue does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'static str>,
    /// The request's method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Label>,
    /// The operation's path with placeholders. The path itself is never recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_template: Option<&'static str>,
    /// Ids that the request carries, by type, as far as the decision needed to read it.
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub resources: SortedMap<&'static str, Vec<Label>>,
    /// Features of the request's body that the rule let pass by its `permit`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub permits: Vec<&'static str>,
    /// What the request's SQL text does, if the decision needed to read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<Sql>,
    /// The type of the role's credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<&'static str>,
    /// The client id of the service principal that the request runs as, where the credential is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Label>,
    /// The OAuth scope of the Databricks token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Label>,
    /// The configured id of the workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<Label>,
    /// The configuration that decided: the first 16 hex digits of SHA-256 of its JSON text, members in the order of their names, no blanks.
    /// Absent if there was none to decide by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Label>,
    /// Where the Databricks token came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_cache: Option<TokenUse>,
    /// For how many milliseconds the request waited for identity providers and Databricks before it was decided.
    pub callout_ms: u64,
    /// Whether ids, tables or the end of a text were left out, because there were too many or it was too long.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

const fn why(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(reason) => reason.name(),
        None => "ALLOWED",
    }
}

fn write_reason<S: serde::Serializer>(reason: &Option<Reason>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(why(*reason))
}

/// How a request was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It went on.
    Allow,
    /// The gateway refused it.
    #[default]
    Deny,
    /// It went on, because denials are recorded only (`mode: observe` or the role's `observe`).
    WouldDeny,
}

impl Decision {
    /// As the record names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::WouldDeny => "would_deny",
        }
    }
}

/// Why a role is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Grant {
    /// Who approved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<Label>,
    /// The ticket that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Label>,
    /// Whether it is an emergency access.
    pub break_glass: bool,
}

/// What a SQL text does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Sql {
    /// The classes of its statements: `select`, `dml`, `ddl`, `grant`, `other`; several are joined by commas. Absent if it was not
    /// understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The tables, and other things with a name, that it reads or writes. Empty with `audit.sql_tables: false`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Label>,
    /// Whether the text was understood.
    pub parsed: bool,
}

/// Where a Databricks token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenUse {
    /// It was kept from before.
    Hit,
    /// It replaced one that was about to end.
    Renewed,
    /// There was none; one was asked for.
    Miss,
}

impl Record {
    /// The record of a request of which no more is known than that it was refused.
    #[must_use]
    pub fn refused(request_id: &str, reason: Reason, now: UnixTime) -> Self {
        Self { v: VERSION, time: time(now), request_id: request_id.into(), reason: Some(reason), ..Self::default() }
    }

    /// Why it was decided so, as the record says it.
    #[must_use]
    pub const fn why(&self) -> &'static str {
        why(self.reason)
    }

    /// The record as one line of JSON, in printable ASCII.
    #[must_use]
    pub fn to_json(&self) -> String {
        to_ascii_json(self)
    }

    /// As [`Record::to_json`], in at most `longest` bytes: lists are left out first.
    #[must_use]
    pub fn to_json_within(&self, longest: usize) -> String {
        let text = self.to_json();
        if text.len() <= longest {
            return text;
        }
        let mut shorter = Self { truncated: true, ..self.clone() };
        if let Some(sql) = &mut shorter.sql {
            sql.tables = Vec::new();
        }
        let text = shorter.to_json();
        if text.len() <= longest {
            return text;
        }
        shorter.resources = SortedMap::new();
        shorter.to_json()
    }
}
