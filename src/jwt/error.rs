//! Why a token was refused.

use crate::base::Reason;

/// Why a token was refused.
///
/// Messages and [`TokenError::code`] name the rule, and at most a claim's name as the configuration or an RFC spells
/// it; never a byte of the token nor a claim's value, so both may be shown to whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token is longer than the limit; nothing of it was read.
    #[error("the token is too long")]
    TooLarge,
    /// Not a compact JWS with JSON objects in it (RFC 7515 7.1, RFC 7519 7.2).
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// `alg` is none that the provider's configuration allows, or none that this crate knows (RFC 8725 3.1).
    #[error("the token's algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// `crit` or `b64` in the header: an extension that must be understood and is not (RFC 7515 4.1.11, RFC 7797).
    #[error("the token's header asks for an extension")]
    CriticalHeader,
    /// The header's `typ` says that this is no access token (RFC 8725 3.11).
    #[error("the token's header has a type that is not allowed")]
    TypeNotAllowed,
    /// No known key of the provider has the token's `kid` and fits its algorithm. Refresh the keys and verify again.
    #[error("the token was signed with a key that is not known")]
    UnknownKey,
    /// The key that the token names did not make its signature.
    #[error("the token's signature is invalid")]
    SignatureInvalid,
    /// Token or keys have no `kid`, and none of the keys that fit made the signature. A key may be new: see
    /// [`TokenError::keys_may_be_stale`].
    #[error("the token's signature is invalid: no key verifies it")]
    NoKeyVerifies,
    /// `iss` is not the provider's.
    #[error("the token is from another issuer")]
    IssuerMismatch,
    /// `aud` has none of the provider's configured audiences.
    #[error("the token is for another audience")]
    AudienceMismatch,
    /// The claim that a rule needs is not there.
    #[error("claim `{0}` is missing")]
    ClaimMissing(String),
    /// The claim is there, but its JSON type or range is not what the claim is defined to have.
    #[error("claim `{0}` has a value of the wrong type")]
    ClaimType(String),
    /// A claim that the configuration requires is missing or has another value.
    #[error("claim `{0}` is not as required")]
    ClaimRequired(String),
    /// The payload says that it is no access token: an ID, refresh or logout token, a security event, the answer to an introspection.
    #[error("the token is of a kind that is not for access")]
    TokenUseNotAllowed,
    /// Somebody acts for the subject, and the token says that somebody else may (RFC 8693 4.4).
    #[error("the token's actor is not the one that it says may act")]
    ActorNotAllowed,
    /// `exp` is later after `iat` than the provider's longest lifetime.
    #[error("the token's lifetime is too long")]
    LifetimeTooLong,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
}

impl TokenError {
    /// Which of three answers this is: the token will never be accepted ([`TokenError::code`] says why), a new one is needed, or it will
    /// be acceptable later, because the clocks of issuer and gateway differ.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Expired => Reason::TokenExpired,
            Self::NotYetValid => Reason::TokenNotYetValid,
            _ => Reason::TokenInvalid,
        }
    }

    /// A stable word for metadata and logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed(_) => "malformed",
            Self::AlgorithmNotAllowed => "alg_not_allowed",
            Self::CriticalHeader => "critical_header",
            Self::TypeNotAllowed => "type_not_allowed",
            Self::UnknownKey => "key_unknown",
            Self::SignatureInvalid | Self::NoKeyVerifies => "signature_invalid",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::AudienceMismatch => "audience_mismatch",
            Self::ClaimMissing(_) => "claim_missing",
            Self::ClaimType(_) => "claim_type",
            Self::ClaimRequired(_) => "claim_required",
            Self::TokenUseNotAllowed => "token_use_not_allowed",
            Self::ActorNotAllowed => "actor_not_allowed",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
        }
    }

    /// The claim that the error is about, where there is one, as the configuration or an RFC spells it.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        match self {
            Self::ClaimMissing(name) | Self::ClaimType(name) | Self::ClaimRequired(name) => Some(name),
            _ => None,
        }
    }

    /// Whether newer keys might change the answer: fetch them (not more often than the contract allows) and verify once
    /// more.
    #[must_use]
    pub const fn keys_may_be_stale(&self) -> bool {
        matches!(self, Self::UnknownKey | Self::NoKeyVerifies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_has_reasons_of_its_own() {
        assert_eq!(TokenError::Expired.reason(), Reason::TokenExpired);
        assert_eq!(TokenError::NotYetValid.reason(), Reason::TokenNotYetValid);
        assert_eq!(TokenError::LifetimeTooLong.reason(), Reason::TokenInvalid);
        assert_eq!(TokenError::ClaimMissing("exp".to_owned()).reason(), Reason::TokenInvalid);
    }

    #[test]
    fn messages_are_lower_case_without_full_stop_and_codes_are_words() {
        let name = || "sub".to_owned();
        for error in [
            TokenError::TooLarge,
            TokenError::Malformed("not three parts"),
            TokenError::AlgorithmNotAllowed,
            TokenError::CriticalHeader,
            TokenError::TypeNotAllowed,
            TokenError::UnknownKey,
            TokenError::SignatureInvalid,
            TokenError::NoKeyVerifies,
            TokenError::IssuerMismatch,
            TokenError::AudienceMismatch,
            TokenError::ClaimMissing(name()),
            TokenError::ClaimType(name()),
            TokenError::ClaimRequired(name()),
            TokenError::TokenUseNotAllowed,
            TokenError::ActorNotAllowed,
            TokenError::LifetimeTooLong,
            TokenError::Expired,
            TokenError::NotYetValid,
        ] {
            let message = error.to_string();
            assert!(message.starts_with(char::is_lowercase) && !message.ends_with('.'), "{message}");
            assert!(error.code().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", error.code());
            assert_eq!(error.claim().is_some(), error.code().starts_with("claim_"), "{message}");
        }
    }

    #[test]
    fn newer_keys_help_only_where_no_key_was_named_and_found() {
        assert!(TokenError::UnknownKey.keys_may_be_stale() && TokenError::NoKeyVerifies.keys_may_be_stale());
        assert!(
            !TokenError::SignatureInvalid.keys_may_be_stale() && !TokenError::AlgorithmNotAllowed.keys_may_be_stale()
        );
    }
}
