//! Values that must never be printed.

use std::fmt;

/// A token, a client secret, a key: something that may be used but never shown.
///
/// There is no `Display`, no `Serialize` and no `PartialEq`, and `Debug` prints a placeholder, so that the only way to the
/// value is [`Secret::expose`], which a reviewer can search for.
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// What `change` makes of the value, as a secret again.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Secret<U> {
        Secret(change(self.0))
    }

    /// The value itself. The caller must not write it anywhere but into the request that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_value() {
        let text = format!("{:?} {:#?}", Secret::new("hunter2"), Some(Secret::new(vec![1, 2])));
        assert!(!text.contains("hunter2") && !text.contains('1'), "{text}");
    }
}
