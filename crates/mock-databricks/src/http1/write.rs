//! Writes answers, also in the ways that only faults have.

use axum::http::header;
use axum::http::response::Parts;
use axum::response::Response;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::stream::Gate;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    KeepAlive,
    CloseAfter,
    /// Announces more than it sends, then closes.
    Truncated,
    /// Announces nothing: the body ends with the connection.
    UntilEof,
}

/// By how much a truncated answer announces too much.
const MISSING_BYTES: usize = 100;

pub(super) async fn answer(
    stream: &mut BufReader<TcpStream>,
    answer: Response,
    ending: Ending,
    is_head: bool,
) -> std::io::Result<()> {
    let (parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(std::io::Error::other)?;
    let mut bytes = head(&parts);
    let bodiless = matches!(parts.status.as_u16(), 204 | 304);
    let announced = match ending {
        Ending::Truncated => Some(body.len().saturating_add(MISSING_BYTES)),
        Ending::UntilEof => None,
        Ending::KeepAlive | Ending::CloseAfter => Some(body.len()),
    };
    if let Some(length) = announced.filter(|_| !bodiless) {
        bytes.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
    }
    // a truncated answer keeps quiet about the close that will follow
    if matches!(ending, Ending::CloseAfter | Ending::UntilEof) {
        bytes.extend_from_slice(b"connection: close\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    if !is_head && !bodiless {
        bytes.extend_from_slice(&body);
    }
    stream.get_mut().write_all(&bytes).await?;
    stream.get_mut().flush().await
}

/// Writes an answer whose length nobody knows yet: each piece is on its way before the next is waited for.
pub(super) async fn pieces(
    stream: &mut BufReader<TcpStream>,
    answer: Response,
    pieces: Vec<String>,
    gate: &Gate,
) -> std::io::Result<()> {
    let (parts, _) = answer.into_parts();
    let mut bytes = head(&parts);
    bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    for (number, piece) in pieces.iter().enumerate() {
        if number == 1 {
            gate.pass().await;
        }
        bytes.extend_from_slice(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes());
        stream.get_mut().write_all(&bytes).await?;
        stream.get_mut().flush().await?;
        bytes.clear();
    }
    stream.get_mut().write_all(b"0\r\n\r\n").await?;
    stream.get_mut().flush().await
}

fn head(parts: &Parts) -> Vec<u8> {
    let reason = parts.status.canonical_reason().unwrap_or("Unknown");
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", parts.status.as_u16()).into_bytes();
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != header::CONTENT_LENGTH) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
