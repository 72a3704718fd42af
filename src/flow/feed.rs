//! The feeds of revoked identities: what is known, when it is to be read again, and the way of one reading.

use super::callout::{Answer, Callout, CalloutReply, Purpose};
use super::fetch::{Fault, Fetch, Fetched, Need as Wanted};
use super::source::{Begin, Held, Need, Source, lease};
use super::{Env, Metric};
use crate::base::{DigestMap, Fingerprint, Now, Secret};
use crate::config::Feed;
use crate::exchange::{SecretUnavailable, SharedSecrets, resolve};
use crate::revocation::{FeedFault, Revocations};
use std::rc::Rc;
use std::time::Duration;

/// Timers read a feed again in the last fifth of its freshness, so that it is there before a request would have to read it.
const TIMER_LEAD: u32 = 5;
/// Requests read it again only once it is older than `refresh`.
const NO_LEAD: u32 = 0;
/// A longer `ETag` is not sent back.
const LONGEST_ETAG: usize = 256;

/// What is known of all feeds, by where they come from. Configurations that name the same source share it.
#[derive(Debug, Default)]
pub(super) struct Feeds(DigestMap<Fingerprint, Source<Known>>);

/// A feed as it was read.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) revocations: Revocations,
    etag: Option<String>,
}

impl Feeds {
    /// What a request may go by.
    pub(super) fn held(&self, feed: &Feed, now: Now) -> Held<Known> {
        let max_stale = feed.max_stale.saturating_sub(feed.refresh);
        self.0.get(&feed.id).map_or(Held::None, |source| source.held(NO_LEAD, max_stale, now))
    }

    /// Whether the feed should be read ahead of need.
    pub(super) fn is_due(&self, feed: &Feed, now: Now) -> bool {
        let source = self.0.get(&feed.id);
        !matches!(source.map(|source| source.held(TIMER_LEAD, Duration::ZERO, now)), Some(Held::Fresh(_)))
    }

    /// What to tell callers who cannot be served: when the next try may be made.
    pub(super) fn retry_after(&self, feed: &Feed, now: Now) -> Duration {
        self.0.get(&feed.id).map_or(Duration::from_secs(1), |source| source.retry_after(now))
    }

    /// Forgets all other feeds.
    pub(super) fn keep_only<'f>(&mut self, feeds: impl Iterator<Item = &'f Feed> + Clone) {
        self.0.retain(|id, _| feeds.clone().any(|feed| feed.id == *id));
    }

    fn source(&mut self, feed: &Feed) -> &mut Source<Known> {
        self.0.entry(feed.id).or_default()
    }
}

/// Why a feed is not read now.
#[derive(Debug)]
pub(super) enum NotNow {
    /// Another reading is under way, or the last one failed a moment ago.
    Begin(Begin),
    /// The secret that it takes is not there.
    Secret(SecretUnavailable),
}

/// One reading of a feed, with its tries.
#[derive(Debug)]
pub(super) struct FeedFetch(Fetch<Reading>);

/// What follows an answer.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
pub(super) enum FeedStep {
    /// Send this.
    Ask(FeedFetch, Callout),
    /// The reading ended, well or not.
    Done,
}

impl FeedFetch {
    /// Begins a reading, if it is time, or, where requests can wait for others, goes along with one that is under way.
    pub(super) fn begin(
        feed: &Rc<Feed>,
        need: Need,
        shared: &SharedSecrets,
        env: &mut Env<'_>,
    ) -> Result<(Self, Callout), NotNow> {
        let bearer = feed.authorization.as_ref().map(|source| resolve(source, shared)).transpose();
        let bearer = bearer.map_err(NotNow::Secret)?;
        let lease = lease(env.config.callouts, 1);
        let source = env.memory.feeds.source(feed);
        source.begin_or_join(need, lease, env.can, env.now).map_err(NotNow::Begin)?;
        let (fetch, callout) = Fetch::begin(Reading { feed: Rc::clone(feed), bearer, etag: etag(feed, env) }, env);
        Ok((Self(fetch), callout))
    }

    /// The feed that is read.
    pub(super) fn feed(&self) -> &Rc<Feed> {
        &self.0.need().feed
    }

    /// Takes an answer.
    pub(super) fn on(self, answer: Answer, env: &mut Env<'_>) -> FeedStep {
        let Self(fetch) = self;
        let shared = answer.shared;
        // one of those who waited has read it: it is long, and they may be many
        if shared && matches!(env.memory.feeds.held(&fetch.need().feed, env.now), Held::Fresh(_)) {
            return FeedStep::Done;
        }
        match fetch.on(answer, env) {
            Fetched::Again(fetch, callout) => FeedStep::Ask(Self(fetch), callout),
            Fetched::Done(reading, Ok(news)) => reading.keep(news, shared, env),
            Fetched::Done(reading, Err(_)) => reading.failed(env),
        }
    }
}

fn etag(feed: &Feed, env: &Env<'_>) -> Option<String> {
    match env.memory.feeds.held(feed, env.now) {
        Held::Fresh(known) | Held::Stale(known) => known.etag.clone(),
        Held::None => None,
    }
}

/// A feed that is asked for.
#[derive(Debug)]
pub(super) struct Reading {
    feed: Rc<Feed>,
    bearer: Option<Secret<String>>,
    /// What is known, by its `ETag`.
    etag: Option<String>,
}

/// What the server said, and when it was asked: what it says is no younger than that.
pub(super) struct News {
    /// `None` if nothing has changed.
    known: Option<Known>,
    asked_at: Now,
}

/// Why a reply is no feed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFeed {
    #[error("status {0}")]
    Status(u16),
    #[error("{0}")]
    Fault(#[from] FeedFault),
}

impl Wanted for Reading {
    const PURPOSE: Purpose = Purpose::Feed;
    type Answer = News;
    type Fault = NoFeed;

    fn callout(&self, env: &Env<'_>) -> Callout {
        Callout::feed(&self.feed.endpoint, self.bearer.as_ref(), self.etag.as_deref(), env.config.callouts)
    }

    fn read(&self, reply: &CalloutReply, asked_at: Now) -> Result<News, NoFeed> {
        match reply.status {
            200 => {
                let etag = reply.header("etag").filter(|etag| is_sendable(etag)).map(str::to_owned);
                let revocations = Revocations::parse(&reply.body)?;
                Ok(News { known: Some(Known { revocations, etag }), asked_at })
            }
            304 if self.etag.is_some() => Ok(News { known: None, asked_at }),
            status => Err(NoFeed::Status(status)),
        }
    }

    fn may_pass(_: &NoFeed) -> bool {
        true
    }

    fn count(outcome: Result<(), &Fault<NoFeed>>, last: bool) -> Option<Metric> {
        match outcome {
            Ok(()) => Some(Metric::RevocationFetchOk),
            Err(_) if last => Some(Metric::RevocationFetchFailed),
            Err(_) => None,
        }
    }

    fn describe(&self) -> String {
        format!("no feed of revoked identities from {}", self.feed.endpoint.url)
    }
}

impl Reading {
    fn keep(&self, news: News, shared: bool, env: &mut Env<'_>) -> FeedStep {
        // another's callout was sent earlier than this one was wanted
        let by = if shared { env.config.callouts.timeout } else { Duration::ZERO };
        let asked_at = Now { uptime: news.asked_at.uptime.minus(by), ..news.asked_at };
        let is_known = self.etag == etag(&self.feed, env);
        let source = env.memory.feeds.source(&self.feed);
        match news.known {
            Some(known) => source.succeeded(known, self.feed.refresh, asked_at),
            None if is_known => source.confirmed(self.feed.refresh, asked_at),
            // what has not changed was lost, or replaced meanwhile
            None => source.failed(env.now),
        }
        FeedStep::Done
    }

    fn failed(&self, env: &mut Env<'_>) -> FeedStep {
        env.memory.feeds.source(&self.feed).failed(env.now);
        FeedStep::Done
    }
}

/// Whether a text can be the value of a header.
fn is_sendable(etag: &str) -> bool {
    (1..=LONGEST_ETAG).contains(&etag.len()) && etag.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
