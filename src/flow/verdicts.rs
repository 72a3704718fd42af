//! Callers whose tokens were verified not long ago: the signature of a token that comes again need not be checked again.

use crate::base::{Bounded, Budget, Fingerprint, UnixTime};
use crate::config::Provider;
use crate::jwt::{Caller, KeySet, TokenDigest, Vouched};
use std::rc::Rc;

/// Verified callers. A verdict holds for the very provider and key set that it was made with: a configuration that is replaced and a
/// refresh of the keys end it, so a key that a provider no longer lists vouches for nobody. What depends on the time is checked by
/// whoever uses a verdict.
#[derive(Debug)]
pub(super) struct Verdicts(Bounded<Name, Verdict>);

/// A token and the provider that vouches for it: routes have their own providers, so that one token can have a verdict in each.
type Name = (TokenDigest, Fingerprint);

#[derive(Debug)]
struct Verdict {
    vouched: Vouched,
    // held, so that no other key set can come to stand at the same address
    keys: Rc<KeySet>,
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
    ) -> Option<&Vouched> {
        let verdict = self.0.get(&(token, provider.id), now)?;
        Rc::ptr_eq(&verdict.keys, keys).then_some(&verdict.vouched)
    }

    /// Keeps a verdict for as long as the token may be used.
    pub(super) fn keep(&mut self, caller: &Caller, provider: &Provider, keys: &Rc<KeySet>, now: UnixTime) {
        let vouched = caller.vouched();
        let bytes = vouched.bytes().saturating_add(PLACE);
        let until = caller.expires_at().plus(provider.expectations.clock_skew);
        let verdict = Verdict { vouched, keys: Rc::clone(keys) };
        self.0.insert((caller.token_digest(), provider.id), verdict, until, bytes, now);
    }
}

/// What a verdict takes up beside what is known of the caller: its places in the store, which doubles as it grows.
const PLACE: usize = 512;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly")]
mod tests {
    use super::super::memory::VERDICT_BYTES;
    use super::*;
    use crate::jwt::testing;
    use serde_json::json;

    #[test]
    fn ten_thousand_callers_of_many_groups_have_room() {
        let groups: Vec<_> = (0..100).map(|number| format!("department-of-{number}")).collect();
        let caller = testing::caller(json!({ "groups": groups, "jti": "7f1c9a52-5f1e-4d0b-9d3a-2f6f0f1b8a11" }));
        let bytes = caller.vouched().bytes() + PLACE;
        assert!(bytes * 10_000 <= VERDICT_BYTES, "{bytes}");
        // the account is no dream: the text of its groups alone
        assert!(bytes > groups.iter().map(String::len).sum(), "{bytes}");
    }
}
