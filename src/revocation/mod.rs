//! Who is cut off ahead of the end of their tokens: what a feed says of it, and the one question that is asked of it.
//!
//! Pure, like `jwt`: it does not fetch the feed and does not know how old it is.

mod cuts;
mod read;

pub use read::{FeedFault, MOST_ENTRIES};

use crate::base::{UnixTime, case_folded};
use crate::jwt::Caller;
use cuts::{Cuts, Digest};

/// A feed of revoked identities, as it was read.
///
/// Of each value only a digest is kept: 24 bytes an entry, whatever its length, so that a feed takes up at most 24 × [`MOST_ENTRIES`] bytes;
/// and a look-up is a binary search that allocates nothing.
#[derive(Debug)]
pub struct Revocations {
    subjects: Cuts,
    tokens: Cuts,
    clients: Cuts,
    sessions: Cuts,
    not_before: Option<UnixTime>,
}

/// What a feed can cut a token off by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    subject: Digest,
    token: Option<Digest>,
    client: Option<Digest>,
    session: Option<Digest>,
    issued_at: Option<UnixTime>,
}

impl Marks {
    /// Those of the token that a caller came with.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        Self {
            subject: Digest::of(case_folded(caller.subject())),
            token: caller.jwt_id().map(|id| Digest::of(id.chars())),
            client: caller.client().map(|client| Digest::of(client.chars())),
            session: caller.session_id().map(|session| Digest::of(session.chars())),
            issued_at: caller.issued_at(),
        }
    }
}

impl Revocations {
    /// Whether the token with these marks is cut off. One without `iat` counts as issued before any time.
    #[must_use]
    pub fn cut_off(&self, marks: &Marks) -> bool {
        let by = |cuts: &Cuts, mark: Option<Digest>| mark.and_then(|mark| cuts.before(mark));
        let ends = [
            by(&self.subjects, Some(marks.subject)),
            by(&self.tokens, marks.token),
            by(&self.clients, marks.client),
            by(&self.sessions, marks.session),
            self.not_before,
        ];
        ends.into_iter().flatten().any(|before| marks.issued_at.is_none_or(|issued_at| issued_at < before))
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        let lists = [self.subjects.len(), self.tokens.len(), self.clients.len(), self.sessions.len()];
        let [subjects, tokens, clients, sessions] = lists;
        subjects.saturating_add(tokens).saturating_add(clients).saturating_add(sessions)
    }

    /// Whether there is none; `not_before` may cut callers off all the same.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
