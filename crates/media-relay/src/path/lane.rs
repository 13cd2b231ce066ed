//! One direction's way out: the line, the events on it, and the buffer packets are built in.

use std::time::{Duration, Instant};

use crate::rtp::dtmf::{Clocks, Event, Relay, Told};
use crate::rtp::header::{Header, Packet};
use crate::rtp::rewrite::{Line, LineSeed, Place, Stamp};

use super::comfort::PAUSE;
use super::keypad::Keypad;

/// No packet is longer than what an Ethernet frame carries.
const MAX_PACKET: usize = 1500;

pub(super) struct Lane {
    pub(super) line: Line,
    pub(super) relay: Relay,
    /// The keys that we press ourselves.
    pub(super) keypad: Keypad,
    /// When a pause in what is sent gets a frame of ours; only towards the PBX.
    pub(super) fill_at: Option<Instant>,
    buffer: [u8; MAX_PACKET],
}

/// What became of a packet of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Relayed {
    pub(super) sent: bool,
    pub(super) told: Told,
}

impl Lane {
    pub(super) fn new(seed: LineSeed, clock: u32, clocks: Clocks) -> Self {
        Self {
            line: Line::new(seed, clock),
            relay: Relay::new(clocks),
            keypad: Keypad::new(),
            fill_at: None,
            buffer: [0; MAX_PACKET],
        }
    }

    /// What was sent now is no pause before so long.
    pub(super) fn fill_after(&mut self, now: Instant, wait: Duration) {
        self.fill_at = Some(now + wait);
    }

    /// A source's frame; false when it comes too late.
    pub(super) fn audio(
        &mut self,
        now: Instant,
        stamp: Stamp,
        (payload_type, marker): (u8, bool),
        payload: &[u8],
        out: &mut impl FnMut(&[u8]),
    ) -> bool {
        let Some(place) = self.line.place(now, stamp) else {
            return false;
        };
        let header = header(place, payload_type, marker || place.resumed);
        self.fill_after(now, PAUSE);
        self.send(header, payload, out)
    }

    /// A frame that we have made of a source's; left out while a key of ours is in its place.
    pub(super) fn sound(
        &mut self,
        now: Instant,
        stamp: Stamp,
        payload_type: u8,
        payload: &[u8],
        out: &mut impl FnMut(&[u8]),
    ) -> bool {
        if self.keypad.is_down() {
            self.line.leave_out(stamp);
            return false;
        }
        self.audio(now, stamp, (payload_type, false), payload, out)
    }

    /// A frame of our own.
    pub(super) fn own_frame(
        &mut self,
        now: Instant,
        payload_type: u8,
        payload: &[u8],
        out: &mut impl FnMut(&[u8]),
    ) -> bool {
        let place = self.line.place_own(now);
        let header = header(place, payload_type, place.resumed);
        self.send(header, payload, out)
    }

    /// A packet of a telephone event. `on_line` says that its timestamp counts as its audio's do.
    pub(super) fn event(
        &mut self,
        now: Instant,
        (stamp, on_line): (Stamp, bool),
        payload_type: u8,
        packet: &Packet<'_>,
        out: &mut impl FnMut(&[u8]),
    ) -> Relayed {
        let Some(event) = Event::parse(packet.payload) else {
            return Relayed::default();
        };
        let line = &self.line;
        let start = || line.event_timestamp(now, on_line.then_some(stamp));
        let Some(relayed) = self.relay.handle(now, packet.header, event, start) else {
            return Relayed::default();
        };
        self.keypad.rest(now);
        self.fill_after(now, PAUSE);
        let place = self.line.place_event(stamp, relayed.timestamp);
        let sent = place.is_some_and(|place| {
            let header = header(place, payload_type, relayed.told.digit.is_some());
            self.send(header, &relayed.event.to_bytes(), out)
        });
        Relayed { sent, told: relayed.told }
    }

    /// The packet of a key of our own that is due, its durations in `clock`.
    pub(super) fn own_key(
        &mut self,
        now: Instant,
        (payload_type, clock): (u8, u32),
        out: &mut impl FnMut(&[u8]),
    ) -> bool {
        let line = &self.line;
        let Some(packet) = self.keypad.next(now, clock, || line.event_timestamp(now, None)) else {
            return false;
        };
        self.fill_after(now, PAUSE);
        let header = header(self.line.place_own_event(packet.timestamp), payload_type, packet.marker);
        self.send(header, &packet.event.to_bytes(), out)
    }

    /// A packet of a telephone event that goes nowhere: only what it tells counts.
    pub(super) fn note_event(&mut self, now: Instant, packet: &Packet<'_>) -> Told {
        let line = &self.line;
        let start = || line.event_timestamp(now, None);
        let event = Event::parse(packet.payload);
        let relayed = event.and_then(|event| self.relay.handle(now, packet.header, event, start));
        relayed.map(|relayed| relayed.told).unwrap_or_default()
    }

    fn send(&mut self, header: Header, payload: &[u8], out: &mut impl FnMut(&[u8])) -> bool {
        let packet = header.write(payload, &mut self.buffer);
        if let Some(packet) = packet {
            out(packet);
        }
        packet.is_some()
    }
}

fn header(place: Place, payload_type: u8, marker: bool) -> Header {
    Header { marker, payload_type, sequence: place.sequence, timestamp: place.timestamp, ssrc: place.ssrc }
}
