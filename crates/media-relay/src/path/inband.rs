//! Keys as tones in the PBX's sound, both ways.

use std::time::{Duration, Instant};

use crate::codec::inband::Change;
use crate::codec::opus::{Encoder, EncoderConfig, MAX_PAYLOAD};
use crate::codec::{FRAME_SAMPLES, Frame};
use crate::complexity::Complexity;
use crate::rtp::dtmf::{Pressed, Told};
use crate::sdp::pbx::{Codec, Media};

use super::AudioPath;
use super::coding::Coding;
use super::comfort::PAUSE;
use super::dialler::Dialler;
use super::event::{DigitMode, Party, PathEvent};
use super::pbx::{law, sends};
use super::way::Way;

/// A PBX that goes silent with a key down has let it go: longer than a jitter buffer holds its sound.
const LOST: Duration = Duration::from_millis(400);

/// Where a PBX's sound is listened to for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listens {
    Never,
    /// Where it is decoded anyway.
    WhereDecoded,
    /// It is decoded for that.
    Always,
}

/// The tones of both directions.
#[derive(Default)]
pub(super) struct InBand {
    /// The keys that the PBX is to hear; only where it is told of keys so.
    dialler: Option<Box<Dialler>>,
    /// For a PBX whose sound passes untouched.
    encoder: Option<Box<Encoder>>,
    /// The PBX's key that is down.
    down: Option<Down>,
    /// The PBX has sent a telephone event: its tones are no further keys.
    has_events: bool,
}

#[derive(Debug, Clone, Copy)]
struct Down {
    digit: char,
    since: Instant,
    /// When it was heard last.
    heard: Instant,
}

impl InBand {
    /// Whether a tone takes the place of WhatsApp's sound.
    pub(super) fn sounds(&self) -> bool {
        self.dialler.as_ref().is_some_and(|dialler| dialler.sounds())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let dialler = self.dialler.as_ref().and_then(|dialler| dialler.deadline());
        let lost = self.down.map(|down| down.heard + LOST);
        [dialler, lost].into_iter().flatten().min()
    }

    /// The PBX has pressed a key by a telephone event.
    pub(super) fn note_event(&mut self) {
        self.has_events = true;
    }
}

impl AudioPath {
    /// How the PBX is told of keys from now on; its own keys are listened for so from the next
    /// [`Self::set_pbx`] on.
    pub(crate) fn set_digits(&mut self, mode: DigitMode) {
        self.digits = mode;
        let dialler = &mut self.inband.dialler;
        *dialler =
            dialler.take().or_else(|| Some(Box::new(Dialler::new()))).filter(|_| mode == DigitMode::InBand);
    }

    /// Where keys are listened for in this PBX's sound.
    pub(super) fn listens_to(&self, media: &Media) -> Listens {
        match (self.digits, media.dtmf) {
            (DigitMode::InBand, _) => Listens::Always,
            (DigitMode::Events | DigitMode::Off, None) => Listens::WhereDecoded,
            (DigitMode::Events | DigitMode::Off, Some(_)) => Listens::Never,
        }
    }

    /// Whether the PBX's sound is being listened to for keys.
    pub(super) fn listens(&self) -> bool {
        self.pbx.inbound().is_some_and(Way::listens)
    }

    /// Presses a key as a tone; false where the PBX is not told of keys so, or hears nothing.
    pub(super) fn dial(&mut self, now: Instant, digit: char, duration: Duration) -> bool {
        let hears = self.pbx.media().is_some_and(sends);
        let dialler = self.inband.dialler.as_mut().filter(|_| hears);
        dialler.is_some_and(|dialler| dialler.press(now, digit, duration))
    }

    /// WhatsApp's keys become tones, where the PBX is told of keys so.
    pub(super) fn dial_told(&mut self, now: Instant, told: Told) {
        let hears = self.pbx.media().is_some_and(sends);
        let Some(dialler) = self.inband.dialler.as_mut().filter(|_| hears) else {
            return;
        };
        if let Some(Pressed { digit, duration }) = told.lost_end {
            dialler.up(digit, duration);
        }
        if let Some(digit) = told.digit {
            dialler.down(now, digit);
        }
        if let Some(Pressed { digit, duration }) = told.ended {
            dialler.up(digit, duration);
        }
    }

    /// The frame of a tone that is due towards the PBX.
    pub(super) fn dial_due(&mut self, now: Instant, out: &mut impl FnMut(&[u8])) {
        let Some(dialler) = &mut self.inband.dialler else {
            return;
        };
        let Some(leg) = self.pbx.0.as_mut().filter(|leg| sends(&leg.media)) else {
            return dialler.clear();
        };
        let Some(frame) = dialler.next(now) else {
            return;
        };
        let (mut coded, mut payload) = ([0; FRAME_SAMPLES], [0; MAX_PAYLOAD]);
        let payload_type = leg.media.payload_type;
        let payload = match leg.media.codec {
            Codec::Pcmu | Codec::Pcma => {
                law(leg.media.codec).encode(&frame, &mut coded);
                Some(&coded[..])
            }
            Codec::Opus if !leg.outbound.speaks(Coding::Opus) => {
                encode(&mut self.inband.encoder, self.opus_complexity, &frame, &mut payload)
            }
            Codec::Opus | Codec::G722 => leg.outbound.own_frame(leg.media.codec.into(), &frame),
        };
        self.to_pbx.fill_after(now, PAUSE);
        let Some(payload) = payload else {
            return;
        };
        let sent = u64::from(self.to_pbx.own_frame(now, payload_type, payload, out));
        self.counters.pbx.sent += sent;
        self.counters.pbx.tone += sent;
    }

    /// The keys in the sound that was just decoded.
    pub(super) fn hear_keys(&mut self, now: Instant) {
        if let (Some(down), Some(heard)) = (&mut self.inband.down, self.pbx_heard) {
            down.heard = heard.max(down.heard);
        }
        while let Some(change) = self.pbx.inbound_mut().and_then(Way::key) {
            match change {
                Change::Down(_) if self.inband.has_events => {}
                Change::Down(digit) => {
                    self.let_tone_go(None);
                    self.inband.down = Some(Down { digit, since: now, heard: now });
                    self.report(PathEvent::Digit { from: Party::Pbx, digit });
                    self.to_whatsapp.keypad.hold(now, digit);
                }
                Change::Up(_, duration) => self.let_tone_go(Some(duration)),
            }
        }
    }

    /// A key of which nothing more is heard.
    pub(super) fn let_lost_tone_go(&mut self, now: Instant) {
        if self.inband.down.is_some_and(|down| now.saturating_duration_since(down.heard) >= LOST) {
            self.let_tone_go(None);
        }
    }

    /// What follows in the PBX's sound may come from elsewhere.
    pub(super) fn listen_anew(&mut self, elsewhere: bool) {
        self.inband.has_events &= !elsewhere;
        self.let_tone_go(None);
    }

    /// The PBX's key that is down comes up, after so long if that is known.
    fn let_tone_go(&mut self, duration: Option<Duration>) {
        let Some(Down { digit, since, heard }) = self.inband.down.take() else {
            return;
        };
        if let (None, Some(way)) = (duration, self.pbx.inbound_mut()) {
            way.forget_keys();
        }
        let duration = duration.unwrap_or_else(|| heard.saturating_duration_since(since));
        self.to_whatsapp.keypad.release(duration);
        self.report_up(Party::Pbx, Some(Pressed { digit, duration }));
    }
}

/// By an encoder that is made with the first key.
fn encode<'p>(
    encoder: &mut Option<Box<Encoder>>,
    complexity: Complexity,
    frame: &Frame,
    payload: &'p mut [u8; MAX_PAYLOAD],
) -> Option<&'p [u8]> {
    if encoder.is_none() {
        *encoder = Encoder::new(&EncoderConfig::whatsapp(8000, complexity)).ok().map(Box::new);
    }
    encoder.as_mut()?.encode(frame, payload).ok()
}
