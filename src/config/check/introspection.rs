//! How a provider is asked of tokens.

use super::Check;
use crate::config::raw::{RawIntrospection, RawIntrospectionWhen};
use crate::config::{Endpoint, Introspection};
use std::time::Duration;

impl Check<'_> {
    /// `upstream` is the provider's own, which the endpoint is taken to be at too.
    pub(super) fn introspection(
        &self,
        pointer: &str,
        raw: RawIntrospection,
        upstream: Option<&String>,
        allow_http: bool,
        shared: &mut Vec<String>,
    ) -> Option<Introspection> {
        let cache = self.in_range(&format!("{pointer}/cache"), raw.cache, 30, 0..=3600);
        let client_secret = self.secret(&format!("{pointer}/client_secret"), raw.client_secret, shared);
        let url = self.callout_url(&format!("{pointer}/url"), &raw.url, allow_http);
        Some(Introspection {
            endpoint: Endpoint { url: url?, upstream: raw.upstream.or_else(|| upstream.cloned()) },
            client_id: raw.client_id,
            client_secret: client_secret?,
            always: raw.when == Some(RawIntrospectionWhen::Always),
            cache: Duration::from_secs(cache),
        })
    }
}
