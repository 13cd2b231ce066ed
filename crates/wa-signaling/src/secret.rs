//! Secrets: access tokens, the app secret, the webhook's verify token.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A secret that can be used but not printed: it has no `Display`, and its
/// `Debug` shows nothing.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes a secret as it is, spaces included.
    pub fn new(secret: impl Into<Arc<str>>) -> Self {
        Self(secret.into())
    }

    /// The secret in the clear, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no secret at all: nothing may be checked against it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `other` is this secret, in a time that tells nothing about
    /// where they differ or how long the secret is. An empty one matches
    /// nothing.
    #[must_use]
    pub fn matches(&self, other: &str) -> bool {
        // Both go through a MAC first: what is compared has one length, and
        // nobody can steer its bytes.
        let mac = |text: &str| -> Option<Hmac<Sha256>> {
            let mut mac = Hmac::<Sha256>::new_from_slice(b"secret comparison").ok()?;
            mac.update(text.as_bytes());
            Some(mac)
        };
        let (Some(own), Some(other)) = (mac(&self.0), mac(other)) else {
            return false;
        };
        !self.is_empty() && own.verify(&other.finalize().into_bytes()).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("EAAG-token");
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "Secret(..) Some(\n    Secret(..),\n)");
    }

    #[test]
    fn only_the_same_text_matches() {
        let secret = Secret::new("right");
        assert!(secret.matches("right"));
        for wrong in ["", "righ", "right\0", "right ", "Right", "wrong"] {
            assert!(!secret.matches(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn an_empty_secret_matches_nothing() {
        assert!(!Secret::new("").matches(""));
    }
}
