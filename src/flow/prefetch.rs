//! Keys ahead of need: what a timer does, so that requests need not wait for an identity provider.

use super::Env;
use super::callout::{Answer, Callout, CalloutResult};
use super::keys::{KeyFetch, KeyStep};
use super::source::Need;
use crate::base::Uptime;
use std::time::Duration;

/// Ticks of configurations that nobody uses any more go on for minutes (Kong); after this long without a request they fetch no more.
const IDLE: Duration = Duration::from_secs(900);

/// The fetches of one configuration's ticks. There is at most one under way.
#[derive(Debug, Default)]
pub struct Prefetch {
    under_way: Option<KeyFetch>,
    /// The host's name for the callout whose answer is awaited.
    sent: Option<u32>,
    started_at: Uptime,
}

impl Prefetch {
    /// What to send at this tick, if anything. `used_at` is when the configuration was made or last used.
    pub fn on_tick(&mut self, used_at: Uptime, env: &mut Env<'_>) -> Option<Callout> {
        let lost = env.now.uptime.since(self.started_at) > Duration::from_secs(60);
        if (self.under_way.is_some() && !lost) || env.now.uptime.since(used_at) > IDLE {
            return None;
        }
        self.on_not_sent();
        for provider in &env.config.providers {
            if !env.memory.keys.is_due(provider, env.now) {
                continue;
            }
            if let Ok((fetch, callout)) = KeyFetch::begin(provider, Need::Stale, env) {
                self.under_way = Some(fetch);
                self.started_at = env.now.uptime;
                return Some(callout);
            }
        }
        None
    }

    /// The host sent the callout that was asked for, and will answer it by this name.
    pub fn on_sent(&mut self, name: u32) {
        self.sent = Some(name);
    }

    /// What to send after the answer to the callout `name`, if anything. The answer to a fetch that was given up is not looked at:
    /// it may be another provider's.
    pub fn on_reply(&mut self, name: u32, result: CalloutResult, env: &mut Env<'_>) -> Option<Callout> {
        self.sent.take_if(|sent| *sent == name)?;
        match self.under_way.take()?.on(Answer::own(result), env) {
            KeyStep::Ask(fetch, callout) => {
                self.under_way = Some(fetch);
                self.started_at = env.now.uptime;
                Some(callout)
            }
            KeyStep::Done(_) => None,
        }
    }

    /// The host could not send the callout that was asked for.
    pub fn on_not_sent(&mut self) {
        (self.under_way, self.sent) = (None, None);
    }
}
