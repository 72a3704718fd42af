//! `databricks-kong revocations`: serves the feed of revoked identities, and changes it on an administrator's word.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "what a command line tool is for")]

mod commands;

use clap::{Parser, Subcommand};
use commands::{add, check, list, remove, serve};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  databricks-kong revocations serve --config revocations.yml
  databricks-kong revocations check --config revocations.yml --kong kong.yml
  databricks-kong revocations add --config revocations.yml --provider okta subject mallory@example.com --note INC-7
  databricks-kong revocations add --config revocations.yml --provider okta everyone --before now
  databricks-kong revocations remove --config revocations.yml --provider okta subject mallory@example.com
  databricks-kong revocations list --config revocations.yml

Exit codes: 0 done, 1 failure, 3 invalid configuration. docs/revocation.md says how it fits in.";

/// Takes word of revoked identities from identity providers and administrators, and serves it to the gateways as a feed
#[derive(Parser, Debug)]
#[command(name = "databricks-kong-revocations", bin_name = "databricks-kong revocations", version, after_help = EXAMPLES, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Receive events and serve the feeds until SIGTERM
    Serve(serve::Arguments),
    /// Say what is wrong or odd about a configuration
    Check(Files),
    /// Cut somebody off; a running service takes it up within a second
    Add(add::Arguments),
    /// Take entries away, whoever said so
    Remove(remove::Arguments),
    /// Show the entries that are in force
    List(list::Arguments),
}

/// Where the configuration is.
#[derive(clap::Args, Clone, Debug)]
struct Files {
    /// The service's configuration, as YAML or JSON
    #[arg(long, value_name = "FILE", default_value = "revocations.yml")]
    config: PathBuf,
    /// Takes the identity providers over from this kong.yml
    #[arg(long, value_name = "FILE")]
    kong: Option<PathBuf>,
}

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Fine,
    Failure,
    Invalid,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Failure => 1,
            Exit::Invalid => 3,
        })
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // who reads may have gone, which changes nothing
            let _ = error.print();
            // as `databricks-kong` itself: clap's own code for a wrong argument means something else there
            return if error.use_stderr() { Exit::Failure } else { Exit::Fine }.into();
        }
    };
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(files) => check::run(&files),
        Command::Add(arguments) => add::run(&arguments),
        Command::Remove(arguments) => remove::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
    }
    .into()
}
