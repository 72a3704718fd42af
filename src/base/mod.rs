//! Words that every other module uses: points in time, secrets, fingerprints.
//!
//! Imports nothing of this crate.

mod fingerprint;
mod secret;
mod time;

pub use fingerprint::{Fingerprint, FingerprintBuilder};
pub use secret::Secret;
pub use time::UnixTime;
