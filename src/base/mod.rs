//! Words that every other module uses: points in time, secrets, fingerprints, strict JSON, folded text, reasons of refusals.
//!
//! Imports nothing of this crate.

mod bounded;
mod case;
pub mod der;
mod digest_map;
mod fingerprint;
mod json;
mod label;
mod pem;
mod reason;
mod secret;
mod sort;
mod sorted;
mod text;
mod time;
mod url;

pub use bounded::{Bounded, Budget};
pub use case::case_folded;
pub use digest_map::DigestMap;
pub use fingerprint::{Fingerprint, FingerprintBuilder};
pub use json::{JsonFault, object, parse_noting_duplicates, parse_object_strict, parse_strict, read_member};
pub use label::Label;
pub use pem::from_pem;
pub use reason::Reason;
pub use secret::Secret;
pub use sort::sort;
pub use sorted::SortedMap;
pub use text::{encoded_byte, folded, folds_alike, percent_decoded};
pub use time::{Now, UnixTime, Uptime};
pub use url::{Url, UrlFault};
