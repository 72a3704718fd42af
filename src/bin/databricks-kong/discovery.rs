//! What an issuer says of itself (OpenID Connect Discovery 1.0), held against what the gateway needs.

use crate::check::counted;
use crate::http::Http;
use databricks_kong::jwt::KeySet;
use serde_json::Value;

/// What asking came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Discovered {
    /// It is as the gateway needs it, in words.
    Good(String),
    /// It could not be asked.
    Unknown(String),
    /// The gateway could not work with this issuer.
    Wrong(String),
}

/// Asks an issuer for its document and its keys.
pub(crate) fn discover(http: &Http, issuer: &str) -> Discovered {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let answer = match http.get(&url, None) {
        Ok(answer) => answer,
        Err(why) => return Discovered::Unknown(format!("{url}: {why}")),
    };
    if answer.status != 200 {
        return Discovered::Wrong(format!("`{url}` answers {}: is `{issuer}` the issuer?", answer.status));
    }
    let document = answer.json();
    let text = |key: &str| document.get(key).and_then(Value::as_str);
    match text("issuer") {
        Some(own) if own == issuer => {}
        Some(own) => {
            return Discovered::Wrong(format!("the issuer calls itself `{own}`: write exactly that"));
        }
        None => return Discovered::Wrong(format!("`{url}` is no discovery document: it has no `issuer`")),
    }
    let Some(keys) = text("jwks_uri") else {
        return Discovered::Wrong(format!("`{url}` has no `jwks_uri`: set `jwks_url` by hand"));
    };
    match http.get(keys, None) {
        Err(why) => Discovered::Unknown(format!("{keys}: {why}")),
        Ok(answer) if answer.status != 200 => Discovered::Wrong(format!("`{keys}` answers {}", answer.status)),
        Ok(answer) => match KeySet::parse(answer.body.as_bytes()) {
            Ok(parsed) if !parsed.keys.is_empty() => Discovered::Good(format!(
                "the issuer answers and has {} that the gateway can use",
                counted(parsed.keys.len(), "key")
            )),
            _ => Discovered::Wrong(format!("`{keys}` has no key that the gateway can use")),
        },
    }
}
