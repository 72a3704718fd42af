//! The form of an answer: a code, and a list of byte strings.

/// What a call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Code {
    /// The answer is longer than the caller's memory; `dk_again` gives it.
    Grow = -1,
    /// The call failed: a stale handle, wrong arguments, a panic. The request must be refused.
    Failed = 0,
    /// It was done.
    Done = 1,
    /// Send a callout and come back with its answer.
    Call = 2,
    /// Read the whole body and come back with it.
    AwaitBody = 3,
    /// The request is allowed; nothing leaves the library yet.
    Allowed = 4,
    /// Answer the request.
    Reply = 5,
    /// Make these edits, then send the request.
    Send = 6,
    /// Nothing is to be done, or was.
    Nothing = 7,
}

impl Code {
    /// All of them, as Lua names them.
    pub(super) const NAMES: [(&'static str, Self); 9] = [
        ("grow", Self::Grow),
        ("failed", Self::Failed),
        ("done", Self::Done),
        ("call", Self::Call),
        ("await_body", Self::AwaitBody),
        ("allowed", Self::Allowed),
        ("reply", Self::Reply),
        ("send", Self::Send),
        ("nothing", Self::Nothing),
    ];
}

/// The fields with which every answer about a request begins, in their order, as Lua names them.
pub(super) const COMMON: [&str; 10] = [
    "log",      // lines for the log
    "removals", // names of headers to take off, a line each
    "record",   // the audit record, JSON
    "line",     // the same, short enough for a line of the log, if it is to be written there
    "decision",
    "reason",
    "role",
    "subject",
    "provider",
    "operation",
];

/// The fields of a callout, which follow the common ones; headers, name and value by turns, follow them.
pub(super) const CALL: [&str; 12] = [
    "scheme",
    "host",
    "port",
    "authority",
    "path",
    "method",
    "timeout",
    "longest",
    "share",
    "keep", // the name under which the answer may be sealed for other workers; empty if it may not
    "wanted",
    "body",
];
/// The field of a wait for the body.
pub(super) const AWAIT_BODY: [&str; 1] = ["longest"];
/// The fields of a reply; headers follow.
pub(super) const REPLY: [&str; 2] = ["status", "body"];
/// The fields of what is sent: the statuses of an answer that the library is to be told of, if any; headers to set follow.
pub(super) const SEND: [&str; 1] = ["listens"];

/// A list of byte strings, as it crosses the boundary: their number, where each ends (counted from the end of this head), their bytes.
/// Numbers have 32 bits in the machine's order.
#[derive(Debug)]
pub(super) struct Message {
    ends: Vec<u32>,
    bytes: Vec<u8>,
    /// Whether it grew beyond what its head can say.
    overflown: bool,
}

/// What most answers fit into: the common fields and a few headers; a record, a token and a `User-Agent`.
const USUAL_FIELDS: usize = 32;
const USUAL_BYTES: usize = 3072;

impl Default for Message {
    fn default() -> Self {
        Self { ends: Vec::with_capacity(USUAL_FIELDS), bytes: Vec::with_capacity(USUAL_BYTES), overflown: false }
    }
}

impl Message {
    /// No fields, for an answer whose code says it all.
    pub(super) const fn empty() -> Self {
        Self { ends: Vec::new(), bytes: Vec::new(), overflown: false }
    }

    pub(super) fn push(&mut self, field: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(field.as_ref());
        match u32::try_from(self.bytes.len()) {
            Ok(end) => self.ends.push(end),
            Err(_) => self.overflown = true,
        }
    }

    pub(super) fn push_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, pairs: impl IntoIterator<Item = (N, V)>) {
        for (name, value) in pairs {
            self.push(name);
            self.push(value);
        }
    }

    /// The number of its fields, where each ends, and their bytes, which follow each other; nothing if it is too long to be said.
    pub(super) fn parts(&self) -> Option<(u32, &[u32], &[u8])> {
        let count = u32::try_from(self.ends.len()).ok().filter(|_| !self.overflown)?;
        Some((count, &self.ends, &self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_its_fields_behind_their_ends() {
        let mut message = Message::default();
        message.push("ab");
        message.push("");
        message.push_pairs([("c", "d")]);
        assert_eq!(message.parts(), Some((4, &[2, 2, 3, 4][..], &b"abcd"[..])));
        assert_eq!(Message::default().parts(), Some((0, &[][..], &[][..])));
    }
}
