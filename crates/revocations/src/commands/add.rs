//! `add`: cuts somebody off.

use super::{Whose, config, fail, open};
use crate::{Exit, Files};
use databricks_kong::base::UnixTime;
use revocations::clock;
use revocations::ledger;
use revocations::server::admin::Wish;
use revocations::store::transact;
use std::time::UNIX_EPOCH;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    whose: Whose,
    /// Only tokens issued before this time, `now` or e.g. 2026-11-01T00:00:00Z: who signs in again gets in again. Without it all tokens
    /// are cut off, also new ones
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    before: Option<u64>,
    /// The entry is gone from this time on; without it, it stays until it is removed
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    until: Option<u64>,
    /// Why, for `list`
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    add(arguments).unwrap_or_else(|exit| exit)
}

fn add(arguments: &Arguments) -> Result<Exit, Exit> {
    let config = config(&arguments.files)?;
    arguments.whose.check(&config)?;
    let Whose { provider, kind, value } = arguments.whose.clone();
    let (before, until, note) = (arguments.before, arguments.until, arguments.note.clone());
    let wish = Wish { provider, kind: kind.into(), value, before, until, note };
    let record = wish.record(clock::now().wall).map_err(|message| fail(&message))?;
    let mut store = open(&config)?;
    let kept = transact(store.as_mut(), |rows| ledger::record(rows, &record, config.max_entries));
    kept.map_err(|error| fail(&error.to_string()))?;
    Ok(Exit::Fine)
}

/// `now`, or RFC 3339.
fn point_in_time(text: &str) -> Result<u64, String> {
    if text == "now" {
        // a token of this very second is meant too
        return Ok(clock::now().wall.as_secs().saturating_add(1));
    }
    let time =
        humantime::parse_rfc3339(text).map_err(|_| "must be `now`, or a time like 2026-11-01T00:00:00Z".to_owned())?;
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| "must be after 1970".to_owned())?;
    Ok(UnixTime::from_secs(since.as_secs()).as_secs())
}
