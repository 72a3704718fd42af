//! The way of one token: to its source, its keys, its meaning, and into the database.

use crate::clock;
use crate::config::{Config, Source, SourceType};
use crate::feed::Feeds;
use crate::fetch::Client;
use crate::keys::{Keys, Need, NoKeys};
use crate::ledger::{self, EventId, Record, Recorded};
use crate::meaning::{self, Meaning, Unusable};
use crate::metrics::{Metrics, OfSource};
use crate::store::{Database, StoreError};
use databricks_kong::base::Now;
use databricks_kong::jwt::{EventKind, SecurityEvent, TokenError, UnverifiedEvent, verify_event};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// The longest token that is looked at.
pub const TOKEN_BYTES: usize = 32 * 1024;

/// What became of a token that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is in the database.
    Kept,
    /// It was there before.
    Known,
    /// It asks for nothing.
    Ignored,
}

/// Why a token was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No source has its issuer.
    #[error("no source is configured for this issuer")]
    Issuer,
    /// It is not genuine, or not of now.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It is genuine, and cannot be acted on.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// It cannot be verified for now; the sender should come again.
    #[error("the keys of the issuer cannot be had: {0}")]
    Keys(#[from] NoKeys),
    /// It cannot be kept for now; the sender should come again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refused {
    /// Whether the same token may be accepted later.
    #[must_use]
    pub const fn is_for_now(&self) -> bool {
        matches!(self, Self::Keys(_) | Self::Store(_))
    }

    const fn code(&self) -> &'static str {
        match self {
            Self::Issuer => "issuer_unknown",
            Self::Token(error) => error.code(),
            Self::Unusable(Unusable::Subject { .. }) => "subject_unusable",
            Self::Unusable(Unusable::NoLogout) => "no_logout_event",
            Self::Unusable(Unusable::NoSubject) => "no_subject",
            Self::Keys(_) => "keys_unavailable",
            Self::Store(StoreError::Full) => "database_full",
            Self::Store(_) => "database_failed",
        }
    }
}

/// Takes tokens.
#[derive(Debug)]
pub struct Receiver {
    config: Arc<Config>,
    keys: BTreeMap<String, Keys>,
    database: Database,
    feeds: Arc<Feeds>,
    metrics: Arc<Metrics>,
}

impl Receiver {
    /// For the sources of a configuration.
    #[must_use]
    pub fn new(
        config: &Arc<Config>,
        client: &Client,
        database: &Database,
        feeds: &Arc<Feeds>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let keys = config.sources.iter().map(|source| {
            let keys = Keys::new(source.keys.clone(), client.clone());
            (source.name.clone(), keys)
        });
        Self {
            config: Arc::clone(config),
            keys: keys.collect(),
            database: database.clone(),
            feeds: Arc::clone(feeds),
            metrics: Arc::clone(metrics),
        }
    }

    /// The source of that type whose issuer a token claims to be of; what it says is not verified yet.
    ///
    /// # Errors
    /// It is no token, or there is no such source.
    pub fn source(&self, kind: SourceType, token: &[u8]) -> Result<&Arc<Source>, Refused> {
        let found = parse(kind, token).map_err(Refused::from).and_then(|token| {
            let is_its = |source: &&Arc<Source>| source.kind == kind && token.issuer() == Some(&source.expect.issuer);
            self.config.sources.iter().find(is_its).ok_or(Refused::Issuer)
        });
        found.inspect_err(|error| {
            self.metrics.event("unknown", "refused", error.code());
            warn!(reason = error.code(), "a token was refused");
        })
    }

    /// Takes a token of `source`. Once it is accepted, it outlives this process.
    ///
    /// # Errors
    /// Why it was not accepted; nothing of it is kept.
    pub async fn take(&self, source: &Source, token: &[u8]) -> Result<Accepted, Refused> {
        let now = clock::now();
        let taken = self.try_to_take(source, token, now).await;
        match &taken {
            Ok((accepted, event, meaning)) => self.tell(source, *accepted, event, meaning),
            Err(error) => {
                let outcome = if error.is_for_now() { "unavailable" } else { "refused" };
                if matches!(error, Refused::Store(_)) {
                    self.metrics.database.inc();
                }
                self.metrics.event(&source.name, outcome, error.code());
                warn!(source = source.name, reason = error.code(), "a token was refused: {error}");
            }
        }
        taken.map(|(accepted, ..)| accepted)
    }

    fn tell(&self, source: &Source, accepted: Accepted, event: &SecurityEvent, meaning: &Meaning) {
        let outcome = match accepted {
            Accepted::Kept => "kept",
            Accepted::Known => "known",
            Accepted::Ignored => "ignored",
        };
        for name in &meaning.names {
            self.metrics.event(&source.name, outcome, name);
        }
        // `jti` is the sender's word for the event, by which its own log finds it again; it gives access to nothing
        let id: String = event.id().chars().filter(|letter| !letter.is_control()).take(64).collect();
        let (cuts, names) = (meaning.cuts.len(), meaning.names.join(","));
        info!(source = source.name, event = names, id, outcome, cuts, "an event arrived");
    }

    async fn try_to_take(
        &self,
        source: &Source,
        token: &[u8],
        now: Now,
    ) -> Result<(Accepted, SecurityEvent, Meaning), Refused> {
        let event = self.verify(source, token, now).await?;
        let meaning = match source.kind {
            SourceType::BackchannelLogout => meaning::of_logout(&event, source, now.wall)?,
            SourceType::SecurityEvents => meaning::of_events(&event, source, now.wall)?,
        };
        if meaning.cuts.is_empty() {
            return Ok((Accepted::Ignored, event, meaning));
        }
        // a little longer than the token is accepted, so that clocks of instances may differ
        let end = event.issued_at().plus(source.expect.max_age).plus(source.expect.clock_skew).plus(MINUTE);
        let record = Record {
            provider: source.provider.name.clone(),
            source: source.name.clone(),
            event: Some(EventId::new(&source.name, event.id(), end.as_secs())),
            cuts: meaning.cuts.clone(),
        };
        let max_entries = self.config.max_entries;
        let recorded = self.database.run(move |rows| ledger::record(rows, &record, max_entries)).await?;
        self.feeds.has_changed();
        let accepted = if recorded == Recorded::Kept { Accepted::Kept } else { Accepted::Known };
        Ok((accepted, event, meaning))
    }

    async fn verify(&self, source: &Source, token: &[u8], now: Now) -> Result<SecurityEvent, Refused> {
        let token = parse(source.kind, token)?;
        let keys = self.keys(source, Need::Keys, now).await?;
        match verify_event(&token, &keys, &source.expect, now.wall) {
            Err(error) if error.keys_may_be_stale() => {
                let keys = self.keys(source, Need::Newer, now).await?;
                Ok(verify_event(&token, &keys, &source.expect, now.wall)?)
            }
            verified => Ok(verified?),
        }
    }

    async fn keys(&self, source: &Source, need: Need, now: Now) -> Result<Arc<databricks_kong::jwt::KeySet>, Refused> {
        let keys = self.keys.get(&source.name).ok_or(Refused::Issuer)?;
        let held = keys.held(need, now).await;
        let fetched = match &held {
            Ok(held) => held.fetched.as_ref().map(|fetched| fetched.as_ref().map(|_| ()).map_err(Clone::clone)),
            Err(error) => Some(Err(error.clone())),
        };
        if let Some(fetched) = fetched {
            let outcome = if fetched.is_ok() { "ok" } else { "failed" };
            self.metrics.keys.get_or_create(&OfSource { source: source.name.clone(), outcome }).inc();
            if let Err(error) = fetched {
                warn!(source = source.name, "keys could not be fetched: {error}");
            }
        }
        Ok(held?.keys)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

fn parse(kind: SourceType, token: &[u8]) -> Result<UnverifiedEvent, TokenError> {
    let kind = match kind {
        SourceType::BackchannelLogout => EventKind::Logout,
        SourceType::SecurityEvents => EventKind::SecurityEvent,
    };
    UnverifiedEvent::parse(token, TOKEN_BYTES, kind)
}
