//! What is recognised, and what is not.

use super::*;

const RATE: u32 = 8000;
const LIMIT: Duration = Duration::from_millis(60);

fn tone(hz: f64, samples: usize) -> Vec<i16> {
    let mut out = vec![0; samples];
    Sine::new(hz, RATE).fill(&mut out);
    out
}

/// Packets of 20 ms, one every 20 ms.
fn record(samples: &[i16], start: Instant) -> Recording {
    let mut recording = Recording::new(RATE);
    for (i, packet) in samples.chunks(160).enumerate() {
        recording.audio(start + Duration::from_millis(20 * i as u64), packet);
    }
    recording
}

#[test]
fn a_clean_tone_is_recognised() {
    let heard = record(&tone(440.0, 24000), Instant::now()).analyse(LIMIT).unwrap();
    assert!((heard.hz - 440.0).abs() < 1.0, "{heard:?}");
    assert!(heard.share > 0.99 && heard.gaps.is_empty(), "{heard:?}");
    assert!((heard.level_dbfs + 15.0).abs() < 0.2, "{heard:?}");
    assert!(heard.is_tone(440.0) && !heard.is_tone(523.0));
}

#[test]
fn noise_and_two_tones_are_not_a_tone() {
    let mut state = 1_u32;
    let noise: Vec<i16> = (0..16000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 18) as i16
        })
        .collect();
    let heard = record(&noise, Instant::now()).analyse(LIMIT).unwrap();
    assert!(heard.share < 0.2, "{heard:?}");

    let (a, b) = (tone(440.0, 16000), tone(1000.0, 16000));
    let both: Vec<i16> = a.iter().zip(&b).map(|(a, b)| a / 2 + b / 2).collect();
    let heard = record(&both, Instant::now()).analyse(LIMIT).unwrap();
    assert!(!heard.is_tone(440.0) && !heard.is_tone(1000.0), "{heard:?}");
}

#[test]
fn a_key_is_both_of_its_tones_and_neither_of_its_neighbours() {
    let mut sine = Sine::new(440.0, RATE);
    let mut samples = vec![0; 3200];
    sine.fill(&mut samples[..1600]);
    sine.say(Sound::Pair(697.0, 1209.0));
    sine.fill(&mut samples[1600..2400]);
    sine.say(Sound::Tone(440.0));
    sine.fill(&mut samples[2400..]);
    let heard = record(&samples, Instant::now());
    assert_eq!(heard.lasting_pair(697.0, 1209.0), Duration::from_millis(100));
    assert_eq!(heard.lasting_pair(852.0, 1477.0), Duration::ZERO);
    assert_eq!(heard.lasting(697.0), Duration::ZERO);
}

#[test]
fn silence_is_not_heard() {
    assert!(record(&[0; 16000], Instant::now()).analyse(LIMIT).is_none());
    assert!(Recording::new(RATE).analyse(LIMIT).is_none());
}

#[test]
fn a_late_packet_after_the_first_second_is_a_gap() {
    let start = Instant::now();
    let sound = tone(440.0, 160);
    let mut recording = Recording::new(RATE);
    let late = |i: u64| if i >= 100 { 80 } else { 0 };
    for i in 0..150 {
        recording.audio(start + Duration::from_millis(20 * i + late(i)), &sound);
    }
    let gaps = recording.analyse(LIMIT).unwrap().gaps;
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].length, Duration::from_millis(100));
}

#[test]
fn a_keypad_event_is_not_a_gap_but_silent_packets_are() {
    let start = Instant::now();
    let sound = tone(440.0, 160);
    let mut recording = Recording::new(RATE);
    for i in 0..150_u64 {
        let at = start + Duration::from_millis(20 * i);
        match i {
            80..90 => recording.event(at),
            110..116 => recording.audio(at, &[0; 160]),
            _ => recording.audio(at, &sound),
        }
    }
    let gaps = recording.analyse(LIMIT).unwrap().gaps;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].length, Duration::from_millis(120));
}

#[test]
fn gaps_in_the_first_second_are_forgiven() {
    let start = Instant::now();
    let sound = tone(440.0, 160);
    let mut recording = Recording::new(RATE);
    let late = |i: u64| if i >= 10 { 300 } else { 0 };
    for i in 0..150 {
        recording.audio(start + Duration::from_millis(20 * i + late(i)), &sound);
    }
    assert!(recording.analyse(LIMIT).unwrap().gaps.is_empty());
}

#[test]
fn the_onset_of_a_second_tone_is_found_within_a_window() {
    let start = Instant::now();
    let mut sound = tone(440.0, 8000);
    sound.extend(tone(1000.0, 8000));
    let onset = record(&sound, start).onset(1000.0, start).unwrap();
    assert_eq!(onset - start, Duration::from_secs(1));
}

#[test]
fn a_part_of_a_recording_holds_only_its_own_packets() {
    let start = Instant::now();
    let mut sound = tone(440.0, 16000);
    sound.extend(tone(1000.0, 16000));
    let whole = record(&sound, start);
    let part = whole.between(start + Duration::from_secs(2), start + Duration::from_secs(9));
    assert_eq!(part.packets(), 100);
    assert!(part.analyse(LIMIT).unwrap().is_tone(1000.0));
}
