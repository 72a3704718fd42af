//! The names of OAuth scopes (databricks.md 1.5), and which one a path needs.

pub(crate) const ALL_APIS: &str = "all-apis";

const KNOWN: &[&str] = &[
    ALL_APIS,
    // workspace
    "access-management",
    "dashboards",
    "alerts",
    "apps",
    "authentication",
    "cleanrooms",
    "clusters",
    "command-execution",
    "dataclassification",
    "dataquality",
    "sql",
    "workspace",
    "sharing",
    "files",
    "genie",
    "global-init-scripts",
    "identity",
    "instance-pools",
    "jobs",
    "knowledge-assistants",
    "libraries",
    "marketplace",
    "mlflow",
    "model-serving",
    "networking",
    "notifications",
    "pipelines",
    "postgres",
    "qualitymonitor",
    "query-history",
    "scim",
    "secrets",
    "settings",
    "tags",
    "unity-catalog",
    "vector-search",
    // account
    "billing",
    "provisioning",
    // OpenID Connect
    "openid",
    "email",
    "profile",
    "offline_access",
    // finer ones that the SDK and the managed MCP servers name
    "dashboards.genie",
    "iam.current-user:read",
    "iam.access-control:read",
    "iam.groups:read",
    "ai-search",
    "files.files",
    "serving.serving-endpoints",
    "vectorsearch.vector-search-indexes",
    "catalog.connections",
    "catalog.catalogs:read",
    "catalog.schemas:read",
    "catalog.tables:read",
];

pub(crate) fn is_known(scope: &str) -> bool {
    KNOWN.contains(&scope)
}

/// The names of a `scope` parameter: one space between them, none twice, at least one.
pub(crate) fn split(scope: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> = scope.split(' ').collect();
    let sound = names
        .iter()
        .enumerate()
        .all(|(at, name)| !name.is_empty() && !names.iter().take(at).any(|earlier| earlier == name));
    sound.then_some(names)
}

/// Those of `wanted` that `assigned` does not cover.
pub(crate) fn missing<'a>(wanted: &[&'a str], assigned: &[String]) -> Vec<&'a str> {
    if assigned.iter().any(|scope| scope == ALL_APIS) {
        return Vec::new();
    }
    wanted.iter().filter(|name| !assigned.iter().any(|scope| scope == *name)).copied().collect()
}

/// The scope that a path needs when the token does not have `all-apis`; None where every scope will do.
pub(crate) fn needed_for(path: &str) -> Option<&'static str> {
    if path.starts_with("/sql/") {
        return Some("sql");
    }
    let (_version, rest) = path.strip_prefix("/api/")?.split_once('/')?;
    let family = rest.split('/').next().unwrap_or_default();
    match family {
        "jobs" => Some("jobs"),
        "clusters" => Some("clusters"),
        "sql" => Some("sql"),
        "unity-catalog" => Some("unity-catalog"),
        "workspace" => Some("workspace"),
        "token" => Some("authentication"),
        _ => None,
    }
}

/// Whether a token with this `scope` may ask for this path.
pub(crate) fn covers(scope: &str, path: &str) -> Result<(), &'static str> {
    let Some(needed) = needed_for(path) else { return Ok(()) };
    if scope.split(' ').any(|name| name == ALL_APIS || name == needed) { Ok(()) } else { Err(needed) }
}
