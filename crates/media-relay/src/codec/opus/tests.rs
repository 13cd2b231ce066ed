use super::*;
use std::f64::consts::TAU;

use crate::codec::FRAME_SAMPLES;
use crate::codec::Frame;

fn tone(index: usize) -> Frame {
    let mut frame = [0; FRAME_SAMPLES];
    for (offset, sample) in frame.iter_mut().enumerate() {
        let time = (index * FRAME_SAMPLES + offset) as f64 / 8000.0;
        *sample = (8000.0 * (TAU * 1000.0 * time).sin()) as i16;
    }
    frame
}

/// Root mean square.
fn level(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    (energy / samples.len() as f64).sqrt()
}

#[test]
fn a_tone_keeps_its_level_at_about_20_kbit() {
    let mut encoder = Encoder::new(&EncoderConfig::whatsapp(8000, 5)).expect("libopus");
    let mut decoder = Decoder::new(8000).expect("libopus");
    let (mut payload, mut samples) = ([0; MAX_PAYLOAD], [0; MAX_SAMPLES]);
    let mut bytes = 0;
    for index in 0..100 {
        let coded = encoder.encode(&tone(index), &mut payload).expect("encodes");
        bytes += coded.len();
        assert_eq!(super::samples(coded, 8000), Some(160));
        let heard = decoder.decode(coded, &mut samples).expect("decodes");
        assert_eq!(heard.len(), FRAME_SAMPLES);
        if index > 5 {
            assert!((4000.0..7500.0).contains(&level(heard)), "{}", level(heard));
        }
    }
    // 100 frames of 20 ms are 2 s.
    assert!((2000..=6500).contains(&bytes), "{bytes} bytes");
}

#[test]
fn silence_is_coded_too() {
    let mut encoder = Encoder::new(&EncoderConfig::whatsapp(8000, 0)).expect("libopus");
    let mut payload = [0; MAX_PAYLOAD];
    for _ in 0..100 {
        // Discontinuous transmission would give one or two bytes.
        let coded = encoder.encode(&[0; FRAME_SAMPLES], &mut payload);
        assert!(coded.expect("encodes").len() > 2);
    }
}

#[test]
fn stereo_packets_of_48_khz_are_heard_at_8_khz_mono() {
    let mut encoder = opus::Encoder::new(48_000, Channels::Stereo, Application::Audio).expect("libopus");
    let mut decoder = Decoder::new(8000).expect("libopus");
    let mut samples = [0; MAX_SAMPLES];
    for index in 0..20 {
        let wide: Vec<i16> = (0..1920)
            .map(|position| {
                let time = (index * 960 + position / 2) as f64 / 48_000.0;
                (8000.0 * (TAU * 1000.0 * time).sin()) as i16
            })
            .collect();
        let coded = encoder.encode_vec(&wide, 1000).expect("encodes");
        let heard = decoder.decode(&coded, &mut samples).expect("decodes");
        assert_eq!(heard.len(), FRAME_SAMPLES);
        if index > 5 {
            assert!((4000.0..7500.0).contains(&level(heard)), "{}", level(heard));
        }
    }
}

#[test]
fn the_frame_of_silence_is_silence_of_20_ms_in_any_state() {
    let mut encoder = Encoder::new(&EncoderConfig::whatsapp(8000, 5)).expect("libopus");
    let mut decoder = Decoder::new(8000).expect("libopus");
    let (mut payload, mut samples) = ([0; MAX_PAYLOAD], [0; MAX_SAMPLES]);
    assert_eq!(super::samples(&SILENCE, 8000), Some(160));
    let heard = decoder.decode(&SILENCE, &mut samples).expect("decodes");
    assert_eq!(heard, [0; FRAME_SAMPLES]);
    for index in 0..10 {
        let coded = encoder.encode(&tone(index), &mut payload).expect("encodes");
        decoder.decode(coded, &mut samples).expect("decodes");
    }
    for _ in 0..5 {
        decoder.decode(&SILENCE, &mut samples).expect("decodes");
    }
    let heard = decoder.decode(&SILENCE, &mut samples).expect("decodes");
    assert!(level(heard) < 10.0, "{}", level(heard));
}

#[test]
fn a_lost_packet_is_concealed_from_before_and_from_after() {
    let mut encoder = Encoder::new(&EncoderConfig::whatsapp(8000, 5)).expect("libopus");
    let mut decoder = Decoder::new(8000).expect("libopus");
    let (mut payload, mut samples) = ([0; MAX_PAYLOAD], [0; MAX_SAMPLES]);
    for index in 0..10 {
        let coded = encoder.encode(&tone(index), &mut payload).expect("encodes");
        decoder.decode(coded, &mut samples).expect("decodes");
    }
    let heard = decoder.conceal(FRAME_SAMPLES, &mut samples).expect("conceals");
    assert_eq!(heard.len(), FRAME_SAMPLES);
    assert!(level(heard) > 1500.0, "{}", level(heard));
    let coded = encoder.encode(&tone(12), &mut payload).expect("encodes");
    let heard = decoder.recover(coded, FRAME_SAMPLES, &mut samples).expect("recovers");
    assert_eq!(heard.len(), FRAME_SAMPLES);
    assert!(level(heard) > 500.0, "{}", level(heard));
}

#[test]
fn no_opus_packet() {
    assert_eq!(samples(&[], 8000), None);
    // Three frames of 60 ms are more than a packet may hold.
    assert_eq!(samples(&[0x1b, 0x03], 8000), None);
    let mut decoder = Decoder::new(8000).expect("libopus");
    assert!(decoder.decode(&[0xff, 0xff], &mut [0; MAX_SAMPLES]).is_err());
}

/// A voice: a buzz of many harmonics whose pitch and loudness move.
fn voice(frames: usize, rate: usize) -> Vec<i16> {
    let mut phase = 0.0;
    (0..frames * rate / 50)
        .map(|index| {
            let time = index as f64 / rate as f64;
            let pitch = 140.0 + 30.0 * (TAU * 0.7 * time).sin();
            phase += TAU * pitch / rate as f64;
            let buzz: f64 = (1..12).map(|n| (phase * f64::from(n)).sin() / f64::from(n)).sum();
            let loud = 0.55 + 0.45 * (TAU * 3.0 * time).sin();
            (5000.0 * loud * buzz) as i16
        })
        .collect()
}

/// The energy of the difference.
fn error(heard: &[i16], original: &[i16]) -> f64 {
    heard.iter().zip(original).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

#[test]
fn with_reported_loss_a_lost_frame_comes_back_from_the_next_closer_than_concealed() {
    for rate in [8000, 16_000] {
        let size = rate / 50;
        let sound = voice(150, rate);
        let config = EncoderConfig::whatsapp(rate as u32, 5);
        let mut encoder = Encoder::new(&config).expect("libopus");
        encoder.set_expected_loss(10);
        let payloads: Vec<Vec<u8>> = sound
            .chunks(size)
            .map(|frame| encoder.encode(frame, &mut [0; MAX_PAYLOAD]).expect("encodes").to_vec())
            .collect();
        let (mut recovered, mut concealed) = (0.0, 0.0);
        for lost in (20..140).step_by(7) {
            // What is heard without loss is what both are compared with.
            let [mut whole, mut by_fec, mut by_plc] =
                [(); 3].map(|()| Decoder::new(rate as u32).expect("libopus"));
            let [mut a, mut b, mut c] = [[0; MAX_SAMPLES]; 3];
            for payload in &payloads[..lost] {
                for decoder in [&mut whole, &mut by_fec, &mut by_plc] {
                    decoder.decode(payload, &mut a).expect("decodes");
                }
            }
            let original = whole.decode(&payloads[lost], &mut a).expect("decodes");
            let next = &payloads[lost + 1];
            recovered += error(by_fec.recover(next, size, &mut b).expect("recovers"), original);
            concealed += error(by_plc.conceal(size, &mut c).expect("conceals"), original);
        }
        assert!(recovered < concealed / 2.0, "{rate} Hz: {recovered:e} against {concealed:e}");
    }
}

#[test]
fn redundancy_is_added_above_one_percent_only_and_only_for_who_uses_it() {
    let sound = voice(50, 8000);
    let coded = |fec: bool, loss: u8| {
        let config = EncoderConfig { in_band_fec: fec, ..EncoderConfig::whatsapp(8000, 5) };
        let mut encoder = Encoder::new(&config).expect("libopus");
        encoder.set_expected_loss(loss);
        let encode = |frame: &[i16]| encoder.encode(frame, &mut [0; MAX_PAYLOAD]).expect("encodes").to_vec();
        sound.chunks(160).map(encode).collect::<Vec<_>>()
    };
    let plain = coded(true, 0);
    assert_eq!(coded(true, 1), plain);
    assert_eq!(coded(false, 30), plain);
    assert_ne!(coded(true, 2), plain);
}

#[test]
fn loss_that_is_over_ends_redundancy() {
    let sound = voice(60, 8000);
    let mut encoder = Encoder::new(&EncoderConfig::whatsapp(8000, 5)).expect("libopus");
    let mut has_redundancy = |frame: &[i16], loss| {
        encoder.set_expected_loss(loss);
        let mut payload = [0; MAX_PAYLOAD];
        let payload = encoder.encode(frame, &mut payload).expect("encodes");
        // SILK: the range coder's first bits are voice activity, then the flag of redundancy.
        assert!(payload[0] >> 3 < 12, "SILK");
        payload[1] & 0x40 != 0
    };
    let flags: Vec<bool> = sound
        .chunks(160)
        .enumerate()
        .map(|(index, frame)| has_redundancy(frame, if (20..40).contains(&index) { 10 } else { 0 }))
        .collect();
    assert!(!flags[..20].contains(&true), "{flags:?}");
    assert!(flags[25..40].iter().filter(|flag| **flag).count() > 8, "{flags:?}");
    assert!(!flags[42..].contains(&true), "{flags:?}");
}

#[test]
fn the_band_is_what_the_far_end_can_play() {
    for (max_playback_rate, band) in [
        (8000, Bandwidth::Narrowband),
        (12_000, Bandwidth::Mediumband),
        (16_000, Bandwidth::Wideband),
        (0, Bandwidth::Narrowband),
        (u32::MAX, Bandwidth::Wideband),
    ] {
        let config = EncoderConfig { max_playback_rate, ..EncoderConfig::whatsapp(16_000, 5) };
        let mut encoder = Encoder::new(&config).expect("libopus");
        let mut payload = [0; MAX_PAYLOAD];
        for frame in voice(20, 16_000).chunks(320) {
            let coded = encoder.encode(frame, &mut payload).expect("encodes");
            assert_eq!(opus::packet::get_bandwidth(coded).expect("a packet"), band);
        }
    }
}

#[test]
fn the_bitrate_is_kept_and_a_foolish_one_is_bounded() {
    let sound = voice(150, 16_000);
    for (asked, least, most) in
        [(0, 3_000, 9_000), (12_000, 7_000, 14_000), (20_000, 10_000, 22_000), (u32::MAX, 22_000, 72_000)]
    {
        let config = EncoderConfig { bitrate: asked, ..EncoderConfig::whatsapp(16_000, 5) };
        let mut encoder = Encoder::new(&config).expect("libopus");
        let mut payload = [0; MAX_PAYLOAD];
        let bytes: usize =
            sound.chunks(320).map(|frame| encoder.encode(frame, &mut payload).expect("encodes").len()).sum();
        let rate = bytes * 8 / 3;
        assert!((least..=most).contains(&rate), "asked {asked}: {rate}");
    }
}

#[test]
fn the_longest_packet_fits_at_16_khz() {
    let mut decoder = Decoder::new(16_000).expect("libopus");
    // Code 3, two frames of 60 ms of SILK, no bytes in them.
    let packet = [0x1b, 0x02];
    assert_eq!(samples(&packet, 16_000), Some(1920));
    let mut heard = [0; MAX_SAMPLES];
    assert_eq!(decoder.decode(&packet, &mut heard).expect("decodes").len(), 1920);
}

#[test]
fn no_such_rate_is_an_error() {
    assert!(Encoder::new(&EncoderConfig::whatsapp(11_025, 5)).is_err());
    assert!(Decoder::new(11_025).is_err());
}
