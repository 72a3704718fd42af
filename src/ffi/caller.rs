//! A caller of the C interface, as the Lua files are one: for tests, those of other crates among them, which have no `unsafe` of their own.

#![allow(unsafe_code, reason = "exported functions take pointers; here they are to what lives until the call is over")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "tests fail loudly, and no library that is shipped has this"
)]

use super::exports::*;
use super::interface::{DkAnswer, DkBytes, DkCalloutAnswer, DkHead, DkHeader, DkText};
use super::message::{AWAIT_BODY, CALL, COMMON, Code, REPLY, SEND};
use std::ptr::null;

/// The room for answers that the Lua files begin with.
const ROOM: usize = 16384;

/// An answer, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub(super) code: i32,
    pub(super) fields: Vec<Vec<u8>>,
}

/// What an answer wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The call failed: the request is to be refused.
    Failed,
    /// Nothing.
    Nothing,
    /// A callout is to be sent.
    Call(Box<Call>),
    /// The body is to be read, of at most so many bytes.
    AwaitBody(usize),
    /// The request is allowed, and to be compared before it is sent.
    Allowed,
    /// The request is to be answered.
    Reply {
        /// With this status,
        status: u16,
        /// these headers,
        headers: Vec<(String, String)>,
        /// and this body.
        body: Vec<u8>,
    },
    /// The request is to be sent.
    Send {
        /// Of which statuses of its answer the library is to be told.
        listens: String,
        /// The headers to set.
        headers: Vec<(String, String)>,
    },
}

/// A callout that the library wants sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The scheme, where to, and as whom.
    pub scheme: String,
    /// Host and port.
    pub upstream: String,
    /// The authority.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// The method.
    pub method: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// Milliseconds until it counts as not answered.
    pub timeout: u32,
    /// The longest answer that may be read.
    pub longest: usize,
    /// What it has in common with those whose answer it may have; empty for nothing.
    pub share: Vec<u8>,
    /// The name under which the answer may be sealed; empty if it may not.
    pub keep: Vec<u8>,
    /// The names of the headers that matter in the answer.
    pub wanted: Vec<String>,
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

impl Said {
    /// One of the fields with which every answer about a request begins.
    #[must_use]
    pub fn common(&self, name: &str) -> &str {
        self.own(&[], name)
    }

    pub(super) fn own(&self, names: &[&str], name: &str) -> &str {
        text(self.own_bytes(names, name))
    }

    pub(super) fn own_bytes(&self, names: &[&str], name: &str) -> &[u8] {
        let place = COMMON.iter().chain(names).position(|one| *one == name).unwrap();
        &self.fields[place]
    }

    /// The pairs that follow the fields of these names.
    pub(super) fn headers(&self, names: &[&str]) -> Vec<(&str, &str)> {
        let (pairs, rest) = self.fields[COMMON.len() + names.len()..].as_chunks::<2>();
        assert_eq!(rest.len(), 0);
        pairs.iter().map(|[name, value]| (text(name), text(value))).collect()
    }

    /// What is to be done.
    #[must_use]
    pub fn order(&self) -> Order {
        let headers = |names: &[&str]| {
            self.headers(names).into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let is = |code: Code| self.code == code as i32;
        if is(Code::Call) {
            let own = |name| self.own(&CALL, name).to_owned();
            Order::Call(Box::new(Call {
                scheme: own("scheme"),
                upstream: format!("{}:{}", own("host"), own("port")),
                authority: own("authority"),
                path: own("path"),
                method: own("method"),
                headers: headers(&CALL),
                body: self.own_bytes(&CALL, "body").to_vec(),
                timeout: own("timeout").parse().unwrap(),
                longest: own("longest").parse().unwrap(),
                share: self.own_bytes(&CALL, "share").to_vec(),
                keep: self.own_bytes(&CALL, "keep").to_vec(),
                wanted: own("wanted").lines().map(str::to_owned).collect(),
            }))
        } else if is(Code::AwaitBody) {
            Order::AwaitBody(self.own(&AWAIT_BODY, "longest").parse().unwrap())
        } else if is(Code::Allowed) {
            Order::Allowed
        } else if is(Code::Reply) {
            let status = self.own(&REPLY, "status").parse().unwrap();
            Order::Reply { status, headers: headers(&REPLY), body: self.own_bytes(&REPLY, "body").to_vec() }
        } else if is(Code::Send) {
            Order::Send { listens: self.own(&SEND, "listens").to_owned(), headers: headers(&SEND) }
        } else if is(Code::Nothing) {
            Order::Nothing
        } else {
            assert_eq!(self.code, Code::Failed as i32);
            Order::Failed
        }
    }
}

/// Asks with `room` bytes for the answer, and again with as many as it needs.
pub(super) fn ask(room: usize, call: impl FnOnce(*mut DkAnswer) -> i32) -> Said {
    let mut memory = vec![0_u8; room];
    let mut answer = DkAnswer { data: memory.as_mut_ptr(), room, size: 0 };
    let mut code = call(&raw mut answer);
    if code == Code::Grow as i32 {
        memory = vec![0_u8; answer.size];
        answer = DkAnswer { data: memory.as_mut_ptr(), room: memory.len(), size: 0 };
        // SAFETY: `answer` and its memory live until the call is over
        code = unsafe { dk_again(&raw mut answer) };
        assert_ne!(code, Code::Grow as i32);
    }
    let fields = if code == Code::Failed as i32 { Vec::new() } else { take_apart(&memory[..answer.size]) };
    Said { code, fields }
}

fn take_apart(bytes: &[u8]) -> Vec<Vec<u8>> {
    let number = |at: usize| u32::from_ne_bytes(bytes[at * 4..at * 4 + 4].try_into().unwrap()) as usize;
    let (count, body) = (number(0), &bytes[4 + 4 * number(0)..]);
    let mut begin = 0;
    let fields = (1..=count).map(|at| {
        let field = &body[begin..number(at)];
        begin = number(at);
        field.to_vec()
    });
    fields.collect()
}

pub(super) fn span(bytes: &[u8]) -> DkBytes {
    DkBytes { data: bytes.as_ptr(), size: bytes.len() }
}

/// A header as nginx's Lua module hands it over.
pub(super) fn header(name: &str, value: &str) -> DkHeader {
    let text = |text: &str| DkText { size: text.len().try_into().unwrap(), data: text.as_ptr() };
    DkHeader { name: text(name), value: text(value) }
}

fn spans(pairs: &[(&str, &str)]) -> Vec<DkBytes> {
    pairs.iter().flat_map(|(name, value)| [span(name.as_bytes()), span(value.as_bytes())]).collect()
}

/// A request's head.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The host's own name of the request.
    pub id: &'a str,
    /// The method.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Names and values.
    pub headers: Vec<(&'a str, &'a str)>,
    /// Names and values of `kong.ctx.shared`.
    pub shared: Vec<(&'a str, &'a str)>,
    /// Whether a body follows that no header announces.
    pub has_body: bool,
}

impl Head<'_> {
    pub(super) fn with<T>(&self, call: impl FnOnce(*const DkHead) -> T) -> T {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| header(name, value)).collect();
        let shared = spans(&self.shared);
        let head = DkHead {
            id: span(self.id.as_bytes()),
            method: span(self.method.as_bytes()),
            target: span(self.target.as_bytes()),
            scheme: span(b"https"),
            headers: headers.as_ptr(),
            headers_count: headers.len(),
            shared: shared.as_ptr(),
            shared_count: shared.len(),
            certificate: span(b""),
            has_body: self.has_body.into(),
            has_more_headers: 0,
        };
        call(&raw const head)
    }
}

/// What became of a callout; see `dk_callout_answer`.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// As there.
    pub outcome: u32,
    /// As there.
    pub shared: bool,
    /// As there.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(&'a str, &'a str)>,
    /// As there.
    pub body: &'a [u8],
}

impl Answer<'_> {
    fn with<T>(&self, call: impl FnOnce(*const DkCalloutAnswer) -> T) -> T {
        let headers = spans(&self.headers);
        let answer = DkCalloutAnswer {
            outcome: self.outcome,
            shared: self.shared.into(),
            status: self.status.into(),
            headers: if headers.is_empty() { null() } else { headers.as_ptr() },
            headers_count: headers.len(),
            body: span(self.body),
        };
        call(&raw const answer)
    }
}

/// `dk_start`.
pub fn start() {
    // SAFETY: here and below, every pointer is to what lives until the call is over
    let said = ask(ROOM, |answer| unsafe { dk_start(answer) });
    assert_eq!(said.code, Code::Done as i32);
}

/// `dk_config_open`.
#[must_use]
pub fn open_config(text: &str) -> Option<u64> {
    let mut handle = 0;
    let said = ask(ROOM, |answer| unsafe {
        handle = dk_config_open(text.as_ptr(), text.len(), answer);
        // the answer is about secrets that are looked up elsewhere, or about errors
        if handle == 0 { Code::Failed as i32 } else { Code::Done as i32 }
    });
    (said.code == Code::Done as i32).then_some(handle)
}

/// `dk_config_close`.
pub fn close_config(config: u64) {
    unsafe { dk_config_close(config) };
}

/// `dk_request_open`.
#[must_use]
pub fn open_request(config: u64) -> Option<u64> {
    Some(unsafe { dk_request_open(config) }).filter(|request| *request != 0)
}

/// `dk_request_close`.
pub fn close_request(request: u64) {
    unsafe { dk_request_close(request) };
}

/// `dk_on_headers`.
#[must_use]
pub fn on_headers(request: u64, head: &Head<'_>) -> Said {
    head.with(|head| ask(ROOM, |answer| unsafe { dk_on_headers(request, head, answer) }))
}

/// `dk_on_body`.
#[must_use]
pub fn on_body(request: u64, kind: u32, body: &[u8]) -> Said {
    ask(ROOM, |answer| unsafe { dk_on_body(request, kind, body.as_ptr(), body.len(), answer) })
}

/// `dk_on_callout`.
#[must_use]
pub fn on_callout(request: u64, result: &Answer<'_>) -> Said {
    result.with(|result| ask(ROOM, |answer| unsafe { dk_on_callout(request, result, answer) }))
}

/// `dk_on_send`.
#[must_use]
pub fn on_send(request: u64, head: &Head<'_>, kind: u32, body: &[u8]) -> Said {
    head.with(|head| ask(ROOM, |answer| unsafe { dk_on_send(request, head, kind, body.as_ptr(), body.len(), answer) }))
}

/// `dk_on_response`, without a reason: the name under which other workers may have the token that was refused.
#[must_use]
pub fn on_response(request: u64, status: u16) -> Option<Vec<u8>> {
    let said = ask(ROOM, |answer| unsafe { dk_on_response(request, status.into(), null(), 0, answer) });
    (said.code == Code::Done as i32).then(|| said.fields.concat())
}

/// `dk_refuse`, for a failure of the gateway.
#[must_use]
pub fn refuse(request: Option<u64>, id: &str) -> Said {
    ask(ROOM, |answer| unsafe { dk_refuse(request.unwrap_or(0), 0, id.as_ptr(), id.len(), answer) })
}

/// `dk_seal`: what to hand over, and for how many seconds it is of use.
#[must_use]
pub fn seal(name: &[u8], age: u32, result: &Answer<'_>) -> Option<(Vec<u8>, u64)> {
    let said =
        result.with(|result| ask(ROOM, |answer| unsafe { dk_seal(name.as_ptr(), name.len(), age, result, answer) }));
    let [sealed, seconds] = said.fields.as_slice() else { return None };
    Some((sealed.clone(), text(seconds).parse().unwrap()))
}

/// `dk_on_tick`.
#[must_use]
pub fn on_tick(config: u64) -> Said {
    ask(ROOM, |answer| unsafe { dk_on_tick(config, answer) })
}

/// `dk_on_tick_callout`.
#[must_use]
pub fn on_tick_callout(config: u64, result: &Answer<'_>) -> Said {
    result.with(|result| ask(ROOM, |answer| unsafe { dk_on_tick_callout(config, result, answer) }))
}
