//! `list`: shows the entries that are in force.

use super::{config, fail, open};
use crate::{Exit, Files};
use revocations::clock;
use revocations::entry::Entry;
use revocations::server::admin::shown;
use revocations::store::transact;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Only of this identity provider
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// For whom the list is written
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Human,
    Json,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    list(arguments).unwrap_or_else(|exit| exit)
}

fn list(arguments: &Arguments) -> Result<Exit, Exit> {
    let config = config(&arguments.files)?;
    let mut store = open(&config)?;
    let mut entries = Vec::new();
    for provider in &config.providers {
        if arguments.provider.as_ref().is_some_and(|wanted| *wanted != provider.name) {
            continue;
        }
        let read = transact(store.as_mut(), |rows| rows.entries(&provider.name));
        entries.extend(read.map_err(|error| fail(&error.to_string()))?);
    }
    let now = clock::now().wall;
    entries.retain(|entry| entry.is_live(now) && !entry.lifted);
    let text = match arguments.format {
        Format::Human => table(&entries),
        Format::Json => {
            let list: Vec<_> = entries.iter().map(shown).collect();
            format!("{:#}\n", serde_json::json!({ "revocations": list }))
        }
    };
    // who reads may have gone
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(Exit::Fine)
}

fn table(entries: &[Entry]) -> String {
    let header = ["PROVIDER", "KIND", "VALUE", "TOKENS", "UNTIL", "SOURCE", "WHY"].map(str::to_owned);
    let rows = entries.iter().map(|entry| {
        let tokens = entry.before.map_or_else(|| "all".to_owned(), |before| format!("before {}", time(before)));
        let until = entry.until.map_or_else(|| "removed".to_owned(), time);
        let kind = entry.key.kind.word().to_owned();
        [entry.key.provider.clone(), kind, entry.value.clone(), tokens, until, entry.source.clone(), entry.why.clone()]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let line = |row: &[String; 7]| {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column).unwrap_or(0)));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn time(seconds: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.map_or_else(|| seconds.to_string(), |time| humantime::format_rfc3339_seconds(time).to_string())
}
