//! A strict stand-in for a Databricks workspace: it refuses every credential that it did not mint, verifies
//! subject tokens with code of its own, and records all that it ever received. See README.md.

mod admin;
mod bearer;
mod clock;
mod discovery;
mod entra;
mod faults;
mod federation;
mod form;
mod http1;
mod ids;
mod jwks;
mod minting;
mod recording;
mod refusal;
mod rest;
mod scopes;
mod state;
mod stream;
mod thrift;
mod token_endpoint;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::state::Workspace;
use crate::world::World;

/// A started mock. It serves until the process (or its tokio runtime) ends.
pub struct Running {
    /// Where the workspace answers, without a slash at the end.
    pub url: String,
    /// Where the tests ask what was received and order faults, without a slash at the end.
    pub admin_url: String,
}

/// Opens both ports and serves them in the background. `state` is the JSON text of README.md.
pub async fn start(state: &str, listen: SocketAddr, admin: SocketAddr) -> io::Result<Running> {
    let workspace: Workspace = serde_json::from_str(state).map_err(|e| invalid(format!("state: {e}")))?;
    workspace.check().map_err(invalid)?;
    let workspace_port = TcpListener::bind(listen).await?;
    let admin_port = TcpListener::bind(admin).await?;
    let running = Running {
        url: format!("http://{}", workspace_port.local_addr()?),
        admin_url: format!("http://{}", admin_port.local_addr()?),
    };
    let world = Arc::new(World::new(workspace, running.url.clone()).map_err(invalid)?);
    tokio::spawn(http1::serve(workspace_port, Arc::clone(&world)));
    let admin = admin::router(world);
    tokio::spawn(async move { axum::serve(admin_port, admin).await });
    Ok(running)
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
