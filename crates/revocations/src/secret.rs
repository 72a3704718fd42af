//! Bearer secrets that others must show.

use databricks_kong::base::Secret;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// A secret that a request must show as `Authorization: Bearer …`.
///
/// Digests are compared, in constant time, so that neither the secret's bytes nor its length can be measured.
#[derive(Clone, Debug)]
pub struct Bearer(Arc<Secret<[u8; 32]>>);

impl Bearer {
    /// For this secret.
    #[must_use]
    pub fn new(secret: &Secret<String>) -> Self {
        Self(Arc::new(Secret::new(Sha256::digest(secret.expose()).into())))
    }

    /// Whether a request with these `Authorization` headers shows the secret. Two such headers never do.
    pub fn is_shown_by<'h>(&self, mut headers: impl Iterator<Item = &'h [u8]>) -> bool {
        let (Some(header), None) = (headers.next(), headers.next()) else { return false };
        let Some((scheme, shown)) = header.split_at_checked(SCHEME.len()) else { return false };
        let shown: [u8; 32] = Sha256::digest(shown).into();
        let is_bearer = scheme.eq_ignore_ascii_case(SCHEME);
        bool::from(self.0.expose().ct_eq(&shown)) && is_bearer
    }
}

const SCHEME: &[u8] = b"Bearer ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_opens() {
        let bearer = Bearer::new(&Secret::new("s3cret".to_owned()));
        let shows = |headers: &[&str]| bearer.is_shown_by(headers.iter().map(|header| header.as_bytes()));
        assert!(shows(&["Bearer s3cret"]) && shows(&["bearer s3cret"]));
        for wrong in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer s3cre"],
            &["Bearer s3cret "],
            &["Bearer  s3cret"],
            &["Basic s3cret"],
            &["s3cret"],
            &["Bearer s3cret", "Bearer s3cret"],
        ] {
            assert!(!shows(wrong), "{wrong:?}");
        }
        assert!(!format!("{bearer:?}").contains("s3cret"));
    }
}
