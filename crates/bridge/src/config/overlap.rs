//! Ports claimed twice. Pure.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::error::{Place, Report};

/// What the ports of a claim are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A range of RTP ports.
    Media,
    /// A SIP listener on UDP.
    Udp,
    /// A listener on TCP: HTTP, or SIP with or without TLS.
    Tcp,
}

/// Ports that one key claims.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) place: Place,
    pub(super) used_for: Use,
    pub(super) bind: IpAddr,
    pub(super) ports: RangeInclusive<u16>,
}

impl Claim {
    pub(super) fn listener(place: Place, used_for: Use, address: SocketAddr) -> Self {
        Self { place, used_for, bind: address.ip(), ports: address.port()..=address.port() }
    }

    /// UDP and TCP may share a number. Media is kept clear of both, so
    /// that no firewall rule for it opens a listener.
    fn collides(&self, other: &Self) -> bool {
        let is_own_protocol =
            self.used_for == other.used_for || self.used_for == Use::Media || other.used_for == Use::Media;
        let is_any_port = |claim: &Self| claim.ports == (0..=0);
        is_own_protocol
            && !is_any_port(self)
            && shares(self.bind, other.bind)
            && self.ports.start() <= other.ports.end()
            && other.ports.start() <= self.ports.end()
    }
}

/// Reports each claim that collides with one before it.
pub(super) fn check(claims: &[Claim], report: &mut Report) {
    for (index, claim) in claims.iter().enumerate() {
        for earlier in claims.iter().take(index).filter(|earlier| claim.collides(earlier)) {
            let message = format!(
                "{} collides with {} ({}): choose ports apart, or give each its own bind address",
                shown(&claim.ports),
                earlier.place.key,
                shown(&earlier.ports)
            );
            report.add(&claim.place, message);
        }
    }
}

/// Whether sockets on both addresses can get in each other's way. An IPv6 socket on `::` takes IPv4
/// as well.
fn shares(a: IpAddr, b: IpAddr) -> bool {
    let covers = |a: IpAddr, b: IpAddr| a.is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    a == b || covers(a, b) || covers(b, a)
}

fn shown(ports: &RangeInclusive<u16>) -> String {
    if ports.start() == ports.end() {
        format!("port {}", ports.start())
    } else {
        format!("{}-{}", ports.start(), ports.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(used_for: Use, bind: &str, ports: RangeInclusive<u16>) -> Claim {
        let place = Place { key: "key".into(), line: None };
        Claim { place, used_for, bind: bind.parse().expect(bind), ports }
    }

    #[test]
    fn addresses_that_get_in_each_others_way() {
        let cases = [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("0.0.0.0", "10.0.0.2", true),
            ("0.0.0.0", "::1", false),
            ("::", "::1", true),
            ("::", "10.0.0.2", true),
            ("::", "0.0.0.0", true),
        ];
        for (a, b, expected) in cases {
            let (one, two) = (claim(Use::Media, a, 20000..=20009), claim(Use::Media, b, 20009..=20020));
            assert_eq!((one.collides(&two), two.collides(&one)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn ranges_that_touch_do_not_collide() {
        let (one, two) = (claim(Use::Media, "::", 20000..=20009), claim(Use::Media, "::", 20010..=20020));
        assert!(!one.collides(&two) && !two.collides(&one));
    }

    #[test]
    fn udp_and_tcp_may_have_the_same_number() {
        let (udp, tcp) = (claim(Use::Udp, "::", 5060..=5060), claim(Use::Tcp, "::", 5060..=5060));
        assert!(!udp.collides(&tcp));
        assert!(tcp.collides(&claim(Use::Tcp, "::", 5060..=5060)));
        assert!(tcp.collides(&claim(Use::Media, "::", 5000..=5100)));
        assert!(!claim(Use::Tcp, "::", 0..=0).collides(&claim(Use::Tcp, "::", 0..=0)));
    }
}
