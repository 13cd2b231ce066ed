//! Tones of our own, judged by ear.

use super::sound::{Phone, g711, heard_at_pbx, heard_at_whatsapp, law_of};
use super::*;
use crate::codec::g711::Law;
use crate::codec::opus::{Decoder, MAX_SAMPLES};
use crate::rtp::rewrite::Place;
use crate::rtp::testing::{amplitude, tone};
use crate::tone::{Sound, Tone, ringback};

fn listed(country: &str) -> Tone {
    ringback(country).expect("a tone")
}

fn endless(hertz: u16) -> Tone {
    Tone { sound: Sound::One(hertz), cadence: &[] }
}

fn decoded(sent: &[Sent]) -> Vec<i16> {
    let mut decoder = Decoder::new(8000).expect("libopus");
    let mut samples = [0; MAX_SAMPLES];
    sent.iter().flat_map(|sent| decoder.decode(&sent.payload, &mut samples).expect("opus").to_vec()).collect()
}

/// Only the middle of it: codecs need a while, and blur edges.
fn level(heard: &[i16], from_ms: usize, to_ms: usize, hertz: f64) -> f64 {
    amplitude(&heard[(from_ms + 40) * 8..(to_ms - 40) * 8], hertz)
}

fn pbxs() -> [Media; 3] {
    [pcmu(), media(Codec::Pcma, 8, None), media(Codec::Opus, 107, None)]
}

fn heard_by(media: &Media, sent: &[Sent]) -> Vec<i16> {
    match media.codec {
        Codec::Opus => decoded(sent),
        Codec::G722 | Codec::Pcmu | Codec::Pcma => heard_at_pbx(law_of(media), sent),
    }
}

#[test]
fn ringback_reaches_every_kind_of_pbx_before_the_answer_and_nothing_reaches_whatsapp() {
    for media in pbxs() {
        let mut rig = Rig::shut(&media);
        assert_eq!(rig.path.deadline(), None);
        rig.path.play_to_pbx(rig.now, listed("gb")).expect("libopus");
        rig.wait(5990);
        assert!(rig.to_whatsapp.is_empty());
        assert_eq!(rig.own_to_pbx, (0..300).map(|index| index * 20).collect::<Vec<_>>());
        assert_continuous(&rig.to_pbx, media.codec.clock() / 50);
        assert!(rig.to_pbx.iter().all(|sent| sent.header.payload_type == media.payload_type));
        let heard = heard_by(&media, &rig.to_pbx);
        for (from, to, sounds) in
            [(0, 400, true), (400, 600, false), (600, 1000, true), (1000, 3000, false), (3000, 3400, true)]
        {
            for hertz in [400.0, 450.0] {
                let level = level(&heard, from, to, hertz);
                let right = if sounds { (2500.0..4500.0).contains(&level) } else { level < 60.0 };
                assert!(right, "{} {from} ms: {hertz} Hz at {level}", media.codec);
            }
            assert!(level(&heard, from, to, 550.0) < 500.0);
        }
        assert_eq!(rig.path.counters().pbx.tone, 300);
    }
}

#[test]
fn the_answer_ends_the_ringback_and_speech_goes_on_with_its_numbers() {
    for media in pbxs() {
        let mut rig = Rig::shut(&media);
        let mut phone = Phone::new(700.0);
        rig.path.play_to_pbx(rig.now, endless(425)).expect("libopus");
        rig.wait(1990);
        rig.path.open(rig.now);
        rig.wait(10);
        assert_eq!(rig.to_pbx.len(), 100);
        for index in 0..100 {
            rig.whatsapp(&phone.packet(index));
            rig.wait(20);
        }
        assert_eq!(rig.to_pbx.len(), 200, "no packet of the tone after the answer");
        assert_eq!(rig.to_pbx[0].header.sequence, TO_PBX.sequence);
        assert_continuous(&rig.to_pbx, media.codec.clock() / 50);
        let heard = heard_by(&media, &rig.to_pbx);
        assert!(level(&heard, 200, 2000, 425.0) > 4000.0);
        assert!(level(&heard, 2200, 4000, 425.0) < 200.0);
        assert!(level(&heard, 2200, 4000, 700.0) > 6000.0);
        rig.path.play_to_pbx(rig.now, endless(425)).expect("libopus");
        rig.wait(1000);
        assert_eq!(rig.path.counters().pbx.tone, 100, "no ringback in an answered call");
    }
}

#[test]
fn a_tone_stops_when_it_is_told_to_and_may_be_changed() {
    let mut rig = Rig::shut(&pcmu());
    rig.path.play_to_pbx(rig.now, endless(425)).expect("libopus");
    rig.wait(990);
    rig.path.play_to_pbx(rig.now, endless(600)).expect("libopus");
    rig.wait(1000);
    rig.path.stop_tone();
    assert_eq!(rig.path.deadline(), None);
    rig.wait(1000);
    assert_eq!(rig.own_to_pbx, (0..100).map(|index| index * 20).collect::<Vec<_>>());
    let heard = heard_at_pbx(Law::Mu, &rig.to_pbx);
    assert!(level(&heard, 0, 1000, 425.0) > 4000.0 && level(&heard, 0, 1000, 600.0) < 200.0);
    assert!(level(&heard, 1000, 2000, 600.0) > 4000.0 && level(&heard, 1000, 2000, 425.0) < 200.0);
}

#[test]
fn a_tone_waits_for_an_address_and_on_hold_and_follows_the_codec() {
    let nowhere = Media { remote: SocketAddr::from(([0, 0, 0, 0], 4000)), ..pcmu() };
    let mut rig = Rig::shut(&nowhere);
    rig.path.play_to_pbx(rig.now, endless(425)).expect("libopus");
    rig.wait(990);
    assert!(rig.to_pbx.is_empty());
    for media in [pcmu(), media(Codec::Opus, 107, None), media(Codec::Pcma, 8, None)] {
        rig.path.set_pbx(&media).expect("libopus");
        rig.to_pbx.clear();
        rig.wait(1000);
        assert_eq!(rig.to_pbx.len(), 50, "{}", media.codec);
        assert_continuous(&rig.to_pbx, media.codec.clock() / 50);
        assert!(level(&heard_by(&media, &rig.to_pbx), 0, 1000, 425.0) > 4000.0, "{}", media.codec);
    }
    rig.path.set_pbx(&Media { direction: Direction::RecvOnly, ..pcmu() }).expect("libopus");
    rig.to_pbx.clear();
    rig.wait(1000);
    assert!(rig.to_pbx.is_empty());
}

#[test]
fn a_late_timer_sends_one_packet_of_the_tone_and_skips_the_rest() {
    let mut rig = Rig::shut(&pcmu());
    rig.path.play_to_pbx(rig.now, endless(425)).expect("libopus");
    rig.wait(10);
    rig.now += ms(1000);
    rig.wait(0);
    assert_eq!(rig.to_pbx.len(), 2);
    let step = rig.to_pbx[1].header.timestamp.wrapping_sub(rig.to_pbx[0].header.timestamp);
    assert_eq!(step, 50 * 160);
    assert_eq!(rig.path.deadline(), Some(rig.now + ms(20)));
}

#[test]
fn a_tone_for_whatsapp_waits_for_the_answer() {
    let mut rig = Rig::shut(&pcmu());
    rig.path.play_to_whatsapp(rig.now, endless(425)).expect("libopus");
    rig.wait(1000);
    assert!(rig.to_whatsapp.is_empty());
    assert_eq!(rig.path.deadline(), None);
    rig.path.open(rig.now);
    rig.wait(990);
    assert_eq!(rig.to_whatsapp.len(), 50);
    assert!(level(&heard_at_whatsapp(&rig.to_whatsapp), 100, 1000, 425.0) > 4000.0);
}

/// Ringback while a transfer rings: in place of what the old leg says, every 20 ms, and the new leg's
/// speech after it on the same line.
#[test]
fn a_tone_takes_the_pbxs_place_towards_whatsapp() {
    for media in pbxs() {
        let mut rig = Rig::open(&media);
        rig.wait(10);
        let mut pbx = Phone::new(1000.0);
        let mut speak = |rig: &mut Rig, index: u16| {
            let sent = Sent::new(&pbx.packet(index));
            let payload = match media.codec {
                Codec::Opus => sent.payload,
                _ => g711(law_of(&media), &tone(1000.0, usize::from(index) * 160, 160)),
            };
            let ticks = u32::from(index) * (media.codec.clock() / 50);
            rig.pbx(&packet(header(media.payload_type, PBX_SSRC, index, ticks), &payload));
            rig.wait(20);
        };
        for index in 0..300 {
            match index {
                100 => rig.path.play_to_whatsapp(rig.now, endless(425)).expect("libopus"),
                200 => rig.path.stop_tone(),
                _ => {}
            }
            speak(&mut rig, index);
        }
        let numbers: Vec<u16> = rig.to_whatsapp.iter().map(|(_, sent)| sent.header.sequence).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "no packet seems lost");
        let gap = rig.to_whatsapp.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
        assert!(gap.is_some_and(|gap| gap <= 40), "{gap:?}");
        let heard = heard_at_whatsapp(&rig.to_whatsapp);
        for (from, to, hertz, other) in
            [(100, 1900, 1000.0, 425.0), (2200, 3900, 425.0, 1000.0), (4200, 5900, 1000.0, 425.0)]
        {
            let (there, absent) = (level(&heard, from, to, hertz), level(&heard, from, to, other));
            assert!(there > 4000.0 && absent < 200.0, "{} {from}: {there} {absent}", media.codec);
        }
        let counters = rig.path.counters();
        assert_eq!(counters.whatsapp.tone, 100, "{}", media.codec);
        assert_eq!((counters.pbx.ignored, counters.pbx.lost), (100, 0));
    }
}

#[test]
fn a_source_left_out_has_no_place_on_the_line_until_it_is_heard() {
    let start = epoch();
    let mut line = crate::rtp::rewrite::Line::new(TO_PBX, 8000);
    let stamp = |ssrc, sequence: u16| crate::rtp::rewrite::Stamp {
        ssrc,
        sequence,
        timestamp: u32::from(sequence) * 160,
    };
    let number = |place: Option<Place>| place.map(|place| place.sequence.wrapping_sub(TO_PBX.sequence));
    assert_eq!(number(line.place(start, stamp(1, 10))), Some(0));
    line.leave_out(stamp(1, 11));
    line.leave_out(stamp(1, 12));
    assert_eq!(number(line.place(start + ms(60), stamp(1, 13))), Some(1));
    assert_eq!(line.place(start + ms(60), stamp(1, 12)), None, "what was left out stays out");
    line.leave_out(stamp(2, 700));
    line.leave_out(stamp(2, 701));
    assert_eq!(number(line.place(start + ms(100), stamp(2, 702))), Some(2));
    assert_eq!(number(Some(line.place_own(start + ms(120)))), Some(3));
    line.leave_out(stamp(2, 703));
    assert_eq!(number(line.place(start + ms(140), stamp(2, 704))), Some(4));
}
