//! Callers whose tokens were verified not long ago: the signature of a token that comes again need not be checked again.

use crate::base::{Fingerprint, UnixTime};
use crate::config::Provider;
use crate::jwt::{Caller, KeySet};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A bounded store of verified callers. It may vanish at any time and holds nothing that could not be had again.
///
/// A verdict holds for the very provider and key set that it was made with: a configuration that is replaced and a refresh of the keys
/// end it, so a key that a provider no longer lists vouches for nobody. What depends on the time is checked by whoever uses a verdict.
#[derive(Debug, Default)]
pub struct VerdictCache {
    verdicts: BTreeMap<Fingerprint, Verdict>,
    /// The same verdicts by their end, to find those that may go.
    ends: BTreeSet<(UnixTime, Fingerprint)>,
}

#[derive(Debug)]
struct Verdict {
    caller: Rc<Caller>,
    // held, so that no other provider or key set can come to stand at the same address
    provider: Rc<Provider>,
    keys: Rc<KeySet>,
}

impl VerdictCache {
    /// The caller whose token this is, if `provider` vouched for it with these keys.
    pub(super) fn find(&self, token: &[u8], provider: &Rc<Provider>, keys: &Rc<KeySet>) -> Option<Rc<Caller>> {
        let verdict = self.verdicts.get(&name(token, provider))?;
        let holds = Rc::ptr_eq(&verdict.provider, provider) && Rc::ptr_eq(&verdict.keys, keys);
        holds.then(|| Rc::clone(&verdict.caller))
    }

    /// Keeps a verdict until the token ends; past `capacity` verdicts those that end first are forgotten.
    pub(super) fn keep(
        &mut self,
        caller: &Rc<Caller>,
        provider: &Rc<Provider>,
        keys: &Rc<KeySet>,
        now: UnixTime,
        capacity: usize,
    ) {
        let name = name(caller.token().expose().as_bytes(), provider);
        let verdict = Verdict { caller: Rc::clone(caller), provider: Rc::clone(provider), keys: Rc::clone(keys) };
        if let Some(old) = self.verdicts.insert(name, verdict) {
            self.ends.remove(&(old.caller.expires_at(), name));
        }
        self.ends.insert((caller.expires_at(), name));
        while self.verdicts.len() > capacity || self.ends.first().is_some_and(|(end, _)| *end <= now) {
            let Some((_, name)) = self.ends.pop_first() else { return };
            self.verdicts.remove(&name);
        }
    }
}

/// Routes have their own providers, so that one token can have a verdict in each.
fn name(token: &[u8], provider: &Rc<Provider>) -> Fingerprint {
    let route = Rc::as_ptr(provider).addr();
    Fingerprint::builder("verdict").field(token).field(&route.to_ne_bytes()).finish()
}
