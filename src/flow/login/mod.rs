//! Interactive sign-in: how the official clients come by a token of the company's provider, with the gateway as their host.
//!
//! ```text
//! GET  /oidc/v1/authorize ─► Login ─► (AwaitEndpoints) ─► 302 to the provider
//! POST /oidc/v1/token     ─► Login ─► (AwaitEndpoints) ─► AwaitGrant ─► Verify ─► … ─► Revocation ─► the provider's tokens
//! ```
//!
//! Nothing is remembered between the two: what holds them together is the code, which the provider gives to the very client that the
//! challenge is of (RFC 7636).

mod authorization;
mod endpoints;
mod fields;
mod grant;
mod granted;
mod redirect_uri;
mod stages;

pub(super) use authorization::Authorization;
pub(super) use endpoints::Logins;
pub(super) use fields::Fields;
pub(super) use grant::Grant;
pub(super) use granted::Granted;
pub(super) use stages::{AwaitEndpoints, AwaitGrant, Login, Wanted};
