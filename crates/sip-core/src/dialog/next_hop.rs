//! The path of a request within a dialog (RFC 3261 12.2.1.1, RFC 3263 4.1): by transport and address of its next hop, and
//! by what is known of the peer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::endpoint::Listener;
use crate::message::{Scheme, Uri};
use crate::profile::Nat;
use crate::transport::{Flow, ListenerId, Transport};

/// What decides on the paths of a dialog.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The path that the peer was last heard by, or that our INVITE went by.
    pub(crate) peer: Flow,
    /// How the trunk wants it.
    pub(crate) nat: Nat,
    /// All our listeners.
    pub(crate) listeners: Arc<[Listener]>,
}

impl Paths {
    /// The path to a next hop, which is the peer's own Contact or a Route. What is named and no address is where the peer
    /// was last known at.
    pub(crate) fn to(&self, next_hop: &Uri, is_contact: bool) -> Flow {
        if is_contact && self.nat == Nat::Source {
            return self.peer;
        }
        let Some(ip) = next_hop.socket_addr().map(|address| address.ip().to_canonical()) else {
            return self.peer;
        };
        if is_contact && self.nat == Nat::Auto && is_private(ip) && ip != self.peer.peer.ip() {
            return self.peer;
        }
        let transport = self.transport(next_hop, ip);
        if transport == self.peer.transport && transport.is_reliable() && ip == self.peer.peer.ip() {
            // The peer itself: the connection that the dialog lives on, whatever port it listens at.
            return self.peer;
        }
        let port = next_hop.port.unwrap_or(transport.default_port());
        let listener = self.listener(transport, ip).unwrap_or(self.peer.listener);
        Flow { transport, listener, peer: SocketAddr::new(ip, port), ..self.peer }
    }

    fn transport(&self, next_hop: &Uri, ip: IpAddr) -> Transport {
        let named = match next_hop.params.get("transport").map(str::to_ascii_lowercase).as_deref() {
            _ if next_hop.scheme == Scheme::Sips => Some(Transport::Tls),
            Some("udp") => Some(Transport::Udp),
            Some("tcp") => Some(Transport::Tcp),
            Some("tls") => Some(Transport::Tls),
            Some(_) | None => None,
        };
        let transport = match named {
            Some(named) => named,
            // Many leave the parameter out; and what was encrypted stays so.
            None if ip == self.peer.peer.ip() || self.peer.transport == Transport::Tls => self.peer.transport,
            None => Transport::Udp,
        };
        let cannot = transport == Transport::Udp && self.listener(transport, ip).is_none();
        if cannot { self.peer.transport } else { transport }
    }

    /// Our listener of a transport for an IP version; that of the dialog, if it is one.
    pub(crate) fn listener(&self, transport: Transport, ip: IpAddr) -> Option<ListenerId> {
        let fits = |listener: &Listener| {
            let same_version = listener.local.is_ipv4() == ip.is_ipv4();
            let dual = listener.local.is_ipv6() && listener.local.ip().is_unspecified();
            listener.transport == transport && (same_version || dual)
        };
        let own = self.peer.listener;
        if self.listeners.get(usize::from(own.0)).is_some_and(fits) {
            return Some(own);
        }
        let found = self.listeners.iter().zip(0..).find(|(listener, _)| fits(listener));
        found.map(|(_, id)| ListenerId(id))
    }
}

/// An address that means something else, or nothing, beyond its own network.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_unique_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: ListenerId = ListenerId(1);

    fn paths(transport: Transport, nat: Nat) -> Paths {
        let listeners = [
            (Transport::Udp, "192.0.2.2:5060"),
            (Transport::Tcp, "192.0.2.2:5060"),
            (Transport::Tls, "192.0.2.2:5061"),
            (Transport::Udp, "[2001:db8::2]:5060"),
        ]
        .map(|(transport, address)| Listener::new(transport, address.parse().unwrap()));
        let listener = match transport {
            Transport::Udp => ListenerId(0),
            Transport::Tcp => TCP,
            Transport::Tls => ListenerId(2),
        };
        let peer = Flow { transport, listener, ..Flow::udp("198.51.100.7:40000".parse().unwrap()) };
        Paths { peer, nat, listeners: Arc::new(listeners) }
    }

    fn to(paths: &Paths, uri: &str) -> String {
        let flow = paths.to(&uri.parse().unwrap(), true);
        format!("{flow} from {}", flow.listener.0)
    }

    #[test]
    fn a_private_contact_heard_from_elsewhere_is_behind_a_nat() {
        let auto = paths(Transport::Udp, Nat::Auto);
        for private in ["10.0.0.5", "192.168.1.1:5062", "127.0.0.1", "100.64.0.1", "[fd00::1]", "[fe80::1]"] {
            assert_eq!(to(&auto, &format!("sip:a@{private}")), "udp 198.51.100.7:40000 from 0", "{private}");
        }
        assert_eq!(to(&auto, "sip:a@203.0.113.9"), "udp 203.0.113.9:5060 from 0");
        assert_eq!(to(&auto, "sip:a@198.51.100.7:5062"), "udp 198.51.100.7:5062 from 0");
        let mut inside = auto;
        inside.peer.peer = "10.0.0.5:40000".parse().unwrap();
        assert_eq!(to(&inside, "sip:a@10.0.0.5:5062"), "udp 10.0.0.5:5062 from 0", "no NAT between");
        assert_eq!(inside.to(&"sip:10.0.0.9;lr".parse().unwrap(), false).peer.to_string(), "10.0.0.9:5060");
    }

    #[test]
    fn by_setting_the_source_or_the_contact_alone_counts() {
        let source = paths(Transport::Udp, Nat::Source);
        assert_eq!(to(&source, "sip:a@203.0.113.9"), "udp 198.51.100.7:40000 from 0");
        let route = "sip:203.0.113.9;lr".parse().unwrap();
        assert_eq!(source.to(&route, false).peer.to_string(), "203.0.113.9:5060", "a Route is no Contact");
        let contact = paths(Transport::Udp, Nat::Contact);
        assert_eq!(to(&contact, "sip:a@10.0.0.5"), "udp 10.0.0.5:5060 from 0");
    }

    #[test]
    fn the_connection_of_the_dialog_is_used_for_the_peer_itself() {
        let tcp = paths(Transport::Tcp, Nat::Auto);
        for uri in [
            "sip:a@198.51.100.7:5060;transport=tcp",
            "sip:a@198.51.100.7",
            "sip:a@10.0.0.1;transport=tcp",
            "sip:a@pbx.example;transport=tcp",
        ] {
            assert_eq!(to(&tcp, uri), "tcp 198.51.100.7:40000 from 1", "{uri}");
        }
        assert_eq!(to(&tcp, "sip:a@203.0.113.9;transport=tcp"), "tcp 203.0.113.9:5060 from 1");
        let tls = paths(Transport::Tls, Nat::Auto);
        assert_eq!(to(&tls, "sips:a@198.51.100.7"), "tls 198.51.100.7:40000 from 2");
    }

    #[test]
    fn the_transport_that_a_uri_names_is_used() {
        let udp = paths(Transport::Udp, Nat::Auto);
        assert_eq!(to(&udp, "sip:a@203.0.113.9;transport=TCP"), "tcp 203.0.113.9:5060 from 1");
        assert_eq!(to(&udp, "sip:a@198.51.100.7:5070;transport=tcp"), "tcp 198.51.100.7:5070 from 1");
        assert_eq!(to(&udp, "sip:a@203.0.113.9;transport=tls"), "tls 203.0.113.9:5061 from 2");
        assert_eq!(to(&udp, "sips:a@203.0.113.9:5080"), "tls 203.0.113.9:5080 from 2");
        assert_eq!(to(&udp, "sip:a@[2001:db8::9]"), "udp [2001:db8::9]:5060 from 3", "by IP version");
        assert_eq!(to(&udp, "sip:a@203.0.113.9;transport=sctp"), "udp 203.0.113.9:5060 from 0");
        let tcp = paths(Transport::Tcp, Nat::Auto);
        assert_eq!(to(&tcp, "sip:a@203.0.113.9"), "udp 203.0.113.9:5060 from 0", "RFC 3263 4.1");
        let tls = paths(Transport::Tls, Nat::Auto);
        assert_eq!(to(&tls, "sip:a@203.0.113.9"), "tls 203.0.113.9:5061 from 2", "never less than it was");
    }

    #[test]
    fn without_a_udp_listener_nothing_goes_by_udp() {
        let mut tcp = paths(Transport::Tcp, Nat::Auto);
        tcp.peer.listener = ListenerId(0);
        tcp.listeners = Arc::new([tcp.listeners[1]]);
        assert_eq!(to(&tcp, "sip:a@203.0.113.9"), "tcp 203.0.113.9:5060 from 0");
        assert_eq!(to(&tcp, "sip:a@203.0.113.9;transport=udp"), "tcp 203.0.113.9:5060 from 0");
    }
}
