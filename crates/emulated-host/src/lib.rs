//! Kong's proxy-wasm host, and Envoy's, without their servers: runs the built filter in a world that moves only when told.
//!
//! Kong's side follows what was seen on a real Kong 3.9.3 and, where nothing was seen, the sources of its wasm module; README.md says
//! what is covered. A call that a real host punishes (it traps, hangs, or its worker dies) ends the test with the call's name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

mod calls;
mod hostcalls;
mod module;
mod native;
mod pairs;
mod request;
mod worker;
mod world;

pub use calls::{CalloutEnd, PendingCall};
pub use module::Filter;
pub use native::{Change, Native};
pub use request::{HttpRequest, Outcome, Upstream};
pub use worker::{Entry, RequestHandle, Worker};
pub use world::{Callback, LogLine, Misuse, Profile, Switches, Trap};
