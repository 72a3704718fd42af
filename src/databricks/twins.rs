//! What the query says again that the path or the body says already.
//!
//! Servers that make one message of a whole request, as Armeria's HTTP/JSON transcoding does, take its fields from the query too, and
//! let them win over those of the body and of the path. So a decision that rests on a field is made only if the query has none of its
//! name.

use super::catalogue::{Id, Named, Operation, Place};
use super::features::Features;
use super::statement::{MEMBERS, has_statement};
use super::target::Target;
use crate::base::folded;

/// Whether the query has a parameter that goes by the name of a field which a request of `operation` has in its path or its body.
#[must_use]
pub fn has_twin(operation: Operation, target: &Target<'_>) -> bool {
    target.names().any(|name| is_twin(operation, name))
}

fn is_twin(operation: Operation, parameter: &str) -> bool {
    if operation
        .ids()
        .flat_map(Id::places)
        .any(|place| matches!(place, Place::Query(name) if is_alike(name, parameter)))
    {
        return false;
    }
    let parameter = fold(parameter);
    // `a.b` and `a[b]` are the field `b` of `a`
    let mut steps = parameter.split(['.', '[']);
    let first = steps.next().unwrap_or_default();
    if is_written_out(operation, &parameter, first) {
        return false;
    }
    let in_body = || match operation.body().map(|shape| shape.named(first)) {
        Some(Named::Member(member) | Named::Twin(member)) => member.matters(),
        _ => false,
    };
    let is_feature = || Features::can_be_in(operation) && parameter.split('.').any(Features::is_told_by);
    let is_sql = || has_statement(operation) && MEMBERS.iter().any(|member| fold(member) == first);
    is_in_path(operation, first) || in_body() || is_feature() || is_sql()
}

/// Whether the operation takes the object `first` in the query, its members written out.
fn is_written_out(operation: Operation, parameter: &str, first: &str) -> bool {
    let begins_so = |name: &str| name.split_once('.').is_some_and(|(begin, _)| fold(begin) == first);
    parameter.contains('.')
        && operation.ids().flat_map(Id::places).any(|place| matches!(place, Place::Query(name) if begins_so(name)))
}

/// Whether a server may take the parameter `other` for the one called `name`: in another case or with its words joined otherwise, or as a
/// list (`name[]`) or an object (`name.x`) of that name.
pub(super) fn reads_as(other: &str, name: &str) -> bool {
    let (other, name) = (fold(other), fold(name));
    other == name || other.split(['.', '[']).next() == Some(&name)
}

fn fold(name: &str) -> String {
    folded(name).filter(|character| !matches!(character, '-' | ' ')).collect()
}

fn is_alike(name: &str, other: &str) -> bool {
    name == other || fold(name) == fold(other)
}

/// Whether a placeholder is of this name. The SDK's `{name}` and `{parent}` stand in templates written out: a name for a path that ends
/// in a placeholder, a parent for any.
fn is_in_path(operation: Operation, folded: &str) -> bool {
    let mut placeholders = operation.template().split('/').filter_map(|segment| segment.strip_prefix('{'));
    let ends_in_one = operation.template().rsplit('/').next().is_some_and(|segment| segment.starts_with('{'));
    match folded {
        "parent" => placeholders.next().is_some(),
        "name" if ends_in_one => true,
        _ => placeholders.any(|name| name.split(['}', '.']).next().is_some_and(|name| fold(name) == folded)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databricks::Catalogue;

    fn twin(method: &str, target: &str) -> bool {
        let target = Target::parse(target.as_bytes()).unwrap();
        has_twin(Catalogue::find(method, target.path()).unwrap(), &target)
    }

    #[test]
    fn a_field_of_path_or_body_is_not_said_again_in_the_query() {
        for (method, target) in [
            ("POST", "/api/2.2/jobs/run-now?job_id=1"),
            ("POST", "/api/2.2/jobs/run-now?jobId=1"),
            ("POST", "/api/2.2/jobs/run-now?%6aob_id=1"),
            ("POST", "/api/2.2/jobs/run-now?job_id[]=1"),
            ("POST", "/api/2.2/jobs/run-now?job-id=1"),
            ("POST", "/api/2.2/jobs/reset?new_settings[existing_cluster_id]=1"),
            ("GET", "/api/2.0/pipelines/p?pipeline_id%5B0%5D=q"),
            ("POST", "/api/2.2/jobs/reset?new_settings.tasks.existing_cluster_id=1"),
            ("POST", "/api/2.2/jobs/runs/submit?run_as.user_name=x"),
            ("POST", "/api/2.2/jobs/runs/submit?x.newCluster=x"),
            ("POST", "/api/2.0/sql/statements?disposition=EXTERNAL_LINKS"),
            ("POST", "/api/2.0/sql/statements?statement=x"),
            ("POST", "/api/2.0/pipelines?clusters.label=x"),
            ("GET", "/api/2.0/pipelines/p?pipeline_id=q"),
            ("GET", "/api/2.1/unity-catalog/tables/a.b.c?fullName=q"),
            ("GET", "/api/2.0/postgres/projects/p?name=projects/q"),
            ("GET", "/api/2.0/postgres/projects/p/branches?parent=projects/q"),
        ] {
            assert!(twin(method, target), "{method} {target}");
        }
    }

    #[test]
    fn parameters_of_the_query_alone_are_no_twins() {
        for (method, target) in [
            ("GET", "/api/2.2/jobs/get?job_id=1"),
            ("GET", "/api/2.2/jobs/list?limit=1&name=x"),
            ("POST", "/api/2.2/jobs/run-now?o=7405619408829168"),
            ("GET", "/api/2.0/pipelines/p/events?filter=x"),
            ("GET", "/api/2.0/clean-rooms/c/task-runs?notebook_name=x&name=y"),
            ("POST", "/api/2.0/postgres/projects/p/branches?branch_id=b"),
            ("PUT", "/api/2.0/fs/files/Volumes/a/b/c/d?overwrite=true"),
        ] {
            assert!(!twin(method, target), "{method} {target}");
        }
    }
}
