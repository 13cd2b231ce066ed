//! The two directions, once the gate is open: what becomes of each packet.

use std::time::{Duration, Instant};

use crate::rtp::header::Packet;
use crate::rtp::rewrite::FRAME;

use super::coding::Coding;
use super::event::{Party, PathCounters};
use super::pbx::sends;
use super::way::Counters;
use super::{AudioPath, Gate, IDLE, IDLE_BEYOND_PACKET};

impl AudioPath {
    /// A packet of sound from the PBX.
    pub(super) fn pbx_audio(
        &mut self,
        now: Instant,
        coding: Coding,
        packet: &Packet<'_>,
        out: &mut impl FnMut(&[u8]),
    ) {
        let Some(leg) = &mut self.pbx.0 else {
            return;
        };
        let PathCounters { pbx, whatsapp } = &mut self.counters;
        let mut counters = Counters { from: pbx, to: whatsapp };
        // A packet that made no frame yet puts no silence off.
        if leg.inbound.handle(now, (coding, packet), &mut self.to_whatsapp, &mut counters, out) {
            let length = leg.inbound.length();
            self.put_silence_off(now, length);
        }
        self.hear_keys(now);
    }

    /// The sound that waited until now, both ways; where nobody is to hear it, it is let go.
    pub(super) fn play_what_waited(&mut self, now: Instant, out: &mut impl FnMut(Party, &[u8])) {
        let presses = self.to_whatsapp.keypad.is_down() && !self.listens();
        let keeps = self.speaks_to_whatsapp() || presses;
        let Some(leg) = self.pbx.0.as_mut().filter(|_| matches!(self.gate, Gate::Open { .. })) else {
            return;
        };
        if !sends(&leg.media) || self.to_pbx.keypad.is_down() || self.inband.sounds() {
            leg.outbound.drop_due(now);
        }
        let PathCounters { pbx, whatsapp } = &mut self.counters;
        let mut counters = Counters { from: whatsapp, to: pbx };
        leg.outbound.play_due(now, &mut self.to_pbx, &mut counters, &mut |packet: &[u8]| {
            out(Party::Pbx, packet);
        });
        if keeps {
            return leg.inbound.drop_due(now);
        }
        let mut counters = Counters { from: pbx, to: whatsapp };
        let length = leg.inbound.length();
        let mut to_whatsapp = |packet: &[u8]| out(Party::WhatsApp, packet);
        if leg.inbound.play_due(now, &mut self.to_whatsapp, &mut counters, &mut to_whatsapp) {
            let ran_dry = leg.inbound.ran_dry();
            self.put_silence_off(now, length);
            if ran_dry {
                self.fill_from(now + length.max(FRAME));
            }
        }
        self.hear_keys(now);
    }

    pub(super) fn pbx_event(&mut self, now: Instant, packet: &Packet<'_>, out: &mut impl FnMut(&[u8])) {
        let Some(place) = self.pbx.place_event_from(packet.header) else {
            self.counters.pbx.late += 1;
            return;
        };
        let relayed = self.to_whatsapp.event(now, place, self.formats.dtmf, packet, out);
        self.counters.whatsapp.sent += u64::from(relayed.sent);
        self.report_keys(Party::Pbx, relayed.told);
        if relayed.sent {
            self.put_silence_off(now, FRAME);
        }
    }

    pub(super) fn whatsapp_audio(
        &mut self,
        now: Instant,
        coding: Coding,
        packet: &Packet<'_>,
        out: &mut impl FnMut(&[u8]),
    ) {
        if self.to_pbx.keypad.is_down() || self.inband.sounds() {
            self.counters.whatsapp.ignored += 1;
            self.leave_out_of_pbx(packet);
            return;
        }
        let Some(leg) = self.pbx.0.as_mut().filter(|leg| sends(&leg.media)) else {
            self.leave_out_of_pbx(packet);
            self.counters.whatsapp.ignored += 1;
            return;
        };
        let PathCounters { pbx, whatsapp } = &mut self.counters;
        let mut counters = Counters { from: whatsapp, to: pbx };
        leg.outbound.handle(now, (coding, packet), &mut self.to_pbx, &mut counters, out);
        if coding == Coding::Opus {
            self.to_pbx.expect_pause(now, packet.payload);
        }
    }

    pub(super) fn whatsapp_event(&mut self, now: Instant, packet: &Packet<'_>, out: &mut impl FnMut(&[u8])) {
        let wanted = self.events_to_pbx().filter(|_| !self.to_pbx.keypad.is_down());
        let Some((pt, _)) = wanted else {
            // Nothing goes to the PBX, but the key is told all the same.
            self.leave_out_of_pbx(packet);
            let told = self.to_pbx.note_event(now, packet);
            self.dial_told(now, told);
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

    /// WhatsApp has got sound of this length.
    fn put_silence_off(&mut self, now: Instant, length: Duration) {
        if !self.speaks_to_whatsapp() {
            let silence_at = now + IDLE.max(length + IDLE_BEYOND_PACKET);
            self.gate = Gate::Open { silence_at };
        }
    }
}
