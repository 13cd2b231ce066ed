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
