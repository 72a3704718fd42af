//! Where a request stands: each stage is a value that owns what it needs, and is used up by its step. Those that wait for nothing call each
//! other, for most requests never wait; those that wait, and where people sign in, are kept in a [`Stage`].

use super::callout::{Answer, Callout};
use super::decide::AwaitBody;
use super::exchange::AwaitToken;
use super::introspect::{AwaitIntrospection, AwaitOpaque};
use super::login::{AwaitEndpoints, AwaitGrant, Login};
use super::lookup::AwaitJob;
use super::receive::{self, AwaitForm};
use super::refusal::{Refusal, Reply};
use super::request::Routed;
use super::revocation::AwaitFeed;
use super::verify::AwaitKeys;
use super::{Env, ReadBody, Request};
use crate::audit::Draft;
use crate::databricks::Operation;
use crate::exchange::Authorized;

/// The stages of a request's way, in their order. Those that wait are for one kind of event alone.
#[derive(Debug, Default)]
pub(super) enum Stage {
    /// Nothing is there yet.
    #[default]
    Receive,
    /// `POST /oidc/v1/token` waits for its form.
    AwaitForm(Box<AwaitForm>),
    /// Where does one sign in?
    Login(Box<Login>),
    /// The provider is asked for that.
    AwaitEndpoints(Box<AwaitEndpoints>),
    /// The provider is asked for the tokens of a person who signs in.
    AwaitGrant(Box<AwaitGrant>),
    /// The provider's keys are asked for.
    AwaitKeys(Box<AwaitKeys>),
    /// The provider is asked of a verified token.
    AwaitIntrospection(Box<AwaitIntrospection>),
    /// A provider is asked of a token that nothing can be read from.
    AwaitOpaque(Box<AwaitOpaque>),
    /// The feed is asked for.
    AwaitFeed(Box<AwaitFeed>),
    /// A rule needs the body.
    AwaitBody(Box<AwaitBody>),
    /// A rule needs the job of a run, and the workspace is asked for it.
    AwaitJob(Box<AwaitJob>),
    /// The token endpoint is asked.
    AwaitToken(Box<AwaitToken>),
    /// A callout stands back until another has made room for it.
    Spaced(Box<Spaced>),
    /// The request went on or was answered. Whatever goes wrong meets this.
    Done,
}

/// A callout that must not be the next, and the stage that waits for its answer.
#[derive(Debug)]
pub(super) struct Spaced {
    pub(super) callout: Callout,
    pub(super) waiting: Stage,
}

/// What a stage may look at besides what it owns.
pub(super) struct Context<'a, 'e> {
    pub(super) env: &'a mut Env<'e>,
    pub(super) audit: &'a mut Draft,
    /// Whether refusals have OAuth's form.
    pub(super) speaks_oauth: &'a mut bool,
    /// What the request asks of the workspace.
    pub(super) operation: &'a mut Option<Operation>,
}

/// What a stage is stepped with.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
#[derive(Debug)]
pub(super) enum Input {
    /// It was just reached.
    Begin,
    Request(Request),
    Body(ReadBody),
    Answer(Answer),
}

/// What follows a step.
#[allow(clippy::large_enum_variant, reason = "made a few times a request and taken apart at once")]
pub(super) enum Next {
    /// Another stage, at once.
    Go(Stage),
    /// A callout, and the stage that waits for its answer.
    Ask(Box<Callout>, Stage),
    /// The body, for this stage.
    AwaitBody(Stage),
    /// The request goes on.
    Forward(Authorized, Box<Routed>),
    /// The gateway answers.
    Reply(Reply),
}

impl Next {
    pub(super) fn ask(callout: Callout, waiting: Stage) -> Self {
        Self::Ask(Box::new(callout), waiting)
    }
}

impl Stage {
    /// Uses the stage up.
    pub(super) fn step(self, input: Input, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        match (self, input) {
            (Self::Receive, Input::Request(request)) => receive::step(request, cx),
            (Self::AwaitForm(stage), Input::Body(body)) => stage.step(body, cx),
            (Self::Login(stage), Input::Begin) => stage.step(cx),
            (Self::AwaitEndpoints(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::AwaitGrant(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::AwaitKeys(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::AwaitIntrospection(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::AwaitOpaque(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::AwaitFeed(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::AwaitBody(stage), Input::Body(body)) => stage.step(body, cx),
            (Self::AwaitJob(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::AwaitToken(stage), Input::Answer(answer)) => stage.step(answer, cx),
            // its turn has come; if the one before failed, the loop finds that nothing may follow
            (Self::Spaced(stage), Input::Answer(_)) => Ok(Next::ask(stage.callout, stage.waiting)),
            (_, _) => Err(Refusal::Internal("an event arrived that nothing waited for")),
        }
    }
}
