//! What a decision rests on, for hosts on which others may change a request between the decision and its sending.

use super::{Inspected, ReadBody};
use crate::base::Fingerprint;

/// The parts of a request that a decision looked at, or could have.
#[derive(Debug)]
pub struct Basis {
    method: Vec<u8>,
    target: Vec<u8>,
    content_type: Option<String>,
    encodes_body: bool,
    resource_headers: Vec<(String, String)>,
    has_body: bool,
    body: Option<Fingerprint>,
}

impl Basis {
    /// What will be decided on: the headers, the target as it is sent, and whether there is a body.
    #[must_use]
    pub fn new(seen: &Inspected, target: &[u8], has_body: bool) -> Self {
        Self {
            method: seen.method.clone().unwrap_or_default(),
            target: target.to_vec(),
            content_type: seen.content_type.clone(),
            encodes_body: seen.encodes_body,
            resource_headers: seen.resource_headers.clone(),
            has_body,
            body: None,
        }
    }

    /// The decision also looks at this body.
    pub fn read(&mut self, body: &ReadBody) {
        self.body = fingerprint(body);
    }

    /// What of a request that is about to be sent differs from what was decided on, in a few words; nothing if it may be sent.
    ///
    /// `body` is what `read` was told, as it is now; it does not matter where nothing was read.
    #[must_use]
    pub fn difference(&self, seen: &Inspected, target: &[u8], has_body: bool, body: &ReadBody) -> Option<&'static str> {
        if seen.problem.is_some() {
            return Some("headers");
        }
        if seen.method.as_deref() != Some(&self.method) {
            return Some("method");
        }
        if target != self.target {
            return Some("target");
        }
        if seen.content_type != self.content_type || seen.encodes_body != self.encodes_body {
            return Some("body's type");
        }
        if seen.resource_headers != self.resource_headers {
            return Some("headers");
        }
        if has_body != self.has_body || self.body.is_some_and(|read| fingerprint(body) != Some(read)) {
            return Some("body");
        }
        None
    }
}

fn fingerprint(body: &ReadBody) -> Option<Fingerprint> {
    match body {
        ReadBody::Whole(body) => Some(Fingerprint::builder("body").field(body).finish()),
        ReadBody::TooLong | ReadBody::Unreadable => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OwnHeaders;
    use crate::flow::inspect_headers;

    fn seen(headers: &[(&str, &str)]) -> Inspected {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        inspect_headers(headers, &OwnHeaders::default())
    }

    const HEADERS: [(&str, &str); 4] = [
        (":method", "POST"),
        ("Content-Type", "application/json"),
        ("X-Databricks-Cluster-Id", "0923-1"),
        ("Content-Length", "2"),
    ];

    fn differs(headers: &[(&str, &str)], target: &str, has_body: bool, body: &str) -> Option<&'static str> {
        let mut decided = Basis::new(&seen(&HEADERS), b"/api/2.0/x?a=1", true);
        decided.read(&ReadBody::Whole(b"{}".to_vec()));
        decided.difference(&seen(headers), target.as_bytes(), has_body, &ReadBody::Whole(body.as_bytes().to_vec()))
    }

    #[test]
    fn what_was_decided_on_may_be_sent() {
        assert_eq!(differs(&HEADERS, "/api/2.0/x?a=1", true, "{}"), None);
        // what no decision looks at is free
        let more = [&HEADERS[..], &[("X-Other", "1"), ("Authorization", "Bearer EVIL")]].concat();
        assert_eq!(differs(&more, "/api/2.0/x?a=1", true, "{}"), None);
    }

    #[test]
    fn whatever_a_decision_rests_on_must_be_as_it_was() {
        let with = |at: usize, header| {
            let mut headers = HEADERS;
            headers[at] = header;
            headers
        };
        let target = "/api/2.0/x?a=1";
        for (headers, target, has_body, body, what) in [
            (with(0, (":method", "DELETE")), target, true, "{}", "method"),
            (HEADERS, "/api/2.0/y?a=1", true, "{}", "target"),
            (HEADERS, "/api/2.0/x?a=2", true, "{}", "target"),
            (HEADERS, "/api/2.0/x", true, "{}", "target"),
            (with(1, ("Content-Type", "text/plain")), target, true, "{}", "body's type"),
            (with(1, ("Content-Encoding", "gzip")), target, true, "{}", "body's type"),
            (with(2, ("X-Databricks-Cluster-Id", "0923-2")), target, true, "{}", "headers"),
            (with(2, ("X-HTTP-Method-Override", "DELETE")), target, true, "{}", "headers"),
            (HEADERS, target, false, "{}", "body"),
            (HEADERS, target, true, "{} ", "body"),
        ] {
            assert_eq!(differs(&headers, target, has_body, body), Some(what), "{headers:?} {target} {has_body} {body}");
        }
    }

    #[test]
    fn a_body_that_was_not_read_may_change_but_not_appear() {
        let headers = [(":method", "GET")];
        let decided = Basis::new(&seen(&headers), b"/", false);
        assert_eq!(decided.difference(&seen(&headers), b"/", false, &ReadBody::Unreadable), None);
        assert_eq!(decided.difference(&seen(&headers), b"/", true, &ReadBody::Unreadable), Some("body"));
    }
}
