//! How many requests of its own a fleet of gateways sends, as arithmetic. tests/flow/capacity.rs runs the core's own flow against it.
//!
//! Every caller is taken to be busy all the time and to meet every worker, so that these are the most that steady traffic comes to.

/// `renewal_start` of src/exchange/cache.rs: a quarter of a token's life before its end, at most so many seconds, and up to a quarter more.
const LONGEST_LEAD: f64 = 300.0;
const MEAN_SHARE: f64 = 1.125;
/// src/flow/keys.rs: how long keys are fresh where their server does not say, and the part of it that is left when they are fetched again.
const KEYS_FRESH: f64 = 600.0;
const KEYS_LEFT_TO_TIMERS: f64 = 1.0 / 5.0;
const KEYS_LEFT_TO_REQUESTS: f64 = 1.0 / 10.0;
/// src/flow/feed.rs: the part of `refresh` that is left when timers read a feed again; requests read it when nothing is left.
const FEED_LEFT_TO_TIMERS: f64 = 1.0 / 5.0;
/// How long Databricks' token of a service principal lives, in seconds.
const PRINCIPAL_TOKEN_LIFE: f64 = 3600.0;

/// What runs the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// The filter in Kong: no timers, and each worker has a memory of its own.
    KongFilter,
    /// The filter in Envoy: timers in each worker, and in the main thread, which serves no requests.
    Envoy,
    /// The native plugin with its shared dictionary: timers in each worker, and tokens once for all workers of a node.
    Plugin,
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fleet {
    /// Callers who are busy.
    pub(crate) users: f64,
    /// Machines.
    pub(crate) nodes: f64,
    /// Workers of each machine.
    pub(crate) workers: f64,
    /// Seconds that the identity provider's tokens live.
    pub(crate) token_life: f64,
}

/// What a configuration asks of other servers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Demand {
    /// Databricks tokens that one caller uses at the same time, of those that are a caller's own: one for each scope.
    pub(crate) own_tokens: f64,
    /// Databricks tokens that the callers of their roles share.
    pub(crate) shared_tokens: f64,
    /// Key sets of identity providers.
    pub(crate) key_sets: f64,
    /// Seconds after which each feed of revoked identities is read again.
    pub(crate) feeds: Vec<f64>,
    /// Seconds for which an answer is kept, of each provider that is asked of every token.
    pub(crate) introspections: Vec<f64>,
}

/// Requests a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rates {
    /// Of tokens of callers, at a token endpoint.
    pub(crate) own_exchanges: f64,
    /// Of tokens that callers share.
    pub(crate) shared_exchanges: f64,
    /// Of keys.
    pub(crate) key_fetches: f64,
    /// Of feeds.
    pub(crate) feed_reads: f64,
    /// About tokens.
    pub(crate) introspections: f64,
}

impl Rates {
    /// At Databricks.
    pub(crate) const fn exchanges(&self) -> f64 {
        self.own_exchanges + self.shared_exchanges
    }

    /// At the identity provider.
    pub(crate) const fn at_the_provider(&self) -> f64 {
        self.key_fetches + self.feed_reads + self.introspections
    }
}

impl Host {
    const fn has_timers(self) -> bool {
        !matches!(self, Self::KongFilter)
    }

    /// Memories that hold keys, feeds and shared tokens.
    const fn memories(self, fleet: &Fleet) -> f64 {
        match self {
            Self::KongFilter | Self::Plugin => fleet.nodes * fleet.workers,
            Self::Envoy => fleet.nodes * (fleet.workers + 1.0),
        }
    }

    /// Memories that hold callers' tokens.
    pub(crate) const fn token_memories(self, fleet: &Fleet) -> f64 {
        match self {
            Self::KongFilter | Self::Envoy => fleet.nodes * fleet.workers,
            Self::Plugin => fleet.nodes,
        }
    }

    const fn shared_token_memories(self, fleet: &Fleet) -> f64 {
        match self {
            Self::Plugin => fleet.nodes,
            Self::KongFilter | Self::Envoy => self.memories(fleet),
        }
    }
}

/// Seconds from one exchange of a token that lives so long to the next.
pub(crate) const fn interval(life: f64) -> f64 {
    life - (life / 4.0).min(LONGEST_LEAD) * MEAN_SHARE
}

/// What steady traffic comes to.
pub(crate) fn rates(host: Host, demand: &Demand, fleet: &Fleet) -> Rates {
    let memories = host.memories(fleet);
    let keys_left = if host.has_timers() { KEYS_LEFT_TO_TIMERS } else { KEYS_LEFT_TO_REQUESTS };
    let feed_left = if host.has_timers() { FEED_LEFT_TO_TIMERS } else { 0.0 };
    let feeds: f64 = demand.feeds.iter().map(|refresh| memories / (refresh * (1.0 - feed_left))).sum();
    let asked: f64 = demand.introspections.iter().map(|kept| fleet.users * fleet.nodes * fleet.workers / kept).sum();
    Rates {
        own_exchanges: fleet.users * demand.own_tokens * host.token_memories(fleet) / interval(fleet.token_life),
        shared_exchanges: demand.shared_tokens * host.shared_token_memories(fleet) / interval(PRINCIPAL_TOKEN_LIFE),
        key_fetches: demand.key_sets * memories / (KEYS_FRESH * (1.0 - keys_left)),
        feed_reads: feeds,
        introspections: asked,
    }
}

/// Exchanges once all nodes have been started anew and every caller has been at every worker.
pub(crate) const fn cold_exchanges(host: Host, demand: &Demand, fleet: &Fleet) -> f64 {
    fleet.users * demand.own_tokens * host.token_memories(fleet)
        + demand.shared_tokens * host.shared_token_memories(fleet)
}
