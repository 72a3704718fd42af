//! The proxy-wasm ABI, version 0.2.1: the calls of the host that this filter needs, and the events that the host delivers.
//!
//! Instead of the `proxy-wasm` crate, because that panics where a host does what it may: on a status that it does not list, on a header
//! that is not UTF-8, on a callout's answer that it no longer waits for. On Kong a panic in the answer of a callout lets the request
//! through. Here every call returns a [`HostError`] at worst, and events for contexts that are gone are handled, not asserted.

#![expect(unsafe_code, reason = "the only place where memory is shared with the host")]

use super::events;
use std::ptr;

/// The host said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HostError(pub(super) u32);

type HostResult<T> = Result<T, HostError>;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;

/// Which headers are meant.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Headers {
    Request = 0,
    Response = 2,
    CalloutReply = 6,
}

/// Which bytes are meant.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Buffer {
    RequestBody = 0,
    CalloutReply = 4,
    Configuration = 7,
}

/// How loud a line in the host's log is.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Level {
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// What the host does with a request after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Action {
    /// It goes on.
    Continue = 0,
    /// It is held. What was shown of its body is kept, and shown again with the next piece.
    Pause = 1,
    /// The same for a piece of a body, but no piece is shown twice, and the client waits with what does not fit into the host's buffers
    /// (Envoy's `StopIterationAndWatermark`; no other host knows it).
    HoldBack = 2,
}

mod imports {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn proxy_log(level: u32, text: *const u8, length: usize) -> u32;
        pub(super) fn proxy_define_metric(kind: u32, name: *const u8, length: usize, metric: *mut u32) -> u32;
        pub(super) fn proxy_increment_metric(metric: u32, by: i64) -> u32;
        pub(super) fn proxy_record_metric(metric: u32, value: u64) -> u32;
        pub(super) fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub(super) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            length: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
        pub(super) fn proxy_get_header_map_value(
            map: u32,
            key: *const u8,
            key_length: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_length: usize,
            value: *const u8,
            value_length: usize,
        ) -> u32;
        pub(super) fn proxy_remove_header_map_value(map: u32, key: *const u8, key_length: usize) -> u32;
        pub(super) fn proxy_get_property(path: *const u8, length: usize, data: *mut *mut u8, size: *mut usize) -> u32;
        pub(super) fn proxy_set_property(path: *const u8, length: usize, value: *const u8, value_length: usize) -> u32;
        pub(super) fn proxy_set_effective_context(context: u32) -> u32;
        pub(super) fn proxy_continue_stream(stream: u32) -> u32;
        pub(super) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_length: usize,
            body: *const u8,
            body_length: usize,
            headers: *const u8,
            headers_length: usize,
            grpc_status: i32,
        ) -> u32;
        pub(super) fn proxy_http_call(
            upstream: *const u8,
            upstream_length: usize,
            headers: *const u8,
            headers_length: usize,
            body: *const u8,
            body_length: usize,
            trailers: *const u8,
            trailers_length: usize,
            timeout: u32,
            token: *mut u32,
        ) -> u32;
    }
}

mod wasi {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub(super) fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u16;
    }
}

fn check(status: u32) -> HostResult<()> {
    if status == OK { Ok(()) } else { Err(HostError(status)) }
}

/// Calls the host for bytes, which it writes into memory that it asked `proxy_on_memory_allocate` for.
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> HostResult<Option<Vec<u8>>> {
    let mut data = ptr::null_mut();
    let mut size = 0;
    match call(&raw mut data, &raw mut size) {
        OK if data.is_null() || size == 0 => Ok(Some(Vec::new())),
        // SAFETY: the host allocated `size` bytes by `proxy_on_memory_allocate`, which makes a vector of that capacity, wrote all of
        // them, and gives the memory up.
        OK => Ok(Some(unsafe { Vec::from_raw_parts(data, size, size) })),
        NOT_FOUND => Ok(None),
        status => Err(HostError(status)),
    }
}

/// Writes a line to the host's log.
pub(super) fn log(level: Level, text: &str) {
    // there is nowhere to report that a line was not written
    // SAFETY: the pointer is valid for the length, and the host only reads.
    let _ = unsafe { imports::proxy_log(level as u32, text.as_ptr(), text.len()) };
}

/// What a metric does with numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum MetricKind {
    /// Adds them up.
    Counter = 0,
    /// Holds the last one.
    Gauge = 1,
}

/// The metric of that name, which is made if it is not there.
pub(super) fn metric(kind: MetricKind, name: &str) -> HostResult<u32> {
    let mut metric = 0;
    // SAFETY: the name is valid for its length, the host only reads it, and writes one u32 to a valid place.
    check(unsafe { imports::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut metric) })?;
    Ok(metric)
}

/// Counts `by` more.
pub(super) fn increment(counter: u32, by: u32) -> HostResult<()> {
    // SAFETY: no memory is shared.
    check(unsafe { imports::proxy_increment_metric(counter, by.into()) })
}

/// Sets a gauge.
pub(super) fn record(gauge: u32, value: u64) -> HostResult<()> {
    // SAFETY: no memory is shared.
    check(unsafe { imports::proxy_record_metric(gauge, value) })
}

/// Nanoseconds since 1970.
pub(super) fn time() -> HostResult<u64> {
    let mut time = 0;
    // SAFETY: the host writes one u64 to a valid place.
    check(unsafe { imports::proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

/// Nanoseconds of the clock that never goes back, since whenever.
pub(super) fn monotonic_time() -> HostResult<u64> {
    const MONOTONIC: u32 = 1;
    let mut time = 0;
    // SAFETY: the host writes one u64 to a valid place.
    let status = unsafe { wasi::clock_time_get(MONOTONIC, 1, &raw mut time) };
    check(u32::from(status))?;
    Ok(time)
}

pub(super) fn set_tick_period(millis: u32) -> HostResult<()> {
    // SAFETY: no memory is shared.
    check(unsafe { imports::proxy_set_tick_period_milliseconds(millis) })
}

/// Up to `length` bytes from `start`, which must be the beginning on Kong: it knows no other place.
pub(super) fn buffer(buffer: Buffer, start: usize, length: usize) -> HostResult<Option<Vec<u8>>> {
    // SAFETY: `bytes` gives places to write to.
    bytes(|data, size| unsafe { imports::proxy_get_buffer_bytes(buffer as u32, start, length, data, size) })
}

/// All headers, serialized; see [`super::headers`].
pub(super) fn header_pairs(headers: Headers) -> HostResult<Option<Vec<u8>>> {
    // SAFETY: `bytes` gives places to write to.
    bytes(|data, size| unsafe { imports::proxy_get_header_map_pairs(headers as u32, data, size) })
}

/// The first header of that name.
pub(super) fn header(headers: Headers, name: &str) -> HostResult<Option<Vec<u8>>> {
    // SAFETY: the name is valid for its length; `bytes` gives places to write to.
    bytes(|data, size| unsafe {
        imports::proxy_get_header_map_value(headers as u32, name.as_ptr(), name.len(), data, size)
    })
}

/// Sets a header to one value, whatever it had.
pub(super) fn replace_header(headers: Headers, name: &str, value: &[u8]) -> HostResult<()> {
    let (name, name_length, value, value_length) = (name.as_ptr(), name.len(), value.as_ptr(), value.len());
    // SAFETY: both pointers are valid for their lengths, and the host only reads.
    check(unsafe { imports::proxy_replace_header_map_value(headers as u32, name, name_length, value, value_length) })
}

/// Removes all headers of that name.
pub(super) fn remove_header(headers: Headers, name: &[u8]) -> HostResult<()> {
    // SAFETY: the pointer is valid for the length, and the host only reads.
    check(unsafe { imports::proxy_remove_header_map_value(headers as u32, name.as_ptr(), name.len()) })
}

/// A property of the host; `None` if it has none of that name.
pub(super) fn property(path: &[&str]) -> HostResult<Option<Vec<u8>>> {
    let path = path.join("\0");
    // SAFETY: the path is valid for its length; `bytes` gives places to write to.
    bytes(|data, size| unsafe { imports::proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

pub(super) fn set_property(path: &[&str], value: &[u8]) -> HostResult<()> {
    let path = path.join("\0");
    // SAFETY: both pointers are valid for their lengths, and the host only reads.
    check(unsafe { imports::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// Makes `context` the current one: Envoy delivers the answers to all callouts in the root's context.
pub(super) fn set_effective_context(context: u32) -> HostResult<()> {
    // SAFETY: no memory is shared.
    check(unsafe { imports::proxy_set_effective_context(context) })
}

/// Lets the current request go on.
pub(super) fn continue_request() -> HostResult<()> {
    // SAFETY: no memory is shared.
    check(unsafe { imports::proxy_continue_stream(0) })
}

/// Answers the current request. `headers` are serialized.
pub(super) fn send_local_response(status: u16, headers: &[u8], body: &[u8]) -> HostResult<()> {
    const NO_GRPC_STATUS: i32 = -1;
    let (headers, headers_length, body, body_length) = (headers.as_ptr(), headers.len(), body.as_ptr(), body.len());
    let status = u32::from(status);
    // SAFETY: all pointers are valid for their lengths, and the host only reads.
    check(unsafe {
        imports::proxy_send_local_response(
            status,
            ptr::null(),
            0,
            body,
            body_length,
            headers,
            headers_length,
            NO_GRPC_STATUS,
        )
    })
}

/// Sends a request of our own and returns the name that its answer will bear. `headers` are serialized.
pub(super) fn http_call(upstream: &str, headers: &[u8], body: &[u8], timeout: u32) -> HostResult<u32> {
    let no_trailers = 0_u32.to_le_bytes();
    let mut token = 0;
    // SAFETY: all pointers are valid for their lengths, the host only reads them, and writes one u32 to a valid place.
    check(unsafe {
        imports::proxy_http_call(
            upstream.as_ptr(),
            upstream.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            no_trailers.as_ptr(),
            no_trailers.len(),
            timeout,
            &raw mut token,
        )
    })?;
    Ok(token)
}

/// What the host calls.
mod exports {
    use super::{Action, events};

    unsafe extern "C" {
        fn __wasm_call_ctors();
    }

    #[unsafe(no_mangle)]
    extern "C" fn _initialize() {
        // SAFETY: the linker defines it, and the host calls this function once, before any other.
        unsafe { __wasm_call_ctors() }
    }

    #[unsafe(no_mangle)]
    const extern "C" fn proxy_abi_version_0_2_1() {}

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
        std::mem::ManuallyDrop::new(Vec::<u8>::with_capacity(size)).as_mut_ptr()
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_context_create(context: u32, root: u32) {
        events::on_context_create(context, root);
    }

    #[unsafe(no_mangle)]
    const extern "C" fn proxy_on_vm_start(_root: u32, _size: usize) -> bool {
        true
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_configure(root: u32, size: usize) -> bool {
        events::on_configure(root, size);
        // `false` would stop every route of Kong's worker, and open them at a start
        true
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_tick(root: u32) {
        events::on_tick(root);
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_request_headers(context: u32, count: usize, end_of_stream: bool) -> Action {
        events::on_request_headers(context, count, end_of_stream)
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_request_body(context: u32, size: usize, end_of_stream: bool) -> Action {
        events::on_request_body(context, size, end_of_stream)
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_request_trailers(context: u32, _count: usize) -> Action {
        events::on_request_trailers(context)
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_http_call_response(
        context: u32,
        token: u32,
        _headers: usize,
        size: usize,
        _trailers: usize,
    ) {
        events::on_callout_reply(context, token, size);
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_response_headers(context: u32, _count: usize, _end_of_stream: bool) -> Action {
        events::on_response_headers(context);
        Action::Continue
    }

    // Kong calls the following whether they are there or not, and its worker dies of one that is not.

    #[unsafe(no_mangle)]
    const extern "C" fn proxy_on_response_body(_context: u32, _size: usize, _end_of_stream: bool) -> Action {
        Action::Continue
    }

    #[unsafe(no_mangle)]
    const extern "C" fn proxy_on_response_trailers(_context: u32, _count: usize) -> Action {
        Action::Continue
    }

    #[unsafe(no_mangle)]
    const extern "C" fn proxy_on_done(_context: u32) -> bool {
        true
    }

    #[unsafe(no_mangle)]
    const extern "C" fn proxy_on_log(_context: u32) {}

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_delete(context: u32) {
        events::on_delete(context);
    }
}
