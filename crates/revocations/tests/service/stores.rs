//! Both databases, by the same tests.

use crate::running::folder;
use databricks_kong::base::{Secret, UnixTime};
use revocations::entry::{Entry, Kind, Origin};
use revocations::feed::snapshot;
use revocations::ledger::{self, Cut, Effect, EventId, Record, Recorded};
use revocations::store::{Location, Store, StoreError, open, transact};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn each(test: impl Fn(&dyn Fn() -> Box<dyn Store>)) {
    let file = folder().join("store.db");
    test(&|| open(&Location::File(file.clone())).unwrap());
    if let Some(server) = crate::postgres::server() {
        let url = server.database();
        test(&|| open(&Location::Postgres(Secret::new(url.clone()))).unwrap());
    }
}

fn cut(kind: Kind, value: &str, effect: Effect) -> Cut {
    Cut { kind, value: value.to_owned(), effect, why: "test".to_owned(), happened: NOW, until: Some(1_800_003_600) }
}

fn record(event: Option<&str>, cuts: Vec<Cut>) -> Record {
    let event = event.map(|id| EventId::new("source", id, 1_800_000_100));
    Record { provider: "idp".to_owned(), source: "source".to_owned(), event, cuts }
}

fn write(store: &mut dyn Store, record: &Record) -> Result<Recorded, StoreError> {
    transact(store, |rows| ledger::record(rows, record, 4))
}

fn entries(store: &mut dyn Store) -> Vec<Entry> {
    transact(store, |rows| rows.entries("idp")).unwrap()
}

#[test]
fn what_was_written_is_read_as_it_was_also_by_the_next() {
    each(|open| {
        let subject =
            Cut { until: None, ..cut(Kind::Subject, "Zoë 'O\"Brien; DROP TABLE entries", Effect::Before(77)) };
        let everyone = cut(Kind::Everyone, "", Effect::All);
        let written = record(None, vec![subject, everyone]);
        assert_eq!(write(open().as_mut(), &written).unwrap(), Recorded::Kept);
        let read = entries(open().as_mut());
        assert_eq!(read.len(), 2);
        let entry = &read[1];
        assert_eq!((entry.key.kind, entry.key.origin), (Kind::Subject, Origin::Administrator));
        assert_eq!(
            (entry.value.as_str(), entry.key.folded.as_str()),
            ("Zoë 'O\"Brien; DROP TABLE entries", "zoë 'o\"brien; drop table entries")
        );
        assert_eq!((entry.before, entry.until, entry.lifted, entry.happened), (Some(77), None, false, NOW));
        assert_eq!((entry.source.as_str(), entry.why.as_str()), ("source", "test"));
        assert_eq!((read[0].before, read[0].until), (None, Some(1_800_003_600)));
    });
}

#[test]
fn an_event_is_done_once_and_what_fails_leaves_nothing() {
    each(|open| {
        let mut store = open();
        let event = record(Some("e1"), vec![cut(Kind::Subject, "a", Effect::AccountOff)]);
        assert_eq!(write(store.as_mut(), &event).unwrap(), Recorded::Kept);
        assert_eq!(write(store.as_mut(), &event).unwrap(), Recorded::Known);
        let many = ["b", "c", "d", "e"].map(|value| cut(Kind::Subject, value, Effect::AccountOff)).to_vec();
        let too_many = record(Some("e2"), many);
        assert!(matches!(write(store.as_mut(), &too_many), Err(StoreError::Full)));
        assert_eq!(entries(store.as_mut()).len(), 1);
        let fewer = record(Some("e2"), vec![cut(Kind::Subject, "b", Effect::AccountOff)]);
        assert_eq!(write(store.as_mut(), &fewer).unwrap(), Recorded::Kept, "the id was not remembered");
    });
}

#[test]
fn several_words_on_one_value_come_together() {
    each(|open| {
        let mut store = open();
        for (event, effect) in [("1", Effect::Before(5)), ("2", Effect::Before(9)), ("3", Effect::Before(7))] {
            write(store.as_mut(), &record(Some(event), vec![cut(Kind::Subject, "Anna", effect)])).unwrap();
        }
        let read = entries(store.as_mut());
        assert_eq!((read.len(), read[0].before), (1, Some(9)));
        write(store.as_mut(), &record(None, vec![cut(Kind::Subject, "ANNA", Effect::All)])).unwrap();
        assert_eq!(entries(store.as_mut()).len(), 2);
        let removed = transact(store.as_mut(), |rows| ledger::remove(rows, "idp", Kind::Subject, "anna"));
        assert_eq!((removed.unwrap(), entries(store.as_mut()).len()), (2, 0));
    });
}

#[test]
fn changes_are_counted_for_each_provider() {
    each(|open| {
        let mut store = open();
        let revision = |store: &mut dyn Store| transact(store, |rows| rows.revisions()).unwrap().get("idp").copied();
        assert_eq!(revision(store.as_mut()), None);
        let one = record(Some("1"), vec![cut(Kind::Session, "s", Effect::All)]);
        write(store.as_mut(), &one).unwrap();
        write(store.as_mut(), &one).unwrap();
        assert_eq!(revision(store.as_mut()), Some(1), "an event that is known changes nothing");
        let remove = |value: &'static str| {
            move |rows: &mut dyn revocations::store::Rows| ledger::remove(rows, "idp", Kind::Session, value)
        };
        transact(store.as_mut(), remove("other")).unwrap();
        assert_eq!(revision(store.as_mut()), Some(1));
        transact(store.as_mut(), remove("s")).unwrap();
        assert_eq!(revision(store.as_mut()), Some(2));
    });
}

#[test]
fn what_ended_is_swept_and_ids_are_bounded() {
    each(|open| {
        let mut store = open();
        for id in ["1", "2", "3"] {
            write(store.as_mut(), &record(Some(id), vec![cut(Kind::Session, id, Effect::All)])).unwrap();
        }
        let sweep = |store: &mut dyn Store, now, ids| transact(store, |rows| rows.sweep(now, ids)).unwrap();
        assert_eq!(sweep(store.as_mut(), 1_800_003_599, 10), 0);
        assert_eq!(sweep(store.as_mut(), 1_800_003_600, 10), 3);
        assert_eq!(entries(store.as_mut()).len(), 0);
        let again = |store: &mut dyn Store, id| write(store, &record(Some(id), Vec::new())).unwrap();
        assert_eq!(again(store.as_mut(), "1"), Recorded::Kept, "its id ended too");
        assert_eq!((again(store.as_mut(), "1"), again(store.as_mut(), "2")), (Recorded::Known, Recorded::Kept));
        sweep(store.as_mut(), 0, 1);
        let known = ["1", "2"].map(|id| again(store.as_mut(), id));
        assert_eq!(known.iter().filter(|one| **one == Recorded::Known).count(), 1, "one was forgotten");
    });
}

#[test]
fn both_databases_make_the_same_feed() {
    let values = ["b", "A", "ä", "a_", "a-", "Z", "aa", "é"];
    let feeds = std::cell::RefCell::new(Vec::new());
    each(|open| {
        let mut store = open();
        for value in values {
            let written = record(None, vec![cut(Kind::Subject, value, Effect::All)]);
            transact(store.as_mut(), |rows| ledger::record(rows, &written, 100)).unwrap();
        }
        feeds.borrow_mut().push(snapshot(&entries(store.as_mut()), NOW));
    });
    let feeds = feeds.into_inner();
    assert!(feeds.iter().all(|feed| *feed == feeds[0] && feed.entries == values.len()), "{feeds:?}");
}

#[test]
fn a_hundred_thousand_entries_make_a_feed_in_bounded_time_and_size() {
    let mut store = open(&Location::File(folder().join("large.db"))).unwrap();
    let cuts = (0..100_000)
        .map(|index| cut(Kind::Subject, &format!("user-{index:06}@example.com"), Effect::Before(1_800_000_001)));
    let written = record(None, cuts.collect());
    transact(store.as_mut(), |rows| ledger::record(rows, &written, 100_000)).unwrap();
    let one_more = record(None, vec![cut(Kind::Client, "c", Effect::All)]);
    let full = transact(store.as_mut(), |rows| ledger::record(rows, &one_more, 100_000));
    assert!(matches!(full, Err(StoreError::Full)));
    let feed = snapshot(&entries(store.as_mut()), NOW);
    assert_eq!(feed.entries, 100_000);
    assert!(feed.body.len() < 6_000_000, "{} bytes", feed.body.len());
}
