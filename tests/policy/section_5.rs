//! Sections 4 and 5 of the contract once more, read off the JSON of a configuration, sentence by sentence and without a thought of speed:
//! what the gateway's own decisions are compared with. Nothing of the gateway is used here.

use crate::answer::{Answer, Denied};
use crate::request::Request;
use serde_json::Value;

/// Who asks for what, and what is known besides.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Request,
    pub(crate) groups: &'a [String],
    pub(crate) client: Option<&'a str>,
    /// `X-Databricks-Role`
    pub(crate) requested_role: Option<&'a str>,
    /// The job of the request's run, if the workspace knows one.
    pub(crate) job_of_run: Option<&'a str>,
    /// Now, as the configuration writes times.
    pub(crate) now: &'a str,
}

pub(crate) fn decide(config: &Value, asked: &Asked<'_>) -> Answer {
    let can_allow = |role: &Value| asked.requested_role.is_none_or(|name| role["name"] == name);
    let matching: Vec<_> = list(&config["roles"]).iter().filter(|role| is_for(role, asked)).collect();
    if !matching.iter().any(|role| can_allow(role)) {
        return refused("NO_ROLE", None);
    }
    // R: the caller's valid roles in order
    let roles: Vec<_> = matching.into_iter().filter(|role| is_valid(role, asked.now)).collect();
    if !roles.iter().any(|role| can_allow(role)) {
        return refused("GRANT_INACTIVE", None);
    }
    let mode_observes = config["mode"] == "observe";
    let observes = |role: &Value| mode_observes || role["observe"] == true;

    // (1) a `deny` of any role of E that matches refuses
    for role in roles.iter().filter(|role| !observes(role)) {
        if let Some(rule) = denying(config, role, asked) {
            return refused("RULE_DENIED", Some(rule));
        }
    }
    // (2) one of an observing role is remembered as `would_deny`
    let remembered = roles.iter().filter(|role| observes(role)).find_map(|role| denying(config, role, asked));
    let mut would_deny = remembered.map(|rule| Denied { reason: "RULE_DENIED".to_owned(), rule: Some(rule) });

    // (3) the first role of R with an `allow` that matches gives the credential
    let mut able = roles.iter().copied().filter(|role| can_allow(role));
    let (credential, rule) = match able.clone().find_map(|role| Some((role, allowing(config, role, asked)?))) {
        Some((role, rule)) => (role, rule),
        // (4) if none allows, the first observing role of R gives its own credential, with `would_deny` = the reason
        None => {
            let is_named = able.clone().any(|role| list(&role["allow"]).iter().any(|rule| names_in_full(rule, asked)));
            let reason = match asked.request {
                request if request.names.is_empty() => "OPERATION_UNKNOWN",
                request if request.is_sensitive && !is_named => "OPERATION_SENSITIVE",
                _ => "NO_RULE",
            };
            // (6) sensitive operations that no rule names are refused in every mode
            let lender = able.find(|role| observes(role)).filter(|_| reason != "OPERATION_SENSITIVE");
            // else the request is refused
            let Some(lender) = lender else { return refused(reason, None) };
            would_deny = would_deny.or(Some(Denied { reason: reason.to_owned(), rule: None }));
            (lender, None)
        }
    };
    // (5) agents' limits refuse unless the mode is `observe`
    let agents = list(&config["agents"]).iter().filter(|agent| is_agent(agent, asked));
    let limited = agents
        .into_iter()
        .any(|agent| denying(config, agent, asked).is_some() || allowing(config, agent, asked).is_none());
    if limited && !mode_observes {
        return refused("AGENT_LIMIT", None);
    }
    if limited {
        would_deny = would_deny.or(Some(Denied { reason: "AGENT_LIMIT".to_owned(), rule: None }));
    }
    Answer::GoesOn { credential: credential["name"].as_str().unwrap().to_owned(), rule, would_deny }
}

fn refused(reason: &str, rule: Option<String>) -> Answer {
    Answer::Refused(Denied { reason: reason.to_owned(), rule })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    list(value).iter().map(|text| text.as_str().unwrap())
}

fn is_for(role: &Value, asked: &Asked<'_>) -> bool {
    texts(&role["match"]["groups"]).any(|pattern| asked.groups.iter().any(|group| fits(pattern, group)))
}

fn is_agent(agent: &Value, asked: &Asked<'_>) -> bool {
    texts(&agent["match"]["clients"]).any(|pattern| asked.client.is_some_and(|client| fits(pattern, client)))
}

/// Times of one form compare as texts.
fn is_valid(role: &Value, now: &str) -> bool {
    let (from, until) = (role["valid"]["from"].as_str(), role["valid"]["until"].as_str());
    from.is_none_or(|from| from <= now) && until.is_none_or(|until| now < until)
}

/// JSON pointer to the first rule of `owner`'s `deny` that means the request.
fn denying(config: &Value, owner: &Value, asked: &Asked<'_>) -> Option<String> {
    let index = list(&owner["deny"]).iter().position(|rule| denies(rule, asked))?;
    Some(format!("{}/deny/{index}", pointer(config, owner)))
}

/// Which rule of `owner`'s `allow` means the request; `Some(None)` if it may do without a rule.
fn allowing(config: &Value, owner: &Value, asked: &Asked<'_>) -> Option<Option<String>> {
    let request = asked.request;
    if owner["allow"].is_null() {
        let is_harmless = !request.names.is_empty() && !request.is_sensitive && request.features.is_empty();
        return is_harmless.then_some(None);
    }
    let index = list(&owner["allow"]).iter().position(|rule| allows(rule, asked))?;
    Some(Some(format!("{}/allow/{index}", pointer(config, owner))))
}

fn pointer(config: &Value, owner: &Value) -> String {
    ["roles", "agents"]
        .iter()
        .find_map(|key| {
            let index = list(&config[key]).iter().position(|entry| std::ptr::eq(entry, owner))?;
            Some(format!("/{key}/{index}"))
        })
        .unwrap()
}

fn names_in_full(rule: &Value, asked: &Asked<'_>) -> bool {
    texts(&rule["operations"]).any(|name| asked.request.names.contains(&name))
}

fn names_operation(rule: &Value, asked: &Asked<'_>) -> bool {
    texts(&rule["operations"]).any(|pattern| asked.request.names.iter().any(|name| fits(pattern, name)))
}

fn names_path(rule: &Value, asked: &Asked<'_>) -> bool {
    texts(&rule["paths"]).any(|pattern| {
        let (method, path) = pattern.split_once(' ').unwrap();
        let fits_path = match path.strip_suffix("/**") {
            Some(start) => asked.request.path() == start || asked.request.path().starts_with(&format!("{start}/")),
            None => asked.request.path() == path,
        };
        (method == "*" || method == asked.request.method) && fits_path
    })
}

/// Every wildcard and every path leaves sensitive operations out, all ids must fit, and features need a permit.
fn allows(rule: &Value, asked: &Asked<'_>) -> bool {
    let request = asked.request;
    let is_named = if request.is_sensitive {
        names_in_full(rule, asked)
    } else {
        names_operation(rule, asked) || names_path(rule, asked)
    };
    let all_fit = |kind: &str, patterns: &Value| match request.sql {
        Some((_, tables)) if kind == "table" => {
            tables.iter().all(|table| texts(patterns).any(|pattern| fits(pattern, table)))
        }
        _ => {
            let ids = ids(rule, kind, asked);
            !ids.is_empty() && ids.iter().all(|id| texts(patterns).any(|pattern| fits(pattern, id)))
        }
    };
    let permitted = |feature: &&str| texts(&rule["permit"]).any(|permit| permit == *feature);
    is_named
        && resources(rule).all(|(kind, patterns)| all_fit(kind, patterns))
        && has_class(rule, request)
        && request.features.iter().all(permitted)
}

/// Wildcards and paths mean sensitive operations too, and any id is enough; a run of an unknown job may be of any.
fn denies(rule: &Value, asked: &Asked<'_>) -> bool {
    let request = asked.request;
    let any_fits = |kind: &str, patterns: &Value| {
        let is_looked_up = is_looked_up(rule, kind, request);
        if is_looked_up && asked.job_of_run.is_none() {
            return true;
        }
        let has_run = request.ids.iter().any(|(known, _)| *known == "run");
        if kind == "job" && has_run && rule["lookup"] != true {
            return true;
        }
        let tables = request.sql.map(|(_, tables)| tables.to_vec()).unwrap_or_default();
        let ids = if kind == "table" { tables } else { ids(rule, kind, asked) };
        ids.iter().any(|id| texts(patterns).any(|pattern| fits(pattern, id)))
    };
    (names_operation(rule, asked) || names_path(rule, asked))
        && resources(rule).all(|(kind, patterns)| any_fits(kind, patterns))
        && has_class(rule, request)
}

fn resources(rule: &Value) -> impl Iterator<Item = (&str, &Value)> {
    rule["resources"].as_object().into_iter().flatten().map(|(kind, patterns)| (kind.as_str(), patterns))
}

fn is_looked_up(rule: &Value, kind: &str, request: &Request) -> bool {
    let has = |kind: &str| request.ids.iter().any(|(known, _)| *known == kind);
    rule["lookup"] == true && kind == "job" && !has("job") && has("run")
}

fn ids<'a>(rule: &Value, kind: &str, asked: &Asked<'a>) -> Vec<&'a str> {
    if is_looked_up(rule, kind, asked.request) {
        return asked.job_of_run.into_iter().collect();
    }
    asked.request.ids.iter().filter(|(known, _)| *known == kind).map(|(_, id)| *id).collect()
}

/// Each request here has one statement at most.
fn has_class(rule: &Value, request: &Request) -> bool {
    rule["sql"].is_null() || request.sql.is_some_and(|(class, _)| texts(&rule["sql"]).any(|known| known == class))
}

/// `*` is any run of characters.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|left| (0..=left.len()).any(|at| left.get(at..).is_some_and(|left| fits(rest, left)))),
    }
}
