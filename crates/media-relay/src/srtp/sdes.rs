//! Sessions with the master keys that stood in the SDP (RFC 4568).

use std::fmt;

use aws_lc_rs::error::Unspecified;

use super::{Direction, Profile, SrtpSession};
use crate::sdp::crypto::Suite;

impl From<Suite> for Profile {
    fn from(suite: Suite) -> Self {
        match suite {
            Suite::AeadAes128Gcm => Self::AeadAes128Gcm,
            Suite::AeadAes256Gcm => Self::AeadAes256Gcm,
            Suite::AesCm128HmacSha1_80 => Self::Aes128CmSha1_80,
            Suite::AesCm128HmacSha1_32 => Self::Aes128CmSha1_32,
        }
    }
}

impl Suite {
    /// Octets of master key and master salt together.
    pub fn key_and_salt(self) -> usize {
        let profile = Profile::from(self);
        profile.key_len() + profile.salt_len()
    }
}

/// A master key with its master salt behind it. Neither is ever printed.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    octets: [u8; Self::LONGEST],
    len: usize,
}

impl MasterKey {
    /// Octets of the longest: AEAD_AES_256_GCM's 32 of key and 12 of salt.
    pub const LONGEST: usize = 44;

    /// The key of a suite from its octets; `None` unless there are exactly as many as it has.
    pub fn new(suite: Suite, octets: &[u8]) -> Option<Self> {
        let len = suite.key_and_salt();
        let mut key = Self { octets: [0; Self::LONGEST], len };
        if octets.len() != len {
            return None;
        }
        key.octets.get_mut(..len)?.copy_from_slice(octets);
        Some(key)
    }

    /// The key of a suite from random octets, as many of them as it has.
    pub fn drawn(suite: Suite, material: &[u8; Self::LONGEST]) -> Self {
        let (len, mut octets) = (suite.key_and_salt(), *material);
        octets.iter_mut().skip(len).for_each(|unused| *unused = 0);
        Self { octets, len }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl Direction {
    fn of(suite: Suite, key: &MasterKey) -> Result<Self, Unspecified> {
        let profile = Profile::from(suite);
        let (key, salt) = key.octets().split_at_checked(profile.key_len()).ok_or(Unspecified)?;
        if salt.len() != profile.salt_len() {
            return Err(Unspecified);
        }
        Self::new(profile, key, salt)
    }
}

impl SrtpSession {
    /// Both directions anew: ours protects what we send, theirs what they send.
    ///
    /// # Errors
    /// A key is not one of this suite.
    pub(crate) fn from_sdes(suite: Suite, ours: &MasterKey, theirs: &MasterKey) -> Result<Self, Unspecified> {
        Ok(Self {
            outbound: Direction::of(suite, ours)?,
            inbound: Direction::of(suite, theirs)?,
            rtcp_index: 0,
        })
    }

    /// What we send is protected by another key from now on, from rollover 0. Never with the key that
    /// protects already: the same indices would go out under it again.
    ///
    /// # Errors
    /// It is no key of this suite. What was stays.
    pub(crate) fn send_with(&mut self, suite: Suite, ours: &MasterKey) -> Result<(), Unspecified> {
        self.outbound = Direction::of(suite, ours)?;
        self.rtcp_index = 0;
        Ok(())
    }

    /// What they send is protected by another key from now on, from rollover 0.
    ///
    /// # Errors
    /// It is no key of this suite. What was stays.
    pub(crate) fn receive_with(&mut self, suite: Suite, theirs: &MasterKey) -> Result<(), Unspecified> {
        self.inbound = Direction::of(suite, theirs)?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
