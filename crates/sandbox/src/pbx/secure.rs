//! SRTP with keys from the SDP (RFC 3711, RFC 4568, RFC 7714), on a stack of its own.

use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

const REPLAY_WINDOW: usize = 256;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A cipher and its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80`.
    Aes80,
    /// `AES_CM_128_HMAC_SHA1_32`.
    Aes32,
    /// `AEAD_AES_128_GCM`.
    Gcm128,
    /// `AEAD_AES_256_GCM`.
    Gcm256,
}

impl Suite {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Aes80, Self::Aes32, Self::Gcm128, Self::Gcm256];

    fn name(self) -> &'static str {
        match self {
            Self::Aes80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Aes32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Gcm128 => "AEAD_AES_128_GCM",
            Self::Gcm256 => "AEAD_AES_256_GCM",
        }
    }

    fn profile(self) -> ProtectionProfile {
        match self {
            Self::Aes80 => ProtectionProfile::Aes128CmHmacSha1_80,
            Self::Aes32 => ProtectionProfile::Aes128CmHmacSha1_32,
            Self::Gcm128 => ProtectionProfile::AeadAes128Gcm,
            Self::Gcm256 => ProtectionProfile::AeadAes256Gcm,
        }
    }

    /// Octets of key and salt.
    fn lengths(self) -> (usize, usize) {
        (self.profile().key_len(), self.profile().salt_len())
    }
}

/// One `a=crypto` line: its tag, suite, and the key and salt of its writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crypto {
    pub(super) tag: u32,
    pub(super) suite: Suite,
    key: Vec<u8>,
}

impl Crypto {
    /// With a key from these random numbers.
    pub(super) fn new(tag: u32, suite: Suite, draw: &mut impl FnMut() -> u64) -> Self {
        let (key, salt) = suite.lengths();
        let mut octets: Vec<u8> = (0..8).flat_map(|_| draw().to_be_bytes()).collect();
        octets.truncate(key + salt);
        Self { tag, suite, key: octets }
    }

    /// The same with another tag.
    pub(super) fn tagged(&self, tag: u32) -> Self {
        Self { tag, ..self.clone() }
    }

    /// The attribute's value.
    pub(super) fn write(&self) -> String {
        format!("{} {} inline:{}", self.tag, self.suite.name(), base64(&self.key))
    }

    /// Reads it; None for a suite that the phone does not know or parameters that it does not take.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let [tag, suite, inline] = value.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let suite = Suite::ALL.into_iter().find(|known| known.name() == suite)?;
        let key = octets(inline.strip_prefix("inline:")?.split('|').next()?)?;
        let (length, salt) = suite.lengths();
        (key.len() == length + salt).then_some(Self { tag: tag.parse().ok()?, suite, key })
    }

    fn context(&self) -> Result<Context, String> {
        let (key, salt) = self.key.split_at(self.suite.lengths().0);
        let (rtp, rtcp) = (srtp_replay_protection(REPLAY_WINDOW), srtcp_replay_protection(REPLAY_WINDOW));
        Context::new(key, salt, self.suite.profile(), Some(rtp), Some(rtcp)).map_err(|e| e.to_string())
    }
}

/// Both directions of one stream.
pub(super) struct Secure {
    ours: Context,
    theirs: Context,
}

impl Secure {
    pub(super) fn new(ours: &Crypto, theirs: &Crypto) -> Result<Self, String> {
        Ok(Self { ours: ours.context()?, theirs: theirs.context()? })
    }

    pub(super) fn protect(&mut self, packet: &[u8]) -> Result<Vec<u8>, String> {
        self.ours.encrypt_rtp(packet).map(|packet| packet.to_vec()).map_err(|e| e.to_string())
    }

    pub(super) fn open(&mut self, packet: &[u8]) -> Result<Vec<u8>, String> {
        self.theirs.decrypt_rtp(packet).map(|packet| packet.to_vec()).map_err(|e| format!("SRTP: {e}"))
    }

    pub(super) fn protect_rtcp(&mut self, packet: &[u8]) -> Result<Vec<u8>, String> {
        self.ours.encrypt_rtcp(packet).map(|packet| packet.to_vec()).map_err(|e| e.to_string())
    }

    pub(super) fn open_rtcp(&mut self, packet: &[u8]) -> Result<Vec<u8>, String> {
        self.theirs.decrypt_rtcp(packet).map(|packet| packet.to_vec()).map_err(|e| format!("SRTCP: {e}"))
    }
}

/// RFC 4648 4.
fn base64(octets: &[u8]) -> String {
    let mut text = String::new();
    for chunk in octets.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = (bits >> (18 - 6 * place)) as usize & 63;
            text.push(if place <= chunk.len() { char::from(ALPHABET[sextet]) } else { '=' });
        }
    }
    text
}

fn octets(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let sextet = ALPHABET.iter().position(|known| *known == letter)?;
        bits = bits << 6 | sextet as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        // RFC 4648 10.
        for (plain, text) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), text);
            assert_eq!(octets(text).unwrap(), plain.as_bytes());
        }
        assert_eq!(octets("Zm9*"), None);
    }

    #[test]
    fn keys_survive_the_sdp_and_open_what_they_closed() {
        let mut state = 1_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state
        };
        for suite in Suite::ALL {
            let (a, b) = (Crypto::new(1, suite, &mut draw), Crypto::new(2, suite, &mut draw));
            assert_eq!(Crypto::parse(&a.write()).unwrap(), a);
            assert_eq!(Crypto::parse(&(b.write() + "|2^31")).unwrap(), b);
            let (mut here, mut there) = (Secure::new(&a, &b).unwrap(), Secure::new(&b, &a).unwrap());
            let plain = [&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9][..], &[0x55; 160]].concat();
            let closed = here.protect(&plain).unwrap();
            assert_ne!(closed[12..172], plain[12..]);
            assert_eq!(there.open(&closed).unwrap(), plain);
            assert!(there.open(&closed).is_err(), "a second time");
        }
        assert_eq!(Crypto::parse("1 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ="), None);
        assert_eq!(Crypto::parse("1 F8_128_HMAC_SHA1_80 inline:c2hvcnQ="), None);
    }
}
