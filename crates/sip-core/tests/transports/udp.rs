//! UDP beside the others: several listeners, IPv6, NATed ports.

use std::net::SocketAddr;

use sip_core::{Command, Event, LegEvent, Reply, Transport, TrunkProfile};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::common::*;

async fn receive(socket: &UdpSocket) -> (sip_core::Response, SocketAddr) {
    let mut buffer = [0; 4000];
    let received = timeout(PATIENCE, socket.recv_from(&mut buffer)).await.expect("no answer").unwrap();
    (parse_response(&buffer[..received.0]), received.1)
}

#[tokio::test]
async fn the_answer_goes_to_the_port_that_a_nat_has_chosen() {
    let b = run(config(2, &[(Transport::Udp, "127.0.0.1:0")])).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let behind = request("OPTIONS", "UDP 10.0.0.1:5060;rport;branch=z9hG4bK1", "");
    socket.send_to(behind.as_bytes(), b.address()).await.unwrap();
    let (answer, from) = receive(&socket).await;
    let via = answer.headers.via().unwrap();
    assert_eq!((answer.status, from), (200, b.address()), "from the socket it was sent to");
    let port = socket.local_addr().unwrap().port().to_string();
    assert_eq!((via.params.get("received"), via.params.get("rport")), (Some("127.0.0.1"), Some(&port[..])));
}

#[tokio::test]
async fn each_listener_answers_from_its_own_socket_and_says_its_own_address() {
    let mut two = config(2, &[(Transport::Udp, "127.0.0.1:0"), (Transport::Udp, "127.0.0.2:0")]);
    two.listeners[1].advertised = "198.51.100.9:0".parse().unwrap();
    let mut b = run(two).await;
    let second = b.sip.local_addrs()[1];
    assert_eq!(second.ip().to_string(), "127.0.0.2");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let invite = request("INVITE", "UDP 127.0.0.1;rport;branch=z9hG4bK1", "");
    socket.send_to(invite.as_bytes(), second).await.unwrap();
    assert_eq!(receive(&socket).await.1, second);
    let LegEvent { leg, event: Event::Invite { flow, .. } } = b.next().await else { panic!() };
    assert_eq!(flow.listener.0, 1);
    b.sip.send(Command::Respond { leg, reply: Reply::new(200) }).await;
    let (ok, from) = receive(&socket).await;
    let contact = ok.headers.contact().unwrap().uri;
    assert_eq!((from, contact.to_string()), (second, format!("sip:198.51.100.9:{}", second.port())));
}

#[tokio::test]
async fn calls_over_ipv6_and_from_one_transport_to_another_listener() {
    let all = &[
        (Transport::Udp, "[::1]:0"),
        (Transport::Tcp, "[::1]:0"),
        (Transport::Udp, "127.0.0.1:0"),
        (Transport::Tcp, "127.0.0.1:0"),
    ];
    let (mut a, mut b) = (run(config(1, all)).await, run(config(2, all)).await);
    for (listener, (transport, _)) in (0..).zip(all) {
        let there = b.sip.local_addrs()[usize::from(listener)];
        let seen = call(&mut a, &mut b, flow(*transport, listener, there)).await;
        assert_eq!((seen.transport, seen.listener.0, seen.peer.ip()), (*transport, listener, there.ip()));
    }
}

#[tokio::test]
async fn an_ipv6_socket_for_all_addresses_takes_ipv4_too_unless_another_has_the_port() {
    let mut dual = config(2, &[(Transport::Udp, "[::]:0")]);
    dual.listeners[0].advertised = "127.0.0.1:0".parse().unwrap();
    let mut b = run(dual).await;
    let mut a = run(config(1, &[(Transport::Udp, "127.0.0.1:0")])).await;
    let there: SocketAddr = format!("127.0.0.1:{}", b.address().port()).parse().unwrap();
    let seen = call(&mut a, &mut b, flow(Transport::Udp, 0, there)).await;
    assert_eq!(seen.peer, a.address(), "an IPv4 address as such");
    let port = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (v4, v6) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
    let both =
        [(Transport::Udp, &*v4), (Transport::Udp, &*v6), (Transport::Tcp, &*v4), (Transport::Tcp, &*v6)];
    assert_eq!(run(config(3, &both)).await.sip.local_addrs().len(), 4);
}

#[tokio::test]
async fn a_large_invite_finds_its_way_by_tcp_or_else_by_udp() {
    for takes_tcp in [true, false] {
        let both = [(Transport::Udp, "127.0.0.1:0"), (Transport::Tcp, "127.0.0.1:0")];
        let mut a = config(1, &both);
        a.trunks = vec![TrunkProfile { tcp_for_large: true, ..TrunkProfile::default() }];
        let mut a = run(a).await;
        // The same port for both, as everywhere.
        let port = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let same = [(Transport::Udp, &*address), (Transport::Tcp, &*address)];
        let mut b = run(config(2, if takes_tcp { &same } else { &same[..1] })).await;
        let leg = a.sip.new_leg();
        let mut large = invite(flow(Transport::Udp, 0, b.address()));
        large.headers.push(("Subject".into(), "x".repeat(1300)));
        a.sip.send(Command::Invite { leg, invite: large }).await;
        let LegEvent { leg: theirs, event: Event::Invite { flow: seen, .. } } = b.next().await else {
            panic!()
        };
        assert_eq!(seen.transport, if takes_tcp { Transport::Tcp } else { Transport::Udp });
        b.sip.send(Command::Respond { leg: theirs, reply: Reply::new(200) }).await;
        assert!(matches!(a.next().await.event, Event::Answered(_)));
        assert!(matches!(b.next().await.event, Event::Acked { .. }));
    }
}
