//! The addresses of the two sides.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

/// The addresses towards the PBX.
#[derive(Debug, Clone)]
pub struct Side {
    /// What sockets are bound to; `::` takes IPv4 as well.
    pub bind: IpAddr,
    /// What the SDP says.
    pub advertised: IpAddr,
    /// The ports for media.
    pub ports: RangeInclusive<u16>,
}

/// The addresses towards WhatsApp, of one IP version or of both.
#[derive(Debug, Clone)]
pub struct WhatsAppSide {
    /// What sockets are bound to; `::` takes IPv4 as well.
    pub bind: IpAddr,
    /// What the SDP says: an address, or one of each IP version, for which `bind` is `::`. Behind a
    /// 1:1 NAT it is the one outside.
    pub advertised: Vec<IpAddr>,
    /// The ports for media.
    pub ports: RangeInclusive<u16>,
}

impl From<Side> for WhatsAppSide {
    fn from(side: Side) -> Self {
        Self { bind: side.bind, advertised: vec![side.advertised], ports: side.ports }
    }
}

impl WhatsAppSide {
    /// Without IPv6 where the machine has none, as in many containers, as long as IPv4 is left.
    pub(crate) fn of_this_machine(self) -> Self {
        match UdpSocket::bind((self.bind, 0)) {
            Err(error) if self.bind.is_ipv6() => self.without_ipv6(&error),
            Ok(_) | Err(_) => self,
        }
    }

    fn without_ipv6(self, error: &std::io::Error) -> Self {
        let is_both = self.bind.is_unspecified() && self.advertised.iter().any(IpAddr::is_ipv4);
        if !is_both {
            return self;
        }
        tracing::warn!(%error, "no IPv6 on this machine: WhatsApp is reached by IPv4 alone");
        let advertised = self.advertised.into_iter().filter(IpAddr::is_ipv4).collect();
        Self { bind: Ipv4Addr::UNSPECIFIED.into(), advertised, ports: self.ports }
    }

    /// What our description names.
    pub(crate) fn candidates(&self, port: u16) -> Vec<SocketAddr> {
        self.advertised.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
    }

    /// What our checks come from, as far as we can see.
    pub(crate) fn locals(&self, port: u16) -> Vec<SocketAddr> {
        if self.bind.is_unspecified() {
            return self.candidates(port);
        }
        vec![SocketAddr::new(self.bind, port)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> WhatsAppSide {
        let advertised = vec![IpAddr::from([192, 0, 2, 10]), "2001:db8::10".parse().expect("address")];
        WhatsAppSide { bind: "::".parse().expect("address"), advertised, ports: 1..=2 }
    }

    #[test]
    fn a_machine_without_ipv6_serves_ipv4() {
        let error = std::io::Error::from_raw_os_error(97);
        let side = both().without_ipv6(&error);
        assert_eq!(
            (side.bind, side.candidates(9)),
            ([0, 0, 0, 0].into(), both().candidates(9)[..1].to_vec())
        );
        let v6 = WhatsAppSide { advertised: both().advertised.split_off(1), ..both() };
        assert_eq!(v6.clone().without_ipv6(&error).advertised, v6.advertised, "nothing else is left");
    }

    #[test]
    fn the_base_of_our_checks_is_what_is_bound_and_behind_a_nat_what_is_advertised() {
        assert_eq!(both().locals(9), both().candidates(9));
        let bound = WhatsAppSide { bind: [10, 0, 0, 3].into(), ..both() };
        assert_eq!(bound.locals(9), [SocketAddr::from(([10, 0, 0, 3], 9))]);
        assert_eq!(bound.candidates(9).len(), 2);
    }
}
