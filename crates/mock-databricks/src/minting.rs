//! The tokens that this workspace gives out, and the register of all that it ever gave out. The register alone
//! decides whether a bearer token is good: that a token is well signed proves nothing here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jwt_simple::prelude::{Claims, Duration, HeaderOptions, RS256KeyPair, RSAKeyPairLike, UnixTimeStamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{clock, ids};

/// Signs for show. Who holds it gains nothing, since only registered tokens are accepted; it is a file because
/// to generate an RSA key takes a debug build several seconds.
const SIGNING_KEY: &[u8] = include_bytes!("signing_key.der");
const KEY_ID: &str = "mock-databricks-1";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    User,
    ServicePrincipal,
}

/// For whom a token is, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Holder {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) scope: String,
    pub(crate) assume_group: Option<String>,
}

impl Holder {
    /// Sessions and statements belong to the principal with its role, whatever the scope of the token.
    pub(crate) fn same_principal(&self, other: &Self) -> bool {
        (self.kind, &self.name, &self.assume_group) == (other.kind, &other.name, &other.assume_group)
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Minted {
    pub(crate) token: String,
    pub(crate) token_sha256: String,
    #[serde(flatten)]
    pub(crate) holder: Holder,
    pub(crate) issued_at: u64,
    pub(crate) expires_at: u64,
    pub(crate) revoked: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    Unknown,
    Expired,
    Revoked,
}

pub(crate) struct Mint {
    key: RS256KeyPair,
    register: Mutex<Vec<Minted>>,
}

#[derive(serde::Deserialize, Serialize)]
struct Extra<'a> {
    client_id: &'a str,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    assume_group: Option<&'a str>,
}

/// What the claims say about the workspace.
pub(crate) struct Place<'a> {
    pub(crate) host: &'a str,
    pub(crate) workspace_id: &'a str,
}

impl Mint {
    pub(crate) fn new() -> Result<Self, String> {
        let key = RS256KeyPair::from_der(SIGNING_KEY).map_err(|e| format!("signing key: {e}"))?;
        Ok(Self { key: key.with_key_id(KEY_ID), register: Mutex::default() })
    }

    /// Signs a token and registers it. Claims and header are those of a real one (databricks.md 1.4).
    pub(crate) fn mint(&self, place: &Place<'_>, holder: Holder, expires_at: u64) -> Result<Minted, String> {
        let issued_at = clock::now();
        let client_id = match holder.kind {
            Kind::ServicePrincipal => holder.name.as_str(),
            Kind::User => "databricks-federation",
        };
        let extra = Extra { client_id, scope: &holder.scope, assume_group: holder.assume_group.as_deref() };
        let mut claims = Claims::with_custom_claims(extra, Duration::from_secs(0))
            .with_issuer(format!("https://{}/oidc", place.host))
            .with_audience(place.workspace_id)
            .with_subject(&holder.name)
            .with_jwt_id(ids::uuid());
        claims.issued_at = Some(UnixTimeStamp::from_secs(issued_at));
        claims.expires_at = Some(UnixTimeStamp::from_secs(expires_at));
        claims.invalid_before = None;
        let header = HeaderOptions { signature_type: Some("at+jwt".into()), ..HeaderOptions::default() };
        let token = self.key.sign_with_options(claims, &header).map_err(|e| e.to_string())?;
        let token_sha256 = ids::sha256_hex(&token);
        let minted = Minted { token, token_sha256, holder, issued_at, expires_at, revoked: false };
        self.register().push(minted.clone());
        Ok(minted)
    }

    /// Whose token this is, if this workspace gave it out and it still counts.
    pub(crate) fn accept(&self, token: &str) -> Result<Minted, Rejected> {
        let register = self.register();
        let minted = register.iter().rev().find(|minted| minted.token == token).ok_or(Rejected::Unknown)?;
        if minted.revoked {
            Err(Rejected::Revoked)
        } else if minted.expires_at <= clock::now() {
            Err(Rejected::Expired)
        } else {
            Ok(minted.clone())
        }
    }

    pub(crate) fn all(&self) -> Vec<Minted> {
        self.register().clone()
    }

    /// Revokes the tokens of one principal, or all of them, and says how many that were.
    pub(crate) fn revoke(&self, principal: Option<&str>) -> usize {
        let mut register = self.register();
        let chosen = register.iter_mut().filter(|m| !m.revoked && principal.is_none_or(|name| m.holder.name == name));
        chosen.map(|minted| minted.revoked = true).count()
    }

    pub(crate) fn forget(&self) {
        self.register().clear();
    }

    /// The public key, for `/oidc/jwks.json`.
    pub(crate) fn jwks(&self) -> Value {
        let jwk = serde_json::from_str(&self.key.public_key().with_key_id(KEY_ID).to_jwk()).unwrap_or(Value::Null);
        json!({ "keys": [jwk] })
    }

    fn register(&self) -> MutexGuard<'_, Vec<Minted>> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
