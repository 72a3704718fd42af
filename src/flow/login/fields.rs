//! The parameters of an OAuth request, each of which may stand there once (RFC 6749 sections 3.1 and 3.2).

use super::super::own_endpoints::oauth_error;
use super::super::refusal::Reply;
use std::borrow::Cow;

/// Parameters by their names, decoded.
#[derive(Debug)]
pub(in crate::flow) struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    pub(in crate::flow) fn of(form: &'a [(Cow<'a, str>, Cow<'a, str>)]) -> Self {
        Self(form.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect())
    }

    /// The value of a parameter; one without a value is taken for absent (RFC 6749 section 3.1).
    pub(in crate::flow) fn get(&self, name: &str) -> Result<Option<&'a str>, Reply> {
        let mut values = self.0.iter().filter(|(key, _)| *key == name).map(|(_, value)| *value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
            _ => Err(oauth_error("invalid_request", "a parameter is repeated")),
        }
    }

    /// The value of a parameter of up to `longest` bytes, if it is there, all of them printable ASCII (RFC 6749 appendix A).
    pub(super) fn text(&self, name: &str, longest: usize) -> Result<Option<&'a str>, Reply> {
        let value = self.get(name)?;
        if value.is_none_or(|value| value.len() <= longest && value.bytes().all(|byte| matches!(byte, 0x20..=0x7e))) {
            return Ok(value);
        }
        Err(oauth_error("invalid_request", &format!("`{name}` is too long, or holds what is not printable ascii")))
    }

    /// The same, where it must be there.
    pub(super) fn needed(&self, name: &str, longest: usize) -> Result<&'a str, Reply> {
        let value = self.text(name, longest)?;
        value.ok_or_else(|| oauth_error("invalid_request", &format!("`{name}` is missing")))
    }
}
