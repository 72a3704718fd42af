//! Questions to gateways and identity providers, over the network.

use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::{Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer answers are not read.
const LONGEST: u64 = 4 * 1024 * 1024;

/// Asks, with the system's certificates or those of a file; follows no redirect.
pub(crate) struct Http(Agent);

/// Every name stands for one address.
#[derive(Debug)]
struct Fixed(SocketAddr);

impl Resolver for Fixed {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Date`, `WWW-Authenticate`, `Location` and the like.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Http {
    /// Trusts the system's certificates, or those of a file; asks the hosts that names resolve to, or one address for all.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub(crate) fn new(certificates: Option<&Path>, address: Option<SocketAddr>) -> Result<Self, String> {
        let roots = match certificates {
            None => RootCerts::PlatformVerifier,
            Some(path) => {
                let shown = path.display();
                let text = std::fs::read(path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
                let found = parse_pem(&text).filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                });
                let found: Vec<_> = found.collect();
                if found.is_empty() {
                    return Err(format!("`{shown}` holds no certificate in PEM"));
                }
                RootCerts::new_with_certs(&found)
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("databricks-kong/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self(match address {
            Some(address) => Agent::with_parts(config, DefaultConnector::default(), Fixed(address)),
            None => config.into(),
        }))
    }

    /// # Errors
    /// Nothing was answered: why, in words.
    pub(crate) fn get(&self, url: &str, bearer: Option<&str>) -> Result<Answer, String> {
        let mut request = self.0.get(url);
        if let Some(token) = bearer {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        answer(request.call())
    }

    /// # Errors
    /// Nothing was answered: why, in words.
    pub(crate) fn post_form(&self, url: &str, form: &[(&str, &str)]) -> Result<Answer, String> {
        answer(self.0.post(url).send_form(form.iter().copied()))
    }
}

fn answer(result: Result<Response<ureq::Body>, ureq::Error>) -> Result<Answer, String> {
    let mut response = result.map_err(|error| error.to_string())?;
    let headers = response
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let headers = headers.collect();
    let body = response.body_mut().with_config().limit(LONGEST).lossy_utf8(true).read_to_string();
    let body = body.map_err(|error| error.to_string())?;
    Ok(Answer { status: response.status().as_u16(), headers, body })
}
