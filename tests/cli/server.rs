//! A server for one test: answers each request by its line, over plain HTTP on the loopback.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// Answers with a status, headers and a body.
pub(crate) type Answer = (u16, Vec<(&'static str, String)>, String);

/// Starts a server on a free port; its address. It ends with the test's process.
pub(crate) fn serve(answer: impl Fn(&str, &str, &str) -> Answer + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let own = address.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            one(&mut stream.unwrap(), &own, &answer);
        }
    });
    address
}

fn one(stream: &mut TcpStream, own: &str, answer: &impl Fn(&str, &str, &str) -> Answer) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let lower = head.to_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
    let (status, headers, text) = answer(line, &head, own);
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let reply =
        format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{text}", text.len());
    let _ = stream.write_all(reply.as_bytes());
}
