//! Every request that reached the workspace's port, as it came.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::clock;
use crate::minting::{Holder, Minted};

/// Who sent a request: the holder of the bearer token, if the token counted when it came.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Principal {
    #[serde(flatten)]
    holder: Holder,
    token_sha256: String,
}

impl From<Minted> for Principal {
    fn from(minted: Minted) -> Self {
        Self { holder: minted.holder, token_sha256: minted.token_sha256 }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    n: u64,
    at_ms: u64,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body_base64: String,
    /// None until the answer is written, and for ever if the connection was closed without one.
    status: Option<u16>,
    principal: Option<Principal>,
    /// Why this could not be read as a request, where it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    malformed: Option<&'static str>,
}

/// What is known of a request when it has arrived.
pub(crate) struct Arrived<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(String, Vec<u8>)],
    pub(crate) body: &'a [u8],
    pub(crate) principal: Option<Principal>,
    pub(crate) malformed: Option<&'static str>,
}

#[derive(Default)]
struct Book {
    last: u64,
    entries: Vec<Entry>,
}

#[derive(Default)]
pub(crate) struct Recorder(Mutex<Book>);

impl Recorder {
    /// Writes a request down before anything is done about it, and returns its number.
    pub(crate) fn add(&self, arrived: Arrived<'_>) -> u64 {
        let headers = arrived.headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()));
        let mut book = self.book();
        book.last = book.last.saturating_add(1);
        let entry = Entry {
            n: book.last,
            at_ms: clock::now_ms(),
            method: arrived.method.to_owned(),
            target: arrived.target.to_owned(),
            headers: headers.collect(),
            body_base64: STANDARD.encode(arrived.body),
            status: None,
            principal: arrived.principal,
            malformed: arrived.malformed,
        };
        book.entries.push(entry);
        book.last
    }

    pub(crate) fn answered(&self, n: u64, status: u16) {
        if let Some(entry) = self.book().entries.iter_mut().rev().find(|entry| entry.n == n) {
            entry.status = Some(status);
        }
    }

    pub(crate) fn all(&self) -> Vec<Entry> {
        self.book().entries.clone()
    }

    /// Forgets the requests; the numbers go on.
    pub(crate) fn forget(&self) {
        self.book().entries.clear();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
