//! Changes to a policy that must never let more through, and `explain` beside `authorize`.

use crate::caller::{NOW, callers, config};
use databricks_kong::base::parse_object_strict;
use databricks_kong::config::Config;
use databricks_kong::databricks::Target;
use databricks_kong::jwt::Caller;
use databricks_kong::policy::{Action, Ask, Body, Denial, Outcome, RunsJob, authorize, explain};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use std::rc::Rc;

/// Names and patterns of operations, some sensitive; the first three are wildcards.
const OPERATIONS: [&str; 14] = [
    "*",
    "jobs.*",
    "*.get*",
    "jobs.run_now",
    "jobs.get",
    "jobs.get_run",
    "jobs.submit",
    "clusters.get",
    "clusters.start",
    "workspace.export",
    "statement_execution.execute_statement",
    "tokens.create",
    "permissions.get",
    "jobs.set_permissions",
];

const REQUESTS: [(&str, &str, &str); 24] = [
    ("POST", "/api/2.2/jobs/run-now", r#"{"job_id":101}"#),
    ("POST", "/api/2.2/jobs/run-now", r#"{"job_id":202}"#),
    ("POST", "/api/2.2/jobs/run-now", "{}"),
    ("POST", "/api/2.2/jobs/run-now", r#"{"jobId":101}"#),
    ("POST", "/api/2.2/jobs/run-now?job_id=202", r#"{"job_id":101}"#),
    ("GET", "/api/2.2/jobs/get?job_id=101", ""),
    ("GET", "/api/2.2/jobs/get?job_id=202", ""),
    ("GET", "/api/2.2/jobs/get", ""),
    ("GET", "/api/2.2/jobs/runs/get?run_id=7", ""),
    ("GET", "/api/2.2/jobs/list", ""),
    ("POST", "/api/2.2/jobs/runs/submit", r#"{"tasks":[{"existing_cluster_id":"c-1"}]}"#),
    ("POST", "/api/2.2/jobs/runs/submit", r#"{"tasks":[],"run_as":{"user_name":"root"}}"#),
    ("GET", "/api/2.1/clusters/get?cluster_id=c-1", ""),
    ("POST", "/api/2.1/clusters/start", r#"{"cluster_id":"d-1"}"#),
    ("GET", "/api/2.0/workspace/export?path=/Shared/x", ""),
    ("GET", "/api/2.0/workspace/export?path=/Shared/../x", ""),
    ("POST", "/api/2.0/sql/statements", r#"{"warehouse_id":"w","statement":"SELECT 1"}"#),
    ("POST", "/api/2.0/sql/statements", r#"{"warehouse_id":"w","statement":"DELETE FROM main.sales.t"}"#),
    ("POST", "/api/2.0/token/create", "{}"),
    ("GET", "/api/2.0/permissions/jobs/101", ""),
    ("PUT", "/api/2.0/permissions/jobs/101", "{}"),
    ("GET", "/api/2.0/new-thing", ""),
    ("GET", "/api/2.0/new-thing/x", ""),
    ("POST", "/ajax-api/2.0/jobs/list", "{}"),
];

const SENSITIVE: [&str; 3] = ["/api/2.0/token/create", "/api/2.0/permissions/jobs/101", "/ajax-api/2.0/jobs/list"];

thread_local! {
    static CALLERS: Vec<Rc<Caller>> = callers((0..16).map(|bits: usize| {
        let groups = ["g1", "g2", "h1"].iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
        (groups.map(|(_, group)| (*group).to_owned()).collect(), (bits & 8 != 0).then_some("copilot"))
    }));
}

fn list(from: &'static [&'static str]) -> impl Strategy<Value = Value> {
    subsequence(from, 1..=from.len().min(3)).prop_map(|list| json!(list))
}

fn rule(operations: &'static [&'static str], allows: bool) -> impl Strategy<Value = Value> {
    let resources = prop_oneof![
        3 => Just(json!(null)),
        2 => list(&["101", "10*", "202"]).prop_map(|ids| json!({"job": ids})),
        1 => list(&["c-*", "d-1"]).prop_map(|ids| json!({"cluster": ids})),
        1 => list(&["/Shared/*", "*"]).prop_map(|ids| json!({"path": ids})),
        1 => list(&["w", "v"]).prop_map(|ids| json!({"warehouse": ids})),
        1 => list(&["main.sales.*"]).prop_map(|ids| json!({"table": ids})),
    ];
    let more = prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({"lookup": true, "resources": {"job": ["101"]}, "operations": ["jobs.get_run"]})),
        1 => Just(json!({"sql": ["select"], "operations": ["statement_execution.execute_statement"]})),
        1 => Just(json!({"paths": ["* /api/2.0/new-thing/**", "POST /api/2.0/token/create"]})),
        1 => Just(if allows { json!({"permit": ["run_as", "new_cluster"]}) } else { json!({}) }),
    ];
    (list(operations), resources, more).prop_map(|(operations, resources, more)| {
        let mut rule = json!({"operations": operations});
        if !resources.is_null() {
            rule["resources"] = resources;
        }
        for (key, value) in more.as_object().unwrap() {
            rule[key] = value.clone();
        }
        rule
    })
}

fn rules(operations: &'static [&'static str], allows: bool, most: usize) -> impl Strategy<Value = Vec<Value>> {
    proptest::collection::vec(rule(operations, allows), 0..=most)
}

fn roles(operations: &'static [&'static str]) -> impl Strategy<Value = Vec<Value>> {
    let groups = subsequence(&["g1", "g2", "g*", "h1"][..], 1..=2);
    let allow = prop_oneof![1 => Just(None), 6 => rules(operations, true, 4).prop_map(Some)];
    let deny = prop_oneof![2 => Just(Vec::new()), 1 => rules(&OPERATIONS, false, 2)];
    let role = (groups, allow, deny, proptest::bool::weighted(0.1), proptest::bool::weighted(0.1));
    proptest::collection::vec(role, 1..=4).prop_map(|roles| {
        let role =
            |(number, (groups, allow, deny, observe, over)): (usize, (Vec<&str>, Option<Vec<Value>>, _, _, _))| {
                let mut role = json!({
                    "name": format!("r{number}"), "match": {"groups": groups}, "credential": {"type": "passthrough"},
                    "deny": Value::Array(deny), "observe": Value::Bool(observe),
                });
                if let Some(allow) = allow {
                    role["allow"] = Value::Array(allow);
                }
                if over {
                    role["valid"] = json!({"until": "2020-01-01T00:00:00Z"});
                }
                role
            };
        roles.into_iter().enumerate().map(role).collect()
    })
}

fn agents() -> impl Strategy<Value = Vec<Value>> {
    let allow = prop_oneof![1 => Just(None), 3 => rules(&OPERATIONS, true, 3).prop_map(Some)];
    let agent = (allow, rules(&OPERATIONS, false, 1)).prop_map(|(allow, deny)| {
        let mut agent = json!({"name": "a", "match": {"clients": ["copilot"]}, "deny": deny});
        if let Some(allow) = allow {
            agent["allow"] = Value::Array(allow);
        }
        agent
    });
    proptest::collection::vec(agent, 0..=1)
}

/// A caller's request.
#[derive(Clone, Debug)]
struct Question {
    caller: usize,
    request: usize,
    requested_role: Option<&'static str>,
    job_of_run: Option<&'static str>,
}

fn question() -> impl Strategy<Value = Question> {
    let requested_role = prop_oneof![5 => Just(None), 1 => select(vec!["r0", "r1", "r2"]).prop_map(Some)];
    let job_of_run = prop_oneof![Just(None), Just(Some("101")), Just(Some("202"))];
    (0..16_usize, 0..REQUESTS.len(), requested_role, job_of_run).prop_map(
        |(caller, request, requested_role, job_of_run)| Question { caller, request, requested_role, job_of_run },
    )
}

impl Question {
    /// Asks with as much as a gateway finds out one after the other, until there is an answer.
    fn put(&self, config: &Config, mut hear: impl FnMut(&Ask<'_>) -> Outcome) -> Outcome {
        let (method, target, text) = REQUESTS[self.request];
        let target = Target::parse(target.as_bytes()).unwrap();
        let json = parse_object_strict(if text.is_empty() { b"{}" } else { text.as_bytes() }, 32).unwrap();
        let (mut body, mut job) = (Body::Unread, RunsJob::Unasked);
        loop {
            let action = Action::new(method, &target, &[], body).with_runs_job(job);
            let caller = CALLERS.with(|callers| Rc::clone(&callers[self.caller]));
            let provider = Rc::clone(&config.providers[0].name);
            let requested_role = self.requested_role;
            match hear(&Ask { caller: &caller, provider: &provider, requested_role, action: &action, now: NOW }) {
                Outcome::NeedsBody => {
                    assert!(matches!(body, Body::Unread), "the body was needed twice");
                    body = if text.is_empty() { Body::Absent } else { Body::Json(&json) };
                }
                Outcome::NeedsJob(_) => {
                    assert!(matches!(job, RunsJob::Unasked), "the job was needed twice");
                    job = self.job_of_run.map_or(RunsJob::Unknown, RunsJob::Is);
                }
                answer => return answer,
            }
        }
    }

    fn answer(&self, config: &Config) -> Outcome {
        self.put(config, |ask| authorize(&config.policy, ask))
    }

    /// Whether a rule lets it through, and not only because denials are recorded.
    fn is_allowed(&self, config: &Config) -> bool {
        matches!(self.answer(config), Outcome::Permit(permit) if permit.would_deny().is_none())
    }

    fn is_clear(&self, config: &Config) -> bool {
        matches!(self.answer(config), Outcome::Permit(_) | Outcome::Denied(_))
    }
}

fn enforcing(roles: &[Value], agents: &[Value]) -> Rc<Config> {
    config("enforce", &json!(roles), &json!(agents))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn adding_a_deny_never_allows(
        roles in roles(&OPERATIONS), agents in agents(), question in question(),
        at in any::<prop::sample::Index>(), deny in rule(&OPERATIONS, false),
    ) {
        let before = enforcing(&roles, &agents);
        let mut changed = roles.clone();
        changed[at.index(roles.len())]["deny"].as_array_mut().unwrap().push(deny.clone());
        if question.is_allowed(&enforcing(&changed, &agents)) {
            prop_assert!(question.is_allowed(&before));
        }
        if let Some(agent) = agents.first() {
            let mut agent = agent.clone();
            agent["deny"].as_array_mut().unwrap().push(deny);
            if question.is_allowed(&enforcing(&roles, &[agent])) {
                prop_assert!(question.is_allowed(&before));
            }
        }
    }

    /// A rule that the request is too unclear for refuses it whatever the rules behind it say, so only clear requests count.
    #[test]
    fn removing_an_allow_never_allows(
        roles in roles(&OPERATIONS), agents in agents(), question in question(),
        at in any::<prop::sample::Index>(), which in any::<prop::sample::Index>(),
    ) {
        let before = enforcing(&roles, &agents);
        let mut without_role = roles.clone();
        if roles.len() > 1 {
            without_role.remove(at.index(roles.len()));
        }
        let mut without_rule = roles.clone();
        let role = &mut without_rule[at.index(roles.len())];
        if let Some(allow) = role.get_mut("allow").and_then(Value::as_array_mut).filter(|allow| !allow.is_empty()) {
            allow.remove(which.index(allow.len()));
        }
        prop_assume!(question.is_clear(&before));
        if question.is_allowed(&enforcing(&without_rule, &agents)) {
            prop_assert!(question.is_allowed(&before));
        }
        let denies = roles[at.index(roles.len())]["deny"].as_array().unwrap().len();
        if denies == 0 && question.is_allowed(&enforcing(&without_role, &agents)) {
            prop_assert!(question.is_allowed(&before));
        }
        if let Some(mut agent) = agents.first().cloned()
            && let Some(allow) = agent.get_mut("allow").and_then(Value::as_array_mut).filter(|allow| !allow.is_empty())
        {
            allow.remove(which.index(allow.len()));
            if question.is_allowed(&enforcing(&roles, &[agent])) {
                prop_assert!(question.is_allowed(&before));
            }
        }
    }

    #[test]
    fn a_wildcard_never_covers_a_sensitive_operation(
        roles in roles(&OPERATIONS[..3]), agents in agents(), question in question(),
        mode in select(vec!["enforce", "observe"]),
    ) {
        let config = config(mode, &json!(roles), &json!(agents));
        let (method, target, _) = REQUESTS[question.request];
        let is_sensitive = SENSITIVE.contains(&target) && method != "GET";
        prop_assert!(!is_sensitive || !matches!(question.answer(&config), Outcome::Permit(_)));
    }

    #[test]
    fn an_agents_entry_never_widens(roles in roles(&OPERATIONS), agents in agents(), question in question()) {
        if question.is_allowed(&enforcing(&roles, &agents)) {
            prop_assert!(question.is_allowed(&enforcing(&roles, &[])));
        }
    }

    /// The order chooses the credential among the roles that allow a request, and nothing else.
    #[test]
    fn the_order_of_roles_decides_only_which_of_those_that_allow_it_is_used(
        roles in roles(&OPERATIONS), agents in agents(), question in question(), turn in 0..4_usize,
    ) {
        let before = enforcing(&roles, &agents);
        let mut turned = roles.clone();
        turned.rotate_left(turn % roles.len());
        let after = enforcing(&turned, &agents);
        prop_assume!(question.is_clear(&before) && question.is_clear(&after));
        prop_assert_eq!(question.is_allowed(&before), question.is_allowed(&after));
        if let Outcome::Permit(permit) = question.answer(&before)
            && permit.would_deny().is_none()
        {
            let alone: Vec<_> = roles.iter().filter(|role| role["name"] == permit.role()).cloned().collect();
            prop_assert!(question.is_allowed(&enforcing(&alone, &agents)), "by {} alone", permit.role());
        }
    }

    #[test]
    fn to_observe_lets_through_what_is_refused_and_allows_nothing_more(
        roles in roles(&OPERATIONS), agents in agents(), question in question(),
    ) {
        let (enforced, observed) = (enforcing(&roles, &agents), config("observe", &json!(roles), &json!(agents)));
        prop_assert_eq!(question.is_allowed(&enforced), question.is_allowed(&observed));
        prop_assert_eq!(question.is_clear(&enforced), question.is_clear(&observed));
    }

    #[test]
    fn explaining_and_deciding_agree(
        roles in roles(&OPERATIONS), agents in agents(), question in question(), mode in select(vec!["enforce", "observe"]),
    ) {
        let config = config(mode, &json!(roles), &json!(agents));
        let mut last = None;
        let explained = question.put(&config, |ask| {
            let explanation = explain(&config.policy, ask);
            assert_eq!(format!("{:?}", explanation.outcome), format!("{:?}", authorize(&config.policy, ask)));
            last = explanation.rules.into_iter().rfind(|rule| !rule.is_agent);
            explanation.outcome
        });
        // the rule that decided is the last one tried, and it means the request
        let decided = match &explained {
            Outcome::Permit(permit) if permit.would_deny().is_none() => permit.rule(),
            Outcome::Denied(Denial::RuleDenied { rule, .. }) => Some(&**rule),
            _ => None,
        };
        if let Some(decided) = decided {
            let last = last.unwrap();
            prop_assert_eq!((&*last.pointer, last.miss), (decided, None));
        }
    }
}

/// Random policies that refuse everything would prove nothing.
#[test]
fn random_questions_have_every_kind_of_answer() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..2_000 {
        let drawn = (roles(&OPERATIONS), agents(), question()).new_tree(&mut runner).unwrap().current();
        let (roles, agents, question) = drawn;
        let kind = match question.answer(&enforcing(&roles, &agents)) {
            Outcome::Permit(permit) if permit.would_deny().is_some() => "would deny",
            Outcome::Permit(_) => "allowed",
            Outcome::Denied(Denial::RuleDenied { .. }) => "denied",
            Outcome::Denied(Denial::AgentLimit { .. }) => "agent",
            Outcome::Denied(Denial::OperationSensitive { .. }) => "sensitive",
            Outcome::Denied(Denial::NoRole) => "no role",
            Outcome::Denied(Denial::NoRule { .. }) => "no rule",
            Outcome::Denied(_) => "other",
            _ => "ambiguous",
        };
        *seen.entry(kind).or_insert(0) += 1;
    }
    for kind in ["allowed", "denied", "agent", "sensitive", "no role", "no rule", "would deny", "ambiguous"] {
        assert!(seen.get(kind).is_some_and(|count| *count >= 5), "{kind}: {seen:?}");
    }
}
