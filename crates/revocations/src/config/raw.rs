//! What the user typed.

use crate::subject::Format;
use serde::Deserialize;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) listen: Option<String>,
    pub(super) database: Option<RawSecret>,
    pub(super) admin: Option<RawOpened>,
    pub(super) feed: Option<RawOpened>,
    pub(super) retention: Option<u64>,
    pub(super) max_entries: Option<u64>,
    pub(super) allow_http: Option<bool>,
    /// Read by the code that reads them for the filter.
    pub(super) identity_providers: Option<Value>,
    pub(super) sources: Option<Vec<RawSource>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOpened {
    pub(super) secret: RawSecret,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a string, {env: NAME} or {file: PATH}")]
pub(super) enum RawSecret {
    Text(String),
    Env(RawEnv),
    File(RawFile),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEnv {
    pub(super) env: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    pub(super) file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSource {
    pub(super) name: String,
    pub(super) r#type: SourceType,
    pub(super) provider: String,
    pub(super) issuer: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Option<Vec<String>>,
    pub(super) jwks_url: Option<String>,
    pub(super) subject_formats: Option<Vec<Format>>,
    pub(super) cut_off: Option<CutOff>,
    pub(super) max_age: Option<u64>,
    pub(super) push: Option<RawOpened>,
    pub(super) poll: Option<RawPoll>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPoll {
    pub(super) url: String,
    pub(super) interval: Option<u64>,
    pub(super) authorization: Option<RawAuthorization>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "must be a secret, or an object with `token_url`, `client_id`, `client_secret` and perhaps `scope`"
)]
pub(super) enum RawAuthorization {
    Client(RawClient),
    Secret(RawSecret),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClient {
    pub(super) token_url: String,
    pub(super) client_id: String,
    pub(super) client_secret: RawSecret,
    pub(super) scope: Option<String>,
}

/// What a source sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceType {
    /// Logout tokens (OpenID Connect Back-Channel Logout 1.0).
    BackchannelLogout,
    /// Security event tokens (RFC 8417), pushed (RFC 8935) or polled (RFC 8936).
    SecurityEvents,
}

impl SourceType {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BackchannelLogout => "backchannel_logout",
            Self::SecurityEvents => "security_events",
        }
    }
}

/// What an event about one session of a user cuts off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutOff {
    /// The tokens of that session: only where the provider's access tokens have `sid`, or nothing is cut off.
    Session,
    /// Every token of the user that was issued before.
    User,
}

/// As a JSON pointer.
pub(super) fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        // writing to a `String` cannot fail
        let _ = match segment {
            Segment::Seq { index } => write!(pointer, "/{index}"),
            Segment::Map { key } => write!(pointer, "/{key}"),
            Segment::Enum { .. } | Segment::Unknown => Ok(()),
        };
    }
    pointer
}
