//! One entry's configuration in one instance, and the keys that its ticks fetch ahead of need.

use super::abi::{self, Buffer, Level};
use super::host::{self, Host};
use super::{callout, clock, events, metrics};
use crate::base::{Now, Uptime};
use crate::config::{Config, Settings};
use crate::flow::{Answer, Callout, CalloutResult, Env, Prefetch};
use std::rc::Rc;

const TICK_MILLIS: u32 = 1000;

/// The state of a configuration; without one, every request is refused.
#[derive(Debug, Default)]
pub(super) struct RootContext {
    settings: Option<Settings>,
    prefetch: Prefetch,
    /// When the configuration was made or a request last needed it.
    used_at: Uptime,
    ticks: bool,
}

impl RootContext {
    pub(super) fn on_configure(&mut self, size: usize) {
        let text = callout::whole(Buffer::Configuration, size).unwrap_or_default();
        self.used_at = clock::now().unwrap_or_default().uptime;
        metrics::define();
        match Settings::parse(&text, &|name| std::env::var(name).ok()) {
            Ok(settings) => {
                if let Settings::Enforce(config) = &settings {
                    events::with_memory(|memory| memory.configured(config));
                }
                self.settings = Some(settings);
            }
            Err(errors) => {
                self.settings = None;
                abi::log(Level::Error, "the configuration is invalid; every request is refused until it is mended:");
                for error in errors {
                    abi::log(Level::Error, &error.to_string());
                }
            }
        }
        // Kong's worker dies of a callout of a tick that fails; there, requests refresh keys before they must
        if matches!(self.settings, Some(Settings::Enforce(_)))
            && !self.ticks
            && host::of_root().is_some_and(|host| host.can().timers)
        {
            self.ticks = abi::set_tick_period(TICK_MILLIS).is_ok();
        }
    }

    /// What the configuration says.
    pub(super) fn settings(&self) -> Option<Settings> {
        self.settings.clone()
    }

    /// A request needs the configuration.
    pub(super) const fn is_used(&mut self, now: Now) {
        self.used_at = now.uptime;
    }

    pub(super) fn on_tick(&mut self, context: u32) {
        let used_at = self.used_at;
        self.step(context, |prefetch, env| prefetch.on_tick(used_at, env));
    }

    pub(super) fn on_callout_reply(&mut self, context: u32, token: u32, result: CalloutResult) {
        self.step(context, |prefetch, env| prefetch.on_reply(token, Answer::own(result), env));
    }

    fn step(&mut self, context: u32, action: impl FnOnce(&mut Prefetch, &mut Env<'_>) -> Option<Callout>) {
        let Some(Settings::Enforce(config)) = self.settings.clone() else { return };
        let prefetch = &mut self.prefetch;
        let Some(host) = host::of_root() else { return };
        let asked = with_env(host, &config, clock::now(), |env| action(prefetch, env));
        let Some(callout) = asked.flatten() else { return };
        match events::call(&callout, context, context) {
            Ok(token) => self.prefetch.on_sent(token),
            Err(fault) => {
                // the lease that the fetch holds ends by itself; the next tick tries again
                self.prefetch.on_not_sent();
                abi::log(Level::Warn, &fault.to_string());
            }
        }
    }
}

/// Runs one step of the core and writes what it has to say to the log; `None` if there is no time to run it at.
pub(super) fn with_env<T>(
    host: &dyn Host,
    config: &Rc<Config>,
    now: Option<Now>,
    action: impl FnOnce(&mut Env<'_>) -> T,
) -> Option<T> {
    let Some(now) = now else {
        abi::log(Level::Error, "the host's clock fails");
        return None;
    };
    let can = host.can();
    let (mut log, mut counts) = (Vec::new(), Vec::new());
    let result =
        events::with_memory(|memory| action(&mut Env { config, memory, now, can, log: &mut log, counts: &mut counts }));
    metrics::count(counts, Some(now));
    for line in log {
        abi::log(Level::Warn, &line);
    }
    result
}
