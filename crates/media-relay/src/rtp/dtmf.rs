//! Telephone events (RFC 4733): the payload, and a relay between two sides whose clocks differ.
//!
//! WhatsApp's timestamps stand on the 48 kHz line of its audio while its durations count in
//! 8 kHz units; a PBX counts both in the clock it negotiated.

use std::time::{Duration, Instant};

use super::header::Header;

/// WhatsApp's clock of durations, in both directions.
pub(crate) const WHATSAPP_CLOCK: u32 = 8000;

/// A packet of an event further back than this is not late but a new event.
const MAX_LATE_SECONDS: u32 = 10;
/// Three packets of the longest usual interval, 50 ms: an event of which nothing more has come is over
/// (RFC 4733 2.5.2.2).
const END_LOST: Duration = Duration::from_millis(150);
/// What the duration of one segment can say (RFC 4733 2.5.1.3).
const FULL: u32 = u16::MAX as u32;
/// The keys in the order of their codes (RFC 4733 3.2).
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// One telephone-event payload (RFC 4733 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    /// Event code; 0 to 15 are the keys.
    pub(crate) code: u8,
    /// The event is over.
    pub(crate) end: bool,
    /// Power in -dBm0, 0 to 63.
    pub(crate) volume: u8,
    /// How long it lasts so far, in units of the stream's clock.
    pub(crate) duration: u16,
}

impl Event {
    /// Reads a payload; `None` when it is too short.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let &[code, flags, high, low, ..] = payload else {
            return None;
        };
        Some(Self {
            code,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// The payload's four bytes.
    pub(crate) fn to_bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        let flags = (u8::from(self.end) << 7) | (self.volume & 0x3f);
        [self.code, flags, high, low]
    }

    /// The key, for codes 0 to 15.
    pub(crate) fn digit(self) -> Option<char> {
        KEYS.get(usize::from(self.code)).map(|key| char::from(*key))
    }
}

/// The code of a key.
pub(crate) fn code(digit: char) -> Option<u8> {
    let digit = digit.to_ascii_uppercase();
    let code = KEYS.iter().position(|key| char::from(*key) == digit)?;
    u8::try_from(code).ok()
}

/// The clocks of an event's way through the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// Of the timestamps that come in.
    pub(crate) timestamp: u32,
    /// Of the durations that come in.
    pub(crate) from: u32,
    /// Of the durations that go out.
    pub(crate) to: u32,
    /// Of the timestamps that go out.
    pub(crate) line: u32,
}

/// A key that was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pressed {
    pub(crate) digit: char,
    pub(crate) duration: Duration,
}

/// What a packet tells of the keys, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The key before is over, though its end was lost.
    pub(crate) lost_end: Option<Pressed>,
    /// A key is down.
    pub(crate) digit: Option<char>,
    /// The same key is up.
    pub(crate) ended: Option<Pressed>,
}

/// Carries the events of one direction over, and tells once of each key that it is down and that
/// it is up.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    clocks: Clocks,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No event yet.
    Idle,
    /// This event, still going on or the newest one over.
    Known(Known),
}

#[derive(Debug, Clone, Copy)]
struct Known {
    code: u8,
    /// As it came in, of the present segment.
    timestamp: u32,
    duration: u16,
    ended: bool,
    /// As it goes out, of the segment that is said now; and the outgoing duration of those before it.
    out_timestamp: u32,
    out_earlier: u32,
    /// It was said that the segment is full: the next packet begins another.
    out_full: bool,
    /// Outgoing duration of the segments that came before the present one.
    earlier: u32,
    heard: Instant,
    /// Nobody knows yet that it is over.
    down: bool,
}

/// What goes out for a packet that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relayed {
    pub(crate) event: Event,
    pub(crate) timestamp: u32,
    /// The first packet of an event, which alone carries the marker, tells its digit.
    pub(crate) told: Told,
}

impl Relay {
    pub(crate) fn new(clocks: Clocks) -> Self {
        Self { clocks, state: State::Idle }
    }

    /// The PBX's clock has changed; the event that is going on keeps its timestamps.
    pub(crate) fn set_clocks(&mut self, clocks: Clocks) {
        self.clocks = clocks;
    }

    /// A packet of an event; `start` gives the outgoing timestamp of one that begins. `None` for
    /// events that are no keys and for stragglers of an event already followed by another.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        header: Header,
        event: Event,
        start: impl FnOnce() -> u32,
    ) -> Option<Relayed> {
        let digit = event.digit()?;
        let mut told = Told::default();
        let mut known = match self.state {
            State::Known(known) if known.is_same(header, event) => known,
            State::Known(known) if known.is_continued_by(header, event, self.clocks) => {
                let lasted = known.lasted(header, self.clocks).map_or(0, |lasted| self.scale(lasted));
                Known { earlier: known.earlier.saturating_add(lasted), ..known }
            }
            State::Known(known) if known.is_newer_than(header, self.clocks) => return None,
            State::Known(_) | State::Idle => {
                told.lost_end = self.let_go();
                told.digit = Some(digit);
                Known::new(now, event, start())
            }
        };
        known.timestamp = header.timestamp;
        known.duration = event.duration;
        known.ended |= event.end;
        known.heard = now;
        let duration = known.say(self.length(&known), self.clocks);
        self.state = State::Known(known);
        if event.end {
            told.ended = self.let_go();
        }
        Some(Relayed { event: Event { duration, ..event }, timestamp: known.out_timestamp, told })
    }

    /// When the key that is down counts as let go, if nothing more is heard of it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Known(known) if known.down => Some(known.heard + END_LOST),
            State::Known(_) | State::Idle => None,
        }
    }

    /// The key whose end was lost.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Pressed> {
        self.deadline().filter(|due| *due <= now)?;
        self.let_go()
    }

    /// The key that is down is up.
    fn let_go(&mut self) -> Option<Pressed> {
        let State::Known(known) = &mut self.state else {
            return None;
        };
        if !std::mem::take(&mut known.down) {
            return None;
        }
        let known = *known;
        let event = Event { code: known.code, end: true, volume: 0, duration: 0 };
        let micros = u64::from(self.length(&known)) * 1_000_000 / u64::from(self.clocks.to);
        Some(Pressed { digit: event.digit()?, duration: Duration::from_micros(micros) })
    }

    /// How long it lasts so far, as it goes out.
    fn length(&self, known: &Known) -> u32 {
        known.earlier.saturating_add(self.scale(known.duration))
    }

    fn scale(&self, duration: u16) -> u32 {
        let scaled = u64::from(duration) * u64::from(self.clocks.to) / u64::from(self.clocks.from);
        u32::try_from(scaled).unwrap_or(u32::MAX)
    }
}

impl Known {
    fn new(now: Instant, event: Event, out_timestamp: u32) -> Self {
        Self {
            code: event.code,
            timestamp: 0,
            duration: 0,
            ended: false,
            out_timestamp,
            out_earlier: 0,
            out_full: false,
            earlier: 0,
            heard: now,
            down: true,
        }
    }

    /// A marker after the end is the same key again from a sender whose timestamp stood still.
    fn is_same(&self, header: Header, event: Event) -> bool {
        let again = self.ended && header.marker && !event.end;
        header.timestamp == self.timestamp && event.code == self.code && !again
    }

    /// The next segment of an event longer than its duration field can say.
    fn is_continued_by(&self, header: Header, event: Event, clocks: Clocks) -> bool {
        event.code == self.code
            && !self.ended
            && !header.marker
            && self.duration > 0
            && self.lasted(header, clocks).is_some()
    }

    /// The duration of this segment, where the next begins with this packet. The one that says that it
    /// is full may be lost.
    fn lasted(&self, header: Header, clocks: Clocks) -> Option<u16> {
        let step = u64::from(header.timestamp.wrapping_sub(self.timestamp)) * u64::from(clocks.from);
        let ends = |lasted: &u16| step == u64::from(*lasted) * u64::from(clocks.timestamp);
        [self.duration, u16::MAX].into_iter().find(ends)
    }

    /// How much of so long an event the present segment says, as it goes out: one that is full says so
    /// once, and the packet after that begins the next (RFC 4733 2.5.1.3).
    fn say(&mut self, length: u32, clocks: Clocks) -> u16 {
        let left = length.saturating_sub(self.out_earlier);
        if let Ok(duration) = u16::try_from(left) {
            self.out_full |= left == FULL;
            return duration;
        }
        if !self.out_full && !self.ended {
            self.out_full = true;
            return u16::MAX;
        }
        self.out_full = false;
        let whole = (left - 1) / FULL * FULL;
        self.out_earlier = self.out_earlier.saturating_add(whole);
        let ticks = u64::from(whole) * u64::from(clocks.line) / u64::from(clocks.to);
        // Timestamps wrap.
        self.out_timestamp = self.out_timestamp.wrapping_add(ticks as u32);
        u16::try_from(left - whole).unwrap_or(u16::MAX)
    }

    fn is_newer_than(&self, header: Header, clocks: Clocks) -> bool {
        let behind = self.timestamp.wrapping_sub(header.timestamp);
        (1..=MAX_LATE_SECONDS * clocks.timestamp).contains(&behind)
    }
}

#[cfg(test)]
mod tests;
