//! The assertion of the caller for the upstream.

use super::Check;
use crate::config::raw::{RawIdentityHeader, RawSecret};
use crate::config::{IdentityHeader, Workspace};
use crate::policy::SigningKeySource;
use std::time::Duration;

/// The header, where none is named.
const NAME: &str = "X-Databricks-Kong-Identity";
/// More keys than these are no rotation.
const MOST_KEYS: usize = 8;

impl Check<'_> {
    pub(super) fn identity_header(
        &self,
        raw: RawIdentityHeader,
        workspace: Option<&Workspace>,
        shared: &mut Vec<String>,
    ) -> Option<IdentityHeader> {
        let name = self.own_header("/identity_header/name", raw.name.as_deref().unwrap_or(NAME));
        let ttl = self.in_range("/identity_header/ttl", raw.ttl, 60, 1..=300);
        let keys = self.identity_keys(raw.key, raw.keys, shared);
        let public_url = workspace.map(|workspace| workspace.public_url.as_ref());
        if public_url == Some(None) {
            self.errors.add("/workspace/public_url", "is missing: it is the issuer of what `identity_header` signs");
        }
        let issuer = public_url.flatten()?.base();
        let [first, others @ ..] = &*keys? else { return None };
        let (first, others) = (first.clone(), others.to_vec());
        let life = Duration::from_secs(ttl);
        Some(IdentityHeader { name: name?.into(), first, others, audience: raw.audience, life, issuer })
    }

    fn identity_keys(
        &self,
        key: Option<RawSecret>,
        keys: Option<Vec<RawSecret>>,
        shared: &mut Vec<String>,
    ) -> Option<Vec<SigningKeySource>> {
        match (key, keys) {
            (Some(key), None) => self.signing_key("/identity_header/key", key, shared).map(|key| vec![key]),
            (None, Some(keys)) if keys.is_empty() || keys.len() > MOST_KEYS => self
                .wrong("/identity_header/keys", format!("must list one to {MOST_KEYS} keys, the one that signs first")),
            (None, Some(keys)) => {
                let keys = keys.into_iter().enumerate();
                let read = keys.map(|(at, key)| self.signing_key(&format!("/identity_header/keys/{at}"), key, shared));
                // each is read, so that each one's error is found
                read.collect::<Vec<_>>().into_iter().collect()
            }
            (None, None) => {
                self.missing("/identity_header/key", "is missing; it must be a key, or `keys` a list of them")
            }
            (Some(_), Some(_)) => {
                self.wrong("/identity_header/keys", "stands beside `key`; only one of them can be meant")
            }
        }
    }

    /// The name, in lower case, of a header that is the gateway's own: no client's passes.
    pub(super) fn own_header(&self, pointer: &str, name: &str) -> Option<String> {
        let folded = name.to_ascii_lowercase();
        let is_token = folded.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_token {
            return self.wrong(pointer, format!("`{name}` may hold letters, digits and `-` only"));
        }
        if is_taken(&folded) {
            return self.wrong(pointer, format!("`{name}` has another meaning, which a request needs"));
        }
        Some(folded)
    }
}

/// Headers by which a request is framed, routed, understood or let in.
fn is_taken(folded: &str) -> bool {
    const TAKEN: [&str; 16] = [
        "authorization",
        "connection",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-databricks-org-id",
        "x-request-id",
    ];
    const FAMILIES: [&str; 5] = ["accept", "content-", "proxy-", "x-forwarded-", "x-databricks-"];
    let is_free = folded.starts_with("x-databricks-kong-");
    TAKEN.contains(&folded) || (FAMILIES.iter().any(|family| folded.starts_with(family)) && !is_free)
}
