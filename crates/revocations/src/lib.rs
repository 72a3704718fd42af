//! The service that tells gateways whose tokens to refuse: it takes word of revoked identities, keeps it, and serves it as a feed.
//!
//! ```text
//! logout tokens ─┐
//! pushed events ─┼─ receive ─ meaning ─┐
//! polled events ─┘                     ├─ ledger ─ store (SQLite, PostgreSQL) ─ feed ─ GET /feed/<provider>
//! administrators ──────────────────────┘
//! ```
//!
//! What is signed is verified by the code that verifies callers' tokens (`databricks_kong::jwt`). An event is answered once it is committed,
//! so that whatever was acknowledged outlives the process. The gateways share no state with it: they read the feed.

pub mod clock;
pub mod config;
pub mod entry;
pub mod feed;
pub mod fetch;
pub mod keys;
pub mod ledger;
pub mod meaning;
pub mod metrics;
pub mod poll;
pub mod receive;
pub mod secret;
pub mod server;
pub mod store;
pub mod subject;
