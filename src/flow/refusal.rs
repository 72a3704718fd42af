//! Every way in which the gateway refuses a request, and the one table of what the caller then sees.

use super::request_id::RequestId;
use super::{Env, HeaderProblem};
use crate::base::{Reason, Url};
use crate::databricks::Ambiguity;
use crate::exchange::SecretUnavailable;
use crate::jwt::TokenError;
use crate::policy::Denial;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// An answer of the gateway itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Why it refuses; nothing if it does not.
    pub reason: Option<Reason>,
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // the body may hold the caller's token
        f.debug_struct("Reply").field("status", &self.status).field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![
            ("content-type", "application/json; charset=utf-8".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        Self { status, reason: None, headers, body: body.to_string().into_bytes() }
    }

    /// To another address, once.
    pub(super) fn redirect(address: String) -> Self {
        let headers = vec![("location", address), ("cache-control", "no-store".to_owned())];
        Self { status: 302, reason: None, headers, body: Vec::new() }
    }

    /// A document that anybody may have, and keep for `max_age` seconds.
    pub(super) fn public(body: &Value, max_age: u32) -> Self {
        let mut reply = Self::json(200, body);
        reply.headers.retain(|(name, _)| *name != "cache-control");
        reply.headers.push(("cache-control", format!("public, max-age={max_age}")));
        reply
    }
}

/// Why a request goes no further. Grouped by who can mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    // the caller
    #[error(
        "no bearer token was sent; sign in with your identity provider and send its token as `Authorization: Bearer`"
    )]
    TokenMissing,
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("this token is only taken with a TLS client certificate, and none was shown that can be read")]
    CertificateRequired,
    #[error("the token is bound to another client certificate than the one that was shown")]
    CertificateMismatch,
    #[error("the quota of requests is used up; send the request again once the time in Retry-After has passed")]
    QuotaExceeded { per: &'static str, retry_after: Duration },
    #[error("the caller was cut off; sign in again, or ask whoever administers identities")]
    Revoked,
    #[error("the identity provider says that the token is not in force; sign in again")]
    Inactive,
    #[error("{0}")]
    Ambiguous(String),
    #[error("the request's body cannot be read")]
    BodyUnreadable,
    #[error("the request has no body, and the gateway learnt of that too late; send it with `Content-Length: 0`")]
    BodyMissing,
    #[error("the request's body is longer than the gateway reads")]
    BodyTooLarge,
    #[error("there is nothing at this address of the gateway")]
    NotFound,
    // whoever grants permissions
    #[error("{0}")]
    Denied(#[from] Denial),
    #[error("databricks does not exchange this caller's token{}", code.as_ref().map_or_else(String::new, |code| format!(": `{code}`")))]
    ExchangeRefused { code: Option<String> },
    // another server
    #[error("the identity provider's keys are not available; send the request again")]
    KeysUnavailable { retry_after: Duration },
    #[error("the identity provider does not say whether the token is in force; send the request again")]
    IntrospectionUnavailable { retry_after: Duration },
    #[error("it is not known at the moment who is cut off; send the request again")]
    RevocationStale { retry_after: Duration },
    #[error("the identity provider signs nobody in at the moment; sign in again")]
    LoginUnavailable { retry_after: Duration },
    #[error("databricks gives out no token at the moment; send the request again")]
    ExchangeUnavailable { retry_after: Duration },
    #[error("databricks does not say which job the run belongs to; send the request again")]
    LookupUnavailable { retry_after: Duration },
    #[error("the gateway's rules changed while the request waited; send it again")]
    Superseded,
    #[error(
        "databricks describes the run at more length than the gateway reads, so its job cannot be told; ask for a rule that needs no lookup"
    )]
    LookupTooLong,
    #[error("{0}")]
    Secret(#[from] SecretUnavailable),
    // whoever runs the gateway
    #[error("the gateway's configuration is invalid; its log says why")]
    InvalidConfiguration,
    #[error("no entry of the gateway before this guard allowed the request")]
    Guard,
    #[error("the gateway failed: {0}")]
    Internal(&'static str),
}

impl From<Ambiguity> for Refusal {
    fn from(ambiguity: Ambiguity) -> Self {
        Self::Ambiguous(ambiguity.to_string())
    }
}

impl From<HeaderProblem> for Refusal {
    fn from(problem: HeaderProblem) -> Self {
        Self::Ambiguous(problem.to_string())
    }
}

impl Refusal {
    const fn reason(&self) -> Reason {
        match self {
            Self::TokenMissing => Reason::TokenMissing,
            Self::Token(error) => error.reason(),
            Self::CertificateRequired => Reason::CertificateRequired,
            Self::CertificateMismatch => Reason::CertificateMismatch,
            Self::QuotaExceeded { .. } => Reason::QuotaExceeded,
            Self::Revoked | Self::Inactive => Reason::TokenRevoked,
            Self::IntrospectionUnavailable { .. } => Reason::IntrospectionUnavailable,
            Self::Ambiguous(_) => Reason::RequestAmbiguous,
            Self::BodyUnreadable | Self::BodyMissing => Reason::BodyUnreadable,
            Self::BodyTooLarge => Reason::BodyTooLarge,
            Self::NotFound => Reason::NotFound,
            Self::Denied(denial) => denial.reason(),
            Self::ExchangeRefused { .. } => Reason::ExchangeRefused,
            Self::KeysUnavailable { .. } => Reason::KeysUnavailable,
            Self::RevocationStale { .. } => Reason::RevocationStale,
            Self::ExchangeUnavailable { .. }
            | Self::LoginUnavailable { .. }
            | Self::LookupUnavailable { .. }
            | Self::Superseded => Reason::ExchangeUnavailable,
            Self::LookupTooLong => Reason::NoRule,
            Self::Secret(_) => Reason::SecretUnavailable,
            Self::InvalidConfiguration => Reason::InvalidConfiguration,
            Self::Guard => Reason::GuardRefused,
            Self::Internal(_) => Reason::Internal,
        }
    }

    fn metadata(&self) -> Map<String, Value> {
        let mut metadata = Map::new();
        let mut add = |key: &str, value: &str| metadata.insert(key.to_owned(), Value::from(value));
        match self {
            Self::Token(error) if error.reason() == Reason::TokenInvalid => {
                add("code", error.code());
                if let Some(claim) = error.claim() {
                    add(if error.code() == "claim_required" { "claim_required" } else { "claim" }, claim);
                }
            }
            Self::Denied(denial) => {
                let (operation, role, rule) = denial.subject();
                let operation = operation.map(crate::databricks::Operation::name);
                let texts = [role, rule].map(|text| text.map(|text| &**text));
                for (key, value) in ["operation", "role", "rule"].into_iter().zip([operation].into_iter().chain(texts))
                {
                    value.map(|value| add(key, value));
                }
            }
            Self::ExchangeRefused { code: Some(code) } => {
                add("error", code);
            }
            Self::QuotaExceeded { per, .. } => {
                add("per", per);
            }
            _ => {}
        }
        metadata
    }

    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::KeysUnavailable { retry_after }
            | Self::IntrospectionUnavailable { retry_after }
            | Self::RevocationStale { retry_after }
            | Self::ExchangeUnavailable { retry_after }
            | Self::LoginUnavailable { retry_after }
            | Self::LookupUnavailable { retry_after }
            | Self::QuotaExceeded { retry_after, .. } => Some(*retry_after),
            Self::Superseded => Some(Duration::from_secs(1)),
            Self::Secret(_) => Some(Duration::from_secs(5)),
            _ => None,
        }
    }

    pub(super) fn reply(&self, id: &RequestId, env: &mut Env<'_>) -> Reply {
        if let Self::Internal(what) = self {
            env.log.push(format!("bug: {what}"));
        }
        self.rendered(id, env.config.workspace.public_url.as_ref())
    }

    fn rendered(&self, id: &RequestId, public_url: Option<&Url>) -> Reply {
        let reason = self.reason();
        let message = self.to_string();
        let body = json!({
            "error_code": reason.error_code(),
            "message": message,
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": reason.name(),
                    "domain": "databricks-kong",
                    "metadata": self.metadata(),
                },
                { "@type": "type.googleapis.com/google.rpc.RequestInfo", "request_id": id.to_string() },
            ],
        });
        let mut reply = Reply { reason: Some(reason), ..Reply::json(reason.status(), &body) };
        let line = header_text(&message);
        reply.headers.extend([
            ("x-databricks-reason-phrase", line.clone()),
            ("x-thriftserver-error-message", line),
            ("x-request-id", id.to_string()),
        ]);
        if let Some(wait) = self.retry_after() {
            // whole seconds, rounded up: an early try would be refused again
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            reply.headers.push(("retry-after", seconds.to_string()));
        }
        if reason.status() == 401 {
            reply.headers.push(("www-authenticate", self.challenge(public_url)));
        }
        reply
    }

    /// RFC 6750 section 3, with the metadata of RFC 9728 section 5.1.
    fn challenge(&self, public_url: Option<&Url>) -> String {
        let mut challenge = "Bearer realm=\"databricks-kong\"".to_owned();
        if !matches!(self, Self::TokenMissing) {
            challenge.push_str(", error=\"invalid_token\", error_description=\"");
            challenge.push_str(&header_text(&self.to_string()).replace(['"', '\\'], "'"));
            challenge.push('"');
        }
        if let Some(url) = public_url {
            challenge.push_str(&format!(", resource_metadata=\"{}/.well-known/oauth-protected-resource\"", url.base()));
        }
        challenge
    }
}

/// Text that can stand in a header.
fn header_text(text: &str) -> String {
    text.chars().map(|character| if matches!(character, ' '..='~') { character } else { '?' }).take(512).collect()
}

/// The answer to every request while the configuration cannot be used.
#[must_use]
pub fn invalid_configuration(id: &RequestId) -> Reply {
    Refusal::InvalidConfiguration.rendered(id, None)
}

/// The answer of a guard entry to a request that no entry before it allowed.
#[must_use]
pub fn guard_refused(id: &RequestId) -> Reply {
    Refusal::Guard.rendered(id, None)
}

/// The answer to a request of which `what` (a word or two) is no longer as it was when it was decided on.
#[must_use]
pub fn changed_after_decision(what: &str, id: &RequestId) -> Reply {
    let message = format!("the request's {what} was changed by another plugin of the gateway after it was decided on");
    Refusal::Ambiguous(message).rendered(id, None)
}

/// The answer to a request that was allowed as one without a body, and has one.
#[must_use]
pub fn unannounced_body(id: &RequestId) -> Reply {
    Refusal::Ambiguous("the request has a body that its Content-Length does not announce".to_owned()).rendered(id, None)
}

/// The answer to a request that was held until its body is there, on a host that does not say in time that there is none.
#[must_use]
pub fn missing_body(id: &RequestId) -> Reply {
    Refusal::BodyMissing.rendered(id, None)
}

/// The answer where the gateway itself failed.
#[must_use]
pub fn internal_error(what: &'static str, id: &RequestId) -> Reply {
    Refusal::Internal(what).rendered(id, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::SigningKeyError;
    use std::collections::BTreeSet;

    fn rendered(refusal: &Refusal) -> (Reply, Value) {
        let url = Url::parse("https://gw.example.com/prod").unwrap();
        let reply = refusal.rendered(&RequestId::new("r-1").unwrap(), Some(&url));
        let body = serde_json::from_slice(&reply.body).unwrap();
        (reply, body)
    }

    fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
        reply.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_refusal_is_shaped_like_databricks_own_errors() {
        let (reply, body) = rendered(&Refusal::Denied(Denial::NoRole));
        assert_eq!((reply.status, reply.reason), (403, Some(Reason::NoRole)));
        assert_eq!(body["error_code"], "PERMISSION_DENIED");
        assert_eq!(body["details"][0]["reason"], "NO_ROLE");
        assert_eq!(body["details"][0]["domain"], "databricks-kong");
        assert_eq!(body["details"][1]["request_id"], "r-1");
        assert_eq!(header(&reply, "content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(header(&reply, "x-request-id"), Some("r-1"));
        assert_eq!(header(&reply, "x-thriftserver-error-message"), body["message"].as_str());
        assert_eq!(header(&reply, "www-authenticate"), None);
    }

    #[test]
    fn every_401_has_one_challenge_and_only_a_bad_token_is_called_invalid() {
        let (reply, _) = rendered(&Refusal::TokenMissing);
        let metadata = "resource_metadata=\"https://gw.example.com/prod/.well-known/oauth-protected-resource\"";
        assert_eq!(header(&reply, "www-authenticate"), Some(&*format!("Bearer realm=\"databricks-kong\", {metadata}")));
        let (reply, body) = rendered(&Refusal::Token(TokenError::Expired));
        assert_eq!(body["details"][0]["reason"], "TOKEN_EXPIRED");
        let challenges: Vec<_> = reply.headers.iter().filter(|(name, _)| *name == "www-authenticate").collect();
        assert_eq!(challenges.len(), 1);
        assert!(challenges[0].1.contains("error=\"invalid_token\""), "{challenges:?}");
    }

    #[test]
    fn an_invalid_token_carries_the_finer_code() {
        let (_, body) = rendered(&Refusal::Token(TokenError::SignatureInvalid));
        assert_eq!(body["details"][0]["metadata"], json!({"code": "signature_invalid"}));
        let (_, body) = rendered(&Refusal::Token(TokenError::ClaimRequired("email_verified".into())));
        let expected = json!({"code": "claim_required", "claim_required": "email_verified"});
        assert_eq!(body["details"][0]["metadata"], expected);
    }

    #[test]
    fn every_429_and_503_says_in_whole_seconds_when_to_come_back() {
        for (wait, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (4200, "5")] {
            let retry_after = Duration::from_millis(wait);
            for refusal in [
                Refusal::KeysUnavailable { retry_after },
                Refusal::ExchangeUnavailable { retry_after },
                Refusal::QuotaExceeded { per: "role", retry_after },
            ] {
                assert_eq!(header(&rendered(&refusal).0, "retry-after"), Some(seconds), "{wait}");
            }
        }
    }

    #[test]
    fn a_message_with_odd_characters_still_fits_into_headers() {
        let (reply, _) = rendered(&Refusal::Token(TokenError::ClaimRequired("x\r\nSet-Cookie: a=\"b\" é".into())));
        for (name, value) in &reply.headers {
            assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{name}: {value}");
        }
        assert_eq!(header(&reply, "www-authenticate").unwrap().matches('"').count(), 8);
    }

    /// A refusal for each reason, and where a message depends on more than names, for each message.
    fn one_of_each() -> Vec<Refusal> {
        let retry_after = Duration::ZERO;
        let find = |path| crate::databricks::Catalogue::find("POST", path);
        let operation = find("/api/2.2/jobs/run-now");
        let sensitive = find("/api/2.0/token/create").unwrap();
        let (role, rule): (std::rc::Rc<str>, std::rc::Rc<str>) = ("job-runner".into(), "/roles/0/deny/0".into());
        let denials = [
            Denial::GroupsOverage,
            Denial::NoRole,
            Denial::GrantInactive { role: role.clone() },
            Denial::RuleDenied { role, rule, operation },
            Denial::OperationUnknown,
            Denial::OperationSensitive { operation: sensitive },
            Denial::NoRule { operation },
            Denial::AgentLimit { agent: "copilot".into(), operation },
        ];
        let mut all = vec![
            Refusal::TokenMissing,
            Refusal::Token(TokenError::AudienceMismatch),
            Refusal::Token(TokenError::Expired),
            Refusal::Token(TokenError::NotYetValid),
            Refusal::CertificateRequired,
            Refusal::CertificateMismatch,
            Refusal::QuotaExceeded { per: "subject", retry_after },
            Refusal::Revoked,
            Refusal::Inactive,
            Refusal::Ambiguous(Ambiguity::PathCharacter.to_string()),
            Refusal::BodyUnreadable,
            Refusal::BodyMissing,
            Refusal::BodyTooLarge,
            Refusal::NotFound,
            Refusal::ExchangeRefused { code: Some("invalid_grant".to_owned()) },
            Refusal::KeysUnavailable { retry_after },
            Refusal::IntrospectionUnavailable { retry_after },
            Refusal::RevocationStale { retry_after },
            Refusal::ExchangeUnavailable { retry_after },
            Refusal::LoginUnavailable { retry_after },
            Refusal::LookupUnavailable { retry_after },
            Refusal::Secret(SecretUnavailable::Absent { name: "etl_client_secret".to_owned() }),
            Refusal::Secret(SecretUnavailable::NoKey {
                name: "gateway_key".to_owned(),
                fault: SigningKeyError::NotPem,
            }),
            Refusal::InvalidConfiguration,
            Refusal::Guard,
            Refusal::Internal("an event arrived that nothing waited for"),
        ];
        all.extend(denials.map(Refusal::Denied));
        all
    }

    #[test]
    fn every_reason_has_its_refusal() {
        let refused = one_of_each().iter().map(Refusal::reason).chain([Reason::GrantRefused]).collect::<BTreeSet<_>>();
        assert_eq!(refused, Reason::ALL.iter().copied().collect());
    }

    /// What users read about reasons.
    const ERRORS: &str = include_str!("../../docs/errors.md");

    #[test]
    fn the_document_has_exactly_the_reasons_that_there_are() {
        let headings = ERRORS.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
        let described: BTreeSet<_> = headings.collect();
        assert_eq!(described, Reason::ALL.iter().map(|reason| reason.name()).collect());
    }

    #[test]
    fn the_document_has_each_reasons_status_and_message() {
        for refusal in one_of_each() {
            let (status, reason) = (refusal.reason().status(), refusal.reason());
            let (_, section) = ERRORS
                .split_once(&format!("### `{reason}`\n\n{status}\n"))
                .unwrap_or_else(|| panic!("{status} {reason}"));
            let section = section.split("\n#").next().unwrap();
            let message = refusal.to_string();
            let quoted = section.contains(&format!("\n> {message}\n")) || section.contains(&format!("`{message}`"));
            assert!(quoted, "{reason}: {message}");
        }
    }

    #[test]
    fn the_document_has_what_the_token_endpoint_says_to_other_grants() {
        let with_login = crate::flow::own_endpoints::unsupported_grant(true);
        let body: Value = serde_json::from_slice(&with_login.body).unwrap();
        assert!(ERRORS.contains(body["error_description"].as_str().unwrap()));
        let reply = crate::flow::own_endpoints::unsupported_grant(false);
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let expected = format!(
            "### `{}`\n\n{}\n\n> {}\n",
            Reason::GrantRefused,
            reply.status,
            body["error_description"].as_str().unwrap()
        );
        assert!(ERRORS.contains(&expected), "{expected}");
    }

    #[test]
    fn the_document_has_each_code_of_an_invalid_token() {
        let name = || "sub".to_owned();
        for error in [
            TokenError::TooLarge,
            TokenError::Malformed("not three parts"),
            TokenError::AlgorithmNotAllowed,
            TokenError::CriticalHeader,
            TokenError::TypeNotAllowed,
            TokenError::UnknownKey,
            TokenError::SignatureInvalid,
            TokenError::IssuerMismatch,
            TokenError::AudienceMismatch,
            TokenError::ClaimMissing(name()),
            TokenError::ClaimType("exp".to_owned()),
            TokenError::ClaimRequired("email_verified".to_owned()),
            TokenError::TokenUseNotAllowed,
            TokenError::ActorNotAllowed,
            TokenError::LifetimeTooLong,
        ] {
            assert!(ERRORS.contains(&format!("| `{}` | {error} |", error.code())), "{}: {error}", error.code());
        }
    }

    #[test]
    fn the_document_has_each_message_of_an_ambiguous_request() {
        use crate::databricks::IdFault;
        let targets = [
            Ambiguity::NotAPath,
            Ambiguity::RawCharacter,
            Ambiguity::Encoding,
            Ambiguity::PathCharacter,
            Ambiguity::NotCanonical,
            Ambiguity::Segment,
            Ambiguity::QueryCharacter,
            Ambiguity::RepeatedParameter,
            Ambiguity::OtherWorkspace,
            Ambiguity::IdentityParameter,
            Ambiguity::MethodOverride,
        ];
        let headers = [
            HeaderProblem::RepeatedAuthorization,
            HeaderProblem::MethodOverride,
            HeaderProblem::Role,
            HeaderProblem::Repeated,
            HeaderProblem::TooMany,
        ];
        let ids = [
            IdFault::Spelling,
            IdFault::NotAnId,
            IdFault::Twice,
            IdFault::Form,
            IdFault::NotAForm,
            IdFault::Disagree,
            IdFault::UnknownType,
            IdFault::TrailingSlash,
            IdFault::Unknown { pointer: "/<member>".to_owned() },
        ];
        let messages = targets.map(|fault| fault.to_string()).into_iter();
        let messages = messages.chain(headers.map(|fault| fault.to_string())).chain(ids.map(|fault| fault.to_string()));
        for message in messages {
            assert!(ERRORS.contains(&format!("\n| {message} |")), "{message}");
        }
    }

    #[test]
    fn no_message_makes_the_sdks_retry() {
        // databricks-sdk 0.156 retries whatever says one of these
        let phrases = ["please try again later", "unexpected error", "rpc token bucket", "clusternotready"];
        for refusal in [
            Refusal::KeysUnavailable { retry_after: Duration::ZERO },
            Refusal::ExchangeUnavailable { retry_after: Duration::ZERO },
            Refusal::QuotaExceeded { per: "subject", retry_after: Duration::ZERO },
            Refusal::InvalidConfiguration,
            Refusal::Internal("x"),
        ] {
            let text = refusal.to_string().to_lowercase();
            assert!(phrases.iter().all(|phrase| !text.contains(phrase)), "{text}");
        }
    }
}
