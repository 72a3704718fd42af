//! Keys, feeds of revoked identities and tokens ahead of need: what a timer does, so that requests need not wait for other servers.
//!
//! Tokens are of two kinds. Those that the callers of a role share are asked for as soon as there is a configuration, and again before they
//! end, while it is in use. Those of a caller are asked for again once a request has found that they end soon, since nothing but a request
//! has the JWT that it takes.

use super::Env;
use super::callout::{Answer, Callout};
use super::exchange::AheadOfNeed;
use super::feed::{FeedFetch, FeedStep};
use super::keys::{KeyFetch, KeyStep};
use super::source::Need;
use crate::base::Uptime;
use crate::config::Provider;
use crate::exchange::{Pending, SharedSecrets};
use std::rc::Rc;
use std::time::Duration;

/// Ticks of configurations that nobody uses any more go on for minutes (Kong); after this long without a request they fetch no more.
const IDLE: Duration = Duration::from_secs(900);

/// The fetches of one configuration's ticks. There is at most one under way.
///
/// A tick goes on until nothing is due: each feed and each provider's keys have their turn in it, and with as many tokens as there may be
/// due, one of these documents and one token take turns. So nothing that is due all the time, or slow, holds up what is not.
#[derive(Debug, Default)]
pub struct Prefetch {
    under_way: Option<Ahead>,
    /// The host's name for the callout whose answer is awaited.
    sent: Option<u32>,
    started_at: Uptime,
    turns: Turns,
}

/// Whose turn it is.
#[derive(Debug, Default)]
struct Turns {
    /// The next of the documents: the feeds of all providers, then their keys.
    document: usize,
    /// How many documents have yet to be looked at before the tick may end.
    left: usize,
    /// A document was begun last.
    token_is_next: bool,
}

/// What is fetched.
#[derive(Debug)]
enum Ahead {
    Keys(KeyFetch),
    Feed(FeedFetch),
    Token(AheadOfNeed),
}

impl Prefetch {
    /// What to send at this tick, if anything. `used_at` is when the configuration was made or last used.
    pub fn on_tick(&mut self, used_at: Uptime, env: &mut Env<'_>) -> Option<Callout> {
        let lost = env.now.uptime.since(self.started_at) > Duration::from_secs(60);
        if (self.under_way.is_some() && !lost) || env.now.uptime.since(used_at) > IDLE {
            return None;
        }
        self.on_not_sent();
        // feeds first: what they say ages by the second
        self.turns = Turns { left: documents(env), ..Turns::default() };
        self.begin_next(env)
    }

    fn begin_next(&mut self, env: &mut Env<'_>) -> Option<Callout> {
        let (fetch, callout) = self.turns.begin(env)?;
        Some(self.began(fetch, callout, env))
    }

    fn began(&mut self, fetch: Ahead, callout: Callout, env: &Env<'_>) -> Callout {
        self.under_way = Some(fetch);
        self.started_at = env.now.uptime;
        callout
    }

    /// The host sent the callout that was asked for, and will answer it by this name.
    pub fn on_sent(&mut self, name: u32) {
        self.sent = Some(name);
    }

    /// What to send after the answer to the callout `name`, if anything. The answer to a fetch that was given up is not looked at:
    /// it may be another provider's.
    pub fn on_reply(&mut self, name: u32, answer: Answer, env: &mut Env<'_>) -> Option<Callout> {
        self.sent.take_if(|sent| *sent == name)?;
        let next = match self.under_way.take()? {
            Ahead::Keys(fetch) => match fetch.on(answer, env) {
                KeyStep::Ask(fetch, callout) => Some((Ahead::Keys(fetch), callout)),
                KeyStep::Done(_) => None,
            },
            Ahead::Feed(fetch) => match fetch.on(answer, env) {
                FeedStep::Ask(fetch, callout) => Some((Ahead::Feed(fetch), callout)),
                FeedStep::Done => None,
            },
            Ahead::Token(fetch) => fetch.on(answer, env).map(|(fetch, callout)| (Ahead::Token(fetch), callout)),
        };
        match next {
            Some((fetch, callout)) => Some(self.began(fetch, callout, env)),
            None => self.begin_next(env),
        }
    }

    /// The host could not send the callout that was asked for.
    pub fn on_not_sent(&mut self) {
        (self.under_way, self.sent) = (None, None);
    }
}

impl Turns {
    fn begin(&mut self, env: &mut Env<'_>) -> Option<(Ahead, Callout)> {
        let token = if self.token_is_next { self.begin_token(env) } else { None };
        token.or_else(|| self.begin_document(env)).or_else(|| self.begin_token(env))
    }

    fn begin_token(&mut self, env: &mut Env<'_>) -> Option<(Ahead, Callout)> {
        let begun = begin_token(env)?;
        // while it is under way a document may become due
        (self.token_is_next, self.left) = (false, documents(env));
        Some(begun)
    }

    fn begin_document(&mut self, env: &mut Env<'_>) -> Option<(Ahead, Callout)> {
        let config = env.config;
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let place = self.document;
            self.document = if place.saturating_add(1) < documents(env) { place.saturating_add(1) } else { 0 };
            let begun = match config.providers.get(place) {
                Some(provider) => begin_feed(provider, env),
                None => config
                    .providers
                    .get(place.saturating_sub(config.providers.len()))
                    .and_then(|provider| begin_keys(provider, env)),
            };
            if begun.is_some() {
                self.token_is_next = true;
                return begun;
            }
        }
        None
    }
}

/// How many feeds and key sets there may be.
fn documents(env: &Env<'_>) -> usize {
    env.config.providers.len().saturating_mul(2)
}

/// The tokens of roles come before those of callers: they are few, and each is due but once in its life.
fn begin_token(env: &mut Env<'_>) -> Option<(Ahead, Callout)> {
    let config = env.config;
    if config.limits.cached_tokens == 0 || !env.can.timers {
        return None;
    }
    let granted = config.policy.roles().iter().filter(|role| role.validity.holds(env.now.wall));
    for role in granted {
        let memory = &mut *env.memory;
        let wanted = Pending::of_role(role, &config.workspace.identity, &mut memory.signing_keys);
        if let Some(pending) = wanted.filter(|pending| memory.tokens.begin_ahead(pending.key(), env.now)) {
            return Some(ask_for(pending, env));
        }
    }
    while let Some(pending) = env.memory.renewals.take(config) {
        if env.memory.tokens.begin_ahead(pending.key(), env.now) {
            return Some(ask_for(pending, env));
        }
    }
    None
}

fn ask_for(pending: Pending, env: &Env<'_>) -> (Ahead, Callout) {
    let (fetch, callout) = AheadOfNeed::begin(pending, env);
    (Ahead::Token(fetch), callout)
}

fn begin_keys(provider: &Rc<Provider>, env: &mut Env<'_>) -> Option<(Ahead, Callout)> {
    if !env.memory.keys.is_due(provider, env.now) {
        return None;
    }
    let (fetch, callout) = KeyFetch::begin(provider, Need::Stale, env).ok()?;
    Some((Ahead::Keys(fetch), callout))
}

/// Nothing of a request is there, so a feed whose secret comes with requests is read by them alone.
fn begin_feed(provider: &Provider, env: &mut Env<'_>) -> Option<(Ahead, Callout)> {
    let feed = provider.revocation.as_ref().filter(|feed| env.memory.feeds.is_due(feed, env.now))?;
    let (fetch, callout) = FeedFetch::begin(feed, Need::Stale, &SharedSecrets::default(), env).ok()?;
    Some((Ahead::Feed(fetch), callout))
}
