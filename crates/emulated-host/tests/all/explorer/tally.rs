//! What schedules covered.

use std::collections::BTreeMap;
use std::fmt;

/// How often each thing happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(crate) fn count(&mut self, what: &str) {
        match self.0.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(what.to_owned(), 1)),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what.clone()).or_default() += count;
        }
    }

    pub(crate) fn missing<'w>(&self, wanted: &[&'w str]) -> Vec<&'w str> {
        wanted.iter().filter(|what| !self.0.contains_key(**what)).copied().collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, count)| writeln!(f, "{count:>10}  {what}"))
    }
}

/// What an explorer that is not blind meets.
pub(crate) const MET: &[&str] = &[
    "answer 200",
    "answer 400 REQUEST_AMBIGUOUS",
    "answer 401 TOKEN_EXPIRED",
    "answer 401 TOKEN_INVALID audience_mismatch",
    "answer 401 TOKEN_INVALID key_unknown",
    "answer 401 TOKEN_INVALID signature_invalid",
    "answer 401 TOKEN_INVALID token_use_not_allowed",
    "answer 401 TOKEN_NOT_YET_VALID",
    "answer 401 TOKEN_REVOKED",
    "answer 403 EXCHANGE_REFUSED",
    "answer 403 NO_ROLE",
    "answer 403 NO_RULE",
    "answer 403 RULE_DENIED",
    "answer 500 GUARD_REFUSED",
    "answer 500 INTERNAL",
    "answer 503 EXCHANGE_UNAVAILABLE",
    "answer 503 KEYS_UNAVAILABLE",
    "answer 503 REVOCATION_STALE",
    "callout discovery",
    "callout feed",
    "callout keys",
    "callout lookup",
    "callout of a tick",
    "callout that makes room for an answer",
    "callout token",
    "callout's time is over",
    "changed between decision and sending",
    "client leaves",
    "configuration changes",
    "configuration changes beneath a request",
    "expired between two events",
    "fault closed at once",
    "fault dns",
    "fault empty",
    "fault ends with the connection",
    "fault refused",
    "fault status",
    "fault timeout",
    "fault tls",
    "fault truncated",
    "fault unreadable",
    "forward admin",
    "forward egress",
    "forward engineer",
    "forward narrow",
    "forward native",
    "forward operator",
    "forward runner",
    "forward trial",
    "forward workload",
    "gone",
    "host 500",
    "host 503",
    "instance lost",
    "kong loses a callout",
    "let on by kong without a credential",
    "other plugins are done",
    "panic in CalloutReply",
    "panic in Create",
    "panic in Log",
    "panic in RequestBody",
    "panic in RequestHeaders",
    "panic in Send",
    "panic in Tick",
    "provider changes keys",
    "requests of two callers at once",
    "somebody is cut off, or let in again",
    "token ahead of need",
    "token used that was kept",
    "touched between decision and sending",
    "trailers of a request that waits",
    "trailers of one that went on",
    "trap in CalloutReply",
    "trap in Delete",
    "trap in Done",
    "trap in Log",
    "trap in RequestBody",
    "trap in RequestHeaders",
    "trap in ResponseHeaders",
    "trap in Tick",
    "two wait for one callout",
    "worker killed",
    "workspace says no to a token",
];
