//! G.711 to Opus and back, in the order of the packets' arrival.
//!
//! Both halves give each payload with its place on a line of the source's own: its SSRC, a
//! sequence number that counts frames of 20 ms, a timestamp in the clock of the other side.

use crate::codec::g711::Law;
use crate::codec::opus::{self, Decoder, Encoder, EncoderConfig, MAX_PAYLOAD, MAX_SAMPLES, TICKS_PER_SAMPLE};
use crate::codec::{FRAME_SAMPLES, Frame};
use crate::rtp::header::{Header, Packet};
use crate::rtp::rewrite::Stamp;
use crate::rtp::sequence::{Arrival, Tracker};

use super::event::PathError;
use super::reframe::Reframer;

/// More lost packets in a row than this are a gap, not concealed.
const MAX_CONCEALED: u16 = 3;
/// A longer gap does not make the other side believe in more lost packets than this.
const MAX_SKIPPED: u16 = 100;
/// A step of timestamps beyond this (10 s) is no pause but a source that started anew.
const MAX_PAUSE: i32 = 80_000;

/// Both directions of a call with a G.711 PBX.
pub(super) struct Transcoder {
    pub(super) encoding: Encoding,
    pub(super) decoding: Decoding,
}

/// What a packet was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) late: bool,
    pub(super) malformed: bool,
    /// Packets missing before it.
    pub(super) lost: u16,
    /// Of those, concealed.
    pub(super) concealed: u16,
}

impl Transcoder {
    pub(super) fn new(complexity: u8) -> Result<Self, PathError> {
        Ok(Self {
            encoding: Encoding::new(Encoder::new(&EncoderConfig::whatsapp(8000, complexity))?),
            decoding: Decoding::new(Decoder::new(8000)?),
        })
    }
}

/// PBX to WhatsApp.
pub(super) struct Encoding {
    tracker: Tracker,
    reframer: Reframer,
    framer: OpusFramer,
}

/// Frames to Opus payloads in their places.
struct OpusFramer {
    encoder: Encoder,
    ssrc: u32,
    sequence: u16,
    payload: [u8; MAX_PAYLOAD],
}

impl Encoding {
    fn new(encoder: Encoder) -> Self {
        Self {
            tracker: Tracker::default(),
            reframer: Reframer::new(),
            framer: OpusFramer { encoder, ssrc: 0, sequence: 0, payload: [0; MAX_PAYLOAD] },
        }
    }

    /// A packet of sound.
    pub(super) fn handle(
        &mut self,
        law: Law,
        packet: &Packet<'_>,
        emit: &mut impl FnMut(Stamp, &[u8]),
    ) -> Heard {
        let Header { ssrc, sequence, timestamp, .. } = packet.header;
        let (reframer, framer) = (&mut self.reframer, &mut self.framer);
        let lost = match self.tracker.observe(ssrc, sequence) {
            Arrival::Late => {
                return Heard { late: true, ..Heard::default() };
            }
            Arrival::Restart => {
                framer.ssrc = ssrc;
                reframer.restart(timestamp);
                0
            }
            Arrival::Next { lost } => lost,
        };
        if reframer.next_timestamp() != timestamp {
            reframer.pad(&mut |at, frame| framer.encode(at, frame, emit));
            let missing = timestamp.wrapping_sub(reframer.next_timestamp());
            // Lost packets leave a gap that WhatsApp conceals; a pause leaves none.
            if lost > 0 {
                framer.skip(missing / FRAME_SAMPLES as u32);
            }
            reframer.restart(timestamp);
        }
        let mut samples: Frame = [0; FRAME_SAMPLES];
        for coded in packet.payload.chunks(FRAME_SAMPLES) {
            law.decode(coded, &mut samples);
            let samples = samples.get(..coded.len()).unwrap_or_default();
            reframer.push(samples, &mut |at, frame| framer.encode(at, frame, emit));
        }
        Heard { lost, ..Heard::default() }
    }

    /// What follows comes from elsewhere, whatever its SSRC.
    pub(super) fn new_source(&mut self) {
        self.tracker = Tracker::default();
    }

    /// 20 ms of our own for WhatsApp, by the same encoder, so that its decoder follows.
    pub(super) fn own_frame(&mut self, frame: &Frame) -> &[u8] {
        let framer = &mut self.framer;
        let payload = framer.encoder.encode(frame, &mut framer.payload);
        payload.unwrap_or(&opus::SILENCE)
    }

    /// The place of a packet of an event; `None` when it comes late.
    pub(super) fn place_event(&mut self, header: &Header) -> Option<Stamp> {
        let framer = &mut self.framer;
        match self.tracker.observe(header.ssrc, header.sequence) {
            Arrival::Late => return None,
            Arrival::Restart => {
                framer.ssrc = header.ssrc;
                self.reframer.restart(header.timestamp);
            }
            Arrival::Next { lost } => framer.skip(lost.into()),
        }
        framer.sequence = framer.sequence.wrapping_add(1);
        Some(Stamp {
            ssrc: framer.ssrc,
            sequence: framer.sequence,
            timestamp: header.timestamp.wrapping_mul(TICKS_PER_SAMPLE),
        })
    }

    /// A packet of the source that is left out.
    pub(super) fn skip(&mut self, header: &Header) {
        self.tracker.skip(header.ssrc, header.sequence);
    }
}

impl OpusFramer {
    fn encode(&mut self, timestamp: u32, frame: &Frame, emit: &mut impl FnMut(Stamp, &[u8])) {
        self.sequence = self.sequence.wrapping_add(1);
        let stamp = Stamp {
            ssrc: self.ssrc,
            sequence: self.sequence,
            // Exact over the wrap: 6 * 2^32 is 0 again.
            timestamp: timestamp.wrapping_mul(TICKS_PER_SAMPLE),
        };
        // A frame that libopus cannot encode is a frame lost.
        if let Ok(payload) = self.encoder.encode(frame, &mut self.payload) {
            emit(stamp, payload);
        }
    }

    fn skip(&mut self, frames: u32) {
        let frames = u16::try_from(frames).unwrap_or(MAX_SKIPPED);
        self.sequence = self.sequence.wrapping_add(frames.min(MAX_SKIPPED));
    }
}

/// WhatsApp to PBX.
pub(super) struct Decoding {
    tracker: Tracker,
    decoder: Decoder,
    reframer: Reframer,
    framer: G711Framer,
    samples: [i16; MAX_SAMPLES],
    /// Of the packet decoded last: its timestamp at 48 kHz and its length in samples.
    timestamp: u32,
    length: u32,
}

/// Frames to G.711 payloads in their places.
struct G711Framer {
    ssrc: u32,
    sequence: u16,
    payload: [u8; FRAME_SAMPLES],
}

impl Decoding {
    fn new(decoder: Decoder) -> Self {
        Self {
            tracker: Tracker::default(),
            decoder,
            reframer: Reframer::new(),
            framer: G711Framer { ssrc: 0, sequence: 0, payload: [0; FRAME_SAMPLES] },
            samples: [0; MAX_SAMPLES],
            timestamp: 0,
            length: 0,
        }
    }

    /// A packet of sound.
    pub(super) fn handle(
        &mut self,
        law: Law,
        packet: &Packet<'_>,
        emit: &mut impl FnMut(Stamp, &[u8]),
    ) -> Heard {
        let mut heard = Heard::default();
        let header = packet.header;
        let Some(length) = opus::samples(packet.payload, 8000) else {
            heard.malformed = true;
            return heard;
        };
        match self.tracker.observe(header.ssrc, header.sequence) {
            Arrival::Late => {
                heard.late = true;
                return heard;
            }
            Arrival::Restart => self.restart(&header),
            Arrival::Next { lost } => {
                heard.lost = lost;
                heard.concealed = self.bridge(law, packet, lost, emit);
            }
        }
        self.timestamp = header.timestamp;
        self.length = length;
        match self.decoder.decode(packet.payload, &mut self.samples) {
            Ok(samples) => {
                let framer = &mut self.framer;
                self.reframer.push(samples, &mut |at, frame| {
                    framer.encode(law, at, frame, emit);
                });
            }
            Err(_) => heard.malformed = true,
        }
        heard
    }

    /// The place of a packet of an event; `None` when it comes late.
    pub(super) fn place_event(&mut self, header: &Header) -> Option<Stamp> {
        match self.tracker.observe(header.ssrc, header.sequence) {
            Arrival::Late => return None,
            Arrival::Restart => self.restart(header),
            Arrival::Next { lost } => self.framer.skip(lost),
        }
        let framer = &mut self.framer;
        framer.sequence = framer.sequence.wrapping_add(1);
        let missing = missing(self.timestamp, header.timestamp, self.length);
        Some(Stamp {
            ssrc: framer.ssrc,
            sequence: framer.sequence,
            timestamp: self.reframer.next_timestamp().wrapping_add_signed(missing),
        })
    }

    /// A packet of the source that is left out.
    pub(super) fn skip(&mut self, header: &Header) {
        self.tracker.skip(header.ssrc, header.sequence);
    }

    fn restart(&mut self, header: &Header) {
        // A decoder that cannot be reset goes on from what it heard: a click at most.
        let _ = self.decoder.reset();
        self.framer.ssrc = header.ssrc;
        self.reframer.restart(self.reframer.next_timestamp());
        self.timestamp = header.timestamp;
        self.length = 0;
    }

    /// Closes the gap before a packet: few lost ones are concealed, more of them or a pause move
    /// the timestamp on. Gives how many were concealed.
    fn bridge(
        &mut self,
        law: Law,
        packet: &Packet<'_>,
        lost: u16,
        emit: &mut impl FnMut(Stamp, &[u8]),
    ) -> u16 {
        let missing = missing(self.timestamp, packet.header.timestamp, self.length);
        if missing == 0 {
            return 0;
        }
        let framer = &mut self.framer;
        let plain = i64::from(missing) == i64::from(self.length) * i64::from(lost);
        if plain && lost <= MAX_CONCEALED {
            let length = self.length as usize;
            for left in (0..lost).rev() {
                let samples = if left == 0 {
                    self.decoder.recover(packet.payload, length, &mut self.samples)
                } else {
                    self.decoder.conceal(length, &mut self.samples)
                };
                let samples = samples.unwrap_or_default();
                self.reframer.push(samples, &mut |at, frame| {
                    framer.encode(law, at, frame, emit);
                });
            }
            return lost;
        }
        self.reframer.pad(&mut |at, frame| framer.encode(law, at, frame, emit));
        framer.skip(lost);
        let step = if (0..=MAX_PAUSE).contains(&missing) { missing.cast_unsigned() } else { 0 };
        self.reframer.restart(self.reframer.next_timestamp().wrapping_add(step));
        0
    }
}

/// Samples between the end of the last packet and the start of this one.
fn missing(last: u32, this: u32, length: u32) -> i32 {
    let step = this.wrapping_sub(last).cast_signed() / TICKS_PER_SAMPLE.cast_signed();
    step - length.cast_signed()
}

impl G711Framer {
    fn encode(&mut self, law: Law, timestamp: u32, frame: &Frame, emit: &mut impl FnMut(Stamp, &[u8])) {
        self.sequence = self.sequence.wrapping_add(1);
        law.encode(frame, &mut self.payload);
        let stamp = Stamp { ssrc: self.ssrc, sequence: self.sequence, timestamp };
        emit(stamp, &self.payload);
    }

    fn skip(&mut self, frames: u16) {
        self.sequence = self.sequence.wrapping_add(frames.min(MAX_SKIPPED));
    }
}
