//! IPv4 and IPv6 on one socket a call.

use super::*;
use crate::side::WhatsAppSide;

const LOOPBACK_6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

fn both(first_port: u16) -> Relay {
    let whatsapp = WhatsAppSide {
        bind: IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        advertised: vec![LOOPBACK, LOOPBACK_6],
        ports: first_port + 1000..=first_port + 1009,
    };
    let ports = first_port..=first_port + 19;
    Relay::start(RelayConfig {
        pbx: Side { bind: LOOPBACK, advertised: LOOPBACK, ports },
        whatsapp,
        workers: 1,
        opus_complexity: 5.into(),
        port_rest: Duration::from_secs(60),
    })
    .expect("started")
}

/// The machines that this is built on may have no IPv6; then IPv4 alone must work.
fn families() -> Vec<IpAddr> {
    let has_ipv6 = UdpSocket::bind((LOOPBACK_6, 0)).is_ok();
    [Some(LOOPBACK), has_ipv6.then_some(LOOPBACK_6)].into_iter().flatten().collect()
}

#[test]
fn a_call_by_each_family_over_the_one_socket_that_takes_both() {
    let relay = both(45_400);
    for ip in families() {
        let mut far = Far::open_at(&relay, DtlsRole::Server, ip, |_| {});
        let offer = our_offer(far.session());
        assert_eq!(offer.candidates.len(), families().len(), "one of each family");
        let port = offer.candidates[0].port();
        assert!(offer.candidates.iter().all(|candidate| candidate.port() == port), "one socket");
        far.connect(DtlsRole::Server);
        far.wait_connected();
        assert_eq!(far.lite.nominated.map(|address| address.ip()), Some(ip), "as it says itself");
        far.session().open();
        for sequence in 0..5 {
            far.pbx_says(sequence);
        }
        assert!(far.play(PATIENCE, |far| far.lite.heard.len() >= 5));
        far.lite.speak(&rtp(111, 40));
        let heard = |far: &Far| {
            far.events.try_iter().any(|event| matches!(event, MediaEvent::FirstAudio(Party::WhatsApp)))
        };
        assert!(far.play(PATIENCE, heard));
        let summary = far.close();
        assert_eq!((summary.packets.whatsapp.received, summary.refused), (1, 0));
    }
}

#[test]
fn both_families_are_checked_and_a_silent_one_costs_a_moment() {
    let relay = both(45_500);
    let mut far = Far::open(&relay, DtlsRole::Server);
    // Their IPv6 candidate is there, and nobody answers at it.
    let silent = families().get(1).map(|ip| UdpSocket::bind((*ip, 0)).expect("a socket"));
    let better = silent.as_ref().map(|socket| socket.local_addr().expect("bound"));
    far.connect_to(DtlsRole::Server, better);
    far.wait_connected();
    assert_eq!(far.lite.nominated.map(|address| address.ip()), Some(LOOPBACK));
    if let Some(silent) = silent {
        let mut buffer = [0; 2048];
        silent.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let (_, source) = silent.recv_from(&mut buffer).expect("a check");
        assert_eq!((buffer[0], source.ip()), (0, LOOPBACK_6), "a Binding request");
    }
}
