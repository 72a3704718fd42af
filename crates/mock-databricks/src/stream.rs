//! Answers that come in pieces, as models give theirs. On order the mock keeps every piece but the first back until a test
//! says so: then whoever has the first one has it while the rest is not there yet, however fast or slow the machine is.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::Notify;

/// What an answer goes on with after its head; stands in the answer's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Pieces(pub(crate) Vec<String>);

/// An answer of server-sent events, each a piece of its own.
pub(crate) fn events(events: Vec<String>) -> Response {
    let mut answer = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")].into_response();
    answer.extensions_mut().insert(Pieces(events));
    answer
}

#[derive(Default)]
pub(crate) struct Gate {
    held: AtomicBool,
    next: Notify,
}

impl Gate {
    /// From now on pieces wait for [`Gate::open`], or no longer do.
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
        if !held {
            self.next.notify_waiters();
        }
    }

    /// Lets one stream go on, the one that waits or the one that will.
    pub(crate) fn open(&self) {
        self.next.notify_one();
    }

    pub(crate) async fn pass(&self) {
        if self.held.load(Ordering::SeqCst) {
            self.next.notified().await;
        }
    }
}
