//! The identity providers.

use super::Check;
use crate::base::{Fingerprint, SortedMap, Url};
use crate::config::raw;
use crate::config::{Endpoint, KeySource, Provider};
use crate::jwt::{Algorithm, ClaimPath, Expectations};
use serde_json::Value;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

impl Check<'_> {
    pub(super) fn providers(
        &self,
        raw: Vec<raw::RawIdentityProvider>,
        allow_http: bool,
        shared: &mut Vec<String>,
    ) -> Vec<Rc<Provider>> {
        if raw.is_empty() {
            self.missing::<()>("/identity_providers", "must list at least one provider");
        }
        let mut names = BTreeSet::new();
        let mut issuers = BTreeSet::new();
        let mut signs_in = None;
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
            if raw.login.is_some() {
                self.only_login(&pointer, &raw.name, &mut signs_in);
            }
            providers.extend(self.provider(&pointer, raw, allow_http, shared).map(Rc::new));
        }
        providers
    }

    fn provider(
        &self,
        pointer: &str,
        raw: raw::RawIdentityProvider,
        allow_http: bool,
        shared: &mut Vec<String>,
    ) -> Option<Provider> {
        if raw.audiences.is_empty() {
            self.missing::<()>(&format!("{pointer}/audiences"), "must list at least one audience");
        }
        let keys = self.key_source(pointer, &raw, allow_http);
        let introspection = match raw.introspection {
            Some(entry) => {
                let pointer = format!("{pointer}/introspection");
                self.introspection(&pointer, entry, raw.upstream.as_ref(), allow_http, shared).map(Some)
            }
            None => Some(None),
        };
        let login = match raw.login {
            Some(login) => {
                self.login(pointer, login, (&raw.issuer, raw.upstream.as_ref()), allow_http, shared).map(Some)
            }
            None => Some(None),
        };
        let revocation = match raw.revocation {
            Some(raw) => self.feed(&format!("{pointer}/revocation"), raw, allow_http, shared).map(Some),
            None => Some(None),
        };
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
            groups_separator: claims.and_then(|raw| {
                self.separator(&format!("{pointer}/claims/groups_separator"), raw.groups_separator.as_ref()?)
            }),
            client: claim("client", claims.and_then(|raw| raw.client.as_ref())),
            algorithms: self.algorithms(pointer, raw.algorithms),
            required: self.required(pointer, raw.require.unwrap_or_default()),
            issuer: raw.issuer.into(),
            audiences: raw.audiences,
            clock_skew: Duration::from_secs(skew),
            max_lifetime: raw.max_lifetime.map(Duration::from_secs),
        };
        let keys_max_stale = Duration::from_secs(raw.keys_max_stale.unwrap_or(86_400));
        let id = Fingerprint::builder("provider").field(self.digest.as_bytes()).field(pointer.as_bytes()).finish();
        let (keys, name) = (keys?, raw.name.into());
        let (introspection, revocation) = (introspection?.map(Rc::new), revocation?.map(Rc::new));
        let login = login?.map(Rc::new);
        let keys_id = keys_id(&expectations.issuer, &keys, allow_http);
        Some(Provider {
            id,
            name,
            expectations,
            keys,
            keys_id,
            allow_http,
            keys_max_stale,
            introspection,
            login,
            revocation,
        })
    }

    fn key_source(&self, pointer: &str, raw: &raw::RawIdentityProvider, allow_http: bool) -> Option<KeySource> {
        let upstream = raw.upstream.clone();
        if let Some(text) = &raw.jwks_url {
            let url = self.callout_url(&format!("{pointer}/jwks_url"), text, allow_http)?;
            return Some(KeySource::Jwks(Endpoint { url, upstream }));
        }
        let pointer = format!("{pointer}/issuer");
        let issuer = self.callout_url(&pointer, &raw.issuer, allow_http)?;
        match discovery_document(&issuer) {
            Some(url) => Some(KeySource::Discovery(Endpoint { url, upstream })),
            None => self.wrong(pointer, "has a query, so its keys cannot be discovered: set `jwks_url`"),
        }
    }

    fn separator(&self, pointer: &str, text: &str) -> Option<char> {
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(only), None) => Some(only),
            _ => self.wrong(pointer, "must be one character, such as a blank or a comma"),
        }
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

    fn required(&self, pointer: &str, raw: SortedMap<String, Value>) -> Vec<(ClaimPath, Vec<Value>)> {
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
}

/// Where the discovery document of an issuer is (OpenID Connect Discovery 1.0, 4.1), if it can have one.
pub(super) fn discovery_document(issuer: &Url) -> Option<Url> {
    let path = format!("{}/.well-known/openid-configuration", issuer.path().trim_end_matches('/'));
    (!issuer.path().contains('?')).then(|| issuer.with_path(&path))
}

fn keys_id(issuer: &str, keys: &KeySource, allow_http: bool) -> Fingerprint {
    let (kind, endpoint) = match keys {
        KeySource::Jwks(endpoint) => ("jwks", endpoint),
        KeySource::Discovery(endpoint) => ("discovery", endpoint),
    };
    Fingerprint::builder("keys")
        .field(kind.as_bytes())
        .field(issuer.as_bytes())
        .field(endpoint.url.to_string().as_bytes())
        .field(endpoint.upstream.as_deref().unwrap_or_default().as_bytes())
        .field(&[u8::from(allow_http)])
        .finish()
}
