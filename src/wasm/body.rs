//! What arrives of a request's body while the request is held.

use super::abi::{self, Buffer, Level};
use crate::flow::ReadBody;

/// A body in pieces. Only as much of it is kept as may be looked at.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Bytes that the host has shown.
    shown: usize,
    /// Whether the host shows all of these again with the next piece.
    is_cumulative: bool,
    kept: Option<Vec<u8>>,
    fault: Option<Fault>,
    /// Whether all of it is here.
    has_ended: bool,
}

/// Why a body cannot be looked at.
#[derive(Clone, Copy, Debug)]
enum Fault {
    TooLong,
    Unreadable,
}

impl Intake {
    /// The host shows `size` bytes, the last of them if `ends`.
    pub(super) fn show(&mut self, size: usize, ends: bool, limit: usize) {
        let start = if self.is_cumulative { self.shown } else { 0 };
        let piece = size.saturating_sub(start);
        self.shown = self.shown.saturating_add(piece);
        self.has_ended |= ends;
        if self.fault.is_none() {
            self.fault = self.keep(start, piece, limit).err();
        }
        if self.fault.is_some() {
            self.kept = None;
        }
    }

    fn keep(&mut self, start: usize, piece: usize, limit: usize) -> Result<(), Fault> {
        if self.shown > limit {
            return Err(Fault::TooLong);
        }
        let bytes =
            if piece == 0 { Some(Vec::new()) } else { abi::buffer(Buffer::RequestBody, start, piece).ok().flatten() };
        let Some(bytes) = bytes.filter(|bytes| bytes.len() == piece) else {
            let hint = "a request body is not in memory: on Kong, `client_body_buffer_size` must be as large as `limits.body_bytes`";
            abi::log(Level::Warn, hint);
            return Err(Fault::Unreadable);
        };
        match &mut self.kept {
            Some(kept) => kept.extend(bytes),
            None => self.kept = Some(bytes),
        }
        Ok(())
    }

    /// The host keeps what it has shown, and shows it with the next piece, or else each piece once.
    pub(super) const fn is_kept_by_host(&mut self, kept: bool) {
        self.is_cumulative = kept;
    }

    /// No more of it comes.
    pub(super) const fn end(&mut self) {
        self.has_ended = true;
    }

    /// The body, once it is all here or enough to know that it will not do.
    pub(super) fn read(&mut self) -> Option<ReadBody> {
        match self.fault {
            Some(Fault::TooLong) => Some(ReadBody::TooLong),
            Some(Fault::Unreadable) => Some(ReadBody::Unreadable),
            None => self.has_ended.then(|| ReadBody::Whole(self.kept.take().unwrap_or_default())),
        }
    }
}
