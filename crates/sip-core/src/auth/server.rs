//! The server's side: who sent this request (RFC 3261 22.2, RFC 7616 3.4 and 3.5)?

use std::collections::HashMap;
use std::time::Instant;

use super::digest::{self, Authorization, Challenge, Qop, unquoted};
use super::nonce::Nonces;
use super::{Algorithm, Realm, Secret};
use crate::message::{Headers, Method, Request, Scheme, Uri};

/// The most Authorization header fields of a request that are looked at.
const MAX_ANSWERS: usize = 4;

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This user, who knows the password.
    Accepted(String),
    /// Nobody knows: 401.
    Challenge {
        /// The password was right and the nonce too old, unknown or used up.
        stale: bool,
    },
}

/// Challenges requests on behalf of one realm, and checks the answers.
#[derive(Debug)]
pub struct Authenticator {
    realm: String,
    users: HashMap<String, Secret>,
    /// Stands in for the password of a user that does not exist.
    nobody: Secret,
    algorithms: Vec<Algorithm>,
    nonces: Nonces,
}

impl Authenticator {
    /// `scope` sets the nonces apart from those of another realm of the same name; `seed` signs them.
    pub fn new(realm: &Realm, scope: &str, seed: &[u8; 32]) -> Self {
        let users = realm.users.iter().map(|known| (unquoted(&known.user), known.password.clone())).collect();
        let name = format!("{scope}\n{}", realm.name);
        Self {
            realm: unquoted(&realm.name),
            users,
            nobody: Secret::new("nobody"),
            algorithms: realm.algorithms.clone(),
            nonces: Nonces::new(seed, &name, realm.nonce_life),
        }
    }

    /// Checks the answer that a request carries. An accepted one is used up: the same again is stale.
    pub fn verify(&mut self, now: Instant, request: &Request) -> Verdict {
        let mut stale = false;
        for answer in answers(&request.headers) {
            if answer.realm != self.realm || !self.is_right(&answer, request) {
                continue;
            }
            // Without a count the nonce is good for one request.
            let count = answer.counted.as_ref().map_or(1, |counted| counted.nc);
            if self.nonces.spend(now, &answer.nonce, count) {
                return Verdict::Accepted(answer.user);
            }
            stale = true;
        }
        Verdict::Challenge { stale }
    }

    /// Does whoever answered know the password? An unknown user costs the same time as a wrong password.
    fn is_right(&self, answer: &Authorization, request: &Request) -> bool {
        let password = self.users.get(&answer.user);
        let right = answer.is_by(password.unwrap_or(&self.nobody), request.method.as_str(), &request.body);
        let offered = self.algorithms.contains(&answer.algorithm);
        let protects = answer.counted.as_ref().is_none_or(|counted| counted.qop == Qop::Auth);
        right && password.is_some() && offered && protects && means(&answer.uri, &request.uri)
    }

    /// The values of the WWW-Authenticate header fields of a 401, the preferred algorithm first.
    pub fn challenges(&mut self, now: Instant, stale: bool) -> Vec<String> {
        let nonce = self.nonces.issue(now);
        let challenge = |algorithm: &Algorithm| Challenge {
            realm: self.realm.clone(),
            nonce: nonce.clone(),
            opaque: None,
            stale,
            algorithm: *algorithm,
            qop: Some(Qop::Auth),
        };
        self.algorithms.iter().map(|algorithm| challenge(algorithm).to_string()).collect()
    }
}

/// Is it worth asking who sent it? ACK and CANCEL cannot be answered with a challenge (RFC 3261 22.1), and OPTIONS only
/// asks whether we live.
pub fn is_challenged(method: &Method) -> bool {
    !matches!(method, Method::Ack | Method::Cancel | Method::Options)
}

fn answers(headers: &Headers) -> impl Iterator<Item = Authorization> {
    headers.get_all("Authorization").take(MAX_ANSWERS).filter_map(digest::authorization)
}

/// Does the `uri` of an answer mean the Request-URI? Its parameters may differ, and its port may be left out: clients
/// take it from their settings, and proxies add to the Request-URI (RFC 3261 22.4 point 5).
fn means(text: &str, uri: &Uri) -> bool {
    let Ok(claimed) = text.parse::<Uri>() else {
        return false;
    };
    let is_sip = |uri: &Uri| matches!(uri.scheme, Scheme::Sip | Scheme::Sips);
    let scheme = claimed.scheme == uri.scheme || is_sip(&claimed) && is_sip(uri);
    let port = claimed.port == uri.port || claimed.port.is_none() || uri.port.is_none();
    scheme && port && claimed.host.eq_ignore_ascii_case(&uri.host) && same_user(&claimed, uri)
}

fn same_user(a: &Uri, b: &Uri) -> bool {
    a.user == b.user || a.user.is_some() && b.user.is_some() && a.user_unescaped() == b.user_unescaped()
}

#[cfg(test)]
mod tests;
