//! The workspace of benchmarks: an HTTP/1.1 server that answers every request with the same small object.

mod serve;

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

fn main() -> io::Result<()> {
    serve::connections(answer_all)
}

fn answer_all(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(16 * 1024, stream.try_clone()?);
    let mut writer = stream;
    let mut line = Vec::with_capacity(4096);
    while let Some(length) = read_head(&mut reader, &mut line)? {
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        writer.write_all(ANSWER)?;
    }
    Ok(())
}

/// The length of the body that follows; `None` at the end of the connection. Gateways send no chunks here.
fn read_head(reader: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
    const LENGTH: &[u8] = b"content-length:";
    let mut length = 0;
    loop {
        line.clear();
        if reader.read_until(b'\n', line)? == 0 {
            return Ok(None);
        }
        if line.as_slice() == b"\r\n" {
            return Ok(Some(length));
        }
        let parts = line.split_at_checked(LENGTH.len());
        if let Some((_, value)) = parts.filter(|(name, _)| name.eq_ignore_ascii_case(LENGTH)) {
            let digits = str::from_utf8(value).unwrap_or_default().trim();
            length = digits.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        }
    }
}
