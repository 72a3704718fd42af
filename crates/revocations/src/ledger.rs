//! What is written and read in one transaction, whichever database it is.

use crate::entry::{Entry, Key, Kind, Origin, folded};
use crate::store::{Rows, StoreError};
use databricks_kong::base::UnixTime;
use sha2::{Digest, Sha256};

/// The id of an event, which is acted on once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    /// Digest of who sent it and of its `jti`.
    pub digest: [u8; 32],
    /// The second until which it is remembered: afterwards the event is too old to be accepted.
    pub until: u64,
}

impl EventId {
    /// The id `jti` of an event of `source`.
    #[must_use]
    pub fn new(source: &str, jti: &str, until: u64) -> Self {
        let mut hash = Sha256::new();
        // the length keeps `a` + `bc` apart from `ab` + `c`
        hash.update((source.len() as u64).to_be_bytes());
        hash.update(source);
        hash.update(jti);
        Self { digest: hash.finalize().into(), until }
    }
}

/// One thing that an event or an administrator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// By what the tokens are known.
    pub kind: Kind,
    /// Its value; empty for everyone.
    pub value: String,
    /// What becomes of them.
    pub effect: Effect,
    /// What happened.
    pub why: String,
    /// When it happened.
    pub happened: UnixTime,
    /// The second from which on the cut is gone; without it, it stays until it is taken away.
    pub until: Option<u64>,
}

/// What becomes of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Those issued before that second are cut off.
    Before(u64),
    /// All are cut off.
    All,
    /// All are cut off, because the account is disabled or gone.
    AccountOff,
    /// The account is enabled again.
    AccountOn,
}

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Record {
    /// The identity provider's name.
    pub provider: String,
    /// The source's name.
    pub source: String,
    /// The id, if an event asks for it; an administrator may say the same thing twice.
    pub event: Option<EventId>,
    /// What is asked for.
    pub cuts: Vec<Cut>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is in the database.
    Kept,
    /// The event was there before; nothing changed.
    Known,
}

/// Writes what an event or an administrator asks for.
///
/// # Errors
/// [`StoreError::Full`] if an entry more than `max_entries` of the provider would be kept; nothing is written then.
pub fn record(rows: &mut dyn Rows, record: &Record, max_entries: u64) -> Result<Recorded, StoreError> {
    if let Some(event) = &record.event
        && !rows.remember(event)?
    {
        return Ok(Recorded::Known);
    }
    let mut room = None;
    for cut in &record.cuts {
        write(rows, &entry(record, cut), &mut room, max_entries)?;
    }
    rows.changed(&record.provider)?;
    Ok(Recorded::Kept)
}

fn entry(record: &Record, cut: &Cut) -> Entry {
    let (before, lifted) = match cut.effect {
        Effect::Before(before) => (Some(before), false),
        Effect::All | Effect::AccountOff => (None, false),
        Effect::AccountOn => (None, true),
    };
    let origin = match (&record.event, cut.effect) {
        (None, _) => Origin::Administrator,
        (Some(_), Effect::AccountOff | Effect::AccountOn) => Origin::Account,
        (Some(_), _) => Origin::Event,
    };
    let key = Key { provider: record.provider.clone(), kind: cut.kind, folded: folded(cut.kind, &cut.value), origin };
    Entry {
        key,
        value: cut.value.clone(),
        before,
        lifted,
        happened: cut.happened,
        until: cut.until,
        source: record.source.clone(),
        why: cut.why.clone(),
    }
}

/// `room` is how many entries may still be added: counted once a transaction, and only if one is to be added.
fn write(rows: &mut dyn Rows, new: &Entry, room: &mut Option<u64>, max_entries: u64) -> Result<(), StoreError> {
    let Some(old) = rows.find(&new.key)? else {
        let left = match *room {
            Some(left) => left,
            None => max_entries.saturating_sub(rows.count(&new.key.provider)?),
        };
        *room = Some(left.checked_sub(1).ok_or(StoreError::Full)?);
        return rows.put(new);
    };
    match new.key.origin {
        Origin::Administrator => rows.put(new),
        Origin::Account if is_newer(&old, new) => rows.put(new),
        Origin::Account => Ok(()),
        Origin::Event => rows.put(&wider(old, new)),
    }
}

/// Events may arrive out of order. Of two of the same moment, the one that cuts off holds.
fn is_newer(old: &Entry, new: &Entry) -> bool {
    new.happened > old.happened || (new.happened == old.happened && old.lifted && !new.lifted)
}

/// What both entries cut off together.
fn wider(old: Entry, new: &Entry) -> Entry {
    let before = match (old.before, new.before) {
        (Some(old), Some(new)) => Some(old.max(new)),
        _ => None,
    };
    let until = match (old.until, new.until) {
        (Some(old), Some(new)) => Some(old.max(new)),
        _ => None,
    };
    let newest = if new.happened >= old.happened { new.clone() } else { old };
    Entry { before, until, ..newest }
}

/// Takes away whatever is there for a value, whoever said so; how many entries that were.
///
/// # Errors
/// The database's.
pub fn remove(rows: &mut dyn Rows, provider: &str, kind: Kind, value: &str) -> Result<u64, StoreError> {
    let removed = rows.remove(provider, kind, &folded(kind, value))?;
    if removed > 0 {
        rows.changed(provider)?;
    }
    Ok(removed)
}
