//! Published vectors (RFC 3711 appendix B, RFC 7714 16 and 17), then the
//! behaviour that has none: rollover, replay, loss, hostile bytes.

use proptest::prelude::*;

use super::cipher::{Cipher, Profile, Protocol};
use super::*;

const PROFILES: [Profile; 4] =
    [Profile::Aes128CmSha1_80, Profile::Aes128CmSha1_32, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];

fn hex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    hex::decode(text).expect("hexadecimal")
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().expect("the right length")
}

/// The two ends of one call.
fn pair(profile: Profile) -> (SrtpSession, SrtpSession) {
    let len = 2 * (profile.key_len() + profile.salt_len());
    let material: Vec<u8> = (0..len).map(|n| n as u8 ^ 0x5A).collect();
    let client = SrtpSession::new(profile, &material, true).expect("keys");
    let server = SrtpSession::new(profile, &material, false).expect("keys");
    (client, server)
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 111];
    packet.extend(sequence.to_be_bytes());
    packet.extend(960_u32.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

fn protect(session: &mut SrtpSession, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + TRAILER, 0);
    let len = session.protect_rtp(&mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

fn unprotect(session: &mut SrtpSession, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut packet = packet.to_vec();
    let len = session.unprotect_rtp(&mut packet)?;
    packet.truncate(len);
    Ok(packet)
}

#[test]
fn rfc_3711_b_2_keystream() {
    let salt = array("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
    let key = hex("2B7E151628AED2A6ABF7158809CF4F3C");
    let cipher = Cipher::counter_mode(&key, salt, &[0; 20], 10).expect("keys");
    // A packet of zeros under SSRC 0 and index 0 comes out as the keystream.
    let mut buffer = vec![0; 96 + 10];
    let len = cipher.seal_rtp(&mut buffer, (0, 96), 0, 0).expect("sealed");
    assert_eq!(len, 106);
    let keystream = hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB
         41E95B3BB0A2E8DD477901E4FCA894C0");
    assert_eq!(buffer[..48], keystream);
}

#[test]
fn rfc_3711_b_3_key_derivation() {
    // The derived keys are not to be seen, but what they do is: a packet
    // sealed under them equals one sealed under the published session keys.
    let master_key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
    let master_salt = hex("0EC675AD498AFEEBB6960B3AABE6");
    let profile = Profile::Aes128CmSha1_80;
    let derived = Cipher::derive(profile, Protocol::Rtp, &master_key, &master_salt).expect("derived");
    let published = Cipher::counter_mode(
        &hex("C61E7A93744F39EE10734AFE3FF7A087"),
        array("30CBBC08863D8C85D49DB34A9AE1"),
        &hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"),
        10,
    )
    .expect("keys");
    let packet = rtp(0xDECA_FBAD, 0x1234, &[7; 160]);
    let sealed = |cipher: &Cipher| {
        let mut buffer = packet.clone();
        buffer.resize(packet.len() + 10, 0);
        let room = (12, packet.len());
        cipher.seal_rtp(&mut buffer, room, 0xDECA_FBAD, 0x1_1234).expect("sealed");
        buffer
    };
    assert_eq!(sealed(&derived), sealed(&published));
}

#[test]
fn counter_mode_packet_as_other_implementations_make_it() {
    // The reference packets that libsrtp's test driver carries.
    let master_key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
    let master_salt = hex("0EC675AD498AFEEBB6960B3AABE6");
    let profile = Profile::Aes128CmSha1_80;
    let derive = |protocol| Cipher::derive(profile, protocol, &master_key, &master_salt).expect("derived");
    let mut buffer = hex("800f1234decafbadcafebabe abababababababababababababababab");
    buffer.resize(38, 0);
    let rtp = derive(Protocol::Rtp);
    assert_eq!(rtp.seal_rtp(&mut buffer, (12, 28), 0xCAFE_BABE, 0x1234), Ok(38));
    let expected = hex("800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402
         b78d6acc99ea179b8dbb");
    assert_eq!(buffer, expected);

    let mut buffer = hex("81c8000bcafebabe abababababababababababababababab");
    buffer.resize(38, 0);
    let rtcp = derive(Protocol::Rtcp);
    assert_eq!(rtcp.seal_rtcp(&mut buffer, 24, 0xCAFE_BABE, 1), Ok(38));
    let expected = hex("81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001
         993e08cd54d6c1230798");
    assert_eq!(buffer, expected);
    assert_eq!(rtcp.rtcp_index(&buffer), Ok(1));
    assert_eq!(rtcp.open_rtcp(&mut buffer, 0xCAFE_BABE, 1), Ok(24));
}

const GCM_SALT: &str = "517569642070726f2071756f";
const GCM_KEY_128: &str = "000102030405060708090a0b0c0d0e0f";
const GCM_KEY_256: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

#[test]
fn rfc_7714_16_srtp() {
    let cases = [
        (
            GCM_KEY_128,
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833
             899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            GCM_KEY_256,
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b
             7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ];
    let header = hex("8040f17b8041f8d35501a0b2");
    let text = b"Gallia est omnis divisa in partes tres";
    for (key, sealed) in cases {
        let cipher = Cipher::gcm(&hex(key), array(GCM_SALT)).expect("keys");
        let mut buffer = [&header[..], &text[..], &[0; 16]].concat();
        let sequence = 0xF17B;
        let total = cipher.seal_rtp(&mut buffer, (12, 50), 0x5501_A0B2, sequence);
        assert_eq!(total, Ok(66));
        assert_eq!(buffer[12..], hex(sealed));
        assert_eq!(buffer[..12], header);
        assert_eq!(cipher.open_rtp(&mut buffer, 12, 0x5501_A0B2, sequence), Ok(50));
        assert_eq!(buffer[12..50], *text);
    }
}

#[test]
fn rfc_7714_17_srtcp() {
    let cases = [
        (
            GCM_KEY_128,
            "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b46
             86303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade",
        ),
        (
            GCM_KEY_256,
            "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658
             c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be",
        ),
    ];
    let packet = hex("81c8000d4d6172734e5450314e545032525450200000042a0000e930
         4c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef");
    for (key, sealed) in cases {
        let cipher = Cipher::gcm(&hex(key), array(GCM_SALT)).expect("keys");
        let mut buffer = packet.clone();
        buffer.resize(packet.len() + TRAILER, 0);
        let total = cipher.seal_rtcp(&mut buffer, packet.len(), 0x4D61_7273, 0x5D4);
        assert_eq!(total, Ok(packet.len() + TRAILER));
        let (body, index) = buffer[8..].split_at(packet.len() - 8 + 16);
        assert_eq!(body, hex(sealed));
        assert_eq!(index, hex("800005d4"));
        assert_eq!(cipher.rtcp_index(&buffer), Ok(0x5D4));
        assert_eq!(cipher.open_rtcp(&mut buffer, 0x4D61_7273, 0x5D4), Ok(packet.len()));
        assert_eq!(buffer[..packet.len()], packet);
    }
}

#[test]
fn both_directions_over_rollovers_with_loss() {
    for profile in PROFILES {
        let (mut client, mut server) = pair(profile);
        for index in (65_000_u32..200_000).filter(|index| index % 7 != 0) {
            let packet = rtp(1, index as u16, &index.to_be_bytes());
            let sealed = protect(&mut client, &packet).expect("protected");
            if index % 11 == 0 {
                continue;
            }
            assert_eq!(unprotect(&mut server, &sealed).as_ref(), Ok(&packet));
        }
        let back = rtp(2, 9, b"the other way");
        let sealed = protect(&mut server, &back).expect("protected");
        assert_eq!(unprotect(&mut client, &sealed), Ok(back));
    }
}

#[test]
fn disorder_across_the_rollover() {
    let (mut client, mut server) = pair(Profile::AeadAes128Gcm);
    let sealed: Vec<_> = (65_500_u32..65_600)
        .map(|index| protect(&mut client, &rtp(1, index as u16, b"x")).expect("protected"))
        .collect();
    assert!(unprotect(&mut server, &sealed[0]).is_ok());
    for near in sealed[1..].chunks(33) {
        for packet in near.iter().rev() {
            assert!(unprotect(&mut server, packet).is_ok());
        }
    }
}

#[test]
fn a_packet_counts_once_in_both_directions() {
    for profile in PROFILES {
        let (mut client, mut server) = pair(profile);
        let packet = rtp(1, 100, b"once");
        let sealed = protect(&mut client, &packet).expect("protected");
        assert_eq!(protect(&mut client, &packet), Err(SrtpError::Replay));
        assert!(unprotect(&mut server, &sealed).is_ok());
        assert_eq!(unprotect(&mut server, &sealed), Err(SrtpError::Replay));
        // Far behind the window.
        let late = protect(&mut client, &rtp(1, 101, b"late")).expect("protected");
        let ahead = protect(&mut client, &rtp(1, 1000, b"ahead")).expect("protected");
        assert!(unprotect(&mut server, &ahead).is_ok());
        assert_eq!(unprotect(&mut server, &late), Err(SrtpError::Replay));
    }
}

#[test]
fn a_tampered_packet_changes_nothing() {
    for profile in PROFILES {
        let (mut client, mut server) = pair(profile);
        let packet = rtp(1, 100, b"genuine");
        let sealed = protect(&mut client, &packet).expect("protected");
        for place in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[place] ^= 0x40;
            assert!(unprotect(&mut server, &forged).is_err(), "octet {place}");
        }
        // No stream was remembered, no index used: the genuine one passes.
        assert!(server.inbound.rtp_streams.known.is_empty());
        assert_eq!(unprotect(&mut server, &sealed), Ok(packet));
    }
}

#[test]
fn header_extension_and_csrcs_stay_in_the_clear() {
    for profile in PROFILES {
        let (mut client, mut server) = pair(profile);
        let mut packet = rtp(1, 5, &[]);
        packet[0] = 0x92;
        packet.extend([0, 0, 0, 8, 0, 0, 0, 9]);
        packet.extend([0xBE, 0xDE, 0, 1, 0x10, 0x7F, 0, 0]);
        let clear = packet.len();
        packet.extend(b"payload");
        let sealed = protect(&mut client, &packet).expect("protected");
        assert_eq!(sealed[..clear], packet[..clear]);
        assert_ne!(sealed[clear..clear + 7], packet[clear..]);
        assert_eq!(unprotect(&mut server, &sealed), Ok(packet));
    }
}

#[test]
fn srtcp_both_ways_with_replay_and_tampering() {
    for profile in PROFILES {
        let (mut client, mut server) = pair(profile);
        let report = hex("81c9000100000001 000000020000000000000000000000000000000000000000");
        for _ in 0..3 {
            let mut buffer = report.clone();
            buffer.resize(report.len() + TRAILER, 0);
            let len = client.protect_rtcp(&mut buffer, report.len()).expect("protected");
            buffer.truncate(len);
            for place in 0..len {
                let mut forged = buffer.clone();
                forged[place] ^= 1;
                assert!(server.unprotect_rtcp(&mut forged).is_err(), "octet {place}");
            }
            let mut again = buffer.clone();
            assert_eq!(server.unprotect_rtcp(&mut buffer), Ok(report.len()));
            assert_eq!(buffer[..report.len()], report);
            assert_eq!(server.unprotect_rtcp(&mut again), Err(SrtpError::Replay));
        }
    }
}

#[test]
fn streams_are_bounded_and_the_stalest_goes() {
    let (mut client, mut server) = pair(Profile::AeadAes128Gcm);
    for ssrc in 0..3 * STREAMS as u32 {
        let sealed = protect(&mut client, &rtp(ssrc, 1, b"x")).expect("protected");
        assert!(unprotect(&mut server, &sealed).is_ok());
    }
    let known = &server.inbound.rtp_streams.known;
    assert_eq!((known.len(), known.capacity()), (STREAMS, STREAMS));
    assert!(known.iter().all(|stream| stream.ssrc >= 2 * STREAMS as u32));
}

#[test]
fn no_room_is_an_error_and_uses_no_index() {
    let (mut client, _) = pair(Profile::AeadAes128Gcm);
    let mut packet = rtp(1, 1, b"x");
    let len = packet.len();
    assert_eq!(client.protect_rtp(&mut packet, len), Err(SrtpError::NoRoom));
    assert!(protect(&mut client, &packet).is_ok());
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), first in 0x80_u8..0xC0) {
        for profile in PROFILES {
            let (_, mut server) = pair(profile);
            if let Some(octet) = bytes.first_mut() {
                *octet = first;
            }
            prop_assert!(server.unprotect_rtp(&mut bytes.clone()).is_err());
            prop_assert!(server.unprotect_rtcp(&mut bytes.clone()).is_err());
        }
    }

    #[test]
    fn any_payload_survives(payload in proptest::collection::vec(any::<u8>(), 0..1400), sequence: u16, ssrc: u32) {
        for profile in PROFILES {
            let (mut client, mut server) = pair(profile);
            let packet = rtp(ssrc, sequence, &payload);
            let sealed = protect(&mut client, &packet).expect("protected");
            prop_assert_eq!(unprotect(&mut server, &sealed), Ok(packet));
        }
    }
}
