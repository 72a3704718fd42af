//! A provider's feed of revoked identities.

use super::Check;
use crate::base::Fingerprint;
use crate::config::raw::RawRevocation;
use crate::config::{Endpoint, Feed};
use crate::policy::SecretSource;
use std::time::Duration;

impl Check<'_> {
    pub(super) fn feed(
        &self,
        pointer: &str,
        raw: RawRevocation,
        allow_http: bool,
        shared: &mut Vec<String>,
    ) -> Option<Feed> {
        let refresh = self.in_range(&format!("{pointer}/refresh"), raw.refresh, 15, 1..=3600);
        let max_stale = self.in_range(&format!("{pointer}/max_stale"), raw.max_stale, 60, 1..=86_400);
        if max_stale < refresh {
            let message =
                format!("is {max_stale}, less than `refresh` ({refresh}): no answer would be good until the next");
            self.errors.add(format!("{pointer}/max_stale"), message);
        }
        let authorization = match raw.authorization {
            Some(secret) => self.secret(&format!("{pointer}/authorization"), secret, shared).map(Some),
            None => Some(None),
        };
        let url = self.callout_url(&format!("{pointer}/url"), &raw.url, allow_http);
        let (authorization, endpoint) = (authorization?, Endpoint { url: url?, upstream: raw.upstream });
        let id = id(&endpoint, authorization.as_ref(), refresh);
        let (refresh, max_stale) = (Duration::from_secs(refresh), Duration::from_secs(max_stale));
        Some(Feed { id, endpoint, authorization, refresh, max_stale })
    }
}

/// How long what was read is fresh is part of it: it is settled when it is read.
fn id(endpoint: &Endpoint, authorization: Option<&SecretSource>, refresh: u64) -> Fingerprint {
    let (kind, secret) = match authorization {
        None => ("none", ""),
        Some(SecretSource::Known(secret)) => ("known", secret.expose().as_str()),
        Some(SecretSource::Shared(name)) => ("shared", name.as_str()),
    };
    Fingerprint::builder("feed")
        .field(endpoint.url.to_string().as_bytes())
        .field(endpoint.upstream.as_deref().unwrap_or_default().as_bytes())
        .field(kind.as_bytes())
        .field(secret.as_bytes())
        .field(&refresh.to_be_bytes())
        .finish()
}
