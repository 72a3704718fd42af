//! Stories as data, told to the core alone, to the built filter in both hosts, and to the native plugin: all four must do the same.

use crate::drive::{Ask, Core, Driver, Hosted, Purpose, Transcript, run};
use crate::stage::*;
use host::{CalloutEnd, HttpRequest, Profile};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What happens next in a story.
#[allow(clippy::large_enum_variant, reason = "a few dozen, made once")]
pub(crate) enum Act {
    /// A request arrives; what is asked of others, and how it ends.
    Send(HttpRequest, Seen),
    /// From now on callouts of this purpose are answered so: each answer once, the last for ever.
    World(Purpose, Vec<CalloutEnd>),
    /// Seconds go by.
    Pass(u64),
    /// The workspace answers the last request.
    Respond(u16),
}

/// What is expected of a request: the callouts, a word each, and its end.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) everywhere: (&'static str, &'static str),
    /// Where a host does otherwise, and why.
    pub(crate) but: Option<(Profile, (&'static str, &'static str), &'static str)>,
    /// Where the native plugin does otherwise, and why.
    natively: Option<((&'static str, &'static str), &'static str)>,
}

const fn seen(asked: &'static str, end: &'static str) -> Seen {
    Seen { everywhere: (asked, end), but: None, natively: None }
}

impl Seen {
    const fn but_on(self, host: Profile, asked: &'static str, end: &'static str, why: &'static str) -> Self {
        Self { but: Some((host, (asked, end), why)), ..self }
    }

    const fn but_natively(self, asked: &'static str, end: &'static str, why: &'static str) -> Self {
        Self { natively: Some(((asked, end), why)), ..self }
    }

    fn natively(&self) -> (&'static str, &'static str) {
        self.natively.map_or(self.everywhere, |(expected, _)| expected)
    }

    pub(crate) fn on(&self, profile: Option<Profile>) -> (&'static str, &'static str) {
        match self.but {
            Some((host, expected, _)) if Some(host) == profile => expected,
            _ => self.everywhere,
        }
    }
}

pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) config: Value,
    pub(crate) acts: Vec<Act>,
}

/// Instead of the token itself, which is another in every run.
pub(crate) const PASSED_ON: &str = "forward its own token";
const AHEAD_OF_NEED: &str = "a timer renews it, and nobody waits for that";
const AFTER_A_FAILURE: &str = "kong's worker dies of a callout that follows a failed one";
const TWO_BODIES: &str = "kong loops for ever over a callout with a body that follows one with a body";

/// The answers of a world in which everything works.
pub(crate) struct World(BTreeMap<Purpose, VecDeque<CalloutEnd>>);

impl World {
    pub(crate) fn new() -> Self {
        let tokens = (1..=9).map(|number| minted(&format!("dbx-{number}"), 3600)).collect();
        let lookup = ok(&json!({"job_id": 101, "run_id": 7}));
        Self(BTreeMap::from([
            (Purpose::Discovery, VecDeque::from([discovery()])),
            (Purpose::Keys, VecDeque::from([keys(&[&KEY])])),
            (Purpose::Token, tokens),
            (Purpose::Lookup, VecDeque::from([lookup])),
        ]))
    }

    pub(crate) fn set(&mut self, purpose: Purpose, answers: &[CalloutEnd]) {
        self.0.insert(purpose, answers.iter().cloned().collect());
    }

    pub(crate) fn answer(&mut self, ask: &Ask) -> CalloutEnd {
        let answers = self.0.get_mut(&ask.purpose()).unwrap();
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
    }
}

fn anna() -> String {
    KEY.token("anna", &json!({}))
}

fn asking_for(role: &str, token: &str) -> HttpRequest {
    let mut request = get(token);
    request.headers.push(("X-Databricks-Role".to_owned(), role.to_owned()));
    request
}

/// A request to the gateway's own token endpoint.
fn exchange(token: &str) -> HttpRequest {
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&\
         subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token={token}"
    );
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    HttpRequest { body: Some(form.into_bytes()), ..client("POST", "/oidc/v1/token", &headers) }
}

/// A person who signs in is sent to the provider, and the client of one who has shows a refresh token.
pub(crate) fn sign_in() -> HttpRequest {
    let query = "response_type=code&client_id=databricks-cli&redirect_uri=http%3A%2F%2Flocalhost%3A8020&state=s&\
                 code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
    client("GET", &format!("/oidc/v1/authorize?{query}"), &[])
}

fn refresh(token: &str) -> HttpRequest {
    let form = format!("grant_type=refresh_token&client_id=databricks-cli&refresh_token={token}");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    HttpRequest { body: Some(form.into_bytes()), ..client("POST", "/oidc/v1/token", &headers) }
}

pub(crate) fn with_login() -> Value {
    let mut idp = idp();
    idp["login"] = json!({"client_id": "gateway", "client_secret": "canary-secret", "scope": "openid"});
    config(&json!({ "identity_providers": [idp] }))
}

fn granted(token: &str) -> CalloutEnd {
    ok(
        &json!({"access_token": token, "refresh_token": "rt-2", "token_type": "Bearer", "expires_in": 300, "id_token": "canary"}),
    )
}

fn statement(sql: &str, token: &str) -> HttpRequest {
    post("/api/2.0/sql/statements", token, &json!({"statement": sql, "warehouse_id": "a7066a8ef796be84"}))
}

#[allow(clippy::too_many_lines, reason = "a table")]
pub(crate) fn stories() -> Vec<Story> {
    use Act::{Pass, Respond, Send, World};
    let story = |name, config: Value, acts| Story { name, config, acts };
    let (anna, bob) = (anna(), KEY.token("bob", &json!({})));
    let both = KEY.token("carol", &json!({"groups": ["eng", "ops"]}));
    let agent = KEY.token("anna", &json!({"azp": "copilot-app"}));
    let plain = || config(&json!({}));
    vec![
        story(
            "keys are fetched, the caller's token is exchanged, and what was got is kept",
            plain(),
            vec![
                Send(get(&anna), seen("discovery keys token", "forward Bearer dbx-1")),
                Send(get(&anna), seen("", "forward Bearer dbx-1")),
                Send(get(&bob), seen("token", "forward Bearer dbx-2")),
                Send(get(&KEY.token("anna", &json!({"jti": "2"}))), seen("", "forward Bearer dbx-1")),
                Pass(3500),
                Send(
                    get(&KEY.token("anna", &json!({"exp": NOW + 7200}))),
                    seen("keys token", "forward Bearer dbx-3")
                        .but_on(Profile::Envoy, "keys", "forward Bearer dbx-1", AHEAD_OF_NEED)
                        .but_natively("keys", "forward Bearer dbx-1", AHEAD_OF_NEED),
                ),
            ],
        ),
        story(
            "who is not who they say goes no further",
            plain(),
            vec![
                Send(client("GET", "/api/2.1/jobs/list", &[]), seen("", "401 TOKEN_MISSING")),
                Send(get("opaque"), seen("", "401 TOKEN_INVALID malformed")),
                Send(get("eyJhbGciOiJub25lIn0.e30."), seen("", "401 TOKEN_INVALID alg_not_allowed")),
                Send(
                    get(&KEY.token("anna", &json!({"iss": "https://evil.example"}))),
                    seen("", "401 TOKEN_INVALID issuer_mismatch"),
                ),
                Send(get(&KEY.token("anna", &json!({"exp": NOW - 31}))), seen("discovery keys", "401 TOKEN_EXPIRED")),
                Send(get(&KEY.token("anna", &json!({"nbf": NOW + 31}))), seen("", "401 TOKEN_NOT_YET_VALID")),
                Send(
                    get(&KEY.token("anna", &json!({"aud": "other"}))),
                    seen("", "401 TOKEN_INVALID audience_mismatch"),
                ),
                Send(get(&NEW.token("anna", &json!({}))), seen("keys", "401 TOKEN_INVALID key_unknown")),
                Send(get(&format!("{anna}x")), seen("", "401 TOKEN_INVALID malformed")),
            ],
        ),
        story(
            "who has no role goes no further",
            plain(),
            vec![
                Send(get(&KEY.token("anna", &json!({"groups": ["sales"]}))), seen("discovery keys", "403 NO_ROLE")),
                Send(
                    get(&KEY.token("anna", &json!({"groups": null, "hasgroups": true}))),
                    seen("", "403 GROUPS_OVERAGE"),
                ),
            ],
        ),
        story(
            "a new key is fetched once it is needed",
            plain(),
            vec![
                Send(get(&anna), seen("discovery keys token", "forward Bearer dbx-1")),
                Pass(60),
                World(Purpose::Keys, vec![keys(&[&NEW])]),
                Send(get(&NEW.token("bob", &json!({}))), seen("keys token", "forward Bearer dbx-2")),
                Send(get(&anna), seen("", "401 TOKEN_INVALID key_unknown")),
            ],
        ),
        story(
            "a credential of the gateway serves all of its role",
            with_credential(&service_principal()),
            vec![
                Send(get(&anna), seen("discovery keys token", "forward Bearer dbx-1")),
                Send(get(&bob), seen("", "forward Bearer dbx-1")),
            ],
        ),
        story(
            "without a credential none is sent",
            with_credential(&json!({"type": "none"})),
            vec![Send(get(&anna), seen("discovery keys", "forward nothing"))],
        ),
        story(
            "the workspace's no to a token is heard",
            plain(),
            vec![
                Send(get(&anna), seen("discovery keys token", "forward Bearer dbx-1")),
                Respond(401),
                Send(get(&anna), seen("token", "forward Bearer dbx-2")),
                Respond(200),
                Send(get(&anna), seen("", "forward Bearer dbx-2")),
            ],
        ),
        story(
            "databricks refuses the exchange",
            plain(),
            vec![
                World(Purpose::Token, vec![CalloutEnd::reply(400, r#"{"error":"invalid_grant"}"#)]),
                Send(get(&anna), seen("discovery keys token", "403 EXCHANGE_REFUSED invalid_grant")),
            ],
        ),
        story(
            "databricks throttles",
            plain(),
            vec![
                World(
                    Purpose::Token,
                    vec![with_header(CalloutEnd::reply(429, ""), "retry-after", "7"), minted("dbx-1", 3600)],
                ),
                Send(get(&anna), seen("discovery keys token", "503 EXCHANGE_UNAVAILABLE")),
                Pass(3),
                Send(get(&anna), seen("", "503 EXCHANGE_UNAVAILABLE")),
                Pass(4),
                Send(get(&anna), seen("token", "forward Bearer dbx-1")),
            ],
        ),
        story(
            "a second try is worth it where the host allows one",
            plain(),
            vec![
                World(Purpose::Token, vec![CalloutEnd::ClosedAtOnce, minted("dbx-1", 3600)]),
                Send(
                    get(&anna),
                    seen("discovery keys token token", "forward Bearer dbx-1").but_on(
                        Profile::Kong,
                        "discovery keys token",
                        "503 EXCHANGE_UNAVAILABLE",
                        AFTER_A_FAILURE,
                    ),
                ),
                Pass(5),
                World(Purpose::Token, vec![CalloutEnd::reply(500, "{}"), minted("dbx-2", 3600)]),
                Send(
                    get(&bob),
                    seen("token token", "forward Bearer dbx-2").but_on(
                        Profile::Kong,
                        "token",
                        "503 EXCHANGE_UNAVAILABLE",
                        TWO_BODIES,
                    ),
                ),
            ],
        ),
        story(
            "the documents that clients look for",
            plain(),
            vec![
                Send(client("GET", "/.well-known/databricks-config", &[]), seen("", "200")),
                Send(client("GET", "/oidc/.well-known/oauth-authorization-server", &[]), seen("", "200")),
                Send(client("GET", "/.well-known/databricks-kong/undecided", &[]), seen("", "404 NOT_FOUND")),
            ],
        ),
        story(
            "what cannot be read in one way is refused",
            plain(),
            vec![
                Send(get_at("/api/2.1//jobs/list", &anna), seen("", "400 REQUEST_AMBIGUOUS")),
                Send(get_at("/api/2.1/jobs%2flist", &anna), seen("", "400 REQUEST_AMBIGUOUS")),
                Send(get_at("/api/2.1/jobs/list?o=1", &anna), seen("", "400 REQUEST_AMBIGUOUS")),
                Send(
                    client("GET", "/", &[("Authorization", "Bearer a"), ("authorization", "Bearer b")]),
                    seen("", "400 REQUEST_AMBIGUOUS"),
                ),
                Send(client("GET", "/", &[("X-HTTP-Method-Override", "DELETE")]), seen("", "400 REQUEST_AMBIGUOUS")),
            ],
        ),
        story(
            "a rule that needs the body reads it, before anything is asked of databricks",
            with_rules(&json!({"allow": [{
                "operations": ["jobs.run_now"], "resources": {"job": ["101"]},
            }]})),
            vec![
                Send(
                    post("/api/2.1/jobs/run-now", &anna, &json!({"job_id": 202})),
                    seen("discovery keys", "403 NO_RULE"),
                ),
                Send(
                    post("/api/2.1/jobs/run-now", &anna, &json!({"job_id": 101})),
                    seen("token", "forward Bearer dbx-1"),
                ),
                Send(
                    HttpRequest { body: Some(b"{".to_vec()), ..post("/api/2.1/jobs/run-now", &anna, &json!({})) },
                    seen("", "400 BODY_UNREADABLE"),
                ),
                Send(
                    post(
                        "/api/2.1/jobs/run-now",
                        &anna,
                        &json!({"job_id": 101, "idempotency_token": "x".repeat(40_000)}),
                    ),
                    seen("", "forward Bearer dbx-1"),
                ),
                Send(
                    post(
                        "/api/2.1/jobs/run-now",
                        &anna,
                        &json!({"job_id": 101, "idempotency_token": "x".repeat(70_000)}),
                    ),
                    seen("", "413 BODY_TOO_LARGE"),
                ),
            ],
        ),
        story(
            "the job of a run is looked up",
            with_rules(&json!({"allow": [{
                "operations": ["jobs.get_run", "jobs.cancel_run"], "resources": {"job": ["101"]}, "lookup": true,
            }]})),
            vec![
                Send(
                    get_at("/api/2.2/jobs/runs/get?run_id=7", &anna),
                    seen("discovery keys token lookup", "forward Bearer dbx-1"),
                ),
                Send(post("/api/2.2/jobs/runs/cancel", &anna, &json!({"run_id": 7})), seen("", "forward Bearer dbx-1")),
                World(Purpose::Lookup, vec![ok(&json!({"job_id": 202}))]),
                Send(post("/api/2.2/jobs/runs/cancel", &anna, &json!({"run_id": 9})), seen("lookup", "403 NO_RULE")),
            ],
        ),
        story(
            "who may have several roles gets the first that allows, or the one that is asked for",
            config(&json!({"roles": [
                role(&json!({"type": "user_federation"})),
                {"name": "operator", "match": {"groups": ["ops"]}, "credential": service_principal()},
            ]})),
            vec![
                Send(get(&both), seen("discovery keys token", "forward Bearer dbx-1")),
                Send(asking_for("operator", &both), seen("token", "forward Bearer dbx-2")),
                Send(asking_for("engineer", &both), seen("", "forward Bearer dbx-1")),
                Send(asking_for("operator", &anna), seen("", "403 NO_ROLE")),
                Send(asking_for("nobody", &both), seen("", "403 NO_ROLE")),
            ],
        ),
        story(
            "the caller's own token goes on where the role says so",
            with_credential(&json!({"type": "passthrough"})),
            vec![Send(get(&anna), seen("discovery keys", PASSED_ON))],
        ),
        story(
            "a service principal is federated for each caller",
            with_credential(&json!({"type": "service_principal_federation", "client_id": "app"})),
            vec![
                Send(get(&anna), seen("discovery keys token", "forward Bearer dbx-1")),
                Send(get(&bob), seen("token", "forward Bearer dbx-2")),
                Send(get(&anna), seen("", "forward Bearer dbx-1")),
            ],
        ),
        story(
            "a token is shown to the gateway's own token endpoint and comes back",
            plain(),
            vec![
                Send(exchange(&anna), seen("discovery keys", "200")),
                Send(exchange(&KEY.token("anna", &json!({"exp": NOW - 60}))), seen("", "401 TOKEN_EXPIRED")),
                Send(exchange("opaque"), seen("", "401 TOKEN_INVALID malformed")),
            ],
        ),
        story(
            "a person signs in at the provider, and goes on to do so",
            with_login(),
            vec![
                Send(sign_in(), seen("discovery", "302")),
                World(Purpose::Login, vec![granted(&anna)]),
                Send(refresh("rt-1"), seen("login discovery keys", "200")),
                Send(get(&anna), seen("token", "forward Bearer dbx-1")),
                Send(refresh("rt-1"), seen("login", "200")),
                World(Purpose::Login, vec![CalloutEnd::reply(400, r#"{"error":"invalid_grant"}"#)]),
                Send(refresh("canary-1"), seen("login", "400")),
                World(Purpose::Login, vec![granted(&KEY.token("anna", &json!({"aud": "canary"})))]),
                Send(refresh("canary-1"), seen("login", "401 TOKEN_INVALID audience_mismatch")),
            ],
        ),
        story(
            "tokens are asked for by a gateway that has just started",
            with_login(),
            vec![
                World(Purpose::Login, vec![granted(&KEY.token("anna", &json!({"exp": NOW - 60})))]),
                Send(refresh("canary-1"), seen("discovery login discovery keys", "401 TOKEN_EXPIRED")),
                World(Purpose::Login, vec![CalloutEnd::reply(302, "")]),
                Send(refresh("canary-1"), seen("login", "503 EXCHANGE_UNAVAILABLE")),
            ],
        ),
        story(
            "statements are read where a rule is about sql",
            with_rules(&json!({"allow": [{
                "operations": ["statement_execution.execute_statement"], "resources": {"table": ["main.sales.*"]},
                "sql": ["select"],
            }]})),
            vec![
                Send(
                    statement("SELECT * FROM main.sales.orders", &anna),
                    seen("discovery keys token", "forward Bearer dbx-1"),
                ),
                Send(statement("SELECT * FROM main.hr.pay", &anna), seen("", "403 NO_RULE")),
                Send(statement("DROP TABLE main.sales.orders", &anna), seen("", "403 NO_RULE")),
            ],
        ),
        story(
            "what is only watched goes on, and what is sensitive does not",
            config(&json!({"mode": "observe", "roles": [{
                "name": "engineer", "match": {"groups": ["eng"]}, "credential": {"type": "user_federation"},
                "allow": [{"operations": ["clusters.list"]}],
            }]})),
            vec![
                Send(get(&anna), seen("discovery keys token", "forward Bearer dbx-1")),
                Send(get(&KEY.token("eve", &json!({"groups": []}))), seen("", "403 NO_ROLE")),
                Send(post("/api/2.0/token/create", &anna, &json!({})), seen("", "403 OPERATION_SENSITIVE")),
            ],
        ),
        story(
            "an agent may do no more than it is meant for, whoever it acts for",
            config(&json!({"agents": [{
                "name": "copilot", "match": {"clients": ["copilot-app"]}, "allow": [{"operations": ["jobs.list"]}],
            }]})),
            vec![
                Send(get(&agent), seen("discovery keys token", "forward Bearer dbx-1")),
                Send(get_at("/api/2.1/clusters/list", &agent), seen("", "403 AGENT_LIMIT")),
                Send(get_at("/api/2.1/clusters/list", &anna), seen("token", "forward Bearer dbx-2")),
            ],
        ),
        story(
            "headers that only the gateway may send do not pass",
            plain(),
            vec![Send(
                {
                    let mut request = get(&anna);
                    for name in ["Cookie", "X-Databricks-Azure-SP-Management-Token", "x_forwarded_access_token"] {
                        request.headers.push((name.to_owned(), "canary".to_owned()));
                    }
                    request.headers.push(("X-Databricks-Org-Id".to_owned(), "1".to_owned()));
                    request
                },
                seen("discovery keys token", "forward Bearer dbx-1"),
            )],
        ),
    ]
}

/// Whether a request went on with the very token that it came with.
pub(crate) fn sends_own_token(request: &HttpRequest, end: &str) -> bool {
    let own = request.headers.iter().find(|(name, _)| name == "Authorization");
    own.is_some_and(|(_, value)| end == format!("forward {value}"))
}

fn tell(
    story: &Story,
    driver: &mut dyn Driver,
    expected: impl Fn(&Seen) -> (&'static str, &'static str),
) -> Vec<Transcript> {
    let mut world = World::new();
    let mut transcripts = Vec::new();
    for act in &story.acts {
        match act {
            Act::Send(request, seen) => {
                let transcript = run(driver, request, &mut |ask| world.answer(ask));
                let mut did = (transcript.asked(), transcript.end.word());
                if sends_own_token(request, &did.1) {
                    PASSED_ON.clone_into(&mut did.1);
                }
                let (asked, end) = expected(seen);
                let place = format!("{}: {}\n{transcript:#?}", story.name, transcripts.len());
                assert_eq!(did, (asked.to_owned(), end.to_owned()), "{place}");
                transcripts.push(transcript);
            }
            Act::World(purpose, answers) => world.set(*purpose, answers),
            Act::Pass(seconds) => driver.pass(Duration::from_secs(*seconds)),
            Act::Respond(status) => driver.respond(*status),
        }
    }
    transcripts
}

#[test]
fn every_story_goes_alike_in_the_core_in_both_hosts_of_the_filter_and_in_the_native_plugin() {
    for story in stories() {
        let core = tell(&story, &mut Core::new(&story.config), |seen| seen.everywhere);
        let sends = story.acts.iter().filter_map(|act| if let Act::Send(_, seen) = act { Some(seen) } else { None });
        let sends: Vec<_> = sends.collect();
        for profile in [Profile::Kong, Profile::Envoy] {
            let hosted = tell(&story, &mut Hosted::new(profile, &story.config), |seen| seen.on(Some(profile)));
            for (number, (core, hosted)) in core.iter().zip(&hosted).enumerate() {
                if sends[number].but.is_none_or(|(host, ..)| host != profile) {
                    assert_eq!(core, hosted, "{}: {number} on {profile:?}", story.name);
                }
            }
        }
        let native = tell(&story, &mut Hosted::natively(&story.config), Seen::natively);
        for (number, (core, native)) in core.iter().zip(&native).enumerate() {
            if sends[number].natively.is_none() {
                assert_eq!(core, native, "{}: {number} in the native plugin", story.name);
            }
        }
    }
}
