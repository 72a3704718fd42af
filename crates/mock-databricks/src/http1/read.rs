//! Reads HTTP/1.x requests. What two readers could understand differently is refused: both framings at once, two
//! lengths, an encoding other than `chunked`.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const MAX_HEAD: usize = 256 * 1024;
const MAX_BODY: usize = 64 * 1024 * 1024;
const MAX_HEADERS: usize = 512;

#[derive(Debug, Default)]
pub(super) struct RawRequest {
    pub(super) method: String,
    /// Path and query as they came.
    pub(super) target: String,
    /// In their order and case, duplicates kept.
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    minor_version: u8,
}

pub(super) enum Next {
    Request(RawRequest),
    /// Not a request; as much of it as could be read, and why it is none.
    Malformed(RawRequest, &'static str),
    End,
}

enum Framing {
    Length(usize),
    Chunked,
}

impl RawRequest {
    pub(super) fn keep_alive(&self) -> bool {
        let asks = |word: &str| self.values("connection").any(|value| has_word(value, word));
        if self.minor_version == 0 { asks("keep-alive") } else { !asks("close") }
    }

    fn values<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_slice())
    }

    fn framing(&self) -> Result<Framing, &'static str> {
        let lengths: Vec<&[u8]> = self.values("content-length").collect();
        let encodings: Vec<&[u8]> = self.values("transfer-encoding").collect();
        match (lengths.as_slice(), encodings.as_slice()) {
            ([], []) => Ok(Framing::Length(0)),
            ([length], []) => decimal(length).map(Framing::Length).ok_or("Content-Length is no number."),
            ([], [only]) if only.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            ([], _) => Err("Transfer-Encoding is not just chunked."),
            (_, []) => Err("Content-Length is repeated."),
            _ => Err("Content-Length and Transfer-Encoding exclude each other."),
        }
    }
}

fn has_word(list: &[u8], word: &str) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

fn decimal(text: &[u8]) -> Option<usize> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The next request of a connection.
pub(super) async fn next(stream: &mut BufReader<TcpStream>) -> Next {
    let head = match read_head(stream).await {
        Ok(head) if head.is_empty() => return Next::End,
        Ok(head) => head,
        Err(why) => return Next::Malformed(RawRequest::default(), why),
    };
    let Some(mut raw) = parse_head(&head) else {
        let raw = RawRequest { body: head, ..RawRequest::default() };
        return Next::Malformed(raw, "The head is malformed; the body of this record is its text.");
    };
    if raw.values("expect").any(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        let _ = stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    }
    let read = match raw.framing() {
        Ok(Framing::Length(length)) => read_exactly(stream, length, &mut raw.body).await,
        Ok(Framing::Chunked) => read_chunks(stream, &mut raw.body).await,
        Err(why) => Err(why),
    };
    match read {
        Ok(()) => Next::Request(raw),
        Err(why) => Next::Malformed(raw, why),
    }
}

/// Everything up to and with the empty line; nothing if the connection ended before.
async fn read_head(stream: &mut BufReader<TcpStream>) -> Result<Vec<u8>, &'static str> {
    let mut head = Vec::new();
    loop {
        let start = head.len();
        match stream.read_until(b'\n', &mut head).await {
            Ok(0) | Err(_) if head.is_empty() => return Ok(head),
            Ok(0) | Err(_) => return Err("The connection ended within the head."),
            Ok(_) if head.len() > MAX_HEAD => return Err("The head is too long."),
            Ok(_) => {}
        }
        let line = head.get(start..).unwrap_or_default();
        if line == b"\r\n" || line == b"\n" {
            // an empty line before the request line is tolerated, as RFC 9112 asks
            if start == 0 {
                head.clear();
                continue;
            }
            return Ok(head);
        }
    }
}

fn parse_head(head: &[u8]) -> Option<RawRequest> {
    let mut headers = vec![httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    if !parsed.parse(head).ok()?.is_complete() {
        return None;
    }
    Some(RawRequest {
        method: parsed.method?.to_owned(),
        target: parsed.path?.to_owned(),
        headers: parsed.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect(),
        body: Vec::new(),
        minor_version: parsed.version?,
    })
}

async fn read_exactly(
    stream: &mut BufReader<TcpStream>,
    length: usize,
    body: &mut Vec<u8>,
) -> Result<(), &'static str> {
    if body.len().saturating_add(length) > MAX_BODY {
        return Err("The body is too long.");
    }
    let wanted = u64::try_from(length).unwrap_or(u64::MAX);
    match stream.take(wanted).read_to_end(body).await {
        Ok(read) if read == length => Ok(()),
        _ => Err("The connection ended within the body."),
    }
}

async fn read_chunks(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Result<(), &'static str> {
    const CUT: &str = "The connection ended within a chunk.";
    const BAD: &str = "A chunk is malformed.";
    loop {
        let line = read_line(stream).await.ok_or(CUT)?;
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(size).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let size = size.and_then(|text| usize::from_str_radix(text, 16).ok()).ok_or(BAD)?;
        if size == 0 {
            break;
        }
        read_exactly(stream, size, body).await?;
        if !read_line(stream).await.ok_or(CUT)?.is_empty() {
            return Err(BAD);
        }
    }
    // trailers, which nobody reads
    while !read_line(stream).await.ok_or(CUT)?.is_empty() {}
    Ok(())
}

/// A line without its end; None if the connection ended within it.
async fn read_line(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await.ok()?;
    line.pop().filter(|byte| *byte == b'\n')?;
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Some(line)
}
