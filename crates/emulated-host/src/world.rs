//! What a host keeps, and what it answers to each call of the filter.

use crate::calls::{Delivered, PendingCall};
use crate::pairs::{self, Pair};
use crate::request::{Local, Request};
use crate::worker::RequestHandle;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Which host this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Kong 3.9 with its wasm module.
    Kong,
    /// Envoy 1.3x, its filter configured with `allow_on_headers_stop_iteration`.
    Envoy,
}

/// What differs between two set-ups of one host.
#[derive(Clone, Debug)]
pub struct Switches {
    /// Kong's `client_body_buffer_size`: longer bodies are on disk, and a filter does not get them.
    pub body_buffer: usize,
    /// How many callouts to names Kong's resolver does before it stops for good.
    pub hostname_callouts: Option<u32>,
    /// Into pieces of how many bytes Envoy's bodies arrive.
    pub piece: usize,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// How many seconds a callback may take before it counts as one that does not end.
    pub longest_callback: u64,
    /// A property that traps when it is read, as some of Kong's do.
    pub trapping_property: Option<String>,
    /// A property that is not there, though this host usually has it.
    pub missing_property: Option<String>,
    /// A property that cannot be read.
    pub failing_property: Option<String>,
    /// Whether the clock that tells the time fails.
    pub broken_clock: bool,
    /// Envoy's `per_connection_buffer_limit_bytes`: what is held of one request at most.
    pub buffer_limit: usize,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            body_buffer: 64 * 1024,
            hostname_callouts: None,
            piece: 16 * 1024,
            env: Vec::new(),
            // far more than any honest one takes on the busiest machine
            longest_callback: 60,
            trapping_property: None,
            missing_property: None,
            failing_property: None,
            broken_clock: false,
            buffer_limit: 1 << 20,
        }
    }
}

/// A line in the host's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// 0 (trace) to 5 (critical).
    pub level: u32,
    /// The text.
    pub text: String,
}

/// The filter did what a real host punishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misuse(pub String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "misuse of the host: {}", self.0)
    }
}

impl std::error::Error for Misuse {}

/// Where the filter trapped because the test asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// What the host was calling it for.
    pub callback: Callback,
    /// The request that this was for, if it was for one.
    pub request: Option<RequestHandle>,
}

/// A trap that the test asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Injected;

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a trap that the test asked for")
    }
}

impl std::error::Error for Injected {}

/// Why a call gives nothing.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The filter hears this status.
    Status(u32),
    Misuse(Misuse),
    Injected,
}

pub(crate) const NOT_FOUND: u32 = 1;
pub(crate) const BAD_ARGUMENT: u32 = 2;
pub(crate) const INTERNAL_FAILURE: u32 = 10;

pub(crate) type Answer<T> = Result<T, Stop>;

fn misuse<T>(text: impl Into<String>) -> Answer<T> {
    Err(Stop::Misuse(Misuse(text.into())))
}

/// What the host is calling the filter for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    /// A context begins.
    Create,
    /// The instance starts.
    VmStart,
    /// A configuration is read.
    Configure,
    /// A configuration's timer.
    Tick,
    /// A request's headers.
    RequestHeaders,
    /// A request's body.
    RequestBody,
    /// A request's trailers.
    RequestTrailers,
    /// The end of a callout.
    CalloutReply,
    /// A request is about to be sent (the native plugin's second step).
    Send,
    /// A response's headers.
    ResponseHeaders,
    /// A response's body.
    ResponseBody,
    /// A request has ended.
    Done,
    /// It is to be logged.
    Log,
    /// A context ends.
    Delete,
}

impl Callback {
    /// Whether the filter's own start is at stake, which tests do not disturb.
    const fn is_start(self) -> bool {
        matches!(self, Self::Create | Self::VmStart | Self::Configure)
    }
}

/// A call of the filter that is under way.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) callback: Callback,
    /// The context that hostcalls are for.
    pub(crate) context: u32,
    pub(crate) reply: Option<Delivered>,
    /// Whether the callout that is answered had a body.
    pub(crate) asked_with_body: bool,
    /// Callouts that were sent in this callback.
    pub(crate) sent: Vec<u32>,
    /// Why those must not be left pending, if so.
    pub(crate) deadly: Option<&'static str>,
}

/// Whose callout it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A request's, and which entry's.
    Request(u32, usize),
    /// A configuration's tick's.
    Root(u32),
}

/// A configuration of the filter.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) config: Vec<u8>,
    pub(crate) started: bool,
    pub(crate) tick_period: Option<u64>,
    pub(crate) next_tick: u64,
    /// Whether the current instance has it.
    pub(crate) alive: bool,
}

/// What a metric does with numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricKind {
    /// Adds them up.
    Counter,
    /// Holds the last one.
    Gauge,
}

/// A metric of the filter's.
#[derive(Debug)]
pub(crate) struct HostMetric {
    pub(crate) name: String,
    pub(crate) kind: MetricKind,
    pub(crate) value: u64,
}

/// Everything but the instance.
pub(crate) struct World {
    pub(crate) profile: Profile,
    pub(crate) switches: Switches,
    /// Nanoseconds since 1970.
    pub(crate) clock: u64,
    random: u64,
    pub(crate) log: Vec<LogLine>,
    pub(crate) roots: BTreeMap<u32, Root>,
    pub(crate) requests: BTreeMap<u32, Request>,
    /// Which request and entry of it a context of the current instance is for.
    pub(crate) contexts: BTreeMap<u32, (u32, usize)>,
    pub(crate) calls: BTreeMap<u32, (PendingCall, Owner)>,
    /// Callouts that fail whatever the test says: Kong's resolver has stopped.
    pub(crate) doomed: BTreeSet<u32>,
    pub(crate) frame: Frame,
    /// How many callouts were sent, also those that an answer cancelled at once.
    pub(crate) callouts: usize,
    next_name: u32,
    /// A metric's id is its place, from 1. They outlive instances.
    pub(crate) metrics: Vec<HostMetric>,
    /// After how many further calls of the filter one traps.
    pub(crate) trap_in: Option<u32>,
    /// What the filter called the host for.
    pub(crate) host_calls: Vec<&'static str>,
    pub(crate) traps: Vec<Trap>,
}

impl World {
    pub(crate) fn new(profile: Profile, switches: Switches, clock: u64) -> Self {
        let frame = Frame {
            callback: Callback::Create,
            context: 0,
            reply: None,
            asked_with_body: false,
            sent: Vec::new(),
            deadly: None,
        };
        Self {
            profile,
            switches,
            clock,
            random: 1,
            log: Vec::new(),
            roots: BTreeMap::new(),
            requests: BTreeMap::new(),
            contexts: BTreeMap::new(),
            calls: BTreeMap::new(),
            doomed: BTreeSet::new(),
            frame,
            callouts: 0,
            next_name: 1,
            metrics: Vec::new(),
            trap_in: None,
            host_calls: Vec::new(),
            traps: Vec::new(),
        }
    }

    /// A name for a context, request or callout; no two are alike.
    pub(crate) const fn name(&mut self) -> u32 {
        self.next_name += 1;
        self.next_name
    }

    pub(crate) fn is_kong(&self) -> bool {
        self.profile == Profile::Kong
    }

    /// The host calls the filter, which may trap before it has called the host.
    pub(crate) fn enter(&mut self) -> Answer<()> {
        self.begin().inspect_err(|_| self.note_trap())
    }

    /// Writes down that a trap that the test asked for has happened.
    pub(crate) fn note_trap(&mut self) {
        let request = self.contexts.get(&self.frame.context).map(|(request, _)| RequestHandle(*request));
        self.traps.push(Trap { callback: self.frame.callback, request });
    }

    /// The filter calls the host; traps if the test wants that.
    pub(crate) fn begin(&mut self) -> Answer<()> {
        if self.frame.callback.is_start() {
            return Ok(());
        }
        match self.trap_in {
            Some(0) => {
                self.trap_in = None;
                Err(Stop::Injected)
            }
            Some(left) => {
                self.trap_in = Some(left - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn request(&self) -> Option<&Request> {
        self.requests.get(&self.contexts.get(&self.frame.context)?.0)
    }

    /// Which entry of its request the current context is for.
    fn entry(&self) -> usize {
        self.contexts.get(&self.frame.context).map_or(0, |(_, entry)| *entry)
    }

    fn request_mut(&mut self) -> Option<&mut Request> {
        self.requests.get_mut(&self.contexts.get(&self.frame.context)?.0)
    }

    fn check_callback(&self, call: &str, allowed: &[Callback]) -> Answer<()> {
        if self.is_kong() && !allowed.contains(&self.frame.callback) {
            return misuse(format!("{call} in {:?}: kong traps", self.frame.callback));
        }
        Ok(())
    }

    pub(crate) fn log(&mut self, level: u32, text: &[u8]) {
        self.log.push(LogLine { level, text: String::from_utf8_lossy(text).into_owned() });
    }

    /// Nanoseconds of a clock. Kong's monotonic one counts whole milliseconds, and begins with the machine.
    pub(crate) const fn time(&self, monotonic: bool) -> u64 {
        const STARTED: u64 = 1_700_000_000_000_000_000;
        let clock = if monotonic { self.clock - STARTED } else { self.clock };
        let whole = clock / 1_000_000 * 1_000_000;
        match self.profile {
            Profile::Kong if monotonic => whole,
            // a clock of nanoseconds hardly ever stands at a whole millisecond
            Profile::Kong | Profile::Envoy => whole + 1_234,
        }
    }

    /// Weak random bytes: Kong's are those of libc's `random()`, which start alike in every worker.
    pub(crate) fn random_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut next = || {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.random >> 33) as u8
        };
        (0..count).map(|_| next()).collect()
    }

    pub(crate) fn set_tick_period(&mut self, period: u32) -> Answer<()> {
        let (now, is_kong) = (self.clock, self.is_kong());
        let context = self.frame.context;
        let Some(root) = self.roots.get_mut(&context) else {
            return misuse("proxy_set_tick_period_milliseconds outside of a root context: kong traps");
        };
        if is_kong && period > 0 && root.tick_period.is_some() {
            return misuse("proxy_set_tick_period_milliseconds a second time: kong traps");
        }
        root.tick_period = (period > 0).then_some(u64::from(period) * 1_000_000);
        root.next_tick = now + root.tick_period.unwrap_or(0);
        Ok(())
    }

    /// `None`: there is none.
    pub(crate) fn buffer(&self, buffer: u32, start: u32, length: u32) -> Answer<Option<Vec<u8>>> {
        let whole = match buffer {
            0 => self.request_body()?,
            4 => self.reply_body()?,
            7 => {
                self.check_callback("proxy_get_buffer_bytes of the configuration", &[Callback::Configure])?;
                self.roots.get(&self.frame.context).map(|root| root.config.as_slice())
            }
            other => return misuse(format!("proxy_get_buffer_bytes of buffer {other}: not of this filter")),
        };
        if self.is_kong() && start > 0 {
            return misuse("proxy_get_buffer_bytes with an offset: kong ignores it");
        }
        let Some(whole) = whole else { return Ok(None) };
        let from = (start as usize).min(whole.len());
        let to = from.saturating_add(length as usize).min(whole.len());
        Ok(Some(whole[from..to].to_vec()))
    }

    fn request_body(&self) -> Answer<Option<&[u8]>> {
        let allowed = [Callback::RequestHeaders, Callback::RequestBody, Callback::Log];
        self.check_callback("proxy_get_buffer_bytes of the request's body", &allowed)?;
        let Some(request) = self.request() else { return Ok(None) };
        let Some(body) = &request.body else { return Ok(None) };
        match self.profile {
            Profile::Kong if self.frame.callback == Callback::RequestHeaders => Ok(None),
            Profile::Kong => Ok((body.len() <= self.switches.body_buffer).then_some(body.as_slice())),
            Profile::Envoy => {
                let shown = &request.shown_body[self.entry()];
                Ok(Some(&body[shown.from..shown.arrived]))
            }
        }
    }

    fn reply_body(&self) -> Answer<Option<&[u8]>> {
        let Some(reply) = &self.frame.reply else {
            return misuse("proxy_get_buffer_bytes of a callout's reply without one");
        };
        // cut off: kong knows the length and has nothing
        reply.body.as_deref().map(Some).ok_or(Stop::Status(BAD_ARGUMENT))
    }

    /// The headers as the filter sees them, the pseudo-headers first.
    fn map(&self, call: &str, map: u32) -> Answer<Vec<Pair>> {
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        match map {
            0 => {
                let Some(request) = self.request() else {
                    return misuse(format!("{call} of a request's headers without a request"));
                };
                Ok(match self.profile {
                    Profile::Kong => request.shown.clone(),
                    Profile::Envoy => joined(&request.shown),
                })
            }
            2 => {
                self.check_callback(
                    &format!("{call} of a response's headers"),
                    &[Callback::ResponseHeaders, Callback::ResponseBody, Callback::Log],
                )?;
                let Some(request) = self.request() else {
                    return misuse(format!("{call} of a response's headers without a request"));
                };
                let status = request.upstream_status.or_else(|| Some(request.local.as_ref()?.status));
                let mut headers = vec![pair(":status", &status.unwrap_or(0).to_string())];
                headers.extend(request.response_headers.iter().cloned());
                Ok(headers)
            }
            6 => match &self.frame.reply {
                Some(reply) => Ok(reply.headers.clone()),
                None => misuse(format!("{call} of a callout's reply without one: kong's worker dies")),
            },
            other => misuse(format!("{call} of map {other}: not of this filter")),
        }
    }

    pub(crate) fn header_pairs(&self, map: u32) -> Answer<Vec<u8>> {
        /// `NGX_HTTP_WASM_MAX_REQ_HEADERS`
        const MOST: usize = 100;
        let headers = self.map("proxy_get_header_map_pairs", map)?;
        if self.is_kong() && headers.len() > MOST {
            return misuse(
                "proxy_get_header_map_pairs of more than 100: kong writes more than it has asked memory for",
            );
        }
        Ok(pairs::serialize(headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))))
    }

    pub(crate) fn header(&self, map: u32, name: &[u8]) -> Answer<Option<Vec<u8>>> {
        let headers = self.map("proxy_get_header_map_value", map)?;
        Ok(headers.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
    }

    fn check_header_change(&self, call: &str, map: u32) -> Answer<()> {
        match map {
            0 => self.check_callback(
                &format!("{call} of a request's headers"),
                &[Callback::RequestHeaders, Callback::RequestBody, Callback::CalloutReply],
            ),
            2 => self.check_callback(
                &format!("{call} of a response's headers"),
                &[Callback::RequestHeaders, Callback::RequestBody, Callback::ResponseHeaders, Callback::CalloutReply],
            ),
            other => misuse(format!("{call} of map {other}: not of this filter")),
        }
    }

    /// Kong and Envoy alike: one header of that name is left, with that value. But Kong looks only at the first.
    pub(crate) fn replace_header(&mut self, map: u32, name: &[u8], value: &[u8]) -> Answer<()> {
        self.check_header_change("proxy_replace_header_map_value", map)?;
        let is_kong = self.is_kong();
        let Some(request) = self.request_mut() else {
            return misuse("proxy_replace_header_map_value without a request");
        };
        if map == 2 {
            replace(&mut request.response_headers, name, value, is_kong);
            return Ok(());
        }
        if is_kong && request.step == crate::request::Step::Response {
            return misuse("proxy_replace_header_map_value of a request that has gone on: kong traps");
        }
        replace(&mut request.shown, name, value, is_kong);
        replace(&mut request.sent, name, value, is_kong);
        Ok(())
    }

    /// Kong forgets a request's header and sends it all the same.
    pub(crate) fn remove_header(&mut self, map: u32, name: &[u8]) -> Answer<()> {
        self.check_header_change("proxy_remove_header_map_value", map)?;
        let is_kong = self.is_kong();
        let Some(request) = self.request_mut() else {
            return misuse("proxy_remove_header_map_value without a request");
        };
        let other = |(key, _): &Pair| !key.eq_ignore_ascii_case(name);
        if map == 2 {
            request.response_headers.retain(other);
            return Ok(());
        }
        request.shown.retain(other);
        if !is_kong {
            request.sent.retain(other);
        }
        Ok(())
    }

    pub(crate) fn property(&self, path: &[u8]) -> Answer<Option<Vec<u8>>> {
        let path = String::from_utf8_lossy(path).replace('\0', ".");
        if self.switches.trapping_property.as_deref() == Some(path.as_str()) {
            return Err(Stop::Injected);
        }
        if self.switches.missing_property.as_deref() == Some(path.as_str()) {
            return Ok(None);
        }
        if self.switches.failing_property.as_deref() == Some(path.as_str()) {
            return Err(Stop::Status(INTERNAL_FAILURE));
        }
        match (self.profile, path.as_str()) {
            (Profile::Envoy, "plugin_vm_id") => return Ok(Some(Vec::new())),
            (Profile::Envoy, "xds.listener_direction") => return Ok(self.request().map(|_| vec![0; 8])),
            _ => {}
        }
        self.check_reading_kongs_property(&path)?;
        let Some(request) = self.request() else {
            return if self.is_kong() {
                misuse(format!("proxy_get_property `{path}` in a root context: kong's worker dies"))
            } else {
                Ok(None)
            };
        };
        let shared = |key: &str| request.shared.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        if self.profile == Profile::Envoy {
            return Ok(shared(&path));
        }
        Ok(match path.as_str() {
            "ngx.kong_request_id" => Some(request.id.clone().into_bytes()),
            "ngx.upstream_uri" => Some(request.target.clone().into_bytes()),
            "ngx.server_protocol" => Some(if request.http2 { b"HTTP/2.0".to_vec() } else { b"HTTP/1.1".to_vec() }),
            "ngx.upstream_status" => request.upstream_status.map(|status| status.to_string().into_bytes()),
            "kong.response.source" => return misuse("proxy_get_property `kong.response.source`: kong traps"),
            path => path.strip_prefix("kong.ctx.shared.").and_then(shared),
        })
    }

    /// Kong's own properties are Lua's: reading one is never quite safe, and after a callout another coroutine ran last than the request's.
    fn check_reading_kongs_property(&self, path: &str) -> Answer<()> {
        let call = "proxy_get_property";
        if !self.is_kong() || !path.starts_with("kong.") {
            return Ok(());
        }
        if self.frame.callback != Callback::RequestHeaders {
            return misuse(format!("{call} `{path}` in {:?}: kong's worker may die", self.frame.callback));
        }
        if self.request().is_some_and(|request| request.has_waited) {
            return misuse(format!("{call} `{path}` after a callout: kong's worker may die"));
        }
        Ok(())
    }

    pub(crate) fn set_property(&mut self, path: &[u8], value: &[u8]) -> Answer<()> {
        let path = String::from_utf8_lossy(path).replace('\0', ".");
        let is_kong = self.is_kong();
        let Some(request) = self.request_mut() else {
            return misuse(format!("proxy_set_property `{path}` without a request"));
        };
        let name = match (is_kong, path.as_str()) {
            (false, path) => path.to_owned(),
            (true, "ngx.upstream_uri") => {
                request.target = String::from_utf8(value.to_vec()).map_err(|_| Stop::Status(BAD_ARGUMENT))?;
                return Ok(());
            }
            (true, path) if path.starts_with("kong.") => {
                return misuse(format!("proxy_set_property `{path}`: kong's worker may die"));
            }
            (true, _) => return Err(Stop::Status(NOT_FOUND)),
        };
        request.shared.retain(|(key, _)| *key != name);
        request.shared.push((name, value.to_vec()));
        Ok(())
    }

    /// A metric's id, the same whenever it is defined. Kong's definition waits for a lock that a scrape may hold.
    pub(crate) fn define_metric(&mut self, kind: u32, name: &[u8]) -> Answer<u32> {
        const CALL: &str = "proxy_define_metric";
        self.check_callback(CALL, &[Callback::Configure])?;
        let kind = match kind {
            0 => MetricKind::Counter,
            1 => MetricKind::Gauge,
            _ => return misuse(format!("{CALL} of kind {kind}: counters and gauges only")),
        };
        let name = String::from_utf8_lossy(name).into_owned();
        let place = self.metrics.iter().position(|known| known.name == name).unwrap_or_else(|| {
            self.metrics.push(HostMetric { name, kind, value: 0 });
            self.metrics.len() - 1
        });
        Ok(u32::try_from(place).unwrap() + 1)
    }

    pub(crate) fn increment_metric(&mut self, metric: u32, by: i64) -> Answer<()> {
        match self.metric(metric) {
            Some(HostMetric { kind: MetricKind::Counter, value, .. }) if by >= 0 => {
                *value += by.unsigned_abs();
                Ok(())
            }
            _ => misuse(format!("proxy_increment_metric of {metric} by {by}: kong traps")),
        }
    }

    pub(crate) fn record_metric(&mut self, metric: u32, to: u64) -> Answer<()> {
        match self.metric(metric) {
            Some(HostMetric { kind: MetricKind::Gauge, value, .. }) => {
                *value = to;
                Ok(())
            }
            _ => misuse(format!("proxy_record_metric of {metric}: kong traps")),
        }
    }

    fn metric(&mut self, id: u32) -> Option<&mut HostMetric> {
        self.metrics.get_mut(usize::try_from(id).unwrap().checked_sub(1)?)
    }

    pub(crate) fn set_effective_context(&mut self, context: u32) -> Answer<()> {
        if self.is_kong() {
            return Ok(());
        }
        if !self.contexts.contains_key(&context) && !self.roots.contains_key(&context) {
            return Err(Stop::Status(BAD_ARGUMENT));
        }
        self.frame.context = context;
        Ok(())
    }

    pub(crate) fn continue_stream(&mut self, stream: u32) -> Answer<()> {
        if stream != 0 {
            return misuse(format!("proxy_continue_stream of stream {stream}: not of this filter"));
        }
        let Some(request) = self.request_mut() else {
            return misuse("proxy_continue_stream without a request");
        };
        request.paused = false;
        Ok(())
    }

    pub(crate) fn send_local_response(&mut self, status: u32, headers: &[u8], body: Vec<u8>) -> Answer<()> {
        const CALL: &str = "proxy_send_local_response";
        let callback = self.frame.callback;
        self.check_callback(
            CALL,
            &[Callback::RequestHeaders, Callback::RequestBody, Callback::CalloutReply, Callback::ResponseHeaders],
        )?;
        let Some(mut headers) = pairs::parse(headers) else { return misuse(format!("{CALL}: no list of headers")) };
        let is_kong = self.is_kong();
        let Some(request) = self.request_mut() else { return misuse(format!("{CALL} without a request")) };
        if request.local.is_some() {
            return misuse(format!("{CALL} twice: kong traps (already stashed)"));
        }
        if !(100..=999).contains(&status) {
            return Err(Stop::Status(BAD_ARGUMENT));
        }
        let status = u16::try_from(status).unwrap();
        let answers_response = callback == Callback::ResponseHeaders;
        if answers_response && request.response_headers.iter().any(|(name, _)| name == b"content-length") {
            return misuse(format!("{CALL} in ResponseHeaders beside the upstream's content-length: the client hangs"));
        }
        let mut body = body;
        if is_kong {
            if answers_response {
                headers = request.response_headers.clone();
            }
            if !body.is_empty() {
                body.push(b'\n');
            }
            headers = set_one_by_one(headers);
        }
        request.local = Some(Local { status, headers, body });
        Ok(())
    }

    pub(crate) fn http_call(&mut self, upstream: &[u8], headers: &[u8], body: Vec<u8>, timeout: u32) -> Answer<u32> {
        const CALL: &str = "proxy_http_call";
        let allowed = [Callback::RequestHeaders, Callback::RequestBody, Callback::CalloutReply, Callback::Tick];
        self.check_callback(CALL, &allowed)?;
        if self.is_kong() && self.roots.contains_key(&self.frame.context) {
            return misuse(format!("{CALL} from a tick: if it fails, kong's worker dies"));
        }
        let Some(headers) = pairs::parse(headers) else { return misuse(format!("{CALL}: no list of headers")) };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes);
        let headers = headers.into_iter().map(|(name, value)| Ok((text(name)?, text(value)?)));
        let Ok(headers) = headers.collect::<Result<Vec<_>, std::string::FromUtf8Error>>() else {
            return misuse(format!("{CALL}: a header is not text"));
        };
        if headers.iter().any(|(_, value)| value.contains(['\r', '\n', '\0'])) {
            return misuse(format!("{CALL}: a header with a line break, which kong sends as it is"));
        }
        let Ok(upstream) = text(upstream.to_vec()) else {
            return misuse(format!("{CALL}: an upstream that is not text"));
        };
        let owner = match self.contexts.get(&self.frame.context) {
            Some((request, entry)) => Owner::Request(*request, *entry),
            None => Owner::Root(self.frame.context),
        };
        let request = if let Owner::Request(request, _) = owner { Some(request) } else { None };
        let handle = request.map(RequestHandle);
        let call = PendingCall { token: self.name(), request: handle, upstream, headers, body, timeout };
        for name in [":method", ":path", ":authority", ":scheme"] {
            if call.header(name).is_empty() && name != ":scheme" {
                return misuse(format!("{CALL} without `{name}`: kong traps"));
            }
        }
        if self.is_kong() {
            self.check_kongs_call(&call)?;
        }
        if request.and_then(|request| self.requests.get(&request)).is_some_and(|request| request.local.is_some()) {
            return misuse(format!("{CALL} after an answer"));
        }
        let token = call.token;
        self.callouts += 1;
        self.frame.sent.push(token);
        self.calls.insert(token, (call, owner));
        Ok(token)
    }

    fn check_kongs_call(&mut self, call: &PendingCall) -> Answer<()> {
        let (host, port) = call.upstream.rsplit_once(':').unwrap_or((&call.upstream, "443"));
        if host.is_empty() || port.parse::<u16>().is_err() || call.upstream.contains(['/', ' ', '@']) {
            return misuse(format!("proxy_http_call to `{}`: kong traps", call.upstream));
        }
        let is_name = host.trim_matches(['[', ']']).parse::<IpAddr>().is_err();
        if is_name && let Some(left) = &mut self.switches.hostname_callouts {
            if *left == 0 {
                self.doomed.insert(call.token);
            }
            *left = left.saturating_sub(1);
        }
        if self.frame.reply.is_some() && self.frame.asked_with_body && !call.body.is_empty() {
            self.frame.deadly =
                Some("proxy_http_call with a body from the callback of one with a body: kong's worker loops for ever");
        }
        Ok(())
    }
}

fn replace(headers: &mut Vec<Pair>, name: &[u8], value: &[u8], first_only: bool) {
    let mut found = false;
    headers.retain_mut(|(key, old)| {
        if !key.eq_ignore_ascii_case(name) {
            return true;
        }
        if found {
            return first_only;
        }
        found = true;
        *old = value.to_vec();
        true
    });
    if !found {
        headers.push((name.to_vec(), value.to_vec()));
    }
}

/// Of two headers with one name the last is left.
fn set_one_by_one(headers: Vec<Pair>) -> Vec<Pair> {
    let mut left: Vec<Pair> = Vec::new();
    for (name, value) in headers {
        replace(&mut left, &name, &value, false);
    }
    left
}

fn joined(headers: &[Pair]) -> Vec<Pair> {
    let mut all: Vec<Pair> = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        match all.iter_mut().find(|(key, _)| *key == name) {
            Some((_, first)) => {
                first.push(b',');
                first.extend(value);
            }
            None => all.push((name, value.clone())),
        }
    }
    all
}
