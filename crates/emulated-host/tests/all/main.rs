//! The built filter in Kong's host and in Envoy's, and the native plugin's library in Kong's.

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

mod allocations;
mod copies;
mod cost;
mod drive;
mod explorer;
mod faults;
mod gateway;
mod hazards;
mod metrics;
mod misuse;
mod probe;
mod sample;
mod stage;
mod stories;
mod undecided;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;
