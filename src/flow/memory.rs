//! What a worker remembers between requests.

use super::exchange::Renewals;
use super::feed::Feeds;
use super::introspection::Introspections;
use super::keys::Keys;
use super::login::Logins;
use super::lookup::RunJobs;
use super::quota::Quotas;
use super::verdicts::Verdicts;
use crate::base::Budget;
use crate::config::Config;
use crate::exchange::{SigningKeys, TokenCache};
use std::rc::{Rc, Weak};

/// What verified callers may take up, in bytes by their own account.
pub(super) const VERDICT_BYTES: usize = 64 * 1024 * 1024;
/// What callers of whom a provider said that they are in force may take up.
const INTROSPECTION_BYTES: usize = 32 * 1024 * 1024;
/// What Databricks tokens may take up.
const TOKEN_BYTES: usize = 32 * 1024 * 1024;

/// What is remembered between requests, for all configurations of a worker. It may vanish at any time; nothing depends on its being there.
///
/// How much it holds is the worker's affair, not that of the route that stores last: at most as many tokens and callers as the largest
/// `limits.cached_tokens` of the configurations in use says, and 64 MiB of callers and 32 MiB of tokens in any case. A feed of revoked
/// identities takes up 24 bytes for each of at most 200,000 entries, and up to 16 MiB while it is read.
#[derive(Debug)]
pub struct Memory {
    pub(super) keys: Keys,
    pub(super) feeds: Feeds,
    pub(super) logins: Logins,
    pub(super) introspections: Introspections,
    pub(super) tokens: TokenCache,
    pub(super) renewals: Renewals,
    pub(super) verdicts: Verdicts,
    pub(super) runs: RunJobs,
    pub(super) signing_keys: SigningKeys,
    /// How many identities were signed.
    pub(super) signed: u64,
    pub(super) quotas: Quotas,
    /// In the order in which they were taken up.
    configurations: Vec<Weak<Config>>,
    /// How many configurations were taken up so far.
    generation: Generation,
}

/// How often the worker's configurations have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generation(u64);

impl Default for Memory {
    fn default() -> Self {
        let none = Budget { entries: 0, bytes: 0 };
        Self {
            keys: Keys::default(),
            feeds: Feeds::default(),
            logins: Logins::default(),
            introspections: Introspections::new(none),
            tokens: TokenCache::new(none),
            renewals: Renewals::default(),
            verdicts: Verdicts::new(none),
            runs: RunJobs::default(),
            signing_keys: SigningKeys::default(),
            signed: 0,
            quotas: Quotas::default(),
            configurations: Vec::new(),
            generation: Generation::default(),
        }
    }
}

impl Memory {
    /// A configuration is taken up. Every one has to be named here before requests come to it; again is no harm.
    pub fn configured(&mut self, config: &Rc<Config>) {
        let is_new = !self.configurations.iter().any(|known| known.as_ptr() == Rc::as_ptr(config));
        self.configurations.retain(|known| known.strong_count() > 0);
        if is_new {
            self.configurations.push(Rc::downgrade(config));
            self.generation = Generation(self.generation.0.saturating_add(1));
            let providers = self.in_use().flat_map(|config| config.providers.clone()).collect::<Vec<_>>();
            let digests = self.in_use().map(|config| config.digest).collect::<Vec<_>>();
            self.renewals.keep_only(|digest| digests.contains(&digest));
            self.feeds.keep_only(providers.iter().filter_map(|provider| provider.revocation.as_deref()));
        }
        let entries = self.in_use().map(|config| config.limits.cached_tokens).max().unwrap_or(0);
        self.verdicts.set_budget(Budget { entries, bytes: VERDICT_BYTES });
        self.introspections.set_budget(Budget { entries, bytes: INTROSPECTION_BYTES });
        self.tokens.set_budget(Budget { entries, bytes: TOKEN_BYTES });
    }

    fn in_use(&self) -> impl Iterator<Item = Rc<Config>> {
        self.configurations.iter().filter_map(Weak::upgrade)
    }

    pub(super) const fn generation(&self) -> Generation {
        self.generation
    }

    /// The configuration that has come to stand in the place of `config`: the newest of the same workspace at the same address, if it
    /// says something else.
    pub(super) fn successor(&self, config: &Config) -> Option<Rc<Config>> {
        let address = |config: &Config| config.workspace.public_url.as_ref().map(ToString::to_string);
        let takes_its_place =
            |new: &Rc<Config>| new.workspace.identity == config.workspace.identity && address(new) == address(config);
        self.in_use().filter(takes_its_place).last().filter(|new| new.digest != config.digest)
    }
}
