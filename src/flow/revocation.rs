//! Is it cut off? The caller is looked for in the feed of its provider, at each request, however well its token is known.

use super::Env;
use super::callout::{Answer, Callout};
use super::feed::{FeedFetch, FeedStep, Known, NotNow};
use super::refusal::Refusal;
use super::source::{Held, Need};
use super::stage::{Context, Next, Stage};
use super::verify::Verified;
use crate::config::{Feed, Provider};
use crate::jwt::Caller;
use crate::revocation::Marks;
use std::rc::Rc;

/// A verified caller who may have been cut off since the token was made.
#[derive(Debug)]
pub(super) struct Revocation(pub(super) Verified);

/// A caller who waits for the feed.
#[derive(Debug)]
pub(super) struct AwaitFeed {
    verified: Verified,
    fetch: FeedFetch,
}

impl Revocation {
    #[inline(never)]
    pub(super) fn step(self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self(verified) = self;
        let Some(feed) = verified.provider.revocation.clone() else { return verified.go_on(cx) };
        match cx.env.memory.feeds.held(&feed, cx.env.now) {
            Held::Fresh(known) => verified.judge(&known, cx),
            Held::Stale(known) => match FeedFetch::begin(&feed, Need::Stale, verified.shared(), cx.env) {
                Ok((fetch, callout)) => Ok(AwaitFeed { verified, fetch }.wait(callout)),
                Err(_) => verified.judge(&known, cx),
            },
            Held::None => match FeedFetch::begin(&feed, Need::Cold, verified.shared(), cx.env) {
                Ok((fetch, callout)) => Ok(AwaitFeed { verified, fetch }.wait(callout)),
                Err(NotNow::Begin(begin)) => Err(Refusal::RevocationStale { retry_after: begin.wait() }),
                Err(NotNow::Secret(secret)) => Err(secret.into()),
            },
        }
    }
}

impl AwaitFeed {
    /// Takes an answer that only others have something of; what to send next, and what waits for that.
    pub(super) fn hear(self, answer: Answer, env: &mut Env<'_>) -> Option<(Stage, Callout)> {
        let Self { verified, fetch } = self;
        match fetch.on(answer, env) {
            FeedStep::Ask(fetch, callout) => Some((Stage::AwaitFeed(Box::new(Self { verified, fetch })), callout)),
            FeedStep::Done => None,
        }
    }

    fn wait(self, callout: Callout) -> Next {
        Next::ask(callout, Stage::AwaitFeed(Box::new(self)))
    }

    pub(super) fn step(self, answer: Answer, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { verified, fetch } = self;
        let feed = Rc::clone(fetch.feed());
        match fetch.on(answer, cx.env) {
            FeedStep::Ask(fetch, callout) => Ok(Self { verified, fetch }.wait(callout)),
            FeedStep::Done => {
                verified.still_valid(cx.env)?;
                let known = known(&feed, cx.env)?;
                verified.judge(&known, cx)
            }
        }
    }
}

impl Verified {
    fn judge(self, known: &Known, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        if known.revocations.cut_off(&Marks::of(&self.caller)) { Err(Refusal::Revoked) } else { self.go_on(cx) }
    }
}

/// Whether the caller is not cut off, by what is known now.
pub(super) fn check(provider: &Provider, caller: &Caller, env: &Env<'_>) -> Result<(), Refusal> {
    if provider.revocation.is_some() { check_marks(provider, &Marks::of(caller), env) } else { Ok(()) }
}

/// As [`check`], of a token of the provider that may be another than the caller's.
pub(super) fn check_marks(provider: &Provider, marks: &Marks, env: &Env<'_>) -> Result<(), Refusal> {
    let Some(feed) = &provider.revocation else { return Ok(()) };
    if known(feed, env)?.revocations.cut_off(marks) { Err(Refusal::Revoked) } else { Ok(()) }
}

fn known(feed: &Feed, env: &Env<'_>) -> Result<Rc<Known>, Refusal> {
    match env.memory.feeds.held(feed, env.now) {
        Held::Fresh(known) | Held::Stale(known) => Ok(known),
        Held::None => Err(Refusal::RevocationStale { retry_after: env.memory.feeds.retry_after(feed, env.now) }),
    }
}
