//! A thread for each connection of a port that the system chose.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

/// Listens on loopback, says where in a line of JSON on standard output, and hands each connection to `serve` until it fails.
///
/// # Errors
///
/// When there is no port or nobody reads the line.
pub(crate) fn connections(serve: fn(TcpStream) -> io::Result<()>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(io::stdout(), "{{\"url\": \"http://{}\"}}", listener.local_addr()?)?;
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        // a connection that breaks is the client's affair
        thread::spawn(move || serve(stream));
    }
    Ok(())
}
