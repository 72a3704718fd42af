//! Who is it? A caller's token is verified, once its provider's keys are there.

use super::admit::Admit;
use super::callout::{Answer, Callout};
use super::introspect::{Introspect, Opaque};
use super::keys::{KeyFetch, KeyStep};
use super::login::Granted;
use super::own_endpoints;
use super::refusal::Refusal;
use super::request::Routed;
use super::revocation::Revocation;
use super::source::{Begin, Held, Need};
use super::stage::{Context, Next, Stage};
use super::{Capabilities, Env, Follow, Metric};
use crate::base::Secret;
use crate::config::Provider;
use crate::exchange::SharedSecrets;
use crate::jwt::{self, BearerToken, Caller, KeySet, TokenDigest, TokenError, UnverifiedToken, Vouched, is_opaque};
use std::rc::Rc;

/// A token that is to be verified.
#[derive(Debug)]
pub(super) struct Verify {
    pub(super) token: Secret<String>,
    pub(super) purpose: Purpose,
}

/// Why a token is verified.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
#[derive(Debug)]
pub(super) enum Purpose {
    /// The request that it came with wants to go on.
    Proxy(Box<Routed>),
    /// `POST /oidc/v1/token` wants to see it again; with the secrets that its request came with.
    Echo(SharedSecrets),
    /// A provider has granted it to somebody who signs in.
    Login(Granted),
}

impl Purpose {
    pub(super) fn shared(&self) -> &SharedSecrets {
        match self {
            Self::Proxy(routed) => &routed.shared,
            Self::Echo(shared) => shared,
            Self::Login(granted) => &granted.shared,
        }
    }

    /// Whether a token of the provider will do: one that was granted must be of the provider that granted it.
    pub(super) fn takes(&self, provider: &Provider) -> bool {
        match self {
            Self::Proxy(_) | Self::Echo(_) => true,
            Self::Login(granted) => granted.provider == provider.id,
        }
    }

    /// Whether the provider cannot be asked of the token in this request: it has just been asked for it, and the host can send it no
    /// other callout with a body. Whoever uses the token is asked about then.
    fn was_just_granted(&self, can: Capabilities) -> bool {
        matches!(self, Self::Login(_)) && can.after_body == Follow::Never
    }
}

/// A caller whose token was verified, and what for.
#[derive(Debug)]
pub(super) struct Verified {
    purpose: Purpose,
    pub(super) caller: Rc<Caller>,
    pub(super) provider: Rc<Provider>,
}

impl Verified {
    pub(super) const fn new(purpose: Purpose, caller: Rc<Caller>, provider: Rc<Provider>) -> Self {
        Self { purpose, caller, provider }
    }

    /// Notes who it is, and goes on.
    pub(super) fn note(self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        self.write_down(cx);
        self.go_to_revocation(cx)
    }

    #[inline(never)]
    pub(super) fn write_down(&self, cx: &mut Context<'_, '_>) {
        let config = cx.env.config;
        let agent = config.policy.agent_of(&self.caller);
        cx.audit.caller(&self.caller, &self.provider.name, agent, &config.audit);
    }

    /// The provider said so, or need not be asked.
    pub(super) fn go_to_revocation(self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        Revocation(self).step(cx)
    }

    /// The secrets that the request came with.
    pub(super) fn shared(&self) -> &SharedSecrets {
        self.purpose.shared()
    }

    /// Whether the token is still good: it may have ended while others were asked.
    pub(super) fn still_valid(&self, env: &Env<'_>) -> Result<(), TokenError> {
        self.caller.still_valid(env.now.wall, self.provider.expectations.clock_skew)
    }

    /// Nothing is held against the caller.
    #[inline(never)]
    pub(super) fn go_on(self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { purpose, caller, provider } = self;
        match purpose {
            Purpose::Proxy(routed) => Admit { routed, caller, provider }.step(cx),
            Purpose::Echo(_) => {
                cx.audit.answer(cx.env.now.wall);
                Ok(Next::Reply(own_endpoints::echo(&caller, cx.env.now.wall)))
            }
            Purpose::Login(granted) => {
                cx.audit.answer(cx.env.now.wall);
                Ok(Next::Reply(granted.reply(&caller, cx.env.now.wall)))
            }
        }
    }
}

/// A token that waits for the keys of its provider.
#[derive(Debug)]
pub(super) struct AwaitKeys {
    candidate: Candidate,
    need: Need,
    fetch: KeyFetch,
}

/// A token of a known provider, and what it is for.
#[derive(Debug)]
struct Candidate {
    token: UnverifiedToken,
    purpose: Purpose,
}

/// What can be said of a token.
enum Verdict {
    /// The caller whose it is.
    Caller(Rc<Caller>),
    /// Nothing without keys of now.
    Lacks(Need),
}

impl Verify {
    #[inline(never)]
    pub(super) fn step(self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { token, purpose } = self;
        let token = BearerToken::new(token);
        let digest = token.digest();
        // of a token that is refused only its digest is recorded
        self::step(token, purpose, cx).inspect_err(|_| cx.audit.token(digest))
    }
}

#[inline(never)]
fn step(token: BearerToken, purpose: Purpose, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
    let most = cx.env.config.limits.token_bytes;
    let text = token.text().expose();
    if is_opaque(text) && text.len() <= most {
        let opaque = Opaque::new(token, purpose, cx.env);
        return opaque.ok_or(TokenError::Malformed("not three parts"))?.step(cx);
    }
    let known = verified_before(token.digest(), &purpose, cx.env);
    cx.env.count(if known.is_some() { Metric::VerdictCacheHit } else { Metric::VerdictCacheMiss });
    match known {
        Some((vouched, provider)) => {
            let caller = brought(&vouched, token, &provider, cx.env)?;
            verified(purpose, caller, provider, cx)
        }
        None => Candidate { token: UnverifiedToken::read(token, most)?, purpose }.verify(cx),
    }
}

/// The caller who was vouched for before and brings the token again, if that has not ended.
#[inline(never)]
pub(super) fn brought(
    vouched: &Vouched,
    token: BearerToken,
    provider: &Provider,
    env: &Env<'_>,
) -> Result<Rc<Caller>, Refusal> {
    let brought = vouched.brought(token).map_err(|_| Refusal::Internal("a token was found under another's digest"))?;
    brought.still_valid(env.now.wall, provider.expectations.clock_skew)?;
    Ok(Rc::new(brought))
}

impl Candidate {
    fn verify(self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let provider = self.provider(cx.env)?;
        let lacks = match cx.env.memory.keys.held(&provider, cx.env.now) {
            Held::Fresh(keys) => self.judge(&keys, &provider, cx.env)?,
            Held::Stale(keys) => match KeyFetch::begin(&provider, Need::Stale, cx.env) {
                Ok((fetch, callout)) => return Ok(self.wait(Need::Stale, fetch, callout)),
                Err(_) => self.judge(&keys, &provider, cx.env)?,
            },
            Held::None => Verdict::Lacks(Need::Cold),
        };
        match lacks {
            Verdict::Caller(caller) => verified(self.purpose, caller, provider, cx),
            Verdict::Lacks(need) => match KeyFetch::begin(&provider, need, cx.env) {
                Ok((fetch, callout)) => Ok(self.wait(need, fetch, callout)),
                // keys were fetched not long ago, and the token's was not among them
                Err(Begin::Nothing) => Err(TokenError::UnknownKey.into()),
                Err(begin) => Err(Refusal::KeysUnavailable { retry_after: begin.wait() }),
            },
        }
    }

    fn provider(&self, env: &Env<'_>) -> Result<Rc<Provider>, TokenError> {
        let issuer = self.token.issuer().ok_or(TokenError::IssuerMismatch)?;
        let mut providers = env.config.providers.iter().filter(|provider| self.purpose.takes(provider));
        let provider = providers.find(|provider| *provider.expectations.issuer == *issuer);
        provider.cloned().ok_or(TokenError::IssuerMismatch)
    }

    fn judge(&self, keys: &Rc<KeySet>, provider: &Rc<Provider>, env: &mut Env<'_>) -> Result<Verdict, TokenError> {
        match self.check(keys, provider, env) {
            Err(error) if error.keys_may_be_stale() => Ok(Verdict::Lacks(Need::Lacking)),
            checked => checked.map(Verdict::Caller),
        }
    }

    fn check(&self, keys: &Rc<KeySet>, provider: &Rc<Provider>, env: &mut Env<'_>) -> Result<Rc<Caller>, TokenError> {
        let caller = Rc::new(jwt::verify(&self.token, keys, &provider.expectations, env.now.wall)?);
        if env.config.limits.cached_tokens > 0 {
            env.memory.verdicts.keep(&caller, provider, keys, env.now.wall);
        }
        Ok(caller)
    }

    fn wait(self, need: Need, fetch: KeyFetch, callout: Callout) -> Next {
        Next::ask(callout, Stage::AwaitKeys(Box::new(AwaitKeys { candidate: self, need, fetch })))
    }
}

impl AwaitKeys {
    /// Takes an answer that only others have something of; what to send next, and what waits for that.
    pub(super) fn hear(self, answer: Answer, env: &mut Env<'_>) -> Option<(Stage, Callout)> {
        let Self { candidate, need, fetch } = self;
        match fetch.on(answer, env) {
            KeyStep::Ask(fetch, callout) => {
                Some((Stage::AwaitKeys(Box::new(Self { candidate, need, fetch })), callout))
            }
            KeyStep::Done(_) => None,
        }
    }

    pub(super) fn step(self, answer: Answer, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { candidate, need, fetch } = self;
        let provider = Rc::clone(fetch.provider());
        let fetched = match fetch.on(answer, cx.env) {
            KeyStep::Ask(fetch, callout) => return Ok(candidate.wait(need, fetch, callout)),
            KeyStep::Done(fetched) => fetched,
        };
        let outcome = candidate.judge_after(fetched, need, &provider, cx.env);
        let caller = outcome.inspect_err(|_| cx.audit.token(candidate.token.token().digest()))?;
        verified(candidate.purpose, caller, provider, cx)
    }
}

impl Candidate {
    /// Without an answer of the provider it is not known whether the token's key is good. The keys that are known may still verify a
    /// token that only seemed to need new ones.
    fn judge_after(
        &self,
        fetched: bool,
        need: Need,
        provider: &Rc<Provider>,
        env: &mut Env<'_>,
    ) -> Result<Rc<Caller>, Refusal> {
        let unavailable = Refusal::KeysUnavailable { retry_after: env.memory.keys.retry_after(provider, env.now) };
        let keys = match (env.memory.keys.held(provider, env.now), need) {
            (Held::Fresh(keys), _) | (Held::Stale(keys), Need::Cold | Need::Stale) => keys,
            (Held::Stale(_), Need::Lacking) | (Held::None, _) => return Err(unavailable),
        };
        match self.check(&keys, provider, env) {
            Err(error) if error.keys_may_be_stale() && !fetched => Err(unavailable),
            checked => Ok(checked?),
        }
    }
}

/// The caller whose token this is, if its signature was checked before with the keys that are known now.
fn verified_before(token: TokenDigest, purpose: &Purpose, env: &Env<'_>) -> Option<(Vouched, Rc<Provider>)> {
    let mut providers = env.config.providers.iter().filter(|provider| purpose.takes(provider));
    providers.find_map(|provider| match env.memory.keys.held(provider, env.now) {
        // a request that finds keys stale is to refresh them first
        Held::Fresh(keys) => {
            let vouched = env.memory.verdicts.find(token, provider, &keys, env.now.wall)?;
            Some((vouched.clone(), Rc::clone(provider)))
        }
        Held::Stale(_) | Held::None => None,
    })
}

#[inline(never)]
fn verified(
    purpose: Purpose,
    caller: Rc<Caller>,
    provider: Rc<Provider>,
    cx: &mut Context<'_, '_>,
) -> Result<Next, Refusal> {
    let not_now = purpose.was_just_granted(cx.env.can);
    let verified = Verified::new(purpose, caller, provider);
    match verified.provider.introspection.clone().filter(|introspection| introspection.always && !not_now) {
        Some(introspection) => Introspect { verified, introspection }.step(cx),
        None => verified.note(cx),
    }
}
