//! Who is calling, for the service behind the gateway: a short JWT that the gateway signs, and the endpoint that has the keys to it.

use super::refusal::{Refusal, Reply};
use super::request::Routed;
use super::{Env, Memory};
use crate::base::{Fingerprint, Now, Secret, object};
use crate::config::IdentityHeader;
use crate::exchange::{Authorized, SharedSecrets, SigningKeys};
use crate::jwt::Caller;
use crate::policy::Permit;
use serde_json::{Map, Value, json};
use std::rc::Rc;

/// For how long, in seconds, services may keep the keys: that long after a key was added it can be used to sign.
const KEYS_FRESH: u32 = 300;

/// A header to set: its name, in lower case, and the assertion.
#[derive(Debug)]
pub(super) struct Assertion {
    pub(super) name: Rc<str>,
    pub(super) value: Secret<String>,
}

/// The assertion of whoever may go on, if the configuration asks for one.
pub(super) fn assert(
    authorized: &Authorized,
    routed: &Routed,
    env: &mut Env<'_>,
) -> Result<Option<Assertion>, Refusal> {
    let Some(header) = &env.config.identity_header else { return Ok(None) };
    let key = env.memory.signing_keys.get(header.signs_with(), &routed.shared)?;
    let unique = unique(authorized.permit().caller(), routed, env.memory, env.now);
    let claims = claims(header, authorized.permit(), routed, env.now, &unique);
    let value = key.sign(key.thumbprint(), &claims).ok_or(Refusal::Internal("an identity cannot be signed"))?;
    Ok(Some(Assertion { name: Rc::clone(&header.name), value }))
}

fn claims(header: &IdentityHeader, permit: &Permit, routed: &Routed, now: Now, unique: &str) -> Map<String, Value> {
    let caller = permit.caller();
    let issued_at = now.wall.as_secs();
    let claims = [
        ("iss", Some(json!(header.issuer))),
        ("aud", header.audience.as_ref().map(|audience| json!(audience))),
        ("sub", Some(json!(caller.subject()))),
        ("idp", Some(json!(permit.provider()))),
        ("role", Some(json!(permit.role()))),
        ("act", act(caller)),
        ("operation", permit.operation().map(|operation| json!(operation.name()))),
        ("req", Some(json!(routed.id.as_str()))),
        ("iat", Some(json!(issued_at))),
        ("exp", Some(json!(issued_at.saturating_add(header.life.as_secs())))),
        ("jti", Some(json!(unique))),
    ];
    object(claims.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// Who acts for the caller, the whole chain, as the caller's token says it (RFC 8693 section 4.1).
fn act(caller: &Caller) -> Option<Value> {
    caller.actors().iter().rev().fold(None, |before, actor| {
        let before = before.map(|before| ("act", before));
        Some(Value::Object(object(std::iter::once(("sub", json!(actor))).chain(before))))
    })
}

/// A name that no other assertion has. Hosts promise no random numbers, so it is made of what differs: the request's name, the caller's token,
/// both clocks, and how many this worker has signed. Two workers give one name only to requests of one name and token in one millisecond.
fn unique(caller: &Caller, routed: &Routed, memory: &mut Memory, now: Now) -> String {
    memory.signed = memory.signed.wrapping_add(1);
    let numbers = [now.wall.as_millis(), now.uptime.as_millis(), memory.signed];
    let name = Fingerprint::builder("identity").field(routed.id.as_str().as_bytes());
    let name = name.field(caller.token_digest().id().as_bytes());
    numbers.iter().fold(name, |name, number| name.field(&number.to_be_bytes())).finish().to_hex()
}

/// The public halves of all keys, of the one that signs first (RFC 7517 section 5).
pub(super) fn key_set(shared: &SharedSecrets, env: &mut Env<'_>) -> Result<Reply, Refusal> {
    let Some(header) = &env.config.identity_header else { return Err(Refusal::NotFound) };
    let keys = published(header, shared, &mut env.memory.signing_keys)?;
    Ok(Reply::public(&json!({ "keys": keys }), KEYS_FRESH))
}

fn published(header: &IdentityHeader, shared: &SharedSecrets, keys: &mut SigningKeys) -> Result<Vec<Value>, Refusal> {
    let mut published = Vec::new();
    for source in header.keys() {
        let jwk = keys.get(source, shared)?.public_jwk();
        if !published.contains(&jwk) {
            published.push(jwk);
        }
    }
    Ok(published)
}
