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

fn all_pbxs() -> [Media; 5] {
    [
        pcmu(),
        media(Codec::Pcma, 8, Some((96, 8000))),
        media(Codec::G722, 9, Some((101, 8000))),
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

/// A key that is held for so many packets of 20 ms, in segments of 65,535 ticks (RFC 4733 2.5.1.3), its
/// end sent three times.
fn held(sender: &mut Sender, code: u8, packets: u32) -> Vec<Vec<u8>> {
    const FULL: u32 = u16::MAX as u32;
    let (begin, step) = (sender.event_timestamp.unwrap_or(sender.audio.timestamp), sender.duration_step);
    let scale = if sender.event_timestamp.is_some() { 1 } else { sender.audio_step / u32::from(step) };
    let (mut sent, mut segment) = (Vec::new(), 0);
    for nth in 1..=packets + 2 {
        let lasts = nth.min(packets) * u32::from(step);
        let is_full = lasts > segment + FULL;
        let duration = (lasts - segment).min(FULL) as u16;
        let event = Event { code, end: nth >= packets, volume: 10, duration };
        let timestamp = begin.wrapping_add(segment * scale);
        let header = Header { marker: nth == 1, payload_type: sender.dtmf_pt, timestamp, ..sender.audio };
        sent.push(packet(header, &event.to_bytes()));
        segment += if is_full { FULL } else { 0 };
        sender.step();
    }
    sent
}

/// The keys of a line with their lengths in ms, segments put together as a receiver does it: the next
/// segment begins, without a marker, where the one before was full.
fn keys_of(sent: &[Sent], payload_type: u8, scale: u32, events: u32) -> Vec<(u8, u32)> {
    let mut keys: Vec<(u8, u32)> = Vec::new();
    let (mut earlier, mut last): (u32, Option<(Header, Event)>) = (0, None);
    for Sent { header, payload } in sent.iter().filter(|sent| sent.header.payload_type == payload_type) {
        let event = Event::parse(payload).expect("an event");
        match last.filter(|_| !header.marker) {
            Some((before, said)) if before.timestamp != header.timestamp => {
                assert_eq!((said.duration, said.end, said.code), (u16::MAX, false, event.code));
                let step = header.timestamp.wrapping_sub(before.timestamp);
                assert_eq!(step, u32::from(u16::MAX) * scale);
                earlier += u32::from(u16::MAX);
            }
            Some((_, said)) => assert!(said.end || said.duration < event.duration, "{said:?} {event:?}"),
            None => {
                earlier = 0;
                keys.push((event.code, 0));
            }
        }
        let lasts = (earlier + u32::from(event.duration)) * 1000 / events;
        *keys.last_mut().expect("a key") = (event.code, lasts);
        last = Some((*header, event));
    }
    assert!(last.is_some_and(|(_, event)| event.end));
    keys
}

/// Speech, a key that is held for so long, speech; without the packets of the key that are lost.
fn hold_key(rig: &mut Rig, sender: &mut Sender, from: Party, (seconds, lost): (u32, &[usize])) {
    let mut packets: Vec<_> = (0..5).map(|_| sender.audio()).map(Some).collect();
    let key = held(sender, 7, seconds * 50);
    let kept = key.into_iter().enumerate().map(|(nth, packet)| Some(packet).filter(|_| !lost.contains(&nth)));
    packets.extend(kept);
    packets.extend((0..5).map(|_| sender.audio()).map(Some));
    for packet in packets {
        match (packet, from) {
            (None, _) => {}
            (Some(packet), Party::Pbx) => rig.pbx(&packet),
            (Some(packet), Party::WhatsApp) => rig.whatsapp(&packet),
        }
        rig.wait(20);
    }
}

fn assert_one_key(rig: &mut Rig, from: Party, seconds: u32) {
    let told: Vec<_> = rig.events();
    let digits: Vec<_> = told
        .into_iter()
        .filter(|event| matches!(event, PathEvent::Digit { .. } | PathEvent::DigitEnded { .. }))
        .collect();
    let duration = ms(u64::from(seconds) * 1000);
    let [down, PathEvent::DigitEnded { from: party, digit: '7', duration: lasted }] = digits[..] else {
        panic!("{digits:?}");
    };
    assert_eq!((down, party), (PathEvent::Digit { from, digit: '7' }, from));
    assert!(duration.abs_diff(lasted) <= ms(1), "{lasted:?}");
}

#[test]
fn a_key_held_longer_than_a_duration_can_say_is_one_key_with_its_length_for_whatsapp() {
    // 1.37 s are 65,535 ticks of 48 kHz, 8.19 s of 8 kHz.
    for media in all_pbxs() {
        for seconds in [1, 3, 10] {
            let mut rig = Rig::open(&media);
            hold_key(&mut rig, &mut Sender::pbx(&media), Party::Pbx, (seconds, &[]));
            assert_one_key(&mut rig, Party::Pbx, seconds);
            let sent: Vec<Sent> = rig.to_whatsapp.iter().map(|(_, sent)| sent.clone()).collect();
            let keys = keys_of(&sent, 126, 6, 8000);
            assert!(keys.len() == 1 && keys[0].1.abs_diff(seconds * 1000) <= 1, "{keys:?}");
        }
    }
}

#[test]
fn a_key_held_longer_than_a_duration_can_say_is_one_key_with_its_length_for_the_pbx() {
    for media in all_pbxs() {
        for seconds in [1, 3, 10] {
            let mut rig = Rig::open(&media);
            hold_key(&mut rig, &mut Sender::whatsapp(), Party::WhatsApp, (seconds, &[]));
            assert_one_key(&mut rig, Party::WhatsApp, seconds);
            let (pt, clock) = media.dtmf.expect("events");
            let keys = keys_of(&rig.to_pbx, pt, media.codec.clock() / clock, clock);
            assert!(keys.len() == 1 && keys[0].1.abs_diff(seconds * 1000) <= 1, "{keys:?}");
        }
    }
}

/// Its formats become known after the PBX's, as in a call that is answered.
#[test]
fn a_key_held_for_10_s_is_one_key_both_ways_where_whatsapp_has_g711() {
    for (codec, payload_type) in [(Codec::Pcmu, 0), (Codec::Pcma, 8)] {
        let media = media(codec, payload_type, Some((101, 8000)));
        let untouched = SessionOptions { untouched: true, ..SessionOptions::default() };
        let mut rig = Rig::choosing(&media, untouched);
        rig.path.set_whatsapp(WhatsAppFormats { pcmu: Some(0), pcma: Some(8), ..formats(OPUS, 126) });
        rig.path.open(rig.now);
        hold_key(&mut rig, &mut Sender::pbx(&media), Party::Pbx, (10, &[]));
        assert_one_key(&mut rig, Party::Pbx, 10);
        let sent: Vec<Sent> = rig.to_whatsapp.iter().map(|(_, sent)| sent.clone()).collect();
        let keys = keys_of(&sent, 126, 1, 8000);
        assert!(keys.len() == 1 && keys[0].1.abs_diff(10_000) <= 1, "{keys:?}");
        let audio = header(payload_type, WHATSAPP_SSRC, 65_530, u32::MAX - 5000);
        let mut user = Sender { audio, payload: &[0x55; 160], audio_step: 160, ..Sender::whatsapp() };
        hold_key(&mut rig, &mut user, Party::WhatsApp, (10, &[]));
        assert_one_key(&mut rig, Party::WhatsApp, 10);
        let keys = keys_of(&rig.to_pbx, 101, 1, 8000);
        assert!(keys.len() == 1 && keys[0].1.abs_diff(10_000) <= 1, "{keys:?}");
    }
}

/// The packet that says that a segment is full is sent once.
#[test]
fn a_segment_whose_last_packet_is_lost_is_gone_on_with() {
    let opus = media(Codec::Opus, 107, Some((102, 48_000)));
    let (at_48_khz, at_8_khz) = (u32::from(u16::MAX) / 960, u32::from(u16::MAX) / 160);
    let lost = |full: u32| [full as usize - 1, full as usize];
    let mut rig = Rig::open(&opus);
    hold_key(&mut rig, &mut Sender::pbx(&opus), Party::Pbx, (3, &lost(at_48_khz)));
    assert_one_key(&mut rig, Party::Pbx, 3);
    for media in all_pbxs() {
        let mut rig = Rig::open(&media);
        hold_key(&mut rig, &mut Sender::whatsapp(), Party::WhatsApp, (10, &lost(at_8_khz)));
        assert_one_key(&mut rig, Party::WhatsApp, 10);
    }
}
