//! What must hold of every policy and every request. Each asks: does the request go on, with whose credential, and with which denial
//! recorded? Random policies have observing roles and both modes, times, agents and sensitive operations among them.

use crate::answer::Answer;
use crate::question::{OPERATIONS, Policy, Question, policy, question, rule};
use crate::request::REQUESTS;
use databricks_kong::databricks::Target;
use databricks_kong::policy::{Action, Body, authorize, explain};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// The policy with one more `deny` of that role or agent.
fn with_deny(owners: &[Value], at: Index, deny: &Value) -> Vec<Value> {
    let mut owners = owners.to_vec();
    let at = at.index(owners.len());
    owners[at]["deny"].as_array_mut().unwrap().push(deny.clone());
    owners
}

/// The policy with one `allow` rule less of that role or agent, if it has one.
fn without_allow(owners: &[Value], at: Index, which: Index) -> Vec<Value> {
    let mut owners = owners.to_vec();
    let at = at.index(owners.len());
    if let Some(allow) = owners[at].get_mut("allow").and_then(Value::as_array_mut).filter(|allow| !allow.is_empty()) {
        allow.remove(which.index(allow.len()));
    }
    owners
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decisions_are_what_the_contract_says(
        policy in policy(&OPERATIONS), questions in proptest::collection::vec(question(), 24),
    ) {
        let config = policy.config();
        for question in questions {
            let decided = question.put(&config, |ask| authorize(&config.policy, ask));
            if decided == Answer::Unclear {
                prop_assert!(question.request().is_unclear, "{question:?}");
                continue;
            }
            prop_assert_eq!(decided, question.answer_by_contract(&policy), "{:?}", question);
        }
    }

    /// Once an observing role denies for sure, none of its rules that the request is too unclear for can refuse it: only clear requests count.
    #[test]
    fn adding_a_deny_lets_nothing_more_on_and_changes_no_credential(
        policy in policy(&OPERATIONS), question in question(), at in any::<Index>(), deny in rule(&OPERATIONS, false),
    ) {
        let before = question.answer(&policy);
        prop_assume!(before.is_clear());
        let mut changed = vec![policy.with_roles(with_deny(&policy.roles, at, &deny))];
        if !policy.agents.is_empty() {
            changed.push(policy.with_agents(with_deny(&policy.agents, at, &deny)));
        }
        for changed in changed {
            let after = question.answer(&changed);
            if after.goes_on() {
                prop_assert_eq!(after.credential(), before.credential());
                prop_assert!(before.would_deny().is_none() || after.would_deny().is_some());
            }
        }
    }

    /// A rule that the request is too unclear for refuses it whatever the rules behind it say, so only clear requests count.
    #[test]
    fn removing_an_allow_lets_nothing_more_on(
        policy in policy(&OPERATIONS), question in question(), at in any::<Index>(), which in any::<Index>(),
    ) {
        let before = question.answer(&policy);
        prop_assume!(before.is_clear());
        let mut changed = vec![policy.with_roles(without_allow(&policy.roles, at, which))];
        let role = at.index(policy.roles.len());
        if policy.roles.len() > 1 && policy.roles[role]["deny"] == json!([]) {
            let mut roles = policy.roles.clone();
            roles.remove(role);
            changed.push(policy.with_roles(roles));
        }
        if !policy.agents.is_empty() {
            changed.push(policy.with_agents(without_allow(&policy.agents, at, which)));
        }
        for changed in changed {
            let after = question.answer(&changed);
            prop_assert!(before.goes_on() || !after.goes_on());
            prop_assert!(before.is_allowed() || !after.is_allowed());
        }
    }

    #[test]
    fn a_wildcard_never_covers_a_sensitive_operation(policy in policy(&OPERATIONS[..3]), question in question()) {
        prop_assert!(!question.request().is_sensitive || !question.answer(&policy).goes_on());
    }

    #[test]
    fn an_agents_entry_never_widens(policy in policy(&OPERATIONS), question in question()) {
        let after = question.answer(&policy);
        if after.goes_on() {
            let before = question.answer(&policy.with_agents(Vec::new()));
            prop_assert_eq!(after.credential(), before.credential());
            prop_assert!(before.is_allowed() || !after.is_allowed());
        }
    }

    /// The order chooses the credential among the roles that let a request on, and nothing else.
    #[test]
    fn the_order_of_roles_decides_only_whose_credential_is_used(
        policy in policy(&OPERATIONS), question in question(), turn in 0..4_usize,
    ) {
        let mut turned = policy.roles.clone();
        turned.rotate_left(turn % policy.roles.len());
        let (before, after) = (question.answer(&policy), question.answer(&policy.with_roles(turned)));
        prop_assume!(before.is_clear() && after.is_clear());
        prop_assert_eq!(before.goes_on(), after.goes_on());
        prop_assert_eq!(before.is_allowed(), after.is_allowed());
    }

    #[test]
    fn a_request_goes_on_with_the_credential_of_a_role_that_alone_would_let_it_on(
        policy in policy(&OPERATIONS), question in question(),
    ) {
        let answer = question.answer(&policy);
        let Some(credential) = answer.credential() else { return Ok(()) };
        // what keeps a sensitive operation from being refused for everybody may be a rule of another role that names it
        prop_assume!(!question.request().is_sensitive || answer.would_deny().is_none());
        let alone = question.answer(&policy.with_roles(vec![policy.role(credential).clone()]));
        prop_assert_eq!(alone.credential(), Some(credential));
        if let Answer::GoesOn { rule: None, would_deny: Some(_), .. } = &answer {
            let allows_by_default = policy.role(credential)["allow"].is_null();
            prop_assert!(allows_by_default || policy.observes(credential), "lent by a role that enforces");
        }
    }

    /// To let a role observe opens what that role alone refused, and lends its own credential only.
    #[test]
    fn an_observing_role_opens_nothing_that_another_refuses(
        policy in policy(&OPERATIONS), question in question(), at in any::<Index>(),
    ) {
        let at = at.index(policy.roles.len());
        let observing = |observe: bool| {
            let mut roles = policy.roles.clone();
            roles[at]["observe"] = json!(observe);
            question.answer(&policy.with_roles(roles))
        };
        let (enforced, observed) = (observing(false), observing(true));
        let mut without = policy.roles.clone();
        let role = without.remove(at);
        if let Some(credential) = observed.credential().filter(|credential| role["name"] != *credential) {
            // Whoever else's credential it is: that role would have given it, were the observing one not there; unless that one names
            // a sensitive operation, or keeps a rule from being tried that the request is too unclear for.
            let others = question.answer(&policy.with_roles(without));
            if !question.request().is_sensitive && others.is_clear() {
                prop_assert_eq!(others.credential(), Some(credential));
            }
        }
        if enforced.goes_on() {
            prop_assert!(observed.goes_on());
            prop_assert_eq!(enforced.is_allowed(), observed.is_allowed());
        }
    }

    #[test]
    fn mode_observe_lets_on_what_is_refused_and_allows_nothing_more(policy in policy(&OPERATIONS), question in question()) {
        let enforced = question.answer(&policy.with_mode("enforce"));
        let observed = question.answer(&policy.with_mode("observe"));
        prop_assert!(!enforced.goes_on() || observed.goes_on());
        prop_assert_eq!(enforced.is_allowed(), observed.is_allowed());
        if enforced.is_allowed() {
            prop_assert_eq!(enforced.credential(), observed.credential());
        }
    }

    #[test]
    fn explaining_and_deciding_agree(policy in policy(&OPERATIONS), question in question()) {
        let config = policy.config();
        let mut tried = Vec::new();
        let answer = question.put(&config, |ask| {
            let explanation = explain(&config.policy, ask);
            assert_eq!(format!("{:?}", explanation.outcome), format!("{:?}", authorize(&config.policy, ask)));
            tried = explanation.rules;
            explanation.outcome
        });
        // each rule that had a part in it was seen to mean the request, and the one that refused is the last
        let means = |pointer: &str| tried.iter().any(|rule| &*rule.pointer == pointer && rule.miss.is_none());
        match &answer {
            Answer::GoesOn { rule, would_deny, .. } => {
                let denied = would_deny.as_ref().and_then(|denied| denied.rule.as_deref());
                prop_assert!(rule.as_deref().is_none_or(means) && denied.is_none_or(means), "{:?}", tried);
            }
            Answer::Refused(denied) if denied.rule.is_some() => {
                let last = tried.last().unwrap();
                prop_assert_eq!((Some(&*last.pointer), &last.miss), (denied.rule.as_deref(), &None));
            }
            Answer::Refused(_) | Answer::Unclear => {}
        }
    }
}

/// What is written down of each request is what the gateway reads.
#[test]
fn what_is_written_down_of_requests_is_right() {
    use databricks_kong::base::parse_object_strict;
    for request in REQUESTS {
        let target = Target::parse(request.target.as_bytes()).unwrap();
        let json =
            parse_object_strict(if request.body.is_empty() { "{}" } else { request.body }.as_bytes(), 32).unwrap();
        let action = Action::new(request.method, &target, &[], Body::Json(&json));
        let operation = action.operation();
        let names: Vec<_> = operation.map(|operation| operation.names().collect()).unwrap_or_default();
        assert_eq!(names, request.names, "{request:?}");
        assert_eq!(operation.is_some_and(|operation| operation.is_sensitive()), request.is_sensitive, "{request:?}");
        let resources = action.known_resources().iter();
        let ids: Vec<_> = resources.map(|resource| (resource.kind, resource.id.as_str())).collect();
        assert_eq!(ids, request.ids, "{request:?}");
        let tables: Vec<_> = action
            .known_sql()
            .iter()
            .flat_map(|scan| scan.reads.iter().chain(&scan.writes))
            .map(|table| &table.name)
            .collect();
        assert_eq!(tables, request.sql.map(|(_, tables)| tables).unwrap_or_default(), "{request:?}");
    }
}

/// Random policies that refuse everything would prove nothing.
#[test]
fn random_questions_have_every_kind_of_answer() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..4_000 {
        let (policy, question): (Policy, Question) =
            (policy(&OPERATIONS), question()).new_tree(&mut runner).unwrap().current();
        let kind = match question.answer_by_contract(&policy) {
            Answer::GoesOn { would_deny: None, .. } => "allowed".to_owned(),
            Answer::GoesOn { credential, rule, would_deny: Some(denied) } => {
                let own = policy.observes(&credential);
                let how = if rule.is_some() {
                    "by rule"
                } else if own {
                    "lent"
                } else {
                    "by default"
                };
                format!("{how}, {} ({})", denied.reason, policy.mode)
            }
            Answer::Refused(denied) => format!("{} ({})", denied.reason, policy.mode),
            Answer::Unclear => continue,
        };
        *seen.entry(kind).or_insert(0) += 1;
    }
    for kind in [
        "allowed",
        "by rule, RULE_DENIED (enforce)",
        "lent, RULE_DENIED (enforce)",
        "lent, NO_RULE (enforce)",
        "lent, OPERATION_UNKNOWN (enforce)",
        "by rule, AGENT_LIMIT (observe)",
        "lent, NO_RULE (observe)",
        "RULE_DENIED (enforce)",
        "NO_RULE (enforce)",
        "AGENT_LIMIT (enforce)",
        "OPERATION_UNKNOWN (enforce)",
        "OPERATION_SENSITIVE (enforce)",
        "OPERATION_SENSITIVE (observe)",
        "GRANT_INACTIVE (enforce)",
        "NO_ROLE (enforce)",
    ] {
        assert!(seen.get(kind).is_some_and(|count| *count >= 5), "{kind}: {seen:#?}");
    }
}
