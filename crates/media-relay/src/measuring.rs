//! Doors for the benchmarks (`tests/bench`) into machines that are nobody else's business. Nothing else uses
//! them, and they promise nothing.

use crate::srtp::{Profile, SrtpSession, TRAILER};

/// Both ends of an SRTP session.
pub struct SrtpPair {
    client: SrtpSession,
    server: SrtpSession,
    buffer: [u8; 256],
}

/// The suites, by what DTLS or SDP call them.
pub const SUITES: [&str; 4] =
    ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM"];

impl SrtpPair {
    /// A pair with keys of no secret. `None`: no such suite.
    pub fn new(suite: &str) -> Option<Self> {
        let profile = match SUITES.iter().position(|known| *known == suite)? {
            0 => Profile::Aes128CmSha1_80,
            1 => Profile::Aes128CmSha1_32,
            2 => Profile::AeadAes128Gcm,
            _ => Profile::AeadAes256Gcm,
        };
        let material = vec![0x5A; 2 * (profile.key_len() + profile.salt_len())];
        let client = SrtpSession::new(profile, &material, true).ok()?;
        let server = SrtpSession::new(profile, &material, false).ok()?;
        Some(Self { client, server, buffer: [0; 256] })
    }

    /// Protects a packet with so many octets of payload; the length of what is sent.
    pub fn protect(&mut self, sequence: u16, payload: usize) -> Option<usize> {
        let len = 12 + payload;
        let place = self.buffer.get_mut(..len + TRAILER)?;
        place.fill(7);
        let [a, b] = sequence.to_be_bytes();
        place.get_mut(..12)?.copy_from_slice(&[0x80, 111, a, b, 0, 0, 0, 1, 0, 0, 0, 1]);
        self.client.protect_rtp(place, len).ok()
    }

    /// Opens what was protected last; the length of the packet.
    pub fn unprotect(&mut self, len: usize) -> Option<usize> {
        self.server.unprotect_rtp(self.buffer.get_mut(..len)?).ok()
    }
}
