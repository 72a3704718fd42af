//! Who exists in the workspace, and whose tokens it trusts: the JSON of `--state` and of `PUT /state`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scopes;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workspace {
    pub(crate) workspace_id: String,
    pub(crate) account_id: String,
    pub(crate) host: String,
    /// Seconds that a client-credentials token lives.
    #[serde(default = "one_hour")]
    pub(crate) token_lifetime: u64,
    #[serde(default)]
    pub(crate) issuers: BTreeMap<String, Issuer>,
    #[serde(default)]
    pub(crate) account_policies: Vec<Policy>,
    #[serde(default)]
    pub(crate) users: BTreeMap<String, User>,
    #[serde(default)]
    pub(crate) service_principals: BTreeMap<String, ServicePrincipal>,
    /// Tenants of Entra ID, by their ids.
    #[serde(default)]
    pub(crate) entra: BTreeMap<String, Tenant>,
    /// What exists, by kind ("jobs", "clusters", "warehouses"). A kind that is not listed has every id.
    #[serde(default)]
    pub(crate) resources: BTreeMap<String, Vec<String>>,
    /// Whether who opens a SQL session below its warehouse is told to send the statements below the session.
    #[serde(default)]
    pub(crate) statements_below_sessions: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issuer {
    /// Without it, the mock asks the issuer's discovery document.
    #[serde(default)]
    pub(crate) jwks_url: Option<String>,
}

/// A tenant of Entra ID.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tenant {
    /// Of its users' tokens.
    pub(crate) issuer: String,
    /// The secrets of its applications, by their ids.
    #[serde(default)]
    pub(crate) clients: BTreeMap<String, String>,
}

/// An account policy has no `subject`; a service principal's policy has one.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    pub(crate) issuer: String,
    /// Databricks's default is the account id.
    #[serde(default)]
    pub(crate) audiences: Vec<String>,
    #[serde(default)]
    pub(crate) subject: Option<String>,
    #[serde(default = "sub")]
    pub(crate) subject_claim: String,
    /// Keys inline, as a federation policy may carry them: then nothing is fetched.
    #[serde(default)]
    pub(crate) jwks_json: Option<Value>,
    /// The longest time from `iat` to `exp`, in seconds; then both are required.
    #[serde(default)]
    pub(crate) max_lifetime: Option<u64>,
}

/// Ids that may be used, by kind. A kind that is not listed is not restricted.
pub(crate) type Permissions = BTreeMap<String, Vec<String>>;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    #[serde(default)]
    pub(crate) groups: Vec<Group>,
    #[serde(default)]
    pub(crate) permissions: Permissions,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) assume: bool,
    /// While the group is assumed, these replace the caller's.
    #[serde(default)]
    pub(crate) permissions: Permissions,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServicePrincipal {
    #[serde(default)]
    pub(crate) secret: Option<String>,
    #[serde(default = "all_apis")]
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) policies: Vec<Policy>,
    #[serde(default)]
    pub(crate) groups: Vec<Group>,
    #[serde(default)]
    pub(crate) permissions: Permissions,
}

fn one_hour() -> u64 {
    3600
}

fn sub() -> String {
    "sub".into()
}

fn all_apis() -> Vec<String> {
    vec![scopes::ALL_APIS.into()]
}

impl Workspace {
    /// What serde cannot see. A test whose state makes no sense should fail at once and not at its first request.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.workspace_id.is_empty() || !self.workspace_id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!("state: workspace_id {:?} is not a number", self.workspace_id));
        }
        if self.account_policies.iter().any(|policy| policy.subject.is_some()) {
            return Err("state: an account policy has no subject".into());
        }
        for (id, principal) in &self.service_principals {
            if principal.policies.iter().any(|policy| policy.subject.is_none()) {
                return Err(format!("state: a policy of service principal {id} lacks its subject"));
            }
            if let Some(scope) = principal.scopes.iter().find(|scope| !scopes::is_known(scope)) {
                return Err(format!("state: service principal {id} has the unknown scope {scope:?}"));
            }
        }
        Ok(())
    }

    /// The same workspace with the top-level keys of `patch` in place of its own.
    pub(crate) fn merged(&self, patch: Value) -> Result<Self, String> {
        let Value::Object(patch) = patch else { return Err("the patch is not an object".into()) };
        let mut whole = serde_json::to_value(self).map_err(|e| e.to_string())?;
        if let Some(whole) = whole.as_object_mut() {
            whole.extend(patch);
        }
        let merged: Self = serde_json::from_value(whole).map_err(|e| e.to_string())?;
        merged.check()?;
        Ok(merged)
    }

    pub(crate) fn audiences_of<'a>(&'a self, policy: &'a Policy) -> &'a [String] {
        if policy.audiences.is_empty() { std::slice::from_ref(&self.account_id) } else { &policy.audiences }
    }
}
