//! `databricks-kong revocations`: the service that fills the revocation feed, which is a program of its own.
//!
//! It is run in place of this one, not linked in: a server, TLS and two databases have no place in what checks a file in CI, and the
//! service uses this crate, so that this crate cannot use the service.

use crate::output::{self, Exit};
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

const PROGRAM: &str = "databricks-kong-revocations";

/// What is handed on.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Its command and arguments; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    arguments: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let mut command = Command::new(program());
    command.args(&arguments.arguments);
    let error = become_it(&mut command);
    output::fail(&format!(
        "`{PROGRAM}` cannot be run: {error}; put it beside `databricks-kong` or on the PATH \
         (`cargo build --release -p revocations` builds it)"
    ))
}

/// Beside this program, as both are installed together; else wherever the PATH has it.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(PROGRAM))
}

/// Signals and the exit code are the service's own from here on. Comes back only if it cannot be run.
#[cfg(unix)]
fn become_it(command: &mut Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

#[cfg(not(unix))]
fn become_it(command: &mut Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
