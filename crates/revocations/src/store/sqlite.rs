//! SQLite: one file, nothing to run. Several processes of one machine may use it at a time.

use super::{COLUMNS, Cells, Rows, Store, StoreError, Work, entry, signed, unsigned};
use crate::entry::{Entry, Key, Kind};
use crate::ledger::EventId;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long a writer waits for another process: an administrator's command beside the service.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS entries (
  provider TEXT NOT NULL,
  kind TEXT NOT NULL,
  folded TEXT NOT NULL,
  origin TEXT NOT NULL,
  value TEXT NOT NULL,
  before_s INTEGER,
  lifted INTEGER NOT NULL,
  happened_ms INTEGER NOT NULL,
  until_s INTEGER,
  source TEXT NOT NULL,
  why TEXT NOT NULL,
  PRIMARY KEY (provider, kind, folded, origin)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (digest BLOB PRIMARY KEY, until_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_until ON events (until_s);
CREATE TABLE IF NOT EXISTS revisions (provider TEXT PRIMARY KEY, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A file of SQLite's.
#[derive(Debug)]
pub struct Sqlite(Connection);

impl Sqlite {
    /// Opens a file, or makes one.
    ///
    /// # Errors
    /// It cannot be opened or written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // an event is acknowledged once this returns, so it has to outlive the machine's power too
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(TABLES)?;
        Ok(Self(connection))
    }
}

impl Store for Sqlite {
    fn transact(&mut self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&mut InTransaction(&transaction))?;
        Ok(transaction.commit()?)
    }
}

struct InTransaction<'t>(&'t Transaction<'t>);

impl Cells for Row<'_> {
    fn text(&self, at: usize) -> Result<String, StoreError> {
        Ok(self.get(at)?)
    }

    fn number(&self, at: usize) -> Result<Option<i64>, StoreError> {
        Ok(self.get(at)?)
    }

    fn truth(&self, at: usize) -> Result<bool, StoreError> {
        Ok(self.get(at)?)
    }
}

impl Rows for InTransaction<'_> {
    fn remember(&mut self, event: &EventId) -> Result<bool, StoreError> {
        let mut insert = self.0.prepare("INSERT INTO events VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
        Ok(insert.execute(params![event.digest.as_slice(), signed(event.until)])? > 0)
    }

    fn find(&mut self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let mut select = self.0.prepare(&format!(
            "SELECT {COLUMNS} FROM entries WHERE provider = ?1 AND kind = ?2 AND folded = ?3 AND origin = ?4"
        ))?;
        let key = params![key.provider, key.kind.word(), key.folded, key.origin.word()];
        let mut rows = select.query(key)?;
        rows.next()?.map_or(Ok(None), entry)
    }

    fn put(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let mut insert = self.0.prepare(&format!(
            "INSERT OR REPLACE INTO entries ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        ))?;
        let key = &entry.key;
        insert.execute(params![
            key.provider,
            key.kind.word(),
            key.folded,
            key.origin.word(),
            entry.value,
            entry.before.map(signed),
            entry.lifted,
            signed(entry.happened.as_millis()),
            entry.until.map(signed),
            entry.source,
            entry.why,
        ])?;
        Ok(())
    }

    fn remove(&mut self, provider: &str, kind: Kind, folded: &str) -> Result<u64, StoreError> {
        let delete = "DELETE FROM entries WHERE provider = ?1 AND kind = ?2 AND folded = ?3";
        Ok(self.0.execute(delete, params![provider, kind.word(), folded])? as u64)
    }

    fn count(&mut self, provider: &str) -> Result<u64, StoreError> {
        let mut count = self.0.prepare("SELECT count(*) FROM entries WHERE provider = ?1")?;
        Ok(unsigned(count.query_row(params![provider], |row| row.get(0))?))
    }

    fn entries(&mut self, provider: &str) -> Result<Vec<Entry>, StoreError> {
        let mut select = self
            .0
            .prepare(&format!("SELECT {COLUMNS} FROM entries WHERE provider = ?1 ORDER BY kind, folded, origin"))?;
        let mut rows = select.query(params![provider])?;
        let mut known = Vec::new();
        while let Some(row) = rows.next()? {
            known.extend(entry(row)?);
        }
        Ok(known)
    }

    fn sweep(&mut self, now: u64, max_ids: u64) -> Result<u64, StoreError> {
        let ended = self.0.execute("DELETE FROM entries WHERE until_s <= ?1", params![signed(now)])?;
        self.0.execute("DELETE FROM events WHERE until_s <= ?1", params![signed(now)])?;
        self.0.execute(
            "DELETE FROM events WHERE digest IN (SELECT digest FROM events ORDER BY until_s DESC LIMIT -1 OFFSET ?1)",
            params![signed(max_ids)],
        )?;
        Ok(ended as u64)
    }

    fn changed(&mut self, provider: &str) -> Result<(), StoreError> {
        let count = "INSERT INTO revisions VALUES (?1, 1) ON CONFLICT (provider) DO UPDATE SET revision = revision + 1";
        self.0.prepare(count)?.execute(params![provider])?;
        Ok(())
    }

    fn revisions(&mut self) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut select = self.0.prepare("SELECT provider, revision FROM revisions")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
