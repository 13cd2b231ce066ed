//! Datagrams from the world to the WhatsApp side of a call: STUN, DTLS, and what claims to be SRTP.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use media_relay::fuzzing::{Certificate, OURS, Peer, Step, THEIRS, hmac_sha1};

use crate::choices::Choices;

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// No step makes more datagrams than this.
const FLIGHT: usize = 64;
/// Of our checks, the newest are answered.
const CHECKS: usize = 32;

fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(Certificate::new)
}

struct World<'a> {
    choices: Choices<'a>,
    peer: Peer,
    now: Instant,
    candidates: [SocketAddr; 2],
    /// Transaction ids of our checks and where they went.
    checks: Vec<([u8; 12], SocketAddr)>,
    /// Something was said that only the peer can say.
    authentic: bool,
    failed: bool,
}

/// One input is one call. Who does not know the password moves nothing: what leaves then is checks, to the two
/// candidates. No answer goes out that is longer than what asked for it, and no call is connected.
pub(crate) fn stun(data: &[u8]) {
    let mut choices = Choices(data);
    let candidates = [([198, 51, 100, 7], 3480).into(), ([198, 51, 100, 8], 3480).into()];
    let now = Instant::now();
    let local = ([192, 0, 2, 1], 20000).into();
    let peer = Peer::new(certificate(), local, candidates.to_vec(), choices.coin(), now);
    let mut world =
        World { choices, peer, now, candidates, checks: Vec::new(), authentic: false, failed: false };
    world.settle();
    while !world.choices.is_over() && !world.failed {
        world.step();
    }
    // Whatever came, it comes to an end: nobody here knows the certificate.
    for _ in 0..2000 {
        let Some(at) = world.peer.deadline().filter(|_| !world.failed) else { break };
        world.now = world.now.max(at);
        world.peer.handle_timeout(world.now);
        world.settle();
    }
    assert!(world.failed, "it waits for ever");
}

impl World<'_> {
    fn step(&mut self) {
        let source = match self.choices.byte() {
            0..100 => self.candidates[0],
            100..200 => self.candidates[1],
            other => ([203, 0, 113, other], 1024 + u16::from(other)).into(),
        };
        match self.choices.byte() % 8 {
            0 => self.noise(source),
            1 | 2 => self.request(source),
            3 | 4 => self.answer(source),
            5 => self.dtls(source),
            6 => {
                let wait = Duration::from_millis(u64::from(self.choices.byte()) * 8);
                self.now += wait;
                self.peer.handle_timeout(self.now);
                self.settle();
            }
            _ => {
                let mut srtp = vec![0x80, self.choices.of(&[111, 200, 203, 126]), 0, 1, 0, 0, 0, 0];
                srtp.extend(self.choices.bytes(40));
                assert!(!self.receive(source, srtp), "media before the keys");
            }
        }
    }

    fn noise(&mut self, source: SocketAddr) {
        let length = usize::from(self.choices.byte()) * 2;
        let noise = self.choices.bytes(length).to_vec();
        self.receive(source, noise);
    }

    /// A Binding request of the peer, or of one who would be it.
    fn request(&mut self, source: SocketAddr) {
        let id = [self.choices.byte(); 12];
        let mut attributes = attribute(6, format!("{}:{}", OURS.0, THEIRS.0).as_bytes());
        if self.choices.coin() {
            attributes.extend(attribute(0x24, &[0x6e, 0, 1, 0xff]));
        }
        attributes.extend(self.attributes());
        let kind = self.choices.of(&[[0, 1], [0, 1], [0, 0x11], [0, 3]]);
        self.signed(source, kind, id, attributes, OURS.1);
    }

    /// An answer to one of our checks.
    fn answer(&mut self, source: SocketAddr) {
        let Some((id, to)) =
            self.checks.get(usize::from(self.choices.byte()) % self.checks.len().max(1)).copied()
        else {
            return;
        };
        let source = if self.choices.coin() { to } else { source };
        // XOR-MAPPED-ADDRESS of 192.0.2.1:20000.
        let mut attributes = attribute(0x20, &[0, 1, 0x6f, 0x32, 0xe1, 0x12, 0xa6, 0x43]);
        attributes.extend(self.attributes());
        let kind = self.choices.of(&[[1, 1], [1, 1], [1, 1], [1, 0x11]]);
        self.signed(source, kind, id, attributes, THEIRS.1);
    }

    /// What else a message may hold.
    fn attributes(&mut self) -> Vec<u8> {
        let kinds = [0x25, 0x8029, 0x802a, 0x24, 9, 0x20, 0x8022, 1, 6, 8, 0x7777, 0x8028];
        let mut all = Vec::new();
        for _ in 0..self.choices.byte() % 4 {
            let kind = self.choices.of(&kinds);
            let length = self.choices.byte() % 40;
            all.extend(attribute(kind, self.choices.bytes(length.into())));
        }
        all
    }

    /// With the integrity and the fingerprint that its sender can give it.
    fn signed(&mut self, source: SocketAddr, kind: [u8; 2], id: [u8; 12], mut body: Vec<u8>, pwd: &str) {
        let knows = self.choices.byte() >= 64;
        let pwd = if knows { pwd } else { "guessed" };
        let head = |length: usize| {
            let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
            [&kind[..], &length, &COOKIE, &id].concat()
        };
        let mac = hmac_sha1(pwd.as_bytes(), &[head(body.len() + 24), body.clone()].concat());
        body.extend(attribute(8, &mac));
        let checked = [head(body.len() + 8), body.clone()].concat();
        body.extend(attribute(0x8028, &(crc32(&checked) ^ 0x5354_554e).to_be_bytes()));
        let message = [head(body.len()), body].concat();
        self.authentic |= knows;
        let taken = self.receive(source, message);
        assert!(knows || !taken, "taken without the password");
    }

    fn dtls(&mut self, source: SocketAddr) {
        let kind = self.choices.of(&[22, 22, 22, 21, 20, 23, 25]);
        let epoch = self.choices.byte() % 2;
        let mut record = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, self.choices.byte()];
        let length = usize::from(self.choices.byte());
        let body = self.choices.bytes(length);
        record.extend(u16::try_from(body.len()).unwrap_or_default().to_be_bytes());
        record.extend(body);
        self.receive(source, record);
    }

    fn receive(&mut self, source: SocketAddr, mut datagram: Vec<u8>) -> bool {
        let taken = self.peer.receive(self.now, source, &mut datagram);
        self.settle();
        taken
    }

    fn settle(&mut self) {
        let mut count = 0;
        while let Some(step) = self.peer.poll() {
            count += 1;
            match step {
                Step::Connected => panic!("connected with nobody"),
                Step::Failed => self.failed = true,
                Step::Transmit(to, bytes) => self.sent(to, &bytes),
            }
        }
        assert!(count <= FLIGHT, "{count} datagrams in one step");
    }

    fn sent(&mut self, to: SocketAddr, bytes: &[u8]) {
        let known = self.candidates.contains(&to);
        assert!(known || self.authentic, "{to} gets {bytes:?} without having said the password");
        if bytes.starts_with(&[0, 1]) {
            let id = bytes[8..20].try_into().expect("a STUN head");
            self.checks.push((id, to));
            if self.checks.len() > CHECKS {
                self.checks.remove(0);
            }
        } else {
            assert!(self.authentic, "neither an answer nor DTLS before the password");
        }
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap_or_default();
    let mut attribute = [kind.to_be_bytes(), length.to_be_bytes()].concat();
    attribute.extend(value);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

/// The CRC of STUN's FINGERPRINT (ITU-T V.42), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}
