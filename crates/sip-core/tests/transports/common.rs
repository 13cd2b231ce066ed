//! Endpoints of ours, calls between them, and messages written by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sip_core::{
    Command, Event, Flow, LegEvent, Listener, ListenerId, Message, Notice, OutgoingInvite, Reply, Response,
    Sip, SipConfig, Transport, TrunkId, Uri, bind, message::parse,
};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far more than any of these tests needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Running {
    pub(crate) sip: Sip,
    pub(crate) events: mpsc::Receiver<Notice>,
    pub(crate) driver: JoinHandle<std::io::Result<()>>,
}

pub(crate) fn config(seed: u8, listeners: &[(Transport, &str)]) -> SipConfig {
    let listener =
        |(transport, address): &(Transport, &str)| Listener::new(*transport, address.parse().unwrap());
    let listeners = listeners.iter().map(listener).collect();
    SipConfig::new(listeners, [seed; 32], Arc::new(|_| Some(TrunkId(0))))
}

#[expect(clippy::disallowed_methods, reason = "the test is the caller that decides")]
pub(crate) async fn run(config: SipConfig) -> Running {
    let (sip, events, driver) = bind(config).await.unwrap();
    Running { sip, events, driver: tokio::spawn(driver.run()) }
}

impl Running {
    pub(crate) async fn next(&mut self) -> LegEvent {
        match timeout(PATIENCE, self.events.recv()).await.expect("no event came").expect("the driver ended") {
            Notice::Leg(event) => event,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.sip.local_addr()
    }

    /// Waits until a counter says so.
    pub(crate) async fn until(&self, what: impl Fn(&sip_core::SipCounters) -> bool) {
        let wait = async {
            while !what(&self.sip.counters()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{:?}", self.sip.counters()));
    }
}

pub(crate) fn flow(transport: Transport, listener: u16, peer: SocketAddr) -> Flow {
    Flow { transport, listener: ListenerId(listener), trunk: TrunkId(0), peer }
}

pub(crate) fn invite(flow: Flow) -> Box<OutgoingInvite> {
    let uri = Uri::sip(Some("200"), flow.peer);
    Box::new(OutgoingInvite {
        flow,
        answer_within: None,
        request_uri: uri.clone(),
        from: "<sip:100@127.0.0.1>".parse().unwrap(),
        to: format!("<{uri}>").parse().unwrap(),
        call_id: "transports".into(),
        max_forwards: 70,
        headers: vec![],
        body: None,
    })
}

/// A call from its INVITE to its BYE, which the callee sends; gives the flow that the callee saw.
pub(crate) async fn call(a: &mut Running, b: &mut Running, flow: Flow) -> Flow {
    let leg = a.sip.new_leg();
    a.sip.send(Command::Invite { leg, invite: invite(flow) }).await;
    let LegEvent { leg: theirs, event: Event::Invite { flow: seen, .. } } = b.next().await else {
        panic!("no INVITE");
    };
    b.sip.send(Command::Respond { leg: theirs, reply: Reply::new(180) }).await;
    assert!(matches!(a.next().await.event, Event::Provisional(_)));
    b.sip.send(Command::Respond { leg: theirs, reply: Reply::new(200) }).await;
    assert!(matches!(a.next().await.event, Event::Answered(_)));
    assert!(matches!(b.next().await.event, Event::Acked { .. }));
    b.sip.send(Command::Bye { leg: theirs, headers: vec![] }).await;
    assert_eq!(a.next().await.event, Event::Bye { reason: None });
    assert_eq!(a.next().await.event, Event::Ended);
    assert_eq!(b.next().await.event, Event::Ended);
    seen
}

/// A request with a Content-Length; the lines in `more` end with CRLF.
pub(crate) fn request(method: &str, via: &str, more: &str) -> String {
    format!(
        "{method} sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{via}\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n\
         Call-ID: c{method}\r\nCSeq: 1 {method}\r\nContact: <sip:a@127.0.0.1>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

pub(crate) fn options(branch: &str) -> String {
    request("OPTIONS", &format!("TCP 127.0.0.1:5999;branch=z9hG4bK{branch}"), "")
}

/// The next response on a stream of messages without bodies.
pub(crate) async fn response(stream: &mut (impl AsyncRead + Unpin)) -> Response {
    let mut bytes = Vec::new();
    let read = async {
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(stream.read_u8().await.expect("closed before an answer"));
        }
    };
    timeout(PATIENCE, read).await.expect("no answer came");
    parse_response(&bytes)
}

pub(crate) fn parse_response(bytes: &[u8]) -> Response {
    match parse::datagram(bytes) {
        Ok(Message::Response(response)) => response,
        other => panic!("{other:?}"),
    }
}

/// Is the stream closed by the other side, without another byte?
pub(crate) async fn is_closed(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut rest = Vec::new();
    match timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("still open") {
        Ok(length) => length == 0,
        Err(_) => true,
    }
}
