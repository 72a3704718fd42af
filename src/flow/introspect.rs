//! Is it in force? The provider is asked of a token, because it is none that can be read, or because every token is to be asked about.

use super::callout::{Answer, Callout};
use super::introspection::{Heard, Inquiry, InquiryStep, Said};
use super::refusal::Refusal;
use super::stage::{Context, Next, Stage};
use super::verify::{Purpose, Verified, brought};
use super::{Env, Metric};
use crate::config::{Introspection, Provider};
use crate::jwt::{BearerToken, Introspected, TokenError};
use std::rc::Rc;
use std::time::Duration;

/// When to come back once a provider could not be asked.
const RETRY: Duration = Duration::from_secs(1);

/// A verified caller of a provider that is asked of every token.
#[derive(Debug)]
pub(super) struct Introspect {
    pub(super) verified: Verified,
    pub(super) introspection: Rc<Introspection>,
}

/// The same, while the provider is asked.
#[derive(Debug)]
pub(super) struct AwaitIntrospection {
    introspect: Introspect,
    inquiry: Inquiry,
}

impl Introspect {
    /// Notes who it is, and asks.
    #[inline(never)]
    pub(super) fn step(mut self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        self.verified.write_down(cx);
        let digest = self.verified.caller.token_digest();
        match cx.env.memory.introspections.heard(digest, &self.verified.provider, cx.env.now) {
            Heard::Active(vouched) => {
                let caller = vouched.brought_by(&self.verified.caller);
                self.verified.caller = Rc::new(caller.ok_or(Refusal::Internal("a token was heard of as another"))?);
                self.verified.go_to_revocation(cx)
            }
            Heard::Refused(why) => Err(why.map_or(Refusal::Inactive, Refusal::from)),
            Heard::Nothing => {
                let Verified { caller, provider, .. } = &self.verified;
                let how = (self.verified.shared(), false);
                let (inquiry, callout) = Inquiry::begin(caller.token(), provider, &self.introspection, how, cx.env)?;
                Ok(AwaitIntrospection { introspect: self, inquiry }.wait(callout))
            }
        }
    }
}

impl AwaitIntrospection {
    fn wait(self, callout: Callout) -> Next {
        Next::ask(callout, Stage::AwaitIntrospection(Box::new(self)))
    }

    pub(super) fn step(self, answer: Answer, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { mut introspect, inquiry } = self;
        let said = match inquiry.on(answer, cx.env) {
            InquiryStep::Ask(inquiry, callout) => return Ok(Self { introspect, inquiry }.wait(callout)),
            InquiryStep::Done(said) => said.ok_or(Refusal::IntrospectionUnavailable { retry_after: RETRY })?,
        };
        introspect.verified.still_valid(cx.env)?;
        introspect.judge(&said, cx.env)?;
        introspect.verified.go_to_revocation(cx)
    }
}

impl Introspect {
    fn judge(&mut self, said: &Said, env: &mut Env<'_>) -> Result<(), Refusal> {
        let Verified { caller, provider, .. } = &self.verified;
        let judged = match &said.what {
            Introspected::Inactive => Err(None),
            Introspected::Active(active) => active.confirms(caller, &provider.expectations, env.now.wall).map_err(Some),
        };
        match judged {
            Ok((caller, ends)) => {
                self.verified.caller = caller;
                keep(&self.verified, ends, said, env);
                Ok(())
            }
            Err(why) => {
                env.memory.introspections.refuse(caller.token_digest(), provider, why.clone(), env.now);
                Err(why.map_or(Refusal::Inactive, Refusal::from))
            }
        }
    }
}

/// What another asked is kept by whoever asked, who knows when that was.
fn keep(verified: &Verified, ends: crate::base::UnixTime, said: &Said, env: &mut Env<'_>) {
    if !said.shared {
        let times = (said.asked_at, env.now);
        env.memory.introspections.keep(&verified.caller, &verified.provider, ends, times);
    }
}

/// A token that nothing can be read from.
#[derive(Debug)]
pub(super) struct Opaque {
    token: BearerToken,
    purpose: Purpose,
    /// The providers that are still to be asked, the next one last.
    left: Vec<Rc<Provider>>,
    /// Whether one of them could not be asked.
    failed: bool,
    /// Why a token that is in force is none for this gateway.
    wrong: Option<TokenError>,
}

/// The same, while a provider is asked.
#[derive(Debug)]
pub(super) struct AwaitOpaque {
    opaque: Opaque,
    provider: Rc<Provider>,
    inquiry: Inquiry,
}

impl Opaque {
    /// The stage, if there is somebody to ask; in the order of the configuration.
    pub(super) fn new(token: BearerToken, purpose: Purpose, env: &Env<'_>) -> Option<Self> {
        let takes = |provider: &&Rc<Provider>| provider.introspection.is_some() && purpose.takes(provider);
        let asked = env.config.providers.iter().rev().filter(takes);
        let left: Vec<_> = asked.cloned().collect();
        // what no header can hold is no token, and nobody is asked about it
        if left.is_empty() || !token.text().expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        Some(Self { token, purpose, left, failed: false, wrong: None })
    }

    pub(super) fn step(mut self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        while let Some(provider) = self.left.pop() {
            match cx.env.memory.introspections.heard(self.token.digest(), &provider, cx.env.now) {
                Heard::Active(vouched) => {
                    cx.env.count(Metric::VerdictCacheHit);
                    let caller = brought(&vouched, self.token, &provider, cx.env)?;
                    return Verified::new(self.purpose, caller, provider).note(cx);
                }
                Heard::Refused(why) => self.wrong = self.wrong.take().or(why),
                Heard::Nothing => return self.ask(provider, cx),
            }
        }
        cx.audit.token(self.token.digest());
        Err(match (self.failed, self.wrong) {
            (true, _) => Refusal::IntrospectionUnavailable { retry_after: RETRY },
            (false, Some(error)) => error.into(),
            (false, None) => Refusal::Inactive,
        })
    }

    fn ask(self, provider: Rc<Provider>, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        // only such are in the list
        let Some(introspection) = provider.introspection.clone() else {
            return Err(Refusal::Internal("a provider without introspection was to be asked"));
        };
        let how = (self.purpose.shared(), true);
        let (inquiry, callout) = Inquiry::begin(self.token.text(), &provider, &introspection, how, cx.env)?;
        Ok(AwaitOpaque { opaque: self, provider, inquiry }.wait(callout))
    }
}

impl AwaitOpaque {
    fn wait(self, callout: Callout) -> Next {
        Next::ask(callout, Stage::AwaitOpaque(Box::new(self)))
    }

    pub(super) fn step(self, answer: Answer, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { mut opaque, provider, inquiry } = self;
        let said = match inquiry.on(answer, cx.env) {
            InquiryStep::Ask(inquiry, callout) => return Ok(Self { opaque, provider, inquiry }.wait(callout)),
            InquiryStep::Done(said) => said,
        };
        let Some(said) = said else {
            opaque.failed = true;
            return opaque.step(cx);
        };
        cx.env.count(Metric::VerdictCacheMiss);
        let judged = match &said.what {
            Introspected::Inactive => Err(None),
            Introspected::Active(active) => {
                active.caller(&opaque.token, &provider.expectations, cx.env.now.wall).map_err(Some)
            }
        };
        match judged {
            Ok(caller) => {
                let known = Verified::new(opaque.purpose, Rc::new(caller), provider);
                keep(&known, known.caller.expires_at(), &said, cx.env);
                known.note(cx)
            }
            Err(why) => {
                cx.env.memory.introspections.refuse(opaque.token.digest(), &provider, why.clone(), cx.env.now);
                opaque.wrong = opaque.wrong.take().or(why);
                opaque.step(cx)
            }
        }
    }
}
