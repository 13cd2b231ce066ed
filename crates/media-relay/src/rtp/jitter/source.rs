//! One source's numbers: what came, what is missing, what was made up.

use super::CONCEALABLE_MS;
use super::{Header, Heard};

/// A jump forward beyond this many packets is a source that started anew (RFC 3550 A.1).
const MAX_DROPOUT: i16 = 3000;
/// A packet further back than this is a source that started anew.
const OLDEST: i16 = -100;
/// Opus of so few octets announces a pause (DTX, RFC 7587 3.1.3).
const DTX_OCTETS: usize = 2;

#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    ssrc: u32,
    /// The number of the packet to be played next, and the newest that came.
    pub(super) next: u16,
    pub(super) newest: u16,
    /// Bit n says whether the n-th packet before `next` came.
    came: u128,
    /// The timestamp after what was played last, and its length.
    pub(super) expected: u32,
    pub(super) ticks: u32,
    /// Missing packets that no slot had room for.
    skipped: u16,
    /// Packets that were given as missing; `next` is the first of them, if it was lost.
    pub(super) missing: u16,
    /// Packets that something was made up for since the last that was played.
    pub(super) made_up: u16,
    /// Sound is to follow on what was played last.
    pub(super) speaks: bool,
    pub(super) start: bool,
}

impl Source {
    pub(super) fn new(header: Header) -> Self {
        Self {
            ssrc: header.ssrc,
            next: header.sequence,
            newest: header.sequence,
            came: 0,
            expected: header.timestamp,
            ticks: 0,
            skipped: 0,
            missing: 0,
            made_up: 0,
            speaks: false,
            start: true,
        }
    }

    /// Whether a packet belongs to it and is no start anew.
    pub(super) fn goes_on(&self, header: Header) -> bool {
        let ahead = header.sequence.wrapping_sub(self.next).cast_signed();
        self.ssrc == header.ssrc && (OLDEST..=MAX_DROPOUT).contains(&ahead)
    }

    /// What a packet is whose number is over; `None` when it is not.
    pub(super) fn behind(&mut self, sequence: u16) -> Option<Heard> {
        let back = self.next.wrapping_sub(sequence);
        if back == 0 || back > OLDEST.unsigned_abs() {
            return None;
        }
        let bit = 1_u128 << (back - 1);
        let duplicated = self.came & bit != 0;
        self.came |= bit;
        Some(Heard { late: !duplicated, reordered: !duplicated, duplicated })
    }

    /// Whether something was made up in place of a packet whose number is not over.
    pub(super) fn is_made_up(&self, header: Header) -> bool {
        let ahead = header.sequence.wrapping_sub(self.next);
        ahead < self.missing && header.timestamp.wrapping_sub(self.expected).cast_signed() < 0
    }

    /// The next packet is not there at its time: something is made up for it.
    pub(super) fn miss(&mut self) {
        self.missing = self.missing.saturating_add(1);
        self.make_up();
    }

    /// Something is made up for a packet.
    pub(super) fn make_up(&mut self) {
        self.made_up = self.made_up.saturating_add(1);
        self.expected = self.expected.wrapping_add(self.ticks);
    }

    /// Whether another missing packet may be made up for.
    pub(super) fn may_miss(&self, clock: u32) -> bool {
        let all = u32::from(self.made_up).saturating_add(1).saturating_mul(self.ticks);
        let few = self.made_up == 0 || all <= clock / 1000 * CONCEALABLE_MS;
        self.speaks && self.ticks > 0 && few
    }

    /// How many of so many lost packets something was made up for.
    pub(super) fn settle(&mut self, lost: u16) -> u16 {
        let known = lost.min(self.missing);
        self.missing -= known;
        known
    }

    pub(super) fn pass(&mut self, came: bool) {
        self.next = self.next.wrapping_add(1);
        self.came = (self.came << 1) | u128::from(came);
    }

    /// Goes to a number; those between are missing.
    pub(super) fn skip_to(&mut self, sequence: u16) {
        let between = sequence.wrapping_sub(self.next);
        self.skipped = self.skipped.saturating_add(between);
        self.next = sequence;
        self.came = 0;
    }

    /// How many missing packets no slot had room for.
    pub(super) fn take_skipped(&mut self) -> u16 {
        std::mem::take(&mut self.skipped)
    }

    pub(super) fn played(&mut self, timestamp: u32, ticks: u32, octets: usize) {
        self.pass(true);
        self.expected = timestamp.wrapping_add(ticks);
        self.ticks = ticks;
        self.missing = 0;
        self.made_up = 0;
        self.speaks = octets > DTX_OCTETS;
        self.start = false;
    }

    /// Whether exactly so many packets like the last one fit before this one, and are few; of some the
    /// time is made up for.
    pub(super) fn conceals(&self, clock: u32, header: Header, lost: u16) -> bool {
        let left = lost.saturating_sub(self.missing);
        let step = u64::from(header.timestamp.wrapping_sub(self.expected));
        let all = u64::from(self.ticks) * u64::from(lost);
        let few = lost == 1 || all <= u64::from(clock / 1000 * CONCEALABLE_MS);
        let fits = step == u64::from(self.ticks) * u64::from(left);
        self.skipped == 0 && self.ticks > 0 && left > 0 && few && fits
    }
}
