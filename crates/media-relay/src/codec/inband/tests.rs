use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;
use crate::codec::g711::Law;

const RATES: [u32; 2] = [8000, 16_000];

/// A pair as a line may bring it.
#[derive(Debug, Clone, Copy)]
struct Pair {
    key: char,
    /// In dBm0.
    lower: f64,
    upper: f64,
    /// Parts by which the frequencies are off.
    lower_off: f64,
    upper_off: f64,
    ms: f64,
}

const PLAIN: Pair = Pair { key: '5', lower: -10.0, upper: -10.0, lower_off: 0.0, upper_off: 0.0, ms: 60.0 };

fn place(key: char) -> (usize, usize) {
    let at = KEYS.iter().flatten().position(|other| *other == key).expect("a key");
    (at / 4, 4 + at % 4)
}

fn all_keys() -> impl Iterator<Item = char> {
    KEYS.into_iter().flatten()
}

/// The sine of 0 dBm0 has a peak of 22,827.
fn peak(dbm0: f64) -> f64 {
    22_827.0 * 10.0_f64.powf(dbm0 / 20.0)
}

/// Adds a pair to a sound, from a time on.
fn add(sound: &mut [i16], rate: u32, at_ms: f64, pair: Pair) {
    let (row, column) = place(pair.key);
    let ticks = |ms: f64| (ms * f64::from(rate) / 1000.0).round() as usize;
    let lower = TAU * f64::from(FREQUENCIES[row]) * (1.0 + pair.lower_off) / f64::from(rate);
    let upper = TAU * f64::from(FREQUENCIES[column]) * (1.0 + pair.upper_off) / f64::from(rate);
    for (index, sample) in sound[ticks(at_ms)..][..ticks(pair.ms)].iter_mut().enumerate() {
        let index = index as f64;
        let value = peak(pair.lower) * (lower * index).sin() + peak(pair.upper) * (upper * index + 1.0).sin();
        *sample = sample.saturating_add(value as i16);
    }
}

fn silence(rate: u32, ms: usize) -> Vec<i16> {
    vec![0; ms * rate as usize / 1000]
}

fn changes(rate: u32, sound: &[i16]) -> Vec<Change> {
    let (mut detector, mut changes) = (Detector::new(rate), Vec::new());
    for frame in sound.chunks(rate as usize / 50) {
        detector.listen(frame, &mut |change| changes.push(change));
    }
    changes
}

fn keys(rate: u32, sound: &[i16]) -> String {
    let down = |change| if let Change::Down(key) = change { Some(key) } else { None };
    changes(rate, sound).into_iter().filter_map(down).collect()
}

/// How often, of all ways to begin within a frame, the pair is heard as its key and nothing else.
fn times_heard(rate: u32, pair: Pair) -> (usize, usize) {
    let ways: Vec<String> = (0..20)
        .map(|step| {
            let mut sound = silence(rate, 400);
            add(&mut sound, rate, 100.0 + f64::from(step) * 1.13, pair);
            keys(rate, &sound)
        })
        .collect();
    assert!(ways.iter().all(|heard| heard.is_empty() || *heard == pair.key.to_string()), "{ways:?}");
    (ways.iter().filter(|heard| !heard.is_empty()).count(), ways.len())
}

#[track_caller]
fn assert_always(pair: Pair) {
    for rate in RATES {
        let (heard, of) = times_heard(rate, pair);
        assert_eq!(heard, of, "{rate} Hz: {pair:?}");
    }
}

#[track_caller]
fn assert_never(pair: Pair) {
    for rate in RATES {
        assert_eq!(times_heard(rate, pair).0, 0, "{rate} Hz: {pair:?}");
    }
}

#[test]
fn all_sixteen_keys_of_40_ms_are_heard() {
    for key in all_keys() {
        assert_always(Pair { key, ms: 40.0, ..PLAIN });
    }
}

#[test]
fn pairs_of_20_ms_are_none() {
    for key in all_keys() {
        assert_never(Pair { key, ms: 20.0, ..PLAIN });
        assert_never(Pair { key, ms: 10.0, ..PLAIN });
    }
}

#[test]
fn frequencies_off_by_1_and_a_half_percent_are_heard_and_by_3_and_a_half_are_not() {
    for key in all_keys() {
        for sign in [1.0, -1.0] {
            let off = |lower, upper| Pair { key, lower_off: sign * lower, upper_off: sign * upper, ..PLAIN };
            assert_always(Pair { ms: 40.0, ..off(0.015, 0.015) });
            assert_always(Pair { ms: 40.0, ..off(0.015, -0.015) });
            for ms in [60.0, 200.0] {
                assert_never(Pair { ms, ..off(0.035, 0.0) });
                assert_never(Pair { ms, ..off(0.0, 0.035) });
                assert_never(Pair { ms, ..off(0.035, 0.035) });
            }
        }
    }
}

#[test]
fn an_upper_tone_4_db_above_or_8_below_is_heard_and_more_is_not() {
    for key in all_keys() {
        for (lower, upper) in [(-14.0, -10.0), (-8.0, -16.0), (-25.0, -21.0), (-17.0, -25.0)] {
            assert_always(Pair { key, lower, upper, ms: 40.0, ..PLAIN });
        }
        for (lower, upper) in [(-20.0, -10.0), (-6.0, -20.0)] {
            assert_never(Pair { key, lower, upper, ..PLAIN });
        }
    }
}

#[test]
fn levels_from_0_to_minus_25_dbm0_are_heard_and_minus_45_are_not() {
    for key in all_keys() {
        // At 0 dBm0 both together are beyond full scale, and are cut.
        for level in [0.0, -3.0, -6.0, -10.0, -20.0, -25.0] {
            assert_always(Pair { key, lower: level, upper: level, ms: 40.0, ..PLAIN });
        }
        assert_never(Pair { key, lower: -45.0, upper: -45.0, ..PLAIN });
    }
}

#[test]
fn all_limits_at_once_are_heard() {
    for key in all_keys() {
        let pair = Pair { lower_off: 0.015, upper_off: 0.015, key, ms: 42.0, ..PLAIN };
        assert_always(Pair { lower: -25.0, upper: -21.0, ..pair });
        assert_always(Pair { lower: -8.0, upper: -16.0, ..pair });
    }
}

#[test]
fn equal_keys_with_a_pause_of_40_ms_are_two_and_a_break_of_10_ms_leaves_one() {
    for rate in RATES {
        for offset in 0..10 {
            let two = |pause: f64| {
                let mut sound = silence(rate, 500);
                let start = 50.0 + f64::from(offset) * 0.7;
                add(&mut sound, rate, start, Pair { ms: 50.0, ..PLAIN });
                add(&mut sound, rate, start + 50.0 + pause, Pair { ms: 50.0, ..PLAIN });
                keys(rate, &sound)
            };
            assert_eq!(two(40.0), "55", "{rate} Hz, {offset}");
            assert_eq!(two(10.0), "5", "{rate} Hz, {offset}");
        }
    }
}

#[test]
fn keys_follow_each_other_at_ten_a_second() {
    let number = "0123456789*#ABCD11";
    for rate in RATES {
        let mut sound = silence(rate, 100 * number.len() + 200);
        for (index, key) in number.chars().enumerate() {
            add(&mut sound, rate, 103.0 + 100.0 * index as f64, Pair { key, ms: 50.0, ..PLAIN });
        }
        assert_eq!(keys(rate, &sound), number);
    }
}

#[test]
fn one_key_runs_into_another_without_a_pause() {
    for rate in RATES {
        let mut sound = silence(rate, 400);
        add(&mut sound, rate, 100.0, Pair { key: '1', ms: 80.0, ..PLAIN });
        add(&mut sound, rate, 180.0, Pair { key: '9', ms: 80.0, ..PLAIN });
        assert_eq!(keys(rate, &sound), "19");
    }
}

#[test]
fn a_key_is_told_within_45_ms_and_its_length_within_10_ms() {
    for rate in RATES {
        for ms in [45, 60, 100, 333, 1500] {
            let mut sound = silence(rate, ms + 200);
            add(&mut sound, rate, 50.0, Pair { ms: ms as f64, ..PLAIN });
            let (mut detector, mut down, mut lasted) = (Detector::new(rate), 0, Duration::ZERO);
            let mut suspected = None;
            for (index, piece) in sound.chunks(rate as usize / 1000).enumerate() {
                detector.listen(piece, &mut |change| match change {
                    Change::Down('5') => down = index + 1,
                    Change::Up('5', told) => lasted = told,
                    other => panic!("{other:?}"),
                });
                if detector.suspects() && suspected.is_none() {
                    suspected = Some(index + 1);
                }
            }
            assert!((75..=95).contains(&down), "{down}");
            assert!(suspected.is_some_and(|at| at <= 80), "{suspected:?}");
            let told = lasted.as_millis();
            assert!(told.abs_diff(ms as u128) <= 10, "{ms} ms: {told}");
        }
    }
}

#[test]
fn a_key_in_noise_and_by_g711_is_heard() {
    for law in [Law::Mu, Law::A] {
        for (key, dbm0) in all_keys().zip([-4.0, -15.0, -25.0].into_iter().cycle()) {
            let mut noise = crate::codec::comfort::Noise::new(3);
            let mut sound = silence(8000, 600);
            // 20 dB below the pair.
            noise.fill((-dbm0 + 20.0) as u8, &mut sound);
            add(&mut sound, 8000, 203.0, Pair { key, lower: dbm0, upper: dbm0, ..PLAIN });
            let mut coded = vec![0; sound.len()];
            law.encode(&sound, &mut coded);
            law.decode(&coded, &mut sound);
            assert_eq!(keys(8000, &sound), key.to_string(), "{law:?} {dbm0}");
        }
    }
}

/// The classic trap: a voice whose harmonics come by the frequencies of keys.
fn voice(rate: u32, seconds: usize, seed: u32) -> Vec<i16> {
    let mut phase = 0.0;
    let seed = f64::from(seed);
    (0..seconds * rate as usize)
        .map(|index| {
            let time = index as f64 / f64::from(rate) + 100.0 * seed;
            let pitch =
                90.0 + 15.0 * seed + 25.0 * (TAU * 0.31 * time).sin() + 3.0 * (TAU * 5.5 * time).sin();
            phase += TAU * pitch / f64::from(rate);
            // Two formants that wander, as vowels do.
            let first = 500.0 + 350.0 * (TAU * 0.43 * time).sin();
            let second = 1400.0 + 450.0 * (TAU * 0.29 * time + seed).sin();
            let value: f64 = (1..30)
                .map(|n| {
                    let hertz = pitch * f64::from(n);
                    let near = |formant: f64, width: f64| 1.0 / (1.0 + ((hertz - formant) / width).powi(2));
                    (near(first, 80.0) + 0.6 * near(second, 100.0)) * (phase * f64::from(n)).sin()
                })
                .sum();
            (6000.0 * value * (TAU * 2.1 * time).sin().abs()) as i16
        })
        .collect()
}

/// Chords of notes with overtones, a new one each third of a second.
fn music(rate: u32, seconds: usize) -> Vec<i16> {
    let note = |number: usize| 220.0 * 2.0_f64.powf(number as f64 / 12.0);
    (0..seconds * rate as usize)
        .map(|index| {
            let chord = index * 3 / rate as usize;
            let time = index as f64 / f64::from(rate);
            let root = chord * 7 % 25;
            let value: f64 = [root, root + 3 + chord % 2, root + 7]
                .into_iter()
                .flat_map(|number| {
                    [(1.0, 1.0), (2.0, 0.5), (3.0, 0.3)].map(|(n, part)| (note(number) * n, part))
                })
                .map(|(hertz, part)| part * (TAU * hertz * time).sin())
                .sum();
            (3000.0 * value) as i16
        })
        .collect()
}

#[test]
fn voices_music_and_noise_are_no_keys() {
    for rate in RATES {
        for seed in 0..5 {
            assert_eq!(keys(rate, &voice(rate, 20, seed)), "", "voice {seed} at {rate} Hz");
        }
        assert_eq!(keys(rate, &music(rate, 60)), "", "music at {rate} Hz");
        let mut noise = silence(rate, 60_000);
        crate::codec::comfort::Noise::new(17).fill(15, &mut noise);
        assert_eq!(keys(rate, &noise), "", "noise at {rate} Hz");
    }
}

#[test]
fn one_tone_three_tones_and_a_ringing_tone_are_no_keys() {
    for rate in RATES {
        let tones = |hertz: &[f64]| -> Vec<i16> {
            let step = TAU / f64::from(rate);
            (0..rate)
                .map(|index| {
                    hertz.iter().map(|hertz| 5000.0 * (step * hertz * f64::from(index)).sin()).sum::<f64>()
                        as i16
                })
                .collect()
        };
        for hertz in [
            &[697.0][..],
            &[1209.0],
            &[697.0, 770.0],
            &[1209.0, 1336.0],
            &[697.0, 1209.0, 1477.0],
            &[697.0, 941.0, 1209.0],
            &[440.0, 480.0],
            &[770.0, 1336.0, 2100.0],
            &[350.0, 440.0],
        ] {
            assert_eq!(keys(rate, &tones(hertz)), "", "{hertz:?}");
        }
    }
}

#[test]
fn what_is_dialled_is_heard_and_neither_too_loud_nor_clicking() {
    for rate in RATES {
        for key in all_keys() {
            let frame = rate as usize / 50;
            let mut sound = silence(rate, 200);
            let mut dial = Dial::new(key.to_ascii_lowercase(), rate).expect("a key");
            for (index, frame) in sound.chunks_mut(frame).enumerate().skip(2) {
                match index {
                    2..=5 => dial.fill(frame),
                    _ => dial.finish(frame),
                }
            }
            let told = changes(rate, &sound);
            let [Change::Down(down), Change::Up(up, lasted)] = told[..] else {
                panic!("{told:?}");
            };
            assert_eq!((down, up), (key, key));
            assert!((75..=90).contains(&lasted.as_millis()), "{lasted:?}");
            assert!(sound.iter().all(|sample| sample.abs() < 17_000));
            // Swelling: the first samples are soft; fading: nothing is left soon.
            assert!(sound[2 * frame..][..rate as usize / 4000].iter().all(|sample| sample.abs() < 2000));
            assert!(sound[6 * frame + rate as usize / 400..].iter().all(|sample| *sample == 0));
        }
    }
    assert!(Dial::new('x', 8000).is_none());
}

#[test]
fn a_key_that_is_down_when_the_sound_ends_comes_up() {
    let mut sound = silence(8000, 300);
    add(&mut sound, 8000, 100.0, Pair { ms: 200.0, ..PLAIN });
    let (mut detector, mut told) = (Detector::new(8000), Vec::new());
    detector.listen(&sound, &mut |change| told.push(change));
    detector.interrupt(&mut |change| told.push(change));
    detector.interrupt(&mut |change| told.push(change));
    let [Change::Down('5'), Change::Up('5', lasted)] = told[..] else {
        panic!("{told:?}");
    };
    assert!((190..=205).contains(&lasted.as_millis()), "{lasted:?}");
    // What comes then has nothing to do with it.
    detector.listen(&silence(8000, 100), &mut |change| panic!("{change:?}"));
}

proptest! {
    #[test]
    fn any_sound_in_any_pieces_is_taken_and_keys_go_up_after_they_went_down(
        pieces in prop::collection::vec(prop::collection::vec(any::<i16>(), 0..700), 0..20), fast: bool,
    ) {
        let mut detector = Detector::new(if fast { 16_000 } else { 8000 });
        let mut down = None;
        let mut check = |change| match change {
            Change::Down(key) => assert_eq!(down.replace(key), None),
            Change::Up(key, _) => assert_eq!(down.take(), Some(key)),
        };
        for samples in pieces {
            detector.listen(&samples, &mut check);
        }
        detector.interrupt(&mut check);
        prop_assert_eq!(down, None);
    }
}
