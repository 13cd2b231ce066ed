//! The peer against an ICE-lite one, over a network of virtual time.
#![expect(clippy::disallowed_methods, reason = "virtual time needs a beginning")]

mod families;
mod hostile;
pub(crate) mod lite;
mod rules;
mod sdes;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::*;
use crate::srtp::TRAILER;
use lite::LitePeer;

const OURS: &str = "192.0.2.1:20000";
const THEIRS: &str = "198.51.100.7:3480";
/// One way.
const LATENCY: Duration = Duration::from_millis(15);

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Two certificates for all tests.
fn identities() -> &'static [Arc<Identity>; 2] {
    static IDENTITIES: OnceLock<[Arc<Identity>; 2]> = OnceLock::new();
    IDENTITIES.get_or_init(|| [(); 2].map(|()| Arc::new(Identity::generate().expect("a certificate"))))
}

fn rtp(sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    [&[0x80, 111, high, low, 0, 0, 0, 0, 0, 0, 0, 9], &b"twenty milliseconds"[..]].concat()
}

/// What travels: (when it arrives, order) -> (from, to, bytes).
type Wire = BTreeMap<(Instant, u64), (SocketAddr, SocketAddr, Vec<u8>)>;

/// Whether the nth datagram, sent at the time given, is lost.
type Loss = Box<dyn FnMut(u64, Duration) -> bool>;

/// The other address family, as far as it carries anything.
struct Second {
    ours: SocketAddr,
    theirs: SocketAddr,
    /// One way; `None`: nothing arrives.
    latency: Option<Duration>,
}

struct World {
    start: Instant,
    now: Instant,
    peer: WhatsAppPeer,
    lite: LitePeer,
    wire: Wire,
    sent: u64,
    loss: Loss,
    /// What a NAT makes of our address.
    nat: Option<SocketAddr>,
    second: Option<Second>,
    connected: Option<Duration>,
    failure: Option<MediaFailure>,
    received: Vec<Received>,
    /// When and where we sent.
    transmitted: Vec<(Duration, SocketAddr, Vec<u8>)>,
}

impl World {
    /// Our DTLS role is given; both descriptions are known, nothing is sent yet.
    fn new(role: DtlsRole) -> Self {
        let now = Instant::now();
        let [ours, theirs] = identities();
        let credentials = Credentials::draw().expect("random numbers");
        let peer = WhatsAppPeer::new(ours.clone(), vec![address(OURS)], credentials.clone());
        let their_role = match role {
            DtlsRole::Client => DtlsRole::Server,
            DtlsRole::Server => DtlsRole::Client,
        };
        let known = (credentials, ours.fingerprint());
        let lite = LitePeer::new(now, address(THEIRS), theirs, their_role, known);
        Self {
            start: now,
            now,
            peer,
            lite,
            wire: Wire::new(),
            sent: 0,
            loss: Box::new(|_, _| false),
            nat: None,
            second: None,
            connected: None,
            failure: None,
            received: Vec::new(),
            transmitted: Vec::new(),
        }
    }

    fn connect(&mut self) {
        let remote = self.lite.description(&identities()[1]);
        self.peer.connect(self.now, Far::Ice(remote));
        self.settle();
    }

    /// Until the time given since the start has come or `done` says so.
    fn run(&mut self, until: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.start + until;
        while !done(self) {
            let arrival = self.wire.keys().next().map(|(at, _)| *at);
            let times = [arrival, self.peer.deadline(), self.lite.deadline()];
            let Some(next) = times.into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now = end;
                return done(self);
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (from, to, mut bytes) = entry.remove();
                if to == address(OURS) || self.is_second(|second| second.ours == to) {
                    let received = self.peer.handle_datagram(self.now, from, &mut bytes);
                    self.received.push(received);
                } else if to == self.lite.address || self.is_second(|second| second.theirs == to) {
                    self.lite.handle(self.now, from, &mut bytes);
                }
                self.settle();
            }
            if self.peer.deadline().is_some_and(|at| at <= self.now) {
                self.peer.handle_timeout(self.now);
            }
            self.lite.handle_timeout(self.now);
            self.settle();
        }
        true
    }

    fn settle(&mut self) {
        while let Some(output) = self.peer.poll() {
            match output {
                PeerOutput::Transmit { destination, bytes } => {
                    self.transmitted.push((self.now - self.start, destination, bytes.clone()));
                    self.put(self.ours_to(destination), destination, bytes);
                }
                PeerOutput::Connected(took) => {
                    assert_eq!(self.connected.replace(took), None, "connected twice");
                }
                PeerOutput::Failed(failure) => {
                    assert_eq!(self.failure.replace(failure), None, "failed twice");
                }
            }
        }
        for (to, bytes) in std::mem::take(&mut self.lite.sent) {
            let second = self.second.as_ref().filter(|second| second.ours == to);
            let from = second.map_or(self.lite.address, |second| second.theirs);
            self.put(from, to, bytes);
        }
    }

    fn is_second(&self, is: impl Fn(&Second) -> bool) -> bool {
        self.second.as_ref().is_some_and(is)
    }

    fn ours_to(&self, destination: SocketAddr) -> SocketAddr {
        let second = self.second.as_ref().filter(|second| second.theirs == destination);
        second.map_or(address(OURS), |second| second.ours)
    }

    fn put(&mut self, mut from: SocketAddr, mut to: SocketAddr, bytes: Vec<u8>) {
        self.sent += 1;
        if let Some(outside) = self.nat {
            let inside = address(OURS);
            from = if from == inside { outside } else { from };
            to = if to == outside { inside } else { to };
        }
        let second = self.second.as_ref().filter(|second| [from, to].contains(&second.theirs));
        let latency = second.map_or(Some(LATENCY), |second| second.latency);
        let lost = (self.loss)(self.sent, self.now - self.start);
        if let Some(latency) = latency.filter(|_| !lost) {
            self.wire.insert((self.now + latency, self.sent), (from, to, bytes));
        }
    }

    fn up(role: DtlsRole) -> Self {
        let mut world = Self::new(role);
        world.connect();
        assert!(world.run(seconds(20), |world| world.connected.is_some() && world.lite.is_up()));
        world
    }

    fn speak(&mut self, sequence: u16) -> Option<Result<(), SrtpError>> {
        let packet = rtp(sequence);
        let mut buffer = packet.clone();
        buffer.resize(packet.len() + TRAILER, 0);
        let protected = self.peer.protect_rtp(&mut buffer, packet.len())?;
        Some(protected.map(|(to, len)| {
            buffer.truncate(len);
            self.put(self.ours_to(to), to, buffer);
        }))
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const ROLES: [DtlsRole; 2] = [DtlsRole::Client, DtlsRole::Server];

/// A cheap sequence of numbers that look random.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[test]
fn connects_in_both_roles_and_speaks_both_ways() {
    for role in ROLES {
        let mut world = World::up(role);
        // Two round trips of ICE, two or three of DTLS, at 30 ms each.
        let took = world.connected.expect("connected");
        assert!(took <= Duration::from_millis(160), "{role:?} took {took:?}");
        for sequence in 0..5 {
            assert_eq!(world.speak(sequence), Some(Ok(())));
            world.lite.speak(&rtp(100 + sequence));
        }
        world.received.clear();
        world.settle();
        let end = world.now - world.start + seconds(1);
        world.run(end, |_| false);
        assert_eq!(world.lite.heard, (0..5).map(rtp).collect::<Vec<_>>());
        let rtp_len = Received::Rtp(rtp(0).len());
        assert_eq!(world.received.iter().filter(|received| **received == rtp_len).count(), 5);
    }
}

#[test]
fn connects_from_behind_a_nat() {
    for role in ROLES {
        let mut world = World::new(role);
        world.nat = Some(address("203.0.113.80:61000"));
        world.connect();
        assert!(world.run(seconds(20), |world| world.connected.is_some() && world.lite.is_up()));
        assert_eq!(world.lite.nominated, world.nat);
        assert_eq!(world.speak(1), Some(Ok(())));
        world.run(seconds(60), |_| false);
        assert_eq!((world.lite.heard.len(), &world.failure), (1, &None));
    }
}

#[test]
fn survives_a_tenth_of_all_packets_lost() {
    let mut times = Vec::new();
    for seed in 0..40 {
        let mut world = World::new(ROLES[seed as usize % 2]);
        let mut random = noise(seed);
        world.loss = Box::new(move |_, _| random().is_multiple_of(10));
        world.connect();
        let up = world.run(seconds(20), |world| world.connected.is_some());
        assert!(up, "seed {seed}: {:?}", world.failure);
        times.push(world.connected.unwrap_or_default());
    }
    times.sort();
    println!("median {:?}, slowest {:?} of {}", times[20], times[39], times.len());
    assert!(times[20] < Duration::from_millis(400), "{times:?}");
}

#[test]
fn checks_before_whatsapp_has_our_description_cost_little() {
    // WhatsApp drops our checks until it has processed the answer.
    let mut world = World::new(DtlsRole::Client);
    world.loss = Box::new(|_, at| at < Duration::from_millis(3300));
    world.connect();
    assert!(world.run(seconds(20), |world| world.connected.is_some()));
    let took = world.connected.expect("connected");
    assert!(took < Duration::from_millis(3300 + 500 + 160), "{took:?}");
}

#[test]
fn nobody_answers_checks() {
    let mut world = World::new(DtlsRole::Client);
    world.lite.faults.no_stun = true;
    world.connect();
    assert!(!world.run(Duration::from_millis(19_999), |world| world.failure.is_some()));
    assert!(world.run(seconds(20), |world| world.failure.is_some()));
    assert_eq!(world.failure, Some(MediaFailure::IceTimeout));
    assert_eq!(world.peer.deadline(), None);
    let last = world.transmitted.last().map(|(at, ..)| *at);
    assert!(last > Some(Duration::from_millis(19_400)), "checks go on to the end: {last:?}");
    // Paced: nothing floods the peer.
    assert!((30..70).contains(&world.transmitted.len()), "{}", world.transmitted.len());
}

#[test]
fn nobody_answers_dtls() {
    for role in ROLES {
        let mut world = World::new(role);
        world.lite.faults.no_dtls = true;
        world.connect();
        assert!(world.run(seconds(21), |world| world.failure.is_some()));
        let late = world.now - world.start;
        assert!(late <= seconds(20), "{role:?} {late:?}");
        let Some(MediaFailure::DtlsFailed(why)) = world.failure else {
            panic!("{role:?}: {:?}", world.failure);
        };
        println!("{role:?}: {why}");
        let hellos = world.transmitted.iter().filter(|(.., bytes)| bytes[0] == 22).count();
        assert_eq!(hellos > 5, role == DtlsRole::Client, "{hellos} flights");
    }
}

#[test]
fn a_wrong_fingerprint_fails_the_call_before_any_key_is_used() {
    for role in ROLES {
        let mut world = World::new(role);
        let mut remote = world.lite.description(&identities()[1]);
        remote.fingerprint[31] ^= 1;
        world.peer.connect(world.now, Far::Ice(remote));
        world.settle();
        assert!(world.run(seconds(20), |world| world.failure.is_some()));
        assert_eq!(world.failure, Some(MediaFailure::FingerprintMismatch));
        assert_eq!(world.connected, None);
        assert_eq!(world.speak(0), None);
    }
}

#[test]
fn consent_is_kept_and_lost_after_30_seconds() {
    let mut world = World::up(DtlsRole::Client);
    let before = world.transmitted.len();
    world.run(seconds(100), |_| false);
    assert_eq!(world.failure, None);
    let times: Vec<_> = world.transmitted[before..].iter().map(|(at, ..)| *at).collect();
    let widest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(widest.is_some_and(|gap| gap <= seconds(5)), "RFC 7675: {widest:?}");
    assert!(times.len() < 40, "{} checks in 100 s", times.len());

    let heard = world.now;
    world.lite.faults.no_stun = true;
    let dark = Duration::from_secs(40);
    assert!(world.run(world.now - world.start + dark, |world| world.failure.is_some()));
    assert_eq!(world.failure, Some(MediaFailure::ConsentLost));
    let after = world.now - heard;
    assert!(after > seconds(26) && after <= seconds(30), "{after:?}");
}

#[test]
fn the_media_address_never_changes() {
    let mut world = World::new(DtlsRole::Client);
    let better = address("198.51.100.9:3480");
    let mut remote = world.lite.description(&identities()[1]);
    // The agent gives the candidate that comes first the higher priority.
    remote.candidates.insert(0, better);
    world.peer.connect(world.now, Far::Ice(remote));
    world.settle();
    assert!(world.run(seconds(20), |world| world.connected.is_some()));
    let chosen = world.transmitted.len();
    assert!(world.transmitted.iter().any(|(_, to, _)| *to == better), "it was tried");
    // Now the other answers the check it got at first, with the right password.
    let (.., check) = world.transmitted.iter().find(|(_, to, _)| *to == better).cloned().expect("a check");
    let mut other = LitePeer::new(
        world.now,
        better,
        &identities()[1],
        DtlsRole::Server,
        (world.peer.credentials.clone(), [0; 32]),
    );
    other.handle(world.now, address(OURS), &mut check.clone());
    let (_, mut answer) = other.sent.pop().expect("an answer");
    let outcome = world.peer.handle_datagram(world.now, better, &mut answer);
    assert_eq!(outcome, Received::Refused(Discard::Stranger));
    world.run(seconds(60), |_| false);
    let elsewhere = world.transmitted[chosen..].iter().filter(|(_, to, _)| *to != address(THEIRS));
    assert_eq!(elsewhere.count(), 0);
}

#[test]
fn a_client_hello_may_overtake_the_answer_to_our_check() {
    let mut world = World::new(DtlsRole::Server);
    world.connect();
    // The check arrives, its answer is lost, the nomination of another path
    // makes the peer speak: here by hand, from the verified address.
    world.lite.nominated = Some(address(OURS));
    let [_, theirs] = identities();
    let mut client = Handshake::new(theirs, DtlsRole::Client, [0; 32], world.now);
    let mut hello = Vec::new();
    assert!(client.handle_timeout(world.now, |bytes| hello = bytes.to_vec()).is_ok());
    let outcome = world.peer.handle_datagram(world.now, address(THEIRS), &mut hello);
    assert_eq!(outcome, Received::Refused(Discard::Early));
    assert!(world.run(seconds(1), |world| { world.transmitted.iter().any(|(.., bytes)| bytes[0] == 22) }));
    // The ServerHello goes out with the answer to the check, 30 ms in.
    assert_eq!(world.now - world.start, 2 * LATENCY);
}

#[test]
fn strangers_and_early_birds_are_refused() {
    let mut world = World::new(DtlsRole::Client);
    let mut media = rtp(1);
    let now = world.now;
    let stranger = address("203.0.113.5:9999");
    let early = Received::Refused(Discard::Early);
    let theirs = address(THEIRS);
    assert_eq!(world.peer.handle_datagram(now, theirs, &mut media), early);
    assert_eq!(world.peer.handle_datagram(now, theirs, &mut [0, 1, 0, 0]), early);
    assert_eq!(world.peer.handle_datagram(now, theirs, &mut [22, 254, 253]), early);
    assert_eq!(world.peer.deadline(), None);
    assert_eq!(world.speak(0), None);

    let mut world = World::up(DtlsRole::Client);
    let refused = Received::Refused(Discard::Stranger);
    assert_eq!(world.peer.handle_datagram(now, stranger, &mut media), refused);
    assert_eq!(world.peer.handle_datagram(now, stranger, &mut [22, 254, 253]), refused);
    // From the right place, without the key.
    let forged = Received::Refused(Discard::Unauthenticated);
    let mut media = [&rtp(1)[..], &[0; 16]].concat();
    assert_eq!(world.peer.handle_datagram(now, theirs, &mut media), forged);
    for first in [4, 19, 64, 127, 192, 255] {
        let outcome = world.peer.handle_datagram(now, theirs, &mut [first, 0, 0]);
        assert_eq!(outcome, Received::Refused(Discard::Malformed));
    }
    assert!(world.peer.poll().is_none());
}

#[test]
fn a_description_that_cannot_work_fails_at_once() {
    type Spoil = fn(&mut RemotePeer);
    let cases: [(Spoil, &str); 4] = [
        (|remote| remote.candidates = vec![address("[2001:db8::1]:3480")], "no candidate"),
        (
            |remote| remote.candidates = vec![address("0.0.0.0:3480"), address("198.51.100.7:0")],
            "no candidate",
        ),
        (|remote| remote.candidates.clear(), "no candidate"),
        (|remote| remote.credentials.ufrag = "u".repeat(257), "longer than"),
    ];
    for (spoil, expected) in cases {
        let mut world = World::new(DtlsRole::Client);
        let mut remote = world.lite.description(&identities()[1]);
        spoil(&mut remote);
        world.peer.connect(world.now, Far::Ice(remote));
        world.settle();
        let Some(MediaFailure::Unusable(why)) = world.failure else {
            panic!("{expected}: {:?}", world.failure);
        };
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn only_the_first_description_counts() {
    let mut world = World::up(DtlsRole::Client);
    let mut remote = world.lite.description(&identities()[1]);
    remote.candidates = vec![address("203.0.113.5:9999")];
    world.peer.connect(world.now, Far::Ice(remote));
    assert_eq!(world.speak(3), Some(Ok(())));
    let end = world.now - world.start + seconds(1);
    assert!(world.run(end, |world| world.lite.heard.len() == 1));
}

#[test]
fn closing_says_goodbye_once() {
    let mut world = World::up(DtlsRole::Client);
    let before = world.transmitted.len();
    world.peer.close();
    world.peer.close();
    world.settle();
    let goodbye: Vec<_> = world.transmitted[before..].iter().map(|(.., bytes)| bytes[0]).collect();
    assert_eq!(goodbye, [21], "one DTLS alert");
    assert_eq!(world.peer.deadline(), None);
}

#[test]
fn credentials_are_ice_chars_and_long_enough() {
    let drawn: Vec<_> = (0..50).map(|_| Credentials::draw().expect("random numbers")).collect();
    for credentials in &drawn {
        assert!((4..=256).contains(&credentials.ufrag.len()));
        assert!((22..=256).contains(&credentials.pwd.len()));
        let text = format!("{}{}", credentials.ufrag, credentials.pwd);
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '/'), "{text}");
        assert!(!format!("{credentials:?}").contains(&credentials.pwd));
    }
    assert!(drawn.windows(2).all(|two| two[0].pwd != two[1].pwd));
}
