//! What WhatsApp and the RFCs ask of the transport, one test a rule.

use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};

use super::*;

const STRANGER: &str = "203.0.113.5:9999";

/// A Binding request as a full agent of theirs would send it, signed with this password.
fn request(world: &World, password: &str) -> Vec<u8> {
    let username = format!("{}:{}", world.peer.credentials.ufrag, world.lite.credentials.ufrag);
    let request = StunMessage::binding_request(&username, TransId::new(), false, 1, 1 << 24, false);
    let mut buffer = vec![0; 300];
    let hmac = |key: &[u8], payloads: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, payloads);
    let len = request.to_bytes(Some(password.as_bytes()), &mut buffer, hmac).expect("written");
    buffer.truncate(len);
    buffer
}

fn sent_to(world: &World, there: &str) -> usize {
    world.transmitted.iter().filter(|(_, to, _)| *to == address(there)).count()
}

fn times(world: &World, first: u8, until: Duration) -> Vec<u128> {
    let of_kind = world.transmitted.iter().filter(|(at, _, bytes)| bytes[0] == first && *at < until);
    of_kind.map(|(at, ..)| at.as_millis()).collect()
}

#[test]
fn an_address_that_signs_its_request_is_checked_before_the_nomination_and_no_other() {
    let mut world = World::new(DtlsRole::Client);
    world.lite.faults.no_stun = true;
    world.connect();
    let now = world.now;
    let mut forged = request(&world, "not the password of this call");
    let outcome = world.peer.handle_datagram(now, address(STRANGER), &mut forged);
    assert_eq!(outcome, Received::Refused(Discard::Unauthenticated));
    world.run(seconds(1), |_| false);
    assert_eq!(sent_to(&world, STRANGER), 0, "neither an answer nor a check");

    let password = world.peer.credentials.pwd.clone();
    let mut signed = request(&world, &password);
    let outcome = world.peer.handle_datagram(world.now, address(STRANGER), &mut signed);
    assert_eq!(outcome, Received::Handled);
    world.settle();
    world.run(seconds(2), |_| false);
    assert!(sent_to(&world, STRANGER) > 1, "answered and checked");
    assert!(times(&world, 22, seconds(2)).is_empty(), "no DTLS to whom has not answered a check");
}

#[test]
fn after_the_nomination_not_even_a_signed_request_changes_the_address() {
    for role in ROLES {
        let mut world = World::up(role);
        let password = world.peer.credentials.pwd.clone();
        let mut signed = request(&world, &password);
        let outcome = world.peer.handle_datagram(world.now, address(STRANGER), &mut signed);
        assert_eq!(outcome, Received::Refused(Discard::Stranger));
        world.settle();
        let end = world.now - world.start + seconds(10);
        world.run(end, |_| false);
        assert_eq!(sent_to(&world, STRANGER), 0);
        // From where it is, it is answered.
        let before = world.transmitted.len();
        let mut signed = request(&world, &password);
        let outcome = world.peer.handle_datagram(world.now, address(THEIRS), &mut signed);
        assert_eq!(outcome, Received::Handled);
        world.settle();
        assert_eq!(world.transmitted.len(), before + 1);
        assert_eq!(world.speak(1), Some(Ok(())));
    }
}

#[test]
fn checks_begin_at_once_and_are_repeated_from_50_ms() {
    let mut world = World::new(DtlsRole::Client);
    world.lite.faults.no_stun = true;
    world.connect();
    world.run(seconds(2), |_| false);
    let times = times(&world, 0, seconds(2));
    assert_eq!(times[0], 0);
    assert!((45..=60).contains(&times[1]), "{times:?}");
    assert!(times.windows(2).all(|two| two[1] - two[0] <= 510), "no wait of a second: {times:?}");
}

#[test]
fn a_client_hello_is_repeated_from_50_ms() {
    let mut world = World::new(DtlsRole::Client);
    world.lite.faults.no_dtls = true;
    world.connect();
    world.run(seconds(2), |_| false);
    let times = times(&world, 22, seconds(1));
    let gaps: Vec<_> = times.windows(2).map(|two| two[1] - two[0]).collect();
    // The engine spreads its timer by a quarter either way.
    assert!((36..=64).contains(&gaps[0]), "{gaps:?}");
    assert!(times.len() >= 4, "50, 100, 200, 400 ms: {times:?}");
}

#[test]
fn nothing_is_sent_after_consent_has_ended() {
    let mut world = World::up(DtlsRole::Client);
    world.lite.faults.no_stun = true;
    let end = world.now - world.start + seconds(40);
    assert!(world.run(end, |world| world.failure.is_some()));
    let before = world.transmitted.len();
    assert_eq!(world.speak(1), None, "no media either");
    world.run(end + seconds(60), |_| false);
    assert_eq!(world.transmitted.len(), before);
}

#[test]
fn an_ssrc_that_their_description_does_not_name_is_heard() {
    let mut world = World::up(DtlsRole::Client);
    for ssrc in [9_u32, 0xDEAD_BEEF] {
        let mut packet = rtp(1);
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        world.lite.speak(&packet);
    }
    world.received.clear();
    world.settle();
    let end = world.now - world.start + seconds(1);
    world.run(end, |_| false);
    let heard = Received::Rtp(rtp(1).len());
    assert_eq!(world.received.iter().filter(|received| **received == heard).count(), 2);
}

/// ECDSA is faster than RSA, and its certificate fits one datagram.
#[test]
fn our_certificate_is_of_p_256() {
    let der = identities()[0].certificate();
    // 1.2.840.10045.3.1.7 (RFC 5480 2.1.1.1).
    let p256 = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    assert!(der.windows(p256.len()).any(|octets| octets == p256));
    assert!(der.len() < 1000, "{}", der.len());
}
