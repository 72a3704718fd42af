//! The filter: what `src/wasm` exports, as a module, and nothing else.
//!
//! A crate of its own, because the compiler optimises a whole linked module as it is told for the last crate. Most of `databricks-kong` is
//! compiled for size (see `Cargo.toml`), and as the last one it had all else optimised for size too: a module 6 % larger, in which a
//! request took a twentieth more time (docs/performance.md).

// Brings it into the module. Nothing of it is named here: what hosts call is exported by name.
use databricks_kong as _;
