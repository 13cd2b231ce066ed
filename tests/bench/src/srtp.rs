//! SRTP of the generator's WebRTC peers (RFC 3711, RFC 7714), no more of it than a load needs: no rollover,
//! no replay window.

use anyhow::{Result, bail, ensure};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use dimpl::SrtpProfile;

/// The fixed RTP header; the load has no other.
const HEADER: usize = 12;
const HMAC_TAG: usize = 10;
const GCM_TAG: usize = 16;

/// Keys of one direction.
#[expect(clippy::large_enum_variant, reason = "a box less to look into")]
enum Cipher {
    Counter { key: EncryptingKey, salt: [u8; 14], authentication: hmac::Key },
    Gcm { key: LessSafeKey, salt: [u8; 12] },
}

/// Both directions of a DTLS client.
pub(crate) struct Srtp {
    ours: Cipher,
    theirs: Cipher,
}

impl Srtp {
    /// From what DTLS exported: client key, server key, client salt, server salt (RFC 5764 4.2).
    pub(crate) fn of_client(profile: SrtpProfile, material: &[u8]) -> Result<Self> {
        let (key, salt) = match profile {
            SrtpProfile::AES128_CM_SHA1_80 => (16, 14),
            SrtpProfile::AEAD_AES_128_GCM => (16, 12),
            SrtpProfile::AEAD_AES_256_GCM => (32, 12),
            other => bail!("SRTP profile {other:?}"),
        };
        ensure!(material.len() == 2 * (key + salt), "keying material of {} octets", material.len());
        let (keys, salts) = material.split_at(2 * key);
        Ok(Self {
            ours: Cipher::new(&keys[..key], &salts[..salt])?,
            theirs: Cipher::new(&keys[key..], &salts[salt..])?,
        })
    }

    /// Protects `buffer[..len]` in place; the new length.
    pub(crate) fn protect(&self, buffer: &mut [u8], len: usize) -> usize {
        let (ssrc, sequence) = numbers(buffer);
        match &self.ours {
            Cipher::Counter { key, salt, authentication } => {
                keystream(key, counter_iv(salt, ssrc, sequence), &mut buffer[HEADER..len]);
                let tag = tag(authentication, &buffer[..len]);
                buffer[len..len + HMAC_TAG].copy_from_slice(&tag.as_ref()[..HMAC_TAG]);
                len + HMAC_TAG
            }
            Cipher::Gcm { key, salt } => {
                let (packet, place) = buffer.split_at_mut(len);
                let (header, payload) = packet.split_at_mut(HEADER);
                let sealed = key
                    .seal_in_place_separate_tag(nonce(salt, ssrc, sequence), Aad::from(&*header), payload)
                    .expect("GCM seals what is short");
                place[..GCM_TAG].copy_from_slice(sealed.as_ref());
                len + GCM_TAG
            }
        }
    }

    /// Opens a packet in place; its length, or nothing when it is not theirs.
    pub(crate) fn unprotect(&self, packet: &mut [u8]) -> Option<usize> {
        let (ssrc, sequence) = numbers(packet);
        match &self.theirs {
            Cipher::Counter { key, salt, authentication } => {
                let len = packet.len().checked_sub(HMAC_TAG).filter(|len| *len >= HEADER)?;
                (tag(authentication, &packet[..len]).as_ref()[..HMAC_TAG] == packet[len..]).then_some(())?;
                keystream(key, counter_iv(salt, ssrc, sequence), &mut packet[HEADER..len]);
                Some(len)
            }
            Cipher::Gcm { key, salt } => {
                let len = packet.len().checked_sub(GCM_TAG).filter(|len| *len >= HEADER)?;
                let (header, sealed) = packet.split_at_mut(HEADER);
                key.open_in_place(nonce(salt, ssrc, sequence), Aad::from(&*header), sealed).ok()?;
                Some(len)
            }
        }
    }
}

impl Cipher {
    fn new(master: &[u8], master_salt: &[u8]) -> Result<Self> {
        let prf = counter_mode(master)?;
        let mut padded = [0; 14];
        padded[..master_salt.len()].copy_from_slice(master_salt);
        // RFC 3711 4.3.3: the key stream of the salt with the label in its octet.
        let derive = |label: u8, out: &mut [u8]| {
            let mut iv = [0; 16];
            iv[..14].copy_from_slice(&padded);
            iv[7] ^= label;
            out.fill(0);
            keystream(&prf, iv, out);
        };
        let mut key = vec![0; master.len()];
        derive(0, &mut key);
        if master_salt.len() == 14 {
            let (mut authentication, mut salt) = ([0; 20], [0; 14]);
            derive(1, &mut authentication);
            derive(2, &mut salt);
            let authentication = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &authentication);
            return Ok(Self::Counter { key: counter_mode(&key)?, salt, authentication });
        }
        let mut salt = [0; 12];
        derive(2, &mut salt);
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        Ok(Self::Gcm { key: LessSafeKey::new(UnboundKey::new(algorithm, &key)?), salt })
    }
}

fn counter_mode(key: &[u8]) -> Result<EncryptingKey> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    Ok(EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key)?)?)
}

fn keystream(key: &EncryptingKey, iv: [u8; 16], data: &mut [u8]) {
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(data, context).expect("AES takes any data");
}

fn counter_iv(salt: &[u8; 14], ssrc: u32, sequence: u16) -> [u8; 16] {
    let mut padded = [0; 16];
    padded[..14].copy_from_slice(salt);
    let iv = u128::from_be_bytes(padded) ^ u128::from(ssrc) << 64 ^ u128::from(sequence) << 16;
    iv.to_be_bytes()
}

fn nonce(salt: &[u8; 12], ssrc: u32, sequence: u16) -> Nonce {
    let plain = (u128::from(ssrc) << 48 | u128::from(sequence)).to_be_bytes();
    let mut nonce = *salt;
    nonce.iter_mut().zip(&plain[4..]).for_each(|(octet, other)| *octet ^= other);
    Nonce::assume_unique_for_key(nonce)
}

/// The rollover counter is 0 as long as a run lasts.
fn tag(key: &hmac::Key, packet: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(packet);
    context.update(&[0; 4]);
    context.sign()
}

fn numbers(packet: &[u8]) -> (u32, u16) {
    let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
    (ssrc, u16::from_be_bytes([packet[2], packet[3]]))
}
