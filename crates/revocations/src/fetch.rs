//! Requests of the service's own: over TLS, bounded in time and size, to the address that was configured and no other.

use databricks_kong::base::{Secret, Url};
use std::time::Duration;

/// For one request in all.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest body that is read: a poll may bring a hundred events.
const LONGEST: usize = 4 * 1024 * 1024;

/// An HTTP client.
#[derive(Clone, Debug)]
pub struct Client(reqwest::Client);

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// The seconds that `Cache-Control` calls it fresh.
    pub max_age: Option<u64>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why there is no answer. Holds no secret and nothing of a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoReply(String);

impl Client {
    /// A client that trusts whom this machine trusts.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> Result<Self, NoReply> {
        // another part of the program may have done so
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("databricks-kong-revocations/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(|error| NoReply(chain(&error)))
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// There is no answer, or one that is too long.
    pub async fn get(&self, url: &Url) -> Result<Reply, NoReply> {
        read(self.0.get(url.to_string()).header("accept", "application/json")).await
    }

    /// Posts a body, with `Authorization: Bearer`, if there is a token.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post(
        &self,
        url: &Url,
        media_type: &str,
        token: Option<&Secret<String>>,
        body: String,
    ) -> Result<Reply, NoReply> {
        let request = self.0.post(url.to_string()).header("accept", "application/json");
        let request = request.header("content-type", media_type).body(body);
        read(match token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        })
        .await
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Reply, NoReply> {
    let failed = |error: reqwest::Error| NoReply(chain(&error.without_url()));
    let mut reply = request.send().await.map_err(failed)?;
    let (status, max_age) = (reply.status().as_u16(), max_age(reply.headers()));
    let mut body = Vec::new();
    while let Some(chunk) = reply.chunk().await.map_err(failed)? {
        if body.len().saturating_add(chunk.len()) > LONGEST {
            return Err(NoReply("the answer is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, max_age, body })
}

fn max_age(headers: &reqwest::header::HeaderMap) -> Option<u64> {
    let directives = headers.get("cache-control")?.to_str().ok()?;
    directives.split(',').find_map(|directive| {
        let (name, seconds) = directive.trim().split_once('=')?;
        if name.eq_ignore_ascii_case("max-age") { seconds.trim_matches('"').parse().ok() } else { None }
    })
}

/// The causes too: "error sending request" says little.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
