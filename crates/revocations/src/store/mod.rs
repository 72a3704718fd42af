//! Where entries are kept: one trait, two databases, one thread that speaks to them.

mod postgres;
mod sqlite;
mod worker;

pub use self::postgres::Postgres;
pub use sqlite::Sqlite;
pub use worker::Database;

use crate::entry::{Entry, Key, Kind, Origin};
use crate::ledger::EventId;
use databricks_kong::base::UnixTime;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Why something could not be kept or read. Holds no value of an entry, and no password.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The provider has as many entries as are allowed.
    #[error("the database has as many entries of this provider as `max_entries` allows; raise it, or remove entries")]
    Full,
    /// The database did not do it, for now or for good.
    #[error("the database failed: {0}")]
    Failed(String),
    /// Nobody answers: the database is too slow for what is asked of it, or the service is ending.
    #[error("the database is busy")]
    Busy,
}

/// The tables, within one transaction.
pub trait Rows {
    /// Remembers an event; false, if it is remembered already.
    ///
    /// # Errors
    /// The database's, as for all of these.
    fn remember(&mut self, event: &EventId) -> Result<bool, StoreError>;

    /// The entry of that key.
    ///
    /// # Errors
    /// The database's.
    fn find(&mut self, key: &Key) -> Result<Option<Entry>, StoreError>;

    /// Writes an entry over whatever its key had.
    ///
    /// # Errors
    /// The database's.
    fn put(&mut self, entry: &Entry) -> Result<(), StoreError>;

    /// Takes away the entries of a value, whoever said so, and says how many.
    ///
    /// # Errors
    /// The database's.
    fn remove(&mut self, provider: &str, kind: Kind, folded: &str) -> Result<u64, StoreError>;

    /// How many entries a provider has.
    ///
    /// # Errors
    /// The database's.
    fn count(&mut self, provider: &str) -> Result<u64, StoreError>;

    /// All entries of a provider, also those that ended, by kind, value and origin.
    ///
    /// # Errors
    /// The database's.
    fn entries(&mut self, provider: &str) -> Result<Vec<Entry>, StoreError>;

    /// Deletes entries and ids of events that ended before this second, and the ids that end first beyond `max_ids`.
    ///
    /// # Errors
    /// The database's.
    fn sweep(&mut self, now: u64, max_ids: u64) -> Result<u64, StoreError>;

    /// Says that a provider's entries changed.
    ///
    /// # Errors
    /// The database's.
    fn changed(&mut self, provider: &str) -> Result<(), StoreError>;

    /// How often each provider's entries changed.
    ///
    /// # Errors
    /// The database's.
    fn revisions(&mut self) -> Result<BTreeMap<String, u64>, StoreError>;
}

/// What is done within one transaction.
pub type Work<'w> = dyn FnMut(&mut dyn Rows) -> Result<(), StoreError> + 'w;

/// A database.
pub trait Store: Send {
    /// Does `work` in one transaction, alone among all writers. What it wrote is on the disk when this returns; nothing of it is written if
    /// it fails.
    ///
    /// # Errors
    /// Those of `work`, and the database's.
    fn transact(&mut self, work: &mut Work<'_>) -> Result<(), StoreError>;
}

/// Where a database is.
#[derive(Clone, Debug)]
pub enum Location {
    /// A file of SQLite's.
    File(PathBuf),
    /// A PostgreSQL server, as a `postgres://` url; it may hold a password.
    Postgres(databricks_kong::base::Secret<String>),
}

/// Opens a database, and makes its tables if they are not there.
///
/// # Errors
/// Why it cannot be used.
pub fn open(location: &Location) -> Result<Box<dyn Store>, StoreError> {
    Ok(match location {
        Location::File(path) => Box::new(Sqlite::open(path)?),
        Location::Postgres(url) => Box::new(Postgres::open(url.expose())?),
    })
}

/// Does `work` in one transaction and hands on what comes out of it.
///
/// # Errors
/// As [`Store::transact`].
pub fn transact<T>(
    store: &mut dyn Store,
    mut work: impl FnMut(&mut dyn Rows) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut outcome = None;
    store.transact(&mut |rows| {
        outcome = Some(work(rows)?);
        Ok(())
    })?;
    outcome.ok_or(StoreError::Busy)
}

/// A number as databases have them. What does not fit is later than any of them, or none at all.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The columns of an entry, in the order in which both databases write and read them.
const COLUMNS: &str = "provider, kind, folded, origin, value, before_s, lifted, happened_ms, until_s, source, why";

/// One row of [`COLUMNS`].
trait Cells {
    fn text(&self, at: usize) -> Result<String, StoreError>;
    fn number(&self, at: usize) -> Result<Option<i64>, StoreError>;
    fn truth(&self, at: usize) -> Result<bool, StoreError>;
}

/// The entry of a row; `None` if a later version wrote it and this one does not know what it is.
fn entry(row: &impl Cells) -> Result<Option<Entry>, StoreError> {
    let (kind, origin) = (Kind::from_word(&row.text(1)?), Origin::from_word(&row.text(3)?));
    let (Some(kind), Some(origin)) = (kind, origin) else { return Ok(None) };
    Ok(Some(Entry {
        key: Key { provider: row.text(0)?, kind, folded: row.text(2)?, origin },
        value: row.text(4)?,
        before: row.number(5)?.map(unsigned),
        lifted: row.truth(6)?,
        happened: UnixTime::from_millis(row.number(7)?.map_or(0, unsigned)),
        until: row.number(8)?.map(unsigned),
        source: row.text(9)?,
        why: row.text(10)?,
    }))
}
