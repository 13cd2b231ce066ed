//! Sequences of messages, commands and steps of time through the transaction and dialog machines. Whatever comes in
//! whatever order: no panic, and once all calls are hung up and the time has passed, nothing is remembered.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sip_core::auth::{Account, Credentials, Secret};
use sip_core::message::parse;
use sip_core::{
    Body, Command, Endpoint, EndpointConfig, Event, Flow, Input, LegEvent, LegId, Listener, Message, Method,
    Notice, OutgoingInvite, OutgoingRequest, Output, OwnRequestId, Registrar, Reliable, Reply, Request,
    RequestId, SessionTimer, Timers, Transport, TrunkProfile, Uri,
};

use crate::choices::Choices;

const PEER: &str = "192.0.2.1:5060";
const LOCAL: &str = "192.0.2.2:5060";
/// More steps than any timer takes to run out.
const STEPS: usize = 20_000;

const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "UPDATE",
    "PRACK",
    "INFO",
    "REFER",
    "NOTIFY",
    "REGISTER",
    "MESSAGE",
    "SUBSCRIBE",
    "FOO",
];
const STATUSES: [u16; 20] =
    [100, 180, 183, 199, 200, 202, 302, 401, 407, 408, 422, 423, 481, 486, 487, 491, 500, 503, 603, 699];
const MORE: [&str; 16] = [
    "",
    "Require: 100rel\r\n",
    "Supported: 100rel, timer, replaces\r\n",
    "Require: 100rel\r\nRSeq: 7\r\n",
    "RAck: 7 1 INVITE\r\n",
    "Session-Expires: 90;refresher=uac\r\nSupported: timer\r\n",
    "Session-Expires: 1800;refresher=uas\r\nRequire: timer\r\n",
    "Min-SE: 3600\r\n",
    "Replaces: call0;to-tag=peer;from-tag=peer\r\n",
    "Refer-To: <sip:300@192.0.2.1?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>\r\n",
    "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\nProxy-Authenticate: Digest realm=\"p\", nonce=\"n\", stale=true\r\n",
    "Record-Route: <sip:192.0.2.9;lr>\r\n",
    "Accept: text/plain\r\n",
    "Retry-After: 3\r\n",
    "Expires: 60\r\n",
    "Max-Forwards: 0\r\n",
];
const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

struct World<'a> {
    choices: Choices<'a>,
    endpoint: Endpoint,
    now: Instant,
    /// Requests of ours that the peer may answer, the latest last.
    ours: Vec<Request>,
    /// Our tags, as the peer has seen them.
    tags: Vec<String>,
    legs: BTreeSet<LegId>,
    pending: Vec<(LegId, RequestId)>,
    next_leg: u64,
}

/// One input is one history.
pub(crate) fn calls(data: &[u8]) {
    let mut choices = Choices(data);
    let credentials = Credentials { user: "us".to_owned(), password: Secret::new("password") };
    let profile = TrunkProfile {
        reliable: choices.of(&[Reliable::Off, Reliable::Supported, Reliable::Required]),
        session_timer: choices.of(&[
            None,
            Some(SessionTimer { expires: Duration::from_secs(1800), min_se: Duration::from_secs(90) }),
        ]),
        transfer: choices.coin(),
        outbound: Some(Account { credentials, realm: None }),
        registrar: Some(Registrar::default()),
        ..TrunkProfile::default()
    };
    let local = LOCAL.parse().expect("an address");
    let config = EndpointConfig {
        listeners: vec![Listener::new(Transport::Udp, local)],
        trunks: vec![profile],
        user_agent: String::new(),
        seed: [0; 32],
        timers: Timers::default(),
        record: false,
    };
    let mut world = World {
        choices,
        endpoint: Endpoint::new(config),
        now: Instant::now(),
        ours: Vec::new(),
        tags: vec!["none".to_owned()],
        legs: BTreeSet::new(),
        pending: Vec::new(),
        next_leg: 2,
    };
    while !world.choices.0.is_empty() {
        world.step();
    }
    world.end();
}

impl World<'_> {
    fn step(&mut self) {
        match self.choices.byte() % 8 {
            0 | 1 => self.peer_asks(),
            2 | 3 => self.peer_answers(),
            4 | 5 => self.user_wants(),
            6 => self.time_passes(),
            _ => self.noise(),
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.endpoint.handle(self.now, input);
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Send { bytes, .. } => self.sent(&bytes),
                Output::Notice(Notice::Leg(event)) => self.told(event),
                Output::Notice(_) => {}
            }
        }
    }

    /// What we send is always well formed.
    fn sent(&mut self, bytes: &[u8]) {
        match parse::datagram(bytes) {
            Ok(Message::Request(request)) => {
                if request.method != Method::Ack && self.ours.len() < 64 {
                    self.ours.push(request);
                }
            }
            Ok(Message::Response(response)) => {
                let to = response.headers.to();
                if let Some(tag) = to.as_ref().and_then(|to| to.tag()).filter(|_| self.tags.len() < 16) {
                    self.tags.push(tag.to_owned());
                }
            }
            Err(error) => panic!("we sent {:?}: {error}", String::from_utf8_lossy(bytes)),
        }
    }

    fn told(&mut self, LegEvent { leg, event }: LegEvent) {
        match event {
            Event::Invite { .. } => assert!(self.legs.insert(leg), "{leg} begins twice"),
            Event::Ended => assert!(self.legs.remove(&leg), "{leg} ends twice"),
            Event::Request { id, .. } => self.pending.push((leg, id)),
            _ => assert!(self.legs.contains(&leg), "{leg} is told {event:?} and is none"),
        }
    }

    fn datagram(&mut self, text: &[u8]) {
        let flow = Flow::udp(PEER.parse().expect("an address"));
        self.input(Input::Datagram { flow, bytes: text });
    }

    fn peer_asks(&mut self) {
        let method = self.choices.of(&METHODS);
        let (call, branch) = (self.choices.byte() % 4, self.choices.byte() % 16);
        let cseq = self.choices.byte();
        let tag = match usize::from(self.choices.byte()) {
            0..128 => String::new(),
            at => format!(";tag={}", self.tags[at % self.tags.len()]),
        };
        let (more, again) = (self.choices.of(&MORE), self.choices.of(&MORE));
        let body = if self.choices.coin() { SDP } else { "" };
        let text = format!(
            "{method} sip:200@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch};rport\r\n\
             From: <sip:100@192.0.2.1>;tag=peer\r\nTo: <sip:200@192.0.2.2>{tag}\r\nCall-ID: call{call}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:100@192.0.2.1>\r\n{more}{again}\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.datagram(text.as_bytes());
    }

    fn peer_answers(&mut self) {
        if self.ours.is_empty() {
            return;
        }
        let at = usize::from(self.choices.byte()) % self.ours.len();
        // Mostly the latest.
        let request = self.ours[if at < 4 { at } else { self.ours.len() - 1 }].clone();
        let status = self.choices.of(&STATUSES);
        let tag = self.choices.byte() % 3;
        let (more, again) = (self.choices.of(&MORE), self.choices.of(&MORE));
        let body = if self.choices.coin() { SDP } else { "" };
        let mut text = format!("SIP/2.0 {status} X\r\n");
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            for value in request.headers.get_all(name) {
                text += &format!("{name}: {value}\r\n");
            }
        }
        let to = request.headers.get("To").unwrap_or_default();
        let tagged = to.contains("tag=");
        text += &if tagged { format!("To: {to}\r\n") } else { format!("To: {to};tag=peer{tag}\r\n") };
        text += &format!(
            "Contact: <sip:200@192.0.2.1>\r\n{more}{again}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.datagram(text.as_bytes());
    }

    fn user_wants(&mut self) {
        let kind = self.choices.byte() % 10;
        if kind == 0 {
            return self.user_calls();
        }
        if kind == 1 {
            return self.user_asks();
        }
        let at = usize::from(self.choices.byte());
        let Some(leg) = self.legs.iter().nth(at % self.legs.len().max(1)).copied() else {
            return;
        };
        let body = Some(Body { content_type: "application/sdp".to_owned(), bytes: SDP.into() });
        let headers = Vec::new();
        let reply =
            Reply { body: body.clone().filter(|_| at < 128), ..Reply::new(self.choices.of(&STATUSES)) };
        let id = OwnRequestId(u64::from(self.choices.byte()));
        let command = match kind {
            2 | 3 => Command::Respond { leg, reply },
            4 => Command::Cancel { leg, headers },
            5 => Command::Bye { leg, headers },
            6 => Command::Acknowledge { leg, body },
            7 => {
                let method = [Method::Invite, Method::Update, Method::Info, Method::Notify][at % 4].clone();
                Command::Request { leg, id, method, headers, body }
            }
            _ => match self.pending.pop() {
                Some((leg, request)) => Command::Answer { leg, request, reply },
                None => return,
            },
        };
        self.input(Input::Command(command));
    }

    fn user_calls(&mut self) {
        let leg = LegId(self.next_leg);
        self.next_leg += 2;
        self.legs.insert(leg);
        let flow = Flow::udp(PEER.parse().expect("an address"));
        let uri = Uri::sip(Some("200"), flow.peer);
        let silence = self.choices.of(&[None, Some(Duration::from_secs(4))]);
        let body = Body { content_type: "application/sdp".to_owned(), bytes: SDP.into() };
        let invite = OutgoingInvite {
            flow,
            answer_within: silence,
            request_uri: uri.clone(),
            from: "<sip:100@192.0.2.2>".parse().expect("an address"),
            to: format!("<{uri}>").parse().expect("an address"),
            call_id: format!("ours{leg}"),
            max_forwards: 70,
            headers: Vec::new(),
            body: (self.choices.byte() < 192).then_some(body),
        };
        self.input(Input::Command(Command::Invite { leg, invite: Box::new(invite) }));
    }

    fn user_asks(&mut self) {
        let flow = Flow::udp(PEER.parse().expect("an address"));
        let request = OutgoingRequest {
            id: OwnRequestId(1),
            flow,
            method: if self.choices.coin() { Method::Options } else { Method::Register },
            request_uri: Uri::sip(None, flow.peer),
            from: "<sip:100@192.0.2.2>".parse().expect("an address"),
            to: "<sip:100@192.0.2.2>".parse().expect("an address"),
            call_id: "registration".to_owned(),
            cseq: 1,
            headers: Vec::new(),
        };
        self.input(Input::Command(Command::Send(Box::new(request))));
    }

    fn time_passes(&mut self) {
        let step = self.choices.of(&[1, 100, 500, 2000, 5000, 32_000, 90_000, 1_000_000]);
        let until = self.now + Duration::from_millis(step);
        for _ in 0..STEPS {
            match self.endpoint.deadline() {
                Some(at) if at <= until => {
                    self.now = self.now.max(at);
                    self.input(Input::Timeout);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    /// Bytes of the input as they are.
    fn noise(&mut self) {
        let length = usize::from(self.choices.byte()).min(self.choices.0.len());
        let (noise, rest) = self.choices.0.split_at(length);
        self.choices.0 = rest;
        self.datagram(noise);
    }

    /// The user hangs everything up and the peer says nothing more: all is forgotten.
    fn end(&mut self) {
        for leg in self.legs.clone() {
            self.input(Input::Command(Command::Respond { leg, reply: Reply::new(500) }));
            self.input(Input::Command(Command::Bye { leg, headers: Vec::new() }));
        }
        for _ in 0..STEPS {
            let Some(at) = self.endpoint.deadline() else {
                break;
            };
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
        assert!(self.legs.is_empty(), "legs that never ended: {:?}", self.legs);
        assert_eq!(self.endpoint.load(), sip_core::Load::default());
        assert_eq!(self.endpoint.deadline(), None);
    }
}
