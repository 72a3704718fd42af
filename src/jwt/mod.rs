//! From the bytes of a token to a [`Caller`], or to the reason why not.
//!
//! ```text
//! bytes ── UnverifiedToken::parse ──► UnverifiedToken ──┐
//! bytes ── KeySet::parse ───────────► KeySet ───────────┼── verify ──► Caller
//!                                     Expectations, now ┘                ▲
//! bytes ── Introspected::parse ─────► ActiveToken ── caller ─────────────┘
//! ```
//!
//! What tells of something (a logout token, a security event token) goes the same way with [`verify_event`] to a
//! [`SecurityEvent`], and never to a [`Caller`].
//!
//! Pure: no host, no clock, no I/O. It does not fetch keys, choose a provider, remember tokens or decide what a caller
//! may do. What it keeps of keys (`multiples`) makes a verification faster and changes no verdict.
//!
//! What attacks of the past (RFC 8725, and the advisories that the tests name) come to here:
//!
//! - *`alg: none`, or a public key used as an HMAC secret*: neither `none` nor HMAC exists in [`Algorithm`]; the key's
//!   type decides what it verifies, the configuration which algorithms are allowed, the token neither.
//! - *Keys or addresses of keys in the header* (`jwk`, `jku`, `x5c`, `x5u`): ignored. `kid` is compared with known ids
//!   and used for nothing else.
//! - *`crit` overlooked, `b64: false`*: either in the header refuses the token.
//! - *Claims of a wrong type skip their check*: a claim that is there and is not of its type refuses the token.
//! - *Claims used before verification*: [`UnverifiedToken`] cannot be asked for them; only [`verify`] makes a
//!   [`Caller`], and [`ActiveToken::caller`] of what a provider said of a token itself.
//! - *Two readings of one token*: base64url without slack, no key twice in an object, one spelling of each signature
//!   but ECDSA's, whose second `s` JWS does not forbid.
//! - *Endless or deep input*: size, depth, number of keys and number of tries are bounded.
//!
//! What the gateway signs itself, [`SigningKey`] does.

mod algorithm;
mod bearer;
mod caller;
mod claims;
mod compact;
mod ecdsa;
mod eddsa;
mod error;
mod groups;
mod introspection;
mod jwks;
mod known_keys;
mod modular_power;
mod multiples;
mod rsa;
mod security_event;
mod signature;
mod signing;
#[cfg(test)]
pub(crate) mod testing;
mod token_use;
mod verify;

pub use algorithm::Algorithm;
pub use bearer::{BearerToken, TokenDigest};
pub use caller::{CONFIRMATION, Caller, Groups, Vouched, numeric_date};
pub use claims::{ClaimPath, ClaimPathError, Expectations};
pub use compact::{UnverifiedToken, is_opaque};
pub use error::TokenError;
pub use groups::GroupNames;
pub use introspection::{ActiveToken, Introspected, IntrospectionFault};
pub use jwks::{JwksError, KeySet, ParsedKeys, SkipReason, SkippedKey};
pub use security_event::{EventExpectations, EventKind, SecurityEvent, UnverifiedEvent, verify_event};
pub use signature::{PublicKey, SignatureError};
pub use signing::{SigningKey, SigningKeyError};
pub use verify::verify;
