//! Which packets on the PBX's port are the PBX's (symmetric RTP, RFC 4961), and where ours go.
//!
//! Only the host named in the SDP is heard. Its port may differ from the SDP's behind a NAT:
//! within a short window after its first packet a run of packets from one other port takes the
//! SDP's place, unless the SDP's own port speaks. Then the source is locked until the next SDP.
//!
//! After a transfer the leg before may go on sending, often from the same host: its source is not
//! learned for the new one's.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::header::Packet;

/// How long after the first packet the port may still be learned.
const LEARNING: Duration = Duration::from_millis(1500);
/// How long a source before this one is refused: until the new one has spoken, at the longest.
const REFUSED: Duration = Duration::from_secs(5);
/// Packets in sequence from another port before we send there.
const RUN_TO_LOCK: u8 = 4;

/// The source of one PBX's packets.
#[derive(Debug, Clone)]
pub(crate) struct Latch {
    sdp: SocketAddr,
    state: State,
    /// The source before this one, refused until then.
    former: Option<(SocketAddr, Instant)>,
}

#[derive(Debug, Clone)]
enum State {
    /// No packet yet.
    Waiting,
    /// Packets, but not from the SDP's port.
    Learning { until: Instant, run: Run },
    /// Only this source is heard.
    Locked(SocketAddr),
}

/// Packets in sequence from one source.
#[derive(Debug, Clone)]
struct Run {
    source: SocketAddr,
    sequence: u16,
    length: u8,
}

impl Latch {
    /// A latch for the address of the PBX's SDP.
    pub(crate) fn new(sdp: SocketAddr) -> Self {
        Self { sdp, state: State::Waiting, former: None }
    }

    /// The address of the SDP.
    pub(crate) fn sdp(&self) -> SocketAddr {
        self.sdp
    }

    /// This one takes another's place.
    pub(crate) fn follow(&mut self, now: Instant, other: &Self) {
        let source = match other.state {
            State::Locked(source) => source,
            State::Waiting | State::Learning { .. } => other.sdp,
        };
        self.former = (source != self.sdp).then_some((source, now + REFUSED));
    }

    /// Whether a packet from there can be the PBX's. Nothing is learned by asking, so that what came may
    /// have to authenticate first.
    pub(crate) fn may_be(&self, now: Instant, source: SocketAddr) -> bool {
        if let State::Locked(locked) = self.state {
            return source == locked;
        }
        let is_former = self.former.is_some_and(|(former, until)| former == source && now < until);
        source.ip() == self.sdp.ip() && !is_former
    }

    /// Whether a packet is the PBX's; the caller counts those that are not.
    pub(crate) fn accepts(&mut self, now: Instant, source: SocketAddr, packet: &[u8]) -> bool {
        if !self.may_be(now, source) {
            return false;
        }
        if matches!(self.state, State::Locked(_)) {
            return true;
        }
        let Ok(packet) = Packet::parse(packet) else {
            return false;
        };
        if source == self.sdp {
            self.state = State::Locked(source);
            return true;
        }
        self.learn(now, source, packet.header.sequence);
        true
    }

    /// Where our packets go; `None` while the PBX receives nowhere.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        match self.state {
            _ if self.sdp.ip().is_unspecified() => None,
            State::Locked(source) => Some(source),
            State::Waiting | State::Learning { .. } => Some(self.sdp),
        }
    }

    fn learn(&mut self, now: Instant, source: SocketAddr, sequence: u16) {
        let fresh = Run { source, sequence, length: 1 };
        let (until, run) = match &self.state {
            State::Learning { until, run } if run.source == source => {
                let length = if sequence == run.sequence.wrapping_add(1) { run.length + 1 } else { 1 };
                (*until, Run { length, ..fresh })
            }
            State::Learning { until, .. } => (*until, fresh),
            State::Waiting | State::Locked(_) => (now + LEARNING, fresh),
        };
        self.state = if run.length >= RUN_TO_LOCK || now >= until {
            State::Locked(source)
        } else {
            State::Learning { until, run }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::Header;
    use super::super::testing::epoch;
    use super::*;

    fn packet(sequence: u16) -> Vec<u8> {
        let header = Header { marker: false, payload_type: 0, sequence, timestamp: 0, ssrc: 1 };
        header.to_bytes().to_vec()
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    #[test]
    fn the_address_of_the_sdp_locks_at_once() {
        let now = epoch();
        let mut latch = Latch::new(at("10.0.0.1:4000"));
        assert!(!latch.accepts(now, at("10.0.0.2:4000"), &packet(1)));
        assert!(latch.accepts(now, at("10.0.0.1:4000"), &packet(1)));
        assert!(!latch.accepts(now, at("10.0.0.1:4002"), &packet(2)));
        assert_eq!(latch.destination(), Some(at("10.0.0.1:4000")));
    }

    #[test]
    fn another_port_of_the_same_host_is_learned_by_a_run_in_sequence() {
        let now = epoch();
        let mut latch = Latch::new(at("10.0.0.1:4000"));
        let other = at("10.0.0.1:61000");
        for sequence in [65_534, 65_535, 0] {
            assert!(latch.accepts(now, other, &packet(sequence)));
            assert_eq!(latch.destination(), Some(at("10.0.0.1:4000")));
        }
        assert!(latch.accepts(now, other, &packet(1)));
        assert_eq!(latch.destination(), Some(other));
        assert!(!latch.accepts(now, at("10.0.0.1:4000"), &packet(2)));
    }

    #[test]
    fn the_port_of_the_sdp_wins_while_learning() {
        let now = epoch();
        let mut latch = Latch::new(at("10.0.0.1:4000"));
        assert!(latch.accepts(now, at("10.0.0.1:61000"), &packet(1)));
        assert!(latch.accepts(now, at("10.0.0.1:4000"), &packet(9)));
        assert!(!latch.accepts(now, at("10.0.0.1:61000"), &packet(2)));
    }

    #[test]
    fn a_broken_run_starts_over_and_the_window_ends_it() {
        let now = epoch();
        let mut latch = Latch::new(at("10.0.0.1:4000"));
        let other = at("10.0.0.1:61000");
        for sequence in [1, 2, 3, 7, 8, 9] {
            assert!(latch.accepts(now, other, &packet(sequence)));
        }
        assert_eq!(latch.destination(), Some(at("10.0.0.1:4000")));
        assert!(latch.accepts(now + LEARNING, other, &packet(20)));
        assert_eq!(latch.destination(), Some(other));
    }

    #[test]
    fn garbage_locks_nothing_and_hold_has_no_destination() {
        let now = epoch();
        let mut latch = Latch::new(at("10.0.0.1:4000"));
        assert!(!latch.accepts(now, at("10.0.0.1:4000"), b"garbage"));
        assert!(latch.accepts(now, at("10.0.0.1:4001"), &packet(1)));
        assert_eq!(Latch::new(at("0.0.0.0:4000")).destination(), None);
    }

    #[test]
    fn the_source_before_is_not_taken_for_the_new_one() {
        let now = epoch();
        for old in ["10.0.0.1:4000", "10.0.0.1:61000"] {
            let mut before = Latch::new(at("10.0.0.1:4000"));
            for sequence in 0..4 {
                before.accepts(now, at(old), &packet(sequence));
            }
            let mut latch = Latch::new(at("10.0.0.1:4002"));
            latch.follow(now, &before);
            for sequence in 4..20 {
                assert!(!latch.accepts(now, at(old), &packet(sequence)));
            }
            assert_eq!(latch.destination(), Some(at("10.0.0.1:4002")));
            for sequence in 0..4 {
                assert!(
                    latch.accepts(now, at("10.0.0.1:62000"), &packet(sequence)),
                    "another port is learned"
                );
            }
            assert!(!latch.accepts(now, at(old), &packet(20)));
        }
    }

    /// A PBX that names another port and sends from the same one as before.
    #[test]
    fn a_source_that_stays_alone_is_taken_after_all() {
        let now = epoch();
        let mut latch = Latch::new(at("10.0.0.1:4002"));
        latch.follow(now, &Latch::new(at("10.0.0.1:4000")));
        assert!(!latch.accepts(now + REFUSED - Duration::from_millis(1), at("10.0.0.1:4000"), &packet(1)));
        assert!(latch.accepts(now + REFUSED, at("10.0.0.1:4000"), &packet(2)));
        let mut same = Latch::new(at("10.0.0.1:4000"));
        same.follow(now, &Latch::new(at("10.0.0.1:4000")));
        assert!(same.accepts(now, at("10.0.0.1:4000"), &packet(1)));
    }
}
