//! What is heard: tones through the codecs, re-framing, loss, passthrough, changes of codec.

use super::*;
use crate::codec::opus::{Decoder, Encoder, EncoderConfig, MAX_PAYLOAD, MAX_SAMPLES};
use crate::rtp::testing::{amplitude, tone};

pub(super) fn law_of(media: &Media) -> Law {
    law(media.codec)
}

pub(super) fn g711(law: Law, samples: &[i16]) -> Vec<u8> {
    let mut coded = vec![0; samples.len()];
    law.encode(samples, &mut coded);
    coded
}

pub(super) fn heard_at_pbx(law: Law, sent: &[Sent]) -> Vec<i16> {
    let mut heard = Vec::new();
    for Sent { payload, .. } in sent {
        let mut samples = vec![0; payload.len()];
        law.decode(payload, &mut samples);
        heard.extend(samples);
    }
    heard
}

pub(super) fn heard_at_whatsapp(sent: &[(u128, Sent)]) -> Vec<i16> {
    let mut decoder = Decoder::new(8000).expect("libopus");
    let mut samples = [0; MAX_SAMPLES];
    let mut heard = Vec::new();
    for (_, sent) in sent {
        heard.extend_from_slice(decoder.decode(&sent.payload, &mut samples).expect("opus"));
    }
    heard
}

/// The tone is there in every 100 ms, at its level, and another one is not.
fn assert_tone(heard: &[i16], frequency: f64) {
    for (index, window) in heard.chunks_exact(800).enumerate().skip(1) {
        let level = amplitude(window, frequency);
        assert!((6000.0..9500.0).contains(&level), "window {index}: {level}");
        let other = amplitude(window, frequency * 1.5);
        assert!(other < 800.0, "window {index}: {other} at another frequency");
    }
}

/// Packets of WhatsApp's phone with a tone.
pub(super) struct Phone {
    encoder: Encoder,
    payload: [u8; MAX_PAYLOAD],
    frequency: f64,
}

impl Phone {
    pub(super) fn new(frequency: f64) -> Self {
        Self {
            encoder: Encoder::new(&EncoderConfig::whatsapp(8000, 5)).expect("libopus"),
            payload: [0; MAX_PAYLOAD],
            frequency,
        }
    }

    pub(super) fn packet(&mut self, index: u16) -> Vec<u8> {
        let frame: [i16; 160] =
            tone(self.frequency, usize::from(index) * 160, 160).try_into().expect("a frame");
        let payload = self.encoder.encode(&frame, &mut self.payload).expect("encodes");
        let header = header(OPUS, WHATSAPP_SSRC, 65_500_u16.wrapping_add(index), u32::from(index) * 960);
        packet(header, payload)
    }
}

#[test]
fn a_tone_goes_from_the_pbx_to_whatsapp_and_back() {
    for media in [pcmu(), media(Codec::Pcma, 8, None)] {
        let law = law_of(&media);
        let mut rig = Rig::open(&media);
        rig.wait(20);
        rig.to_whatsapp.clear();
        for index in 0..150_u16 {
            let coded = g711(law, &tone(1000.0, usize::from(index) * 160, 160));
            let header = header(
                media.payload_type,
                PBX_SSRC,
                65_500_u16.wrapping_add(index),
                (u32::MAX - 999).wrapping_add(u32::from(index) * 160),
            );
            rig.pbx(&packet(header, &coded));
            // The phone sends back what it gets, in its own numbers.
            let (_, mut echo) = rig.to_whatsapp.last().expect("a packet each").clone();
            echo.header.ssrc = WHATSAPP_SSRC;
            rig.whatsapp(&packet(echo.header, &echo.payload));
            rig.wait(20);
        }
        assert_eq!(rig.to_whatsapp.len(), 150);
        assert_continuous(rig.to_whatsapp.iter().map(|(_, sent)| sent), 960);
        assert_tone(&heard_at_whatsapp(&rig.to_whatsapp), 1000.0);
        assert_eq!(rig.to_pbx.len(), 150);
        assert_continuous(&rig.to_pbx, 160);
        assert!(
            rig.to_pbx
                .iter()
                .all(|sent| sent.header.payload_type == media.payload_type && sent.payload.len() == 160)
        );
        assert_eq!(rig.to_pbx[0].header.sequence, TO_PBX.sequence);
        assert_eq!(rig.to_pbx[0].header.timestamp, TO_PBX.timestamp);
        assert_tone(&heard_at_pbx(law, &rig.to_pbx), 1000.0);
        let counters = rig.path.counters();
        assert_eq!((counters.pbx.received, counters.whatsapp.sent), (150, 152));
        assert_eq!((counters.whatsapp.received, counters.pbx.sent), (150, 150));
    }
}

#[test]
fn packets_of_any_length_become_20_ms() {
    for milliseconds in [10, 20, 30, 40, 60] {
        let samples = milliseconds * 8;
        let mut rig = Rig::open(&pcmu());
        rig.wait(20);
        rig.to_whatsapp.clear();
        for index in 0..1200 / milliseconds {
            let coded = g711(Law::Mu, &tone(1000.0, index * samples, samples));
            let header = header(0, PBX_SSRC, index as u16, (index * samples) as u32);
            rig.pbx(&packet(header, &coded));
            rig.wait(milliseconds as u64);
        }
        assert_eq!(rig.to_whatsapp.len(), 60, "{milliseconds} ms");
        assert_continuous(rig.to_whatsapp.iter().map(|(_, sent)| sent), 960);
        assert_tone(&heard_at_whatsapp(&rig.to_whatsapp), 1000.0);
    }
}

#[test]
fn opus_passes_untouched_both_ways() {
    let mut rig = Rig::open(&media(Codec::Opus, 107, None));
    rig.wait(20);
    rig.to_whatsapp.clear();
    let (mut pbx, mut phone) = (Phone::new(700.0), Phone::new(900.0));
    let (mut from_pbx, mut from_phone) = (Vec::new(), Vec::new());
    for index in 0..100 {
        let mut sent = Sent::new(&pbx.packet(index));
        sent.header.payload_type = 107;
        sent.header.ssrc = PBX_SSRC;
        from_pbx.push(sent.payload.clone());
        rig.pbx(&packet(sent.header, &sent.payload));
        let sent = phone.packet(index);
        from_phone.push(Sent::new(&sent).payload);
        rig.whatsapp(&sent);
        rig.wait(20);
    }
    let payloads: Vec<_> = rig.to_whatsapp.iter().map(|(_, sent)| sent.payload.clone()).collect();
    assert_eq!(payloads, from_pbx);
    assert!(rig.to_whatsapp.iter().all(|(_, sent)| sent.header.payload_type == OPUS));
    assert_continuous(rig.to_whatsapp.iter().map(|(_, sent)| sent), 960);
    let payloads: Vec<_> = rig.to_pbx.iter().map(|sent| sent.payload.clone()).collect();
    assert_eq!(payloads, from_phone);
    assert!(rig.to_pbx.iter().all(|sent| sent.header.payload_type == 107));
    assert_continuous(&rig.to_pbx, 960);
}

#[test]
fn extensions_csrcs_and_padding_are_left_behind() {
    let mut rig = Rig::open(&media(Codec::Opus, 107, None));
    let mut bytes = vec![0xb1, 107, 0, 1, 0, 0, 0, 9, 0, 0, 0x11, 0x11, 9, 9, 9, 9];
    bytes.extend([0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
    bytes.extend(opus::SILENCE);
    bytes.extend([0, 2]);
    rig.pbx(&bytes);
    assert_eq!(rig.to_whatsapp[1].1.payload, opus::SILENCE);
}

#[test]
fn up_to_three_lost_packets_are_concealed() {
    let mut rig = Rig::open(&pcmu());
    let mut phone = Phone::new(1000.0);
    for index in 0..150 {
        let sent = phone.packet(index);
        if ![30, 60, 61, 90, 91, 92].contains(&index) {
            rig.whatsapp(&sent);
        }
        rig.wait(20);
    }
    assert_eq!(rig.to_pbx.len(), 150);
    assert_continuous(&rig.to_pbx, 160);
    let counters = rig.path.counters().whatsapp;
    assert_eq!((counters.lost, counters.concealed), (6, 6));
    let heard = heard_at_pbx(Law::Mu, &rig.to_pbx);
    // The longer the loss, the fainter the guess.
    for (lost, least) in [(30, 1500.0), (60, 1500.0), (61, 500.0)] {
        let level = amplitude(&heard[lost * 160..(lost + 1) * 160], 1000.0);
        assert!(level > least, "packet {lost}: {level}");
    }
}

#[test]
fn more_lost_packets_are_a_gap_and_late_ones_are_left_out() {
    let mut rig = Rig::open(&pcmu());
    let mut phone = Phone::new(1000.0);
    let packets: Vec<_> = (0..20).map(|index| phone.packet(index)).collect();
    for index in [0, 1, 2, 7, 8, 5, 8, 9] {
        rig.whatsapp(&packets[index]);
        rig.wait(if index == 2 { 100 } else { 5 });
    }
    rig.wait(80);
    let sent: Vec<(u16, u32)> = rig
        .to_pbx
        .iter()
        .map(|sent| {
            (
                sent.header.sequence.wrapping_sub(TO_PBX.sequence),
                sent.header.timestamp.wrapping_sub(TO_PBX.timestamp) / 160,
            )
        })
        .collect();
    // 60 ms of the gap are made up.
    assert_eq!(sent, [0, 1, 2, 3, 4, 5, 7, 8, 9].map(|place| (place, place.into())));
    let counters = rig.path.counters().whatsapp;
    assert_eq!((counters.lost, counters.concealed, counters.late, counters.duplicated), (4, 3, 1, 1));
}

#[test]
fn a_packet_lost_by_the_pbx_is_no_gap_for_whatsapp() {
    let mut rig = Rig::open(&pcmu());
    rig.wait(20);
    rig.to_whatsapp.clear();
    for index in 0..10_u16 {
        if index != 4 {
            let header = header(0, PBX_SSRC, index, u32::from(index) * 160);
            rig.pbx(&packet(header, &[0x55; 160]));
        }
        rig.wait(20);
    }
    let first = rig.to_whatsapp[0].1.header;
    let sent: Vec<_> = rig
        .to_whatsapp
        .iter()
        .map(|(_, sent)| {
            let ticks = sent.header.timestamp.wrapping_sub(first.timestamp);
            (sent.header.sequence.wrapping_sub(first.sequence), ticks / 960)
        })
        .collect();
    assert_eq!(sent, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|index| (index, u32::from(index))));
    let counters = rig.path.counters().pbx;
    assert_eq!((counters.lost, counters.concealed), (1, 1));
}

#[test]
fn opus_packets_of_other_lengths_become_20_ms_of_g711() {
    for milliseconds in [10_usize, 40, 60] {
        let mut encoder =
            ::opus::Encoder::new(8000, ::opus::Channels::Mono, ::opus::Application::Voip).expect("libopus");
        encoder.set_bitrate(::opus::Bitrate::Bits(20_000)).expect("libopus");
        let samples = milliseconds * 8;
        let mut rig = Rig::open(&pcmu());
        for index in 0..1200 / milliseconds {
            let coded = encoder.encode_vec(&tone(1000.0, index * samples, samples), 400).expect("encodes");
            let header = header(OPUS, WHATSAPP_SSRC, index as u16, (index * samples * 6) as u32);
            rig.whatsapp(&packet(header, &coded));
            rig.wait(milliseconds as u64);
        }
        assert_eq!(rig.to_pbx.len(), 60);
        assert_continuous(&rig.to_pbx, 160);
        assert_tone(&heard_at_pbx(Law::Mu, &rig.to_pbx), 1000.0);
    }
}

#[test]
fn the_lines_go_on_when_the_codec_changes() {
    let mut rig = Rig::open(&pcmu());
    let mut phone = Phone::new(1000.0);
    let (mut sequence, mut spoken) = (5, 0);
    for (round, media) in
        [pcmu(), media(Codec::Opus, 107, None), media(Codec::Pcma, 8, None)].iter().enumerate()
    {
        rig.path.set_pbx(media).expect("libopus");
        // The numbers of the new stream come just before those of the old one.
        sequence -= u16::from(round == 1) * 10;
        for _ in 0..20 {
            let (payload, step) = match media.codec {
                Codec::Opus => (&opus::SILENCE[..], 960),
                Codec::G722 | Codec::Pcmu | Codec::Pcma => (&[0x55; 160][..], 160),
            };
            let header = header(media.payload_type, PBX_SSRC, sequence, u32::from(sequence) * step);
            rig.pbx(&packet(header, payload));
            rig.whatsapp(&phone.packet(spoken));
            (sequence, spoken) = (sequence + 1, spoken + 1);
            rig.wait(20);
        }
    }
    assert_eq!(rig.to_whatsapp.len(), 61);
    assert_continuous(rig.to_whatsapp.iter().map(|(_, sent)| sent), 960);
    let numbers: Vec<u16> = rig.to_pbx.iter().map(|sent| sent.header.sequence).collect();
    let expected: Vec<u16> =
        (0..numbers.len() as u16).map(|index| TO_PBX.sequence.wrapping_add(index)).collect();
    assert_eq!(numbers, expected);
    for pair in rig.to_pbx.windows(2) {
        let step = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp);
        let changed = pair[0].header.payload_type != pair[1].header.payload_type;
        assert!(changed || step == 160 || step == 960, "{step}");
        assert!(step <= 960);
    }
}

#[test]
fn hold_sends_nothing_to_the_pbx_and_still_hears_it() {
    let held = Media { direction: Direction::RecvOnly, ..pcmu() };
    let nowhere = Media { remote: SocketAddr::from(([0, 0, 0, 0], 4000)), ..pcmu() };
    let mut phone = Phone::new(1000.0);
    for media in [held, nowhere] {
        let mut rig = Rig::open(&media);
        for index in 0..10 {
            rig.whatsapp(&phone.packet(index));
            rig.pbx(&packet(header(0, PBX_SSRC, index, u32::from(index) * 160), &[0x55; 160]));
            rig.wait(20);
        }
        assert!(rig.to_pbx.is_empty());
        assert_eq!(rig.to_whatsapp.len(), 11);
        rig.path.set_pbx(&pcmu()).expect("libopus");
        for index in 500..510 {
            rig.whatsapp(&phone.packet(index));
            rig.wait(20);
        }
        assert_eq!(rig.to_pbx.len(), 10);
        assert_continuous(&rig.to_pbx, 160);
    }
    let mute = Media { direction: Direction::Inactive, ..pcmu() };
    let mut rig = Rig::open(&mute);
    rig.pbx(&packet(header(0, PBX_SSRC, 1, 0), &[0x55; 160]));
    assert_eq!((rig.to_whatsapp.len(), rig.path.counters().pbx.ignored), (1, 1));
}

#[test]
fn the_other_law_without_a_word_is_heard_rightly() {
    let mut rig = Rig::open(&pcmu());
    rig.wait(20);
    rig.to_whatsapp.clear();
    for index in 0..100_u16 {
        let coded = g711(Law::A, &tone(1000.0, usize::from(index) * 160, 160));
        rig.pbx(&packet(header(8, PBX_SSRC, index, u32::from(index) * 160), &coded));
        rig.wait(20);
    }
    assert_tone(&heard_at_whatsapp(&rig.to_whatsapp), 1000.0);
}

/// Silence from anywhere but its own encoder would leave WhatsApp's decoder in another state than
/// the encoder's, and the sound after it distorted.
#[test]
fn a_tone_is_whole_again_at_once_after_a_pause_of_a_g711_pbx() {
    let mut rig = Rig::open(&pcmu());
    for index in 0..100_u16 {
        if !(40..60).contains(&index) {
            let samples = tone(557.0, usize::from(index) * 160, 160);
            let header = header(0, PBX_SSRC, index, u32::from(index) * 160);
            rig.pbx(&packet(header, &g711(Law::Mu, &samples)));
        }
        rig.wait(20);
    }
    // The first 60 ms might have been lost, and are made up.
    assert_eq!(rig.path.counters().whatsapp.silence, 17);
    let heard = heard_at_whatsapp(&rig.to_whatsapp);
    assert_tone(&heard[heard.len() - 39 * 160..], 557.0);
}

/// What was left out on hold was counted as lost, and the last of it concealed, at the end of the hold.
#[test]
fn sound_left_out_on_hold_is_not_lost() {
    let mut rig = Rig::open(&pcmu());
    let mut phone = Phone::new(700.0);
    for index in 0..100 {
        let hold = (20..80).contains(&index);
        let direction = if hold { Direction::RecvOnly } else { Direction::SendRecv };
        if index == 20 || index == 80 {
            rig.path.set_pbx(&Media { direction, ..pcmu() }).expect("libopus");
        }
        rig.whatsapp(&phone.packet(index));
        rig.wait(20);
    }
    let counters = rig.path.counters().whatsapp;
    assert_eq!((counters.lost, counters.concealed, counters.ignored), (0, 0, 60));
    assert_eq!(rig.to_pbx.len(), 40);
}
