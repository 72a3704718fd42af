//! The native plugin's library: what `src/ffi` exports, as a shared object, and nothing else.

// Brings it into the library. Nothing of it is named here: what LuaJIT calls is exported by name.
use databricks_kong as _;
