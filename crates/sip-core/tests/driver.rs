//! The driver on loopback sockets: a call from one end to the other, and strangers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sip_core::{
    Body, Command, Driver, Event, Flow, LegEvent, LegId, Listener, Notice, OutgoingInvite, Reply, Sip,
    SipConfig, Transport, TrunkId, Uri, bind,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Far more than any of these tests needs.
const PATIENCE: Duration = Duration::from_secs(10);

async fn endpoint(seed: u8, accepts: bool) -> (Sip, mpsc::Receiver<Notice>, Driver) {
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let trunk_of = Arc::new(move |_| accepts.then_some(TrunkId(0)));
    let listener = Listener::new(Transport::Udp, loopback);
    let config = SipConfig::new(vec![listener], [seed; 32], trunk_of);
    bind(config).await.unwrap()
}

async fn next(events: &mut mpsc::Receiver<Notice>) -> LegEvent {
    match timeout(PATIENCE, events.recv()).await.expect("no event came").expect("the driver has ended") {
        Notice::Leg(event) => event,
        other => panic!("{other:?}"),
    }
}

fn invite(to: SocketAddr) -> Box<OutgoingInvite> {
    let uri = Uri::sip(Some("200"), to);
    Box::new(OutgoingInvite {
        flow: Flow::udp(to),
        answer_within: None,
        request_uri: uri.clone(),
        from: "<sip:100@127.0.0.1>".parse().unwrap(),
        to: format!("<{uri}>").parse().unwrap(),
        call_id: "loopback".into(),
        max_forwards: 70,
        headers: vec![],
        body: Some(Body { content_type: "application/sdp".into(), bytes: "v=0\r\n".into() }),
    })
}

/// The caller will want to spawn it.
fn spawnable<F: Future + Send + 'static>(future: F) -> F {
    future
}

async fn converse() {
    let (a, mut a_events, a_driver) = endpoint(1, true).await;
    let (b, mut b_events, b_driver) = endpoint(2, true).await;
    let talk = async {
        let leg = a.new_leg();
        assert_eq!((leg, a.new_leg()), (LegId(2), LegId(4)));
        a.send(Command::Invite { leg, invite: invite(b.local_addr()) }).await;
        let LegEvent { leg: theirs, event: Event::Invite { request, flow, .. } } = next(&mut b_events).await
        else {
            panic!();
        };
        assert_eq!((&request.body[..], flow.peer), (&b"v=0\r\n"[..], a.local_addr()));
        b.send(Command::Respond { leg: theirs, reply: Reply::new(180) }).await;
        assert!(matches!(next(&mut a_events).await.event, Event::Provisional(_)));
        b.send(Command::Respond { leg: theirs, reply: Reply::new(200) }).await;
        assert!(matches!(next(&mut a_events).await.event, Event::Answered(_)));
        assert!(matches!(next(&mut b_events).await.event, Event::Acked { .. }));
        a.send(Command::Bye { leg, headers: vec![] }).await;
        assert_eq!(next(&mut b_events).await.event, Event::Bye { reason: None });
        assert_eq!(next(&mut b_events).await.event, Event::Ended);
        assert_eq!(next(&mut a_events).await, LegEvent { leg, event: Event::Ended });
        let counters = b.counters();
        assert_eq!((counters.incoming_calls, counters.unparsable), (1, 0));
        drop((a, b));
    };
    let (a_end, b_end, ()) = tokio::join!(spawnable(a_driver.run()), spawnable(b_driver.run()), talk);
    a_end.unwrap();
    b_end.unwrap();
}

#[tokio::test]
async fn a_call_over_loopback_and_both_drivers_end_with_their_handles() {
    timeout(PATIENCE, converse()).await.expect("stuck");
}

async fn say_goodbye() {
    let (a, mut a_events, a_driver) = endpoint(4, true).await;
    // A peer that hears the BYE only when it is sent again.
    let deaf = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = deaf.local_addr().unwrap();
    let talk = async move {
        let mut buffer = [0; 2000];
        let mut heard = async || {
            let (length, from) = deaf.recv_from(&mut buffer).await.unwrap();
            (String::from_utf8_lossy(&buffer[..length]).into_owned(), from)
        };
        let answer = |request: &str| {
            let kept = request.lines().filter(|line| {
                ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name))
            });
            let kept: String = kept.map(|line| format!("{line}\r\n")).collect();
            format!("SIP/2.0 200 OK\r\n{kept}To: <sip:200@h>;tag=t\r\nContact: <sip:200@{to}>\r\n\r\n")
        };
        a.settled().await.unwrap();
        let leg = a.new_leg();
        a.send(Command::Invite { leg, invite: invite(to) }).await;
        let (request, from) = heard().await;
        deaf.send_to(answer(&request).as_bytes(), from).await.unwrap();
        assert!(matches!(next(&mut a_events).await.event, Event::Answered(_)));
        assert!(heard().await.0.starts_with("ACK "));
        a.send(Command::Bye { leg, headers: vec![] }).await;
        let settled = a.settled();
        tokio::pin!(settled);
        let repeated = async {
            assert!(heard().await.0.starts_with("BYE "));
            heard().await
        };
        let (bye, from) = tokio::select! {
            repeated = repeated => repeated,
            _ = &mut settled => panic!("the BYE was not answered"),
        };
        assert!(bye.starts_with("BYE "), "sent again: {bye}");
        deaf.send_to(answer(&bye).as_bytes(), from).await.unwrap();
        settled.await.unwrap();
    };
    let (end, ()) = tokio::join!(a_driver.run(), talk);
    end.unwrap();
}

#[tokio::test]
async fn settled_means_that_the_last_bye_was_answered() {
    timeout(PATIENCE, say_goodbye()).await.expect("stuck");
}

#[tokio::test]
async fn strangers_are_met_with_silence_and_others_answered() {
    let options = "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1;rport\r\n\
                   From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n";
    for accepts in [true, false] {
        let (sip, _events, driver) = endpoint(3, accepts).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let ask = async {
            socket.send_to(options.as_bytes(), sip.local_addr()).await.unwrap();
            let mut buffer = [0; 2000];
            if accepts {
                let (length, _) = timeout(PATIENCE, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
                assert!(buffer[..length].starts_with(b"SIP/2.0 200 OK\r\n"));
            } else {
                while sip.counters().not_allowed == 0 {
                    tokio::task::yield_now().await;
                }
                assert_eq!(sip.counters().datagrams_out, 0);
            }
            drop(sip);
        };
        let (end, ()) = timeout(PATIENCE, async { tokio::join!(driver.run(), ask) }).await.expect("stuck");
        end.unwrap();
    }
}

#[tokio::test]
async fn a_user_that_takes_no_events_stops_the_reading_and_nothing_else() {
    let (sip, mut events, driver) = endpoint(4, true).await;
    let refused = sip_core::driver::EVENT_QUEUE + 500;
    let work = async {
        // Port 0 cannot be sent to: each INVITE fails at once with two events, far more than the queue holds.
        let nobody: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let legs: Vec<_> = (0..refused).map(|_| sip.new_leg()).collect();
        for leg in &legs {
            sip.send(Command::Invite { leg: *leg, invite: invite(nobody) }).await;
        }
        for leg in legs {
            let rejected = next(&mut events).await;
            assert_eq!(rejected.leg, leg);
            assert!(matches!(rejected.event, Event::Rejected(_)), "{rejected:?}");
            assert_eq!(next(&mut events).await, LegEvent { leg, event: Event::Ended });
        }
        drop(sip);
    };
    let (end, ()) = timeout(PATIENCE, async { tokio::join!(driver.run(), work) }).await.expect("stuck");
    end.unwrap();
}
