//! Doors for the fuzz targets (`tests/fuzz`) into machines that are nobody else's business. Nothing else
//! uses them, and they promise nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;

use crate::options::{Keying, SessionOptions};
use crate::path::{AudioPath, LineSeed, Party, PathConfig};
use crate::peer::{Credentials, DtlsRole, Far, Identity, PeerOutput, Received, RemotePeer, WhatsAppPeer};
use crate::rtp::dtmf::{Clocks, Event, Pressed, Relay};
use crate::rtp::header::{Header, Packet};
use crate::rtp::report::{Ntp, Reported, Reports};
use crate::sdp::crypto::Keys;
use crate::sdp::{pbx, whatsapp};

/// The SSRCs of our lines, towards WhatsApp and towards the PBX.
pub const SSRCS: (u32, u32) = (0xaaaa_aaaa, 0xbbbb_bbbb);
/// Our ICE credentials and theirs.
pub const OURS: (&str, &str) = ("ourufrag", "our-password-of-24-chars");
/// The peer's, with the padding that WhatsApp's have.
pub const THEIRS: (&str, &str) = ("theirs==", "their-password-of-24-===");

/// A whole audio path.
pub struct Path(AudioPath);

impl Path {
    /// A path whose gate is shut and whose ends are unknown; its lines begin close to where they wrap.
    #[expect(clippy::new_without_default, reason = "a door, not a type")]
    pub fn new() -> Self {
        let (whatsapp, pbx) = SSRCS;
        let seed = |ssrc| LineSeed { ssrc, sequence: 65_500, timestamp: u32::MAX - 9000 };
        Self(AudioPath::new(PathConfig {
            to_whatsapp: seed(whatsapp),
            to_pbx: seed(pbx),
            opus_complexity: 0.into(),
            options: SessionOptions::default(),
        }))
    }

    /// What was agreed with the PBX.
    pub fn set_pbx(&mut self, media: &pbx::Media) {
        self.0.set_pbx(media).expect("libopus makes its encoder");
    }

    /// The call is answered.
    pub fn open(&mut self, now: Instant) {
        self.0.open(now);
    }

    /// A datagram from a side; `out` gets what goes to the other.
    pub fn receive(&mut self, now: Instant, from: Party, datagram: &[u8], out: &mut dyn FnMut(&[u8])) {
        match from {
            Party::Pbx => self.0.from_pbx(now, datagram, &mut |packet: &[u8]| out(packet)),
            Party::WhatsApp => self.0.from_whatsapp(now, datagram, &mut |packet: &[u8]| out(packet)),
        }
    }

    /// When it wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }

    /// Sends what is due of our own.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut dyn FnMut(Party, &[u8])) {
        self.0.handle_timeout(now, &mut |to, packet: &[u8]| out(to, packet));
    }

    /// How many events wait; they are dropped.
    pub fn drain(&mut self) -> usize {
        std::iter::from_fn(|| self.0.poll()).count()
    }
}

/// What a packet of a telephone event made of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Where it goes out.
    pub timestamp: u32,
    /// Its payload, as it goes out.
    pub payload: [u8; 4],
    /// The key before is over, though its end was lost.
    pub lost_end: Option<char>,
    /// A key is down.
    pub down: Option<char>,
    /// The same key is up.
    pub up: Option<char>,
}

/// One direction's relay of telephone events.
pub struct KeyRelay(Relay);

impl KeyRelay {
    /// The clocks of the timestamps and durations that come in, and of the durations that go out.
    pub fn new(timestamp: u32, from: u32, to: u32) -> Self {
        Self(Relay::new(Clocks { timestamp, from, to, line: to }))
    }

    /// A packet; an event that begins goes out at `start`.
    pub fn handle(&mut self, now: Instant, packet: (u32, bool), payload: &[u8], start: u32) -> Option<Key> {
        let (timestamp, marker) = packet;
        let header = Header { marker, payload_type: 101, sequence: 0, timestamp, ssrc: 0 };
        let relayed = self.0.handle(now, header, Event::parse(payload)?, || start)?;
        let digit = |pressed: Option<Pressed>| pressed.map(|pressed| pressed.digit);
        Some(Key {
            timestamp: relayed.timestamp,
            payload: relayed.event.to_bytes(),
            lost_end: digit(relayed.told.lost_end),
            down: relayed.told.digit,
            up: digit(relayed.told.ended),
        })
    }

    /// When the key that is down counts as let go.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }

    /// The key whose end was lost.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<char> {
        self.0.handle_timeout(now).map(|pressed| pressed.digit)
    }
}

/// What a peer wants sent or told.
#[derive(Debug)]
pub enum Step {
    /// A datagram to an address.
    Transmit(SocketAddr, Vec<u8>),
    /// SRTP can flow.
    Connected,
    /// It has failed.
    Failed,
}

/// The WhatsApp side of a call.
pub struct Peer(WhatsAppPeer);

/// Our certificate; one serves all peers.
pub struct Certificate(Arc<Identity>);

impl Certificate {
    /// Draws it.
    #[expect(clippy::new_without_default, reason = "a door, not a type")]
    pub fn new() -> Self {
        Self(Arc::new(Identity::generate().expect("a certificate")))
    }
}

impl Peer {
    /// A peer that knows the other end's candidates. No handshake with it comes to an end: nobody has the
    /// certificate that it expects.
    pub fn new(
        certificate: &Certificate,
        local: SocketAddr,
        candidates: Vec<SocketAddr>,
        client: bool,
        now: Instant,
    ) -> Self {
        let credentials =
            |(ufrag, pwd): (&str, &str)| Credentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() };
        let mut peer = WhatsAppPeer::new(Arc::clone(&certificate.0), vec![local], credentials(OURS));
        let role = if client { DtlsRole::Client } else { DtlsRole::Server };
        let credentials = credentials(THEIRS);
        peer.connect(now, Far::Ice(RemotePeer { candidates, credentials, fingerprint: [7; 32], role }));
        Self(peer)
    }

    /// A datagram. Whether it was taken, so that it may have changed something.
    pub fn receive(&mut self, now: Instant, source: SocketAddr, datagram: &mut [u8]) -> bool {
        !matches!(self.0.handle_datagram(now, source, datagram), Received::Refused(_))
    }

    /// When it wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }

    /// A time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
    }

    /// What is to be done.
    pub fn poll(&mut self) -> Option<Step> {
        self.0.poll().map(|output| match output {
            PeerOutput::Transmit { destination, bytes } => Step::Transmit(destination, bytes),
            PeerOutput::Connected(_) => Step::Connected,
            PeerOutput::Failed(_) => Step::Failed,
        })
    }
}

/// HMAC-SHA1, the key of a STUN message's integrity (RFC 8489 14.5).
pub fn hmac_sha1(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    hmac::sign(&key, message).as_ref().to_vec()
}

/// Our end of a description for WhatsApp.
pub fn whatsapp_local() -> whatsapp::Local {
    whatsapp::Local {
        candidates: vec![([192, 0, 2, 10], 40000).into()],
        ufrag: OURS.0.to_owned(),
        pwd: OURS.1.to_owned(),
        fingerprint: [9; 32],
        session_id: 7,
        keying: Keying::Dtls,
        keys: Keys::new([3; 32]),
        codecs: vec![pbx::Codec::Opus, pbx::Codec::Pcmu],
        ssrc: SSRCS.0,
        cname: "0123456789abcdef".to_owned(),
    }
}

/// The reports between us and one side.
pub struct Told(Reports);

impl Told {
    /// Of a stream of ours with this SSRC, from now on.
    pub fn new(now: Instant, ssrc: u32) -> Self {
        let mut reports = Reports::new(ssrc, "cname".to_owned(), 7);
        reports.start(now);
        Self(reports)
    }

    /// A packet of theirs, of a stream of 8 kHz.
    pub fn received(&mut self, now: Instant, packet: &[u8]) {
        if let Ok(packet) = Packet::parse(packet) {
            self.0.received(now, packet.header, Some(8000));
        }
    }

    /// A packet of ours.
    pub fn sent(&mut self, now: Instant, packet: &[u8]) {
        self.0.sent(now, packet, Some(8000));
    }

    /// A report of theirs. Whether it is one.
    pub fn hear(&mut self, now: Instant, datagram: &[u8]) -> bool {
        self.0.handle_rtcp(now, datagram).is_ok()
    }

    /// Our report, where one is due; `unix` is the time since 1970.
    pub fn handle_timeout(&mut self, now: Instant, unix: Duration, buffer: &mut [u8]) -> Option<usize> {
        self.0.handle_timeout(now, Ntp::from_unix(unix), buffer)
    }

    /// When one is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }

    /// Per cent of our packets that they have lost.
    pub fn loss(&self) -> Option<u8> {
        self.0.reported().map(Reported::percent_lost)
    }
}
