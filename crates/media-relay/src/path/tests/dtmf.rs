//! Keys in both directions and all clocks.

use super::*;
use crate::rtp::dtmf::Event;

const CODES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const KEYS: &str = "0123456789*#ABCD";

/// A sender of audio and keys on one line of sequence numbers.
struct Sender {
    audio: Header,
    payload: &'static [u8],
    dtmf_pt: u8,
    /// Ticks of 20 ms: of the audio's timestamps, of the event's timestamps and durations.
    audio_step: u32,
    duration_step: u16,
    /// For events in a clock of their own.
    event_timestamp: Option<u32>,
}

impl Sender {
    fn pbx(media: &Media) -> Self {
        let opus = media.codec == Codec::Opus;
        let (dtmf_pt, clock) = media.dtmf.expect("events");
        Self {
            audio: header(media.payload_type, PBX_SSRC, 65_530, u32::MAX - 5000),
            payload: if opus { &opus::SILENCE } else { &[0x55; 160] },
            dtmf_pt,
            audio_step: media.codec.clock() / 50,
            duration_step: (clock / 50) as u16,
            event_timestamp: (clock != media.codec.clock()).then_some(77),
        }
    }

    fn whatsapp() -> Self {
        Self {
            audio: header(OPUS, WHATSAPP_SSRC, 65_530, u32::MAX - 5000),
            payload: &opus::SILENCE,
            dtmf_pt: 126,
            audio_step: 960,
            duration_step: 160,
            event_timestamp: None,
        }
    }

    fn audio(&mut self) -> Vec<u8> {
        let bytes = packet(self.audio, self.payload);
        self.step();
        bytes
    }

    /// A key of 100 ms in place of the audio, its end sent three times.
    fn key(&mut self, code: u8) -> Vec<Vec<u8>> {
        let timestamp = self.event_timestamp.unwrap_or(self.audio.timestamp);
        let mut packets = Vec::new();
        for nth in 1..=7_u16 {
            let event = Event { code, end: nth >= 5, volume: 10, duration: nth.min(5) * self.duration_step };
            let header = Header { marker: nth == 1, payload_type: self.dtmf_pt, timestamp, ..self.audio };
            packets.push(packet(header, &event.to_bytes()));
            self.step();
        }
        if let Some(own) = &mut self.event_timestamp {
            *own += 7 * u32::from(self.duration_step);
        }
        packets
    }

    fn step(&mut self) {
        self.audio.sequence = self.audio.sequence.wrapping_add(1);
        self.audio.timestamp = self.audio.timestamp.wrapping_add(self.audio_step);
    }
}

/// Five packets of audio, then a key, sixteen times; every 20 ms a packet.
fn dial(rig: &mut Rig, sender: &mut Sender, from: Party) {
    let send = |rig: &mut Rig, bytes: &[u8]| {
        match from {
            Party::Pbx => rig.pbx(bytes),
            Party::WhatsApp => rig.whatsapp(bytes),
        }
        rig.wait(20);
    };
    for code in CODES {
        for _ in 0..5 {
            let bytes = sender.audio();
            send(rig, &bytes);
        }
        for bytes in sender.key(code) {
            send(rig, &bytes);
        }
    }
}

/// What left: one line of audio and keys, 12 packets a key; timestamps in `clock` of the audio,
/// durations in `events`.
fn assert_dialled(sent: &[Sent], dtmf_pt: u8, clock: u32, events: u32) {
    assert_eq!(sent.len(), 16 * 12);
    let first = sent[0].header;
    for (index, Sent { header, payload }) in sent.iter().enumerate() {
        let (round, nth) = (index / 12, index % 12);
        assert_eq!(header.sequence, first.sequence.wrapping_add(index as u16));
        let frame = if nth < 5 { index } else { round * 12 + 5 };
        let ticks = frame as u32 * (clock / 50);
        assert_eq!(header.timestamp, first.timestamp.wrapping_add(ticks), "packet {index}");
        if nth < 5 {
            assert_ne!(header.payload_type, dtmf_pt);
            continue;
        }
        assert_eq!(header.payload_type, dtmf_pt);
        assert_eq!(header.marker, nth == 5);
        let event = Event::parse(payload).expect("an event");
        let length = (nth as u32 - 4).min(5) * events / 50;
        assert_eq!(u32::from(event.code), round as u32);
        assert_eq!(u32::from(event.duration), length);
        assert_eq!((event.end, event.volume), (nth >= 9, 10));
    }
}

fn all_pbxs() -> [Media; 4] {
    [
        pcmu(),
        media(Codec::Pcma, 8, Some((96, 8000))),
        media(Codec::Opus, 107, Some((102, 48_000))),
        media(Codec::Opus, 107, Some((101, 8000))),
    ]
}

#[test]
fn keys_from_every_kind_of_pbx_to_whatsapp() {
    for media in all_pbxs() {
        let mut rig = Rig::open(&media);
        rig.wait(20);
        rig.to_whatsapp.clear();
        dial(&mut rig, &mut Sender::pbx(&media), Party::Pbx);
        assert_eq!(rig.digits(), KEYS);
        let sent: Vec<Sent> = rig.to_whatsapp.iter().map(|(_, sent)| sent.clone()).collect();
        assert_dialled(&sent, 126, 48_000, 8000);
        assert_eq!(rig.path.counters().whatsapp.silence, 2, "while nothing was sent");
    }
}

#[test]
fn keys_from_whatsapp_to_every_kind_of_pbx() {
    for media in all_pbxs() {
        let mut rig = Rig::open(&media);
        dial(&mut rig, &mut Sender::whatsapp(), Party::WhatsApp);
        assert_eq!(rig.digits(), KEYS);
        let (pt, clock) = media.dtmf.expect("events");
        assert_dialled(&rig.to_pbx, pt, media.codec.clock(), clock);
    }
}

#[test]
fn a_pbx_without_telephone_event_gets_none_but_the_digit_is_told() {
    let mut rig = Rig::open(&media(Codec::Pcmu, 0, None));
    dial(&mut rig, &mut Sender::whatsapp(), Party::WhatsApp);
    assert_eq!(rig.digits(), KEYS);
    assert_eq!(rig.to_pbx.len(), 16 * 5);
    for (index, sent) in rig.to_pbx.iter().enumerate() {
        assert_eq!(sent.header.payload_type, 0);
        assert_eq!(sent.header.sequence, TO_PBX.sequence.wrapping_add(index as u16), "no gap to see");
    }
}

#[test]
fn two_equal_keys_and_lost_ends() {
    for media in all_pbxs() {
        let mut rig = Rig::open(&media);
        let mut sender = Sender::pbx(&media);
        for bytes in sender.key(5).iter().take(3) {
            rig.pbx(bytes);
        }
        for bytes in sender.key(5) {
            rig.pbx(&bytes);
        }
        assert_eq!(rig.digits(), "55");
    }
}

#[test]
fn keys_are_told_in_their_order_and_bounded() {
    let mut rig = Rig::open(&pcmu());
    let mut sender = Sender::pbx(&pcmu());
    for _ in 0..10 {
        dial(&mut rig, &mut sender, Party::Pbx);
    }
    let told = rig.digits();
    assert_eq!(told.len(), MAX_EVENTS / 2, "down and up; one place went to the first audio");
    assert!(KEYS.repeat(10).starts_with(&told));
}
