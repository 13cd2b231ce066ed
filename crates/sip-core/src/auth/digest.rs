//! Challenges and their answers as text, and the hash between them (RFC 7616 section 3, RFC 8760, RFC 3261 22.4).
//!
//! Quoted values are kept as they stand between their quotes: that is what RFC 7616 hashes, and it can be written back
//! without a second look.

use std::fmt;

use md5::{Digest, Md5};
use sha2::Sha256;

use super::{Credentials, same};
use crate::message::text;

/// The most challenges, or answers, of one message that are looked at.
const MAX_SCHEMES: usize = 16;

/// A hash algorithm, the weaker one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// MD5 (RFC 3261)
    Md5,
    /// SHA-256 (RFC 8760)
    Sha256,
}

impl Algorithm {
    /// The name in the `algorithm` parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// `None` for what we do not know, the `-sess` variants among it.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name))
    }

    /// The hash of the parts with colons between them, in lower-case hex.
    fn hash(self, parts: &[&[u8]]) -> String {
        let joined = parts.join(&b':');
        match self {
            Self::Md5 => hex::encode(Md5::digest(&joined)),
            Self::Sha256 => hex::encode(Sha256::digest(&joined)),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a response protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qop {
    /// The method and the URI.
    Auth,
    /// The body too.
    AuthInt,
}

impl Qop {
    fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Auth, Self::AuthInt].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name.trim()))
    }
}

/// A challenge that we could answer: one element of WWW-Authenticate or Proxy-Authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The realm.
    pub realm: String,
    /// The nonce.
    pub nonce: String,
    /// To be sent back as it is.
    pub opaque: Option<String>,
    /// Only the nonce was bad.
    pub stale: bool,
    /// MD5 where the challenge names none.
    pub algorithm: Algorithm,
    /// What is best of that offered; `None` where the challenge is of RFC 2069 and offers none.
    pub qop: Option<Qop>,
}

/// An answer: the value of an Authorization or Proxy-Authorization header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The user name.
    pub user: String,
    /// The realm.
    pub realm: String,
    /// The nonce of the challenge.
    pub nonce: String,
    /// The Request-URI as the client knew it.
    pub uri: String,
    /// The hash.
    pub response: String,
    /// MD5 where none is named.
    pub algorithm: Algorithm,
    /// The opaque of the challenge.
    pub opaque: Option<String>,
    /// Protection, nonce count and the client's own nonce; `None` for a client of RFC 2069.
    pub counted: Option<Counted>,
}

/// What comes with a `qop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// What is protected.
    pub qop: Qop,
    /// How often the client has used the nonce, from 1.
    pub nc: u32,
    /// The client's own nonce.
    pub cnonce: String,
}

/// The Digest challenges in the value of a WWW-Authenticate or Proxy-Authenticate header field, in order. Other schemes,
/// and what we could not answer, are left out.
pub fn challenges(value: &str) -> Vec<Challenge> {
    digests(value).iter().filter_map(challenge).collect()
}

/// The answer in an Authorization or Proxy-Authorization header field; `None` for another scheme, for an algorithm that
/// we do not know and for what lacks or repeats a parameter.
pub fn authorization(value: &str) -> Option<Authorization> {
    let all = digests(value);
    let [fields] = all.as_slice() else {
        return None;
    };
    let counted = match fields.get("qop") {
        None => None,
        Some(qop) => Some(Counted {
            qop: Qop::parse(qop)?,
            nc: fields.get("nc").and_then(count)?,
            cnonce: fields.take("cnonce")?,
        }),
    };
    Some(Authorization {
        user: fields.take("username")?,
        realm: fields.take("realm")?,
        nonce: fields.take("nonce")?,
        uri: fields.take("uri")?,
        response: fields.take("response")?,
        algorithm: fields.algorithm()?,
        opaque: fields.take("opaque"),
        counted,
    })
}

fn challenge(fields: &Fields) -> Option<Challenge> {
    let qop = match fields.get("qop") {
        None => None,
        Some(offered) => Some(best_qop(offered)?),
    };
    Some(Challenge {
        realm: fields.take("realm")?,
        nonce: fields.take("nonce")?,
        opaque: fields.take("opaque"),
        stale: fields.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        algorithm: fields.algorithm()?,
        qop,
    })
}

/// `auth` wherever it is offered: a body that a proxy touches breaks `auth-int`.
fn best_qop(offered: &str) -> Option<Qop> {
    let known: Vec<_> = offered.split(',').filter_map(Qop::parse).collect();
    if known.contains(&Qop::Auth) { Some(Qop::Auth) } else { known.first().copied() }
}

/// A nonce count: eight hex digits.
fn count(text: &str) -> Option<u32> {
    let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

impl Challenge {
    /// Answers the challenge. `nc` says how often its nonce has been used, this time included.
    pub fn answer(&self, with: &Credentials, request: Protected<'_>, nc: u32, cnonce: &str) -> Authorization {
        let counted = self.qop.map(|qop| Counted { qop, nc, cnonce: cnonce.to_owned() });
        let mut answer = Authorization {
            user: unquoted(&with.user),
            realm: self.realm.clone(),
            nonce: self.nonce.clone(),
            uri: unquoted(request.uri),
            response: String::new(),
            algorithm: self.algorithm,
            opaque: self.opaque.clone(),
            counted,
        };
        answer.response = answer.expected(with.password.expose(), request.method, request.body);
        answer
    }
}

/// What of a request goes into the hash.
#[derive(Debug, Clone, Copy)]
pub struct Protected<'a> {
    /// The method.
    pub method: &'a str,
    /// The Request-URI.
    pub uri: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl Authorization {
    /// The response that this password gives (RFC 7616 3.4.1; 3.4.6 without a qop).
    fn expected(&self, password: &str, method: &str, body: &[u8]) -> String {
        let hash = |parts: &[&str]| {
            let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
            self.algorithm.hash(&parts)
        };
        let secret = hash(&[&self.user, &self.realm, password]);
        let Some(Counted { qop, nc, cnonce }) = &self.counted else {
            return hash(&[&secret, &self.nonce, &hash(&[method, &self.uri])]);
        };
        let request = match qop {
            Qop::Auth => hash(&[method, &self.uri]),
            Qop::AuthInt => hash(&[method, &self.uri, &self.algorithm.hash(&[body])]),
        };
        hash(&[&secret, &self.nonce, &format!("{nc:08x}"), cnonce, qop.as_str(), &request])
    }

    /// Is the response the one that this password gives?
    pub fn is_by(&self, password: &super::Secret, method: &str, body: &[u8]) -> bool {
        let expected = self.expected(password.expose(), method, body);
        same(&expected, &self.response.to_ascii_lowercase())
    }
}

impl fmt::Display for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest username=\"{}\", realm=\"{}\"", self.user, self.realm)?;
        write!(f, ", nonce=\"{}\", uri=\"{}\"", self.nonce, self.uri)?;
        write!(f, ", response=\"{}\", algorithm={}", self.response, self.algorithm)?;
        if let Some(Counted { qop, nc, cnonce }) = &self.counted {
            write!(f, ", cnonce=\"{cnonce}\", qop={}, nc={nc:08x}", qop.as_str())?;
        }
        match &self.opaque {
            Some(opaque) => write!(f, ", opaque=\"{opaque}\""),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm=\"{}\", nonce=\"{}\", algorithm={}", self.realm, self.nonce, self.algorithm)?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque=\"{opaque}\"")?;
        }
        if let Some(qop) = self.qop {
            write!(f, ", qop=\"{}\"", qop.as_str())?;
        }
        if self.stale {
            f.write_str(", stale=true")?;
        }
        Ok(())
    }
}

/// A text of ours as it stands between quotes.
pub(super) fn unquoted(text: &str) -> String {
    let quoted = text::quote(text);
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

/// The parameters of one Digest challenge or answer.
#[derive(Debug, Default)]
struct Fields(Vec<(String, String)>);

impl Fields {
    /// The value of a parameter that is there exactly once.
    fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }

    fn take(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    fn algorithm(&self) -> Option<Algorithm> {
        if self.has("algorithm") { Algorithm::parse(self.get("algorithm")?) } else { Some(Algorithm::Md5) }
    }

    /// A parameter that may be left out must not be there twice: which of the two would count?
    fn is_whole(&self) -> bool {
        ["qop", "nc", "cnonce", "opaque", "stale"]
            .iter()
            .all(|name| !self.has(name) || self.get(name).is_some())
    }
}

/// Every Digest element of a header field that may hold several, of whatever scheme: both the elements and their
/// parameters are separated by commas (RFC 7235 2.1).
fn digests(value: &str) -> Vec<Fields> {
    let mut found: Vec<Option<Fields>> = Vec::new();
    for part in split(value) {
        let param = match scheme(part) {
            Some((scheme, rest)) => {
                if found.len() == MAX_SCHEMES {
                    break;
                }
                found.push(scheme.eq_ignore_ascii_case("Digest").then(Fields::default));
                rest
            }
            None => part,
        };
        if let (Some(Some(fields)), Some(param)) = (found.last_mut(), parameter(param)) {
            fields.0.push(param);
        }
    }
    found.into_iter().flatten().filter(Fields::is_whole).collect()
}

/// The parts between commas that stand outside of quotes, trimmed. Angle brackets mean nothing here.
fn split(value: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.extend(value.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(value.get(start..));
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A scheme at the start of a part, and what follows it: a word without an equals sign behind it.
fn scheme(part: &str) -> Option<(&str, &str)> {
    let end = part.find(|c: char| c.is_ascii_whitespace() || c == '=').unwrap_or(part.len());
    let (word, rest) = part.split_at_checked(end)?;
    let rest = rest.trim_start();
    (text::is_token(word) && !rest.starts_with('=')).then_some((word, rest))
}

/// `name=value`, the value without its quotes but with its escapes.
fn parameter(part: &str) -> Option<(String, String)> {
    let (name, value) = part.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let value = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').filter(|inner| is_quotable(inner))?,
        None => Some(value).filter(|value| !value.contains(['"', '\\']) && !value.is_empty())?,
    };
    text::is_token(name).then(|| (name.to_owned(), value.to_owned()))
}

/// Can this stand between quotes? Each quote is escaped, and no backslash is left over to escape the closing one.
fn is_quotable(inner: &str) -> bool {
    let mut escaped = false;
    for c in inner.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return false,
            _ => {}
        }
    }
    !escaped
}

#[cfg(test)]
mod tests;
