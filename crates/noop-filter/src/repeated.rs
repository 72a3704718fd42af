//! A host call that is made many times.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{LogLevel, MapType, MetricType};
use std::hint::black_box;

/// What is made how often, read from a text: a call, a number, and for properties a path with dots, e.g. `property 100 request.path`.
pub(crate) struct Repeated {
    call: Call,
    count: u32,
}

enum Call {
    HeaderMap,
    Header,
    SetHeader,
    Property(Vec<String>),
    SetProperty(Vec<String>),
    Counter(u32),
    Log,
    Clock,
}

impl Repeated {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (name, count) = (words.next()?, words.next()?.parse().ok()?);
        let mut path = || words.next().map(|path| path.split('.').map(str::to_owned).collect());
        let call = match name {
            "header_map" => Call::HeaderMap,
            "header" => Call::Header,
            "set_header" => Call::SetHeader,
            "property" => Call::Property(path()?),
            "set_property" => Call::SetProperty(path()?),
            "counter" => Call::Counter(hostcalls::define_metric(MetricType::Counter, "noop_calls").ok()?),
            "log" => Call::Log,
            "clock" => Call::Clock,
            _ => return None,
        };
        Some(Self { call, count })
    }

    pub(crate) fn make(&self) {
        for _ in 0..self.count {
            self.call.make();
        }
    }
}

impl Call {
    /// What a call answers is of no interest; a host that refuses it says so in its own log.
    fn make(&self) {
        const REQUEST: MapType = MapType::HttpRequestHeaders;
        match self {
            Self::HeaderMap => drop(black_box(hostcalls::get_map(REQUEST))),
            Self::Header => drop(black_box(hostcalls::get_map_value(REQUEST, "user-agent"))),
            Self::SetHeader => drop(black_box(hostcalls::set_map_value(REQUEST, "x-bench", Some("1")))),
            Self::Property(name) => drop(black_box(hostcalls::get_property(parts(name)))),
            Self::SetProperty(name) => drop(black_box(hostcalls::set_property(parts(name), Some(b"1")))),
            Self::Counter(metric) => drop(black_box(hostcalls::increment_metric(*metric, 1))),
            Self::Log => drop(black_box(hostcalls::log(
                LogLevel::Warn,
                "noop-filter: a line of an ordinary length, as gateways write",
            ))),
            Self::Clock => drop(black_box(hostcalls::get_current_time())),
        }
    }
}

fn parts(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}
