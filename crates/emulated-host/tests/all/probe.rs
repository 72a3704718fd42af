//! Small modules that do one thing, right or wrong, to see what the hosts make of it.

use host::Filter;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Calls of the host: the name, the name in the module, the parameters.
const IMPORTS: &[(&str, &str, &str)] = &[
    ("proxy_http_call", "call", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32"),
    ("proxy_send_local_response", "answer", "i32 i32 i32 i32 i32 i32 i32 i32"),
    ("proxy_get_property", "property", "i32 i32 i32 i32"),
    ("proxy_set_property", "set_property", "i32 i32 i32 i32"),
    ("proxy_get_buffer_bytes", "buffer", "i32 i32 i32 i32 i32"),
    ("proxy_get_header_map_pairs", "headers", "i32 i32 i32"),
    ("proxy_get_header_map_value", "header", "i32 i32 i32 i32 i32"),
    ("proxy_replace_header_map_value", "replace", "i32 i32 i32 i32 i32"),
    ("proxy_remove_header_map_value", "remove", "i32 i32 i32"),
    ("proxy_set_tick_period_milliseconds", "ticks", "i32"),
    ("proxy_define_metric", "define", "i32 i32 i32 i32"),
    ("proxy_increment_metric", "increment", "i32 i64"),
    ("proxy_set_effective_context", "switch_to", "i32"),
];

/// What the hosts call: the name, the parameters, and what is done where a probe says nothing.
const EXPORTS: &[(&str, &str, &str)] = &[
    ("_initialize", "", ""),
    ("proxy_on_context_create", "(param i32 i32)", ""),
    ("proxy_on_vm_start", "(param i32 i32) (result i32)", "(i32.const 1)"),
    ("proxy_on_configure", "(param i32 i32) (result i32)", "(i32.const 1)"),
    ("proxy_on_tick", "(param i32)", ""),
    ("proxy_on_request_headers", "(param i32 i32 i32) (result i32)", "(i32.const 0)"),
    ("proxy_on_request_body", "(param i32 i32 i32) (result i32)", "(i32.const 0)"),
    ("proxy_on_request_trailers", "(param i32 i32) (result i32)", "(i32.const 0)"),
    ("proxy_on_http_call_response", "(param i32 i32 i32 i32 i32)", ""),
    ("proxy_on_response_headers", "(param i32 i32 i32) (result i32)", "(i32.const 0)"),
    ("proxy_on_done", "(param i32) (result i32)", "(i32.const 1)"),
    ("proxy_on_log", "(param i32)", ""),
    ("proxy_on_delete", "(param i32)", ""),
];

/// Where hosts write the place and the length of what they give.
const GIVEN: usize = 16;
const TEXTS: usize = 1024;

/// A module to be.
#[derive(Default)]
pub(crate) struct Probe {
    callbacks: BTreeMap<&'static str, String>,
    missing: Option<&'static str>,
    texts: Vec<u8>,
}

impl Probe {
    /// What it does when it is called so.
    pub(crate) fn on(mut self, callback: &'static str, does: impl FnOnce(&mut Self) -> String) -> Self {
        let code = does(&mut self);
        self.callbacks.insert(callback, code);
        self
    }

    pub(crate) const fn without(mut self, export: &'static str) -> Self {
        self.missing = Some(export);
        self
    }

    pub(crate) fn module(&self) -> Filter {
        let mut text = String::from("(module");
        for (name, short, parameters) in IMPORTS {
            write!(text, "(import \"env\" \"{name}\" (func ${short} (param {parameters}) (result i32)))").unwrap();
        }
        let clock = "(import \"wasi_snapshot_preview1\" \"clock_time_get\"";
        write!(text, "{clock} (func $time (param i32 i64 i32) (result i32)))").unwrap();
        text.push_str("(memory (export \"memory\") 8) (global $free (mut i32) (i32.const 65536))");
        text.push_str("(global $request (mut i32) (i32.const 0))");
        text.push_str(
            "(func (export \"proxy_on_memory_allocate\") (param i32) (result i32) (global.get $free)
             (global.set $free (i32.add (global.get $free) (local.get 0))))",
        );
        for (name, signature, usual) in EXPORTS.iter().filter(|(name, ..)| self.missing != Some(*name)) {
            let code = self.callbacks.get(name).map_or(*usual, String::as_str);
            // Envoy delivers the ends of callouts in the root's context
            let first = match *name {
                "proxy_on_request_headers" => "(global.set $request (local.get 0))",
                "proxy_on_http_call_response" => "(drop (call $switch_to (global.get $request)))",
                _ => "",
            };
            write!(text, "(func (export \"{name}\") {signature} {first} {code})").unwrap();
        }
        let texts: String = self.texts.iter().map(|byte| format!("\\{byte:02x}")).collect();
        write!(text, "(data (i32.const {TEXTS}) \"{texts}\"))").unwrap();
        Filter::of_module(&wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}")))
    }

    /// The place and the length of a text.
    fn text(&mut self, text: &[u8]) -> String {
        let at = TEXTS + self.texts.len();
        self.texts.extend(text);
        format!("(i32.const {at}) (i32.const {})", text.len())
    }

    fn pairs(&mut self, pairs: &[(&str, &str)]) -> String {
        let length = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
        let mut bytes = length(pairs.len()).to_vec();
        for (name, value) in pairs {
            bytes.extend(length(name.len()));
            bytes.extend(length(value.len()));
        }
        for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend(text.bytes());
            bytes.push(0);
        }
        self.text(&bytes)
    }

    /// A callout.
    pub(crate) fn call(&mut self, upstream: &str, body: &str) -> String {
        self.call_with(upstream, &[(":method", "GET"), (":path", "/"), (":authority", "a"), (":scheme", "http")], body)
    }

    pub(crate) fn call_with(&mut self, upstream: &str, headers: &[(&str, &str)], body: &str) -> String {
        let (upstream, headers, body) =
            (self.text(upstream.as_bytes()), self.pairs(headers), self.text(body.as_bytes()));
        let none = self.pairs(&[]);
        format!("(drop (call $call {upstream} {headers} {body} {none} (i32.const 1000) (i32.const 8)))")
    }

    /// An answer to the request with this status, which is code.
    pub(crate) fn answer(&mut self, status: &str, body: &str) -> String {
        let (headers, body) = (self.pairs(&[("x", "one"), ("x", "two")]), self.text(body.as_bytes()));
        format!("(drop (call $answer {status} (i32.const 0) (i32.const 0) {body} {headers} (i32.const -1)))")
    }

    /// An answer that shows what a host gave last.
    pub(crate) fn show(&mut self) -> String {
        let (headers, at) = (self.pairs(&[]), GIVEN);
        format!(
            "(drop (call $answer (i32.const 200) (i32.const 0) (i32.const 0) (i32.load (i32.const {at}))
             (i32.load (i32.const {})) {headers} (i32.const -1)))",
            at + 4
        )
    }

    /// An answer whose status is `base` and the result of `code`.
    pub(crate) fn tell(&mut self, base: u16, code: &str) -> String {
        self.answer(&format!("(i32.add (i32.const {base}) {code})"), "")
    }

    pub(crate) fn property(&mut self, path: &str) -> String {
        let path = self.text(path.replace('.', "\0").as_bytes());
        format!("(call $property {path} (i32.const {GIVEN}) (i32.const {}))", GIVEN + 4)
    }

    pub(crate) fn set_property(&mut self, path: &str, value: &str) -> String {
        let (path, value) = (self.text(path.replace('.', "\0").as_bytes()), self.text(value.as_bytes()));
        format!("(call $set_property {path} {value})")
    }

    pub(crate) fn buffer(buffer: u32, start: u32) -> String {
        let places = format!("(i32.const {GIVEN}) (i32.const {})", GIVEN + 4);
        format!("(call $buffer (i32.const {buffer}) (i32.const {start}) (i32.const 65536) {places})")
    }

    pub(crate) fn header(&mut self, map: u32, name: &str) -> String {
        let name = self.text(name.as_bytes());
        format!("(call $header (i32.const {map}) {name} (i32.const {GIVEN}) (i32.const {}))", GIVEN + 4)
    }

    /// How many headers there are.
    pub(crate) fn count(map: u32) -> String {
        let given = format!("(call $headers (i32.const {map}) (i32.const {GIVEN}) (i32.const {}))", GIVEN + 4);
        format!("(i32.add {given} (i32.load (i32.load (i32.const {GIVEN}))))")
    }

    pub(crate) fn replace(&mut self, map: u32, name: &str, value: &str) -> String {
        let (name, value) = (self.text(name.as_bytes()), self.text(value.as_bytes()));
        format!("(call $replace (i32.const {map}) {name} {value})")
    }

    pub(crate) fn remove(&mut self, map: u32, name: &str) -> String {
        let name = self.text(name.as_bytes());
        format!("(call $remove (i32.const {map}) {name})")
    }

    pub(crate) fn define(&mut self, kind: u32, name: &str) -> String {
        let name = self.text(name.as_bytes());
        format!("(call $define (i32.const {kind}) {name} (i32.const 8))")
    }

    /// Nanoseconds of a clock that are less than a millisecond.
    pub(crate) fn below_a_millisecond(clock: u32) -> String {
        format!(
            "(i32.add (call $time (i32.const {clock}) (i64.const 1) (i32.const 24))
             (i32.ne (i32.wrap_i64 (i64.rem_u (i64.load (i32.const 24)) (i64.const 1000000))) (i32.const 0)))"
        )
    }
}
