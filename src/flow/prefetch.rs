//! Keys and feeds of revoked identities ahead of need: what a timer does, so that requests need not wait for an identity provider.

use super::Env;
use super::callout::{Answer, Callout, CalloutResult};
use super::feed::{FeedFetch, FeedStep};
use super::keys::{KeyFetch, KeyStep};
use super::source::Need;
use crate::base::Uptime;
use crate::config::Provider;
use crate::exchange::SharedSecrets;
use std::rc::Rc;
use std::time::Duration;

/// Ticks of configurations that nobody uses any more go on for minutes (Kong); after this long without a request they fetch no more.
const IDLE: Duration = Duration::from_secs(900);

/// The fetches of one configuration's ticks. There is at most one under way.
#[derive(Debug, Default)]
pub struct Prefetch {
    under_way: Option<Ahead>,
    /// The host's name for the callout whose answer is awaited.
    sent: Option<u32>,
    started_at: Uptime,
}

/// What is fetched.
#[derive(Debug)]
enum Ahead {
    Keys(KeyFetch),
    Feed(FeedFetch),
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
        let begun = env.config.providers.iter().find_map(|provider| begin_feed(provider, env));
        let (fetch, callout) =
            begun.or_else(|| env.config.providers.iter().find_map(|provider| begin_keys(provider, env)))?;
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
    pub fn on_reply(&mut self, name: u32, result: CalloutResult, env: &mut Env<'_>) -> Option<Callout> {
        self.sent.take_if(|sent| *sent == name)?;
        let answer = Answer::own(result);
        match self.under_way.take()? {
            Ahead::Keys(fetch) => match fetch.on(answer, env) {
                KeyStep::Ask(fetch, callout) => Some(self.began(Ahead::Keys(fetch), callout, env)),
                KeyStep::Done(_) => None,
            },
            Ahead::Feed(fetch) => match fetch.on(answer, env) {
                FeedStep::Ask(fetch, callout) => Some(self.began(Ahead::Feed(fetch), callout, env)),
                FeedStep::Done => None,
            },
        }
    }

    /// The host could not send the callout that was asked for.
    pub fn on_not_sent(&mut self) {
        (self.under_way, self.sent) = (None, None);
    }
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
