//! Callers whose tokens were verified not long ago: the signature of a token that comes again need not be checked again.

use crate::base::{Bounded, Budget, Fingerprint, UnixTime};
use crate::config::Provider;
use crate::jwt::{Caller, KeySet};
use std::rc::Rc;

/// Verified callers. A verdict holds for the very provider and key set that it was made with: a configuration that is replaced and a
/// refresh of the keys end it, so a key that a provider no longer lists vouches for nobody. What depends on the time is checked by
/// whoever uses a verdict.
#[derive(Debug)]
pub(super) struct Verdicts(Bounded<Name, Verdict>);

/// A token and the provider that vouches for it: routes have their own providers, so that one token can have a verdict in each.
type Name = (Fingerprint, Fingerprint);

#[derive(Debug)]
struct Verdict {
    caller: Rc<Caller>,
    // held, so that no other key set can come to stand at the same address
    keys: Rc<KeySet>,
}

/// A token's digest, by which it is known without being kept. It is made once a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenDigest(Fingerprint);

impl TokenDigest {
    pub(super) fn of(token: &str) -> Self {
        Self(Fingerprint::builder("token").field(token.as_bytes()).finish())
    }

    pub(super) const fn fingerprint(self) -> Fingerprint {
        self.0
    }
}

impl Verdicts {
    pub(super) const fn new(budget: Budget) -> Self {
        Self(Bounded::new(budget))
    }

    pub(super) fn set_budget(&mut self, budget: Budget) {
        self.0.set_budget(budget);
    }

    /// The caller whose token this is, if `provider` vouched for it with these keys.
    pub(super) fn find(
        &self,
        token: TokenDigest,
        provider: &Provider,
        keys: &Rc<KeySet>,
        now: UnixTime,
    ) -> Option<Rc<Caller>> {
        let verdict = self.0.get(&name(token, provider), now)?;
        Rc::ptr_eq(&verdict.keys, keys).then(|| Rc::clone(&verdict.caller))
    }

    /// Keeps a verdict for as long as the token may be used.
    pub(super) fn keep(
        &mut self,
        token: TokenDigest,
        caller: &Rc<Caller>,
        provider: &Provider,
        keys: &Rc<KeySet>,
        now: UnixTime,
    ) {
        let verdict = Verdict { caller: Rc::clone(caller), keys: Rc::clone(keys) };
        let until = caller.expires_at().plus(provider.expectations.clock_skew);
        self.0.insert(name(token, provider), verdict, until, size(caller), now);
    }
}

/// What a verdict takes up, by a rough account from above: its claims as a tree take some ten times their text.
fn size(caller: &Caller) -> usize {
    caller.token().expose().len().saturating_mul(10).saturating_add(1024)
}

const fn name(token: TokenDigest, provider: &Provider) -> Name {
    (token.0, provider.id)
}
