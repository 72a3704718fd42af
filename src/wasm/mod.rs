//! The shell around the core: proxy-wasm events in, hostcalls out. It holds no logic of its own.
//!
//! `abi` talks to the host, `host` knows what each host does in its own way, `events` finds the context that an event is for, `request`
//! and `root` are the two kinds of context. `callout` sends what the core asks for, `body` collects what arrives of a request's body, and
//! `audit` and `metrics` hand the core's records and counts to the host.

#[cfg(target_os = "wasi")]
mod abi;
#[cfg(target_os = "wasi")]
mod audit;
#[cfg(target_os = "wasi")]
mod body;
#[cfg(target_os = "wasi")]
mod callout;
#[cfg(target_os = "wasi")]
mod clock;
#[cfg(target_os = "wasi")]
mod events;
#[cfg(target_os = "wasi")]
mod host;
#[cfg(target_os = "wasi")]
mod metrics;
#[cfg(target_os = "wasi")]
mod request;
#[cfg(target_os = "wasi")]
mod root;

#[cfg(any(target_os = "wasi", test))]
mod headers;

#[cfg(all(test, not(target_os = "wasi")))]
mod abi {
    /// Stands in for the host's error where there is no host.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct HostError(pub(super) u32);
}
