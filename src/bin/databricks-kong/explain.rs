//! `databricks-kong explain`: one request, step by step.

use crate::decide::{Decision, Question, Undecided, decide};
use crate::identity::Identity;
use crate::output::{Exit, Format, Style, fail, print};
use crate::source::Source;
use clap::Args;
use databricks_kong::base::{Reason, Secret, UnixTime, parse_object_strict};
use databricks_kong::databricks::Resource;
use databricks_kong::policy::{Outcome, Standing};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What is asked.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// A kong.yml, or a file that is the filter's configuration
    config: PathBuf,
    /// The request's method
    method: String,
    /// The request's path and query, as Databricks would get it
    path: String,
    /// Which entry of the file is meant: a part of its service's or route's name
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// The caller's claims: JSON, or a file with JSON; they are taken for verified. What is missing of iss, aud, iat and exp is filled in
    #[arg(long, value_name = "JSON|FILE", conflicts_with = "token_file")]
    claims: Option<String>,
    /// The identity provider that issued the claims, if not the first
    #[arg(long, value_name = "NAME", requires = "claims")]
    provider: Option<String>,
    /// A file with the caller's token. With --jwks it is verified; without, its claims are taken for verified
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A file with the provider's keys (JWKS), to verify the token with
    #[arg(long, value_name = "FILE", requires = "token_file")]
    jwks: Option<PathBuf>,
    /// The request's body: JSON, `@FILE`, or `-` for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    body: Option<String>,
    /// A header of the request, may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The job that the request's run belongs to, for rules with `lookup`; unknown to the workspace if not given
    #[arg(long, value_name = "ID")]
    job_of_run: Option<u64>,
    /// The time of the request instead of now
    #[arg(long, value_name = "RFC3339")]
    now: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, format: Format, style: Style) -> Exit {
    let source = match Source::read(&arguments.config) {
        Ok(source) => source,
        Err(message) => return fail(&message),
    };
    let asked = source.entry(arguments.entry.as_deref()).and_then(|entry| Ok((entry, question(arguments)?)));
    let (entry, (question, note)) = match asked {
        Ok(asked) => asked,
        Err(message) => return fail(&message),
    };
    match decide(source.config(&entry), &question) {
        Ok(decision) => {
            match format {
                Format::Json => print(&format!("{:#}\n", as_json(&decision))),
                Format::Human => {
                    if let Some(note) = note {
                        print(&format!("{}\n", style.dim(note)));
                    }
                    print(&for_people(&question, &decision, style));
                }
            }
            if decision.decision == "deny" { Exit::Denied } else { Exit::Fine }
        }
        Err(Undecided::Config(errors)) => {
            for error in errors {
                eprintln!("{}", source.located(&entry, &error));
            }
            Exit::Invalid
        }
        Err(Undecided::Guard) => fail("this entry is a guard, which decides nothing by itself"),
        Err(Undecided::Question(message)) => fail(&message),
    }
}

fn question(arguments: &Arguments) -> Result<(Question, Option<&'static str>), String> {
    let (identity, note) = identity(arguments)?;
    let headers = arguments.header.iter().map(|header| {
        let (name, value) =
            header.split_once(':').ok_or_else(|| format!("`{header}` is not of the form `name: value`"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    let question = Question {
        identity,
        method: arguments.method.to_ascii_uppercase(),
        path: arguments.path.clone(),
        headers: headers.collect::<Result<_, String>>()?,
        body: arguments.body.as_deref().map(body).transpose()?,
        job_of_run: arguments.job_of_run,
        now: match &arguments.now {
            Some(text) => point_in_time(text)?,
            None => now(),
        },
    };
    Ok((question, note))
}

fn body(argument: &str) -> Result<String, String> {
    match (argument, argument.strip_prefix('@')) {
        ("-", _) => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| format!("standard input: {error}"))?;
            Ok(text)
        }
        (_, Some(path)) => read(path),
        (text, None) => Ok(text.to_owned()),
    }
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("`{path}` cannot be read: {error}"))
}

fn identity(arguments: &Arguments) -> Result<(Identity, Option<&'static str>), String> {
    if let Some(claims) = &arguments.claims {
        let text = if claims.trim_start().starts_with('{') { claims.clone() } else { read(claims)? };
        let claims: Map<String, Value> = parse_object_strict(text.as_bytes(), 64)
            .map_err(|fault| format!("the claims are not a JSON object: {fault}"))?;
        return Ok((Identity::Claims { provider: arguments.provider.clone(), claims }, None));
    }
    let Some(path) = &arguments.token_file else {
        return Ok((Identity::Nobody, Some("no claims and no token are given: this is what happens without a token")));
    };
    let token = read(&path.display().to_string())?;
    let token = token.trim();
    if let Some(keys) = &arguments.jwks {
        let keys = read(&keys.display().to_string())?;
        return Ok((Identity::Token { token: Secret::new(token.to_owned()), keys }, None));
    }
    let claims = claims_of(token).ok_or("the token file holds no JWT")?;
    let note = "the token's signature is not checked: give --jwks to check it";
    Ok((Identity::Claims { provider: None, claims }, Some(note)))
}

fn claims_of(token: &str) -> Option<Map<String, Value>> {
    use base64::Engine as _;
    let payload = token.split('.').nth(1)?;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// The time that `text` says.
pub(crate) fn point_in_time(text: &str) -> Result<UnixTime, String> {
    let time = humantime::parse_rfc3339(text).ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    time.map(from_epoch).ok_or_else(|| format!("`{text}` is not a point in time of the form 2026-11-01T00:00:00Z"))
}

/// The present.
#[allow(clippy::disallowed_methods, reason = "this tool is a shell, which reads the clock")]
pub(crate) fn now() -> UnixTime {
    from_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn from_epoch(time: Duration) -> UnixTime {
    UnixTime::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// The decision and what led to it, for people.
pub(crate) fn for_people(question: &Question, decision: &Decision, style: Style) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{}  {value}", style.dim(&format!("{name:<9}")));
    };
    line("request", &format!("{} {}", question.method, question.path));
    match decision.operation {
        Some(operation) => {
            let sensitive = operation.sensitivity().map(|why| format!(", sensitive: {}", why.replace('_', " ")));
            let scope = operation.scope();
            line("operation", &format!("{} (scope {scope}{})", operation.name(), sensitive.unwrap_or_default()));
        }
        None => line("operation", "not in the catalogue"),
    }
    if !decision.resources.is_empty() {
        let ids = decision
            .resources
            .iter()
            .map(|one| format!("{} `{}` ({})", one.kind, one.id, one.origin))
            .collect::<Vec<_>>();
        line("carries", &ids.join(", "));
    }
    if let Some((caller, provider)) = &decision.caller {
        let actor = caller.actor().map(|actor| format!(", through `{actor}`")).unwrap_or_default();
        line("caller", &format!("`{}` of provider `{provider}`{actor}", caller.subject()));
    }
    if let Some(steps) = &decision.steps {
        let mark = |good: bool| if good { style.good("+") } else { style.dim("-") };
        for (index, role) in steps.roles.iter().enumerate() {
            let why = match role.standing {
                Standing::Held => "is the caller's".to_owned(),
                Standing::NotMatched(key) => format!("is for others: its `{key}` do not match"),
                Standing::NotInForce => "is the caller's, but not at this time".to_owned(),
                Standing::NotAskedFor => "is the caller's, who asked for another; its denials hold".to_owned(),
            };
            let held = role.standing == Standing::Held;
            let observes = if role.observes && held { "; it observes: its denials are recorded only" } else { "" };
            line(if index == 0 { "roles" } else { "" }, &format!("{} `{}` {why}{observes}", mark(held), role.name));
        }
        for agent in &steps.agents {
            line("agent", &format!("the caller is agent `{agent}`, whose rules bound it too"));
        }
        for (index, rule) in steps.rules.iter().enumerate() {
            let why = rule.miss.as_deref().unwrap_or("means this request");
            line(
                if index == 0 { "rules" } else { "" },
                &format!("{} {} {why}", mark(rule.miss.is_none()), rule.pointer),
            );
        }
        if matches!(steps.outcome, Outcome::NeedsBody) {
            line("", "a rule needs the request's body: give it with --body");
        }
    }
    line("decision", &verdict(decision, style));
    text
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
    let steps = decision.steps.as_ref().map(|steps| {
        let roles = steps.roles.iter().map(|role| {
            let (standing, key) = match role.standing {
                Standing::Held => ("held", None),
                Standing::NotMatched(key) => ("not_matched", Some(key)),
                Standing::NotInForce => ("not_in_force", None),
                Standing::NotAskedFor => ("not_asked_for", None),
            };
            json!({"role": &*role.name, "standing": standing, "key": key, "observes": role.observes})
        });
        let rules = steps.rules.iter().map(|rule| {
            let owner = if rule.is_agent { "agent" } else { "role" };
            json!({"rule": &*rule.pointer, owner: &*rule.owner, "matches": rule.miss.is_none(), "why": rule.miss})
        });
        json!({
            "roles": roles.collect::<Vec<_>>(),
            "agents": steps.agents.iter().map(|agent| &**agent).collect::<Vec<_>>(),
            "rules": rules.collect::<Vec<_>>(),
        })
    });
    json!({
        "decision": decision.decision,
        "status": decision.status,
        "reason": decision.reason.map(Reason::name),
        "message": decision.message,
        "operation": decision.operation.map(databricks_kong::databricks::Operation::name),
        "resources": resources,
        "carries": carries.collect::<Vec<_>>(),
        "role": decision.role,
        "rule": decision.rule,
        "credential": decision.credential,
        "scope": decision.scope,
        "subject": decision.caller.as_ref().map(|(caller, _)| caller.subject()),
        "idp": decision.caller.as_ref().map(|(_, provider)| &**provider),
        "steps": steps,
    })
}
