//! Polls transmitters (RFC 8936): asks for events, keeps them, and acknowledges with the next poll what is kept.

use crate::clock;
use crate::config::{Authorization, Poll, Source};
use crate::fetch::{Client, NoReply};
use crate::metrics::{Metrics, Name, OfSource};
use crate::receive::{Receiver, Refused};
use databricks_kong::base::{Secret, UnixTime, parse_object_strict};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How many events a poll asks for.
const MAX_EVENTS: usize = 100;
const DEPTH: usize = 8;
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What the next poll tells the transmitter.
#[derive(Debug, Default)]
struct Told {
    ack: Vec<String>,
    errors: Map<String, Value>,
}

/// Why a poll brought nothing.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    NoReply(#[from] NoReply),
    #[error("{0}")]
    Answer(String),
}

/// Polls one source for ever.
#[derive(Debug)]
pub struct Poller {
    source: Arc<Source>,
    client: Client,
    receiver: Arc<Receiver>,
    metrics: Arc<Metrics>,
    token: Option<(Secret<String>, UnixTime)>,
    told: Told,
}

impl Poller {
    /// For a source.
    #[must_use]
    pub fn new(source: &Arc<Source>, client: &Client, receiver: &Arc<Receiver>, metrics: &Arc<Metrics>) -> Self {
        Self {
            source: Arc::clone(source),
            client: client.clone(),
            receiver: Arc::clone(receiver),
            metrics: Arc::clone(metrics),
            token: None,
            told: Told::default(),
        }
    }

    /// Polls until it is dropped. What was kept and not yet acknowledged then comes again at the next start, and is known.
    pub async fn run(mut self) {
        let source = Arc::clone(&self.source);
        let Some(poll) = &source.poll else { return };
        let mut failures = 0_u32;
        loop {
            let pause = match self.poll(poll).await {
                Ok(more) => {
                    failures = 0;
                    self.count("ok");
                    let now = i64::try_from(clock::now().wall.as_secs()).unwrap_or(i64::MAX);
                    self.metrics.last_poll.get_or_create(&Name { source: source.name.clone() }).set(now);
                    if more { Duration::ZERO } else { poll.interval }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.count("failed");
                    warn!(source = source.name, failures, "a poll failed: {error}");
                    pause_after(poll.interval, failures)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.polls.get_or_create(&OfSource { source: self.source.name.clone(), outcome }).inc();
    }

    /// One poll; whether there is more to ask for at once.
    async fn poll(&mut self, poll: &Poll) -> Result<bool, Failed> {
        let token = self.authorization(poll).await?;
        let request = json!({
            "maxEvents": MAX_EVENTS, "returnImmediately": true, "ack": self.told.ack, "setErrs": self.told.errors,
        });
        let reply = self.client.post(&poll.url, "application/json", token.as_ref(), request.to_string()).await?;
        if reply.status == 401 {
            self.token = None;
        }
        if reply.status != 200 {
            return Err(Failed::Answer(format!("status {}", reply.status)));
        }
        // the transmitter knows now
        self.told = Told::default();
        let wrong = || Failed::Answer("the answer is not one of RFC 8936".to_owned());
        let answer = parse_object_strict(&reply.body, DEPTH).map_err(|_| wrong())?;
        let sets = match answer.get("sets") {
            Some(Value::Object(sets)) => sets,
            None => return Ok(false),
            Some(_) => return Err(wrong()),
        };
        let mut put_off = false;
        for (id, token) in sets.iter().take(MAX_EVENTS) {
            put_off |= !self.take(id, token).await;
        }
        let has_more = answer.get("moreAvailable") == Some(&Value::Bool(true));
        // what was acknowledged must be told before long, and what was put off not be asked for in a circle
        Ok(!put_off && (has_more || !sets.is_empty()))
    }

    /// Takes one event; false, if it has to come again.
    async fn take(&mut self, id: &str, token: &Value) -> bool {
        let source = Arc::clone(&self.source);
        let taken = self.receiver.take(&source, token.as_str().unwrap_or_default().as_bytes()).await;
        match taken {
            Ok(_) => self.told.ack.push(id.to_owned()),
            Err(error) if error.is_for_now() => return false,
            Err(error) => {
                self.told.errors.insert(id.to_owned(), error_body(&error));
            }
        }
        true
    }

    async fn authorization(&mut self, poll: &Poll) -> Result<Option<Secret<String>>, Failed> {
        match &poll.authorization {
            Authorization::None => Ok(None),
            Authorization::Bearer(secret) => Ok(Some(secret.clone())),
            Authorization::Client { token_url, id, secret, scope } => {
                let now = clock::now().wall;
                if let Some((token, until)) = &self.token
                    && now < *until
                {
                    return Ok(Some(token.clone()));
                }
                let fields =
                    [("client_id", Some(id)), ("client_secret", Some(secret.expose())), ("scope", scope.as_ref())];
                let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
                let form = form_urlencoded::Serializer::new("grant_type=client_credentials".to_owned())
                    .extend_pairs(fields)
                    .finish();
                let reply = self.client.post(token_url, "application/x-www-form-urlencoded", None, form).await?;
                let (token, life) = read_token(reply.status, &reply.body).ok_or_else(|| {
                    Failed::Answer(format!("the token endpoint gave no token, status {}", reply.status))
                })?;
                info!(source = self.source.name, "a token for polls was fetched");
                self.token = Some((token.clone(), now.plus(life)));
                Ok(Some(token))
            }
        }
    }
}

/// The access token and for how long to use it.
fn read_token(status: u16, body: &[u8]) -> Option<(Secret<String>, Duration)> {
    let answer = parse_object_strict(body, DEPTH).ok().filter(|_| status == 200)?;
    let token = answer.get("access_token")?.as_str()?.to_owned();
    let life = answer.get("expires_in").and_then(Value::as_u64).unwrap_or(60);
    let life = Duration::from_secs(life.min(86_400));
    Some((Secret::new(token), life.mul_f64(0.9)))
}

fn pause_after(interval: Duration, failures: u32) -> Duration {
    let doubled = interval.saturating_mul(2_u32.saturating_pow(failures.min(8)));
    doubled.clamp(interval, LONGEST_PAUSE.max(interval))
}

/// How RFC 8935 and RFC 8936 say why a token was not accepted.
#[must_use]
pub fn error_body(error: &Refused) -> Value {
    use databricks_kong::jwt::TokenError;
    let code = match error {
        Refused::Issuer | Refused::Token(TokenError::IssuerMismatch) => "invalid_issuer",
        Refused::Token(TokenError::AudienceMismatch) => "invalid_audience",
        Refused::Token(
            TokenError::UnknownKey
            | TokenError::SignatureInvalid
            | TokenError::NoKeyVerifies
            | TokenError::AlgorithmNotAllowed,
        ) => "invalid_key",
        _ => "invalid_request",
    };
    json!({"err": code, "description": error.to_string()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_after_failures_and_end() {
        let pause = |seconds, failures| pause_after(Duration::from_secs(seconds), failures).as_secs();
        assert_eq!((pause(10, 1), pause(10, 2), pause(10, 30)), (20, 40, 300));
        assert_eq!(pause(3600, 5), 3600);
    }

    #[test]
    fn a_token_for_polls_is_used_for_most_of_its_life() {
        let read =
            |body: &str| read_token(200, body.as_bytes()).map(|(token, life)| (token.expose().clone(), life.as_secs()));
        assert_eq!(read(r#"{"access_token":"t","expires_in":300}"#), Some(("t".to_owned(), 270)));
        assert_eq!(read(r#"{"access_token":"t"}"#), Some(("t".to_owned(), 54)));
        assert_eq!(read(r#"{"error":"x"}"#), None);
        assert!(read_token(400, br#"{"access_token":"t"}"#).is_none());
    }
}
