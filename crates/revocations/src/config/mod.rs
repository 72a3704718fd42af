//! The configuration: a YAML file of the service's own, which may take the identity providers over from a `kong.yml`.

mod kong;
mod raw;
mod yaml;

use crate::keys::KeyAddress;
use crate::secret::Bearer;
use crate::store::Location;
use crate::subject::Format;
use databricks_kong::base::{Secret, Url};
use databricks_kong::config::{ConfigError, KeySource, Provider as Verified};
use databricks_kong::jwt::EventExpectations;
use raw::{RawAuthorization, RawClient, RawConfig, RawEnv, RawFile, RawPoll, RawSecret, RawSource};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use raw::{CutOff, SourceType};

/// What the service is configured to do.
#[derive(Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it keeps entries.
    pub database: Location,
    /// Opens `/revocations`; without it there is none.
    pub admin: Option<Bearer>,
    /// Opens `/feed`; without it, everybody may read it.
    pub feed: Option<Bearer>,
    /// How many entries a provider may have.
    pub max_entries: u64,
    /// The identity providers whose tokens are cut off.
    pub providers: Vec<Arc<Provider>>,
    /// Who tells of revocations.
    pub sources: Vec<Arc<Source>>,
    /// What works and is probably not what was meant.
    pub warnings: Vec<String>,
}

/// An identity provider whose tokens are cut off.
#[derive(Debug)]
pub struct Provider {
    /// Its name, also in the feed's address.
    pub name: String,
    /// Its `iss`.
    pub issuer: String,
    /// The claim that gateways know callers by.
    pub subject: String,
    /// How far its clock may be off.
    pub clock_skew: Duration,
    /// How long a token of it may live, and so an entry that cuts it off.
    pub retention: Duration,
}

/// Somebody who tells of revocations.
#[derive(Debug)]
pub struct Source {
    /// Its name in logs, metrics and entries.
    pub name: String,
    /// What it sends.
    pub kind: SourceType,
    /// Whose tokens it is about.
    pub provider: Arc<Provider>,
    /// What its tokens must satisfy.
    pub expect: EventExpectations,
    /// Where its keys are.
    pub keys: KeyAddress,
    /// The formats of subjects whose values are the provider's `claims.subject`.
    pub formats: Vec<Format>,
    /// What an event about one session cuts off.
    pub cut_off: CutOff,
    /// What pushes must show besides their signature.
    pub push: Option<Bearer>,
    /// Where events are polled.
    pub poll: Option<Poll>,
}

/// Where events are polled (RFC 8936).
#[derive(Debug)]
pub struct Poll {
    /// The endpoint.
    pub url: Url,
    /// Between two polls that bring nothing.
    pub interval: Duration,
    /// What is shown there.
    pub authorization: Authorization,
}

/// What a poll shows.
#[derive(Debug)]
pub enum Authorization {
    /// Nothing.
    None,
    /// A bearer token that does not change.
    Bearer(Secret<String>),
    /// A bearer token of the client credentials grant (RFC 6749 4.4).
    Client {
        /// The token endpoint.
        token_url: Url,
        /// The client's id.
        id: String,
        /// Its secret.
        secret: Secret<String>,
        /// The scope that is asked for.
        scope: Option<String>,
    },
}

impl Config {
    /// Reads a configuration, and the identity providers of `kong` where it is given.
    ///
    /// # Errors
    /// Everything that is wrong, a line each, with what to do.
    pub fn read(path: &Path, kong: Option<&Path>) -> Result<Self, Vec<String>> {
        let value = file(path)?;
        let kong = kong.map(|path| file(path).map(|value| (path.display().to_string(), value))).transpose()?;
        let (shown, folder) = (path.display().to_string(), path.parent().unwrap_or(Path::new("")));
        let mut reader = Reader { errors: Vec::new(), warnings: Vec::new(), folder };
        let config = reader.config(&value, kong.as_ref());
        let errors: Vec<_> = reader.errors.iter().map(|error| format!("{shown}: {error}")).collect();
        match config {
            Some(config) if errors.is_empty() => Ok(Self { warnings: reader.warnings, ..config }),
            _ => Err(errors),
        }
    }

    /// The provider of that name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.name == name)
    }
}

fn file(path: &Path) -> Result<Value, Vec<String>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| vec![format!("{shown}: cannot be read: {error}")])?;
    yaml::parse(&text).map_err(|error| vec![format!("{shown}:{error}")])
}

/// How many entries a provider may have unless the configuration says so: what gateways are measured to hold.
const DEFAULT_MAX_ENTRIES: u64 = 100_000;

struct Reader<'r> {
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
    /// What relative paths are relative to.
    folder: &'r Path,
}

impl Reader<'_> {
    fn wrong<T>(&mut self, pointer: impl Into<String>, message: impl Into<String>) -> Option<T> {
        self.errors.push(ConfigError { pointer: pointer.into(), message: message.into() });
        None
    }

    fn config(&mut self, value: &Value, kong: Option<&(String, Value)>) -> Option<Config> {
        let raw: RawConfig = match serde_path_to_error::deserialize(value) {
            Ok(raw) => raw,
            Err(error) => {
                let pointer = raw::pointer(error.path());
                return self.wrong(pointer, error.into_inner().to_string());
            }
        };
        let allow_http = raw.allow_http.unwrap_or(false);
        let verified = self.verified(raw.identity_providers.as_ref(), kong, allow_http);
        let default = raw.retention;
        let providers: Vec<_> =
            verified.iter().filter_map(|(pointer, provider)| self.provider(pointer, provider, default)).collect();
        let raw_sources = raw.sources.unwrap_or_default();
        let mut sources = Vec::new();
        for (index, raw) in raw_sources.into_iter().enumerate() {
            let pointer = format!("/sources/{index}");
            let about = providers.iter().zip(&verified).find(|(provider, _)| provider.name == raw.provider);
            match about {
                Some((provider, (_, verified))) => {
                    sources.extend(self.source(&pointer, raw, provider, verified, allow_http).map(Arc::new));
                }
                // where its provider has an error of its own, that one is enough
                None if verified.iter().any(|(_, provider)| *provider.name == *raw.provider) => {}
                None => {
                    let names: Vec<_> = verified.iter().map(|(_, one)| format!("`{}`", one.name)).collect();
                    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                    let message = format!("`{}` is no identity provider's name; known are {known}", raw.provider);
                    self.wrong::<()>(format!("{pointer}/provider"), message);
                }
            }
        }
        self.tell_sources_apart(&sources);
        let admin = raw.admin.and_then(|opened| self.secret("/admin/secret", opened.secret));
        let feed = raw.feed.and_then(|opened| self.secret("/feed/secret", opened.secret));
        let database = self.database(raw.database);
        if sources.is_empty() && admin.is_none() {
            self.warnings.push("no `sources` and no `admin`: only `revocations add` changes the feed".to_owned());
        }
        let listen = raw.listen.unwrap_or_else(|| "127.0.0.1:8099".to_owned());
        let listen = listen.parse().ok().or_else(|| {
            self.wrong("/listen", format!("`{listen}` is no address of the form 127.0.0.1:8099 or [::1]:8099"))
        });
        Some(Config {
            listen: listen?,
            database: database?,
            admin: admin.as_ref().map(Bearer::new),
            feed: feed.as_ref().map(Bearer::new),
            max_entries: raw.max_entries.unwrap_or(DEFAULT_MAX_ENTRIES),
            providers,
            sources,
            warnings: Vec::new(),
        })
    }

    /// The identity providers as the filter reads them, each with where it stands.
    fn verified(
        &mut self,
        own: Option<&Value>,
        kong: Option<&(String, Value)>,
        allow_http: bool,
    ) -> Vec<(String, std::rc::Rc<Verified>)> {
        let list = match (own, kong) {
            (Some(_), Some(_)) => {
                let message = "stands here and comes from --kong too: take it out, or leave --kong out";
                self.wrong::<()>("/identity_providers", message);
                return Vec::new();
            }
            (None, None) => {
                let message = "is missing: list the providers as in kong.yml, or give that file with --kong";
                self.wrong::<()>("/identity_providers", message);
                return Vec::new();
            }
            (Some(own), None) => own.clone(),
            (None, Some((path, kong))) => match kong::identity_providers(kong) {
                Ok(list) => list,
                Err(message) => {
                    self.wrong::<()>("/identity_providers", format!("of `{path}`: {message}"));
                    return Vec::new();
                }
            },
        };
        // secrets of introspection and the like are the gateway's, and its environment is not here
        match Verified::parse_all(&list, allow_http, &|_| Some("set".to_owned())) {
            Ok(providers) => {
                let placed = providers.into_iter().enumerate();
                placed.map(|(index, provider)| (format!("/identity_providers/{index}"), provider)).collect()
            }
            Err(errors) => {
                self.errors.extend(errors);
                Vec::new()
            }
        }
    }

    fn provider(&mut self, pointer: &str, verified: &Verified, default: Option<u64>) -> Option<Arc<Provider>> {
        let expect = &verified.expectations;
        let longest = expect.max_lifetime.map(|longest| longest.saturating_add(expect.clock_skew));
        let retention = match (longest, default) {
            (Some(longest), _) => longest,
            (None, Some(seconds)) => Duration::from_secs(seconds),
            (None, None) => {
                let message = "does not say how long a token may live, and so how long to keep a revocation: \
                               set `max_lifetime` (here and at the gateway), or `retention` at the top of this file";
                return self.wrong(pointer, message);
            }
        };
        if verified.name.is_empty() || !verified.name.bytes().all(is_plain) {
            let message = "must be of letters, digits, `.`, `_` and `-`, because it is part of the feed's address";
            return self.wrong(format!("{pointer}/name"), message);
        }
        Some(Arc::new(Provider {
            name: verified.name.to_string(),
            issuer: expect.issuer.to_string(),
            subject: expect.subject.to_string(),
            clock_skew: expect.clock_skew,
            retention,
        }))
    }

    fn source(
        &mut self,
        pointer: &str,
        raw: RawSource,
        provider: &Arc<Provider>,
        verified: &Verified,
        allow_http: bool,
    ) -> Option<Source> {
        if raw.audiences.is_empty() {
            self.wrong::<()>(format!("{pointer}/audiences"), "must list at least one audience");
        }
        let is_logout = raw.r#type == SourceType::BackchannelLogout;
        if is_logout && (raw.push.is_some() || raw.poll.is_some()) {
            let message = "goes with `type: security_events` only: providers post logout tokens by themselves";
            self.wrong::<()>(format!("{pointer}/{}", if raw.push.is_some() { "push" } else { "poll" }), message);
        }
        let algorithms = match &raw.algorithms {
            None => verified.expectations.algorithms.clone(),
            Some(names) => self.algorithms(pointer, names),
        };
        let keys = self.keys(pointer, &raw, verified, allow_http);
        let issuer = raw.issuer.unwrap_or_else(|| provider.issuer.clone());
        let formats = raw.subject_formats.unwrap_or_else(|| Format::usual_for(&provider.subject));
        let push = raw.push.and_then(|push| self.secret(&format!("{pointer}/push/secret"), push.secret));
        let poll = raw.poll.and_then(|poll| self.poll(&format!("{pointer}/poll"), poll, allow_http));
        let max_age = raw.max_age.map_or(crate::meaning::DEFAULT_MAX_AGE, Duration::from_secs);
        let expect = EventExpectations {
            issuer,
            audiences: raw.audiences,
            algorithms,
            clock_skew: provider.clock_skew,
            max_age: if is_logout { max_age.min(LOGOUT_MAX_AGE) } else { max_age },
        };
        Some(Source {
            name: raw.name,
            kind: raw.r#type,
            provider: Arc::clone(provider),
            expect,
            keys: keys?,
            formats,
            cut_off: raw.cut_off.unwrap_or(CutOff::User),
            push: push.as_ref().map(Bearer::new),
            poll,
        })
    }

    fn algorithms(&mut self, pointer: &str, names: &[String]) -> Vec<databricks_kong::jwt::Algorithm> {
        if names.is_empty() {
            self.wrong::<()>(format!("{pointer}/algorithms"), "must list at least one algorithm");
        }
        let mut read = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match databricks_kong::jwt::Algorithm::from_name(name) {
                Some(algorithm) => read.push(algorithm),
                None => {
                    let message = format!("`{name}` is no algorithm that is accepted; RS256 and ES256 are usual");
                    self.wrong::<()>(format!("{pointer}/algorithms/{index}"), message);
                }
            }
        }
        read
    }

    fn keys(&mut self, pointer: &str, raw: &RawSource, verified: &Verified, allow_http: bool) -> Option<KeyAddress> {
        if let Some(text) = &raw.jwks_url {
            let url = self.url(&format!("{pointer}/jwks_url"), text, allow_http)?;
            return Some(KeyAddress { url, of_document: None, allow_http, max_stale: verified.keys_max_stale });
        }
        let of_provider = raw.issuer.as_ref().is_none_or(|issuer| **issuer == *verified.expectations.issuer);
        let (url, of_document) = match &verified.keys {
            KeySource::Jwks(endpoint) if of_provider => (endpoint.url.clone(), None),
            KeySource::Discovery(endpoint) if of_provider => {
                (endpoint.url.clone(), Some(verified.expectations.issuer.to_string()))
            }
            _ => {
                let issuer = raw.issuer.clone().unwrap_or_default();
                let base = self.url(&format!("{pointer}/issuer"), &issuer, allow_http)?;
                (base.with_path(&well_known(&base)), Some(issuer))
            }
        };
        Some(KeyAddress { url, of_document, allow_http, max_stale: verified.keys_max_stale })
    }

    fn poll(&mut self, pointer: &str, raw: RawPoll, allow_http: bool) -> Option<Poll> {
        let url = self.url(&format!("{pointer}/url"), &raw.url, allow_http);
        let interval = raw.interval.unwrap_or(10);
        if !(1..=3600).contains(&interval) {
            self.wrong::<()>(format!("{pointer}/interval"), "must be between 1 and 3600 seconds");
        }
        let authorization = match raw.authorization {
            None => Authorization::None,
            Some(RawAuthorization::Secret(secret)) => {
                Authorization::Bearer(self.secret(&format!("{pointer}/authorization"), secret)?)
            }
            Some(RawAuthorization::Client(RawClient { token_url, client_id, client_secret, scope })) => {
                let token_url = self.url(&format!("{pointer}/authorization/token_url"), &token_url, allow_http);
                let secret = self.secret(&format!("{pointer}/authorization/client_secret"), client_secret);
                Authorization::Client { token_url: token_url?, id: client_id, secret: secret?, scope }
            }
        };
        Some(Poll { url: url?, interval: Duration::from_secs(interval), authorization })
    }

    /// Which source a token is of is told by its kind and issuer.
    fn tell_sources_apart(&mut self, sources: &[Arc<Source>]) {
        let (mut names, mut issuers) = (BTreeSet::new(), BTreeSet::new());
        for (index, source) in sources.iter().enumerate() {
            if !names.insert(source.name.clone()) {
                let message = format!("`{}` is already another source's name", source.name);
                self.wrong::<()>(format!("/sources/{index}/name"), message);
            }
            let is_new = issuers.insert((source.kind.word(), source.expect.issuer.clone()));
            if !is_new {
                let message = format!("`{}` already is another source's of this type", source.expect.issuer);
                self.wrong::<()>(format!("/sources/{index}/issuer"), message);
            }
        }
    }

    fn url(&mut self, pointer: &str, text: &str, allow_http: bool) -> Option<Url> {
        match Url::parse(text) {
            Ok(url) if url.may_be_called(allow_http) => Some(url),
            Ok(_) => self.wrong(pointer, format!("`{text}` must begin with https:// (or set `allow_http`, for tests)")),
            Err(fault) => self.wrong(pointer, format!("`{text}` {fault}")),
        }
    }

    fn secret(&mut self, pointer: &str, raw: RawSecret) -> Option<Secret<String>> {
        let text = match raw {
            RawSecret::Text(text) => {
                self.warnings.push(format!("{pointer}: is a secret in plain text; use `env` or `file`"));
                text
            }
            RawSecret::Env(RawEnv { env }) => match std::env::var(&env) {
                Ok(text) => text,
                Err(_) => return self.wrong(pointer, format!("the environment variable `{env}` is not set")),
            },
            RawSecret::File(RawFile { file }) => match std::fs::read_to_string(self.folder.join(&file)) {
                Ok(text) => text.trim_end_matches(['\n', '\r']).to_owned(),
                Err(error) => return self.wrong(pointer, format!("`{}` cannot be read: {error}", file.display())),
            },
        };
        if text.is_empty() { self.wrong(pointer, "must not be empty") } else { Some(Secret::new(text)) }
    }

    fn database(&mut self, raw: Option<RawSecret>) -> Option<Location> {
        let Some(raw) = raw else {
            return self.wrong("/database", "is missing; it must be the path of a file, or a postgres:// url");
        };
        let text = match raw {
            // a path is no secret
            RawSecret::Text(text) if !is_postgres(&text) => text,
            raw => self.secret("/database", raw)?.expose().clone(),
        };
        if is_postgres(&text) {
            return Some(Location::Postgres(Secret::new(text)));
        }
        if text.contains("://") {
            return self.wrong("/database", "must be the path of a file, or a postgres:// url");
        }
        Some(Location::File(self.folder.join(text)))
    }
}

/// Logout tokens live two minutes, by recommendation (Back-Channel Logout 1.0, 4), and are not sent again.
const LOGOUT_MAX_AGE: Duration = Duration::from_secs(600);

fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Where a transmitter says where its keys are (Shared Signals Framework 1.0, 7.2): before the issuer's path.
fn well_known(issuer: &Url) -> String {
    format!("/.well-known/ssf-configuration{}", issuer.path().trim_end_matches('/'))
}
