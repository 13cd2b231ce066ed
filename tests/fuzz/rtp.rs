//! Packets of both sides through a whole audio path.

use std::time::{Duration, Instant};

use media_relay::Party;
use media_relay::fuzzing::{Path, SSRCS};
use media_relay::sdp::negotiation::Negotiation;
use media_relay::sdp::pbx::{Codec, Media};

use crate::choices::Choices;

/// What a PBX says, and the direction that is put behind it.
const OFFERS: [(&str, &str); 5] = [
    ("0 101", "a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"),
    ("8 13", "a=ptime:60\r\n"),
    (
        "111 110",
        "a=rtpmap:111 opus/48000/2\r\na=rtpmap:110 telephone-event/48000\r\na=fmtp:111 useinbandfec=1\r\n",
    ),
    ("0 8 96", "a=rtpmap:96 telephone-event/8000\r\na=ptime:10\r\n"),
    ("9 0 101", "a=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n"),
];
const DIRECTIONS: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];
/// Payload numbers that packets have; WhatsApp's among them.
const PAYLOAD_TYPES: [u8; 12] = [0, 8, 9, 13, 96, 101, 107, 110, 111, 126, 102, 72];
/// What may fill a payload.
const TOCS: [u8; 12] = [0x48, 0x4b, 0x08, 0x78, 0x18, 0x58, 0xf8, 0xfb, 0x0b, 0x80, 0xe3, 0x00];
/// More than Ethernet carries leaves in one packet never.
const LONGEST: usize = 1500;
/// A source that jumps further has started anew.
const MOST_LOST: i64 = 3001;
/// A packet as long as can be, of G.711, and what is concealed before it.
const MOST_FRAMES: usize = 64;

/// One side's source.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

/// What left on one of our lines: how much, and the highest index (the sequence number with its rollovers).
struct Line {
    ssrc: u32,
    highest: Option<i64>,
    sent: usize,
}

impl Line {
    fn new(ssrc: u32) -> Self {
        Self { ssrc, highest: None, sent: 0 }
    }

    /// A packet is RTP with our SSRC and something in it, and no further on than its source may jump. (One that a
    /// source doubles has the index of the first: SRTP refuses it.)
    fn take(&mut self, packet: &[u8]) {
        assert!((13..=LONGEST).contains(&packet.len()), "{} bytes", packet.len());
        let [flags, _, high, low, _, _, _, _, s0, s1, s2, s3] = packet[..12] else { unreachable!() };
        assert_eq!(flags, 0x80, "no padding, no extension, no contributors");
        assert_eq!(u32::from_be_bytes([s0, s1, s2, s3]), self.ssrc, "one SSRC");
        let sequence = u16::from_be_bytes([high, low]);
        let index = match self.highest {
            None => i64::from(sequence),
            Some(highest) => highest + i64::from(sequence.wrapping_sub(highest as u16).cast_signed()),
        };
        if let Some(highest) = self.highest {
            assert!((highest - 1000..=highest + MOST_LOST).contains(&index), "{index} after {highest}");
        }
        self.highest = self.highest.max(Some(index));
        self.sent += 1;
    }
}

struct World<'a> {
    choices: Choices<'a>,
    path: Path,
    now: Instant,
    open: bool,
    negotiation: Negotiation,
    pbx: Source,
    user: Source,
    to_whatsapp: Line,
    to_pbx: Line,
}

/// One input is one call.
pub(crate) fn rtp(data: &[u8]) {
    let (whatsapp, pbx) = SSRCS;
    let codecs = vec![Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];
    let mut world = World {
        choices: Choices(data),
        path: Path::new(),
        now: Instant::now(),
        open: false,
        negotiation: Negotiation::new(([192, 0, 2, 10], 40000).into(), 7, codecs),
        pbx: Source { ssrc: 1, sequence: 65_530, timestamp: u32::MAX - 1000 },
        user: Source { ssrc: 2, ..Source::default() },
        to_whatsapp: Line::new(whatsapp),
        to_pbx: Line::new(pbx),
    };
    while !world.choices.is_over() {
        world.step();
    }
    // Whatever has come: the call goes on by itself.
    for _ in 0..50 {
        world.time_passes(Duration::from_millis(20));
    }
    assert!(world.open || world.to_whatsapp.highest.is_none(), "the gate was shut");
}

impl World<'_> {
    fn step(&mut self) {
        match self.choices.byte() % 16 {
            0..5 => self.packet(Party::Pbx),
            5..9 => self.packet(Party::WhatsApp),
            9 => {
                let length = self.choices.byte().into();
                let garbage = self.choices.bytes(length).to_vec();
                let from = self.choices.of(&[Party::Pbx, Party::WhatsApp]);
                self.receive(from, &garbage);
            }
            10 => self.negotiate(),
            11 => {
                self.open = true;
                self.path.open(self.now);
                self.timeouts();
            }
            12 => {
                let ms = u64::from(self.choices.byte()) * 16;
                self.time_passes(Duration::from_millis(ms));
            }
            13 => {
                let us = u64::from(self.choices.word());
                self.time_passes(Duration::from_micros(us));
            }
            _ => self.time_passes(Duration::from_millis(20)),
        }
        assert!(self.path.drain() <= 64, "events pile up");
    }

    fn time_passes(&mut self, time: Duration) {
        self.now += time;
        self.timeouts();
    }

    /// All that is due now; it ends.
    fn timeouts(&mut self) {
        let mut rounds = 0;
        while self.path.deadline().is_some_and(|at| at <= self.now) {
            rounds += 1;
            assert!(rounds < 2000, "the deadline does not move on");
            let Self { path, to_whatsapp, to_pbx, .. } = self;
            // Packets of our own, and those that waited in a jitter buffer, with the gaps of their source.
            path.handle_timeout(self.now, &mut |to, packet| match to {
                Party::WhatsApp => to_whatsapp.take(packet),
                Party::Pbx => to_pbx.take(packet),
            });
            self.path.drain();
        }
        self.gate();
    }

    fn gate(&self) {
        assert!(self.open || self.to_whatsapp.highest.is_none(), "the gate is shut");
    }

    fn receive(&mut self, from: Party, packet: &[u8]) {
        let line = match from {
            Party::Pbx => &mut self.to_whatsapp,
            Party::WhatsApp => &mut self.to_pbx,
        };
        let before = line.sent;
        self.path.receive(self.now, from, packet, &mut |packet| {
            line.take(packet);
        });
        let made = line.sent - before;
        assert!(made <= MOST_FRAMES, "one packet makes {made}");
        self.timeouts();
    }

    fn negotiate(&mut self) {
        let (numbers, lines) = self.choices.of(&OFFERS);
        let direction = self.choices.of(&DIRECTIONS);
        let port = 4000 + 2 * u16::from(self.choices.byte() % 2);
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio {port} RTP/AVP {numbers}\r\n\
             {lines}a={direction}\r\n"
        );
        let agreed: Option<Media> = self.negotiation.answer(offer.as_bytes()).ok().map(|(_, media)| media);
        if let Some(media) = agreed {
            self.path.set_pbx(&media);
            self.timeouts();
        }
    }

    /// A packet of a source that mostly goes on as sources do.
    fn packet(&mut self, from: Party) {
        let choices = &mut self.choices;
        let source = match from {
            Party::Pbx => &mut self.pbx,
            Party::WhatsApp => &mut self.user,
        };
        let how = choices.byte();
        let mut late = *source;
        match how % 16 {
            0..10 => {
                source.sequence = source.sequence.wrapping_add(1);
                source.timestamp = source.timestamp.wrapping_add(if how & 0x10 == 0 { 160 } else { 960 });
                late = *source;
            }
            10 => late.sequence = late.sequence.wrapping_sub(u16::from(choices.byte() % 8)),
            11 => {
                source.sequence = source.sequence.wrapping_add(choices.word());
                source.timestamp = source.timestamp.wrapping_add(u32::from(choices.word()) << 6);
                late = *source;
            }
            12 => {
                source.ssrc = choices.byte().into();
                late = *source;
            }
            13 => {
                source.sequence = source.sequence.wrapping_add(2 + u16::from(choices.byte() % 4));
                source.timestamp = source.timestamp.wrapping_add(u32::from(choices.byte()) * 80);
                late = *source;
            }
            14 => late.timestamp = u32::from(choices.word()) << 16,
            _ => late.sequence = choices.word(),
        }
        let mut packet = vec![0x80, choices.of(&PAYLOAD_TYPES) | (how & 0x80)];
        packet.extend(late.sequence.to_be_bytes());
        packet.extend(late.timestamp.to_be_bytes());
        packet.extend(late.ssrc.to_be_bytes());
        let kind = choices.byte();
        if kind & 0x40 != 0 {
            // An extension, or padding.
            packet[0] = choices.of(&[0x90, 0xa0, 0x81, 0xb2]);
        }
        match kind % 8 {
            0 => packet.extend([choices.byte() % 18, choices.byte(), choices.byte(), choices.byte()]),
            1 => packet.extend([0x55; 80]),
            2 => packet.extend([0xd5; 160]),
            3 => packet.extend([choices.byte(); 480]),
            4 => packet.push(choices.byte()),
            5 => {
                packet.push(choices.of(&TOCS));
                let length = choices.byte() % 64;
                packet.extend(choices.bytes(length.into()));
            }
            6 => packet.extend(choices.bytes(20)),
            _ => packet.resize(packet.len() + 8 * usize::from(choices.byte()), 0x7f),
        }
        self.receive(from, &packet);
    }
}
