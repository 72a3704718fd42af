//! Where a request stands: each stage is a value that owns what it needs, and is used up by its step.

use super::admit::Admit;
use super::callout::{Answer, Callout};
use super::decide::{AwaitBody, Decide};
use super::exchange::{AwaitToken, Exchange};
use super::introspect::{AwaitIntrospection, AwaitOpaque, Introspect, Opaque};
use super::login::{AwaitEndpoints, AwaitGrant, Login};
use super::lookup::{AwaitJob, Lookup, Question};
use super::receive::{self, AwaitForm};
use super::refusal::{Refusal, Reply};
use super::request::Routed;
use super::revocation::{AwaitFeed, Revocation};
use super::verify::{AwaitKeys, Verify};
use super::{Env, ReadBody, Request};
use crate::audit::Draft;
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
    /// Who is it?
    Verify(Box<Verify>),
    /// The provider's keys are asked for.
    AwaitKeys(Box<AwaitKeys>),
    /// The provider is to be asked of a verified token.
    Introspect(Box<Introspect>),
    /// It is asked.
    AwaitIntrospection(Box<AwaitIntrospection>),
    /// Providers are to be asked of a token that nothing can be read from.
    Opaque(Box<Opaque>),
    /// One of them is asked.
    AwaitOpaque(Box<AwaitOpaque>),
    /// Is it cut off?
    Revocation(Box<Revocation>),
    /// The feed is asked for.
    AwaitFeed(Box<AwaitFeed>),
    /// May it come in at all?
    Admit(Box<Admit>),
    /// May it?
    Decide(Box<Decide>),
    /// A rule needs the body.
    AwaitBody(Box<AwaitBody>),
    /// A rule needs the job of a run.
    Lookup(Box<Lookup>),
    /// The workspace is to be asked for it.
    Question(Box<Question>),
    /// The workspace is asked for it.
    AwaitJob(Box<AwaitJob>),
    /// With which credential?
    Exchange(Box<Exchange>),
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
pub(super) enum Next {
    /// Another stage, at once.
    Go(Stage),
    /// A callout, and the stage that waits for its answer.
    Ask(Box<Callout>, Stage),
    /// The body, for this stage.
    AwaitBody(Stage),
    /// The request goes on.
    Forward(Box<(Authorized, Box<Routed>)>),
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
            (Self::Verify(stage), Input::Begin) => stage.step(cx),
            (Self::AwaitKeys(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::Introspect(stage), Input::Begin) => stage.step(cx),
            (Self::AwaitIntrospection(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::Opaque(stage), Input::Begin) => stage.step(cx),
            (Self::AwaitOpaque(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::Revocation(stage), Input::Begin) => stage.step(cx),
            (Self::AwaitFeed(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::Admit(stage), Input::Begin) => stage.step(cx),
            (Self::Decide(stage), Input::Begin) => stage.step(cx),
            (Self::AwaitBody(stage), Input::Body(body)) => stage.step(body, cx),
            (Self::Lookup(stage), Input::Begin) => stage.step(cx),
            (Self::Question(stage), Input::Begin) => Ok(stage.step(cx)),
            (Self::AwaitJob(stage), Input::Answer(answer)) => stage.step(answer, cx),
            (Self::Exchange(stage), Input::Begin) => stage.step(cx),
            (Self::AwaitToken(stage), Input::Answer(answer)) => stage.step(answer, cx),
            // its turn has come; if the one before failed, the loop finds that nothing may follow
            (Self::Spaced(stage), Input::Answer(_)) => Ok(Next::ask(stage.callout, stage.waiting)),
            (_, _) => Err(Refusal::Internal("an event arrived that nothing waited for")),
        }
    }
}
