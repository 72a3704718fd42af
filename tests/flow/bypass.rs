//! Attempts to get past the policy, from a table: none gets through, and each is refused for its own reason.

use crate::stage::*;
use databricks_kong::base::{Reason, Secret};
use databricks_kong::databricks::{Catalogue, Operation};
use databricks_kong::sim::{Client, End, Transcript};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const ATTEMPTS: &str = include_str!("../bypass/attempts.tsv");
const POLICY: &str = include_str!("../bypass/policy.json");
/// Made by tools/catalogue/bypass.py: an id that is refused, in every place where one may stand.
const GENERATED: &str = include_str!("../bypass/generated.tsv");
const GENERATED_POLICY: &str = include_str!("../bypass/generated.json");

/// One line of the table.
struct Attempt {
    name: &'static str,
    source: &'static str,
    caller: &'static str,
    method: &'static str,
    target: Vec<u8>,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    status: &'static str,
    reason: &'static str,
    text: &'static str,
}

fn attempts() -> Vec<Attempt> {
    let lines = ATTEMPTS.lines().chain(GENERATED.lines()).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| read(&line.split('\t').collect::<Vec<_>>())).collect()
}

fn read(columns: &[&'static str]) -> Attempt {
    let [name, source, caller, method, target, headers, body, _framing, status, reason, text, _host] = columns else {
        panic!("not twelve columns: {columns:?}")
    };
    let written = |text: &&'static str| (*text != "-").then(|| bytes(text));
    let headers = String::from_utf8(written(headers).unwrap_or_default()).unwrap();
    let headers = headers.split(" | ").filter(|header| !header.is_empty()).map(|header| {
        let (name, value) = header.split_once(": ").unwrap();
        (name.to_owned(), value.to_owned())
    });
    Attempt {
        name,
        source,
        caller,
        method,
        target: bytes(target),
        headers: headers.collect(),
        body: written(body),
        status,
        reason,
        text,
    }
}

/// Undoes `<<0d 0a>>` and `<<60*[>>`.
fn bytes(text: &str) -> Vec<u8> {
    let mut pieces = text.split("<<");
    let mut found = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        let (special, rest) = piece.split_once(">>").unwrap();
        match special.split_once('*') {
            Some((times, text)) => found.extend(text.repeat(times.parse().unwrap()).into_bytes()),
            None => found.extend(special.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap())),
        }
        found.extend(rest.as_bytes());
    }
    found
}

/// A gateway with the policy of policy.json, and a token for each of its callers.
struct Gate {
    stage: Stage,
    tokens: BTreeMap<String, String>,
}

impl Gate {
    fn new() -> Self {
        let mut policy: Value = serde_json::from_str(POLICY).unwrap();
        let generated: Value = serde_json::from_str(GENERATED_POLICY).unwrap();
        policy["roles"].as_array_mut().unwrap().extend(generated["roles"].as_array().unwrap().iter().cloned());
        policy["callers"].as_object_mut().unwrap().extend(generated["callers"].as_object().unwrap().clone());
        let mut stage = Stage::warm(config(json!({"roles": policy["roles"], "agents": policy["agents"]})));
        let callers = policy["callers"].as_object().unwrap();
        let token = |(name, caller): (&String, &Value)| {
            let claims = json!({"groups": caller["groups"], "client_id": caller["client"]});
            (name.clone(), stage.token_with(name, claims))
        };
        let tokens = callers.iter().map(token).collect();
        Self { stage, tokens }
    }

    fn send(&mut self, caller: &str, client: Client) -> Transcript {
        let token = (caller != "-").then(|| Secret::new(format!("Bearer {}", self.tokens[caller])));
        let headers = token.map(|token| ("Authorization".to_owned(), token)).into_iter().chain(client.headers);
        self.stage.send(&Client { headers: headers.collect(), ..client })
    }
}

/// Why the request did not end as the row says, if it did not.
fn wrong(attempt: &Attempt, transcript: &Transcript) -> Option<String> {
    let all_right = match &transcript.end {
        End::Forward { .. } => attempt.status == "forward",
        End::Reply { status, reason, body, .. } => {
            // an answer in OAuth's form names no reason
            let named = reason.filter(|reason| *reason != Reason::GrantRefused).map_or("-", Reason::name);
            transcript.callouts.is_empty()
                && (status.to_string().as_str(), named) == (attempt.status, attempt.reason)
                && (attempt.text == "-" || body.to_string().contains(attempt.text))
        }
        End::Unfinished => false,
    };
    let said = || match &transcript.end {
        End::Reply { body, .. } => body.to_string(),
        _ => String::new(),
    };
    let Attempt { name, status, reason, text, .. } = attempt;
    (!all_right).then(|| format!("{name}\n  expected {status} {reason} {text}\n  {}\n  {}", ended(transcript), said()))
}

#[test]
fn every_attempt_of_the_table_ends_as_its_row_says() {
    let mut gate = Gate::new();
    let mut failures = Vec::new();
    for attempt in attempts() {
        let client = Client {
            method: attempt.method.to_owned(),
            target: attempt.target.clone(),
            headers: attempt.headers.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect(),
            body: attempt.body.clone().map(Secret::new),
            ..Client::default()
        };
        let transcript = gate.send(attempt.caller, client);
        failures.extend(wrong(&attempt, &transcript));
    }
    assert!(failures.is_empty(), "{} rows:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_table_has_attempts_of_every_kind_and_controls() {
    let attempts = attempts();
    let refused = attempts.iter().filter(|attempt| attempt.status != "forward").count();
    assert!(refused >= 3_500, "{refused}");
    assert!(attempts.len() - refused >= 20);
    let names: BTreeSet<_> = attempts.iter().map(|attempt| attempt.name).collect();
    assert_eq!(names.len(), attempts.len(), "two rows of one name");
    for attempt in &attempts {
        assert_eq!(attempt.source == "control", attempt.status == "forward", "{}", attempt.name);
    }
}

/// A path of a template: its placeholders filled with `x`.
fn path_of(template: &str) -> String {
    let fill = |segment: &str| match segment.split_once('}') {
        // another workspace's would be refused for that alone
        Some(("{org_id" | "{workspace" | "{workspace_id", "")) => "7405619408829168".to_owned(),
        Some((_, verb)) => format!("x{verb}"),
        None => segment.to_owned(),
    };
    template.split('/').map(fill).collect::<Vec<_>>().join("/")
}

#[test]
fn no_sensitive_operation_is_in_a_wildcard_a_default_or_what_is_only_watched() {
    let mut gate = Gate::new();
    let mut count = 0;
    // the gateway answers `POST /oidc/v1/token` itself
    let own = |operation: &Operation| operation.template() == "/oidc/v1/token";
    for operation in Catalogue::operations().filter(|operation| operation.is_sensitive() && !own(operation)) {
        for caller in ["everything", "default", "watched", "agent"] {
            let method = if operation.method() == "*" { "POST" } else { operation.method() };
            let body = (!matches!(method, "GET" | "HEAD")).then(|| Secret::new(b"{}".to_vec()));
            let target = path_of(operation.template()).into_bytes();
            let transcript = gate.send(caller, Client { method: method.to_owned(), target, body, ..Client::default() });
            check(&transcript, "", "403 OPERATION_SENSITIVE");
            let named = &crate::stage::body(&transcript)["details"][0]["metadata"]["operation"];
            assert_eq!(named, operation.name());
            count += 1;
        }
    }
    assert!(count > 1_000, "{count}");
}
