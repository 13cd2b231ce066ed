//! Where to send what was meant for a connection that is gone.

use std::net::SocketAddr;

use super::Flow;
use crate::message::{Message, Request, Response, parse};

/// The addresses to try, in order: where the peer listens, as far as the message tells, and where it was. A peer that
/// opened the connection listens at another port than that of its end.
pub(crate) fn addresses(flow: Flow, bytes: &[u8]) -> Vec<SocketAddr> {
    let listens_at = match parse::datagram(bytes) {
        Ok(Message::Response(response)) => via_address(flow, &response),
        Ok(Message::Request(request)) => next_hop(flow, &request),
        Err(_) => None,
    };
    match listens_at {
        None => vec![flow.peer],
        Some(address) if address == flow.peer => vec![flow.peer],
        Some(address) if address.ip() == flow.peer.ip() => vec![address, flow.peer],
        // A Contact behind a NAT cannot be reached, but what else is there?
        Some(address) => vec![flow.peer, address],
    }
}

/// A response goes to the source of its request, at the port of the Via (RFC 3261 18.2.2).
fn via_address(flow: Flow, response: &Response) -> Option<SocketAddr> {
    let via = response.headers.via()?;
    Some(SocketAddr::new(flow.peer.ip(), via.port.unwrap_or(flow.transport.default_port())))
}

/// A request within a dialog goes to its first Route, or to the Contact that is its Request-URI. One outside goes where
/// its sender decided.
fn next_hop(flow: Flow, request: &Request) -> Option<SocketAddr> {
    request.headers.to()?.tag()?;
    let route = request.headers.routes("Route").into_iter().next();
    let uri = route.map_or_else(|| request.uri.clone(), |route| route.uri);
    let mut address = uri.socket_addr()?;
    address.set_port(uri.port.unwrap_or(flow.transport.default_port()));
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::wire;
    use crate::transport::Transport;

    fn tried(transport: Transport, text: &str) -> Vec<String> {
        let flow = Flow { transport, ..Flow::udp("192.0.2.1:40000".parse().unwrap()) };
        addresses(flow, &wire(text)).iter().map(ToString::to_string).collect()
    }

    fn response(via: &str) -> String {
        format!(
            "SIP/2.0 200 OK
             Via: SIP/2.0/TCP {via};branch=z9hG4bK1
             From: <sip:a@h>;tag=1
             To: <sip:b@h>;tag=2
             Call-ID: c
             CSeq: 1 INVITE"
        )
    }

    fn bye(uri: &str, more: &str) -> String {
        format!(
            "BYE {uri} SIP/2.0
             Via: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK1
             From: <sip:a@h>;tag=1
             To: <sip:b@h>{more}
             Call-ID: c
             CSeq: 1 BYE"
        )
    }

    #[test]
    fn a_response_goes_to_the_port_of_its_via() {
        let tcp = |text: &str| tried(Transport::Tcp, text);
        assert_eq!(tcp(&response("pbx.example:5070")), ["192.0.2.1:5070", "192.0.2.1:40000"]);
        assert_eq!(tcp(&response("10.0.0.1;received=192.0.2.1")), ["192.0.2.1:5060", "192.0.2.1:40000"]);
        assert_eq!(tried(Transport::Tls, &response("h")), ["192.0.2.1:5061", "192.0.2.1:40000"]);
        assert_eq!(tcp(&response("h:40000")), ["192.0.2.1:40000"]);
    }

    #[test]
    fn a_request_within_a_dialog_goes_to_its_next_hop() {
        let tcp = |text: &str| tried(Transport::Tcp, text);
        assert_eq!(tcp(&bye("sip:a@192.0.2.1", ";tag=2")), ["192.0.2.1:5060", "192.0.2.1:40000"]);
        assert_eq!(tcp(&bye("sip:a@10.0.0.1:5080", ";tag=2")), ["192.0.2.1:40000", "10.0.0.1:5080"]);
        let routed = bye("sip:a@10.0.0.1", ";tag=2\nRoute: <sip:192.0.2.1:5070;lr>");
        assert_eq!(tcp(&routed), ["192.0.2.1:5070", "192.0.2.1:40000"]);
        assert_eq!(tcp(&bye("sip:a@phone.example", ";tag=2")), ["192.0.2.1:40000"]);
    }

    #[test]
    fn a_request_outside_goes_where_it_was_sent() {
        assert_eq!(tried(Transport::Tcp, &bye("sip:a@192.0.2.77", "")), ["192.0.2.1:40000"]);
        assert_eq!(addresses(Flow::udp("192.0.2.1:1".parse().unwrap()), b"x").len(), 1);
    }
}
