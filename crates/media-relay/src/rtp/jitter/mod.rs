//! An adaptive, bounded jitter buffer for the directions that decode.
//!
//! It puts packets into their order and gives each at its time: the least transit of the last seconds,
//! plus a target that follows the jitter. It stretches no time: timestamps stay the source's, so a clock
//! that drifts passes through. At a target of zero what comes in order is played as it arrives, from
//! the caller's own bytes. A packet that is missing is known by one after it; then it is given as lost,
//! at its own time, as long as concealing it makes sense.

mod timing;

use std::time::{Duration, Instant};

use super::header::{Header, Packet};
use crate::options::JitterLimits;
use timing::Timing;

/// Packets that may wait, from the next on; what is further ahead makes the first be played early.
const SLOTS: usize = 32;
/// The longest payload that may wait: 64 ms of G.711. A longer one is played at once, and what is
/// before it.
const SLOT_BYTES: usize = 512;
/// More missing sound than this is a gap: a guess as long is noise.
const CONCEALABLE_MS: u32 = 60;
/// A jump forward beyond this many packets is a source that started anew (RFC 3550 A.1).
const MAX_DROPOUT: i16 = 3000;
/// A packet further back than this is a source that started anew.
const OLDEST: i16 = -100;

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
    slots: Box<[Slot; SLOTS]>,
    /// Slots that are not empty.
    held: usize,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    /// The number of the packet to be played next, and the newest that came.
    next: u16,
    newest: u16,
    /// Bit n says whether the n-th packet before `next` came.
    came: u128,
    /// The timestamp after what was played last, and its length.
    expected: u32,
    ticks: u32,
    /// Missing packets that no slot had room for.
    skipped: u16,
    start: bool,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    state: State,
    payload: [u8; SLOT_BYTES],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    Sound {
        header: Header,
        ticks: u32,
        length: usize,
    },
    /// A packet that is no sound.
    Other,
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
        let empty = Slot { state: State::Empty, payload: [0; SLOT_BYTES] };
        Self {
            timing: Timing::new(limits, clock),
            clock,
            source: None,
            slots: Box::new([empty; SLOTS]),
            held: 0,
        }
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
        let Packet { header, payload } = packet;
        let Some(source) = self.source.as_mut().filter(|source| source.goes_on(header)) else {
            self.play_all(play);
            self.begin(header);
            self.timing.arrive(now, header.timestamp, false);
            self.play_now(packet, ticks, play);
            return Heard::default();
        };
        if let Some(heard) = source.behind(header.sequence) {
            if heard.late {
                self.timing.missed(now, header.timestamp);
            }
            return heard;
        }
        if self.state(header.sequence) != State::Empty && self.is_near(header.sequence) {
            return Heard { duplicated: true, ..Heard::default() };
        }
        let fresh = header.marker && self.held == 0;
        self.timing.arrive(now, header.timestamp, fresh);
        let reordered = self.note_newest(header.sequence);
        self.make_room(header.sequence, play);
        if payload.len() > SLOT_BYTES || self.is_due(now, header) {
            self.play_until(header.sequence, play);
            self.play_now(packet, ticks, play);
        } else {
            self.store(packet, ticks);
        }
        self.play_due(now, play);
        Heard { reordered, ..Heard::default() }
    }

    /// Notes a packet whose number belongs to something that is no sound.
    pub(crate) fn leave_out(&mut self, header: Header) -> LeftOut {
        let Some(source) = self.source.as_mut().filter(|source| source.goes_on(header)) else {
            return LeftOut::Start;
        };
        let near = header.sequence.wrapping_sub(source.next) < SLOTS as u16;
        if source.behind(header.sequence).is_some() || self.state(header.sequence) != State::Empty && near {
            return LeftOut::Late;
        }
        self.note_newest(header.sequence);
        if near {
            self.set(header.sequence, State::Other);
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
        for slot in self.slots.iter_mut() {
            slot.state = State::Empty;
        }
        self.held = 0;
        self.source = None;
    }

    /// When [`Self::play_due`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.first().map(|first| first.due)
    }

    /// Plays what is due.
    pub(crate) fn play_due(&mut self, now: Instant, play: &mut impl FnMut(Played<'_>)) {
        while let Some(first) = self.first().filter(|first| first.due <= now) {
            self.play_first(first, play);
        }
    }

    fn begin(&mut self, header: Header) {
        self.timing.restart();
        self.source = Some(Source {
            ssrc: header.ssrc,
            next: header.sequence,
            newest: header.sequence,
            came: 0,
            expected: header.timestamp,
            ticks: 0,
            skipped: 0,
            start: true,
        });
    }

    /// Plays all that waits, and forgets the source.
    pub(crate) fn play_all(&mut self, play: &mut impl FnMut(Played<'_>)) {
        while let Some(first) = self.first() {
            self.play_first(first, play);
        }
        self.forget();
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
        for slot in self.slots.iter_mut() {
            slot.state = State::Empty;
        }
        self.held = 0;
        if let Some(source) = &mut self.source {
            let between = sequence.wrapping_sub(source.next);
            source.skipped = source.skipped.saturating_add(between);
            source.next = sequence;
            source.came = 0;
        }
    }

    /// Whether it may be played as it comes: it is the first that waits, and its time has come.
    fn is_due(&self, now: Instant, header: Header) -> bool {
        let is_next = self.source.is_some_and(|source| source.next == header.sequence);
        is_next && self.timing.due(header.timestamp, 0).is_none_or(|due| due <= now)
    }

    fn store(&mut self, packet: Packet<'_>, ticks: u32) {
        let Packet { header, payload } = packet;
        if let Some(slot) = self.slot_mut(header.sequence)
            && let Some(room) = slot.payload.get_mut(..payload.len())
        {
            room.copy_from_slice(payload);
            self.set(header.sequence, State::Sound { header, ticks, length: payload.len() });
        }
    }

    /// Plays a packet from where it is; those before it that did not come are a gap.
    fn play_now(&mut self, packet: Packet<'_>, ticks: u32, play: &mut impl FnMut(Played<'_>)) {
        let lost = self.pass_to(packet.header.sequence);
        if let Some(source) = &mut self.source {
            play(Played::Packet { packet, lost, start: source.start });
            source.played(packet.header.timestamp, ticks);
        }
        self.pass_others();
    }

    fn play_first(&mut self, first: First, play: &mut impl FnMut(Played<'_>)) {
        let lost = if first.conceals { 0 } else { self.pass_to(first.header.sequence) };
        let place = usize::from(first.header.sequence) % SLOTS;
        let (Some(source), Some(slot)) = (&mut self.source, self.slots.get_mut(place)) else {
            return;
        };
        let payload = slot.payload.get(..first.length).unwrap_or_default();
        let packet = Packet { header: first.header, payload };
        if first.conceals {
            let next = (first.ahead == 1).then_some(packet);
            play(Played::Lost { ticks: source.ticks, next });
            source.expected = source.expected.wrapping_add(source.ticks);
            source.pass(false);
        } else {
            play(Played::Packet { packet, lost, start: source.start });
            slot.state = State::Empty;
            self.held -= 1;
            source.played(first.header.timestamp, first.ticks);
        }
        self.pass_others();
    }

    /// Passes what is between here and a packet. Gives how many of those are missing.
    fn pass_to(&mut self, sequence: u16) -> u16 {
        let Some(source) = &mut self.source else {
            return 0;
        };
        let mut lost = source.skipped;
        while source.next != sequence {
            let slot = self.slots.get_mut(usize::from(source.next) % SLOTS);
            let state = slot.map(|slot| std::mem::replace(&mut slot.state, State::Empty));
            let came = state.is_some_and(|state| state != State::Empty);
            self.held -= usize::from(came);
            lost = lost.saturating_add(u16::from(!came));
            source.pass(came);
        }
        lost
    }

    /// What is no sound needs not be played.
    fn pass_others(&mut self) {
        while let Some(source) = &mut self.source {
            let place = usize::from(source.next) % SLOTS;
            let Some(slot) = self.slots.get_mut(place).filter(|slot| slot.state == State::Other) else {
                return;
            };
            slot.state = State::Empty;
            self.held -= 1;
            source.pass(true);
        }
    }

    fn first(&self) -> Option<First> {
        let source = self.source.filter(|_| self.held > 0)?;
        let (mut missing, mut ahead) = (0, 0);
        while ahead < SLOTS as u16 {
            match self.state(source.next.wrapping_add(ahead)) {
                State::Empty => missing += 1,
                State::Other => {}
                State::Sound { header, ticks, length } => {
                    let conceals = missing > 0 && source.conceals(self.clock, header, missing);
                    let before = if conceals { source.ticks.saturating_mul(missing.into()) } else { 0 };
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

    fn state(&self, sequence: u16) -> State {
        self.slots.get(usize::from(sequence) % SLOTS).map_or(State::Empty, |slot| slot.state)
    }

    fn slot_mut(&mut self, sequence: u16) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(sequence) % SLOTS)
    }

    /// Fills an empty slot.
    fn set(&mut self, sequence: u16, state: State) {
        if let Some(slot) = self.slot_mut(sequence) {
            slot.state = state;
            self.held += 1;
        }
    }
}

impl Source {
    /// Whether a packet belongs to it and is no start anew.
    fn goes_on(&self, header: Header) -> bool {
        let ahead = header.sequence.wrapping_sub(self.next).cast_signed();
        self.ssrc == header.ssrc && (OLDEST..=MAX_DROPOUT).contains(&ahead)
    }

    /// What a packet is whose time is over; `None` when it is not.
    fn behind(&mut self, sequence: u16) -> Option<Heard> {
        let back = self.next.wrapping_sub(sequence);
        if back == 0 || back > OLDEST.unsigned_abs() {
            return None;
        }
        let bit = 1_u128 << (back - 1);
        let duplicated = self.came & bit != 0;
        self.came |= bit;
        Some(Heard { late: !duplicated, reordered: !duplicated, duplicated })
    }

    fn pass(&mut self, came: bool) {
        self.next = self.next.wrapping_add(1);
        self.came = (self.came << 1) | u128::from(came);
    }

    fn played(&mut self, timestamp: u32, ticks: u32) {
        self.pass(true);
        self.expected = timestamp.wrapping_add(ticks);
        self.ticks = ticks;
        self.skipped = 0;
        self.start = false;
    }

    /// Whether exactly so many packets like the last one fit before this one, and are few.
    fn conceals(&self, clock: u32, header: Header, missing: u16) -> bool {
        let step = header.timestamp.wrapping_sub(self.expected);
        let few = missing == 1 || step <= clock / 1000 * CONCEALABLE_MS;
        let fits = u64::from(step) == u64::from(self.ticks) * u64::from(missing);
        self.skipped == 0 && self.ticks > 0 && few && fits
    }
}

#[cfg(test)]
mod tests;
