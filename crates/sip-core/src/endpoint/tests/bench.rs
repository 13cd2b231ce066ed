//! An endpoint, its clock, and what came out of it.

use std::time::Instant;

use bytes::Bytes;

use crate::endpoint::*;
use crate::message::{Message, Request, Response, parse};
use crate::registration::Binding;
use crate::testing::{ms, start, wire};
use crate::transaction::timer::Timers;

pub(super) const PEER: &str = "192.0.2.1:5060";
pub(super) const LOCAL: &str = "192.0.2.2:5060";

pub(super) struct Bench {
    pub(super) endpoint: Endpoint,
    start: Instant,
    pub(super) now: Instant,
    pub(super) sent: Vec<Sent>,
    pub(super) events: Vec<LegEvent>,
    pub(super) replies: Vec<(OwnRequestId, Result<Box<Response>, Rejection>)>,
    pub(super) bindings: Vec<Vec<Binding>>,
    pub(super) records: Vec<(LegId, Option<LegRecord>)>,
}

#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) at: u64,
    pub(super) to: String,
    pub(super) bytes: Bytes,
    pub(super) origin: Origin,
}

impl Sent {
    /// `BYE`, or `200 BYE`.
    pub(super) fn name(&self) -> String {
        match parse::datagram(&self.bytes).unwrap() {
            Message::Request(request) => request.method.to_string(),
            Message::Response(response) => {
                format!("{} {}", response.status, response.headers.cseq().unwrap().method)
            }
        }
    }

    pub(super) fn request(&self) -> Request {
        crate::testing::request(&self.bytes)
    }

    pub(super) fn response(&self) -> Response {
        crate::testing::response(&self.bytes)
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::at(LOCAL, 7)
    }

    /// With a peer of these manners.
    pub(super) fn with(profile: TrunkProfile) -> Self {
        Self::with_profile(LOCAL, 7, profile)
    }

    pub(super) fn at(local: &str, seed: u8) -> Self {
        Self::with_profile(local, seed, TrunkProfile::default())
    }

    pub(super) fn with_profile(local: &str, seed: u8, profile: TrunkProfile) -> Self {
        let local = Listener::new(Transport::Udp, local.parse().unwrap());
        let config = EndpointConfig {
            listeners: vec![local],
            trunks: vec![profile],
            user_agent: "test".to_owned(),
            seed: [seed; 32],
            timers: Timers::default(),
            record: true,
        };
        let start = start();
        Self {
            endpoint: Endpoint::new(config),
            start,
            now: start,
            sent: Vec::new(),
            events: Vec::new(),
            replies: Vec::new(),
            bindings: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Follows another clock.
    pub(super) fn with_clock_of(mut self, other: &Self) -> Self {
        self.start = other.start;
        self.now = other.now;
        self
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        self.endpoint.handle(self.now, input);
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Send { flow, bytes, origin } => {
                    let at = u64::try_from((self.now - self.start).as_millis()).unwrap();
                    self.sent.push(Sent { at, to: flow.peer.to_string(), bytes, origin });
                }
                Output::Notice(Notice::Leg(event)) => self.events.push(event),
                Output::Notice(Notice::Reply { id, result }) => self.replies.push((id, result)),
                Output::Notice(Notice::Bindings { bindings, .. }) => self.bindings.push(bindings),
                Output::Notice(Notice::Record { leg, record }) => self.records.push((leg, record)),
            }
        }
    }

    pub(super) fn receive(&mut self, text: &str) {
        self.receive_from(PEER, &wire(text));
    }

    pub(super) fn receive_from(&mut self, peer: &str, bytes: &[u8]) {
        let flow = Flow::udp(peer.parse().unwrap());
        self.input(Input::Datagram { flow, bytes });
    }

    pub(super) fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    pub(super) fn respond(&mut self, leg: LegId, status: u16) {
        self.command(Command::Respond { leg, reply: Reply::new(status) });
    }

    pub(super) fn bye(&mut self, leg: LegId) {
        self.command(Command::Bye { leg, headers: vec![("Reason".into(), "SIP;cause=200".into())] });
    }

    pub(super) fn cancel(&mut self, leg: LegId) {
        self.command(Command::Cancel { leg, headers: vec![("Reason".into(), "SIP;cause=487".into())] });
    }

    /// Lets the time pass, waking the endpoint exactly when it wants to be.
    pub(super) fn advance(&mut self, milliseconds: u64) {
        let end = self.now + ms(milliseconds);
        while let Some(deadline) = self.endpoint.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline.max(self.now);
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    /// The names of what was sent since the last time.
    pub(super) fn take_sent(&mut self) -> Vec<String> {
        self.sent.drain(..).map(|sent| sent.name()).collect()
    }

    /// Name and time of what was sent since the last time.
    pub(super) fn take_timed(&mut self) -> Vec<(u64, String)> {
        self.sent.drain(..).map(|sent| (sent.at, sent.name())).collect()
    }

    pub(super) fn last(&self) -> &Sent {
        self.sent.last().expect("nothing was sent")
    }

    /// The names of the events since the last time.
    pub(super) fn take_events(&mut self) -> Vec<&'static str> {
        self.events.drain(..).map(|event| name(&event.event)).collect()
    }

    /// What the user was told of this leg's records since the last time: what there is to end, `-` for nothing.
    pub(super) fn take_records(&mut self, leg: LegId) -> Vec<String> {
        let of_leg = self.records.extract_if(.., |(of, _)| *of == leg);
        of_leg.map(|(_, record)| record.map_or_else(|| "-".to_owned(), |record| record.shape())).collect()
    }

    /// The record that the user holds of this leg, as it was stored and read again.
    pub(super) fn record(&self, leg: LegId) -> LegRecord {
        let last = self.records.iter().rev().find(|(of, _)| *of == leg);
        let record = last.and_then(|(_, record)| record.clone()).expect("no record");
        LegRecord::from_bytes(record.as_bytes()).unwrap()
    }

    /// After everything has timed out nothing may be left.
    pub(super) fn assert_forgotten(&mut self) {
        self.advance(200_000);
        let endpoint = &self.endpoint;
        assert!(endpoint.legs.is_empty(), "{:?}", endpoint.legs);
        assert!(endpoint.dialogs.is_empty(), "{:?}", endpoint.dialogs);
        assert!(endpoint.merged.is_empty());
        assert!(endpoint.servers.is_empty(), "{:?}", endpoint.servers);
        assert!(endpoint.clients.is_empty(), "{:?}", endpoint.clients);
        assert!(endpoint.alarms.is_empty());
        assert!(endpoint.records.is_empty(), "{:?}", endpoint.records);
        let last: HashMap<_, _> = self.records.iter().map(|(leg, record)| (leg, record)).collect();
        assert!(last.values().all(|record| record.is_none()), "recorded for ever: {last:?}");
        assert_eq!(endpoint.apart, 0);
        assert_eq!(endpoint.deadline(), None);
    }
}

pub(super) fn name(event: &Event) -> &'static str {
    match event {
        Event::Invite { .. } => "invite",
        Event::Response { .. } => "response",
        Event::Lost(_) => "lost",
        Event::Cancelled { .. } => "cancelled",
        Event::Acked { .. } => "acked",
        Event::AckTimeout => "ack timeout",
        Event::Provisional(_) => "provisional",
        Event::Answered(_) => "answered",
        Event::Rejected(Rejection::Response(_)) => "rejected",
        Event::Rejected(Rejection::Silence) => "silence",
        Event::Rejected(Rejection::Timeout) => "timeout",
        Event::Rejected(Rejection::Transport) => "transport",
        Event::Bye { .. } => "bye",
        Event::Request { .. } => "request",
        Event::Ended => "ended",
    }
}

/// A request of the peer outside of a dialog.
pub(super) fn request(method: &str, branch: &str, more: &str) -> String {
    format!(
        "{method} sip:+4930123@192.0.2.2 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch};rport
         Max-Forwards: 70
         From: \"Desk\" <sip:100@192.0.2.1>;tag=pbx
         To: <sip:+4930123@192.0.2.2>
         Call-ID: call-1
         CSeq: 10 {method}
         Contact: <sip:100@192.0.2.1:5060>
         {more}"
    )
}

/// A request of the peer within the dialog whose tag of ours is given.
pub(super) fn within(method: &str, branch: &str, cseq: u32, tag: &str, more: &str) -> String {
    format!(
        "{method} sip:192.0.2.2:5060 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch};rport
         Max-Forwards: 70
         From: \"Desk\" <sip:100@192.0.2.1>;tag=pbx
         To: <sip:+4930123@192.0.2.2>;tag={tag}
         Call-ID: call-1
         CSeq: {cseq} {method}
         {more}"
    )
}

pub(super) fn to_tag(response: &Response) -> String {
    response.headers.to().unwrap().tag().unwrap().to_owned()
}

/// An incoming call that has been answered; gives its leg and our tag.
pub(super) fn answered(bench: &mut Bench) -> (LegId, String) {
    bench.receive(&request("INVITE", "i1", ""));
    let leg = bench.events[0].leg;
    bench.respond(leg, 200);
    let tag = to_tag(&bench.last().response());
    (leg, tag)
}

/// The same with its ACK, and everything so far forgotten.
pub(super) fn confirmed(bench: &mut Bench) -> (LegId, String) {
    let (leg, tag) = answered(bench);
    bench.receive(&within("ACK", "a1", 10, &tag, ""));
    bench.take_sent();
    bench.take_events();
    (leg, tag)
}
