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
