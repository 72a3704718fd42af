//! A request as a client sends it, where it stands, and how it ends.

use crate::pairs::Pair;

/// A request as a client sends it.
#[derive(Clone, Debug, Default)]
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// Path and query; on Kong what its router made of them.
    pub target: String,
    /// What Kong shows as `:path`, if that differs: it decodes.
    pub shown_path: Option<String>,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<Vec<u8>>,
    /// Whether the body comes only when the test says so ([`crate::Worker::body_arrives`]).
    pub slow_body: bool,
    /// Whether it comes over HTTP/2.
    pub http2: bool,
    /// Whether nothing says how long the body is: over HTTP/1.1 it is chunked, over HTTP/2 nothing says that there is one.
    pub unannounced: bool,
    /// How many trailers follow the body. Kong does not show them.
    pub trailers: u32,
    /// Whether they come only when the test says so ([`crate::Worker::trailers_arrive`]).
    pub slow_trailers: bool,
    /// Whether plugins between the two steps of the native plugin hold it until the test says so ([`crate::Native::plugins_are_done`]).
    pub slow_plugins: bool,
    /// What plugins before the filter left in `kong.ctx.shared`.
    pub shared: Vec<(String, String)>,
}

/// What reaches the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
}

impl Upstream {
    /// All values of a header.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not yet.
    Waiting,
    /// It went on.
    Forwarded(Upstream),
    /// The filter answered it.
    Answered {
        /// The HTTP status.
        status: u16,
        /// Header names and values.
        headers: Vec<(String, String)>,
        /// The body as the client gets it.
        body: Vec<u8>,
    },
    /// The host answered it after a trap.
    ServerError(u16),
    /// The client went away first.
    ClientGone,
}

/// What the filter answers with.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) status: u16,
    pub(crate) headers: Vec<Pair>,
    pub(crate) body: Vec<u8>,
}

/// What comes next for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This entry's `on_http_request_headers`.
    Headers(usize),
    /// This entry's `on_http_request_body`.
    Body(usize),
    /// The upstream's response.
    Response,
    Ended,
}

/// What an entry was shown of a body, in Envoy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShownBody {
    /// How much of it.
    pub(crate) arrived: usize,
    /// Where the part begins that can be read now.
    pub(crate) from: usize,
    /// Whether the entry asked for all of it to be kept, and is shown all with each piece.
    pub(crate) is_kept: bool,
    /// Whether the client waits with the rest, because the buffer is full.
    pub(crate) is_held_back: bool,
    /// Whether the entry has seen that the request ends.
    pub(crate) has_ended: bool,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) entries: Vec<u32>,
    /// The context of each entry, if it has one in the current instance.
    pub(crate) contexts: Vec<Option<u32>>,
    /// Envoy: what each entry was shown of the body.
    pub(crate) shown_body: Vec<ShownBody>,
    pub(crate) http2: bool,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) id: String,
    /// As the filter sees them.
    pub(crate) shown: Vec<Pair>,
    /// As they are sent on.
    pub(crate) sent: Vec<Pair>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) unannounced: bool,
    pub(crate) body_is_late: bool,
    pub(crate) trailers: u32,
    pub(crate) trailers_are_late: bool,
    pub(crate) shared: Vec<(String, Vec<u8>)>,
    pub(crate) upstream_status: Option<u16>,
    pub(crate) response_headers: Vec<Pair>,
    pub(crate) step: Step,
    /// Whether it has waited for a callout.
    pub(crate) has_waited: bool,
    /// Whether the filter holds it.
    pub(crate) paused: bool,
    pub(crate) local: Option<Local>,
    pub(crate) client_gone: bool,
    pub(crate) outcome: Outcome,
}

impl Request {
    pub(crate) fn has_body(&self) -> bool {
        self.body.as_ref().is_some_and(|body| !body.is_empty())
    }

    /// Whether the headers are all there is, so that Envoy says so.
    pub(crate) fn ends_with_headers(&self) -> bool {
        self.trailers == 0 && !self.has_body() && !(self.unannounced && self.body.is_some())
    }

    pub(crate) fn upstream(&self) -> Upstream {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = self.sent.iter().map(|(name, value)| (text(name).to_ascii_lowercase(), text(value)));
        let (method, target) = (self.method.clone(), self.target.clone());
        Upstream { method, target, headers: headers.collect(), body: self.body.clone() }
    }
}
