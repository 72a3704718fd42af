//! The keys that events are verified with: fetched when they are needed, kept, fetched again for a key that is not known.

use crate::fetch::{Client, NoReply, Reply};
use databricks_kong::base::{Now, Uptime, Url, parse_object_strict};
use databricks_kong::jwt::KeySet;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long keys are fresh if the answer does not say, and the bounds of what it may say: as the filter has them.
const DEFAULT_FRESHNESS: u64 = 600;
const FRESHNESS: std::ops::RangeInclusive<u64> = 60..=86_400;
/// Between two fetches for keys that are not known: anybody may make tokens with such.
const UNKNOWN_KEY: Duration = Duration::from_secs(30);
/// After a failure.
const COOL_DOWN: Duration = Duration::from_secs(5);
const DISCOVERY_DEPTH: usize = 16;

/// Where keys are.
#[derive(Clone, Debug)]
pub struct KeyAddress {
    /// The key set, or a document that says where it is.
    pub url: Url,
    /// The issuer of that document; absent, if `url` is that of the key set.
    pub of_document: Option<String>,
    /// Whether plain http is allowed to hosts that are not loopback.
    pub allow_http: bool,
    /// How long known keys serve once they should have been fetched again and could not be.
    pub max_stale: Duration,
}

/// The keys of one source.
#[derive(Debug)]
pub struct Keys {
    address: KeyAddress,
    client: Client,
    /// Held while keys are fetched: whoever needs them too waits for that fetch.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    fresh_until: Uptime,
    fetched: Option<Uptime>,
    not_before: Uptime,
}

/// Why there are no keys, for now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKeys {
    /// No answer.
    #[error(transparent)]
    NoReply(#[from] NoReply),
    /// An answer that is none.
    #[error("{0}")]
    Answer(String),
    /// The last try failed a moment ago.
    #[error("the last try failed a moment ago")]
    CoolDown,
}

/// What is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Keys of now.
    Keys,
    /// Newer ones: a token has a key that is not known.
    Newer,
}

/// Keys, and how they were come by.
#[derive(Debug)]
pub struct Held {
    /// The keys.
    pub keys: Arc<KeySet>,
    /// How a fetch ended, if there was one.
    pub fetched: Option<Result<(), NoKeys>>,
}

impl Keys {
    /// None yet.
    #[must_use]
    pub fn new(address: KeyAddress, client: Client) -> Self {
        Self { address, client, state: Mutex::default() }
    }

    /// The keys, fetched if there is need; those that are known, if that fails and they are not too old.
    ///
    /// # Errors
    /// There are none.
    pub async fn held(&self, need: Need, now: Now) -> Result<Held, NoKeys> {
        let mut state = self.state.lock().await;
        if let Some(keys) = &state.keys
            && !state.is_due(need, now)
        {
            return Ok(Held { keys: Arc::clone(keys), fetched: None });
        }
        let fetched = if now.uptime < state.not_before { Err(NoKeys::CoolDown) } else { self.fetch().await };
        match fetched {
            Ok((keys, freshness)) => {
                let keys = Arc::new(keys);
                let fresh_until = now.uptime.plus(freshness);
                let fetched = Some(now.uptime);
                *state = State { keys: Some(Arc::clone(&keys)), fresh_until, fetched, not_before: Uptime::default() };
                Ok(Held { keys, fetched: Some(Ok(())) })
            }
            Err(error) => {
                if error != NoKeys::CoolDown {
                    state.not_before = now.uptime.plus(COOL_DOWN);
                }
                let serve = now.uptime < state.fresh_until.plus(self.address.max_stale);
                match &state.keys {
                    Some(keys) if serve => Ok(Held { keys: Arc::clone(keys), fetched: Some(Err(error)) }),
                    _ => Err(error),
                }
            }
        }
    }

    async fn fetch(&self) -> Result<(KeySet, Duration), NoKeys> {
        let url = match &self.address.of_document {
            None => self.address.url.clone(),
            Some(issuer) => self.discover(issuer).await?,
        };
        let reply = self.client.get(&url).await?;
        let parsed = KeySet::parse(body(&reply)?).map_err(|error| NoKeys::Answer(error.to_string()))?;
        let seconds = reply.max_age.unwrap_or(DEFAULT_FRESHNESS).clamp(*FRESHNESS.start(), *FRESHNESS.end());
        Ok((parsed.keys, Duration::from_secs(seconds)))
    }

    /// The document's `issuer` must be the one that was asked for (OpenID Connect Discovery 1.0, 4.3; Shared Signals Framework 1.0, 7.2.3).
    async fn discover(&self, issuer: &str) -> Result<Url, NoKeys> {
        let wrong = |text: String| NoKeys::Answer(format!("the discovery document {text}"));
        let reply = self.client.get(&self.address.url).await?;
        let document =
            parse_object_strict(body(&reply)?, DISCOVERY_DEPTH).map_err(|fault| wrong(format!("is {fault}")))?;
        let text = |key: &str| document.get(key).and_then(Value::as_str);
        if text("issuer") != Some(issuer) {
            return Err(wrong("is of another issuer".to_owned()));
        }
        let url = text("jwks_uri").ok_or_else(|| wrong("has no `jwks_uri`".to_owned()))?;
        match Url::parse(url) {
            Ok(url) if url.may_be_called(self.address.allow_http) => Ok(url),
            Ok(_) => Err(wrong("has a `jwks_uri` that does not begin with https://".to_owned())),
            Err(fault) => Err(wrong(format!("has a `jwks_uri` that {fault}"))),
        }
    }
}

impl State {
    fn is_due(&self, need: Need, now: Now) -> bool {
        match need {
            Need::Keys => now.uptime >= self.fresh_until,
            Need::Newer => self.fetched.is_none_or(|fetched| now.uptime.since(fetched) >= UNKNOWN_KEY),
        }
    }
}

fn body(reply: &Reply) -> Result<&[u8], NoKeys> {
    if reply.status == 200 { Ok(&reply.body) } else { Err(NoKeys::Answer(format!("status {}", reply.status))) }
}
