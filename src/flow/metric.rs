//! What is counted.

use crate::base::Reason;

/// A counter. All are known beforehand: hosts keep each name for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Requests that went on, and tokens handed back at `/oidc/v1/token`.
    RequestsAllowed,
    /// Requests refused with 400, 403, 404, 413 or 429.
    RequestsDenied,
    /// Requests that went on although policy says no.
    RequestsWouldDeny,
    /// Requests refused with 401.
    RequestsUnauthenticated,
    /// Requests refused with 500 or 503.
    RequestsFailed,
    /// Requests refused for this reason, whatever the status.
    Refused(Reason),
    /// Key sets that were fetched.
    KeysFetchOk,
    /// Fetches of keys that ended without.
    KeysFetchFailed,
    /// Tokens of which their provider said that they are in force.
    IntrospectionActive,
    /// Tokens of which a provider said that they are not.
    IntrospectionInactive,
    /// Questions for tokens that ended without an answer.
    IntrospectionFailed,
    /// Tokens that a provider gave to somebody who signs in.
    LoginOk,
    /// Requests for such tokens that a provider refused.
    LoginRefused,
    /// Requests for such tokens, or for where to sign in, that ended without an answer.
    LoginFailed,
    /// Feeds of revoked identities that were read, or found to be as they were.
    RevocationFetchOk,
    /// Readings of them that ended without.
    RevocationFetchFailed,
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
    ExchangeFailed, ExchangeOk, ExchangeRefused, IntrospectionActive, IntrospectionFailed, IntrospectionInactive,
    KeysFetchFailed, KeysFetchOk, LoginFailed, LoginOk, LoginRefused, Refused, RequestsAllowed, RequestsDenied,
    RequestsFailed, RequestsUnauthenticated, RequestsWouldDeny, RevocationFetchFailed, RevocationFetchOk,
    TokenCacheHit, TokenCacheMiss, TokenCacheRenewed, VerdictCacheHit, VerdictCacheMiss,
};

impl Metric {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        const PLAIN: [Metric; 23] = [
            RequestsAllowed,
            RequestsDenied,
            RequestsWouldDeny,
            RequestsUnauthenticated,
            RequestsFailed,
            KeysFetchOk,
            KeysFetchFailed,
            IntrospectionActive,
            IntrospectionInactive,
            IntrospectionFailed,
            LoginOk,
            LoginRefused,
            LoginFailed,
            RevocationFetchOk,
            RevocationFetchFailed,
            ExchangeOk,
            ExchangeRefused,
            ExchangeFailed,
            TokenCacheHit,
            TokenCacheMiss,
            TokenCacheRenewed,
            VerdictCacheHit,
            VerdictCacheMiss,
        ];
        PLAIN.into_iter().chain(Reason::ALL.iter().copied().map(Refused))
    }

    /// The counters of a refusal.
    #[must_use]
    pub const fn of_refusal(reason: Reason) -> [Self; 2] {
        let class = match reason.status() {
            401 => RequestsUnauthenticated,
            500.. => RequestsFailed,
            _ => RequestsDenied,
        };
        [class, Refused(reason)]
    }

    /// Whether every request of a known caller counts it.
    #[must_use]
    pub const fn is_routine(self) -> bool {
        matches!(self, RequestsAllowed | TokenCacheHit | VerdictCacheHit)
    }

    /// Its name, without the filter's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RequestsAllowed => "requests_allowed",
            RequestsDenied => "requests_denied",
            RequestsWouldDeny => "requests_would_deny",
            RequestsUnauthenticated => "requests_unauthenticated",
            RequestsFailed => "requests_failed",
            Refused(reason) => reason.counter(),
            KeysFetchOk => "keys_fetch_ok",
            KeysFetchFailed => "keys_fetch_failed",
            IntrospectionActive => "introspection_active",
            IntrospectionInactive => "introspection_inactive",
            IntrospectionFailed => "introspection_failed",
            LoginOk => "login_ok",
            LoginRefused => "login_refused",
            LoginFailed => "login_failed",
            RevocationFetchOk => "revocation_fetch_ok",
            RevocationFetchFailed => "revocation_fetch_failed",
            ExchangeOk => "exchange_ok",
            ExchangeRefused => "exchange_refused",
            ExchangeFailed => "exchange_failed",
            TokenCacheHit => "token_cache_hit",
            TokenCacheMiss => "token_cache_miss",
            TokenCacheRenewed => "token_cache_renewed",
            VerdictCacheHit => "verdict_cache_hit",
            VerdictCacheMiss => "verdict_cache_miss",
        }
    }
}

impl Metric {
    /// The gauge that holds when this was counted last, in seconds since 1970: how old keys and feeds are, which no count tells. Hosts show
    /// the newest of all workers and providers.
    #[must_use]
    pub const fn timestamp(self) -> Option<&'static str> {
        match self {
            KeysFetchOk => Some("keys_fetch_timestamp_seconds"),
            RevocationFetchOk => Some("revocation_fetch_timestamp_seconds"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_metric_has_a_name_of_its_own_that_hosts_take() {
        let names: Vec<_> =
            Metric::all().map(Metric::name).chain(Metric::all().filter_map(Metric::timestamp)).collect();
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
        let names = |reason| Metric::of_refusal(reason).map(Metric::name);
        assert_eq!(names(Reason::TokenExpired), ["requests_unauthenticated", "denied_token_expired"]);
        assert_eq!(names(Reason::NoRule), ["requests_denied", "denied_no_rule"]);
        assert_eq!(names(Reason::RequestAmbiguous), ["requests_denied", "denied_request_ambiguous"]);
        assert_eq!(names(Reason::KeysUnavailable), ["requests_failed", "denied_keys_unavailable"]);
        assert_eq!(names(Reason::Internal), ["requests_failed", "denied_internal"]);
    }
}
