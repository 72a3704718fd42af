//! Random policies, and questions that are put to them as a gateway puts them.

use crate::answer::Answer;
use crate::caller::{NOW, callers, config};
use crate::request::{REQUESTS, Request};
use crate::section_5::{self, Asked};
use databricks_kong::base::parse_object_strict;
use databricks_kong::config::Config;
use databricks_kong::databricks::Target;
use databricks_kong::jwt::Caller;
use databricks_kong::policy::{Action, Ask, Body, Outcome, RunsJob, authorize};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use std::rc::Rc;

/// Names and patterns of operations, some sensitive; the first three are wildcards.
pub(crate) const OPERATIONS: [&str; 14] = [
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

/// [`NOW`] as configurations write times.
const NOW_TEXT: &str = "2027-01-15T08:00:00Z";
const GROUPS: [&str; 3] = ["g1", "g2", "h1"];
const AGENT: &str = "copilot";
const CALLERS: usize = 16;

/// The groups and the client of each caller.
fn kind(caller: usize) -> (Vec<String>, Option<&'static str>) {
    let groups = GROUPS.iter().enumerate().filter(|(bit, _)| caller >> bit & 1 == 1);
    (groups.map(|(_, group)| (*group).to_owned()).collect(), (caller & 8 != 0).then_some(AGENT))
}

thread_local! {
    static KNOWN: Vec<Rc<Caller>> = callers((0..CALLERS).map(kind));
}

/// A policy as the JSON of its configuration.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) mode: &'static str,
    pub(crate) roles: Vec<Value>,
    pub(crate) agents: Vec<Value>,
}

impl Policy {
    pub(crate) fn config(&self) -> Rc<Config> {
        config(self.mode, &json!(self.roles), &json!(self.agents))
    }

    pub(crate) fn with_mode(&self, mode: &'static str) -> Self {
        Self { mode, ..self.clone() }
    }

    pub(crate) fn with_roles(&self, roles: Vec<Value>) -> Self {
        Self { roles, ..self.clone() }
    }

    pub(crate) fn with_agents(&self, agents: Vec<Value>) -> Self {
        Self { agents, ..self.clone() }
    }

    pub(crate) fn role(&self, name: &str) -> &Value {
        self.roles.iter().find(|role| role["name"] == name).unwrap()
    }

    /// Whether what that role refuses is recorded only.
    pub(crate) fn observes(&self, role: &str) -> bool {
        self.mode == "observe" || self.role(role)["observe"] == true
    }
}

fn list(from: &'static [&'static str]) -> impl Strategy<Value = Value> {
    subsequence(from, 1..=from.len().min(3)).prop_map(|list| json!(list))
}

pub(crate) fn rule(operations: &'static [&'static str], allows: bool) -> impl Strategy<Value = Value> {
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

fn validity() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => Just(json!(null)),
        1 => Just(json!({"until": "2020-01-01T00:00:00Z"})),
        1 => Just(json!({"until": NOW_TEXT})),
        1 => Just(json!({"from": NOW_TEXT, "until": "2027-01-15T08:00:01Z"})),
        1 => Just(json!({"from": "2027-01-15T08:00:01Z"})),
    ]
}

fn roles(operations: &'static [&'static str]) -> impl Strategy<Value = Vec<Value>> {
    let groups = subsequence(&["g1", "g2", "g*", "h1"][..], 1..=2);
    let allow = prop_oneof![1 => Just(None), 6 => rules(operations, true, 4).prop_map(Some)];
    let deny = prop_oneof![2 => Just(Vec::new()), 1 => rules(&OPERATIONS, false, 2)];
    let role = (groups, allow, deny, proptest::bool::weighted(0.3), validity());
    let role = role.prop_map(|(groups, allow, deny, observe, valid)| {
        let mut role = json!({"match": {"groups": groups}, "deny": deny, "observe": observe});
        if let Some(allow) = allow {
            role["allow"] = Value::Array(allow);
        }
        if !valid.is_null() {
            role["valid"] = valid;
        }
        role
    });
    proptest::collection::vec(role, 1..=4).prop_map(|mut roles| {
        for (number, role) in roles.iter_mut().enumerate() {
            let name = format!("r{number}");
            role["credential"] = json!({"type": "service_principal_secret", "client_id": name, "client_secret": "x"});
            role["name"] = json!(name);
        }
        roles
    })
}

fn agents() -> impl Strategy<Value = Vec<Value>> {
    let allow = prop_oneof![1 => Just(None), 3 => rules(&OPERATIONS, true, 3).prop_map(Some)];
    let agent = (allow, rules(&OPERATIONS, false, 1)).prop_map(|(allow, deny)| {
        let mut agent = json!({"match": {"clients": ["copi*"]}, "deny": deny});
        if let Some(allow) = allow {
            agent["allow"] = Value::Array(allow);
        }
        agent
    });
    proptest::collection::vec(agent, 0..=2).prop_map(|mut agents| {
        for (number, agent) in agents.iter_mut().enumerate() {
            agent["name"] = json!(format!("a{number}"));
        }
        agents
    })
}

/// Policies whose roles allow these operations.
pub(crate) fn policy(operations: &'static [&'static str]) -> impl Strategy<Value = Policy> {
    let mode = prop_oneof![4 => Just("enforce"), 1 => Just("observe")];
    (mode, roles(operations), agents()).prop_map(|(mode, roles, agents)| Policy { mode, roles, agents })
}

/// A caller's request.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    caller: usize,
    request: usize,
    requested_role: Option<&'static str>,
    job_of_run: Option<&'static str>,
}

pub(crate) fn question() -> impl Strategy<Value = Question> {
    let requested_role = prop_oneof![5 => Just(None), 1 => select(vec!["r0", "r1", "r2"]).prop_map(Some)];
    let job_of_run = prop_oneof![Just(None), Just(Some("101")), Just(Some("202"))];
    (0..CALLERS, 0..REQUESTS.len(), requested_role, job_of_run).prop_map(
        |(caller, request, requested_role, job_of_run)| Question { caller, request, requested_role, job_of_run },
    )
}

impl Question {
    pub(crate) fn request(&self) -> &'static Request {
        &REQUESTS[self.request]
    }

    /// Asks with as much as a gateway finds out one after the other, until there is an answer.
    pub(crate) fn put(&self, config: &Config, mut hear: impl FnMut(&Ask<'_>) -> Outcome) -> Answer {
        let Request { method, target, body: text, .. } = *self.request();
        let target = Target::parse(target.as_bytes()).unwrap();
        let json = parse_object_strict(if text.is_empty() { b"{}" } else { text.as_bytes() }, 32).unwrap();
        let (mut body, mut job) = (Body::Unread, RunsJob::Unasked);
        loop {
            let action = Action::new(method, &target, &[], body).with_runs_job(job);
            let caller = KNOWN.with(|callers| Rc::clone(&callers[self.caller]));
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
                outcome => return Answer::of(&outcome),
            }
        }
    }

    /// The gateway's answer.
    pub(crate) fn answer(&self, policy: &Policy) -> Answer {
        let config = policy.config();
        self.put(&config, |ask| authorize(&config.policy, ask))
    }

    /// The contract's.
    pub(crate) fn answer_by_contract(&self, policy: &Policy) -> Answer {
        let (groups, client) = kind(self.caller);
        let asked = Asked {
            request: self.request(),
            groups: &groups,
            client,
            requested_role: self.requested_role,
            job_of_run: self.job_of_run,
            now: NOW_TEXT,
        };
        let config = json!({"mode": policy.mode, "roles": policy.roles, "agents": policy.agents});
        section_5::decide(&config, &asked)
    }
}
