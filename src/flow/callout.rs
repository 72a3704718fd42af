//! Requests of the gateway's own: to identity providers, token endpoints and the workspace.

use super::request_id::RequestId;
use crate::base::{Fingerprint, Secret, UnixTime, Url};
use crate::config::{CalloutLimits, Endpoint};
use crate::exchange::{Pending, RunLookup};
use std::time::Duration;

/// What a callout is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A provider's discovery document.
    Discovery,
    /// A provider's keys.
    Keys,
    /// A Databricks token.
    Token,
    /// The job of a run.
    Lookup,
    /// Whether a token is in force.
    Introspection,
    /// Tokens of a person who signs in.
    Login,
    /// A feed of revoked identities.
    Feed,
    /// Nothing: it only stands between two that must not follow each other, and its answer is not read.
    Spacer,
}

impl Purpose {
    /// The longest answer that is read, in bytes.
    const fn max_reply(self) -> usize {
        match self {
            Self::Discovery => 128 * 1024,
            Self::Keys | Self::Introspection => 256 * 1024,
            Self::Token | Self::Login => 64 * 1024,
            // a run has up to 100 tasks, each described at length
            Self::Lookup => 8 * 1024 * 1024,
            // as many entries as are read, of 80 bytes each
            Self::Feed => 16 * 1024 * 1024,
            Self::Spacer => 0,
        }
    }

    /// What came back, unless it is longer than may be read: hosts are asked not to read so much, and not believed.
    pub(super) fn bounded(self, result: CalloutResult) -> CalloutResult {
        result
            .and_then(|reply| if reply.body.len() > self.max_reply() { Err(CalloutFault::TooLong) } else { Ok(reply) })
    }

    /// The headers of an answer that mean something, their names in lower case.
    const fn wanted_headers(self) -> &'static [&'static str] {
        match self {
            Self::Keys => &["cache-control"],
            Self::Token | Self::Login | Self::Lookup => &["retry-after"],
            Self::Feed => &["etag"],
            Self::Discovery | Self::Introspection | Self::Spacer => &[],
        }
    }
}

/// Every header of an answer that means something to some callout, for hosts that name headers by texts of their own.
#[cfg(any(test, feature = "native"))]
pub const WANTED_HEADERS: [&str; 3] = ["cache-control", "retry-after", "etag"];

/// A request that the host is to send.
#[derive(Debug)]
pub struct Callout {
    /// What it is for.
    pub purpose: Purpose,
    /// Callouts that bear the same mark are the same request: a host that can let requests wait for each other sends one of them.
    pub share: Option<Fingerprint>,
    /// Where to; its path is the request's target.
    pub url: Url,
    /// The cluster's name, on hosts that dispatch by it.
    pub upstream: Option<String>,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Header names and values, pseudo-headers not among them.
    pub headers: Vec<(&'static str, Secret<String>)>,
    /// The body; empty for none.
    pub body: Secret<String>,
    /// For how long to wait for the whole answer.
    pub timeout: Duration,
    /// The longest answer that is read, in bytes; a longer one is [`CalloutFault::TooLong`].
    pub max_reply: usize,
    /// The headers of the answer to hand over.
    pub wanted_headers: &'static [&'static str],
}

impl Callout {
    /// A `GET` of a public document.
    pub(super) fn get(purpose: Purpose, endpoint: &Endpoint, limits: CalloutLimits) -> Self {
        let Endpoint { url, upstream } = endpoint.clone();
        let agent = concat!("databricks-kong/", env!("CARGO_PKG_VERSION"));
        let headers = [("accept", "application/json"), ("user-agent", agent)];
        let share = Fingerprint::builder("callout").field(url.to_string().as_bytes());
        let share = share.field(upstream.as_deref().unwrap_or_default().as_bytes()).finish();
        Self {
            purpose,
            share: Some(share),
            url,
            upstream,
            method: "GET",
            headers: headers.map(|(name, value)| (name, Secret::new(value.to_owned()))).into(),
            body: Secret::new(String::new()),
            timeout: limits.timeout,
            max_reply: purpose.max_reply(),
            wanted_headers: purpose.wanted_headers(),
        }
    }

    /// Asks for a token at `now`.
    pub(super) fn token(pending: &Pending, workspace: &Endpoint, limits: CalloutLimits, now: UnixTime) -> Self {
        let other = pending
            .server()
            .map(|server| Endpoint { url: server.url.clone(), upstream: server.upstream.map(str::to_owned) });
        let mut callout = Self::get(Purpose::Token, other.as_ref().unwrap_or(workspace), limits);
        let form = pending.form(now);
        callout.post_form(form.body);
        callout.headers.extend(form.authorization.map(|value| ("authorization", value)));
        callout.share = Some(pending.share());
        callout
    }

    /// Asks whether a token is in force (RFC 7662 section 2.1).
    pub(super) fn introspection(
        endpoint: &Endpoint,
        token: &Secret<String>,
        authorization: &Secret<String>,
        limits: CalloutLimits,
    ) -> Self {
        let mut callout = Self::get(Purpose::Introspection, endpoint, limits);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", token.expose()).append_pair("token_type_hint", "access_token");
        callout.post_form(Secret::new(form.finish()));
        callout.headers.push(("authorization", authorization.clone()));
        let share = Fingerprint::builder("introspection").field(endpoint.url.to_string().as_bytes());
        let share = share.field(endpoint.upstream.as_deref().unwrap_or_default().as_bytes());
        let share = share.field(authorization.expose().as_bytes());
        callout.share = Some(share.field(callout.body.expose().as_bytes()).finish());
        callout
    }

    /// Asks a provider for tokens of a person who signs in. `share`: whether others who want the same may have the same answer.
    pub(super) fn login(
        endpoint: &Endpoint,
        form: Secret<String>,
        authorization: Option<&Secret<String>>,
        share: bool,
        limits: CalloutLimits,
    ) -> Self {
        let mut callout = Self::get(Purpose::Login, endpoint, limits);
        let mark = Fingerprint::builder("login").field(endpoint.url.to_string().as_bytes());
        let mark = mark.field(endpoint.upstream.as_deref().unwrap_or_default().as_bytes());
        let mark = mark.field(authorization.map_or(&[], |value| value.expose().as_bytes()));
        callout.share = share.then(|| mark.field(form.expose().as_bytes()).finish());
        callout.post_form(form);
        callout.headers.extend(authorization.map(|value| ("authorization", value.clone())));
        callout
    }

    fn post_form(&mut self, body: Secret<String>) {
        self.method = "POST";
        self.headers.push(("content-type", Secret::new("application/x-www-form-urlencoded".to_owned())));
        self.body = body;
    }

    /// Asks for a feed, if it is not the one any more that had this `ETag`.
    pub(super) fn feed(
        endpoint: &Endpoint,
        bearer: Option<&Secret<String>>,
        etag: Option<&str>,
        limits: CalloutLimits,
    ) -> Self {
        let mut callout = Self::get(Purpose::Feed, endpoint, limits);
        let authorization = bearer.map(|secret| Secret::new(format!("Bearer {}", secret.expose())));
        let share = Fingerprint::builder("feed").field(endpoint.url.to_string().as_bytes());
        let share = share.field(endpoint.upstream.as_deref().unwrap_or_default().as_bytes());
        let share = share.field(authorization.as_ref().map_or(&[], |value| value.expose().as_bytes()));
        callout.share = Some(share.field(etag.unwrap_or_default().as_bytes()).finish());
        callout.headers.extend(authorization.map(|value| ("authorization", value)));
        callout.headers.extend(etag.map(|etag| ("if-none-match", Secret::new(etag.to_owned()))));
        callout
    }

    /// Asks the workspace which job a run belongs to (Databricks REST reference, Get a single job run), with the marks of the request
    /// that it is for.
    pub(super) fn run_lookup(lookup: &RunLookup, id: &RequestId, workspace: &Endpoint, limits: CalloutLimits) -> Self {
        let run = lookup.permit().run_to_look_up().unwrap_or_default();
        let url = workspace.url.with_path(&format!("/api/2.2/jobs/runs/get?run_id={run}"));
        let mut callout = Self::get(Purpose::Lookup, &Endpoint { url, ..workspace.clone() }, limits);
        callout.share = None;
        callout.headers.retain(|(name, _)| *name != "user-agent");
        callout.headers.push(("user-agent", Secret::new(id.mark())));
        callout.headers.extend(lookup.authorization().map(|value| ("authorization", value.clone())));
        callout
    }

    /// What stands before `next` where it must not be the next itself: to the same server, without body and credential.
    pub(super) fn spacer_before(next: &Self) -> Self {
        let endpoint = Endpoint { url: next.url.with_path("/"), upstream: next.upstream.clone() };
        let limits = CalloutLimits { timeout: next.timeout, attempts: 1, allow_http: true };
        Self { share: None, ..Self::get(Purpose::Spacer, &endpoint, limits) }
    }

    /// Whether there is a body to send.
    #[must_use]
    pub fn has_body(&self) -> bool {
        !self.body.expose().is_empty()
    }
}

/// What a host has to say of a callout.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The reply, or why there is none.
    pub result: CalloutResult,
    /// Whether another request's callout got it; it is not counted again.
    pub shared: bool,
    /// When it was asked for, if another worker kept it: it may be older than the wish for it.
    pub kept: Option<UnixTime>,
}

impl Answer {
    /// The answer to a request's own callout.
    #[must_use]
    pub const fn own(result: CalloutResult) -> Self {
        Self { result, shared: false, kept: None }
    }

    /// As [`Self::kept`]: only the native plugin's workers hand each other anything, and the filter is smaller for knowing.
    pub(super) const fn when_kept(&self) -> Option<UnixTime> {
        if cfg!(feature = "native") { self.kept } else { None }
    }
}

/// What came back.
pub type CalloutResult = Result<CalloutReply, CalloutFault>;

/// A reply, whatever its status.
#[derive(Clone)]
pub struct CalloutReply {
    /// The HTTP status.
    pub status: u16,
    /// Those of the headers that were wanted, their names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl CalloutReply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for CalloutReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // bodies hold tokens
        f.debug_struct("CalloutReply").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalloutFault {
    /// The host did not send the request, or lost the answer; its word for the cause, if it has one.
    #[error("no answer ({0})")]
    Failed(String),
    /// The whole reply was not there in time.
    #[error("no answer in time")]
    TimedOut,
    /// A reply of which a part is missing.
    #[error("the answer was cut off")]
    Truncated,
    /// A reply that is longer than [`Callout::max_reply`].
    #[error("the answer is too long")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;
    use Purpose::{Discovery, Feed, Introspection, Keys, Login, Lookup, Spacer, Token};

    #[test]
    fn every_header_that_a_callout_wants_is_one_that_hosts_hand_over() {
        let mut wanted: Vec<_> = [Discovery, Keys, Token, Lookup, Introspection, Login, Feed, Spacer]
            .iter()
            .flat_map(|purpose| purpose.wanted_headers())
            .copied()
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut handed_over = WANTED_HEADERS;
        handed_over.sort_unstable();
        assert_eq!(wanted, handed_over);
    }
}
