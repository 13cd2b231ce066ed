//! The audio path of one call: RTP packets in, RTP packets out, both directions (RFC 3550,
//! RFC 7587, RFC 4733).
//!
//! Opus passes through; G.711 is transcoded. Towards WhatsApp there is one unbroken line of
//! packets from the moment the gate opens: whenever the PBX is silent (before its first packet,
//! on hold, dead) the path fills in frames of silence, because WhatsApp's phone sends nothing
//! before it hears from us and hangs up when it hears nothing. A jitter buffer, once there is
//! one, goes between [`Packet::parse`] and the transcoder's `handle`.

mod event;
mod lane;
mod pbx;
mod reframe;
mod transcode;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use event::{Party, PathCounters, SideCounters};

pub(crate) use crate::rtp::rewrite::LineSeed;
pub(crate) use event::{PathError, PathEvent};

use crate::codec::g711::Law;
use crate::codec::opus;
use crate::rtp::dtmf::{Clocks, WHATSAPP_CLOCK};
use crate::rtp::header::Packet;
use crate::rtp::rewrite::{FRAME, Stamp};
use crate::sdp::pbx::{Codec, Media};
use crate::sdp::whatsapp;
use lane::Lane;
use pbx::{Kind, Pbx, law, sends};
use transcode::{Heard, Transcoder};

/// Silence towards WhatsApp is filled after this, or this much longer than the PBX's packets are.
const IDLE: Duration = Duration::from_millis(60);
const IDLE_BEYOND_PACKET: Duration = Duration::from_millis(40);
/// Events wait here until they are polled; beyond it new ones are dropped.
const MAX_EVENTS: usize = 64;
const WHATSAPP_AUDIO_CLOCK: u32 = 48_000;

/// What a path needs from the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PathConfig {
    /// The line towards WhatsApp; its SSRC is the one in our SDP.
    pub(crate) to_whatsapp: LineSeed,
    /// The line towards the PBX.
    pub(crate) to_pbx: LineSeed,
    /// 0 (cheap) to 10 (good).
    pub(crate) opus_complexity: u8,
}

/// One call's path.
pub(crate) struct AudioPath {
    gate: Gate,
    pbx: Pbx,
    opus_pt: u8,
    dtmf_pt: u8,
    opus_complexity: u8,
    to_whatsapp: Lane,
    to_pbx: Lane,
    /// When the PBX was heard last.
    pbx_heard: Option<Instant>,
    whatsapp_heard: bool,
    events: VecDeque<PathEvent>,
    counters: PathCounters,
}

/// No media packet leaves before the call is answered: WhatsApp would take it for the answer.
enum Gate {
    Shut,
    /// When silence is filled towards WhatsApp, unless the PBX is heard before.
    Open {
        silence_at: Instant,
    },
}

impl AudioPath {
    /// A path whose gate is shut and whose ends are not yet known.
    pub(crate) fn new(config: PathConfig) -> Self {
        let from_pbx = Clocks { timestamp: 8000, from: 8000, to: WHATSAPP_CLOCK };
        Self {
            gate: Gate::Shut,
            pbx: Pbx::Unknown,
            opus_pt: whatsapp::OPUS_PT,
            dtmf_pt: whatsapp::DTMF_PT,
            opus_complexity: config.opus_complexity,
            to_whatsapp: Lane::new(config.to_whatsapp, WHATSAPP_AUDIO_CLOCK, from_pbx),
            to_pbx: Lane::new(config.to_pbx, 8000, whatsapp_clocks(8000)),
            pbx_heard: None,
            whatsapp_heard: false,
            events: VecDeque::with_capacity(MAX_EVENTS),
            counters: PathCounters::default(),
        }
    }

    /// WhatsApp's payload types, from its SDP.
    pub(crate) fn set_whatsapp(&mut self, opus_pt: u8, dtmf_pt: u8) {
        self.opus_pt = opus_pt;
        self.dtmf_pt = dtmf_pt;
    }

    /// What was agreed with the PBX; again after a re-negotiation, and the lines go on.
    ///
    /// # Errors
    /// The codec cannot be set up.
    pub(crate) fn set_pbx(&mut self, media: &Media) -> Result<(), PathError> {
        if let Some((_, clock)) = media.dtmf {
            let from_pbx = Clocks { timestamp: clock, from: clock, to: WHATSAPP_CLOCK };
            self.to_whatsapp.relay.set_clocks(from_pbx);
            self.to_pbx.relay.set_clocks(whatsapp_clocks(clock));
        }
        let before = std::mem::replace(&mut self.pbx, Pbx::Unknown);
        // What stays untouched goes on without a break: a refreshed session, hold towards WhatsApp.
        if before.media() != Some(media) {
            self.to_pbx.line.new_source(media.codec.clock());
        }
        self.pbx = match (media.codec, before) {
            (Codec::Opus, Pbx::Opus(_)) => Pbx::Opus(media.clone()),
            (Codec::Pcmu | Codec::Pcma, Pbx::G711(_, transcoder)) => Pbx::G711(media.clone(), transcoder),
            (codec, _) => {
                self.to_whatsapp.line.new_source(WHATSAPP_AUDIO_CLOCK);
                match codec {
                    Codec::Opus => Pbx::Opus(media.clone()),
                    Codec::Pcmu | Codec::Pcma => {
                        let transcoder = Transcoder::new(self.opus_complexity)?;
                        Pbx::G711(media.clone(), Box::new(transcoder))
                    }
                }
            }
        };
        Ok(())
    }

    /// The call is answered: sound may pass. The first packet towards WhatsApp is due at once,
    /// unless the PBX is speaking already.
    pub(crate) fn open(&mut self, now: Instant) {
        if self.is_open() {
            return;
        }
        let speaking = self.pbx_heard.is_some_and(|heard| now.saturating_duration_since(heard) < IDLE);
        let silence_at = if speaking { now + FRAME } else { now };
        self.gate = Gate::Open { silence_at };
    }

    /// Whether sound may pass.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.gate, Gate::Open { .. })
    }

    /// A packet from the PBX; `out` gets the packets for WhatsApp.
    #[expect(clippy::wrong_self_convention, reason = "a direction, not a conversion")]
    pub(crate) fn from_pbx(&mut self, now: Instant, packet: &[u8], out: &mut impl FnMut(&[u8])) {
        self.counters.pbx.received += 1;
        let Ok(packet) = Packet::parse(packet) else {
            self.counters.pbx.malformed += 1;
            return;
        };
        let kind = self.pbx.kind(packet.header.payload_type);
        let (Some(kind), false) = (kind, packet.payload.is_empty()) else {
            self.counters.pbx.ignored += 1;
            self.pbx.skip(&packet);
            return;
        };
        if !matches!(kind, Kind::Dtmf) {
            if self.pbx_heard.is_none() {
                self.report(PathEvent::FirstAudio(Party::Pbx));
            }
            self.pbx_heard = Some(now);
        }
        if !self.is_open() {
            return;
        }
        let length = match kind {
            Kind::Dtmf => self.pbx_event(now, &packet, out),
            Kind::G711(law) => self.pbx_g711(now, law, &packet, out),
            Kind::Opus => self.pbx_opus(now, &packet, out),
        };
        if let Some(length) = length {
            let silence_at = now + IDLE.max(length + IDLE_BEYOND_PACKET);
            self.gate = Gate::Open { silence_at };
        }
    }

    /// A packet from WhatsApp; `out` gets the packets for the PBX.
    #[expect(clippy::wrong_self_convention, reason = "a direction, not a conversion")]
    pub(crate) fn from_whatsapp(&mut self, now: Instant, packet: &[u8], out: &mut impl FnMut(&[u8])) {
        self.counters.whatsapp.received += 1;
        let Ok(packet) = Packet::parse(packet) else {
            self.counters.whatsapp.malformed += 1;
            return;
        };
        let audio = packet.header.payload_type == self.opus_pt;
        let dtmf = packet.header.payload_type == self.dtmf_pt;
        if packet.payload.is_empty() || !(audio || dtmf) {
            self.pbx.skip_to(packet.header);
            self.counters.whatsapp.ignored += 1;
            return;
        }
        if audio && !self.whatsapp_heard {
            self.whatsapp_heard = true;
            self.report(PathEvent::FirstAudio(Party::WhatsApp));
        }
        if !self.is_open() {
            return;
        }
        if audio {
            self.whatsapp_audio(now, &packet, out);
        } else {
            self.whatsapp_event(now, &packet, out);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.gate {
            Gate::Shut => None,
            Gate::Open { silence_at } => Some(silence_at),
        }
    }

    /// Fills what is due; `out` gets each packet with the side it goes to.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut impl FnMut(Party, &[u8])) {
        let Gate::Open { silence_at } = self.gate else {
            return;
        };
        if now < silence_at {
            return;
        }
        let mut out = |packet: &[u8]| out(Party::WhatsApp, packet);
        let sent = self.to_whatsapp.own_frame(now, self.opus_pt, self.pbx.silence(), &mut out);
        self.counters.whatsapp.sent += u64::from(sent);
        self.counters.whatsapp.silence += u64::from(sent);
        // Late by a frame or more: the timestamps skip it, nothing is sent in a burst.
        let next = silence_at + FRAME;
        let silence_at = if next > now { next } else { now + FRAME };
        self.gate = Gate::Open { silence_at };
    }

    /// What has happened since the last call.
    pub(crate) fn poll(&mut self) -> Option<PathEvent> {
        self.events.pop_front()
    }

    /// Packets so far.
    pub(crate) fn counters(&self) -> PathCounters {
        self.counters
    }

    fn report(&mut self, event: PathEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }

    fn report_digit(&mut self, from: Party, digit: Option<char>) {
        if let Some(digit) = digit {
            self.report(PathEvent::Digit { from, digit });
        }
    }
}

/// The two directions, once the gate is open.
impl AudioPath {
    /// Gives the length of what the packet brings to WhatsApp, as the two below.
    fn pbx_opus(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        out: &mut impl FnMut(&[u8]),
    ) -> Option<Duration> {
        let stamp = Stamp::from(packet.header);
        let sent =
            self.to_whatsapp.audio(now, stamp, (self.opus_pt, packet.header.marker), packet.payload, out);
        self.counters.whatsapp.sent += u64::from(sent);
        self.counters.pbx.late += u64::from(!sent);
        sent.then(|| opus::samples(packet.payload).map_or(FRAME, sound))
    }

    fn pbx_g711(
        &mut self,
        now: Instant,
        law: Law,
        packet: &Packet<'_>,
        out: &mut impl FnMut(&[u8]),
    ) -> Option<Duration> {
        let Pbx::G711(_, transcoder) = &mut self.pbx else {
            return None;
        };
        let (lane, pt, sent) = (&mut self.to_whatsapp, self.opus_pt, &mut self.counters.whatsapp.sent);
        let before = *sent;
        let heard = transcoder.encoding.handle(law, packet, &mut |stamp, payload| {
            *sent += u64::from(lane.audio(now, stamp, (pt, false), payload, out));
        });
        // A packet that made no frame yet puts no silence off.
        let made_a_frame = *sent > before;
        self.counters.pbx.count(heard);
        let samples = u32::try_from(packet.payload.len()).unwrap_or(0);
        made_a_frame.then(|| sound(samples))
    }

    fn pbx_event(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        out: &mut impl FnMut(&[u8]),
    ) -> Option<Duration> {
        let Some(place) = self.pbx.place_event_from(packet.header) else {
            self.counters.pbx.late += 1;
            return None;
        };
        let relayed = self.to_whatsapp.event(now, place, self.dtmf_pt, packet, out);
        self.counters.whatsapp.sent += u64::from(relayed.sent);
        self.report_digit(Party::Pbx, relayed.digit);
        relayed.sent.then_some(FRAME)
    }

    fn whatsapp_audio(&mut self, now: Instant, packet: &Packet<'_>, out: &mut impl FnMut(&[u8])) {
        let (lane, sent) = (&mut self.to_pbx, &mut self.counters.pbx.sent);
        match &mut self.pbx {
            Pbx::Unknown => self.counters.whatsapp.ignored += 1,
            Pbx::Opus(media) if sends(media) => {
                let stamp = Stamp::from(packet.header);
                let kind = (media.payload_type, packet.header.marker);
                let placed = lane.audio(now, stamp, kind, packet.payload, out);
                *sent += u64::from(placed);
                self.counters.whatsapp.late += u64::from(!placed);
            }
            Pbx::G711(media, transcoder) if sends(media) => {
                let law = law(media.codec);
                let pt = media.payload_type;
                let heard = transcoder.decoding.handle(law, packet, &mut |stamp, payload| {
                    *sent += u64::from(lane.audio(now, stamp, (pt, false), payload, out));
                });
                self.counters.whatsapp.count(heard);
            }
            Pbx::Opus(_) | Pbx::G711(..) => {
                self.pbx.skip_to(packet.header);
                self.counters.whatsapp.ignored += 1;
            }
        }
    }

    fn whatsapp_event(&mut self, now: Instant, packet: &Packet<'_>, out: &mut impl FnMut(&[u8])) {
        let wanted = self.pbx.media().filter(|media| sends(media)).and_then(|media| media.dtmf);
        let Some((pt, _)) = wanted else {
            // Nothing goes to the PBX, but the digit is told all the same.
            self.pbx.skip_to(packet.header);
            let digit = self.to_pbx.note_event(packet);
            self.report_digit(Party::WhatsApp, digit);
            return;
        };
        let Some(stamp) = self.pbx.place_event_to(packet.header) else {
            self.counters.whatsapp.late += 1;
            return;
        };
        let relayed = self.to_pbx.event(now, (stamp, true), pt, packet, out);
        self.counters.pbx.sent += u64::from(relayed.sent);
        self.report_digit(Party::WhatsApp, relayed.digit);
    }
}

impl SideCounters {
    fn count(&mut self, heard: Heard) {
        self.late += u64::from(heard.late);
        self.lost += u64::from(heard.lost);
        self.concealed += u64::from(heard.concealed);
        self.malformed += u64::from(heard.malformed);
    }
}

/// The length of so many samples at 8 kHz.
fn sound(samples: u32) -> Duration {
    Duration::from_micros(u64::from(samples) * 125)
}

fn whatsapp_clocks(to: u32) -> Clocks {
    Clocks { timestamp: WHATSAPP_AUDIO_CLOCK, from: WHATSAPP_CLOCK, to }
}

#[cfg(test)]
mod tests;
