//! Routes on which Kong's router mixes requests.
//!
//! Kong 3.9.3 keeps one table for all requests that are alike in the fields that its routes match by, and writes into that table where a request
//! goes (`kong/router/atc.lua`: `set_upstream_uri`, `upstream_host`). It reads them back after it may have waited, so that a request can go on
//! with the path of another one, unless the path is among those fields. Seen after each of four `kong reload` under load.

use super::codes;
use super::kong::{Look, items};
use crate::findings::Finding;
use serde_json::Value;

/// A route on which a request can get another's path, or another's host where that is kept.
pub(super) fn lint(look: &Look<'_>, route: &Value, pointer: &str, found: &mut Vec<Finding>) {
    if !matches(route, "paths", "http.path") {
        let message = "Kong 3.9 matches this route by no path, and then sends requests on with the path of another one after a reload";
        found.push(look.finding(&codes::MIXED_ROUTES, pointer, message).help(match expression(route) {
            Some(_) => "add `&& http.path ^= \"/\"` to the expression",
            None => "add `paths: [\"/\"]`, or the route's prefix",
        }));
    }
    if route.get("preserve_host") == Some(&Value::Bool(true)) && !matches(route, "hosts", "http.host") {
        let message = "`preserve_host` on a route that matches by no host: Kong 3.9 then sends requests on with the host of another one";
        let place = format!("{pointer}/preserve_host");
        found.push(
            look.finding(&codes::MIXED_ROUTES, &place, message).help("add `hosts`, or set `preserve_host: false`"),
        );
    }
}

fn expression(route: &Value) -> Option<&str> {
    route.get("expression").and_then(Value::as_str)
}

/// Whether a route goes by a list of its own or, in the router's expressions, by a field. `http.path.segments` is another field than `http.path`.
fn matches(route: &Value, list: &str, field: &str) -> bool {
    let names = |text: &str| {
        text.match_indices(field)
            .any(|(at, _)| !text.get(at..).unwrap_or_default().trim_start_matches(field).starts_with('.'))
    };
    items(route, list).next().is_some() || expression(route).is_some_and(names)
}

#[cfg(test)]
mod tests {
    use crate::document::Document;
    use crate::lint::kong;

    /// The code and pointer of each finding about a route.
    fn found(route: &str) -> Vec<(&'static str, String)> {
        let text = format!(
            "_format_version: '3.0'\nservices:\n- name: s\n  retries: 0\n  routes:\n  - {{name: r, strip_path: false, {route}, \
             filter_chains: [{{filters: [{{name: databricks_kong, config: {{}}}}, {{name: databricks_kong, config: {{mode: guard}}}}]}}]}}\n"
        );
        let found = kong::lint(&Document::parse(&text).unwrap());
        let found = found.into_iter().map(|finding| (finding.kind.code, finding.pointer));
        found.filter(|(code, _)| *code != "W106").collect()
    }

    #[test]
    fn a_route_that_matches_by_no_path_mixes_requests() {
        for route in [
            "hosts: [gw.example.com]",
            "hosts: [gw.example.com], paths: []",
            "headers: {x: ['1']}",
            "methods: [GET]",
            "expression: 'http.host == \"gw.example.com\"'",
            "expression: 'http.path.segments.0 == \"api\"'",
        ] {
            assert_eq!(found(route), [("E104", "/services/0/routes/0".to_owned())], "{route}");
        }
        for route in [
            "hosts: [gw.example.com], paths: ['/']",
            "paths: ['~/api/(.*)']",
            "expression: 'http.host == \"gw.example.com\" && http.path ^= \"/\"'",
            "expression: 'http.path.segments.0 == \"api\" && lower(http.path) ^= \"/\"'",
        ] {
            assert_eq!(found(route), [], "{route}");
        }
    }

    #[test]
    fn a_host_that_is_kept_mixes_where_no_host_is_matched() {
        let place = ("E104", "/services/0/routes/0/preserve_host".to_owned());
        assert_eq!(found("paths: ['/'], preserve_host: true"), [place]);
        assert_eq!(found("paths: ['/'], preserve_host: false"), []);
        assert_eq!(found("paths: ['/'], hosts: [gw.example.com], preserve_host: true"), []);
    }
}
