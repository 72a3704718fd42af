//! `service_principal_secret`: a service principal's token by its own secret, shared by the callers of the role.

use super::Exchanged;
use crate::base::{FingerprintBuilder, Secret, UnixTime};
use crate::exchange::TokenForm;
use crate::jwt::Caller;
use crate::policy::{Scope, SecretSource, ServicePrincipalSecret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

impl Exchanged for ServicePrincipalSecret {
    fn secret(&self) -> Option<&SecretSource> {
        Some(&self.client_secret)
    }

    fn add_to_key(&self, key: FingerprintBuilder, _: &Caller, secret: Option<&Secret<String>>) -> FingerprintBuilder {
        let secret = secret.map_or(&[][..], |secret| secret.expose().as_bytes());
        key.field(self.client_id.as_bytes()).field(secret)
    }

    /// The gateway's own credential knows nothing of the caller's JWT.
    fn not_after(&self, _: &Caller) -> UnixTime {
        UnixTime::MAX
    }

    /// The client credentials grant (RFC 6749 section 4.4.2).
    fn form(&self, _: &Caller, scope: &Scope, secret: Option<&Secret<String>>) -> TokenForm {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials").append_pair("scope", scope.as_str());
        let authorization = secret.map(|secret| basic(&self.client_id, secret));
        TokenForm { body: Secret::new(form.finish()), authorization }
    }
}

/// `client_secret_basic`: both parts are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(client_id: &str, secret: &Secret<String>) -> Secret<String> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}
