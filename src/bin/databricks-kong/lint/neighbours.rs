//! Kong's own plugins beside the filter. All of them run before any filter, so one that answers a request by itself answers it undecided.
//!
//! What each does is told by Kong's plugin hub (<https://developer.konghq.com/plugins/>) and, for those that come with Kong 3.9.3, by its source:
//! they leave their `access` phase by `kong.response.exit`, or turn on `kong.service.request.enable_buffering`.

use super::codes;
use super::kong::{Active, Look, Place, is_on, items};
use crate::findings::{Finding, Kind};
use serde_json::Value;

/// What a plugin does to a request that the filter should decide on.
struct Neighbour {
    plugin: &'static str,
    kind: &'static Kind,
    does: &'static str,
}

const CACHES: &str = "answers from a cache before the filter runs: whoever asks gets what somebody else was allowed to see, without a token";
const SENDS: &str =
    "sends requests to the upstream by itself: the filter does not run, and the upstream gets the caller's own token";
const ANSWERS: &str = "answers requests by itself, before the filter has decided on them, and without its audit record";
const SIGNS_IN: &str = "answers with a sign-in, sign-out or token of its own before the filter runs";
const PREFLIGHT: &str = "answers preflight requests (OPTIONS) before the filter runs";
const CHALLENGE: &str = "answers below /.well-known/acme-challenge before the filter runs";

const fn of(kind: &'static Kind, does: &'static str, plugin: &'static str) -> Neighbour {
    Neighbour { plugin, kind, does }
}

/// Every plugin of the hub that answers, or sends on, what the filter has not seen.
static NEIGHBOURS: [Neighbour; 33] = [
    of(&codes::CACHE, CACHES, "proxy-cache"),
    of(&codes::CACHE, CACHES, "proxy-cache-advanced"),
    of(&codes::CACHE, CACHES, "graphql-proxy-cache-advanced"),
    of(&codes::CACHE, CACHES, "ai-semantic-cache"),
    of(&codes::AROUND, SENDS, "forward-proxy"),
    of(&codes::AROUND, SENDS, "ai-proxy"),
    of(&codes::AROUND, SENDS, "ai-proxy-advanced"),
    of(&codes::AROUND, SENDS, "ai-request-transformer"),
    of(&codes::AROUND, SENDS, "ai-response-transformer"),
    of(&codes::AROUND, SENDS, "ai-semantic-response-guard"),
    of(&codes::AROUND, SENDS, "skyflow-ai-data-control"),
    of(&codes::ANSWERS, ANSWERS, "request-termination"),
    of(&codes::ANSWERS, ANSWERS, "redirect"),
    of(&codes::ANSWERS, ANSWERS, "mocking"),
    of(&codes::ANSWERS, ANSWERS, "kong-service-virtualization"),
    of(&codes::ANSWERS, ANSWERS, "kong-spec-expose"),
    of(&codes::ANSWERS, ANSWERS, "aws-lambda"),
    of(&codes::ANSWERS, ANSWERS, "azure-functions"),
    of(&codes::ANSWERS, ANSWERS, "ai-mcp-proxy"),
    of(&codes::ANSWERS, ANSWERS, "datakit"),
    of(&codes::ANSWERS, ANSWERS, "kafka-upstream"),
    of(&codes::ANSWERS, ANSWERS, "kafka-consume"),
    of(&codes::ANSWERS, ANSWERS, "confluent"),
    of(&codes::ANSWERS, ANSWERS, "confluent-consume"),
    of(&codes::ANSWERS, ANSWERS, "solace-upstream"),
    of(&codes::ANSWERS, ANSWERS, "solace-consume"),
    of(&codes::ANSWERS, SIGNS_IN, "oauth2"),
    of(&codes::ANSWERS, SIGNS_IN, "openid-connect"),
    of(&codes::ANSWERS, SIGNS_IN, "saml"),
    of(&codes::ANSWERS, SIGNS_IN, "session"),
    of(&codes::ANSWERS, SIGNS_IN, "ai-mcp-oauth2"),
    of(&codes::ANSWERS, PREFLIGHT, "cors"),
    of(&codes::ANSWERS, CHALLENGE, "acme"),
];

/// What is known of the plugins of the places over a route, of every route, and of some callers, and where each stands.
fn neighbours<'a>(look: &Look<'a>, places: &[(Place<'a>, &str)]) -> Vec<(&'static Neighbour, String)> {
    let over_the_route = places.iter().flat_map(|(place, pointer)| look.about("plugins", *place, pointer));
    let all = over_the_route.chain(for_everyone(look)).chain(for_some_callers(look));
    let known = all.filter_map(|(plugin, pointer)| {
        let name = plugin.get("name").and_then(Value::as_str)?;
        Some((NEIGHBOURS.iter().find(|one| one.plugin == name)?, pointer))
    });
    known.collect()
}

/// Plugins that get to a request before the filter `entry` does.
pub(super) fn lint<'a>(look: &Look<'a>, places: &[(Place<'a>, &str)], entry: &Active, found: &mut Vec<Finding>) {
    for (known, pointer) in neighbours(look, places) {
        let message = format!("`{}` {}", known.plugin, known.does);
        let help = format!("take `{}` off this route, or put it on a route without the filter", known.plugin);
        let finding = look.finding(known.kind, &pointer, &message).help(help);
        found.push(finding.related(look.document, &entry.pointer, "the filter that has not run then"));
    }
}

/// Caches over a route with the native plugin, which runs before them: it has decided on each request, but they answer one caller with what
/// another was sent.
pub(super) fn caches<'a>(look: &Look<'a>, places: &[(Place<'a>, &str)], entry: &str, found: &mut Vec<Finding>) {
    let caches = neighbours(look, places).into_iter().filter(|(known, _)| known.kind.code == codes::CACHE.code);
    for (known, pointer) in caches {
        let name = known.plugin;
        let message =
            format!("`{name}` answers one caller with what another was allowed to see: it does not tell them apart");
        let help = format!("take `{name}` off this route");
        let finding = look.finding(&codes::CACHE, &pointer, &message).help(help);
        found.push(finding.related(look.document, entry, "the plugin that decides for each caller"));
    }
}

/// Plugins that are bound to no service and no route.
pub(super) fn for_everyone<'a>(look: &Look<'a>) -> Vec<(&'a Value, String)> {
    let is_bound =
        |plugin: &Value| ["service", "route"].iter().any(|key| plugin.get(*key).is_some_and(|of| !of.is_null()));
    let all = items(look.file, "plugins").filter(|(_, plugin)| is_on(plugin) && !is_bound(plugin));
    all.map(|(index, plugin)| (plugin, format!("/plugins/{index}"))).collect()
}

/// Plugins that stand within a consumer or a group of them.
fn for_some_callers<'a>(look: &Look<'a>) -> Vec<(&'a Value, String)> {
    let mut all = Vec::new();
    for key in ["consumers", "consumer_groups"] {
        for (index, holder) in items(look.file, key) {
            let on = items(holder, "plugins").filter(|(_, plugin)| is_on(plugin));
            all.extend(on.map(|(plugin, value)| (value, format!("/{key}/{index}/plugins/{plugin}"))));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use crate::document::Document;
    use crate::lint::kong;

    const CHAIN: &str = "filter_chains: [{filters: [{name: databricks_kong, config: {}}, {name: databricks_kong, config: {mode: guard}}]}]";

    /// The code and pointer of each finding about a declaration with these plugins at these places.
    fn found(of_all: &str, of_service: &str, of_route: &str, chain: &str, more: &str) -> Vec<(&'static str, String)> {
        let text = format!(
            "_format_version: '3.0'\nplugins: [{of_all}]\nservices:\n- name: s\n  retries: 0\n  plugins: [{of_service}]\n  routes:\n  \
             - {{name: r, paths: ['/'], strip_path: false, plugins: [{of_route}], {chain}}}\n{more}"
        );
        let found = kong::lint(&Document::parse(&text).unwrap());
        let found = found.into_iter().map(|finding| (finding.kind.code, finding.pointer));
        found.filter(|(code, _)| *code != "W106").collect()
    }

    #[test]
    fn a_cache_over_a_route_with_the_filter_is_found_wherever_it_stands() {
        for cache in ["proxy-cache", "proxy-cache-advanced", "graphql-proxy-cache-advanced", "ai-semantic-cache"] {
            let cache = format!("{{name: {cache}}}");
            let at = |pointer: &str| vec![("E105", pointer.to_owned())];
            assert_eq!(found(&cache, "", "", CHAIN, ""), at("/plugins/0"));
            assert_eq!(found("", &cache, "", CHAIN, ""), at("/services/0/plugins/0"));
            assert_eq!(found("", "", &cache, CHAIN, ""), at("/services/0/routes/0/plugins/0"));
            let consumer = format!("consumers:\n- {{username: c, plugins: [{cache}]}}\n");
            assert_eq!(found("", "", "", CHAIN, &consumer), at("/consumers/0/plugins/0"));
            // without the filter there is nothing to go before
            assert_eq!(found(&cache, &cache, &cache, "tags: []", ""), []);
        }
    }

    #[test]
    fn a_cache_beside_the_native_plugin_is_found_too_and_nothing_else_that_runs_behind_it() {
        let pair = "{name: databricks-kong-late}";
        let beside = |plugin: &str| {
            found(pair, "", &format!("{{name: databricks-kong, config: {{}}}}, {plugin}"), "tags: []", "")
        };
        assert_eq!(beside("{name: proxy-cache}"), [("E105", "/services/0/routes/0/plugins/1".to_owned())]);
        assert_eq!(beside("{name: proxy-cache, enabled: false}"), []);
        assert_eq!(beside("{name: rate-limiting}"), []);
        assert_eq!(found("", "", "{name: proxy-cache}", "tags: []", ""), []);
    }

    #[test]
    fn plugins_elsewhere_in_the_file_count_where_they_point() {
        let at = |plugin: &str| found(plugin, "", "", CHAIN, "");
        assert_eq!(at("{name: proxy-cache, route: r}"), [("E105", "/plugins/0".to_owned())]);
        assert_eq!(at("{name: proxy-cache, service: {name: s}}"), [("E105", "/plugins/0".to_owned())]);
        assert_eq!(at("{name: proxy-cache, consumer: c}"), [("E105", "/plugins/0".to_owned())]);
        assert_eq!(at("{name: proxy-cache, route: another}"), []);
        assert_eq!(at("{name: proxy-cache, enabled: false}"), []);
    }

    #[test]
    fn what_answers_by_itself_is_a_warning_and_what_sends_by_itself_an_error() {
        for (plugin, code) in [
            ("request-termination", "W105"),
            ("redirect", "W105"),
            ("mocking", "W105"),
            ("aws-lambda", "W105"),
            ("azure-functions", "W105"),
            ("cors", "W105"),
            ("forward-proxy", "E106"),
            ("ai-proxy", "E106"),
        ] {
            let expected = [(code, "/services/0/routes/0/plugins/0".to_owned())];
            assert_eq!(found("", "", &format!("{{name: {plugin}}}"), CHAIN, ""), expected, "{plugin}");
        }
        for harmless in ["rate-limiting", "ip-restriction", "http-log", "pre-function", "no-such-plugin"] {
            assert_eq!(found("", "", &format!("{{name: {harmless}}}"), CHAIN, ""), [], "{harmless}");
        }
    }
}
