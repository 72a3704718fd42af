//! What stories and schedules do to a host, whichever it is.

use host::{
    CalloutEnd, Change, Entry, HttpRequest, LogLine, Native, Outcome, PendingCall, Profile, RequestHandle, Trap, Worker,
};
use std::time::Duration;

/// Which host it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One that runs the filter.
    Filter(Profile),
    /// Kong with the native plugin.
    Plugin,
}

/// A worker of a gateway. The methods are those of [`Worker`]; of what only the native plugin has, nothing happens elsewhere.
pub(crate) trait Gateway {
    fn kind(&self) -> Kind;
    fn now(&self) -> u64;
    fn log(&self) -> &[LogLine];
    fn outcome(&self, request: RequestHandle) -> &Outcome;
    fn request_id(&self, request: RequestHandle) -> &str;
    fn pending(&self) -> Vec<PendingCall>;
    fn awaits_body(&self, request: RequestHandle) -> bool;
    fn awaits_response(&self, request: RequestHandle) -> bool;
    /// Whether the request is allowed, though it may not have gone on yet.
    fn is_allowed(&self, request: RequestHandle) -> bool;
    /// Traps of the filter, panics of the library.
    fn traps(&self) -> &[Trap];

    fn configure(&mut self, config: &str) -> Entry;
    fn pass(&mut self, time: Duration);
    fn trap_after(&mut self, calls: u32);
    fn no_trap(&mut self);
    /// The instance is thrown away, the worker is killed.
    fn lose_instance(&mut self);
    fn send(&mut self, entries: &[Entry], request: &HttpRequest) -> RequestHandle;
    fn body_arrives(&mut self, request: RequestHandle);
    fn client_leaves(&mut self, request: RequestHandle);
    fn answer(&mut self, token: u32, end: CalloutEnd);
    fn respond(&mut self, request: RequestHandle, status: u16);

    fn awaits_trailers(&self, _: RequestHandle) -> bool {
        false
    }
    fn trailers_arrive(&mut self, _: RequestHandle) {}
    fn lose_callout(&mut self, _: u32) {}
    /// Bytes of the instance's memory; the native plugin has none of its own.
    fn memory(&mut self) -> usize {
        0
    }

    /// How many requests have ended that the library still knows.
    fn left_behind(&self) -> usize {
        0
    }
    /// A configuration that was replaced is forgotten.
    fn collect(&mut self, _: Entry) {}
    fn is_overdue(&self, _: u32) -> bool {
        false
    }
    fn waiting_for(&self, _: u32) -> usize {
        1
    }
    fn awaits_plugins(&self, _: RequestHandle) -> bool {
        false
    }
    fn has_read_body(&self, _: RequestHandle) -> bool {
        false
    }
    fn plugins_are_done(&mut self, _: RequestHandle, _: Option<&Change>) {}
}

/// What both hosts have under the same name, with the same arguments.
macro_rules! of_its_own_by_the_same_name {
    () => {
        fn now(&self) -> u64 {
            self.now()
        }
        fn log(&self) -> &[LogLine] {
            self.log()
        }
        fn outcome(&self, request: RequestHandle) -> &Outcome {
            self.outcome(request)
        }
        fn request_id(&self, request: RequestHandle) -> &str {
            self.request_id(request)
        }
        fn pending(&self) -> Vec<PendingCall> {
            self.pending()
        }
        fn awaits_body(&self, request: RequestHandle) -> bool {
            self.awaits_body(request)
        }
        fn awaits_response(&self, request: RequestHandle) -> bool {
            self.awaits_response(request)
        }
        fn configure(&mut self, config: &str) -> Entry {
            self.configure(config)
        }
        fn pass(&mut self, time: Duration) {
            self.pass(time);
        }
        fn body_arrives(&mut self, request: RequestHandle) {
            self.body_arrives(request);
        }
        fn client_leaves(&mut self, request: RequestHandle) {
            self.client_leaves(request);
        }
        fn answer(&mut self, token: u32, end: CalloutEnd) {
            self.answer(token, end);
        }
    };
}

impl Gateway for Worker {
    of_its_own_by_the_same_name!();

    fn kind(&self) -> Kind {
        Kind::Filter(self.profile())
    }
    fn is_allowed(&self, request: RequestHandle) -> bool {
        String::from_utf8_lossy(self.header_to_send(request, "user-agent")).contains("databricks-kong/")
    }
    fn traps(&self) -> &[Trap] {
        self.traps()
    }
    fn trap_after(&mut self, calls: u32) {
        self.trap_after(calls);
    }
    fn no_trap(&mut self) {
        self.no_trap();
    }
    fn lose_instance(&mut self) {
        self.lose_instance();
    }
    fn send(&mut self, entries: &[Entry], request: &HttpRequest) -> RequestHandle {
        self.send(entries, request)
    }
    fn respond(&mut self, request: RequestHandle, status: u16) {
        self.respond(request, status, &[]);
    }
    fn awaits_trailers(&self, request: RequestHandle) -> bool {
        self.awaits_trailers(request)
    }
    fn trailers_arrive(&mut self, request: RequestHandle) {
        self.trailers_arrive(request);
    }
    fn lose_callout(&mut self, token: u32) {
        self.lose_callout(token);
    }
    fn memory(&mut self) -> usize {
        self.memory()
    }
}

impl Gateway for Native {
    of_its_own_by_the_same_name!();

    fn kind(&self) -> Kind {
        Kind::Plugin
    }
    fn is_allowed(&self, request: RequestHandle) -> bool {
        self.is_allowed(request)
    }
    fn traps(&self) -> &[Trap] {
        self.panics()
    }
    fn trap_after(&mut self, calls: u32) {
        self.panic_after(calls);
    }
    fn no_trap(&mut self) {
        self.no_panic();
    }
    fn lose_instance(&mut self) {
        self.kill();
    }
    fn send(&mut self, entries: &[Entry], request: &HttpRequest) -> RequestHandle {
        let [entry] = entries else { panic!("a route has one configuration of the plugin") };
        self.send(*entry, request)
    }
    fn respond(&mut self, request: RequestHandle, status: u16) {
        self.respond(request, status);
    }
    fn left_behind(&self) -> usize {
        self.left_behind()
    }
    fn collect(&mut self, entry: Entry) {
        self.collect(entry);
    }
    fn is_overdue(&self, token: u32) -> bool {
        self.is_overdue(token)
    }
    fn waiting_for(&self, token: u32) -> usize {
        self.waiting_for(token)
    }
    fn awaits_plugins(&self, request: RequestHandle) -> bool {
        self.awaits_plugins(request)
    }
    fn has_read_body(&self, request: RequestHandle) -> bool {
        self.has_read_body(request)
    }
    fn plugins_are_done(&mut self, request: RequestHandle, change: Option<&Change>) {
        self.plugins_are_done(request, change);
    }
}
