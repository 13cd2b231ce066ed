//! Whether a PBX's stream is protected, and by which of its keys (RFC 4568 7.1).

use super::super::SdpError;
use super::super::crypto::{Crypto, Keys, MasterKey, Suite};
use super::Media;
use super::read::Audio;

/// How SRTP with keys in the SDP is dealt with, where both sides may have a say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Security {
    /// Plain RTP only. An offer of SRTP alone is refused.
    #[default]
    Refuse,
    /// SRTP where the PBX has it, plain RTP where it has not. Our own offers say RTP/AVP with keys, which
    /// a PBX without SRTP passes over.
    Offer,
    /// SRTP only. Our own offers say RTP/SAVP, and an offer without keys is refused.
    Require,
}

impl Security {
    /// The profile of our own first offers.
    pub(super) fn profile(self) -> &'static str {
        match self {
            Self::Refuse | Self::Offer => "RTP/AVP",
            Self::Require => "RTP/SAVP",
        }
    }
}

/// The keys of a stream over SRTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secure {
    /// Both ways.
    pub suite: Suite,
    /// What we send is protected by it.
    pub ours: MasterKey,
    /// What the PBX sends is protected by it.
    pub theirs: MasterKey,
}

impl Secure {
    /// Whether the PBX protects what it sends as it did before.
    pub(crate) fn is_same_far(&self, before: &Self) -> bool {
        self.suite == before.suite && self.theirs == before.theirs
    }
}

/// What we bring to a stream's protection.
#[derive(Clone, Copy)]
pub(crate) struct Protection<'a> {
    pub(crate) security: Security,
    pub(crate) keys: &'a Keys,
    /// The suite that is spoken: it stays unless the PBX no longer offers it.
    pub(crate) spoken: Option<Suite>,
}

impl Protection<'_> {
    /// The lines of our own offer, the best first. A suite's tag is its place among all.
    pub(super) fn offered(&self) -> Vec<Crypto> {
        if self.security == Security::Refuse {
            return Vec::new();
        }
        self.suites().map(|suite| Crypto { tag: tag(suite), suite, key: self.keys.of(suite) }).collect()
    }

    /// The keys for a stream of theirs, none if it goes over plain RTP, and the tag of their line.
    pub(super) fn of(&self, audio: &Audio) -> Result<Option<(u32, Secure)>, SdpError> {
        let best = || self.suites().find_map(|suite| audio.cryptos.iter().find(|line| line.suite == suite));
        match (self.security, audio.is_secure) {
            (Security::Refuse, true) => Err(SdpError::SecureOnly),
            (Security::Refuse, false) => Ok(None),
            (Security::Offer | Security::Require, is_secure) => match best() {
                Some(line) => Ok(Some((line.tag, self.secure(line)))),
                None if is_secure => Err(SdpError::NoCommonSuite),
                None if self.security == Security::Require => Err(SdpError::PlainOnly),
                None => Ok(None),
            },
        }
    }

    /// The line of our answer to a stream whose line has this tag.
    pub(super) fn answered(tag: u32, media: &Media) -> Option<Crypto> {
        let Secure { suite, ours, .. } = media.secure.clone()?;
        Some(Crypto { tag, suite, key: ours })
    }

    fn secure(&self, theirs: &Crypto) -> Secure {
        let suite = theirs.suite;
        Secure { suite, ours: self.keys.of(suite), theirs: theirs.key.clone() }
    }

    fn suites(&self) -> impl Iterator<Item = Suite> {
        let (spoken, others) = (self.spoken, Suite::ALL.into_iter());
        spoken.into_iter().chain(others.filter(move |suite| Some(*suite) != spoken))
    }
}

fn tag(suite: Suite) -> u32 {
    (1..).zip(Suite::ALL).find(|(_, other)| *other == suite).map_or(1, |(tag, _)| tag)
}

#[cfg(test)]
mod tests;
