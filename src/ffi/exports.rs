//! The functions of the library. Each does three things: reads what the caller handed over, asks the worker, delivers the answer.

#![allow(unsafe_code, reason = "exported functions get raw pointers; what they point to is read in `boundary` only")]

use super::boundary::{CalloutAnswer, Head, again, bytes, deliver, guarded, guarded_for};
use super::counts;
use super::interface::{CType, Declaration, DkAnswer, DkCalloutAnswer, DkHead, number};
use super::message::{Code, Message};
use super::slab::Handle;
use super::worker;

macro_rules! functions {
    ($($(#[doc = $doc:literal])* fn $name:ident($($part:ident: $type:ty),*) -> $result:ty $body:block)*) => {
        $(
            $(#[doc = $doc])*
            ///
            /// # Safety
            /// Pointers are null, or point to aligned values of their type for the time of the call, which nobody else changes; spans
            /// of bytes and lists are as long as is said beside them.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($part: $type),*) -> $result $body
        )*

        pub(super) const FUNCTIONS: &[Declaration] = &[$(Declaration {
            docs: &[$($doc),*],
            result: Some(<$result as CType>::NAME),
            name: stringify!($name),
            parts: &[$((<$type as CType>::NAME, stringify!($part)),)*],
        }),*];
    };
}

const FAILED: i32 = Code::Failed as i32;

fn failed() -> (Code, Message) {
    (Code::Failed, Message::empty())
}

// Each block below: pointers are handed to `boundary` under the very conditions that this interface asks of its caller.
functions! {
    /// The number of the interface. The Lua files hold theirs against it before they call anything else.
    fn dk_interface() -> u64 {
        number()
    }

    /// To be called once in each process, before it forks workers: remembers the environment, which nginx takes from its workers, for
    /// secrets of the form `{env: NAME}`, and makes the key by which workers hand each other tokens. Answers the version, then for each counter
    /// its name and that of the gauge that holds when it counted last, which is empty where there is none.
    fn dk_start(answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded(FAILED, || unsafe { deliver(answer, worker::start()) })
    }

    /// Gives the answer that was too long for the memory of the call before, which answered `grow`.
    fn dk_again(answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded(FAILED, || unsafe { again(answer) })
    }

    /// Checks a configuration. Answers `done`, or `nothing` and all errors, a JSON pointer and a text each. Where `lacks_environment` is not
    /// zero, secrets are read in another process than this, and every `{env: NAME}` counts as set.
    fn dk_config_check(text: *const u8, size: usize, lacks_environment: u32, answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded(FAILED, || unsafe {
            let result = bytes(text, size).map_or_else(|_| failed(), |text| worker::check(text, lacks_environment != 0));
            deliver(answer, result)
        })
    }

    /// Takes up a configuration. Answers its handle and the names of `kong.ctx.shared` that its secrets need; or zero and all errors, as
    /// `dk_config_check`.
    fn dk_config_open(text: *const u8, size: usize, answer: *mut DkAnswer) -> u64 {
        // SAFETY: see above
        guarded(0, || unsafe {
            let Ok(text) = bytes(text, size) else { return 0 };
            let (handle, message) = worker::open(text);
            if deliver(answer, (Code::Done, message)) == FAILED {
                if let Some(handle) = handle {
                    worker::close_config(handle);
                }
                return 0;
            }
            handle.map_or(0, Handle::raw)
        })
    }

    /// Ends a configuration. Requests that it decides go on with it.
    fn dk_config_close(config: u64) -> () {
        guarded((), || worker::close_config(Handle::from_raw(config)))
    }

    /// Begins a request under a configuration; zero if that cannot be.
    fn dk_request_open(config: u64) -> u64 {
        guarded(0, || worker::open_request(Handle::from_raw(config)).map_or(0, Handle::raw))
    }

    /// Ends a request.
    fn dk_request_close(request: u64) -> () {
        guarded((), || worker::close_request(Handle::from_raw(request)))
    }

    /// A request's headers arrived.
    fn dk_on_headers(request: u64, head: *const DkHead, answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded_for(request, |request| unsafe {
            deliver(answer, Head::read(head).map_or_else(|_| failed(), |head| worker::on_headers(request, &head)))
        })
    }

    /// The body that was asked for arrived: `kind` 0 if `data` is all of it, 1 if it is longer than was allowed, 2 if it cannot be read.
    fn dk_on_body(request: u64, kind: u32, data: *const u8, size: usize, answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded_for(request, |request| unsafe {
            deliver(answer, bytes(data, size).map_or_else(|_| failed(), |body| worker::on_body(request, kind, body)))
        })
    }

    /// The callout that was asked for was answered, or was not.
    fn dk_on_callout(request: u64, result: *const DkCalloutAnswer, answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded_for(request, |request| unsafe {
            let result = CalloutAnswer::read(result);
            deliver(answer, result.map_or_else(|_| failed(), |result| worker::on_callout(request, &result)))
        })
    }

    /// An allowed request is about to be sent as `head` says, whatever others did to it meanwhile, with the body that was read for the
    /// decision as it is now (`kind` as in `dk_on_body`; 2 if none was asked for). Answers `send` with the credential, or `reply`.
    fn dk_on_send(request: u64, head: *const DkHead, kind: u32, data: *const u8, size: usize, answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded_for(request, |request| unsafe {
            let result = match (Head::read(head), bytes(data, size)) {
                (Ok(head), Ok(body)) => worker::on_send(request, &head, kind, body),
                _ => failed(),
            };
            deliver(answer, result)
        })
    }

    /// The workspace answered with this status and this `x-databricks-reason-phrase` (none if `size` is zero). Answers `done` and the name
    /// (a callout's `keep`) under which the other workers may have the token that it refused; or `nothing`.
    fn dk_on_response(request: u64, status: u32, reason: *const u8, size: usize, answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded(FAILED, || unsafe {
            let request = Handle::from_raw(request);
            let reason = bytes(reason, size);
            deliver(answer, reason.map_or_else(|_| failed(), |reason| worker::on_response(request, status, reason)))
        })
    }

    /// The request is refused after all: `why` 0 for a failure of the gateway (500 `INTERNAL`), 1 for an invalid configuration. `request` may
    /// be zero; `id` is the host's own name of it.
    fn dk_refuse(request: u64, why: u32, id: *const u8, size: usize, answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded(FAILED, || unsafe {
            let request = Handle::from_raw(request);
            deliver(answer, bytes(id, size).map_or_else(|_| failed(), |id| worker::refuse(request, why, id)))
        })
    }

    /// What was counted since the last call: the place of a counter in what `dk_start` answered (the first one's is 1), and how often, by
    /// turns. Answers `done`.
    fn dk_take_counts(answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded(FAILED, || unsafe { deliver(answer, (Code::Done, counts::take())) })
    }

    /// Seals the answer to a callout for the other workers of this node: under the callout's `keep`, `age` milliseconds after it was sent.
    /// Answers `done`, what to hand over, and for how many seconds it is of use; or `nothing`.
    fn dk_seal(name: *const u8, size: usize, age: u32, result: *const DkCalloutAnswer, answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded(FAILED, || unsafe {
            let result = match (bytes(name, size), CalloutAnswer::read(result)) {
                (Ok(name), Ok(result)) => worker::seal(name, age, &result),
                _ => failed(),
            };
            deliver(answer, result)
        })
    }

    /// A second has passed. Answers `call`, or `nothing`.
    fn dk_on_tick(config: u64, answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded(FAILED, || unsafe { deliver(answer, worker::on_tick(Handle::from_raw(config))) })
    }

    /// The callout of a tick was answered, or was not. Answers as `dk_on_tick`.
    fn dk_on_tick_callout(config: u64, result: *const DkCalloutAnswer, answer: *mut DkAnswer) -> i32 {
        // SAFETY: see above
        guarded(FAILED, || unsafe {
            let config = Handle::from_raw(config);
            let result = CalloutAnswer::read(result);
            deliver(answer, result.map_or_else(|_| failed(), |result| worker::on_tick_callout(config, &result)))
        })
    }
}
