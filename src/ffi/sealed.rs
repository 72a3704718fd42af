//! Answers of token endpoints, sealed for the other workers of the node.
//!
//! They lie in memory that every Lua file of the host can read. What seals them is a key that the process makes which forks the workers; it
//! is written nowhere, and ends with that process. A sealed answer opens only under the name that it was sealed under, which is made of all
//! that the token depends on (workspace, role, type, scope, secrets, and the caller's JWT where it takes one) and of the configuration: under
//! any other, or changed by a bit, it is nothing.

use super::interface::VERSION;
use crate::base::{Fingerprint, UnixTime};
use crate::flow::CalloutReply;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use std::sync::OnceLock;

const NONCE: usize = 12;
const TIME: usize = 8;

/// Nothing if the machine has no random numbers: then nothing is sealed, and every worker is by itself.
static SEAL: OnceLock<Option<Aes256Gcm>> = OnceLock::new();

/// Makes the key, once in a process; workers inherit it.
pub(super) fn make_key() {
    SEAL.get_or_init(|| {
        let key: [u8; 32] = random()?;
        Some(Aes256Gcm::new(&key.into()))
    });
}

/// The name under which the answer to a callout is sealed: what it is an answer to, and the configuration that it was asked under.
pub(super) fn name(share: Fingerprint, config: Fingerprint) -> Fingerprint {
    Fingerprint::builder("sealed").field(share.as_bytes()).field(config.as_bytes()).finish()
}

/// Seals an answer with a token in it, that was asked for at `asked_at`.
pub(super) fn seal(name: &[u8], body: &[u8], asked_at: UnixTime) -> Option<Vec<u8>> {
    let seal = SEAL.get()?.as_ref()?;
    let nonce: [u8; NONCE] = random()?;
    let text = [&asked_at.as_millis().to_be_bytes(), body].concat();
    let sealed = seal.encrypt(&Nonce::from(nonce), Payload { msg: &text, aad: &bound_to(name) }).ok()?;
    Some([&nonce[..], &sealed].concat())
}

/// The answer, and when it was asked for; nothing if it was not sealed under this name, by this node.
pub(super) fn open(name: &Fingerprint, sealed: &[u8]) -> Option<(CalloutReply, UnixTime)> {
    let seal = SEAL.get()?.as_ref()?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    let payload = Payload { msg: sealed, aad: &bound_to(name.as_bytes()) };
    let text = seal.decrypt(&Nonce::from(*nonce), payload).ok()?;
    let (time, body) = text.split_first_chunk::<TIME>()?;
    let reply = CalloutReply { status: 200, headers: Vec::new(), body: body.to_vec() };
    Some((reply, UnixTime::from_millis(u64::from_be_bytes(*time))))
}

/// A library of another version reads answers in another way.
fn bound_to(name: &[u8]) -> Vec<u8> {
    [VERSION.as_bytes(), b"\0", name].concat()
}

/// Each nonce is of 96 random bits: a node would have to obtain four billion tokens before two of one key are likely to be the same.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}
