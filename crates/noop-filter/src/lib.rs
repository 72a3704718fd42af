//! A filter that lets everything pass. It hears of each request and each answer, headers and bodies, as any filter does, so what
//! it costs is what the host and the SDK ask for, before a filter has done anything.
//!
//! Built by `scripts/build-sdk-filters`, measured by `tests/bench/run`.

// elsewhere the SDK's host calls have nothing to link to
#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the SDK's macro writes an exported function without")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Noop));
}}

struct Noop;

impl Context for Noop {}

impl RootContext for Noop {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Self))
    }
}

// the trait's own answers: go on
impl HttpContext for Noop {}
