//! What the transport of a path changes: timers, Via, Contact, and the way of large requests.

use super::auth::{answered_as, demanding};
use super::bench::{request, to_tag, within};
use super::uac::{outgoing, reply};
use crate::auth::{Account, Credentials, Secret};
use crate::endpoint::*;
use crate::message::{Message, Method, Request, parse};
use crate::testing::{ms, start, wire};
use crate::transaction::timer::Timers;

const LEG: LegId = LegId(2);

struct Path {
    endpoint: Endpoint,
    start: Instant,
    now: Instant,
    /// When, how, what.
    sent: Vec<(u64, Flow, Message, Origin)>,
    events: Vec<Event>,
}

impl Path {
    fn new(tcp_for_large: bool) -> Self {
        let listeners = [(Transport::Udp, 5060), (Transport::Tcp, 5070), (Transport::Tls, 5061)]
            .map(|(transport, port)| Listener::new(transport, ([192, 0, 2, 2], port).into()));
        let config = EndpointConfig {
            listeners: listeners.to_vec(),
            trunks: vec![TrunkProfile {
                tcp_for_large,
                outbound: Some(Account {
                    credentials: Credentials { user: "us".into(), password: Secret::new("secret") },
                    realm: None,
                }),
                ..TrunkProfile::default()
            }],
            user_agent: "test".to_owned(),
            seed: [9; 32],
            timers: Timers::default(),
            record: false,
        };
        let (start, endpoint) = (start(), Endpoint::new(config));
        Self { endpoint, start, now: start, sent: Vec::new(), events: Vec::new() }
    }

    fn input(&mut self, input: Input<'_>) {
        self.endpoint.handle(self.now, input);
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Send { flow, bytes, origin } => {
                    let at = u64::try_from((self.now - self.start).as_millis()).unwrap();
                    self.sent.push((at, flow, parse::datagram(&bytes).unwrap(), origin));
                }
                Output::Notice(Notice::Leg(LegEvent { event, .. })) => self.events.push(event),
                other => panic!("{other:?}"),
            }
        }
    }

    fn receive(&mut self, flow: Flow, text: &str) {
        self.input(Input::Datagram { flow, bytes: &wire(text) });
    }

    fn advance(&mut self, milliseconds: u64) {
        let end = self.now + ms(milliseconds);
        while let Some(deadline) = self.endpoint.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline.max(self.now);
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    fn invite(&mut self, subject: &str) -> (Request, Flow) {
        let mut invite = outgoing();
        invite.headers.push(("Subject".into(), subject.to_owned()));
        self.input(Input::Command(Command::Invite { leg: LEG, invite }));
        self.last_request()
    }

    fn last_request(&self) -> (Request, Flow) {
        match self.sent.last() {
            Some((_, flow, Message::Request(request), _)) => (request.clone(), *flow),
            other => panic!("{other:?}"),
        }
    }

    /// When what was sent by which transport, since the last time.
    fn take(&mut self) -> Vec<String> {
        let name = |(at, flow, message, _): (u64, Flow, Message, Origin)| match message {
            Message::Request(request) => format!("{at} {} {}", flow.transport.name(), request.method),
            Message::Response(response) => format!("{at} {} {}", flow.transport.name(), response.status),
        };
        self.sent.drain(..).map(name).collect()
    }
}

fn over(transport: Transport) -> Flow {
    let listener = match transport {
        Transport::Udp => ListenerId(0),
        Transport::Tcp => ListenerId(1),
        Transport::Tls => ListenerId(2),
    };
    Flow { transport, listener, ..Flow::udp("192.0.2.1:40000".parse().unwrap()) }
}

fn large() -> String {
    "x".repeat(1300)
}

#[test]
fn over_tcp_the_2xx_is_sent_again_and_nothing_else() {
    let mut path = Path::new(false);
    path.receive(over(Transport::Tcp), &request("INVITE", "i1", ""));
    path.input(Input::Command(Command::Respond { leg: LegId(1), reply: Reply::new(200) }));
    let (_, _, Message::Response(ok), _) = path.sent.last().unwrap().clone() else { panic!() };
    path.advance(4000);
    assert_eq!(path.take(), ["0 tcp 100", "0 tcp 200", "500 tcp 200", "1500 tcp 200", "3500 tcp 200"]);
    path.receive(over(Transport::Tcp), &within("ACK", "a1", 10, &to_tag(&ok), ""));
    path.input(Input::Command(Command::Bye { leg: LegId(1), headers: vec![] }));
    path.advance(31_000);
    assert_eq!(path.take(), ["4000 tcp BYE"], "Timer E never runs");
}

#[test]
fn over_tcp_a_refusal_is_sent_once() {
    let mut path = Path::new(false);
    path.receive(over(Transport::Tcp), &request("INVITE", "i1", ""));
    path.input(Input::Command(Command::Respond { leg: LegId(1), reply: Reply::new(486) }));
    path.advance(40_000);
    assert_eq!(path.take(), ["0 tcp 100", "0 tcp 486"]);
    assert_eq!(path.endpoint.deadline(), None);
}

#[test]
fn over_tcp_an_answered_challenge_is_sent_once_too() {
    let mut path = Path::new(false);
    let mut invite = outgoing();
    invite.flow = over(Transport::Tcp);
    path.input(Input::Command(Command::Invite { leg: LEG, invite }));
    let (invite, tcp) = path.last_request();
    path.receive(tcp, &reply(&invite, 401, "t1", "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n\""));
    path.advance(10_000);
    assert_eq!(path.take(), ["0 tcp INVITE", "0 tcp ACK", "0 tcp INVITE"]);
}

#[test]
fn via_and_contact_name_the_transport_and_the_listener_of_the_path() {
    for (transport, via, contact) in [
        (Transport::Udp, "SIP/2.0/UDP 192.0.2.2:5060", "<sip:192.0.2.2:5060>"),
        (Transport::Tcp, "SIP/2.0/TCP 192.0.2.2:5070", "<sip:192.0.2.2:5070;transport=tcp>"),
        (Transport::Tls, "SIP/2.0/TLS 192.0.2.2:5061", "<sip:192.0.2.2:5061;transport=tls>"),
    ] {
        let mut path = Path::new(false);
        let mut invite = outgoing();
        invite.flow = over(transport);
        path.input(Input::Command(Command::Invite { leg: LEG, invite }));
        let (invite, flow) = path.last_request();
        assert!(invite.headers.get("Via").unwrap().starts_with(via));
        assert_eq!((invite.headers.get("Contact"), flow), (Some(contact), over(transport)));
    }
}

#[test]
fn a_large_invite_goes_by_tcp_where_the_trunk_takes_it() {
    for (takes_it, subject, transport) in [
        (true, large(), Transport::Tcp),
        (true, "short".to_owned(), Transport::Udp),
        (false, large(), Transport::Udp),
    ] {
        let mut path = Path::new(takes_it);
        let (invite, flow) = path.invite(&subject);
        assert_eq!(flow.transport, transport);
        let via = invite.headers.via().unwrap();
        let expected = if transport == Transport::Tcp { ("TCP", Some(5070)) } else { ("UDP", Some(5060)) };
        assert_eq!((via.transport.as_str(), via.port), expected);
        assert_eq!(flow.peer, outgoing().flow.peer);
        assert_eq!(path.sent.len(), 1);
    }
}

#[test]
fn what_belongs_to_its_transaction_follows_it_and_the_dialog_stays_on_udp() {
    let mut path = Path::new(true);
    let (invite, tcp) = path.invite(&large());
    path.receive(tcp, &reply(&invite, 180, "t1", ""));
    path.input(Input::Command(Command::Cancel { leg: LEG, headers: vec![] }));
    let (cancel, _) = path.last_request();
    assert_eq!(cancel.headers.via(), invite.headers.via());
    path.receive(tcp, &reply(&invite, 487, "t1", ""));
    path.advance(400);
    assert_eq!(path.take(), ["0 tcp INVITE", "0 tcp CANCEL", "0 tcp ACK"]);
    let mut path = Path::new(true);
    let (invite, tcp) = path.invite(&large());
    path.receive(tcp, &reply(&invite, 200, "t1", ""));
    let (ack, flow) = path.last_request();
    assert_eq!((ack.method, flow.transport), (Method::Ack, Transport::Udp));
    assert_eq!(flow.peer.to_string(), "192.0.2.1:5080", "its Contact");
}

#[test]
fn without_a_connection_a_large_invite_goes_by_udp_all_the_same() {
    let mut path = Path::new(true);
    let (by_tcp, _) = path.invite(&large());
    let origin = path.sent[0].3;
    path.advance(200);
    path.input(Input::TransportError { origin });
    let (by_udp, flow) = path.last_request();
    assert_eq!(flow, outgoing().flow);
    let (first, second) = (by_tcp.headers.via().unwrap(), by_udp.headers.via().unwrap());
    assert_eq!((second.transport.as_str(), second.branch()), ("UDP", first.branch()));
    path.advance(2000);
    assert_eq!(path.take(), ["0 tcp INVITE", "200 udp INVITE", "700 udp INVITE", "1700 udp INVITE"]);
    assert!(path.events.is_empty(), "the user hears nothing of it");
    path.input(Input::TransportError { origin });
    assert_eq!(path.events, [Event::Rejected(Rejection::Transport), Event::Ended], "the second time it does");
}

#[test]
fn a_message_beyond_a_cap_or_of_a_stranger_is_refused_if_it_is_a_request() {
    let mut path = Path::new(false);
    let refused = |path: &mut Path, text: &str| {
        let bytes = wire(text);
        let flow = over(Transport::Tcp);
        path.input(Input::Refuse { flow, bytes: &bytes, status: 513, reason: "Message Too Large" });
        path.take()
    };
    assert_eq!(refused(&mut path, &request("INVITE", "i1", "")), ["0 tcp 513"]);
    assert_eq!(refused(&mut path, &request("INVITE", "i1", "Content-Length: 99999")), ["0 tcp 513"]);
    let nothing: [String; 0] = [];
    assert_eq!(refused(&mut path, &request("ACK", "i1", "")), nothing);
    assert_eq!(refused(&mut path, &request("ACK", "i1", "Content-Length: 99999")), nothing);
    assert_eq!(refused(&mut path, "noise"), nothing);
    let invite = path.invite("x").0;
    path.take();
    assert_eq!(refused(&mut path, &reply(&invite, 200, "t", "")), nothing);
    assert!(path.events.is_empty());
}

#[test]
fn malformed_messages_count_against_their_source() {
    let mut path = Path::new(false);
    let flow = over(Transport::Udp);
    for (text, strikes) in [
        ("noise".to_owned(), true),
        (request("INVITE", "i1", "CSeq: 2 BYE"), true),
        (request("OPTIONS", "o1", ""), false),
        ("\r\n".to_owned(), false),
    ] {
        path.receive(flow, &text);
        assert_eq!(path.endpoint.take_strike(), strikes.then_some(flow), "{text}");
    }
}

#[test]
fn failed_authentication_counts_against_its_source_and_a_first_try_does_not() {
    let mut path = Path::new(false);
    let config = EndpointConfig { trunks: vec![demanding()], ..path.endpoint.config.clone() };
    path.endpoint = Endpoint::new(config);
    let flow = over(Transport::Udp);
    let asked = request("INVITE", "i1", "");
    path.receive(flow, &asked);
    let (_, _, Message::Response(unauthorized), _) = path.sent[0].clone() else { panic!() };
    assert_eq!((path.take(), path.endpoint.take_strike()), (vec!["0 udp 401".to_owned()], None));
    path.receive(flow, &answered_as("pbx", "wrong", &asked, &unauthorized));
    assert_eq!((path.take(), path.endpoint.take_strike()), (vec!["0 udp 401".to_owned()], Some(flow)));
    assert_eq!(path.endpoint.take_proof(), None);
    path.receive(flow, &answered_as("pbx", "right", &asked, &unauthorized));
    assert_eq!((path.take(), path.endpoint.take_strike()), (vec!["0 udp 100".to_owned()], None));
    assert_eq!(path.endpoint.take_proof(), Some(flow));
}
