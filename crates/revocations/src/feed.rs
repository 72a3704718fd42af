//! The feeds: made when entries change, and served from memory.

use crate::config::Config;
use crate::entry::{Entry, Kind};
use crate::metrics::{Metrics, OfProvider};
use crate::store::{Database, StoreError};
use databricks_kong::base::{Now, UnixTime, Uptime};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;

/// How often the database is asked whether another process changed it.
pub const LOOK: Duration = Duration::from_millis(500);
/// How long feeds are served that the database did not confirm. A feed that is answered counts as fresh at the gateways, so one that may lack
/// revocations is not: they refuse once theirs is older than `max_stale`.
pub const UNCONFIRMED: Duration = Duration::from_secs(10);

/// A feed as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The JSON.
    pub body: axum::body::Bytes,
    /// Its entity tag: the same of every instance that has the same entries.
    pub etag: String,
    /// How many entries it has.
    pub entries: usize,
    /// The second at which the first of them ends.
    pub ends: Option<u64>,
}

#[derive(Serialize, Default)]
struct Body<'e> {
    subjects: Vec<Item<'e>>,
    tokens: Vec<&'e str>,
    clients: Vec<Item<'e>>,
    sessions: Vec<Item<'e>>,
    not_before: Option<u64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'e> {
    Cut(&'e str),
    Before { value: &'e str, before: u64 },
}

/// The feed of these entries of one provider at `now`.
#[must_use]
pub fn snapshot(entries: &[Entry], now: UnixTime) -> Snapshot {
    let live = entries.iter().filter(|entry| entry.is_live(now) && !entry.lifted);
    let ends = live.clone().filter_map(|entry| entry.until).min();
    // one item for a value, whoever said so: cut off for good, or before the latest of their times
    let mut merged: BTreeMap<(Kind, &str), (&str, Option<u64>)> = BTreeMap::new();
    for entry in live {
        let item = (entry.value.as_str(), entry.before);
        let held = merged.entry((entry.key.kind, entry.key.folded.as_str())).or_insert(item);
        held.1 = match (held.1, entry.before) {
            (Some(one), Some(other)) => Some(one.max(other)),
            _ => None,
        };
    }
    let count = merged.len();
    let mut body = Body::default();
    for ((kind, _), (value, before)) in merged {
        let item = before.map_or(Item::Cut(value), |before| Item::Before { value, before });
        match kind {
            Kind::Subject => body.subjects.push(item),
            Kind::Token => body.tokens.push(value),
            Kind::Client => body.clients.push(item),
            Kind::Session => body.sessions.push(item),
            // without a time: every token that is issued before the end of time
            Kind::Everyone => body.not_before = Some(before.unwrap_or(LAST_SECOND)),
        }
    }
    // these types cannot fail to be written
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let etag = Sha256::digest(&body).iter().take(16).fold(String::from("\""), |mut tag, byte| {
        let _ = write!(tag, "{byte:02x}");
        tag
    }) + "\"";
    Snapshot { body: body.into(), etag, entries: count, ends }
}

/// The end of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// All feeds.
#[derive(Debug)]
pub struct Feeds {
    snapshots: BTreeMap<String, RwLock<Arc<Snapshot>>>,
    /// When the database last confirmed them, in milliseconds of uptime.
    confirmed: AtomicU64,
    changed: Notify,
}

impl Feeds {
    /// Reads all feeds.
    ///
    /// # Errors
    /// The database's.
    pub async fn start(
        config: &Config,
        database: &Database,
        metrics: &Metrics,
        now: Now,
    ) -> Result<(Self, Refresher), StoreError> {
        let empty = || RwLock::new(Arc::new(snapshot(&[], now.wall)));
        let snapshots = config.providers.iter().map(|provider| (provider.name.clone(), empty())).collect();
        let feeds = Self { snapshots, confirmed: AtomicU64::new(0), changed: Notify::new() };
        let mut refresher = Refresher { database: database.clone(), seen: BTreeMap::new() };
        refresher.refresh(&feeds, metrics, now).await?;
        Ok((feeds, refresher))
    }

    /// The feed of a provider.
    #[must_use]
    pub fn of(&self, provider: &str) -> Option<Arc<Snapshot>> {
        let held = self.snapshots.get(provider)?;
        Some(Arc::clone(&held.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Whether the database confirmed the feeds a short while ago.
    #[must_use]
    pub fn are_confirmed(&self, now: Now) -> bool {
        let confirmed = Uptime::from_millis(self.confirmed.load(Ordering::Relaxed));
        now.uptime.since(confirmed) <= UNCONFIRMED
    }

    /// Says that entries changed.
    pub fn has_changed(&self) {
        self.changed.notify_one();
    }

    /// Waits until entries may have changed.
    pub async fn wait(&self) {
        // an elapsed time is as good a reason to look as a notice
        let _ = tokio::time::timeout(LOOK, self.changed.notified()).await;
    }
}

/// Brings feeds up to date.
#[derive(Debug)]
pub struct Refresher {
    database: Database,
    seen: BTreeMap<String, u64>,
}

impl Refresher {
    /// Makes those feeds anew whose entries changed or ended.
    ///
    /// # Errors
    /// The database's; feeds stay as they are.
    pub async fn refresh(&mut self, feeds: &Feeds, metrics: &Metrics, now: Now) -> Result<(), StoreError> {
        let revisions = self.database.run(|rows| rows.revisions()).await?;
        for (provider, held) in &feeds.snapshots {
            let revision = revisions.get(provider).copied().unwrap_or(0);
            let ended = feeds.of(provider).and_then(|feed| feed.ends).is_some_and(|end| end <= now.wall.as_secs());
            if self.seen.get(provider) == Some(&revision) && !ended {
                continue;
            }
            let name = provider.clone();
            let entries = self.database.run(move |rows| rows.entries(&name)).await?;
            let feed = Arc::new(snapshot(&entries, now.wall));
            let gauge = metrics.entries.get_or_create(&OfProvider { provider: provider.clone() });
            gauge.set(i64::try_from(feed.entries).unwrap_or(i64::MAX));
            *held.write().unwrap_or_else(PoisonError::into_inner) = feed;
            self.seen.insert(provider.clone(), revision);
        }
        feeds.confirmed.store(now.uptime.as_millis(), Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Key, Origin, folded};
    use serde_json::{Value, json};

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn entry(kind: Kind, value: &str, origin: Origin, before: Option<u64>, until: Option<u64>) -> Entry {
        Entry {
            key: Key { provider: "p".to_owned(), kind, folded: folded(kind, value), origin },
            value: value.to_owned(),
            before,
            lifted: false,
            happened: NOW,
            until,
            source: "s".to_owned(),
            why: "w".to_owned(),
        }
    }

    fn json_of(entries: &[Entry]) -> Value {
        serde_json::from_slice(&snapshot(entries, NOW).body).unwrap()
    }

    #[test]
    fn an_empty_feed_has_every_member() {
        let empty = json!({"subjects": [], "tokens": [], "clients": [], "sessions": [], "not_before": null});
        assert_eq!(json_of(&[]), empty);
        assert_eq!(snapshot(&[], NOW).etag.len(), 34);
    }

    #[test]
    fn each_kind_has_its_place_and_its_form() {
        let feed = json_of(&[
            entry(Kind::Subject, "Mallory@Example.com", Origin::Account, None, None),
            entry(Kind::Subject, "anna", Origin::Event, Some(5), Some(1_800_000_001)),
            entry(Kind::Token, "t1", Origin::Administrator, None, Some(1_800_000_001)),
            entry(Kind::Client, "c1", Origin::Administrator, None, None),
            entry(Kind::Session, "s1", Origin::Event, None, Some(1_800_000_001)),
            entry(Kind::Everyone, "", Origin::Administrator, Some(7), None),
        ]);
        assert_eq!(feed["subjects"], json!([{"value": "anna", "before": 5}, "Mallory@Example.com"]));
        assert_eq!(
            (&feed["tokens"], &feed["clients"], &feed["sessions"]),
            (&json!(["t1"]), &json!(["c1"]), &json!(["s1"]))
        );
        assert_eq!(feed["not_before"], 7);
    }

    #[test]
    fn of_several_entries_for_one_value_the_strictest_holds() {
        let event = entry(Kind::Subject, "anna", Origin::Event, Some(5), None);
        let later = entry(Kind::Subject, "ANNA", Origin::Administrator, Some(9), None);
        let for_good = entry(Kind::Subject, "Anna", Origin::Account, None, None);
        assert_eq!(json_of(&[event.clone(), later.clone()])["subjects"], json!([{"value": "anna", "before": 9}]));
        assert_eq!(json_of(&[event.clone(), for_good.clone(), later])["subjects"], json!(["anna"]));
        let lifted = Entry { lifted: true, ..for_good };
        assert_eq!(json_of(&[lifted, event])["subjects"], json!([{"value": "anna", "before": 5}]));
    }

    #[test]
    fn what_ended_is_not_in_it_and_the_next_end_is_known() {
        let gone = entry(Kind::Subject, "a", Origin::Event, Some(5), Some(1_800_000_000));
        let soon = entry(Kind::Subject, "b", Origin::Event, Some(5), Some(1_800_000_001));
        let feed = snapshot(&[gone.clone(), soon, entry(Kind::Subject, "c", Origin::Event, Some(5), None)], NOW);
        assert_eq!((feed.entries, feed.ends), (2, Some(1_800_000_001)));
        assert_eq!(snapshot(&[gone], NOW).etag, snapshot(&[], NOW).etag, "the same content has the same tag");
    }
}
