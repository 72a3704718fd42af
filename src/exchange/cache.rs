//! Databricks tokens that are kept for reuse, and token endpoints that asked to be left alone.

use super::WorkspaceToken;
use crate::base::{Bounded, Budget, Fingerprint, Now, UnixTime, Uptime};
use std::time::Duration;

/// While one request renews a token, the others use the old one for this long.
const RENEWAL: Duration = Duration::from_secs(10);
/// Renewal begins this long before the end at the latest, or a quarter of the token's life before it if that is shorter.
const LONGEST_LEAD: Duration = Duration::from_secs(300);
/// Back-offs are few; past this many the ones that end first are forgotten.
const BACKOFFS: Budget = Budget { entries: 1024, bytes: usize::MAX };
/// A token that could not be had ahead of need is asked for again after this long, then after twice that, and so on.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// But at least this often.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// So many requests ask for one token at a time at most, where they cannot wait for each other.
const MOST_AT_ONCE: usize = 32;
/// What an entry takes up beside the token's text.
const OVERHEAD: usize = 256;

/// What the cache says of a token.
#[derive(Debug)]
pub enum Lookup {
    /// Use it.
    Hit(WorkspaceToken),
    /// It ends soon: ask for another, and use this one if that fails.
    Renew(WorkspaceToken),
    /// There is none: ask for one.
    Miss,
    /// There is none, and the token endpoint is not to be asked for this long.
    Backoff(Duration),
}

/// A bounded store of tokens. It may vanish at any time and holds nothing that could not be had again.
#[derive(Debug)]
pub struct TokenCache {
    tokens: Bounded<Fingerprint, Kept>,
    backoffs: Bounded<Fingerprint, Backoff, Uptime>,
    /// Tokens that nobody waits for, which could not be had or are asked for now. Requests do not mind them.
    ahead: Bounded<Fingerprint, Backoff, Uptime>,
    /// Until when requests ask for tokens of which there is none, one each.
    cold: Bounded<Fingerprint, Vec<Uptime>, Uptime>,
    /// Tokens that the workspace refused, by their text: another worker may still hand them over.
    refused: Bounded<Fingerprint, ()>,
}

/// One of the places of those who ask for a token of which there is none ([`TokenCache::begin_cold`]).
#[derive(Debug)]
#[must_use = "the place is taken until it is given back or its time is over"]
pub struct ColdLease {
    key: Fingerprint,
    until: Uptime,
}

/// What is not to be asked for.
#[derive(Clone, Copy, Debug)]
struct Backoff {
    until: Uptime,
    /// How often it failed, one time after the other.
    failures: u32,
}

#[derive(Debug)]
struct Kept {
    token: WorkspaceToken,
    until: UnixTime,
    renew_from: UnixTime,
    /// Until when somebody renews it.
    renewing: Option<Uptime>,
}

impl TokenCache {
    /// An empty store.
    #[must_use]
    pub const fn new(budget: Budget) -> Self {
        Self {
            tokens: Bounded::new(budget),
            backoffs: Bounded::new(BACKOFFS),
            ahead: Bounded::new(BACKOFFS),
            cold: Bounded::new(BACKOFFS),
            refused: Bounded::new(BACKOFFS),
        }
    }

    /// Changes how much may be held, at once.
    pub fn set_budget(&mut self, budget: Budget) {
        self.tokens.set_budget(budget);
    }

    /// Looks for the token of `key`. At most one of the requests that ask at about the same time is told to renew.
    /// A token that lives until `longest` cannot be renewed to live longer.
    pub fn lookup(&mut self, key: Fingerprint, now: Now, longest: UnixTime) -> Lookup {
        let backoff = self.backoffs.get(&key, now.uptime).map(|backoff| backoff.until.since(now.uptime));
        match (self.tokens.get_mut(&key, now.wall), backoff) {
            (Some(kept), backoff) => {
                let renews = kept.renewing.is_some_and(|until| now.uptime < until);
                if now.wall < kept.renew_from || kept.until >= longest || backoff.is_some() || renews {
                    return Lookup::Hit(kept.token.clone());
                }
                kept.renewing = Some(now.uptime.plus(RENEWAL));
                Lookup::Renew(kept.token.clone())
            }
            (None, Some(left)) => Lookup::Backoff(left),
            (None, None) => Lookup::Miss,
        }
    }

    /// Begins to ask for a token of `key`, of which there is none, unless too many requests do so already. Where requests wait for each other
    /// nobody needs to ask this. After `lease` the answer is not used any more, so that one that got lost counts no longer.
    pub fn begin_cold(&mut self, key: Fingerprint, lease: Duration, now: Now) -> Option<ColdLease> {
        let mut asking = self.cold.remove(&key).unwrap_or_default();
        asking.retain(|until| now.uptime < *until);
        let has_room = asking.len() < MOST_AT_ONCE;
        let until = now.uptime.plus(lease);
        if has_room {
            asking.push(until);
        }
        self.cold.insert(key, asking, until, 0, now.uptime);
        has_room.then_some(ColdLease { key, until })
    }

    /// What began so is over: answered, or given up.
    pub fn end_cold(&mut self, lease: ColdLease, now: Now) {
        let ColdLease { key, until } = lease;
        if let Some(asking) = self.cold.get_mut(&key, now.uptime)
            && let Some(place) = asking.iter().position(|other| *other == until)
        {
            asking.swap_remove(place);
        }
    }

    /// Keeps `token`, if it may be kept.
    pub fn store(&mut self, token: &WorkspaceToken, now: Now) {
        let key = token.key();
        self.backoffs.remove(&key);
        self.ahead.remove(&key);
        let Some(until) = token.keep_until().filter(|until| now.wall < *until) else { return };
        let renew_from = renewal_start(token.asked_at(), until, key);
        let bytes = token.secret().expose().len().saturating_add(OVERHEAD);
        let kept = Kept { token: token.clone(), until, renew_from, renewing: None };
        self.tokens.insert(key, kept, until, bytes, now.wall);
    }

    /// Forgets `token`, because the workspace refused it. Another token under the same key stays. Whether it was not known to be refused.
    pub fn forget(&mut self, token: &WorkspaceToken) -> bool {
        let mut is_news = false;
        if let Some(until) = token.keep_until().filter(|_| cfg!(feature = "native")) {
            is_news = self.refused.get(&text_of(token), UnixTime::from_millis(0)).is_none();
            self.refused.insert(text_of(token), (), until, 0, UnixTime::from_millis(0));
        }
        let kept = self.tokens.get(&token.key(), UnixTime::from_millis(0));
        if kept.is_some_and(|kept| kept.token.is(token.secret())) {
            self.tokens.remove(&token.key());
        }
        is_news
    }

    /// Leaves the token endpoint alone for `time`, as far as the token of `key` goes.
    pub fn back_off(&mut self, key: Fingerprint, time: Duration, now: Now) {
        let until = now.uptime.plus(time);
        self.backoffs.insert(key, Backoff { until, failures: 0 }, until, 0, now.uptime);
    }

    /// Whether the token of `key` is to be asked for though nobody waits for it: there is none, or it ends soon, and neither does anybody
    /// ask for it nor has the token endpoint failed to give it a moment ago. Whoever is told so asks for it.
    pub fn begin_ahead(&mut self, key: Fingerprint, now: Now) -> bool {
        let is_due = self.tokens.get(&key, now.wall).is_none_or(|kept| kept.renew_from <= now.wall);
        let known = self.ahead.get(&key, now.uptime).copied();
        let is_left_alone =
            self.backoffs.get(&key, now.uptime).is_some() || known.is_some_and(|known| now.uptime < known.until);
        if !is_due || is_left_alone {
            return false;
        }
        let until = now.uptime.plus(RENEWAL);
        if let Some(kept) = self.tokens.get_mut(&key, now.wall) {
            kept.renewing = Some(until);
        }
        let failures = known.map_or(0, |known| known.failures);
        self.ahead.insert(key, Backoff { until, failures }, until.plus(LONGEST_WAIT), 0, now.uptime);
        true
    }

    /// Whether there is a token of `key`.
    #[must_use]
    pub fn holds(&self, key: Fingerprint, now: Now) -> bool {
        self.tokens.get(&key, now.wall).is_some()
    }

    /// A token that nobody waits for could not be had.
    pub fn failed_ahead(&mut self, key: Fingerprint, now: Now) {
        let failures = self.ahead.get(&key, now.uptime).map_or(0, |known| known.failures).saturating_add(1);
        let doubled =
            FIRST_WAIT.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1).min(16)).unwrap_or(u32::MAX));
        let wait = doubled.min(LONGEST_WAIT);
        let until = now.uptime.plus(wait.saturating_add(share_of(wait, key)));
        self.ahead.insert(key, Backoff { until, failures }, until.plus(LONGEST_WAIT), 0, now.uptime);
    }

    /// Whether a token that somebody else obtained may be taken for one of today: it lives, and the workspace has not refused it.
    #[must_use]
    pub fn is_good(&self, token: &WorkspaceToken, now: Now) -> bool {
        token.lives_at(now.wall) && self.refused.get(&text_of(token), now.wall).is_none()
    }

    /// As [`Self::is_good`], and it does not end soon.
    #[must_use]
    pub fn is_fresh(&self, token: &WorkspaceToken, now: Now) -> bool {
        let ends = token.keep_until().unwrap_or(now.wall);
        self.is_good(token, now) && now.wall < renewal_start(token.asked_at(), ends, token.key())
    }
}

/// A quarter of the life before the end, at most five minutes, and up to a quarter of that earlier: the key's own share,
/// so that tokens that were minted together are not renewed together.
fn renewal_start(from: UnixTime, until: UnixTime, key: Fingerprint) -> UnixTime {
    let lead = until.since(from).checked_div(4).unwrap_or_default().min(LONGEST_LEAD);
    until.minus(lead.saturating_add(share_of(lead, key)))
}

/// Up to a quarter of `time`: the key's own share.
fn share_of(time: Duration, key: Fingerprint) -> Duration {
    let [share, ..] = *key.as_bytes();
    time.saturating_mul(u32::from(share)).checked_div(4 * 256).unwrap_or_default()
}

fn text_of(token: &WorkspaceToken) -> Fingerprint {
    Fingerprint::builder("refused-token").field(token.secret().expose().as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ROOM: Budget = Budget { entries: 10, bytes: 10_000 };

    fn key(name: &str) -> Fingerprint {
        Fingerprint::builder(name).finish()
    }

    fn wall(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    fn at(secs: u64) -> Now {
        Now { wall: wall(secs), uptime: Uptime::from_millis(wall(secs).as_millis()) }
    }

    fn token(name: &str, text: &str, until: u64) -> WorkspaceToken {
        WorkspaceToken::for_test(key(name), text, wall(0), Some(wall(until)))
    }

    fn text(lookup: &Lookup) -> String {
        match lookup {
            Lookup::Hit(token) => format!("hit {}", token.secret().expose()),
            Lookup::Renew(token) => format!("renew {}", token.secret().expose()),
            Lookup::Miss => "miss".to_owned(),
            Lookup::Backoff(left) => format!("backoff {}", left.as_secs()),
        }
    }

    #[test]
    fn a_token_is_used_until_it_ends_and_not_after() {
        let mut cache = TokenCache::new(ROOM);
        cache.store(&token("a", "t", 100), at(0));
        assert_eq!(text(&cache.lookup(key("a"), at(1), UnixTime::MAX)), "hit t");
        assert_eq!(text(&cache.lookup(key("b"), at(1), UnixTime::MAX)), "miss");
        assert_eq!(text(&cache.lookup(key("a"), at(100), UnixTime::MAX)), "miss");
    }

    #[test]
    fn one_request_renews_while_the_others_use_the_old_token() {
        let mut cache = TokenCache::new(ROOM);
        cache.store(&token("a", "t", 100), at(0));
        let seen: Vec<_> = [60, 80, 80, 81, 91].map(|now| text(&cache.lookup(key("a"), at(now), UnixTime::MAX))).into();
        assert_eq!(seen, ["hit t", "renew t", "hit t", "hit t", "renew t"]);
        cache.store(&token("a", "u", 180), at(92));
        assert_eq!(text(&cache.lookup(key("a"), at(93), UnixTime::MAX)), "hit u");
    }

    #[test]
    fn tokens_that_were_minted_together_are_renewed_one_by_one_but_in_the_last_third() {
        let starts: BTreeSet<_> =
            (0..50).map(|number| renewal_start(wall(0), wall(960), key(&number.to_string())).as_secs()).collect();
        assert!(starts.len() > 20, "{starts:?}");
        assert!(starts.iter().all(|start| (660..=720).contains(start)), "{starts:?}");
        // however long a token lives
        let start = renewal_start(wall(0), wall(100_000), key("a")).as_secs();
        assert!((100_000 - 375..=100_000 - 300).contains(&start), "{start}");
    }

    #[test]
    fn a_back_off_holds_new_tokens_off_but_not_kept_ones() {
        let mut cache = TokenCache::new(ROOM);
        cache.back_off(key("a"), Duration::from_secs(50), at(0));
        assert_eq!(text(&cache.lookup(key("a"), at(49), UnixTime::MAX)), "backoff 1");
        assert_eq!(text(&cache.lookup(key("b"), at(49), UnixTime::MAX)), "miss");
        assert_eq!(text(&cache.lookup(key("a"), at(50), UnixTime::MAX)), "miss");
        cache.store(&token("c", "t", 100), at(0));
        cache.back_off(key("c"), Duration::from_secs(15), at(80));
        assert_eq!(text(&cache.lookup(key("c"), at(90), UnixTime::MAX)), "hit t");
    }

    #[test]
    fn what_may_not_be_kept_is_not() {
        let mut cache = TokenCache::new(ROOM);
        cache.store(&WorkspaceToken::for_test(key("a"), "t", wall(0), None), at(0));
        cache.store(&token("b", "t", 5), at(5));
        for name in ["a", "b"] {
            assert_eq!(text(&cache.lookup(key(name), at(6), UnixTime::MAX)), "miss", "{name}");
        }
        assert!(cache.tokens.is_empty());
    }

    #[test]
    fn a_step_of_the_wall_clock_prolongs_no_back_off_and_no_renewal() {
        let mut cache = TokenCache::new(ROOM);
        cache.store(&token("a", "t", 100), at(0));
        let earlier = |uptime: u64| Now { wall: wall(80), uptime: Uptime::from_millis(uptime) };
        let seen =
            [100_000, 109_999, 110_000].map(|uptime| text(&cache.lookup(key("a"), earlier(uptime), UnixTime::MAX)));
        assert_eq!(seen, ["renew t", "hit t", "renew t"]);
        cache.back_off(key("b"), Duration::from_secs(5), at(100));
        let back = Now { wall: wall(1), uptime: at(105).uptime };
        assert_eq!(text(&cache.lookup(key("b"), back, UnixTime::MAX)), "miss");
    }

    #[test]
    fn tokens_are_bounded_by_their_bytes_too() {
        let mut cache = TokenCache::new(Budget { entries: 10, bytes: 3 * 2_000 + 3 * OVERHEAD });
        let long = "t".repeat(2_000);
        for (name, until) in [("a", 100), ("b", 200), ("c", 300), ("d", 400)] {
            cache.store(&token(name, &long, until), at(0));
        }
        let kept = ["a", "b", "c", "d"].map(|name| text(&cache.lookup(key(name), at(1), UnixTime::MAX)) != "miss");
        assert_eq!(kept, [false, true, true, true]);
    }

    #[test]
    fn only_the_refused_token_is_forgotten() {
        let mut cache = TokenCache::new(ROOM);
        cache.store(&token("a", "new", 100), at(0));
        cache.forget(&token("a", "old", 100));
        assert_eq!(text(&cache.lookup(key("a"), at(1), UnixTime::MAX)), "hit new");
        cache.forget(&token("a", "new", 100));
        assert_eq!(text(&cache.lookup(key("a"), at(1), UnixTime::MAX)), "miss");
    }

    #[test]
    fn back_offs_are_bounded() {
        let mut cache = TokenCache::new(ROOM);
        for number in 0..2 * BACKOFFS.entries {
            cache.back_off(key(&number.to_string()), Duration::from_secs(100), at(0));
        }
        assert_eq!(cache.backoffs.len(), BACKOFFS.entries);
    }

    #[test]
    fn whoever_gives_a_place_back_gives_back_its_own() {
        let mut cache = TokenCache::new(ROOM);
        let lease = Duration::from_secs(10);
        let begin = |cache: &mut TokenCache, secs| cache.begin_cold(key("k"), lease, at(secs));
        let first = begin(&mut cache, 0).unwrap();
        for _ in 1..MOST_AT_ONCE {
            assert!(begin(&mut cache, 5).is_some());
        }
        assert!(begin(&mut cache, 5).is_none(), "all places are taken");
        cache.end_cold(first, at(6));
        assert!(begin(&mut cache, 6).is_some());
        assert!(begin(&mut cache, 6).is_none());
        // the first would be over by now: its place must not be given away twice
        assert!(begin(&mut cache, 11).is_none());
        assert!(begin(&mut cache, 15).is_some());
    }
}
