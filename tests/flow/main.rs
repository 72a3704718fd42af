//! Stories of one request, told without a host: the state machine in a scripted world.
//!
//! Every test states what the gateway asked of others and how the request ended, with its reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

mod ahead;
mod audit;
mod bypass;
mod capabilities;
mod capacity;
mod certificate;
mod exchange_answers;
mod exchange_requests;
mod forward;
mod hygiene;
mod identity;
mod introspection;
mod key_fetch;
mod key_refresh;
mod login;
mod mcp;
mod memory;
mod misuse;
mod models;
mod native;
mod own_proof;
mod prefetch;
mod quota;
mod revocation;
mod run_lookup;
mod secrets;
mod stage;
mod statements;
mod token_cache;
mod verdicts;
mod verification;
mod workspaces;
