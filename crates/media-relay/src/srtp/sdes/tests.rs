//! Against webrtc-srtp, which shares nothing with ours, suite by suite.

use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::super::{SrtpError, TRAILER};
use super::*;

/// The far end: what it sends with, and what it receives with.
pub(crate) struct Far {
    pub(crate) sends: Context,
    pub(crate) receives: Context,
}

impl Far {
    pub(crate) fn new(suite: Suite, ours: &MasterKey, theirs: &MasterKey) -> Self {
        Self { sends: context(suite, theirs), receives: context(suite, ours) }
    }
}

fn context(suite: Suite, key: &MasterKey) -> Context {
    let profile = match suite {
        Suite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Suite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    let (key, salt) = key.octets().split_at(profile.key_len());
    let (rtp, rtcp) = (srtp_replay_protection(64), srtcp_replay_protection(64));
    Context::new(key, salt, profile, Some(rtp), Some(rtcp)).expect("keys")
}

pub(crate) fn key(suite: Suite, seed: u8) -> MasterKey {
    let octets: Vec<u8> = (0..suite.key_and_salt() as u8).map(|n| n.wrapping_mul(7) ^ seed).collect();
    MasterKey::new(suite, &octets).expect("the right length")
}

fn pair(suite: Suite) -> (SrtpSession, Far) {
    let (ours, theirs) = (key(suite, 0x11), key(suite, 0x77));
    let session = SrtpSession::from_sdes(suite, &ours, &theirs).expect("keys");
    (session, Far::new(suite, &ours, &theirs))
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 160, 0xCA, 0xFE, 0xBA, 0xBE]);
    packet.extend([sequence as u8; 160]);
    packet
}

fn report() -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1, 0xCA, 0xFE, 0xBA, 0xBE];
    packet.extend([0x81, 202, 0, 3, 0xCA, 0xFE, 0xBA, 0xBE, 1, 2, b'm', b'e', 0, 0, 0, 0]);
    packet
}

fn protect(session: &mut SrtpSession, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + TRAILER, 0);
    let len = session.protect_rtp(&mut buffer, packet.len()).expect("protected");
    buffer.truncate(len);
    buffer
}

fn unprotect(session: &mut SrtpSession, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut packet = packet.to_vec();
    let len = session.unprotect_rtp(&mut packet)?;
    packet.truncate(len);
    Ok(packet)
}

#[test]
fn each_suite_is_understood_by_another_implementation_over_a_rollover() {
    for suite in Suite::ALL {
        let (mut session, mut far) = pair(suite);
        for index in 65_000_u32..132_000 {
            let packet = rtp(index as u16);
            let sealed = protect(&mut session, &packet);
            let opened = far.receives.decrypt_rtp(&sealed).expect("it opens ours");
            assert_eq!(opened, packet, "{suite:?} {index}");
            let theirs = far.sends.encrypt_rtp(&packet).expect("protected");
            assert_eq!(theirs.len(), sealed.len(), "the tags are equally long");
            assert_eq!(unprotect(&mut session, &theirs), Ok(packet), "{suite:?} {index}");
        }
    }
}

/// RFC 4568 6.2.2: the short tag is for SRTP alone.
#[test]
fn each_suite_protects_rtcp_as_another_implementation_does() {
    for (suite, trailer) in [
        (Suite::AeadAes128Gcm, 20),
        (Suite::AeadAes256Gcm, 20),
        (Suite::AesCm128HmacSha1_80, 14),
        (Suite::AesCm128HmacSha1_32, 14),
    ] {
        let (mut session, mut far) = pair(suite);
        for _ in 0..3 {
            let mut buffer = report();
            buffer.resize(report().len() + TRAILER, 0);
            let len = session.protect_rtcp(&mut buffer, report().len()).expect("protected");
            assert_eq!(len, report().len() + trailer, "{suite:?}");
            assert_eq!(far.receives.decrypt_rtcp(&buffer[..len]).expect("it opens ours"), report());
            let mut theirs = far.sends.encrypt_rtcp(&report()).expect("protected").to_vec();
            assert_eq!(session.unprotect_rtcp(&mut theirs), Ok(report().len()));
            assert_eq!(theirs[..report().len()], report());
        }
    }
}

#[test]
fn a_direction_gets_another_key_and_the_other_goes_on() {
    for suite in Suite::ALL {
        let (mut session, mut far) = pair(suite);
        let Far { sends, receives } = Far::new(suite, &key(suite, 0x22), &key(suite, 0x88));
        let old = far.sends.encrypt_rtp(&rtp(7)).expect("protected");
        assert_eq!(unprotect(&mut session, &old), Ok(rtp(7)));

        session.receive_with(suite, &key(suite, 0x88)).expect("a key");
        let late = far.sends.encrypt_rtp(&rtp(8)).expect("protected");
        assert_eq!(unprotect(&mut session, &late), Err(SrtpError::Authentication));
        far.sends = sends;
        // The number that the key before has used is free under the new one.
        let new = far.sends.encrypt_rtp(&rtp(7)).expect("protected");
        assert_eq!(unprotect(&mut session, &new), Ok(rtp(7)));
        let sealed = protect(&mut session, &rtp(1));
        assert_eq!(far.receives.decrypt_rtp(&sealed).expect("the key that was"), rtp(1));

        session.send_with(suite, &key(suite, 0x22)).expect("a key");
        let sealed = protect(&mut session, &rtp(2));
        assert!(far.receives.decrypt_rtp(&sealed).is_err());
        far.receives = receives;
        assert_eq!(far.receives.decrypt_rtp(&sealed).expect("the new key"), rtp(2));
    }
}

#[test]
fn a_key_of_another_suite_is_refused() {
    let (long, short) = (key(Suite::AeadAes256Gcm, 1), key(Suite::AeadAes128Gcm, 1));
    assert!(SrtpSession::from_sdes(Suite::AeadAes128Gcm, &short, &long).is_err());
    assert!(SrtpSession::from_sdes(Suite::AeadAes256Gcm, &short, &long).is_err());
    assert!(SrtpSession::from_sdes(Suite::AesCm128HmacSha1_80, &short, &short).is_err());
}
