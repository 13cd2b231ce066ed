//! Those that nobody asked: over each transport.

use std::sync::Arc;
use std::time::Duration;

use sip_core::{StrangerAnswer, Transport, TrunkId};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::common::*;

const BOTH: &[(Transport, &str)] = &[(Transport::Udp, "127.0.0.1:0"), (Transport::Tcp, "127.0.0.1:0")];

fn udp(method: &str) -> String {
    request(method, "UDP 127.0.0.1;rport;branch=z9hG4bK1", "")
}

#[tokio::test]
async fn a_stranger_s_connection_is_closed_at_once() {
    let mut closed = config(2, BOTH);
    closed.trunk_of = Arc::new(|_| None);
    let b = run(closed).await;
    let mut stream = TcpStream::connect(b.sip.local_addrs()[1]).await.unwrap();
    let _ = stream.write_all(options("x").as_bytes()).await;
    assert!(is_closed(&mut stream).await);
    let counters = b.sip.counters();
    assert_eq!((counters.not_allowed, counters.datagrams_in, counters.datagrams_out), (1, 0, 0));
}

#[tokio::test]
async fn by_setting_a_stranger_s_request_gets_403_and_nothing_else_does() {
    let mut refusing = config(2, BOTH);
    refusing.trunk_of = Arc::new(|_| None);
    refusing.strangers.answer = StrangerAnswer::Forbidden;
    let mut b = run(refusing).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let response = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                    To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n";
    for text in [&udp("ACK"), response, "noise", &udp("INVITE")] {
        socket.send_to(text.as_bytes(), b.address()).await.unwrap();
    }
    let mut buffer = [0; 2000];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("no answer").unwrap();
    let answer = parse_response(&buffer[..length]);
    assert_eq!((answer.status, answer.headers.cseq().unwrap().method.as_str()), (403, "INVITE"));
    assert_eq!((b.sip.counters().datagrams_out, b.sip.counters().incoming_calls), (1, 0));
    assert!(b.events.try_recv().is_err());
}

#[tokio::test]
async fn rubbish_bans_the_source_of_a_trunk_that_trusts_nobody_and_no_other() {
    for untrusted in [true, false] {
        let mut strict = config(2, BOTH);
        strict.strangers.strikes = 3;
        strict.strangers.ban = Duration::from_secs(2);
        strict.strangers.untrusted = if untrusted { vec![TrunkId(0)] } else { vec![] };
        let b = run(strict).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for number in 0..3 {
            socket.send_to(b"rubbish", b.address()).await.unwrap();
            b.until(|counters| counters.unparsable > number).await;
        }
        socket.send_to(udp("OPTIONS").as_bytes(), b.address()).await.unwrap();
        if untrusted {
            b.until(|counters| counters.banned == 1).await;
            let mut stream = TcpStream::connect(b.sip.local_addrs()[1]).await.unwrap();
            assert!(is_closed(&mut stream).await);
            assert_eq!(b.sip.counters().datagrams_out, 0);
            tokio::time::sleep(Duration::from_secs(2)).await;
            socket.send_to(udp("OPTIONS").as_bytes(), b.address()).await.unwrap();
        }
        b.until(|counters| counters.datagrams_out == 1).await;
    }
}

#[tokio::test]
async fn who_has_not_authenticated_where_it_must_asks_slowly() {
    let mut strict = config(2, BOTH);
    strict.strangers.untrusted = vec![TrunkId(0)];
    strict.strangers.rate = 1;
    let b = run(strict).await;
    let mut stream = TcpStream::connect(b.sip.local_addrs()[1]).await.unwrap();
    stream.write_all(options("x").repeat(100).as_bytes()).await.unwrap();
    b.until(|counters| counters.datagrams_in == 100).await;
    let counters = b.sip.counters();
    assert!((80..=96).contains(&counters.too_fast), "{counters:?}");
    assert_eq!(counters.datagrams_out + counters.too_fast, 100);
}
