//! Tests of the core that run in V8, Envoy's engine, as wasm32-unknown-unknown: in Node and in headless Chromium.
//!
//! `scripts/test-as-wasm` runs them. On other targets there is nothing here. `scripts/test-as-wasm` also runs the core's own tests, on
//! WASI; these are the ones that need no system.

#![cfg(all(test, target_family = "wasm", target_os = "unknown"))]

#[path = "../../../tests/jwt_wycheproof.rs"]
mod jwt_wycheproof;
mod one_request;
