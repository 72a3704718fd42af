//! databricks-kong: lets callers into Databricks with the identity that their company's identity provider vouches for.
//!
//! The core has no host, no clock and no I/O; a file imports only from the left:
//!
//! ```text
//! base <- jwt, databricks <- policy, revocation <- exchange, audit <- config <- flow <- sim, wasm, ffi
//! ```

pub mod audit;
pub mod base;
pub mod config;
pub mod databricks;
pub mod exchange;
#[cfg(feature = "native")]
pub mod ffi;
pub mod flow;
pub mod jwt;
pub mod policy;
pub mod revocation;
pub mod sim;
mod wasm;
