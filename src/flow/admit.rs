//! May it come in at all? A verified caller shows the certificate that the token is bound to, and has requests left.

use super::decide::Decide;
use super::refusal::Refusal;
use super::request::Routed;
use super::stage::{Context, Next};
use super::{certificate, quota};
use crate::config::Provider;
use crate::jwt::Caller;
use std::rc::Rc;

/// A verified caller of whom no more is known.
#[derive(Debug)]
pub(super) struct Admit {
    pub(super) routed: Box<Routed>,
    pub(super) caller: Rc<Caller>,
    pub(super) provider: Rc<Provider>,
}

impl Admit {
    pub(super) fn step(self, cx: &mut Context<'_, '_>) -> Result<Next, Refusal> {
        let Self { routed, caller, provider } = self;
        certificate::check(&caller, routed.certificate, cx.env.config.client_certificate)?;
        quota::count_caller(&caller, cx.env)?;
        Decide::new(routed, caller, provider, cx.env).step(cx)
    }
}
