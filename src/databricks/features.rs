//! What in a body changes whom or what a request runs as.

use super::body;
use super::catalogue::{Operation, feature_names, tells_of_a_feature};
use super::resources::IdFault;
use serde_json::{Map, Value};

/// A set of such features. Which members of which bodies they are stands in tools/catalogue/leaves.txt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u16);

impl Features {
    /// The set of the features of these names; the first name that is none, if there is one.
    ///
    /// # Errors
    /// The name that is not a feature's.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        names.into_iter().try_fold(Self::default(), |set, name| {
            let place = feature_names().iter().position(|known| *known == name).ok_or(name)?;
            Ok(set.with(place))
        })
    }

    /// All names.
    pub fn all_names() -> impl Iterator<Item = &'static str> {
        feature_names().iter().copied()
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
        feature_names().get(place).copied()
    }

    /// What both have.
    #[must_use]
    pub const fn shared_with(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The same with that members are let pass that no shape has.
    #[must_use]
    pub fn and_unknown_fields(self) -> Self {
        self.with(feature_names().len().saturating_sub(1))
    }

    /// The names of those that there are.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let has = move |place: &usize| Self::default().with(*place).are_within(self);
        feature_names().iter().enumerate().filter(move |(place, _)| has(place)).map(|(_, name)| *name)
    }

    /// Whether members that no shape has are let pass.
    #[must_use]
    pub fn have_unknown_fields(self) -> bool {
        // the last of them
        self.0 & Self::default().with(feature_names().len().saturating_sub(1)).0 != 0
    }

    /// Whether bodies of `operation` must be looked at.
    #[must_use]
    pub fn can_be_in(operation: Operation) -> bool {
        operation.body().is_some_and(|shape| shape.features() != 0)
    }

    /// The features of a body.
    ///
    /// # Errors
    /// The body can be read in two ways.
    pub fn of(operation: Operation, body: &Map<String, Value>) -> Result<Self, IdFault> {
        let found = operation.body().map(|shape| body::read(shape, body, &|_| false)).transpose()?;
        Ok(found.map(|contents| contents.features).unwrap_or_default())
    }

    /// Whether a field of this name, in lower case and without underscores, can tell of a feature.
    pub(super) fn is_told_by(field: &str) -> bool {
        tells_of_a_feature(field)
    }

    pub(super) fn with(self, place: usize) -> Self {
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
        Features::of(Catalogue::named(operation).next().unwrap(), body.as_object().unwrap()).unwrap()
    }

    #[test]
    fn each_feature_is_found_where_it_stands() {
        for (name, operation, body) in [
            ("run_as", "jobs.submit", json!({"run_as": {"user_name": "x"}})),
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
    fn a_feature_in_another_spelling_is_refused() {
        for body in
            [json!({"runAs": {}}), json!({"new_settings": {"Run_As": {}}}), json!({"new_settings": {"newCluster": {}}})]
        {
            let operation = Catalogue::named("jobs.update").next().unwrap();
            let fault = Features::of(operation, body.as_object().unwrap());
            assert!(fault == Err(IdFault::Spelling) || body.get("runAs").is_some(), "{body}: {fault:?}");
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
