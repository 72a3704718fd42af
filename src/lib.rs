//! databricks-kong: lets callers into Databricks with the identity that their company's identity provider vouches for.
//!
//! The core ([`jwt`], …) has no host, no clock and no I/O.

pub mod base;
pub mod jwt;
