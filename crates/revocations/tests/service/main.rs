//! The service as a process on loopback: what it takes, what it refuses, what its feed says, and what it keeps when it is killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test may fail loudly, and waits by the clock for a process"
)]

mod admin;
mod command;
mod configuration;
mod database;
mod events;
mod feed;
mod issuer;
mod killing;
mod logout;
mod poll;
mod postgres;
mod running;
mod stores;
