//! An adaptive, bounded jitter buffer for the directions that decode.
//!
//! It puts packets into their order and gives each at its time: the least transit of the last seconds,
//! plus a target that follows the jitter. It stretches no time: timestamps stay the source's, so a clock
//! that drifts passes through. At a target of zero what comes in order is played as it arrives, from
//! the caller's own bytes. A packet that is missing is known by one after it; then it is given as lost,
//! at its own time, as long as concealing it makes sense. Where none comes after it, it is missed a
//! little after that one's time. Whether it was lost, or the source has paused, is known later.
//!
//! Here is what becomes of a packet when it comes; what is given next, and when, is in `playing`.

mod playing;
mod slots;
mod source;
mod timing;

use std::time::{Duration, Instant};

use super::header::{Header, Packet};
use crate::options::JitterLimits;
pub(crate) use playing::Played;
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
        if let Some(heard) = self.place_taken(now, header) {
            return heard;
        }
        // After a pause without timestamps what waits would wait for another time.
        let resumes = self.timing.is_pause(now, header.timestamp);
        if resumes {
            self.play_waiting(play);
            // It may belong between those.
            if let Some(heard) = self.place_taken(now, header) {
                return heard;
            }
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

    /// Whether all was made up that may be, and nothing waits.
    pub(crate) fn ran_dry(&self) -> bool {
        self.source.is_some_and(|source| source.made_up > 0) && self.deadline().is_none()
    }

    fn begin(&mut self, header: Header) {
        self.timing.restart();
        self.source = Some(Source::new(header));
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
