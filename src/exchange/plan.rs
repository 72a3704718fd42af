//! What a permit's credential needs: nothing, or a token that is kept or must be asked for.

use super::credential::{self, Asking, Exchanged, Own, Server};
use super::response::{self, ExchangeFault, WorkspaceToken};
use super::{SecretUnavailable, SharedSecrets, SigningKeys, TokenForm, secret};
use crate::base::{Fingerprint, Secret, UnixTime};
use crate::jwt::{Caller, SigningKey};
use crate::policy::{Credential, Permit, Role, Scope};
use crate::revocation::Marks;
use std::rc::Rc;

/// How a permit becomes a [`Granted`].
#[derive(Debug)]
pub enum Exchange {
    /// Without asking anybody.
    Direct(Granted),
    /// With a Databricks token.
    Needed(Pending),
}

/// Where and for which request a permit is to get its credential.
#[derive(Debug)]
pub struct Errand<'a> {
    /// What tells workspaces apart.
    pub workspace: &'a str,
    /// The request's own name.
    pub request: &'a Rc<str>,
    /// What plugins brought with it.
    pub shared: &'a SharedSecrets,
}

impl Exchange {
    /// Starts from a permit.
    ///
    /// # Errors
    /// A secret of the credential is not there, or is no key to sign with; the request cannot go on.
    pub fn start(permit: Permit, errand: &Errand<'_>, keys: &mut SigningKeys) -> Result<Self, SecretUnavailable> {
        let Some(exchanged) = credential::exchanged(permit.credential()) else {
            let is_none = matches!(permit.credential(), Credential::None);
            let authorization = (!is_none).then(|| bearer(permit.caller().token().expose()));
            return Ok(Self::Direct(Granted::new(permit, authorization, None)));
        };
        let secret = own_text(exchanged, errand.shared)?;
        let signing = own_key(exchanged, errand.shared, keys)?;
        let key = token_key(&purpose(&permit), exchanged, errand.workspace, secret.as_ref());
        let request = Rc::clone(errand.request);
        Ok(Self::Needed(Pending { whom: Whom::Permit(permit), key, secret, signing, request }))
    }
}

/// Whether two permits lead to the same credential at `workspace`, secrets included.
#[must_use]
pub fn is_same_credential(one: &Permit, other: &Permit, workspace: &str, shared: &SharedSecrets) -> bool {
    let key = |permit: &Permit| {
        let exchanged = credential::exchanged(permit.credential())?;
        let secret = own_text(exchanged, shared).ok()?;
        Some(token_key(&purpose(permit), exchanged, workspace, secret.as_ref()))
    };
    one.credential().kind() == other.credential().kind() && key(one) == key(other)
}

/// What tells what the gateway itself needs from all that it needed before.
fn own_text(exchanged: &dyn Exchanged, shared: &SharedSecrets) -> Result<Option<Secret<String>>, SecretUnavailable> {
    match exchanged.own() {
        Own::Nothing => Ok(None),
        Own::Secret(source) => secret::resolve(source, shared).map(Some),
        Own::Key(source) => secret::key_text(source, shared).map(Some),
    }
}

/// The key of the gateway's own that a token is obtained with, of a type that takes one.
fn own_key(
    exchanged: &dyn Exchanged,
    shared: &SharedSecrets,
    keys: &mut SigningKeys,
) -> Result<Option<Rc<SigningKey>>, SecretUnavailable> {
    match exchanged.own() {
        Own::Key(source) => keys.get(source, shared).map(Some),
        Own::Nothing | Own::Secret(_) => Ok(None),
    }
}

/// The name under which a token is kept. It holds everything that the token depends on, so that no token can be used for
/// another workspace, role, scope or secret, nor for another caller if the caller's own JWT was needed to obtain it.
fn token_key(
    purpose: &Purpose<'_>,
    exchanged: &dyn Exchanged,
    workspace: &str,
    secret: Option<&Secret<String>>,
) -> Fingerprint {
    let key = Fingerprint::builder("databricks-token")
        .field(workspace.as_bytes())
        .field(purpose.credential.kind().as_bytes())
        .field(purpose.role.as_bytes())
        .field(purpose.scope.as_str().as_bytes())
        .fields(secret.map(|secret| secret.expose().as_bytes()).into_iter());
    let caller = purpose.caller.filter(|_| exchanged.is_callers());
    let key = match caller {
        Some(caller) => credential::add_identity(key, caller),
        None => key,
    };
    exchanged.add_to_key(key).finish()
}

fn bearer(token: &str) -> Secret<String> {
    Secret::new(["Bearer ", token].concat())
}

/// What a token is for, beside the workspace.
struct Purpose<'a> {
    role: &'a str,
    credential: &'a Credential,
    scope: &'a Scope,
    caller: Option<&'a Caller>,
}

fn purpose(permit: &Permit) -> Purpose<'_> {
    let (role, credential, scope) = (permit.role(), permit.credential(), permit.scope());
    Purpose { role, credential, scope, caller: Some(permit.caller()) }
}

/// A permit that waits for its Databricks token, or the wish for one ahead of need.
#[derive(Debug)]
pub struct Pending {
    whom: Whom,
    key: Fingerprint,
    secret: Option<Secret<String>>,
    signing: Option<Rc<SigningKey>>,
    request: Rc<str>,
}

/// For whom a token is asked.
#[allow(clippy::large_enum_variant, reason = "almost always the first, and once a request")]
#[derive(Debug)]
enum Whom {
    /// A request that may go on once it is there.
    Permit(Permit),
    /// For nobody yet: it is kept, and takes a permit to be used.
    Ahead(Box<Ahead>),
}

/// What a token that is asked for ahead of need is for.
#[derive(Clone, Debug)]
struct Ahead {
    role: Rc<str>,
    credential: Rc<Credential>,
    scope: Scope,
    /// Whose JWT it is obtained with; nothing where it takes none.
    caller: Option<Rc<Caller>>,
}

impl Pending {
    /// The token that the callers of `role` will share, before any of them has come. Nothing if it is each caller's own, if its scope is up
    /// to the operation, or if what it takes comes with requests.
    #[must_use]
    pub fn of_role(role: &Role, workspace: &str, keys: &mut SigningKeys) -> Option<Self> {
        let exchanged = credential::exchanged(&role.credential).filter(|exchanged| !exchanged.is_callers())?;
        let scope = role.credential.scope()?;
        let nothing = SharedSecrets::new();
        let secret = own_text(exchanged, &nothing).ok()?;
        let signing = own_key(exchanged, &nothing, keys).ok()?;
        let purpose = Purpose { role: &role.name, credential: &role.credential, scope, caller: None };
        let key = token_key(&purpose, exchanged, workspace, secret.as_ref());
        let (name, credential) = (Rc::clone(&role.name), Rc::clone(&role.credential));
        let ahead = Ahead { role: name, credential, scope: scope.clone(), caller: None };
        Some(Self { whom: Whom::Ahead(Box::new(ahead)), key, secret, signing, request: "ahead".into() })
    }

    /// The same wish once more, for the time after the request.
    #[must_use]
    pub fn again_ahead(&self) -> Self {
        let whom = match &self.whom {
            Whom::Permit(permit) => Ahead {
                role: permit.role().into(),
                credential: permit.shared_credential(),
                scope: permit.scope().clone(),
                caller: self.is_callers().then(|| permit.shared_caller()),
            },
            Whom::Ahead(ahead) => Ahead::clone(ahead),
        };
        let (secret, signing, request) = (self.secret.clone(), self.signing.clone(), self.request.clone());
        Self { whom: Whom::Ahead(Box::new(whom)), key: self.key, secret, signing, request }
    }

    fn purpose(&self) -> Purpose<'_> {
        match &self.whom {
            Whom::Permit(permit) => purpose(permit),
            Whom::Ahead(ahead) => Purpose {
                role: &ahead.role,
                credential: &ahead.credential,
                scope: &ahead.scope,
                caller: ahead.caller.as_deref(),
            },
        }
    }

    /// The role whose token it is.
    #[must_use]
    pub fn role(&self) -> &str {
        self.purpose().role
    }

    /// Under which name the token is kept.
    #[must_use]
    pub const fn key(&self) -> Fingerprint {
        self.key
    }

    /// What tells the answer from those to other requests for tokens: who has the same mark may share it. A token of the caller's own ends
    /// with the JWT that it is obtained with; of which there may be several.
    #[must_use]
    pub fn share(&self) -> Fingerprint {
        let mark = Fingerprint::builder("token").field(self.key.as_bytes());
        mark.fields(self.own_caller().map(|caller| caller.token().expose().as_bytes()).into_iter()).finish()
    }

    fn exchanged(&self) -> Option<&dyn Exchanged> {
        credential::exchanged(self.purpose().credential)
    }

    /// Whose JWT the token is obtained with, if it is.
    fn own_caller(&self) -> Option<&Caller> {
        self.purpose().caller.filter(|_| self.is_callers())
    }

    /// Until when a token can live at most: one that was obtained with the caller's JWT dies with it.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.own_caller().map_or(UnixTime::MAX, Caller::expires_at)
    }

    /// Whether the token is obtained with the caller's own JWT.
    fn is_callers(&self) -> bool {
        self.exchanged().is_some_and(Exchanged::is_callers)
    }

    /// The token endpoint that is asked, if it is not the workspace's.
    #[must_use]
    pub fn server(&self) -> Option<Server<'_>> {
        self.exchanged().and_then(Exchanged::server)
    }

    /// The request that asks for the token at `now`; an empty one if the credential needs none.
    #[must_use]
    pub fn form(&self, now: UnixTime) -> TokenForm {
        let Some(exchanged) = self.exchanged() else { return TokenForm::default() };
        let asking = Asking {
            caller: self.own_caller(),
            scope: self.purpose().scope,
            secret: self.secret.as_ref(),
            key: self.signing.as_ref(),
            now,
            unique: &self.unique(now),
        };
        exchanged.form(&asking)
    }

    /// What names a request for a token as no other: hosts promise no random numbers, but give each request a name of its own, and what
    /// is asked for is part of it. Only if a client can choose that name (Envoy, where `x-request-id` is kept) do two in one millisecond,
    /// for one token, have one.
    fn unique(&self, now: UnixTime) -> String {
        let unique = Fingerprint::builder("jti").field(self.request.as_bytes()).field(self.key.as_bytes());
        unique.field(&now.as_millis().to_be_bytes()).finish().to_hex()
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
        let token = response::read(status, retry_after, body, (self.key, self.share()), asked_at, self.not_after())?;
        let token = token.by(self.own_caller().map(Marks::of));
        // a token endpoint that hands the caller's token back would make the gateway send it to Databricks
        let is_the_callers = self.purpose().caller.is_some_and(|caller| token.is(caller.token()));
        if is_the_callers { Err(ExchangeFault::Unusable) } else { Ok(token) }
    }

    /// Pairs the permit with a token that was obtained for it. A token that was obtained for anything else is given back.
    ///
    /// # Errors
    /// The token is another's, or nobody has asked for it yet; the request must be refused.
    pub fn accept(self, token: WorkspaceToken) -> Result<Granted, WorkspaceToken> {
        match self.whom {
            Whom::Permit(permit) if token.key() == self.key => {
                let authorization = Some(bearer(token.secret().expose()));
                Ok(Granted::new(permit, authorization, Some(token)))
            }
            Whom::Permit(_) | Whom::Ahead(_) => Err(token),
        }
    }
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

    /// As [`Self::authorization`], once that is all that is needed.
    #[must_use]
    pub fn into_authorization(self) -> Option<Secret<String>> {
        self.authorization
    }

    /// The Databricks token, so that it can be forgotten if the workspace refuses it.
    #[must_use]
    pub const fn token(&self) -> Option<&WorkspaceToken> {
        self.kept_as.as_ref()
    }
}
