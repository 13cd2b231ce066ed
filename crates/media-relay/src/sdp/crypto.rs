//! The keys of SRTP in the SDP: `a=crypto` (RFC 4568, the AES-GCM suites by RFC 7714).

mod base64;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write};

use aws_lc_rs::hmac;

pub use crate::srtp::sdes::MasterKey;

/// A crypto suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-GCM, 128 bits, a tag of 16 octets (RFC 7714).
    AeadAes128Gcm,
    /// AES-GCM, 256 bits, a tag of 16 octets (RFC 7714).
    AeadAes256Gcm,
    /// AES in counter mode with a tag of 10 octets: what every SRTP device has (RFC 4568 6.2.1).
    AesCm128HmacSha1_80,
    /// The same with a tag of 4 octets on RTP (RFC 4568 6.2.2).
    AesCm128HmacSha1_32,
}

impl Suite {
    /// All of them, in the order in which we offer them and choose among those offered.
    ///
    /// AES-GCM goes over a packet once where counter mode needs HMAC-SHA1 beside it, and costs half as
    /// much; 256 bits cost no more than 128 can be told from, so the stronger is first. Then the suite
    /// that all devices have, and last the one whose tag is guessed once in four thousand million.
    pub const ALL: [Self; 4] =
        [Self::AeadAes256Gcm, Self::AeadAes128Gcm, Self::AesCm128HmacSha1_80, Self::AesCm128HmacSha1_32];

    /// Its name in SDP (RFC 4568 6.2, RFC 7714 14.3).
    pub fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// The suite of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| name.eq_ignore_ascii_case(suite.name()))
    }
}

/// One `a=crypto` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crypto {
    /// What an answer names the line of the offer by; at most nine digits.
    pub tag: u32,
    /// The suite.
    pub suite: Suite,
    /// The key of what the line's writer sends.
    pub key: MasterKey,
}

impl Crypto {
    /// Reads the value of an `a=crypto`; `None` for what we cannot do: another suite, several keys or a
    /// master key identifier, a key derivation rate, packets that are left without encryption or
    /// authentication, forward error correction. The lifetime of a key is passed over: 2^48 packets
    /// outlast every call.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let tag = words.next().filter(|tag| (1..=9).contains(&tag.len()))?;
        let tag = tag.bytes().all(|digit| digit.is_ascii_digit()).then(|| tag.parse().ok())??;
        let suite = Suite::named(words.next()?)?;
        let (method, info) = words.next()?.split_once(':')?;
        if !method.eq_ignore_ascii_case("inline") || !words.all(is_harmless) {
            return None;
        }
        let mut parts = info.split('|');
        let key = base64::decode(parts.next()?)?;
        let key = MasterKey::new(suite, &key)?;
        match (parts.next(), parts.next()) {
            (None, None) => {}
            (Some(lifetime), None) if is_lifetime(lifetime) => {}
            _ => return None,
        }
        Some(Self { tag, suite, key })
    }

    /// Writes the value of the `a=crypto`: the one place where a key is written out.
    pub fn write(&self, sdp: &mut String) {
        // Writing to a String cannot fail.
        let _ = write!(sdp, "{} {} inline:", self.tag, self.suite.name());
        base64::encode(self.key.octets(), sdp);
    }
}

/// Session parameters that ask nothing of us: the window of replay protection, and extensions that may
/// be passed over (RFC 4568 6.3.6, 6.3.7).
fn is_harmless(parameter: &str) -> bool {
    parameter.starts_with('-') || parameter.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("WSH="))
}

/// `2^31` or `1048576` (RFC 4568 6.1); a master key identifier has a colon.
fn is_lifetime(text: &str) -> bool {
    let number = text.strip_prefix("2^").unwrap_or(text);
    !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// A description without its secrets, for logs: keys of SRTP and passwords of ICE.
pub struct Masked<'a>(pub &'a [u8]);

/// What a secret stands behind, up to the end of its line.
const SECRETS: [&str; 4] = ["inline:", "a=crypto:", "a=ice-pwd:", "k="];

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        for line in text.split_inclusive(['\r', '\n']) {
            let lower = line.to_ascii_lowercase();
            let end = SECRETS.iter().find_map(|before| Some(lower.find(before)? + before.len()));
            let Some((shown, secret)) = end.and_then(|end| line.split_at_checked(end)) else {
                f.write_str(line)?;
                continue;
            };
            let (_, ending) = secret.split_at(secret.trim_end_matches(['\r', '\n']).len());
            write!(f, "{shown}...{ending}")?;
        }
        Ok(())
    }
}

/// The keys that we give to one PBX in one dialog: drawn once from a seed and repeated as long as they
/// hold, so that a description that says nothing new is the same.
#[derive(Clone)]
pub struct Keys {
    seed: [u8; 32],
    generation: u32,
}

impl Keys {
    /// The keys of a seed: random, and used for one dialog alone.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, generation: 0 }
    }

    /// Other keys from now on.
    pub fn renew(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// The key for a suite.
    pub fn of(&self, suite: Suite) -> MasterKey {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA384, &self.seed));
        context.update(&self.generation.to_be_bytes());
        context.update(suite.name().as_bytes());
        let mut material = [0; MasterKey::LONGEST];
        for (octet, drawn) in material.iter_mut().zip(context.sign().as_ref()) {
            *octet = *drawn;
        }
        MasterKey::drawn(suite, &material)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("generation", &self.generation).finish_non_exhaustive()
    }
}
