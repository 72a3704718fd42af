//! The C shell: the core as a library for an ordinary Kong plugin, which LuaJIT's FFI calls (kong/plugins/databricks-kong/core.lua).
//!
//! It holds no logic of its own. `interface` is the one table of what the library exports, from which the C header and the Lua
//! declarations are written; `exports` are these functions; `boundary` is the only place with `unsafe`; `worker` keeps what a
//! worker knows, behind handles (`slab`) that say when they are stale; `counts` what it counted; `sealed` what it hands to the other workers of the node; `message` is the form of what is answered.
//!
//! What the boundary promises:
//! - No pointer of the library's ever leaves it: an answer is copied into the caller's memory, and entities are numbers. A handle that was
//!   closed, or never given out, is refused; it cannot lead to another's.
//! - No pointer of the caller's is kept beyond the call.
//! - A panic ends at the boundary: the call answers `message::Code::Failed`, the request that it was for is forgotten, so that no later
//!   call can let it go on, and what is remembered between requests is thrown away, since it may be half written.
//! - The credential that replaces the caller's leaves the library only in the answer to `dk_on_send`, after the request that is about to
//!   be sent was compared with the one that was decided on.

mod boundary;
#[cfg(any(test, feature = "faults"))]
pub mod caller;
mod counts;
pub mod exports;
#[cfg(feature = "faults")]
pub mod faults;
#[cfg(not(feature = "faults"))]
mod faults;
pub mod interface;
mod message;
mod sealed;
mod slab;
#[cfg(test)]
mod tests;
mod worker;
