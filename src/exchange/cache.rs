//! Databricks tokens that are kept for reuse, and token endpoints that asked to be left alone.

use super::WorkspaceToken;
use crate::base::{Fingerprint, UnixTime};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// While one request renews a token, the others use the old one for this long.
const RENEWAL: Duration = Duration::from_secs(10);
/// Renewal begins this long before the end at the latest, or a quarter of the token's life before it if that is shorter.
const LONGEST_LEAD: Duration = Duration::from_secs(300);
/// Back-offs are few; past this many the ones that end first are forgotten.
const BACKOFFS: usize = 1024;

/// What the cache says of a token.
#[derive(Debug)]
pub enum Lookup {
    /// Use it.
    Hit(WorkspaceToken),
    /// It ends soon: ask for another, and use this one if that fails.
    Renew(WorkspaceToken),
    /// There is none: ask for one.
    Miss,
    /// There is none, and the token endpoint is not to be asked until then.
    Backoff(UnixTime),
}

/// A bounded store of tokens. It may vanish at any time and holds nothing that could not be had again.
#[derive(Debug, Default)]
pub struct TokenCache {
    tokens: BTreeMap<Fingerprint, Kept>,
    /// The same tokens by their end, to find those that may go.
    ends: BTreeSet<(UnixTime, Fingerprint)>,
    backoffs: BTreeMap<Fingerprint, UnixTime>,
}

#[derive(Debug)]
struct Kept {
    token: WorkspaceToken,
    until: UnixTime,
    renew_from: UnixTime,
}

impl TokenCache {
    /// Looks for the token of `key`. At most one of the requests that ask at about the same time is told to renew.
    /// A token that lives until `longest` cannot be renewed to live longer.
    pub fn lookup(&mut self, key: Fingerprint, now: UnixTime, longest: UnixTime) -> Lookup {
        let backoff = self.backoffs.get(&key).copied().filter(|until| now < *until);
        match (self.tokens.get_mut(&key), backoff) {
            (Some(kept), backoff) if now < kept.until => {
                if now < kept.renew_from || kept.until >= longest || backoff.is_some() {
                    return Lookup::Hit(kept.token.clone());
                }
                kept.renew_from = now.plus(RENEWAL);
                Lookup::Renew(kept.token.clone())
            }
            (_, Some(until)) => Lookup::Backoff(until),
            (_, None) => Lookup::Miss,
        }
    }

    /// Keeps `token`, if it may be kept; past `capacity` tokens the ones that end first are forgotten.
    pub fn store(&mut self, token: &WorkspaceToken, now: UnixTime, capacity: usize) {
        let key = token.key();
        self.backoffs.remove(&key);
        let Some(until) = token.keep_until().filter(|until| now < *until) else { return };
        self.remove(key);
        let renew_from = renewal_start(token.asked_at(), until, key);
        self.ends.insert((until, key));
        self.tokens.insert(key, Kept { token: token.clone(), until, renew_from });
        while self.tokens.len() > capacity || self.ends.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, key)) = self.ends.first().copied() else { return };
            self.remove(key);
        }
    }

    /// Forgets `token`, because the workspace refused it. Another token under the same key stays.
    pub fn forget(&mut self, token: &WorkspaceToken) {
        if self.tokens.get(&token.key()).is_some_and(|kept| kept.token.is(token.secret())) {
            self.remove(token.key());
        }
    }

    /// Leaves the token endpoint alone until `until`, as far as the token of `key` goes.
    pub fn back_off(&mut self, key: Fingerprint, until: UnixTime, now: UnixTime) {
        self.backoffs.retain(|_, until| now < *until);
        if self.backoffs.len() >= BACKOFFS {
            let first = self.backoffs.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key);
            first.and_then(|key| self.backoffs.remove(&key));
        }
        self.backoffs.insert(key, until);
    }

    fn remove(&mut self, key: Fingerprint) {
        if let Some(kept) = self.tokens.remove(&key) {
            self.ends.remove(&(kept.until, key));
        }
    }
}

/// A quarter of the life before the end, at most five minutes, and up to a quarter of that earlier: the key's own share,
/// so that tokens that were minted together are not renewed together.
fn renewal_start(from: UnixTime, until: UnixTime, key: Fingerprint) -> UnixTime {
    let lead = until.since(from).checked_div(4).unwrap_or_default().min(LONGEST_LEAD);
    let [share, ..] = *key.as_bytes();
    let jitter = lead.saturating_mul(u32::from(share)).checked_div(4 * 256).unwrap_or_default();
    until.minus(lead.saturating_add(jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Fingerprint {
        Fingerprint::builder(name).finish()
    }

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    fn token(name: &str, text: &str, until: u64) -> WorkspaceToken {
        WorkspaceToken::for_test(key(name), text, at(0), Some(at(until)))
    }

    fn text(lookup: &Lookup) -> String {
        match lookup {
            Lookup::Hit(token) => format!("hit {}", token.secret().expose()),
            Lookup::Renew(token) => format!("renew {}", token.secret().expose()),
            Lookup::Miss => "miss".to_owned(),
            Lookup::Backoff(until) => format!("backoff {}", until.as_secs()),
        }
    }

    #[test]
    fn a_token_is_used_until_it_ends_and_not_after() {
        let mut cache = TokenCache::default();
        cache.store(&token("a", "t", 100), at(0), 10);
        assert_eq!(text(&cache.lookup(key("a"), at(1), UnixTime::MAX)), "hit t");
        assert_eq!(text(&cache.lookup(key("b"), at(1), UnixTime::MAX)), "miss");
        assert_eq!(text(&cache.lookup(key("a"), at(100), UnixTime::MAX)), "miss");
    }

    #[test]
    fn one_request_renews_while_the_others_use_the_old_token() {
        let mut cache = TokenCache::default();
        cache.store(&token("a", "t", 100), at(0), 10);
        let seen: Vec<_> = [60, 80, 80, 81, 91].map(|now| text(&cache.lookup(key("a"), at(now), UnixTime::MAX))).into();
        assert_eq!(seen, ["hit t", "renew t", "hit t", "hit t", "renew t"]);
        cache.store(&token("a", "u", 180), at(92), 10);
        assert_eq!(text(&cache.lookup(key("a"), at(93), UnixTime::MAX)), "hit u");
    }

    #[test]
    fn tokens_that_were_minted_together_are_renewed_one_by_one_but_in_the_last_third() {
        let starts: BTreeSet<_> =
            (0..50).map(|number| renewal_start(at(0), at(960), key(&number.to_string())).as_secs()).collect();
        assert!(starts.len() > 20, "{starts:?}");
        assert!(starts.iter().all(|start| (660..=720).contains(start)), "{starts:?}");
        // however long a token lives
        let start = renewal_start(at(0), at(100_000), key("a")).as_secs();
        assert!((100_000 - 375..=100_000 - 300).contains(&start), "{start}");
    }

    #[test]
    fn a_back_off_holds_new_tokens_off_but_not_kept_ones() {
        let mut cache = TokenCache::default();
        cache.back_off(key("a"), at(50), at(0));
        assert_eq!(text(&cache.lookup(key("a"), at(49), UnixTime::MAX)), "backoff 50");
        assert_eq!(text(&cache.lookup(key("b"), at(49), UnixTime::MAX)), "miss");
        assert_eq!(text(&cache.lookup(key("a"), at(50), UnixTime::MAX)), "miss");
        cache.store(&token("c", "t", 100), at(0), 10);
        cache.back_off(key("c"), at(95), at(80));
        assert_eq!(text(&cache.lookup(key("c"), at(90), UnixTime::MAX)), "hit t");
    }

    #[test]
    fn what_may_not_be_kept_is_not() {
        let mut cache = TokenCache::default();
        cache.store(&WorkspaceToken::for_test(key("a"), "t", at(0), None), at(0), 10);
        cache.store(&token("b", "t", 5), at(5), 10);
        cache.store(&token("c", "t", 100), at(0), 0);
        for name in ["a", "b", "c"] {
            assert_eq!(text(&cache.lookup(key(name), at(6), UnixTime::MAX)), "miss", "{name}");
        }
        assert!(cache.tokens.is_empty() && cache.ends.is_empty());
    }

    #[test]
    fn past_the_capacity_the_tokens_that_end_first_go() {
        let mut cache = TokenCache::default();
        for (name, until) in [("a", 300), ("b", 200), ("c", 400)] {
            cache.store(&token(name, "t", until), at(0), 2);
        }
        let seen: Vec<_> = ["a", "b", "c"].map(|name| text(&cache.lookup(key(name), at(1), UnixTime::MAX))).into();
        assert_eq!(seen, ["hit t", "miss", "hit t"]);
        assert_eq!((cache.tokens.len(), cache.ends.len()), (2, 2));
    }

    #[test]
    fn only_the_refused_token_is_forgotten() {
        let mut cache = TokenCache::default();
        cache.store(&token("a", "new", 100), at(0), 10);
        cache.forget(&token("a", "old", 100));
        assert_eq!(text(&cache.lookup(key("a"), at(1), UnixTime::MAX)), "hit new");
        cache.forget(&token("a", "new", 100));
        assert_eq!(text(&cache.lookup(key("a"), at(1), UnixTime::MAX)), "miss");
    }

    #[test]
    fn back_offs_are_bounded() {
        let mut cache = TokenCache::default();
        for number in 0..2 * BACKOFFS {
            cache.back_off(key(&number.to_string()), at(100), at(0));
        }
        assert_eq!(cache.backoffs.len(), BACKOFFS);
    }
}
