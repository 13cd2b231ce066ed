//! Keys of the descriptions: no ICE, no DTLS, and nobody to wait for.

use super::*;
use crate::sdp::crypto::{MasterKey, Suite};

const SUITE: Suite = Suite::AesCm128HmacSha1_80;

fn key(seed: u8) -> MasterKey {
    MasterKey::new(SUITE, &[seed; 30]).expect("30 octets")
}

/// Ours, connected, and theirs.
fn pair(address: &str) -> (WhatsAppPeer, SrtpSession, Option<PeerOutput>) {
    let credentials = Credentials::draw().expect("random numbers");
    let mut peer = WhatsAppPeer::new(identities()[0].clone(), vec![self::address(OURS)], credentials);
    let remote = SdesPeer { address: self::address(address), suite: SUITE, ours: key(1), theirs: key(2) };
    peer.connect(Instant::now(), Far::Sdes(remote));
    let theirs = SrtpSession::from_sdes(SUITE, &key(2), &key(1)).expect("keys");
    let output = peer.poll();
    (peer, theirs, output)
}

fn said(session: &mut SrtpSession, sequence: u16) -> Vec<u8> {
    let packet = rtp(sequence);
    let mut buffer = packet.clone();
    buffer.resize(packet.len() + TRAILER, 0);
    let len = session.protect_rtp(&mut buffer, packet.len()).expect("protected");
    buffer.truncate(len);
    buffer
}

fn destination(peer: &mut WhatsAppPeer, sequence: u16) -> SocketAddr {
    let mut buffer = rtp(sequence);
    let len = buffer.len();
    buffer.resize(len + TRAILER, 0);
    peer.protect_rtp(&mut buffer, len).expect("keys").expect("protected").0
}

#[test]
fn it_is_connected_at_once_and_sends_nothing_of_itself() {
    let (mut peer, mut theirs, output) = pair(THEIRS);
    assert!(matches!(output, Some(PeerOutput::Connected(Duration::ZERO))), "{output:?}");
    assert!(peer.poll().is_none());
    assert_eq!(peer.deadline(), None, "no checks, no consent");
    let mut buffer = rtp(1);
    let len = buffer.len();
    buffer.resize(len + TRAILER, 0);
    let (to, len) = peer.protect_rtp(&mut buffer, len).expect("keys").expect("protected");
    assert_eq!(to, address(THEIRS));
    let opened = theirs.unprotect_rtp(&mut buffer[..len]).expect("theirs");
    assert_eq!(buffer[..opened], rtp(1));
    peer.close();
    assert!(peer.poll().is_none(), "no goodbye without DTLS");
    assert!(peer.protect_rtp(&mut rtp(2), 31).is_none());
}

#[test]
fn reports_go_where_sound_goes() {
    let (mut peer, mut theirs, _) = pair(THEIRS);
    // An empty receiver report (RFC 3550 6.4.2).
    let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
    let mut buffer = [0; 64];
    buffer[..report.len()].copy_from_slice(&report);
    let (to, len) = peer.protect_rtcp(&mut buffer, report.len()).expect("keys").expect("protected");
    assert_eq!(to, address(THEIRS));
    let opened = theirs.unprotect_rtcp(&mut buffer[..len]).expect("theirs");
    assert_eq!(buffer[..opened], report);
    peer.close();
    assert!(peer.protect_rtcp(&mut buffer, report.len()).is_none());
}

#[test]
fn the_address_follows_what_authenticates_and_nothing_else() {
    let (mut peer, mut theirs, _) = pair(THEIRS);
    let now = Instant::now();
    let (moved, stranger) = (address("198.51.100.7:3482"), address("203.0.113.5:9999"));
    let genuine = said(&mut theirs, 7);
    // Forged from another address: with a broken tag, with another key, not SRTP at all.
    let mut broken = genuine.clone();
    *broken.last_mut().expect("a tag") ^= 1;
    let mut other = SrtpSession::from_sdes(SUITE, &key(9), &key(1)).expect("keys");
    for mut forged in [broken, said(&mut other, 8), rtp(9)] {
        let outcome = peer.handle_datagram(now, stranger, &mut forged);
        assert_eq!(outcome, Received::Refused(Discard::Unauthenticated));
        assert_eq!(destination(&mut peer, 100), address(THEIRS));
        peer.outputs.clear();
        // The index was used: SRTP refuses to protect it again.
        peer = {
            let (fresh, ..) = pair(THEIRS);
            fresh
        };
    }
    let mut packet = genuine.clone();
    assert_eq!(peer.handle_datagram(now, moved, &mut packet), Received::Rtp(rtp(7).len()));
    assert_eq!(destination(&mut peer, 1), moved);
    // A replayed one bends nothing.
    let mut packet = genuine;
    let outcome = peer.handle_datagram(now, stranger, &mut packet);
    assert_eq!(outcome, Received::Refused(Discard::Replay));
    assert_eq!(destination(&mut peer, 2), moved);
}

#[test]
fn stun_and_dtls_are_nobodys_here() {
    let (mut peer, mut theirs, _) = pair(THEIRS);
    let now = Instant::now();
    let mut hello = Vec::new();
    let mut client = Handshake::new(&identities()[1], DtlsRole::Client, [0; 32], now);
    assert!(client.handle_timeout(now, |bytes| hello = bytes.to_vec()).is_ok());
    let check = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[3; 12]].concat();
    for mut bytes in [hello, check, vec![21, 254, 253], vec![5; 40], vec![128], Vec::new()] {
        let outcome = peer.handle_datagram(now, address(THEIRS), &mut bytes);
        assert!(matches!(outcome, Received::Refused(_)), "{outcome:?}");
        assert!(peer.poll().is_none());
    }
    let mut packet = said(&mut theirs, 1);
    assert_eq!(peer.handle_datagram(now, address(THEIRS), &mut packet), Received::Rtp(rtp(1).len()));
}

#[test]
fn an_address_of_a_family_that_the_socket_does_not_speak_fails_the_call() {
    let (_, _, output) = pair("[2001:db8::7]:3480");
    let Some(PeerOutput::Failed(MediaFailure::Unusable(why))) = output else { panic!("{output:?}") };
    assert!(why.contains("address family"), "{why}");
}
