//! Verifies subject tokens against federation policies (databricks.md 1.1 and 1.2), with jwt-simple and with keys
//! that the mock fetched itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::prelude::{
    Duration, ECDSAP256PublicKeyLike, ES256PublicKey, JWTClaims, RS256PublicKey, RSAPublicKeyLike, Token,
    VerificationOptions,
};
use serde_json::{Map, Value};

use crate::clock;
use crate::jwks::{self, IssuerKeys};
use crate::refusal::OAuthRefusal;
use crate::state::{Policy, Workspace};

type Claims = JWTClaims<Map<String, Value>>;

/// What a subject token proved.
#[derive(Debug)]
pub(crate) struct Proven {
    /// The value of the policy's subject claim.
    pub(crate) subject: String,
    pub(crate) expires_at: u64,
}

/// The proof that `token` gives under the first of `policies` that accepts it, else the last refusal.
pub(crate) async fn verify(
    token: &str,
    workspace: &Workspace,
    policies: &[Policy],
    keys: &IssuerKeys,
) -> Result<Proven, OAuthRefusal> {
    let issuer = claimed_issuer(token)?;
    let no_policy = format!("No federation policy for issuer '{issuer}'.");
    let mut refusal = OAuthRefusal::unauthorized_grant(no_policy);
    for policy in policies.iter().filter(|policy| policy.issuer == issuer) {
        match under_policy(token, workspace, policy, keys).await {
            Ok(proven) => return Ok(proven),
            Err(why) => refusal = why,
        }
    }
    Err(refusal)
}

async fn under_policy(
    token: &str,
    workspace: &Workspace,
    policy: &Policy,
    keys: &IssuerKeys,
) -> Result<Proven, OAuthRefusal> {
    let metadata = Token::decode_metadata(token).map_err(|_| malformed())?;
    let keys = policy_keys(workspace, policy, keys, metadata.key_id()).await?;
    let claims = signed_claims(token, metadata.algorithm(), metadata.key_id(), &keys)?;
    accept_claims(&claims, workspace.audiences_of(policy), policy)
}

async fn policy_keys(
    workspace: &Workspace,
    policy: &Policy,
    keys: &IssuerKeys,
    key_id: Option<&str>,
) -> Result<Vec<Value>, OAuthRefusal> {
    if let Some(inline) = &policy.jwks_json {
        // the API has it as text; as an object it is easier to write in a state file
        let parsed = inline.as_str().and_then(|text| serde_json::from_str(text).ok());
        let set = parsed.as_ref().unwrap_or(inline);
        return jwks::keys_of(set).ok_or_else(|| OAuthRefusal::invalid_grant("The policy's jwks_json has no keys."));
    }
    let jwks_url = workspace.issuers.get(&policy.issuer).and_then(|issuer| issuer.jwks_url.as_deref());
    let fetched = keys.of(&policy.issuer, jwks_url, key_id).await;
    fetched.map_err(|why| OAuthRefusal::invalid_grant(format!("Cannot get the keys of the issuer: {why}")))
}

/// The claims, if one of `keys` signed them. A key id that is given must name the key.
fn signed_claims(token: &str, algorithm: &str, id: Option<&str>, keys: &[Value]) -> Result<Claims, OAuthRefusal> {
    if !matches!(algorithm, "RS256" | "ES256") {
        return Err(OAuthRefusal::invalid_grant(format!("Algorithm '{algorithm}' is not supported.")));
    }
    let candidates = keys.iter().filter(|key| id.is_none_or(|id| jwks::has_id(key, id)));
    for key in candidates {
        if let Some(claims) = signed_by(token, algorithm, &key.to_string()) {
            return Ok(claims);
        }
    }
    Err(OAuthRefusal::invalid_grant("The signature of the subject token is not valid."))
}

fn signed_by(token: &str, algorithm: &str, jwk: &str) -> Option<Claims> {
    // times are judged by accept_claims, which tells an expired token from a forged one
    let options = VerificationOptions {
        accept_future: true,
        time_tolerance: Some(Duration::from_secs(clock::now().saturating_sub(3600))),
        ..VerificationOptions::default()
    };
    match algorithm {
        "RS256" => RS256PublicKey::from_jwk(jwk).ok()?.verify_token(token, Some(options)).ok(),
        _ => ES256PublicKey::from_jwk(jwk).ok()?.verify_token(token, Some(options)).ok(),
    }
}

fn accept_claims(claims: &Claims, audiences: &[String], policy: &Policy) -> Result<Proven, OAuthRefusal> {
    const SKEW: u64 = 60;
    let now = clock::now();
    if claims.issuer.as_deref() != Some(policy.issuer.as_str()) {
        return Err(OAuthRefusal::invalid_grant("The issuer of the subject token does not match the policy."));
    }
    let expires_at = claims.expires_at.map(|at| at.as_secs());
    let expires_at = expires_at.ok_or_else(|| OAuthRefusal::invalid_grant("The subject token has no exp claim."))?;
    if expires_at <= now {
        return Err(OAuthRefusal::unauthorized_grant("The subject token has expired."));
    }
    if let Some(longest) = policy.max_lifetime {
        let issued_at = claims.issued_at.map(|at| at.as_secs());
        let issued_at = issued_at.ok_or_else(|| OAuthRefusal::invalid_grant("The subject token has no iat claim."))?;
        if expires_at.saturating_sub(issued_at) > longest {
            let why = format!("The subject token lives longer than {longest} seconds.");
            return Err(OAuthRefusal::invalid_grant(why));
        }
    }
    let starts_at = claims.invalid_before.max(claims.issued_at).map_or(0, |at| at.as_secs());
    if starts_at > now.saturating_add(SKEW) {
        return Err(OAuthRefusal::invalid_grant("The subject token is not valid yet."));
    }
    let wanted = audiences.iter().cloned().collect();
    if !claims.audiences.as_ref().is_some_and(|audiences| audiences.contains(&wanted)) {
        return Err(OAuthRefusal::invalid_grant("The audience of the subject token does not match the policy."));
    }
    let subject = subject_of(claims, &policy.subject_claim)?;
    if policy.subject.as_ref().is_some_and(|expected| *expected != subject) {
        return Err(OAuthRefusal::unauthorized_grant("The subject of the subject token does not match the policy."));
    }
    Ok(Proven { subject, expires_at })
}

fn subject_of(claims: &Claims, name: &str) -> Result<String, OAuthRefusal> {
    let value = match name {
        "sub" => claims.subject.as_deref(),
        other => claims.custom.get(other).and_then(Value::as_str),
    };
    let value = value.filter(|value| !value.is_empty()).map(str::to_owned);
    value.ok_or_else(|| OAuthRefusal::invalid_grant(format!("The subject token has no text claim '{name}'.")))
}

/// The issuer that a token names, unverified: it only selects the policies under which it is then verified.
fn claimed_issuer(token: &str) -> Result<String, OAuthRefusal> {
    let parts: Vec<&str> = token.split('.').collect();
    let [_, payload, _] = parts.as_slice() else { return Err(malformed()) };
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| malformed())?;
    let payload: Value = serde_json::from_slice(&payload).map_err(|_| malformed())?;
    payload.get("iss").and_then(Value::as_str).map(str::to_owned).ok_or_else(malformed)
}

fn malformed() -> OAuthRefusal {
    OAuthRefusal::invalid_grant("The subject token is not a JWT that names its issuer.")
}
