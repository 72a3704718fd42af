//! Requests whose `Connection` header makes Kong 3.9.3 lose where they end (CVE-2026-6338).
//!
//! Kong drops every header that a client's `Connection` names, `Content-Length` too, before any filter runs, and nginx then reads the body as the
//! connection's next request. Only a plugin can refuse it in time, and Kong runs one `pre-function` for a request: the nearest.

use super::codes;
use super::kong::{Look, Place, items};
use super::neighbours::for_everyone;
use crate::findings::Finding;
use serde_json::Value;

/// A route over which no `pre-function` looks at how a request is framed. `places` are from the outermost to the route itself.
pub(super) fn lint<'a>(look: &Look<'a>, places: &[(Place<'a>, &str)], found: &mut Vec<Finding>) {
    let Some((_, route)) = places.last() else { return };
    let nearest = places.iter().rev().map(|(place, pointer)| look.about("plugins", *place, pointer));
    let nearest = nearest.chain([for_everyone(look)]).find_map(|plugins| {
        plugins
            .into_iter()
            .map(|(plugin, _)| plugin)
            .find(|plugin| plugin.get("name").and_then(Value::as_str) == Some("pre-function"))
    });
    if !nearest.is_some_and(looks_at_framing) {
        let message = "no `pre-function` refuses a `Connection` header that names `content-length`: Kong 3.9.3 reads the body of such a request as \
                       the next one (CVE-2026-6338)";
        let help = "take over the `pre-function` of kong/minimal.yml; one of the route's own begins with it";
        found.push(look.finding(&codes::SMUGGLING, route, message).help(help));
    }
}

fn looks_at_framing(plugin: &Value) -> bool {
    let Some(config) = plugin.get("config") else { return false };
    items(config, "access").any(|(_, function)| function.as_str().is_some_and(|lua| lua.contains("content-length")))
}

#[cfg(test)]
mod tests {
    use crate::document::Document;
    use crate::lint::kong;

    /// The code and pointer of each finding about a declaration with these plugins over its route.
    fn found(of_all: &str, of_service: &str, of_route: &str) -> Vec<(&'static str, String)> {
        let text = format!(
            "_format_version: '3.0'\nplugins: [{of_all}]\nservices:\n- name: s\n  retries: 0\n  plugins: [{of_service}]\n  routes:\n  \
             - {{name: r, paths: ['/'], strip_path: false, plugins: [{of_route}], filter_chains: [{{filters: [{{name: databricks_kong}}, {{name: databricks_kong, config: {{mode: guard}}}}]}}]}}\n"
        );
        let found = kong::lint(&Document::parse(&text).unwrap());
        found.into_iter().map(|finding| (finding.kind.code, finding.pointer)).collect()
    }

    #[test]
    fn the_nearest_pre_function_is_the_one_that_counts() {
        let refuses = "{name: pre-function, config: {access: ['refuse(\"content-length\")']}}";
        let other = "{name: pre-function, config: {access: ['kong.log(1)']}}";
        let missing = [("W106", "/services/0/routes/0".to_owned())];
        assert_eq!(found("", "", ""), missing);
        assert_eq!(found(refuses, "", other), missing);
        assert_eq!(found(refuses, other, ""), missing);
        assert_eq!(found("", "", &refuses.replace("access", "rewrite")), missing);
        for (of_all, of_service, of_route) in
            [(refuses, "", ""), ("", refuses, ""), (other, other, refuses), (other, refuses, "")]
        {
            assert_eq!(found(of_all, of_service, of_route), []);
        }
    }
}
