//! The stages of a sign-in, before what is verified of it: the provider's endpoints are looked up, and its token endpoint is asked.

use super::super::callout::{Answer, Callout, CalloutReply, Purpose};
use super::super::fetch::{Fault, Fetch, Fetched, Need as Asked};
use super::super::own_endpoints::oauth_error;
use super::super::refusal::Refusal;
use super::super::source::{Held, Need};
use super::super::stage::{Context, Next, Stage};
use super::super::verify::{self, Verify};
use super::super::{Env, Metric};
use super::authorization::Authorization;
use super::endpoints::{Endpoints, EndpointsFetch, EndpointsStep};
use super::grant::Grant;
use super::granted::{self, Granted, NotGranted, Tokens};
use crate::base::{Now, Secret};
use crate::config::{self, Endpoint, Provider};
use crate::exchange::{SharedSecrets, client_secret_basic, resolve};
use std::rc::Rc;
use std::time::Duration;

/// When to come back once a provider could not be asked.
const RETRY: Duration = Duration::from_secs(1);

/// A request for an endpoint of the provider's.
#[derive(Debug)]
pub(in crate::flow) struct Login {
    pub(in crate::flow) wanted: Wanted,
    pub(in crate::flow) provider: Rc<Provider>,
    pub(in crate::flow) login: Rc<config::Login>,
}

/// What is wanted of the provider.
#[derive(Debug)]
pub(in crate::flow) enum Wanted {
    /// To sign somebody in.
    Code(Authorization),
    /// Tokens; with the secrets that the client's request came with.
    Tokens(Grant, SharedSecrets),
}

/// The same, while the provider is asked for its endpoints.
#[derive(Debug)]
pub(in crate::flow) struct AwaitEndpoints {
    login: Login,
    fetch: EndpointsFetch,
}

/// A client that waits for tokens.
#[derive(Debug)]
pub(in crate::flow) struct AwaitGrant {
    fetch: Fetch<Redemption>,
    shared: SharedSecrets,
}

impl Login {
    pub(in crate::flow) fn step(self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        match cx.env.memory.logins.held(&self.login, cx.env.now) {
            Held::Fresh(endpoints) => self.go_on(&endpoints, cx),
            Held::Stale(endpoints) => match EndpointsFetch::begin(&self.provider, &self.login, Need::Stale, cx.env) {
                Ok((fetch, callout)) => Ok(AwaitEndpoints { login: self, fetch }.wait(callout)),
                Err(_) => self.go_on(&endpoints, cx),
            },
            Held::None => match EndpointsFetch::begin(&self.provider, &self.login, Need::Cold, cx.env) {
                Ok((fetch, callout)) => Ok(AwaitEndpoints { login: self, fetch }.wait(callout)),
                Err(begin) => Err(Refusal::LoginUnavailable { retry_after: begin.wait() }),
            },
        }
    }

    fn go_on(self, endpoints: &Endpoints, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { wanted, provider, login } = self;
        match wanted {
            Wanted::Code(authorization) => {
                cx.audit.answer(cx.env.now.wall);
                Ok(Next::Reply(authorization.redirect(&endpoints.authorization, &login)))
            }
            Wanted::Tokens(grant, shared) => {
                let authorization = match &login.client_secret {
                    Some(source) => Some(client_secret_basic(&login.client_id, &resolve(source, &shared)?)),
                    None => None,
                };
                let pass = cx.env.memory.logins.pass(&login, cx.env.now);
                pass.map_err(|retry_after| Refusal::LoginUnavailable { retry_after })?;
                let endpoint = endpoints.token_endpoint(&login);
                let redemption = Redemption { grant, provider, login, endpoint, authorization };
                // a code or a refresh token that is shown twice may end the whole sign-in (RFC 6749 4.1.2, RFC 9700 4.14.2)
                let (fetch, callout) = Fetch::once(redemption, cx.env);
                Ok(Next::ask(callout, Stage::AwaitGrant(Box::new(AwaitGrant { fetch, shared }))))
            }
        }
    }
}

impl AwaitEndpoints {
    /// Takes an answer that only others have something of; what to send next, and what waits for that.
    pub(in crate::flow) fn hear(self, answer: Answer, env: &mut Env<'_>) -> Option<(Stage, Callout)> {
        let Self { login, fetch } = self;
        match fetch.on(answer, env) {
            EndpointsStep::Ask(fetch, callout) => {
                Some((Stage::AwaitEndpoints(Box::new(Self { login, fetch })), callout))
            }
            EndpointsStep::Done => None,
        }
    }

    fn wait(self, callout: Callout) -> Next {
        Next::ask(callout, Stage::AwaitEndpoints(Box::new(self)))
    }

    pub(in crate::flow) fn step(self, answer: Answer, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { login, fetch } = self;
        match fetch.on(answer, cx.env) {
            EndpointsStep::Ask(fetch, callout) => return Ok(Self { login, fetch }.wait(callout)),
            EndpointsStep::Done => {}
        }
        match cx.env.memory.logins.held(&login.login, cx.env.now) {
            Held::Fresh(endpoints) | Held::Stale(endpoints) => login.go_on(&endpoints, cx),
            Held::None => {
                let retry_after = cx.env.memory.logins.retry_after(&login.login, cx.env.now);
                Err(Refusal::LoginUnavailable { retry_after })
            }
        }
    }
}

impl AwaitGrant {
    pub(in crate::flow) fn step(self, answer: Answer, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { fetch, shared } = self;
        let (asked, outcome) = match fetch.on(answer, cx.env) {
            Fetched::Done(asked, outcome) => (asked, outcome),
            Fetched::Again(..) => return Err(Refusal::Internal("a grant was to be shown twice")),
        };
        match outcome {
            Ok((token, tokens)) => {
                let granted = Granted { provider: asked.provider.id, shared, tokens };
                let purpose = verify::Purpose::Login(granted);
                Verify { token, purpose }.step(cx)
            }
            Err(Fault::Reply(NotGranted::Refused(error))) => {
                Ok(Next::Reply(oauth_error(error, asked.grant.refused(error))))
            }
            Err(Fault::Reply(NotGranted::Throttled { retry_after, .. })) => {
                cx.env.memory.logins.shut(&asked.login, retry_after, cx.env.now);
                Err(Refusal::LoginUnavailable { retry_after })
            }
            Err(Fault::Reply(NotGranted::Status(_) | NotGranted::Unusable(_)) | Fault::Callout(_)) => {
                Err(Refusal::LoginUnavailable { retry_after: RETRY })
            }
        }
    }
}

/// Tokens for a grant.
#[derive(Debug)]
struct Redemption {
    grant: Grant,
    provider: Rc<Provider>,
    login: Rc<config::Login>,
    endpoint: Endpoint,
    authorization: Option<Secret<String>>,
}

impl Asked for Redemption {
    const PURPOSE: Purpose = Purpose::Login;
    type Answer = (Secret<String>, Tokens);
    type Fault = NotGranted;

    fn callout(&self, env: &Env<'_>) -> Callout {
        let form = self.grant.form(&self.login);
        let share = self.grant.may_be_shared();
        Callout::login(&self.endpoint, form, self.authorization.as_ref(), share, env.config.callouts)
    }

    fn read(&self, reply: &CalloutReply, _: Now) -> Result<Self::Answer, NotGranted> {
        granted::read(reply)
    }

    fn may_pass(_: &NotGranted) -> bool {
        false
    }

    fn count(outcome: Result<(), &Fault<NotGranted>>, _: bool) -> Option<Metric> {
        Some(match outcome {
            Ok(()) => Metric::LoginOk,
            Err(Fault::Reply(NotGranted::Refused(_))) => Metric::LoginRefused,
            Err(_) => Metric::LoginFailed,
        })
    }

    fn describe(&self) -> String {
        format!("no tokens of identity provider `{}` from {}", self.provider.name, self.endpoint.url)
    }
}
