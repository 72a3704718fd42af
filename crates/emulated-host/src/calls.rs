//! Callouts: what the filter asked for, and how it ends.

use crate::pairs::Pair;
use crate::worker::RequestHandle;

/// A callout that was sent and has not been answered.
#[derive(Clone, Debug)]
pub struct PendingCall {
    /// The host's name for it.
    pub token: u32,
    /// Which request it is for; `None` for a tick's.
    pub request: Option<RequestHandle>,
    /// `host:port` on Kong, a cluster's name on Envoy.
    pub upstream: String,
    /// Header names and values, pseudo-headers among them.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// Milliseconds for one step (Kong) or for all of it (Envoy).
    pub timeout: u32,
}

impl PendingCall {
    /// The value of a header; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// Where it goes, as one URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.header(":scheme"), self.header(":authority"), self.header(":path"))
    }
}

/// How a callout ends.
#[derive(Clone, Debug)]
pub enum CalloutEnd {
    /// A whole answer.
    Reply {
        /// Its status.
        status: u16,
        /// Its headers.
        headers: Vec<(String, String)>,
        /// Its body.
        body: Vec<u8>,
    },
    /// The connection ends within the body. Kong says how long it should have been, and has none of it.
    Truncated {
        /// Its status.
        status: u16,
        /// The length that was announced.
        announced: u32,
    },
    /// A body that ends with the connection, which Kong loses.
    EndsWithConnection {
        /// Its status.
        status: u16,
        /// What the server sent.
        body: Vec<u8>,
    },
    /// Nobody listens.
    Refused,
    /// Nobody answers in time.
    Timeout,
    /// The name leads nowhere.
    Dns,
    /// The certificate does not hold.
    Tls,
    /// The answer's headers are too long, or it is no HTTP: Kong shows a status and the failure.
    Unreadable,
    /// The server closes without a byte: on Kong no status, and no failure either.
    ClosedAtOnce,
}

impl CalloutEnd {
    /// A whole answer without further headers.
    pub fn reply(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Reply { status, headers: Vec::new(), body: body.into() }
    }
}

/// An answer as the filter finds it during its callback.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) headers: Vec<Pair>,
    /// What the callback's argument says.
    pub(crate) size: u32,
    /// What there really is.
    pub(crate) body: Option<Vec<u8>>,
    /// Whether Kong counts it as a failure.
    pub(crate) failed: bool,
}

impl Delivered {
    fn new(headers: &[(&str, &str)], body: Vec<u8>, failed: bool) -> Self {
        let pair = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let size = u32::try_from(body.len()).unwrap();
        Self { headers: headers.iter().map(pair).collect(), size, body: Some(body), failed }
    }

    /// As Kong delivers it: a failure has no `:status` but its cause in `:dispatch_status`.
    pub(crate) fn by_kong(end: CalloutEnd) -> Self {
        let failure = |cause| Self::new(&[(":dispatch_status", cause)], Vec::new(), true);
        match end {
            CalloutEnd::Reply { status, headers, body } => {
                let status = status.to_string();
                let mut all = vec![(":status", status.as_str()), (":dispatch_status", "ok")];
                all.extend(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                Self::new(&all, body, false)
            }
            CalloutEnd::Truncated { status, announced } => {
                let status = status.to_string();
                let mut delivered = Self::new(&[(":status", &status), (":dispatch_status", "ok")], Vec::new(), false);
                (delivered.size, delivered.body) = (announced, None);
                delivered
            }
            CalloutEnd::EndsWithConnection { status, .. } => {
                Self::new(&[(":status", &status.to_string()), (":dispatch_status", "ok")], Vec::new(), false)
            }
            CalloutEnd::Refused => failure("broken connection"),
            CalloutEnd::Timeout => failure("timeout"),
            CalloutEnd::Dns => failure("resolver failure"),
            CalloutEnd::Tls => failure("tls handshake failure"),
            CalloutEnd::Unreadable => {
                Self::new(&[(":status", "200"), (":dispatch_status", "reader failure")], Vec::new(), true)
            }
            CalloutEnd::ClosedAtOnce => failure("ok"),
        }
    }

    /// As Envoy delivers it: it answers for a server that does not, or gives no headers at all.
    pub(crate) fn by_envoy(end: CalloutEnd) -> Self {
        let local = |status: u16, text: &str| Self::new(&[(":status", &status.to_string())], text.into(), false);
        match end {
            CalloutEnd::Reply { status, headers, body } => {
                let status = status.to_string();
                let mut all = vec![(":status", status.as_str())];
                all.extend(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                Self::new(&all, body, false)
            }
            CalloutEnd::EndsWithConnection { status, body } => {
                Self::new(&[(":status", &status.to_string())], body, false)
            }
            CalloutEnd::Refused | CalloutEnd::Dns | CalloutEnd::Tls => {
                local(503, "upstream connect error or disconnect/reset before headers")
            }
            CalloutEnd::Timeout => local(504, "upstream request timeout"),
            CalloutEnd::Truncated { .. } | CalloutEnd::Unreadable | CalloutEnd::ClosedAtOnce => {
                Self::new(&[], Vec::new(), true)
            }
        }
    }
}
