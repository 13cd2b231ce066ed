//! IPv4 and IPv6 at once: both are tried, the better one gets a moment, one is
//! nominated, and that is final.

use super::*;

const OURS_6: &str = "[2001:db8::10]:20000";
const THEIRS_6: &str = "[2001:db8:ffff::7]:3480";

/// Both ends have both families; IPv6 is theirs to prefer, as WhatsApp does.
fn world(role: DtlsRole, latency: Option<Duration>) -> World {
    let mut world = World::new(role);
    world.second = Some(Second { ours: address(OURS_6), theirs: address(THEIRS_6), latency });
    let locals = vec![address(OURS), address(OURS_6)];
    world.peer = WhatsAppPeer::new(identities()[0].clone(), locals, world.peer.credentials.clone());
    world
}

fn connect(world: &mut World, candidates: &[&str]) {
    let mut remote = world.lite.description(&identities()[1]);
    remote.candidates = candidates.iter().map(|text| address(text)).collect();
    world.peer.connect(world.now, Far::Ice(remote));
    world.settle();
}

fn is_up(world: &World) -> bool {
    world.connected.is_some() && world.lite.is_up()
}

/// Who was asked to be the one, and when first.
fn nominations(world: &World) -> Vec<(Duration, SocketAddr)> {
    let mut found: Vec<(Duration, SocketAddr)> = Vec::new();
    for (at, to, bytes) in &world.transmitted {
        let is_first = !found.iter().any(|(_, known)| known == to);
        if is_first && is::stun::StunMessage::parse(bytes).is_ok_and(|check| check.use_candidate()) {
            found.push((*at, *to));
        }
    }
    found
}

/// All that left after DTLS had begun, STUN included, went there.
fn assert_frozen(world: &World, there: SocketAddr) {
    let is_dtls = |(.., bytes): &&(Duration, SocketAddr, Vec<u8>)| (20..=63).contains(&bytes[0]);
    let (begun, ..) = world.transmitted.iter().find(is_dtls).expect("DTLS");
    for (at, to, _) in &world.transmitted {
        assert!(at < begun || *to == there, "{to} at {at:?}");
    }
}

#[test]
fn the_better_family_is_chosen_though_the_other_answers_first() {
    for role in ROLES {
        let mut world = world(role, Some(Duration::from_millis(50)));
        connect(&mut world, &[THEIRS_6, THEIRS]);
        assert!(world.run(seconds(5), is_up));
        assert_eq!(world.lite.nominated, Some(address(OURS_6)));
        let nominations = nominations(&world);
        assert_eq!(nominations.len(), 1, "{nominations:?}");
        // Its answer is the 100 ms round trip old, and nothing is waited for any more.
        let (at, to) = nominations[0];
        assert_eq!(to, address(THEIRS_6));
        assert!((100..=110).contains(&at.as_millis()), "{at:?}");
        world.run(seconds(60), |_| false);
        assert_frozen(&world, address(THEIRS_6));
        assert_eq!(world.failure, None);
    }
}

#[test]
fn ipv4_fast_and_ipv6_late_stays_with_ipv4_after_dtls_has_begun() {
    for role in ROLES {
        // The answer of IPv6 comes 300 ms after the check, in the middle of DTLS or after it.
        let mut world = world(role, Some(Duration::from_millis(150)));
        connect(&mut world, &[THEIRS_6, THEIRS]);
        assert!(world.run(seconds(5), is_up));
        assert_eq!(world.lite.nominated, Some(address(OURS)));
        let nominations = nominations(&world);
        assert_eq!(nominations.len(), 1, "one nomination: {nominations:?}");
        let (at, to) = nominations[0];
        assert_eq!(to, address(THEIRS));
        // 30 ms to the first answer, 100 ms for the other.
        assert!((130..=140).contains(&at.as_millis()), "{at:?}");
        world.received.clear();
        world.run(seconds(60), |_| false);
        let late = Received::Refused(Discard::Stranger);
        assert!(world.received.contains(&late), "the late answer came");
        assert_frozen(&world, address(THEIRS));
        assert_eq!(world.speak(1), Some(Ok(())));
        world.run(seconds(61), |_| false);
        assert_eq!((world.lite.heard.len(), &world.failure), (1, &None));
    }
}

#[test]
fn a_dead_ipv6_costs_a_tenth_of_a_second() {
    for role in ROLES {
        let mut world = world(role, None);
        connect(&mut world, &[THEIRS_6, THEIRS]);
        assert!(world.run(seconds(5), is_up));
        let took = world.connected.expect("connected");
        assert!(took <= Duration::from_millis(270), "{role:?} {took:?}");
        assert_eq!(world.lite.nominated, Some(address(OURS)));
        world.run(seconds(60), |_| false);
        assert_frozen(&world, address(THEIRS));
    }
}

#[test]
fn ipv6_alone_and_the_better_family_first_wait_for_nothing() {
    for role in ROLES {
        for candidates in [&[THEIRS_6][..], &[THEIRS_6, THEIRS]] {
            let mut world = world(role, Some(Duration::from_millis(5)));
            connect(&mut world, candidates);
            assert!(world.run(seconds(5), is_up));
            assert_eq!(world.lite.nominated, Some(address(OURS_6)));
            let took = world.connected.expect("connected");
            assert!(took <= Duration::from_millis(70), "{role:?} {took:?}");
        }
    }
}

#[test]
fn their_priority_decides_which_family_is_better() {
    let mut world = world(DtlsRole::Client, Some(Duration::from_millis(50)));
    connect(&mut world, &[THEIRS, THEIRS_6]);
    assert!(world.run(seconds(5), is_up));
    assert_eq!(world.lite.nominated, Some(address(OURS)));
    let took = world.connected.expect("connected");
    assert!(took <= Duration::from_millis(160), "IPv4 is the better one, and first: {took:?}");
}

#[test]
fn without_an_address_of_our_own_its_family_is_not_tried() {
    let mut world = World::new(DtlsRole::Client);
    connect(&mut world, &[THEIRS_6, THEIRS]);
    assert!(world.run(seconds(5), is_up));
    let took = world.connected.expect("connected");
    assert!(took <= Duration::from_millis(160), "{took:?}");
    assert!(world.transmitted.iter().all(|(_, to, _)| *to == address(THEIRS)));
}
