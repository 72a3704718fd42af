//! What happens to one request, as a state machine without host, clock and I/O: an [`Event`] goes in, a [`Step`] comes out.
//!
//! ```text
//!  Idle ──Request──► cannot be read, no token ──────────────────────────────► Reply ─► Done
//!   │   native endpoint ──────────────────────────────────────────────────► Reply ─► Done
//!   │   keys missing, stale or without the token's ─► Keys ──Callout──► verify ┐
//!   │   verified ◄─────────────────────────────────────────────────────────────┘
//!   │      │ policy ─ a rule needs the body ─► Body ──Body──► decide again
//!   │      ├─ none ────────────────────────────────────────────────────────► Reply ─► Done
//!   │      └─ Permit ─ nothing to ask for, or kept ────────────────────────► Forward ─► Done
//!   │      │        └─ to ask for ─► Token ──Callout──► token ─────────────► Forward ─► Done
//!   │      │                                        └─ none ───────────────► Reply ─► Done
//!   │      └─ a rule needs the job of a run ─► (Token) ─► Lookup ──Callout──► decide again
//!   └─ any event that the state does not wait for ─────────────────────────► Reply 500 ─► Done
//! ```
//!
//! A state is taken out before an event is handled and `Done` is left in its place, so that whatever goes wrong meets `Done`.

mod callout;
mod edits;
mod keys;
mod lookup;
mod metric;
mod native;
mod prefetch;
mod refusal;
mod request;
mod request_id;
mod token;
mod verdicts;

pub use callout::{Callout, CalloutFault, CalloutReply, CalloutResult};
pub use edits::Edits;
pub use keys::KeyStore;
pub use lookup::RunJobs;
pub use metric::Metric;
pub use prefetch::Prefetch;
pub use refusal::{Reply, guard_refused, internal_error, invalid_configuration};
pub use request::{HeaderProblem, Inspected, Request, inspect_headers};
pub use request_id::RequestId;
pub use verdicts::VerdictCache;

use crate::audit::{Decision, Draft, Record};
use crate::base::{Reason, UnixTime, parse_object_strict};
use crate::config::{Config, Provider};
use crate::databricks::Catalogue;
use crate::exchange::{Authorized, Exchange, Granted, TokenCache, WorkspaceToken, refuses_token};
use crate::jwt::{self, Caller, KeySet, TokenError, UnverifiedToken};
use crate::policy::{Action, Ask, Body, Outcome as Decided, Permit, RunsJob, authorize};
use keys::{Access, Begin, FetchStep, KeyFetch, Need};
use lookup::AwaitJob;
use native::Native;
use refusal::Refusal;
use serde_json::{Map, Value};
use std::rc::Rc;
use token::AwaitToken;

/// What is remembered between requests, per worker. It may vanish at any time; nothing depends on its being there.
#[derive(Debug, Default)]
pub struct Memory {
    /// Keys of the identity providers.
    pub keys: KeyStore,
    /// Databricks tokens.
    pub tokens: TokenCache,
    /// Verified callers.
    pub verdicts: VerdictCache,
    /// The jobs of runs that were looked up.
    pub runs: RunJobs,
}

/// What a step may look at besides its event.
#[derive(Debug)]
pub struct Env<'a> {
    /// The configuration of the entry.
    pub config: &'a Config,
    /// What is remembered between requests.
    pub memory: &'a mut Memory,
    /// The time.
    pub now: UnixTime,
    /// What an operator should read.
    pub log: &'a mut Vec<String>,
    /// What is counted.
    pub counts: &'a mut Vec<Metric>,
}

impl Env<'_> {
    fn count(&mut self, metric: Metric) {
        self.counts.push(metric);
    }
}

/// Something that happened to a request.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
#[derive(Debug)]
pub enum Event {
    /// Its headers arrived.
    Request(Request),
    /// Its whole body arrived.
    Body(ReadBody),
    /// The answer to the callout that the last step asked for.
    Callout(CalloutResult),
}

/// A request's body, as the host gives it.
#[derive(Clone, PartialEq, Eq)]
pub enum ReadBody {
    /// All of it.
    Whole(Vec<u8>),
    /// It is longer than the limit.
    TooLong,
    /// The host does not have it at hand.
    Unreadable,
}

impl std::fmt::Debug for ReadBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // bodies hold tokens and data
        f.write_str(match self {
            Self::Whole(_) => "Whole",
            Self::TooLong => "TooLong",
            Self::Unreadable => "Unreadable",
        })
    }
}

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Send this, and hold the request until the answer is there.
    Call(Callout),
    /// Hold the request until its whole body is there.
    AwaitBody,
    /// Make these edits and let the request go on.
    Forward(Edits),
    /// Answer the request; it goes no further.
    Reply(Reply),
}

/// The way of one request.
#[derive(Debug, Default)]
pub struct Flow {
    state: State,
    /// The token that was sent on, so that it can be forgotten if the workspace refuses it.
    sent: Option<WorkspaceToken>,
    /// What is recorded of the request.
    audit: Draft,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Body(Box<AwaitBody>),
    Keys(Box<AwaitKeys>),
    Token(Box<AwaitToken>),
    Lookup(Box<AwaitJob>),
    Done,
}

/// Why a token is verified.
#[derive(Debug)]
enum Purpose {
    /// The request that it came with wants to go on.
    Proxy(Request),
    /// `POST /oidc/v1/token` wants to see it again.
    Echo(Request),
}

impl Purpose {
    const fn request(&self) -> &Request {
        match self {
            Self::Proxy(request) | Self::Echo(request) => request,
        }
    }
}

/// A verified caller who wants to go on.
#[derive(Debug)]
struct Asker {
    request: Request,
    caller: Rc<Caller>,
    provider: Rc<str>,
    body: HeldBody,
    /// The job of the request's run, once the workspace was asked; `None` in it if it knows of none.
    runs_job: Option<Option<Rc<str>>>,
}

/// What is known of a body.
#[derive(Debug)]
enum HeldBody {
    Unread,
    Absent,
    Json(Map<String, Value>),
}

/// What waits for a body.
#[derive(Debug)]
enum AwaitBody {
    /// A decision: a rule needs the body.
    Decision(Asker),
    /// `POST /oidc/v1/token`
    Exchange(Request),
}

impl AwaitBody {
    const fn request(&self) -> &Request {
        match self {
            Self::Decision(asker) => &asker.request,
            Self::Exchange(request) => request,
        }
    }
}

/// A token that waits for the keys of its provider.
#[derive(Debug)]
struct AwaitKeys {
    purpose: Purpose,
    token: UnverifiedToken,
    need: Need,
    fetch: KeyFetch,
}

impl Flow {
    /// Handles one event.
    pub fn on(&mut self, event: Event, env: &mut Env<'_>) -> Step {
        if matches!(event, Event::Callout(_)) {
            self.audit.answered(env.now);
        }
        let outcome = match (std::mem::replace(&mut self.state, State::Done), event) {
            (State::Idle, Event::Request(request)) => self.on_request(request, env),
            (State::Body(waiting), Event::Body(body)) => self.on_body(*waiting, body, env),
            (State::Keys(waiting), Event::Callout(result)) => self.on_keys(*waiting, result, env),
            (State::Token(waiting), Event::Callout(result)) => self.on_token(*waiting, result, env),
            (State::Lookup(waiting), Event::Callout(result)) => self.on_lookup(*waiting, result, env),
            (_, _) => Err((Refusal::Internal("an event arrived that nothing waited for"), RequestId::unknown())),
        };
        let step = outcome.unwrap_or_else(|(refusal, id)| {
            if let Refusal::Denied(denial) = &refusal {
                self.audit.denied(denial, &env.config.audit);
            }
            Step::Reply(refusal.reply(&id, env))
        });
        self.write_down(&step, env);
        step
    }

    fn write_down(&mut self, step: &Step, env: &mut Env<'_>) {
        match step {
            Step::Call(_) => self.audit.called(env.now),
            Step::AwaitBody => {}
            Step::Forward(_) => {
                self.audit.forward(env.now);
                let decision = self.record().map(|record| record.decision);
                let observed = decision == Some(Decision::WouldDeny);
                env.count(if observed { Metric::RequestsWouldDeny } else { Metric::RequestsAllowed });
            }
            Step::Reply(reply) => match reply.reason {
                Some(reason) => {
                    self.audit.refuse(reason, env.now);
                    env.counts.extend(Metric::of_refusal(reason));
                }
                // public documents are no event
                None if self.record().is_none() => {}
                None => env.count(Metric::RequestsAllowed),
            },
        }
    }

    /// What is recorded of the request, once it was decided; nothing for public documents.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.audit.record()
    }

    /// The request is refused after all, by whoever runs this.
    pub fn abandon(&mut self, reason: Reason, now: UnixTime) {
        self.audit.refuse(reason, now);
    }

    /// Whether the next event must be the body.
    #[must_use]
    pub const fn awaits_body(&self) -> bool {
        matches!(self.state, State::Body(_))
    }

    /// Whether the workspace's answer matters.
    #[must_use]
    pub const fn awaits_response(&self) -> bool {
        self.sent.is_some()
    }

    /// Hears the workspace's answer: its status, and its `x-databricks-reason-phrase`. A Databricks token that was refused is not used
    /// again.
    pub fn on_response(&mut self, status: u16, reason: Option<&str>, memory: &mut Memory) {
        if let Some(token) = self.sent.take().filter(|_| refuses_token(status, reason)) {
            memory.tokens.forget(&token);
        }
    }

    fn on_request(&mut self, request: Request, env: &mut Env<'_>) -> Outcome {
        let id = request.id.clone();
        self.audit.request(id.as_str(), &request.method, env.config.workspace.id.as_deref());
        self.try_request(request, env).map_err(|refusal| (refusal, id))
    }

    fn try_request(&mut self, request: Request, env: &mut Env<'_>) -> Result<Step, Refusal> {
        request.check(env.config.workspace.id.as_deref())?;
        let native = native::find(&request)?;
        match native {
            Some(Native::TokenExchange) => self.audit.own_endpoint(native::TOKEN_PATH),
            Some(Native::Document(_)) => {}
            None => self.audit.operation(Catalogue::find(&request.method, request.target()?.path())),
        }
        match native {
            Some(Native::Document(document)) => return Ok(Step::Reply(document.reply(&request, env.config))),
            Some(Native::TokenExchange) if request.has_body => {
                self.state = State::Body(Box::new(AwaitBody::Exchange(request)));
                return Ok(Step::AwaitBody);
            }
            Some(Native::TokenExchange) => return Ok(Step::Reply(native::unsupported_grant())),
            None => {}
        }
        let token = request.bearer()?;
        self.begin_verification(Purpose::Proxy(request), token.expose(), env)
    }

    fn on_body(&mut self, waiting: AwaitBody, body: ReadBody, env: &mut Env<'_>) -> Outcome {
        let id = waiting.request().id.clone();
        match waiting {
            AwaitBody::Decision(asker) => {
                let body = read_json(&asker.request, body).map_err(|refusal| (refusal, id.clone()))?;
                // the client may have taken its time
                still_valid(&asker.caller, &asker.provider, env)
                    .and_then(|()| self.decide(Asker { body: HeldBody::Json(body), ..asker }, env))
                    .map_err(|refusal| (refusal, id))
            }
            AwaitBody::Exchange(request) => {
                let step = match native::subject_token(&request, body) {
                    Ok(Ok(token)) => self.begin_verification(Purpose::Echo(request), token.expose(), env),
                    Ok(Err(reply)) => Ok(Step::Reply(reply)),
                    Err(refusal) => Err(refusal),
                };
                step.or_else(|refusal| Ok(Step::Reply(native::refused_exchange(refusal.reply(&id, env)))))
            }
        }
    }

    fn begin_verification(&mut self, purpose: Purpose, token: &str, env: &mut Env<'_>) -> Result<Step, Refusal> {
        self.try_verification(purpose, token.as_bytes(), env).inspect_err(|_| self.audit.token(token))
    }

    fn try_verification(&mut self, purpose: Purpose, token: &[u8], env: &mut Env<'_>) -> Result<Step, Refusal> {
        let known = verified_before(token, env);
        env.count(if known.is_some() { Metric::VerdictCacheHit } else { Metric::VerdictCacheMiss });
        if let Some((caller, provider)) = known {
            caller.still_valid(env.now, provider.expectations.clock_skew)?;
            return self.verified(purpose, caller, &provider.name, env);
        }
        let token = UnverifiedToken::parse(token, env.config.limits.token_bytes)?;
        let issuer = token.issuer().ok_or(TokenError::IssuerMismatch)?;
        let mut providers = env.config.providers.iter();
        let provider = providers.find(|provider| provider.expectations.issuer == issuer);
        let provider = Rc::clone(provider.ok_or(TokenError::IssuerMismatch)?);
        let need = match env.memory.keys.access(&provider, env.now) {
            Access::Fresh(keys) => match verify(&token, &keys, &provider, env) {
                Err(error) if error.keys_may_be_stale() => Need::UnknownKey,
                verified => return self.verified(purpose, verified?, &provider.name, env),
            },
            Access::Stale(keys) => match env.memory.keys.begin(&provider, Need::Stale, env.now, env.config) {
                Begin::Fetch(fetch, callout) => {
                    return Ok(self.await_keys(purpose, token, Need::Stale, fetch, callout));
                }
                Begin::NotNow { .. } => match verify(&token, &keys, &provider, env) {
                    Err(error) if error.keys_may_be_stale() => Need::UnknownKey,
                    verified => return self.verified(purpose, verified?, &provider.name, env),
                },
            },
            Access::None => Need::Cold,
        };
        match env.memory.keys.begin(&provider, need, env.now, env.config) {
            Begin::Fetch(fetch, callout) => Ok(self.await_keys(purpose, token, need, fetch, callout)),
            Begin::NotNow { retry_after: Some(retry_after) } => Err(Refusal::KeysUnavailable { retry_after }),
            // keys were fetched not long ago, and the token's was not among them
            Begin::NotNow { retry_after: None } => Err(TokenError::UnknownKey.into()),
        }
    }

    fn await_keys(
        &mut self,
        purpose: Purpose,
        token: UnverifiedToken,
        need: Need,
        fetch: KeyFetch,
        callout: Callout,
    ) -> Step {
        self.state = State::Keys(Box::new(AwaitKeys { purpose, token, need, fetch }));
        Step::Call(callout)
    }

    fn on_keys(&mut self, waiting: AwaitKeys, result: CalloutResult, env: &mut Env<'_>) -> Outcome {
        let AwaitKeys { purpose, token, need, fetch } = waiting;
        let id = purpose.request().id.clone();
        let provider = Rc::clone(fetch.provider());
        let fetched = match fetch.on_reply(result, env) {
            FetchStep::Call(fetch, callout) => return Ok(self.await_keys(purpose, token, need, fetch, callout)),
            FetchStep::Done(fetched) => fetched,
        };
        let keys = match (env.memory.keys.access(&provider, env.now), fetched, need) {
            (Access::Fresh(keys), _, _) | (Access::Stale(keys), _, Need::Cold | Need::Stale) => Some(keys),
            _ => None,
        };
        // Without an answer of the provider it is not known whether the token's key is good. The keys that are known may
        // still verify a token that only seemed to need new ones.
        let unavailable = Refusal::KeysUnavailable { retry_after: env.memory.keys.retry_after(&provider, env.now) };
        let is_echo = matches!(purpose, Purpose::Echo(_));
        let outcome = match keys.map(|keys| verify(&token, &keys, &provider, env)) {
            Some(Err(error)) if error.keys_may_be_stale() && !fetched => Err(unavailable),
            Some(verified) => {
                verified.map_err(Refusal::from).and_then(|caller| self.verified(purpose, caller, &provider.name, env))
            }
            None => Err(unavailable),
        };
        if outcome.is_err() {
            self.audit.token(token.token().expose());
        }
        outcome.map_err(|refusal| (refusal, id.clone())).or_else(|(refusal, id)| {
            if is_echo {
                Ok(Step::Reply(native::refused_exchange(refusal.reply(&id, env))))
            } else {
                Err((refusal, id))
            }
        })
    }

    fn verified(
        &mut self,
        purpose: Purpose,
        caller: Rc<Caller>,
        provider: &Rc<str>,
        env: &mut Env<'_>,
    ) -> Result<Step, Refusal> {
        self.audit.caller(&caller, provider, env.config.policy.agent_of(&caller), &env.config.audit);
        match purpose {
            Purpose::Proxy(request) => {
                let provider = Rc::clone(provider);
                self.decide(Asker { request, caller, provider, body: HeldBody::Unread, runs_job: None }, env)
            }
            Purpose::Echo(_) => {
                self.audit.answer(env.now);
                Ok(Step::Reply(native::echo(&caller, env.now)))
            }
        }
    }

    /// Decides; first without the body and the job of a run, and again with them if a rule needs them.
    fn decide(&mut self, mut asker: Asker, env: &mut Env<'_>) -> Result<Step, Refusal> {
        match asker.decided(&mut self.audit, env)? {
            Decided::Permit(permit) => {
                self.audit.permitted(&permit, &env.config.audit);
                if let Some(denial) = permit.would_deny() {
                    env.log.push(format!("would deny {}: {denial}", asker.request.id));
                }
                self.exchange(*permit, asker, env)
            }
            Decided::NeedsBody if !matches!(asker.body, HeldBody::Unread) => {
                Err(Refusal::Internal("a body was needed twice"))
            }
            Decided::NeedsBody if !asker.request.has_body => {
                // hosts may not know of a body before it comes
                asker.request.bodiless = true;
                self.decide(Asker { body: HeldBody::Absent, ..asker }, env)
            }
            Decided::NeedsBody => {
                self.state = State::Body(Box::new(AwaitBody::Decision(asker)));
                Ok(Step::AwaitBody)
            }
            Decided::NeedsJob(permit) => self.begin_lookup(*permit, asker, env),
            Decided::Denied(denial) => Err(denial.into()),
            Decided::Ambiguous(fault) => Err(Refusal::Ambiguous(fault.to_string())),
        }
    }

    fn exchange(&mut self, permit: Permit, asker: Asker, env: &mut Env<'_>) -> Result<Step, Refusal> {
        match Exchange::start(permit, &env.config.workspace.identity, &asker.request.shared)? {
            Exchange::Direct(granted) => Ok(self.granted(granted, asker, env)),
            Exchange::Needed(pending) => self.begin_exchange(asker, pending, env),
        }
    }

    fn granted(&mut self, granted: Granted, asker: Asker, env: &Env<'_>) -> Step {
        match granted {
            Granted::Request(authorized) => self.forward(authorized, &asker.request, env),
            Granted::LookUp(lookup) => self.look_up(lookup, asker, env),
        }
    }

    fn forward(&mut self, authorized: Authorized, request: &Request, env: &Env<'_>) -> Step {
        self.sent = authorized.token().cloned();
        Step::Forward(Edits::new(authorized, request, env.config))
    }
}

impl Asker {
    /// What policy says, or what it lacks.
    fn decided(&self, audit: &mut Draft, env: &Env<'_>) -> Result<Decided, Refusal> {
        let request = &self.request;
        let target = request.target()?;
        let body = match &self.body {
            HeldBody::Unread => Body::Unread,
            HeldBody::Absent => Body::Absent,
            HeldBody::Json(body) => Body::Json(body),
        };
        let runs_job = match &self.runs_job {
            None => RunsJob::Unasked,
            Some(None) => RunsJob::Unknown,
            Some(Some(job)) => RunsJob::Is(job),
        };
        let action =
            Action::new(&request.method, &target, &request.seen.resource_headers, body).with_runs_job(runs_job);
        let requested_role = request.seen.requested_role.as_deref();
        let ask = Ask { caller: &self.caller, provider: &self.provider, requested_role, action: &action, now: env.now };
        let decided = authorize(&env.config.policy, &ask);
        if matches!(decided, Decided::Permit(_) | Decided::Denied(_)) {
            audit.touches(action.known_resources(), action.known_sql(), &env.config.audit);
        }
        Ok(decided)
    }
}

/// The caller whose token this is, if its signature was checked before with the keys that are known now.
fn verified_before(token: &[u8], env: &Env<'_>) -> Option<(Rc<Caller>, Rc<Provider>)> {
    env.config.providers.iter().find_map(|provider| match env.memory.keys.access(provider, env.now) {
        // a request that finds keys stale is to refresh them first
        Access::Fresh(keys) => {
            let caller = env.memory.verdicts.find(token, provider, &keys)?;
            Some((caller, Rc::clone(provider)))
        }
        Access::Stale(_) | Access::None => None,
    })
}

fn verify(
    token: &UnverifiedToken,
    keys: &Rc<KeySet>,
    provider: &Rc<Provider>,
    env: &mut Env<'_>,
) -> Result<Rc<Caller>, TokenError> {
    let caller = Rc::new(jwt::verify(token, keys, &provider.expectations, env.now)?);
    env.memory.verdicts.keep(&caller, provider, keys, env.now, env.config.limits.cached_tokens);
    Ok(caller)
}

fn still_valid(caller: &Caller, provider: &str, env: &Env<'_>) -> Result<(), Refusal> {
    let provider = env.config.providers.iter().find(|known| &*known.name == provider);
    let provider = provider.ok_or(Refusal::Internal("a caller's identity provider is gone"))?;
    Ok(caller.still_valid(env.now, provider.expectations.clock_skew)?)
}

/// The body that a decision needs: one JSON object that all readers read alike. An empty one is an object without members.
fn read_json(request: &Request, body: ReadBody) -> Result<Map<String, Value>, Refusal> {
    const DEPTH: usize = 32;
    match body {
        ReadBody::Whole(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(Map::new()),
        ReadBody::Whole(bytes) if !request.has_plain_body(&bytes) => Err(Refusal::BodyUnreadable),
        ReadBody::Whole(bytes) => parse_object_strict(&bytes, DEPTH).map_err(|_| Refusal::BodyUnreadable),
        ReadBody::TooLong => Err(Refusal::BodyTooLarge),
        ReadBody::Unreadable => Err(Refusal::BodyUnreadable),
    }
}

type Outcome = Result<Step, (Refusal, RequestId)>;
