//! The keys of the issuers, fetched by this mock itself: what the gateway believes about them plays no part.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::clock;

const FRESH_MS: u64 = 30_000;

struct Cached {
    keys: Vec<Value>,
    fetched_at_ms: u64,
}

pub(crate) struct IssuerKeys {
    client: reqwest::Client,
    cache: Mutex<HashMap<String, Cached>>,
}

impl IssuerKeys {
    pub(crate) fn new() -> Result<Self, String> {
        // installed before: as good
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(5))
            .build()
            .map_err(|e| format!("HTTP client: {e}"))?;
        Ok(Self { client, cache: Mutex::default() })
    }

    /// The issuer's keys; asked for again when they are older than half a minute or lack this key id.
    pub(crate) async fn of(
        &self,
        issuer: &str,
        jwks_url: Option<&str>,
        key_id: Option<&str>,
    ) -> Result<Vec<Value>, String> {
        if let Some(keys) = self.cached(issuer, key_id) {
            return Ok(keys);
        }
        let url = match jwks_url {
            Some(url) => url.to_owned(),
            None => self.discover(issuer).await?,
        };
        let keys = keys_of(&self.get(&url).await?).ok_or_else(|| format!("{url} holds no key set"))?;
        let cached = Cached { keys: keys.clone(), fetched_at_ms: clock::now_ms() };
        self.lock().insert(issuer.to_owned(), cached);
        Ok(keys)
    }

    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    fn cached(&self, issuer: &str, key_id: Option<&str>) -> Option<Vec<Value>> {
        let cache = self.lock();
        let cached = cache.get(issuer)?;
        let fresh = clock::now_ms() < cached.fetched_at_ms.saturating_add(FRESH_MS);
        let has_it = key_id.is_none_or(|id| cached.keys.iter().any(|key| has_id(key, id)));
        (fresh && has_it).then(|| cached.keys.clone())
    }

    async fn discover(&self, issuer: &str) -> Result<String, String> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document = self.get(&url).await?;
        let member = |name: &str| document.get(name).and_then(Value::as_str);
        if member("issuer") != Some(issuer) {
            return Err(format!("{url} is the document of another issuer"));
        }
        member("jwks_uri").map(str::to_owned).ok_or_else(|| format!("{url} names no jwks_uri"))
    }

    async fn get(&self, url: &str) -> Result<Value, String> {
        let failed = |e: reqwest::Error| format!("{url}: {e}");
        let answer = self.client.get(url).send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("{url}: status {}", answer.status()));
        }
        answer.json().await.map_err(failed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Cached>> {
        self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The list in a key set.
pub(crate) fn keys_of(set: &Value) -> Option<Vec<Value>> {
    set.get("keys").and_then(Value::as_array).cloned()
}

pub(crate) fn has_id(key: &Value, id: &str) -> bool {
    key.get("kid").and_then(Value::as_str) == Some(id)
}
