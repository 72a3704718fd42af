//! Verifies a token.
