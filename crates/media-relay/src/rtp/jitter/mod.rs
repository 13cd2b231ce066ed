//! An adaptive, bounded jitter buffer for the directions that decode.
//!
//! It puts packets into their order and gives each at its time: the least transit of the last seconds,
//! plus a target that follows the jitter. It stretches no time: timestamps stay the source's, so a clock
//! that drifts passes through. At a target of zero what comes in order is played as it arrives, from
//! the caller's own bytes. A packet that is missing is known by one after it; then it is given as lost,
//! at its own time, as long as concealing it makes sense. Where none comes after it, it is missed a
//! little after that one's time. Whether it was lost, or the source has paused, is known later.

mod slots;
mod source;
mod timing;

use std::time::{Duration, Instant};

use super::header::{Header, Packet};
use crate::options::JitterLimits;
use slots::{Slots, State};
use source::Source;
use timing::Timing;

/// Packets that may wait, from the next on; what is further ahead makes the first be played early.
const SLOTS: usize = 32;
/// The longest payload that may wait: 64 ms of G.711. A longer one is played at once, and what is
/// before it.
const SLOT_BYTES: usize = 512;
/// More missing sound than this is a gap: a guess as long is noise.
const CONCEALABLE_MS: u32 = 60;
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

/// What a packet was when it came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Its time was over.
    pub(crate) late: bool,
    /// One after it had come before.
    pub(crate) reordered: bool,
    /// It had come before.
    pub(crate) duplicated: bool,
}

/// What became of a packet that is no sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// Its number is not missed.
    Noted,
    /// Another source begins with it.
    Start,
    /// It has come before, or its time was over.
    Late,
}

/// Of one direction.
#[derive(Debug)]
pub(crate) struct JitterBuffer {
    timing: Timing,
    clock: u32,
    source: Option<Source>,
    slots: Slots,
}

/// The first sound that waits.
#[derive(Debug, Clone, Copy)]
struct First {
    header: Header,
    ticks: u32,
    length: usize,
    /// How far ahead of the next it is.
    ahead: u16,
    /// The missing ones are given as lost.
    conceals: bool,
    due: Instant,
}

impl JitterBuffer {
    /// One for timestamps in this clock.
    pub(crate) fn new(limits: JitterLimits, clock: u32) -> Self {
        Self { timing: Timing::new(limits, clock), clock, source: None, slots: Slots::default() }
    }

    /// What it adds now to the least transit.
    pub(crate) fn delay(&self) -> Duration {
        self.timing.target()
    }

    /// Takes a packet of sound, `ticks` long, and plays what is due.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        packet: Packet<'_>,
        ticks: u32,
        play: &mut impl FnMut(Played<'_>),
    ) -> Heard {
        let header = packet.header;
        if !self.source.is_some_and(|source| source.goes_on(header)) {
            self.play_all(play);
            self.begin(header);
            self.timing.arrive(now, header.timestamp, false);
            self.play_now(packet, ticks, play);
            return Heard::default();
        }
        // After a pause without timestamps what waits would wait for another time.
        let resumes = self.timing.is_pause(now, header.timestamp);
        if resumes {
            self.play_waiting(play);
        }
        if let Some(heard) = self.place_taken(now, header) {
            return heard;
        }
        let fresh = resumes || header.marker && self.slots.is_empty();
        let late = !fresh && self.source.is_some_and(|source| source.is_made_up(header));
        self.timing.arrive(now, header.timestamp, fresh);
        let reordered = self.note_newest(header.sequence);
        if late {
            // What comes after it may be as late from now on. If not, the next tells.
            self.timing.arrive(now, header.timestamp, true);
            self.drop_late(header.sequence, play);
            return Heard { late, reordered, duplicated: false };
        }
        self.make_room(header.sequence, play);
        if packet.payload.len() > SLOT_BYTES || self.is_due(now, header) {
            self.play_until(header.sequence, play);
            self.play_now(packet, ticks, play);
        } else {
            self.slots.store(packet, ticks);
        }
        self.play_due(now, play);
        Heard { reordered, ..Heard::default() }
    }

    /// What a packet is whose number was played, or is in the buffer; `None` when it is not.
    fn place_taken(&mut self, now: Instant, header: Header) -> Option<Heard> {
        let heard = self.source.as_mut().and_then(|source| source.behind(header.sequence));
        if let Some(heard) = heard {
            if heard.late {
                self.timing.missed(now, header.timestamp);
            }
            return Some(heard);
        }
        let waits = self.slots.state(header.sequence) != State::Empty && self.is_near(header.sequence);
        waits.then_some(Heard { duplicated: true, ..Heard::default() })
    }

    /// A packet comes after something was made up for it: that stays, and so does what was made up for
    /// those before it.
    fn drop_late(&mut self, sequence: u16, play: &mut impl FnMut(Played<'_>)) {
        self.pass_to(sequence, play);
        if let Some(source) = &mut self.source {
            source.pass(true);
            play(Played::WereLost(source.settle(1)));
        }
        self.pass_others();
    }

    /// Notes a packet whose number belongs to something that is no sound.
    pub(crate) fn leave_out(&mut self, header: Header) -> LeftOut {
        self.pause();
        let Some(source) = self.source.as_mut().filter(|source| source.goes_on(header)) else {
            return LeftOut::Start;
        };
        let near = header.sequence.wrapping_sub(source.next) < SLOTS as u16;
        let waits = self.slots.state(header.sequence) != State::Empty && near;
        if source.behind(header.sequence).is_some() || waits {
            return LeftOut::Late;
        }
        self.note_newest(header.sequence);
        if near {
            self.slots.note_other(header.sequence);
            self.pass_others();
        }
        LeftOut::Noted
    }

    /// A source begins with a packet that is no sound. What waited is forgotten.
    pub(crate) fn begin_without_sound(&mut self, header: Header) {
        self.forget();
        self.begin(header);
        if let Some(source) = &mut self.source {
            source.pass(true);
        }
    }

    /// What follows comes from elsewhere, whatever its SSRC. What waited is forgotten.
    pub(crate) fn forget(&mut self) {
        self.slots.clear();
        self.source = None;
    }

    /// The source pauses, or nobody is to hear it: nothing is missed before its next sound.
    pub(crate) fn pause(&mut self) {
        if let Some(source) = &mut self.source {
            source.speaks = false;
        }
    }

    /// When [`Self::play_due`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let first = self.first();
        let missed = self.missed_at(first.as_ref());
        [first.map(|first| first.due), missed].into_iter().flatten().min()
    }

    /// Whether all was made up that may be, and nothing waits.
    pub(crate) fn ran_dry(&self) -> bool {
        self.source.is_some_and(|source| source.made_up > 0) && self.deadline().is_none()
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

    fn miss(&mut self, play: &mut impl FnMut(Played<'_>)) {
        if let Some(source) = &mut self.source {
            play(Played::Missing { ticks: source.ticks });
            source.miss();
        }
    }

    fn begin(&mut self, header: Header) {
        self.timing.restart();
        self.source = Some(Source::new(header));
    }

    /// Plays all that waits, and forgets the source.
    pub(crate) fn play_all(&mut self, play: &mut impl FnMut(Played<'_>)) {
        self.play_waiting(play);
        self.forget();
    }

    fn play_waiting(&mut self, play: &mut impl FnMut(Played<'_>)) {
        while let Some(first) = self.first() {
            self.play_first(first, play);
        }
    }

    /// Plays what waits before a packet that does not wait.
    fn play_until(&mut self, sequence: u16, play: &mut impl FnMut(Played<'_>)) {
        let is_before = |first: &First| first.header.sequence.wrapping_sub(sequence).cast_signed() < 0;
        while let Some(first) = self.first().filter(is_before) {
            self.play_first(first, play);
        }
    }

    /// Plays the first, early, until there is a slot for this packet.
    fn make_room(&mut self, sequence: u16, play: &mut impl FnMut(Played<'_>)) {
        while !self.is_near(sequence) {
            match self.first() {
                Some(first) => self.play_first(first, play),
                None => return self.skip_to(sequence),
            }
        }
    }

    /// Nothing waits, and the packet is far ahead: those between are missing.
    fn skip_to(&mut self, sequence: u16) {
        self.slots.clear();
        if let Some(source) = &mut self.source {
            source.skip_to(sequence);
        }
    }

    /// Whether it may be played as it comes: it is the first that waits, and its time has come.
    fn is_due(&self, now: Instant, header: Header) -> bool {
        let is_next = self.source.is_some_and(|source| source.next == header.sequence);
        is_next && self.timing.due(header.timestamp, 0).is_none_or(|due| due <= now)
    }

    /// Plays a packet from where it is; those before it that did not come are a gap.
    fn play_now(&mut self, packet: Packet<'_>, ticks: u32, play: &mut impl FnMut(Played<'_>)) {
        let lost = self.pass_to(packet.header.sequence, play);
        if let Some(source) = &mut self.source {
            play(Played::Packet { packet, lost, start: source.start });
            source.played(packet.header.timestamp, ticks, packet.payload.len());
        }
        self.pass_others();
    }

    fn play_first(&mut self, first: First, play: &mut impl FnMut(Played<'_>)) {
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
    fn pass_to(&mut self, sequence: u16, play: &mut impl FnMut(Played<'_>)) -> u16 {
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
    fn pass_others(&mut self) {
        while let Some(source) = &mut self.source
            && self.slots.state(source.next) == State::Other
        {
            self.slots.take(source.next);
            source.pass(true);
        }
    }

    fn first(&self) -> Option<First> {
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

    fn note_newest(&mut self, sequence: u16) -> bool {
        let Some(source) = &mut self.source else {
            return false;
        };
        let is_older = sequence.wrapping_sub(source.newest).cast_signed() < 0;
        if !is_older {
            source.newest = sequence;
        }
        is_older
    }

    fn is_near(&self, sequence: u16) -> bool {
        self.source.is_some_and(|source| sequence.wrapping_sub(source.next) < SLOTS as u16)
    }
}

#[cfg(test)]
mod tests;
