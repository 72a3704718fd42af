//! `GET /oidc/v1/authorize`: what a client asks for, and what the provider is asked for in its place (RFC 6749 section 4.1.1).

use super::super::own_endpoints::oauth_error;
use super::super::refusal::Reply;
use super::super::request::Routed;
use super::fields::Fields;
use super::redirect_uri::is_loopback;
use crate::base::Url;
use crate::config::Login;

/// What a client keeps by itself may be so long, in bytes; official clients send some twenty.
const LONGEST: usize = 1024;
/// A SHA-256 in base64url has so many characters (RFC 7636 section 4.2).
const CHALLENGE: usize = 43;

/// A sign-in that is to begin.
#[derive(Debug)]
pub(in crate::flow) struct Authorization {
    redirect_uri: String,
    challenge: String,
    state: Option<String>,
    nonce: Option<String>,
}

impl Authorization {
    /// Reads what the client asks for, or says what is wrong with it: to the person before the browser, and never by a redirect.
    pub(in crate::flow) fn read(routed: &Routed) -> Result<Self, Reply> {
        let fields = Fields::of(routed.target.parameters());
        let wrong = |description: &str| Err(oauth_error("invalid_request", description));
        // before anything else: who that is decides whether anything is said to anybody
        if !fields.needed("redirect_uri", LONGEST).is_ok_and(is_loopback) {
            return wrong(
                "`redirect_uri` must be http://localhost, http://127.0.0.1 or http://[::1], with any port and path",
            );
        }
        if fields.needed("response_type", LONGEST)? != "code" {
            return Err(oauth_error("unsupported_response_type", "`response_type` must be `code`"));
        }
        if fields.needed("code_challenge_method", LONGEST)? != "S256" {
            return wrong("`code_challenge_method` must be `S256`");
        }
        let challenge = fields.needed("code_challenge", LONGEST)?;
        if challenge.len() != CHALLENGE || !challenge.bytes().all(is_base64url) {
            return wrong("`code_challenge` is none of `S256`");
        }
        // which are not passed on, and may not say two things all the same
        for dropped in ["client_id", "scope", "response_mode", "prompt", "request", "request_uri"] {
            fields.get(dropped)?;
        }
        Ok(Self {
            redirect_uri: fields.needed("redirect_uri", LONGEST)?.to_owned(),
            challenge: challenge.to_owned(),
            state: fields.text("state", LONGEST)?.map(str::to_owned),
            nonce: fields.text("nonce", LONGEST)?.map(str::to_owned),
        })
    }

    /// Where the client's browser goes.
    pub(super) fn redirect(&self, endpoint: &Url, login: &Login) -> Reply {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &login.client_id)
            .append_pair("scope", &login.scope)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("code_challenge", &self.challenge)
            .append_pair("code_challenge_method", "S256");
        let brought = [("state", &self.state), ("nonce", &self.nonce)];
        for (name, value) in brought.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            query.append_pair(name, value);
        }
        // a query that the endpoint has is kept (RFC 6749 section 3.1)
        let join = if endpoint.path().contains('?') { '&' } else { '?' };
        Reply::redirect(format!("{endpoint}{join}{}", query.finish()))
    }
}

const fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
