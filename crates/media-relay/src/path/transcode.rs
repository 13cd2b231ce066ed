//! One direction's sound from one coding to another: jitter buffer, decoder, frames, encoder.
//!
//! Each payload comes out with its place on a line of the source's own: its SSRC, a sequence number
//! that counts frames, a timestamp in the clock of the other side. Time is the source's: what it
//! pauses is a pause, what was lost and is not concealed is a gap.

mod decoding;
mod encoding;

use std::time::{Duration, Instant};

use crate::codec::Frame;
use crate::codec::inband::Change;
use crate::options::JitterLimits;
use crate::rtp::header::{Header, Packet};
use crate::rtp::jitter::{JitterBuffer, LeftOut, Played};
use crate::rtp::rewrite::Stamp;

use super::coding::Coding;
use super::ear::Ear;
use super::event::{PathError, SideCounters};
use super::reframe::Reframer;
use decoding::Decoding;
use encoding::Encoding;
pub(super) use encoding::{Target, frame_ms};

/// A gap does not make the other side believe in more lost packets than this.
const MAX_SKIPPED: u32 = 100;

/// One direction of a call whose sides have no coding in common.
pub(super) struct Transcoding {
    limits: JitterLimits,
    buffer: JitterBuffer,
    voice: Voice,
}

/// What comes after the buffer.
struct Voice {
    target: Target,
    decoding: Decoding,
    reframer: Reframer,
    framer: Framer,
    /// The source's timestamp after what was heard last.
    expected: u32,
    /// Where there may be keys in the sound.
    ear: Option<Box<Ear>>,
}

/// Frames to payloads in their places.
struct Framer {
    encoding: Encoding,
    ssrc: u32,
    sequence: u16,
}

impl Transcoding {
    /// From a coding that may change later on.
    pub(super) fn new(source: Coding, target: Target, limits: JitterLimits) -> Result<Self, PathError> {
        Ok(Self {
            limits,
            buffer: JitterBuffer::new(limits, source.clock()),
            voice: Voice {
                target,
                decoding: Decoding::new(source, target.rate)?,
                reframer: Reframer::new(target.samples(), target.ticks()),
                framer: Framer { encoding: Encoding::new(&target)?, ssrc: 0, sequence: 0 },
                expected: 0,
                ear: None,
            },
        })
    }

    /// A packet of sound; `emit` gets the payloads that are due now.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        coding: Coding,
        packet: &Packet<'_>,
        counters: &mut SideCounters,
        emit: &mut impl FnMut(Stamp, &[u8]),
    ) {
        let Some(ticks) = coding.ticks(packet.payload) else {
            counters.malformed += 1;
            self.leave_out(&packet.header);
            return;
        };
        let voice = &mut self.voice;
        if coding.clock() != voice.decoding.coding().clock() {
            // Timestamps of two clocks cannot be compared: what waits is played, and all begins anew.
            self.buffer.play_all(&mut |played| voice.play(played, counters, emit));
            self.buffer = JitterBuffer::new(self.limits, coding.clock());
            voice.decoding.change(coding);
        }
        let header = Header { payload_type: coding.tag(), ..packet.header };
        let packet = Packet { header, payload: packet.payload };
        let heard = self.buffer.push(now, packet, ticks, &mut |played| voice.play(played, counters, emit));
        counters.hear(heard);
    }

    /// When [`Self::play_due`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.buffer.deadline()
    }

    /// Plays what has waited until now.
    pub(super) fn play_due(
        &mut self,
        now: Instant,
        counters: &mut SideCounters,
        emit: &mut impl FnMut(Stamp, &[u8]),
    ) {
        let voice = &mut self.voice;
        self.buffer.play_due(now, &mut |played| voice.play(played, counters, emit));
    }

    /// Lets go what has waited until now: nobody is to hear it.
    pub(super) fn drop_due(&mut self, now: Instant) {
        self.buffer.play_due(now, &mut |_| {});
    }

    /// Keys are listened for from now on, and taken out of the sound.
    pub(super) fn listen(&mut self) {
        self.voice.ear = Some(Box::new(Ear::new(self.voice.target.rate)));
    }

    /// The next change of a key.
    pub(super) fn key(&mut self) -> Option<Change> {
        self.voice.ear.as_mut()?.change()
    }

    /// What follows has nothing to do with the keys that were heard.
    pub(super) fn forget_keys(&mut self) {
        if let Some(ear) = &mut self.voice.ear {
            ear.forget();
        }
    }

    /// What the buffer adds now.
    pub(super) fn delay(&self) -> Duration {
        self.buffer.delay()
    }

    /// What follows comes from elsewhere, whatever its SSRC.
    pub(super) fn new_source(&mut self) {
        self.buffer.forget();
    }

    /// The source pauses: nothing is missed before its next sound.
    pub(super) fn pause(&mut self) {
        self.buffer.pause();
    }

    /// Whether all was made up for a silent source that may be.
    pub(super) fn ran_dry(&self) -> bool {
        self.buffer.ran_dry()
    }

    /// The loss, in percent, that the far end reports.
    pub(super) fn set_loss(&mut self, percent: u8) {
        self.voice.framer.encoding.set_loss(percent);
    }

    /// 20 ms of our own in this coding, by the same encoder, so that the far end's decoder follows.
    pub(super) fn own_frame(&mut self, coding: Coding, frame: &Frame) -> Option<&[u8]> {
        let voice = &mut self.voice;
        if voice.target.coding == coding { voice.framer.encoding.encode_own(frame) } else { None }
    }

    /// The place of a packet of an event; `None` when it comes late.
    pub(super) fn place_event(&mut self, header: &Header) -> Option<Stamp> {
        let voice = &mut self.voice;
        match self.buffer.leave_out(*header) {
            LeftOut::Late => return None,
            LeftOut::Noted => {}
            LeftOut::Start => {
                self.buffer.begin_without_sound(*header);
                voice.start(header);
            }
        }
        voice.framer.skip(1);
        let ahead = voice.to_target(header.timestamp.wrapping_sub(voice.expected).cast_signed());
        let timestamp = voice.reframer.next_timestamp().wrapping_add(ahead);
        Some(Stamp { ssrc: voice.framer.ssrc, sequence: voice.framer.sequence, timestamp })
    }

    /// A packet of the source that is no sound, or not to be heard, is no lost one.
    pub(super) fn leave_out(&mut self, header: &Header) {
        self.buffer.leave_out(*header);
    }
}

impl Voice {
    fn play(&mut self, played: Played<'_>, counters: &mut SideCounters, emit: &mut impl FnMut(Stamp, &[u8])) {
        match played {
            Played::Lost { ticks, next } => {
                counters.lost += 1;
                counters.concealed += 1;
                self.conceal(ticks, next, emit);
            }
            Played::Missing { ticks } => self.conceal(ticks, None, emit),
            Played::WereLost(packets) => {
                counters.lost += u64::from(packets);
                counters.concealed += u64::from(packets);
            }
            Played::Packet { packet, lost, start } => {
                counters.lost += u64::from(lost);
                self.come_to(&packet.header, lost, start, emit);
                counters.malformed += u64::from(!self.hear(&packet, emit));
            }
        }
    }

    /// Goes to a packet's place: past a pause, or a gap.
    fn come_to(&mut self, header: &Header, lost: u16, start: bool, emit: &mut impl FnMut(Stamp, &[u8])) {
        let coding = Coding::of_tag(header.payload_type);
        if coding != self.decoding.coding() {
            self.decoding.change(coding);
        }
        if start {
            self.start(header);
        }
        let step = header.timestamp.wrapping_sub(self.expected).cast_signed();
        if step == 0 {
            return;
        }
        let here = self.reframer.next_timestamp();
        let framer = &mut self.framer;
        self.reframer.pad(&mut |at, frame| framer.encode(at, frame, emit));
        let pause = self.to_target(step.max(0));
        if lost > 0 {
            let frames = (pause / self.target.ticks().max(1)).min(MAX_SKIPPED);
            self.framer.skip(u16::try_from(frames).unwrap_or(0));
        } else {
            self.end_key();
        }
        self.reframer.restart(here.wrapping_add(pause));
        self.expected = header.timestamp;
    }

    /// Gives a packet's sound. False when it does not decode: then its time is concealed.
    fn hear(&mut self, packet: &Packet<'_>, emit: &mut impl FnMut(Stamp, &[u8])) -> bool {
        let ticks = self.decoding.coding().ticks(packet.payload).unwrap_or(0);
        let Self { decoding, reframer, framer, ear, .. } = self;
        let mut push =
            |samples: &[i16]| reframer.push(samples, &mut |at, frame| framer.encode(at, frame, emit));
        let mut give = |samples: &[i16]| through(ear, samples, &mut push);
        let decoded = decoding.decode(packet.payload, &mut give);
        if !decoded {
            decoding.conceal(ticks, &[], &mut give);
        }
        self.expected = self.expected.wrapping_add(ticks);
        decoded
    }

    fn conceal(&mut self, ticks: u32, next: Option<Packet<'_>>, emit: &mut impl FnMut(Stamp, &[u8])) {
        let Self { decoding, reframer, framer, ear, .. } = self;
        let coding = decoding.coding();
        let next = next.filter(|next| Coding::of_tag(next.header.payload_type) == coding);
        let next = next.map_or(&[][..], |next| next.payload);
        let mut push =
            |samples: &[i16]| reframer.push(samples, &mut |at, frame| framer.encode(at, frame, emit));
        decoding.conceal(ticks, next, &mut |samples| through(ear, samples, &mut push));
        self.expected = self.expected.wrapping_add(ticks);
    }

    /// Other sound follows: a key that was heard is over.
    fn end_key(&mut self) {
        if let Some(ear) = &mut self.ear {
            ear.interrupt();
        }
    }

    /// Another source begins with this packet.
    fn start(&mut self, header: &Header) {
        self.decoding.reset();
        self.end_key();
        self.framer.ssrc = header.ssrc;
        self.expected = header.timestamp;
    }

    /// Ticks of the source as ticks of the other side.
    fn to_target(&self, ticks: i32) -> u32 {
        let (from, to) = (self.decoding.coding().clock(), self.target.coding.clock());
        let ticks = i64::from(ticks) * i64::from(to) / i64::from(from);
        // Timestamps wrap.
        ticks as u32
    }
}

/// By an ear, where there is one.
fn through(ear: &mut Option<Box<Ear>>, samples: &[i16], push: &mut impl FnMut(&[i16])) {
    match ear {
        Some(ear) => ear.listen(samples, push),
        None => push(samples),
    }
}

impl Framer {
    fn encode(&mut self, timestamp: u32, frame: &[i16], emit: &mut impl FnMut(Stamp, &[u8])) {
        self.skip(1);
        let stamp = Stamp { ssrc: self.ssrc, sequence: self.sequence, timestamp };
        if let Some(payload) = self.encoding.encode(frame) {
            emit(stamp, payload);
        }
    }

    fn skip(&mut self, frames: u16) {
        self.sequence = self.sequence.wrapping_add(frames);
    }
}
