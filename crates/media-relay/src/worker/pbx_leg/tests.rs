//! A PBX without sockets, its SRTP by webrtc-srtp.

use std::time::Duration;

use super::*;
use crate::rtp::testing::epoch;
use crate::sdp::crypto::{MasterKey, Suite};
use crate::sdp::pbx::{Codec, Direction, OfferedAs};
use crate::srtp::TRAILER;
use crate::srtp::sdes::tests::{Far, key};

const PBX: &str = "10.0.0.1:4000";
const BEHIND_NAT: &str = "10.0.0.1:61000";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn media(remote: &str, secure: Option<Secure>) -> Media {
    Media {
        remote: at(remote),
        rtcp: None,
        codec: Codec::Pcmu,
        payload_type: 0,
        dtmf: None,
        offered_as: OfferedAs::default(),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        secure,
        rtcp_mux: false,
        comfort_noise: false,
    }
}

fn keys(suite: Suite, ours: u8, theirs: u8) -> (Secure, Far) {
    let (ours, theirs): (MasterKey, MasterKey) = (key(suite, ours), key(suite, theirs));
    let far = Far::new(suite, &ours, &theirs);
    (Secure { suite, ours, theirs }, far)
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 160, 0, 0, 0, 5]);
    packet.extend([sequence as u8; 160]);
    packet
}

fn connected(media: &Media) -> PbxLeg {
    let mut leg = PbxLeg::default();
    leg.connect(epoch(), media).expect("keys");
    leg
}

/// The packet that was sent, in the clear.
fn receive(leg: &mut PbxLeg, source: &str, datagram: &[u8]) -> Result<Vec<u8>, Discard> {
    let mut datagram = datagram.to_vec();
    let heard = leg.receive(epoch(), at(source), &mut datagram)?;
    let (Heard::Rtp(len) | Heard::Rtcp(len)) = heard;
    datagram.truncate(len);
    Ok(datagram)
}

fn send(leg: &mut PbxLeg, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + TRAILER, 0);
    let len = leg.protect_rtp(&mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

/// Both ways work.
fn assert_talks(leg: &mut PbxLeg, far: &mut Far, source: &str, sequence: u16) {
    let theirs = far.sends.encrypt_rtp(&rtp(sequence)).expect("protected");
    assert_eq!(receive(leg, source, &theirs), Ok(rtp(sequence)), "{sequence}");
    let ours = send(leg, &rtp(sequence)).expect("protected");
    assert_eq!(far.receives.decrypt_rtp(&ours).expect("genuine"), rtp(sequence));
}

#[test]
fn without_keys_packets_pass_as_they_are() {
    let mut leg = connected(&media(PBX, None));
    assert!(!leg.is_secure());
    assert_eq!(receive(&mut leg, PBX, &rtp(1)), Ok(rtp(1)));
    assert_eq!(send(&mut leg, &rtp(1)), Ok(rtp(1)));
    assert_eq!(receive(&mut leg, "10.0.0.2:4000", &rtp(2)), Err(Discard::Stranger));
    assert_eq!(receive(&mut PbxLeg::default(), PBX, &rtp(1)), Err(Discard::Early));
}

#[test]
fn a_packet_that_does_not_authenticate_locks_nothing() {
    for suite in Suite::ALL {
        let (secure, mut far) = keys(suite, 1, 2);
        let mut leg = connected(&media(PBX, Some(secure)));
        // Plain, and of a stranger's key: from the SDP's own address and from another port of it.
        let (_, mut forger) = keys(suite, 1, 3);
        for sequence in 1..20 {
            let forged = forger.sends.encrypt_rtp(&rtp(sequence)).expect("protected");
            for source in [PBX, BEHIND_NAT] {
                assert_eq!(receive(&mut leg, source, &forged), Err(Discard::Unauthenticated));
                let plain = receive(&mut leg, source, &rtp(sequence));
                assert_eq!(plain, Err(Discard::Unauthenticated), "{suite:?}");
            }
        }
        assert_eq!(leg.destination(), Some(at(PBX)));
        // The PBX itself, from behind a NAT, is learned all the same.
        for sequence in 1..=4 {
            assert_talks(&mut leg, &mut far, BEHIND_NAT, sequence);
        }
        assert_eq!(leg.destination(), Some(at(BEHIND_NAT)));
        let late = far.sends.encrypt_rtp(&rtp(5)).expect("protected");
        assert_eq!(receive(&mut leg, PBX, &late), Err(Discard::Stranger), "locked");
        assert_eq!(receive(&mut leg, BEHIND_NAT, &late), Ok(rtp(5)), "no stranger has used its index up");
    }
}

#[test]
fn a_packet_that_is_repeated_is_refused() {
    let (secure, mut far) = keys(Suite::AesCm128HmacSha1_32, 1, 2);
    let mut leg = connected(&media(PBX, Some(secure)));
    let once = far.sends.encrypt_rtp(&rtp(1)).expect("protected");
    assert_eq!(receive(&mut leg, PBX, &once), Ok(rtp(1)));
    assert_eq!(receive(&mut leg, PBX, &once), Err(Discard::Replay));
    assert!(send(&mut leg, &rtp(1)).is_ok());
    assert_eq!(send(&mut leg, &rtp(1)), Err(SrtpError::Replay), "nor is one sent twice");
}

#[test]
fn rtcp_on_the_port_of_rtp_must_authenticate_too() {
    let report = [0x80, 201, 0, 1, 0, 0, 0, 5];
    for suite in Suite::ALL {
        let (secure, mut far) = keys(suite, 1, 2);
        let mut leg = connected(&media(PBX, Some(secure)));
        assert!(receive(&mut leg, PBX, &report).is_err());
        let theirs = far.sends.encrypt_rtcp(&report).expect("protected");
        assert_eq!(receive(&mut leg, PBX, &theirs), Ok(report.to_vec()));
        let mut buffer = [&report[..], &[0; TRAILER]].concat();
        let len = leg.protect_rtcp(&mut buffer, report.len()).expect("protected");
        assert_eq!(far.receives.decrypt_rtcp(&buffer[..len]).expect("genuine"), report[..]);
        // On the port above, its source is not the one that was learned.
        let mut theirs = far.sends.encrypt_rtcp(&report).expect("protected").to_vec();
        assert_eq!(leg.open_rtcp(&mut theirs), Ok(report.len()));
    }
    let mut plain = connected(&media(PBX, None));
    assert_eq!(receive(&mut plain, PBX, &report), Ok(report.to_vec()));
    assert_eq!(receive(&mut plain, "10.0.0.9:4000", &report), Err(Discard::Stranger));
    assert_eq!(plain.open_rtcp(&mut report.clone()), Ok(report.len()));
}

/// RFC 3711 3.3.1: what a new session would lose is the rollover counter.
#[test]
fn the_counters_go_on_past_65536_packets_through_hold_and_another_port() {
    for suite in Suite::ALL {
        let (secure, mut far) = keys(suite, 1, 2);
        let agreed = media(PBX, Some(secure.clone()));
        let mut leg = connected(&agreed);
        for index in 0..70_000_u32 {
            assert_talks(&mut leg, &mut far, PBX, index as u16);
        }
        leg.connect(epoch(), &agreed).expect("refreshed");
        assert_talks(&mut leg, &mut far, PBX, 4500);
        leg.connect(epoch(), &media("0.0.0.0:4000", Some(secure.clone()))).expect("held");
        leg.connect(epoch(), &agreed).expect("taken back");
        assert_talks(&mut leg, &mut far, PBX, 4501);
        leg.connect(epoch(), &media("10.0.0.1:4100", Some(secure))).expect("moved");
        assert_talks(&mut leg, &mut far, "10.0.0.1:4100", 4502);
    }
}

#[test]
fn each_direction_begins_anew_with_its_own_key_and_only_then() {
    let suite = Suite::AeadAes128Gcm;
    let (secure, mut far) = keys(suite, 1, 2);
    let mut leg = connected(&media(PBX, Some(secure)));
    for index in 0..66_000_u32 {
        assert_talks(&mut leg, &mut far, PBX, index as u16);
    }
    // Their key changes: they count from rollover 0, we go on.
    let (secure, fresh) = keys(suite, 1, 7);
    leg.connect(epoch(), &media(PBX, Some(secure))).expect("keys");
    far.sends = fresh.sends;
    assert_talks(&mut leg, &mut far, PBX, 1000);
    // Ours changes: the other way about.
    let (secure, fresh) = keys(suite, 8, 7);
    leg.connect(epoch(), &media(PBX, Some(secure))).expect("keys");
    far.receives = fresh.receives;
    assert_talks(&mut leg, &mut far, PBX, 1001);
    // Both, and the suite.
    for suite in Suite::ALL {
        let (secure, mut far) = keys(suite, 20, 21);
        leg.connect(epoch(), &media(PBX, Some(secure))).expect("keys");
        assert_talks(&mut leg, &mut far, PBX, 60_000);
    }
    leg.connect(epoch(), &media(PBX, None)).expect("plain");
    assert_eq!(receive(&mut leg, PBX, &rtp(1)), Ok(rtp(1)));
}

#[test]
fn a_transfer_has_keys_of_its_own_and_the_way_back_those_before() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (first, mut far) = keys(suite, 1, 2);
    let agreed = media(PBX, Some(first));
    let mut leg = connected(&agreed);
    for index in 0..66_000_u32 {
        assert_talks(&mut leg, &mut far, PBX, index as u16);
    }
    let (second, mut target) = keys(suite, 3, 4);
    leg.connect(epoch(), &media("10.0.0.2:6000", Some(second))).expect("keys");
    assert_talks(&mut leg, &mut target, "10.0.0.2:6000", 500);
    // Between two legs nobody is heard.
    leg.disconnect();
    assert_eq!(receive(&mut leg, "10.0.0.2:6000", &rtp(1)), Err(Discard::Early));
    assert_eq!(leg.destination(), None);
    let (third, mut next) = keys(suite, 5, 6);
    leg.connect(epoch(), &media("10.0.0.3:6000", Some(third))).expect("keys");
    assert_talks(&mut leg, &mut next, "10.0.0.3:6000", 600);

    // The target fails, and the transferor takes the call back where its counters were.
    let mut leg = connected(&agreed);
    let (first, mut far) = keys(suite, 1, 2);
    for index in 0..66_000_u32 {
        assert_talks(&mut leg, &mut far, PBX, index as u16);
    }
    let (second, mut target) = keys(suite, 3, 4);
    leg.connect(epoch(), &media("10.0.0.2:6000", Some(second))).expect("keys");
    assert_talks(&mut leg, &mut target, "10.0.0.2:6000", 500);
    leg.connect(epoch(), &media(PBX, Some(first))).expect("keys");
    assert_talks(&mut leg, &mut far, PBX, 1000);
}

#[test]
fn the_source_is_learned_in_a_short_window_that_prefers_the_sdp() {
    // reliability: packets from a third address before and after the first right one change nothing.
    let mut leg = connected(&media(PBX, None));
    let third = "10.0.0.66:4000";
    for sequence in 0..10 {
        assert_eq!(receive(&mut leg, third, &rtp(sequence)), Err(Discard::Stranger));
    }
    for sequence in 0..3 {
        assert!(receive(&mut leg, BEHIND_NAT, &rtp(sequence)).is_ok());
        assert_eq!(leg.destination(), Some(at(PBX)), "not before four in sequence");
    }
    assert!(receive(&mut leg, PBX, &rtp(9)).is_ok());
    assert_eq!(leg.destination(), Some(at(PBX)), "the SDP's own address wins");
    for sequence in 3..20 {
        assert_eq!(receive(&mut leg, BEHIND_NAT, &rtp(sequence)), Err(Discard::Stranger));
        assert_eq!(receive(&mut leg, third, &rtp(sequence)), Err(Discard::Stranger));
    }
    // Only another description opens it again.
    let later = epoch() + Duration::from_secs(3600);
    assert_eq!(leg.receive(later, at(BEHIND_NAT), &mut rtp(1)), Err(Discard::Stranger));
    leg.connect(later, &media("10.0.0.1:4002", None)).expect("moved");
    assert_eq!(leg.receive(later, at(BEHIND_NAT), &mut rtp(1)), Ok(Heard::Rtp(172)));
}
