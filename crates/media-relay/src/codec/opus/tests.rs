use super::*;
use crate::codec::FRAME_SAMPLES;
use crate::codec::Frame;

fn tone(index: usize) -> Frame {
    let mut frame = [0; FRAME_SAMPLES];
    for (offset, sample) in frame.iter_mut().enumerate() {
        let time = (index * FRAME_SAMPLES + offset) as f64 / 8000.0;
        *sample = (8000.0 * (std::f64::consts::TAU * 1000.0 * time).sin()) as i16;
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
    let mut encoder = Encoder::new(5).expect("libopus");
    let mut decoder = Decoder::new().expect("libopus");
    let (mut payload, mut samples) = ([0; MAX_PAYLOAD], [0; MAX_SAMPLES]);
    let mut bytes = 0;
    for index in 0..100 {
        let coded = encoder.encode(&tone(index), &mut payload).expect("encodes");
        bytes += coded.len();
        assert_eq!(super::samples(coded), Some(160));
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
    let mut encoder = Encoder::new(0).expect("libopus");
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
    let mut decoder = Decoder::new().expect("libopus");
    let mut samples = [0; MAX_SAMPLES];
    for index in 0..20 {
        let wide: Vec<i16> = (0..1920)
            .map(|position| {
                let time = (index * 960 + position / 2) as f64 / 48_000.0;
                (8000.0 * (std::f64::consts::TAU * 1000.0 * time).sin()) as i16
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
    let mut encoder = Encoder::new(5).expect("libopus");
    let mut decoder = Decoder::new().expect("libopus");
    let (mut payload, mut samples) = ([0; MAX_PAYLOAD], [0; MAX_SAMPLES]);
    assert_eq!(super::samples(&SILENCE), Some(160));
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
    let mut encoder = Encoder::new(5).expect("libopus");
    let mut decoder = Decoder::new().expect("libopus");
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
    assert_eq!(samples(&[]), None);
    // Three frames of 60 ms are more than a packet may hold.
    assert_eq!(samples(&[0x1b, 0x03]), None);
    let mut decoder = Decoder::new().expect("libopus");
    assert!(decoder.decode(&[0xff, 0xff], &mut [0; MAX_SAMPLES]).is_err());
}
