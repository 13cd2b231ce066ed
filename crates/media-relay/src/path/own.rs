//! What we say ourselves: silence and tones.

use std::time::Instant;

use crate::rtp::header::Packet;
use crate::rtp::rewrite::{FRAME, Stamp};
use crate::sdp::pbx::Codec;
use crate::tone::Tone;

use super::event::PathError;
use super::pbx::{Pbx, law, sends};
use super::player::Player;
use super::{AudioPath, Gate};

/// A tone towards the PBX, and when its next packet is due.
pub(super) struct ToneToPbx {
    player: Player,
    pub(super) due: Instant,
}

impl AudioPath {
    /// Lets the PBX hear a tone until the gate opens. Once it is open, nothing happens.
    ///
    /// # Errors
    /// The tone cannot be encoded.
    pub(crate) fn play_to_pbx(&mut self, now: Instant, tone: Tone) -> Result<(), PathError> {
        if !self.is_open() {
            let player = Player::new(tone, self.opus_complexity)?;
            let due = self.tone_to_pbx.as_ref().map_or(now, |playing| playing.due);
            self.tone_to_pbx = Some(Box::new(ToneToPbx { player, due }));
        }
        Ok(())
    }

    /// Lets WhatsApp hear a tone in place of the PBX, from the opening of the gate on.
    ///
    /// # Errors
    /// The tone cannot be encoded.
    pub(crate) fn play_to_whatsapp(&mut self, now: Instant, tone: Tone) -> Result<(), PathError> {
        self.tone_to_whatsapp = Some(Box::new(Player::new(tone, self.opus_complexity)?));
        self.fill_from(now + FRAME);
        Ok(())
    }

    /// No tone any longer, on either side.
    pub(crate) fn stop_tone(&mut self) {
        self.tone_to_pbx = None;
        self.tone_to_whatsapp = None;
    }

    /// The next frame of our own for WhatsApp is due now or before.
    fn fill_from(&mut self, at: Instant) {
        if let Gate::Open { silence_at } = &mut self.gate {
            *silence_at = at.min(*silence_at);
        }
    }

    /// A packet of sound that WhatsApp does not get.
    pub(super) fn leave_out_of_whatsapp(&mut self, packet: &Packet<'_>) {
        match &mut self.pbx {
            Pbx::Opus(_) => self.to_whatsapp.line.leave_out(Stamp::from(packet.header)),
            Pbx::Unknown | Pbx::G711(..) => self.pbx.skip(packet),
        }
    }

    /// The frame of a tone or of silence that is due towards WhatsApp.
    pub(super) fn fill_until(&mut self, now: Instant, out: &mut impl FnMut(&[u8])) {
        let Gate::Open { silence_at } = &mut self.gate else {
            return;
        };
        if now < *silence_at {
            return;
        }
        *silence_at = frame_after(*silence_at, now);
        let counters = &mut self.counters.whatsapp;
        let payload = match (&mut self.tone_to_whatsapp, &mut self.pbx) {
            // By the encoder that WhatsApp's decoder has followed so far.
            (Some(tone), Pbx::G711(_, transcoder)) => transcoder.encoding.own_frame(tone.samples()),
            (Some(tone), Pbx::Opus(_) | Pbx::Unknown) => tone.opus(),
            (None, pbx) => pbx.silence(),
        };
        let sent = u64::from(self.to_whatsapp.own_frame(now, self.opus_pt, payload, out));
        counters.sent += sent;
        match self.tone_to_whatsapp {
            Some(_) => counters.tone += sent,
            None => counters.silence += sent,
        }
    }

    /// The frame of a tone that is due towards the PBX.
    pub(super) fn play_to_pbx_until(&mut self, now: Instant, out: &mut impl FnMut(&[u8])) {
        let Some(tone) = self.tone_to_pbx.as_mut().filter(|tone| tone.due <= now) else {
            return;
        };
        tone.due = frame_after(tone.due, now);
        // On hold, or before its address is known, the PBX misses nothing: the tone waits.
        let Some(media) = self.pbx.media().filter(|media| sends(media)) else {
            return;
        };
        let payload = match media.codec {
            Codec::Opus => tone.player.opus(),
            Codec::Pcmu | Codec::Pcma => tone.player.g711(law(media.codec)),
        };
        let sent = u64::from(self.to_pbx.own_frame(now, media.payload_type, payload, out));
        self.counters.pbx.sent += sent;
        self.counters.pbx.tone += sent;
    }
}

/// When the frame after the one of `due` is due. Late by a frame or more: the timestamps skip it,
/// nothing is sent in a burst.
fn frame_after(due: Instant, now: Instant) -> Instant {
    let next = due + FRAME;
    if next > now { next } else { now + FRAME }
}
