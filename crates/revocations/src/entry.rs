//! What is kept of a revocation.

use databricks_kong::base::UnixTime;
use serde::{Deserialize, Serialize};
use std::fmt;

/// By what the tokens are known that an entry cuts off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The provider's `claims.subject`; in any case of letters.
    Subject,
    /// A token's `jti`.
    Token,
    /// The application that a token was issued to.
    Client,
    /// The session at the provider, `sid`.
    Session,
    /// Every token of the provider.
    Everyone,
}

impl Kind {
    /// All kinds, in the order in which they are listed.
    pub const ALL: [Self; 5] = [Self::Subject, Self::Token, Self::Client, Self::Session, Self::Everyone];

    /// The word for it, in the database and in what is shown.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Token => "token",
            Self::Client => "client",
            Self::Session => "session",
            Self::Everyone => "everyone",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Who said so. Each has at most one entry for one value, and what one says undoes nothing of what another said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// An administrator.
    Administrator,
    /// Events of an account's state: disabled, enabled, purged.
    Account,
    /// Every other event.
    Event,
}

impl Origin {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Account, Self::Event];

    /// The word for it in the database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Account => "account",
            Self::Event => "event",
        }
    }

    /// The origin of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.word() == word)
    }
}

/// What tells entries apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The name of the identity provider whose tokens are meant.
    pub provider: String,
    /// By what they are known.
    pub kind: Kind,
    /// The value in the form in which it is compared.
    pub folded: String,
    /// Who said so.
    pub origin: Origin,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What tells it from others.
    pub key: Key,
    /// The value as it was given.
    pub value: String,
    /// Tokens issued before this second are cut off; without it, all are.
    pub before: Option<u64>,
    /// Cuts nothing off: the account was enabled again, which events that are older must not undo.
    pub lifted: bool,
    /// When it happened.
    pub happened: UnixTime,
    /// The second from which on the entry is gone; without it, it stays until it is taken away.
    pub until: Option<u64>,
    /// The name of the configured source, or `administrator`.
    pub source: String,
    /// What happened, in a word or an administrator's few.
    pub why: String,
}

impl Entry {
    /// Whether it is still there at `now`.
    #[must_use]
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.until.is_none_or(|until| now.as_secs() < until)
    }
}

/// The form in which a value is compared: subjects in any case of letters, since a cut-off must not miss `Mallory@`; all else as it is.
#[must_use]
pub fn folded(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Subject => value.to_lowercase(),
        Kind::Everyone => String::new(),
        Kind::Token | Kind::Client | Kind::Session => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_what_they_stand_for() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.word()), Some(kind));
        }
        for origin in Origin::ALL {
            assert_eq!(Origin::from_word(origin.word()), Some(origin));
        }
        assert_eq!((Kind::from_word("Subject"), Origin::from_word("")), (None, None));
    }

    #[test]
    fn only_subjects_are_compared_without_case() {
        assert_eq!(folded(Kind::Subject, "Mallory@Example.COM"), "mallory@example.com");
        assert_eq!(folded(Kind::Session, "AbC"), "AbC");
    }
}
