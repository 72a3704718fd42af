//! Mistakes in how Kong is told to use the filter: where its entries stand, and what the service and the route around them do.

use super::{addresses, codes, framing, neighbours, open_routes, routing};
use crate::document::{Document, step};
use crate::findings::Finding;
use serde_json::Value;
use std::borrow::Cow;

/// The filter's name in Kong's configuration.
const FILTER: &str = "databricks_kong";
/// The native plugin's name there.
const PLUGIN: &str = "databricks-kong";
/// The native plugin's second half, which sends on what the first has decided on.
const SECOND: &str = "databricks-kong-late";

/// An entry that is not switched off.
#[derive(Clone, Debug)]
pub(super) struct Active {
    pub(super) pointer: String,
    is_guard: bool,
    is_last: bool,
}

/// A service or a route, and what is said of it elsewhere in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'v> {
    pub(super) value: &'v Value,
    pub(super) word: &'static str,
}

/// Everything odd about a declarative configuration; nothing about a file that is none.
pub(crate) fn lint(document: &Document) -> Vec<Finding> {
    let file = &document.value;
    let Some(members) = file.as_object() else { return Vec::new() };
    if !["_format_version", "services", "routes", "plugins", "filter_chains"]
        .iter()
        .any(|key| members.contains_key(*key))
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    let version = members.get("_format_version");
    if !version.is_some_and(Value::is_string) {
        let message = match version {
            None => "Kong refuses a file without `_format_version`",
            Some(_) => "Kong refuses a `_format_version` that is no text: it needs quotes",
        };
        found.push(
            Finding::new(&codes::NO_FORMAT_VERSION, document, "/_format_version", message)
                .help("begin the file with `_format_version: \"3.0\"`"),
        );
    }
    let look = Look { document, file };
    look.twice(&neighbours::for_everyone(&look), &mut found);
    for (index, service) in items(file, "services") {
        look.service(service, &format!("/services/{index}"), &mut found);
    }
    for (index, route) in items(file, "routes").filter(|(_, route)| !look.has_service(route)) {
        look.route(route, &format!("/routes/{index}"), None, &mut found);
    }
    open_routes::lint(&look, &mut found);
    // an entry of a service is seen once a route
    found.sort_by(|one, other| (one.place.start, one.kind.code).cmp(&(other.place.start, other.kind.code)));
    found.dedup_by(|one, other| one.kind == other.kind && one.pointer == other.pointer);
    found
}

pub(super) fn items<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// Whether `holder` refers to `place` by its `word`: by name, by id, or by an object with one of them.
fn refers(holder: &Value, place: Place<'_>) -> bool {
    let Some(reference) = holder.get(place.word) else { return false };
    let is_own =
        |text: &str| ["name", "id"].iter().any(|key| place.value.get(key).and_then(Value::as_str) == Some(text));
    match reference {
        Value::String(text) => is_own(text),
        object => ["name", "id"].iter().any(|key| object.get(key).and_then(Value::as_str).is_some_and(is_own)),
    }
}

pub(super) fn is_on(value: &Value) -> bool {
    value.get("enabled") != Some(&Value::Bool(false))
}

fn is_named(plugin: &Value, name: &str) -> bool {
    plugin.get("name").and_then(Value::as_str) == Some(name)
}

/// A route and its service, the nearest first.
fn places_of<'a, 'p>(
    service: Option<(Place<'a>, &'p str)>,
    route: Place<'a>,
    pointer: &'p str,
) -> impl Iterator<Item = (Place<'a>, &'p str)> {
    std::iter::once((route, pointer)).chain(service)
}

fn is_guard(entry: &Value) -> bool {
    let config = entry.get("config");
    let inner = config.and_then(Value::as_str).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let mode = |config: &Value| config.get("mode").and_then(Value::as_str) == Some("guard");
    inner.as_ref().or(config).is_some_and(mode)
}

/// A declaration, looked at as Kong would put it together.
pub(super) struct Look<'a> {
    pub(super) document: &'a Document,
    pub(super) file: &'a Value,
}

impl<'a> Look<'a> {
    pub(super) fn finding(&self, kind: &'static crate::findings::Kind, pointer: &str, message: &str) -> Finding {
        Finding::new(kind, self.document, pointer, message)
    }

    fn has_service(&self, route: &Value) -> bool {
        items(self.file, "services").any(|(_, value)| refers(route, Place { value, word: "service" }))
    }

    fn service(&self, service: &'a Value, pointer: &str, found: &mut Vec<Finding>) {
        let place = Place { value: service, word: "service" };
        self.twice(&self.about("plugins", place, pointer), found);
        let nested = items(service, "routes").map(|(index, route)| (route, format!("{pointer}/routes/{index}")));
        let elsewhere = items(self.file, "routes").filter(|(_, route)| refers(route, place));
        let elsewhere = elsewhere.map(|(index, route)| (route, format!("/routes/{index}")));
        let mut decides = !self.chain(place, pointer).is_empty()
            || !self.plugins(place, pointer).is_empty()
            || self.over(PLUGIN, std::iter::once((place, pointer))).is_some();
        for (route, at) in nested.chain(elsewhere) {
            decides |= self.route(route, &at, Some((place, pointer)), found);
        }
        if decides && service.get("retries").and_then(Value::as_f64) != Some(0.0) {
            let missing = service.get("retries").is_none();
            let message =
                if missing { "Kong tries a request up to 5 times again" } else { "Kong tries failed requests again" };
            let pointer = if missing { pointer.to_owned() } else { format!("{pointer}/retries") };
            found.push(
                self.finding(&codes::RETRIES, &pointer, &format!("{message}: a job may run twice"))
                    .help("set `retries: 0` on the service"),
            );
        }
    }

    /// Whether one of the filter's entries is active on the route.
    fn route(
        &self,
        route: &'a Value,
        pointer: &str,
        service: Option<(Place<'a>, &str)>,
        found: &mut Vec<Finding>,
    ) -> bool {
        let place = Place { value: route, word: "route" };
        let of_service = service.map(|(service, at)| (self.chain(service, at), self.plugins(service, at)));
        let (mut chain, service_plugins) = of_service.unwrap_or_default();
        for entry in &mut chain {
            // the route's chain comes behind the service's
            entry.is_last &= self.chains(place, pointer).is_empty();
        }
        chain.extend(self.chain(place, pointer));
        let own = self.plugins(place, pointer);
        // of the plugins of one name Kong runs the one of the route
        let plugins = if own.is_empty() { service_plugins } else { own };
        self.order(&chain, &plugins, found);
        let config = chain.iter().chain(&plugins).find(|entry| !entry.is_guard);
        if let Some(entry) = config {
            routing::lint(self, route, pointer, found);
            let places: Vec<_> = service.into_iter().chain([(place, pointer)]).collect();
            neighbours::lint(self, &places, entry, found);
            framing::lint(self, &places, found);
        }
        let native = self.over(PLUGIN, places_of(service, place, pointer));
        if let Some(entry) = &native {
            let places: Vec<_> = places_of(service, place, pointer).collect();
            neighbours::caches(self, &places, entry, found);
        }
        if let Some(first) =
            native.as_deref().filter(|_| self.over(SECOND, places_of(service, place, pointer)).is_none())
        {
            let message = format!("`{SECOND}` is not enabled here: `{PLUGIN}` refuses every request without it");
            let help = format!("add `- {{name: {SECOND}}}` to the file's own `plugins`, once for all routes");
            found.push(self.finding(&codes::SECOND_PLUGIN, first, &message).help(help));
        }
        if native.is_some() {
            self.second_twice(&places_of(service, place, pointer).collect::<Vec<_>>(), found);
        }
        self.twice(&self.about("plugins", place, pointer), found);
        let decides = config.map(|entry| entry.pointer.clone()).or(native);
        if let Some(at) = &decides {
            self.stripped(route, pointer, at, found);
            let at = format!("{at}/config");
            let config = self.config(&at);
            let service = service.map(|(service, at)| (service.value, at));
            addresses::lint(self, service, route, (&config, &at), found);
        }
        !chain.is_empty() || !plugins.is_empty() || decides.is_some()
    }

    /// The configuration at a pointer, also where it is JSON in a string.
    pub(super) fn config(&self, pointer: &str) -> Cow<'a, Value> {
        match self.file.pointer(pointer) {
            Some(Value::String(text)) => Cow::Owned(serde_json::from_str(text).unwrap_or_default()),
            Some(value) => Cow::Borrowed(value),
            None => Cow::Owned(Value::Null),
        }
    }

    /// The native plugin, or its second half, twice in one place, where Kong takes one plugin of a name.
    fn twice(&self, plugins: &[(&Value, String)], found: &mut Vec<Finding>) {
        for name in [PLUGIN, SECOND] {
            let mut named = plugins.iter().filter(|(plugin, _)| is_named(plugin, name));
            let (Some((_, first)), Some((_, second))) = (named.next(), named.next()) else { continue };
            let message = format!("`{name}` stands twice in one place: Kong refuses the file");
            found.push(
                self.finding(&codes::PLUGIN_TWICE, second, &message)
                    .related(self.document, first, "the first")
                    .help("take one of them out"),
            );
        }
    }

    /// The second half at several places over one route, of which Kong runs the nearest only.
    fn second_twice(&self, places: &[(Place<'a>, &str)], found: &mut Vec<Finding>) {
        let of_places = places.iter().map(|(place, at)| self.about("plugins", *place, at));
        let levels = of_places.chain([neighbours::for_everyone(self)]);
        let mut at = levels.filter_map(|plugins| plugins.into_iter().find(|(plugin, _)| is_named(plugin, SECOND)));
        let (Some((_, nearest)), Some((_, wider))) = (at.next(), at.next()) else { return };
        let message = format!(
            "Kong runs `{SECOND}` once for a request, the nearest one: another that stands further out does the same"
        );
        found.push(
            self.finding(&codes::SECOND_TWICE, &nearest, &message)
                .related(self.document, &wider, "the other one")
                .help("keep the one at the file's own `plugins`, and take this one out"),
        );
    }

    /// Where a plugin of this name stands in one of these places, or over every route.
    fn over<'p>(&self, name: &str, mut places: impl Iterator<Item = (Place<'a>, &'p str)>) -> Option<String> {
        let of = |plugins: Vec<(&'a Value, String)>| {
            plugins.into_iter().find(|(plugin, _)| is_named(plugin, name)).map(|(_, at)| at)
        };
        places
            .find_map(|(place, at)| of(self.about("plugins", place, at)))
            .or_else(|| of(neighbours::for_everyone(self)))
    }

    fn order(&self, chain: &[Active], plugins: &[Active], found: &mut Vec<Finding>) {
        let mut deciding = chain.iter().chain(plugins).filter(|entry| !entry.is_guard);
        if let (Some(first), Some(second)) = (deciding.next(), deciding.next()) {
            let message = "two entries decide about one request: the second refuses all, as the first has replaced the caller's token";
            found.push(
                self.finding(&codes::TWO_DECIDE, &second.pointer, message)
                    .related(self.document, &first.pointer, "the first")
                    .help("keep one of them; a guard is `config: {mode: guard}`"),
            );
        }
        let has_guard = chain.iter().chain(plugins).any(|entry| entry.is_guard);
        if let Some(entry) = chain.iter().chain(plugins).find(|entry| !entry.is_guard && !has_guard) {
            let message = "no guard follows: if the filter traps while it reads the answer to a callout, Kong lets the request go on undecided";
            let guard = "- {name: databricks_kong, config: {mode: guard}}";
            let help = match plugins.is_empty() {
                true => format!("add `{guard}` as the last filter of the chain"),
                false => format!("move the entry into a filter chain, and add `{guard}` as its last filter"),
            };
            found.push(self.finding(&codes::NO_GUARD, &entry.pointer, message).help(help));
        }
        for entry in plugins.iter().filter(|entry| entry.is_guard) {
            let message = "a guard among `plugins`: their order is not sure, so it may come before what it guards";
            found.push(
                self.finding(&codes::GUARD_AMONG_PLUGINS, &entry.pointer, message)
                    .help("put it last into a filter chain"),
            );
        }
        for (place, entry) in chain.iter().enumerate().filter(|(_, entry)| entry.is_guard) {
            if !chain.iter().take(place).any(|before| !before.is_guard) {
                let message = "a guard without an entry before it that decides refuses every request";
                found.push(
                    self.finding(&codes::GUARD_ALONE, &entry.pointer, message)
                        .help("put it behind the entry that has the roles"),
                );
            } else if !entry.is_last || chain.len() > place.saturating_add(1) {
                let message = "a guard that is not last: what the filters behind it do, it does not see";
                found.push(
                    self.finding(&codes::GUARD_NOT_LAST, &entry.pointer, message).help("put it last into the chain"),
                );
            }
        }
    }

    /// Whether the path that Databricks gets is the one that clients send below `public_url`.
    fn stripped(&self, route: &Value, pointer: &str, entry: &str, found: &mut Vec<Finding>) {
        let config = self.config(&format!("{entry}/config"));
        let Some(public_url) = config.pointer("/workspace/public_url").and_then(Value::as_str) else { return };
        let rest = public_url.split_once("://").map_or(public_url, |(_, rest)| rest);
        let prefix = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default().trim_end_matches('/');
        let strips = route.get("strip_path") != Some(&Value::Bool(false));
        let paths: Vec<_> = items(route, "paths").filter_map(|(_, path)| path.as_str()).collect();
        // a path that begins with `~` is a regular expression
        if paths.iter().any(|path| path.starts_with('~')) {
            return;
        }
        let is_prefix = |path: &str| path.trim_end_matches('/') == prefix;
        let strips_prefix = strips && paths.iter().any(|path| is_prefix(path));
        let place =
            if route.get("strip_path").is_some() { format!("{pointer}/strip_path") } else { pointer.to_owned() };
        if !prefix.is_empty() && !strips_prefix {
            let message = format!(
                "`public_url` ends in `{prefix}`, which this route does not strip: Databricks knows no such path"
            );
            let help = format!("set `paths: [{prefix}]` and `strip_path: true`");
            found.push(self.finding(&codes::STRIPPED_PATH, &place, &message).help(help));
        } else if prefix.is_empty() && strips && paths.iter().any(|path| !is_prefix(path)) {
            let message = "this route strips a path that `public_url` does not end in: Databricks gets paths that clients did not ask for";
            found.push(
                self.finding(&codes::STRIPPED_PATH, &place, message)
                    .help("set `strip_path: false`, or add the path to `public_url`"),
            );
        }
    }

    /// The chains of a service or a route, with the ways to them.
    fn chains(&self, place: Place<'a>, pointer: &str) -> Vec<(&'a Value, String)> {
        self.about("filter_chains", place, pointer)
    }

    /// What stands under `key` in a place or refers to it from elsewhere, and is switched on.
    pub(super) fn about(&self, key: &str, place: Place<'a>, pointer: &str) -> Vec<(&'a Value, String)> {
        let nested = items(place.value, key).map(|(index, value)| (value, format!("{pointer}{}/{index}", step(key))));
        let elsewhere = items(self.file, key).filter(|(_, value)| refers(value, place));
        let elsewhere = elsewhere.map(|(index, value)| (value, format!("{}/{index}", step(key))));
        nested.chain(elsewhere).filter(|(value, _)| is_on(value)).collect()
    }

    fn chain(&self, place: Place<'a>, pointer: &str) -> Vec<Active> {
        let mut active = Vec::new();
        for (chain, at) in self.chains(place, pointer) {
            let filters: Vec<_> = items(chain, "filters").filter(|(_, filter)| is_on(filter)).collect();
            for (index, filter) in &filters {
                if filter.get("name").and_then(Value::as_str) == Some(FILTER) {
                    let is_last = filters.last().is_some_and(|(last, _)| last == index);
                    active.push(Active {
                        pointer: format!("{at}/filters/{index}"),
                        is_guard: is_guard(filter),
                        is_last,
                    });
                }
            }
        }
        active
    }

    fn plugins(&self, place: Place<'a>, pointer: &str) -> Vec<Active> {
        let plugins = self.about("plugins", place, pointer).into_iter();
        let ours = plugins.filter(|(plugin, _)| plugin.get("name").and_then(Value::as_str) == Some(FILTER));
        ours.map(|(plugin, pointer)| Active { pointer, is_guard: is_guard(plugin), is_last: true }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(top: &str, service: &str, route: &str) -> Vec<(&'static str, String)> {
        let text = format!(
            "_format_version: '3.0'\nplugins: [{top}]\nservices:\n- name: s\n  retries: 0\n  plugins: [{service}]\n  routes:\n  \
             - {{name: r, paths: ['/'], strip_path: false, plugins: [{route}]}}\n"
        );
        let found = lint(&Document::parse(&text).unwrap());
        found.into_iter().map(|finding| (finding.kind.code, finding.pointer)).collect()
    }

    #[test]
    fn a_half_of_the_native_plugin_that_stands_twice_is_found() {
        let (first, late) = ("{name: databricks-kong, config: {}}", "{name: databricks-kong-late}");
        let both = format!("{first}, {late}");
        assert_eq!(found(late, "", first), []);
        assert_eq!(found("", "", &both), []);
        assert_eq!(found(&format!("{late}, {late}"), "", first), [("E113", "/plugins/1".to_owned())]);
        let twice = format!("{first}, {first}");
        assert_eq!(found(late, "", &twice), [("E113", "/services/0/routes/0/plugins/1".to_owned())]);
        assert_eq!(found(late, &twice, ""), [("E113", "/services/0/plugins/1".to_owned())]);
        assert_eq!(found(late, "", &both), [("W109", "/services/0/routes/0/plugins/1".to_owned())]);
        assert_eq!(found(late, late, first), [("W109", "/services/0/plugins/0".to_owned())]);
    }
}
