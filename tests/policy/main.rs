//! What policy decides: by example, by what must hold of every policy and every request, and beside a second reading of the contract.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

mod answer;
mod caller;
mod observe;
mod own_folders;
mod properties;
mod question;
mod reach;
mod request;
mod section_5;
