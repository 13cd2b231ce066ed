//! Digest authentication (RFC 3261 section 22, RFC 7616, RFC 8760): as a server that challenges, and as a client that
//! answers challenges.

mod client;
mod digest;
mod nonce;
mod server;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use client::{Answered, Answerer, MAX_ANSWERS, Refused};
pub use digest::{Algorithm, Authorization, Challenge, Counted, Protected, Qop, authorization, challenges};
pub use nonce::DEFAULT_NONCE_LIFE;
pub use server::{Authenticator, Verdict, is_challenged};

/// A password: it can be used but not printed.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes a secret as it is, blanks included.
    pub fn new(secret: impl Into<Arc<str>>) -> Self {
        Self(secret.into())
    }

    /// The secret in the clear, for the hash alone.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for Secret {}

/// A user and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// What is demanded of the requests that come in on a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm {
    /// The realm, as the peer is shown it.
    pub name: String,
    /// Who may come in. Without anybody, nobody may.
    pub users: Vec<Credentials>,
    /// The algorithms offered, the preferred one first (RFC 8760 2.4).
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce can be used after it was given out.
    pub nonce_life: Duration,
}

impl Realm {
    /// A realm that offers SHA-256 and then MD5, with nonces that live for [`DEFAULT_NONCE_LIFE`].
    pub fn new(name: impl Into<String>, users: Vec<Credentials>) -> Self {
        let algorithms = vec![Algorithm::Sha256, Algorithm::Md5];
        Self { name: name.into(), users, algorithms, nonce_life: DEFAULT_NONCE_LIFE }
    }
}

/// What challenges to our own requests are answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User and password.
    pub credentials: Credentials,
    /// The only realm whose challenges are answered; with none, every realm of the trunk.
    pub realm: Option<String>,
}

/// Are these the same, in a time that tells nothing about where they differ or how long they are?
fn same(a: &str, b: &str) -> bool {
    // Both go through a MAC first: what is compared has one length, and nobody can steer its bytes.
    let mac = |text: &str| -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"comparison").ok()?;
        mac.update(text.as_bytes());
        Some(mac)
    };
    match (mac(a), mac(b)) {
        (Some(a), Some(b)) => a.verify(&b.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let credentials = Credentials { user: "trunk".into(), password: Secret::new("hunter2") };
        let account = Account { credentials: credentials.clone(), realm: None };
        let realm = Realm::new("pbx", vec![credentials]);
        assert!(!format!("{account:?} {realm:#?}").contains("hunter2"));
    }

    #[test]
    fn secrets_compare_by_their_text() {
        assert_eq!(Secret::new("right"), Secret::new("right"));
        for wrong in ["", "righ", "right ", "Right"] {
            assert_ne!(Secret::new("right"), Secret::new(wrong));
        }
    }
}
