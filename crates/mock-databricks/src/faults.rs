//! Faults that a test orders, and which of them meets a request. How they act is in http1/.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

pub(crate) const TOKEN_PATH: &str = "/oidc/v1/token";

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum On {
    /// The token endpoint.
    Token,
    /// REST and SQL.
    Api,
    /// These, and the discovery documents.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Another status, without doing the work.
    Status,
    /// 429 with Retry-After.
    Throttle,
    /// 200 with the body of the order.
    Body,
    /// 200 with a body that is not JSON.
    Garbage,
    /// The ordinary answer, but late. Goes together with one other fault.
    Delay,
    /// Closes the connection without a byte.
    Close,
    /// The ordinary answer, but with a Content-Length above what is sent.
    Truncate,
    /// The ordinary answer, neither with Content-Length nor chunked.
    EofBody,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) on: On,
    pub(crate) kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delay_ms: Option<u64>,
    /// How many requests it still meets; without it, all until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u64>,
    /// It meets only each nth of the requests that it is for; without it, each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<u64>,
    #[serde(skip)]
    passed: u64,
}

impl Fault {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Err("status is not between 200 and 599".into());
        }
        if self.kind == Kind::Status && self.status.is_none() {
            return Err("kind status needs a status".into());
        }
        if (self.kind == Kind::Delay) != self.delay_ms.is_some() {
            return Err("delay_ms goes with kind delay, and only with it".into());
        }
        if self.kind == Kind::Body && self.body.is_none() {
            return Err("kind body needs a body".into());
        }
        if self.times == Some(0) {
            return Err("times is 0".into());
        }
        if self.every == Some(0) {
            return Err("every is 0".into());
        }
        let sendable = |(name, value): (&String, &String)| {
            HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok()
        };
        if self.headers.iter().all(sendable) { Ok(()) } else { Err("a header cannot be sent".into()) }
    }

    fn meets(&self, path: &str) -> bool {
        match self.on {
            On::All => true,
            On::Token => path == TOKEN_PATH || path.ends_with("/oauth2/v2.0/token"),
            On::Api => path.starts_with("/api/") || path.starts_with("/sql/"),
        }
    }
}

/// What happens to one request: at most one delay, then at most one other fault.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) delay_ms: Option<u64>,
    pub(crate) fault: Option<Fault>,
}

#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.list().push(fault);
    }

    pub(crate) fn clear(&self) {
        self.list().clear();
    }

    pub(crate) fn left(&self) -> Vec<Fault> {
        self.list().clone()
    }

    /// Takes what meets a request for this path, the earliest ordered first, and counts it down.
    pub(crate) fn take(&self, path: &str) -> Plan {
        let mut list = self.list();
        let mut plan = Plan::default();
        for fault in list.iter_mut().filter(|fault| fault.meets(path)) {
            let is_delay = fault.kind == Kind::Delay;
            if if is_delay { plan.delay_ms.is_some() } else { plan.fault.is_some() } {
                continue;
            }
            fault.passed = fault.passed.saturating_add(1);
            if fault.every.is_some_and(|every| !fault.passed.is_multiple_of(every)) {
                continue;
            }
            fault.times = fault.times.map(|times| times.saturating_sub(1));
            if is_delay {
                plan.delay_ms = fault.delay_ms;
            } else {
                plan.fault = Some(fault.clone());
            }
        }
        list.retain(|fault| fault.times != Some(0));
        plan
    }

    fn list(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
