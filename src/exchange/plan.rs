//! What a permit's credential needs: nothing, or a token that is kept or must be asked for.

use super::response::{self, ExchangeFault, WorkspaceToken};
use crate::base::{Fingerprint, Secret, UnixTime};
use crate::policy::{Credential, Permit, SecretSource};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;

/// The values of `kong.ctx.shared` that the configuration's secrets name, as far as they are there.
pub type SharedSecrets = BTreeMap<String, Secret<String>>;

/// A `{shared: NAME}` secret that nothing put there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret `kong.ctx.shared.{name}` is not there; a plugin before this filter must set it")]
pub struct SecretUnavailable {
    name: String,
}

#[cfg(test)]
impl SecretUnavailable {
    pub(crate) fn for_test(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

/// How a permit becomes a [`Granted`].
#[derive(Debug)]
pub enum Exchange {
    /// Without asking anybody.
    Direct(Granted),
    /// With a Databricks token.
    Needed(Pending),
}

impl Exchange {
    /// Starts from a permit. `workspace` is what tells workspaces apart.
    ///
    /// # Errors
    /// A secret of the credential is not there; the request cannot go on.
    pub fn start(permit: Permit, workspace: &str, shared: &SharedSecrets) -> Result<Self, SecretUnavailable> {
        match permit.credential() {
            Credential::None => return Ok(Self::Direct(Granted::new(permit, None, None))),
            Credential::Passthrough => {
                let authorization = bearer(permit.caller().token().expose());
                return Ok(Self::Direct(Granted::new(permit, Some(authorization), None)));
            }
            Credential::ServicePrincipalSecret { .. }
            | Credential::UserFederation { .. }
            | Credential::ServicePrincipalFederation { .. } => {}
        }
        let secret = secret_of(&permit, shared)?;
        let key = cache_key(&permit, workspace, secret.as_ref());
        Ok(Self::Needed(Pending { permit, key, secret }))
    }
}

fn secret_of(permit: &Permit, shared: &SharedSecrets) -> Result<Option<Secret<String>>, SecretUnavailable> {
    match permit.credential() {
        Credential::ServicePrincipalSecret { client_secret, .. } => resolve(client_secret, shared).map(Some),
        _ => Ok(None),
    }
}

/// Whether two permits lead to the same credential at `workspace`, secrets included.
#[must_use]
pub fn is_same_credential(one: &Permit, other: &Permit, workspace: &str, shared: &SharedSecrets) -> bool {
    let key = |permit: &Permit| Some(cache_key(permit, workspace, secret_of(permit, shared).ok()?.as_ref()));
    key(one).is_some_and(|one| Some(one) == key(other))
}

fn resolve(source: &SecretSource, shared: &SharedSecrets) -> Result<Secret<String>, SecretUnavailable> {
    match source {
        SecretSource::Known(secret) => Ok(secret.clone()),
        SecretSource::Shared(name) => {
            let secret = shared.get(name).filter(|secret| !secret.expose().is_empty());
            secret.cloned().ok_or_else(|| SecretUnavailable { name: name.clone() })
        }
    }
}

/// The name under which a token is kept. It holds everything that the token depends on, so that no token can be used for
/// another workspace, role, scope or secret, nor for another caller if the caller's own JWT was needed to obtain it.
fn cache_key(permit: &Permit, workspace: &str, secret: Option<&Secret<String>>) -> Fingerprint {
    let credential = permit.credential();
    let key = Fingerprint::builder("databricks-token")
        .field(workspace.as_bytes())
        .field(credential.kind().as_bytes())
        .field(permit.role().as_bytes());
    let scope = permit.scope().as_str().as_bytes();
    let caller = permit.caller();
    let identity = [caller.issuer(), caller.raw_subject().unwrap_or_default(), caller.subject()];
    let identity = identity.into_iter().chain([caller.client().unwrap_or_default()]).map(str::as_bytes);
    let identity: Vec<_> = identity.collect();
    match credential {
        Credential::UserFederation { assume_group, .. } => key
            .fields(identity.into_iter())
            .field(scope)
            .fields(assume_group.iter().map(String::as_bytes).collect::<Vec<_>>().into_iter()),
        Credential::ServicePrincipalFederation { client_id, .. } => {
            key.fields(identity.into_iter()).field(client_id.as_bytes()).field(scope)
        }
        Credential::ServicePrincipalSecret { client_id, .. } => key
            .field(client_id.as_bytes())
            .field(scope)
            .field(secret.map_or(&[][..], |secret| secret.expose().as_bytes())),
        Credential::Passthrough | Credential::None => key,
    }
    .finish()
}

fn bearer(token: &str) -> Secret<String> {
    Secret::new(format!("Bearer {token}"))
}

/// A permit that waits for its Databricks token.
#[derive(Debug)]
pub struct Pending {
    permit: Permit,
    key: Fingerprint,
    secret: Option<Secret<String>>,
}

/// A request to the token endpoint: a form body and, for a client's own credential, HTTP Basic authentication.
#[derive(Debug)]
pub struct TokenForm {
    /// The `application/x-www-form-urlencoded` body.
    pub body: Secret<String>,
    /// The value of the `Authorization` header.
    pub authorization: Option<Secret<String>>,
}

impl Pending {
    /// Under which name the token is kept.
    #[must_use]
    pub const fn key(&self) -> Fingerprint {
        self.key
    }

    /// Who waits.
    #[must_use]
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Until when a token can live at most: one that was obtained with the caller's JWT dies with it.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        match self.permit.credential() {
            Credential::UserFederation { .. } | Credential::ServicePrincipalFederation { .. } => {
                self.permit.caller().expires_at()
            }
            _ => UnixTime::MAX,
        }
    }

    /// The request that asks for the token: RFC 8693 section 2.1, or RFC 6749 section 4.4.2.
    #[must_use]
    pub fn form(&self) -> TokenForm {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let mut authorization = None;
        let scope = self.permit.scope();
        match self.permit.credential() {
            Credential::UserFederation { assume_group, .. } => {
                self.subject_token(&mut form).append_pair("scope", scope.as_str());
                if let Some(group) = assume_group {
                    form.append_pair("assume_group", group);
                }
            }
            Credential::ServicePrincipalFederation { client_id, .. } => {
                self.subject_token(&mut form).append_pair("client_id", client_id).append_pair("scope", scope.as_str());
            }
            Credential::ServicePrincipalSecret { client_id, .. } => {
                form.append_pair("grant_type", "client_credentials").append_pair("scope", scope.as_str());
                authorization = self.secret.as_ref().map(|secret| basic(client_id, secret));
            }
            // `Exchange::start` makes no pending exchange of these
            Credential::Passthrough | Credential::None => {}
        }
        TokenForm { body: Secret::new(form.finish()), authorization }
    }

    fn subject_token<'f>(
        &self,
        form: &'f mut form_urlencoded::Serializer<'static, String>,
    ) -> &'f mut form_urlencoded::Serializer<'static, String> {
        form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
            .append_pair("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
            .append_pair("subject_token", self.permit.caller().token().expose())
    }

    /// Reads the token endpoint's answer. `asked_at` is when it was asked, from which the token's life counts.
    ///
    /// # Errors
    /// The token endpoint refused, is throttling, or answered what cannot be used.
    pub fn read_reply(
        &self,
        status: u16,
        retry_after: Option<&str>,
        body: &[u8],
        asked_at: UnixTime,
    ) -> Result<WorkspaceToken, ExchangeFault> {
        let token = response::read(status, retry_after, body, self.key, asked_at, self.not_after())?;
        // a token endpoint that hands the caller's token back would make the gateway send it to Databricks
        if token.is(self.permit.caller().token()) { Err(ExchangeFault::Unusable) } else { Ok(token) }
    }

    /// Pairs the permit with a token that was obtained for it. A token that was obtained for anything else is given back.
    ///
    /// # Errors
    /// The token is another's; the request must be refused.
    pub fn accept(self, token: WorkspaceToken) -> Result<Granted, WorkspaceToken> {
        if token.key() != self.key {
            return Err(token);
        }
        let authorization = Some(bearer(token.secret().expose()));
        Ok(Granted::new(self.permit, authorization, Some(token)))
    }
}

/// `client_secret_basic`: both parts are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(client_id: &str, secret: &Secret<String>) -> Secret<String> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}

/// A permit with its credential, by what it is for.
#[derive(Debug)]
pub enum Granted {
    /// The caller's request may go on.
    Request(Authorized),
    /// The gateway may ask which job a run belongs to.
    LookUp(RunLookup),
}

impl Granted {
    fn new(permit: Permit, authorization: Option<Secret<String>>, kept_as: Option<WorkspaceToken>) -> Self {
        if permit.run_to_look_up().is_some() {
            Self::LookUp(RunLookup { permit, authorization, kept_as })
        } else {
            Self::Request(Authorized { permit, authorization, kept_as })
        }
    }
}

/// A question for a run's job, with the credential of the role whose rule depends on the answer.
#[derive(Debug)]
pub struct RunLookup {
    permit: Permit,
    authorization: Option<Secret<String>>,
    kept_as: Option<WorkspaceToken>,
}

impl RunLookup {
    /// For whom is asked, and for which run.
    #[must_use]
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The value of the `Authorization` header; `None` if there is to be none.
    #[must_use]
    pub const fn authorization(&self) -> Option<&Secret<String>> {
        self.authorization.as_ref()
    }

    /// The Databricks token, so that it can be forgotten if the workspace refuses it.
    #[must_use]
    pub const fn token(&self) -> Option<&WorkspaceToken> {
        self.kept_as.as_ref()
    }
}

/// Proof that a request may be forwarded, with the credential that belongs to its permit.
#[derive(Debug)]
pub struct Authorized {
    permit: Permit,
    authorization: Option<Secret<String>>,
    kept_as: Option<WorkspaceToken>,
}

impl Authorized {
    /// Who goes on, and why.
    #[must_use]
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The value of the `Authorization` header; `None` if there is to be none.
    #[must_use]
    pub const fn authorization(&self) -> Option<&Secret<String>> {
        self.authorization.as_ref()
    }

    /// The Databricks token, so that it can be forgotten if the workspace refuses it.
    #[must_use]
    pub const fn token(&self) -> Option<&WorkspaceToken> {
        self.kept_as.as_ref()
    }
}
