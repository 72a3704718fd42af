//! A filter that misbehaves as its configuration says: the neighbour that a filter may find before or behind itself. It leaves
//! requests alone that lack the header `x-misbehave`, so that one machine can serve, trap and serve again.
//!
//! Built by `scripts/build-sdk-filters`, put into chains by `tests/stories/test_neighbours.py`. Never a part of a gateway.

// elsewhere the SDK's host calls have nothing to link to
#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the SDK's macro writes an exported function without")]

mod misdeed;

use misdeed::Misdeed;
use proxy_wasm::hostcalls::log;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use std::time::Duration;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root { misdeed: None }));
}}

/// Requests with this header are those that it misbehaves at.
const TRIGGER: &str = "x-misbehave";
/// Longer than anything that a test waits for.
const CALLOUT_TIMEOUT: Duration = Duration::from_secs(5);

struct Root {
    misdeed: Option<Misdeed>,
}

impl Context for Root {}

impl RootContext for Root {
    /// A misdeed that it does not know is refused: a test of it would test nothing.
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        self.misdeed = str::from_utf8(&text).ok().and_then(Misdeed::read);
        self.misdeed.is_some()
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Neighbour { misdeed: self.misdeed.clone(), triggered: false }))
    }
}

struct Neighbour {
    misdeed: Option<Misdeed>,
    triggered: bool,
}

impl Neighbour {
    fn due(&self) -> Option<&Misdeed> {
        self.misdeed.as_ref().filter(|_| self.triggered)
    }

    /// To let go a piece of the body is to let go the headers as well.
    fn hold_or_continue(&self) -> Action {
        match self.due() {
            Some(Misdeed::TrapInCallout(_) | Misdeed::NeverResume) => Action::Pause,
            _ => Action::Continue,
        }
    }

    /// Asks an upstream for something, so that an answer comes at some time.
    fn call_out(&self, upstream: &str) {
        let head = vec![(":method", "GET"), (":path", "/hostile"), (":authority", "hostile.example")];
        if let Err(status) = self.dispatch_http_call(upstream, head, None, Vec::new(), CALLOUT_TIMEOUT) {
            let _ = log(LogLevel::Error, &format!("hostile-filter: the callout cannot be sent: {status:?}"));
        }
    }
}

impl Context for Neighbour {
    fn on_http_call_response(&mut self, _token: u32, _headers: usize, _body_size: usize, _trailers: usize) {
        match self.due() {
            Some(Misdeed::TrapInCallout(_) | Misdeed::TrapBesideCallout(_)) => trap("a callout"),
            Some(Misdeed::ResumeUnasked(_)) => self.resume_http_request(),
            _ => {}
        }
    }
}

impl HttpContext for Neighbour {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        self.triggered = self.get_http_request_header(TRIGGER).is_some();
        match self.due() {
            Some(Misdeed::TrapInRequestHeaders) => trap("request headers"),
            Some(Misdeed::Answer(body)) => {
                self.send_http_response(200, vec![("x-answered-by", "hostile")], Some(body.as_bytes()))
            }
            Some(Misdeed::SetAuthorization(value)) => self.set_http_request_header("authorization", Some(value)),
            Some(Misdeed::AddAuthorization(value)) => self.add_http_request_header("authorization", value),
            Some(Misdeed::RemoveAuthorization) => self.set_http_request_header("authorization", None),
            Some(Misdeed::SetPath(path)) => self.set_http_request_header(":path", Some(path)),
            Some(
                Misdeed::CallOut(upstream)
                | Misdeed::ResumeUnasked(upstream)
                | Misdeed::TrapInCallout(upstream)
                | Misdeed::TrapBesideCallout(upstream),
            ) => self.call_out(upstream),
            _ => {}
        }
        self.hold_or_continue()
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        match self.due() {
            Some(Misdeed::TrapInRequestBody) => trap("a request body"),
            Some(Misdeed::SetBody(_)) if !end_of_stream => return Action::Pause,
            Some(Misdeed::SetBody(body)) => self.set_http_request_body(0, size, body.as_bytes()),
            _ => {}
        }
        self.hold_or_continue()
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        match self.due() {
            Some(Misdeed::TrapInResponseHeaders) => trap("response headers"),
            _ => Action::Continue,
        }
    }
}

/// Ends the whole machine, as a panic of an ordinary filter does.
fn trap(place: &str) -> ! {
    let _ = log(LogLevel::Warn, &format!("hostile-filter: trapping in {place}"));
    core::arch::wasm32::unreachable()
}
