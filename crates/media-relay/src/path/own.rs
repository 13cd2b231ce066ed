//! What we say ourselves: silence, tones, keys.

use std::time::{Duration, Instant};

use crate::announcement::Announcement;
use crate::codec::{FRAME_SAMPLES, opus};
use crate::hold::HoldSound;
use crate::rtp::dtmf::{Told, WHATSAPP_CLOCK};
use crate::rtp::header::Packet;
use crate::rtp::rewrite::FRAME;
use crate::sdp::pbx::{Codec, Direction};
use crate::tone::Tone;

use super::announcer::Announcer;
use super::coding::Coding;
use super::event::{DigitMode, Party, PathError, PathEvent};
use super::hold::Playing;
use super::pbx::{Kind, law, sends};
use super::player::Player;
use super::{AudioPath, Gate, IDLE};

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

    /// Lets WhatsApp hear a sound in place of the PBX, from the opening of the gate on.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub(crate) fn play_to_whatsapp(
        &mut self,
        now: Instant,
        sound: impl Into<HoldSound>,
    ) -> Result<(), PathError> {
        self.tone_to_whatsapp = Playing::new(&sound.into(), self.opus_complexity)?;
        self.fill_from(now + FRAME);
        Ok(())
    }

    /// Lets WhatsApp hear a recording once, from the opening of the gate on.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub(crate) fn announce(&mut self, now: Instant, announcement: Announcement) -> Result<(), PathError> {
        self.announcement = Some(Box::new(Announcer::new(announcement, self.opus_complexity)?));
        self.fill_from(now + FRAME);
        Ok(())
    }

    /// Whether a tone or a recording of ours is to be heard by WhatsApp.
    pub(super) fn speaks_to_whatsapp(&self) -> bool {
        self.tone_to_whatsapp.is_some() || self.announcement.is_some()
    }

    /// There is no PBX until the next [`Self::set_pbx`]: WhatsApp gets frames of our own at once.
    pub(crate) fn leave_pbx(&mut self, now: Instant) {
        if let Some(media) = self.pbx.media_mut() {
            media.direction = Direction::Inactive;
        }
        if let Some(inbound) = self.pbx.inbound_mut() {
            inbound.forget();
        }
        self.hold_changed();
        self.fill_from(now + FRAME);
    }

    /// No tone and no recording any longer, on either side.
    pub(crate) fn stop_tone(&mut self) {
        self.tone_to_pbx = None;
        self.tone_to_whatsapp = None;
        self.announcement = None;
    }

    /// Presses a key in an open call, after those pressed before. False when it is no key, too many
    /// wait, or that side takes none now.
    pub(crate) fn send_digit(&mut self, now: Instant, to: Party, digit: char, duration: Duration) -> bool {
        if to == Party::Pbx && self.digits == DigitMode::InBand {
            return self.is_open() && self.dial(now, digit, duration);
        }
        let (lane, heard) = match to {
            Party::WhatsApp => (&mut self.to_whatsapp, true),
            Party::Pbx => {
                let heard = self.events_to_pbx().is_some();
                (&mut self.to_pbx, heard)
            }
        };
        heard && matches!(self.gate, Gate::Open { .. }) && lane.keypad.press(now, digit, duration)
    }

    /// Payload type and clock of the events that the PBX takes now.
    pub(super) fn events_to_pbx(&self) -> Option<(u8, u32)> {
        let media = self.pbx.media().filter(|media| sends(media))?;
        media.dtmf.filter(|_| self.digits == DigitMode::Events)
    }

    /// Whether WhatsApp does not get a packet of the PBX because we speak ourselves.
    pub(super) fn keeps_from_whatsapp(&mut self, now: Instant, kind: Kind, packet: &Packet<'_>) -> bool {
        let is_key = matches!(kind, Kind::Dtmf);
        let presses = self.to_whatsapp.keypad.is_down();
        if !presses && (is_key || !self.speaks_to_whatsapp()) {
            return false;
        }
        // The end of a key in the sound is in the sound.
        if !is_key && !self.speaks_to_whatsapp() && self.listens() {
            return false;
        }
        if is_key {
            let told = self.to_whatsapp.note_event(now, packet);
            self.report_keys(Party::Pbx, told);
        } else {
            self.counters.pbx.ignored += 1;
        }
        self.leave_out_of_whatsapp(packet);
        true
    }

    /// Keys of the two sides of which nothing more was heard.
    pub(super) fn let_keys_go(&mut self, now: Instant) {
        let from_pbx = self.to_whatsapp.relay.handle_timeout(now);
        self.report_up(Party::Pbx, from_pbx);
        self.let_lost_tone_go(now);
        let from_whatsapp = self.to_pbx.relay.handle_timeout(now);
        self.dial_told(now, Told { ended: from_whatsapp, ..Told::default() });
        self.report_up(Party::WhatsApp, from_whatsapp);
    }

    /// The packets of our own keys that are due.
    pub(super) fn press_keys(&mut self, now: Instant, out: &mut impl FnMut(Party, &[u8])) {
        let events = (self.formats.dtmf, WHATSAPP_CLOCK);
        if self.to_whatsapp.own_key(now, events, &mut |packet: &[u8]| out(Party::WhatsApp, packet)) {
            self.counters.whatsapp.sent += 1;
            let wait = if self.speaks_to_whatsapp() { FRAME } else { IDLE };
            self.gate = Gate::Open { silence_at: now + wait };
        }
        match self.events_to_pbx() {
            Some(events) => {
                let sent = self.to_pbx.own_key(now, events, &mut |packet: &[u8]| out(Party::Pbx, packet));
                self.counters.pbx.sent += u64::from(sent);
            }
            None => self.to_pbx.keypad.clear(),
        }
    }

    /// The next frame of our own for WhatsApp is due now or before.
    pub(super) fn fill_from(&mut self, at: Instant) {
        if let Gate::Open { silence_at } = &mut self.gate {
            *silence_at = at.min(*silence_at);
        }
    }

    /// A packet of sound that WhatsApp does not get.
    pub(super) fn leave_out_of_whatsapp(&mut self, packet: &Packet<'_>) {
        self.pbx.leave_out(packet.header, &mut self.to_whatsapp.line);
    }

    /// A packet that the PBX does not get.
    pub(super) fn leave_out_of_pbx(&mut self, packet: &Packet<'_>) {
        self.pbx.leave_out_to(packet.header, &mut self.to_pbx.line);
    }

    /// The frame of a recording, a tone or silence that is due towards WhatsApp.
    pub(super) fn fill_until(&mut self, now: Instant, out: &mut impl FnMut(&[u8])) {
        let waiting = self.waiting_for_whatsapp();
        let Gate::Open { silence_at } = &mut self.gate else {
            return;
        };
        if now < *silence_at {
            return;
        }
        // The jitter buffer has grown: what is in it comes soon.
        if let Some(due) = waiting.filter(|due| *due > now) {
            *silence_at = due;
            return;
        }
        *silence_at = frame_after(*silence_at, now);
        let (coding, payload_type) = self.own_format();
        self.to_whatsapp.line.use_clock(coding.clock());
        let counters = &mut self.counters.whatsapp;
        if let Some(payload) = self.announcement.as_mut().and_then(|playing| playing.frame(coding)) {
            let sent = u64::from(self.to_whatsapp.own_frame(now, payload_type, payload, out));
            counters.sent += sent;
            counters.tone += sent;
            return;
        }
        if self.announcement.take().is_some() {
            self.report(PathEvent::Announced);
        }
        let holds = self.plays_hold(now);
        let held = self.hold.playing.as_mut().filter(|_| holds);
        let sound = self.tone_to_whatsapp.as_mut().or(held);
        let is_sound = sound.is_some();
        let noise = if is_sound { None } else { self.comfort.frame() };
        let quiet = noise.unwrap_or([0; FRAME_SAMPLES]);
        let mut coded = [0; FRAME_SAMPLES];
        // By the encoder that WhatsApp's decoder has followed so far.
        let encoder = self.pbx.inbound_mut().filter(|way| way.speaks(coding));
        let payload = match (sound, encoder, coding) {
            (Some(Playing::Tone(tone)), Some(way), _) => way.own_frame(coding, tone.samples()),
            (Some(sound), ..) => Some(sound.frame(coding)),
            (None, Some(way), _) => way.own_frame(coding, &quiet),
            (None, None, Coding::G711(law)) => {
                law.encode(&quiet, &mut coded);
                Some(coded.as_slice())
            }
            (None, None, Coding::Opus | Coding::G722) => None,
        };
        let payload = payload.unwrap_or(&opus::SILENCE);
        let sent = u64::from(self.to_whatsapp.own_frame(now, payload_type, payload, out));
        let counters = &mut self.counters.whatsapp;
        counters.sent += sent;
        if is_sound {
            counters.tone += sent;
        } else {
            counters.silence += sent;
        }
    }

    /// When the jitter buffer gives the PBX's next sound, if WhatsApp is to hear it.
    fn waiting_for_whatsapp(&self) -> Option<Instant> {
        let way = self.pbx.inbound().filter(|_| !self.speaks_to_whatsapp())?;
        way.deadline().filter(|_| way.length() >= FRAME)
    }

    /// The frame of a tone that is due towards the PBX.
    pub(super) fn play_to_pbx_until(&mut self, now: Instant, out: &mut impl FnMut(&[u8])) {
        let Some(tone) = self.tone_to_pbx.as_mut().filter(|tone| tone.due <= now) else {
            return;
        };
        tone.due = frame_after(tone.due, now);
        // On hold, or before its address is known, the PBX misses nothing: the tone waits.
        let Some(leg) = self.pbx.0.as_mut().filter(|leg| sends(&leg.media)) else {
            return;
        };
        let (codec, payload_type) = (leg.media.codec, leg.media.payload_type);
        let payload = match codec {
            Codec::Opus => Some(tone.player.opus()),
            Codec::G722 => leg.outbound.own_frame(Coding::G722, tone.player.samples()),
            Codec::Pcmu | Codec::Pcma => Some(tone.player.g711(law(codec))),
        };
        let payload = payload.unwrap_or_default();
        let sent = u64::from(self.to_pbx.own_frame(now, payload_type, payload, out));
        self.counters.pbx.sent += sent;
        self.counters.pbx.tone += sent;
    }
}

/// When the frame after the one of `due` is due. Late by a frame or more: the timestamps skip it,
/// nothing is sent in a burst.
pub(super) fn frame_after(due: Instant, now: Instant) -> Instant {
    let next = due + FRAME;
    if next > now { next } else { now + FRAME }
}
