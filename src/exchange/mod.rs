//! From a permit to the credential that Databricks sees: what to ask the token endpoint, what its answer means, what to keep.
//!
//! An [`Authorized`] is the proof that the credential belongs to the permit; requests are forwarded with nothing less.

mod cache;
mod credential;
mod form;
mod plan;
mod response;
mod secret;

pub use cache::{ColdLease, Lookup, TokenCache};
pub use credential::{Server, secret_members};
pub use form::{TokenForm, client_secret_basic};
pub use plan::{Authorized, Errand, Exchange, Granted, Pending, RunLookup, is_same_credential};
#[cfg(feature = "native")]
pub use response::life_of_answer;
pub use response::{ExchangeFault, WorkspaceToken, read_retry_after, refuses_token};
pub use secret::{SecretUnavailable, SharedSecrets, SigningKeys, resolve};
