//! Where a provider may send a person with a code: to a program on that person's own machine, and nowhere else.

/// What the address begins with (RFC 8252 section 7.3), byte for byte: no other spelling of these is needed, and readers of addresses
/// disagree about the rest.
const LOOPBACK: [&str; 3] = ["http://localhost", "http://127.0.0.1", "http://[::1]"];
/// Longer ones no client sends.
const LONGEST: usize = 256;

/// Whether an address is `http://localhost`, `http://127.0.0.1` or `http://[::1]`, with any port and any plain path.
pub(super) fn is_loopback(uri: &str) -> bool {
    uri.len() <= LONGEST
        && LOOPBACK.iter().filter_map(|host| uri.strip_prefix(host)).any(|rest| {
            let (port, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) && is_plain(path)
        })
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0') && text.parse::<u16>().is_ok()
}

/// Nothing, or segments of unreserved characters (RFC 3986 section 2.3).
fn is_plain(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
    match path.strip_prefix('/') {
        None => path.is_empty(),
        Some("") => true,
        Some(segments) => segments.strip_suffix('/').unwrap_or(segments).split('/').all(is_segment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_on_the_same_machine_may_listen_at_any_port_and_path() {
        for uri in [
            "http://localhost:8020",
            "http://localhost",
            "http://localhost/",
            "http://localhost:8020/",
            "http://127.0.0.1:49152/callback",
            "http://[::1]:1/oauth2/call-back_1.x~/",
            "http://localhost:65535/a",
        ] {
            assert!(is_loopback(uri), "{uri}");
        }
    }

    #[test]
    fn no_other_machine_is_loopback_however_it_is_spelt() {
        for uri in [
            "",
            "http://",
            "https://localhost:8020",
            "http://evil.example/",
            "http://localhost@evil.example",
            "http://localhost:8020@evil.example",
            "http://localhost:@evil.example",
            "http://user@localhost:8020",
            "http://user:pass@localhost",
            "http://localhost.evil.example",
            "http://localhost.",
            "http://localhosts",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1:80#@evil.example",
            "http://127.0.0.1:80?@evil.example",
            "http://127.0.0.1:80\\@evil.example",
            "http://127.0.0.1:80/\\evil.example",
            "http://127.0.0.1:80//evil.example",
            "http://127.0.0.1:80/../evil",
            "http://127.0.0.1:80/./evil",
            "http://127.0.0.1:80/%2e%2e",
            "http://127.0.0.1:80/a b",
            "http://127.0.0.1:80/a?b=c",
            "http://127.0.0.1:80/a#b",
            "http://127.0.0.1:80/a;b",
            "http://127.0.0.1%2eevil.example",
            "http://localhost%00.evil.example",
            "http://localhost\r\nLocation: http://evil.example",
            "http://localhost:8020\n",
            " http://localhost:8020",
            "HTTP://localhost:8020",
            "http://LOCALHOST:8020",
            "http:localhost:8020",
            "http:/localhost:8020",
            "http:\\\\localhost:8020",
            "//localhost:8020",
            "//evil.example",
            "/\\evil.example",
            "http://localhost:",
            "http://localhost:0",
            "http://localhost:080",
            "http://localhost:65536",
            "http://localhost:+80",
            "http://localhost:80:81",
            "http://localhost:8020.evil.example",
            "http://127.1",
            "http://127.0.0.2:80",
            "http://0.0.0.0:80",
            "http://2130706433",
            "http://0x7f.0.0.1",
            "http://[::]:80",
            "http://[::ffff:127.0.0.1]:80",
            "http://[0:0:0:0:0:0:0:1]:80",
            "http://::1:80",
            "http://[::1]evil.example",
            "http://localh\u{f6}st",
            "http://l\u{43e}calhost",
            "javascript:alert(1)//http://localhost",
            "data:text/html,http://localhost",
            "custom-app:/callback",
            "urn:ietf:wg:oauth:2.0:oob",
        ] {
            assert!(!is_loopback(uri), "{uri:?}");
        }
        assert!(is_loopback(&format!("http://localhost/{}", "a".repeat(LONGEST - 17))));
        assert!(!is_loopback(&format!("http://localhost/{}", "a".repeat(LONGEST - 16))));
    }
}
