//! What is asked for? The head of a request is read, and the gateway's own endpoints are told from the workspace's.

use super::ReadBody;
use super::identity;
use super::own_endpoints::{self, OwnEndpoint};
use super::refusal::Refusal;
use super::request::{Request, Routed};
use super::stage::{Context, Next, Stage};
use super::verify::{Purpose, Verify};

/// `POST /oidc/v1/token` without its form.
#[derive(Debug)]
pub(super) struct AwaitForm {
    routed: Routed,
}

pub(super) fn step(request: Request, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
    let workspace_id = cx.env.config.workspace.id.as_deref();
    cx.audit.request(request.id.as_str(), &request.method, workspace_id, &cx.env.config.audit);
    let routed = request.route(workspace_id)?;
    match own_endpoints::find(&routed)? {
        Some(OwnEndpoint::Document(document)) => Ok(Next::Reply(document.reply(&routed, cx.env.config))),
        Some(OwnEndpoint::Keys) => identity::key_set(&routed.shared, cx.env).map(Next::Reply),
        Some(OwnEndpoint::TokenExchange) => {
            cx.audit.own_endpoint(own_endpoints::TOKEN_PATH);
            *cx.speaks_oauth = true;
            Ok(exchange_endpoint(routed))
        }
        None => {
            cx.audit.operation(routed.operation);
            let token = routed.bearer()?;
            Ok(Next::Go(Stage::Verify(Box::new(Verify { token, purpose: Purpose::Proxy(routed) }))))
        }
    }
}

fn exchange_endpoint(routed: Routed) -> Next {
    if routed.has_body {
        Next::AwaitBody(Stage::AwaitForm(Box::new(AwaitForm { routed })))
    } else {
        Next::Reply(own_endpoints::unsupported_grant())
    }
}

impl AwaitForm {
    pub(super) fn step(self, body: ReadBody) -> Result<Next, Refusal> {
        Ok(match own_endpoints::subject_token(&self.routed, body)? {
            Ok(token) => {
                let purpose = Purpose::Echo(self.routed.shared);
                Next::Go(Stage::Verify(Box::new(Verify { token, purpose })))
            }
            Err(reply) => Next::Reply(reply),
        })
    }
}
