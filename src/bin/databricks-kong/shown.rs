//! A decision and what led to it, as it is shown: to people line by line, to programs as JSON.

use crate::decide::{Decision, Question, Token};
use crate::nearest::distance;
use crate::output::Style;
use databricks_kong::base::Reason;
use databricks_kong::databricks::Resource;
use databricks_kong::databricks::sql::{Kind, Object, Scan};
use databricks_kong::jwt::Groups;
use databricks_kong::policy::{Explanation, Miss, Outcome, RoleSeen, RuleSeen, Standing, Unmet};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// Values longer than this are cut.
const LONGEST: usize = 60;
/// Seconds by which clocks may differ, where a provider's configuration does not say (docs/configuration.md).
const SKEW: u64 = 30;
/// As many members of a body are shown.
const MOST: usize = 12;
/// As many roles that are for others are shown.
const MOST_STRANGERS: usize = 8;
/// As many pairs of values are compared to find the nearest role.
const MOST_COMPARED: usize = 256;
/// As many values are shown of what a role wants, or a caller has.
const MOST_VALUES: usize = 5;
/// Functions that come with Databricks SQL and reach further than their arguments; names that end in `_` begin such.
const REACHING: [&str; 8] =
    ["ai_", "http_request", "read_", "remote_query", "secret", "vector_search", "java_method", "reflect"];

/// Lines with a word before them.
struct Lines(String, Style);

impl Lines {
    fn add(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.0, "{}  {value}", self.1.dim(&format!("{name:<9}")));
    }

    /// Several values, the word before the first only.
    fn list(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        for (index, value) in values.into_iter().enumerate() {
            self.add(if index == 0 { name } else { "" }, &value);
        }
    }
}

/// The decision and what led to it, for people.
pub(crate) fn for_people(question: &Question, decision: &Decision, style: Style) -> String {
    let mut lines = Lines(String::new(), style);
    request(&mut lines, question, decision);
    if let Some(token) = decision.token.as_ref().filter(|_| is_about_token(decision)) {
        lines.list("token", token_facts(token));
        lines.list("expected", expected(token, decision));
    }
    if let Some((caller, provider)) = &decision.caller {
        let actor = caller.actor().map(|actor| format!(", through `{actor}`")).unwrap_or_default();
        lines.add("caller", &format!("`{}` of provider `{provider}`{actor}", caller.subject()));
        let groups = groups(decision).unwrap_or_default();
        let listed = match (caller.groups(), groups.is_empty()) {
            (Groups::Overage, _) => "left out by the provider, as there are too many".to_owned(),
            (_, true) => "none".to_owned(),
            _ => quoted(&groups),
        };
        lines.add("groups", &listed);
    }
    if let Some(steps) = &decision.steps {
        policy(&mut lines, steps, decision, question.job_of_run.is_none());
    }
    lines.add("decision", &verdict(decision, style));
    lines.0
}

fn request(lines: &mut Lines, question: &Question, decision: &Decision) {
    lines.add("request", &format!("{} {}", question.method, question.path));
    match decision.operation {
        Some(operation) => {
            let sensitive = operation.sensitivity().map(|why| format!(", sensitive: {}", why.replace('_', " ")));
            let scope = operation.scope();
            lines.add("operation", &format!("{} (scope {scope}{})", operation.name(), sensitive.unwrap_or_default()));
        }
        None => lines.add("operation", "not in the catalogue"),
    }
    if !decision.resources.is_empty() {
        let ids = decision.resources.iter().map(|one| format!("{} `{}` ({})", one.kind, one.id, one.origin));
        lines.add("carries", &ids.collect::<Vec<_>>().join(", "));
    }
    if let Some(scan) = &decision.sql {
        lines.list("sql", sql(scan));
    }
    // an id that is refused is in no list of what the request carries
    if decision.reason == Some(Reason::RequestAmbiguous) || decision.reason == Some(Reason::BodyUnreadable) {
        lines.list("body", body(question));
    }
}

fn quoted(texts: &[impl AsRef<str>]) -> String {
    texts.iter().map(|text| format!("`{}`", text.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Whether the answer is about the token: it was refused.
fn is_about_token(decision: &Decision) -> bool {
    decision.caller.is_none() && decision.status == Some(401)
}

fn token_facts(token: &Token) -> Vec<String> {
    let mut facts: Vec<_> = ["iss", "aud", "sub"]
        .iter()
        .map(|name| format!("{name} {}", token.claims.get(*name).map_or_else(|| "is missing".to_owned(), shown)))
        .collect();
    for name in ["iat", "nbf", "exp"] {
        if let Some(value) = token.claims.get(name) {
            facts.push(format!("{name} {}", value.as_u64().map_or_else(|| shown(value), time)));
        }
    }
    facts.extend(token.algorithm.as_ref().map(|name| format!("alg {name}")));
    facts
}

fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), |text| format!("`{text}`"));
    cut(&text)
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(LONGEST).collect::<String>())
}

fn time(seconds: u64) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.map_or_else(|| seconds.to_string(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// What the provider's configuration wants of a token that it refused.
fn expected(token: &Token, decision: &Decision) -> Vec<String> {
    let of = |key: &str| token.provider.get(key).cloned().unwrap_or_default();
    let name = of("name").as_str().unwrap_or_default().to_owned();
    let list = |key: &str, default: &str| {
        let texts: Vec<_> =
            of(key).as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        if texts.is_empty() { default.to_owned() } else { quoted(&texts) }
    };
    let issuer = || vec![format!("iss {} of provider `{name}`, exactly", shown(&of("issuer")))];
    let claim = || decision.claim.clone().unwrap_or_default();
    match decision.code.as_deref() {
        Some("issuer_mismatch") => issuer(),
        Some("audience_mismatch") => {
            vec![format!("aud with one of {} of provider `{name}`", list("audiences", "none"))]
        }
        Some("alg_not_allowed") => vec![format!("alg one of {}", list("algorithms", "`RS256`, `ES256`"))],
        Some("claim_required") => {
            let wanted = token.provider.pointer("/require").and_then(|claims| claims.get(claim())).map(shown);
            vec![format!("claim `{}` to be {}", claim(), wanted.unwrap_or_default())]
        }
        Some("claim_missing" | "claim_type") => vec![format!("claim `{}`, of its type", claim())],
        Some("lifetime_too_long") => vec![format!("exp at most {} s after iat", shown(&of("max_lifetime")))],
        Some("key_unknown" | "signature_invalid") => vec![format!("a signature by a key of provider `{name}`")],
        _ => times(token, decision.reason),
    }
}

/// When a token that came too late or too early would have been good.
fn times(token: &Token, reason: Option<Reason>) -> Vec<String> {
    let skew = token.provider.get("clock_skew").and_then(Value::as_u64).unwrap_or(SKEW);
    match reason {
        Some(Reason::TokenExpired) => {
            vec![format!("exp after {}, {skew} s before the request", time(token.at.saturating_sub(skew)))]
        }
        Some(Reason::TokenNotYetValid) => {
            vec![format!("nbf and iat not after {}, {skew} s behind the request", time(token.at.saturating_add(skew)))]
        }
        _ => Vec::new(),
    }
}

fn groups(decision: &Decision) -> Option<Vec<String>> {
    let (caller, _) = decision.caller.as_ref()?;
    Some(match caller.groups() {
        Groups::Listed(names) => names.iter().map(str::to_owned).collect(),
        Groups::Overage => Vec::new(),
    })
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Table => "table",
        Kind::Path => "path",
        Kind::Function => "function",
        Kind::Schema => "schema",
        Kind::Catalog => "catalog",
        Kind::Other => "object",
    }
}

/// What a SQL text does, line by line.
fn sql(scan: &Scan) -> Vec<String> {
    let classes: Vec<_> = scan.classes.iter().map(|one| one.as_str()).collect();
    let mut lines = vec![match scan.parsed {
        Ok(()) => classes.join(", "),
        Err(why) => format!("not understood: {why}; no rule with `sql` or `table` allows it"),
    }];
    let object = |verb: &str, object: &Object| {
        let unresolved =
            if object.resolved { "" } else { ", not complete: the body has no `catalog` or `schema`, or a session" };
        format!("{verb} {} `{}`{unresolved}", word(object.kind), object.name)
    };
    lines.extend(scan.reads.iter().map(|one| object("reads", one)));
    lines.extend(scan.writes.iter().map(|one| object("writes", one)));
    let reaching = scan.reads.iter().filter(|one| one.kind == Kind::Function);
    lines.extend(reaching.filter(|_| scan.parsed.is_ok()).map(|one| of_function(&one.name)));
    if !scan.functions.is_empty() {
        lines.push(format!("calls {}", quoted(&scan.functions)));
    }
    lines
}

/// Why a rule on tables says no to a function.
fn of_function(name: &str) -> String {
    let own = name.rsplit('.').next().unwrap_or(name);
    let is_known = |known: &&str| own == *known || known.ends_with('_') && own.starts_with(*known);
    let why = match REACHING.iter().any(is_known) {
        true => "reads more than its arguments",
        false => "is none of those known to read their arguments only, and may read any table",
    };
    format!("function `{own}` {why}: no rule with `table`, `schema` or `catalog` allows it")
}

/// What the body of a request holds, member by member.
fn body(question: &Question) -> Vec<String> {
    let Some(text) = question.body.as_deref() else { return vec!["none".to_owned()] };
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => {
            members.iter().take(MOST).map(|(name, value)| format!("`{name}`: {}", shown(value))).collect()
        }
        Ok(_) => vec!["is no JSON object".to_owned()],
        Err(error) => vec![format!("is not JSON: {error}")],
    }
}

fn policy(lines: &mut Lines, steps: &Explanation, decision: &Decision, asks_for_no_job: bool) {
    let style = lines.1;
    let mark = |good: bool| if good { style.good("+") } else { style.dim("-") };
    let shown = shown_strangers(steps, decision);
    let is_shown = |role: &&RoleSeen| !matches!(role.standing, Standing::NotMatched(_)) || shown.is_none();
    let roles = steps.roles.iter().filter(is_shown).map(|role| {
        let why = match &role.standing {
            Standing::Held => "is the caller's".to_owned(),
            Standing::NotMatched(unmet) => is_for_others(unmet, false),
            Standing::NotInForce => "is the caller's, but not at this time".to_owned(),
            Standing::NotAskedFor => "is the caller's, who asked for another; its denials hold".to_owned(),
        };
        let held = role.standing == Standing::Held;
        let observes = if role.observes && held { "; it observes: its denials are recorded only" } else { "" };
        format!("{} `{}` {why}{observes}", mark(held), role.name)
    });
    let mut roles: Vec<_> = roles.collect();
    if let Some(nearest) = shown {
        let has_none = decision.reason == Some(Reason::NoRole);
        let line =
            |(role, unmet): &(&str, &Unmet)| format!("{} `{role}` {}", mark(false), is_for_others(unmet, has_none));
        roles.extend(nearest.iter().map(line));
        let more = strangers(steps).count().saturating_sub(nearest.len());
        roles.extend((more > 0).then(|| format!("  and {more} more roles, which are for others")));
    }
    lines.list("roles", roles);
    for agent in &steps.agents {
        lines.add("agent", &format!("the caller is agent `{agent}`, whose rules bound it too"));
    }
    let rules = steps.rules.iter().map(|rule| {
        let why = rule.miss.map_or_else(|| "means this request".to_owned(), |miss| miss.to_string());
        format!("{} {} {why}{}", mark(rule.miss.is_none()), rule.pointer, difference(rule, decision))
    });
    lines.list("rules", rules.collect::<Vec<_>>());
    let hides_job = |rule: &RuleSeen| matches!(rule.miss, Some(Miss::Hidden { kind: "job", .. }));
    if asks_for_no_job && steps.rules.iter().any(hides_job) {
        lines.add(
            "",
            "a rule with `lookup: true` asks the workspace for the run's job: say which it is with --job-of-run",
        );
    }
    if matches!(steps.outcome, Outcome::NeedsBody) {
        lines.add("", "a rule needs the request's body: give it with --body");
    }
}

/// The roles for others that are shown in place of all of them, the nearest first: where no role is the caller's, so that the mistyped one
/// stands first, and where they are too many. Otherwise each stands in its place.
fn shown_strangers<'s>(steps: &'s Explanation, decision: &Decision) -> Option<Vec<(&'s str, &'s Unmet)>> {
    if decision.reason != Some(Reason::NoRole) && strangers(steps).count() <= MOST_STRANGERS {
        return None;
    }
    let mut nearest: Vec<_> = strangers(steps).collect();
    nearest.sort_by_cached_key(|(_, unmet)| how_far(unmet));
    nearest.truncate(MOST_STRANGERS);
    Some(nearest)
}

/// The names of the roles that are for others, with what of their `match` does not hold.
fn strangers(steps: &Explanation) -> impl Iterator<Item = (&str, &Unmet)> {
    steps.roles.iter().filter_map(|role| match &role.standing {
        Standing::NotMatched(unmet) => Some((&*role.name, unmet)),
        Standing::Held | Standing::NotInForce | Standing::NotAskedFor => None,
    })
}

/// By how many letters what the caller has differs from what the role wants.
fn how_far(miss: &Unmet) -> usize {
    let pairs = miss.wanted.iter().flat_map(|wanted| miss.had.iter().map(move |had| (wanted, had)));
    let letters = |(wanted, had): (&String, &String)| {
        distance(&wanted.replace('*', "").to_lowercase(), &had.to_lowercase(), usize::MAX)
    };
    pairs.take(MOST_COMPARED).filter_map(letters).min().unwrap_or(usize::MAX)
}

fn is_for_others(miss: &Unmet, with_had: bool) -> String {
    let values = |all: &[String]| {
        let more = all.len().saturating_sub(MOST_VALUES);
        let listed = quoted(&all.iter().take(MOST_VALUES).map(|text| cut(text)).collect::<Vec<_>>());
        if more == 0 { listed } else { format!("{listed} and {more} more") }
    };
    let had = if miss.had.is_empty() { "none".to_owned() } else { values(&miss.had) };
    let had = if with_had { format!(", and the caller has {had}") } else { String::new() };
    format!("is for others: `{}` must be {}{had}", miss.key, values(&miss.wanted))
}

/// What the request carries and what the rule names.
fn difference(rule: &RuleSeen, decision: &Decision) -> String {
    if let Some(operation) = decision.operation.filter(|_| decision.left_out.contains(&rule.pointer.to_string())) {
        return format!(": it is sensitive, so no wildcard means it; name `{}` in full", operation.name());
    }
    let Some(miss) = decision.misses.iter().find(|miss| *miss.pointer == *rule.pointer) else { return String::new() };
    let carried = if miss.carried.is_empty() { String::new() } else { format!(" {}", quoted(&miss.carried)) };
    let named = if miss.named.is_empty() { String::new() } else { format!(", but {}", quoted(&miss.named)) };
    format!("{carried}{named}")
}

fn verdict(decision: &Decision, style: Style) -> String {
    let mut text = match (decision.decision, decision.status) {
        ("allow", Some(status)) => style.good(&format!("ANSWERED {status}")),
        ("allow", None) => style.good("ALLOWED"),
        ("would_deny", _) => style.bad("ALLOWED, WOULD BE DENIED"),
        (_, status) => style.bad(&format!("DENIED {}", status.unwrap_or(0))),
    };
    if let Some(reason) = &decision.reason {
        let _ = write!(text, " {}", style.bold(reason.name()));
    }
    if let Some(code) = &decision.code {
        let _ = write!(text, " ({code})");
    }
    for (word, value) in [("by role", &decision.role), ("by rule", &decision.rule)] {
        if let Some(value) = value {
            let _ = write!(text, ", {word} `{value}`");
        }
    }
    if decision.decision == "allow" && decision.role.is_some() && decision.rule.is_none() {
        let _ = write!(text, ", which has no `allow` and may do all that is not sensitive");
    }
    if let Some(credential) = decision.credential {
        let _ = write!(text, ", with credential `{credential}`");
    }
    if let Some(scope) = &decision.scope {
        let _ = write!(text, " of scope `{scope}`");
    }
    if let Some(message) = &decision.message {
        let _ = write!(text, "\n           {message}");
    }
    text
}

/// The decision and what led to it, for programs.
pub(crate) fn as_json(decision: &Decision) -> Value {
    let mut resources = Map::new();
    for Resource { kind, id, .. } in &decision.resources {
        if let Some(list) = resources.entry(*kind).or_insert_with(|| json!([])).as_array_mut() {
            list.push(json!(id));
        }
    }
    let carries =
        decision.resources.iter().map(|one| json!({"type": one.kind, "id": one.id, "from": one.origin.to_string()}));
    json!({
        "decision": decision.decision,
        "status": decision.status,
        "reason": decision.reason.map(Reason::name),
        "code": decision.code,
        "message": decision.message,
        "operation": decision.operation.map(databricks_kong::databricks::Operation::name),
        "resources": resources,
        "carries": carries.collect::<Vec<_>>(),
        "sql": decision.sql.as_ref().map(sql_as_json),
        "role": decision.role,
        "rule": decision.rule,
        "credential": decision.credential,
        "scope": decision.scope,
        "subject": decision.caller.as_ref().map(|(caller, _)| caller.subject()),
        "idp": decision.caller.as_ref().map(|(_, provider)| &**provider),
        "groups": groups(decision),
        "token": decision.token.as_ref().map(|token| token_as_json(token, decision)),
        "steps": decision.steps.as_ref().map(|steps| steps_as_json(steps, decision)),
    })
}

fn token_as_json(token: &Token, decision: &Decision) -> Value {
    let of = |name: &str| token.claims.get(name).cloned().unwrap_or_default();
    let expected = if is_about_token(decision) { expected(token, decision) } else { Vec::new() };
    json!({
        "iss": of("iss"), "aud": of("aud"), "sub": of("sub"), "iat": of("iat"), "nbf": of("nbf"), "exp": of("exp"),
        "alg": token.algorithm, "expected": expected,
    })
}

fn sql_as_json(scan: &Scan) -> Value {
    let objects = |list: &[Object]| -> Vec<Value> {
        list.iter().map(|one| json!({"kind": word(one.kind), "name": one.name, "resolved": one.resolved})).collect()
    };
    json!({
        "classes": scan.classes.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        "unparsed": scan.parsed.err().map(|why| why.to_string()),
        "reads": objects(&scan.reads),
        "writes": objects(&scan.writes),
        "functions": scan.functions,
    })
}

fn steps_as_json(steps: &Explanation, decision: &Decision) -> Value {
    let roles = steps.roles.iter().map(|role| {
        let (standing, unmet) = match &role.standing {
            Standing::Held => ("held", None),
            Standing::NotMatched(unmet) => ("not_matched", Some(unmet)),
            Standing::NotInForce => ("not_in_force", None),
            Standing::NotAskedFor => ("not_asked_for", None),
        };
        let key = unmet.map(|unmet| &unmet.key);
        let mut value = json!({"role": &*role.name, "standing": standing, "key": key, "observes": role.observes});
        if let (Some(unmet), Some(members)) = (unmet, value.as_object_mut()) {
            members.insert("wanted".to_owned(), json!(unmet.wanted));
            members.insert("had".to_owned(), json!(unmet.had));
        }
        value
    });
    let rules = steps.rules.iter().map(|rule| {
        let owner = if rule.is_agent { "agent" } else { "role" };
        let why = rule.miss.map(|miss| miss.to_string());
        let mut value =
            json!({"rule": &*rule.pointer, owner: &*rule.owner, "matches": rule.miss.is_none(), "why": why});
        let miss = decision.misses.iter().find(|miss| *miss.pointer == *rule.pointer);
        if let (Some(miss), Some(members)) = (miss, value.as_object_mut()) {
            members.insert("carried".to_owned(), json!(miss.carried));
            members.insert("named".to_owned(), json!(miss.named));
        }
        value
    });
    json!({
        "roles": roles.collect::<Vec<_>>(),
        "agents": steps.agents.iter().map(|agent| &**agent).collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
    })
}
