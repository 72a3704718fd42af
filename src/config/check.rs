//! Gives the raw configuration its meaning: defaults, ranges, urls, references; all errors together.

use super::raw::{self, RawConfig, RawCredential, RawMode, RawScope, RawSecret};
use super::read::{ConfigError, Errors, FromConfig, Node};
use super::{CalloutLimits, Config, Endpoint, KeySource, Limits, Provider, Settings, Workspace};
use crate::base::{Secret, UnixTime, Url};
use crate::jwt::{Algorithm, ClaimPath, Expectations};
use crate::policy::{Credential, Glob, Match, Role, Scope, SecretSource, Validity};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// The process's environment, for `{env: NAME}` secrets.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Reads a configuration: a JSON object, or a JSON string that holds one.
    ///
    /// # Errors
    /// Everything that is wrong, sorted by JSON pointer. The configuration must not be used at all.
    pub fn parse(text: &[u8], environment: Environment<'_>) -> Result<Self, Vec<ConfigError>> {
        let errors = Errors::default();
        let settings = read_raw(text, &errors).and_then(|raw| Check { errors: &errors, environment }.settings(raw));
        match settings {
            Some(settings) if errors.is_empty() => Ok(settings),
            _ => Err(errors.into_sorted()),
        }
    }
}

fn read_raw(text: &[u8], errors: &Errors) -> Option<RawConfig> {
    let parse = |text: &[u8]| {
        let value = serde_json::from_slice::<Value>(text);
        value.map_err(|error| errors.add("", format!("is not JSON: {error}"))).ok()
    };
    let value = match parse(text)? {
        Value::String(inner) => parse(inner.as_bytes())?,
        value => value,
    };
    RawConfig::read(&Node::root(&value, errors))
}

struct Check<'a> {
    errors: &'a Errors,
    environment: Environment<'a>,
}

impl Check<'_> {
    fn wrong<T>(&self, pointer: impl Into<String>, message: impl Into<String>) -> Option<T> {
        self.errors.add(pointer, message);
        None
    }

    /// Refuses what the contract has and this version does not: half a policy must not be taken for the whole.
    fn not_yet(&self, present: bool, pointer: impl Into<String>) {
        if present {
            self.errors.add(pointer, "is not built yet in this version; take it out");
        }
    }

    fn settings(&self, raw: RawConfig) -> Option<Settings> {
        if raw.mode == Some(RawMode::Guard) {
            let guard_only = raw.workspace.is_none() && raw.identity_providers.is_none() && raw.roles.is_none();
            if !guard_only {
                return self.wrong("/mode", "`guard` takes no other keys: the entry before it has them");
            }
            return Some(Settings::Guard);
        }
        self.not_yet(raw.mode == Some(RawMode::Observe), "/mode");
        self.not_yet(raw.agents.is_some(), "/agents");
        self.not_yet(raw.identity_header.is_some(), "/identity_header");
        let certificates = raw.client_certificate.unwrap_or(raw::RawClientCertificate::Off);
        self.not_yet(certificates != raw::RawClientCertificate::Off, "/client_certificate");
        self.not_yet(raw.audit.is_some(), "/audit");

        let callouts = self.callouts(raw.callouts.as_ref());
        let limits = self.limits(raw.limits.as_ref());
        let workspace = match raw.workspace {
            Some(workspace) => self.workspace(workspace, callouts.allow_http),
            None => self.wrong("/workspace", "is missing; it must be an object with the key `url`"),
        };
        let providers = self.providers(raw.identity_providers.unwrap_or_default(), callouts.allow_http);
        let mut shared_secrets = BTreeSet::new();
        let names = providers.iter().map(|provider| provider.name.to_string()).collect();
        let roles = self.roles(raw.roles.unwrap_or_default(), &names, &mut shared_secrets);
        let shared_secrets = shared_secrets.into_iter().collect();
        let config = Config { workspace: workspace?, providers, roles, callouts, limits, shared_secrets };
        Some(Settings::Enforce(Rc::new(config)))
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
        Limits {
            token_bytes: limit("token_bytes", raw.and_then(|raw| raw.token_bytes), 16_384, 256..=65_536),
            body_bytes: limit("body_bytes", raw.and_then(|raw| raw.body_bytes), 65_536, 1024..=16_777_216),
            cached_tokens: limit("cached_tokens", raw.and_then(|raw| raw.cached_tokens), 10_000, 0..=1_000_000),
        }
    }

    fn url(&self, pointer: &str, text: &str) -> Option<Url> {
        Url::parse(text).map_err(|fault| self.errors.add(pointer, format!("`{text}` {fault}"))).ok()
    }

    /// A url that the gateway itself calls.
    fn callout_url(&self, pointer: &str, text: &str, allow_http: bool) -> Option<Url> {
        let url = self.url(pointer, text)?;
        if url.is_https() || url.is_loopback() || allow_http {
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
        url?;
        Some(Workspace {
            id: raw.id.map(|id| id.0),
            account_id: raw.account_id,
            cloud: raw.cloud.map(|cloud| match cloud {
                raw::RawCloud::Aws => "aws",
                raw::RawCloud::Azure => "azure",
                raw::RawCloud::Gcp => "gcp",
            }),
            public_url,
            token_endpoint: Endpoint { url: token_url?, upstream: raw.upstream },
        })
    }

    fn providers(&self, raw: Vec<raw::RawIdentityProvider>, allow_http: bool) -> Vec<Rc<Provider>> {
        if raw.is_empty() {
            self.errors.add("/identity_providers", "must list at least one provider");
        }
        let mut names = BTreeSet::new();
        let mut issuers = BTreeSet::new();
        let mut providers = Vec::new();
        for (index, raw) in raw.into_iter().enumerate() {
            let pointer = format!("/identity_providers/{index}");
            if !names.insert(raw.name.clone()) {
                self.errors
                    .add(format!("{pointer}/name"), format!("`{}` is already another provider's name", raw.name));
            }
            if !issuers.insert(raw.issuer.clone()) {
                self.errors.add(format!("{pointer}/issuer"), format!("`{}` is already another provider's", raw.issuer));
            }
            providers.extend(self.provider(&pointer, raw, allow_http).map(Rc::new));
        }
        providers
    }

    fn provider(&self, pointer: &str, raw: raw::RawIdentityProvider, allow_http: bool) -> Option<Provider> {
        self.not_yet(raw.introspection.is_some(), format!("{pointer}/introspection"));
        self.not_yet(raw.revocation.is_some(), format!("{pointer}/revocation"));
        if raw.audiences.is_empty() {
            self.errors.add(format!("{pointer}/audiences"), "must list at least one audience");
        }
        let keys = self.key_source(pointer, &raw, allow_http);
        let skew = self.in_range(&format!("{pointer}/clock_skew"), raw.clock_skew, 30, 0..=300);
        let claims = raw.claims.as_ref();
        let claim = |name: &str, value: Option<&String>| {
            value.and_then(|text| self.claim_path(&format!("{pointer}/claims/{name}"), text))
        };
        let expectations = Expectations {
            subject: claim("subject", claims.and_then(|raw| raw.subject.as_ref()))
                .unwrap_or_else(|| ClaimPath::name("sub")),
            groups: claim("groups", claims.and_then(|raw| raw.groups.as_ref()))
                .unwrap_or_else(|| ClaimPath::name("groups")),
            client: claim("client", claims.and_then(|raw| raw.client.as_ref())),
            algorithms: self.algorithms(pointer, raw.algorithms),
            required: self.required(pointer, raw.require.unwrap_or_default()),
            issuer: raw.issuer,
            audiences: raw.audiences,
            clock_skew: Duration::from_secs(skew),
            max_lifetime: raw.max_lifetime.map(Duration::from_secs),
        };
        let keys_max_stale = Duration::from_secs(raw.keys_max_stale.unwrap_or(86_400));
        Some(Provider { name: raw.name.into(), expectations, keys: keys?, keys_max_stale })
    }

    fn key_source(&self, pointer: &str, raw: &raw::RawIdentityProvider, allow_http: bool) -> Option<KeySource> {
        let upstream = raw.upstream.clone();
        if let Some(text) = &raw.jwks_url {
            let url = self.callout_url(&format!("{pointer}/jwks_url"), text, allow_http)?;
            return Some(KeySource::Jwks(Endpoint { url, upstream }));
        }
        let pointer = format!("{pointer}/issuer");
        let issuer = self.callout_url(&pointer, &raw.issuer, allow_http)?;
        if issuer.path().contains('?') {
            return self.wrong(pointer, "has a query, so its keys cannot be discovered: set `jwks_url`");
        }
        let path = format!("{}/.well-known/openid-configuration", issuer.path().trim_end_matches('/'));
        Some(KeySource::Discovery(Endpoint { url: issuer.with_path(&path), upstream }))
    }

    fn algorithms(&self, pointer: &str, raw: Option<Vec<String>>) -> Vec<Algorithm> {
        let Some(names) = raw else { return vec![Algorithm::RS256, Algorithm::ES256] };
        if names.is_empty() {
            self.errors.add(format!("{pointer}/algorithms"), "must list at least one algorithm");
        }
        let read = names.iter().enumerate().filter_map(|(index, name)| {
            Algorithm::from_name(name).or_else(|| {
                let message = format!(
                    "`{name}` is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA; \
                     no other algorithm is accepted"
                );
                self.wrong(format!("{pointer}/algorithms/{index}"), message)
            })
        });
        read.collect()
    }

    fn required(&self, pointer: &str, raw: BTreeMap<String, Value>) -> Vec<(ClaimPath, Vec<Value>)> {
        let read = raw.into_iter().filter_map(|(claim, value)| {
            let pointer = format!("{pointer}/require/{}", claim.replace('~', "~0").replace('/', "~1"));
            let values = match value {
                Value::Array(values) if !values.is_empty() => values,
                Value::Array(_) | Value::Object(_) => {
                    return self.wrong(pointer, "must be a value or a list of values");
                }
                value => vec![value],
            };
            Some((self.claim_path(&pointer, &claim)?, values))
        });
        read.collect()
    }

    fn claim_path(&self, pointer: &str, text: &str) -> Option<ClaimPath> {
        match ClaimPath::parse(text) {
            Ok(path) => Some(path),
            Err(error) => self.wrong(pointer, format!("`{text}` {error}")),
        }
    }

    fn roles(&self, raw: Vec<raw::RawRole>, providers: &BTreeSet<String>, shared: &mut BTreeSet<String>) -> Vec<Role> {
        if raw.is_empty() {
            self.errors.add("/roles", "must list at least one role");
        }
        let mut names = BTreeSet::new();
        let mut roles = Vec::new();
        for (index, raw) in raw.into_iter().enumerate() {
            let pointer = format!("/roles/{index}");
            if !names.insert(raw.name.clone()) {
                self.errors.add(format!("{pointer}/name"), format!("`{}` is already another role's name", raw.name));
            }
            self.not_yet(raw.allow.is_some(), format!("{pointer}/allow"));
            self.not_yet(raw.deny.is_some(), format!("{pointer}/deny"));
            self.not_yet(raw.observe == Some(true), format!("{pointer}/observe"));
            self.not_yet(raw.grant.is_some(), format!("{pointer}/grant"));
            let matches = self.matches(&pointer, raw.r#match, providers);
            let validity = self.validity(&pointer, raw.valid);
            if let Some(credential) = self.credential(&format!("{pointer}/credential"), raw.credential, shared) {
                roles.push(Role { name: raw.name.into(), matches, validity, credential: Rc::new(credential) });
            }
        }
        roles
    }

    fn matches(&self, pointer: &str, raw: raw::RawMatch, providers: &BTreeSet<String>) -> Match {
        let pointer = format!("{pointer}/match");
        let listed = |name: &str, list: Option<Vec<String>>| {
            if list.as_ref().is_some_and(Vec::is_empty) {
                self.errors.add(format!("{pointer}/{name}"), "must list at least one value, or be left out");
            }
            list
        };
        let globs = |name, list| listed(name, list).map(|list| list.into_iter().map(Glob::new).collect());
        let identity_providers = listed("identity_providers", raw.identity_providers);
        for (index, name) in identity_providers.iter().flatten().enumerate() {
            if !providers.contains(name) {
                let message = format!("`{name}` is no identity provider of this configuration");
                self.errors.add(format!("{pointer}/identity_providers/{index}"), message);
            }
        }
        let claims = raw.claims.unwrap_or_default().into_iter().filter_map(|(claim, values)| {
            let pointer = format!("{pointer}/claims/{}", claim.replace('~', "~0").replace('/', "~1"));
            if values.is_empty() {
                self.errors.add(pointer.as_str(), "must list at least one value");
            }
            Some((self.claim_path(&pointer, &claim)?, values))
        });
        Match {
            claims: claims.collect(),
            groups: globs("groups", raw.groups),
            identity_providers,
            subjects: globs("subjects", raw.subjects),
            clients: globs("clients", raw.clients),
        }
    }

    fn validity(&self, pointer: &str, raw: Option<raw::RawValid>) -> Validity {
        let Some(raw) = raw else { return Validity::ALWAYS };
        let point = |name: &str, text: Option<&String>, otherwise: UnixTime| {
            let Some(text) = text else { return otherwise };
            rfc3339(text).unwrap_or_else(|| {
                let message = format!("`{text}` is not a point in time of the form 2026-11-01T00:00:00Z");
                self.errors.add(format!("{pointer}/valid/{name}"), message);
                otherwise
            })
        };
        let from = point("from", raw.from.as_ref(), Validity::ALWAYS.from);
        let until = point("until", raw.until.as_ref(), Validity::ALWAYS.until);
        if until <= from {
            self.errors.add(format!("{pointer}/valid/until"), "must be after `from`");
        }
        Validity { from, until }
    }

    fn credential(&self, pointer: &str, raw: RawCredential, shared: &mut BTreeSet<String>) -> Option<Credential> {
        let scope = |raw| self.scope(&format!("{pointer}/scope"), raw);
        match raw {
            RawCredential::UserFederation(raw) => {
                let assume_group = raw.assume_group.map(|id| id.0);
                Some(Credential::UserFederation { scope: scope(raw.scope)?, assume_group })
            }
            RawCredential::ServicePrincipalFederation(raw) => {
                Some(Credential::ServicePrincipalFederation { scope: scope(raw.scope)?, client_id: raw.client_id })
            }
            RawCredential::ServicePrincipalSecret(raw) => {
                let scope = scope(raw.scope);
                let client_secret = self.secret(&format!("{pointer}/client_secret"), raw.client_secret, shared);
                let (scope, client_secret) = (scope?, client_secret?);
                Some(Credential::ServicePrincipalSecret { client_id: raw.client_id, client_secret, scope })
            }
            RawCredential::Passthrough(_) => Some(Credential::Passthrough),
            RawCredential::None(_) => Some(Credential::None),
            RawCredential::GatewayAssertion(_) | RawCredential::EntraOnBehalfOf(_) => {
                self.not_yet(true, format!("{pointer}/type"));
                None
            }
        }
    }

    fn scope(&self, pointer: &str, raw: Option<RawScope>) -> Option<Scope> {
        let names = match raw {
            None => return Some(Scope::default()),
            Some(RawScope::One(name)) if name == "minimal" => {
                self.not_yet(true, pointer);
                return None;
            }
            // OAuth's own notation, as it is copied from elsewhere
            Some(RawScope::One(names)) => names.split(' ').map(str::to_owned).collect(),
            Some(RawScope::List(names)) => names,
        };
        if names.iter().any(|name| name == "minimal") {
            return self.wrong(pointer, "`minimal` stands alone, not among other scopes");
        }
        Scope::new(names.iter().map(String::as_str))
            .or_else(|| self.wrong(pointer, "must list at least one scope, each without blanks and quotes"))
    }

    fn secret(&self, pointer: &str, raw: RawSecret, shared: &mut BTreeSet<String>) -> Option<SecretSource> {
        match raw {
            RawSecret::Plain(secret) => Some(SecretSource::Known(secret)),
            RawSecret::Env(raw) => match (self.environment)(&raw.env).filter(|value| !value.is_empty()) {
                Some(value) => Some(SecretSource::Known(Secret::new(value))),
                None => {
                    let message = format!("the environment variable `{}` is not set in the gateway's process", raw.env);
                    self.wrong(format!("{pointer}/env"), message)
                }
            },
            RawSecret::Shared(raw) => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                if !raw.shared.bytes().all(plain) {
                    let message = format!("`{}` may hold letters, digits and `_` only", raw.shared);
                    return self.wrong(format!("{pointer}/shared"), message);
                }
                shared.insert(raw.shared.clone());
                Some(SecretSource::Shared(raw.shared))
            }
        }
    }
}

fn rfc3339(text: &str) -> Option<UnixTime> {
    let time = humantime::parse_rfc3339(text).ok()?;
    let since_1970 = time.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
    Some(UnixTime::from_millis(u64::try_from(since_1970.as_millis()).ok()?))
}
