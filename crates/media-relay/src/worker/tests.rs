//! The relay on loopback with real sockets, against an ICE-lite peer and a
//! PBX that are a socket each.

mod families;
mod hostile;
mod own;
mod reports;
mod secure;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use super::counters::Counters;
use super::*;
use crate::event::Summary;
use crate::options::SessionOptions;
use crate::path::{DigitMode, Party};
use crate::peer::tests::lite::LitePeer;
use crate::peer::{Credentials, DtlsRole, Identity};
use crate::relay::{OpenError, Relay, RelayConfig, StartError};
use crate::sdp::{pbx, whatsapp};
use crate::session::{AudioSession, WaRole};
use crate::side::Side;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(10);

fn relay(first_port: u16, calls: u16) -> Relay {
    let side = |ports: RangeInclusive<u16>| Side { bind: LOOPBACK, advertised: LOOPBACK, ports };
    Relay::start(RelayConfig {
        pbx: side(first_port..=first_port + 2 * calls - 1),
        whatsapp: side(first_port + 1000..=first_port + 999 + calls).into(),
        workers: 1,
        opus_complexity: 5.into(),
        port_rest: Duration::from_secs(60),
    })
    .expect("started")
}

/// What our offer says of our transport.
fn our_offer(session: &AudioSession) -> whatsapp::Dtls {
    match whatsapp::parse(&session.whatsapp_offer()).expect("our own offer").transport {
        whatsapp::Transport::Dtls(dtls) => dtls,
        whatsapp::Transport::Sdes(sdes) => panic!("{sdes:?}"),
    }
}

/// A call as its owner and its two far ends see it.
struct Far {
    session: Option<AudioSession>,
    events: Receiver<MediaEvent>,
    lite: LitePeer,
    lite_identity: Identity,
    lite_socket: UdpSocket,
    pbx: UdpSocket,
    /// First octets of what came to the lite peer.
    kinds: Vec<u8>,
}

impl Far {
    fn open(relay: &Relay, role: DtlsRole) -> Self {
        Self::open_with(relay, role, |_| {})
    }

    fn open_with(relay: &Relay, role: DtlsRole, hook: impl FnMut(&MediaEvent) + Send + 'static) -> Self {
        Self::open_at(relay, role, LOOPBACK, hook)
    }

    /// WhatsApp's address is given.
    fn open_at(
        relay: &Relay,
        role: DtlsRole,
        whatsapp: IpAddr,
        mut hook: impl FnMut(&MediaEvent) + Send + 'static,
    ) -> Self {
        let (sender, events) = channel();
        let session = relay
            .open(
                &SessionOptions::default(),
                Box::new(move |event| {
                    hook(&event);
                    drop(sender.send(event));
                }),
            )
            .expect("a session");
        let offer = our_offer(&session);
        let socket = |ip: IpAddr| {
            let socket = UdpSocket::bind((ip, 0)).expect("a socket");
            socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a time-out");
            socket
        };
        let (lite_socket, pbx) = (socket(whatsapp), socket(LOOPBACK));
        let lite_identity = Identity::generate().expect("a certificate");
        let ours = Credentials { ufrag: offer.ufrag, pwd: offer.pwd };
        let lite = LitePeer::new(
            Instant::now(),
            lite_socket.local_addr().expect("bound"),
            &lite_identity,
            role,
            (ours, offer.fingerprint),
        );
        Self { session: Some(session), events, lite, lite_identity, lite_socket, pbx, kinds: Vec::new() }
    }

    fn session(&self) -> &AudioSession {
        self.session.as_ref().expect("open")
    }

    /// What was agreed with the PBX.
    fn media(&self) -> pbx::Media {
        pbx::Media {
            remote: self.pbx.local_addr().expect("bound"),
            codec: pbx::Codec::Opus,
            payload_type: 107,
            dtmf: Some((101, 8000)),
            rtcp: None,
            offered_as: pbx::OfferedAs::default(),
            ptime_ms: 20,
            direction: pbx::Direction::SendRecv,
            secure: None,
            rtcp_mux: false,
            comfort_noise: false,
        }
    }

    /// WhatsApp's description: it is the DTLS client when we offered.
    fn connect(&self, role: DtlsRole) {
        self.connect_to(role, None);
    }

    /// With a candidate that is better than its address.
    fn connect_to(&self, role: DtlsRole, better: Option<SocketAddr>) {
        let (wa_role, setup) = match role {
            DtlsRole::Client => (WaRole::WeOffered, whatsapp::Setup::ActPass),
            DtlsRole::Server => (WaRole::WeAnswered, whatsapp::Setup::ActPass),
        };
        let remote = whatsapp::Remote {
            transport: whatsapp::Transport::Dtls(whatsapp::Dtls {
                candidates: better.into_iter().chain([self.lite.address]).collect(),
                ufrag: self.lite.credentials.ufrag.clone(),
                pwd: self.lite.credentials.pwd.clone(),
                fingerprint: self.lite_identity.fingerprint(),
                setup,
                ice_lite: true,
            }),
            opus: Some(whatsapp::Opus { payload_type: 111, fmtp: None }),
            pcmu: None,
            pcma: None,
            dtmf_pt: 126,
            dtmf_offered: true,
            mid: "audio".into(),
        };
        self.session().connect_whatsapp(remote, wa_role);
        self.session().connect_pbx(self.media());
    }

    /// Plays the lite peer until `done` or `limit`.
    fn play(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut buffer = [0; 2048];
        while !done(self) {
            let now = Instant::now();
            if now >= end {
                return false;
            }
            if let Ok((len, source)) = self.lite_socket.recv_from(&mut buffer) {
                self.kinds.push(buffer[0]);
                self.lite.handle(Instant::now(), source, &mut buffer[..len]);
            }
            self.lite.handle_timeout(Instant::now());
            for (to, bytes) in self.lite.sent.drain(..) {
                self.lite_socket.send_to(&bytes, to).expect("sent");
            }
        }
        true
    }

    fn up(relay: &Relay, role: DtlsRole) -> Self {
        let mut far = Self::open(relay, role);
        far.connect(role);
        far.wait_connected();
        far
    }

    fn wait_connected(&mut self) {
        let mut first = None;
        let up = self.play(PATIENCE, |far| {
            first = first.take().or_else(|| far.events.try_recv().ok());
            first.is_some() && far.lite.is_up()
        });
        assert!(up, "{first:?} {:?}", self.lite.failure);
        assert!(matches!(first, Some(MediaEvent::Connected)), "{first:?}");
    }

    fn pbx_says(&self, sequence: u16) {
        let to = self.session().pbx_address();
        self.pbx.send_to(&rtp(107, sequence), to).expect("sent");
    }

    fn next(&self) -> MediaEvent {
        self.events.recv_timeout(PATIENCE).expect("an event")
    }

    /// Drops the session: `Closed` is last, and comes once.
    fn close(mut self) -> Summary {
        self.session = None;
        let mut events = Vec::new();
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) => events.push(event),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the callback was not dropped: {events:?}"),
            }
        }
        let closed = events.iter().filter(|event| matches!(event, MediaEvent::Closed(_))).count();
        assert_eq!(closed, 1, "{events:?}");
        match events.pop() {
            Some(MediaEvent::Closed(summary)) => *summary,
            other => panic!("last was {other:?}"),
        }
    }
}

fn rtp(payload_type: u8, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 960).to_be_bytes());
    packet.extend([0, 0, 0, 5]);
    packet.extend([0x48, 1, 2, 3, 4, sequence as u8]);
    packet
}

fn is_media(kind: &u8) -> bool {
    (128..=191).contains(kind)
}

#[test]
fn a_call_from_open_to_closed() {
    for (role, first_port) in [(DtlsRole::Client, 43_000), (DtlsRole::Server, 43_100)] {
        let relay = relay(first_port, 10);
        let mut far = Far::up(&relay, role);

        // The gate is shut: the PBX speaks, and nothing but STUN and DTLS leaves.
        for sequence in 0..5 {
            far.pbx_says(sequence);
        }
        assert!(matches!(far.next(), MediaEvent::FirstAudio(Party::Pbx)));
        far.play(Duration::from_millis(100), |_| false);
        assert_eq!(far.kinds.iter().filter(|kind| is_media(kind)).count(), 0);

        // Open: the first packet is ours, though the PBX is silent.
        far.session().open();
        assert!(far.play(PATIENCE, |far| !far.lite.heard.is_empty()));

        // Then what the PBX says, untouched but for the header.
        for sequence in 5..10 {
            far.pbx_says(sequence);
        }
        let heard = |far: &Far, sequence: u16| {
            far.lite.heard.iter().any(|packet| packet[12..] == rtp(107, sequence)[12..])
        };
        assert!(far.play(PATIENCE, |far| (5..10).all(|sequence| heard(far, sequence))));
        assert!(far.lite.heard.iter().all(|packet| packet[1] & 0x7F == 111), "WhatsApp's number");
        let ssrc = |packet: &Vec<u8>| packet[8..12].to_vec();
        assert!(far.lite.heard.windows(2).all(|two| ssrc(&two[0]) == ssrc(&two[1])), "a single SSRC");

        // And back.
        far.lite.speak(&rtp(111, 40));
        far.play(Duration::from_millis(1), |_| false);
        let mut buffer = [0; 2048];
        far.pbx.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let (len, from) = far.pbx.recv_from(&mut buffer).expect("sound from WhatsApp");
        assert_eq!(from, far.session().pbx_address());
        assert_eq!(buffer[1] & 0x7F, 107, "the PBX's number");
        assert_eq!(buffer[12..len], rtp(111, 40)[12..]);
        assert!(matches!(far.next(), MediaEvent::FirstAudio(Party::WhatsApp)));

        let summary = far.close();
        assert_eq!(summary.packets.pbx.received, 10);
        assert_eq!(summary.packets.whatsapp.received, 1);
        assert!(summary.setup.is_some());
        let counters = relay.counters();
        assert_eq!((counters.opened, counters.closed, counters.pbx_received), (1, 1, 10));
        assert_eq!((counters.pbx_sent, counters.unsent, counters.panics), (1, 0, 0));
    }
}

#[test]
fn strangers_are_counted_and_not_heard() {
    let relay = relay(43_200, 10);
    let mut far = Far::up(&relay, DtlsRole::Server);
    far.session().open();
    let stranger = UdpSocket::bind((IpAddr::from([127, 0, 0, 2]), 0)).expect("a socket");
    let pbx_port = far.session().pbx_address();
    stranger.send_to(&rtp(107, 1), pbx_port).expect("sent");
    let offer = our_offer(far.session());
    let whatsapp_port = offer.candidates[0];
    let forged = [&rtp(111, 1)[..], &[0; 16]].concat();
    stranger.send_to(&forged, whatsapp_port).expect("sent");
    far.lite_socket.send_to(&forged, whatsapp_port).expect("sent");
    far.lite_socket.send_to(&[255; 40], whatsapp_port).expect("sent");
    let counted = |relay: &Relay| {
        let counters = relay.counters();
        (counters.stranger, counters.unauthenticated, counters.malformed)
    };
    assert!(far.play(PATIENCE, |_| counted(&relay) == (2, 1, 1)), "{:?}", relay.counters());
    let summary = far.close();
    assert_eq!(summary.refused, 4);
    assert_eq!(summary.packets.pbx.received, 0);
}

#[test]
fn a_panic_ends_one_call_and_no_other() {
    let relay = relay(43_300, 10);
    let mut well = Far::up(&relay, DtlsRole::Server);
    let mut ill = Far::open_with(&relay, DtlsRole::Server, |event| {
        assert!(!matches!(event, MediaEvent::Connected), "meant to panic");
    });
    ill.connect(DtlsRole::Server);
    let mut told = Vec::new();
    assert!(ill.play(PATIENCE, |far| {
        told.extend(far.events.try_iter());
        told.len() == 2
    }));
    assert!(matches!(told[0], MediaEvent::Failed(MediaFailure::Panic)), "{told:?}");
    assert!(matches!(told[1], MediaEvent::Closed(_)), "{told:?}");
    // Its handle is harmless.
    ill.session().open();
    ill.session = None;
    assert!(ill.events.recv().is_err(), "nothing after Closed");

    well.session().open();
    well.pbx_says(1);
    assert!(well.play(PATIENCE, |far| !far.lite.heard.is_empty()));
    let counters = relay.counters();
    assert_eq!((counters.panics, counters.closed), (1, 1));
    well.close();
}

#[test]
fn a_wrong_fingerprint_fails_one_call() {
    let relay = relay(43_400, 10);
    let mut far = Far::open(&relay, DtlsRole::Server);
    far.lite_identity = Identity::generate().expect("another certificate");
    far.connect(DtlsRole::Server);
    let mut told = Vec::new();
    assert!(far.play(PATIENCE, |far| {
        told.extend(far.events.try_iter());
        !told.is_empty()
    }));
    assert!(matches!(told[0], MediaEvent::Failed(MediaFailure::FingerprintMismatch)), "{told:?}");
    assert_eq!(relay.counters().dtls_failures, 1);
    assert_eq!(far.close().setup, None);
}

#[test]
fn a_flooded_call_gets_its_burst_and_no_more_per_turn() {
    let relay = relay(43_500, 10);
    let far = Far::open(&relay, DtlsRole::Server);
    let pool = crate::ports::PortPool::single(&(43_560..=43_590), Duration::ZERO);
    let bind = || MediaSocket::bind(&pool, LOOPBACK).expect("a socket");
    let sockets = Sockets { pbx: bind(), pbx_rtcp: bind(), whatsapp: bind() };
    let flooded = SocketAddr::new(LOOPBACK, sockets.pbx.port());
    let identity = Arc::new(Identity::generate().expect("a certificate"));
    let credentials = Credentials::draw().expect("random numbers");
    let peer = crate::peer::WhatsAppPeer::new(identity, vec![flooded], credentials);
    let seed = crate::path::LineSeed { ssrc: 1, sequence: 1, timestamp: 1 };
    let path = crate::path::AudioPath::new(crate::path::PathConfig {
        to_whatsapp: seed,
        to_pbx: seed,
        opus_complexity: 5.into(),
        options: SessionOptions::default(),
    });
    let reports = || crate::rtp::report::Reports::new(1, "c".into(), 1);
    let reports = CallReports::new(reports(), reports(), Arc::default());
    let mut call = Call::new(sockets, peer, path, reports, Box::new(|_| {}));
    for sequence in 0..70 {
        far.pbx.send_to(&rtp(107, sequence), flooded).expect("sent");
    }
    let counters = Arc::new(Counters::default());
    let mut tools = Tools::new(Arc::clone(&counters));
    let mut taken = Vec::new();
    for more in [true, true, false, false] {
        assert_eq!(call.receive(Instant::now(), Port::Pbx, &mut tools), more);
        let mut totals = RelayCounters::default();
        counters.add_to(&mut totals);
        taken.push(totals.pbx_received);
    }
    assert_eq!(taken, [32, 64, 70, 70]);
}

#[test]
fn ports_run_out_and_others_ports_are_skipped() {
    // One pair of ports, and one of two WhatsApp ports belongs to somebody else.
    let _other = UdpSocket::bind((LOOPBACK, 44_600)).expect("a socket");
    let side = |ports| Side { bind: LOOPBACK, advertised: IpAddr::from([192, 0, 2, 9]), ports };
    let config = RelayConfig {
        pbx: side(43_600..=43_601),
        whatsapp: side(44_600..=44_601).into(),
        workers: 2,
        opus_complexity: 5.into(),
        port_rest: Duration::from_secs(60),
    };
    let relay = Relay::start(config.clone()).expect("started");
    let open = || relay.open(&SessionOptions::default(), Box::new(|_| {}));
    let session = open().expect("a session");
    assert_eq!(session.pbx_address(), "192.0.2.9:43600".parse().expect("an address"));
    let offer = our_offer(&session);
    assert_eq!(offer.candidates, ["192.0.2.9:44601".parse().expect("an address")]);
    assert!(matches!(open(), Err(OpenError::NoPort)));
    drop(session);
    // They rest, whether the call has already closed or not.
    assert!(matches!(open(), Err(OpenError::NoPort)));

    let odd = RelayConfig { pbx: side(43_601..=43_602), ..config.clone() };
    assert!(matches!(Relay::start(odd), Err(StartError::NoPortPair(_))));
    let elsewhere = Side { bind: IpAddr::from([192, 0, 2, 9]), ..side(43_700..=43_709) };
    let relay = Relay::start(RelayConfig { pbx: elsewhere, ..config }).expect("started");
    assert!(matches!(relay.open(&SessionOptions::default(), Box::new(|_| {})), Err(OpenError::Bind(..))));
}

#[test]
fn dropping_the_relay_closes_what_is_left_and_stops_the_threads() {
    let relay = relay(43_800, 10);
    let far = Far::up(&relay, DtlsRole::Server);
    let idle = Far::open(&relay, DtlsRole::Server);
    drop(relay);
    // The threads are joined: everything has been said.
    let last = |far: &Far| far.events.try_iter().last();
    assert!(matches!(last(&far), Some(MediaEvent::Closed(_))));
    assert!(matches!(last(&idle), Some(MediaEvent::Closed(_))));
    far.session().open();
    drop(far);
}
