//! RFC 3261 18 over TCP: framing, reuse, limits, and connections that break.

use std::net::SocketAddr;
use std::time::Duration;

use sip_core::{Command, Event, LegEvent, Rejection, Reply, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::common::*;

const TCP: &[(Transport, &str)] = &[(Transport::Tcp, "127.0.0.1:0")];

#[tokio::test]
async fn a_call_over_tcp_uses_one_connection_in_both_directions() {
    let (mut a, mut b) = (run(config(1, TCP)).await, run(config(2, TCP)).await);
    let there = flow(Transport::Tcp, 0, b.address());
    let seen = call(&mut a, &mut b, there).await;
    assert_eq!(seen.transport, Transport::Tcp);
    assert_ne!(seen.peer, a.address(), "the end of the connection, not where A listens");
    assert_eq!((a.sip.counters().connections_in, b.sip.counters().connections_in), (0, 1));
    let there = flow(Transport::Tcp, 0, b.address());
    let _ = call(&mut a, &mut b, there).await;
    assert_eq!(b.sip.counters().connections_in, 1, "the second call reuses it");
}

#[tokio::test]
async fn messages_may_be_written_in_pieces_or_together() {
    let b = run(config(2, TCP)).await;
    let mut stream = TcpStream::connect(b.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in options("pieces").as_bytes().chunks(7) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(response(&mut stream).await.status, 200);
    let both = format!("{}\r\n{}", options("first"), options("second"));
    stream.write_all(both.as_bytes()).await.unwrap();
    for branch in ["z9hG4bKfirst", "z9hG4bKsecond"] {
        let answer = response(&mut stream).await;
        assert_eq!((answer.status, answer.headers.via().unwrap().branch()), (200, Some(branch)));
    }
}

#[tokio::test]
async fn a_double_crlf_is_answered_by_one() {
    let b = run(config(2, TCP)).await;
    let mut stream = TcpStream::connect(b.address()).await.unwrap();
    stream.write_all(b"\r\n\r\n").await.unwrap();
    let mut pong = [0; 2];
    timeout(PATIENCE, stream.read_exact(&mut pong)).await.unwrap().unwrap();
    assert_eq!(&pong, b"\r\n");
    stream.write_all(b"\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, b"\r\n", "and nothing else, to one that has closed its half too");
}

#[tokio::test]
async fn a_stream_without_framing_gets_its_answer_and_is_closed() {
    let b = run(config(2, TCP)).await;
    let bare = options("x").replace("Content-Length: 0\r\n", "");
    for (text, status) in [
        (bare.clone(), 400),
        (options("x").replace("Content-Length: 0", "Content-Length: -5"), 400),
        (options("x").replace("Content-Length: 0", "Content-Length: 0\r\nl: 1"), 400),
        (options("x").replace("Content-Length: 0", "Content-Length: 70000"), 513),
        (options("x").replace("\r\n\r\n", &format!("\r\nX: {}", "x".repeat(20_000))), 513),
    ] {
        let mut stream = TcpStream::connect(b.address()).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        assert_eq!(response(&mut stream).await.status, status, "{text}");
        assert!(is_closed(&mut stream).await);
    }
    let mut stream = TcpStream::connect(b.address()).await.unwrap();
    stream.write_all(bare.replace("OPTIONS", "ACK").as_bytes()).await.unwrap();
    assert!(is_closed(&mut stream).await, "an ACK gets no answer");
    assert_eq!(b.sip.counters().broken_streams, 6);
}

#[tokio::test]
async fn a_slow_sender_is_closed() {
    let mut impatient = config(2, TCP);
    impatient.connections.message = Duration::from_millis(100);
    let b = run(impatient).await;
    let mut stream = TcpStream::connect(b.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = stream.split();
    let text = options("slow");
    let drip = async {
        // Each byte is in time, the whole is not.
        for byte in text.bytes() {
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = drip => {}
        closed = is_closed(&mut reader) => assert!(closed),
    }
    let mut next = TcpStream::connect(b.address()).await.unwrap();
    next.write_all(options("fast").as_bytes()).await.unwrap();
    assert_eq!(response(&mut next).await.status, 200);
}

#[tokio::test]
async fn a_silent_connection_is_closed_in_the_end() {
    let mut impatient = config(2, TCP);
    impatient.connections.idle = Duration::from_millis(100);
    let b = run(impatient).await;
    let mut stream = TcpStream::connect(b.address()).await.unwrap();
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn connections_of_one_source_have_a_cap() {
    let mut few = config(2, TCP);
    few.connections.per_source = 2;
    let b = run(few).await;
    let mut first = TcpStream::connect(b.address()).await.unwrap();
    let _second = TcpStream::connect(b.address()).await.unwrap();
    b.until(|counters| counters.connections_in == 2).await;
    let mut third = TcpStream::connect(b.address()).await.unwrap();
    assert!(is_closed(&mut third).await);
    assert_eq!(b.sip.counters().connections_refused, 1);
    first.write_all(options("still").as_bytes()).await.unwrap();
    assert_eq!(response(&mut first).await.status, 200);
    drop(first);
    // Its place is free again.
    let again = async {
        loop {
            let mut next = TcpStream::connect(b.address()).await.unwrap();
            let _ = next.write_all(options("again").as_bytes()).await;
            if next.read_u8().await.is_ok() {
                break;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("no place");
}

#[tokio::test]
async fn the_response_finds_a_new_connection_when_that_of_its_request_is_gone() {
    let mut b = run(config(2, TCP)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut stream = TcpStream::connect(b.address()).await.unwrap();
    let via = format!("TCP pbx.example:{port};branch=z9hG4bKgone");
    stream.write_all(request("INVITE", &via, "").as_bytes()).await.unwrap();
    let LegEvent { leg, event: Event::Invite { .. } } = b.next().await else { panic!() };
    assert_eq!(response(&mut stream).await.status, 100);
    drop(stream);
    b.sip.send(Command::Respond { leg, reply: Reply::new(486) }).await;
    let (mut new, _) = timeout(PATIENCE, listener.accept()).await.expect("no new connection").unwrap();
    assert_eq!(response(&mut new).await.status, 486);
}

#[tokio::test]
async fn a_bye_finds_a_new_connection_when_that_of_the_call_is_gone() {
    let mut b = run(config(2, TCP)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let contact = listener.local_addr().unwrap();
    let mut stream = TcpStream::connect(b.address()).await.unwrap();
    let invite = request("INVITE", "TCP 127.0.0.1:1;branch=z9hG4bKcall", "");
    let here = format!("<sip:a@{contact};transport=tcp>");
    stream.write_all(invite.replace("<sip:a@127.0.0.1>", &here).as_bytes()).await.unwrap();
    let LegEvent { leg, event: Event::Invite { .. } } = b.next().await else { panic!() };
    b.sip.send(Command::Respond { leg, reply: Reply::new(200) }).await;
    assert_eq!(response(&mut stream).await.status, 100);
    let to = response(&mut stream).await.headers.get("To").unwrap().to_owned();
    let ack = request("ACK", "TCP 127.0.0.1:1;branch=z9hG4bKack", "")
        .replace("To: <sip:b@h>", &format!("To: {to}"))
        .replace("cACK", "cINVITE");
    stream.write_all(ack.as_bytes()).await.unwrap();
    assert!(matches!(b.next().await.event, Event::Acked { .. }));
    drop(stream);
    b.sip.send(Command::Bye { leg, headers: vec![] }).await;
    let (mut new, _) = timeout(PATIENCE, listener.accept()).await.expect("no new connection").unwrap();
    let mut start = [0; 4];
    timeout(PATIENCE, new.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"BYE ");
}

#[tokio::test]
async fn an_invite_fails_at_once_where_nobody_listens() {
    let mut a = run(config(1, TCP)).await;
    let nobody: SocketAddr = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for _ in 0..2 {
        let leg = a.sip.new_leg();
        a.sip.send(Command::Invite { leg, invite: invite(flow(Transport::Tcp, 0, nobody)) }).await;
        assert_eq!(a.next().await.event, Event::Rejected(Rejection::Transport));
        assert_eq!(a.next().await.event, Event::Ended);
    }
}

#[tokio::test]
async fn what_comes_back_on_a_connection_of_ours_is_read_wherever_it_goes() {
    let mut outgoing_only = config(1, TCP);
    outgoing_only.trunk_of = std::sync::Arc::new(|_| None);
    let (mut a, mut b) = (run(outgoing_only).await, run(config(2, TCP)).await);
    let there = flow(Transport::Tcp, 0, b.address());
    call(&mut a, &mut b, there).await;
}

#[tokio::test]
async fn an_invite_fails_at_once_where_the_connection_is_closed_unread() {
    let mut a = run(config(1, TCP)).await;
    let mut deaf = config(2, TCP);
    deaf.trunk_of = std::sync::Arc::new(|_| None);
    let deaf = run(deaf).await;
    let leg = a.sip.new_leg();
    a.sip.send(Command::Invite { leg, invite: invite(flow(Transport::Tcp, 0, deaf.address())) }).await;
    assert_eq!(a.next().await.event, Event::Rejected(Rejection::Transport));
    assert_eq!(a.next().await.event, Event::Ended);
}

#[tokio::test]
async fn a_peer_that_reads_nothing_holds_up_nobody_else() {
    let mut tight = config(1, TCP);
    tight.connections.queue = 4;
    tight.connections.write = Duration::from_millis(200);
    let mut a = run(tight).await;
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let body = sip_core::Body { content_type: "text/plain".into(), bytes: vec![b'x'; 60_000].into() };
    let mut legs = 0;
    let mut refused = false;
    while !refused && legs < 500 {
        let leg = a.sip.new_leg();
        let mut invite = invite(flow(Transport::Tcp, 0, deaf.local_addr().unwrap()));
        invite.body = Some(body.clone());
        a.sip.send(Command::Invite { leg, invite }).await;
        legs += 1;
        tokio::task::yield_now().await;
        refused = a.events.try_recv().is_ok();
    }
    assert!(refused, "the queue has an end");
    let mut b = run(config(2, TCP)).await;
    let there = flow(Transport::Tcp, 0, b.address());
    let leg = a.sip.new_leg();
    a.sip.send(Command::Invite { leg, invite: invite(there) }).await;
    assert!(matches!(b.next().await.event, Event::Invite { .. }));
}

#[tokio::test]
async fn the_last_message_is_written_before_the_driver_ends() {
    let mut b = run(config(2, TCP)).await;
    let mut stream = TcpStream::connect(b.address()).await.unwrap();
    stream.write_all(request("INVITE", "TCP h;branch=z9hG4bK1", "").as_bytes()).await.unwrap();
    let LegEvent { leg, .. } = b.next().await;
    assert_eq!(response(&mut stream).await.status, 100);
    b.sip.send(Command::Respond { leg, reply: Reply::new(503) }).await;
    drop((b.sip, b.events));
    assert_eq!(response(&mut stream).await.status, 503);
    assert!(is_closed(&mut stream).await);
    timeout(PATIENCE, b.driver).await.expect("the driver goes on").unwrap().unwrap();
}
