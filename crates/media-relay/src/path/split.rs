//! Opus in packets of other lengths as packets of 20 ms, its frames untouched.

use crate::codec::repacketise::{Repacketiser, Unsplittable};
use crate::rtp::header::{Header, Packet};
use crate::rtp::rewrite::Stamp;
use crate::rtp::sequence::{Arrival, Tracker};

use super::coding::Coding;

/// Of 20 ms.
const FRAME: u32 = 960;
/// A gap does not make the other side believe in more lost packets than this.
const MAX_SKIPPED: u16 = 100;

/// One direction of a call whose sides agree on Opus but not on its packets' length.
pub(super) struct Split {
    repacketiser: Repacketiser,
    tracker: Tracker,
    /// Of the packet that comes next.
    expected: u32,
    ssrc: u32,
    sequence: u16,
}

impl Split {
    pub(super) fn new() -> Self {
        Self {
            repacketiser: Repacketiser::new(),
            tracker: Tracker::default(),
            expected: 0,
            ssrc: 0,
            sequence: 0,
        }
    }

    /// A packet so many ticks long; `emit` gets each payload of 20 ms in its place on a line of the
    /// source's own. False when it comes late.
    ///
    /// # Errors
    /// It does not come apart.
    pub(super) fn handle(
        &mut self,
        packet: &Packet<'_>,
        ticks: u32,
        emit: &mut impl FnMut(Stamp, &[u8]),
    ) -> Result<bool, Unsplittable> {
        let Header { ssrc, sequence, timestamp, .. } = packet.header;
        match self.tracker.observe(ssrc, sequence) {
            Arrival::Late => return Ok(false),
            Arrival::Restart => {
                self.repacketiser.clear();
                self.ssrc = ssrc;
            }
            Arrival::Next { lost } => self.bridge(timestamp, (lost, ticks), emit),
        }
        self.expected = timestamp.wrapping_add(ticks);
        let begin = timestamp.wrapping_sub(self.repacketiser.pending());
        let Self { repacketiser, ssrc, sequence, .. } = self;
        repacketiser.push(packet.payload, &mut placed(begin, *ssrc, sequence, emit))?;
        Ok(true)
    }

    /// The place of an event's packet; `None` when it comes late.
    pub(super) fn place_event(&mut self, header: &Header) -> Option<Stamp> {
        match self.tracker.observe(header.ssrc, header.sequence) {
            Arrival::Late => return None,
            Arrival::Restart => {
                self.repacketiser.clear();
                (self.ssrc, self.expected) = (header.ssrc, header.timestamp);
            }
            Arrival::Next { lost } => self.skip(lost),
        }
        self.skip(1);
        Some(Stamp { ssrc: self.ssrc, sequence: self.sequence, timestamp: header.timestamp })
    }

    /// A packet of the source that is left out is no lost one.
    pub(super) fn leave_out(&mut self, header: &Header) {
        self.tracker.skip(header.ssrc, header.sequence);
    }

    /// What waits has no other half when packets are missing, or the source had paused.
    fn bridge(&mut self, timestamp: u32, (lost, ticks): (u16, u32), emit: &mut impl FnMut(Stamp, &[u8])) {
        if timestamp == self.expected {
            return;
        }
        let begin = self.expected.wrapping_sub(self.repacketiser.pending());
        let Self { repacketiser, ssrc, sequence, .. } = self;
        repacketiser.fill_up(&mut placed(begin, *ssrc, sequence, emit));
        let frames = (u32::from(lost) * ticks / FRAME).min(MAX_SKIPPED.into());
        self.skip(u16::try_from(frames).unwrap_or(MAX_SKIPPED));
    }

    fn skip(&mut self, packets: u16) {
        self.sequence = self.sequence.wrapping_add(packets.min(MAX_SKIPPED));
    }
}

/// Gives each payload its place, the first at `begin`.
fn placed(
    begin: u32,
    ssrc: u32,
    sequence: &mut u16,
    emit: &mut impl FnMut(Stamp, &[u8]),
) -> impl FnMut(&[u8]) {
    let mut timestamp = begin;
    move |payload: &[u8]| {
        *sequence = sequence.wrapping_add(1);
        emit(Stamp { ssrc, sequence: *sequence, timestamp }, payload);
        timestamp = timestamp.wrapping_add(Coding::Opus.ticks(payload).unwrap_or(FRAME));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::testing::header;

    /// One frame of 10 ms, two of 20 ms in one packet.
    const TEN: (&[u8], u32) = (&[22 << 3, 7], 480);
    const FORTY: (&[u8], u32) = (&[(23 << 3) | 1, 7, 8], 1920);

    struct Rig {
        split: Split,
        /// SSRC, number, timestamp and octets of what came out.
        out: Vec<(u32, u16, u32, usize)>,
    }

    impl Rig {
        fn new() -> Self {
            Self { split: Split::new(), out: Vec::new() }
        }

        /// False when it comes late.
        fn push(&mut self, ssrc: u32, sequence: u16, timestamp: u32, (payload, ticks): (&[u8], u32)) -> bool {
            let (packet, out) =
                (Packet { header: header(111, ssrc, sequence, timestamp), payload }, &mut self.out);
            let mut emit = |stamp: Stamp, payload: &[u8]| {
                out.push((stamp.ssrc, stamp.sequence, stamp.timestamp, payload.len()));
            };
            self.split.handle(&packet, ticks, &mut emit).expect("comes apart")
        }

        fn numbers(&self) -> Vec<u16> {
            self.out.iter().map(|(_, sequence, ..)| *sequence).collect()
        }
    }

    #[test]
    fn a_packet_of_40_ms_is_two_in_their_places() {
        let mut rig = Rig::new();
        assert!(rig.push(5, 9, 1000, FORTY) && rig.push(5, 10, 2920, FORTY));
        assert!(!rig.push(5, 9, 1000, FORTY), "late");
        assert_eq!(rig.out, [(5, 1, 1000, 2), (5, 2, 1960, 2), (5, 3, 2920, 2), (5, 4, 3880, 2)]);
    }

    #[test]
    fn a_half_whose_other_half_is_lost_is_sent_in_its_place() {
        let mut rig = Rig::new();
        for sequence in [1, 2, 3, 5, 6] {
            rig.push(5, sequence, u32::from(sequence) * 480, TEN);
        }
        let places: Vec<_> =
            rig.out.iter().map(|(_, sequence, timestamp, _)| (*sequence, *timestamp)).collect();
        assert_eq!(places, [(1, 480), (2, 3 * 480), (3, 5 * 480)]);
    }

    #[test]
    fn lost_packets_are_as_many_frames_and_no_more_than_100() {
        for (lost, skipped) in [(3_u16, 6), (49, 98), (500, 100)] {
            let mut rig = Rig::new();
            rig.push(5, 0, 0, FORTY);
            rig.push(5, lost + 1, u32::from(lost + 1) * 1920, FORTY);
            assert_eq!(rig.numbers(), [1, 2, 3 + skipped, 4 + skipped]);
        }
    }

    #[test]
    fn another_source_has_nothing_to_do_with_the_half_that_waits() {
        for begins_with_event in [false, true] {
            let mut rig = Rig::new();
            rig.push(5, 1, 480, TEN);
            if begins_with_event {
                let place = rig.split.place_event(&header(126, 6, 699, 9000)).expect("in time");
                assert_eq!((place.ssrc, place.sequence, place.timestamp), (6, 1, 9000));
            }
            rig.push(6, 700, 9000, TEN);
            assert_eq!(rig.out, []);
            rig.push(6, 701, 9480, TEN);
            let number = 1 + u16::from(begins_with_event);
            assert_eq!(rig.out, [(6, number, 9000, 3)]);
        }
    }

    #[test]
    fn an_event_has_its_number_after_those_lost_and_what_is_left_out_is_not_lost() {
        let mut rig = Rig::new();
        rig.push(5, 1, 0, FORTY);
        let place = rig.split.place_event(&header(126, 5, 5, 1920)).expect("in time");
        assert_eq!(place.sequence, 2 + 3 + 1);
        assert!(rig.split.place_event(&header(126, 5, 5, 1920)).is_none(), "again");
        rig.split.leave_out(&header(13, 5, 6, 1920));
        rig.push(5, 7, 9600, FORTY);
        assert_eq!(rig.numbers(), [1, 2, 7, 8]);
    }
}
