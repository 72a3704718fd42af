//! The roles: whom they are for, when, and what they give.

use super::Check;
use super::rules::Purpose;
use crate::base::{Secret, UnixTime};
use crate::config::raw::{self, RawCredential, RawScope, RawSecret};
use crate::policy::{
    Credential, EntraOnBehalfOf, GatewayAssertion, Glob, Match, Role, Scope, SecretSource, ServicePrincipalFederation,
    ServicePrincipalSecret, UserFederation, Validity,
};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Where Entra ID gives out tokens; sovereign clouds have others.
const ENTRA_AUTHORITY: &str = "https://login.microsoftonline.com";
/// All that the caller may do in Azure Databricks, by that application's id, which is the same in every tenant.
const AZURE_DATABRICKS: &str = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/.default";

impl Check<'_> {
    pub(super) fn roles(
        &self,
        raw: Vec<raw::RawRole>,
        providers: &[String],
        allow_http: bool,
        shared: &mut Vec<String>,
    ) -> Vec<Role> {
        if raw.is_empty() {
            self.missing::<()>("/roles", "must list at least one role");
        }
        let mut names = BTreeSet::new();
        let mut roles = Vec::new();
        for (index, raw) in raw.into_iter().enumerate() {
            let pointer = format!("/roles/{index}");
            if !names.insert(raw.name.clone()) {
                self.errors.add(format!("{pointer}/name"), format!("`{}` is already another role's name", raw.name));
            }
            let matches = self.matches(&pointer, raw.r#match, providers);
            let validity = self.validity(&pointer, raw.valid);
            let credential = self.credential(&format!("{pointer}/credential"), raw.credential, allow_http, shared);
            let minimal = credential.as_ref().is_some_and(|credential| credential.is_minimal());
            let purpose = if minimal { Purpose::AllowMinimal } else { Purpose::Allow };
            let allow = self.allow(&format!("{pointer}/allow"), raw.allow, purpose);
            let deny = self.rules(&format!("{pointer}/deny"), raw.deny.unwrap_or_default(), Purpose::Deny);
            if let Some(credential) = credential {
                let (name, credential, observe) = (raw.name.into(), Rc::new(credential), raw.observe.unwrap_or(false));
                roles.push(Role { name, matches, validity, credential, allow, deny, observe });
            }
        }
        roles
    }

    fn matches(&self, pointer: &str, raw: raw::RawMatch, providers: &[String]) -> Match {
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

    fn credential(
        &self,
        pointer: &str,
        raw: RawCredential,
        allow_http: bool,
        shared: &mut Vec<String>,
    ) -> Option<Credential> {
        let scope = |raw| self.scope(&format!("{pointer}/scope"), raw);
        match raw {
            RawCredential::UserFederation(raw) => {
                let assume_group = raw.assume_group.map(|id| id.0);
                Some(Credential::UserFederation(UserFederation { scope: scope(raw.scope)?, assume_group }))
            }
            RawCredential::ServicePrincipalFederation(raw) => {
                let scope = scope(raw.scope)?;
                let client_id = raw.client_id;
                Some(Credential::ServicePrincipalFederation(ServicePrincipalFederation { client_id, scope }))
            }
            RawCredential::ServicePrincipalSecret(raw) => {
                let scope = scope(raw.scope);
                let client_secret = self.secret(&format!("{pointer}/client_secret"), raw.client_secret, shared);
                let (client_id, scope, client_secret) = (raw.client_id, scope?, client_secret?);
                Some(Credential::ServicePrincipalSecret(ServicePrincipalSecret { client_id, client_secret, scope }))
            }
            RawCredential::Passthrough(_) => Some(Credential::Passthrough),
            RawCredential::None(_) => Some(Credential::None),
            RawCredential::GatewayAssertion(raw) => {
                let scope = scope(raw.scope);
                let key = self.signing_key(&format!("{pointer}/key"), raw.key, shared);
                let raw::RawGatewayAssertion { client_id, issuer, audience, subject, kid, .. } = raw;
                let (scope, key) = (scope?, key?);
                let assertion = GatewayAssertion { client_id, issuer, audience, subject, key, kid, scope };
                Some(Credential::GatewayAssertion(assertion))
            }
            RawCredential::EntraOnBehalfOf(raw) => self.on_behalf_of(pointer, raw, allow_http, shared),
        }
    }

    fn on_behalf_of(
        &self,
        pointer: &str,
        raw: raw::RawEntraOnBehalfOf,
        allow_http: bool,
        shared: &mut Vec<String>,
    ) -> Option<Credential> {
        let authority = raw.authority.as_deref().unwrap_or(ENTRA_AUTHORITY);
        let authority = self.callout_url(&format!("{pointer}/authority"), authority, allow_http).and_then(|url| {
            if url.path().contains('?') {
                return self.wrong(format!("{pointer}/authority"), "must not have a query");
            }
            Some(url)
        });
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let tenant = if raw.tenant_id.bytes().all(plain) {
            Some(&raw.tenant_id)
        } else {
            let message = format!("`{}` is no tenant: it must be its id or one of its domains", raw.tenant_id);
            self.wrong(format!("{pointer}/tenant_id"), message)
        };
        let client_secret = self.secret(&format!("{pointer}/client_secret"), raw.client_secret, shared);
        let (authority, tenant) = (authority?, tenant?);
        let path = format!("{}/{tenant}/oauth2/v2.0/token", authority.path().trim_end_matches('/'));
        Some(Credential::EntraOnBehalfOf(EntraOnBehalfOf {
            token_url: authority.with_path(&path),
            upstream: raw.upstream,
            client_id: raw.client_id,
            client_secret: client_secret?,
            scope: Scope::new([AZURE_DATABRICKS])?,
        }))
    }

    /// The scope asked for; `Some(None)` is the least that an operation needs.
    pub(super) fn scope(&self, pointer: &str, raw: Option<RawScope>) -> Option<Option<Scope>> {
        let names = match raw {
            None => return Some(Some(Scope::default())),
            Some(RawScope::One(name)) if name == "minimal" => return Some(None),
            // OAuth's own notation, as it is copied from elsewhere
            Some(RawScope::One(names)) => names.split(' ').map(str::to_owned).collect(),
            Some(RawScope::List(names)) => names,
        };
        if names.iter().any(|name| name == "minimal") {
            return self.wrong(pointer, "`minimal` stands alone, not among other scopes");
        }
        Scope::new(names.iter().map(String::as_str))
            .map(Some)
            .or_else(|| self.wrong(pointer, "must list at least one scope, each without blanks and quotes"))
    }

    pub(super) fn secret(&self, pointer: &str, raw: RawSecret, shared: &mut Vec<String>) -> Option<SecretSource> {
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
                shared.push(raw.shared.clone());
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
