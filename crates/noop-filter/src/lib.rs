//! A filter that lets everything pass. It hears of each request and each answer, headers and bodies, as any filter does, so what
//! it costs is what the host and the SDK ask for, before a filter has done anything.
//!
//! With a configuration it makes one of the host's calls so many times at each request (see `Repeated`), so that the call's cost is
//! the difference that the number makes.
//!
//! Built by `scripts/build-sdk-filters`, measured by `bench/run`.

// elsewhere the SDK's host calls have nothing to link to
#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the SDK's macro writes an exported function without")]

mod repeated;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use repeated::Repeated;
use std::rc::Rc;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root { repeated: None }));
}}

struct Root {
    repeated: Option<Rc<Repeated>>,
}

impl Context for Root {}

impl RootContext for Root {
    /// A call that it does not know is refused: it would be measured as one that costs nothing.
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        if text.is_empty() {
            return true;
        }
        self.repeated = str::from_utf8(&text).ok().and_then(Repeated::read).map(Rc::new);
        self.repeated.is_some()
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request { repeated: self.repeated.clone() }))
    }
}

struct Request {
    repeated: Option<Rc<Repeated>>,
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        if let Some(repeated) = &self.repeated {
            repeated.make();
        }
        Action::Continue
    }
}
