//! Pauses: what each side gets while the other sends no sound.

use std::time::{Duration, Instant};

use crate::codec::comfort::{self, Noise};
use crate::codec::{FRAME_SAMPLES, Frame, opus};
use crate::rtp::header::Packet;
use crate::rtp::rewrite::FRAME;
use crate::sdp::pbx::{Codec, Media};

use super::coding::Coding;
use super::event::{Party, PathEvent};
use super::lane::Lane;
use super::own::frame_after;
use super::pbx::{law, sends};
use super::{AudioPath, Gate};

/// The PBX gets frames of ours when WhatsApp's sound has paused for so long: more than a network's
/// hiccup, whose packets come all the same and want their places.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// The same after a frame that announced the pause.
const ANNOUNCED_PAUSE: Duration = Duration::from_millis(40);
/// Opus of so many octets or fewer holds no sound: the encoder goes silent (DTX, RFC 7587 3.1.3).
const DTX_OCTETS: usize = 2;

/// Comfort noise has this number wherever audio counts at 8 kHz (RFC 3551 6).
const COMFORT_NOISE: u8 = 13;
/// What the PBX hears in WhatsApp's pauses, in -dBov: an open line, and no more.
const OPEN_LINE: u8 = 70;

/// The noise of both sides' pauses.
pub(super) struct Comfort {
    for_whatsapp: Noise,
    for_pbx: Noise,
    /// What the PBX says of its background, in -dBov, until its sound comes back.
    level: Option<u8>,
}

impl Comfort {
    pub(super) fn new(seed: u32) -> Self {
        Self { for_whatsapp: Noise::new(seed), for_pbx: Noise::new(!seed), level: None }
    }

    /// Sound has come: the pause is over.
    pub(super) fn over(&mut self) {
        self.level = None;
    }

    /// 20 ms of the PBX's background, where it has told of it.
    pub(super) fn frame(&mut self) -> Option<Frame> {
        let level = self.level?;
        let mut frame = [0; FRAME_SAMPLES];
        self.for_whatsapp.fill(level, &mut frame);
        Some(frame)
    }

    /// 20 ms of an open line in G.711, of silence in Opus.
    fn code<'b>(&mut self, codec: Codec, coded: &'b mut [u8; FRAME_SAMPLES]) -> &'b [u8] {
        if codec == Codec::Opus {
            return &opus::SILENCE;
        }
        let mut frame = [0; FRAME_SAMPLES];
        self.for_pbx.fill(OPEN_LINE, &mut frame);
        law(codec).encode(&frame, coded);
        coded
    }
}

impl Lane {
    /// What was sent last came of this payload of WhatsApp's.
    pub(super) fn expect_pause(&mut self, now: Instant, payload: &[u8]) {
        if payload.len() <= DTX_OCTETS {
            self.fill_after(now, ANNOUNCED_PAUSE);
        }
    }
}

impl AudioPath {
    /// Comfort noise of the PBX: WhatsApp hears noise of that level until sound comes back. False for
    /// another packet.
    pub(super) fn take_comfort(&mut self, now: Instant, packet: &Packet<'_>) -> bool {
        let listens = |media: &Media| media.codec != Codec::Opus && media.direction.receives();
        let is_noise = packet.header.payload_type == COMFORT_NOISE && self.pbx.media().is_some_and(listens);
        let Some(level) = comfort::read(packet.payload).filter(|_| is_noise) else {
            return false;
        };
        self.pbx.skip(packet);
        self.comfort.level = Some(level);
        // One that was overtaken by the sound after it makes no pause.
        let next = self.pbx_heard.map_or(now, |heard| heard + FRAME + FRAME / 2);
        let next = next.max(now) + self.buffer_delay(Party::Pbx);
        // Frames of ours that are on their way stay where they are.
        if self.silence_at().is_some_and(|at| at > now + FRAME) {
            self.fill_from(next);
        }
        true
    }

    fn silence_at(&self) -> Option<Instant> {
        match self.gate {
            Gate::Shut => None,
            Gate::Open { silence_at } => Some(silence_at),
        }
    }

    /// When the PBX gets a frame of ours, so that its own time-out does not fire.
    pub(super) fn pause_due(&self) -> Option<Instant> {
        let wanted = self.is_open() && self.pbx.media().is_some_and(sends);
        self.to_pbx.fill_at.filter(|_| wanted)
    }

    /// The frame of silence that is due towards the PBX.
    pub(super) fn fill_pause(&mut self, now: Instant, out: &mut impl FnMut(&[u8])) {
        let Some(due) = self.pause_due().filter(|due| *due <= now) else {
            return;
        };
        self.to_pbx.fill_at = Some(frame_after(due, now));
        let Some(leg) =
            self.pbx.0.as_mut().filter(|_| !self.to_pbx.keypad.is_down() && !self.inband.sounds())
        else {
            return;
        };
        let (codec, payload_type) = (leg.media.codec, leg.media.payload_type);
        let mut coded = [0; FRAME_SAMPLES];
        let silence: Frame = [0; FRAME_SAMPLES];
        let payload = match codec {
            Codec::G722 => leg.outbound.own_frame(Coding::G722, &silence),
            Codec::Opus | Codec::Pcmu | Codec::Pcma => Some(self.comfort.code(codec, &mut coded)),
        };
        let payload = payload.unwrap_or_default();
        let sent = u64::from(self.to_pbx.own_frame(now, payload_type, payload, out));
        self.counters.pbx.sent += sent;
        self.counters.pbx.silence += sent;
    }

    /// Something came from a side: RTP, or RTCP.
    pub(crate) fn heard_from(&mut self, now: Instant, party: Party) {
        let watch = match party {
            Party::Pbx => &mut self.pbx_watch,
            Party::WhatsApp => &mut self.whatsapp_watch,
        };
        if watch.hear(now) {
            self.report(PathEvent::Heard(party));
        }
    }

    /// Tells of a side of which nothing has come for too long.
    pub(super) fn look_for_silence(&mut self, now: Instant) {
        let pbx_expected = self.expects_pbx();
        if self.pbx_watch.look(now, pbx_expected) {
            self.report(PathEvent::Silent(Party::Pbx));
        }
        let whatsapp_expected = self.is_open() && !self.is_held();
        if self.whatsapp_watch.look(now, whatsapp_expected) {
            self.report(PathEvent::Silent(Party::WhatsApp));
        }
    }
}
