//! Digest (RFC 7616, RFC 8760), written apart from the bridge's: the phone answers challenges and sets its own.

use std::collections::BTreeMap;

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::sip::Message;

/// The realm of the phone's own challenges.
const REALM: &str = "phone";

/// The hash of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// What old phones know.
    Md5,
    /// RFC 8760.
    Sha256,
}

impl Hash {
    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn of(self, text: &str) -> String {
        match self {
            Self::Md5 => hex::encode(Md5::digest(text)),
            Self::Sha256 => hex::encode(Sha256::digest(text)),
        }
    }
}

/// A name with its password.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
    /// The only hash that is used with it.
    pub hash: Hash,
}

impl Login {
    /// A login with SHA-256.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned(), hash: Hash::Sha256 }
    }

    /// The same with MD5.
    #[must_use]
    pub fn md5(self) -> Self {
        Self { hash: Hash::Md5, ..self }
    }

    /// RFC 7616 3.4.1 with `qop=auth`.
    fn response(&self, realm: &str, method: &str, uri: &str, nonce: [&str; 3]) -> String {
        let [nonce, count, cnonce] = nonce;
        let secret = self.hash.of(&format!("{}:{realm}:{}", self.user, self.password));
        let what = self.hash.of(&format!("{method}:{uri}"));
        self.hash.of(&format!("{secret}:{nonce}:{count}:{cnonce}:auth:{what}"))
    }

    /// The header that answers the challenge in a 401 or 407, if one is of our hash.
    pub(super) fn answer(
        &self,
        response: &Message,
        request: &Message,
        cnonce: &str,
    ) -> Option<(&'static str, String)> {
        let (asks, answers) = match response.status()? {
            401 => ("WWW-Authenticate", "Authorization"),
            407 => ("Proxy-Authenticate", "Proxy-Authorization"),
            _ => return None,
        };
        let of_our_hash = |given: &BTreeMap<String, String>| {
            given.get("algorithm").map_or("MD5", String::as_str).eq_ignore_ascii_case(self.hash.name())
        };
        let challenge = response.all(asks).filter_map(fields).find(of_our_hash)?;
        let (realm, nonce) = (challenge.get("realm")?, challenge.get("nonce")?);
        let uri = request.start.split(' ').nth(1)?;
        let proof = self.response(realm, request.method()?, uri, [nonce, "00000001", cnonce]);
        let opaque =
            challenge.get("opaque").map(|opaque| format!(", opaque=\"{opaque}\"")).unwrap_or_default();
        let value = format!(
            "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{proof}\", algorithm={}, cnonce=\"{cnonce}\", qop=auth, nc=00000001{opaque}",
            self.user,
            self.hash.name(),
        );
        Some((answers, value))
    }

    /// A challenge of the phone's own.
    pub(super) fn challenge(&self, nonce: &str) -> String {
        format!(
            "Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm={}, qop=\"auth\", opaque=\"o{nonce}\"",
            self.hash.name()
        )
    }

    /// Whether this value answers a challenge of ours; gives its nonce.
    pub(super) fn proves(&self, value: &str, request: &Message) -> Result<String, String> {
        let given = fields(value).ok_or("no digest")?;
        let get = |name: &str| given.get(name).map(String::as_str).ok_or(format!("no {name}"));
        let uri = request.start.split(' ').nth(1).unwrap_or_default();
        let nonce = get("nonce")?;
        for (name, wanted) in [
            ("username", self.user.as_str()),
            ("realm", REALM),
            ("uri", uri),
            ("qop", "auth"),
            ("nc", "00000001"),
            ("algorithm", self.hash.name()),
            ("opaque", &format!("o{nonce}")),
        ] {
            if get(name)? != wanted {
                return Err(format!("{name} is {}, not {wanted}", get(name)?));
            }
        }
        let method = request.method().unwrap_or_default();
        let proof = self.response(REALM, method, uri, [nonce, "00000001", get("cnonce")?]);
        if get("response")? == proof { Ok(nonce.to_owned()) } else { Err("wrong password".to_owned()) }
    }
}

/// The parameters after the word `Digest`; commas in quotes belong to their value.
fn fields(value: &str) -> Option<BTreeMap<String, String>> {
    let rest = value.strip_prefix("Digest ")?;
    let mut quoted = false;
    let parts = rest.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    let field = |part: &str| {
        let (name, value) = part.trim().split_once('=')?;
        Some((name.to_ascii_lowercase(), value.trim_matches('"').to_owned()))
    };
    parts.map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7616_comes_out() {
        let login = Login::new("Mufasa", "Circle of Life");
        let nonce = [
            "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            "00000001",
            "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        ];
        let sha = login.response("http-auth@example.org", "GET", "/dir/index.html", nonce);
        assert_eq!(sha, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
        let md5 = login.md5().response("http-auth@example.org", "GET", "/dir/index.html", nonce);
        assert_eq!(md5, "8ca523f5e9506fed4657c9700eebdbec");
    }

    #[test]
    fn an_answer_to_our_own_challenge_proves_its_password_and_no_other() {
        for login in [Login::new("u", "p"), Login::new("u", "p").md5()] {
            let request = Message::request("BYE", "sip:a@127.0.0.1").with("CSeq", "1 BYE");
            let refusal =
                Message::response(&request, 407, "x").with("Proxy-Authenticate", login.challenge("n,1"));
            let (name, value) = login.answer(&refusal, &request, "c").unwrap();
            assert_eq!(name, "Proxy-Authorization");
            assert_eq!(login.proves(&value, &request).unwrap(), "n,1");
            let wrong = Login { password: "q".into(), ..login.clone() };
            assert_eq!(wrong.proves(&value, &request).unwrap_err(), "wrong password");
            let other = Message::request("BYE", "sip:b@127.0.0.1");
            assert!(login.proves(&value, &other).unwrap_err().starts_with("uri is"));
        }
    }
}
