//! What is counted.

/// A counter. All are known beforehand: hosts keep each name for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Requests that went on, and tokens handed back at `/oidc/v1/token`.
    RequestsAllowed,
    /// Requests refused with 400, 403, 404 or 413.
    RequestsDenied,
    /// Requests that went on although policy says no.
    RequestsWouldDeny,
    /// Requests refused with 401.
    RequestsUnauthenticated,
    /// Requests refused with 500 or 503.
    RequestsFailed,
    /// Requests refused for this reason, whatever the status.
    Refused(&'static str),
    /// Key sets that were fetched.
    KeysFetchOk,
    /// Fetches of keys that ended without.
    KeysFetchFailed,
    /// Databricks tokens that were obtained.
    ExchangeOk,
    /// Token requests that Databricks refused.
    ExchangeRefused,
    /// Token requests that failed, each try.
    ExchangeFailed,
    /// Databricks tokens that were at hand.
    TokenCacheHit,
    /// Databricks tokens that were not.
    TokenCacheMiss,
    /// Databricks tokens that were replaced ahead of their end.
    TokenCacheRenewed,
    /// Tokens whose signature was known to be good.
    VerdictCacheHit,
    /// Tokens of which nothing was known.
    VerdictCacheMiss,
}

use Metric::{
    ExchangeFailed, ExchangeOk, ExchangeRefused, KeysFetchFailed, KeysFetchOk, Refused, RequestsAllowed,
    RequestsDenied, RequestsFailed, RequestsUnauthenticated, RequestsWouldDeny, TokenCacheHit, TokenCacheMiss,
    TokenCacheRenewed, VerdictCacheHit, VerdictCacheMiss,
};

/// The reason for which the gateway's own token endpoint refuses what is no token exchange; its answer has OAuth's form and no reason.
pub(super) const GRANT_REFUSED: &str = "GRANT_REFUSED";

/// Every reason code of a refusal.
pub(super) const REASONS: [&str; 24] = [
    "TOKEN_MISSING",
    "TOKEN_INVALID",
    "TOKEN_EXPIRED",
    "TOKEN_NOT_YET_VALID",
    "GROUPS_OVERAGE",
    "NO_ROLE",
    "NO_RULE",
    "RULE_DENIED",
    "AGENT_LIMIT",
    "GRANT_INACTIVE",
    "OPERATION_UNKNOWN",
    "OPERATION_SENSITIVE",
    "REQUEST_AMBIGUOUS",
    "BODY_UNREADABLE",
    "BODY_TOO_LARGE",
    "NOT_FOUND",
    "EXCHANGE_REFUSED",
    "KEYS_UNAVAILABLE",
    "EXCHANGE_UNAVAILABLE",
    "SECRET_UNAVAILABLE",
    GRANT_REFUSED,
    "INVALID_CONFIGURATION",
    "INTERNAL",
    "GUARD_REFUSED",
];

impl Metric {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let plain = [
            RequestsAllowed,
            RequestsDenied,
            RequestsWouldDeny,
            RequestsUnauthenticated,
            RequestsFailed,
            KeysFetchOk,
            KeysFetchFailed,
            ExchangeOk,
            ExchangeRefused,
            ExchangeFailed,
            TokenCacheHit,
            TokenCacheMiss,
            TokenCacheRenewed,
            VerdictCacheHit,
            VerdictCacheMiss,
        ];
        plain.into_iter().chain(REASONS.into_iter().map(Refused))
    }

    /// The counters of a refusal.
    #[must_use]
    pub const fn of_refusal(status: u16, reason: &'static str) -> [Self; 2] {
        let class = match status {
            401 => RequestsUnauthenticated,
            500.. => RequestsFailed,
            _ => RequestsDenied,
        };
        [class, Refused(reason)]
    }

    /// Its name, without the filter's.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            RequestsAllowed => "requests_allowed",
            RequestsDenied => "requests_denied",
            RequestsWouldDeny => "requests_would_deny",
            RequestsUnauthenticated => "requests_unauthenticated",
            RequestsFailed => "requests_failed",
            Refused(reason) => return format!("denied_{}", reason.to_ascii_lowercase()),
            KeysFetchOk => "keys_fetch_ok",
            KeysFetchFailed => "keys_fetch_failed",
            ExchangeOk => "exchange_ok",
            ExchangeRefused => "exchange_refused",
            ExchangeFailed => "exchange_failed",
            TokenCacheHit => "token_cache_hit",
            TokenCacheMiss => "token_cache_miss",
            TokenCacheRenewed => "token_cache_renewed",
            VerdictCacheHit => "verdict_cache_hit",
            VerdictCacheMiss => "verdict_cache_miss",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_counter_has_a_name_of_its_own_that_hosts_take() {
        let names: Vec<_> = Metric::all().map(Metric::name).collect();
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        for name in names {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            // Kong: `pw:databricks_kong:<name>` in at most 256 bytes
            assert!(name.len() < 64 && !name.ends_with('_'), "{name}");
        }
    }

    #[test]
    fn a_refusal_counts_by_its_class_and_by_its_reason() {
        let names = |status, reason| Metric::of_refusal(status, reason).map(Metric::name);
        assert_eq!(names(401, "TOKEN_EXPIRED"), ["requests_unauthenticated", "denied_token_expired"]);
        assert_eq!(names(403, "NO_RULE"), ["requests_denied", "denied_no_rule"]);
        assert_eq!(names(400, "REQUEST_AMBIGUOUS"), ["requests_denied", "denied_request_ambiguous"]);
        assert_eq!(names(503, "KEYS_UNAVAILABLE"), ["requests_failed", "denied_keys_unavailable"]);
        assert_eq!(names(500, "INTERNAL"), ["requests_failed", "denied_internal"]);
    }
}
