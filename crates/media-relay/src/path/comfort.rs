//! Pauses: what each side gets while the other sends no sound.

use std::time::{Duration, Instant};

use crate::codec::opus;
use crate::codec::{FRAME_SAMPLES, Frame};
use crate::sdp::pbx::Codec;

use super::AudioPath;
use super::coding::Coding;
use super::event::{Party, PathEvent};
use super::lane::Lane;
use super::own::frame_after;
use super::pbx::{law, sends};

/// The PBX gets frames of ours when WhatsApp's sound has paused for so long: more than a network's
/// hiccup, whose packets come all the same and want their places.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// The same after a frame that announced the pause.
const ANNOUNCED_PAUSE: Duration = Duration::from_millis(40);
/// Opus of so many octets or fewer holds no sound: the encoder goes silent (DTX, RFC 7587 3.1.3).
const DTX_OCTETS: usize = 2;

impl Lane {
    /// What was sent last came of this payload of WhatsApp's.
    pub(super) fn expect_pause(&mut self, now: Instant, payload: &[u8]) {
        if payload.len() <= DTX_OCTETS {
            self.fill_after(now, ANNOUNCED_PAUSE);
        }
    }
}

impl AudioPath {
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
        let Some(leg) = self.pbx.0.as_mut().filter(|_| !self.to_pbx.keypad.is_down()) else {
            return;
        };
        let (codec, payload_type) = (leg.media.codec, leg.media.payload_type);
        let silence: Frame = [0; FRAME_SAMPLES];
        let mut coded = [0; FRAME_SAMPLES];
        let payload = match codec {
            Codec::Opus => Some(&opus::SILENCE[..]),
            Codec::G722 => leg.outbound.own_frame(Coding::G722, &silence),
            Codec::Pcmu | Codec::Pcma => {
                law(codec).encode(&silence, &mut coded);
                Some(&coded[..])
            }
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
