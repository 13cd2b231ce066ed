//! What is played next, and when: what waits, what is lost, what is missed.

use std::time::Instant;

use super::slots::State;
use super::{Header, JitterBuffer, Packet, SLOTS};

/// What is to be played next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Played<'a> {
    /// A packet in its place.
    Packet {
        packet: Packet<'a>,
        /// Packets missing before it that were not given as lost.
        lost: u16,
        /// The first of its source.
        start: bool,
    },
    /// A packet that did not come.
    Lost {
        /// Its length, that of the one before.
        ticks: u32,
        /// The one right after it.
        next: Option<Packet<'a>>,
    },
    /// A packet that should be there by now, of this length. It was lost, comes too late, or was never
    /// sent.
    Missing { ticks: u32 },
    /// So many of those that were given as missing had been sent.
    WereLost(u16),
}

/// The first sound that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct First {
    pub(super) header: Header,
    ticks: u32,
    length: usize,
    /// How far ahead of the next it is.
    ahead: u16,
    /// The missing ones are given as lost.
    conceals: bool,
    due: Instant,
}

impl JitterBuffer {
    /// When [`Self::play_due`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let first = self.first();
        let missed = self.missed_at(first.as_ref());
        [first.map(|first| first.due), missed].into_iter().flatten().min()
    }

    /// Plays what is due.
    pub(crate) fn play_due(&mut self, now: Instant, play: &mut impl FnMut(Played<'_>)) {
        loop {
            let first = self.first();
            if self.missed_at(first.as_ref()).is_some_and(|at| at <= now) {
                self.miss(play);
            } else if let Some(first) = first.filter(|first| first.due <= now) {
                self.play_first(first, play);
            } else {
                return;
            }
        }
    }

    /// When the next packet is missed, if nothing that waits tells of it before.
    fn missed_at(&self, first: Option<&First>) -> Option<Instant> {
        let source = self.source.filter(|source| source.may_miss(self.clock))?;
        let at = self.timing.missed_at(source.expected, source.ticks)?;
        let Some(first) = first else {
            return Some(at);
        };
        let room = first.header.timestamp.wrapping_sub(source.expected).cast_signed();
        let fits = !first.conceals && i64::from(room) >= i64::from(source.ticks);
        (fits && at < first.due).then_some(at)
    }

    pub(super) fn first(&self) -> Option<First> {
        let source = self.source.filter(|_| !self.slots.is_empty())?;
        let (mut missing, mut ahead) = (0_u16, 0);
        while ahead < SLOTS as u16 {
            match self.slots.state(source.next.wrapping_add(ahead)) {
                State::Empty => missing += 1,
                State::Other => {}
                State::Sound { header, ticks, length } => {
                    let conceals = missing > 0 && source.conceals(self.clock, header, missing);
                    let left = if conceals { missing.saturating_sub(source.missing) } else { 0 };
                    let before = source.ticks.saturating_mul(left.into());
                    let due = self.timing.due(header.timestamp, before)?;
                    return Some(First { header, ticks, length, ahead, conceals, due });
                }
            }
            ahead += 1;
        }
        None
    }

    fn miss(&mut self, play: &mut impl FnMut(Played<'_>)) {
        if let Some(source) = &mut self.source {
            play(Played::Missing { ticks: source.ticks });
            source.miss();
        }
    }

    /// Plays all that waits, and forgets the source.
    pub(crate) fn play_all(&mut self, play: &mut impl FnMut(Played<'_>)) {
        self.play_waiting(play);
        self.forget();
    }

    pub(super) fn play_waiting(&mut self, play: &mut impl FnMut(Played<'_>)) {
        while let Some(first) = self.first() {
            self.play_first(first, play);
        }
    }

    /// Plays what waits before a packet that does not wait.
    pub(super) fn play_until(&mut self, sequence: u16, play: &mut impl FnMut(Played<'_>)) {
        let is_before = |first: &First| first.header.sequence.wrapping_sub(sequence).cast_signed() < 0;
        while let Some(first) = self.first().filter(is_before) {
            self.play_first(first, play);
        }
    }

    /// Plays a packet from where it is; those before it that did not come are a gap.
    pub(super) fn play_now(&mut self, packet: Packet<'_>, ticks: u32, play: &mut impl FnMut(Played<'_>)) {
        let lost = self.pass_to(packet.header.sequence, play);
        if let Some(source) = &mut self.source {
            play(Played::Packet { packet, lost, start: source.start });
            source.played(packet.header.timestamp, ticks, packet.payload.len());
        }
        self.pass_others();
    }

    pub(super) fn play_first(&mut self, first: First, play: &mut impl FnMut(Played<'_>)) {
        if first.conceals {
            return self.conceal_before(first, play);
        }
        let lost = self.pass_to(first.header.sequence, play);
        let Some(source) = &mut self.source else {
            return;
        };
        let payload = self.slots.payload(first.header.sequence, first.length);
        let packet = Packet { header: first.header, payload };
        play(Played::Packet { packet, lost, start: source.start });
        source.played(first.header.timestamp, first.ticks, first.length);
        self.slots.take(first.header.sequence);
        self.pass_others();
    }

    /// The first packet before this one that is lost and was not made up for.
    fn conceal_before(&mut self, first: First, play: &mut impl FnMut(Played<'_>)) {
        let Some(source) = &mut self.source else {
            return;
        };
        if source.settle(1) == 1 {
            play(Played::WereLost(1));
        } else {
            let payload = self.slots.payload(first.header.sequence, first.length);
            let next = (first.ahead == 1).then_some(Packet { header: first.header, payload });
            play(Played::Lost { ticks: source.ticks, next });
            source.make_up();
        }
        source.pass(false);
        self.pass_others();
    }

    /// Passes what is between here and a packet. Gives how many of those are missing and were not made
    /// up for.
    pub(super) fn pass_to(&mut self, sequence: u16, play: &mut impl FnMut(Played<'_>)) -> u16 {
        let Some(source) = &mut self.source else {
            return 0;
        };
        let mut lost = source.take_skipped();
        while source.next != sequence {
            let came = self.slots.take(source.next);
            lost = lost.saturating_add(u16::from(!came));
            source.pass(came);
        }
        let made_up = source.settle(lost);
        if made_up > 0 {
            play(Played::WereLost(made_up));
        }
        lost - made_up
    }

    /// What is no sound needs not be played.
    pub(super) fn pass_others(&mut self) {
        while let Some(source) = &mut self.source
            && self.slots.state(source.next) == State::Other
        {
            self.slots.take(source.next);
            source.pass(true);
        }
    }
}
