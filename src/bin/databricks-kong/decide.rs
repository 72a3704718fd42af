//! One request of one caller, decided as the gateway decides it, and why.
//!
//! The decision is the filter's own: its flow runs here from headers to the end, in a world in which every callout is answered. The steps
//! come from `policy::explain` for the same caller and request. Should the two ever differ, that is said instead of an answer.

use crate::identity::{Identity, Presented, algorithm_of, claims_of, present};
use databricks_kong::base::{Reason, Secret, UnixTime, parse_object_strict};
use databricks_kong::config::{Config, ConfigError, SET_ELSEWHERE, Settings};
use databricks_kong::databricks::sql::Scan;
use databricks_kong::databricks::{Operation, Resource, Target, canonical};
use databricks_kong::flow::{Callout, Flow, Inspected, inspect_headers};
use databricks_kong::jwt::{self, Caller, KeySet, UnverifiedToken};
use databricks_kong::policy::{
    Action, Ask, Body, Denial, Explanation, Glob, Miss, Outcome, RuleSeen, RunsJob, explain,
};
use databricks_kong::sim::{Answer, Client, End, Purpose, Sim};
use serde_json::{Map, Value, json};
use std::rc::Rc;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Who.
    pub(crate) identity: Identity,
    /// The request's method.
    pub(crate) method: String,
    /// The request's path and query.
    pub(crate) path: String,
    /// Further headers.
    pub(crate) headers: Vec<(String, String)>,
    /// The request's body.
    pub(crate) body: Option<String>,
    /// The job of the run that the request names, as the workspace would tell.
    pub(crate) job_of_run: Option<u64>,
    /// When.
    pub(crate) now: UnixTime,
}

/// What the gateway does.
#[derive(Debug)]
pub(crate) struct Decision {
    /// `allow`, `deny` or `would_deny`.
    pub(crate) decision: &'static str,
    /// The HTTP status of a refusal.
    pub(crate) status: Option<u16>,
    /// The reason code of a refusal, or of a denial that is only recorded.
    pub(crate) reason: Option<Reason>,
    /// The same for people.
    pub(crate) message: Option<String>,
    /// The operation; nothing if the catalogue does not know the request.
    pub(crate) operation: Option<Operation>,
    /// The ids that the request carries, by their types.
    pub(crate) resources: Vec<Resource>,
    /// The role that decided.
    pub(crate) role: Option<String>,
    /// JSON pointer to the rule that decided.
    pub(crate) rule: Option<String>,
    /// The type of the credential that is used.
    pub(crate) credential: Option<&'static str>,
    /// The OAuth scope that is asked for.
    pub(crate) scope: Option<String>,
    /// The verified caller, and the name of its provider.
    pub(crate) caller: Option<(Rc<Caller>, Rc<str>)>,
    /// The finer code of a refused token, and the claim that it is about.
    pub(crate) code: Option<String>,
    pub(crate) claim: Option<String>,
    /// What the token says, whether or not it is believed.
    pub(crate) token: Option<Token>,
    /// What the request's SQL text does.
    pub(crate) sql: Option<Scan>,
    /// For each rule that names other resources: what the request carries of the type, and what the rule names. By the rule's pointer.
    pub(crate) misses: Vec<ResourceMiss>,
    /// The rules whose wildcards would mean the operation if it were not sensitive, by their pointers.
    pub(crate) left_out: Vec<String>,
    /// How policy came to its answer; nothing if the request did not come that far.
    pub(crate) steps: Option<Explanation>,
}

/// What a token says.
#[derive(Debug)]
pub(crate) struct Token {
    /// Its claims.
    pub(crate) claims: Map<String, Value>,
    /// What it is signed with, where it is a real one.
    pub(crate) algorithm: Option<String>,
    /// The provider that it would have to be from, as it is configured.
    pub(crate) provider: Value,
    /// When it is shown to the gateway, in seconds since 1970.
    pub(crate) at: u64,
}

/// A rule that is about other resources than the request.
#[derive(Debug)]
pub(crate) struct ResourceMiss {
    pub(crate) pointer: String,
    pub(crate) carried: Vec<String>,
    pub(crate) named: Vec<String>,
}

/// Why there is no decision.
#[derive(Debug)]
pub(crate) enum Undecided {
    /// The configuration is invalid.
    Config(Vec<ConfigError>),
    /// It is a guard's, which decides nothing by itself.
    Guard,
    /// Something in the question, for whoever asked.
    Question(String),
}

/// Decides.
pub(crate) fn decide(config: &Value, question: &Question) -> Result<Decision, Undecided> {
    let presented = present(config, &question.identity, question.now).map_err(Undecided::Question)?;
    let written = config;
    // the gateway's environment is not here, and no decision depends on a secret's value
    let config = match Settings::parse(presented.config.to_string().as_bytes(), &|_| Some(SET_ELSEWHERE.to_owned())) {
        Ok(Settings::Enforce(config)) => config,
        Ok(Settings::Guard) => return Err(Undecided::Guard),
        Err(errors) => return Err(Undecided::Config(errors)),
    };
    let client = client(&config, question, &presented);
    let seen = inspect_headers(
        client.headers.iter().map(|(name, value)| (name.as_bytes(), value.expose().as_bytes())),
        &config.own_headers,
    );
    let end = run(&config, question, &presented, &client);
    let mut decision = outcome(end)?;
    decision.caller = caller(&config, question, &presented);
    explain_to(&mut decision, &config, question, &seen);
    decision.token = token(written, question, &presented);
    decision.misses = misses(&decision, &presented.config);
    decision.left_out = left_out(&decision, &presented.config);
    if agrees(&decision) {
        Ok(decision)
    } else {
        let bug = "the filter and its explanation differ, which is a bug of this tool; please report the request and the rules";
        Err(Undecided::Question(bug.to_owned()))
    }
}

fn client(config: &Config, question: &Question, presented: &Presented) -> Client {
    let headers = question.headers.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone())));
    let authorization = presented.token.iter().map(|token| Secret::new(format!("Bearer {}", token.expose())));
    let authorization = authorization.map(|value| ("Authorization".to_owned(), value));
    let shared = config.shared_secrets.iter().map(|name| (name.clone(), Secret::new(SET_ELSEWHERE.to_owned())));
    Client {
        method: question.method.clone(),
        target: question.path.clone().into_bytes(),
        headers: headers.chain(authorization).collect(),
        body: question.body.as_ref().map(|body| Secret::new(body.clone().into_bytes())),
        shared: shared.collect(),
        ..Client::default()
    }
}

fn run(config: &Rc<Config>, question: &Question, presented: &Presented, client: &Client) -> End {
    let issuer = |callout: &Callout| {
        let discovery = callout.url.to_string();
        let issuers = config.providers.iter().map(|provider| provider.expectations.issuer.to_string());
        issuers.into_iter().find(|issuer| discovery.starts_with(issuer.trim_end_matches('/')))
    };
    let mut world = |purpose: Purpose, callout: &Callout| match purpose {
        Purpose::Discovery => {
            let document = json!({"issuer": issuer(callout), "jwks_uri": "https://localhost/keys"});
            Answer::new(200, document.to_string())
        }
        Purpose::Keys => Answer::new(200, presented.keys.clone()),
        Purpose::Token => {
            Answer::new(200, json!({"access_token": "x", "token_type": "Bearer", "expires_in": 3600}).to_string())
        }
        Purpose::Lookup => match question.job_of_run {
            Some(job) => Answer::new(200, json!({ "job_id": job }).to_string()),
            None => Answer::new(404, "{}"),
        },
        Purpose::Introspection => Answer::new(200, r#"{"active":true}"#),
        // the question is what policy says of a caller who is not cut off
        Purpose::Feed => Answer::new(200, r#"{"subjects":[]}"#),
        // nobody signs in
        Purpose::Login => Answer::new(404, ""),
        Purpose::Spacer => Answer::new(404, ""),
    };
    Sim::new(Rc::clone(config), question.now).run(&mut Flow::default(), client, &mut world).end
}

fn outcome(end: End) -> Result<Decision, Undecided> {
    let mut decision = Decision {
        decision: "allow",
        status: None,
        reason: None,
        message: None,
        operation: None,
        resources: Vec::new(),
        role: None,
        rule: None,
        credential: None,
        scope: None,
        caller: None,
        code: None,
        claim: None,
        token: None,
        sql: None,
        misses: Vec::new(),
        left_out: Vec::new(),
        steps: None,
    };
    match end {
        End::Forward { .. } => {}
        End::Reply { status, reason: Some(reason), body, .. } => {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            decision.decision = "deny";
            decision.status = Some(status);
            decision.reason = Some(reason);
            decision.message = body.get("message").or_else(|| body.get("error_description")).and_then(text);
            let metadata = |key: &str| body.pointer("/details/0/metadata").and_then(|map| map.get(key)).and_then(text);
            decision.role = metadata("role");
            decision.rule = metadata("rule");
            decision.code = metadata("code");
            decision.claim = metadata("claim");
        }
        End::Reply { status, reason: None, .. } => {
            decision.status = Some(status);
            decision.message = Some("the gateway answers this itself".to_owned());
        }
        End::Unfinished => return Err(Undecided::Question("the request line cannot be read".to_owned())),
    }
    Ok(decision)
}

fn caller(config: &Config, question: &Question, presented: &Presented) -> Option<(Rc<Caller>, Rc<str>)> {
    let token = presented.token.as_ref()?;
    let token = UnverifiedToken::parse(token.expose().as_bytes(), config.limits.token_bytes).ok()?;
    let issuer = token.issuer()?;
    let provider = config.providers.iter().find(|provider| *provider.expectations.issuer == *issuer)?;
    let keys = KeySet::parse(presented.keys.as_bytes()).ok()?.keys;
    let caller = jwt::verify(&token, &keys, &provider.expectations, question.now).ok()?;
    Some((Rc::new(caller), Rc::clone(&provider.name)))
}

/// What the token that was presented says.
fn token(config: &Value, question: &Question, presented: &Presented) -> Option<Token> {
    let text = presented.token.as_ref()?.expose();
    let claims = claims_of(text)?;
    let is_real = matches!(question.identity, Identity::Token { .. });
    let providers = presented.config.get("identity_providers").and_then(Value::as_array);
    let issued = providers?.iter().position(|provider| claims.get("iss") == provider.get("issuer"));
    let pointer = format!("/identity_providers/{}", issued.unwrap_or(0));
    // as it was written: claims alone are verified with a key of this tool's own
    let provider = config.pointer(&pointer).or_else(|| presented.config.pointer(&pointer)).cloned().unwrap_or_default();
    let algorithm = is_real.then(|| algorithm_of(text)).flatten();
    Some(Token { claims, algorithm, provider, at: question.now.as_secs() })
}

/// What rules name, and the request carries, where these are not the same.
fn misses(decision: &Decision, config: &Value) -> Vec<ResourceMiss> {
    let rules = decision.steps.iter().flat_map(|steps| &steps.rules);
    let miss = |rule: &RuleSeen| {
        let Some(Miss::Resource { kind }) = rule.miss else { return None };
        let carried = decision.resources.iter().filter(|one| one.kind == kind).map(|one| one.id.clone());
        let touched = decision.sql.iter().flat_map(|scan| scan.reads.iter().chain(&scan.writes));
        let touched = touched.filter(|_| matches!(kind, "table" | "schema" | "catalog")).map(|one| one.name.clone());
        let listed = config.pointer(&format!("{}/resources/{kind}", rule.pointer)).and_then(Value::as_array);
        let named = listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let (carried, named): (Vec<_>, Vec<_>) = (carried.chain(touched).collect(), named.collect());
        // of several, those that are the trouble
        let globs: Vec<_> = named.iter().map(|name| Glob::new(canonical(kind, name))).collect();
        let is_named = |id: &&String| globs.iter().any(|glob| glob.matches(&canonical(kind, id)));
        let missed: Vec<_> = carried.iter().filter(|id| !is_named(id)).cloned().collect();
        let carried = if missed.is_empty() { carried } else { missed };
        Some(ResourceMiss { pointer: rule.pointer.to_string(), carried, named })
    };
    rules.filter_map(miss).collect()
}

fn left_out(decision: &Decision, config: &Value) -> Vec<String> {
    let Some(operation) = decision.operation.filter(|operation| operation.is_sensitive()) else { return Vec::new() };
    let would_mean = |pattern: &Value| {
        let glob = pattern.as_str().map(|pattern| Glob::new(pattern.to_owned()));
        glob.is_some_and(|glob| operation.names().any(|name| glob.matches(name)))
    };
    let rules = decision.steps.iter().flat_map(|steps| &steps.rules);
    let left_out = rules.filter(|rule| rule.miss == Some(Miss::Operation)).filter(|rule| {
        let patterns = config.pointer(&format!("{}/operations", rule.pointer)).and_then(Value::as_array);
        patterns.into_iter().flatten().any(would_mean)
    });
    left_out.map(|rule| rule.pointer.to_string()).collect()
}

fn explain_to(decision: &mut Decision, config: &Config, question: &Question, seen: &Inspected) {
    let target = question.path.clone().into_bytes();
    let Ok(target) = Target::parse(&target) else { return };
    let object: Option<Map<String, Value>> =
        question.body.as_ref().and_then(|body| parse_object_strict(body.as_bytes(), 32).ok());
    let body = object.as_ref().map_or(Body::Absent, Body::Json);
    let job = question.job_of_run.map(|job| job.to_string());
    let runs_job = job.as_deref().map_or(RunsJob::Unknown, RunsJob::Is);
    let asked = |body| Action::new(&question.method, &target, &seen.resource_headers, body).with_runs_job(runs_job);
    let mut action = asked(body);
    let requested_role = seen.requested_role.as_deref();
    let answer = |caller: &Rc<Caller>, provider: &Rc<str>, action: &Action<'_>| {
        explain(&config.policy, &Ask { caller, provider, requested_role, action, now: question.now })
    };
    let mut steps = decision.caller.as_ref().map(|(caller, provider)| answer(caller, provider, &action));
    // what is wrong with a body that no rule needs is not seen
    if decision.decision == "allow"
        && steps.as_ref().is_some_and(|steps| matches!(steps.outcome, Outcome::Ambiguous(_)))
    {
        action = asked(Body::Unread);
        steps = decision.caller.as_ref().map(|(caller, provider)| answer(caller, provider, &action));
    }
    decision.operation = action.operation();
    decision.resources = action.known_resources().to_vec();
    decision.sql = action.known_sql().cloned();
    let Some(steps) = steps else { return };
    if decision.decision == "allow"
        && let Outcome::Permit(permit) = &steps.outcome
    {
        decision.role = Some(permit.role().to_owned());
        decision.rule = permit.rule().map(str::to_owned);
        decision.credential = Some(permit.credential().kind());
        decision.scope = permit.credential().asks_for_scope().then(|| permit.scope().as_str().to_owned());
        if let Some(denial) = permit.would_deny() {
            // as audit records have it: whose credential is used, and what would have refused
            decision.decision = "would_deny";
            decision.rule = denial.subject().2.map(ToString::to_string);
            decision.reason = Some(denial.reason());
            decision.message = Some(denial.to_string());
        }
    }
    decision.steps = Some(steps);
}

/// Whether the filter's answer is what its policy says; where the request never came to policy, there is nothing to compare.
fn agrees(decision: &Decision) -> bool {
    let Some(steps) = &decision.steps else { return true };
    match (&steps.outcome, decision.reason) {
        (Outcome::Permit(_), None) => true,
        (Outcome::Permit(permit), Some(reason)) => {
            permit.would_deny().is_some_and(|denial| denial.reason() == reason) || !is_policys(reason)
        }
        (Outcome::Denied(denial), Some(reason)) => denial.reason() == reason || !is_policys(reason),
        (Outcome::Denied(_), None) => decision.status.is_some(),
        (Outcome::NeedsBody | Outcome::NeedsJob(_) | Outcome::Ambiguous(_), reason) => {
            reason.is_none_or(|reason| !is_policys(reason))
        }
    }
}

/// Whether policy gives this reason; everything else is found before it is asked, or after.
fn is_policys(reason: Reason) -> bool {
    Denial::REASONS.contains(&reason)
}
