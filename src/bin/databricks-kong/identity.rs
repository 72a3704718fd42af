//! Tokens for callers who are known by their claims only.
//!
//! A caller is the proof that a signature was checked, and there is no way round: claims are signed here with a key of the tool's own, and
//! verified as any token is, against providers that for this once have that key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use databricks_kong::base::{Secret, UnixTime};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Map, Value, json};

/// A token's life in seconds, where claims do not say.
const LIFETIME: u64 = 3600;

/// By what a caller is known.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// Nothing: no token is sent.
    Nobody,
    /// Claims, which are taken for verified. What is missing of `iss`, `aud`, `iat` and `exp` is filled in as the provider of this name, or
    /// else the first, would issue it.
    Claims {
        /// The provider's name.
        provider: Option<String>,
        /// The claims.
        claims: Map<String, Value>,
        /// Whether they are a token's: then nothing is filled in.
        is_whole: bool,
    },
    /// A token that was really issued, with the provider's keys as a JWKS document.
    Token {
        /// The token.
        token: Secret<String>,
        /// The document.
        keys: String,
    },
}

/// A caller's token, and what providers must be for it to be verified.
#[derive(Debug)]
pub(crate) struct Presented {
    /// What is sent; nothing for nobody.
    pub(crate) token: Option<Secret<String>>,
    /// What providers answer when they are asked for keys.
    pub(crate) keys: String,
    /// The configuration with providers that have these keys.
    pub(crate) config: Value,
}

/// Makes the token of `identity`.
///
/// # Errors
/// The claims name a provider that the configuration does not have.
pub(crate) fn present(config: &Value, identity: &Identity, now: UnixTime) -> Result<Presented, String> {
    let mut config = match config {
        // the other form in which the filter takes its configuration
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    };
    // a question has no TLS connection, and is the only one
    for key in ["client_certificate", "client_certificate_header", "quota"] {
        config.as_object_mut().map(|config| config.remove(key));
    }
    match identity {
        Identity::Nobody => Ok(Presented { token: None, keys: String::new(), config }),
        Identity::Token { token, keys } => Ok(Presented { token: Some(token.clone()), keys: keys.clone(), config }),
        Identity::Claims { provider, claims, is_whole } => {
            let claims = if *is_whole { claims.clone() } else { completed(&config, provider.as_deref(), claims, now)? };
            for provider in providers_mut(&mut config) {
                provider.insert("algorithms".to_owned(), json!(["EdDSA"]));
            }
            let key = SigningKey::from_bytes(&[1; 32]);
            let point = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
            let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": point}]});
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA"}"#);
            let payload = URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string());
            let signing_input = format!("{header}.{payload}");
            let signature = URL_SAFE_NO_PAD.encode(key.sign(signing_input.as_bytes()).to_bytes());
            let token = Some(Secret::new(format!("{signing_input}.{signature}")));
            Ok(Presented { token, keys: keys.to_string(), config })
        }
    }
}

/// The claims of a token, unverified: to be shown, or to be taken for verified by who says so. Nothing if it is no JWT.
pub(crate) fn claims_of(token: &str) -> Option<Map<String, Value>> {
    part(token, 1).filter(|_| token.split('.').count() == 3)
}

/// The algorithm that a token names.
pub(crate) fn algorithm_of(token: &str) -> Option<String> {
    part(token, 0)?.get("alg")?.as_str().map(str::to_owned)
}

fn part(token: &str, index: usize) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(index)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn providers_mut(config: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let list = config.get_mut("identity_providers").and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn completed(
    config: &Value,
    provider: Option<&str>,
    claims: &Map<String, Value>,
    now: UnixTime,
) -> Result<Map<String, Value>, String> {
    let providers = config.get("identity_providers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let named = |value: &&Value| provider.is_none_or(|name| value.get("name").and_then(Value::as_str) == Some(name));
    let issuer_is = |value: &&Value| claims.get("iss").is_some_and(|issuer| value.get("issuer") == Some(issuer));
    let found = match provider {
        None => providers.iter().find(issuer_is).or_else(|| providers.first()),
        Some(_) => providers.iter().find(named),
    };
    if let (Some(name), None) = (provider, found) {
        let known = providers.iter().filter_map(|value| value.get("name")?.as_str()).collect::<Vec<_>>().join(", ");
        return Err(format!("`{name}` is no identity provider of the configuration; it has {known}"));
    }
    let mut claims = claims.clone();
    let mut fill = |name: &str, value: Option<Value>| {
        if let (false, Some(value)) = (claims.contains_key(name), value) {
            claims.insert(name.to_owned(), value);
        }
    };
    let of_provider = |key: &str| found.and_then(|provider| provider.get(key)).cloned();
    fill("iss", of_provider("issuer"));
    fill("aud", of_provider("audiences").and_then(|list| list.get(0).cloned()));
    fill("iat", Some(json!(now.as_secs())));
    fill("exp", Some(json!(now.as_secs().saturating_add(LIFETIME))));
    // null is how a test says that a claim is missing
    claims.retain(|_, value| !value.is_null());
    Ok(claims)
}
