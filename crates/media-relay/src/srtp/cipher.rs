//! Session keys and packet transforms of SRTP: AES counter mode with HMAC-SHA1
//! (RFC 3711 4.1.1, 4.2, 4.3) and AES-GCM (RFC 7714 8, 9, 11).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use super::SrtpError;

/// Truncated HMAC-SHA1 (RFC 3711 4.2.1).
const HMAC_TAG: usize = 10;
/// Of the suite with the short tag, for SRTP alone: its SRTCP keeps the long one (RFC 4568 6.2.2).
const SHORT_HMAC_TAG: usize = 4;
/// Authentication tag of both GCM profiles (RFC 7714 12).
const GCM_TAG: usize = 16;
/// E flag and 31 bits of SRTCP index (RFC 3711 3.4).
const RTCP_INDEX: usize = 4;
/// The part of an RTCP packet that stays in the clear.
pub(super) const RTCP_HEADER: usize = 8;
/// RTCP is always encrypted here: the flag is set, and demanded.
const ENCRYPTED: u32 = 0x8000_0000;

/// The protection profiles that DTLS may agree on (RFC 5764 4.1.2, RFC 7714 14.2) and the crypto
/// suites of SDP (RFC 4568 6.2, RFC 7714 14.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Aes128CmSha1_80,
    /// By SDP only.
    Aes128CmSha1_32,
    AeadAes128Gcm,
    AeadAes256Gcm,
}

impl Profile {
    pub(crate) fn key_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 | Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    pub(crate) fn salt_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// The octets of an HMAC-SHA1 that are sent; `None` for GCM.
    fn hmac_tag(self, protocol: Protocol) -> Option<usize> {
        match (self, protocol) {
            (Self::Aes128CmSha1_80, _) | (Self::Aes128CmSha1_32, Protocol::Rtcp) => Some(HMAC_TAG),
            (Self::Aes128CmSha1_32, Protocol::Rtp) => Some(SHORT_HMAC_TAG),
            (Self::AeadAes128Gcm | Self::AeadAes256Gcm, _) => None,
        }
    }
}

/// What the three labels of one protocol are (RFC 3711 4.3.2).
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    Rtp,
    Rtcp,
}

impl Protocol {
    fn label(self, of: u8) -> u8 {
        match self {
            Self::Rtp => of,
            Self::Rtcp => of + 3,
        }
    }
}

const LABEL_ENCRYPTION: u8 = 0;
const LABEL_AUTHENTICATION: u8 = 1;
const LABEL_SALT: u8 = 2;

/// Boxed, because the library's key schedules fill more than a kilobyte.
pub(super) struct CounterMode {
    key: EncryptingKey,
    salt: [u8; 14],
    authentication: hmac::Key,
    /// Octets of the tag.
    tag: usize,
}

/// The session keys of one direction and one protocol.
pub(super) enum Cipher {
    CounterMode(Box<CounterMode>),
    Gcm { key: LessSafeKey, salt: [u8; 12] },
}

impl Cipher {
    /// Derives the session keys (RFC 3711 4.3.1, key derivation rate 0; RFC 7714 11).
    pub(super) fn derive(
        profile: Profile,
        protocol: Protocol,
        master_key: &[u8],
        master_salt: &[u8],
    ) -> Result<Self, Unspecified> {
        let prf = counter_mode(master_key)?;
        let mut key = [0; 32];
        let key = key.get_mut(..profile.key_len()).ok_or(Unspecified)?;
        generate(&prf, master_salt, protocol.label(LABEL_ENCRYPTION), key)?;
        let salt_label = protocol.label(LABEL_SALT);
        if let Some(tag) = profile.hmac_tag(protocol) {
            let mut salt = [0; 14];
            generate(&prf, master_salt, salt_label, &mut salt)?;
            let mut authentication = [0; 20];
            let label = protocol.label(LABEL_AUTHENTICATION);
            generate(&prf, master_salt, label, &mut authentication)?;
            return Self::counter_mode(key, salt, &authentication, tag);
        }
        let mut salt = [0; 12];
        generate(&prf, master_salt, salt_label, &mut salt)?;
        Self::gcm(key, salt)
    }

    /// Counter mode on session keys, with a tag of so many octets.
    pub(super) fn counter_mode(
        key: &[u8],
        salt: [u8; 14],
        authentication: &[u8],
        tag: usize,
    ) -> Result<Self, Unspecified> {
        Ok(Self::CounterMode(Box::new(CounterMode {
            key: counter_mode(key)?,
            salt,
            authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, authentication),
            tag,
        })))
    }

    /// GCM on session keys.
    pub(super) fn gcm(key: &[u8], salt: [u8; 12]) -> Result<Self, Unspecified> {
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key)?);
        Ok(Self::Gcm { key, salt })
    }

    fn tag_len(&self) -> usize {
        match self {
            Self::CounterMode(keys) => keys.tag,
            Self::Gcm { .. } => GCM_TAG,
        }
    }

    /// Encrypts the payload behind `header` octets and appends the tag: the
    /// RTP packet is `buffer[..len]`, the SRTP packet `buffer[..returned]`.
    pub(super) fn seal_rtp(
        &self,
        buffer: &mut [u8],
        (header, len): (usize, usize),
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let total = len + self.tag_len();
        let packet = buffer.get_mut(..total).ok_or(SrtpError::NoRoom)?;
        let (packet, tag) = packet.split_at_mut(len);
        match self {
            Self::CounterMode(keys) => {
                let CounterMode { key, salt, authentication, .. } = &**keys;
                let payload = packet.get_mut(header..).ok_or(SrtpError::Malformed)?;
                keystream(key, counter_iv(salt, ssrc, index), payload)?;
                let mac = authenticate(authentication, packet, &rollover(index));
                copy_tag(tag, mac.as_ref());
            }
            Self::Gcm { key, salt } => {
                let (clear, payload) = split(packet, header)?;
                let nonce = gcm_nonce(salt, ssrc, index);
                let sealed = key
                    .seal_in_place_separate_tag(nonce, Aad::from(&*clear), payload)
                    .map_err(|_| SrtpError::Crypto)?;
                copy_tag(tag, sealed.as_ref());
            }
        }
        Ok(total)
    }

    /// Authenticates and decrypts an SRTP packet in place and gives the length
    /// of the RTP packet.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let len = packet
            .len()
            .checked_sub(self.tag_len())
            .filter(|len| *len >= header)
            .ok_or(SrtpError::Malformed)?;
        match self {
            Self::CounterMode(keys) => {
                let CounterMode { key, salt, authentication, .. } = &**keys;
                let (packet, tag) = split(packet, len)?;
                let mac = authenticate(authentication, packet, &rollover(index));
                verify(&mac, tag)?;
                let payload = packet.get_mut(header..).ok_or(SrtpError::Malformed)?;
                keystream(key, counter_iv(salt, ssrc, index), payload)?;
            }
            Self::Gcm { key, salt } => {
                let (clear, sealed) = split(packet, header)?;
                let nonce = gcm_nonce(salt, ssrc, index);
                key.open_in_place(nonce, Aad::from(&*clear), sealed)
                    .map_err(|_| SrtpError::Authentication)?;
            }
        }
        Ok(len)
    }

    /// Encrypts a compound RTCP packet `buffer[..len]` and appends index and tag.
    pub(super) fn seal_rtcp(
        &self,
        buffer: &mut [u8],
        len: usize,
        ssrc: u32,
        index: u32,
    ) -> Result<usize, SrtpError> {
        let total = len + RTCP_INDEX + self.tag_len();
        let packet = buffer.get_mut(..total).ok_or(SrtpError::NoRoom)?;
        let word = (index | ENCRYPTED).to_be_bytes();
        let (packet, trailer) = split(packet, len)?;
        match self {
            Self::CounterMode(keys) => {
                let CounterMode { key, salt, authentication, .. } = &**keys;
                let payload = packet.get_mut(RTCP_HEADER..).ok_or(SrtpError::Malformed)?;
                keystream(key, counter_iv(salt, ssrc, index.into()), payload)?;
                let mac = authenticate(authentication, packet, &word);
                let (place, tag) = split(trailer, RTCP_INDEX)?;
                place.copy_from_slice(&word);
                copy_tag(tag, mac.as_ref());
            }
            Self::Gcm { key, salt } => {
                let (clear, payload) = split(packet, RTCP_HEADER)?;
                let nonce = gcm_nonce(salt, ssrc, index.into());
                let sealed = key
                    .seal_in_place_separate_tag(nonce, rtcp_aad(clear, word), payload)
                    .map_err(|_| SrtpError::Crypto)?;
                let (tag, place) = split(trailer, GCM_TAG)?;
                copy_tag(tag, sealed.as_ref());
                place.copy_from_slice(&word);
            }
        }
        Ok(total)
    }

    /// The index an SRTCP packet carries; one that is not encrypted is refused.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Result<u32, SrtpError> {
        // RFC 3711 3.4 puts the tag last, RFC 7714 9.2 the index.
        let behind = match self {
            Self::CounterMode(keys) => keys.tag,
            Self::Gcm { .. } => 0,
        };
        let word = packet
            .len()
            .checked_sub(behind)
            .and_then(|end| packet.get(..end))
            .and_then(|head| head.last_chunk::<RTCP_INDEX>())
            .ok_or(SrtpError::Malformed)?;
        let word = u32::from_be_bytes(*word);
        if word & ENCRYPTED == 0 {
            return Err(SrtpError::Malformed);
        }
        Ok(word & !ENCRYPTED)
    }

    /// Authenticates and decrypts an SRTCP packet in place and gives the
    /// length of the RTCP packet.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, index: u32) -> Result<usize, SrtpError> {
        let len = packet
            .len()
            .checked_sub(RTCP_INDEX + self.tag_len())
            .filter(|len| *len >= RTCP_HEADER)
            .ok_or(SrtpError::Malformed)?;
        match self {
            Self::CounterMode(keys) => {
                let CounterMode { key, salt, authentication, .. } = &**keys;
                let (packet, tag) = split(packet, len + RTCP_INDEX)?;
                verify(&authenticate(authentication, packet, &[]), tag)?;
                let payload = packet.get_mut(RTCP_HEADER..len).ok_or(SrtpError::Malformed)?;
                keystream(key, counter_iv(salt, ssrc, index.into()), payload)?;
            }
            Self::Gcm { key, salt } => {
                let (packet, _) = split(packet, len + GCM_TAG)?;
                let (clear, sealed) = split(packet, RTCP_HEADER)?;
                let nonce = gcm_nonce(salt, ssrc, index.into());
                let aad = rtcp_aad(clear, (index | ENCRYPTED).to_be_bytes());
                key.open_in_place(nonce, aad, sealed).map_err(|_| SrtpError::Authentication)?;
            }
        }
        Ok(len)
    }
}

fn split(packet: &mut [u8], at: usize) -> Result<(&mut [u8], &mut [u8]), SrtpError> {
    packet.split_at_mut_checked(at).ok_or(SrtpError::Malformed)
}

fn counter_mode(key: &[u8]) -> Result<EncryptingKey, Unspecified> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key)?)
}

/// The key derivation function (RFC 3711 4.3.3, RFC 6188 for 256 bits). A salt
/// of 96 bits is shifted to the left end (RFC 7714 11).
fn generate(prf: &EncryptingKey, salt: &[u8], label: u8, out: &mut [u8]) -> Result<(), Unspecified> {
    let mut iv = [0; 16];
    iv.get_mut(..salt.len()).ok_or(Unspecified)?.copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    prf.less_safe_encrypt(out, context).map(drop)
}

/// Encrypts or decrypts: counter mode is its own inverse.
fn keystream(key: &EncryptingKey, iv: [u8; 16], data: &mut [u8]) -> Result<(), SrtpError> {
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(data, context).map(drop).map_err(|_| SrtpError::Crypto)
}

/// IV = salt * 2^16 XOR SSRC * 2^64 XOR index * 2^16 (RFC 3711 4.1.1).
fn counter_iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut padded = [0; 16];
    padded[..14].copy_from_slice(salt);
    let iv = u128::from_be_bytes(padded) ^ u128::from(ssrc) << 64 ^ u128::from(index) << 16;
    iv.to_be_bytes()
}

/// 16 bits of zero, SSRC and 48 bits of index, XOR salt (RFC 7714 8.1, 9.1).
fn gcm_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = *salt;
    let plain = (u128::from(ssrc) << 48 | u128::from(index)).to_be_bytes();
    for (octet, other) in nonce.iter_mut().zip(&plain[4..]) {
        *octet ^= other;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// RTCP header and ESRTCP word (RFC 7714 9.2).
fn rtcp_aad(header: &[u8], word: [u8; RTCP_INDEX]) -> Aad<[u8; RTCP_HEADER + RTCP_INDEX]> {
    let mut aad = [0; RTCP_HEADER + RTCP_INDEX];
    for (octet, other) in aad.iter_mut().zip(header.iter().chain(&word)) {
        *octet = *other;
    }
    Aad::from(aad)
}

fn rollover(index: u64) -> [u8; 4] {
    let [_, _, a, b, c, d, _, _] = index.to_be_bytes();
    [a, b, c, d]
}

fn authenticate(key: &hmac::Key, packet: &[u8], after: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(packet);
    context.update(after);
    context.sign()
}

fn copy_tag(tag: &mut [u8], from: &[u8]) {
    for (octet, other) in tag.iter_mut().zip(from) {
        *octet = *other;
    }
}

fn verify(mac: &hmac::Tag, tag: &[u8]) -> Result<(), SrtpError> {
    let expected = mac.as_ref().get(..tag.len()).ok_or(SrtpError::Crypto)?;
    verify_slices_are_equal(expected, tag).map_err(|_| SrtpError::Authentication)
}
