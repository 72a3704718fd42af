//! What is recorded of each request: who asked for what, how it was decided and why, and what it was given.
//!
//! A record is made when the decision falls, before the request goes on: what happens behind the gateway afterwards (also an answer
//! 502 or 504 of the proxy itself) changes nothing in it. It never holds a token, a secret or the text of a statement.

mod draft;
mod record;
#[cfg(feature = "schema")]
pub mod schema;
mod text;

pub use draft::Draft;
pub use record::{Decision, Grant, LONGEST_LINE, Record, Sql, TokenUse};

use crate::base::{Label, SortedMap};
use std::rc::Rc;

/// What a configuration says about records.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether each record is a line of the host's log too.
    pub log: bool,
    /// Whether the tables that SQL touches are in it.
    pub sql_tables: bool,
    /// Whether subjects are in it as they are, or only a digest by which they can be told apart.
    pub digest_subjects: bool,
    /// By which the configuration is told from others: the first 16 hex digits of SHA-256 of its text, members in the order of their names,
    /// no blanks.
    pub config: Label,
    /// Why roles are granted, by their names.
    pub grants: SortedMap<Rc<str>, Grant>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { log: true, sql_tables: true, digest_subjects: false, config: Label::default(), grants: SortedMap::new() }
    }
}
