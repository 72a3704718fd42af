//! The command: reads the state, opens both ports, says where they are, and ends when told to.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// A strict stand-in for a Databricks workspace.
#[derive(Parser)]
#[command(name = "mock-databricks")]
struct Flags {
    /// Who exists in the workspace, and whose tokens it trusts (README.md)
    #[arg(long, value_name = "FILE.json")]
    state: PathBuf,
    /// The workspace's port; 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The port for the tests themselves; never let the gateway reach it
    #[arg(long, default_value = "127.0.0.1:0")]
    admin: SocketAddr,
    /// End when standard input closes, so that a test that dies leaves nothing behind
    #[arg(long)]
    exit_with_stdin: bool,
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let flags = Flags::parse();
    let state =
        std::fs::read_to_string(&flags.state).map_err(|e| format!("cannot read {}: {e}", flags.state.display()))?;
    let running = mock_databricks::start(&state, flags.listen, flags.admin).await?;
    // whoever reads the line may send the signal at once
    let mut terminate = signal(SignalKind::terminate())?;
    announce(&running)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        () = stdin_closed(), if flags.exit_with_stdin => {}
    }
    // `exit` and not `return`: a thread that still reads standard input would hold up the runtime's end
    std::process::exit(0)
}

#[expect(clippy::print_stdout, reason = "the one line that tells whoever started this where it listens")]
fn announce(running: &mock_databricks::Running) -> Result<(), Failure> {
    let line = serde_json::json!({ "url": running.url, "admin_url": running.admin_url });
    println!("{line}");
    std::io::Write::flush(&mut std::io::stdout())?;
    Ok(())
}

async fn stdin_closed() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0u8; 256];
    while matches!(stdin.read(&mut ignored).await, Ok(n) if n > 0) {}
}
