//! One continuous line of sequence numbers and timestamps towards a side (RFC 3550 5.1),
//! whatever happens to the source behind it: another SSRC, a restart, a change of codec, frames
//! of our own in between. The source's gaps and its order stay as they are.

use std::time::{Duration, Instant};

use super::header::Header;
use super::sequence::{Arrival, Tracker};

/// Every frame that we make ourselves is this long.
pub(crate) const FRAME: Duration = Duration::from_millis(20);
/// A timestamp this far from where the clock says it should be is a source that started anew.
const MAX_JUMP_SECONDS: u32 = 2;
/// How far the line's time may stand from the clock before it is pulled back: more than any
/// packet is long, less than a drifting clock must add up to.
const SLACK: Duration = Duration::from_millis(100);
/// The most sound that a packet of a side has.
const LONGEST_PACKET_MS: u32 = 60;
/// How many packets back a late packet may still belong to the present source.
const LATE_WINDOW: u16 = 1000;

/// Where a line starts; drawn at random by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineSeed {
    /// SSRC of everything we send on this line.
    pub(crate) ssrc: u32,
    /// First sequence number; below 32768 so that SRTP's rollover is not guessed (RFC 3711 3.3.1).
    pub(crate) sequence: u16,
    /// First timestamp.
    pub(crate) timestamp: u32,
}

/// A packet's place on the source's own line, its timestamp already in the clock of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
}

impl From<Header> for Stamp {
    fn from(header: Header) -> Self {
        Self { ssrc: header.ssrc, sequence: header.sequence, timestamp: header.timestamp }
    }
}

/// A packet's place on our line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    /// The line could not simply go on: worth a marker bit.
    pub(crate) resumed: bool,
}

/// The line towards one side.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    ssrc: u32,
    clock: u32,
    /// Of the newest packet sent.
    sequence: u16,
    /// Of the newest frame sent, and the instant it stands for; the seed's before the first.
    timestamp: u32,
    at: Option<Instant>,
    source: Source,
}

/// How the source's numbers become ours.
#[derive(Debug, Clone, Default)]
struct Source {
    tracker: Tracker,
    newest: u16,
    /// Packets up to here came before the last break: their places are taken.
    floor: u16,
    sequence_offset: u16,
    timestamp_offset: u32,
}

impl Line {
    pub(crate) fn new(seed: LineSeed, clock: u32) -> Self {
        Self {
            ssrc: seed.ssrc,
            clock,
            sequence: seed.sequence.wrapping_sub(1),
            timestamp: seed.timestamp,
            at: None,
            source: Source::default(),
        }
    }

    /// What follows has nothing to do with what came before, maybe not even the clock: the
    /// numbers go on.
    pub(crate) fn new_source(&mut self, clock: u32) {
        self.clock = clock;
        self.source.tracker = Tracker::default();
    }

    /// What follows counts in this clock; the numbers go on.
    pub(crate) fn use_clock(&mut self, clock: u32) {
        if self.clock != clock {
            self.new_source(clock);
        }
    }

    /// The place of a source's frame; `None` when it comes too late to have one.
    pub(crate) fn place(&mut self, now: Instant, stamp: Stamp) -> Option<Place> {
        let next = self.sequence.wrapping_add(1);
        let (sequence, arrival) = self.place_sequence(stamp)?;
        let mapped = stamp.timestamp.wrapping_add(self.source.timestamp_offset);
        let (timestamp, resumed) = match arrival {
            Arrival::Late => (mapped, false),
            Arrival::Next { .. } if self.follows(now, mapped) => {
                let spurt = sequence == next && self.is_pause(self.timestamp, mapped);
                self.advance(now, mapped);
                (mapped, spurt)
            }
            Arrival::Next { .. } | Arrival::Restart => {
                let timestamp = self.next_frame(now);
                self.source.timestamp_offset = timestamp.wrapping_sub(stamp.timestamp);
                (timestamp, true)
            }
        };
        Some(Place { ssrc: self.ssrc, sequence, timestamp, resumed })
    }

    /// The place of a packet whose timestamp is known: one of a telephone event's.
    pub(crate) fn place_event(&mut self, stamp: Stamp, timestamp: u32) -> Option<Place> {
        let (sequence, _) = self.place_sequence(stamp)?;
        Some(Place { ssrc: self.ssrc, sequence, timestamp, resumed: false })
    }

    /// The place of a frame of our own, after all that was sent.
    pub(crate) fn place_own(&mut self, now: Instant) -> Place {
        let newest = self.timestamp;
        let timestamp = self.next_frame(now);
        let resumed = self.is_pause(newest, timestamp);
        Place { resumed, ..self.place_own_event(timestamp) }
    }

    /// The place of a packet of a telephone event of our own, after all that was sent.
    pub(crate) fn place_own_event(&mut self, timestamp: u32) -> Place {
        self.sequence = self.sequence.wrapping_add(1);
        self.source.sequence_offset = self.source.sequence_offset.wrapping_add(1);
        self.source.floor = self.source.newest;
        Place { ssrc: self.ssrc, sequence: self.sequence, timestamp, resumed: false }
    }

    /// A packet of the source that is left out: the one after it takes its place, so that nobody
    /// believes it lost.
    pub(crate) fn leave_out(&mut self, stamp: Stamp) {
        let source = &mut self.source;
        match source.tracker.observe(stamp.ssrc, stamp.sequence) {
            Arrival::Late => {}
            // Its timestamps mean nothing yet: the next packet is the first.
            Arrival::Restart => source.tracker = Tracker::default(),
            Arrival::Next { .. } => {
                source.newest = stamp.sequence;
                source.floor = stamp.sequence;
                source.sequence_offset = self.sequence.wrapping_sub(stamp.sequence);
            }
        }
    }

    /// The timestamp of an event that starts now: the source's own where it is on the line of
    /// its audio (`stamp`), else the clock's.
    pub(crate) fn event_timestamp(&self, now: Instant, stamp: Option<Stamp>) -> u32 {
        let mapped = stamp
            .filter(|stamp| self.source.tracker.follows(stamp.ssrc))
            .map(|stamp| stamp.timestamp.wrapping_add(self.source.timestamp_offset))
            .filter(|mapped| {
                let back = self.timestamp.wrapping_sub(*mapped);
                self.follows(now, *mapped) || back <= self.clock
            });
        match (mapped, self.at) {
            (Some(mapped), Some(_)) => mapped,
            (_, None) => self.timestamp,
            (None, Some(at)) => {
                let rounded = now.saturating_duration_since(at) + FRAME / 2;
                self.frames_later(whole_frames(rounded).max(1))
            }
        }
    }

    /// Between these two nothing was sent for longer than any packet lasts: the later one begins a talk spurt
    /// (RFC 3551 4.1).
    fn is_pause(&self, newest: u32, next: u32) -> bool {
        next.wrapping_sub(newest) > self.clock / 1000 * LONGEST_PACKET_MS
    }

    fn place_sequence(&mut self, stamp: Stamp) -> Option<(u16, Arrival)> {
        let source = &mut self.source;
        let arrival = source.tracker.observe(stamp.ssrc, stamp.sequence);
        match arrival {
            Arrival::Late => {
                let above = stamp.sequence.wrapping_sub(source.floor).cast_signed();
                if above <= 0 {
                    return None;
                }
                return Some((stamp.sequence.wrapping_add(source.sequence_offset), arrival));
            }
            Arrival::Restart => {
                source.floor = stamp.sequence.wrapping_sub(1);
                source.sequence_offset = self.sequence.wrapping_add(1).wrapping_sub(stamp.sequence);
            }
            Arrival::Next { .. } => {
                if stamp.sequence.wrapping_sub(source.floor) > LATE_WINDOW {
                    source.floor = stamp.sequence.wrapping_sub(LATE_WINDOW);
                }
            }
        }
        source.newest = stamp.sequence;
        self.sequence = stamp.sequence.wrapping_add(source.sequence_offset);
        Some((self.sequence, arrival))
    }

    /// Whether a timestamp comes after the newest one, and not later than the clock allows.
    fn follows(&self, now: Instant, timestamp: u32) -> bool {
        let Some(at) = self.at else {
            return false;
        };
        let elapsed = now.saturating_duration_since(at).as_millis();
        let allowed = u32::try_from(elapsed)
            .unwrap_or(u32::MAX)
            .saturating_mul(self.clock / 1000)
            .saturating_add(MAX_JUMP_SECONDS * self.clock)
            .min(u32::MAX / 2);
        (1..=allowed).contains(&timestamp.wrapping_sub(self.timestamp))
    }

    fn advance(&mut self, now: Instant, timestamp: u32) {
        let step = timestamp.wrapping_sub(self.timestamp);
        let step = Duration::from_micros(u64::from(step) * 1000 / u64::from(self.clock / 1000));
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let at = self.at.unwrap_or(now) + step;
        self.at = Some(at.clamp(earliest, now + SLACK));
        self.timestamp = timestamp;
    }

    /// Moves on by the whole frames that fit in the time gone by, by one at least.
    fn next_frame(&mut self, now: Instant) -> u32 {
        let Some(at) = self.at else {
            self.at = Some(now);
            return self.timestamp;
        };
        let frames = whole_frames(now.saturating_duration_since(at)).max(1);
        self.timestamp = self.frames_later(frames);
        self.at = Some((at + FRAME * frames).min(now + SLACK));
        self.timestamp
    }

    fn frames_later(&self, frames: u32) -> u32 {
        self.timestamp.wrapping_add(frames.wrapping_mul(self.clock / 50))
    }
}

fn whole_frames(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / FRAME.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
