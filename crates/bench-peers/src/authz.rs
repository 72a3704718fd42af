//! An external authorization service for Envoy (`envoy.service.auth.v3.Authorization/Check`) that allows everything: what it costs to ask
//! another process at all.
//!
//! HTTP/2 as far as Envoy needs it. What is asked is not looked at, so headers need not be decompressed, and every answer is the same: a
//! `CheckResponse` without a member, whose status is therefore 0, which is OK.

mod serve;

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;

/// RFC 9113, 3.4.
const PREFACE: usize = 24;
/// RFC 9113, 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
/// Flags: of DATA and HEADERS, of HEADERS, of SETTINGS and PING.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// `:status: 200` of HPACK's static table, and `content-type: application/grpc` without an entry in the dynamic one.
const HEAD: &[u8] = b"\x88\x0f\x10\x10application/grpc";
/// A gRPC message of no bytes, not compressed.
const MESSAGE: &[u8] = &[0; 5];
const TRAILERS: &[u8] = b"\x00\x0bgrpc-status\x010";

fn main() -> io::Result<()> {
    serve::connections(allow_all)
}

fn allow_all(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
    let mut writer = BufWriter::with_capacity(64 * 1024, stream);
    reader.read_exact(&mut [0; PREFACE])?;
    write_frame(&mut writer, SETTINGS, 0, 0, &[])?;
    let mut payload = Vec::new();
    loop {
        // answers go out together when there is nothing more to read
        if reader.buffer().is_empty() {
            writer.flush()?;
        }
        let Frame { kind, flags, stream } = read_frame(&mut reader, &mut payload)?;
        let ends = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        match kind {
            DATA if !payload.is_empty() => {
                // the stream's own window is larger than a question
                let length = u32::try_from(payload.len()).unwrap_or_default();
                write_frame(&mut writer, WINDOW_UPDATE, 0, 0, &length.to_be_bytes())?;
            }
            SETTINGS if flags & ACK == 0 => write_frame(&mut writer, SETTINGS, ACK, 0, &[])?,
            PING if flags & ACK == 0 => write_frame(&mut writer, PING, ACK, 0, &payload)?,
            GOAWAY => return writer.flush(),
            _ => {}
        }
        if ends {
            write_frame(&mut writer, HEADERS, END_HEADERS, stream, HEAD)?;
            write_frame(&mut writer, DATA, 0, stream, MESSAGE)?;
            write_frame(&mut writer, HEADERS, END_HEADERS | END_STREAM, stream, TRAILERS)?;
        }
    }
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
}

fn read_frame(reader: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<Frame> {
    let mut head = [0; 9];
    reader.read_exact(&mut head)?;
    let [high, middle, low, kind, flags, stream @ ..] = head;
    let length = u32::from_be_bytes([0, high, middle, low]);
    payload.resize(usize::try_from(length).unwrap_or_default(), 0);
    reader.read_exact(payload)?;
    Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream) })
}

fn write_frame(writer: &mut impl Write, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    writer.write_all(&[high, middle, low, kind, flags])?;
    writer.write_all(&stream.to_be_bytes())?;
    writer.write_all(payload)
}
