//! `POST /oidc/v1/token`: what a client brings for tokens, and what the provider is sent in its place (RFC 6749 sections 4.1.3 and 6).

use super::super::own_endpoints::oauth_error;
use super::super::refusal::Reply;
use super::fields::Fields;
use super::redirect_uri::is_loopback;
use crate::base::Secret;
use crate::config::Login;

/// As long as a token that is looked at may be at most.
const LONGEST: usize = 64 * 1024;
/// RFC 7636 section 4.1.
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;

/// What a client has for tokens.
#[derive(Debug)]
pub(in crate::flow) enum Grant {
    /// The code of a sign-in.
    Code { code: Secret<String>, redirect_uri: String, verifier: Secret<String> },
    /// A refresh token, and whether it asks for scopes.
    Refresh { token: Secret<String>, with_scope: bool },
}

impl Grant {
    /// Reads a form of that grant type; nothing if it is none of these.
    pub(in crate::flow) fn read(kind: Option<&str>, fields: &Fields<'_>) -> Option<Result<Self, Reply>> {
        match kind {
            Some("authorization_code") => Some(Self::code(fields)),
            Some("refresh_token") => Some(Self::refresh(fields)),
            _ => None,
        }
    }

    fn code(fields: &Fields<'_>) -> Result<Self, Reply> {
        let verifier = fields.needed("code_verifier", *VERIFIER.end())?;
        if !VERIFIER.contains(&verifier.len()) || !verifier.bytes().all(is_unreserved) {
            return Err(oauth_error("invalid_request", "`code_verifier` is none"));
        }
        let redirect_uri = fields.needed("redirect_uri", LONGEST)?;
        if !is_loopback(redirect_uri) {
            return Err(oauth_error("invalid_request", "`redirect_uri` is not the one that the code was sent to"));
        }
        let code = fields.needed("code", LONGEST)?;
        dropped(fields)?;
        Ok(Self::Code { code: secret(code), redirect_uri: redirect_uri.to_owned(), verifier: secret(verifier) })
    }

    fn refresh(fields: &Fields<'_>) -> Result<Self, Reply> {
        let token = fields.needed("refresh_token", LONGEST)?;
        dropped(fields)?;
        Ok(Self::Refresh { token: secret(token), with_scope: fields.get("scope")?.is_some() })
    }

    /// The provider's form for it.
    pub(super) fn form(&self, login: &Login) -> Secret<String> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        match self {
            Self::Code { code, redirect_uri, verifier } => {
                form.append_pair("grant_type", "authorization_code")
                    .append_pair("code", code.expose())
                    .append_pair("redirect_uri", redirect_uri)
                    .append_pair("code_verifier", verifier.expose());
            }
            Self::Refresh { token, with_scope } => {
                form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token.expose());
                if *with_scope {
                    form.append_pair("scope", &login.scope);
                }
            }
        }
        // a client with a secret names itself where it shows that (RFC 6749 section 2.3)
        if login.client_secret.is_none() {
            form.append_pair("client_id", &login.client_id);
        }
        Secret::new(form.finish())
    }

    /// What is said of it if the provider refuses it with `error`. The Databricks clients know what is said of a refresh token, and ask
    /// the person to sign in again (databricks-sdk-go, `InvalidRefreshTokenError`).
    pub(super) fn refused(&self, error: &str) -> &'static str {
        match self {
            Self::Code { .. } if error == "invalid_grant" => {
                "the identity provider does not take the code; sign in again"
            }
            Self::Refresh { .. } if error == "invalid_grant" => "Refresh token is invalid",
            Self::Code { .. } | Self::Refresh { .. } => "the identity provider refuses the request for tokens",
        }
    }

    /// Whether those who want the same at the same time may have one answer. A code is good once; who brings it again is to hear so.
    pub(super) const fn may_be_shared(&self) -> bool {
        matches!(self, Self::Refresh { .. })
    }
}

/// They are not passed on, and may not say two things all the same.
fn dropped(fields: &Fields<'_>) -> Result<(), Reply> {
    ["client_id", "client_secret", "scope", "resource", "audience"]
        .iter()
        .try_for_each(|name| fields.get(name).map(drop))
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}
