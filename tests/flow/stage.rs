//! What the stories share: keys and tokens, a configuration, a world in which everything works, and short words for what happened.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use databricks_kong::audit::Record;
use databricks_kong::base::{Secret, UnixTime};
use databricks_kong::config::{Config, Settings};
use databricks_kong::flow::{CalloutFault, Event, Flow, Prefetch, Step};
use databricks_kong::sim::{Answer, Client, End, Purpose, Script, Sim, Transcript};
use jwt_simple::prelude::{
    Claims, ECDSAP256KeyPairLike, ECDSAP256PublicKeyLike, ES256KeyPair, RS256KeyPair, RSAKeyPairLike,
};
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const WORKSPACE_ID: &str = "7405619408829168";

/// A key pair of an identity provider.
pub(crate) struct Key {
    pub(crate) jwk: Value,
    sign: Box<dyn Fn(Value) -> String + Send + Sync>,
}

/// The keys that the provider has unless a story says otherwise.
pub(crate) static RSA: LazyLock<Key> = LazyLock::new(|| {
    let pair = RS256KeyPair::generate(2048).unwrap().with_key_id("rsa");
    let parts = pair.public_key().to_components();
    let jwk = json!({"kty": "RSA", "kid": "rsa", "alg": "RS256", "n": b64(&parts.n), "e": b64(&parts.e)});
    Key { jwk, sign: Box::new(move |claims| pair.sign(bare(claims)).unwrap()) }
});
pub(crate) static EC: LazyLock<Key> = LazyLock::new(|| ec("ec"));
/// A key that the provider does not have yet.
pub(crate) static NEW: LazyLock<Key> = LazyLock::new(|| ec("new"));
/// A key without a name.
pub(crate) static NAMELESS: LazyLock<Key> = LazyLock::new(|| ec(""));

fn ec(kid: &str) -> Key {
    let pair = ES256KeyPair::generate();
    let pair = if kid.is_empty() { pair } else { pair.with_key_id(kid) };
    let point = pair.public_key().public_key().to_bytes_uncompressed();
    let (x, y) = point[1..].split_at(32);
    let mut jwk = json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)});
    if !kid.is_empty() {
        jwk["kid"] = json!(kid);
    }
    Key { jwk, sign: Box::new(move |claims| pair.sign(bare(claims)).unwrap()) }
}

fn bare(claims: Value) -> jwt_simple::prelude::JWTClaims<Value> {
    let mut all = Claims::with_custom_claims(claims, jwt_simple::prelude::Duration::from_secs(1));
    (all.issued_at, all.expires_at, all.invalid_before) = (None, None, None);
    all
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    /// A token of `subject`, an engineer, good for an hour; `changes` replace claims, null takes one away.
    pub(crate) fn token(&self, subject: &str, changes: Value) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": "databricks", "sub": subject, "groups": ["eng"], "iat": NOW, "exp": NOW + 3600,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        (self.sign)(claims)
    }
}

/// A configuration; `changes` replace its parts.
pub(crate) fn config(changes: Value) -> Rc<Config> {
    let mut config = json!({
        "workspace": {"url": "https://adb.example.net", "id": WORKSPACE_ID, "public_url": "https://gw.example.com"},
        "identity_providers": [{"name": "idp", "issuer": ISSUER, "audiences": ["databricks"]}],
        "roles": [role(json!({"type": "user_federation"}))],
    });
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    match Settings::parse(config.to_string().as_bytes(), &|_| None) {
        Ok(Settings::Enforce(config)) => config,
        other => panic!("{other:?}"),
    }
}

/// The role of engineers, with this credential.
pub(crate) fn role(credential: Value) -> Value {
    json!({"name": "engineer", "match": {"groups": ["eng"]}, "credential": credential})
}

pub(crate) fn with_credential(credential: Value) -> Rc<Config> {
    config(json!({"roles": [role(credential)]}))
}

pub(crate) fn service_principal() -> Value {
    json!({"type": "service_principal_secret", "client_id": "app", "client_secret": "canary-secret"})
}

/// A provider with these further keys.
pub(crate) fn provider(changes: Value) -> Value {
    let mut provider = json!({"name": "idp", "issuer": ISSUER, "audiences": ["databricks"]});
    for (name, value) in changes.as_object().unwrap() {
        provider[name] = value.clone();
    }
    json!({"identity_providers": [provider]})
}

pub(crate) fn ok(body: &Value) -> Answer {
    Answer::new(200, body.to_string())
}

pub(crate) fn discovery() -> Answer {
    ok(&json!({"issuer": ISSUER, "jwks_uri": "https://idp.example/keys"}))
}

pub(crate) fn keys(keys: &[&Key]) -> Answer {
    let keys: Vec<_> = keys.iter().map(|key| &key.jwk).collect();
    ok(&json!({ "keys": keys }))
}

/// A Databricks token that lives for `expires_in` seconds.
pub(crate) fn minted(token: &str, expires_in: u64) -> Answer {
    ok(&json!({"access_token": token, "token_type": "Bearer", "expires_in": expires_in}))
}

pub(crate) fn lost() -> Answer {
    Answer::fault(CalloutFault::Failed("timeout".to_owned()))
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A gateway and its world.
pub(crate) struct Stage {
    pub(crate) sim: Sim,
    pub(crate) world: Script,
    /// The last request's flow.
    pub(crate) flow: Flow,
}

impl Stage {
    /// A gateway that has just started.
    pub(crate) fn cold(config: Rc<Config>) -> Self {
        let mut world = Script::default();
        world.set(Purpose::Discovery, [discovery()]);
        world.set(Purpose::Keys, [keys(&[&RSA, &EC])]);
        world.set(Purpose::Token, (1..=9).map(|number| minted(&format!("dbx-{number}"), 3600)));
        let mut sim = Sim::new(config, UnixTime::from_secs(NOW));
        for number in 1..=9 {
            sim.name(&format!("dbx-{number}"), &format!("dbx-{number}"));
        }
        Self { sim, world, flow: Flow::default() }
    }

    /// A gateway that knows its providers' keys.
    pub(crate) fn warm(config: Rc<Config>) -> Self {
        let mut stage = Self::cold(config);
        stage.tick();
        stage
    }

    /// Another identity provider's tick, from scratch.
    pub(crate) fn tick(&mut self) -> String {
        let now = self.sim.now.uptime;
        let sent = self.sim.tick(&mut Prefetch::default(), now, &mut self.world);
        words(sent.iter().map(|callout| callout.purpose))
    }

    /// A token that transcripts show as `<name>`, whose subject it is too.
    pub(crate) fn token(&mut self, name: &str) -> String {
        self.token_with(name, json!({}))
    }

    pub(crate) fn token_with(&mut self, name: &str, changes: Value) -> String {
        self.named(name, RSA.token(name, changes))
    }

    pub(crate) fn named(&mut self, name: &str, token: String) -> String {
        self.sim.name(&token, name);
        token
    }

    pub(crate) fn get(&mut self, token: &str) -> Transcript {
        self.send(&get(token))
    }

    pub(crate) fn send(&mut self, client: &Client) -> Transcript {
        self.flow = Flow::default();
        let transcript = self.sim.run(&mut self.flow, client, &mut self.world);
        transcript.record.iter().for_each(assert_valid);
        transcript
    }

    /// Sends a request and leaves it where it waits.
    pub(crate) fn begin(&mut self, token: &str) -> (Flow, Step) {
        let mut flow = Flow::default();
        let request = get(token).request(self.sim.next_id(), &self.sim.config).unwrap();
        let step = self.sim.on(&mut flow, Event::Request(request), &mut Vec::new());
        (flow, step)
    }

    pub(crate) fn resume(&mut self, flow: &mut Flow, answer: Answer) -> Step {
        self.sim.on(flow, answer.into(), &mut Vec::new())
    }

    /// Answers a callout, as one that another request sent if it is `shared`.
    pub(crate) fn resume_with(&mut self, flow: &mut Flow, answer: Answer, shared: bool) -> Step {
        let answer = databricks_kong::flow::Answer { result: answer.result, shared, kept: None };
        self.sim.on(flow, Event::Callout(answer), &mut Vec::new())
    }

    /// Answers a callout with what another worker kept, which was asked for at `asked_at`.
    pub(crate) fn resume_with_kept(&mut self, flow: &mut Flow, answer: Answer, asked_at: u64) -> Step {
        let kept = Some(UnixTime::from_secs(asked_at));
        let answer = databricks_kong::flow::Answer { result: answer.result, shared: true, kept };
        self.sim.on(flow, Event::Callout(answer), &mut Vec::new())
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.sim.pass(secs(seconds));
    }
}

/// Every record of every story is as its published schema says, and holds no token.
#[track_caller]
pub(crate) fn assert_valid(record: &Record) {
    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let text = include_str!("../../docs/audit/record.v2.schema.json");
        jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap()
    });
    let text = record.to_json();
    let value = serde_json::from_str(&text).unwrap();
    let errors: Vec<_> = SCHEMA.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{text}: {errors:#?}");
    for secret in ["eyJ", "dbx-", "canary-secret"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

pub(crate) fn client(method: &str, target: &str, headers: &[(&str, &str)]) -> Client {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned())));
    Client { method: method.to_owned(), target: target.into(), headers: headers.collect(), ..Client::default() }
}

pub(crate) fn get(token: &str) -> Client {
    client("GET", "/api/2.1/jobs/list", &[("Authorization", &format!("Bearer {token}")), ("User-Agent", "curl/8")])
}

/// The form by which a client asks the gateway's token endpoint to exchange `token`.
pub(crate) fn token_exchange(token: &str) -> Client {
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token_type=urn:ietf:params:oauth:token-type:jwt\
         &subject_token={token}"
    );
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    Client { body: Some(Secret::new(form.into_bytes())), ..client("POST", "/oidc/v1/token", &kind) }
}

/// What was asked of others, one word a callout.
pub(crate) fn asked(transcript: &Transcript) -> String {
    words(transcript.callouts.iter().map(|callout| callout.purpose))
}

pub(crate) fn words(purposes: impl Iterator<Item = Purpose>) -> String {
    let word = |purpose| match purpose {
        Purpose::Discovery => "discovery",
        Purpose::Keys => "keys",
        Purpose::Token => "token",
        Purpose::Lookup => "lookup",
        Purpose::Introspection => "introspection",
        Purpose::Login => "login",
        Purpose::Feed => "feed",
        Purpose::Spacer => "spacer",
    };
    purposes.map(word).collect::<Vec<_>>().join(" ")
}

/// `forward` and the credential, or status, reason, and the finer code or Databricks' error code.
pub(crate) fn ended(transcript: &Transcript) -> String {
    match &transcript.end {
        End::Forward { headers, .. } => {
            let sent = headers.iter().find(|(name, _)| name == "authorization");
            format!("forward {}", sent.map_or("nothing", |(_, value)| value))
        }
        End::Reply { status, reason, body, .. } => {
            let metadata = &body["details"][0]["metadata"];
            let code = ["code", "error"].iter().find_map(|key| metadata[key].as_str());
            let reason = reason.map_or("", |reason| reason.name());
            format!("{status} {reason} {}", code.unwrap_or_default()).trim_end().to_owned()
        }
        End::Unfinished => "unfinished".to_owned(),
    }
}

/// Checks what was asked of others, and how the request ended.
#[track_caller]
pub(crate) fn check(transcript: &Transcript, expected_asked: &str, expected_end: &str) {
    let seen = (asked(transcript), ended(transcript));
    let expected = (expected_asked.to_owned(), expected_end.to_owned());
    assert_eq!(seen, expected, "\n{transcript}\nlog: {:#?}", transcript.log);
}

pub(crate) fn header<'t>(transcript: &'t Transcript, name: &str) -> Option<&'t str> {
    let (End::Forward { headers, .. } | End::Reply { headers, .. }) = &transcript.end else { return None };
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

pub(crate) fn body(transcript: &Transcript) -> Value {
    match &transcript.end {
        End::Reply { body, .. } => body.clone(),
        other => panic!("{other:?}"),
    }
}

/// How a step that was not run by the driver ends, as [`ended`].
pub(crate) fn step_word(step: &Step) -> String {
    match step {
        Step::Call(_) => "call".to_owned(),
        Step::AwaitBody => "await body".to_owned(),
        Step::Forward(_) => "forward".to_owned(),
        Step::Reply(reply) => format!("{} {}", reply.status, reply.reason.map_or("", |reason| reason.name())),
    }
}
