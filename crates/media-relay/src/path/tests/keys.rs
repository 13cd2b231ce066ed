//! Keys that we press ourselves, and how long the keys of others are down.

use super::sound::{Phone, g711, heard_at_whatsapp, law_of};
use super::*;
use crate::codec::g722;
use crate::rtp::dtmf::Event;
use crate::rtp::testing::{amplitude, tone};
use crate::tone::{Sound, Tone};

fn pbxs() -> [Media; 5] {
    [
        pcmu(),
        media(Codec::Pcma, 8, Some((96, 8000))),
        media(Codec::G722, 9, Some((101, 8000))),
        media(Codec::Opus, 107, Some((102, 48_000))),
        media(Codec::Opus, 107, Some((101, 8000))),
    ]
}

/// Sound from both sides, a packet each in 20 ms.
struct Talk {
    media: Media,
    pbx: Phone,
    g722: g722::Encoder,
    phone: Phone,
    spoken: u16,
}

impl Talk {
    fn new(media: &Media) -> Self {
        let (pbx, phone) = (Phone::new(1000.0), Phone::new(700.0));
        Self { media: media.clone(), pbx, g722: g722::Encoder::new(), phone, spoken: 0 }
    }

    fn go_on(&mut self, rig: &mut Rig, packets: u16) {
        for _ in 0..packets {
            let index = self.spoken;
            let own = Sent::new(&self.pbx.packet(index)).payload;
            let payload = match self.media.codec {
                Codec::Opus => own,
                Codec::G722 => {
                    // A tone of 500 Hz at 8 kHz is one of 1000 Hz at 16.
                    let (wide, mut coded) = (tone(500.0, usize::from(index) * 320, 320), vec![0; 160]);
                    self.g722.encode(&wide, &mut coded);
                    coded
                }
                Codec::Pcmu | Codec::Pcma => {
                    g711(law_of(&self.media), &tone(1000.0, usize::from(index) * 160, 160))
                }
            };
            let ticks = u32::from(index) * (self.media.codec.clock() / 50);
            rig.pbx(&packet(header(self.media.payload_type, PBX_SSRC, index, ticks), &payload));
            rig.whatsapp(&self.phone.packet(index));
            self.spoken += 1;
            rig.wait(20);
        }
    }
}

pub(super) fn press(rig: &mut Rig, to: Party, keys: &str, milliseconds: u64) -> bool {
    keys.chars().all(|key| rig.path.send_digit(rig.now, to, key, ms(milliseconds)))
}

/// Codes and durations of whole events, the rules of RFC 4733 2.5.1 checked on the way.
pub(super) fn events(sent: &[Sent], payload_type: u8) -> Vec<(u8, u16)> {
    let packets: Vec<(Header, Event)> = sent
        .iter()
        .filter(|sent| sent.header.payload_type == payload_type)
        .map(|sent| (sent.header, Event::parse(&sent.payload).expect("an event")))
        .collect();
    packets
        .chunk_by(|a, b| a.0.timestamp == b.0.timestamp)
        .map(|event| {
            assert!(event.iter().enumerate().all(|(nth, (header, _))| header.marker == (nth == 0)));
            assert!(event.windows(2).all(|pair| pair[0].1.end || pair[0].1.duration < pair[1].1.duration));
            assert!(event.windows(2).all(|pair| pair[1].0.sequence == pair[0].0.sequence.wrapping_add(1)));
            let ends: Vec<u16> = event.iter().filter(|(_, e)| e.end).map(|(_, e)| e.duration).collect();
            let last = event.last().expect("packets").1;
            assert_eq!(ends, [last.duration; 3]);
            (last.code, last.duration)
        })
        .collect()
}

pub(super) fn assert_no_gap(sent: &[Sent]) {
    for pair in sent.windows(2) {
        assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
        assert_eq!(pair[1].header.ssrc, pair[0].header.ssrc);
    }
}

/// Timestamps of sound follow the clock over the keys, to 40 ms.
fn assert_timed(sent: &[Sent], payload_type: u8, clock: u32, milliseconds: u32) {
    let sound = || sent.iter().filter(|sent| sent.header.payload_type == payload_type);
    let (first, last) = (sound().next().expect("sound"), sound().next_back().expect("sound"));
    let ticks = last.header.timestamp.wrapping_sub(first.header.timestamp);
    assert!((ticks * 1000 / clock).abs_diff(milliseconds) <= 40, "{ticks}");
}

#[test]
fn keys_are_pressed_towards_whatsapp_while_the_pbx_speaks() {
    for media in pbxs() {
        let mut rig = Rig::open(&media);
        rig.wait(20);
        rig.to_whatsapp.clear();
        let mut talk = Talk::new(&media);
        talk.go_on(&mut rig, 50);
        assert!(press(&mut rig, Party::WhatsApp, "1#d", 100));
        talk.go_on(&mut rig, 100);
        let sent: Vec<Sent> = rig.to_whatsapp.iter().map(|(_, sent)| sent.clone()).collect();
        assert_eq!(events(&sent, 126), [(1, 800), (11, 800), (15, 800)], "8 kHz to WhatsApp");
        assert_no_gap(&sent);
        assert_timed(&sent, OPUS, 48_000, 149 * 20);
        let sound: Vec<_> =
            rig.to_whatsapp.iter().filter(|(_, sent)| sent.header.payload_type == OPUS).cloned().collect();
        let heard = heard_at_whatsapp(&sound);
        let tail = &heard[heard.len() - 60 * 160..];
        assert!(amplitude(tail, 1000.0) > 6000.0, "{} is heard again", media.codec);
        assert_eq!(rig.path.counters().whatsapp.silence, 2, "only before the PBX spoke");
        assert_eq!(rig.path.counters().pbx.lost, 0);
        assert_eq!(rig.path.poll(), Some(PathEvent::FirstAudio(Party::Pbx)));
        assert_eq!(rig.path.poll(), Some(PathEvent::FirstAudio(Party::WhatsApp)));
        assert_eq!(rig.path.poll(), None, "our own keys are not told");
    }
}

#[test]
fn keys_are_pressed_towards_the_pbx_while_whatsapp_speaks() {
    for media in pbxs() {
        let mut rig = Rig::open(&media);
        let mut talk = Talk::new(&media);
        talk.go_on(&mut rig, 50);
        assert!(press(&mut rig, Party::Pbx, "07", 250));
        talk.go_on(&mut rig, 100);
        let (number, clock) = media.dtmf.expect("events");
        let long = (clock / 4) as u16;
        assert_eq!(events(&rig.to_pbx, number), [(0, long), (7, long)]);
        assert_no_gap(&rig.to_pbx);
        assert_timed(&rig.to_pbx, media.payload_type, media.codec.clock(), 149 * 20);
        let counters = rig.path.counters().whatsapp;
        assert_eq!((counters.lost, counters.concealed, counters.late), (0, 0, 0));
    }
}

#[test]
fn keys_are_pressed_into_silence_and_into_a_tone() {
    let mut rig = Rig::open(&pcmu());
    rig.wait(195);
    press(&mut rig, Party::WhatsApp, "5", 100);
    rig.wait(500);
    rig.path.play_to_whatsapp(rig.now, Tone { sound: Sound::One(425), cadence: &[] }).expect("libopus");
    rig.wait(305);
    press(&mut rig, Party::WhatsApp, "6", 100);
    rig.wait(500);
    let sent: Vec<Sent> = rig.to_whatsapp.iter().map(|(_, sent)| sent.clone()).collect();
    assert_eq!(events(&sent, 126), [(5, 800), (6, 800)]);
    assert_no_gap(&sent);
    let widest = rig.to_whatsapp.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
    assert!(widest.is_some_and(|widest| widest <= 60), "{widest:?}");
    let stamps: Vec<u32> =
        sent.iter().map(|sent| sent.header.timestamp.wrapping_sub(TO_WHATSAPP.timestamp)).collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
}

#[test]
fn no_key_is_pressed_before_the_answer_on_hold_or_where_no_events_are_taken() {
    let mut rig = Rig::shut(&pcmu());
    assert!(!press(&mut rig, Party::WhatsApp, "1", 100));
    assert!(!press(&mut rig, Party::Pbx, "1", 100));
    assert_eq!(rig.path.deadline(), None);
    let held = Media { direction: Direction::RecvOnly, ..pcmu() };
    for media in [held.clone(), media(Codec::Pcmu, 0, None)] {
        let mut rig = Rig::open(&media);
        assert!(!press(&mut rig, Party::Pbx, "1", 100));
    }
    // Held in the middle of a key: it is not gone on with.
    let mut rig = Rig::open(&pcmu());
    press(&mut rig, Party::Pbx, "123", 100);
    rig.wait(30);
    rig.path.set_pbx(&held).expect("libopus");
    rig.wait(500);
    rig.path.set_pbx(&pcmu()).expect("libopus");
    rig.wait(500);
    assert_eq!(rig.to_pbx.iter().filter(|sent| sent.header.payload_type == 101).count(), 2);
}

#[test]
fn a_trunk_that_takes_no_events_gets_none_and_every_key_is_told_with_its_length() {
    for media in pbxs() {
        let mut rig = Rig::open(&media);
        rig.path.set_digits(DigitMode::Off);
        assert!(!press(&mut rig, Party::Pbx, "1", 100));
        let mut talk = Talk::new(&media);
        talk.go_on(&mut rig, 10);
        let mut sequence = 64_000;
        for (code, length, begun) in [(5, 1200, 0), (5, 640, 9600)] {
            for nth in 0..4_u16 {
                let event = Event { code, end: nth > 0, volume: 10, duration: length };
                let mut header = header(126, WHATSAPP_SSRC, sequence, begun);
                header.marker = nth == 0;
                rig.whatsapp(&packet(header, &event.to_bytes()));
                sequence += 1;
                rig.wait(20);
            }
        }
        assert_eq!(rig.to_pbx.len(), 10);
        let told: Vec<PathEvent> = std::iter::from_fn(|| rig.path.poll()).skip(2).collect();
        let from = Party::WhatsApp;
        let (down, up) = (PathEvent::Digit { from, digit: '5' }, |length| PathEvent::DigitEnded {
            from,
            digit: '5',
            duration: ms(length),
        });
        assert_eq!(told, [down, up(150), down, up(80)]);
        talk.go_on(&mut rig, 10);
        assert_no_gap(&rig.to_pbx);
    }
}

#[test]
fn a_key_whose_end_is_lost_is_told_by_the_clock_on_both_sides() {
    for (from, number, ssrc) in [(Party::Pbx, 101, PBX_SSRC), (Party::WhatsApp, 126, WHATSAPP_SSRC)] {
        let mut rig = Rig::open(&pcmu());
        let event = Event { code: 9, end: false, volume: 10, duration: 800 };
        let bytes = packet(header(number, ssrc, 1, 0), &event.to_bytes());
        match from {
            Party::Pbx => rig.pbx(&bytes),
            Party::WhatsApp => rig.whatsapp(&bytes),
        }
        assert_eq!(rig.path.poll(), Some(PathEvent::Digit { from, digit: '9' }));
        rig.wait(149);
        assert_eq!(rig.path.poll(), None);
        rig.wait(1);
        assert_eq!(rig.path.poll(), Some(PathEvent::DigitEnded { from, digit: '9', duration: ms(100) }));
        rig.wait(1000);
        assert_eq!(rig.path.poll(), None);
    }
}

/// Two hands on one keypad: theirs is told, ours is sent.
#[test]
fn a_key_of_the_pbx_during_one_of_ours_is_told_and_not_sent() {
    let mut rig = Rig::open(&pcmu());
    press(&mut rig, Party::WhatsApp, "1", 200);
    rig.wait(10);
    their_key(&mut rig, 5);
    rig.wait(500);
    assert_eq!(rig.digits(), "8");
    let sent: Vec<Sent> = rig.to_whatsapp.iter().map(|(_, sent)| sent.clone()).collect();
    assert_eq!(events(&sent, 126), [(1, 1600)]);
}

#[test]
fn a_key_of_ours_waits_for_one_of_the_pbx() {
    let mut rig = Rig::open(&pcmu());
    for nth in 0..2 {
        rig.pbx(&their_packet(nth, 5));
        rig.wait(20);
    }
    press(&mut rig, Party::WhatsApp, "1", 200);
    for nth in 2..7 {
        rig.pbx(&their_packet(nth, 5));
        rig.wait(20);
    }
    rig.wait(500);
    let sent: Vec<Sent> = rig.to_whatsapp.iter().map(|(_, sent)| sent.clone()).collect();
    assert_eq!(events(&sent, 126), [(8, 800), (1, 1600)]);
    let begins: Vec<u32> = sent
        .iter()
        .filter(|s| s.header.marker)
        .map(|s| s.header.timestamp.wrapping_sub(TO_WHATSAPP.timestamp))
        .collect();
    let gap = (begins[1] - begins[0]) / 48 - 100;
    assert!((40..=100).contains(&gap), "{gap}");
}

fn their_packet(nth: u16, last: u16) -> Vec<u8> {
    let event = Event { code: 8, end: nth + 1 >= last, volume: 10, duration: (nth + 1).min(last) * 160 };
    let mut header = header(101, PBX_SSRC, nth, 0);
    header.marker = nth == 0;
    packet(header, &event.to_bytes())
}

fn their_key(rig: &mut Rig, last: u16) {
    for nth in 0..last + 2 {
        rig.pbx(&their_packet(nth, last));
        rig.wait(20);
    }
}
