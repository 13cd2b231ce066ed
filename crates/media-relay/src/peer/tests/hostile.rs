//! No bytes from the network, random or nearly right, make the peer panic,
//! connect, or fail.

use proptest::prelude::*;

use super::*;

/// Everything that reaches a peer while it connects and speaks, in order.
fn genuine(role: DtlsRole) -> Vec<Vec<u8>> {
    let mut world = World::new(role);
    world.connect();
    let mut seen = Vec::new();
    for step in 1..40 {
        world.run(Duration::from_millis(5 * step), |_| false);
        let inbound = world.wire.values().filter(|(_, to, _)| *to == address(OURS));
        seen.extend(inbound.map(|(.., bytes)| bytes.clone()));
    }
    assert!(world.connected.is_some());
    world.lite.speak(&rtp(1));
    seen.extend(world.lite.sent.drain(..).map(|(_, bytes)| bytes));
    seen
}

/// A peer in each of its states: waiting, checking, securing, connected, over.
fn stages(role: DtlsRole) -> Vec<World> {
    let mut worlds: Vec<_> = [0, 1, 40, 400].map(|_| World::new(role)).into();
    for (world, until) in worlds.iter_mut().zip([0, 1, 40, 400]).skip(1) {
        world.connect();
        world.run(Duration::from_millis(until), |_| false);
    }
    assert!(matches!(worlds[3].peer.state, State::Connected { .. }));
    let mut over = World::up(role);
    over.peer.close();
    worlds.push(over);
    worlds
}

fn feed(world: &mut World, source: SocketAddr, bytes: &[u8]) {
    let before = world.connected.is_some();
    let outcome = world.peer.handle_datagram(world.now, source, &mut bytes.to_vec());
    assert!(!matches!(outcome, Received::Rtp(_) | Received::Rtcp(_)), "forged media accepted");
    world.settle();
    assert_eq!(world.connected.is_some(), before);
}

/// An unencrypted alert: anybody can make one.
fn alert(level: u8, description: u8) -> Vec<u8> {
    vec![21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, level, description]
}

fn client_hello(world: &World) -> Vec<u8> {
    let mut hello = Vec::new();
    let mut client = Handshake::new(&identities()[1], DtlsRole::Client, [0; 32], world.now);
    assert!(client.handle_timeout(world.now, |bytes| hello = bytes.to_vec()).is_ok());
    hello
}

/// The call still speaks and hears.
fn assert_alive(world: &mut World) {
    world.settle();
    let (sequence, heard) = (world.lite.heard.len() as u16, world.lite.heard.len());
    assert_eq!(world.speak(sequence), Some(Ok(())));
    world.lite.speak(&rtp(500 + sequence));
    world.received.clear();
    let end = world.now - world.start + seconds(1);
    world.settle();
    world.run(end, |_| false);
    assert_eq!((world.lite.heard.len(), &world.failure), (heard + 1, &None));
    assert!(world.received.contains(&Received::Rtp(rtp(0).len())));
}

#[test]
fn alerts_and_client_hellos_are_refused_before_and_after_the_handshake() {
    for role in ROLES {
        // A stranger's, while the handshake is under way.
        let mut world = World::new(role);
        world.connect();
        world.run(Duration::from_millis(70), |_| false);
        assert!(matches!(world.peer.state, State::Securing { .. }));
        let hello = client_hello(&world);
        for bytes in [alert(2, 40), alert(1, 0), hello] {
            let outcome =
                world.peer.handle_datagram(world.now, address("203.0.113.5:3480"), &mut bytes.clone());
            assert_eq!(outcome, Received::Refused(Discard::Stranger));
        }
        assert!(world.run(seconds(5), |world| world.connected.is_some() && world.lite.is_up()));
        // Then from the very address, which anybody can write on a datagram.
        let hello = client_hello(&world);
        for source in [THEIRS, "203.0.113.5:3480"] {
            for bytes in [alert(2, 40), alert(1, 0), hello.clone(), vec![22, 254, 253, 0, 1], vec![23; 1500]]
            {
                world.peer.handle_datagram(world.now, address(source), &mut bytes.clone());
                assert_alive(&mut world);
            }
        }
    }
}

#[test]
fn stun_without_the_password_is_counted_and_changes_nothing() {
    for role in ROLES {
        let mut world = World::up(role);
        let genuine = world.transmitted.iter().find(|(.., bytes)| bytes[0] == 0).expect("a check").2.clone();
        // Ours come back: signed with their password, not with ours.
        let reflected = world.peer.handle_datagram(world.now, address(THEIRS), &mut genuine.clone());
        assert_eq!(reflected, Received::Refused(Discard::Unauthenticated));
        let stranger = world.peer.handle_datagram(world.now, address("203.0.113.5:9"), &mut genuine.clone());
        assert_eq!(stranger, Received::Refused(Discard::Stranger));
        // A check cut short, and an answer to one that was never sent.
        let cut = world.peer.handle_datagram(world.now, address(THEIRS), &mut genuine[..19].to_vec());
        assert_eq!(cut, Received::Refused(Discard::Malformed));
        let mut answer = genuine;
        answer[0] = 1;
        let outcome = world.peer.handle_datagram(world.now, address(THEIRS), &mut answer);
        assert!(matches!(outcome, Received::Refused(_)), "{outcome:?}");
        assert_alive(&mut world);
    }
}

#[test]
fn a_forged_rtcp_bye_ends_nothing() {
    let mut world = World::up(DtlsRole::Client);
    let bye = [&[0x81, 203, 0, 1, 0, 0, 0, 9][..], &[0; 16], &[0x80, 0, 0, 1]].concat();
    for (source, why) in [(THEIRS, Discard::Unauthenticated), ("203.0.113.5:9", Discard::Stranger)] {
        let outcome = world.peer.handle_datagram(world.now, address(source), &mut bye.clone());
        assert_eq!(outcome, Received::Refused(why));
        assert_alive(&mut world);
    }
    // Too short for its tag, and for its SSRC.
    for len in 2..bye.len() {
        let outcome = world.peer.handle_datagram(world.now, address(THEIRS), &mut bye[..len].to_vec());
        assert!(matches!(outcome, Received::Refused(_)), "{len}: {outcome:?}");
    }
    assert_alive(&mut world);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_bytes(
        packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 20),
        first in prop_oneof![0..=3_u8, 20..=63_u8, 128..=191_u8],
        server: bool,
    ) {
        let role = ROLES[usize::from(server)];
        for world in &mut stages(role) {
            for packet in &packets {
                let mut packet = packet.clone();
                feed(world, address(THEIRS), &packet);
                if let Some(octet) = packet.first_mut() {
                    *octet = first;
                }
                feed(world, address(THEIRS), &packet);
                feed(world, address("203.0.113.5:9999"), &packet);
            }
            prop_assert_eq!(&world.failure, &None);
        }
    }

    #[test]
    fn mutated_genuine_packets(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..=255_u8, 0..40_usize), 40),
        server: bool,
    ) {
        let role = ROLES[usize::from(server)];
        let genuine = genuine(role);
        for world in &mut stages(role) {
            for (which, place, change, cut) in &edits {
                let mut packet = which.get(&genuine).clone();
                *place.get_mut(&mut packet[..]) ^= change;
                packet.truncate(packet.len().saturating_sub(*cut).max(1));
                feed(world, address(THEIRS), &packet);
                world.peer.handle_timeout(world.now);
            }
        }
    }
}
