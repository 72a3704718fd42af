//! What `/metrics` tells. No label has a value that a sender can choose.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Labels of events.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfEvent {
    /// The source's name; `unknown` for an issuer that no source has.
    pub source: String,
    /// `kept`, `known`, `ignored`, `refused` or `unavailable`.
    pub outcome: &'static str,
    /// The event's name, or why the token was refused.
    pub detail: &'static str,
}

/// Labels of what goes well or fails at a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfSource {
    /// The source's name.
    pub source: String,
    /// `ok` or `failed`.
    pub outcome: &'static str,
}

/// The label of a source alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Name {
    /// The source's name.
    pub source: String,
}

/// The label of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfProvider {
    /// The provider's name.
    pub provider: String,
}

/// Labels of requests for a feed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfFeed {
    /// The provider's name.
    pub provider: String,
    /// The answer's status.
    pub status: u32,
}

/// The counters.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Tokens and what became of them.
    pub events: Family<OfEvent, Counter>,
    /// Requests for feeds.
    pub feeds: Family<OfFeed, Counter>,
    /// Live entries.
    pub entries: Family<OfProvider, Gauge>,
    /// Fetches of keys.
    pub keys: Family<OfSource, Counter>,
    /// Polls.
    pub polls: Family<OfSource, Counter>,
    /// When a poll last went well.
    pub last_poll: Family<Name, Gauge>,
    /// Failures of the database.
    pub database: Counter,
    /// Requests for `/revocations` without the secret.
    pub unauthorized: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("databricks_kong_revocations"),
            events: Family::default(),
            feeds: Family::default(),
            entries: Family::default(),
            keys: Family::default(),
            polls: Family::default(),
            last_poll: Family::default(),
            database: Counter::default(),
            unauthorized: Counter::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("events", "Tokens that arrived, and what became of them", metrics.events.clone());
        registry.register("feed_requests", "Requests for feeds, by status", metrics.feeds.clone());
        registry.register("entries", "Entries in the feed", metrics.entries.clone());
        registry.register("keys_fetches", "Fetches of keys", metrics.keys.clone());
        registry.register("polls", "Polls of transmitters", metrics.polls.clone());
        registry.register("poll_last_ok_seconds", "When a poll last went well", metrics.last_poll.clone());
        registry.register("database_failures", "What the database did not do", metrics.database.clone());
        registry.register("unauthorized", "Requests that lacked a secret", metrics.unauthorized.clone());
        metrics
    }

    /// In the text format of OpenMetrics, which Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut page = String::new();
        // writing to a `String` cannot fail
        let _ = text::encode(&mut page, &self.registry);
        page
    }

    /// Counts a token.
    pub fn event(&self, source: &str, outcome: &'static str, detail: &'static str) {
        self.events.get_or_create(&OfEvent { source: source.to_owned(), outcome, detail }).inc();
    }
}
