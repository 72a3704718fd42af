//! Ways to Databricks beside the filter: routes on which it does not run, to a host that it watches on others.

use super::kong::{Look, Place, items};
use super::{addresses, codes, neighbours};
use crate::findings::Finding;
use serde_json::Value;
use std::collections::BTreeSet;

/// Names under which an entry decides: the filter's, and the native plugin's.
const OURS: [&str; 2] = ["databricks_kong", "databricks-kong"];

/// A route to somewhere.
struct Way {
    pointer: String,
    hosts: BTreeSet<String>,
    /// Where the entry stands that decides on it.
    watched_by: Option<String>,
}

pub(super) fn lint(look: &Look<'_>, found: &mut Vec<Finding>) {
    let ways = ways(look);
    for open in ways.iter().filter(|way| way.watched_by.is_none()) {
        let watched = ways.iter().filter_map(|way| Some((way, way.watched_by.as_ref()?)));
        let same =
            watched.into_iter().find_map(|(way, entry)| Some((way.hosts.intersection(&open.hosts).next()?, entry)));
        let Some((host, entry)) = same else { continue };
        let message =
            format!("this route leads to `{host}` without the filter: nothing that its rules refuse is refused here");
        found.push(
            look.finding(&codes::OPEN_ROUTE, &open.pointer, &message)
                .related(look.document, entry, "the filter over another route to it")
                .help("take the route out, or put the filter on it or on its service"),
        );
    }
}

fn ways(look: &Look<'_>) -> Vec<Way> {
    let everywhere = neighbours::for_everyone(look).into_iter().find(|(plugin, _)| is_ours(plugin)).map(|(_, at)| at);
    let mut ways = Vec::new();
    for (index, service) in items(look.file, "services") {
        let pointer = format!("/services/{index}");
        let place = Place { value: service, word: "service" };
        let hosts: BTreeSet<_> =
            addresses::of_service(look, service).iter().map(|host| addresses::plain(host)).collect();
        let of_service = watched_by(look, place, &pointer).or_else(|| everywhere.clone());
        for (route, at) in look.about("routes", place, &pointer) {
            let route = Place { value: route, word: "route" };
            if ends_there(look, route, &at) || ends_there(look, place, &pointer) {
                continue;
            }
            let watched_by = watched_by(look, route, &at).or_else(|| of_service.clone());
            let workspace = watched_by.iter().filter_map(|entry| workspace(look, entry));
            let hosts = hosts.iter().cloned().chain(workspace).collect();
            ways.push(Way { pointer: at, hosts, watched_by });
        }
    }
    ways
}

/// The workspace that an entry is about: a service may lead to it by another name.
fn workspace(look: &Look<'_>, entry: &str) -> Option<String> {
    let config = look.config(&format!("{entry}/config"));
    Some(addresses::plain(&addresses::host_of(config.pointer("/workspace/url")?.as_str()?)?))
}

fn is_ours(entry: &Value) -> bool {
    let is_guard = entry.pointer("/config/mode").and_then(Value::as_str) == Some("guard");
    !is_guard && entry.get("name").and_then(Value::as_str).is_some_and(|name| OURS.contains(&name))
}

/// Where an entry stands that decides about a service or a route.
fn watched_by<'a>(look: &Look<'a>, place: Place<'a>, pointer: &str) -> Option<String> {
    let chains = look.about("filter_chains", place, pointer).into_iter();
    let in_chains = chains.flat_map(|(chain, at)| {
        let filters = items(chain, "filters").filter(|(_, filter)| super::kong::is_on(filter) && is_ours(filter));
        filters.map(|(index, _)| format!("{at}/filters/{index}")).collect::<Vec<_>>()
    });
    let plugins = look.about("plugins", place, pointer).into_iter().filter(|(plugin, _)| is_ours(plugin));
    in_chains.chain(plugins.map(|(_, at)| at)).next()
}

/// Whether Kong answers by itself there, so that nothing is reached.
fn ends_there<'a>(look: &Look<'a>, place: Place<'a>, pointer: &str) -> bool {
    let plugins = look.about("plugins", place, pointer);
    // with a trigger it ends only those requests that have it
    let ends_all = |plugin: &Value| plugin.pointer("/config/trigger").is_none_or(Value::is_null);
    plugins.iter().any(|(plugin, _)| {
        plugin.get("name").and_then(Value::as_str) == Some("request-termination") && ends_all(plugin)
    })
}
