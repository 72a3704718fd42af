//! From a permit to the credential that Databricks sees: what to ask the token endpoint, what its answer means, what to keep.
//!
//! An [`Authorized`] is the proof that the credential belongs to the permit; requests are forwarded with nothing less.

mod cache;
mod plan;
mod response;

pub use cache::{Lookup, TokenCache};
pub use plan::{
    Authorized, Exchange, Granted, Pending, RunLookup, SecretUnavailable, SharedSecrets, TokenForm, is_same_credential,
};
pub use response::{ExchangeFault, WorkspaceToken, read_retry_after, refuses_token};
