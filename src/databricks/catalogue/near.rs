//! Requests that are no known operation letter by letter, but that some server may take for one, or that are sensitive by their path.

use super::Operation;
use super::find::{NO_COLON, Node, ROOT, at, pair};
use super::packed::{rows, text};
use super::table::{PREFIXES, REASONS};

pub(super) fn find(method: &str, path: &str) -> Option<Operation> {
    let segments: Vec<_> = segments(path).collect();
    below(ROOT, method, &segments)
}

/// The segments of a path that tell something: without the empty one that a slash at the end makes, and without `preview`.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty() && !is_preview(segment))
}

fn is_preview(segment: &str) -> bool {
    segment.eq_ignore_ascii_case("preview")
}

/// Looks for the rest of a path among the children of a node as [`super::find`] does, but in any case, in any version, and through
/// `preview`. The first that is found is taken; goes at most as deep as the tree and as often through `preview` as templates do.
fn below(node: u16, method: &str, rest: &[&str]) -> Option<Operation> {
    let (here, next) = pair(node)?;
    let Some((segment, after)) = rest.split_first() else { return at(node, method) };
    let [_, _, one, open_end] = *here;
    let alike = |label: &str| label.eq_ignore_ascii_case(segment) || (is_version(label) && is_version(segment));
    let literal =
        edges(here, next).filter(|(label, _)| alike(label)).find_map(|(_, child)| below(child, method, after));
    let through_preview =
        || edges(here, next).filter(|(label, _)| is_preview(label)).find_map(|(_, child)| below(child, method, rest));
    let placeholder = || {
        let child = one & !NO_COLON;
        (child != 0 && one & NO_COLON == 0).then(|| below(child, method, after)).flatten()
    };
    literal
        .or_else(through_preview)
        .or_else(placeholder)
        .or_else(|| if open_end == 0 { None } else { at(open_end, method) })
}

fn edges(here: &Node, next: &Node) -> impl Iterator<Item = (&'static str, u16)> {
    let range = usize::from(here[0])..usize::from(next[0]);
    let labels = rows().labels.get(range.clone()).unwrap_or_default();
    labels.iter().map(|span| text(*span)).zip(rows().targets.get(range).unwrap_or_default().iter().copied())
}

/// `2.0`
fn is_version(segment: &str) -> bool {
    segment.split_once('.').is_some_and(|(major, minor)| {
        [major, minor].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

pub(super) fn sensitivity(method: &str, path: &str) -> Option<&'static str> {
    let segments: Vec<_> = segments(path).collect();
    let applies = |(reason, methods, pattern): &(u8, &str, &str)| {
        let meant = *methods == "*" || *methods == method || (*methods == "W" && !matches!(method, "GET" | "HEAD"));
        (meant && covers(pattern, &segments)).then(|| REASONS.get(usize::from(*reason)).copied()).flatten()
    };
    PREFIXES.iter().find_map(applies)
}

/// Whether a pattern of the table covers a path: `{}` is any segment, `create-*` one that begins so, `/**` any end, `/**/x` an `x` at
/// any depth.
fn covers(pattern: &str, path: &[&str]) -> bool {
    if let Some(segment) = pattern.strip_prefix("/**/") {
        return path.iter().any(|one| is_like(segment, one));
    }
    let (pattern, open) = pattern.strip_suffix("/**").map_or((pattern, false), |begin| (begin, true));
    let mut rest = path.iter();
    segments(pattern).all(|expected| rest.next().is_some_and(|one| is_like(expected, one)))
        && (open || rest.next().is_none())
}

fn is_like(expected: &str, segment: &str) -> bool {
    match expected.strip_suffix('*') {
        Some(begin) => segment.get(..begin.len()).is_some_and(|given| given.eq_ignore_ascii_case(begin)),
        None => {
            expected == "{}" || expected.eq_ignore_ascii_case(segment) || (is_version(expected) && is_version(segment))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_some_server_could_take_for_a_known_one_is_near_it() {
        for (method, path, name) in [
            ("POST", "/api/2.0/token/create/", "tokens.create"),
            ("POST", "/api/2.0/TOKEN/create", "tokens.create"),
            ("POST", "/API/2.0/token/Create", "tokens.create"),
            ("POST", "/api/2.0/preview/token/create", "tokens.create"),
            ("POST", "/api/2.1/token/create", "tokens.create"),
            ("GET", "/api/2.0/scim/v2/Me", "current_user.me"),
            ("GET", "/api/2.0/preview/scim/v2/me", "current_user.me"),
            ("POST", "/api/2.2/jobs/Run-Now", "jobs.run_now"),
        ] {
            assert_eq!(find(method, path).map(Operation::name), Some(name), "{method} {path}");
        }
        for (method, path) in
            [("GET", "/api/2.0/token/create"), ("POST", "/api/2.0/token/created"), ("POST", "/api/2.0/tokens")]
        {
            assert_eq!(find(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn what_stands_below_a_sensitive_path_is_sensitive_known_or_not() {
        for (method, path) in [
            ("PATCH", "/api/2.0/permissions/sql/new-things/abc"),
            ("PUT", "/api/2.1/permissions/things/abc/"),
            ("POST", "/api/2.0/Permissions/x/y/z"),
            ("POST", "/api/2.0/fs/create-any-url"),
            ("PUT", "/api/2.0/preview/permissionassignments/principals/1"),
            ("POST", "/api/2.0/mlflow/unity-catalog/things/generate-temporary-credentials"),
            ("GET", "/api/2.0/mlflow/things/1/credentials-for-data-download"),
            ("GET", "/ajax-api/3.0/x"),
        ] {
            assert!(sensitivity(method, path).is_some(), "{method} {path}");
        }
        for (method, path) in
            [("GET", "/api/2.0/permissions/things/abc"), ("POST", "/api/2.0/new-thing"), ("GET", "/api/2.0/fs/files/x")]
        {
            assert_eq!(sensitivity(method, path), None, "{method} {path}");
        }
    }
}
