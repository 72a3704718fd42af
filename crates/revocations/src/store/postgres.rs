//! PostgreSQL, where several instances of the service share what they keep.

use super::{COLUMNS, Cells, Rows, Store, StoreError, Work, entry, signed, unsigned};
use crate::entry::{Entry, Key, Kind};
use crate::ledger::EventId;
use ::postgres::config::SslMode;
use ::postgres::{Client, Config, NoTls, Row, Transaction};
use rustls_platform_verifier::ConfigVerifierExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writers of all instances, one after another: what a transaction writes rests on what it read.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7249138204)";

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS entries (
  provider TEXT NOT NULL,
  kind TEXT NOT NULL,
  folded TEXT NOT NULL,
  origin TEXT NOT NULL,
  value TEXT NOT NULL,
  before_s BIGINT,
  lifted BOOLEAN NOT NULL,
  happened_ms BIGINT NOT NULL,
  until_s BIGINT,
  source TEXT NOT NULL,
  why TEXT NOT NULL,
  PRIMARY KEY (provider, kind, folded, origin)
);
CREATE TABLE IF NOT EXISTS events (digest BYTEA PRIMARY KEY, until_s BIGINT NOT NULL);
CREATE INDEX IF NOT EXISTS events_until ON events (until_s);
CREATE TABLE IF NOT EXISTS revisions (provider TEXT PRIMARY KEY, revision BIGINT NOT NULL);
";

impl From<::postgres::Error> for StoreError {
    fn from(error: ::postgres::Error) -> Self {
        // the server's own words hold no values of parameters; those of the client are of connections
        let text = error.as_db_error().map_or_else(|| error.to_string(), |server| server.message().to_owned());
        Self::Failed(text)
    }
}

/// A PostgreSQL server.
pub struct Postgres {
    config: Config,
    /// Absent once it was lost, until the next need.
    client: Option<Client>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects to the database at `url`. With `sslmode=require` there, over TLS, with a certificate that this machine trusts for that host.
    ///
    /// # Errors
    /// The url is none, or the server does not take us.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let mut config: Config = url.parse()?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        // a commit that is acknowledged is on the disk, whatever the server's default is
        let options = config.get_options().unwrap_or_default().to_owned();
        config.options(&format!("{options} -c synchronous_commit=on -c statement_timeout=8000"));
        let mut client = connect(&config)?;
        let mut tables = client.transaction()?;
        tables.batch_execute(LOCK)?;
        tables.batch_execute(TABLES)?;
        tables.commit()?;
        Ok(Self { config, client: Some(client) })
    }
}

fn connect(config: &Config) -> Result<Client, StoreError> {
    if config.get_ssl_mode() != SslMode::Require {
        return Ok(config.connect(NoTls)?);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // another part of the program may have done so
    let _ = provider.as_ref().clone().install_default();
    let tls = rustls::ClientConfig::with_platform_verifier().map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(config.connect(MakeRustlsConnect::new(tls))?)
}

impl Store for Postgres {
    fn transact(&mut self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let mut client = match self.client.take() {
            Some(client) if !client.is_closed() => client,
            _ => connect(&self.config)?,
        };
        let outcome = in_transaction(&mut client, work);
        // after an error the connection's state is not worth knowing, except where it was ours
        if matches!(outcome, Ok(()) | Err(StoreError::Full)) {
            self.client = Some(client);
        }
        outcome
    }
}

fn in_transaction(client: &mut Client, work: &mut Work<'_>) -> Result<(), StoreError> {
    let mut transaction = client.transaction()?;
    transaction.batch_execute(LOCK)?;
    work(&mut InTransaction(&mut transaction))?;
    Ok(transaction.commit()?)
}

struct InTransaction<'t, 'c>(&'t mut Transaction<'c>);

impl Cells for Row {
    fn text(&self, at: usize) -> Result<String, StoreError> {
        Ok(self.try_get(at)?)
    }

    fn number(&self, at: usize) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(at)?)
    }

    fn truth(&self, at: usize) -> Result<bool, StoreError> {
        Ok(self.try_get(at)?)
    }
}

impl Rows for InTransaction<'_, '_> {
    fn remember(&mut self, event: &EventId) -> Result<bool, StoreError> {
        let insert = "INSERT INTO events VALUES ($1, $2) ON CONFLICT DO NOTHING";
        Ok(self.0.execute(insert, &[&event.digest.as_slice(), &signed(event.until)])? > 0)
    }

    fn find(&mut self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let select =
            format!("SELECT {COLUMNS} FROM entries WHERE provider = $1 AND kind = $2 AND folded = $3 AND origin = $4");
        let row = self.0.query_opt(&select, &[&key.provider, &key.kind.word(), &key.folded, &key.origin.word()])?;
        Ok(row.map(|row| entry(&row)).transpose()?.flatten())
    }

    fn put(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let insert = format!(
            "INSERT INTO entries ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT (provider, kind, folded, origin) DO UPDATE SET (value, before_s, lifted, happened_ms, until_s, source, why) = \
             (excluded.value, excluded.before_s, excluded.lifted, excluded.happened_ms, excluded.until_s, excluded.source, excluded.why)"
        );
        let key = &entry.key;
        self.0.execute(
            &insert,
            &[
                &key.provider,
                &key.kind.word(),
                &key.folded,
                &key.origin.word(),
                &entry.value,
                &entry.before.map(signed),
                &entry.lifted,
                &signed(entry.happened.as_millis()),
                &entry.until.map(signed),
                &entry.source,
                &entry.why,
            ],
        )?;
        Ok(())
    }

    fn remove(&mut self, provider: &str, kind: Kind, folded: &str) -> Result<u64, StoreError> {
        let delete = "DELETE FROM entries WHERE provider = $1 AND kind = $2 AND folded = $3";
        Ok(self.0.execute(delete, &[&provider, &kind.word(), &folded])?)
    }

    fn count(&mut self, provider: &str) -> Result<u64, StoreError> {
        let row = self.0.query_one("SELECT count(*) FROM entries WHERE provider = $1", &[&provider])?;
        Ok(unsigned(row.try_get(0)?))
    }

    fn entries(&mut self, provider: &str) -> Result<Vec<Entry>, StoreError> {
        // by bytes, as SQLite does: two instances must make the same feed
        let select = format!(
            "SELECT {COLUMNS} FROM entries WHERE provider = $1 ORDER BY kind COLLATE \"C\", folded COLLATE \"C\", origin COLLATE \"C\""
        );
        let rows = self.0.query(&select, &[&provider])?;
        rows.iter().filter_map(|row| entry(row).transpose()).collect()
    }

    fn sweep(&mut self, now: u64, max_ids: u64) -> Result<u64, StoreError> {
        let ended = self.0.execute("DELETE FROM entries WHERE until_s <= $1", &[&signed(now)])?;
        self.0.execute("DELETE FROM events WHERE until_s <= $1", &[&signed(now)])?;
        let beyond = "DELETE FROM events WHERE digest IN (SELECT digest FROM events ORDER BY until_s DESC OFFSET $1)";
        self.0.execute(beyond, &[&signed(max_ids)])?;
        Ok(ended)
    }

    fn changed(&mut self, provider: &str) -> Result<(), StoreError> {
        let count = "INSERT INTO revisions VALUES ($1, 1) ON CONFLICT (provider) DO UPDATE SET revision = revisions.revision + 1";
        self.0.execute(count, &[&provider])?;
        Ok(())
    }

    fn revisions(&mut self) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows = self.0.query("SELECT provider, revision FROM revisions", &[])?;
        let read = rows.iter().map(|row| Ok::<_, ::postgres::Error>((row.try_get(0)?, unsigned(row.try_get(1)?))));
        Ok(read.collect::<Result<_, _>>()?)
    }
}
