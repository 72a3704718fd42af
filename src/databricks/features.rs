//! What in a body changes whom or what a request runs as.

use super::catalogue::Operation;
use super::resources::fold;
use serde_json::{Map, Value};

/// A set of such features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u16);

/// Each feature's name, and the fields by which a body has it, without underscores.
const FEATURES: [(&str, &[&str]); 10] = [
    ("run_as", &["runas", "runasusername", "runasserviceprincipalname"]),
    ("new_cluster", &["newcluster", "jobclusters"]),
    ("init_scripts", &["initscripts"]),
    ("instance_profile", &["instanceprofilearn", "googleserviceaccount", "instanceprofileid"]),
    ("docker_image", &["dockerimage"]),
    ("access_control_list", &["accesscontrollist"]),
    ("git_source", &["gitsource"]),
    ("spark_env_vars", &["sparkenvvars", "environmentvars"]),
    ("single_user_name", &["singleusername"]),
    ("external_links", &[]),
];

/// The operations whose bodies can have them.
const INSPECTED: [&str; 23] = [
    "alerts_v2.create_alert",
    "alerts_v2.update_alert",
    "apps.create",
    "apps.create_update",
    "apps.deploy",
    "apps.update",
    "instance_pools.create",
    "pipelines.clone",
    "warehouses.create",
    "warehouses.edit",
    "jobs.create",
    "jobs.reset",
    "jobs.update",
    "jobs.submit",
    "clusters.create",
    "clusters.edit",
    "clusters.update",
    "pipelines.create",
    "pipelines.update",
    "serving_endpoints.create",
    "serving_endpoints.update_config",
    "serving_endpoints.create_provisioned_throughput_endpoint",
    "statement_execution.execute_statement",
];

impl Features {
    /// The set of the features of these names; the first name that is none, if there is one.
    ///
    /// # Errors
    /// The name that is not a feature's.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        names.into_iter().try_fold(Self::default(), |set, name| {
            let place = FEATURES.iter().position(|(known, _)| *known == name).ok_or(name)?;
            Ok(set.with(place))
        })
    }

    /// All names.
    pub fn all_names() -> impl Iterator<Item = &'static str> {
        FEATURES.iter().map(|(name, _)| *name)
    }

    /// Whether `self` has nothing that `permitted` lacks.
    #[must_use]
    pub const fn are_within(self, permitted: Self) -> bool {
        self.0 & !permitted.0 == 0
    }

    /// The name of a feature that `self` has and `permitted` lacks.
    #[must_use]
    pub fn first_beyond(self, permitted: Self) -> Option<&'static str> {
        let beyond = self.0 & !permitted.0;
        let place = usize::try_from(beyond.trailing_zeros()).ok()?;
        FEATURES.get(place).map(|(name, _)| *name)
    }

    /// Whether bodies of `operation` must be looked at.
    #[must_use]
    pub fn can_be_in(operation: Operation) -> bool {
        INSPECTED.contains(&operation.name())
    }

    /// The features of a body, in whatever depth they stand and however they are spelt.
    #[must_use]
    pub fn of(operation: Operation, body: &Map<String, Value>) -> Self {
        let mut found = Self::default();
        found.walk(body);
        let mut dispositions = body.iter().filter(|(key, _)| fold(key) == "disposition").map(|(_, value)| value);
        let inline =
            |value: &Value| value.is_null() || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("inline"));
        if operation.name() == "statement_execution.execute_statement" && !dispositions.all(inline) {
            found = found.with(FEATURES.len().saturating_sub(1));
        }
        // a pipeline's clusters are new ones too
        if operation.name().starts_with("pipelines.") && body.keys().any(|key| fold(key) == "clusters") {
            found = found.with(1);
        }
        found
    }

    /// Whether a field of this name, in lower case and without underscores, can tell of a feature.
    pub(super) fn is_told_by(field: &str) -> bool {
        matches!(field, "disposition" | "clusters") || FEATURES.iter().any(|(_, fields)| fields.contains(&field))
    }

    fn walk(&mut self, object: &Map<String, Value>) {
        for (key, value) in object {
            let key = fold(key);
            if let Some(place) = FEATURES.iter().position(|(_, fields)| fields.contains(&key.as_str()))
                && !value.is_null()
            {
                *self = self.with(place);
            }
            self.walk_value(value);
        }
    }

    fn walk_value(&mut self, value: &Value) {
        match value {
            Value::Object(object) => self.walk(object),
            Value::Array(items) => items.iter().for_each(|item| self.walk_value(item)),
            _ => {}
        }
    }

    fn with(self, place: usize) -> Self {
        let bit = u32::try_from(place).ok().and_then(|place| 1_u16.checked_shl(place)).unwrap_or(0);
        Self(self.0 | bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databricks::Catalogue;
    use serde_json::json;

    fn of(operation: &str, body: &Value) -> Features {
        Features::of(Catalogue::named(operation).next().unwrap(), body.as_object().unwrap())
    }

    #[test]
    fn each_feature_is_found_where_it_stands() {
        for (name, operation, body) in [
            ("run_as", "jobs.submit", json!({"run_as": {"user_name": "x"}})),
            ("run_as", "jobs.submit", json!({"runAs": {"user_name": "x"}})),
            ("new_cluster", "jobs.submit", json!({"tasks": [{"new_cluster": {}}]})),
            ("new_cluster", "jobs.create", json!({"job_clusters": []})),
            ("new_cluster", "pipelines.create", json!({"clusters": []})),
            ("init_scripts", "clusters.create", json!({"init_scripts": []})),
            ("instance_profile", "clusters.create", json!({"aws_attributes": {"instance_profile_arn": "arn"}})),
            ("docker_image", "clusters.edit", json!({"docker_image": {}})),
            ("access_control_list", "jobs.create", json!({"access_control_list": []})),
            ("git_source", "jobs.update", json!({"new_settings": {"git_source": {}}})),
            ("spark_env_vars", "clusters.create", json!({"spark_env_vars": {}})),
            ("single_user_name", "clusters.create", json!({"single_user_name": "x"})),
            ("external_links", "statement_execution.execute_statement", json!({"disposition": "EXTERNAL_LINKS"})),
            (
                "external_links",
                "statement_execution.execute_statement",
                json!({"disposition": "INLINE", "disposition_": "EXTERNAL_LINKS"}),
            ),
            ("instance_profile", "warehouses.create", json!({"instance_profile_arn": "arn"})),
            ("run_as", "alerts_v2.update_alert", json!({"run_as_user_name": "root"})),
        ] {
            assert_eq!(of(operation, &body), Features::named([name]).unwrap(), "{name} in {body}");
        }
    }

    #[test]
    fn what_has_none_has_none() {
        for (operation, body) in [
            ("jobs.submit", json!({"tasks": [{"existing_cluster_id": "x"}], "run_as": null})),
            ("statement_execution.execute_statement", json!({"disposition": "INLINE", "statement": "select 1"})),
            ("clusters.create", json!({"num_workers": 1})),
        ] {
            assert_eq!(of(operation, &body), Features::default(), "{body}");
        }
    }

    #[test]
    fn every_inspected_operation_exists() {
        for name in INSPECTED {
            assert!(Catalogue::named(name).next().is_some(), "{name}");
        }
    }

    #[test]
    fn a_set_is_within_itself_and_more() {
        let one = Features::named(["run_as"]).unwrap();
        let both = Features::named(["run_as", "git_source"]).unwrap();
        assert!(one.are_within(both) && one.are_within(one) && !both.are_within(one));
        assert_eq!((both.first_beyond(one), one.first_beyond(both)), (Some("git_source"), None));
        assert_eq!(Features::named(["run_as", "root"]), Err("root"));
    }
}
