//! `databricks-kong`: writes, checks, explains and tests the configuration of the filter of the same name, with the filter's own code.

#![allow(clippy::print_stderr, reason = "what a command line tool is for")]

mod capacity;
mod check;
mod coverage;
mod decide;
mod discovery;
mod doctor;
mod document;
mod entries;
mod explain;
mod findings;
mod handbook;
mod hints;
mod http;
mod identity;
mod init;
mod init_files;
mod junit;
mod kong_yaml;
mod learn;
mod lint;
mod load_model;
mod markers;
mod nearest;
mod operations;
mod output;
mod records;
mod revocations;
mod shown;
mod source;
mod test;
mod test_file;

use clap::{Parser, Subcommand};
use databricks_kong::config::schema;
use output::{Color, Exit, Format, Style};
use std::process::ExitCode;

/// Musl's own takes a third of the time of `check` on a file of 20,000 roles.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

const EXAMPLES: &str = "\
Examples:
  databricks-kong init
  databricks-kong check --strict kong.yml
  databricks-kong check --explain W013
  databricks-kong check --capacity users=5000,nodes=8,workers=8 kong.yml
  databricks-kong explain kong.yml POST /api/2.2/jobs/run-now --claims '{\"sub\": \"anna\", \"groups\": [\"eng\"]}' --body '{\"job_id\": 101}'
  databricks-kong test examples/
  databricks-kong operations 'jobs.*'
  databricks-kong operations --sensitive --format json
  databricks-kong doctor https://databricks.gw.example.com --token-file token
  databricks-kong learn records.jsonl
  databricks-kong revocations serve --config revocations.yml

Exit codes: 0 fine or allowed, 1 failure, 2 denied, 3 a file that is not YAML or not valid.";

/// Checks, explains and tests what the databricks_kong filter would do, with the filter's own code
#[derive(Parser, Debug)]
#[command(version, after_help = EXAMPLES, max_term_width = 110)]
struct Arguments {
    /// The form of the output
    #[arg(long, global = true, value_parser = Format::of_every_command(), default_value = "human")]
    format: Format,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value = "auto")]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Write the first files: kong.yml, policy tests, and the command that makes Databricks trust the identity provider
    Init(Box<init::Arguments>),
    /// Find what is wrong or odd in configurations, with line numbers
    Check(check::Arguments),
    /// Show what the gateway does with one request of one caller, step by step
    Explain(Box<explain::Arguments>),
    /// Run policy tests
    Test(test::Arguments),
    /// Look at a running gateway from outside, step by step, and say what to do
    Doctor(doctor::Arguments),
    /// Propose the narrowest rules that would have allowed what audit records show
    Learn(learn::Arguments),
    /// List the operations that rules can name
    Operations(operations::Arguments),
    /// Serve the feed of revoked identities, and change it
    #[command(disable_help_flag = true)]
    Revocations(revocations::Arguments),
    /// Print the JSON Schema of the configuration
    Schema,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Failure } else { Exit::Fine };
            // who reads may have gone, which changes nothing
            let _ = error.print();
            // clap's own code for a wrong argument is 2, which means a denied request here
            return exit.into();
        }
    };
    let style = Style::new(arguments.color);
    let exit = match arguments.command {
        Command::Init(plan) => init::run(&plan, style),
        Command::Doctor(patient) => doctor::run(&patient, arguments.format, style),
        Command::Check(files) => check::run(&files, arguments.format, style),
        Command::Explain(explained) => explain::run(&explained, arguments.format, style),
        Command::Test(tests) => test::run(&tests, style),
        Command::Learn(learnt) => learn::run(&learnt, arguments.format),
        Command::Operations(wanted) => operations::run(&wanted, arguments.format, style),
        Command::Revocations(handed_on) => revocations::run(&handed_on),
        Command::Schema => print_schema(),
    };
    exit.into()
}

fn print_schema() -> Exit {
    match schema::config_schema() {
        Ok(schema) => {
            output::print(&format!("{schema:#}\n"));
            Exit::Fine
        }
        Err(error) => output::fail(&error.to_string()),
    }
}
