//! `check`: what is wrong or odd about a configuration.

use super::config;
use crate::{Exit, Files};
use revocations::config::{Config, CutOff};
use revocations::subject::Format;

pub(crate) fn run(files: &Files) -> Exit {
    let config = match config(files) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let odd = odd(&config);
    for warning in config.warnings.iter().chain(&odd) {
        println!("warning: {warning}");
    }
    let (providers, sources) = (config.providers.len(), config.sources.len());
    println!(
        "identity providers: {providers}, sources: {sources}, warnings: {}",
        config.warnings.len().saturating_add(odd.len())
    );
    Exit::Fine
}

/// What works and may cut nobody off.
fn odd(config: &Config) -> Vec<String> {
    let mut odd = Vec::new();
    for provider in &config.providers {
        if !config.sources.iter().any(|source| source.provider.name == provider.name) {
            odd.push(format!("no source tells of revocations at `{}`; only administrators do", provider.name));
        }
    }
    for source in &config.sources {
        let usual = Format::usual_for(&source.provider.subject);
        if !source.formats.iter().any(|format| usual.contains(format)) {
            let taken: Vec<_> = source.formats.iter().map(|format| format.word()).collect();
            odd.push(format!(
                "`{}` takes subjects as {}, and gateways know the callers of `{}` by `{}`: see that these values are the same",
                source.name,
                taken.join(", "),
                source.provider.name,
                source.provider.subject
            ));
        }
        if source.cut_off == CutOff::Session {
            odd.push(format!(
                "`{}` cuts off sessions only: see that access tokens of `{}` have `sid`, or it cuts off nothing",
                source.name, source.provider.name
            ));
        }
    }
    odd
}
