//! A store that may hold only so much.

use super::{DigestMap, UnixTime};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::hash::{BuildHasherDefault, Hash};

/// How much a [`Bounded`] store may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many entries.
    pub entries: usize,
    /// How many bytes all entries together, by their own account.
    pub bytes: usize,
}

/// Values that are kept until they end, bounded in number and in bytes; past either bound those that end first are forgotten.
///
/// It may vanish at any time and holds nothing that could not be had again.
#[derive(Debug)]
pub struct Bounded<K, V, T = UnixTime> {
    entries: DigestMap<K, Entry<V, T>>,
    /// The same entries by their end, to find those that may go, and some that are gone or end at another time by now.
    ends: BinaryHeap<End<K, T>>,
    bytes: usize,
    budget: Budget,
}

#[derive(Debug)]
struct Entry<V, T> {
    value: V,
    until: T,
    bytes: usize,
}

/// When the value of a key ends. The first end is the greatest, as the heap has it; keys have no order, which would be most of its code.
#[derive(Debug)]
struct End<K, T> {
    key: K,
    until: T,
}

impl<K, T: Ord> Ord for End<K, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.until.cmp(&self.until)
    }
}

impl<K, T: Ord> PartialOrd for End<K, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K, T: Ord> PartialEq for End<K, T> {
    fn eq(&self, other: &Self) -> bool {
        self.until == other.until
    }
}

impl<K, T: Ord> Eq for End<K, T> {}

impl<K: Copy + Eq + Hash, V, T: Copy + Ord> Bounded<K, V, T> {
    /// An empty store.
    #[must_use]
    pub const fn new(budget: Budget) -> Self {
        Self { entries: DigestMap::with_hasher(BuildHasherDefault::new()), ends: BinaryHeap::new(), bytes: 0, budget }
    }

    /// Changes how much may be held, at once.
    pub fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
        self.shrink();
        self.forget_old_ends();
    }

    /// The value of `key`, if it has not ended.
    #[must_use]
    pub fn get(&self, key: &K, now: T) -> Option<&V> {
        self.entries.get(key).filter(|entry| now < entry.until).map(|entry| &entry.value)
    }

    /// As [`Self::get`], to change it. What it takes up must stay the same.
    #[must_use]
    pub fn get_mut(&mut self, key: &K, now: T) -> Option<&mut V> {
        self.entries.get_mut(key).filter(|entry| now < entry.until).map(|entry| &mut entry.value)
    }

    /// Keeps `value`, which takes up `bytes`, until just before `until`, in place of what `key` had. What has ended by `now` goes, and
    /// then what ends first, until the rest is within the budget: that may be `value` itself.
    pub fn insert(&mut self, key: K, value: V, until: T, bytes: usize, now: T) {
        self.take(&key);
        self.entries.insert(key, Entry { value, until, bytes });
        self.ends.push(End { key, until });
        self.bytes = self.bytes.saturating_add(bytes);
        while self.ends.peek().is_some_and(|end| end.until <= now) {
            self.remove_first();
        }
        self.shrink();
        self.forget_old_ends();
    }

    /// Takes the value of `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.take(key);
        self.forget_old_ends();
        value
    }

    fn take(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        Some(entry.value)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What all entries take up, by their own account.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn shrink(&mut self) {
        while self.entries.len() > self.budget.entries || self.bytes > self.budget.bytes {
            if !self.remove_first() {
                return;
            }
        }
    }

    /// Forgets what ends first; whether there was something.
    fn remove_first(&mut self) -> bool {
        let Some(End { key, until }) = self.ends.pop() else { return false };
        if self.entries.get(&key).is_some_and(|entry| entry.until == until) {
            self.take(&key);
        }
        true
    }

    /// Keeps the ends of what is gone from becoming more than what is there.
    fn forget_old_ends(&mut self) {
        if self.ends.len() / 2 > self.entries.len() {
            self.ends = self.entries.iter().map(|(key, entry)| End { key: *key, until: entry.until }).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: Budget = Budget { entries: 2, bytes: 100 };

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    fn keys(store: &Bounded<u8, u8>) -> Vec<u8> {
        let mut keys: Vec<_> = store.entries.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn past_either_bound_what_ends_first_goes() {
        let mut store = Bounded::new(ROOM);
        for (key, until) in [(1, 300), (2, 200), (3, 400)] {
            store.insert(key, key, at(until), 10, at(0));
        }
        assert_eq!((keys(&store), store.bytes()), (vec![1, 3], 20));
        store.insert(4, 4, at(500), 95, at(0));
        assert_eq!((keys(&store), store.bytes()), (vec![4], 95));
    }

    #[test]
    fn what_is_larger_than_the_budget_is_not_kept() {
        let mut store = Bounded::new(ROOM);
        store.insert(1, 1, at(9), 101, at(0));
        assert_eq!((keys(&store), store.bytes()), (vec![], 0));
    }

    #[test]
    fn a_value_ends_at_its_end_and_is_gone_with_the_next() {
        let mut store = Bounded::new(ROOM);
        store.insert(1, 1, at(10), 1, at(0));
        assert_eq!([9, 10].map(|now| store.get(&1, at(now)).copied()), [Some(1), None]);
        store.insert(2, 2, at(20), 1, at(10));
        assert_eq!(keys(&store), [2]);
    }

    #[test]
    fn a_smaller_budget_holds_at_once() {
        let mut store = Bounded::new(ROOM);
        store.insert(1, 1, at(10), 1, at(0));
        store.insert(2, 2, at(20), 1, at(0));
        store.set_budget(Budget { entries: 1, ..ROOM });
        assert_eq!(keys(&store), [2]);
    }

    proptest! {
        #[test]
        fn accounts_are_right_and_bounds_hold_whatever_happens(
            happenings in proptest::collection::vec((0_u8..6, 0_u64..50, 0_usize..80, 0_u64..50, any::<bool>()), 0..60),
        ) {
            let mut store = Bounded::new(ROOM);
            for (key, until, bytes, now, insert) in happenings {
                if insert {
                    store.insert(key, key, at(until), bytes, at(now));
                } else {
                    store.remove(&key);
                }
                prop_assert!(store.len() <= ROOM.entries && store.bytes() <= ROOM.bytes);
                prop_assert!(store.ends.len() / 2 <= store.len(), "ends of what is gone stay");
                for (key, entry) in &store.entries {
                    prop_assert!(store.ends.iter().any(|end| (end.until, end.key) == (entry.until, *key)), "{} never ends", key);
                }
                prop_assert_eq!(store.bytes(), store.entries.values().map(|entry| entry.bytes).sum::<usize>());
            }
        }
    }
}
