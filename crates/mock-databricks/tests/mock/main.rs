//! The mock workspace, seen from outside: every refusal by name, and beside each the request that is not refused.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "tests fail loudly, their helpers too"
)]

mod bench;
mod client_credentials;
mod command;
mod entra;
mod faults;
mod idp;
mod records;
mod rest;
mod state;
mod thrift;
mod token_exchange;
mod workspace;
