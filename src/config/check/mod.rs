//! Gives the raw configuration its meaning: defaults, ranges, urls, references; all errors together.

mod feed;
mod identity;
mod introspection;
mod keys;
mod login;
mod providers;
mod quota;
mod roles;
mod rules;

use super::raw::{self, RawConfig, RawMode, RawProviders};
use super::read::{ConfigError, Errors, FromConfig, Node};
use super::{CalloutLimits, ClientCertificate, Config, Endpoint, Limits, OwnHeaders, Provider, Settings, Workspace};
use crate::audit::{self, Grant};
use crate::base::{Fingerprint, Label, SortedMap, Url, parse_noting_duplicates, sort};
use crate::databricks::Catalogue;
use crate::jwt::ClaimPath;
use crate::policy::{OperationSet, Policy};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How long a prompt may be by default. Envoy holds a body of 1 MiB by default; what it holds must be longer.
const PROMPT_BYTES: usize = 1_000_000;

/// The process's environment, for `{env: NAME}` secrets.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Reads a configuration: a JSON object, or a JSON string that holds one.
    ///
    /// # Errors
    /// Everything that is wrong, sorted by JSON pointer. The configuration must not be used at all.
    pub fn parse(text: &[u8], environment: Environment<'_>) -> Result<Self, Vec<ConfigError>> {
        let errors = Errors::default();
        let value = read_value(text, &errors);
        Self::read(value.as_ref(), errors, environment)
    }

    /// Reads a configuration that stands in another document, of which [`parse`](Self::parse) would have to be given a text: an object
    /// without any key twice, or a JSON string that holds one.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse).
    pub fn parse_value(value: &Value, environment: Environment<'_>) -> Result<Self, Vec<ConfigError>> {
        match value {
            Value::String(text) => Self::parse(text.as_bytes(), environment),
            value => Self::read(Some(value), Errors::default(), environment),
        }
    }

    fn read(value: Option<&Value>, errors: Errors, environment: Environment<'_>) -> Result<Self, Vec<ConfigError>> {
        // rules name operations, and requests will ask for them
        Catalogue::unpack();
        let settings = value.and_then(|value| {
            let raw = RawConfig::read(&Node::root(value, &errors))?;
            Check::new(value, &errors, environment).settings(raw)
        });
        match settings {
            Some(settings) if errors.is_empty() => Ok(settings),
            _ => Err(errors.into_sorted()),
        }
    }
}

impl Provider {
    /// Reads the `identity_providers` of a configuration, and nothing else of it, exactly as [`Settings::parse`] does: for programs beside
    /// the filter that must mean the same providers.
    ///
    /// # Errors
    /// Everything that is wrong, sorted by JSON pointer; pointers begin with `/identity_providers`.
    pub fn parse_all(
        identity_providers: &Value,
        allow_http: bool,
        environment: Environment<'_>,
    ) -> Result<Vec<Rc<Self>>, Vec<ConfigError>> {
        let value = serde_json::json!({ "identity_providers": identity_providers });
        let errors = Errors::default();
        let raw = RawProviders::read(&Node::root(&value, &errors));
        let check = Check::new(&value, &errors, environment);
        let providers = raw.map(|raw| check.providers(raw.identity_providers, allow_http, &mut Vec::new()));
        match providers {
            Some(providers) if errors.is_empty() => Ok(providers),
            _ => Err(errors.into_sorted()),
        }
    }
}

fn read_value(text: &[u8], errors: &Errors) -> Option<Value> {
    // deeper than any key of the configuration goes
    const DEEPEST: usize = 64;
    let parse = |text: &[u8]| {
        let read = parse_noting_duplicates(text, DEEPEST);
        let (value, twice) = read.map_err(|error| errors.add("", format!("is not JSON: {error}"))).ok()?;
        for pointer in twice {
            errors.add(pointer, "is there twice; only one of them can be meant");
        }
        Some(value)
    };
    match parse(text)? {
        Value::String(inner) => parse(inner.as_bytes()),
        value => Some(value),
    }
}

struct Check<'a> {
    /// By which an auditor finds the configuration that decided: the first 16 hex digits of SHA-256 of the same text.
    short_digest: String,
    errors: &'a Errors,
    environment: Environment<'a>,
    /// What tells configurations apart.
    digest: Fingerprint,
    patterns: RefCell<Vec<SeenPattern>>,
}

/// A pattern of operations that a rule had.
struct SeenPattern {
    text: String,
    /// Whether it means sensitive operations too.
    sensitive: bool,
    meant: OperationSet,
    count: usize,
}

impl<'a> Check<'a> {
    fn new(value: &Value, errors: &'a Errors, environment: Environment<'a>) -> Self {
        // members in the order of their names, no blanks
        let text = value.to_string();
        let digest = Fingerprint::builder("configuration").field(text.as_bytes()).finish();
        let short_digest = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { short_digest, errors, environment, digest, patterns: RefCell::default() }
    }
}

impl Check<'_> {
    fn wrong<T>(&self, pointer: impl Into<String>, message: impl Into<String>) -> Option<T> {
        self.errors.add(pointer, message);
        None
    }

    /// Says that something is missing, unless it is there and could not be read.
    fn missing<T>(&self, pointer: &str, message: &str) -> Option<T> {
        if self.errors.has_under(pointer) { None } else { self.wrong(pointer, message) }
    }

    fn settings(&self, raw: RawConfig) -> Option<Settings> {
        if raw.mode == Some(RawMode::Guard) {
            if !is_bare(&raw) {
                return self.wrong("/mode", "`guard` takes no other keys: the entry before it has them");
            }
            return Some(Settings::Guard);
        }
        let callouts = self.callouts(raw.callouts.as_ref());
        let limits = self.limits(raw.limits.as_ref());
        let workspace = match raw.workspace {
            Some(workspace) => self.workspace(workspace, callouts.allow_http),
            None => self.missing("/workspace", "is missing; it must be an object with the key `url`"),
        };
        let mut shared_secrets = Vec::new();
        let raw_providers = raw.identity_providers.unwrap_or_default();
        let providers = self.providers(raw_providers, callouts.allow_http, &mut shared_secrets);
        if let Some(workspace) = &workspace {
            self.login_needs_address(&providers, workspace);
        }
        let names: Vec<_> = providers.iter().map(|provider| provider.name.to_string()).collect();
        let grants = grants(raw.roles.as_deref().unwrap_or_default());
        let audit = audit_settings(raw.audit.as_ref(), grants, self.short_digest.as_str().into());
        let roles = self.roles(raw.roles.unwrap_or_default(), &names, callouts.allow_http, &mut shared_secrets);
        let agents = self.agents(raw.agents.unwrap_or_default());
        let policy = Policy::new(roles, agents, raw.mode == Some(RawMode::Observe));
        let identity_header = raw
            .identity_header
            .and_then(|header| self.identity_header(header, workspace.as_ref(), &mut shared_secrets));
        let (client_certificate, certificate) =
            self.client_certificate(raw.client_certificate, raw.client_certificate_header.as_deref());
        let identity = identity_header.as_ref().map(|header| Rc::clone(&header.name));
        if certificate.is_some() && certificate == identity {
            self.errors.add("/client_certificate_header", "is the header of `identity_header` already");
        }
        let own_headers = OwnHeaders { identity, certificate };
        let quota = raw.quota.and_then(|quota| self.quota(&quota));
        sort(&mut shared_secrets);
        shared_secrets.dedup();
        let digest = self.digest;
        let workspace = workspace?;
        Some(Settings::Enforce(Rc::new(Config {
            digest,
            workspace,
            providers,
            policy,
            client_certificate,
            identity_header,
            own_headers,
            quota,
            callouts,
            limits,
            audit,
            shared_secrets,
        })))
    }

    /// Clients are told where to sign in by this address, and not by whatever `Host` they were made to send.
    fn login_needs_address(&self, providers: &[Rc<Provider>], workspace: &Workspace) {
        if workspace.public_url.is_none() && providers.iter().any(|provider| provider.login.is_some()) {
            let message = "is missing; `login` needs it, because clients are sent there to sign in";
            self.missing::<()>("/workspace/public_url", message);
        }
    }

    /// Who must show a certificate, and the header of a TLS terminator that says which was shown.
    fn client_certificate(
        &self,
        raw: Option<raw::RawClientCertificate>,
        header: Option<&str>,
    ) -> (ClientCertificate, Option<Rc<str>>) {
        let demand = match raw {
            None | Some(raw::RawClientCertificate::Off) => ClientCertificate::Off,
            Some(raw::RawClientCertificate::Bound) => ClientCertificate::Bound,
            Some(raw::RawClientCertificate::Required) => ClientCertificate::Required,
        };
        let pointer = "/client_certificate_header";
        if header.is_some() && demand == ClientCertificate::Off {
            self.errors.add(pointer, "has no use: `client_certificate` is `off`");
        }
        (demand, header.and_then(|name| self.own_header(pointer, name)).map(Into::into))
    }

    fn in_range(&self, pointer: &str, value: Option<u64>, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        match value {
            Some(value) if !range.contains(&value) => {
                self.errors.add(pointer, format!("must be between {} and {}", range.start(), range.end()));
                default
            }
            value => value.unwrap_or(default),
        }
    }

    fn callouts(&self, raw: Option<&raw::RawCallouts>) -> CalloutLimits {
        let timeout = self.in_range("/callouts/timeout", raw.and_then(|raw| raw.timeout), 2000, 1..=60_000);
        let attempts = self.in_range("/callouts/attempts", raw.and_then(|raw| raw.attempts), 2, 1..=5);
        CalloutLimits {
            timeout: Duration::from_millis(timeout),
            attempts: u32::try_from(attempts).unwrap_or(1),
            allow_http: raw.and_then(|raw| raw.allow_http).unwrap_or(false),
        }
    }

    fn limits(&self, raw: Option<&raw::RawLimits>) -> Limits {
        let limit = |name: &str, value, default, range| {
            let value = self.in_range(&format!("/limits/{name}"), value, default, range);
            usize::try_from(value).unwrap_or(usize::MAX)
        };
        let longest_body = raw.and_then(|raw| raw.body_bytes);
        let body_bytes = limit("body_bytes", longest_body, 65_536, 1024..=16_777_216);
        Limits {
            body_bytes,
            // one that is set holds for all bodies
            prompt_bytes: if longest_body.is_some() { body_bytes } else { PROMPT_BYTES },
            token_bytes: limit("token_bytes", raw.and_then(|raw| raw.token_bytes), 16_384, 256..=65_536),
            cached_tokens: limit("cached_tokens", raw.and_then(|raw| raw.cached_tokens), 10_000, 0..=1_000_000),
        }
    }

    fn url(&self, pointer: &str, text: &str) -> Option<Url> {
        Url::parse(text).map_err(|fault| self.errors.add(pointer, format!("`{text}` {fault}"))).ok()
    }

    /// A url that the gateway itself calls.
    fn callout_url(&self, pointer: &str, text: &str, allow_http: bool) -> Option<Url> {
        let url = self.url(pointer, text)?;
        if url.may_be_called(allow_http) {
            return Some(url);
        }
        self.wrong(pointer, format!("`{text}` must begin with https:// (or set `callouts.allow_http`, for tests)"))
    }

    fn workspace(&self, raw: raw::RawWorkspace, allow_http: bool) -> Option<Workspace> {
        let url = self.callout_url("/workspace/url", &raw.url, allow_http).and_then(|url| {
            if url.path() == "/" {
                return Some(url);
            }
            self.wrong("/workspace/url", format!("`{}` must not have a path", raw.url))
        });
        let token_url = match &raw.token_url {
            Some(text) => self.callout_url("/workspace/token_url", text, allow_http),
            None => url.as_ref().map(|url| url.with_path("/oidc/v1/token")),
        };
        let public_url = match &raw.public_url {
            Some(text) => Some(self.url("/workspace/public_url", text)?),
            None => None,
        };
        if public_url.as_ref().is_some_and(|url| url.path().contains('?')) {
            self.errors.add("/workspace/public_url", "must not have a query");
        }
        let (url, token_url) = (url?, token_url?);
        Some(Workspace {
            identity: format!("{url} {token_url}"),
            url,
            id: raw.id.map(|id| id.0),
            account_id: raw.account_id,
            cloud: raw.cloud.map(|cloud| match cloud {
                raw::RawCloud::Aws => "aws",
                raw::RawCloud::Azure => "azure",
                raw::RawCloud::Gcp => "gcp",
            }),
            public_url,
            token_endpoint: Endpoint { url: token_url, upstream: raw.upstream },
        })
    }

    fn claim_path(&self, pointer: &str, text: &str) -> Option<ClaimPath> {
        match ClaimPath::parse(text) {
            Ok(path) => Some(path),
            Err(error) => self.wrong(pointer, format!("`{text}` {error}")),
        }
    }
}

/// Whether it has no key but `mode`.
const fn is_bare(raw: &RawConfig) -> bool {
    raw.workspace.is_none()
        && raw.identity_providers.is_none()
        && raw.roles.is_none()
        && raw.agents.is_none()
        && raw.client_certificate.is_none()
        && raw.client_certificate_header.is_none()
        && raw.identity_header.is_none()
        && raw.quota.is_none()
        && raw.callouts.is_none()
        && raw.limits.is_none()
        && raw.audit.is_none()
}

fn audit_settings(raw: Option<&raw::RawAudit>, grants: SortedMap<Rc<str>, Grant>, config: Label) -> audit::Settings {
    audit::Settings {
        config,
        log: raw.and_then(|raw| raw.log).unwrap_or(true),
        sql_tables: raw.and_then(|raw| raw.sql_tables).unwrap_or(true),
        digest_subjects: raw.and_then(|raw| raw.subject) == Some(raw::RawAuditSubject::Sha256),
        grants,
    }
}

/// Why roles are granted, by their names.
fn grants(roles: &[raw::RawRole]) -> SortedMap<Rc<str>, Grant> {
    let grant = |role: &raw::RawRole| {
        let raw = role.grant.clone()?;
        let break_glass = raw.break_glass.unwrap_or(false);
        Some((
            role.name.as_str().into(),
            Grant { approved_by: raw.approved_by.map(Label::from), ticket: raw.ticket.map(Label::from), break_glass },
        ))
    };
    roles.iter().filter_map(grant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(providers: &Value) -> Result<Vec<Rc<Provider>>, Vec<String>> {
        let parsed = Provider::parse_all(providers, false, &|_| None);
        parsed.map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn providers_alone_mean_what_they_mean_in_a_configuration() {
        let entry =
            json!({"name": "okta", "issuer": "https://okta.example", "audiences": ["databricks"], "max_lifetime": 60});
        let providers = parse(&json!([entry])).unwrap();
        assert_eq!(providers.len(), 1);
        assert_eq!((&*providers[0].name, &*providers[0].expectations.issuer), ("okta", "https://okta.example"));
        assert_eq!(providers[0].expectations.max_lifetime, Some(Duration::from_secs(60)));
    }

    #[test]
    fn everything_that_is_wrong_with_providers_is_said_with_its_place() {
        let wrong = json!([{"name": "a", "issuer": "http://a.example", "audience": ["x"]}, {"name": 7}]);
        let errors = parse(&wrong).unwrap_err().join("\n");
        for place in [
            "/identity_providers/0/audience: is not a known key",
            "/identity_providers/0/audiences: is missing",
            "/identity_providers/1/name: must be a string",
            "/identity_providers/1/issuer: is missing",
        ] {
            assert!(errors.contains(place), "{place} is not in\n{errors}");
        }
        assert!(parse(&json!([])).unwrap_err().join("").contains("at least one provider"));
        assert!(parse(&json!({"a": 1})).unwrap_err().join("").contains("must be a list"));
    }
}
