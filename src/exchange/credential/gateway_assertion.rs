//! `gateway_assertion`: the gateway signs who it is and exchanges that under a service principal's federation policy. Databricks needs the
//! public key only, and there is no Databricks secret anywhere.

use super::{Asking, Exchanged, Own, token_exchange};
use crate::base::{FingerprintBuilder, object};
use crate::exchange::TokenForm;
use crate::policy::GatewayAssertion;
use serde_json::{Map, Value, json};

/// How long an assertion is good for, in seconds. Databricks' token lives as long, so it is as long as it may be.
const LIFE: u64 = 300;

impl Exchanged for GatewayAssertion {
    fn is_callers(&self) -> bool {
        false
    }

    fn own(&self) -> Own<'_> {
        Own::Key(&self.key)
    }

    fn add_to_key(&self, key: FingerprintBuilder) -> FingerprintBuilder {
        let parts = [&self.client_id, &self.issuer, &self.audience, &self.subject];
        key.fields(parts.map(|part| part.as_bytes()).into_iter())
    }

    fn form(&self, asking: &Asking<'_>) -> TokenForm {
        let Some(key) = asking.key else { return TokenForm::default() };
        let kid = self.kid.as_deref().unwrap_or(key.thumbprint());
        let further = [("client_id", self.client_id.as_str()), ("scope", asking.scope.as_str())];
        key.sign(kid, &self.claims(asking))
            .map_or_else(TokenForm::default, |assertion| token_exchange(&assertion, &further))
    }
}

impl GatewayAssertion {
    fn claims(&self, asking: &Asking<'_>) -> Map<String, Value> {
        let issued_at = asking.now.as_secs();
        let claims = [
            ("iss", json!(self.issuer)),
            ("aud", json!(self.audience)),
            ("sub", json!(self.subject)),
            ("iat", json!(issued_at)),
            ("exp", json!(issued_at.saturating_add(LIFE))),
            ("jti", json!(asking.unique)),
        ];
        object(claims)
    }
}
