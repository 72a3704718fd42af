//! Hosts that must be one and are not: of the workspace in the configuration, of the service that requests go to, of the route.

use super::codes;
use super::kong::{Look, items};
use crate::findings::Finding;
use serde_json::Value;
use std::collections::BTreeSet;

/// The host of a URL in lower case, without the port and the dot of the root.
pub(crate) fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let host = if authority.starts_with('[') { authority } else { authority.split(':').next()? };
    let host = host.trim_end_matches('.');
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// The name of a host by which it is compared: the private endpoint of a workspace is another name of it.
pub(super) fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase().replace(".privatelink.", ".")
}

/// The hosts that a service sends requests to, through an upstream of Kong's where it names one.
pub(super) fn of_service(look: &Look<'_>, service: &Value) -> BTreeSet<String> {
    let text = |key: &str| service.get(key).and_then(Value::as_str);
    let Some(host) = text("url").and_then(host_of).or_else(|| text("host").map(str::to_ascii_lowercase)) else {
        return BTreeSet::new();
    };
    let upstream = items(look.file, "upstreams").find(|(_, upstream)| {
        upstream.get("name").and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case(&host))
    });
    let Some((_, upstream)) = upstream else { return BTreeSet::from([host]) };
    let targets = items(upstream, "targets").filter_map(|(_, target)| target.get("target")?.as_str());
    targets.filter_map(|target| target.split(':').next()).map(str::to_ascii_lowercase).collect()
}

/// Whether this is a workspace of Databricks by its name.
pub(super) fn is_workspace(host: &str) -> bool {
    const DOMAINS: [&str; 6] = [
        ".azuredatabricks.net",
        ".cloud.databricks.com",
        ".gcp.databricks.com",
        ".databricks.azure.cn",
        ".databricks.azure.us",
        ".cloud.databricks.us",
    ];
    DOMAINS.iter().any(|domain| host.ends_with(domain))
}

/// A service and the entry over it that are about two workspaces, and a route under which `public_url` does not lead. `config` stands at
/// `pointer`.
pub(super) fn lint(
    look: &Look<'_>,
    service: Option<(&Value, &str)>,
    route: &Value,
    (config, pointer): (&Value, &str),
    found: &mut Vec<Finding>,
) {
    let url = |key: &str| config.pointer(&format!("/workspace/{key}")).and_then(Value::as_str).and_then(host_of);
    if let (Some(workspace), Some((service, at))) = (url("url"), service) {
        two_workspaces(look, &workspace, service, at, pointer, found);
    }
    if let Some(public) = url("public_url") {
        public_host(look, &public, route, pointer, found);
    }
}

fn two_workspaces(
    look: &Look<'_>,
    workspace: &str,
    service: &Value,
    at: &str,
    pointer: &str,
    found: &mut Vec<Finding>,
) {
    let others = of_service(look, service);
    let Some(other) = others.iter().find(|host| is_workspace(host) && plain(host) != plain(workspace)) else { return };
    if !is_workspace(workspace) {
        return;
    }
    let place = if service.get("url").is_some() { format!("{at}/url") } else { format!("{at}/host") };
    let message =
        format!("requests go to `{other}`, with tokens of `{workspace}`: one workspace does not take those of another");
    found.push(
        look.finding(&codes::OTHER_WORKSPACE, &place, &message)
            .related(look.document, &format!("{pointer}/workspace/url"), "the tokens are of this one")
            .help("write the same workspace in both places"),
    );
}

fn public_host(look: &Look<'_>, public: &str, route: &Value, pointer: &str, found: &mut Vec<Finding>) {
    let hosts: Vec<_> = items(route, "hosts").filter_map(|(_, host)| host.as_str()).collect();
    let matches = |pattern: &str| {
        let pattern = pattern.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(end), _) => public.ends_with(end),
            (None, Some(start)) => public.starts_with(start),
            (None, None) => public == pattern,
        }
    };
    // that it is the workspace itself is said elsewhere
    if hosts.is_empty() || is_workspace(public) || hosts.iter().any(|host| matches(host)) {
        return;
    }
    let message = format!("clients are sent to `{public}`, which is none of the hosts of this route");
    found.push(
        look.finding(&codes::PUBLIC_URL, &format!("{pointer}/workspace/public_url"), &message)
            .help(format!("write `{}`, or add `{public}` to the route's `hosts`", hosts.join("` or `"))),
    );
}
