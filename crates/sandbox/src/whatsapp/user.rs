//! The user's phone in one call: speaks a tone and digits once the bridge has sent its first good packet, hears
//! and records what the bridge sends, and keeps to what a WhatsApp client is known to insist on.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rtp::header::Header;
use rtp::packet::Packet;
use webrtc_srtp::context::Context;
use webrtc_util::marshal::{Marshal, Unmarshal};

use super::dtmf::{Arrived, Digits, Keypad};
use super::random;
use super::recording::{RATE, Recording};
use super::sdp::{Remote, TELEPHONE_EVENT, Voice};
use crate::opus::{Decoder, Encoder, OpusError};
use crate::pbx::g711;
use crate::rtcp::{Reporter, Reports, ntp};
use crate::tone::{Sine, Sound};

/// Samples of 20 ms.
const FRAME: usize = RATE as usize / 50;
/// RTP ticks of 20 ms.
const TICKS: u32 = 960;
/// Packets that are said again and again: a second.
const REFRAIN: usize = 50;
/// As in our SDP.
const CNAME: &str = "WhatsAppAudioStream1";

/// The SRTP contexts of a call, one a direction.
pub(crate) struct Keys {
    pub(crate) inbound: Context,
    pub(crate) outbound: Context,
}

/// What a received datagram meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The bridge's first good packet.
    Maiden,
    Digit(char),
    Violation(String),
}

/// Which packets are expected: from the bridge's SDP.
struct Plan {
    /// All that may come; the first is what is sent.
    voices: Vec<Voice>,
    telephone_event: u8,
    ssrc: Option<u32>,
}

impl Plan {
    fn voice(&self) -> Voice {
        self.voices.first().copied().unwrap_or(Voice::Pcmu)
    }

    /// How much slower than 48 kHz the clock of the stream is (RFC 7587, 4.1; RFC 3551, 4.5.14).
    fn slow(&self) -> u32 {
        if matches!(self.voice(), Voice::Opus(_)) { 1 } else { 6 }
    }
}

trait Hear {
    fn hear(&mut self, voice: Voice, payload: &[u8]) -> Result<Vec<i16>, OpusError>;
}

impl Hear for Decoder {
    /// At 16 kHz: a sample of G.711 is heard twice.
    fn hear(&mut self, voice: Voice, payload: &[u8]) -> Result<Vec<i16>, OpusError> {
        let double = |decode: fn(u8) -> i16| payload.iter().flat_map(|byte| [decode(*byte); 2]).collect();
        match voice {
            Voice::Opus(_) => self.decode(payload).map(<[i16]>::to_vec),
            Voice::Pcma => Ok(double(g711::decode_a)),
            Voice::Pcmu => Ok(double(g711::decode_mu)),
        }
    }
}

trait Say {
    fn say(&mut self, voice: Voice, sound: &[i16; FRAME]) -> Result<Vec<u8>, OpusError>;
}

impl Say for Encoder {
    /// From 16 kHz: of two samples G.711 has one.
    fn say(&mut self, voice: Voice, sound: &[i16; FRAME]) -> Result<Vec<u8>, OpusError> {
        let halve = |encode: fn(i16) -> u8| sound.iter().step_by(2).map(|sample| encode(*sample)).collect();
        match voice {
            Voice::Opus(_) => self.encode(sound),
            Voice::Pcma => Ok(halve(g711::encode_a)),
            Voice::Pcmu => Ok(halve(g711::encode_mu)),
        }
    }
}

pub(crate) struct Phone {
    keys: Option<Keys>,
    plan: Option<Plan>,
    encoder: Encoder,
    decoder: Decoder,
    mouth: Sine,
    refrain: VecDeque<Vec<u8>>,
    /// How long it listens closely.
    attention: Duration,
    keypad: Keypad,
    ssrc: u32,
    /// Once it is known what is expected.
    reporter: Option<Reporter>,
    sequence: u16,
    timestamp: u32,
    sent: u64,
    received: u64,
    speaking_since: Option<Instant>,
    last_packet: Option<Instant>,
    recording: Recording,
    digits: Digits,
    maiden_heard: bool,
    extension_seen: bool,
}

impl Phone {
    pub(crate) fn new(ssrc: u32, tone_hz: f64) -> Result<Self, OpusError> {
        Ok(Self {
            keys: None,
            plan: None,
            encoder: Encoder::new(RATE)?,
            decoder: Decoder::new(RATE)?,
            mouth: Sine::new(tone_hz, RATE),
            refrain: VecDeque::new(),
            attention: Duration::MAX,
            keypad: Keypad::default(),
            ssrc,
            reporter: None,
            sequence: u16::from_be_bytes(random::bytes()),
            timestamp: u32::from_be_bytes(random::bytes()),
            sent: 0,
            received: 0,
            speaking_since: None,
            last_packet: None,
            recording: Recording::default(),
            digits: Digits::default(),
            maiden_heard: false,
            extension_seen: false,
        })
    }

    /// What the bridge's SDP promised.
    pub(crate) fn expect(&mut self, remote: &Remote) {
        // Far from the end of the range, so that the line of 8 kHz has no break.
        self.timestamp &= u32::MAX / 2;
        let plan = Plan {
            voices: remote.voices.clone(),
            telephone_event: remote.telephone_event.unwrap_or(TELEPHONE_EVENT),
            ssrc: remote.ssrc,
        };
        self.reporter = Some(Reporter::new(Instant::now(), self.ssrc, CNAME, 48_000 / plan.slow()));
        self.plan = Some(plan);
    }

    pub(crate) fn secure(&mut self, keys: Keys) {
        self.keys = Some(keys);
    }

    pub(crate) fn press(&mut self, digits: &str) {
        self.keypad.press(digits);
    }

    pub(crate) fn say(&mut self, sound: Sound) {
        self.mouth.say(sound);
    }

    /// After this time sound is counted, neither decoded nor recorded, and the last second is said again and again.
    pub(crate) fn attend(&mut self, attention: Duration) {
        self.attention = attention;
    }

    fn attends(&self, now: Instant) -> bool {
        self.speaking_since.is_none_or(|since| now.saturating_duration_since(since) < self.attention)
    }

    /// What has come and gone by RTCP.
    pub(crate) fn reports(&self) -> Reports {
        self.reporter.as_ref().map(|reporter| reporter.reports().clone()).unwrap_or_default()
    }

    /// RTP packets received.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The sound of the next 20 ms, or that of 20 ms before.
    fn payload(&mut self, now: Instant, voice: Voice) -> Option<Vec<u8>> {
        if self.refrain.len() == REFRAIN && !self.attends(now) {
            self.refrain.rotate_left(1);
            return self.refrain.back().cloned();
        }
        let mut sound = [0; FRAME];
        self.mouth.fill(&mut sound);
        let payload = self.encoder.say(voice, &sound).ok()?;
        if self.attention < Duration::MAX {
            self.refrain.push_back(payload.clone());
            self.refrain.drain(..self.refrain.len().saturating_sub(REFRAIN));
        }
        Some(payload)
    }

    pub(crate) fn recording(&self) -> &Recording {
        &self.recording
    }

    pub(crate) fn digits(&self) -> &str {
        self.digits.as_str()
    }

    pub(crate) fn speaking_since(&self) -> Option<Instant> {
        self.speaking_since
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// When the last authenticated packet, RTP or RTCP, came.
    pub(crate) fn last_packet(&self) -> Option<Instant> {
        self.last_packet
    }

    /// A datagram that is RTP or RTCP by its first byte. `accepted`: the call has been answered.
    pub(crate) fn receive(&mut self, now: Instant, datagram: &[u8], accepted: bool) -> Vec<Notice> {
        // RFC 5761, 4: RTCP packet types read as payload type with the marker bit.
        let control = datagram.get(1).is_some_and(|kind| (192..=223).contains(kind));
        let Some(keys) = &mut self.keys else { return Vec::new() };
        if control {
            return match keys.inbound.decrypt_rtcp(datagram) {
                Ok(plain) => {
                    self.last_packet = Some(now);
                    let mut notices = violation_unless(accepted, "RTCP before accept");
                    let taken = self.reporter.as_mut().map_or(Ok(()), |reporter| reporter.take(now, &plain));
                    notices.extend(taken.err().map(Notice::Violation));
                    notices
                }
                Err(error) => vec![Notice::Violation(format!("SRTCP refused: {error}"))],
            };
        }
        let mut plain = match keys.inbound.decrypt_rtp(datagram) {
            Ok(plain) => plain,
            Err(error) => return vec![Notice::Violation(format!("SRTP refused: {error}"))],
        };
        let Ok(packet) = Packet::unmarshal(&mut plain) else {
            return vec![Notice::Violation("malformed RTP packet".to_owned())];
        };
        let mut notices = violation_unless(accepted, "media packet before accept");
        self.last_packet = Some(now);
        if !std::mem::replace(&mut self.maiden_heard, true) {
            notices.push(Notice::Maiden);
        }
        self.take(now, &packet, &mut notices);
        notices
    }

    fn take(&mut self, now: Instant, packet: &Packet, notices: &mut Vec<Notice>) {
        let attends = self.attends(now);
        let Some(plan) = &mut self.plan else { return };
        let header = &packet.header;
        if *plan.ssrc.get_or_insert(header.ssrc) != header.ssrc {
            let text = format!("SSRC {} instead of {:?}", header.ssrc, plan.ssrc);
            notices.push(Notice::Violation(text));
            return;
        }
        if header.extension && !std::mem::replace(&mut self.extension_seen, true) {
            notices.push(Notice::Violation("RTP header extension that was not negotiated".to_owned()));
        }
        let slow = plan.slow();
        let header = &Header { timestamp: header.timestamp.wrapping_mul(slow), ..header.clone() };
        let voice = plan.voices.iter().find(|voice| voice.payload_type() == header.payload_type);
        self.received += 1;
        if let Some(reporter) = &mut self.reporter {
            let timestamp = voice.map(|_| packet.header.timestamp);
            reporter.received(now, header.ssrc, header.sequence_number, timestamp);
        }
        if voice.is_some() && !attends {
            // Counted, and that is all.
        } else if let Some(voice) = voice {
            match self.decoder.hear(*voice, &packet.payload) {
                Ok(sound) => self.recording.add(now, header, &sound),
                Err(error) => {
                    self.recording.undecodable += 1;
                    notices.push(Notice::Violation(error.to_string()));
                }
            }
        } else if header.payload_type == plan.telephone_event {
            let audio = self.recording.audio_timestamp();
            let (marker, timestamp) = (header.marker, header.timestamp);
            let arrived = Arrived { payload: &packet.payload, marker, timestamp, audio };
            let (digit, wrong) = self.digits.receive(now, arrived);
            notices.extend(digit.map(Notice::Digit));
            notices.extend(wrong.map(Notice::Violation));
            self.recording.add(now, header, &[]);
        } else {
            let text = format!("payload type {} was not negotiated", header.payload_type);
            notices.push(Notice::Violation(text));
        }
    }

    /// The next 20 ms as datagrams: sound, or a digit in its place, and now and then a report.
    pub(crate) fn speak(&mut self, now: Instant) -> Vec<Bytes> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let (voice, events) = (plan.voice(), plan.telephone_event);
        let first = self.speaking_since.is_none();
        self.speaking_since.get_or_insert(now);
        let mut datagrams = Vec::new();
        let presses = self.keypad.tick(self.timestamp);
        if presses.is_empty()
            && let Some(payload) = self.payload(now, voice)
        {
            self.note_sent(now, payload.len(), Some(self.timestamp));
            datagrams.extend(self.rtp(voice.payload_type(), first, self.timestamp, payload));
        }
        for event in presses {
            self.note_sent(now, event.payload.len(), None);
            datagrams.extend(self.rtp(events, event.marker, event.timestamp, event.payload.to_vec()));
        }
        self.timestamp = self.timestamp.wrapping_add(TICKS);
        datagrams.extend(self.report(now));
        datagrams
    }

    /// For the reports: a packet leaves; its timestamp, where that is the time of its sound.
    fn note_sent(&mut self, now: Instant, octets: usize, timestamp: Option<u32>) {
        let slow = self.plan.as_ref().map_or(1, Plan::slow);
        if let Some(reporter) = &mut self.reporter {
            reporter.sent(now, octets, timestamp.map(|timestamp| timestamp / slow));
        }
    }

    fn rtp(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: Vec<u8>) -> Option<Bytes> {
        let slow = self.plan.as_ref().map_or(1, Plan::slow);
        let timestamp = timestamp / slow;
        let header = Header {
            version: 2,
            marker,
            payload_type,
            sequence_number: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            ..Default::default()
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.sent += 1;
        let plain = Packet { header, payload: payload.into() }.marshal().ok()?;
        self.keys.as_mut()?.outbound.encrypt_rtp(&plain).ok()
    }

    /// The report that is due.
    fn report(&mut self, now: Instant) -> Option<Bytes> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let plain = self.reporter.as_mut()?.report(now, ntp(wall))?;
        self.keys.as_mut()?.outbound.encrypt_rtcp(&plain).ok()
    }
}

fn violation_unless(good: bool, text: &str) -> Vec<Notice> {
    if good { Vec::new() } else { vec![Notice::Violation(text.to_owned())] }
}

#[cfg(test)]
#[path = "user/tests.rs"]
mod tests;
