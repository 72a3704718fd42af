//! How people sign in at a provider through the gateway.

use super::Check;
use super::providers::discovery_document;
use crate::base::{Fingerprint, Url};
use crate::config::raw::RawLogin;
use crate::config::{Endpoint, Login};

impl Check<'_> {
    /// Says so if another provider has `login` already.
    pub(super) fn only_login(&self, pointer: &str, name: &str, signs_in: &mut Option<String>) {
        match signs_in {
            Some(other) => {
                let message = format!(
                    "`{other}` has it already; clients know one place to sign in, so only one provider may have it"
                );
                self.errors.add(format!("{pointer}/login"), message);
            }
            None => *signs_in = Some(name.to_owned()),
        }
    }

    /// The endpoints are found by discovery, from the provider's `issuer`; `upstream` is the provider's own.
    pub(super) fn login(
        &self,
        provider: &str,
        raw: RawLogin,
        (issuer, upstream): (&str, Option<&String>),
        allow_http: bool,
        shared: &mut Vec<String>,
    ) -> Option<Login> {
        let pointer = format!("{provider}/login");
        let client_id = self.login_client(&format!("{pointer}/client_id"), raw.client_id);
        let scope = self.login_scope(&format!("{pointer}/scope"), raw.scope);
        let client_secret = match raw.client_secret {
            Some(secret) => self.secret(&format!("{pointer}/client_secret"), secret, shared).map(Some),
            None => Some(None),
        };
        let discovery =
            Endpoint { url: self.login_discovery(pointer, issuer, allow_http)?, upstream: upstream.cloned() };
        let endpoints_id = endpoints_id(issuer, &discovery, allow_http);
        Some(Login { endpoints_id, discovery, client_id: client_id?, client_secret: client_secret?, scope: scope? })
    }

    fn login_discovery(&self, pointer: String, issuer: &str, allow_http: bool) -> Option<Url> {
        let url = Url::parse(issuer).ok().filter(|url| url.may_be_called(allow_http));
        match url.as_ref().and_then(discovery_document) {
            Some(url) => Some(url),
            None => self.wrong(
                pointer,
                "needs an `issuer` that is an https url without a query: where people sign in is in its discovery document",
            ),
        }
    }

    /// RFC 6749 appendix A.1.
    fn login_client(&self, pointer: &str, client_id: String) -> Option<String> {
        if !client_id.is_empty() && client_id.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return Some(client_id);
        }
        self.wrong(pointer, "must not be empty, and may hold printable ASCII only")
    }

    /// RFC 6749 section 3.3.
    fn login_scope(&self, pointer: &str, scope: String) -> Option<String> {
        let in_token = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if scope.split(' ').all(|token| !token.is_empty() && token.bytes().all(in_token)) {
            return Some(scope);
        }
        self.wrong(pointer, "must be one or more scopes, separated by single blanks")
    }
}

fn endpoints_id(issuer: &str, discovery: &Endpoint, allow_http: bool) -> Fingerprint {
    Fingerprint::builder("login")
        .field(issuer.as_bytes())
        .field(discovery.url.to_string().as_bytes())
        .field(discovery.upstream.as_deref().unwrap_or_default().as_bytes())
        .field(&[u8::from(allow_http)])
        .finish()
}
