//! Sends so many requests a second, whether earlier ones are answered or not, and prints how long the answers took:
//!
//!     bench-pacer ADDRESS TARGET RATE SECONDS CONNECTIONS [NAME VALUE]…
//!
//! Every connection has its own share of the schedule. What could not be sent in time because the connection still waited for an answer
//! counts from when it was to be sent, so that a gateway that stalls does not hide the requests that it kept from being sent (wrk2 does the
//! same). How late the system wakes this program is not the gateway's affair, and not counted.

#![allow(clippy::disallowed_methods, reason = "it sends by the clock")]

use std::env;
use std::fmt::Display;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

/// What is printed, in thousandths of all answers.
const PARTS: [(&str, usize); 6] =
    [("p50", 500), ("p75", 750), ("p90", 900), ("p95", 950), ("p99", 990), ("p99.9", 999)];

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, target, rate, seconds, connections, headers @ ..] = arguments.as_slice() else {
        return Err(wrong("ADDRESS TARGET RATE SECONDS CONNECTIONS [NAME VALUE]... are wanted"));
    };
    let (rate, seconds, connections): (u32, u64, u32) = (number(rate)?, number(seconds)?, number(connections)?);
    let request = request(address, target, headers);
    let every = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
    // connections exist before the clock starts
    let streams: io::Result<Vec<_>> = (0..connections).map(|_| TcpStream::connect(address)).collect();
    let start = Instant::now();
    let threads = streams?.into_iter().zip(0..).map(|(stream, number)| {
        let pace = Pace {
            start,
            first: every.saturating_mul(number),
            every: every.saturating_mul(connections),
            until: Duration::from_secs(seconds),
        };
        let request = request.clone();
        thread::spawn(move || pace.run(stream, &request))
    });
    let threads: Vec<_> = threads.collect();
    let mut taken = Vec::new();
    for thread in threads {
        taken.extend(thread.join().map_err(|_| wrong("a connection's thread ended"))??);
    }
    taken.sort_unstable();
    print(&taken)
}

/// A connection's share of the schedule, in time since its start.
struct Pace {
    start: Instant,
    first: Duration,
    every: Duration,
    until: Duration,
}

impl Pace {
    /// How long each answer took.
    fn run(&self, stream: TcpStream, request: &str) -> io::Result<Vec<Duration>> {
        stream.set_nodelay(true)?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        let mut taken = Vec::new();
        let mut due = self.first;
        while due < self.until {
            let early = due.checked_sub(self.start.elapsed());
            if let Some(early) = early {
                thread::sleep(early);
            }
            let from = if early.is_some() { self.start.elapsed() } else { due };
            writer.write_all(request.as_bytes())?;
            read_answer(&mut reader)?;
            taken.push(self.start.elapsed().saturating_sub(from));
            due = due.saturating_add(self.every);
        }
        Ok(taken)
    }
}

/// One answer with its body, whose status must be 200.
fn read_answer(reader: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut line = String::new();
    let mut length = 0;
    let mut first = true;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(wrong("the connection ended"));
        }
        if first && line.split(' ').nth(1) != Some("200") {
            return Err(wrong(&format!("not every answer is 200: {}", line.trim())));
        }
        first = false;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = number(value.trim())?,
            _ if line.trim().is_empty() => break,
            _ => {}
        }
    }
    io::copy(&mut reader.by_ref().take(length), &mut io::sink()).map(drop)
}

fn request(address: &str, target: &str, headers: &[String]) -> String {
    let mut request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n");
    for pair in headers.chunks(2) {
        request.extend([pair.join(": ").as_str(), "\r\n"]);
    }
    request + "\r\n"
}

/// Milliseconds by percentile, and how many answers there were.
fn print(taken: &[Duration]) -> io::Result<()> {
    let at = |thousandths: usize| {
        let index = taken.len().saturating_sub(1).saturating_mul(thousandths) / 1000;
        taken.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let parts: Vec<_> = PARTS.iter().map(|(name, part)| format!("\"{name}\": {:.4}", at(*part))).collect();
    writeln!(io::stdout(), "{{\"answers\": {}, \"milliseconds\": {{{}}}}}", taken.len(), parts.join(", "))
}

fn number<T: FromStr<Err: Display>>(text: &str) -> io::Result<T> {
    text.parse().map_err(|error| wrong(&format!("`{text}`: {error}")))
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
