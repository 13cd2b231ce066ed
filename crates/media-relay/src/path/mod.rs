//! The audio path of one call: RTP packets in, RTP packets out, both directions (RFC 3550,
//! RFC 7587, RFC 4733).
//!
//! What both sides have passes through as it comes; the rest goes through a jitter buffer and is
//! transcoded. Towards WhatsApp there is one unbroken line of
//! packets from the moment the gate opens: whenever the PBX is silent (before its first packet,
//! on hold, dead) the path fills in frames of silence, because WhatsApp's phone sends nothing
//! before it hears from us and hangs up when it hears nothing. A tone of our own takes the silence's
//! place, and the PBX's. Towards the PBX a tone may ring before the gate opens.

mod announcer;
mod coding;
mod comfort;
mod dialler;
mod directions;
mod ear;
mod event;
mod hold;
mod inband;
mod keypad;
mod lane;
mod own;
mod pbx;
mod player;
mod reframe;
mod setup;
mod split;
mod transcode;
mod watch;
mod way;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use event::{DigitMode, Party, PathCounters, SideCounters};

pub(crate) use crate::rtp::rewrite::LineSeed;
pub(crate) use event::PathEvent;

use crate::complexity::Complexity;
use crate::options::{JitterLimits, SessionOptions};
use crate::rtp::dtmf::{Clocks, Pressed, Told, WHATSAPP_CLOCK};
use crate::rtp::header::Packet;
use crate::rtp::rewrite::FRAME;
use crate::sdp::whatsapp;
use announcer::Announcer;
use comfort::{Comfort, PAUSE};
use hold::{Hold, Playing};
use inband::InBand;
use lane::Lane;
use own::ToneToPbx;
use pbx::{Kind, Pbx};
use watch::Watch;

/// Silence towards WhatsApp is filled after this, or this much longer than the PBX's packets are.
const IDLE: Duration = Duration::from_millis(60);
const IDLE_BEYOND_PACKET: Duration = Duration::from_millis(40);
/// Events wait here until they are polled; beyond it new ones are dropped.
const MAX_EVENTS: usize = 64;
const WHATSAPP_AUDIO_CLOCK: u32 = 48_000;

/// What a path needs from the start.
#[derive(Debug, Clone)]
pub(crate) struct PathConfig {
    /// The line towards WhatsApp; its SSRC is the one in our SDP.
    pub(crate) to_whatsapp: LineSeed,
    /// The line towards the PBX.
    pub(crate) to_pbx: LineSeed,
    /// libopus's effort.
    pub(crate) opus_complexity: Complexity,
    /// The owner's choices.
    pub(crate) options: SessionOptions,
}

/// What WhatsApp takes and sends: the payload types that its SDP gives its formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WhatsAppFormats {
    pub(crate) opus: Option<u8>,
    pub(crate) pcmu: Option<u8>,
    pub(crate) pcma: Option<u8>,
    pub(crate) dtmf: u8,
    pub(crate) fmtp: OpusFmtp,
}

/// What its SDP asks of our Opus encoder (RFC 7587 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpusFmtp {
    /// Bits a second.
    pub(crate) max_average_bitrate: u32,
    /// Hertz; twice the highest frequency that is of use.
    pub(crate) max_playback_rate: u32,
    /// Whether lost packets may be made good from those after them.
    pub(crate) in_band_fec: bool,
}

impl Default for WhatsAppFormats {
    /// What our own offers say.
    fn default() -> Self {
        Self {
            opus: Some(whatsapp::OPUS_PT),
            pcmu: None,
            pcma: None,
            dtmf: whatsapp::DTMF_PT,
            fmtp: OpusFmtp::default(),
        }
    }
}

impl Default for OpusFmtp {
    /// What WhatsApp has always asked for.
    fn default() -> Self {
        Self { max_average_bitrate: 20_000, max_playback_rate: 16_000, in_band_fec: true }
    }
}

/// One call's path.
pub(crate) struct AudioPath {
    gate: Gate,
    pbx: Pbx,
    formats: WhatsAppFormats,
    opus_complexity: Complexity,
    jitter: JitterLimits,
    untouched: bool,
    /// The loss, in percent, that WhatsApp reports.
    loss: u8,
    to_whatsapp: Lane,
    to_pbx: Lane,
    /// What we play, in place of the PBX and of WhatsApp.
    tone_to_whatsapp: Option<Playing>,
    tone_to_pbx: Option<Box<ToneToPbx>>,
    /// Takes the place of the tone towards WhatsApp.
    announcement: Option<Box<Announcer>>,
    /// What takes the place of silence while the PBX holds the call.
    hold: Hold,
    comfort: Comfort,
    pbx_watch: Watch,
    whatsapp_watch: Watch,
    /// How the PBX is told of keys.
    digits: DigitMode,
    inband: InBand,
    /// When the PBX was heard last.
    pbx_heard: Option<Instant>,
    whatsapp_heard: bool,
    events: VecDeque<PathEvent>,
    counters: PathCounters,
}

/// Nothing leaves towards WhatsApp before the call is answered: it would take it for the answer.
enum Gate {
    Shut,
    /// When silence, or a tone, is filled towards WhatsApp, unless the PBX is heard before.
    Open {
        silence_at: Instant,
    },
}

impl AudioPath {
    /// A path whose gate is shut and whose ends are not yet known.
    pub(crate) fn new(config: PathConfig) -> Self {
        let from_pbx = Clocks { timestamp: 8000, from: 8000, to: WHATSAPP_CLOCK, line: WHATSAPP_AUDIO_CLOCK };
        let from_whatsapp =
            Clocks { timestamp: WHATSAPP_AUDIO_CLOCK, from: WHATSAPP_CLOCK, to: 8000, line: 8000 };
        Self {
            gate: Gate::Shut,
            pbx: Pbx(None),
            formats: WhatsAppFormats::default(),
            opus_complexity: config.opus_complexity,
            jitter: config.options.jitter,
            untouched: config.options.untouched,
            loss: 0,
            to_whatsapp: Lane::new(config.to_whatsapp, WHATSAPP_AUDIO_CLOCK, from_pbx),
            to_pbx: Lane::new(config.to_pbx, 8000, from_whatsapp),
            tone_to_whatsapp: None,
            tone_to_pbx: None,
            announcement: None,
            comfort: Comfort::new(config.to_pbx.ssrc),
            hold: Hold::new(config.options.hold_sound),
            pbx_watch: Watch::new(config.options.timeouts.pbx),
            whatsapp_watch: Watch::new(config.options.timeouts.whatsapp),
            digits: DigitMode::default(),
            inband: InBand::default(),
            pbx_heard: None,
            whatsapp_heard: false,
            events: VecDeque::with_capacity(MAX_EVENTS),
            counters: PathCounters::default(),
        }
    }

    /// The call is answered: sound may pass. The first packet towards WhatsApp is due at once,
    /// unless the PBX is speaking already. The PBX's tone ends.
    pub(crate) fn open(&mut self, now: Instant) {
        if self.is_open() {
            return;
        }
        self.tone_to_pbx = None;
        let speaking = self.pbx_heard.is_some_and(|heard| now.saturating_duration_since(heard) < IDLE);
        let silence_at = if speaking { now + FRAME } else { now };
        self.gate = Gate::Open { silence_at };
        self.to_pbx.fill_after(now, PAUSE);
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
        self.heard_from(now, Party::Pbx);
        let kind = self.pbx.kind(packet.header.payload_type);
        let (Some(kind), false) = (kind, packet.payload.is_empty()) else {
            if self.take_comfort(now, &packet) {
                return;
            }
            self.counters.pbx.ignored += 1;
            self.pbx.skip(&packet);
            return;
        };
        if !matches!(kind, Kind::Dtmf) {
            if self.pbx_heard.is_none() {
                self.report(PathEvent::FirstAudio(Party::Pbx));
            }
            self.pbx_heard = Some(now);
            self.comfort.over();
        }
        if !self.is_open() {
            return;
        }
        if self.keeps_from_whatsapp(now, kind, &packet) {
            return;
        }
        match kind {
            Kind::Dtmf => self.pbx_event(now, &packet, out),
            Kind::Sound(coding) => self.pbx_audio(now, coding, &packet, out),
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
        self.heard_from(now, Party::WhatsApp);
        let kind = self.whatsapp_kind(packet.header.payload_type);
        let (Some(kind), false) = (kind, packet.payload.is_empty()) else {
            self.pbx.skip_to(packet.header);
            self.counters.whatsapp.ignored += 1;
            return;
        };
        if !matches!(kind, Kind::Dtmf) && !self.whatsapp_heard {
            self.whatsapp_heard = true;
            self.report(PathEvent::FirstAudio(Party::WhatsApp));
        }
        if !self.is_open() {
            return;
        }
        match kind {
            Kind::Dtmf => self.whatsapp_event(now, &packet, out),
            Kind::Sound(coding) => self.whatsapp_audio(now, coding, &packet, out),
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let filling = match self.gate {
            Gate::Shut => None,
            Gate::Open { silence_at } => Some(silence_at),
        };
        let tone = self.tone_to_pbx.as_ref().map(|tone| tone.due);
        let [whatsapp, pbx] = [&self.to_whatsapp, &self.to_pbx]
            .map(|lane| [lane.keypad.deadline(), lane.relay.deadline()].into_iter().flatten().min());
        let waiting = self.waiting_until();
        let inband = self.inband.deadline();
        [filling, self.pause_due(), tone, whatsapp, pbx, waiting, inband].into_iter().flatten().min()
    }

    /// Sends what is due of our own; `out` gets each packet with the side it goes to.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut impl FnMut(Party, &[u8])) {
        self.let_keys_go(now);
        self.press_keys(now, out);
        self.play_what_waited(now, out);
        self.play_to_pbx_until(now, &mut |packet: &[u8]| out(Party::Pbx, packet));
        self.dial_due(now, &mut |packet: &[u8]| out(Party::Pbx, packet));
        self.fill_until(now, &mut |packet: &[u8]| out(Party::WhatsApp, packet));
        self.fill_pause(now, &mut |packet: &[u8]| out(Party::Pbx, packet));
        self.look_for_silence(now);
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

    fn report_keys(&mut self, from: Party, told: Told) {
        let Told { lost_end, digit, ended } = told;
        self.report_up(from, lost_end);
        if let Some(digit) = digit {
            if from == Party::Pbx {
                self.inband.note_event();
            }
            self.report(PathEvent::Digit { from, digit });
        }
        self.report_up(from, ended);
    }

    fn report_up(&mut self, from: Party, pressed: Option<Pressed>) {
        if let Some(Pressed { digit, duration }) = pressed {
            self.report(PathEvent::DigitEnded { from, digit, duration });
        }
    }
}

#[cfg(test)]
mod tests;
