//! The two directions, once the gate is open: what becomes of each packet.

use std::time::{Duration, Instant};

use crate::codec::g711::Law;
use crate::codec::opus;
use crate::rtp::header::Packet;
use crate::rtp::rewrite::{FRAME, Stamp};

use super::AudioPath;
use super::event::{Party, SideCounters};
use super::pbx::{Pbx, law, sends};
use super::transcode::Heard;

impl AudioPath {
    /// Gives the length of what the packet brings to WhatsApp, as the two below.
    pub(super) fn pbx_opus(
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
        sent.then(|| opus::samples(packet.payload, 8000).map_or(FRAME, sound))
    }

    pub(super) fn pbx_g711(
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

    pub(super) fn pbx_event(
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
        self.report_keys(Party::Pbx, relayed.told);
        relayed.sent.then_some(FRAME)
    }

    pub(super) fn whatsapp_audio(&mut self, now: Instant, packet: &Packet<'_>, out: &mut impl FnMut(&[u8])) {
        if self.to_pbx.keypad.is_down() {
            self.counters.whatsapp.ignored += 1;
            self.leave_out_of_pbx(packet);
            return;
        }
        let (lane, sent) = (&mut self.to_pbx, &mut self.counters.pbx.sent);
        match &mut self.pbx {
            Pbx::Unknown => self.counters.whatsapp.ignored += 1,
            Pbx::Opus(media) if sends(media) => {
                let stamp = Stamp::from(packet.header);
                let kind = (media.payload_type, packet.header.marker);
                let placed = lane.audio(now, stamp, kind, packet.payload, out);
                *sent += u64::from(placed);
                lane.expect_pause(now, packet.payload);
                self.counters.whatsapp.late += u64::from(!placed);
            }
            Pbx::G711(media, transcoder) if sends(media) => {
                let law = law(media.codec);
                let pt = media.payload_type;
                let heard = transcoder.decoding.handle(law, packet, &mut |stamp, payload| {
                    *sent += u64::from(lane.audio(now, stamp, (pt, false), payload, out));
                });
                lane.expect_pause(now, packet.payload);
                self.counters.whatsapp.count(heard);
            }
            Pbx::Opus(_) | Pbx::G711(..) => {
                self.leave_out_of_pbx(packet);
                self.counters.whatsapp.ignored += 1;
            }
        }
    }

    pub(super) fn whatsapp_event(&mut self, now: Instant, packet: &Packet<'_>, out: &mut impl FnMut(&[u8])) {
        let wanted = self.events_to_pbx().filter(|_| !self.to_pbx.keypad.is_down());
        let Some((pt, _)) = wanted else {
            // Nothing goes to the PBX, but the key is told all the same.
            self.leave_out_of_pbx(packet);
            let told = self.to_pbx.note_event(now, packet);
            self.report_keys(Party::WhatsApp, told);
            return;
        };
        let Some(stamp) = self.pbx.place_event_to(packet.header) else {
            self.counters.whatsapp.late += 1;
            return;
        };
        let relayed = self.to_pbx.event(now, (stamp, true), pt, packet, out);
        self.counters.pbx.sent += u64::from(relayed.sent);
        self.report_keys(Party::WhatsApp, relayed.told);
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
