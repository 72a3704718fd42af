//! Tokens ahead of need: by timers, and what other workers of the node have kept.

use crate::own_proof::gateway_assertion;
use crate::stage::*;
use databricks_kong::config::Config;
use databricks_kong::flow::{Flow, Metric, Prefetch, Step};
use databricks_kong::sim::{Answer, Purpose};
use serde_json::{Value, json};
use std::rc::Rc;

/// A gateway on a host that has timers, and the ticks of its configuration, which is in use all the time.
struct Gateway {
    stage: Stage,
    prefetch: Prefetch,
}

impl Gateway {
    fn cold(config: Rc<Config>) -> Self {
        let mut stage = Stage::cold(config);
        stage.world.set(Purpose::Keys, [keys(&[&RSA, &EC]).cache_control("max-age=86400")]);
        stage.sim.can.timers = true;
        Self { stage, prefetch: Prefetch::default() }
    }

    /// A gateway that has its keys, and the tokens that it can have.
    fn warm(config: Rc<Config>) -> Self {
        let mut gateway = Self::cold(config);
        gateway.tick();
        gateway.tick();
        gateway
    }

    /// A tick; what was asked for, one word a callout.
    fn tick(&mut self) -> String {
        let now = self.stage.sim.now.uptime;
        let sent = self.stage.sim.tick(&mut self.prefetch, now, &mut self.stage.world);
        words(sent.iter().map(|callout| callout.purpose))
    }

    fn fails(&mut self, answer: Answer) {
        self.stage.world.set(Purpose::Token, [answer]);
    }
}

fn roles(roles: &[(&str, Value)]) -> Rc<Config> {
    let roles = roles.iter().map(|(name, credential)| {
        let mut role = role(credential.clone());
        role["name"] = json!(name);
        role
    });
    config(json!({"roles": roles.collect::<Vec<_>>()}))
}

#[test]
fn a_role_has_its_token_before_the_first_request_comes() {
    for credential in [service_principal(), gateway_assertion()] {
        let mut gateway = Gateway::cold(with_credential(credential));
        assert_eq!([gateway.tick(), gateway.tick()], ["discovery keys token", ""]);
        let (anna, bob) = (gateway.stage.token("anna"), gateway.stage.token("bob"));
        check(&gateway.stage.get(&anna), "", "forward Bearer <dbx-1>");
        check(&gateway.stage.get(&bob), "", "forward Bearer <dbx-1>");
    }
}

#[test]
fn all_roles_have_theirs_after_one_tick() {
    let other = json!({"type": "service_principal_secret", "client_id": "other", "client_secret": "canary-secret"});
    let mut gateway =
        Gateway::cold(roles(&[("one", service_principal()), ("two", other), ("three", gateway_assertion())]));
    assert_eq!([gateway.tick(), gateway.tick()], ["discovery keys token token token", ""]);
}

/// Twenty roles, each with a secret of its own, and a feed that is to be read every second.
fn twenty_roles_and_a_feed() -> Rc<Config> {
    let roles = (0..20).map(|n| {
        let client = format!("app-{n}");
        let mut role = role(json!({"type": "service_principal_secret", "client_id": client, "client_secret": "s"}));
        (role["name"], role["match"]) = (json!(format!("role-{n}")), json!({"subjects": [format!("caller-{n}")]}));
        role
    });
    let feed = json!({"url": "https://cuts.example/feed", "refresh": 1, "max_stale": 60});
    let mut changes = provider(json!({"revocation": feed}));
    changes["roles"] = json!(roles.collect::<Vec<_>>());
    config(changes)
}

#[test]
fn a_feed_that_is_due_at_every_tick_holds_up_neither_keys_nor_tokens() {
    let mut gateway = Gateway::cold(twenty_roles_and_a_feed());
    gateway.stage.world.set(Purpose::Feed, [ok(&json!({"subjects": []}))]);
    assert_eq!(gateway.tick(), format!("feed token discovery keys{}", " token".repeat(19)));
    for number in 0..20 {
        let token = gateway.stage.token(&format!("caller-{number}"));
        // the script has nine
        check(&gateway.stage.get(&token), "", &format!("forward Bearer <dbx-{}>", (number + 1).min(9)));
    }
    gateway.stage.pass(1);
    assert_eq!([gateway.tick(), gateway.tick()], ["feed", ""]);
}

#[test]
fn what_is_slow_takes_turns_with_what_is_due() {
    let cuts = || ok(&json!({"subjects": []}));
    for (feed, token) in
        [(cuts().after(secs(1)), minted("dbx-1", 3600)), (cuts(), minted("dbx-1", 3600).after(secs(1)))]
    {
        let mut gateway = Gateway::cold(twenty_roles_and_a_feed());
        gateway.stage.world.set(Purpose::Feed, [feed]);
        gateway.fails(token);
        assert_eq!(gateway.tick(), format!("feed token discovery keys token{} feed", " feed token".repeat(18)));
    }
}

#[test]
fn what_depends_on_a_request_waits_for_one() {
    let with = |name: &str, value: Value| {
        let mut credential = service_principal();
        credential[name] = value;
        with_credential(credential)
    };
    let mut late = role(service_principal());
    late["valid"] = json!({"from": "2027-02-01T00:00:00Z"});
    for config in [
        with_credential(json!({"type": "user_federation"})),
        with_credential(json!({"type": "service_principal_federation", "client_id": "app"})),
        with_credential(json!({"type": "passthrough"})),
        with("scope", json!("minimal")),
        with("client_secret", json!({"shared": "secret"})),
        config(json!({"roles": [role(service_principal())], "limits": {"cached_tokens": 0}})),
        config(json!({"roles": [late]})),
    ] {
        let mut gateway = Gateway::cold(config);
        assert_eq!([gateway.tick(), gateway.tick()], ["discovery keys", ""]);
    }
}

#[test]
fn a_roles_token_is_renewed_though_nobody_asks_for_it() {
    let mut gateway = Gateway::warm(with_credential(service_principal()));
    for (pass, asked) in [(3600 - 375 - 1, ""), (76, "token"), (10, "")] {
        gateway.stage.pass(pass);
        assert_eq!(gateway.tick(), asked, "after {pass}");
    }
    let anna = gateway.stage.token("anna");
    check(&gateway.stage.get(&anna), "", "forward Bearer <dbx-2>");
    let renewed = gateway.stage.sim.counts.iter().filter(|count| **count == Metric::TokenCacheRenewed).count();
    assert_eq!(renewed, 1, "what was there for the first time was no renewal");
}

#[test]
fn a_request_that_finds_a_token_due_goes_on_with_it_and_the_next_tick_renews_it() {
    for credential in [json!({"type": "user_federation"}), service_principal()] {
        let mut gateway = Gateway::warm(with_credential(credential));
        let anna = gateway.stage.token_with("anna", json!({"exp": NOW + 20_000}));
        gateway.stage.get(&anna);
        gateway.stage.pass(3500);
        for _ in 0..3 {
            check(&gateway.stage.get(&anna), "", "forward Bearer <dbx-1>");
        }
        assert_eq!([gateway.tick(), gateway.tick()], ["token", ""]);
        check(&gateway.stage.get(&anna), "", "forward Bearer <dbx-2>");
    }
}

#[test]
fn many_tokens_that_are_due_are_renewed_in_one_tick() {
    let mut gateway = Gateway::warm(config(json!({})));
    let callers: Vec<_> = (0..4).map(|n| RSA.token(&format!("caller-{n}"), json!({"exp": NOW + 20_000}))).collect();
    callers.iter().for_each(|token| drop(gateway.stage.get(token)));
    gateway.stage.pass(3500);
    callers.iter().for_each(|token| drop(gateway.stage.get(token)));
    assert_eq!(gateway.tick(), "token token token token");
    for (number, token) in (5..).zip(&callers) {
        check(&gateway.stage.get(token), "", &format!("forward Bearer <dbx-{number}>"));
    }
}

#[test]
fn a_renewal_that_keeps_failing_is_tried_ever_more_seldom_and_the_old_token_serves() {
    let mut gateway = Gateway::warm(with_credential(service_principal()));
    let anna = gateway.stage.token("anna");
    gateway.stage.pass(3301);
    gateway.fails(Answer::new(500, ""));
    let mut tried = Vec::new();
    for second in 0..200 {
        if gateway.tick() == "token" {
            tried.push(second);
        }
        check(&gateway.stage.get(&anna), "", "forward Bearer <dbx-1>");
        gateway.stage.pass(1);
    }
    let waits: Vec<_> = tried.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(waits.len(), 5, "{tried:?}");
    for (wait, doubled) in waits.iter().zip([5, 10, 20, 40, 80]) {
        assert!((doubled..=doubled + doubled / 4 + 1).contains(wait), "{waits:?}");
    }
    // and what a timer could not have holds up no request
    gateway.stage.pass(100);
    gateway.stage.world.set(Purpose::Token, [minted("dbx-2", 3600)]);
    check(&gateway.stage.get(&anna), "token", "forward Bearer <dbx-2>");
}

#[test]
fn a_token_endpoint_that_throttles_is_left_alone_for_as_long_as_it_says() {
    let mut gateway = Gateway::warm(with_credential(service_principal()));
    gateway.stage.pass(3301);
    gateway.fails(Answer::new(429, "").retry_after("60"));
    assert_eq!(gateway.tick(), "token");
    for (pass, asked) in [(59, ""), (1, "token")] {
        gateway.stage.pass(pass);
        assert_eq!(gateway.tick(), asked);
    }
}

#[test]
fn a_secret_that_is_wrong_is_tried_again_but_not_at_every_tick() {
    let mut gateway = Gateway::cold(with_credential(service_principal()));
    gateway.fails(Answer::new(401, r#"{"error": "invalid_client"}"#));
    assert_eq!(gateway.tick(), "discovery keys token");
    let asked: Vec<_> = (0..30)
        .map(|_| {
            gateway.stage.pass(1);
            gateway.tick()
        })
        .filter(|asked| !asked.is_empty())
        .collect();
    assert_eq!(asked, ["token", "token"]);
}

#[test]
fn a_token_that_cannot_be_kept_is_not_asked_for_again_and_again() {
    for answer in [ok(&json!({"access_token": "dbx-1"})), minted("dbx-1", 1), minted("dbx-1", 8).after(secs(7))] {
        let mut gateway = Gateway::cold(with_credential(service_principal()));
        gateway.fails(answer);
        assert_eq!([gateway.tick(), gateway.tick()], ["discovery keys token", ""]);
    }
}

#[test]
fn a_configuration_that_is_gone_renews_nothing() {
    let mut gateway = Gateway::warm(config(json!({})));
    let anna = gateway.stage.token_with("anna", json!({"exp": NOW + 20_000}));
    gateway.stage.get(&anna);
    gateway.stage.pass(3500);
    gateway.stage.get(&anna);
    gateway.stage.sim.config = config(json!({"limits": {"cached_tokens": 7}}));
    assert_eq!(gateway.tick(), "");
    // another route's token is another route's to renew
    check(&gateway.stage.get(&anna), "", "forward Bearer <dbx-1>");
}

/// A request that waits for its token.
fn waiting(stage: &mut Stage, token: &str) -> Flow {
    let (flow, step) = stage.begin(token);
    assert_eq!(word(&step), "token");
    flow
}

fn word(step: &Step) -> String {
    match step {
        Step::Call(callout) => words([callout.purpose].into_iter()),
        Step::Forward(edits) => {
            let (_, value) = edits.headers().find(|(name, _)| *name == "authorization").unwrap();
            String::from_utf8_lossy(value).into_owned()
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn what_another_worker_kept_serves_and_is_kept() {
    let mut stage = Stage::cold(with_credential(service_principal()));
    stage.world.set(Purpose::Keys, [keys(&[&RSA]).cache_control("max-age=86400")]);
    stage.tick();
    let anna = stage.token("anna");
    let mut flow = waiting(&mut stage, &anna);
    stage.sim.counts.clear();
    let step = stage.resume_with_kept(&mut flow, minted("dbx-7", 3600), NOW - 600);
    assert_eq!(word(&step), "Bearer dbx-7");
    assert!(!stage.sim.counts.contains(&Metric::ExchangeOk), "nothing was exchanged");
    check(&stage.get(&anna), "", "forward Bearer <dbx-7>");
    // its life counts from when it was asked for
    stage.pass(2999);
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
}

#[test]
fn what_another_worker_kept_is_asked_for_anew_if_it_has_ended_or_cannot_be_read() {
    for (kept, asked_at) in [
        (minted("dbx-7", 3600), NOW - 3600),
        (minted("dbx-7", 0), NOW),
        (ok(&json!({"access_token": "dbx-7"})), NOW),
        (Answer::new(200, "{}"), NOW),
        (lost(), NOW),
    ] {
        let mut stage = Stage::warm(with_credential(service_principal()));
        let anna = stage.token("anna");
        let mut flow = waiting(&mut stage, &anna);
        assert_eq!(word(&stage.resume_with_kept(&mut flow, kept, asked_at)), "token");
        assert_eq!(word(&stage.resume(&mut flow, minted("dbx-1", 3600))), "Bearer dbx-1");
    }
}

#[test]
fn an_answer_without_a_token_after_one_that_another_worker_kept_is_not_asked_for_again_for_ever() {
    for answer in [ok(&json!({"access_token": null, "expires_in": 3600})), lost()] {
        let mut stage = Stage::warm(with_credential(service_principal()));
        let anna = stage.token("anna");
        let mut flow = waiting(&mut stage, &anna);
        assert_eq!(word(&stage.resume_with_kept(&mut flow, answer.clone(), NOW)), "token");
        let refused = word(&stage.resume(&mut flow, answer));
        assert!(refused.contains("503") && refused.contains("ExchangeUnavailable"), "{refused}");
    }
}

#[test]
fn a_token_that_the_workspace_refused_is_not_taken_from_another_worker() {
    let mut stage = Stage::warm(with_credential(service_principal()));
    let anna = stage.token("anna");
    check(&stage.get(&anna), "token", "forward Bearer <dbx-1>");
    stage.flow.on_response(401, None, &mut stage.sim.memory);
    let mut flow = waiting(&mut stage, &anna);
    assert_eq!(word(&stage.resume_with_kept(&mut flow, minted("dbx-1", 3600), NOW)), "token");
    assert_eq!(word(&stage.resume_with_kept(&mut flow, minted("dbx-2", 3600), NOW)), "Bearer dbx-2");
}

#[test]
fn a_caller_who_is_cut_off_gets_nothing_that_another_worker_kept() {
    let mut changes =
        provider(json!({"revocation": {"url": "https://feed.example/idp", "refresh": 2, "max_stale": 60}}));
    changes["roles"] = json!([role(json!({"type": "user_federation"}))]);
    let mut stage = Stage::cold(config(changes));
    stage.world.set(Purpose::Feed, [ok(&json!({"subjects": []}))]);
    stage.tick();
    stage.tick();
    let anna = stage.token("anna");
    let mut flow = waiting(&mut stage, &anna);
    stage.world.set(Purpose::Feed, [ok(&json!({"subjects": ["anna"]}))]);
    stage.pass(3);
    let bob = stage.token("bob");
    stage.get(&bob);
    let step = stage.resume_with_kept(&mut flow, minted("dbx-7", 3600), NOW);
    assert!(word(&step).contains("TokenRevoked"), "{step:?}");
}

#[test]
fn a_tick_takes_from_another_worker_what_is_newer_than_its_own_and_else_asks() {
    let mut gateway = Gateway::warm(with_credential(service_principal()));
    gateway.stage.pass(3301);
    let (now, prefetch) = (gateway.stage.sim.now.uptime, &mut gateway.prefetch);
    assert!(gateway.stage.sim.prefetch(|env| prefetch.on_tick(now, env)).is_some());
    prefetch.on_sent(1);
    let kept = |text: &str, asked_at: u64| databricks_kong::flow::Answer {
        result: minted(text, 3600).result,
        shared: true,
        kept: Some(databricks_kong::base::UnixTime::from_secs(asked_at)),
    };
    // what this worker has itself
    let old = gateway.stage.sim.prefetch(|env| prefetch.on_reply(1, kept("dbx-1", NOW), env));
    assert!(old.is_some(), "asked anew");
    prefetch.on_sent(2);
    assert!(gateway.stage.sim.prefetch(|env| prefetch.on_reply(2, kept("dbx-7", NOW + 3300), env)).is_none());
    let anna = gateway.stage.token("anna");
    check(&gateway.stage.get(&anna), "", "forward Bearer <dbx-7>");
}
