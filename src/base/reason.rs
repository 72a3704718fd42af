//! Why a request is refused: the one list of reasons that there are. What the caller reads, what is recorded and what is counted all
//! come from it.

/// Makes [`Reason`] from one row for each: status, error code of the Databricks API, counter.
macro_rules! reasons {
    ($($(#[$what:meta])* $reason:ident = $name:literal $status:literal $error_code:literal $counter:literal,)*) => {
        /// Why a request is refused (contract section 8).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$what])* $reason,)* }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$reason,)*];

            /// The word in answers and records.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$reason => $name,)* }
            }

            /// The HTTP status of the answer.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$reason => $status,)* }
            }

            /// The error code that makes the Databricks SDKs raise their own typed error.
            #[must_use]
            pub const fn error_code(self) -> &'static str {
                match self { $(Self::$reason => $error_code,)* }
            }

            /// The name of its counter, without the filter's.
            #[must_use]
            pub const fn counter(self) -> &'static str {
                match self { $(Self::$reason => $counter,)* }
            }
        }
    };
}

reasons! {
    /// No bearer token was sent.
    TokenMissing = "TOKEN_MISSING" 401 "UNAUTHENTICATED" "denied_token_missing",
    /// The token will never be accepted.
    TokenInvalid = "TOKEN_INVALID" 401 "UNAUTHENTICATED" "denied_token_invalid",
    /// The token was acceptable; a new one is needed.
    TokenExpired = "TOKEN_EXPIRED" 401 "UNAUTHENTICATED" "denied_token_expired",
    /// The token will be acceptable later.
    TokenNotYetValid = "TOKEN_NOT_YET_VALID" 401 "UNAUTHENTICATED" "denied_token_not_yet_valid",
    /// No client certificate was shown, and one is needed.
    CertificateRequired = "CERTIFICATE_REQUIRED" 401 "UNAUTHENTICATED" "denied_certificate_required",
    /// The token is bound to another client certificate than the one that was shown.
    CertificateMismatch = "CERTIFICATE_MISMATCH" 401 "UNAUTHENTICATED" "denied_certificate_mismatch",
    /// The caller sent more requests than it may.
    QuotaExceeded = "QUOTA_EXCEEDED" 429 "RESOURCE_EXHAUSTED" "denied_quota_exceeded",
    /// The token, or whoever it is of, was cut off ahead of its end.
    TokenRevoked = "TOKEN_REVOKED" 401 "UNAUTHENTICATED" "denied_token_revoked",
    /// The token does not list the caller's groups, because they are too many.
    GroupsOverage = "GROUPS_OVERAGE" 403 "PERMISSION_DENIED" "denied_groups_overage",
    /// No role is for the caller, or not the one asked for.
    NoRole = "NO_ROLE" 403 "PERMISSION_DENIED" "denied_no_role",
    /// No rule of the caller's roles allows it.
    NoRule = "NO_RULE" 403 "PERMISSION_DENIED" "denied_no_rule",
    /// A deny rule matches.
    RuleDenied = "RULE_DENIED" 403 "PERMISSION_DENIED" "denied_rule_denied",
    /// The agent that acts for the caller may not do it.
    AgentLimit = "AGENT_LIMIT" 403 "PERMISSION_DENIED" "denied_agent_limit",
    /// The caller's roles are not granted at this time.
    GrantInactive = "GRANT_INACTIVE" 403 "PERMISSION_DENIED" "denied_grant_inactive",
    /// The catalogue does not know the operation, and no rule names its path.
    OperationUnknown = "OPERATION_UNKNOWN" 403 "PERMISSION_DENIED" "denied_operation_unknown",
    /// The operation is sensitive, and no rule names it.
    OperationSensitive = "OPERATION_SENSITIVE" 403 "PERMISSION_DENIED" "denied_operation_sensitive",
    /// The request could be read in two ways.
    RequestAmbiguous = "REQUEST_AMBIGUOUS" 400 "BAD_REQUEST" "denied_request_ambiguous",
    /// A rule needs the body, which cannot be read.
    BodyUnreadable = "BODY_UNREADABLE" 400 "BAD_REQUEST" "denied_body_unreadable",
    /// A rule needs the body, which is longer than the gateway reads.
    BodyTooLarge = "BODY_TOO_LARGE" 413 "REQUEST_TOO_LARGE" "denied_body_too_large",
    /// The gateway has nothing at that path of its own.
    NotFound = "NOT_FOUND" 404 "NOT_FOUND" "denied_not_found",
    /// Databricks refused to exchange the token.
    ExchangeRefused = "EXCHANGE_REFUSED" 403 "PERMISSION_DENIED" "denied_exchange_refused",
    /// The identity provider's keys cannot be had.
    KeysUnavailable = "KEYS_UNAVAILABLE" 503 "TEMPORARILY_UNAVAILABLE" "denied_keys_unavailable",
    /// It is not known who is cut off: the feed was never read, or not for too long.
    RevocationStale = "REVOCATION_STALE" 503 "TEMPORARILY_UNAVAILABLE" "denied_revocation_stale",
    /// The identity provider does not say whether a token is in force.
    IntrospectionUnavailable = "INTROSPECTION_UNAVAILABLE" 503 "TEMPORARILY_UNAVAILABLE" "denied_introspection_unavailable",
    /// A Databricks token, or an answer of the workspace that a rule needs, cannot be had.
    ExchangeUnavailable = "EXCHANGE_UNAVAILABLE" 503 "TEMPORARILY_UNAVAILABLE" "denied_exchange_unavailable",
    /// A secret that is read for each request is not there.
    SecretUnavailable = "SECRET_UNAVAILABLE" 503 "TEMPORARILY_UNAVAILABLE" "denied_secret_unavailable",
    /// The gateway's token endpoint was asked for a grant that it does not know; the answer has OAuth's form.
    GrantRefused = "GRANT_REFUSED" 400 "BAD_REQUEST" "denied_grant_refused",
    /// The gateway's configuration cannot be used.
    InvalidConfiguration = "INVALID_CONFIGURATION" 500 "INTERNAL_ERROR" "denied_invalid_configuration",
    /// The gateway itself failed.
    Internal = "INTERNAL" 500 "INTERNAL_ERROR" "denied_internal",
    /// No entry before a guard allowed the request.
    GuardRefused = "GUARD_REFUSED" 500 "INTERNAL_ERROR" "denied_guard_refused",
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reasons_counter_is_its_name_in_lower_case() {
        for reason in Reason::ALL {
            assert_eq!(reason.counter(), format!("denied_{}", reason.name().to_ascii_lowercase()));
        }
    }

    #[test]
    fn no_two_reasons_have_one_name() {
        let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }

    #[test]
    fn every_reason_is_a_refusal() {
        for reason in Reason::ALL {
            assert!(matches!(reason.status(), 400 | 401 | 403 | 404 | 413 | 429 | 500 | 503), "{reason}");
        }
    }
}
