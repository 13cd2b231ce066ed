use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

const RATES: [u32; 2] = [8000, 16_000];

fn tone(rate: u32, frequency: f64, ms: usize) -> Vec<i16> {
    let step = TAU * frequency / f64::from(rate);
    (0..ms * rate as usize / 1000).map(|index| (8000.0 * (step * index as f64).sin()) as i16).collect()
}

/// The sound with frames of 20 ms lost where `lost` says so.
fn heard(rate: u32, sound: &[i16], mut lost: impl FnMut(usize) -> bool) -> Vec<i16> {
    let mut concealer = Concealer::new(rate);
    let mut heard = sound.to_vec();
    for (index, frame) in heard.chunks_mut(rate as usize / 50).enumerate() {
        if lost(index) {
            frame.fill(i16::MAX);
            concealer.conceal(frame);
        } else {
            concealer.hear(frame);
        }
    }
    heard
}

/// Loses so many in a hundred, never the first few.
fn random(percent: u32) -> impl FnMut(usize) -> bool {
    let mut state = 1_u32;
    move |index| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        index > 4 && (state >> 16) % 100 < percent
    }
}

fn energy(samples: &[i16]) -> f64 {
    samples.iter().map(|sample| f64::from(*sample).powi(2)).sum()
}

/// The part of the energy that lies at a frequency.
fn part_at(rate: u32, samples: &[i16], frequency: f64) -> f64 {
    let step = TAU * frequency / f64::from(rate);
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (index, sample) in samples.iter().enumerate() {
        sine += f64::from(*sample) * (step * index as f64).sin();
        cosine += f64::from(*sample) * (step * index as f64).cos();
    }
    2.0 * (sine * sine + cosine * cosine) / samples.len() as f64 / energy(samples)
}

/// The largest step between two samples.
fn click(samples: &[i16]) -> i32 {
    samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
}

#[test]
fn a_tone_with_5_and_20_percent_lost_keeps_frequency_and_energy_and_does_not_click() {
    for rate in RATES {
        let sound = tone(rate, 440.0, 20_000);
        for (percent, at_least) in [(5, 0.97), (20, 0.90)] {
            let heard = heard(rate, &sound, random(percent));
            let part = part_at(rate, &heard, 440.0);
            assert!(part > at_least, "{rate} Hz, {percent} %: {part}");
            let kept = energy(&heard) / energy(&sound);
            assert!((0.85..1.05).contains(&kept), "{rate} Hz, {percent} %: {kept}");
            assert!(click(&heard) * 10 < click(&sound) * 15, "{rate} Hz, {percent} %: {}", click(&heard));
        }
    }
}

#[test]
fn one_lost_frame_of_a_periodic_sound_is_hardly_to_be_told_from_it() {
    for rate in RATES {
        for frequency in [75.0, 120.0, 195.0, 440.0, 1000.0] {
            let sound = tone(rate, frequency, 400);
            let heard = heard(rate, &sound, |index| index == 10);
            let missed: Vec<i16> = heard.iter().zip(&sound).map(|(a, b)| a - b).collect();
            let frame = rate as usize / 50;
            let lost = 10 * frame..11 * frame;
            let error = energy(&missed[lost.clone()]) / energy(&sound[lost]);
            assert!(error < 0.2, "{rate} Hz, {frequency} Hz: {error}");
        }
    }
}

#[test]
fn it_fades_from_10_ms_on_and_is_silent_after_60() {
    for rate in RATES {
        let sound = tone(rate, 440.0, 400);
        let heard = heard(rate, &sound, |index| index >= 10);
        let ms = |from: usize, to: usize| {
            let [from, to] = [200 + from, 200 + to].map(|ms| ms * rate as usize / 1000);
            (energy(&heard[from..to]) / energy(&sound[from..to])).sqrt()
        };
        assert!(ms(0, 10) > 0.9, "{}", ms(0, 10));
        let faded = [ms(10, 20), ms(20, 30), ms(30, 40), ms(40, 50), ms(50, 60)];
        for (index, level) in faded.iter().enumerate() {
            let wanted = 0.9 - 0.2 * index as f64;
            assert!((level - wanted).abs() < 0.1, "{rate} Hz: {faded:?}");
        }
        assert_eq!(energy(&heard[260 * rate as usize / 1000..]), 0.0);
    }
}

#[test]
fn the_first_frame_after_a_loss_is_blended_in_and_the_next_is_untouched() {
    for rate in RATES {
        let sound = tone(rate, 433.0, 400);
        let heard = heard(rate, &sound, |index| (10..12).contains(&index));
        let frame = rate as usize / 50;
        assert_ne!(heard[12 * frame..13 * frame], sound[12 * frame..13 * frame]);
        assert_eq!(heard[13 * frame..], sound[13 * frame..]);
        assert!(click(&heard) * 10 < click(&sound) * 15, "{}", click(&heard));
    }
}

#[test]
fn what_is_heard_again_is_blended_in_for_longer_after_a_longer_loss() {
    for rate in RATES {
        let per_ms = rate as usize / 1000;
        for (lost, blended) in [(5, 4), (10, 4), (20, 8), (40, 10)] {
            let mut concealer = Concealer::new(rate);
            concealer.hear(&mut tone(rate, 433.0, 100));
            concealer.conceal(&mut vec![0; lost * per_ms]);
            let mut silence = vec![0; 20 * per_ms];
            concealer.hear(&mut silence);
            let end = silence.iter().rposition(|sample| *sample != 0).expect("blended");
            assert!((blended - 1) * per_ms <= end && end < blended * per_ms, "{lost} ms: {end}");
        }
    }
}

/// One period alone, over and over, would buzz.
#[test]
fn after_10_ms_more_than_one_period_is_repeated() {
    for rate in RATES {
        let (per_ms, mut state) = (rate as usize / 1000, 1_u32);
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) as i16) / 4
        };
        let mut sound: Vec<i16> = (0..100 * per_ms).map(|_| noise()).collect();
        let mut concealer = Concealer::new(rate);
        concealer.hear(&mut sound);
        let (period, mut made) = (pitch(&concealer.history, concealer.per_ms), vec![0; 50 * per_ms]);
        concealer.conceal(&mut made);
        let alike = |from: usize| {
            let (now, then) = (&made[from + period..from + 2 * period], &made[from..from + period]);
            product(now, then) / (product(now, now) * product(then, then)).sqrt()
        };
        assert!(alike(20 * per_ms) < 0.8, "{rate}: {}", alike(20 * per_ms));
    }
}

#[test]
fn without_loss_nothing_changes_and_silence_is_concealed_by_silence() {
    for rate in RATES {
        let sound = tone(rate, 440.0, 1000);
        assert_eq!(heard(rate, &sound, |_| false), sound);
        assert_eq!(heard(rate, &[0; 3200], |index| index % 2 == 1), [0; 3200]);
        // Lost from the beginning.
        assert_eq!(heard(rate, &[0; 3200], |_| true), [0; 3200]);
    }
}

proptest! {
    #[test]
    fn any_sound_in_any_pieces_is_taken(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<i16>(), 0..2000)), 0..8),
        fast: bool,
    ) {
        let mut concealer = Concealer::new(if fast { 16_000 } else { 8000 });
        for (lost, mut samples) in pieces {
            if lost {
                concealer.conceal(&mut samples);
            } else {
                concealer.hear(&mut samples);
            }
        }
    }
}
