//! `remove`: takes entries away.

use super::{Whose, config, fail, open};
use crate::{Exit, Files};
use revocations::ledger;
use revocations::store::transact;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    whose: Whose,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    remove(arguments).unwrap_or_else(|exit| exit)
}

fn remove(arguments: &Arguments) -> Result<Exit, Exit> {
    let config = config(&arguments.files)?;
    arguments.whose.check(&config)?;
    let Whose { provider, kind, value } = &arguments.whose;
    let mut store = open(&config)?;
    let value = value.as_deref().unwrap_or_default();
    let removed = transact(store.as_mut(), |rows| ledger::remove(rows, provider, (*kind).into(), value));
    match removed.map_err(|error| fail(&error.to_string()))? {
        0 => Err(fail("there is no such entry")),
        _ => Ok(Exit::Fine),
    }
}
