//! What is asked for? The head of a request is read, and the gateway's own endpoints are told from the workspace's.

use super::ReadBody;
use super::identity;
use super::login::{Authorization, Login, Wanted};
use super::own_endpoints::{self, Brought, OwnEndpoint};
use super::refusal::Refusal;
use super::request::{Request, Routed};
use super::stage::{Context, Next, Stage};
use super::verify::{Purpose, Verify};
use crate::config::Config;
use std::rc::Rc;

/// `POST /oidc/v1/token` without its form.
#[derive(Debug)]
pub(super) struct AwaitForm {
    routed: Box<Routed>,
}

pub(super) fn step(request: Request, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
    let workspace_id = cx.env.config.workspace.id.as_deref();
    cx.audit.request(request.id.shared(), &request.method, workspace_id, &cx.env.config.audit);
    let mut routed = request.route(workspace_id)?;
    match own_endpoints::find(&routed, cx.env.config)? {
        Some(OwnEndpoint::Document(document)) => Ok(Next::Reply(document.reply(&routed, cx.env.config))),
        Some(OwnEndpoint::Keys) => identity::key_set(&routed.shared, cx.env).map(Next::Reply),
        Some(OwnEndpoint::Authorize) => {
            cx.audit.own_endpoint(own_endpoints::AUTHORIZE_PATH);
            *cx.speaks_oauth = true;
            match Authorization::read(&routed) {
                Ok(authorization) => login(Wanted::Code(authorization), cx.env.config),
                Err(reply) => Ok(Next::Reply(reply)),
            }
        }
        Some(OwnEndpoint::Token) => {
            cx.audit.own_endpoint(own_endpoints::TOKEN_PATH);
            *cx.speaks_oauth = true;
            Ok(token_endpoint(routed, cx.env.config))
        }
        None => {
            *cx.operation = routed.operation;
            cx.audit.operation(routed.operation);
            let token = routed.take_bearer()?;
            Verify { token, purpose: Purpose::Proxy(routed) }.step(cx)
        }
    }
}

fn token_endpoint(routed: Box<Routed>, config: &Config) -> Next {
    if routed.has_body {
        Next::AwaitBody(Stage::AwaitForm(Box::new(AwaitForm { routed })))
    } else {
        Next::Reply(own_endpoints::unsupported_grant(config.login().is_some()))
    }
}

fn login(wanted: Wanted, config: &Config) -> Result<Next, Refusal> {
    // without one nothing asks for it
    let Some((provider, login)) = config.login() else { return Err(Refusal::NotFound) };
    let (provider, login) = (Rc::clone(provider), Rc::clone(login));
    Ok(Next::Go(Stage::Login(Box::new(Login { wanted, provider, login }))))
}

impl AwaitForm {
    pub(super) fn step(self, body: ReadBody, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let config = cx.env.config;
        match own_endpoints::brought(&self.routed, body, config)? {
            Ok(Brought::Token(token)) => {
                let purpose = Purpose::Echo(self.routed.shared);
                Verify { token, purpose }.step(cx)
            }
            Ok(Brought::Grant(grant)) => login(Wanted::Tokens(grant, self.routed.shared), config),
            Err(reply) => Ok(Next::Reply(reply)),
        }
    }
}
